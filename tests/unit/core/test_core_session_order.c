/* SPDX-License-Identifier: BSD-3-Clause */
/* The order of a migration: each test is about a rule of the specification. */
#include <stdarg.h>
#include <setjmp.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "session_rig.h"

/* Actions and events of this rig, by place. */
#define ACT(kind, device, arg) rig_action(rig, 0, FERRY_ACT_##kind, device, arg)
#define EV(kind, device, arg) rig_event(rig, 0, FERRY_EV_##kind, device, arg)

static struct rig the_rig;
static struct rig *const rig = &the_rig;

/* Both happened, a before b. */
static void before(uint32_t a, uint32_t b)
{
    assert_true(a < RIG_NOTES_MAX);
    assert_true(b < RIG_NOTES_MAX);
    assert_true(a < b);
}

static void moved(uint32_t arbiter)
{
    rig_source(rig, arbiter);
    rig_run(rig);
    assert_int_equal(ferry_source_outcome(&rig->source), FERRY_OUTCOME_MOVED);
}

static void arrived(uint32_t arbiter)
{
    rig_target(rig, arbiter);
    rig_run(rig);
    assert_int_equal(ferry_target_outcome(&rig->target), FERRY_OUTCOME_MOVED);
}

/* MIG-ORD-1 */
static void tracking_is_on_before_memory_is_sent(void **state)
{
    (void)state;
    rig_source(rig, FERRY_ARBITER_NONE);
    rig->withhold = FERRY_EV_LOG_DONE;
    rig_run(rig);
    assert_true(ACT(LOG_START, 0, RIG_ANY) < RIG_NOTES_MAX);
    assert_int_equal(ACT(RAM_ROUND, RIG_ANY, RIG_ANY), RIG_NOTES_MAX);
    assert_int_equal(ACT(DATA_READ, RIG_ANY, RIG_ANY), RIG_NOTES_MAX);
    rig_tell(rig, FERRY_EV_LOG_DONE, 0, 0, FERRY_OK);
    rig_run(rig);
    assert_int_equal(ferry_source_outcome(&rig->source), FERRY_OUTCOME_MOVED);
}

/* MIG-ORD-2 */
static void nothing_is_touched_before_the_target_accepts(void **state)
{
    uint32_t accept;

    (void)state;
    moved(FERRY_ARBITER_NONE);
    accept = EV(MESSAGE, RIG_ANY, FERRY_MSG_ACCEPT);
    before(accept, ACT(LOG_START, RIG_ANY, RIG_ANY));
    before(accept, ACT(SET_STATE, RIG_ANY, RIG_ANY));
    before(accept, ACT(PAUSE_CPUS, RIG_ANY, RIG_ANY));
    arrived(FERRY_ARBITER_NONE);
    before(EV(CHECKED, RIG_ANY, RIG_ANY), ACT(SET_STATE, RIG_ANY, RIG_ANY));
}

/* MIG-ORD-2 */
static void a_target_that_does_not_fit_leaves_the_source_untouched(void **state)
{
    (void)state;
    rig_source(rig, FERRY_ARBITER_NONE);
    rig->silent = 1;
    rig_until(rig, FERRY_SRC_HELLO);
    rig_tell(rig, FERRY_EV_MESSAGE, FERRY_NO_DEVICE, FERRY_MSG_REFUSE,
             FERRY_E_INCOMPATIBLE);
    assert_int_equal(ferry_source_outcome(&rig->source), FERRY_OUTCOME_REFUSED);
    assert_int_equal(ACT(SET_STATE, RIG_ANY, RIG_ANY), RIG_NOTES_MAX);
    assert_int_equal(ACT(LOG_START, RIG_ANY, RIG_ANY), RIG_NOTES_MAX);
}

