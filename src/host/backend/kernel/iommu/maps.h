/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef FERRY_HOST_BACKEND_KERNEL_IOMMU_MAPS_H
#define FERRY_HOST_BACKEND_KERNEL_IOMMU_MAPS_H

#include "host/backend/kernel/calls.h"
#include "link/request.h"
#include "os/memory.h"

/*
 * What is mapped for a device, and where an IOMMU takes addresses. The kernel does not
 * tell what is mapped, and both its dirty logs must be asked mapping by mapping.
 * Thread: one at a time.
 */
struct kernel_map {
    uint64_t iova, size;
    uint32_t flags; /* FERRY_DMA_* */
    uint32_t pad;
    /* The kernel's way to memory that the user's process has nowhere; all zero: it has.
     * Held until the unmap: an mdev's pages are looked up when it asks for them. */
    struct ferry_os_map window;
    /* Type 1: bits that the kernel told and nobody has asked for yet, or NULL. */
    uint8_t *pending;
};

struct kernel_maps {
    struct kernel_map *map; /* ascending, disjoint */
    uint32_t count, cap;
};

/*
 * May a map be put there? Makes room for it, so that kernel_maps_add() cannot fail.
 * Return: FERRY_OK; FERRY_E_OVERLAP, FERRY_E_LIMIT, FERRY_E_MEMORY, FERRY_E_RANGE.
 */
int kernel_maps_room(struct kernel_maps *maps, uint64_t iova, uint64_t size,
                     struct ferry_error *reterr);

/* After kernel_maps_room(). map: copied; window and pending are given away. */
void kernel_maps_add(struct kernel_maps *maps, const struct kernel_map *map);

/* Index of the first map that ends behind an address; count when there is none. */
uint32_t kernel_maps_first(const struct kernel_maps *maps, uint64_t iova);

/*
 * The maps in a range. Return: FERRY_OK; FERRY_E_NOT_FOUND (there is none),
 * FERRY_E_RANGE (the range cuts one, or overflows).
 */
int kernel_maps_whole(const struct kernel_maps *maps, uint64_t iova, uint64_t size,
                      uint32_t *ret_first, uint32_t *ret_count,
                      struct ferry_error *reterr);

/* Forgets maps. */
void kernel_maps_remove(struct kernel_maps *maps, uint32_t first, uint32_t count);
void kernel_maps_clear(struct kernel_maps *maps);

/*
 * A region of a device of the kernel's behind a descriptor: of a peer. fd: any. Return: 1
 * and the region that holds [off, off + size) of the descriptor, 0 when there is none.
 */
int kernel_peer_region(const struct kernel_calls *calls, int fd, uint64_t off,
                       uint64_t size, uint32_t *ret_region, uint64_t *ret_region_off);

/*
 * Where this process has the memory of a map: where the user says, or in a window of the
 * library's. ret_window: all zero, or the caller's to unmap. Return: FERRY_OK, or as
 * ferry_os_map_shared().
 */
int kernel_map_address(const struct kernel_calls *calls, const struct ferry_dma_map *map,
                       struct ferry_os_map *ret_window, void **ret_address,
                       struct ferry_error *reterr);

#define KERNEL_APERTURE_RANGES_MAX 128u
#define KERNEL_GRANULE_BYTES_MIN 4096u
#define KERNEL_GRANULE_BYTES_MAX (1u << 30)

/* Addresses that an IOMMU takes: what is left when the hardware's reach and the windows
 * of interrupts are taken off. */
struct kernel_aperture {
    struct kernel_aperture_range {
        uint64_t start, last; /* both inside */
    } range[KERNEL_APERTURE_RANGES_MAX];
    uint32_t count; /* 0: it was not told, or has more ranges than fit: the kernel alone
                       decides */
    uint32_t pad;
    uint64_t granule; /* everything must be aligned to it: a power of two */
};

/* Takes what the kernel says it wants everything aligned to. Return: FERRY_OK;
 * FERRY_E_DEVICE (that makes no sense). */
int kernel_aperture_granule(struct kernel_aperture *aperture, uint64_t bytes,
                            const char *name, struct ferry_error *reterr);

/* Return: FERRY_OK; FERRY_E_ARGUMENT, FERRY_E_ALIGN, FERRY_E_RANGE with a sentence that
 * says what the IOMMU takes. */
int kernel_aperture_check(const struct kernel_aperture *aperture,
                          const struct ferry_dma_map *map, struct ferry_error *reterr);

#endif
