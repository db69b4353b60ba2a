/* SPDX-License-Identifier: BSD-3-Clause */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <unistd.h>

#include <cmocka.h>

#include "test_bridge_iommu_rig.h"

/* Servers like libvfio-user: they take no change of maps in STOP, and know ranges in
 * their log only from where a map begins. */

#define RAM ((void *)(uintptr_t)0x10000000)

static uint32_t ioas;

static int start(void **state)
{
    rig_start(state);
    ioas = make_ioas();
    attach(0, ioas);
    attach(1, ioas);
    assert_int_equal(map_va(ioas, PAGE, PAGE, RAM), 0);
    assert_int_equal(map_va(ioas, 2 * PAGE, PAGE, RAM), 0);
    rigs[0]->device.settled = rigs[1]->device.settled = 1;
    rigs[0]->still = 1;
    return 0;
}

static void test_changes_are_made_up_for_as_it_runs_again(void **state)
{
    (void)state;
    assert_int_equal(unmap(ioas, PAGE, PAGE), PAGE);
    assert_int_equal(unmap(ioas, 2 * PAGE, PAGE), PAGE);
    assert_int_equal(map_va(ioas, PAGE, 4 * PAGE, RAM), 0);
    assert_int_equal(rigs[0]->maps, 2);
    assert_int_equal(rigs[1]->maps, 1);
    assert_int_equal(bridge_iommu_settle(&rigs[1]->device), 0);
    rigs[0]->still = 0;
    assert_int_equal(bridge_iommu_settle(&rigs[0]->device), 0);
    assert_int_equal(rigs[0]->maps, 1);
    assert_non_null(rig_find(rigs[0], PAGE, 4 * PAGE));
    assert_int_equal(rigs[1]->maps, 1);
    assert_int_equal(said, 0);
    rigs[0]->map_calls = rigs[0]->unmap_calls = 0;
    assert_int_equal(bridge_iommu_settle(&rigs[0]->device), 0);
    assert_int_equal(rigs[0]->map_calls + rigs[0]->unmap_calls, 0);
}

static void test_what_comes_and_goes_meanwhile_is_never_told(void **state)
{
    (void)state;
    assert_int_equal(map_va(ioas, 8 * PAGE, PAGE, RAM), 0);
    assert_int_equal(map_va(ioas, 9 * PAGE, PAGE, RAM), 0);
    assert_int_equal(unmap(ioas, 8 * PAGE, PAGE), PAGE);
    assert_int_equal(map_va(ioas, 8 * PAGE, PAGE, RAM), 0);
    assert_int_equal(unmap(ioas, 8 * PAGE, PAGE), PAGE);
    rigs[0]->still = 0;
    rigs[0]->map_calls = rigs[0]->unmap_calls = 0;
    assert_int_equal(bridge_iommu_settle(&rigs[0]->device), 0);
    assert_int_equal(rigs[0]->map_calls, 1);
    assert_int_equal(rigs[0]->unmap_calls, 0);
    assert_non_null(rig_find(rigs[0], 9 * PAGE, PAGE));
    assert_null(rig_find(rigs[0], 8 * PAGE, PAGE));
}

static void test_what_it_refuses_still_is_told(void **state)
{
    (void)state;
    assert_int_equal(map_va(ioas, 8 * PAGE, PAGE, RAM), 0);
    rigs[0]->still = 0;
    rigs[0]->map_status = FERRY_E_LIMIT;
    assert_true(bridge_iommu_settle(&rigs[0]->device) < 0);
    assert_int_equal(said, 1);
    /* A refusal that has nothing to do with its state is one. */
    rigs[0]->device.settled = 0;
    assert_true(map_va(ioas, 9 * PAGE, PAGE, RAM) < 0);
}

static void test_a_new_server_gets_all_maps_and_no_old_changes(void **state)
{
    (void)state;
    assert_int_equal(unmap(ioas, PAGE, PAGE), PAGE);
    assert_int_equal(map_va(ioas, PAGE, PAGE, RAM), 0);
    rig_die(rigs[0]);
    rigs[0]->still = 0;
    rig_return(rigs[0]);
    assert_int_equal(bridge_iommu_repeat(&rigs[0]->device), 0);
    assert_int_equal(rigs[0]->maps, 2);
    rigs[0]->map_calls = rigs[0]->unmap_calls = 0;
    assert_int_equal(bridge_iommu_settle(&rigs[0]->device), 0);
    assert_int_equal(rigs[0]->map_calls + rigs[0]->unmap_calls, 0);
}

static void test_a_large_map_is_asked_for_in_one_piece(void **state)
{
    const uint64_t size = 3ull << 30, at = 1ull << 30;
    uint8_t *bitmap = calloc(1, size / PAGE / 8);
    const uint32_t hwpt = make_hwpt(3, ioas, 2);

    (void)state;
    assert_non_null(bitmap);
    rigs[0]->still = 0;
    attach(2, hwpt);
    mappings_fd = make_file(size / PAGE);
    assert_int_equal(map_va(ioas, at, size, RAM), 0);
    rigs[2]->no_runs = rigs[2]->exact_reports = 1;
    rigs[2]->max_data = 1u << 20;
    assert_int_equal(set_dirty(hwpt, 1), 0);
    rig_write(rigs[2], at + 7 * PAGE);
    assert_int_equal(get_dirty(hwpt, at, size, PAGE, 0, bitmap), 0);
    assert_int_equal(rigs[2]->report_calls, 1);
    assert_int_equal(bitmap[0], 1u << 7);
    free(bitmap);
    close(mappings_fd);
    mappings_fd = -1;
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, start, rig_stop)
    const struct CMUnitTest tests[] = {
        TEST(test_changes_are_made_up_for_as_it_runs_again),
        TEST(test_what_comes_and_goes_meanwhile_is_never_told),
        TEST(test_what_it_refuses_still_is_told),
        TEST(test_a_new_server_gets_all_maps_and_no_old_changes),
        TEST(test_a_large_map_is_asked_for_in_one_piece),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
