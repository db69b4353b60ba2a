/* SPDX-License-Identifier: BSD-3-Clause */
#include <stdio.h>
#include <string.h>

#include "check/classes.h"
#include "check/dirty/dirty.h"

#define S CHECK_SCRATCH_IOVA
#define PATTERN 8u /* every so many pages one is written */

/* Instead, where that takes long: pages in and around each of the pieces below. */
static const uint32_t few[] = { 0, 11, 60, 67, 75, 99, 127, 128, 1003, 2051, 4095 };
#define FEW (sizeof(few) / sizeof(few[0]))

static void run_off(struct check_run *run, uint32_t at)
{
    uint64_t bits[1] = { 0 };
    uint64_t unit;

    (void)at;
    if (check_refused(run, check_log_report(run, S, DIRTY_PAGE, DIRTY_PAGE, bits),
                      "REPORT before a START") &&
        dirty_start(run, &unit) && check_ok(run, check_log_stop(run), "STOP")) {
        check_refused(run, check_log_report(run, S, DIRTY_PAGE, DIRTY_PAGE, bits),
                      "REPORT after STOP");
    }
}

/* Reports that no device takes. */
static const struct {
    const char *name;
    uint64_t iova, length, page_size;
} bad_pages[] = {
    { "0", S, 65536, 0 },         { "1", S, 65536, 1 },
    { "512", S, 65536, 512 },     { "2048", S, 65536, 2048 },
    { "4097", S, 4097 * 4, 4097 }, { "12288", S, 12288 * 4, 12288 },
}, bad_ranges[] = {
    { "empty", S, 0, 4096 },
    { "start-misaligned", S + 512, 4096, 4096 },
    { "length-misaligned", S, 4097, 4096 },
    { "length-1", S, 1, 4096 },
    { "overflow", UINT64_MAX - 4095, 8192, 4096 },
    { "overflow-large-pages", 0 - (1ull << 21), 1ull << 22, 1u << 20 },
};

static uint32_t bad_pages_cases(const struct check_run *run)
{
    (void)run;
    return (uint32_t)(sizeof(bad_pages) / sizeof(bad_pages[0]));
}

static void bad_pages_name(const struct check_run *run, uint32_t at,
                           char ret_name[FERRY_CHECK_CASE_BYTES])
{
    (void)run;
    snprintf(ret_name, FERRY_CHECK_CASE_BYTES, "%s", bad_pages[at].name);
}

static uint32_t bad_ranges_cases(const struct check_run *run)
{
    (void)run;
    return (uint32_t)(sizeof(bad_ranges) / sizeof(bad_ranges[0]));
}

static void bad_ranges_name(const struct check_run *run, uint32_t at,
                            char ret_name[FERRY_CHECK_CASE_BYTES])
{
    (void)run;
    snprintf(ret_name, FERRY_CHECK_CASE_BYTES, "%s", bad_ranges[at].name);
}

/* Refused, and the log is on as before. */
static void refuses(struct check_run *run, uint64_t iova, uint64_t length,
                    uint64_t page_size)
{
    struct dirty_pages pages = { { 0 } };
    uint64_t unit;

    if (dirty_start(run, &unit) &&
        check_refused(run, dirty_raw_report(run, iova, length, page_size), "REPORT")) {
        dirty_report_all(run, &pages);
    }
}

static void run_bad_pages(struct check_run *run, uint32_t at)
{
    refuses(run, bad_pages[at].iova, bad_pages[at].length, bad_pages[at].page_size);
}

static void run_bad_ranges(struct check_run *run, uint32_t at)
{
    refuses(run, bad_ranges[at].iova, bad_ranges[at].length, bad_ranges[at].page_size);
}

/* A pattern over all of the scratch memory; the log is on. */
static int write_pattern(struct check_run *run, uint64_t *ret_unit,
                         struct dirty_pages *written)
{
    int slow = 0;

