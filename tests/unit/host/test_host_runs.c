/* SPDX-License-Identifier: BSD-3-Clause */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "ferry/host.h"
#include "host/context/context.h"
#include "test_host_fake.h"

/* How a context asks a device's log: by runs where that is shorter, else by bitmaps. */

#define PAGE 4096ull
#define BASE 0x40000000ull
#define PAGES 1200000u /* more than two bitmaps of the largest size tell of */

static _Alignas(4096) uint8_t ram[PAGE];

struct rig {
    struct ferry_context *context;
    struct fake_device fake;
    struct ferry_dirty marks;
    void *memory;
    uint32_t done;
};

static int setup(void **state)
{
    /* Nobody looks into it: a harvest only moves marks. */
    const struct ferry_memory memory = {
        .iova = BASE, .size = PAGES * PAGE, .address = ram, .fd = -1, .writable = 1
    };
    const uint64_t pages = BASE / PAGE + PAGES;
    struct rig *rig = calloc(1, sizeof(*rig));

    rig->memory = calloc(1, ferry_dirty_need(pages));
    ferry_dirty_init_zeroed(&rig->marks, pages, 12, rig->memory);
    fake_init(&rig->fake);
    assert_int_equal(ferry_context_create(NULL, &rig->context, NULL), FERRY_OK);
    assert_int_equal(ferry_context_add_memory(rig->context, &memory, NULL), 0);
    assert_int_equal(
        ferry_context_add_endpoint(rig->context, "d", &rig->fake.endpoint, NULL), 0);
    rig->fake.marks = &rig->marks;
    *state = rig;
    return 0;
}

static int teardown(void **state)
{
    struct rig *rig = *state;

    ferry_context_destroy(rig->context);
    fake_free(&rig->fake);
    free(rig->memory);
    free(rig);
    return 0;
}

static void mark(struct rig *rig, uint64_t first, uint64_t count)
{
    ferry_dirty_set(&rig->marks, BASE + first * PAGE, count * PAGE);
}

static void count_done(struct ferry_host_harvest *harvest)
{
    (*(uint32_t *)harvest->user)++;
}

/* Harvests; the map of the context must then be what the device had. */
static void harvest(struct rig *rig, uint32_t runs, uint32_t bitmaps)
{
    struct ferry_dirty *got = &rig->context->memory[0].dirty;
    struct ferry_host_harvest harvest = { .done = count_done, .user = &rig->done };
    uint8_t *wanted = calloc(1, PAGES);
    uint64_t pages = 0;

    for (uint64_t i = 0; i < PAGES; i++) {
        wanted[i] = ferry_dirty_test(&rig->marks, BASE / PAGE + i) != 0;
        pages += wanted[i];
    }
    memset(rig->fake.asked, 0, sizeof(rig->fake.asked));
    assert_int_equal(ferry_host_harvest_start(rig->context, 0, &harvest), FERRY_OK);
    assert_int_equal(rig->fake.asked[FERRY_RQ_LOG_RUNS], runs);
    assert_int_equal(rig->fake.asked[FERRY_RQ_LOG_REPORT], bitmaps);
    assert_int_equal(ferry_dirty_count(got), pages);
    for (uint64_t i = 0; i < PAGES; i++) {
        if (ferry_dirty_test(got, i) != wanted[i]) {
            fail_msg("page %llu", (unsigned long long)i);
        }
    }
    assert_int_equal(ferry_dirty_count(&rig->marks), 0);
    ferry_dirty_clear_all(got);
    free(wanted);
}

static void what_is_quiet_costs_one_request(void **state)
{
    struct rig *rig = *state;

    harvest(rig, 1, 0);
    mark(rig, 0, 1);
    mark(rig, 5, 700);
    mark(rig, PAGES - 1, 1);
    harvest(rig, 1, 0);
    mark(rig, 0, PAGES);
    harvest(rig, 1, 0);
}

static void where_much_is_dirty_a_bitmap_is_asked_for(void **state)
{
    struct rig *rig = *state;

    /* More runs than fit, in less memory than a bitmap tells of; then little. */
    for (uint64_t i = 0; i < 20000; i += 2) {
        mark(rig, i, 1);
    }
    mark(rig, 1100000, 3);
    harvest(rig, 2, 1);
    /* More than fit, but over so much memory that runs are shorter all the same. */
    for (uint64_t i = 0; i < PAGES; i += 200) {
        mark(rig, i, 2);
    }
    harvest(rig, 2, 0);
    for (uint64_t i = 0; i < PAGES; i += 2) {
        mark(rig, i, 1);
    }
    harvest(rig, 3, 3);
}

static void a_device_without_runs_is_asked_for_them_once(void **state)
{
    struct rig *rig = *state;

    rig->fake.fail_kind = FERRY_RQ_LOG_RUNS;
    rig->fake.fail_status = FERRY_E_UNSUPPORTED;
    mark(rig, 17, 3);
    harvest(rig, 1, 3);
    mark(rig, 600000, 3);
    harvest(rig, 0, 3);
}

/* MIG-LOG-12 */
static void a_failure_is_no_lack_of_runs(void **state)
{
    struct rig *rig = *state;
    struct ferry_host_harvest harvest = { .done = count_done, .user = &rig->done };

    rig->fake.fail_kind = FERRY_RQ_LOG_RUNS;
    rig->fake.fail_status = FERRY_E_DEVICE;
    assert_int_equal(ferry_host_harvest_start(rig->context, 0, &harvest), FERRY_E_DEVICE);
    assert_int_equal(rig->fake.asked[FERRY_RQ_LOG_REPORT], 0);
}

static void stand_still(struct fake_device *fake, struct ferry_request *request)
{
    (void)fake;
    if (request->kind == FERRY_RQ_LOG_RUNS) {
        request->u.log_runs.next_iova = request->u.log_runs.iova;
    }
}

static void run_away(struct fake_device *fake, struct ferry_request *request)
{
    (void)fake;
    if (request->kind == FERRY_RQ_LOG_RUNS) {
        request->u.log_runs.next_iova += PAGE;
        request->u.log_runs.count = 1;
        request->u.log_runs.run[0] = (struct ferry_range){ .off = 0, .size = UINT64_MAX };
    }
}

static void a_device_that_lies_about_runs_ends_with_bitmaps(void **state)
{
    struct rig *rig = *state;

    rig->fake.lie = stand_still;
    harvest(rig, 3, 3);
    rig->fake.lie = run_away;
    harvest(rig, 3, 3);
}

int main(void)
{
#define TEST(fn) cmocka_unit_test_setup_teardown(fn, setup, teardown)
    const struct CMUnitTest tests[] = {
        TEST(what_is_quiet_costs_one_request),
        TEST(where_much_is_dirty_a_bitmap_is_asked_for),
        TEST(a_device_without_runs_is_asked_for_them_once),
        TEST(a_failure_is_no_lack_of_runs),
        TEST(a_device_that_lies_about_runs_ends_with_bitmaps),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
