/* SPDX-License-Identifier: BSD-3-Clause */
#include "core/dirty.h"

#include <assert.h>
#include <string.h>

#include "base/bitmap.h"
#include "base/range.h"
#include "base/reader.h"

/*
 * word[w] holds the pages 64 w to 64 w + 63. summary[s] holds one bit for each of
 * word[64 s] to word[64 s + 63]; a set bit says that the word may not be 0.
 *
 * Why no marked page is ever lost. The invariant, at every moment without a set under
 * way: a word that is not 0 has its summary bit.
 *
 * - The page: a writer stores its data and then marks. The mark is a locked
 *   read-modify-write even when the bit is set already. A plain test first would be
 * wrong: the data may still sit in the writer's store buffer while the test sees the old
 * bit; a harvest in between takes the bit and copies the old data, and nobody marks
 * again. The locked operation drains the store buffer, and is a release otherwise.
 * - The summary: it is looked at only after the word's read-modify-write, and both are
 *   sequentially consistent. If it was seen set, then whoever clears it does so later,
 * and looks at the word again after clearing (settle()): he finds our bit. So here a
 * plain test first is right, and saves the second locked operation in the common case.
 */
#define ORDER __ATOMIC_SEQ_CST

static uint64_t words_of(uint64_t page_count)
{
    return page_count / 64 + (page_count % 64 != 0);
}

/* `count` bits from `first` on; first < 64, 1 <= count <= 64 - first. */
static uint64_t mask_of(uint64_t first, uint64_t count)
{
    return (UINT64_MAX >> (64 - count)) << first;
}

size_t ferry_dirty_need(uint64_t page_count)
{
    uint64_t words = words_of(page_count);
    uint64_t total = words + words_of(words);

    if (total > SIZE_MAX / sizeof(uint64_t)) {
        return 0;
    }
    return (size_t)total * sizeof(uint64_t);
}

void ferry_dirty_init(struct ferry_dirty *dirty, uint64_t page_count, uint32_t page_shift,
                      void *memory)
{
    assert(page_shift < 64);
    dirty->page_count = page_count;
    dirty->page_shift = page_shift;
    dirty->pad = 0;
    dirty->word = memory;
    dirty->summary = dirty->word + words_of(page_count);
    memset(memory, 0, ferry_dirty_need(page_count));
}

/* Marks bits of one word. Any thread. */
static void mark(struct ferry_dirty *dirty, uint64_t w, uint64_t mask)
{
    uint64_t *summary = &dirty->summary[w / 64];
    uint64_t bit = 1ull << (w % 64);

    (void)__atomic_fetch_or(&dirty->word[w], mask, ORDER);
    if (!(__atomic_load_n(summary, ORDER) & bit)) {
        (void)__atomic_fetch_or(summary, bit, ORDER);
    }
}

/* After bits of a word were taken: drops its summary bit when the word is 0. */
static void settle(struct ferry_dirty *dirty, uint64_t w)
{
    uint64_t *summary = &dirty->summary[w / 64];
    uint64_t bit = 1ull << (w % 64);

    if (__atomic_load_n(&dirty->word[w], ORDER) != 0) {
        return;
    }
    (void)__atomic_fetch_and(summary, ~bit, ORDER);
    /* Somebody may have marked in between and seen the summary bit still set. */
    if (__atomic_load_n(&dirty->word[w], ORDER) != 0) {
        (void)__atomic_fetch_or(summary, bit, ORDER);
    }
}

static void mark_pages(struct ferry_dirty *dirty, uint64_t first, uint64_t last)
{
    uint64_t w;

    for (w = first / 64; w <= last / 64; w++) {
        uint64_t from = w == first / 64 ? first % 64 : 0;
        uint64_t to = w == last / 64 ? last % 64 : 63;

        mark(dirty, w, mask_of(from, to - from + 1));
    }
}

void ferry_dirty_set(struct ferry_dirty *dirty, uint64_t off, uint64_t size)
{
    uint64_t first = off >> dirty->page_shift, last;

    if (size == 0 || first >= dirty->page_count) {
        return;
    }
    if (!ferry_range_add(off, size - 1, &last)) {
        last = UINT64_MAX;
    }
    last >>= dirty->page_shift;
    if (last >= dirty->page_count) {
        last = dirty->page_count - 1;
    }
    mark_pages(dirty, first, last);
}

void ferry_dirty_set_all(struct ferry_dirty *dirty)
{
    if (dirty->page_count > 0) {
        mark_pages(dirty, 0, dirty->page_count - 1);
    }
}

void ferry_dirty_clear_all(struct ferry_dirty *dirty)
{
    uint64_t cursor = 0, first, count;

    while (ferry_dirty_take_run(dirty, &cursor, UINT64_MAX, &first, &count)) {
    }
}

/* The 64 bits of a flat bitmap from bit n on; bits at or after `bits` read as 0. */
static uint64_t bitmap_bits(const uint8_t *bitmap, uint64_t bits, uint64_t n)
{
    uint64_t left = bits - n, value = 0, i;

    if (left >= 64) {
        return ferry_load_le64(bitmap + n / 8);
    }
    for (i = 0; i < left; i += 8) {
        value |= (uint64_t)bitmap[(n + i) / 8] << i;
    }
    return value & mask_of(0, left);
}

