/* SPDX-License-Identifier: BSD-3-Clause */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "check/classes.h"
#include "check/dirty/dirty.h"

#define S CHECK_SCRATCH_IOVA
#define RUNS_CAP 7u      /* fewer than there are: the rest is asked for */
#define RUNS_MAX 100000u /* replies, before a device is said not to end */
#define MAP_BITS ((CHECK_MEMORY_BYTES / DIRTY_PAGE + 63) / 64)

static int write_some(struct check_run *run, struct dirty_pages *written)
{
    for (uint32_t page = 5; page < 200; page += 13) {
        if (!dirty_write_add(run, S + (uint64_t)page * DIRTY_PAGE, 100, written)) {
            return 0;
        }
    }
    return 1;
}

static void run_states(struct check_run *run, uint32_t at)
{
    const uint32_t state = check_state_at(run, at);
    struct dirty_pages written = { { 0 } }, reported = { { 0 } };
    struct dirty_pages later = { { 0 } }, again = { { 0 } };
    uint64_t unit;

    if (!dirty_drive(run) || !dirty_start(run, &unit) || !write_some(run, &written) ||
        !check_go(run, state) || !dirty_report_all(run, &reported) ||
        !dirty_complete(run, &written, &reported, "before the change of state") ||
        state == FERRY_STATE_RESUMING || !check_go(run, FERRY_STATE_RUNNING)) {
        return; /* out of RESUMING leads a reset: log.reset */
    }
    if (dirty_write_add(run, S + 300 * DIRTY_PAGE, 3 * DIRTY_PAGE, &later) &&
        dirty_report_all(run, &again)) {
        dirty_complete(run, &later, &again, "after the way there and back");
    }
}

/* That it is refused is reset.running's to say. */
static int reset(struct check_run *run)
{
    char text[160];
    int rc = check_reset(run);

    return rc == FERRY_OK ? 1
                          : check_broken(run, "a reset is refused: %s",
                                         check_status_text(run, rc, text));
}

static void run_reset(struct check_run *run, uint32_t at)
{
    struct dirty_pages written = { { 0 } }, reported = { { 0 } };
    struct dirty_pages later = { { 0 } }, again = { { 0 } };
    uint64_t unit;

    if (!dirty_drive(run) || !dirty_start(run, &unit) || !write_some(run, &written) ||
        !check_go(run, check_state_at(run, at)) || !reset(run) ||
        !dirty_report_all(run, &reported) ||
        !dirty_complete(run, &written, &reported, "before a reset") ||
        !check_drive(run)) {
        return;
    }
    if (dirty_write_add(run, S + 300 * DIRTY_PAGE, 3 * DIRTY_PAGE, &later) &&
        dirty_report_all(run, &again)) {
        dirty_complete(run, &later, &again, "after a reset");
    }
}

/* All runs of the scratch memory. Return: FERRY_OK, the status; FAILED where a reply
 * cannot be. */
static int take_runs(struct check_run *run, struct dirty_pages *pages)
{
    const uint64_t end = S + CHECK_SCRATCH_BYTES;
    struct ferry_range range[RUNS_CAP];
    uint64_t iova = S;
    uint32_t replies = 0;

    while (iova < end) {
        struct ferry_request request = { .kind = FERRY_RQ_LOG_RUNS };
        uint64_t from = iova;
        int rc;

        request.u.log_runs.iova = iova;
        request.u.log_runs.length = end - iova;
        request.u.log_runs.page_size = DIRTY_PAGE;
        request.u.log_runs.run = range;
        request.u.log_runs.cap = RUNS_CAP;
        rc = check_call(run, &request);
        if (rc != FERRY_OK) {
            return rc;
        }
        for (uint32_t i = 0; i < request.u.log_runs.count && i < RUNS_CAP; i++) {
            if (!check_that(run,
                            range[i].off >= from && range[i].size > 0 &&
                                range[i].size <= end - range[i].off &&
                                (range[i].off | range[i].size) % DIRTY_PAGE == 0,
                            "runs of pages that ascend", "0x%llx + 0x%llx",
                            (unsigned long long)range[i].off,
                            (unsigned long long)range[i].size)) {
                return FERRY_E_PROTOCOL;
            }
            dirty_add(pages, range[i].off, range[i].size);
            from = range[i].off + range[i].size;
        }
        if (!check_that(run, request.u.log_runs.next_iova > iova && replies++ < RUNS_MAX,
                        "a reply that leads on", "next at 0x%llx",
                        (unsigned long long)request.u.log_runs.next_iova)) {
            return FERRY_E_PROTOCOL;
        }
        iova = request.u.log_runs.next_iova;
    }
    return FERRY_OK;
}

