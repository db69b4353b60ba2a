/* SPDX-License-Identifier: BSD-3-Clause */
/* The way back: each test is about a rule of the specification. */
#include <stdarg.h>
#include <setjmp.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "session_rig.h"

static struct rig the_rig;
static struct rig *const rig = &the_rig;

static uint32_t act(uint32_t from, uint32_t kind, uint32_t device, uint32_t arg)
{
    return rig_action(rig, from, kind, device, arg);
}

/* Both happened, a before b. */
static void before(uint32_t a, uint32_t b)
{
    assert_true(a < RIG_NOTES_MAX);
    assert_true(b < RIG_NOTES_MAX);
    assert_true(a < b);
}

/* A source in this phase; what it asked for there has no answer yet. */
static void source_in(uint32_t phase)
{
    rig_source(rig, FERRY_ARBITER_NONE);
    rig_until(rig, phase);
}

/* Everything is as before the migration. */
static void runs_again(void)
{
    assert_int_equal(ferry_source_outcome(&rig->source), FERRY_OUTCOME_ROLLED_BACK);
    if (act(0, FERRY_ACT_PAUSE_CPUS, RIG_ANY, RIG_ANY) < RIG_NOTES_MAX) {
        before(act(0, FERRY_ACT_PAUSE_CPUS, RIG_ANY, RIG_ANY),
               act(0, FERRY_ACT_RESUME_CPUS, RIG_ANY, RIG_ANY));
    }
    if (act(0, FERRY_ACT_QUIET_FOREIGN, RIG_ANY, RIG_ANY) < RIG_NOTES_MAX) {
        before(act(0, FERRY_ACT_QUIET_FOREIGN, RIG_ANY, RIG_ANY),
               act(0, FERRY_ACT_RELEASE_FOREIGN, RIG_ANY, RIG_ANY));
    }
    for (uint32_t i = 0; i < 2; i++) {
        if (act(0, FERRY_ACT_SET_STATE, i, RIG_ANY) < RIG_NOTES_MAX) {
            assert_int_equal(rig->state[i], FERRY_STATE_RUNNING);
        }
    }
}

/* MIG-BACK-1, MIG-BACK-5 */
static void a_link_that_breaks_before_commit_brings_the_source_back(void **state)
{
    (void)state;
    for (uint32_t phase = FERRY_SRC_LOG; phase <= FERRY_SRC_PREPARE; phase++) {
        source_in(phase);
        rig_tell(rig, FERRY_EV_LINK_DOWN, FERRY_NO_DEVICE, 0, FERRY_E_CLOSED);
        rig_run(rig);
        runs_again();
        before(act(0, FERRY_ACT_LOG_START, 0, RIG_ANY),
               act(0, FERRY_ACT_LOG_STOP, 0, RIG_ANY));
    }
}

/* MIG-STOP-7 */
static void a_stop_that_takes_too_long_goes_back(void **state)
{
    (void)state;
    for (uint32_t phase = FERRY_SRC_PAUSE; phase <= FERRY_SRC_PREPARE; phase++) {
        source_in(phase);
        rig_tell(rig, FERRY_EV_TIMER, FERRY_NO_DEVICE, FERRY_TIMER_STOP, FERRY_OK);
        rig_run(rig);
        runs_again();
    }
}

/* MIG-BACK-3, MIG-BACK-4, MIG-IRQ-2 */
static void what_was_stopped_is_quieted_then_run_and_its_interrupts_raised(void **state)
{
    uint32_t back, quiet;

    (void)state;
    source_in(FERRY_SRC_PREPARE);
    rig->queued = 0;
    back = rig->notes;
    rig_tell(rig, FERRY_EV_MESSAGE, FERRY_NO_DEVICE, FERRY_MSG_ABORT, FERRY_E_CORRUPT);
    rig_run(rig);
    runs_again();
    quiet = rig_event(rig, back, FERRY_EV_STATE_DONE, 0, FERRY_STATE_RUNNING_P2P);
    before(quiet, act(back, FERRY_ACT_SET_STATE, 1, FERRY_STATE_RUNNING));
    before(quiet, act(back, FERRY_ACT_SET_STATE, 0, FERRY_STATE_RUNNING));
    before(rig_event(rig, back, FERRY_EV_STATE_DONE, 1, FERRY_STATE_RUNNING),
           act(back, FERRY_ACT_RESUME_CPUS, RIG_ANY, RIG_ANY));
    before(act(back, FERRY_ACT_RAISE_IRQS, RIG_ANY, RIG_ANY),
           act(back, FERRY_ACT_RESUME_CPUS, RIG_ANY, RIG_ANY));
    /* MIG-BACK-2: whoever can go on is not reset. */
    assert_int_equal(act(0, FERRY_ACT_RESET, RIG_ANY, RIG_ANY), RIG_NOTES_MAX);
}

