/* SPDX-License-Identifier: BSD-3-Clause */
#include "check/dirty/dirty.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "ferry/host.h"
#include "os/clock.h"

#define SLOW_MS 10000u
#define MAP_WORDS ((CHECK_MEMORY_BYTES / DIRTY_PAGE + 63) / 64)

void dirty_add(struct dirty_pages *pages, uint64_t iova, uint64_t bytes)
{
    const uint64_t first = (iova - CHECK_SCRATCH_IOVA) / DIRTY_PAGE;
    const uint64_t last = (iova - CHECK_SCRATCH_IOVA + bytes - 1) / DIRTY_PAGE;

    for (uint64_t page = first; page <= last; page++) {
        pages->word[page / 64] |= 1ull << page % 64;
    }
}

int dirty_has(const struct dirty_pages *pages, uint32_t page)
{
    return (int)(pages->word[page / 64] >> page % 64 & 1);
}

uint32_t dirty_count(const struct dirty_pages *pages)
{
    uint32_t count = 0;

    for (uint32_t page = 0; page < DIRTY_PAGES; page++) {
        count += (uint32_t)dirty_has(pages, page);
    }
    return count;
}

int dirty_start(struct check_run *run, uint64_t *ret_unit)
{
    const struct ferry_range range = { CHECK_SCRATCH_IOVA, CHECK_SCRATCH_BYTES };
    char text[160];
    int rc = check_log_start(run, DIRTY_PAGE, &range, 1, ret_unit);

    return rc == FERRY_OK ? 1
                          : check_broken(run, "the log cannot be started: %s",
                                         check_status_text(run, rc, text));
}

int dirty_report(struct check_run *run, uint64_t iova, uint64_t bytes,
                 struct dirty_pages *pages)
{
    uint64_t bits[DIRTY_WORDS] = { 0 };
    const uint64_t first = (iova - CHECK_SCRATCH_IOVA) / DIRTY_PAGE;

    if (!check_ok(run, check_log_report(run, iova, bytes, DIRTY_PAGE, bits),
                  "REPORT while the log is on")) {
        return 0;
    }
    for (uint64_t i = 0; i < bytes / DIRTY_PAGE; i++) {
        if (bits[i / 64] >> i % 64 & 1) {
            pages->word[(first + i) / 64] |= 1ull << (first + i) % 64;
        }
    }
    return 1;
}

/* All of the map that the scratch memory lies in: some servers report no less. Return:
 * the status. */
static int report_map(struct check_run *run, struct dirty_pages *pages)
{
    uint64_t bits[MAP_WORDS] = { 0 };
    int rc = check_log_report(run, CHECK_IOVA, CHECK_MEMORY_BYTES, DIRTY_PAGE, bits);

    for (uint32_t page = 0; page < DIRTY_PAGES && rc == FERRY_OK; page++) {
        const uint32_t bit = page + CHECK_DRIVER_BYTES / DIRTY_PAGE;

        pages->word[page / 64] |= (bits[bit / 64] >> bit % 64 & 1) << page % 64;
    }
    return rc;
}

int dirty_report_all(struct check_run *run, struct dirty_pages *pages)
{
    uint64_t bits[DIRTY_WORDS] = { 0 };
    char text[160];
    int rc =
        check_log_report(run, CHECK_SCRATCH_IOVA, CHECK_SCRATCH_BYTES, DIRTY_PAGE, bits);

    check_status_text(run, rc, text);
    if (rc != FERRY_OK && report_map(run, pages) == FERRY_OK) {
        return 1; /* that a piece is refused is log.report.piece's to say */
    }
    for (uint32_t i = 0; i < DIRTY_WORDS; i++) {
        pages->word[i] |= bits[i];
    }
    return check_that(run, rc == FERRY_OK, "REPORT while the log is on works", "%s",
                      text);
}

int dirty_drive(struct check_run *run)
{
    if (!run->options->driver || !run->options->driver->write) {
        check_skip(run, "the driver cannot have the device write");
        return 0;
    }
    return check_drive(run);
}

int dirty_is_slow(const struct check_run *run, uint32_t count)
{
    return (uint64_t)run->write_ms * count > SLOW_MS;
}

int dirty_write(struct check_run *run, uint64_t iova, uint64_t bytes)
{
    const uint64_t begun = ferry_os_now_ns();
    struct ferry_error error = { .code = FERRY_OK };
    int rc = run->options->driver->write(run->driver_state, iova, bytes, &error);
    const uint64_t ms = (ferry_os_now_ns() - begun) / FERRY_NS_PER_MS;

    if (rc == FERRY_OK && (!run->has_written || ms < run->write_ms)) {
        run->write_ms = (uint32_t)ms;
        run->has_written = 1;
    }
    if (rc == FERRY_E_UNSUPPORTED) {
        check_skip(run, "the driver cannot have the device write %llu bytes at 0x%llx",
                   (unsigned long long)bytes, (unsigned long long)iova);
        return 0;
    }
    return rc == FERRY_OK
               ? 1
               : check_broken(run, "the device does not write: %s",
                              error.text[0] != '\0' ? error.text : ferry_status_text(rc));
}

