/* SPDX-License-Identifier: BSD-3-Clause */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "core/session/source.h"
#include "core/session/target.h"
#include "os/clock.h"
#include "os/socket.h"
#include "test_host_mig_rig.h"

#define LIMIT_MS 4000u

/* Where nothing is waited for in vain. */
static const struct ferry_migrate_options usual = {
    .struct_size = sizeof(usual),
    .arc_limit_ms = 3000,
    .peer_limit_ms = 3000,
};
/* Where somebody never answers. */
static const struct ferry_migrate_options quick = {
    .struct_size = sizeof(quick),
    .arc_limit_ms = 60,
    .peer_limit_ms = 60,
    .stop_deadline_ms = 300,
    .deadline_ms = 1000,
};

static void expect_back(struct rig *rig, int32_t code)
{
    assert_true(rig_run(rig, LIMIT_MS));
    if (rig_outcome(rig, 0) != FERRY_OUTCOME_ROLLED_BACK) {
        fail_msg("%s: %s", ferry_outcome_name(rig_outcome(rig, 0)),
                 rig->side[0].report.error.text);
    }
    assert_int_equal(rig->side[0].report.error.code, code);
    assert_true(rig_runs(rig, 0));
    assert_false(rig->side[1].running);
    assert_int_equal(rig->side[0].foreign, 0);
    assert_int_equal(rig->side[0].tracking, 0);
}

/* --- cancel --- */

/* Called for each action of a side: the phase that has just been entered can be hit. */
static void cancel_in_phase(void *user, int incoming, const struct ferry_action *action)
{
    struct rig *rig = user;

    (void)incoming, (void)action;
    if (!rig->cancelled && rig_phase(rig, rig->cancel_side) == rig->cancel_phase) {
        rig->cancelled = 1;
        assert_int_equal(ferry_context_cancel(rig->side[rig->cancel_side].context),
                         FERRY_OK);
    }
}

/* Exactly one side runs; a cancel that comes too late changes nothing. */
static void cancel_once(uint32_t side, uint32_t phase, uint32_t *ret_seen)
{
    struct ferry_migration *migration;
    struct rig rig;

    rig_open(&rig, NULL);
    rig_fill(&rig, phase);
    rig.cancel_side = side;
    rig.cancel_phase = phase;
    migration = ferry_migration_get(rig.side[side].context);
    assert_non_null(migration);
    migration->trace = (struct ferry_trace){ .action = cancel_in_phase, .user = &rig };
    assert_int_equal(rig_start(&rig, &usual), FERRY_OK);
    assert_true(rig_run(&rig, LIMIT_MS));
    assert_int_not_equal(rig_runs(&rig, 0), rig.side[1].running);
    if (rig.cancelled) {
        (*ret_seen)++;
    }
    if (rig.side[1].running) {
        assert_int_equal(rig_outcome(&rig, 0), FERRY_OUTCOME_MOVED);
        assert_true(rig_state_equal(&rig) && rig_memory_equal(&rig));
    }
    rig_close(&rig);
}

static void a_cancel_in_any_phase_leaves_one_side_running(void **state)
{
    uint32_t seen[2] = { 0, 0 };

    (void)state;
    for (uint32_t phase = FERRY_SRC_HELLO; phase < FERRY_SRC_ENDED; phase++) {
        cancel_once(0, phase, &seen[0]);
    }
    for (uint32_t phase = FERRY_TGT_CHECK; phase < FERRY_TGT_ENDED; phase++) {
        cancel_once(1, phase, &seen[1]);
    }
    /* All phases of a move without an arbiter: to COMMIT, and to RESUME. */
    assert_int_equal(seen[0], FERRY_SRC_COMMIT - FERRY_SRC_HELLO);
    assert_int_equal(seen[1], 6);
}

static void a_cancel_rolls_back_and_says_so(void **state)
{
    struct rig rig;

    (void)state;
    rig_open(&rig, NULL);
    rig_fill(&rig, 1);
    assert_int_equal(rig_start(&rig, &usual), FERRY_OK);
    rig_turn(&rig);
    assert_int_equal(ferry_context_cancel(rig.side[0].context), FERRY_OK);
    expect_back(&rig, FERRY_E_CANCELLED);
    assert_int_equal(ferry_context_cancel(rig.side[0].context), FERRY_E_STATE);
    /* The same contexts can be used at once. */
    assert_int_equal(rig_start(&rig, NULL), FERRY_OK);
    assert_true(rig_run(&rig, LIMIT_MS));
    assert_int_equal(rig_outcome(&rig, 0), FERRY_OUTCOME_MOVED);
    rig_close(&rig);
}