/* MIG-BACK-2 */
static void a_device_in_error_is_reset_while_all_is_quiet_and_set_up_again(void **state)
{
    uint32_t back, reset;

    (void)state;
    source_in(FERRY_SRC_PRE_COPY_ARC);
    rig->queued = 0; /* the arc to PRE_COPY fails into ERROR, and the CPUs run */
    back = rig->notes;
    rig_tell(rig, FERRY_EV_STATE_DONE, 0, FERRY_STATE_ERROR, FERRY_E_DEVICE);
    rig_run(rig);
    runs_again();
    reset = act(back, FERRY_ACT_RESET, 0, RIG_ANY);
    before(rig_event(rig, back, FERRY_EV_CPUS_PAUSED, RIG_ANY, RIG_ANY), reset);
    before(rig_event(rig, back, FERRY_EV_FOREIGN_QUIET, RIG_ANY, RIG_ANY), reset);
    before(reset, act(back, FERRY_ACT_RESTORE_CONFIG, 0, RIG_ANY));
    before(rig_event(rig, back, FERRY_EV_CONFIG_DONE, 0, RIG_ANY),
           act(back, FERRY_ACT_RESUME_CPUS, RIG_ANY, RIG_ANY));
    assert_int_equal(act(0, FERRY_ACT_RESET, 1, RIG_ANY), RIG_NOTES_MAX);
}

/* MIG-BACK-6 */
static void a_device_that_hangs_is_given_up_and_not_reset(void **state)
{
    (void)state;
    source_in(FERRY_SRC_FREEZE);
    rig->queued = 0; /* device 0 never answers */
    rig_tell(rig, FERRY_EV_TIMER, FERRY_NO_DEVICE, FERRY_TIMER_PHASE, FERRY_OK);
    rig_run(rig);
    rig_tell(rig, FERRY_EV_TIMER, FERRY_NO_DEVICE, FERRY_TIMER_PHASE, FERRY_OK);
    rig_run(rig);
    assert_int_equal(ferry_source_outcome(&rig->source), FERRY_OUTCOME_LOST);
    assert_int_equal(act(0, FERRY_ACT_RESET, RIG_ANY, RIG_ANY), RIG_NOTES_MAX);
    assert_true(act(0, FERRY_ACT_RESUME_CPUS, RIG_ANY, RIG_ANY) < RIG_NOTES_MAX);
}

/* MIG-BACK-7 */
static void a_target_that_cannot_run_gives_the_guest_back(void **state)
{
    uint32_t back;

    (void)state;
    rig_target(rig, FERRY_ARBITER_NONE);
    rig_until(rig, FERRY_TGT_RUN);
    rig->queued = 0;
    back = rig->notes;
    rig_tell(rig, FERRY_EV_STATE_DONE, 0, FERRY_STATE_STOP, FERRY_E_DEVICE);
    rig_run(rig);
    before(act(back, FERRY_ACT_DISCARD, RIG_ANY, RIG_ANY),
           act(back, FERRY_ACT_SEND, RIG_ANY, FERRY_MSG_RETURN));
    assert_int_equal(act(0, FERRY_ACT_RESUME_CPUS, RIG_ANY, RIG_ANY), RIG_NOTES_MAX);
}

/* MIG-BACK-7 */
static void a_target_of_which_a_device_ran_keeps_the_guest(void **state)
{
    (void)state;
    rig_target(rig, FERRY_ARBITER_NONE);
    while (act(0, FERRY_ACT_SET_STATE, 0, FERRY_STATE_RUNNING) == RIG_NOTES_MAX) {
        assert_true(rig->queued > 0);
        rig_tell(rig, rig->queue[0].kind, rig->queue[0].device, rig->queue[0].arg,
                 FERRY_OK);
        rig->queued--;
        for (uint32_t i = 0; i < rig->queued; i++) {
            rig->queue[i] = rig->queue[i + 1];
        }
    }
    rig->queued = 0;
    rig_tell(rig, FERRY_EV_STATE_DONE, 0, FERRY_STATE_ERROR, FERRY_E_DEVICE);
    rig_run(rig);
    assert_int_equal(act(0, FERRY_ACT_SEND, RIG_ANY, FERRY_MSG_RETURN), RIG_NOTES_MAX);
    assert_true(act(0, FERRY_ACT_RESUME_CPUS, RIG_ANY, RIG_ANY) < RIG_NOTES_MAX);
    assert_int_equal(ferry_target_outcome(&rig->target), FERRY_OUTCOME_LOST);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_link_that_breaks_before_commit_brings_the_source_back),
        cmocka_unit_test(a_stop_that_takes_too_long_goes_back),
        cmocka_unit_test(what_was_stopped_is_quieted_then_run_and_its_interrupts_raised),
        cmocka_unit_test(a_device_in_error_is_reset_while_all_is_quiet_and_set_up_again),
        cmocka_unit_test(a_device_that_hangs_is_given_up_and_not_reset),
        cmocka_unit_test(a_target_that_cannot_run_gives_the_guest_back),
        cmocka_unit_test(a_target_of_which_a_device_ran_keeps_the_guest),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
