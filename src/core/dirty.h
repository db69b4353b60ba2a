/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef FERRY_CORE_DIRTY_H
#define FERRY_CORE_DIRTY_H

#include <stddef.h>
#include <stdint.h>

/*
 * A map of dirty pages in three levels: one bit per page, one summary bit per word of
 * these, one top bit per word of summaries. Finding what is dirty costs what is dirty,
 * and one word for each 2^18 pages (1 GiB) of the map. In memory of the caller.
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
    uint64_t *word;    /* bit n of word n / 64: page n */
    uint64_t *summary; /* bit n of word n / 64: word[n] may not be 0 */
    uint64_t *top;     /* bit n of word n / 64: summary[n] may not be 0 */
};

/* Bytes of memory for a map of page_count pages. 0 on overflow. */
size_t ferry_dirty_need(uint64_t page_count);

/* memory: ferry_dirty_need() bytes, 8-aligned, zeroed by this call. */
void ferry_dirty_init(struct ferry_dirty *dirty, uint64_t page_count, uint32_t page_shift,
                      void *memory);

/* The same for memory that is zero already: it is not touched, so that a map in fresh
 * pages of the system costs what is marked in it. */
void ferry_dirty_init_zeroed(struct ferry_dirty *dirty, uint64_t page_count,
                             uint32_t page_shift, void *memory);

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
 * A walk takes the dirty pages of a range out of the map, run by run. Until it has ended
 * it holds bits that belong to the map: nothing else may be done with the map meanwhile,
 * but by other threads that mark.
 */
struct ferry_dirty_walk {
    struct ferry_dirty *dirty;
    uint64_t from, last; /* pages, both inside */
    uint64_t next_top;   /* top word to be looked at; behind the last one: all are */
    uint64_t tops;       /* taken out of top[next_top - 1], not followed yet */
    uint64_t s, groups;  /* taken out of summary[s], not followed yet */
    uint64_t w, bits;    /* taken out of word[w], not given out yet */
};

/* Pages [first_page, first_page + page_count), cut off at the map's end. */
void ferry_dirty_walk_begin(struct ferry_dirty_walk *walk, struct ferry_dirty *dirty,
                            uint64_t first_page, uint64_t page_count);
/*
 * The next run, at most max_pages (> 0) long. Runs ascend; one that does not end at
 * max_pages ends before a clean page or at the range's end. Return: 1 and *ret_first,
 * *ret_count; 0 when nothing is left.
 */
int ferry_dirty_walk_next(struct ferry_dirty_walk *walk, uint64_t max_pages,
                          uint64_t *ret_first, uint64_t *ret_count);
/* Puts back what was not given out. Needed also after the last run. */
void ferry_dirty_walk_end(struct ferry_dirty_walk *walk);

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
 * lead_pages: pages of the bitmap before first_page.
 */
void ferry_dirty_report(struct ferry_dirty *dirty, uint64_t first_page,
                        uint64_t page_count, uint64_t lead_pages, uint32_t report_shift,
                        void *ret_bitmap);

/* Number of dirty pages. Cost grows with what is dirty. */
uint64_t ferry_dirty_count(const struct ferry_dirty *dirty);

/* 1 when the page is marked. */
int ferry_dirty_test(const struct ferry_dirty *dirty, uint64_t page);

#endif