/* MIG-ORD-3 */
static void no_device_stops_before_all_that_can_be_are_quiet(void **state)
{
    uint32_t quiet;

    (void)state;
    moved(FERRY_ARBITER_NONE);
    quiet = EV(STATE_DONE, 0, FERRY_STATE_PRE_COPY_P2P);
    before(quiet, ACT(SET_STATE, 0, FERRY_STATE_STOP_COPY));
    before(quiet, ACT(SET_STATE, 1, FERRY_STATE_STOP_COPY));
}

/* MIG-ORD-4, MIG-PEER-2 */
static void cpus_then_foreign_initiators_then_devices_are_silenced(void **state)
{
    (void)state;
    moved(FERRY_ARBITER_NONE);
    before(EV(CPUS_PAUSED, RIG_ANY, RIG_ANY), ACT(QUIET_FOREIGN, RIG_ANY, RIG_ANY));
    before(EV(FOREIGN_QUIET, RIG_ANY, RIG_ANY),
           ACT(SET_STATE, 0, FERRY_STATE_PRE_COPY_P2P));
}

/* MIG-ORD-5 */
static void the_last_report_comes_when_every_device_has_stopped(void **state)
{
    (void)state;
    moved(FERRY_ARBITER_NONE);
    before(EV(STATE_DONE, 0, FERRY_STATE_STOP_COPY), ACT(FINAL_ROUND, RIG_ANY, RIG_ANY));
    before(EV(STATE_DONE, 1, FERRY_STATE_STOP_COPY), ACT(FINAL_ROUND, RIG_ANY, RIG_ANY));
}

/* MIG-ORD-6 */
static void a_target_promises_only_what_is_all_there(void **state)
{
    static const uint32_t parts[] = { FERRY_EV_MEMORY_COMPLETE, FERRY_EV_LOADED,
                                      FERRY_EV_STATE_DONE, FERRY_EV_CONFIG_DONE,
                                      FERRY_EV_VMM_LOADED };

    (void)state;
    for (size_t i = 0; i < sizeof(parts) / sizeof(parts[0]); i++) {
        rig_target(rig, FERRY_ARBITER_NONE);
        rig_until(rig, FERRY_TGT_LOADING);
        rig->withhold = parts[i];
        for (uint32_t at = 0; at < rig->queued; at++) {
            if (rig->queue[at].kind == parts[i]) {
                rig->queue[at].kind = FERRY_EV_START; /* means nothing to a target */
            }
        }
        rig_run(rig);
        assert_int_equal(ACT(SEND, RIG_ANY, FERRY_MSG_PREPARED), RIG_NOTES_MAX);
    }
    arrived(FERRY_ARBITER_NONE);
    before(EV(MEMORY_COMPLETE, RIG_ANY, RIG_ANY), ACT(SEND, RIG_ANY, FERRY_MSG_PREPARED));
}

/* MIG-ORD-9, MIG-EXT-2 */
static void a_device_is_judged_when_its_data_was_found_whole_and_then_set_up(void **state)
{
    (void)state;
    arrived(FERRY_ARBITER_NONE);
    for (uint32_t i = 0; i < 2; i++) {
        before(EV(LOADED, i, RIG_ANY), ACT(SET_STATE, i, FERRY_STATE_STOP));
        before(EV(STATE_DONE, i, FERRY_STATE_STOP), ACT(RESTORE_CONFIG, i, RIG_ANY));
        before(EV(CONFIG_DONE, i, RIG_ANY), ACT(SET_STATE, i, FERRY_STATE_RUNNING));
    }
}

