/* SPDX-License-Identifier: BSD-3-Clause */
#include <stdarg.h>
#include <setjmp.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>
#include <pthread.h>

#include "base/bitmap.h"
#include "core/dirty.h"

#define SHIFT 12

static struct ferry_dirty make(uint64_t pages)
{
    struct ferry_dirty dirty;
    size_t bytes = ferry_dirty_need(pages);
    void *memory = malloc(bytes ? bytes : 1);

    assert_non_null(memory);
    memset(memory, 0xee, bytes); /* init has to clear it */
    ferry_dirty_init(&dirty, pages, SHIFT, memory);
    return dirty;
}

static void drop(struct ferry_dirty *dirty)
{
    free(dirty->word);
}

/* Every word that is not 0 has its summary bit, every summary its top bit. */
static void check_summary(const struct ferry_dirty *dirty)
{
    uint64_t words = (dirty->page_count + 63) / 64, w, s;

    for (w = 0; w < words; w++) {
        if (dirty->word[w]) {
            assert_true(dirty->summary[w / 64] >> (w % 64) & 1);
        }
    }
    for (s = 0; s < (words + 63) / 64; s++) {
        if (dirty->summary[s]) {
            assert_true(dirty->top[s / 64] >> (s % 64) & 1);
        }
    }
}

static void the_size_of_a_map_is_right_and_never_wraps(void **state)
{
    (void)state;
    assert_int_equal(ferry_dirty_need(0), 0);
    assert_int_equal(ferry_dirty_need(1), 24);
    assert_int_equal(ferry_dirty_need(4096), 66 * 8);
    assert_int_equal(ferry_dirty_need(4097), 68 * 8);
    assert_int_equal(ferry_dirty_need(1ull << 18), (4096 + 64 + 1) * 8);
    assert_int_equal(ferry_dirty_need((1ull << 18) + 1), (4097 + 65 + 2) * 8);
    assert_true(ferry_dirty_need(UINT64_MAX) >= UINT64_MAX / 8);
}

static void a_write_marks_every_page_that_it_touches(void **state)
{
    struct ferry_dirty dirty = make(1000);

    (void)state;
    ferry_dirty_set(&dirty, 4095, 2);
    ferry_dirty_set(&dirty, 10 << SHIFT, 1);
    ferry_dirty_set(&dirty, (20 << SHIFT) + 5, 0);
    ferry_dirty_set(&dirty, 60 << SHIFT, 10 << SHIFT);
    assert_int_equal(ferry_dirty_count(&dirty), 13);
    assert_true(ferry_dirty_test(&dirty, 0) && ferry_dirty_test(&dirty, 1));
    assert_false(ferry_dirty_test(&dirty, 2));
    assert_true(ferry_dirty_test(&dirty, 10) && !ferry_dirty_test(&dirty, 20));
    assert_true(ferry_dirty_test(&dirty, 69) && !ferry_dirty_test(&dirty, 70));
    drop(&dirty);
}

static void what_lies_past_the_map_is_cut_off(void **state)
{
    struct ferry_dirty dirty = make(100);

    (void)state;
    ferry_dirty_set(&dirty, 99ull << SHIFT, UINT64_MAX);
    assert_int_equal(ferry_dirty_count(&dirty), 1);
    ferry_dirty_set(&dirty, 100ull << SHIFT, 1);
    ferry_dirty_set(&dirty, UINT64_MAX, UINT64_MAX);
    assert_int_equal(ferry_dirty_count(&dirty), 1);
    assert_false(ferry_dirty_test(&dirty, 100));
    drop(&dirty);
}

static void all_are_marked_and_all_are_cleared(void **state)
{
    static const uint64_t sizes[] = { 0, 1, 63, 64, 65, 4095, 4096, 4097, 9000 };
    size_t i;

    (void)state;
    for (i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
        struct ferry_dirty dirty = make(sizes[i]);
        uint64_t cursor = 0, first, count;

        ferry_dirty_set_all(&dirty);
        assert_int_equal(ferry_dirty_count(&dirty), sizes[i]);
        ferry_dirty_clear_all(&dirty);
        assert_int_equal(ferry_dirty_count(&dirty), 0);
        assert_int_equal(ferry_dirty_take_run(&dirty, &cursor, 1, &first, &count), 0);
        drop(&dirty);
    }
}

