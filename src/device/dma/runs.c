/* SPDX-License-Identifier: BSD-3-Clause */
#include "base/range.h"
#include "device/device_private.h"

/*
 * The sparse report: dirty pages as runs, for a cost that grows with what is dirty and
 * not with what is mapped.
 */
struct runs {
    struct ferry_log_runs *report;
    uint32_t shift;     /* log2 of the report's page size */
    uint64_t end_page;  /* of the last run, in pages of the report; 0: none yet */
    uint64_t next_page; /* with `full`: the first that is not told */
    int full;
};

/* A run of pages of the report. Return: 0 when there is no room for it. */
static int put_run(struct runs *runs, uint64_t first, uint64_t last)
{
    struct ferry_log_runs *report = runs->report;
    struct ferry_range *run;

    if (report->count > 0 && first <= runs->end_page) {
        run = &report->run[report->count - 1];
        if (last >= runs->end_page) {
            run->size += (last + 1 - runs->end_page) << runs->shift;
            runs->end_page = last + 1;
        }
        return 1;
    }
    if (report->count == report->cap) {
        return 0;
    }
    run = &report->run[report->count++];
    run->off = report->iova + (first << runs->shift);
    run->size = (last + 1 - first) << runs->shift;
    runs->end_page = last + 1;
    return 1;
}

static int visit_runs(void *user, struct ferry_dirty *dirty, uint64_t map_iova,
                      uint64_t from, uint64_t to)
{
    struct runs *runs = user;
    struct ferry_dirty_walk walk;
    uint64_t first, count;

    ferry_dirty_walk_begin(&walk, dirty, (from - map_iova) >> DEVICE_PAGE_SHIFT,
                           (to - from) >> DEVICE_PAGE_SHIFT);
    while (!runs->full && ferry_dirty_walk_next(&walk, UINT64_MAX, &first, &count)) {
        const uint64_t off = first << DEVICE_PAGE_SHIFT;
        const uint64_t bytes = count << DEVICE_PAGE_SHIFT;
        const uint64_t at = map_iova + off - runs->report->iova;

        if (!put_run(runs, at >> runs->shift, (at + bytes - 1) >> runs->shift)) {
            ferry_dirty_set(dirty, off, bytes);
            runs->next_page = at >> runs->shift;
            runs->full = 1;
        }
    }
    ferry_dirty_walk_end(&walk);
    return runs->full;
}

int device_log_runs(struct ferry_device *device, struct ferry_request *request)
{
    struct ferry_log_runs *report = &request->u.log_runs;
    struct runs runs = { .report = report };
    const int status = device_log_check_range(device, report->iova, report->length,
                                              report->page_size, request->reterr);

    if (status != FERRY_OK) {
        return status;
    }
    if (report->run == NULL || report->cap == 0) {
        return ferry_error_set(request->reterr, FERRY_E_CAPACITY, "device", "MIG-LOG-17",
                               0, "dirty log: RUNS: no room for a single run");
    }
    runs.shift = ferry_log2(report->page_size);
    report->count = 0;
    device_log_visit(device, report->iova, report->length, visit_runs, &runs);
    report->next_iova =
        report->iova + (runs.full ? runs.next_page << runs.shift : report->length);
    return FERRY_OK;
}
