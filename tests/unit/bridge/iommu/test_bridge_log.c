/* SPDX-License-Identifier: BSD-3-Clause */
#include <errno.h>
#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/bitmap.h"
#include "test_bridge_log_rig.h"

/* Written pages: none is lost, whatever comes between the write and the question. */

static void test_pages_of_all_devices_are_told_once(void **state)
{
    uint64_t bitmap[MEMORY_PAGES / 64] = { 0 };

    (void)state;
    assert_int_equal(set_dirty(hwpt, 1), 0);
    rig_write(rigs[0], 3 * PAGE);
    rig_write(rigs[1], 70 * PAGE + 5);
    rig_write(rigs[1], 255 * PAGE);
    bitmap[1] = 1; /* bits are only set */
    assert_int_equal(get_dirty(hwpt, 0, MEMORY_BYTES, PAGE, 0, bitmap), 0);
    assert_int_equal(bitmap[0], 1u << 3);
    assert_int_equal(bitmap[1], 1 | 1u << 6);
    assert_true(bitmap[3] == 1ull << 63);
    assert_int_equal(rig_log_report(0, MEMORY_BYTES, 0, NULL), 0);
    assert_int_equal(rigs[0]->runs_calls, 2);
    assert_int_equal(rigs[0]->report_calls, 0);
}

static void test_a_report_may_have_larger_pages(void **state)
{
    uint8_t bitmap[8] = { 0 };

    (void)state;
    assert_int_equal(set_dirty(hwpt, 1), 0);
    rig_write(rigs[0], 17 * PAGE);
    rig_write(rigs[0], 18 * PAGE);
    rig_write(rigs[0], 64 * PAGE);
    assert_int_equal(get_dirty(hwpt, 0, MEMORY_BYTES, 16 * PAGE, 0, bitmap), 0);
    assert_int_equal(bitmap[0], 1u << 1 | 1u << 4);
}

static void test_a_report_without_clearing_is_repeated(void **state)
{
    uint64_t first = 0;

    (void)state;
    assert_int_equal(set_dirty(hwpt, 1), 0);
    rig_write(rigs[0], 9 * PAGE);
    for (uint32_t i = 0; i < 3; i++) {
        assert_int_equal(rig_log_report(0, MEMORY_BYTES, 1, &first), 1);
        assert_int_equal(first, 9);
    }
    rig_write(rigs[1], 11 * PAGE);
    assert_int_equal(rig_log_report(0, MEMORY_BYTES, 1, NULL), 2);
    assert_int_equal(rig_log_report(10 * PAGE, PAGE, 0, NULL), 0);
    assert_int_equal(rig_log_report(11 * PAGE, PAGE, 0, NULL), 1);
    assert_int_equal(rig_log_report(0, MEMORY_BYTES, 0, &first), 1);
    assert_int_equal(first, 9);
    assert_int_equal(rig_log_report(0, MEMORY_BYTES, 0, NULL), 0);
}

static void test_what_is_unmapped_was_harvested(void **state)
{
    uint64_t first = 0;

    (void)state;
    for (uint32_t runs = 0; runs < 2; runs++) {
        rigs[0]->agreed.dirty_runs = rigs[1]->agreed.dirty_runs = (uint8_t)runs;
        rigs[0]->no_runs = rigs[1]->no_runs = !runs;
        rigs[1]->on_unmap = runs ? rig_write_inside : NULL;
        assert_int_equal(set_dirty(hwpt, 1), 0);
        rig_write(rigs[0], 5 * PAGE);
        rig_write(rigs[1], 6 * PAGE);
        assert_int_equal(unmap(ioas, 0, MEMORY_BYTES), MEMORY_BYTES);
        assert_int_equal(rig_log_report(0, MEMORY_BYTES, 1, &first), runs ? 3 : 2);
        assert_int_equal(first, runs ? 1 : 5);
        /* Another map of the same place has not been written. */
        assert_int_equal(map_va(ioas, 0, MEMORY_BYTES, RAM), 0);
        assert_int_equal(rig_log_report(0, MEMORY_BYTES, 0, NULL), runs ? 3 : 2);
        assert_int_equal(rig_log_report(0, MEMORY_BYTES, 0, NULL), 0);
        assert_int_equal(rigs[0]->told_unmaps, runs);
        assert_int_equal(set_dirty(hwpt, 0), 0);
        assert_int_equal(rigs[0]->log_on, 0);
    }
}

