/* SPDX-License-Identifier: BSD-3-Clause */
#include "device/dma/dmalog.h"

#include <stdlib.h>
#include <string.h>

#include "base/bitmap.h"
#include "base/range.h"
#include "device/device_private.h"

/* Marks of a map from here on (32 GiB of pages) are the system's memory, not malloc's. */
#define LOG_PAGES_BYTES_MIN (1u << 20)

static int log_error(struct ferry_error *reterr, int code, const char *rule,
                     uint64_t value, const char *what)
{
    return ferry_error_set(reterr, code, "device", rule, 0, "dirty log: %s (0x%llx)",
                           what, (unsigned long long)value);
}

static int good_page_size(uint64_t page_size)
{
    return ferry_is_power_of_2(page_size) && page_size >= DEVICE_PAGE_BYTES;
}

/* Puts a range into its place among those before it. */
static int insert_range(struct device_dmalog *log, const struct ferry_range *range,
                        uint64_t page_size, struct ferry_error *reterr)
{
    uint32_t at = log->range_count;
    uint64_t end;

    if (range->size == 0) {
        return log_error(reterr, FERRY_E_ARGUMENT, "MIG-LOG-2", range->off,
                         "START: an empty range");
    }
    if (!ferry_range_aligned(range->off | range->size, page_size)) {
        return log_error(reterr, FERRY_E_ALIGN, "MIG-LOG-2", range->off,
                         "START: range not aligned");
    }
    if (!ferry_range_add(range->off, range->size, &end)) {
        return log_error(reterr, FERRY_E_RANGE, "MIG-LOG-2", range->off,
                         "START: a range overflows");
    }
    while (at > 0 && log->range[at - 1].off > range->off) {
        log->range[at] = log->range[at - 1];
        at--;
    }
    log->range[at] = *range;
    log->range_count++;
    if ((at > 0 && ferry_range_overlaps(range->off, range->size, log->range[at - 1].off,
                                        log->range[at - 1].size)) ||
        (at + 1 < log->range_count &&
         ferry_range_overlaps(range->off, range->size, log->range[at + 1].off,
                              log->range[at + 1].size))) {
        return log_error(reterr, FERRY_E_OVERLAP, "MIG-LOG-2", range->off,
                         "START: ranges overlap");
    }
    return FERRY_OK;
}

/* Closes the smallest gaps until the device can hold the ranges: it logs too much then,
 * and never too little. */
static void combine_ranges(struct device_dmalog *log)
{
    while (log->range_count > log->ranges_max) {
        struct ferry_range *range = log->range;
        uint32_t best = 0;

        for (uint32_t i = 1; i + 1 < log->range_count; i++) {
            if (range[i + 1].off - range[i].off - range[i].size <
                range[best + 1].off - range[best].off - range[best].size) {
                best = i;
            }
        }
        range[best].size = range[best + 1].off + range[best + 1].size - range[best].off;
        memmove(&range[best + 1], &range[best + 2],
                (log->range_count - best - 2) * sizeof(range[0]));
        log->range_count--;
    }
}

static int check_start(struct device_dmalog *log, const struct ferry_log_start *start,
                       struct ferry_error *reterr)
{
    int status = FERRY_OK;

    if (log->on) {
        return log_error(reterr, FERRY_E_BUSY, "MIG-LOG-3", 0, "START: it is on");
    }
    if (!good_page_size(start->page_size)) {
        return log_error(reterr, FERRY_E_ARGUMENT, "MIG-LOG-5", start->page_size,
                         "START: page size");
    }
    if (start->range_count > FERRY_LOG_RANGES_MAX) {
        return log_error(reterr, FERRY_E_LIMIT, "MIG-LOG-14", start->range_count,
                         "START: ranges");
    }
    log->range_count = 0;
    for (uint32_t i = 0; i < start->range_count && status == FERRY_OK; i++) {
        status = insert_range(log, &start->range[i], start->page_size, reterr);
    }
    combine_ranges(log);
    return status;
}

