/* SPDX-License-Identifier: BSD-3-Clause */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "core/session/precopy.h"
#include "core/session/source.h"
#include "core/session/target.h"

#define ALL (FERRY_MIG_STOP_COPY | FERRY_MIG_P2P | FERRY_MIG_PRE_COPY)
#define MS 1000000u

static struct ferry_action actions[FERRY_SESSION_ACTIONS_MAX];

static struct ferry_session_config two_devices(void)
{
    struct ferry_session_config config = { .device_count = 2 };

    config.device[0].features = ALL;
    config.device[0].can_log = 1;
    config.device[1].features = FERRY_MIG_STOP_COPY;
    return config;
}

static int feed(struct ferry_source *source, uint32_t kind, uint32_t device, uint32_t arg)
{
    struct ferry_event event = {
        .kind = kind, .device = device, .arg = arg, .now_ns = MS
    };

    return ferry_source_step(source, &event, actions, FERRY_SESSION_ACTIONS_MAX);
}

static void a_configuration_that_makes_no_sense_is_refused(void **state)
{
    struct ferry_session_config config = two_devices();
    struct ferry_source source;
    struct ferry_target target;

    (void)state;
    config.device_count = 0;
    assert_int_equal(ferry_source_init(&source, &config), FERRY_E_ARGUMENT);
    config.device_count = FERRY_SESSION_DEVICES_MAX + 1;
    assert_int_equal(ferry_target_init(&target, &config), FERRY_E_ARGUMENT);
    config = two_devices();
    config.device[1].features = FERRY_MIG_P2P;
    assert_int_equal(ferry_source_init(&source, &config), FERRY_E_ARGUMENT);
    config = two_devices();
    config.device[0].reaches_peer = 1;
    config.device[0].peer = 2;
    assert_int_equal(ferry_source_init(&source, &config), FERRY_E_ARGUMENT);
    config = two_devices();
    config.arbiter = 7;
    assert_int_equal(ferry_target_init(&target, &config), FERRY_E_ARGUMENT);
}

static void too_small_an_array_leaves_the_session_as_it_was(void **state)
{
    struct ferry_session_config config = two_devices();
    struct ferry_event start = { .kind = FERRY_EV_START, .device = FERRY_NO_DEVICE };
    struct ferry_source source, before;

    (void)state;
    assert_int_equal(ferry_source_init(&source, &config), FERRY_OK);
    before = source;
    assert_int_equal(ferry_source_step(&source, &start, actions, 1), FERRY_E_CAPACITY);
    assert_memory_equal(&source, &before, sizeof(source));
    assert_true(ferry_source_step(&source, &start, actions, 2) == 2);
}

static void an_end_that_comes_twice_changes_nothing(void **state)
{
    struct ferry_session_config config = two_devices();
    struct ferry_source source, before;

    (void)state;
    assert_int_equal(ferry_source_init(&source, &config), FERRY_OK);
    feed(&source, FERRY_EV_START, FERRY_NO_DEVICE, 0);
    feed(&source, FERRY_EV_MESSAGE, FERRY_NO_DEVICE, FERRY_MSG_ACCEPT);
    feed(&source, FERRY_EV_LOG_DONE, 0, 0);
    feed(&source, FERRY_EV_STATE_DONE, 0, FERRY_STATE_PRE_COPY);
    assert_int_equal(ferry_source_phase(&source), FERRY_SRC_PRE_COPY);
    before = source;
    assert_int_equal(feed(&source, FERRY_EV_STATE_DONE, 0, FERRY_STATE_ERROR), 0);
    assert_int_equal(feed(&source, FERRY_EV_LOG_DONE, 0, 0), 0);
    assert_int_equal(feed(&source, FERRY_EV_STATE_DONE, 77, FERRY_STATE_STOP), 0);
    assert_memory_equal(&source, &before, sizeof(source));
}

static struct ferry_event random_event(void)
{
    struct ferry_event event = {
        .kind = (uint32_t)rand() % (FERRY_EV_COUNT + 2),
        .device = rand() % 8 == 0 ? FERRY_NO_DEVICE : (uint32_t)rand() % 3,
        .status = rand() % 6 == 0 ? FERRY_E_DEVICE : FERRY_OK,
        .arg = (uint32_t)rand() % 12,
        .now_ns = (uint64_t)rand() * 1000u,
        .a = (uint64_t)rand(),
        .b = rand() % 2 ? 0 : (uint64_t)rand() << 30,
        .c = rand() % 2 ? 0 : UINT64_MAX,
    };

    return event;
}

/* Whatever comes, in whatever order: a session ends or waits, and says so. */
static void any_event_is_legal_input_in_any_phase(void **state)
{
    struct ferry_session_config config = two_devices();
    uint32_t seen_source = 0, seen_target = 0;

    (void)state;
    srand(1);
    for (int run = 0; run < 3000; run++) {
        struct ferry_source source;
        struct ferry_target target;

        config.arbiter = run % 2 ? FERRY_ARBITER_SHARED : FERRY_ARBITER_NONE;
        assert_int_equal(ferry_source_init(&source, &config), FERRY_OK);
        assert_int_equal(ferry_target_init(&target, &config), FERRY_OK);
        for (int i = 0; i < 400; i++) {
            struct ferry_event event = random_event();

            assert_true(ferry_source_step(&source, &event, actions,
                                          FERRY_SESSION_ACTIONS_MAX) >= 0);
            assert_true(ferry_target_step(&target, &event, actions,
                                          FERRY_SESSION_ACTIONS_MAX) >= 0);
            seen_source |= 1u << ferry_source_phase(&source);
            seen_target |= 1u << ferry_target_phase(&target);
        }
        assert_true((ferry_source_phase(&source) == FERRY_SRC_ENDED) ==
                    (ferry_source_outcome(&source) != FERRY_OUTCOME_BUSY));
    }
    /* Chance reaches the far phases seldom; the near ones it must have seen. */
    assert_true(seen_source & (1u << FERRY_SRC_PRE_COPY));
    assert_true(seen_source & (1u << FERRY_SRC_BACK_REVIVE));
    assert_true(seen_target & (1u << FERRY_TGT_LOADING));
}