static void test_what_was_harvested_ends_with_the_tracking(void **state)
{
    (void)state;
    assert_int_equal(set_dirty(hwpt, 1), 0);
    rig_write(rigs[0], 5 * PAGE);
    assert_int_equal(unmap(ioas, 0, MEMORY_BYTES), MEMORY_BYTES);
    assert_int_equal(map_va(ioas, 0, MEMORY_BYTES, RAM), 0);
    assert_int_equal(set_dirty(hwpt, 0), 0);
    assert_int_equal(set_dirty(hwpt, 1), 0);
    assert_int_equal(rig_log_report(0, MEMORY_BYTES, 0, NULL), 0);
}

static void test_an_unmap_without_tracking_asks_for_nothing(void **state)
{
    (void)state;
    assert_int_equal(unmap(ioas, 0, MEMORY_BYTES), MEMORY_BYTES);
    assert_int_equal(rigs[0]->told_unmaps + rigs[0]->runs_calls + rigs[0]->report_calls,
                     0);
    assert_int_equal(rigs[0]->unmap_calls, 1);
}

static void test_flat_reports_lie_in_one_map_each(void **state)
{
    (void)state;
    for (uint32_t i = 0; i < 2; i++) {
        rigs[i]->no_runs = 1;
        rigs[i]->agreed.dirty_runs = 0;
        rigs[i]->no_whole = 1;
        rigs[i]->exact_reports = 1;
        rigs[i]->max_data = 64 + 16; /* 128 pages each */
    }
    assert_int_equal(map_va(ioas, 600 * PAGE, 10 * PAGE, RAM), 0);
    assert_int_equal(map_va(ioas, 610 * PAGE, 10 * PAGE, RAM), 0);
    assert_int_equal(set_dirty(hwpt, 1), 0);
    assert_int_equal(rigs[0]->start_calls, 2);
    rig_write(rigs[0], 0);
    rig_write(rigs[0], 255 * PAGE);
    rig_write(rigs[1], 609 * PAGE);
    rig_write(rigs[1], 610 * PAGE);
    assert_int_equal(rig_log_report(0, 800 * PAGE, 0, NULL), 4);
    assert_int_equal(rig_log_report(0, 800 * PAGE, 0, NULL), 0);
    assert_int_equal(rigs[0]->runs_calls, 1);
    assert_int_equal(rigs[0]->report_calls, 8);
    assert_int_equal(rig_log_report(700 * PAGE, 100 * PAGE, 0, NULL), 0);
    assert_int_equal(rigs[0]->report_calls, 8);
}

