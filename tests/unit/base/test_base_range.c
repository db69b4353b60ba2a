/* SPDX-License-Identifier: BSD-3-Clause */
#include <stdarg.h>
#include <setjmp.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>

#include "base/bitmap.h"
#include "base/range.h"

#define MAX UINT64_MAX

static void addition_refuses_to_wrap(void **state)
{
    uint64_t end = 7;

    (void)state;
    assert_true(ferry_range_add(1, 2, &end));
    assert_int_equal(end, 3);
    assert_true(ferry_range_add(MAX, 0, &end));
    assert_true(end == MAX);
    end = 7;
    assert_false(ferry_range_add(MAX, 1, &end));
    assert_false(ferry_range_add(2, MAX - 1, &end));
    assert_int_equal(end, 7);
}

static void inside_knows_the_edges(void **state)
{
    (void)state;
    assert_true(ferry_range_inside(0, 10, 10));
    assert_true(ferry_range_inside(10, 0, 10));
    assert_false(ferry_range_inside(11, 0, 10));
    assert_false(ferry_range_inside(1, 10, 10));
    assert_false(ferry_range_inside(5, MAX - 2, 10));
    assert_true(ferry_range_inside(0, MAX, MAX));
}

static void within_knows_the_edges(void **state)
{
    (void)state;
    assert_true(ferry_range_within(100, 10, 100, 10));
    assert_false(ferry_range_within(99, 10, 100, 10));
    assert_false(ferry_range_within(101, 10, 100, 10));
    assert_false(ferry_range_within(100, MAX, 100, 10));
    assert_false(ferry_range_within(MAX, 0, MAX - 1, 3));
}

static void overlap_agrees_with_counting_bytes(void **state)
{
    uint64_t a, as, b, bs, i;

    (void)state;
    for (a = 0; a < 6; a++) {
        for (as = 0; as < 6; as++) {
            for (b = 0; b < 6; b++) {
                for (bs = 0; bs < 6; bs++) {
                    int shared = 0;

                    for (i = 0; i < 12; i++) {
                        shared |= i >= a && i < a + as && i >= b && i < b + bs;
                    }
                    assert_int_equal(ferry_range_overlaps(a, as, b, bs), shared);
                }
            }
        }
    }
    assert_true(ferry_range_overlaps(MAX - 4, 10, MAX, 1));
    assert_false(ferry_range_overlaps(MAX - 4, 4, MAX, 1));
}

static void alignment_wants_a_power_of_two(void **state)
{
    uint64_t value = 9;

    (void)state;
    assert_true(ferry_range_aligned(8192, 4096));
    assert_false(ferry_range_aligned(8193, 4096));
    assert_false(ferry_range_aligned(8192, 0));
    assert_false(ferry_range_aligned(9, 3));
    assert_false(ferry_is_power_of_2(0));
    assert_true(ferry_is_power_of_2(1));
    assert_true(ferry_is_power_of_2(1ull << 63));
    assert_false(ferry_is_power_of_2(6));
    assert_int_equal(ferry_log2(1), 0);
    assert_int_equal(ferry_log2(1ull << 63), 63);
    assert_true(ferry_range_round_up(4097, 4096, &value));
    assert_int_equal(value, 8192);
    assert_false(ferry_range_round_up(MAX - 1, 4096, &value));
    assert_false(ferry_range_round_up(1, 3, &value));
    assert_int_equal(value, 8192);
}

static void a_bitmap_takes_whole_words(void **state)
{
    (void)state;
    assert_int_equal(ferry_bitmap_bytes(0), 0);
    assert_int_equal(ferry_bitmap_bytes(1), 8);
    assert_int_equal(ferry_bitmap_bytes(64), 8);
    assert_int_equal(ferry_bitmap_bytes(65), 16);
    assert_true(ferry_bitmap_bytes(MAX) == 1ull << 61);
}

static void every_range_sets_exactly_its_bits_and_is_found(void **state)
{
    enum { BITS = 150 };
    uint8_t memory[BITS / 8 + 10], *bitmap = memory + 1; /* odd on purpose */
    uint64_t first, count, bit;

    (void)state;
    for (first = 0; first < BITS; first++) {
        for (count = 0; count <= BITS - first; count++) {
            memset(memory, 0, sizeof(memory));
            ferry_bitmap_set_range(bitmap, first, count);
            for (bit = 0; bit < BITS; bit++) {
                assert_int_equal(ferry_bitmap_test(bitmap, bit),
                                 bit >= first && bit < first + count);
            }
            assert_int_equal(ferry_bitmap_count(bitmap, BITS), count);
            assert_int_equal(ferry_bitmap_next(bitmap, BITS, 0), count ? first : BITS);
            assert_int_equal(ferry_bitmap_next_clear(bitmap, BITS, first), first + count);
        }
    }
}

static void a_bit_is_set_and_cleared_alone(void **state)
{
    uint8_t bitmap[2] = { 0, 0 };

    (void)state;
    ferry_bitmap_set(bitmap, 9);
    assert_int_equal(bitmap[1], 2);
    ferry_bitmap_set(bitmap, 8);
    ferry_bitmap_clear(bitmap, 9);
    assert_int_equal(bitmap[1], 1);
    assert_int_equal(ferry_bitmap_next(bitmap, 16, 9), 16);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(addition_refuses_to_wrap),
        cmocka_unit_test(inside_knows_the_edges),
        cmocka_unit_test(within_knows_the_edges),
        cmocka_unit_test(overlap_agrees_with_counting_bytes),
        cmocka_unit_test(alignment_wants_a_power_of_two),
        cmocka_unit_test(a_bitmap_takes_whole_words),
        cmocka_unit_test(every_range_sets_exactly_its_bits_and_is_found),
        cmocka_unit_test(a_bit_is_set_and_cleared_alone),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