static void run_runs(struct check_run *run, uint32_t at)
{
    const struct dirty_pages nothing = { { 0 } };
    struct dirty_pages written = { { 0 } }, reported = { { 0 } }, rest = { { 0 } };
    uint64_t unit;
    int rc;

    (void)at;
    if (!dirty_drive(run) || !dirty_start(run, &unit)) {
        return;
    }
    rc = take_runs(run, &rest);
    if (rc == FERRY_E_UNSUPPORTED || rc == FERRY_E_MESSAGE) {
        check_skip(run, "the device tells no runs");
        return;
    }
    if (!write_some(run, &written) ||
        !dirty_write_add(run, S + 500 * DIRTY_PAGE, 40 * DIRTY_PAGE, &written) ||
        !dirty_write_add(run, S + CHECK_SCRATCH_BYTES - 16, 16, &written)) {
        return;
    }
    memset(&rest, 0, sizeof(rest));
    rc = take_runs(run, &reported);
    if (check_ok(run, rc, "a report of runs") &&
        dirty_complete(run, &written, &reported, "is in the runs") &&
        dirty_precise(run, &written, &reported, unit, "is in the runs") &&
        dirty_report_all(run, &rest)) {
        dirty_precise(run, &nothing, &rest, unit, "after its run was told");
    }
}

/* Memory that comes while the log is on: what START named holds for it as well. */
static void run_map(struct check_run *run, uint32_t at)
{
    struct dirty_pages written = { { 0 } }, reported = { { 0 } };
    char text[160];
    uint64_t unit;
    int rc;

    (void)at;
    if (!dirty_start(run, &unit)) {
        return;
    }
    rc = check_unmap(run, CHECK_IOVA, CHECK_MEMORY_BYTES);
    if (rc == FERRY_OK) {
        rc = check_map(run, CHECK_IOVA, CHECK_MEMORY_BYTES, run->at->memory.fd, 0);
    }
    if (rc != FERRY_OK) {
        check_broken(run, "memory cannot be mapped anew: %s",
                     check_status_text(run, rc, text));
        (void)check_reopen(run);
        return;
    }
    if (dirty_drive(run) && write_some(run, &written) &&
        dirty_report_all(run, &reported)) {
        dirty_complete(run, &written, &reported, "to memory that came after START");
    }
}

/* Unmaps all of the memory with its bitmap. Return: the status. */
static int unmap(struct check_run *run, struct dirty_pages *pages)
{
    struct ferry_request request = { .kind = FERRY_RQ_DMA_UNMAP };
    uint64_t bits[MAP_BITS] = { 0 };
    int rc;

    request.u.unmap.iova = CHECK_IOVA;
    request.u.unmap.size = CHECK_MEMORY_BYTES;
    request.u.unmap.flags = FERRY_UNMAP_BITMAP;
    request.u.unmap.page_size = DIRTY_PAGE;
    request.u.unmap.bitmap = bits;
    request.u.unmap.bitmap_bytes = sizeof(bits);
    rc = check_call(run, &request);
    for (uint32_t page = 0; page < DIRTY_PAGES; page++) {
        const uint32_t bit = page + CHECK_DRIVER_BYTES / DIRTY_PAGE;

        pages->word[page / 64] |= (bits[bit / 64] >> bit % 64 & 1) << page % 64;
    }
    return rc;
}

static void run_unmap(struct check_run *run, uint32_t at)
{
    struct dirty_pages written = { { 0 } }, reported = { { 0 } };
    uint64_t unit;
    int rc;

    (void)at;
    if (!dirty_drive(run) || !dirty_start(run, &unit) || !write_some(run, &written)) {
        return;
    }
    rc = unmap(run, &reported);
    if (rc == FERRY_E_UNSUPPORTED) {
        check_skip(run, "the device has no bitmap at an unmap");
    } else if (check_ok(run, rc, "DMA_UNMAP with the dirty bitmap")) {
        dirty_complete(run, &written, &reported, "is in the bitmap of the unmap");
        (void)check_reopen(run); /* with its memory mapped again */
    }
}

const struct check check_dirty_keep[] = {
    { { "log.states", "MIG-LOG-8", "the log in each state, and on the way back",
        FERRY_CHECK_REQUIRED,
        FERRY_CHECK_NEEDS_LOG | FERRY_CHECK_NEEDS_DRIVER | FERRY_CHECK_NEEDS_V2 },
      check_state_count,
      check_state_name,
      run_states },
    { { "log.reset", "MIG-RST-5", "the log over a reset in each state",
        FERRY_CHECK_RECOMMENDED,
        FERRY_CHECK_NEEDS_LOG | FERRY_CHECK_NEEDS_DRIVER | FERRY_CHECK_NEEDS_RESET |
            FERRY_CHECK_NEEDS_V2 },
      check_state_count,
      check_state_name,
      run_reset },
    { { "log.runs", "MIG-LOG-17", "a report of runs tells what a bitmap tells",
        FERRY_CHECK_RECOMMENDED, FERRY_CHECK_NEEDS_LOG | FERRY_CHECK_NEEDS_DRIVER },
      NULL,
      NULL,
      run_runs },
    { { "log.map", "MIG-LOG-7", "memory that is mapped while the log is on",
        FERRY_CHECK_REQUIRED, FERRY_CHECK_NEEDS_LOG | FERRY_CHECK_NEEDS_DRIVER },
      NULL,
      NULL,
      run_map },
    { { "log.unmap", "MIG-LOG-13", "an unmap gives what was written to the range",
        FERRY_CHECK_EXPECTED, FERRY_CHECK_NEEDS_LOG | FERRY_CHECK_NEEDS_DRIVER },
      NULL,
      NULL,
      run_unmap },
    { { NULL, NULL, NULL, 0, 0 }, NULL, NULL, NULL },
};