/* --- devices and VMMs that fail --- */

static void a_device_that_does_not_stop_leads_back(void **state)
{
    struct rig rig;

    (void)state;
    rig_open(&rig, NULL);
    rig_fill(&rig, 1);
    rig.side[0].device[1].fail_to = FERRY_STATE_STOP_COPY;
    rig.side[0].device[1].fail_status = FERRY_E_DEVICE;
    assert_int_equal(rig_start(&rig, &usual), FERRY_OK);
    expect_back(&rig, FERRY_E_DEVICE);
    assert_non_null(strstr(rig.side[0].report.error.text, "dev1"));
    assert_int_equal(rig.side[0].device[1].resets, 0);
    assert_true(rig.side[0].report.downtime_ns > 0);
    rig_close(&rig);
}

/* MIG-BACK-2 */
static void a_device_that_breaks_is_reset_with_its_config(void **state)
{
    struct rig rig;
    uint16_t command = 0x0406, now = 0;

    (void)state;
    rig_open(&rig, NULL);
    rig_fill(&rig, 1);
    assert_int_equal(
        ferry_context_region_write(rig.side[0].context, 0, 7, 4, &command, 2, 0),
        FERRY_OK);
    rig.side[0].device[0].fail_to = FERRY_STATE_STOP_COPY;
    rig.side[0].device[0].fail_status = FERRY_E_DEVICE_ERROR;
    rig.side[0].device[0].fails = 1;
    assert_int_equal(rig_start(&rig, &usual), FERRY_OK);
    assert_true(rig_run(&rig, LIMIT_MS));
    assert_true(rig_runs(&rig, 0));
    assert_int_equal(rig.side[0].device[0].resets, 1);
    assert_int_equal(rig.side[0].device[1].resets, 0);
    assert_int_equal(rig.side[0].report.device[0].was_reset, 1);
    assert_int_equal(ferry_context_region_read(rig.side[0].context, 0, 7, 4, &now, 2),
                     FERRY_OK);
    assert_int_equal(now & 0x0406, command);
    rig_close(&rig);
}

/* MIG-BACK-6 */
static void a_device_that_hangs_is_given_up(void **state)
{
    struct rig rig;

    (void)state;
    rig_open(&rig, NULL);
    rig_fill(&rig, 1);
    rig.side[0].device[0].hang_to = FERRY_STATE_STOP_COPY;
    assert_int_equal(rig_start(&rig, &quick), FERRY_OK);
    assert_true(rig_run(&rig, LIMIT_MS));
    assert_int_equal(rig_outcome(&rig, 0), FERRY_OUTCOME_LOST);
    assert_int_equal(rig.side[0].report.error.code, FERRY_E_HUNG);
    assert_true(rig.side[0].running);
    assert_false(rig.side[1].running);
    rig_close(&rig); /* its answer never comes */
}

static void a_state_that_is_not_taken_leads_back(void **state)
{
    struct rig rig;

    (void)state;
    rig_open(&rig, NULL);
    rig_fill(&rig, 1);
    rig.side[1].device[0].size = RIG_STATE_BYTES - 5; /* it gets too much */
    assert_int_equal(rig_start(&rig, &usual), FERRY_OK);
    assert_true(rig_run(&rig, LIMIT_MS));
    assert_int_equal(rig_outcome(&rig, 0), FERRY_OUTCOME_ROLLED_BACK);
    assert_int_equal(rig_outcome(&rig, 1), FERRY_OUTCOME_ROLLED_BACK);
    assert_non_null(strstr(rig.side[0].report.error.text, "dev0"));
    assert_true(rig_runs(&rig, 0));
    rig_close(&rig);
}

/* MIG-BACK-7 */
static void a_target_that_cannot_run_gives_back(void **state)
{
    struct rig rig;

    (void)state;
    rig_open(&rig, NULL);
    rig_fill(&rig, 1);
    rig.side[1].device[0].fail_to = FERRY_STATE_RUNNING_P2P;
    rig.side[1].device[0].fail_from = FERRY_STATE_STOP;
    rig.side[1].device[0].fail_status = FERRY_E_DEVICE;
    assert_int_equal(rig_start(&rig, &usual), FERRY_OK);
    assert_true(rig_run(&rig, LIMIT_MS));
    assert_int_equal(rig_outcome(&rig, 0), FERRY_OUTCOME_ROLLED_BACK);
    assert_true(rig_runs(&rig, 0));
    assert_false(rig.side[1].running);
    rig_close(&rig);
}

