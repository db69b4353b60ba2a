/* SPDX-License-Identifier: BSD-3-Clause */
/* Sessions whose devices hang, and answer after they were given up. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "core/session/source.h"
#include "core/session/target.h"

#define P2P (FERRY_MIG_STOP_COPY | FERRY_MIG_P2P)

static struct ferry_action actions[FERRY_SESSION_ACTIONS_MAX];
static int count;

static struct ferry_session_config two_devices(void)
{
    struct ferry_session_config config = { .device_count = 2 };

    config.device[0].features = P2P;
    config.device[1].features = P2P;
    return config;
}

static void tell(struct ferry_target *target, uint32_t kind, uint32_t device,
                 uint32_t arg, int32_t status)
{
    struct ferry_event event = {
        .kind = kind, .device = device, .arg = arg, .status = status, .now_ns = 1
    };

    count = ferry_target_step(target, &event, actions, FERRY_SESSION_ACTIONS_MAX);
    assert_true(count >= 0);
}

static void feed(struct ferry_source *source, uint32_t kind, uint32_t device,
                 uint32_t arg, int32_t status)
{
    struct ferry_event event = {
        .kind = kind, .device = device, .arg = arg, .status = status, .now_ns = 1
    };

    count = ferry_source_step(source, &event, actions, FERRY_SESSION_ACTIONS_MAX);
    assert_true(count >= 0);
}

static const struct ferry_action *find(uint32_t kind, uint32_t arg)
{
    for (int i = 0; i < count; i++) {
        if (actions[i].kind == kind && actions[i].arg == arg) {
            return &actions[i];
        }
    }
    return NULL;
}

static void all_reach(struct ferry_target *target, uint32_t state)
{
    tell(target, FERRY_EV_STATE_DONE, 0, state, FERRY_OK);
    tell(target, FERRY_EV_STATE_DONE, 1, state, FERRY_OK);
}

/* To RUN: both devices are asked for RUNNING_P2P. */
static void commit(struct ferry_target *target)
{
    struct ferry_session_config config = two_devices();

    assert_int_equal(ferry_target_init(target, &config), FERRY_OK);
    tell(target, FERRY_EV_MESSAGE, FERRY_NO_DEVICE, FERRY_MSG_HELLO, FERRY_OK);
    tell(target, FERRY_EV_CHECKED, FERRY_NO_DEVICE, 0, FERRY_OK);
    all_reach(target, FERRY_STATE_RESUMING);
    tell(target, FERRY_EV_LOADED, 0, 0, FERRY_OK);
    tell(target, FERRY_EV_LOADED, 1, 0, FERRY_OK);
    all_reach(target, FERRY_STATE_STOP);
    tell(target, FERRY_EV_MEMORY_COMPLETE, FERRY_NO_DEVICE, 0, FERRY_OK);
    tell(target, FERRY_EV_CONFIG_DONE, 0, 0, FERRY_OK);
    tell(target, FERRY_EV_CONFIG_DONE, 1, 0, FERRY_OK);
    tell(target, FERRY_EV_VMM_LOADED, FERRY_NO_DEVICE, 0, FERRY_OK);
    tell(target, FERRY_EV_MESSAGE, FERRY_NO_DEVICE, FERRY_MSG_ALL_SENT, FERRY_OK);
    assert_non_null(find(FERRY_ACT_SEND, FERRY_MSG_PREPARED));
    tell(target, FERRY_EV_MESSAGE, FERRY_NO_DEVICE, FERRY_MSG_COMMIT, FERRY_OK);
    assert_int_equal(ferry_target_phase(target), FERRY_TGT_RUN);
}

/* The other device's failure starts the revival anew; what hangs may be running by then.
 */
