/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef FERRY_CHECK_DIRTY_DIRTY_H
#define FERRY_CHECK_DIRTY_DIRTY_H

#include "check/check.h"

/* What the checks of DMA logs share. Pages here are of 4096 bytes, those of the scratch
 * memory. */

#define DIRTY_PAGE 4096u
#define DIRTY_PAGES (CHECK_SCRATCH_BYTES / DIRTY_PAGE)
#define DIRTY_WORDS (DIRTY_PAGES / 64)

/* A set of the scratch memory's pages. */
struct dirty_pages {
    uint64_t word[DIRTY_WORDS];
};

void dirty_add(struct dirty_pages *pages, uint64_t iova, uint64_t bytes);
int dirty_has(const struct dirty_pages *pages, uint32_t page);
uint32_t dirty_count(const struct dirty_pages *pages);

/* START over all of the scratch memory with 4096 as the page size. BROKEN if that fails.
 * ret_unit: the page size that the device took. Return: 1 when done. */
int dirty_start(struct check_run *run, uint64_t *ret_unit);
/* REPORT of a piece of the scratch memory, or'ed into pages. FAILED if it does not work.
 * Return: 1 when done. */
int dirty_report(struct check_run *run, uint64_t iova, uint64_t bytes,
                 struct dirty_pages *pages);
int dirty_report_all(struct check_run *run, struct dirty_pages *pages);
/* Starts the driver. Return: 1; 0 with the case skipped or BROKEN. */
int dirty_drive(struct check_run *run);
/* Has the device write there. BROKEN if it cannot; skipped if the driver has no way to
 * write such a piece. Return: 1 when done. */
int dirty_write(struct check_run *run, uint64_t iova, uint64_t bytes);
/* 1: so many writes, of which one was made before, would take most of the time that a
 * case has: there are devices of 100 ms each. */
int dirty_is_slow(const struct check_run *run, uint32_t count);
/* dirty_write(), and the pages are added to `written`. */
int dirty_write_add(struct check_run *run, uint64_t iova, uint64_t bytes,
                    struct dirty_pages *written);

/* All of `written` is among `reported`. Else FAILED, with the first page that is not. */
int dirty_complete(struct check_run *run, const struct dirty_pages *written,
                   const struct dirty_pages *reported, const char *what);
/* Nothing but `written`, and what shares a unit with it, is among `reported`. */
int dirty_precise(struct check_run *run, const struct dirty_pages *written,
                  const struct dirty_pages *reported, uint64_t unit, const char *what);

/* START and REPORT as they are, also what the client would not send: over vfio-user as a
 * message. Return: the status. */
int dirty_raw_start(struct check_run *run, uint64_t page_size,
                    const struct ferry_range *range, uint32_t count,
                    uint64_t *ret_page_size);
int dirty_raw_report(struct check_run *run, uint64_t iova, uint64_t length,
                     uint64_t page_size);

/*
 * What a migration does: a copy of the scratch memory that is kept up to date by reports.
 * After the last one it must be equal.
 */
struct dirty_copy {
    uint8_t *bytes; /* malloc */
};
/* Takes all of it; the log is on. Return: 1; 0 with the case BROKEN. */
int dirty_copy_begin(struct check_run *run, struct dirty_copy *copy);
/* A report, and the pages that it names. ret_count: how many. Return: 1 when done. */
int dirty_copy_round(struct check_run *run, struct dirty_copy *copy, uint32_t *ret_count);
/* Equal? Return: 1; else FAILED with the first page that is not. */
int dirty_copy_same(struct check_run *run, const struct dirty_copy *copy,
                    const char *what);
void dirty_copy_free(struct dirty_copy *copy);

#endif
