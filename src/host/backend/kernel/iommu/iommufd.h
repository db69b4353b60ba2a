/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef FERRY_HOST_BACKEND_KERNEL_IOMMU_IOMMUFD_H
#define FERRY_HOST_BACKEND_KERNEL_IOMMU_IOMMUFD_H

#include "host/backend/kernel/iommu.h"
#include "host/backend/kernel/iommu/dirty.h"

/* Inside of the way to memory by an iommufd. */
struct iommufd {
    struct kernel_iommu iommu; /* first */
    const struct kernel_calls *calls;
    int fd;
    uint32_t device_id, ioas_id;
    uint32_t hwpt_id;     /* one that tracks, or 0 */
    uint32_t no_map_file; /* the kernel does not know IOMMU_IOAS_MAP_FILE */
    uint32_t tracking;
    struct kernel_aperture aperture;
    struct kernel_maps maps;
    char cannot[160]; /* why it cannot track */
    uint64_t scratch[KERNEL_DIRTY_SCRATCH_BYTES / sizeof(uint64_t)];
};

/* iommufd_map.c: as the operations. */
int kernel_iommufd_map(struct kernel_iommu *iommu, const struct ferry_dma_map *map,
                       struct ferry_error *reterr);
int kernel_iommufd_unmap(struct kernel_iommu *iommu, const struct ferry_dma_unmap *unmap,
                         struct ferry_error *reterr);
/* Return: 0 or -errno. */
int kernel_iommufd_unmap_range(struct iommufd *iommufd, uint64_t iova, uint64_t size);

/* iommufd_track.c: as the operations. */
int kernel_iommufd_track(struct kernel_iommu *iommu, int on, struct ferry_error *reterr);
int kernel_iommufd_report(struct kernel_iommu *iommu,
                          const struct ferry_log_report *report,
                          struct ferry_error *reterr);
/* The dirty bits of a map that is about to go; what cannot be told counts as written. */
void kernel_iommufd_last(struct iommufd *iommufd, struct kernel_map *map,
                         const struct ferry_log_report *report);
/* Finds out by use whether the HWPT tracks: sets can_track, is_exact, cannot. */
void kernel_iommufd_probe(struct iommufd *iommufd);

#endif