static void cpus_that_do_not_pause_lead_back(void **state)
{
    struct rig rig;

    (void)state;
    rig_open(&rig, NULL);
    rig_fill(&rig, 1);
    rig.side[0].pause_pending = 1;
    assert_int_equal(rig_start(&rig, &quick), FERRY_OK);
    expect_back(&rig, FERRY_E_TIMEOUT);
    rig_close(&rig);
}

static void end_the_pause(struct rig *rig)
{
    if (rig->side[0].pauses == 1 && rig->side[0].pause_pending) {
        rig->side[0].pause_pending = 0;
        rig->side[0].running = 0;
        ferry_context_cpus_done(rig->side[0].context, FERRY_OK);
    }
}

static void cpus_may_take_their_time(void **state)
{
    struct rig rig;

    (void)state;
    rig_open(&rig, NULL);
    rig_fill(&rig, 1);
    rig.side[0].pause_pending = 1;
    rig.every_turn = end_the_pause;
    assert_int_equal(rig_start(&rig, NULL), FERRY_OK);
    assert_true(rig_run(&rig, LIMIT_MS));
    assert_int_equal(rig_outcome(&rig, 0), FERRY_OUTCOME_MOVED);
    rig_close(&rig);
}

/* --- the decision --- */

static char folder[] = "/tmp/ferry-arbiter-XXXXXX";

/* Cuts the wire once the target has promised and before the source has heard of it. */
static void cut_at_prepared(struct rig *rig)
{
    if (rig_phase(rig, 1) == FERRY_TGT_PREPARED && rig->fault == RIG_NONE) {
        rig->fault = RIG_CUT;
        rig->fault_from = 1;
        rig->fault_at = rig->passed[1];
    }
}

static void cut_at_commit(struct rig *rig)
{
    if (rig_phase(rig, 0) == FERRY_SRC_PREPARE && rig->fault == RIG_NONE) {
        rig->fault = RIG_CUT;
        rig->fault_from = 0;
        rig->fault_at = rig->passed[0];
    }
}

static void start_with_arbiter(struct rig *rig, void (*turn)(struct rig *rig))
{
    struct ferry_migrate_options options = quick;
    char arbiter[64];

    snprintf(arbiter, sizeof(arbiter), "file:%s", folder);
    options.arbiter = arbiter;
    rig_open(rig, NULL);
    rig_fill(rig, 7);
    rig->every_turn = turn;
    assert_int_equal(rig_start(rig, &options), FERRY_OK);
}

static void remove_decision(const struct rig *rig)
{
    struct ferry_report report;
    char path[128];

    ferry_context_report(rig->side[0].context, &report);
    for (uint32_t epoch = 0; epoch < 2; epoch++) {
        snprintf(path, sizeof(path), "%s/%016llx-%u", folder,
                 (unsigned long long)report.session_id, epoch);
        unlink(path);
    }
}

static void the_arbiter_writes_down_a_move(void **state)
{
    struct rig rig;
    char path[128], text[16] = "";
    FILE *file;

    (void)state;
    start_with_arbiter(&rig, NULL);
    assert_true(rig_run(&rig, LIMIT_MS));
    assert_int_equal(rig_outcome(&rig, 0), FERRY_OUTCOME_MOVED);
    snprintf(path, sizeof(path), "%s/%016llx-0", folder,
             (unsigned long long)rig.side[0].report.session_id);
    file = fopen(path, "r");
    assert_non_null(file);
    assert_non_null(fgets(text, sizeof(text), file));
    fclose(file);
    assert_string_equal(text, "commit\n");
    remove_decision(&rig);
    rig_close(&rig);
}

/* MIG-COMMIT-3 */
static void the_arbiter_ends_what_a_cut_left_open(void **state)
{
    void (*const cuts[])(struct rig * rig) = { cut_at_prepared, cut_at_commit };

    (void)state;
    for (uint32_t i = 0; i < 2; i++) {
        struct rig rig;

        start_with_arbiter(&rig, cuts[i]);
        assert_true(rig_run(&rig, LIMIT_MS));
        /* One decision, known to both: the source runs, or the target does. A source that
         * committed keeps its stopped state until it hears that the target runs. */
        assert_false(rig_runs(&rig, 0) && rig.side[1].running);
        assert_true(rig_runs(&rig, 0) || rig.side[1].running);
        assert_false(rig_undecided(&rig, 1));
        if (rig.side[1].running) {
            assert_true(rig_state_equal(&rig) && rig_memory_equal(&rig));
        }
        remove_decision(&rig);
        rig_close(&rig);
    }
}

