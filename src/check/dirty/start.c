/* SPDX-License-Identifier: BSD-3-Clause */
#include <stdio.h>
#include <string.h>

#include "base/range.h"
#include "check/classes.h"
#include "check/dirty/dirty.h"

#define S CHECK_SCRATCH_IOVA

/* Ranges that no device takes, with 4096 as the page size. */
static const struct {
    const char *name;
    uint32_t count;
    struct ferry_range range[3];
} bad[] = {
    { "empty", 1, { { S, 0 } } },
    { "empty-at-0", 1, { { 0, 0 } } },
    { "second-empty", 2, { { S, 4096 }, { S + 8192, 0 } } },
    { "twice", 2, { { S, 8192 }, { S, 8192 } } },
    { "overlap", 2, { { S, 8192 }, { S + 4096, 8192 } } },
    { "overlap-unsorted", 2, { { S + 4096, 8192 }, { S, 8192 } } },
    { "inside", 2, { { S, 65536 }, { S + 4096, 4096 } } },
    { "overlap-third", 3, { { S, 4096 }, { S + 65536, 8192 }, { S + 69632, 4096 } } },
    { "start-misaligned", 1, { { S + 512, 4096 } } },
    { "length-misaligned", 1, { { S, 4097 } } },
    { "length-1", 1, { { S, 1 } } },
    { "overflow", 1, { { UINT64_MAX - 4095, 8192 } } },
    { "overflow-far", 1, { { S, UINT64_MAX - 4095 } } },
};

static uint32_t bad_cases(const struct check_run *run)
{
    (void)run;
    return (uint32_t)(sizeof(bad) / sizeof(bad[0]));
}

static void bad_name(const struct check_run *run, uint32_t at,
                     char ret_name[FERRY_CHECK_CASE_BYTES])
{
    (void)run;
    snprintf(ret_name, FERRY_CHECK_CASE_BYTES, "%s", bad[at].name);
}

/* After a START that was refused: nothing is on, and a good one works. Who asks has let
 * check_reports_always() look before. */
static int nothing_started(struct check_run *run)
{
    uint64_t bits[1] = { 0 };

    return check_that(run,
                      check_reports_always(run) ||
                          check_log_report(run, S, DIRTY_PAGE, DIRTY_PAGE, bits) < 0,
                      "a START that was refused starts nothing", "REPORT works") &&
           check_ok(run,
                    check_log_start(run, DIRTY_PAGE,
                                    &(struct ferry_range){ S, CHECK_SCRATCH_BYTES }, 1,
                                    NULL),
                    "START after one that was refused");
}

static void run_bad(struct check_run *run, uint32_t at)
{
    uint64_t unit;
    int rc;

    (void)check_reports_always(run);
    rc = dirty_raw_start(run, DIRTY_PAGE, bad[at].range, bad[at].count, &unit);
    if (check_refused(run, rc, "START")) {
        nothing_started(run);
    }
}

/* vfio-user: the whole address space. The kernel: refused. */
static void run_none(struct check_run *run, uint32_t at)
{
    struct dirty_pages written = { { 0 } }, reported = { { 0 } };
    uint64_t unit;
    int rc;

    (void)at;
    if (run->options->driver && run->options->driver->write && !check_drive(run)) {
        return;
    }
    (void)check_reports_always(run);
    rc = dirty_raw_start(run, DIRTY_PAGE, NULL, 0, &unit);
    if (check_is_kernel(run)) {
        if (check_refused(run, rc, "START without ranges")) {
            nothing_started(run);
        }
        return;
    }
    if (!check_ok(run, rc, "START without ranges, which means all of them")) {
        return;
    }
    if (run->driver_started &&
        (!dirty_write_add(run, S, 2 * DIRTY_PAGE, &written) ||
         !dirty_write_add(run, S + CHECK_SCRATCH_BYTES - DIRTY_PAGE, DIRTY_PAGE,
                          &written))) {
        return;
    }
    if (dirty_report_all(run, &reported)) {
        dirty_complete(run, &written, &reported, "after a START without ranges");
    }
}

static const struct {
    const char *name;
    uint32_t count;
} many[] = { { "2", 2 }, { "64", 64 }, { "256", 256 }, { "257", 257 }, { "512", 512 } };

static uint32_t many_cases(const struct check_run *run)
{
    (void)run;
    return (uint32_t)(sizeof(many) / sizeof(many[0]));
}

