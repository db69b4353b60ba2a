/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef FERRY_HOST_BACKEND_KERNEL_IOMMU_TYPE1_H
#define FERRY_HOST_BACKEND_KERNEL_IOMMU_TYPE1_H

#include "host/backend/kernel/iommu.h"
#include "host/backend/kernel/iommu/dirty.h"

/*
 * Type 1 takes a question for dirty bits only for whole mappings, and forgets the bits
 * with it. So a big map becomes several mappings, none bigger than one question, and what
 * was told but not asked for waits in the map's pending bits.
 */
#define TYPE1_PIECE_BYTES KERNEL_DIRTY_CHUNK_BYTES

/* Inside of the way to memory by a group and a container. */
struct type1 {
    struct kernel_iommu iommu; /* first */
    const struct kernel_calls *calls;
    int group_fd, container_fd;
    uint32_t joined; /* the group is in the container */
    uint32_t tracking;
    uint32_t has_log; /* it says that it can track, in pages of the granule */
    uint32_t pad;
    struct kernel_aperture aperture;
    struct kernel_maps maps;
    char cannot[160]; /* why it cannot track */
    uint64_t scratch[KERNEL_DIRTY_SCRATCH_BYTES / sizeof(uint64_t)];
    uint64_t piece[KERNEL_DIRTY_SCRATCH_BYTES / sizeof(uint64_t)];
};

/* type1_info.c: page size and addresses of the IOMMU, has_log. Return: FERRY_OK;
 * FERRY_E_IO, FERRY_E_DEVICE, FERRY_E_MEMORY. */
int kernel_type1_ask(struct type1 *type1, const char *name, struct ferry_error *reterr);

/* type1_map.c: as the operations. */
int kernel_type1_map(struct kernel_iommu *iommu, const struct ferry_dma_map *map,
                     struct ferry_error *reterr);
int kernel_type1_unmap(struct kernel_iommu *iommu, const struct ferry_dma_unmap *unmap,
                       struct ferry_error *reterr);
/* One mapping of the kernel's. Return: 0 or -errno. */
int kernel_type1_map_piece(struct type1 *type1, const void *address, uint64_t iova,
                           uint64_t size, uint32_t flags);
/* bits: of its pages, zeroed, or NULL. Return: 0 or -errno. */
int kernel_type1_unmap_piece(struct type1 *type1, uint64_t iova, uint64_t size,
                             void *bits);

/* type1_track.c: as the operations. */
int kernel_type1_track(struct kernel_iommu *iommu, int on, struct ferry_error *reterr);
int kernel_type1_report(struct kernel_iommu *iommu, const struct ferry_log_report *report,
                        struct ferry_error *reterr);
/* Takes a map away and tells its dirty bits; what cannot be told counts as written.
 * Return: 0 or -errno: it is still there. */
int kernel_type1_last(struct type1 *type1, struct kernel_map *map,
                      const struct ferry_log_report *report);
/* Finds out by use whether the container tracks: sets can_track, is_exact, cannot. */
void kernel_type1_probe(struct type1 *type1);

#endif