static void runs_are_taken_whole_up_to_the_limit(void **state)
{
    struct ferry_dirty dirty = make(10000);
    uint64_t cursor = 0, first, count;

    (void)state;
    ferry_dirty_set(&dirty, 100ull << SHIFT, 300ull << SHIFT);
    ferry_dirty_set(&dirty, 9999ull << SHIFT, 1);
    assert_int_equal(ferry_dirty_take_run(&dirty, &cursor, 250, &first, &count), 1);
    assert_true(first == 100 && count == 250 && cursor == 350);
    assert_int_equal(ferry_dirty_take_run(&dirty, &cursor, 250, &first, &count), 1);
    assert_true(first == 350 && count == 50);
    assert_int_equal(ferry_dirty_take_run(&dirty, &cursor, 250, &first, &count), 1);
    assert_true(first == 9999 && count == 1 && cursor == 10000);
    assert_int_equal(ferry_dirty_take_run(&dirty, &cursor, 250, &first, &count), 0);
    assert_int_equal(ferry_dirty_count(&dirty), 0);
    drop(&dirty);
}

static uint64_t random_state = 1;

static uint64_t random_below(uint64_t limit)
{
    random_state ^= random_state << 13;
    random_state ^= random_state >> 7;
    random_state ^= random_state << 17;
    return random_state % limit;
}

/* The naive map: one byte per page. */
enum { PAGES = 9001 };
static uint8_t naive[PAGES];

static void do_set(struct ferry_dirty *dirty)
{
    uint64_t off = random_below((uint64_t)(PAGES + 10) << SHIFT);
    uint64_t size = random_below(random_below(4) ? 9000 : 300u << SHIFT), page;

    ferry_dirty_set(dirty, off, size);
    for (page = off >> SHIFT; size && page <= (off + size - 1) >> SHIFT && page < PAGES;
         page++) {
        naive[page] = 1;
    }
}

static void do_merge(struct ferry_dirty *dirty)
{
    uint8_t memory[64] = { 0 }, *bitmap = memory + random_below(8);
    uint64_t first = random_below(PAGES + 5), count = random_below(400), i;

    for (i = 0; i < count; i++) {
        if (random_below(3) == 0) {
            ferry_bitmap_set(bitmap, i);
            if (first + i < PAGES) {
                naive[first + i] = 1;
            }
        }
    }
    /* A bit behind the range must not count. */
    ferry_bitmap_set(bitmap, count);
    ferry_dirty_merge(dirty, first, count, bitmap);
}

static void do_take(struct ferry_dirty *dirty)
{
    uint64_t cursor = random_below(PAGES), max = 1 + random_below(200), from = cursor;
    uint64_t first, count, i;
    int found = ferry_dirty_take_run(dirty, &cursor, max, &first, &count);

    for (i = from; i < PAGES && !naive[i]; i++) {
    }
    assert_int_equal(found, i < PAGES);
    if (!found) {
        return;
    }
    assert_int_equal(first, i);
    for (i = 0; i < max && first + i < PAGES && naive[first + i]; i++) {
        naive[first + i] = 0;
    }
    assert_int_equal(count, i);
    assert_int_equal(cursor, first + count);
}