static void the_largest_group_fits_the_largest_action_array(void **state)
{
    struct ferry_session_config config = { .device_count = FERRY_SESSION_DEVICES_MAX };
    struct ferry_source source;

    (void)state;
    for (uint32_t i = 0; i < FERRY_SESSION_DEVICES_MAX; i++) {
        config.device[i].features = ALL;
        config.device[i].can_log = 1;
    }
    assert_int_equal(ferry_source_init(&source, &config), FERRY_OK);
    assert_true(feed(&source, FERRY_EV_START, FERRY_NO_DEVICE, 0) > 0);
    assert_true(feed(&source, FERRY_EV_MESSAGE, FERRY_NO_DEVICE, FERRY_MSG_ACCEPT) > 0);
    for (uint32_t i = 0; i < FERRY_SESSION_DEVICES_MAX; i++) {
        assert_true(feed(&source, FERRY_EV_LOG_DONE, i, 0) >= 0);
    }
    for (uint32_t i = 0; i < FERRY_SESSION_DEVICES_MAX; i++) {
        assert_true(feed(&source, FERRY_EV_STATE_DONE, i, FERRY_STATE_PRE_COPY) >= 0);
    }
    assert_int_equal(ferry_source_phase(&source), FERRY_SRC_PRE_COPY);
    assert_true(feed(&source, FERRY_EV_CANCEL, FERRY_NO_DEVICE, 0) > 0);
}

static void the_prediction_adds_the_slowest_arcs_and_the_transfer(void **state)
{
    struct ferry_session_config config = two_devices();
    struct ferry_precopy precopy;

    (void)state;
    config.overhead_ns = 1000;
    config.rate_bytes_per_s = 1000000000u;
    config.load_rate_bytes_per_s = 500000000u;
    config.device[0].quiet_ns = 10;
    config.device[1].quiet_ns = 1000000; /* has no P2P state: does not count */
    config.device[0].stop_ns = 20;
    config.device[1].stop_ns = 30;
    ferry_precopy_init(&precopy, &config);
    precopy.ram_dirty_bytes = 7000;
    precopy.stop_bytes[0] = 1000;
    precopy.other_bytes = 2000;
    assert_int_equal(ferry_precopy_left(&precopy, &config), 10000);
    /* 10,000 bytes at 1 GB/s are 10,000 ns; loading 3,000 at 0.5 GB/s takes less. */
    assert_int_equal(ferry_precopy_predict(&precopy, &config), 10000 + 10 + 30 + 1000);
    precopy.stop_bytes[0] = 20000;
    /* Now loading is slower: 22,000 bytes at 0.5 GB/s. */
    assert_int_equal(ferry_precopy_predict(&precopy, &config), 44000 + 10 + 30 + 1000);
}

static void a_prediction_never_overflows(void **state)
{
    struct ferry_session_config config = two_devices();
    struct ferry_precopy precopy;

    (void)state;
    config.rate_bytes_per_s = 1;
    config.load_rate_bytes_per_s = UINT64_MAX;
    ferry_precopy_init(&precopy, &config);
    precopy.ram_dirty_bytes = UINT64_MAX;
    precopy.stop_bytes[0] = UINT64_MAX;
    assert_true(ferry_precopy_left(&precopy, &config) == UINT64_MAX);
    assert_true(ferry_precopy_predict(&precopy, &config) == UINT64_MAX);
    precopy.rate = 0;
    assert_true(ferry_precopy_predict(&precopy, &config) == UINT64_MAX);
    precopy.ram_dirty_bytes = UINT64_MAX / 2;
    precopy.stop_bytes[0] = 0;
    precopy.rate = UINT64_MAX;
    assert_true(ferry_precopy_predict(&precopy, &config) < 1000000000u);
}

static void every_number_has_a_name(void **state)
{
    (void)state;
    for (uint32_t i = 1; i < FERRY_EV_COUNT; i++) {
        assert_string_not_equal(ferry_event_name(i), "?");
    }
    for (uint32_t i = 1; i < FERRY_ACT_COUNT; i++) {
        assert_string_not_equal(ferry_action_name(i), "?");
    }
    for (uint32_t i = 1; i < FERRY_MSG_COUNT; i++) {
        assert_string_not_equal(ferry_message_name(i), "?");
    }
    for (uint32_t i = 0; i < FERRY_SRC_COUNT; i++) {
        assert_string_not_equal(ferry_source_phase_name(i), "?");
    }
    for (uint32_t i = 0; i < FERRY_TGT_COUNT; i++) {
        assert_string_not_equal(ferry_target_phase_name(i), "?");
    }
    assert_string_equal(ferry_event_name(FERRY_EV_COUNT), "?");
    assert_string_equal(ferry_source_phase_name(FERRY_SRC_COUNT), "?");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_configuration_that_makes_no_sense_is_refused),
        cmocka_unit_test(too_small_an_array_leaves_the_session_as_it_was),
        cmocka_unit_test(an_end_that_comes_twice_changes_nothing),
        cmocka_unit_test(any_event_is_legal_input_in_any_phase),
        cmocka_unit_test(the_largest_group_fits_the_largest_action_array),
        cmocka_unit_test(the_prediction_adds_the_slowest_arcs_and_the_transfer),
        cmocka_unit_test(a_prediction_never_overflows),
        cmocka_unit_test(every_number_has_a_name),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