/* The client does these writes, so a server need not log them; this one logs nothing. */
static void test_what_a_message_writes_is_told(void **state)
{
    uint8_t *memory =
        mmap(NULL, 4 * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    uint8_t data[8] = { 1 };
    uint64_t first = 0;

    (void)state;
    assert_ptr_not_equal(memory, MAP_FAILED);
    close(mappings_fd);
    mappings_fd = -1;
    rigs[0]->no_runs = 1;
    rigs[0]->exact_reports = 1;
    assert_int_equal(map_va(ioas, 900 * PAGE, 4 * PAGE, memory), 0);
    assert_int_equal(bridge_iommu_dma(&rigs[0]->device, 900 * PAGE, data, 1, 1), 0);
    assert_int_equal(set_dirty(hwpt, 1), 0);
    assert_int_equal(rig_log_report(900 * PAGE, 4 * PAGE, 0, NULL), 0);
    assert_int_equal(rigs[0]->report_calls, 0); /* it knows nothing of that memory */
    assert_int_equal(bridge_iommu_dma(&rigs[0]->device, 902 * PAGE - 4, data, 8, 1), 0);
    assert_int_equal(bridge_iommu_dma(&rigs[0]->device, 900 * PAGE, data, 8, 0), 0);
    assert_int_equal(rig_log_report(900 * PAGE, 4 * PAGE, 1, &first), 2);
    assert_int_equal(first, 1);
    assert_int_equal(rig_log_report(900 * PAGE, 4 * PAGE, 0, NULL), 2);
    assert_int_equal(rig_log_report(900 * PAGE, 4 * PAGE, 0, NULL), 0);
    assert_int_equal(bridge_iommu_dma(&rigs[0]->device, 903 * PAGE, data, 8, 1), 0);
    assert_int_equal(unmap(ioas, 900 * PAGE, 4 * PAGE), 4 * PAGE);
    assert_int_equal(rig_log_report(900 * PAGE, 4 * PAGE, 0, &first), 1);
    assert_int_equal(first, 3);
    (void)munmap(memory, 4 * PAGE);
}

static void test_many_runs_take_several_answers(void **state)
{
    uint32_t written = 0;

    (void)state;
    rigs[0]->max_data = 0; /* one run, or 128 pages as bits */
    assert_int_equal(set_dirty(hwpt, 1), 0);
    rig_write(rigs[0], 0);
    rig_write(rigs[0], 200 * PAGE);
    assert_int_equal(rig_log_report(0, MEMORY_BYTES, 0, NULL), 2);
    assert_int_equal(rigs[0]->runs_calls, 2);
    assert_int_equal(rigs[0]->report_calls, 0);
    /* So many that a bitmap is shorter: it is asked for one. */
    for (uint64_t page = 0; page < MEMORY_PAGES; page += 3) {
        rig_write(rigs[0], page * PAGE);
        written++;
    }
    assert_int_equal(rig_log_report(0, MEMORY_BYTES, 0, NULL), written);
    assert_true(rigs[0]->report_calls > 0);
}

/* Each answer moves on by one page: a report of much memory would never end. */
static void test_a_server_that_tells_little_at_a_time_is_asked_for_bitmaps(void **state)
{
    uint64_t first = 0;

    (void)state;
    assert_int_equal(set_dirty(hwpt, 1), 0);
    rigs[0]->runs_span = PAGE;
    rig_write(rigs[0], 0);
    rig_write(rigs[0], 200 * PAGE);
    assert_int_equal(rig_log_report(0, MEMORY_BYTES, 0, &first), 2);
    assert_int_equal(first, 0);
    assert_int_equal(rigs[0]->runs_calls, 1);
    assert_int_equal(rigs[0]->report_calls, 1);
    assert_int_equal(rig_log_report(0, MEMORY_BYTES, 0, NULL), 0);
}

static void test_an_answer_that_ends_inside_a_page_makes_all_of_it_written(void **state)
{
    uint64_t bitmap[MEMORY_PAGES / 64];

    (void)state;
    assert_int_equal(set_dirty(hwpt, 1), 0);
    rigs[0]->runs_span = PAGE + 8;
    assert_int_equal(get_dirty(hwpt, 0, MEMORY_BYTES, PAGE, 0, bitmap), -EIO);
    rigs[0]->runs_span = 0;
    assert_int_equal(rig_log_report(0, MEMORY_BYTES, 0, NULL), MEMORY_PAGES);
}

/* A report that comes while a harvest has the pages in its hands, out of the server's log
 * and not yet in the bridge's. */
static pthread_t second;
static atomic_uint second_count;
static atomic_int second_asked;

static void *report_too(void *arg)
{
    (void)arg;
    atomic_store(&second_asked, 1);
    atomic_store(&second_count, (unsigned int)rig_log_report(0, MEMORY_BYTES, 0, NULL));
    return NULL;
}

static void ask_meanwhile(struct rig *rig)
{
    const struct timespec pause = { .tv_nsec = 20000000 };

    rig->on_report = NULL;
    assert_int_equal(pthread_create(&second, NULL, report_too, NULL), 0);
    while (!atomic_load(&second_asked)) {
        sched_yield();
    }
    /* Time for it to go wrong. */
    (void)nanosleep(&pause, NULL);
}

static void test_a_report_waits_for_a_harvest(void **state)
{
    (void)state;
    rigs[1]->agreed.dirty_runs = 0;
    assert_int_equal(set_dirty(hwpt, 1), 0);
    rig_write(rigs[1], 5 * PAGE);
    rigs[1]->on_report = ask_meanwhile;
    atomic_store(&second_asked, 0);
    assert_int_equal(bridge_log_harvest(rigs[1]->device.log, 0, MEMORY_BYTES), 0);
    assert_int_equal(pthread_join(second, NULL), 0);
    assert_int_equal(atomic_load(&second_count), 1);
}

static void test_a_large_map_is_harvested_in_pieces(void **state)
{
    const uint64_t base = 1ull << 40;
    const uint64_t bytes = 512ull << 30; /* its bitmap is above the limit */

    (void)state;
    assert_int_equal(map_va(ioas, base, bytes, RAM), 0);
    assert_int_equal(set_dirty(hwpt, 1), 0);
    assert_int_equal(unmap(ioas, base, bytes), bytes);
    assert_int_equal(rigs[0]->told_unmaps, 0);
    assert_int_equal(rigs[0]->runs_calls, 1);
}

/* --- any sequence */

static void any_step(uint8_t *written, int *is_mapped)
{
    const uint64_t page = (uint64_t)rand() % MEMORY_PAGES;
    const uint64_t count = 1 + (uint64_t)rand() % (MEMORY_PAGES - page);
    const int kind = rand() % 16;

    if (kind < 10) {
        if (*is_mapped) {
            rig_write(rigs[rand() % 2], page * PAGE);
            written[page] = 1;
        }
    } else if (kind < 12) {
        if (*is_mapped) {
            assert_int_equal(unmap(ioas, 0, UINT64_MAX), MEMORY_BYTES);
        } else {
            assert_int_equal(map_va(ioas, 0, MEMORY_BYTES, RAM), 0);
        }
        *is_mapped = !*is_mapped;
    } else {
        uint64_t bitmap[MEMORY_PAGES / 64] = { 0 };
        const int keep = rand() % 2;

        assert_int_equal(
            get_dirty(hwpt, page * PAGE, count * PAGE, PAGE, (uint32_t)keep, bitmap), 0);
        for (uint64_t i = 0; i < count; i++) {
            assert_int_equal(ferry_bitmap_test(bitmap, i), written[page + i]);
            written[page + i] = keep ? written[page + i] : 0;
        }
    }
}

static void test_any_sequence_tells_every_page_once(void **state)
{
    uint8_t written[MEMORY_PAGES];

    (void)state;
    srand(7);
    for (uint32_t kind = 0; kind < 3; kind++) {
        int is_mapped = 1;

        memset(written, 0, sizeof(written));
        rigs[0]->no_runs = kind == 1;
        rigs[0]->agreed.dirty_runs = kind != 1;
        rigs[1]->agreed.dirty_runs = kind == 0;
        rigs[1]->runs_cap = kind == 2 ? 3 : 0;
        assert_int_equal(set_dirty(hwpt, 1), 0);
        for (uint32_t i = 0; i < 5000; i++) {
            any_step(written, &is_mapped);
        }
        assert_int_equal(set_dirty(hwpt, 0), 0);
        if (!is_mapped) {
            assert_int_equal(map_va(ioas, 0, MEMORY_BYTES, RAM), 0);
        }
    }
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, rig_log_start, rig_log_stop)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_pages_of_all_devices_are_told_once),
        TEST(test_a_report_may_have_larger_pages),
        TEST(test_a_report_without_clearing_is_repeated),
        TEST(test_what_is_unmapped_was_harvested),
        TEST(test_what_was_harvested_ends_with_the_tracking),
        TEST(test_an_unmap_without_tracking_asks_for_nothing),
        TEST(test_flat_reports_lie_in_one_map_each),
        TEST(test_what_a_message_writes_is_told),
        TEST(test_many_runs_take_several_answers),
        TEST(test_a_server_that_tells_little_at_a_time_is_asked_for_bitmaps),
        TEST(test_an_answer_that_ends_inside_a_page_makes_all_of_it_written),
        TEST(test_a_report_waits_for_a_harvest),
        TEST(test_a_large_map_is_harvested_in_pieces),
        TEST(test_any_sequence_tells_every_page_once),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