    if (!dirty_drive(run) || !dirty_start(run, ret_unit)) {
        return 0;
    }
    for (uint32_t page = 3; page < DIRTY_PAGES && !slow; page += PATTERN) {
        if (!dirty_write_add(run, S + (uint64_t)page * DIRTY_PAGE, 16, written)) {
            return 0;
        }
        slow = dirty_is_slow(run, DIRTY_PAGES / PATTERN);
    }
    for (uint32_t i = 0; i < FEW && slow; i++) {
        if (!dirty_write_add(run, S + (uint64_t)few[i] * DIRTY_PAGE, 16, written)) {
            return 0;
        }
    }
    return 1;
}

static const uint64_t sizes[] = { 4096, 8192, 65536, 1u << 20, 2u << 20 };

static uint32_t size_cases(const struct check_run *run)
{
    (void)run;
    return (uint32_t)(sizeof(sizes) / sizeof(sizes[0]));
}

static void size_name(const struct check_run *run, uint32_t at,
                      char ret_name[FERRY_CHECK_CASE_BYTES])
{
    (void)run;
    snprintf(ret_name, FERRY_CHECK_CASE_BYTES, "%llu", (unsigned long long)sizes[at]);
}

/* A report in units of another size than START's. */
static void run_size(struct check_run *run, uint32_t at)
{
    const uint64_t size = sizes[at];
    const uint64_t from = (S + size - 1) & ~(size - 1);
    const uint64_t length = (S + CHECK_SCRATCH_BYTES - from) & ~(size - 1);
    struct dirty_pages written = { { 0 } }, reported = { { 0 } };
    uint64_t bits[DIRTY_WORDS] = { 0 };
    uint64_t unit;

    if (!dirty_drive(run) || !dirty_start(run, &unit) ||
        !dirty_write_add(run, from + length / 2 + 5 * DIRTY_PAGE, 3 * DIRTY_PAGE,
                         &written) ||
        !dirty_write_add(run, from, 16, &written) ||
        !dirty_write_add(run, from + length - 16, 16, &written) ||
        !check_ok(run, check_log_report(run, from, length, size, bits),
                  "REPORT with larger pages than START's")) {
        return;
    }
    for (uint64_t i = 0; i < length / size; i++) {
        if (bits[i / 64] >> i % 64 & 1) {
            dirty_add(&reported, from + i * size, size);
        }
    }
    dirty_complete(run, &written, &reported, "in units of another size");
}

static void run_clear(struct check_run *run, uint32_t at)
{
    struct dirty_pages written = { { 0 } }, first = { { 0 } }, second = { { 0 } };
    const struct dirty_pages nothing = { { 0 } };
    uint64_t unit;

    (void)at;
    if (write_pattern(run, &unit, &written) && dirty_report_all(run, &first) &&
        dirty_complete(run, &written, &first, "in the first report") &&
        dirty_report_all(run, &second)) {
        dirty_precise(run, &nothing, &second, unit, "in a second report");
    }
}

/* The caller's bits: all ones, and what the report says, which is nothing. */
static void run_keep(struct check_run *run, uint32_t at)
{
    uint64_t bits[CHECK_MEMORY_BYTES / DIRTY_PAGE / 64];
    uint64_t unit;
    int rc;

    (void)at;
    memset(bits, 0xff, sizeof(bits));
    if (!dirty_start(run, &unit)) {
        return;
    }
    rc = check_log_report(run, S, CHECK_SCRATCH_BYTES, DIRTY_PAGE, bits);
    if (rc != FERRY_OK) { /* some servers report whole maps only */
        rc = check_log_report(run, CHECK_IOVA, CHECK_MEMORY_BYTES, DIRTY_PAGE, bits);
    }
    if (!check_ok(run, rc, "REPORT")) {
        return;
    }
    for (uint32_t i = 0; i < sizeof(bits) / sizeof(bits[0]); i++) {
        if (!check_that(run, bits[i] == UINT64_MAX, "bits of the caller stay",
                        "word %u is 0x%llx", i, (unsigned long long)bits[i])) {
            return;
        }
    }
}

