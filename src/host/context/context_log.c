/* SPDX-License-Identifier: BSD-3-Clause */
#include <stdlib.h>
#include <string.h>

#include "base/bitmap.h"
#include "base/range.h"
#include "host/context/context.h"

/* Device logs and the context's dirty maps. */

/* Replies carry some bytes besides the bitmap. */
#define REPORT_OVERHEAD_BYTES 64u
#define BITMAP_BYTES_MAX (64u << 10) /* 2 GiB of pages with one request */
#define BITMAP_BYTES_MIN 8u

uint32_t ferry_host_log_ranges(const struct ferry_context *context,
                               struct ferry_range *ret_range)
{
    uint32_t count = 0;

    for (uint32_t i = 0; i < context->memory_end; i++) {
        const struct ferry_host_memory *memory = &context->memory[i];

        if (memory->size != 0 && memory->writable) {
            ret_range[count++] =
                (struct ferry_range){ .off = memory->iova, .size = memory->size };
        }
    }
    return count;
}

void ferry_host_log_merge(struct ferry_context *context, uint64_t iova, uint64_t length,
                          uint64_t page_size, const void *bitmap)
{
    const uint64_t pages = length / page_size;
    const int index = ferry_host_memory_find(context, iova, length);
    uint64_t first;

    /* The usual case: one region, the map's own page size. */
    if (index >= 0 && page_size == FERRY_PAGE_BYTES) {
        struct ferry_host_memory *memory = &context->memory[index];

        ferry_dirty_merge(&memory->dirty, (iova - memory->iova) / FERRY_PAGE_BYTES, pages,
                          bitmap);
        return;
    }
    first = ferry_bitmap_next(bitmap, pages, 0);
    while (first < pages) {
        const uint64_t end = ferry_bitmap_next_clear(bitmap, pages, first);

        ferry_context_mark_dirty(context, iova + first * page_size,
                                 (end - first) * page_size);
        first = ferry_bitmap_next(bitmap, pages, end);
    }
}

/* Bytes of memory that one bitmap tells of. */
static uint64_t bitmap_covers(const struct ferry_host_harvest *harvest)
{
    return (uint64_t)harvest->bitmap_bytes * 8u * FERRY_PAGE_BYTES;
}

/*
 * Takes in runs. Return: bytes from harvest->off on that they tell of. Where a bitmap of
 * the same size would have told of more, the next request asks for one.
 */
static uint64_t take_runs(struct ferry_host_harvest *harvest,
                          struct ferry_host_memory *memory)
{
    const struct ferry_log_runs *told = &harvest->request.u.log_runs;
    const uint64_t done = told->next_iova - told->iova;

    for (uint32_t i = 0; i < told->count && i < told->cap; i++) {
        const struct ferry_range *run = &told->run[i];

        if (run->off >= memory->iova) {
            ferry_dirty_set(&memory->dirty, run->off - memory->iova, run->size);
        }
    }
    harvest->dense = told->count == told->cap && done < bitmap_covers(harvest);
    /* A device that does not get on is asked for bitmaps: these end. */
    if (told->next_iova <= told->iova || done > harvest->length) {
        harvest->dense = 1;
        return 0;
    }
    return done;
}

/* Takes in what a report brought and moves behind it. */
static void take(struct ferry_host_harvest *harvest)
{
    struct ferry_host_memory *memory = &harvest->context->memory[harvest->memory];

    if (harvest->request.kind == FERRY_RQ_LOG_RUNS) {
        harvest->off += take_runs(harvest, memory);
    } else {
        ferry_host_log_merge(harvest->context, memory->iova + harvest->off,
                             harvest->length, FERRY_PAGE_BYTES, harvest->bitmap);
        harvest->off += harvest->length;
        harvest->dense = 0;
    }
    if (harvest->off >= memory->size) {
        harvest->memory++;
        harvest->off = 0;
    }
}

static void on_report(struct ferry_request *request);

