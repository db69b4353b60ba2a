/* SPDX-License-Identifier: BSD-3-Clause */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "test_bridge_log_rig.h"

/* Devices that leave or are lost, and their own logging: what they wrote is told. */

static void test_what_a_device_wrote_before_it_left_stays_with_the_table(void **state)
{
    uint64_t first = 0;

    (void)state;
    for (uint32_t told = 0; told < 2; told++) {
        rigs[1]->agreed.dirty_runs = (uint8_t)told;
        rigs[1]->no_runs = !told;
        rigs[1]->on_unmap = told ? rig_write_inside : NULL;
        assert_int_equal(set_dirty(hwpt, 1), 0);
        rig_write(rigs[0], 3 * PAGE);
        rig_write(rigs[1], 7 * PAGE);
        assert_int_equal(bridge_iommu_detach(&rigs[1]->device), 0);
        assert_int_equal(rig_log_report(0, MEMORY_BYTES, 1, NULL), 2 + told);
        assert_int_equal(rig_log_report(5 * PAGE, 10 * PAGE, 0, &first), 1);
        assert_int_equal(first, 2);
        assert_int_equal(rig_log_report(0, MEMORY_BYTES, 0, &first), 1 + told);
        assert_int_equal(first, told ? 1 : 3);
        assert_int_equal(rig_log_report(0, MEMORY_BYTES, 0, NULL), 0);
        rigs[1]->on_unmap = NULL;
        attach(1, hwpt);
        assert_int_equal(set_dirty(hwpt, 0), 0);
    }
}

static void test_what_a_device_wrote_by_messages_before_it_left_stays_too(void **state)
{
    uint64_t first = 0;

    (void)state;
    assert_int_equal(set_dirty(hwpt, 1), 0);
    bridge_log_told(rigs[1]->device.log, 9 * PAGE + 1, 2);
    assert_int_equal(bridge_iommu_detach(&rigs[1]->device), 0);
    assert_int_equal(rig_log_report(0, MEMORY_BYTES, 0, &first), 1);
    assert_int_equal(first, 9);
}

static void test_a_lost_device_that_leaves_may_have_written_anywhere(void **state)
{
    (void)state;
    assert_int_equal(set_dirty(hwpt, 1), 0);
    rig_die(rigs[1]);
    assert_int_equal(bridge_iommu_detach(&rigs[1]->device), 0);
    assert_int_equal(rig_log_report(0, MEMORY_BYTES, 0, NULL), MEMORY_PAGES);
    assert_int_equal(rig_log_report(0, MEMORY_BYTES, 0, NULL), 0);
    /* Tracking that begins anew begins with nothing. */
    rig_return(rigs[1]);
    attach(1, hwpt);
    rig_die(rigs[1]);
    assert_int_equal(bridge_iommu_detach(&rigs[1]->device), 0);
    assert_int_equal(set_dirty(hwpt, 0), 0);
    assert_int_equal(set_dirty(hwpt, 1), 0);
    assert_int_equal(rig_log_report(0, MEMORY_BYTES, 0, NULL), 0);
}

static void test_a_move_to_another_table_leaves_what_was_written(void **state)
{
    const uint32_t other = make_hwpt(1, ioas, 2);

    (void)state;
    for (uint32_t tracked = 0; tracked < 2; tracked++) {
        assert_int_equal(set_dirty(hwpt, 1), 0);
        assert_int_equal(set_dirty(other, tracked), 0);
        rig_write(rigs[1], 7 * PAGE);
        attach(1, other);
        assert_int_equal(rig_log_report(0, MEMORY_BYTES, 0, NULL), 1);
        assert_int_equal(rigs[1]->log_on, (int)tracked);
        attach(1, hwpt);
        assert_int_equal(set_dirty(hwpt, 0), 0);
    }
}