static void a_device_that_hangs_on_its_way_to_running_forbids_giving_back(void **state)
{
    struct ferry_target target;

    (void)state;
    commit(&target);
    all_reach(&target, FERRY_STATE_RUNNING_P2P);
    assert_non_null(find(FERRY_ACT_SET_STATE, FERRY_STATE_RUNNING));
    tell(&target, FERRY_EV_STATE_DONE, 1, FERRY_STATE_ERROR, FERRY_E_DEVICE);
    tell(&target, FERRY_EV_TIMER, FERRY_NO_DEVICE, FERRY_TIMER_PHASE, FERRY_OK);
    assert_null(find(FERRY_ACT_SEND, FERRY_MSG_RETURN));
    assert_null(find(FERRY_ACT_DISCARD, 0));
    assert_int_equal(ferry_target_phase(&target), FERRY_TGT_RUN);
}

static void a_device_that_fails_with_nothing_running_is_given_back(void **state)
{
    struct ferry_target target;

    (void)state;
    commit(&target);
    tell(&target, FERRY_EV_STATE_DONE, 0, FERRY_STATE_RUNNING_P2P, FERRY_OK);
    tell(&target, FERRY_EV_STATE_DONE, 1, FERRY_STATE_ERROR, FERRY_E_DEVICE);
    assert_non_null(find(FERRY_ACT_SEND, FERRY_MSG_RETURN));
    assert_int_equal(ferry_target_outcome(&target), FERRY_OUTCOME_ROLLED_BACK);
}

static void a_target_whose_hung_device_fails_late_says_so(void **state)
{
    struct ferry_target target;
    const struct ferry_action *word;

    (void)state;
    commit(&target);
    all_reach(&target, FERRY_STATE_RUNNING_P2P);
    tell(&target, FERRY_EV_STATE_DONE, 0, FERRY_STATE_RUNNING, FERRY_OK);
    tell(&target, FERRY_EV_TIMER, FERRY_NO_DEVICE, FERRY_TIMER_PHASE, FERRY_OK);
    assert_int_equal(ferry_target_phase(&target), FERRY_TGT_RESUME);
    tell(&target, FERRY_EV_STATE_DONE, 1, FERRY_STATE_ERROR, FERRY_E_DEVICE);
    tell(&target, FERRY_EV_CPUS_RESUMED, FERRY_NO_DEVICE, 0, FERRY_OK);
    word = find(FERRY_ACT_SEND, FERRY_MSG_RUNNING);
    assert_non_null(word);
    assert_int_equal(word->status, FERRY_E_DEVICE);
    assert_int_equal(ferry_target_outcome(&target), FERRY_OUTCOME_LOST);
}

static void a_target_whose_hung_device_runs_late_has_moved_all_the_same(void **state)
{
    struct ferry_target target;
    const struct ferry_action *word;

    (void)state;
    commit(&target);
    all_reach(&target, FERRY_STATE_RUNNING_P2P);
    tell(&target, FERRY_EV_STATE_DONE, 0, FERRY_STATE_RUNNING, FERRY_OK);
    tell(&target, FERRY_EV_TIMER, FERRY_NO_DEVICE, FERRY_TIMER_PHASE, FERRY_OK);
    tell(&target, FERRY_EV_STATE_DONE, 1, FERRY_STATE_RUNNING, FERRY_OK);
    tell(&target, FERRY_EV_CPUS_RESUMED, FERRY_NO_DEVICE, 0, FERRY_OK);
    word = find(FERRY_ACT_SEND, FERRY_MSG_RUNNING);
    assert_non_null(word);
    assert_int_equal(word->status, FERRY_OK);
    assert_int_equal(ferry_target_outcome(&target), FERRY_OUTCOME_MOVED);
}