/* Pieces of the whole, in pages. */
static const struct {
    const char *name;
    uint32_t page, count;
} pieces[] = {
    { "first-page", 0, 1 },
    { "last-page", DIRTY_PAGES - 1, 1 },
    { "a-page", 3, 1 },
    { "odd", 5, 123 },
    { "64", 64, 64 },
    { "across-words", 60, 9 },
    { "half", 0, DIRTY_PAGES / 2 },
    { "rest", DIRTY_PAGES / 2 + 1, DIRTY_PAGES / 2 - 1 },
};

static uint32_t piece_cases(const struct check_run *run)
{
    (void)run;
    return (uint32_t)(sizeof(pieces) / sizeof(pieces[0]));
}

static void piece_name(const struct check_run *run, uint32_t at,
                       char ret_name[FERRY_CHECK_CASE_BYTES])
{
    (void)run;
    snprintf(ret_name, FERRY_CHECK_CASE_BYTES, "%s", pieces[at].name);
}

/* Those of `all` that lie in a piece, or outside of it. */
static void part(const struct dirty_pages *all, uint32_t at, int inside,
                 struct dirty_pages *ret_part)
{
    memset(ret_part, 0, sizeof(*ret_part));
    for (uint32_t page = 0; page < DIRTY_PAGES; page++) {
        const int in =
            page >= pieces[at].page && page - pieces[at].page < pieces[at].count;

        if (in == inside && dirty_has(all, page)) {
            ret_part->word[page / 64] |= 1ull << page % 64;
        }
    }
}

/* A tracker may tell more than what was written: of such a one nothing follows. */
static int is_precise(const struct dirty_pages *written,
                      const struct dirty_pages *reported)
{
    for (uint32_t i = 0; i < DIRTY_WORDS; i++) {
        if ((reported->word[i] & ~written->word[i]) != 0) {
            return 0;
        }
    }
    return 1;
}

static void run_piece(struct check_run *run, uint32_t at)
{
    const uint64_t iova = S + (uint64_t)pieces[at].page * DIRTY_PAGE;
    const uint64_t bytes = (uint64_t)pieces[at].count * DIRTY_PAGE;
    struct dirty_pages written = { { 0 } }, inside, outside;
    struct dirty_pages first = { { 0 } }, rest = { { 0 } };
    uint64_t unit;

    if (!write_pattern(run, &unit, &written)) {
        return;
    }
    if (unit > DIRTY_PAGE) {
        check_skip(run, "the device tracks in units of %llu bytes",
                   (unsigned long long)unit);
        return;
    }
    part(&written, at, 1, &inside);
    part(&written, at, 0, &outside);
    if (dirty_report(run, iova, bytes, &first) &&
        dirty_complete(run, &inside, &first, "in a report of a piece") &&
        dirty_report_all(run, &rest) &&
        dirty_complete(run, &outside, &rest, "outside of a piece that was reported") &&
        is_precise(&written, &first) && is_precise(&written, &rest)) {
        dirty_precise(run, &outside, &rest, unit, "after a report of a piece");
    }
}

#define BOUND_PAGES 5u
#define GUARD 0x5aa5a55a5aa5a55aull

/* A range that ends within a word: neither its other bits nor the next word. */
static void run_bounds(struct check_run *run, uint32_t at)
{
    struct ferry_request request = { .kind = FERRY_RQ_LOG_REPORT };
    uint64_t bits[3] = { GUARD, 0, GUARD };
    uint64_t unit;

    (void)at;
    if (!dirty_drive(run) || !dirty_start(run, &unit) ||
        !dirty_write(run, S + 28 * DIRTY_PAGE, 20 * DIRTY_PAGE) ||
        !dirty_write(run, S + 92 * DIRTY_PAGE, 10 * DIRTY_PAGE)) {
        return;
    }
    request.u.log_report.iova = S + 32 * DIRTY_PAGE;
    request.u.log_report.length = BOUND_PAGES * DIRTY_PAGE;
    request.u.log_report.page_size = DIRTY_PAGE;
    request.u.log_report.bitmap = &bits[1];
    request.u.log_report.bitmap_bytes = sizeof(bits[1]);
    if (check_ok(run, check_call(run, &request), "REPORT of five pages")) {
        check_that(run,
                   bits[0] == GUARD && bits[2] == GUARD && bits[1] >> BOUND_PAGES == 0,
                   "bits of the range and no others", "0x%llx 0x%llx 0x%llx",
                   (unsigned long long)bits[0], (unsigned long long)bits[1],
                   (unsigned long long)bits[2]);
    }
}