static int check_pages(const struct device_dma *dma, uint64_t more,
                       struct ferry_error *reterr)
{
    /* Maps do not overlap: the sum of their pages fits. */
    const uint64_t pages = dma->pages + more;

    return pages <= DEVICE_LOG_PAGES_MAX ? FERRY_OK
                                         : log_error(reterr, FERRY_E_LIMIT, "MIG-LOG-14",
                                                     pages, "too many pages are mapped");
}

void device_log_free(struct device_map *map)
{
    if (map->log_pages.data != NULL) {
        ferry_os_unmap(&map->log_pages);
    } else {
        free(map->log_memory);
    }
    map->log_memory = NULL;
}

/* Zeroed memory. A large map's comes from the system: only what is marked costs any. */
static int log_alloc(struct device_map *map, size_t bytes)
{
    if (bytes == 0) {
        return FERRY_E_MEMORY;
    }
    if (bytes >= LOG_PAGES_BYTES_MIN &&
        ferry_os_map_anonymous(bytes, &map->log_pages) == FERRY_OK) {
        map->log_memory = map->log_pages.data;
        return FERRY_OK;
    }
    map->log_memory = calloc(1, bytes);
    return map->log_memory != NULL ? FERRY_OK : FERRY_E_MEMORY;
}

static int log_map(struct device_map *map)
{
    const uint64_t pages = map->size >> DEVICE_PAGE_SHIFT;

    if (map->log_memory != NULL) {
        /* Of an earlier log, kept for a segment that is out; who gives it back may be
         * marking right now. */
        ferry_dirty_clear_all(&map->log);
    } else if (log_alloc(map, ferry_dirty_need(pages)) == FERRY_OK) {
        ferry_dirty_init_zeroed(&map->log, pages, DEVICE_PAGE_SHIFT, map->log_memory);
    } else {
        return FERRY_E_MEMORY;
    }
    atomic_store(&map->dirty, &map->log);
    return FERRY_OK;
}

int device_log_map(struct ferry_device *device, struct device_map *map,
                   struct ferry_error *reterr)
{
    const int status = check_pages(&device->dma, map->size >> DEVICE_PAGE_SHIFT, reterr);

    return status == FERRY_OK ? log_map(map) : status;
}

void device_log_unmap(struct device_map *map)
{
    atomic_store(&map->dirty, NULL);
    /* A segment that is out may be marking right now; then the memory waits with the map.
     */
    if (atomic_load(&map->held) == 0) {
        device_log_free(map);
    }
}

static void stop(struct ferry_device *device)
{
    for (uint32_t i = 0; i < device->dma.count; i++) {
        device_log_unmap(device->dma.map[i]);
    }
    device->log.on = 0;
}

int device_log_start(struct ferry_device *device, struct ferry_request *request)
{
    struct ferry_log_start *start = &request->u.log_start;
    int status = check_start(&device->log, start, request->reterr);

    if (status == FERRY_OK) {
        status = check_pages(&device->dma, 0, request->reterr);
    }
    for (uint32_t i = 0; i < device->dma.count && status == FERRY_OK; i++) {
        status = log_map(device->dma.map[i]);
        if (status != FERRY_OK) {
            stop(device);
        }
    }
    if (status == FERRY_OK) {
        device->log.on = 1;
        start->page_size = DEVICE_PAGE_BYTES;
    }
    return status;
}

int device_log_stop(struct ferry_device *device, struct ferry_request *request)
{
    (void)request;
    stop(device);
    return FERRY_OK;
}

int device_log_check_range(const struct ferry_device *device, uint64_t iova,
                           uint64_t length, uint64_t page_size,
                           struct ferry_error *reterr)
{
    uint64_t end;

