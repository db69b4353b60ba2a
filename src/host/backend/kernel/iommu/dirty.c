/* SPDX-License-Identifier: BSD-3-Clause */
#include "host/backend/kernel/iommu/dirty.h"

#include <string.h>

#include "base/bitmap.h"
#include "base/range.h"
#include "host/backend/kernel/iommu/say.h"
#include "os/errno.h"

/* Bit by bit, or rather run by run. */
static void move_runs(void *bitmap, uint64_t to, const void *source, uint64_t from,
                      uint64_t count)
{
    const uint64_t end = from + count;
    uint64_t first = ferry_bitmap_next(source, end, from);

    while (first < end) {
        const uint64_t after = ferry_bitmap_next_clear(source, end, first);

        ferry_bitmap_set_range(bitmap, to + (first - from), after - first);
        first = ferry_bitmap_next(source, end, after);
    }
}

void kernel_dirty_move(void *bitmap, uint64_t to, const void *source, uint64_t from,
                       uint64_t count)
{
    uint8_t *into = (uint8_t *)bitmap + to / 8;
    const uint8_t *out_of = (const uint8_t *)source + from / 8;
    uint64_t done = 0;

    /* Nearly always; scattered pages would take a hundred times as long by runs. */
    if (to % 8 == 0 && from % 8 == 0) {
        for (uint64_t i = 0; i < count / 8; i++) {
            into[i] |= out_of[i];
        }
        done = count / 8 * 8;
    }
    move_runs(bitmap, to + done, source, from + done, count - done);
}

void kernel_dirty_mark(const struct ferry_log_report *report, uint64_t iova,
                       uint64_t size)
{
    const uint64_t last = iova + (size - 1);
    const uint64_t report_last = report->iova + (report->length - 1);
    const uint64_t low = iova > report->iova ? iova : report->iova;
    const uint64_t high = last < report_last ? last : report_last;

    if (low <= high) {
        const uint64_t first = (low - report->iova) / report->page_size;
        const uint64_t end = (high - report->iova) / report->page_size;

        ferry_bitmap_set_range(report->bitmap, first, end - first + 1);
    }
}

void kernel_dirty_mark_bits(const struct ferry_log_report *report, uint64_t iova,
                            uint64_t granule, const void *bits, uint64_t count)
{
    uint64_t first = ferry_bitmap_next(bits, count, 0);

    while (first < count) {
        const uint64_t end = ferry_bitmap_next_clear(bits, count, first);

        kernel_dirty_mark(report, iova + first * granule, (end - first) * granule);
        first = ferry_bitmap_next(bits, count, end);
    }
}

void kernel_dirty_clear(uint8_t *bitmap, uint64_t first, uint64_t count)
{
    const uint64_t end = first + count;

    for (; first < end && first % 8 != 0; first++) {
        ferry_bitmap_clear(bitmap, first);
    }
    memset(bitmap + first / 8, 0, (size_t)((end - first) / 8));
    for (first += (end - first) / 8 * 8; first < end; first++) {
        ferry_bitmap_clear(bitmap, first);
    }
}

int kernel_dirty_check(const struct ferry_log_report *report, struct ferry_error *reterr)
{
    const uint64_t page = report->page_size;

    if (!ferry_is_power_of_2(page) || page < KERNEL_DIRTY_PAGE_BYTES_MIN ||
        report->length == 0 || report->iova > UINT64_MAX - (report->length - 1) ||
        !ferry_range_aligned(report->iova | report->length, page) ||
        report->bitmap == NULL ||
        report->bitmap_bytes < ferry_bitmap_bytes(report->length / page)) {
        return kernel_say(
            reterr, FERRY_E_ARGUMENT, 0,
            "a dirty report of 0x%llx bytes at 0x%llx in pages of %llu, for "
            "which a bitmap of %llu bytes is too small or which cut pages",
            (unsigned long long)report->length, (unsigned long long)report->iova,
            (unsigned long long)page, (unsigned long long)report->bitmap_bytes);
    }
    return FERRY_OK;
}