static void many_name(const struct check_run *run, uint32_t at,
                      char ret_name[FERRY_CHECK_CASE_BYTES])
{
    (void)run;
    snprintf(ret_name, FERRY_CHECK_CASE_BYTES, "%s", many[at].name);
}

/* Every other page is a range; all of them are written. */
static void run_many(struct check_run *run, uint32_t at)
{
    struct dirty_pages written = { { 0 } }, reported = { { 0 } };
    struct ferry_range range[512];
    const uint32_t count = many[at].count;
    uint64_t unit;
    int rc;

    if (!dirty_drive(run)) {
        return;
    }
    for (uint32_t i = 0; i < count; i++) {
        range[i] = (struct ferry_range){ S + (uint64_t)i * 2 * DIRTY_PAGE, DIRTY_PAGE };
    }
    (void)check_reports_always(run);
    rc = dirty_raw_start(run, DIRTY_PAGE, range, count, &unit);
    if (rc != FERRY_OK && count > 2) {
        if (check_refused(run, rc, "START with many ranges")) {
            nothing_started(run);
        }
        return;
    }
    if (!check_ok(run, rc, "START with two ranges")) {
        return;
    }
    for (uint32_t i = 0; i < count; i += dirty_is_slow(run, count) ? 1 + count / 8 : 1) {
        if (!dirty_write_add(run, range[i].off, DIRTY_PAGE, &written)) {
            return;
        }
    }
    if (dirty_report_all(run, &reported)) {
        dirty_complete(run, &written, &reported, "in each range that START took");
    }
}

/* Wishes for a page size, over a range that is aligned to each of them. */
static const uint64_t wishes[] = { 4096, 8192, 65536, 1u << 20, 2u << 20 };
static const uint64_t no_wishes[] = { 0, 1, 512, 2048, 4097, 12288, 1ull << 63 };

static uint32_t wish_cases(const struct check_run *run)
{
    (void)run;
    return (uint32_t)(sizeof(wishes) / sizeof(wishes[0]));
}

static void wish_name(const struct check_run *run, uint32_t at,
                      char ret_name[FERRY_CHECK_CASE_BYTES])
{
    (void)run;
    snprintf(ret_name, FERRY_CHECK_CASE_BYTES, "%llu", (unsigned long long)wishes[at]);
}

static void run_wish(struct check_run *run, uint32_t at)
{
    struct dirty_pages written = { { 0 } }, reported = { { 0 } };
    const uint64_t from = (S + wishes[at] - 1) & ~(wishes[at] - 1);
    const struct ferry_range range = { from, 8u << 20 };
    uint64_t unit = 0;

    if (run->options->driver && run->options->driver->write && !check_drive(run)) {
        return;
    }
    if (!check_ok(run, dirty_raw_start(run, wishes[at], &range, 1, &unit),
                  "START with a wish for the page size") ||
        !check_that(run, ferry_is_power_of_2(unit),
                    "START answers a page size that is a power of two", "%llu",
                    (unsigned long long)unit)) {
        return;
    }
    if (run->driver_started &&
        !dirty_write_add(run, from + 5 * DIRTY_PAGE, 16, &written)) {
        return;
    }
    /* In units of another size: of the range alone. */
    if (unit > DIRTY_PAGE ? dirty_report(run, S, CHECK_SCRATCH_BYTES, &reported)
                          : dirty_report_all(run, &reported)) {
        dirty_complete(run, &written, &reported, "whatever page size START was told");
    }
}

static uint32_t no_wish_cases(const struct check_run *run)
{
    (void)run;
    return (uint32_t)(sizeof(no_wishes) / sizeof(no_wishes[0]));
}

static void no_wish_name(const struct check_run *run, uint32_t at,
                         char ret_name[FERRY_CHECK_CASE_BYTES])
{
    (void)run;
    snprintf(ret_name, FERRY_CHECK_CASE_BYTES, "%llu", (unsigned long long)no_wishes[at]);
}

/* Refused, or answered by a page size that can be. */
static void run_no_wish(struct check_run *run, uint32_t at)
{
    const struct ferry_range range = { S, CHECK_SCRATCH_BYTES };
    uint64_t unit = 0;
    int rc;

    (void)check_reports_always(run);
    rc = dirty_raw_start(run, no_wishes[at], &range, 1, &unit);
    if (rc != FERRY_OK) {
        if (check_refused(run, rc, "START with a page size that cannot be")) {
            nothing_started(run);
        }
        return;
    }
    check_that(run, ferry_is_power_of_2(unit),
               "a page size that cannot be is refused or replaced", "%llu",
               (unsigned long long)unit);
}