/* The device's own log goes by the device, attached or not. */
static void test_a_devices_own_log_outlives_its_leaving(void **state)
{
    const struct ferry_range range = { .off = 0, .size = MEMORY_BYTES };
    uint64_t bitmap[MEMORY_PAGES / 64] = { 0 };

    (void)state;
    assert_int_equal(bridge_log_start(rigs[0]->device.log, PAGE, &range, 1), 0);
    rig_write(rigs[0], 7 * PAGE);
    assert_int_equal(bridge_iommu_detach(&rigs[0]->device), 0);
    assert_int_equal(
        bridge_log_report(rigs[0]->device.log, 0, MEMORY_BYTES, PAGE, bitmap, 1), 0);
    assert_int_equal(bitmap[0], 1u << 7);
}

static void test_a_lost_connection_makes_everything_written(void **state)
{
    uint64_t bitmap[MEMORY_PAGES / 64];

    (void)state;
    assert_int_equal(set_dirty(hwpt, 1), 0);
    assert_int_equal(rig_log_report(0, MEMORY_BYTES, 0, NULL), 0);
    rig_die(rigs[1]);
    assert_int_equal(get_dirty(hwpt, 0, MEMORY_BYTES, PAGE, 0, bitmap), -EIO);
    assert_int_equal(unmap(ioas, 0, MEMORY_BYTES), MEMORY_BYTES);
    assert_int_equal(map_va(ioas, 0, MEMORY_BYTES, RAM), 0);
    rig_return(rigs[1]);
    assert_int_equal(bridge_iommu_repeat(&rigs[1]->device), 0);
    assert_int_equal(rigs[1]->log_on, 1);
    rig_write(rigs[1], 3 * PAGE);
    assert_int_equal(rig_log_report(0, 10 * PAGE, 1, NULL), 10);
    assert_int_equal(rig_log_report(0, 10 * PAGE, 0, NULL), 10);
    assert_int_equal(rig_log_report(0, 12 * PAGE, 0, NULL), 2);
    /* Every page once. */
    assert_int_equal(rig_log_report(0, MEMORY_BYTES, 0, NULL), MEMORY_PAGES - 12);
    assert_int_equal(rig_log_report(0, MEMORY_BYTES, 0, NULL), 0);
    rig_write(rigs[1], 4 * PAGE);
    assert_int_equal(rig_log_report(0, MEMORY_BYTES, 0, NULL), 1);
}

static void test_a_new_connection_that_nobody_tells_of_is_noticed(void **state)
{
    (void)state;
    assert_int_equal(set_dirty(hwpt, 1), 0);
    rig_return(rigs[0]);
    assert_int_equal(rig_log_report(0, MEMORY_BYTES, 0, NULL), MEMORY_PAGES);
    assert_int_equal(rigs[0]->log_on, 1);
    assert_int_equal(rig_log_report(0, MEMORY_BYTES, 0, NULL), 0);
}

static void test_a_server_that_forgot_its_log_starts_again(void **state)
{
    (void)state;
    assert_int_equal(set_dirty(hwpt, 1), 0);
    rigs[1]->log_on = 0;
    assert_int_equal(rig_log_report(0, MEMORY_BYTES, 0, NULL), MEMORY_PAGES);
    assert_int_equal(rigs[1]->log_on, 1);
    assert_int_equal(rig_log_report(0, MEMORY_BYTES, 0, NULL), 0);
    /* Also when it is found out by an unmap. */
    rigs[1]->log_on = 0;
    rigs[1]->agreed.dirty_runs = 0;
    assert_int_equal(unmap(ioas, 0, MEMORY_BYTES), MEMORY_BYTES);
    assert_int_equal(map_va(ioas, 0, MEMORY_BYTES, RAM), 0);
    assert_int_equal(rig_log_report(0, MEMORY_BYTES, 0, NULL), MEMORY_PAGES);
}

