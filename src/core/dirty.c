/* SPDX-License-Identifier: BSD-3-Clause */
#include "core/dirty.h"

#include <assert.h>
#include <string.h>

#include "base/bitmap.h"
#include "base/range.h"
#include "base/reader.h"

/*
 * Why no marked page is ever lost.
 *
 * - The page: a writer stores its data and then marks. The mark is a locked
 *   read-modify-write even when the bit is set already. A plain test first would be
 *   wrong: the data may still sit in the writer's store buffer while the test sees the
 *   old bit; a harvest in between takes the bit and copies the old data, and nobody marks
 *   again. The locked operation drains the store buffer, and is a release otherwise.
 * - The levels: a writer marks upwards (word, summary, top), a harvest takes downwards
 *   (top, summary, word), each bit before what lies below it is looked at, and all of it
 *   is sequentially consistent. When a writer finds the bit above set, whoever takes it
 *   later looks below it later still, and finds the mark. When it was taken before,
 *   the writer finds it clear and sets it again. So above the word a plain test first is
 *   right, and saves the locked operations in the common case.
 * - Each writer tests both levels itself. Who only looked at the summary could see the
 *   bit of another writer who has not come to the top yet, and publish too early.
 */
#define ORDER __ATOMIC_SEQ_CST

#define FETCH_WORDS 8   /* words of one summary that are fetched ahead */
#define FETCH_GROUPS 16 /* summaries of one top that are followed at once */
#define REPORT_BATCH 64u

/* Words for `bits` bits. */
static uint64_t words_of(uint64_t bits)
{
    return bits / 64 + (bits % 64 != 0);
}

/* `count` bits from `first` on; first < 64, 1 <= count <= 64 - first. */
static uint64_t mask_of(uint64_t first, uint64_t count)
{
    return (UINT64_MAX >> (64 - count)) << first;
}

/* The bits of word i that lie in [from, last]; there must be one. */
static uint64_t mask_inside(uint64_t i, uint64_t from, uint64_t last)
{
    uint64_t low = i == from / 64 ? from % 64 : 0;
    uint64_t high = i == last / 64 ? last % 64 : 63;

    return mask_of(low, high - low + 1);
}

size_t ferry_dirty_need(uint64_t page_count)
{
    uint64_t words = words_of(page_count);
    uint64_t summaries = words_of(words);
    uint64_t total = words + summaries + words_of(summaries);

    if (total > SIZE_MAX / sizeof(uint64_t)) {
        return 0;
    }
    return (size_t)total * sizeof(uint64_t);
}

void ferry_dirty_init_zeroed(struct ferry_dirty *dirty, uint64_t page_count,
                             uint32_t page_shift, void *memory)
{
    assert(page_shift < 64);
    dirty->page_count = page_count;
    dirty->page_shift = page_shift;
    dirty->pad = 0;
    dirty->word = memory;
    dirty->summary = dirty->word + words_of(page_count);
    dirty->top = dirty->summary + words_of(words_of(page_count));
}

void ferry_dirty_init(struct ferry_dirty *dirty, uint64_t page_count, uint32_t page_shift,
                      void *memory)
{
    memset(memory, 0, ferry_dirty_need(page_count));
    ferry_dirty_init_zeroed(dirty, page_count, page_shift, memory);
}

/* Sets bit n of a level, when it is not set. */
static void raise_bit(uint64_t *level, uint64_t n)
{
    uint64_t *at = &level[n / 64];
    uint64_t bit = 1ull << (n % 64);

    if (!(__atomic_load_n(at, ORDER) & bit)) {
        (void)__atomic_fetch_or(at, bit, ORDER);
    }
}

/* Marks bits of one word. Any thread. */
static void mark(struct ferry_dirty *dirty, uint64_t w, uint64_t mask)
{
    (void)__atomic_fetch_or(&dirty->word[w], mask, ORDER);
    raise_bit(dirty->summary, w);
    raise_bit(dirty->top, w / 64);
}

