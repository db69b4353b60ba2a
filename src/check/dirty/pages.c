/* SPDX-License-Identifier: BSD-3-Clause */
#include <stdio.h>

#include "check/classes.h"
#include "check/dirty/dirty.h"

#define S CHECK_SCRATCH_IOVA
#define END (CHECK_SCRATCH_IOVA + CHECK_SCRATCH_BYTES)
#define ROUNDS 16u       /* that a device is followed before it is stopped */
#define ROUNDS_MAX 1000u /* before it is told to come to an end */
#define QUIET_ROUNDS 3u  /* without a page: it has nothing left to write */

/* What is written: count pieces of so many bytes, one each `step`. */
static const struct {
    const char *name;
    uint64_t off, bytes, step;
    uint32_t count;
} writes[] = {
    { "first-byte-of-a-page", 7 * DIRTY_PAGE, 1, 0, 1 },
    { "last-byte-of-a-page", 8 * DIRTY_PAGE - 1, 1, 0, 1 },
    { "two-bytes-over-an-edge", 9 * DIRTY_PAGE - 1, 2, 0, 1 },
    { "a-page", 20 * DIRTY_PAGE, DIRTY_PAGE, 0, 1 },
    { "a-page-and-a-byte", 30 * DIRTY_PAGE, DIRTY_PAGE + 1, 0, 1 },
    { "a-byte-and-a-page", 40 * DIRTY_PAGE - 1, DIRTY_PAGE + 1, 0, 1 },
    { "over-three-pages", 50 * DIRTY_PAGE + 4000, DIRTY_PAGE + 200, 0, 1 },
    { "12345-bytes", 60 * DIRTY_PAGE + 77, 12345, 0, 1 },
    { "over-a-word-of-bits", 63 * DIRTY_PAGE, 2 * DIRTY_PAGE, 0, 1 },
    { "first-page", 0, 8, 0, 1 },
    { "last-page", CHECK_SCRATCH_BYTES - 8, 8, 0, 1 },
    { "a-megabyte", 1u << 20, 1u << 20, 0, 1 },
    { "all", 0, CHECK_SCRATCH_BYTES, 0, 1 },
    { "1024-far-pages", 2 * DIRTY_PAGE, 8, 4 * DIRTY_PAGE, 1023 },
    { "2048-edges", DIRTY_PAGE - 1, 2, 2 * DIRTY_PAGE, 2047 },
};

static uint32_t write_cases(const struct check_run *run)
{
    (void)run;
    return (uint32_t)(sizeof(writes) / sizeof(writes[0]));
}

static void write_name(const struct check_run *run, uint32_t at,
                       char ret_name[FERRY_CHECK_CASE_BYTES])
{
    (void)run;
    snprintf(ret_name, FERRY_CHECK_CASE_BYTES, "%s", writes[at].name);
}

/* The writes of a case, with the log on, and their report. Return: 1 when done. */
static int write_and_report(struct check_run *run, uint32_t at, uint64_t *ret_unit,
                            struct dirty_pages *written, struct dirty_pages *reported)
{
    if (!dirty_drive(run) || !dirty_start(run, ret_unit)) {
        return 0;
    }
    for (uint32_t i = 0; i < writes[at].count; i++) {
        if (!dirty_write_add(run, S + writes[at].off + i * writes[at].step,
                             writes[at].bytes, written)) {
            return 0;
        }
        if (dirty_is_slow(run, writes[at].count)) {
            check_skip(run, "%u writes of this device take too long: %u ms each",
                       writes[at].count, run->write_ms);
            return 0;
        }
    }
    return dirty_report_all(run, reported);
}

static void run_complete(struct check_run *run, uint32_t at)
{
    struct dirty_pages written = { { 0 } }, reported = { { 0 } };
    uint64_t unit;

    if (write_and_report(run, at, &unit, &written, &reported)) {
        dirty_complete(run, &written, &reported, "is reported");
    }
}

static void run_precise(struct check_run *run, uint32_t at)
{
    struct dirty_pages written = { { 0 } }, reported = { { 0 } };
    uint64_t unit;

    if (write_and_report(run, at, &unit, &written, &reported)) {
        dirty_precise(run, &written, &reported, unit, "is reported");
    }
}

/* Ranges of START in all orders, with gaps and without. */
static const struct {
    const char *name;
    uint32_t count;
    struct ferry_range range[3];
} ranges[] = {
    { "two", 2, { { S, 16 * DIRTY_PAGE }, { S + 64 * DIRTY_PAGE, 16 * DIRTY_PAGE } } },
    { "unsorted",
      3,
      { { S + 64 * DIRTY_PAGE, 16 * DIRTY_PAGE },
        { S, 16 * DIRTY_PAGE },
        { S + 32 * DIRTY_PAGE, 16 * DIRTY_PAGE } } },
    { "adjacent",
      2,
      { { S, 16 * DIRTY_PAGE }, { S + 16 * DIRTY_PAGE, 16 * DIRTY_PAGE } } },
    { "first-and-last", 2, { { S, DIRTY_PAGE }, { END - DIRTY_PAGE, DIRTY_PAGE } } },
    { "larger-than-the-memory", 1, { { 0, 1ull << 39 } } },
};

static uint32_t range_cases(const struct check_run *run)
{
    (void)run;
    return (uint32_t)(sizeof(ranges) / sizeof(ranges[0]));
}