static void test_a_log_that_was_not_lost_after_all_goes_on(void **state)
{
    (void)state;
    assert_int_equal(set_dirty(hwpt, 1), 0);
    for (uint32_t i = 0; i < 2; i++) {
        rigs[1]->busy_status = i == 0 ? 0 : FERRY_E_ARGUMENT;
        bridge_log_lost(rigs[1]->device.log);
        assert_int_equal(rig_log_report(0, MEMORY_BYTES, 0, NULL), MEMORY_PAGES);
        assert_int_equal(rig_log_report(0, MEMORY_BYTES, 0, NULL), 0);
        assert_int_equal(rigs[1]->stop_calls, i);
        rig_write(rigs[1], 5 * PAGE);
        assert_int_equal(rig_log_report(0, MEMORY_BYTES, 0, NULL), 1);
    }
}

static void test_what_a_failed_report_took_counts_as_written(void **state)
{
    uint64_t bitmap[MEMORY_PAGES / 64];

    (void)state;
    assert_int_equal(set_dirty(hwpt, 1), 0);
    rig_write(rigs[0], 3 * PAGE);
    rigs[0]->log_status = FERRY_E_DEVICE;
    assert_int_equal(get_dirty(hwpt, 0, 8 * PAGE, PAGE, 0, bitmap), -EIO);
    rigs[0]->log_status = FERRY_OK;
    assert_int_equal(rig_log_report(0, MEMORY_BYTES, 0, NULL), 8);
    assert_int_equal(rig_log_report(0, MEMORY_BYTES, 0, NULL), 0);
    /* A harvest that fails does not hold the unmap up. */
    rigs[0]->agreed.dirty_runs = 0;
    rigs[0]->log_status = FERRY_E_DEVICE;
    assert_int_equal(unmap(ioas, 0, MEMORY_BYTES), MEMORY_BYTES);
    rigs[0]->log_status = FERRY_OK;
    assert_int_equal(rig_log_report(0, MEMORY_BYTES, 0, NULL), MEMORY_PAGES);
}

/* --- the device's own logging */

static void test_a_devices_own_log_has_ranges(void **state)
{
    const struct ferry_range range[2] = { { 0, 16 * PAGE }, { 32 * PAGE, PAGE } };
    struct bridge_log *log = rigs[0]->device.log;
    uint64_t bitmap[MEMORY_PAGES / 64] = { 0 };

    (void)state;
    assert_int_equal(bridge_log_running(log), 0);
    assert_int_equal(bridge_log_report(log, 0, PAGE, PAGE, bitmap, 1), -EINVAL);
    assert_int_equal(bridge_log_stop(log), 0);
    assert_int_equal(bridge_log_start(log, PAGE, range, 2), 0);
    assert_int_equal(bridge_log_start(log, PAGE, range, 2), -EBUSY);
    assert_int_equal(bridge_log_running(log), 1);
    assert_int_equal(rigs[0]->range_count, 2);
    rig_write(rigs[0], 15 * PAGE);
    rig_write(rigs[0], 32 * PAGE);
    rig_write(rigs[0], 33 * PAGE);
    assert_int_equal(bridge_log_report(log, 0, MEMORY_BYTES, PAGE, bitmap, 1), 0);
    assert_true(bitmap[0] == (1ull << 15 | 1ull << 32));
    /* After a loss everything in them counts as written, and nothing else. */
    rig_die(rigs[0]);
    rig_return(rigs[0]);
    memset(bitmap, 0, sizeof(bitmap));
    assert_int_equal(bridge_log_report(log, 0, MEMORY_BYTES, PAGE, bitmap, 1), 0);
    assert_true(bitmap[0] == (0xffffull | 1ull << 32));
    assert_int_equal(bridge_log_stop(log), 0);
    assert_int_equal(rigs[0]->log_on, 0);
    /* Of a dead one as well. */
    assert_int_equal(bridge_log_start(log, PAGE, NULL, 0), 0);
    rig_die(rigs[0]);
    assert_int_equal(bridge_log_stop(log), 0);
    assert_int_equal(bridge_log_running(log), 0);
    assert_int_equal(bridge_log_start(log, PAGE, NULL, 0), -EIO);
}

