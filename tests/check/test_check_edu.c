/* SPDX-License-Identifier: BSD-3-Clause */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>

#include "drivers/check/check_drivers.h"
#include "ferry/check.h"
#include "tests/check/edu/edu.h"

/* The checker with its drivers of edu, over a device with edu's registers: what the
 * driver has it do is seen, and what such a device gets wrong is found by the driver. */

#define NAMES_BYTES 4096u

struct seen {
    struct ferry_check_summary summary;
    uint32_t driven_passed;  /* cases that need the driver */
    char names[NAMES_BYTES]; /* checks with findings, each once, a space behind */
};

static void note(char *names, const char *id)
{
    char name[64];

    snprintf(name, sizeof(name), "%s ", id);
    if (strstr(names, name) == NULL) {
        assert_true(strlen(names) + strlen(name) < NAMES_BYTES);
        strcat(names, name);
    }
}

static int on_result(void *user, const struct ferry_check_result *result)
{
    struct seen *seen = user;

    if (result->verdict == FERRY_CHECK_FAIL || result->verdict == FERRY_CHECK_BROKEN) {
        print_message("%s[%s]: %s; %s\n", result->check->id, result->name,
                      result->expected, result->seen);
        note(seen->names, result->check->id);
    }
    seen->driven_passed += result->verdict == FERRY_CHECK_PASS &&
                           (result->check->needs & FERRY_CHECK_NEEDS_DRIVER) != 0;
    return 0;
}

static struct seen check(const char *option, const struct ferry_check_driver *driver,
                         const char *only)
{
    const struct ferry_model_options options = { sizeof(options), option != NULL,
                                                 &option };
    struct ferry_device *device[2];
    void *state[2];
    struct seen seen = { .driven_passed = 0 };
    struct ferry_check_options wanted = { .struct_size = sizeof(wanted),
                                          .driver = driver,
                                          .only = only,
                                          .look_ms = 1,
                                          .result = on_result,
                                          .user = &seen };
    struct ferry_error error = { .code = FERRY_OK };

    for (int i = 0; i < 2; i++) {
        assert_int_equal(edu_model.create(&options, &device[i], &state[i], &error),
                         FERRY_OK);
    }
    wanted.device.endpoint = ferry_device_endpoint(device[0]);
    wanted.partner.endpoint = ferry_device_endpoint(device[1]);
    assert_int_equal(ferry_check_run(&wanted, &seen.summary, &error), FERRY_OK);
    for (int i = 0; i < 2; i++) {
        edu_model.destroy(device[i], state[i]);
    }
    return seen;
}

static void a_sound_device_passes_with_each_driver(void **state)
{
    const struct ferry_check_driver *const drivers[] = { &check_driver_edu,
                                                         &check_driver_edu_buffer };

    (void)state;
    for (int i = 0; i < 2; i++) {
        const struct seen seen = check(NULL, drivers[i], NULL);

        assert_string_equal(seen.names, "");
        assert_int_equal(seen.summary.failed + seen.summary.broken, 0);
        assert_true(seen.driven_passed > 80);
    }
}

/* Where a state is loaded or work goes on: all of it takes its time. */
#define SOME "data.once* data.goes-on* dma.goes-on* cancel.work*"

/* It is found by a driver, and only by one. */
static void is_found_by(const char *option, const struct ferry_check_driver *driver)
{
    assert_true(check(option, driver, SOME).summary.failed > 0);
    assert_int_equal(check(option, NULL, SOME).summary.failed, 0);
}

static void a_buffer_that_is_not_carried_is_found_if_it_was_filled(void **state)
{
    (void)state;
    is_found_by("fault=forgets", &check_driver_edu_buffer);
    assert_int_equal(check("fault=forgets", &check_driver_edu, SOME).summary.failed, 0);
}

static void a_transfer_that_is_dropped_on_the_way_to_a_stop_is_found(void **state)
{
    (void)state;
    is_found_by("fault=drops", &check_driver_edu);
    is_found_by("fault=drops", &check_driver_edu_buffer);
}

static void a_register_that_is_not_carried_is_found(void **state)
{
    (void)state;
    is_found_by("fault=stale", &check_driver_edu);
    is_found_by("fault=stale", &check_driver_edu_buffer);
}

static void a_device_without_interrupts_is_of_no_use_to_the_driver(void **state)
{
    const struct seen seen = check("fault=quiet", &check_driver_edu, "log.complete*");

    (void)state;
    assert_int_equal(seen.summary.passed, 0);
    assert_true(seen.summary.broken > 0);
}

#define SLOW_WRITE_NS 45000000

static uint32_t slow_writes;

/* About as slow as the real one, which takes 100 ms for each transfer. */
static int write_slowly(void *state, uint64_t iova, uint64_t bytes,
                        struct ferry_error *reterr)
{
    const struct timespec rest = { .tv_nsec = SLOW_WRITE_NS };

    (void)nanosleep(&rest, NULL);
    slow_writes++;
    return check_driver_edu.write(state, iova, bytes, reterr);
}

static void a_slow_device_is_asked_for_few_writes(void **state)
{
    struct ferry_check_driver slow = check_driver_edu;
    struct seen seen;

    (void)state;
    slow.write = write_slowly;
    seen = check(NULL, &slow,
                 "log.complete[1024-far-pages] log.report.clears log.start.many[256]");
    assert_int_equal(seen.summary.passed, 2);
    assert_int_equal(seen.summary.skipped, 1);
    assert_int_equal(seen.summary.failed + seen.summary.broken, 0);
    assert_in_range(slow_writes, 10, 40);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_sound_device_passes_with_each_driver),
        cmocka_unit_test(a_buffer_that_is_not_carried_is_found_if_it_was_filled),
        cmocka_unit_test(a_transfer_that_is_dropped_on_the_way_to_a_stop_is_found),
        cmocka_unit_test(a_register_that_is_not_carried_is_found),
        cmocka_unit_test(a_slow_device_is_asked_for_few_writes),
        cmocka_unit_test(a_device_without_interrupts_is_of_no_use_to_the_driver),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