static void run_twice(struct check_run *run, uint32_t at)
{
    const struct ferry_range range = { S, CHECK_SCRATCH_BYTES };
    struct dirty_pages written = { { 0 } }, reported = { { 0 } };
    uint64_t unit;

    (void)at;
    if (run->options->driver && run->options->driver->write && !check_drive(run)) {
        return;
    }
    if (!dirty_start(run, &unit) ||
        (run->driver_started && !dirty_write_add(run, S, 3 * DIRTY_PAGE, &written)) ||
        !check_refused(run, check_log_start(run, DIRTY_PAGE, &range, 1, NULL),
                       "a second START") ||
        (run->driver_started &&
         !dirty_write_add(run, S + 32 * DIRTY_PAGE, DIRTY_PAGE, &written))) {
        return;
    }
    if (dirty_report_all(run, &reported)) {
        dirty_complete(run, &written, &reported, "before and after a second START");
    }
}

static void run_stop(struct check_run *run, uint32_t at)
{
    uint64_t unit;

    (void)at;
    if (check_ok(run, check_log_stop(run), "STOP of a log that is off") &&
        dirty_start(run, &unit) && check_ok(run, check_log_stop(run), "STOP") &&
        check_ok(run, check_log_stop(run), "a second STOP")) {
        check_is(run, FERRY_STATE_RUNNING, "after STOPs");
    }
}

static void run_restart(struct check_run *run, uint32_t at)
{
    struct dirty_pages written = { { 0 } }, reported = { { 0 } };
    uint64_t unit;

    (void)at;
    if (!dirty_drive(run) || !dirty_start(run, &unit) ||
        !dirty_write(run, S, 64 * DIRTY_PAGE) ||
        !check_ok(run, check_log_stop(run), "STOP") ||
        !dirty_write(run, S + 128 * DIRTY_PAGE, DIRTY_PAGE) || !dirty_start(run, &unit)) {
        return;
    }
    if (dirty_report_all(run, &reported) &&
        dirty_precise(run, &written, &reported, unit, "after STOP and START") &&
        dirty_write_add(run, S + 256 * DIRTY_PAGE, DIRTY_PAGE, &written) &&
        dirty_report_all(run, &reported)) {
        dirty_complete(run, &written, &reported, "after STOP and START");
    }
}

const struct check check_dirty_start[] = {
    { { "log.start.ranges", "MIG-LOG-2", "START with ranges that cannot be",
        FERRY_CHECK_REQUIRED, FERRY_CHECK_NEEDS_LOG },
      bad_cases,
      bad_name,
      run_bad },
    { { "log.start.none", "MIG-LOG-16", "START without ranges", FERRY_CHECK_REQUIRED,
        FERRY_CHECK_NEEDS_LOG },
      NULL,
      NULL,
      run_none },
    { { "log.start.many", "MIG-LOG-14", "START with many ranges: all or none",
        FERRY_CHECK_EXPECTED, FERRY_CHECK_NEEDS_LOG | FERRY_CHECK_NEEDS_DRIVER },
      many_cases,
      many_name,
      run_many },
    { { "log.start.page", "MIG-LOG-5", "START with any page size that can be",
        FERRY_CHECK_REQUIRED, FERRY_CHECK_NEEDS_LOG },
      wish_cases,
      wish_name,
      run_wish },
    { { "log.start.odd", "MIG-LOG-5", "START with page sizes that cannot be",
        FERRY_CHECK_RECOMMENDED, FERRY_CHECK_NEEDS_LOG },
      no_wish_cases,
      no_wish_name,
      run_no_wish },
    { { "log.start.twice", "MIG-LOG-3", "START while the log is on", FERRY_CHECK_REQUIRED,
        FERRY_CHECK_NEEDS_LOG },
      NULL,
      NULL,
      run_twice },
    { { "log.stop", "MIG-LOG-11", "STOP of a log that is off", FERRY_CHECK_RECOMMENDED,
        FERRY_CHECK_NEEDS_LOG },
      NULL,
      NULL,
      run_stop },
    { { "log.restart", "MIG-LOG-11", "a log that is started again is empty",
        FERRY_CHECK_RECOMMENDED, FERRY_CHECK_NEEDS_LOG | FERRY_CHECK_NEEDS_DRIVER },
      NULL,
      NULL,
      run_restart },
    { { NULL, NULL, NULL, 0, 0 }, NULL, NULL, NULL },
};
