/* SPDX-License-Identifier: BSD-3-Clause */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "bridge/iommu/log/log_private.h"

/* The store of written pages, against a byte for each page. */

#define PAGE 4096ull
#define GIB (1ull << 30)
#define PAGES 4096u

static struct log_pages pages;
static uint8_t told[PAGES];
static uint64_t told_bytes;
/* The pages that are compared lie around the border of two chunks. */
#define BASE (5 * GIB - 2048 * PAGE)
#define CHUNK (1ull << LOG_CHUNK_SHIFT)

static int start(void **state)
{
    (void)state;
    memset(&pages, 0, sizeof(pages));
    return 0;
}

static int stop(void **state)
{
    (void)state;
    log_pages_clear(&pages);
    return 0;
}

static void count(void *user, uint64_t iova, uint64_t size)
{
    (void)user;
    told_bytes += size;
    for (uint64_t at = iova; at < iova + size && size <= PAGES * PAGE; at += PAGE) {
        if (at >= BASE && at - BASE < PAGES * PAGE) {
            told[(at - BASE) / PAGE] = 1;
        }
    }
}

static uint64_t visit(uint64_t iova, uint64_t size, int take)
{
    memset(told, 0, sizeof(told));
    told_bytes = 0;
    log_pages_visit(&pages, iova, size, take, count, NULL);
    return told_bytes;
}

static void test_pages_and_spans_are_told_until_they_are_taken(void **state)
{
    uint8_t model[PAGES] = { 0 };

    (void)state;
    srand(11);
    for (uint32_t i = 0; i < 4000; i++) {
        const uint64_t first = (uint64_t)rand() % PAGES;
        const uint64_t left = PAGES - first;
        uint64_t size = 1 + (uint64_t)rand() % 64;
        const int kind = rand() % 4;

        size = size < left ? size : left;
        if (kind == 0) {
            log_pages_add(&pages, BASE + first * PAGE, size * PAGE);
            memset(model + first, 1, size);
        } else if (kind == 1) {
            log_pages_add_span(&pages, BASE + first * PAGE,
                               BASE + (first + size) * PAGE - 1);
            memset(model + first, 1, size);
        } else {
            (void)visit(BASE + first * PAGE, size * PAGE, kind == 2);
            assert_memory_equal(told + first, model + first, size);
            memset(told + first, 0, size);
            for (uint64_t page = 0; page < PAGES; page++) {
                assert_int_equal(told[page], 0); /* nothing outside of the range */
            }
            if (kind == 2) {
                memset(model + first, 0, size);
            }
        }
    }
    for (uint64_t at = 0; at < PAGES; at += 64) {
        (void)visit(BASE + at * PAGE, 64 * PAGE, 1);
        assert_memory_equal(told + at, model + at, 64);
    }
    assert_int_equal(visit(0, 100 * GIB, 0), 0);
}

static void test_more_spans_than_there_is_room_for_grow_together(void **state)
{
    (void)state;
    for (uint64_t i = 0; i < 2 * LOG_SPANS_MAX; i++) {
        log_pages_add_span(&pages, BASE + i * 2 * PAGE, BASE + (i * 2 + 1) * PAGE - 1);
    }
    assert_int_equal(pages.span_count, LOG_SPANS_MAX);
    (void)visit(BASE, PAGES * PAGE, 0);
    for (uint64_t i = 0; i < 2 * LOG_SPANS_MAX; i++) {
        assert_int_equal(told[i * 2], 1);
    }
    /* One that cannot be cut for want of room stays whole. */
    log_pages_clear(&pages);
    for (uint64_t i = 0; i < LOG_SPANS_MAX; i++) {
        log_pages_add_span(&pages, BASE + i * 8 * PAGE, BASE + (i * 8 + 3) * PAGE - 1);
    }
    assert_int_equal(visit(BASE + PAGE, PAGE, 1), PAGE);
    assert_int_equal(visit(BASE + PAGE, PAGE, 1), PAGE);
    assert_int_equal(visit(BASE, 3 * PAGE, 1), 3 * PAGE);
    assert_int_equal(visit(BASE, 3 * PAGE, 1), 0);
    assert_int_equal(visit(BASE + 9 * PAGE, PAGE, 1), PAGE);
    assert_int_equal(visit(BASE + 9 * PAGE, PAGE, 1), 0);
    assert_int_equal(pages.span_count, LOG_SPANS_MAX);
}

static void test_the_whole_address_space_is_a_span(void **state)
{
    (void)state;
    log_pages_add_span(&pages, 0, UINT64_MAX);
    log_pages_add_span(&pages, 5 * PAGE, 6 * PAGE - 1);
    assert_int_equal(pages.span_count, 1);
    assert_int_equal(visit(0, PAGE, 1), PAGE);
    assert_int_equal(visit(0, PAGE, 1), 0);
    assert_true(visit(UINT64_MAX - 2 * PAGE + 1, PAGE, 1) == PAGE);
    assert_int_equal(pages.span_count, 2);
    assert_true(visit(PAGE, UINT64_MAX - 3 * PAGE + 1, 1) == UINT64_MAX - 3 * PAGE + 1);
    assert_int_equal(pages.span_count, 1);
}

static void test_scattered_pages_cost_a_bounded_memory(void **state)
{
    const uint64_t end = LOG_CHUNKS_MAX * CHUNK;

    (void)state;
    for (uint64_t i = 0; i < LOG_CHUNKS_MAX; i++) {
        log_pages_add(&pages, i * CHUNK + PAGE, PAGE);
    }
    assert_int_equal(pages.count, LOG_CHUNKS_MAX);
    assert_int_equal(pages.span_count, 0);
    /* No chunk is to be had any more: the rest is told as ranges. */
    log_pages_add(&pages, end - PAGE, 2 * GIB);
    assert_int_equal(pages.count, LOG_CHUNKS_MAX);
    assert_int_equal(pages.span_count, 1);
    assert_true(visit(0, end, 1) == (LOG_CHUNKS_MAX + 1) * PAGE);
    assert_int_equal(visit(end, 3 * GIB, 1), 2 * GIB - PAGE);
    assert_int_equal(visit(0, end + 3 * GIB, 1), 0);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, start, stop)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_pages_and_spans_are_told_until_they_are_taken),
        TEST(test_more_spans_than_there_is_room_for_grow_together),
        TEST(test_the_whole_address_space_is_a_span),
        TEST(test_scattered_pages_cost_a_bounded_memory),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