/* Pages that are not logged: refused, or nothing; what is logged stays. */
static void run_outside(struct check_run *run, uint32_t at)
{
    const struct ferry_range range = { S, 64 * DIRTY_PAGE };
    struct dirty_pages written = { { 0 } }, reported = { { 0 } };
    uint64_t bits[1] = { 0 };
    char text[160];
    int rc;

    (void)at;
    if (!dirty_drive(run)) {
        return;
    }
    rc = check_log_start(run, DIRTY_PAGE, &range, 1, NULL);
    if (rc != FERRY_OK) {
        check_broken(run, "the log cannot be started: %s",
                     check_status_text(run, rc, text));
        return;
    }
    if (!dirty_write_add(run, S, 3 * DIRTY_PAGE, &written)) {
        return;
    }
    rc = check_log_report(run, S + 64 * DIRTY_PAGE, 64 * DIRTY_PAGE, DIRTY_PAGE, bits);
    if (check_that(run, rc < 0 || bits[0] == 0,
                   "pages that START did not name are refused, or not reported",
                   "bits 0x%llx", (unsigned long long)bits[0]) &&
        dirty_report(run, S, 64 * DIRTY_PAGE, &reported)) {
        dirty_complete(run, &written, &reported, "after a report of something else");
    }
}

const struct check check_dirty_report[] = {
    { { "log.report.off", "MIG-LOG-4", "REPORT while the log is off",
        FERRY_CHECK_RECOMMENDED, FERRY_CHECK_NEEDS_LOG },
      NULL,
      NULL,
      run_off },
    { { "log.report.odd", "MIG-LOG-5", "REPORT with page sizes that cannot be",
        FERRY_CHECK_REQUIRED, FERRY_CHECK_NEEDS_LOG },
      bad_pages_cases,
      bad_pages_name,
      run_bad_pages },
    { { "log.report.range", "MIG-LOG-15", "REPORT of ranges that cannot be",
        FERRY_CHECK_RECOMMENDED, FERRY_CHECK_NEEDS_LOG },
      bad_ranges_cases,
      bad_ranges_name,
      run_bad_ranges },
    { { "log.report.page", "MIG-LOG-5", "REPORT with other page sizes than START's",
        FERRY_CHECK_REQUIRED, FERRY_CHECK_NEEDS_LOG | FERRY_CHECK_NEEDS_DRIVER },
      size_cases,
      size_name,
      run_size },
    { { "log.report.clears", "MIG-LOG-6", "a second report is empty",
        FERRY_CHECK_REQUIRED, FERRY_CHECK_NEEDS_LOG | FERRY_CHECK_NEEDS_DRIVER },
      NULL,
      NULL,
      run_clear },
    { { "log.report.sets", "MIG-LOG-6", "a report clears no bit of the caller's",
        FERRY_CHECK_REQUIRED, FERRY_CHECK_NEEDS_LOG },
      NULL,
      NULL,
      run_keep },
    { { "log.report.piece", "MIG-LOG-6", "a report of a piece leaves the rest",
        FERRY_CHECK_REQUIRED, FERRY_CHECK_NEEDS_LOG | FERRY_CHECK_NEEDS_DRIVER },
      piece_cases,
      piece_name,
      run_piece },
    { { "log.report.bounds", "MIG-LOG-6", "a report of five pages says five bits",
        FERRY_CHECK_REQUIRED, FERRY_CHECK_NEEDS_LOG | FERRY_CHECK_NEEDS_DRIVER },
      NULL,
      NULL,
      run_bounds },
    { { "log.report.outside", "MIG-LOG-6", "a report of what is not logged",
        FERRY_CHECK_RECOMMENDED, FERRY_CHECK_NEEDS_LOG | FERRY_CHECK_NEEDS_DRIVER },
      NULL,
      NULL,
      run_outside },
    { { NULL, NULL, NULL, 0, 0 }, NULL, NULL, NULL },
};