/* MIG-ORD-7, MIG-IRQ-2: pending interrupts are raised with RESTORE_CONFIG. */
static void devices_run_after_all_are_out_of_stop_and_cpus_last(void **state)
{
    uint32_t quiet, resume;

    (void)state;
    arrived(FERRY_ARBITER_NONE);
    quiet = EV(STATE_DONE, 0, FERRY_STATE_RUNNING_P2P);
    resume = ACT(RESUME_CPUS, RIG_ANY, RIG_ANY);
    before(quiet, ACT(SET_STATE, 0, FERRY_STATE_RUNNING));
    before(quiet, ACT(SET_STATE, 1, FERRY_STATE_RUNNING));
    before(EV(STATE_DONE, 0, FERRY_STATE_RUNNING), resume);
    before(EV(STATE_DONE, 1, FERRY_STATE_RUNNING), resume);
    before(EV(CONFIG_DONE, 0, RIG_ANY), resume);
    before(resume, ACT(SEND, RIG_ANY, FERRY_MSG_RUNNING));
}

/* MIG-ORD-8 */
static void a_source_keeps_its_devices_until_the_target_runs(void **state)
{
    uint32_t commit;

    (void)state;
    moved(FERRY_ARBITER_NONE);
    commit = ACT(SEND, RIG_ANY, FERRY_MSG_COMMIT);
    before(EV(MESSAGE, RIG_ANY, FERRY_MSG_RUNNING), ACT(RELEASE, RIG_ANY, RIG_ANY));
    assert_int_equal(rig_action(rig, commit, FERRY_ACT_SET_STATE, RIG_ANY, RIG_ANY),
                     RIG_NOTES_MAX);
    assert_int_equal(ACT(RESET, RIG_ANY, RIG_ANY), RIG_NOTES_MAX);
}

/* MIG-COMMIT-1 */
static void ownership_changes_with_commit_and_not_before(void **state)
{
    (void)state;
    moved(FERRY_ARBITER_NONE);
    before(EV(MESSAGE, RIG_ANY, FERRY_MSG_PREPARED),
           ACT(SEND, RIG_ANY, FERRY_MSG_COMMIT));
    arrived(FERRY_ARBITER_NONE);
    before(EV(MESSAGE, RIG_ANY, FERRY_MSG_COMMIT),
           ACT(SET_STATE, 0, FERRY_STATE_RUNNING_P2P));
    before(EV(MESSAGE, RIG_ANY, FERRY_MSG_COMMIT),
           ACT(SET_STATE, 1, FERRY_STATE_RUNNING));
}

/* MIG-COMMIT-2 */
static void a_source_that_said_commit_does_not_run_by_itself(void **state)
{
    uint32_t commit;

    (void)state;
    rig_source(rig, FERRY_ARBITER_NONE);
    rig_until(rig, FERRY_SRC_COMMIT);
    commit = ACT(SEND, RIG_ANY, FERRY_MSG_COMMIT);
    rig_tell(rig, FERRY_EV_LINK_DOWN, FERRY_NO_DEVICE, 0, FERRY_E_CLOSED);
    rig_tell(rig, FERRY_EV_CANCEL, FERRY_NO_DEVICE, 0, FERRY_OK);
    rig_tell(rig, FERRY_EV_TIMER, FERRY_NO_DEVICE, FERRY_TIMER_STOP, FERRY_OK);
    assert_int_equal(rig_phase(rig), FERRY_SRC_UNDECIDED);
    assert_int_equal(rig_action(rig, commit, FERRY_ACT_SET_STATE, RIG_ANY, RIG_ANY),
                     RIG_NOTES_MAX);
    rig->queued = 0;
    rig_tell(rig, FERRY_EV_MESSAGE, FERRY_NO_DEVICE, FERRY_MSG_RETURN, FERRY_OK);
    rig_run(rig);
    assert_int_equal(ferry_source_outcome(&rig->source), FERRY_OUTCOME_ROLLED_BACK);
}

