/* SPDX-License-Identifier: BSD-3-Clause */
#include <stdlib.h>
#include <string.h>

#include "base/range.h"
#include "bridge/device/link.h"
#include "bridge/iommu/iommu.h"
#include "bridge/iommu/log/log_query.h"
#include "link/hello/version.h"

/* Visits what a flat bitmap of pages from iova on says. */
static void visit_bitmap(const void *bitmap, uint64_t iova, uint64_t length,
                         log_visitor visit, void *user)
{
    const uint64_t pages = length / LOG_PAGE_BYTES;
    uint64_t first = ferry_bitmap_next(bitmap, pages, 0);

    while (first < pages) {
        const uint64_t end = ferry_bitmap_next_clear(bitmap, pages, first);

        visit(user, iova + first * LOG_PAGE_BYTES, (end - first) * LOG_PAGE_BYTES);
        first = ferry_bitmap_next(bitmap, pages, end);
    }
}

/* Bytes of memory that one bitmap in the buffer tells of. */
static uint64_t bitmap_covers(const struct bridge_log *log)
{
    return (uint64_t)log->buffer_bytes * 8 * LOG_PAGE_BYTES;
}

/* One request for runs. *iova moves behind what they tell of. dense: a bitmap would have
 * told more, also where the server stopped early: a query comes to an end. */
static int ask_runs(struct bridge_log *log, uint64_t *iova, uint64_t length,
                    log_visitor visit, void *user, int *ret_dense)
{
    struct ferry_request request = {
        .kind = FERRY_RQ_LOG_RUNS,
        .u.log_runs = { .iova = *iova,
                        .length = length,
                        .page_size = LOG_PAGE_BYTES,
                        .run = (struct ferry_range *)(void *)log->buffer,
                        .cap = log->buffer_bytes / (uint32_t)sizeof(struct ferry_range) },
    };
    const int status = bridge_link_call(log->device->link, &request);
    const struct ferry_log_runs *told = &request.u.log_runs;

    if (status != FERRY_OK) {
        return status;
    }
    for (uint32_t i = 0; i < told->count && i < told->cap; i++) {
        visit(user, told->run[i].off, told->run[i].size);
    }
    *ret_dense = told->next_iova - *iova < bitmap_covers(log);
    if (told->next_iova <= *iova || told->next_iova - *iova > length ||
        !ferry_range_aligned(told->next_iova, LOG_PAGE_BYTES)) {
        return FERRY_E_PROTOCOL;
    }
    *iova = told->next_iova;
    return FERRY_OK;
}

/* One request for a bitmap of at most `most` bytes of memory. */
static int ask_bitmap(struct bridge_log *log, uint64_t *iova, uint64_t length,
                      log_visitor visit, void *user)
{
    const uint64_t most = bitmap_covers(log);
    const uint64_t piece = length < most ? length : most;
    struct ferry_request request = {
        .kind = FERRY_RQ_LOG_REPORT,
        .u.log_report = { .iova = *iova,
                          .length = piece,
                          .page_size = LOG_PAGE_BYTES,
                          .bitmap = log->buffer,
                          .bitmap_bytes = ferry_bitmap_bytes(piece / LOG_PAGE_BYTES) },
    };
    int status;

    memset(log->buffer, 0, request.u.log_report.bitmap_bytes);
    status = bridge_link_call(log->device->link, &request);
    if (status == FERRY_OK) {
        visit_bitmap(log->buffer, *iova, piece, visit, user);
        *iova += piece;
    }
    return status;
}

/* Runs, which cost what was written; bitmaps where so much was that they are shorter. */
static int query_runs(struct bridge_log *log, uint64_t *iova, uint64_t end,
                      log_visitor visit, void *user)
{
    int dense = 0;
    int status = FERRY_OK;

    while (*iova < end && status == FERRY_OK) {
        if (dense) {
            status = ask_bitmap(log, iova, end - *iova, visit, user);
            dense = 0;
        } else {
            status = ask_runs(log, iova, end - *iova, visit, user, &dense);
        }
    }
    return status;
}

/* There are servers that only know ranges which begin where a map does: a map is asked
 * for in one piece if it can be. */
static void make_room(struct bridge_log *log, uint64_t length)
{
    const uint32_t most = bridge_link_max_data(log->device->link);
    const uint64_t want = ferry_bitmap_bytes(length / LOG_PAGE_BYTES);
    uint64_t *buffer;

    if (want <= log->buffer_bytes || want > LOG_FLAT_BYTES_MAX ||
        want + LOG_REPLY_EXTRA_BYTES > most) {
        return;
    }
    buffer = realloc(log->buffer, want);
    if (buffer != NULL) {
        log->buffer = buffer;
        log->buffer_bytes = (uint32_t)want;
    }
}

/*
 * Bitmaps, map by map: what is mapped nowhere was written nowhere, and there are servers
 * that only know ranges which lie in one map.
 */
static int query_flat(struct bridge_log *log, uint64_t iova, uint64_t end,
                      log_visitor visit, void *user)
{
    int status = FERRY_OK;

    while (iova < end && status == FERRY_OK) {
        uint64_t stop = end;

        if (!bridge_iommu_next(log->device, &iova, &stop)) {
            return FERRY_OK;
        }
        make_room(log, stop - iova);
        while (iova < stop && status == FERRY_OK) {
            status = ask_bitmap(log, &iova, stop - iova, visit, user);
        }
    }
    return status;
}

int log_query(struct bridge_log *log, uint64_t iova, uint64_t length, log_visitor visit,
              void *user)
{
    const uint64_t end = iova + length;

    if (!log->flat) {
        const int status = query_runs(log, &iova, end, visit, user);

        if (status != FERRY_E_UNSUPPORTED && status != FERRY_E_MESSAGE) {
            return status;
        }
        log->flat = 1;
    }
    return query_flat(log, iova, end, visit, user);
}

static int call_unmap(struct bridge_device *device, struct ferry_request *request,
                      uint64_t iova, uint64_t size)
{
    request->kind = FERRY_RQ_DMA_UNMAP;
    request->u.unmap.iova = iova;
    request->u.unmap.size = size;
    return bridge_link_call(device->link, request);
}

int log_unmap_plain(struct bridge_device *device, uint64_t iova, uint64_t size)
{
    struct ferry_request request = { .u.unmap = { .flags = 0 } };

    return call_unmap(device, &request, iova, size);
}

int log_unmap_told(struct bridge_log *log, uint64_t iova, uint64_t size,
                   log_visitor visit, void *user, int *ret_status)
{
    const struct ferry_link_version *agreed = bridge_link_agreed(log->device->link);
    const uint64_t bytes = ferry_bitmap_bytes(size / LOG_PAGE_BYTES);
    struct ferry_request request = {
        .u.unmap = { .flags = FERRY_UNMAP_BITMAP,
                     .page_size = LOG_PAGE_BYTES,
                     .bitmap_bytes = bytes },
    };
    int status;

    /* Others may take the flag for something else, or ignore it. */
    if (agreed == NULL || !agreed->dirty_runs || bytes > LOG_UNMAP_BITMAP_MAX) {
        return 0;
    }
    request.u.unmap.bitmap = calloc(1, bytes);
    if (request.u.unmap.bitmap == NULL) {
        return 0;
    }
    status = call_unmap(log->device, &request, iova, size);
    if (status == FERRY_OK) {
        visit_bitmap(request.u.unmap.bitmap, iova, size, visit, user);
    }
    free(request.u.unmap.bitmap);
    *ret_status = status;
    return status == FERRY_OK || bridge_link_dead(log->device->link);
}
