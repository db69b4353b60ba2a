/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef FERRY_HOST_BACKEND_KERNEL_IOMMU_DIRTY_H
#define FERRY_HOST_BACKEND_KERNEL_IOMMU_DIRTY_H

#include "host/backend/kernel/iommu/maps.h"

/*
 * Dirty pages of an IOMMU, asked mapping by mapping: a hole in the range makes an iommufd
 * end early and say that all is well, and type 1 takes no half of a mapping.
 */

/* What one question covers: a bitmap of 64 KiB with pages of 4 KiB. */
#define KERNEL_DIRTY_CHUNK_BYTES (UINT64_C(2) << 30)
#define KERNEL_DIRTY_PAGE_BYTES_MIN 4096u
#define KERNEL_DIRTY_SCRATCH_BYTES                                                       \
    (KERNEL_DIRTY_CHUNK_BYTES / KERNEL_DIRTY_PAGE_BYTES_MIN / 8)

struct kernel_dirty {
    void *user;
    /*
     * Sets bits of [iova, iova + length), one for each granule, in zeroed bits. The range
     * lies in the map, is aligned to the granule, and at most one chunk long.
     */
    int (*fetch)(void *user, struct kernel_map *map, uint64_t iova, uint64_t length,
                 void *bits, struct ferry_error *reterr);
    uint64_t granule; /* of the kernel's bits */
    void *scratch;    /* KERNEL_DIRTY_SCRATCH_BYTES */
};

/*
 * Return: FERRY_OK; FERRY_E_ARGUMENT (page size, alignment, a bitmap that is too small),
 * or what fetch returned: then what was told before is in the bitmap, and the rest has to
 * be taken as written.
 */
int kernel_dirty_report(const struct kernel_dirty *dirty, struct kernel_maps *maps,
                        const struct ferry_log_report *report,
                        struct ferry_error *reterr);

/* Moves set bits: or's bits [from, from + count) of source in at bit `to`. */
void kernel_dirty_move(void *bitmap, uint64_t to, const void *source, uint64_t from,
                       uint64_t count);

/* Sets the bits of pages that [iova, iova + size) touches, as far as the report goes. */
void kernel_dirty_mark(const struct ferry_log_report *report, uint64_t iova,
                       uint64_t size);

/* The same for each of `count` bits that is set, one for each granule from iova on. */
void kernel_dirty_mark_bits(const struct ferry_log_report *report, uint64_t iova,
                            uint64_t granule, const void *bits, uint64_t count);

/* Clears bits [first, first + count). */
void kernel_dirty_clear(uint8_t *bitmap, uint64_t first, uint64_t count);

/*
 * Takes the maps of a range away, or all, one by one. end_map: one of them at the kernel;
 * its dirty bits go to report, NULL when nobody wants them; returns 0 or -errno: it is
 * still there. name: of the way to memory, in messages. Return: FERRY_OK; as
 * kernel_maps_whole() and kernel_dirty_check(), which come before anything is taken;
 * FERRY_E_IO.
 */
int kernel_dirty_unmap(struct kernel_maps *maps, const struct ferry_dma_unmap *unmap,
                       const char *name,
                       int (*end_map)(void *user, struct kernel_map *map,
                                      const struct ferry_log_report *report),
                       void *user, struct ferry_error *reterr);

/* Is the range, page size and room of a report as it has to be? Return: FERRY_OK,
 * FERRY_E_ARGUMENT. */
int kernel_dirty_check(const struct ferry_log_report *report, struct ferry_error *reterr);

#endif