/* MIG-COMMIT-3 */
static void with_an_arbiter_both_sides_ask_before_they_act(void **state)
{
    (void)state;
    moved(FERRY_ARBITER_SHARED);
    before(ACT(DECIDE, 0, FERRY_DECISION_COMMIT), ACT(SEND, RIG_ANY, FERRY_MSG_COMMIT));
    rig_source(rig, FERRY_ARBITER_SHARED);
    rig_until(rig, FERRY_SRC_PREPARE);
    rig->queued = 0;
    rig->decision = FERRY_DECISION_COMMIT; /* the target was first */
    rig_tell(rig, FERRY_EV_LINK_DOWN, FERRY_NO_DEVICE, 0, FERRY_E_CLOSED);
    rig_run(rig);
    assert_true(ACT(DECIDE, 0, FERRY_DECISION_ABORT) < RIG_NOTES_MAX);
    assert_int_equal(ACT(RESUME_CPUS, RIG_ANY, RIG_ANY), RIG_NOTES_MAX);
    assert_int_equal(rig_phase(rig), FERRY_SRC_UNDECIDED);
    rig_target(rig, FERRY_ARBITER_SHARED);
    rig_until(rig, FERRY_TGT_PREPARED);
    rig->queued = 0;
    rig->decision = FERRY_DECISION_ABORT; /* the source was first */
    rig_tell(rig, FERRY_EV_LINK_DOWN, FERRY_NO_DEVICE, 0, FERRY_E_CLOSED);
    rig_run(rig);
    assert_int_equal(ACT(SET_STATE, RIG_ANY, FERRY_STATE_RUNNING), RIG_NOTES_MAX);
    assert_int_equal(ferry_target_outcome(&rig->target), FERRY_OUTCOME_ROLLED_BACK);
}

/* MIG-COMMIT-4, MIG-COMMIT-5 */
static void a_target_that_waited_too_long_holds_and_obeys_no_late_commit(void **state)
{
    (void)state;
    rig_target(rig, FERRY_ARBITER_NONE);
    rig_until(rig, FERRY_TGT_PREPARED);
    rig->queued = 0;
    rig_tell(rig, FERRY_EV_TIMER, FERRY_NO_DEVICE, FERRY_TIMER_PHASE, FERRY_OK);
    assert_true(ferry_target_undecided(&rig->target));
    rig_tell(rig, FERRY_EV_MESSAGE, FERRY_NO_DEVICE, FERRY_MSG_COMMIT, FERRY_OK);
    rig_run(rig);
    assert_true(ferry_target_undecided(&rig->target));
    assert_int_equal(ACT(SET_STATE, RIG_ANY, FERRY_STATE_RUNNING), RIG_NOTES_MAX);
    assert_int_equal(ACT(DISCARD, RIG_ANY, RIG_ANY), RIG_NOTES_MAX);
    rig_tell(rig, FERRY_EV_OPERATOR, FERRY_NO_DEVICE, FERRY_OPERATOR_RUN, FERRY_OK);
    rig_run(rig);
    assert_int_equal(ferry_target_outcome(&rig->target), FERRY_OUTCOME_RESOLVED);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(tracking_is_on_before_memory_is_sent),
        cmocka_unit_test(nothing_is_touched_before_the_target_accepts),
        cmocka_unit_test(a_target_that_does_not_fit_leaves_the_source_untouched),
        cmocka_unit_test(no_device_stops_before_all_that_can_be_are_quiet),
        cmocka_unit_test(cpus_then_foreign_initiators_then_devices_are_silenced),
        cmocka_unit_test(the_last_report_comes_when_every_device_has_stopped),
        cmocka_unit_test(a_target_promises_only_what_is_all_there),
        cmocka_unit_test(
            a_device_is_judged_when_its_data_was_found_whole_and_then_set_up),
        cmocka_unit_test(devices_run_after_all_are_out_of_stop_and_cpus_last),
        cmocka_unit_test(a_source_keeps_its_devices_until_the_target_runs),
        cmocka_unit_test(ownership_changes_with_commit_and_not_before),
        cmocka_unit_test(a_source_that_said_commit_does_not_run_by_itself),
        cmocka_unit_test(with_an_arbiter_both_sides_ask_before_they_act),
        cmocka_unit_test(a_target_that_waited_too_long_holds_and_obeys_no_late_commit),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