static void do_report(struct ferry_dirty *dirty)
{
    static uint8_t bitmap[2 * PAGES], expected[2 * PAGES];
    uint32_t shift = (uint32_t)(SHIFT - 2 + random_below(7));
    uint64_t lead = random_below(3) ? random_below(100) : 0;
    uint64_t first = random_below(PAGES), count = random_below(2000), i, part;

    memset(bitmap, 0, sizeof(bitmap));
    memset(expected, 0, sizeof(expected));
    for (i = first; i < first + count && i < PAGES; i++) {
        uint64_t bit = i - first + lead;

        if (naive[i] && shift >= SHIFT) {
            ferry_bitmap_set(expected, bit >> (shift - SHIFT));
        } else if (naive[i]) {
            for (part = 0; part < 1u << (SHIFT - shift); part++) {
                ferry_bitmap_set(expected, (bit << (SHIFT - shift)) + part);
            }
        }
        naive[i] = 0;
    }
    ferry_dirty_report(dirty, first, count, lead, shift, bitmap);
    assert_memory_equal(bitmap, expected, sizeof(bitmap));
}

/* Walks a range, stops somewhere: what was given out is gone, all else is still there. */
static void do_walk(struct ferry_dirty *dirty)
{
    uint64_t first = random_below(PAGES + 3), size = random_below(4000);
    uint64_t stop = random_below(60), max = 1 + random_below(300);
    uint64_t end = first + size < PAGES ? first + size : PAGES, at = first, run, count;
    struct ferry_dirty_walk walk;

    ferry_dirty_walk_begin(&walk, dirty, first, size);
    while (stop-- > 0 && ferry_dirty_walk_next(&walk, max, &run, &count)) {
        for (; at < run; at++) {
            assert_false(naive[at]);
        }
        assert_in_range(count, 1, max);
        assert_true(run + count <= end);
        for (; at < run + count; at++) {
            assert_true(naive[at]);
            naive[at] = 0;
        }
        assert_true(count == max || at == end || !naive[at]);
    }
    if (stop == UINT64_MAX) {
        ferry_dirty_walk_end(&walk);
        return;
    }
    for (; at < end; at++) {
        assert_false(naive[at]);
    }
    assert_int_equal(ferry_dirty_walk_next(&walk, 1, &run, &count), 0);
    ferry_dirty_walk_end(&walk);
}

static void random_operations_agree_with_a_naive_map(void **state)
{
    struct ferry_dirty dirty = make(PAGES);
    uint64_t i, page, count;

    (void)state;
    memset(naive, 0, sizeof(naive));
    for (i = 0; i < 4000; i++) {
        switch (random_below(7)) {
        case 0:
        case 1:
            do_set(&dirty);
            break;
        case 2:
            do_merge(&dirty);
            break;
        case 3:
            do_take(&dirty);
            break;
        case 4:
        case 5:
            do_walk(&dirty);
            break;
        default:
            do_report(&dirty);
            break;
        }
        check_summary(&dirty);
        for (page = count = 0; page < PAGES; page++) {
            count += naive[page];
        }
        assert_int_equal(ferry_dirty_count(&dirty), count);
        page = random_below(PAGES);
        assert_int_equal(ferry_dirty_test(&dirty, page), naive[page]);
    }
    drop(&dirty);
}

/* Pages at the edges of words, summaries and tops, and ranges that begin and end there.
 */
static void levels_far_apart_are_found_and_left(void **state)
{
    static const uint64_t at[] = { 0,       63,      64,      4095,    4096,   262143,
                                   262144,  266239,  266240,  524287,  524288, 1048576,
                                   1048640, 1052672, 1052745, 1052746, 1052748 };
    enum { COUNT = sizeof(at) / sizeof(at[0]) };
    struct ferry_dirty dirty = make(at[COUNT - 1] + 1);
    uint64_t i, k, n, run, count, run_end = 0;

    (void)state;
    for (i = 0; i < COUNT; i++) {
        for (k = i; k < COUNT; k++) {
            struct ferry_dirty_walk walk;

            for (n = 0; n < COUNT; n++) {
                ferry_dirty_set(&dirty, at[n] << SHIFT, 1);
            }
            ferry_dirty_walk_begin(&walk, &dirty, at[i], at[k] - at[i] + 1);
            for (n = i; ferry_dirty_walk_next(&walk, UINT64_MAX, &run, &count);) {
                for (run_end = run + count; run < run_end; run++, n++) {
                    assert_int_equal(run, at[n]);
                }
            }
            ferry_dirty_walk_end(&walk);
            assert_int_equal(n, k + 1);
            assert_int_equal(ferry_dirty_count(&dirty), COUNT - (k - i + 1));
            for (n = 0; n < COUNT; n++) {
                assert_int_equal(ferry_dirty_test(&dirty, at[n]), n < i || n > k);
            }
            check_summary(&dirty);
        }
    }
    drop(&dirty);
}