    if (!device->log.on) {
        return log_error(reterr, FERRY_E_NOT_FOUND, "MIG-LOG-4", 0,
                         "REPORT: it is not on");
    }
    if (!good_page_size(page_size) || length == 0) {
        return log_error(reterr, FERRY_E_ARGUMENT, "MIG-LOG-15", page_size,
                         "REPORT: page size, or no length");
    }
    if (!ferry_range_aligned(iova, DEVICE_PAGE_BYTES) ||
        !ferry_range_aligned(length, page_size)) {
        return log_error(reterr, FERRY_E_ALIGN, "MIG-LOG-15", iova,
                         "REPORT: not aligned");
    }
    if (!ferry_range_add(iova, length, &end)) {
        return log_error(reterr, FERRY_E_RANGE, "MIG-LOG-15", iova,
                         "REPORT: range overflows");
    }
    return FERRY_OK;
}

int device_log_check(const struct ferry_device *device,
                     const struct ferry_log_report *report, struct ferry_error *reterr)
{
    const int status = device_log_check_range(device, report->iova, report->length,
                                              report->page_size, reterr);

    if (status != FERRY_OK) {
        return status;
    }
    if (report->bitmap == NULL ||
        report->bitmap_bytes < ferry_bitmap_bytes(report->length / report->page_size)) {
        return log_error(reterr, FERRY_E_CAPACITY, "MIG-LOG-15", report->bitmap_bytes,
                         "REPORT: the bitmap is too small");
    }
    return FERRY_OK;
}

/* All maps in [iova, end). Return: 1 when the visitor has enough. */
static int visit_range(struct ferry_device *device, uint64_t iova, uint64_t end,
                       device_log_visitor visit, void *user)
{
    const struct device_dma *dma = &device->dma;

    for (uint32_t i = device_dma_index(dma, iova); i < dma->count; i++) {
        struct device_map *map = dma->map[i];
        const uint64_t map_end = map->iova + map->size;
        const uint64_t from = map->iova > iova ? map->iova : iova;
        const uint64_t to = map_end < end ? map_end : end;

        if (map->iova >= end) {
            break;
        }
        if (atomic_load(&map->dirty) != NULL &&
            visit(user, &map->log, map->iova, from, to)) {
            return 1;
        }
    }
    return 0;
}

void device_log_visit(struct ferry_device *device, uint64_t iova, uint64_t length,
                      device_log_visitor visit, void *user)
{
    const struct device_dmalog *log = &device->log;
    const uint64_t end = iova + length;

    if (log->range_count == 0) {
        (void)visit_range(device, iova, end, visit, user);
    }
    for (uint32_t i = 0; i < log->range_count; i++) {
        const uint64_t range_end = log->range[i].off + log->range[i].size;
        const uint64_t from = log->range[i].off > iova ? log->range[i].off : iova;
        const uint64_t to = range_end < end ? range_end : end;

        if (from < to && visit_range(device, from, to, visit, user)) {
            return;
        }
    }
}

/* Moves the marks of one piece into the bitmap. */
static int visit_bitmap(void *user, struct ferry_dirty *dirty, uint64_t map_iova,
                        uint64_t from, uint64_t to)
{
    const struct ferry_log_report *report = user;

    ferry_dirty_report(dirty, (from - map_iova) >> DEVICE_PAGE_SHIFT,
                       (to - from) >> DEVICE_PAGE_SHIFT,
                       (from - report->iova) >> DEVICE_PAGE_SHIFT,
                       ferry_log2(report->page_size), report->bitmap);
    return 0;
}

void device_log_harvest(struct ferry_device *device, struct ferry_log_report *report)
{
    device_log_visit(device, report->iova, report->length, visit_bitmap, report);
}

int device_log_report(struct ferry_device *device, struct ferry_request *request)
{
    struct ferry_log_report *report = &request->u.log_report;
    const int status = device_log_check(device, report, request->reterr);

    if (status == FERRY_OK) {
        device_log_harvest(device, report);
    }
    return status;
}
