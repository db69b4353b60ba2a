/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef FERRY_CORE_DIRTY_H
#define FERRY_CORE_DIRTY_H

#include <stddef.h>
#include <stdint.h>

/*
 * A two-level map of dirty pages: one bit per page and one summary bit per 64 words, so
 * that finding nothing costs almost nothing. In memory of the caller.
 *
 * Thread: ferry_dirty_set() from any thread at any time; everything else from one thread.
 * A page is marked after it was written and before the write is published; a harvest that
 * comes later finds it. (Always an atomic read-modify-write: a plain test first could
 * read an old bit while the write is still in the store buffer, and the page would be
 * lost.)
 */
struct ferry_dirty {
    uint64_t page_count;
    uint32_t page_shift;
    uint32_t pad;
    uint64_t *word;    /* one bit per page */
    uint64_t *summary; /* one bit per word of `word`'s 64-word groups: see dirty.c */
};

/* Bytes of memory for a map of page_count pages. 0 on overflow. */
size_t ferry_dirty_need(uint64_t page_count);

/* memory: ferry_dirty_need() bytes, 8-aligned, zeroed by this call. */
void ferry_dirty_init(struct ferry_dirty *dirty, uint64_t page_count, uint32_t page_shift,
                      void *memory);

/* Marks the pages that [off, off + size) touches; off counts bytes from the map's start.
 * size 0 marks nothing; what lies past the map is cut off. */
void ferry_dirty_set(struct ferry_dirty *dirty, uint64_t off, uint64_t size);

/* Marks / clears everything. */
void ferry_dirty_set_all(struct ferry_dirty *dirty);
void ferry_dirty_clear_all(struct ferry_dirty *dirty);

/* Or's in a flat bitmap (bit n = page first_page + n), LSB first, u64 words, any
 * alignment. */
void ferry_dirty_merge(struct ferry_dirty *dirty, uint64_t first_page,
                       uint64_t page_count, const void *bitmap);

/*
 * Takes the next run of dirty pages at or after *cursor (a page number) out of the map,
 * at most max_pages long, and moves *cursor behind it. Return: 1 and *ret_first,
 * *ret_count; 0 when there is none.
 */
int ferry_dirty_take_run(struct ferry_dirty *dirty, uint64_t *cursor, uint64_t max_pages,
                         uint64_t *ret_first, uint64_t *ret_count);

/*
 * Fetches and clears [first_page, first_page + page_count) into a flat bitmap whose bits
 * have report_shift >= page_shift pages (a report page is dirty when any of its pages is)
 * or report_shift < page_shift (all its parts are). Only sets bits.
 */
void ferry_dirty_report(struct ferry_dirty *dirty, uint64_t first_page,
                        uint64_t page_count, uint32_t report_shift, void *ret_bitmap);

/* Number of dirty pages. Cost grows with what is dirty. */
uint64_t ferry_dirty_count(const struct ferry_dirty *dirty);

/* 1 when the page is marked. */
int ferry_dirty_test(const struct ferry_dirty *dirty, uint64_t page);

#endif