/* Asks for runs over all that is left of a region, or for one bitmap's worth of it. */
static void fill(struct ferry_host_harvest *harvest,
                 const struct ferry_host_memory *memory)
{
    const uint32_t cap = harvest->bitmap_bytes / (uint32_t)sizeof(struct ferry_range);
    const uint64_t left = memory->size - harvest->off;
    const uint64_t most = bitmap_covers(harvest);

    memset(&harvest->request, 0, sizeof(harvest->request));
    harvest->request.done = on_report;
    harvest->request.user = harvest;
    if (cap > 0 && !harvest->flat && !harvest->dense) {
        harvest->length = left;
        harvest->request.kind = FERRY_RQ_LOG_RUNS;
        harvest->request.u.log_runs = (struct ferry_log_runs){
            .iova = memory->iova + harvest->off,
            .length = left,
            .page_size = FERRY_PAGE_BYTES,
            .run = (struct ferry_range *)(void *)harvest->bitmap,
            .cap = cap,
        };
        return;
    }
    harvest->length = left < most ? left : most;
    memset(harvest->bitmap, 0, harvest->bitmap_bytes);
    harvest->request.kind = FERRY_RQ_LOG_REPORT;
    harvest->request.u.log_report = (struct ferry_log_report){
        .iova = memory->iova + harvest->off,
        .length = harvest->length,
        .page_size = FERRY_PAGE_BYTES,
        .bitmap = harvest->bitmap,
        .bitmap_bytes = ferry_bitmap_bytes(harvest->length / FERRY_PAGE_BYTES),
    };
}

/* A device, or a server, that does not know runs: from now on it is asked for bitmaps. */
static int knows_no_runs(struct ferry_host_harvest *harvest, int status)
{
    struct ferry_host_device *of = ferry_host_device(harvest->context, harvest->device);

    if (harvest->request.kind != FERRY_RQ_LOG_RUNS ||
        (status != FERRY_E_UNSUPPORTED && status != FERRY_E_MESSAGE)) {
        return 0;
    }
    harvest->flat = 1;
    if (of != NULL) {
        of->no_log_runs = 1;
    }
    return 1;
}

/* Return: as ferry_context_submit; FERRY_OK also when nothing is left to ask. */
static int ask_next(struct ferry_host_harvest *harvest)
{
    struct ferry_context *context = harvest->context;

    for (;;) {
        int rc;

        while (harvest->memory < context->memory_end &&
               (context->memory[harvest->memory].size == 0 ||
                !context->memory[harvest->memory].writable)) {
            harvest->memory++;
            harvest->off = 0;
        }
        if (harvest->memory >= context->memory_end) {
            return FERRY_OK;
        }
        fill(harvest, &context->memory[harvest->memory]);
        rc = ferry_context_submit(context, harvest->device, &harvest->request);
        if (rc == FERRY_OK) {
            take(harvest);
        } else if (!knows_no_runs(harvest, rc)) {
            return rc;
        }
    }
}

static void end(struct ferry_host_harvest *harvest, int status)
{
    free(harvest->bitmap);
    harvest->bitmap = NULL;
    harvest->status = status;
}

static void on_report(struct ferry_request *request)
{
    struct ferry_host_harvest *harvest = request->user;
    int rc = request->status;

    if (rc == FERRY_OK) {
        take(harvest);
    }
    if (rc == FERRY_OK || knows_no_runs(harvest, rc)) {
        rc = ask_next(harvest);
    }
    if (rc == FERRY_PENDING) {
        return;
    }
    end(harvest, rc);
    harvest->done(harvest);
}

int ferry_host_harvest_start(struct ferry_context *context, uint32_t device,
                             struct ferry_host_harvest *harvest)
{
    const struct ferry_host_device *of = ferry_host_device(context, device);
    uint32_t bytes;
    int rc;

    if (of == NULL) {
        return FERRY_E_NOT_FOUND;
    }
    bytes = of->max_data > REPORT_OVERHEAD_BYTES + BITMAP_BYTES_MIN
                ? (of->max_data - REPORT_OVERHEAD_BYTES) & ~7u
                : BITMAP_BYTES_MIN;
    harvest->bitmap_bytes = bytes < BITMAP_BYTES_MAX ? bytes : BITMAP_BYTES_MAX;
    harvest->bitmap = malloc(harvest->bitmap_bytes);
    if (harvest->bitmap == NULL) {
        return FERRY_E_MEMORY;
    }
    harvest->context = context;
    harvest->device = device;
    harvest->memory = 0;
    harvest->off = 0;
    harvest->flat = of->no_log_runs;
    harvest->dense = 0;
    rc = ask_next(harvest);
    if (rc != FERRY_PENDING) {
        end(harvest, rc);
    }
    return rc;
}