int dirty_write_add(struct check_run *run, uint64_t iova, uint64_t bytes,
                    struct dirty_pages *written)
{
    dirty_add(written, iova, bytes);
    return dirty_write(run, iova, bytes);
}

int dirty_complete(struct check_run *run, const struct dirty_pages *written,
                   const struct dirty_pages *reported, const char *what)
{
    char expected[160];
    uint32_t missing = 0, first = 0;

    for (uint32_t page = DIRTY_PAGES; page-- > 0;) {
        if (dirty_has(written, page) && !dirty_has(reported, page)) {
            missing++;
            first = page;
        }
    }
    snprintf(expected, sizeof(expected), "every page that was written %s", what);
    return check_that(
        run, missing == 0, expected, "%u of %u pages are missing, the first at 0x%llx",
        missing, dirty_count(written),
        (unsigned long long)CHECK_SCRATCH_IOVA + (unsigned long long)first * DIRTY_PAGE);
}

int dirty_precise(struct check_run *run, const struct dirty_pages *written,
                  const struct dirty_pages *reported, uint64_t unit, const char *what)
{
    struct dirty_pages allowed = *written;
    char expected[160];
    uint32_t extra = 0, first = 0;

    for (uint32_t page = 0; unit > DIRTY_PAGE && page < DIRTY_PAGES; page++) {
        const uint64_t iova = CHECK_SCRATCH_IOVA + (uint64_t)page * DIRTY_PAGE;

        for (uint32_t other = 0; other < DIRTY_PAGES; other++) {
            const uint64_t at = CHECK_SCRATCH_IOVA + (uint64_t)other * DIRTY_PAGE;

            if (iova / unit == at / unit && dirty_has(written, other)) {
                allowed.word[page / 64] |= 1ull << page % 64;
            }
        }
    }
    for (uint32_t page = DIRTY_PAGES; page-- > 0;) {
        if (dirty_has(reported, page) && !dirty_has(&allowed, page)) {
            extra++;
            first = page;
        }
    }
    snprintf(expected, sizeof(expected), "no other page %s", what);
    return check_that(
        run, extra == 0, expected,
        "%u pages are reported that were not written, the first at 0x%llx", extra,
        (unsigned long long)CHECK_SCRATCH_IOVA + (unsigned long long)first * DIRTY_PAGE);
}

static const uint8_t *memory_of(const struct check_run *run)
{
    return run->device.memory.address + CHECK_DRIVER_BYTES;
}

int dirty_copy_begin(struct check_run *run, struct dirty_copy *copy)
{
    copy->bytes = malloc(CHECK_SCRATCH_BYTES);
    if (!copy->bytes) {
        return check_broken(run, "no memory");
    }
    memcpy(copy->bytes, memory_of(run), CHECK_SCRATCH_BYTES);
    return 1;
}

int dirty_copy_round(struct check_run *run, struct dirty_copy *copy, uint32_t *ret_count)
{
    struct dirty_pages pages = { { 0 } };

    if (!dirty_report_all(run, &pages)) {
        return 0;
    }
    for (uint32_t page = 0; page < DIRTY_PAGES; page++) {
        if (dirty_has(&pages, page)) {
            memcpy(copy->bytes + (size_t)page * DIRTY_PAGE,
                   memory_of(run) + (size_t)page * DIRTY_PAGE, DIRTY_PAGE);
        }
    }
    *ret_count = dirty_count(&pages);
    return 1;
}

int dirty_copy_same(struct check_run *run, const struct dirty_copy *copy,
                    const char *what)
{
    char expected[160];
    uint32_t different = 0, first = 0;

    for (uint32_t page = DIRTY_PAGES; page-- > 0;) {
        const size_t off = (size_t)page * DIRTY_PAGE;

        if (memcmp(copy->bytes + off, memory_of(run) + off, DIRTY_PAGE) != 0) {
            different++;
            first = page;
        }
    }
    snprintf(expected, sizeof(expected),
             "memory that is sent as the reports say is the same at the end %s", what);
    return check_that(
        run, different == 0, expected, "%u pages differ, the first at 0x%llx", different,
        (unsigned long long)CHECK_SCRATCH_IOVA + (unsigned long long)first * DIRTY_PAGE);
}

void dirty_copy_free(struct dirty_copy *copy)
{
    free(copy->bytes);
}