static void range_name(const struct check_run *run, uint32_t at,
                       char ret_name[FERRY_CHECK_CASE_BYTES])
{
    (void)run;
    snprintf(ret_name, FERRY_CHECK_CASE_BYTES, "%s", ranges[at].name);
}

static void run_ranges(struct check_run *run, uint32_t at)
{
    struct dirty_pages written = { { 0 } }, reported = { { 0 } };

    if (!dirty_drive(run) || !check_ok(run,
                                       check_log_start(run, DIRTY_PAGE, ranges[at].range,
                                                       ranges[at].count, NULL),
                                       "START")) {
        return;
    }
    for (uint32_t i = 0; i < ranges[at].count; i++) {
        const struct ferry_range *range = &ranges[at].range[i];
        const uint64_t from = range->off > S ? range->off : S;
        const uint64_t end =
            range->off + range->size < END ? range->off + range->size : END;

        if (!dirty_write_add(run, from, 8, &written) ||
            !dirty_write_add(run, end - 8, 8, &written)) {
            return;
        }
    }
    if (dirty_report_all(run, &reported)) {
        dirty_complete(run, &written, &reported, "at both ends of each range");
    }
}

/* Lets the device write, and follows it by reports until it rests, or for a while. */
static int follow(struct check_run *run, struct dirty_copy *copy, uint64_t bytes,
                  uint32_t rounds)
{
    uint32_t quiet = 0, count = 0;

    if (!check_begin(run, S + 100, bytes)) {
        return 0;
    }
    for (uint32_t round = 0; round < rounds && quiet < QUIET_ROUNDS; round++) {
        if (ferry_check_turn(&run->driven, 0) != FERRY_OK) {
            return check_broken(run, "the device does not go on");
        }
        if (!dirty_copy_round(run, copy, &count)) {
            return 0;
        }
        quiet = count > 0 ? 0 : quiet + 1;
    }
    return 1;
}

static const struct {
    const char *name;
    uint64_t bytes;
} busy[] = { { "a-page", 3000 },
             { "a-megabyte", 1u << 20 },
             { "8-megabytes", 8u << 20 } };

static uint32_t busy_cases(const struct check_run *run)
{
    (void)run;
    return (uint32_t)(sizeof(busy) / sizeof(busy[0]));
}

static void busy_name(const struct check_run *run, uint32_t at,
                      char ret_name[FERRY_CHECK_CASE_BYTES])
{
    (void)run;
    snprintf(ret_name, FERRY_CHECK_CASE_BYTES, "%s", busy[at].name);
}

/* stop: in the middle, instead of when its work is done. */
static void follow_to_the_end(struct check_run *run, uint32_t at, int stop)
{
    struct dirty_copy copy = { NULL };
    uint32_t count;
    uint64_t unit;
    int ready;

    if (!dirty_drive(run) || !check_can_begin(run)) {
        return;
    }
    ready = dirty_start(run, &unit) && dirty_copy_begin(run, &copy) &&
            follow(run, &copy, busy[at].bytes, stop ? ROUNDS : ROUNDS_MAX);
    if (ready && stop) {
        ready = check_go(run, FERRY_STATE_STOP);
    } else if (ready) {
        ready = check_settle(run);
    }
    if (ready && dirty_copy_round(run, &copy, &count)) {
        dirty_copy_same(run, &copy,
                        stop ? "when the last report comes after STOP"
                             : "when the device wrote between and during reports");
    }
    dirty_copy_free(&copy);
}

static void run_busy(struct check_run *run, uint32_t at)
{
    follow_to_the_end(run, at, 0);
}

static void run_last(struct check_run *run, uint32_t at)
{
    follow_to_the_end(run, at, 1);
}

const struct check check_dirty_pages[] = {
    { { "log.complete", "MIG-LOG-7", "every page that was written is reported",
        FERRY_CHECK_REQUIRED, FERRY_CHECK_NEEDS_LOG | FERRY_CHECK_NEEDS_DRIVER },
      write_cases,
      write_name,
      run_complete },
    { { "log.precise", "MIG-LOG-9", "and no other", FERRY_CHECK_RECOMMENDED,
        FERRY_CHECK_NEEDS_LOG | FERRY_CHECK_NEEDS_DRIVER },
      write_cases,
      write_name,
      run_precise },
    { { "log.ranges", "MIG-LOG-7", "in several ranges, in any order",
        FERRY_CHECK_REQUIRED, FERRY_CHECK_NEEDS_LOG | FERRY_CHECK_NEEDS_DRIVER },
      range_cases,
      range_name,
      run_ranges },
    { { "log.busy", "MIG-LOG-7", "a device that writes while it is asked",
        FERRY_CHECK_REQUIRED, FERRY_CHECK_NEEDS_LOG | FERRY_CHECK_NEEDS_DRIVER },
      busy_cases,
      busy_name,
      run_busy },
    { { "log.last", "MIG-LOG-8", "stopped in the middle of writing, then the last report",
        FERRY_CHECK_REQUIRED,
        FERRY_CHECK_NEEDS_LOG | FERRY_CHECK_NEEDS_DRIVER | FERRY_CHECK_NEEDS_V2 },
      busy_cases,
      busy_name,
      run_last },
    { { NULL, NULL, NULL, 0, 0 }, NULL, NULL, NULL },
};