/* Translates the kernel's pages to those of the report. */
static void take(const struct kernel_dirty *dirty, const struct ferry_log_report *report,
                 uint64_t iova, uint64_t length)
{
    const uint64_t bits = length / dirty->granule;

    if (dirty->granule == report->page_size && iova >= report->iova &&
        iova + (length - 1) <= report->iova + (report->length - 1)) {
        kernel_dirty_move(report->bitmap, (iova - report->iova) / dirty->granule,
                          dirty->scratch, 0, bits);
        return;
    }
    kernel_dirty_mark_bits(report, iova, dirty->granule, dirty->scratch, bits);
}

/* The part of a map that the report wants, widened to whole granules. */
static int report_map(const struct kernel_dirty *dirty, struct kernel_map *map,
                      const struct ferry_log_report *report, struct ferry_error *reterr)
{
    const uint64_t report_last = report->iova + (report->length - 1);
    const uint64_t map_last = map->iova + (map->size - 1);
    const uint64_t mask = dirty->granule - 1;
    const uint64_t last = (report_last < map_last ? report_last : map_last) | mask;
    uint64_t iova = (report->iova > map->iova ? report->iova : map->iova) & ~mask;

    for (;;) {
        const uint64_t left = last - iova; /* and one */
        const uint64_t length =
            left < KERNEL_DIRTY_CHUNK_BYTES ? left + 1 : KERNEL_DIRTY_CHUNK_BYTES;
        int rc;

        memset(dirty->scratch, 0, ferry_bitmap_bytes(length / dirty->granule));
        rc = dirty->fetch(dirty->user, map, iova, length, dirty->scratch, reterr);
        if (rc != FERRY_OK) {
            return rc;
        }
        take(dirty, report, iova, length);
        if (length == left + 1) {
            return FERRY_OK;
        }
        iova += length;
    }
}

int kernel_dirty_report(const struct kernel_dirty *dirty, struct kernel_maps *maps,
                        const struct ferry_log_report *report, struct ferry_error *reterr)
{
    int rc = kernel_dirty_check(report, reterr);

    for (uint32_t i = rc == FERRY_OK ? kernel_maps_first(maps, report->iova) : 0;
         rc == FERRY_OK && i < maps->count &&
         maps->map[i].iova <= report->iova + (report->length - 1);
         i++) {
        /* Nobody writes to the others. */
        if ((maps->map[i].flags & FERRY_DMA_WRITE) != 0) {
            rc = report_map(dirty, &maps->map[i], report, reterr);
        }
    }
    return rc;
}

int kernel_dirty_unmap(struct kernel_maps *maps, const struct ferry_dma_unmap *unmap,
                       const char *name,
                       int (*end_map)(void *user, struct kernel_map *map,
                                      const struct ferry_log_report *report),
                       void *user, struct ferry_error *reterr)
{
    const struct ferry_log_report report = { .iova = unmap->iova,
                                             .length = unmap->size,
                                             .page_size = unmap->page_size,
                                             .bitmap = unmap->bitmap,
                                             .bitmap_bytes = unmap->bitmap_bytes };
    const int wants_bits = (unmap->flags & FERRY_UNMAP_BITMAP) != 0;
    uint32_t first = 0;
    uint32_t count = maps->count;
    int rc = FERRY_OK;

    if ((unmap->flags & FERRY_UNMAP_ALL) == 0) {
        rc = kernel_maps_whole(maps, unmap->iova, unmap->size, &first, &count, reterr);
    }
    if (rc == FERRY_OK && wants_bits) {
        rc = kernel_dirty_check(&report, reterr);
    }
    for (; rc == FERRY_OK && count > 0; count--) {
        struct kernel_map *map = &maps->map[first];
        const int number = end_map(user, map, wants_bits ? &report : NULL);

        if (number < 0) {
            return kernel_say(
                reterr, FERRY_E_IO, -number, "%s: the map at 0x%llx does not go (%s)",
                name, (unsigned long long)map->iova, ferry_os_errno_name(-number));
        }
        kernel_maps_remove(maps, first, 1);
    }
    return rc;
}