/* To BACK_RESUME with device 1 given up on its way to STOP_COPY. */
static void go_back_without(struct ferry_source *source)
{
    struct ferry_session_config config = two_devices();

    assert_int_equal(ferry_source_init(source, &config), FERRY_OK);
    feed(source, FERRY_EV_START, FERRY_NO_DEVICE, 0, FERRY_OK);
    feed(source, FERRY_EV_MESSAGE, FERRY_NO_DEVICE, FERRY_MSG_ACCEPT, FERRY_OK);
    feed(source, FERRY_EV_ROUND_DONE, FERRY_NO_DEVICE, 0, FERRY_OK);
    feed(source, FERRY_EV_CPUS_PAUSED, FERRY_NO_DEVICE, 0, FERRY_OK);
    feed(source, FERRY_EV_FOREIGN_QUIET, FERRY_NO_DEVICE, 0, FERRY_OK);
    feed(source, FERRY_EV_STATE_DONE, 0, FERRY_STATE_RUNNING_P2P, FERRY_OK);
    feed(source, FERRY_EV_STATE_DONE, 1, FERRY_STATE_RUNNING_P2P, FERRY_OK);
    feed(source, FERRY_EV_STATE_DONE, 0, FERRY_STATE_STOP_COPY, FERRY_OK);
    feed(source, FERRY_EV_TIMER, FERRY_NO_DEVICE, FERRY_TIMER_PHASE, FERRY_OK);
    assert_int_equal(ferry_source_phase(source), FERRY_SRC_BACK_SETTLE);
    feed(source, FERRY_EV_TIMER, FERRY_NO_DEVICE, FERRY_TIMER_PHASE, FERRY_OK);
    feed(source, FERRY_EV_STATE_DONE, 0, FERRY_STATE_RUNNING_P2P, FERRY_OK);
    feed(source, FERRY_EV_STATE_DONE, 0, FERRY_STATE_RUNNING, FERRY_OK);
    assert_int_equal(ferry_source_phase(source), FERRY_SRC_BACK_RESUME);
}

static void a_source_asks_a_late_device_to_run_again(void **state)
{
    struct ferry_source source;
    const struct ferry_action *ask;

    (void)state;
    go_back_without(&source);
    feed(&source, FERRY_EV_STATE_DONE, 1, FERRY_STATE_STOP_COPY, FERRY_OK);
    ask = find(FERRY_ACT_SET_STATE, FERRY_STATE_RUNNING);
    assert_non_null(ask);
    assert_int_equal(ask->device, 1);
    feed(&source, FERRY_EV_CPUS_RESUMED, FERRY_NO_DEVICE, 0, FERRY_OK);
    assert_int_equal(ferry_source_phase(&source), FERRY_SRC_BACK_LOG);
    feed(&source, FERRY_EV_STATE_DONE, 1, FERRY_STATE_RUNNING, FERRY_OK);
    assert_int_equal(ferry_source_outcome(&source), FERRY_OUTCOME_ROLLED_BACK);
}

static void a_source_whose_late_device_cannot_run_has_lost_it(void **state)
{
    struct ferry_source source;

    (void)state;
    go_back_without(&source);
    feed(&source, FERRY_EV_STATE_DONE, 1, FERRY_STATE_STOP_COPY, FERRY_OK);
    feed(&source, FERRY_EV_CPUS_RESUMED, FERRY_NO_DEVICE, 0, FERRY_OK);
    feed(&source, FERRY_EV_STATE_DONE, 1, FERRY_STATE_STOP_COPY, FERRY_E_DEVICE);
    assert_int_equal(ferry_source_outcome(&source), FERRY_OUTCOME_LOST);
}

static void a_source_whose_late_device_is_in_error_has_lost_it(void **state)
{
    struct ferry_source source;

    (void)state;
    go_back_without(&source);
    feed(&source, FERRY_EV_STATE_DONE, 1, FERRY_STATE_ERROR, FERRY_E_DEVICE);
    feed(&source, FERRY_EV_CPUS_RESUMED, FERRY_NO_DEVICE, 0, FERRY_OK);
    assert_int_equal(ferry_source_outcome(&source), FERRY_OUTCOME_LOST);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_device_that_hangs_on_its_way_to_running_forbids_giving_back),
        cmocka_unit_test(a_device_that_fails_with_nothing_running_is_given_back),
        cmocka_unit_test(a_target_whose_hung_device_fails_late_says_so),
        cmocka_unit_test(a_target_whose_hung_device_runs_late_has_moved_all_the_same),
        cmocka_unit_test(a_source_asks_a_late_device_to_run_again),
        cmocka_unit_test(a_source_whose_late_device_cannot_run_has_lost_it),
        cmocka_unit_test(a_source_whose_late_device_is_in_error_has_lost_it),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