/*
 * The promise, with real threads. Each page has one writer, who counts it up: store,
 * mark, publish. The harvester notes what is published, harvests, and must then have
 * copied at least that: a lost mark leaves the copy behind.
 */
enum { RACE_PAGES = 130, RACE_WRITES = 600000 };
static uint32_t original[RACE_PAGES], published[RACE_PAGES], copy[RACE_PAGES];
static struct ferry_dirty race;
static int writers_left;

static void *write_pages(void *argument)
{
    uint32_t writer = *(const uint32_t *)argument, seed = writer, i;

    for (i = 0; i < RACE_WRITES; i++) {
        uint32_t page, value;

        seed = seed * 1103515245u + 12345u;
        /* Few pages, mostly of one word: marks and harvests meet all the time. */
        page = (seed >> 16) % (i % 8 ? 2 : RACE_PAGES / 2) * 2 + writer;
        value = __atomic_load_n(&original[page], __ATOMIC_RELAXED) + 1;
        __atomic_store_n(&original[page], value, __ATOMIC_RELAXED);
        ferry_dirty_set(&race, (uint64_t)page << SHIFT, 1);
        __atomic_store_n(&published[page], value, __ATOMIC_RELEASE);
    }
    (void)__atomic_fetch_sub(&writers_left, 1, __ATOMIC_SEQ_CST);
    return NULL;
}

static uint64_t harvest(void)
{
    uint64_t cursor = 0, first, count, page, taken = 0;

    while (ferry_dirty_take_run(&race, &cursor, 7, &first, &count)) {
        for (page = first; page < first + count; page++) {
            copy[page] = __atomic_load_n(&original[page], __ATOMIC_RELAXED);
        }
        taken += count;
    }
    return taken;
}

static uint64_t harvest_and_check(void)
{
    uint32_t before[RACE_PAGES], page;
    uint64_t taken;

    for (page = 0; page < RACE_PAGES; page++) {
        before[page] = __atomic_load_n(&published[page], __ATOMIC_ACQUIRE);
    }
    taken = harvest();
    for (page = 0; page < RACE_PAGES; page++) {
        if (copy[page] < before[page]) {
            fail_msg("page %u: %u was published, %u copied", page, before[page],
                     copy[page]);
        }
    }
    return taken;
}

static void no_marked_page_is_ever_lost_between_threads(void **state)
{
    static uint32_t writers[2] = { 0, 1 };
    pthread_t thread[2];
    uint64_t taken = 0;
    uint32_t page;
    int i;

    (void)state;
    race = make(RACE_PAGES);
    writers_left = 2;
    for (i = 0; i < 2; i++) {
        assert_int_equal(pthread_create(&thread[i], NULL, write_pages, &writers[i]), 0);
    }
    while (__atomic_load_n(&writers_left, __ATOMIC_SEQ_CST) > 0) {
        taken += harvest_and_check();
    }
    for (i = 0; i < 2; i++) {
        assert_int_equal(pthread_join(thread[i], NULL), 0);
    }
    taken += harvest_and_check();
    assert_true(taken > RACE_PAGES);
    check_summary(&race);
    assert_int_equal(ferry_dirty_count(&race), 0);
    for (page = 0; page < RACE_PAGES; page++) {
        assert_int_equal(copy[page], original[page]);
    }
    drop(&race);
}

/*
 * The same where levels are shared: two pages of each word, one writer for each, words in
 * all summaries of three tops. A page comes again long after several harvests, so that
 * nothing heals a mark that was lost.
 */