/* MIG-COMMIT-5 */
static void without_an_arbiter_the_operator_has_the_word(void **state)
{
    (void)state;
    for (uint32_t run_at_target = 0; run_at_target < 2; run_at_target++) {
        struct ferry_error error;
        struct rig rig;

        rig_open(&rig, NULL);
        rig_fill(&rig, 8);
        rig.every_turn = cut_at_commit;
        assert_int_equal(rig_start(&rig, &quick), FERRY_OK);
        assert_true(rig_run(&rig, LIMIT_MS));
        assert_true(rig_undecided(&rig, 0));
        assert_true(rig_undecided(&rig, 1));
        assert_int_equal(rig.side[0].events[FERRY_HOST_UNDECIDED], 1);
        assert_false(rig_runs(&rig, 0) || rig.side[1].running);
        assert_int_equal(ferry_context_wait(rig.side[0].context, &error),
                         FERRY_E_UNDECIDED);
        assert_int_equal(ferry_context_resolve(rig.side[0].context, !run_at_target),
                         FERRY_OK);
        assert_int_equal(ferry_context_resolve(rig.side[1].context, run_at_target),
                         FERRY_OK);
        assert_true(rig_run(&rig, LIMIT_MS));
        assert_int_equal(rig_outcome(&rig, 0), FERRY_OUTCOME_RESOLVED);
        assert_int_equal(rig_outcome(&rig, 1), FERRY_OUTCOME_RESOLVED);
        assert_int_equal(rig_runs(&rig, 0), !run_at_target);
        assert_int_equal(rig.side[1].running, run_at_target);
        assert_int_equal(ferry_context_resolve(rig.side[0].context, 1), FERRY_E_STATE);
        rig_close(&rig);
    }
}

/* --- the end of a context --- */

static void a_context_that_goes_away_brings_its_devices_back(void **state)
{
    (void)state;
    for (uint32_t gone = 0; gone < 2; gone++) {
        for (int turns = 0; turns < 12; turns += 2) {
            struct ferry_context *context;
            struct rig rig;

            rig_open(&rig, NULL);
            rig_fill(&rig, 9);
            assert_int_equal(rig_start(&rig, &quick), FERRY_OK);
            for (int i = 0; i < turns; i++) {
                rig_turn(&rig);
            }
            context = rig.side[gone].context;
            /* The other side hears of it only afterwards. */
            ferry_context_destroy(context);
            for (uint32_t i = 0; i < RIG_DEVICES; i++) {
                assert_int_equal(ferry_device_state(rig.side[gone].device[i].device),
                                 FERRY_STATE_RUNNING);
            }
            assert_int_equal(ferry_context_create(NULL, &rig.side[gone].context, NULL),
                             FERRY_OK);
            rig_close(&rig);
        }
    }
}

static int make_folder(void **state)
{
    (void)state;
    return mkdtemp(folder) ? 0 : -1;
}

static int remove_folder(void **state)
{
    (void)state;
    return rmdir(folder);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_cancel_in_any_phase_leaves_one_side_running),
        cmocka_unit_test(a_cancel_rolls_back_and_says_so),
        cmocka_unit_test(a_device_that_does_not_stop_leads_back),
        cmocka_unit_test(a_device_that_breaks_is_reset_with_its_config),
        cmocka_unit_test(a_device_that_hangs_is_given_up),
        cmocka_unit_test(a_state_that_is_not_taken_leads_back),
        cmocka_unit_test(a_target_that_cannot_run_gives_back),
        cmocka_unit_test(cpus_that_do_not_pause_lead_back),
        cmocka_unit_test(cpus_may_take_their_time),
        cmocka_unit_test(the_arbiter_writes_down_a_move),
        cmocka_unit_test(the_arbiter_ends_what_a_cut_left_open),
        cmocka_unit_test(without_an_arbiter_the_operator_has_the_word),
        cmocka_unit_test(a_context_that_goes_away_brings_its_devices_back),
    };

    return cmocka_run_group_tests(tests, make_folder, remove_folder);
}