static void test_bad_ranges_are_refused(void **state)
{
    struct bridge_log *log = rigs[0]->device.log;
    struct ferry_range range[FERRY_LOG_RANGES_MAX + 1];
    uint64_t bitmap[8] = { 0 };

    (void)state;
    for (uint64_t i = 0; i <= FERRY_LOG_RANGES_MAX; i++) {
        range[i] = (struct ferry_range){ .off = i * 2 * PAGE, .size = PAGE };
    }
    assert_int_equal(bridge_log_start(log, PAGE, range, FERRY_LOG_RANGES_MAX + 1),
                     -E2BIG);
    assert_int_equal(bridge_log_start(log, 2048, range, 1), -EINVAL);
    assert_int_equal(bridge_log_start(log, 3 * PAGE, range, 1), -EINVAL);
    range[1].size = 0;
    assert_int_equal(bridge_log_start(log, PAGE, range, 2), -EINVAL);
    range[1].size = 17;
    assert_int_equal(bridge_log_start(log, PAGE, range, 2), -EINVAL);
    range[1].size = UINT64_MAX - PAGE + 1;
    assert_int_equal(bridge_log_start(log, PAGE, range, 2), -EOVERFLOW);
    range[1] = range[0];
    assert_int_equal(bridge_log_start(log, PAGE, range, 2), -EINVAL);
    range[1].off = 2 * PAGE;
    assert_int_equal(rigs[0]->start_calls, 0);
    assert_int_equal(bridge_log_start(log, PAGE, range, FERRY_LOG_RANGES_MAX), 0);
    assert_int_equal(bridge_log_report(log, 1, PAGE, PAGE, bitmap, 1), -EINVAL);
    assert_int_equal(bridge_log_report(log, 0, 0, PAGE, bitmap, 1), -EINVAL);
    assert_int_equal(bridge_log_report(log, 0, PAGE, 1024, bitmap, 1), -EINVAL);
    assert_int_equal(bridge_log_report(log, 0, PAGE, 2 * PAGE, bitmap, 1), -EINVAL);
    assert_int_equal(bridge_log_report(log, PAGE, UINT64_MAX - PAGE + 1, PAGE, bitmap, 1),
                     -EOVERFLOW);
    assert_int_equal(bridge_log_report(log, 0, PAGE, PAGE, NULL, 1), -EFAULT);
    rigs[2]->no_log = 1;
    assert_int_equal(bridge_log_start(rigs[2]->device.log, PAGE, range, 1), -EIO);
    assert_int_equal(bridge_log_running(rigs[2]->device.log), 0);
}

static void test_a_new_connection_is_asked_anew_whether_it_logs(void **state)
{
    struct bridge_log *log = rigs[2]->device.log;

    (void)state;
    rigs[2]->no_log = 1;
    assert_int_equal(bridge_log_possible(log), 0);
    rigs[2]->no_log = 0;
    assert_int_equal(bridge_log_possible(log), 0);
    rig_return(rigs[2]);
    assert_int_equal(bridge_log_possible(log), 1);
    assert_int_equal(bridge_log_possible(log), 1);
    assert_int_equal(rigs[2]->probe_calls, 3);
    assert_int_equal(bridge_log_possible(NULL), 0);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, rig_log_start, rig_log_stop)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_what_a_device_wrote_before_it_left_stays_with_the_table),
        TEST(test_what_a_device_wrote_by_messages_before_it_left_stays_too),
        TEST(test_a_lost_device_that_leaves_may_have_written_anywhere),
        TEST(test_a_move_to_another_table_leaves_what_was_written),
        TEST(test_a_devices_own_log_outlives_its_leaving),
        TEST(test_a_lost_connection_makes_everything_written),
        TEST(test_a_new_connection_that_nobody_tells_of_is_noticed),
        TEST(test_a_server_that_forgot_its_log_starts_again),
        TEST(test_a_log_that_was_not_lost_after_all_goes_on),
        TEST(test_what_a_failed_report_took_counts_as_written),
        TEST(test_a_devices_own_log_has_ranges),
        TEST(test_bad_ranges_are_refused),
        TEST(test_a_new_connection_is_asked_anew_whether_it_logs),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