enum { FAR_SLOTS = 512, FAR_WRITES = 400000, FAR_PAGES = 3 * 64 * 64 * 64 };
static uint32_t far_original[FAR_SLOTS], far_published[FAR_SLOTS], far_copy[FAR_SLOTS];
static int far_left;

static uint64_t far_page(uint32_t slot)
{
    return (uint64_t)(slot / 2) * 64 * 47 + (slot % 2 ? 63 : 0);
}

static uint32_t far_slot(uint64_t page)
{
    return (uint32_t)(page / (64 * 47)) * 2 + (page % 64 != 0);
}

static void *write_far(void *argument)
{
    uint32_t writer = *(const uint32_t *)argument, seed = writer + 7, i;

    for (i = 0; i < FAR_WRITES; i++) {
        uint32_t slot, value;

        seed = seed * 1103515245u + 12345u;
        slot = (seed >> 16) % (FAR_SLOTS / 2) * 2 + writer;
        value = __atomic_load_n(&far_original[slot], __ATOMIC_RELAXED) + 1;
        __atomic_store_n(&far_original[slot], value, __ATOMIC_RELAXED);
        ferry_dirty_set(&race, far_page(slot) << SHIFT, 1);
        __atomic_store_n(&far_published[slot], value, __ATOMIC_RELEASE);
    }
    (void)__atomic_fetch_sub(&far_left, 1, __ATOMIC_SEQ_CST);
    return NULL;
}

static uint32_t harvest_far(void)
{
    static uint32_t before[FAR_SLOTS];
    struct ferry_dirty_walk walk;
    uint64_t first, count;
    uint32_t slot, lost = 0;

    for (slot = 0; slot < FAR_SLOTS; slot++) {
        before[slot] = __atomic_load_n(&far_published[slot], __ATOMIC_ACQUIRE);
    }
    ferry_dirty_walk_begin(&walk, &race, 0, FAR_PAGES);
    while (ferry_dirty_walk_next(&walk, 1, &first, &count)) {
        slot = far_slot(first);
        far_copy[slot] = __atomic_load_n(&far_original[slot], __ATOMIC_RELAXED);
    }
    ferry_dirty_walk_end(&walk);
    for (slot = 0; slot < FAR_SLOTS; slot++) {
        lost += far_copy[slot] < before[slot];
    }
    return lost;
}

static void no_mark_is_lost_in_the_levels_between_threads(void **state)
{
    static uint32_t writers[2] = { 0, 1 };
    pthread_t thread[2];
    uint32_t lost = 0;
    int i;

    (void)state;
    race = make(FAR_PAGES);
    far_left = 2;
    for (i = 0; i < 2; i++) {
        assert_int_equal(pthread_create(&thread[i], NULL, write_far, &writers[i]), 0);
    }
    while (__atomic_load_n(&far_left, __ATOMIC_SEQ_CST) > 0) {
        lost += harvest_far();
    }
    for (i = 0; i < 2; i++) {
        assert_int_equal(pthread_join(thread[i], NULL), 0);
    }
    lost += harvest_far();
    assert_int_equal(lost, 0);
    assert_int_equal(ferry_dirty_count(&race), 0);
    assert_memory_equal(far_copy, far_original, sizeof(far_copy));
    drop(&race);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_size_of_a_map_is_right_and_never_wraps),
        cmocka_unit_test(a_write_marks_every_page_that_it_touches),
        cmocka_unit_test(what_lies_past_the_map_is_cut_off),
        cmocka_unit_test(all_are_marked_and_all_are_cleared),
        cmocka_unit_test(runs_are_taken_whole_up_to_the_limit),
        cmocka_unit_test(random_operations_agree_with_a_naive_map),
        cmocka_unit_test(levels_far_apart_are_found_and_left),
        cmocka_unit_test(no_marked_page_is_ever_lost_between_threads),
        cmocka_unit_test(no_mark_is_lost_in_the_levels_between_threads),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