static void mark_pages(struct ferry_dirty *dirty, uint64_t first, uint64_t last)
{
    uint64_t w;

    for (w = first / 64; w <= last / 64; w++) {
        mark(dirty, w, mask_inside(w, first, last));
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

void ferry_dirty_walk_begin(struct ferry_dirty_walk *walk, struct ferry_dirty *dirty,
                            uint64_t first_page, uint64_t page_count)
{
    memset(walk, 0, sizeof(*walk));
    walk->dirty = dirty;
    if (first_page >= dirty->page_count || page_count == 0) {
        walk->next_top = 1; /* behind the last one: last is 0 */
        return;
    }
    if (page_count > dirty->page_count - first_page) {
        page_count = dirty->page_count - first_page;
    }
    walk->from = first_page;
    walk->last = first_page + page_count - 1;
    walk->next_top = first_page >> 18;
}

/* Takes the bits of `mask`. *ret_rest: others are set and stay. */
static uint64_t take(uint64_t *at, uint64_t mask, int *ret_rest)
{
    uint64_t old = __atomic_load_n(at, ORDER);

    *ret_rest = 0;
    if (old == 0) {
        return 0;
    }
    if (mask == UINT64_MAX) {
        return __atomic_exchange_n(at, 0, ORDER);
    }
    old = __atomic_fetch_and(at, ~mask, ORDER);
    *ret_rest = (old & ~mask) != 0;
    return old & mask;
}

/*
 * What is dirty lies far apart, and a locked operation waits for all memory before it:
 * without these the walk is one cache miss after another.
 */
static void fetch_words(const struct ferry_dirty *dirty, uint64_t s)
{
    uint64_t groups = __atomic_load_n(&dirty->summary[s], __ATOMIC_RELAXED);

    for (int i = 0; i < FETCH_WORDS && groups; i++, groups &= groups - 1) {
        __builtin_prefetch(&dirty->word[s * 64 + (uint64_t)__builtin_ctzll(groups)], 1);
    }
}

/* After top[next_top - 1] was taken: the words below it, and the summaries after it. */
static void fetch_ahead(const struct ferry_dirty_walk *walk)
{
    const struct ferry_dirty *dirty = walk->dirty;
    uint64_t tops = walk->tops;

    if (__builtin_popcountll(tops) <= FETCH_GROUPS) {
        for (; tops; tops &= tops - 1) {
            fetch_words(dirty,
                        (walk->next_top - 1) * 64 + (uint64_t)__builtin_ctzll(tops));
        }
    }
    if (walk->next_top > walk->last >> 18) {
        return;
    }
    tops = __atomic_load_n(&dirty->top[walk->next_top], __ATOMIC_RELAXED);
    for (uint64_t i = 0; i < 64; i += 8) {
        if (tops >> i & 0xff) {
            __builtin_prefetch(&dirty->summary[walk->next_top * 64 + i], 1);
        }
    }
}

/* Goes to the next word that has dirty pages and takes them. Return: 0 at the end. */
static inline int next_word(struct ferry_dirty_walk *walk)
{
    struct ferry_dirty *dirty = walk->dirty;
    int rest;

    for (;;) {
        while (walk->groups) {
            walk->w = walk->s * 64 + (uint64_t)__builtin_ctzll(walk->groups);
            walk->groups &= walk->groups - 1;
            walk->bits = take(&dirty->word[walk->w],
                              mask_inside(walk->w, walk->from, walk->last), &rest);
            if (rest) {
                raise_bit(dirty->summary, walk->w);
                raise_bit(dirty->top, walk->s);
            }
            if (walk->bits) {
                return 1;
            }
        }
        if (walk->tops) {
            walk->s = (walk->next_top - 1) * 64 + (uint64_t)__builtin_ctzll(walk->tops);
            walk->tops &= walk->tops - 1;
            if (walk->tops) {
                fetch_words(dirty, (walk->next_top - 1) * 64 +
                                       (uint64_t)__builtin_ctzll(walk->tops));
            }
            walk->groups =
                take(&dirty->summary[walk->s],
                     mask_inside(walk->s, walk->from / 64, walk->last / 64), &rest);
            if (rest) {
                raise_bit(dirty->top, walk->s);
            }
            continue;
        }
        if (walk->next_top > walk->last >> 18) {
            return 0;
        }
        walk->tops =
            take(&dirty->top[walk->next_top],
                 mask_inside(walk->next_top, walk->from >> 12, walk->last >> 12), &rest);
        walk->next_top++;
        if (walk->tops) {
            fetch_ahead(walk);
        }
    }
}

int ferry_dirty_walk_next(struct ferry_dirty_walk *walk, uint64_t max_pages,
                          uint64_t *ret_first, uint64_t *ret_count)
{
    uint64_t first, count = 0;

    assert(max_pages > 0);
    if (!walk->bits && !next_word(walk)) {
        return 0;
    }
    first = walk->w * 64 + (uint64_t)__builtin_ctzll(walk->bits);
    for (;;) {
        uint64_t shift = (first + count) % 64;
        uint64_t ones = walk->bits >> shift;
        uint64_t length = ~ones ? (uint64_t)__builtin_ctzll(~ones) : 64;

        length = length < max_pages - count ? length : max_pages - count;
        walk->bits &= ~mask_of(shift, length);
        count += length;
        /* It goes on only where it reached the end of its word, in the next one. */
        if (count == max_pages || shift + length < 64 || !next_word(walk) ||
            walk->w * 64 != first + count || !(walk->bits & 1)) {
            break;
        }
    }
    *ret_first = first;
    *ret_count = count;
    return 1;
}

void ferry_dirty_walk_end(struct ferry_dirty_walk *walk)
{
    struct ferry_dirty *dirty = walk->dirty;

    if (walk->bits) {
        mark(dirty, walk->w, walk->bits);
    }
    if (walk->groups) {
        (void)__atomic_fetch_or(&dirty->summary[walk->s], walk->groups, ORDER);
        raise_bit(dirty->top, walk->s);
    }
    if (walk->tops) {
        (void)__atomic_fetch_or(&dirty->top[walk->next_top - 1], walk->tops, ORDER);
    }
    walk->bits = walk->groups = walk->tops = 0;
}

void ferry_dirty_clear_all(struct ferry_dirty *dirty)
{
    struct ferry_dirty_walk walk;

    ferry_dirty_walk_begin(&walk, dirty, 0, dirty->page_count);
    while (next_word(&walk)) {
    }
}

int ferry_dirty_take_run(struct ferry_dirty *dirty, uint64_t *cursor, uint64_t max_pages,
                         uint64_t *ret_first, uint64_t *ret_count)
{
    struct ferry_dirty_walk walk;
    int found;

    if (max_pages == 0) {
        return 0;
    }
    ferry_dirty_walk_begin(&walk, dirty, *cursor, dirty->page_count);
    found = ferry_dirty_walk_next(&walk, max_pages, ret_first, ret_count);
    ferry_dirty_walk_end(&walk);
    if (found) {
        *cursor = *ret_first + *ret_count;
    }
    return found;
}

/*
 * Pages of the map are bits of the bitmap: whole words move. Many are taken before they
 * are written: a write that misses the cache would hold up the next locked operation.
 */
static void report_words(struct ferry_dirty_walk *walk, uint64_t first_page,
                         uint64_t lead_pages, void *ret_bitmap)
{
    uint64_t at[REPORT_BATCH], bits[REPORT_BATCH];
    size_t count, i;

    do {
        for (count = 0; count < REPORT_BATCH && next_word(walk); count++) {
            uint64_t page = walk->w * 64;
            uint64_t skip = page < first_page ? first_page - page : 0;

            at[count] = lead_pages + (page + skip - first_page);
            bits[count] = walk->bits >> skip;
            __builtin_prefetch((const uint8_t *)ret_bitmap + at[count] / 8, 1);
        }
        for (i = 0; i < count; i++) {
            ferry_bitmap_or64(ret_bitmap, at[i], bits[i]);
        }
    } while (count == REPORT_BATCH);
}

void ferry_dirty_report(struct ferry_dirty *dirty, uint64_t first_page,
                        uint64_t page_count, uint64_t lead_pages, uint32_t report_shift,
                        void *ret_bitmap)
{
    struct ferry_dirty_walk walk;
    uint64_t first, count;

    ferry_dirty_walk_begin(&walk, dirty, first_page, page_count);
    if (report_shift == dirty->page_shift) {
        report_words(&walk, first_page, lead_pages, ret_bitmap);
        return;
    }
    while (ferry_dirty_walk_next(&walk, UINT64_MAX, &first, &count)) {
        first = first - first_page + lead_pages;
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

/* Pages in the words that one summary names. */
static uint64_t count_group(const struct ferry_dirty *dirty, uint64_t s)
{
    uint64_t groups = __atomic_load_n(&dirty->summary[s], ORDER), count = 0;

    for (; groups; groups &= groups - 1) {
        uint64_t w = s * 64 + (uint64_t)__builtin_ctzll(groups);

        count += (uint64_t)__builtin_popcountll(__atomic_load_n(&dirty->word[w], ORDER));
    }
    return count;
}

uint64_t ferry_dirty_count(const struct ferry_dirty *dirty)
{
    uint64_t tops = words_of(words_of(words_of(dirty->page_count))), count = 0, t;

    for (t = 0; t < tops; t++) {
        uint64_t bits = __atomic_load_n(&dirty->top[t], ORDER);

        for (; bits; bits &= bits - 1) {
            count += count_group(dirty, t * 64 + (uint64_t)__builtin_ctzll(bits));
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