void ferry_dirty_merge(struct ferry_dirty *dirty, uint64_t first_page,
                       uint64_t page_count, const void *bitmap)
{
    uint64_t n;

    if (first_page >= dirty->page_count) {
        return;
    }
    if (page_count > dirty->page_count - first_page) {
        page_count = dirty->page_count - first_page;
    }
    for (n = 0; n < page_count; n += 64) {
        uint64_t bits = bitmap_bits(bitmap, page_count, n);
        uint64_t w = (first_page + n) / 64, shift = (first_page + n) % 64;

        if (bits == 0) {
            continue;
        }
        if (bits << shift) {
            mark(dirty, w, bits << shift);
        }
        if (shift > 0 && bits >> (64 - shift)) {
            mark(dirty, w + 1, bits >> (64 - shift));
        }
    }
}

/* The first dirty page in [from, end), or end. Skips by the summary. */
static uint64_t find_dirty(const struct ferry_dirty *dirty, uint64_t from, uint64_t end)
{
    uint64_t w = from / 64, last_word = words_of(end);
    uint64_t keep = UINT64_MAX << (from % 64); /* bits before `from` do not count */

    while (w < last_word) {
        uint64_t groups = __atomic_load_n(&dirty->summary[w / 64], ORDER) >> (w % 64);
        uint64_t bits;

        if (groups == 0) {
            w = (w / 64 + 1) * 64;
            keep = UINT64_MAX;
            continue;
        }
        if (!(groups & 1)) {
            w += (uint64_t)__builtin_ctzll(groups);
            keep = UINT64_MAX;
            continue;
        }
        bits = __atomic_load_n(&dirty->word[w], ORDER) & keep;
        if (bits) {
            uint64_t page = w * 64 + (uint64_t)__builtin_ctzll(bits);

            return page < end ? page : end;
        }
        w++;
        keep = UINT64_MAX;
    }
    return end;
}

/* Takes the run that begins at `first` (a dirty page), at most to `end`. */
static uint64_t take_from(struct ferry_dirty *dirty, uint64_t first, uint64_t end)
{
    uint64_t page = first;

    while (page < end) {
        uint64_t w = page / 64, shift = page % 64, mask, room, length;
        uint64_t bits = __atomic_load_n(&dirty->word[w], ORDER) >> shift;

        length = ~bits ? (uint64_t)__builtin_ctzll(~bits) : 64;
        room = 64 - shift;
        length = length < room ? length : room;
        length = length < end - page ? length : end - page;
        if (length == 0) {
            break;
        }
        mask = mask_of(shift, length);
        (void)__atomic_fetch_and(&dirty->word[w], ~mask, ORDER);
        settle(dirty, w);
        page += length;
        if (shift + length < 64) {
            break;
        }
    }
    return page - first;
}

static int take_run(struct ferry_dirty *dirty, uint64_t *cursor, uint64_t end,
                    uint64_t max_pages, uint64_t *ret_first, uint64_t *ret_count)
{
    uint64_t first;

    if (*cursor >= end || max_pages == 0) {
        return 0;
    }
    first = find_dirty(dirty, *cursor, end);
    if (first >= end) {
        return 0;
    }
    if (max_pages < end - first) {
        end = first + max_pages;
    }
    *ret_first = first;
    *ret_count = take_from(dirty, first, end);
    *cursor = first + *ret_count;
    return 1;
}

int ferry_dirty_take_run(struct ferry_dirty *dirty, uint64_t *cursor, uint64_t max_pages,
                         uint64_t *ret_first, uint64_t *ret_count)
{
    return take_run(dirty, cursor, dirty->page_count, max_pages, ret_first, ret_count);
}

void ferry_dirty_report(struct ferry_dirty *dirty, uint64_t first_page,
                        uint64_t page_count, uint32_t report_shift, void *ret_bitmap)
{
    uint64_t cursor = first_page, end, first, count;

    if (first_page >= dirty->page_count) {
        return;
    }
    end = page_count < dirty->page_count - first_page ? first_page + page_count
                                                      : dirty->page_count;
    while (take_run(dirty, &cursor, end, UINT64_MAX, &first, &count)) {
        first -= first_page;
        if (report_shift >= dirty->page_shift) {
            uint32_t shift = report_shift - dirty->page_shift;
            uint64_t last = (first + count - 1) >> shift;

            first >>= shift;
            ferry_bitmap_set_range(ret_bitmap, first, last - first + 1);
        } else {
            uint32_t shift = dirty->page_shift - report_shift;

            ferry_bitmap_set_range(ret_bitmap, first << shift, count << shift);
        }
    }
}

uint64_t ferry_dirty_count(const struct ferry_dirty *dirty)
{
    uint64_t count = 0, s, summaries = words_of(words_of(dirty->page_count));

    for (s = 0; s < summaries; s++) {
        uint64_t groups = __atomic_load_n(&dirty->summary[s], ORDER);

        for (; groups; groups &= groups - 1) {
            uint64_t w = s * 64 + (uint64_t)__builtin_ctzll(groups);

            count +=
                (uint64_t)__builtin_popcountll(__atomic_load_n(&dirty->word[w], ORDER));
        }
    }
    return count;
}

int ferry_dirty_test(const struct ferry_dirty *dirty, uint64_t page)
{
    if (page >= dirty->page_count) {
        return 0;
    }
    return __atomic_load_n(&dirty->word[page / 64], ORDER) >> (page % 64) & 1;
}
