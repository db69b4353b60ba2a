/* SPDX-License-Identifier: BSD-3-Clause */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "core/session/source.h"
#include "core/session/target.h"
#include "ferry/face.h"
#include "test_host_mig_rig.h"

/* What goes wrong while devices of uAPI v1 move: one side has to run in the end. */

#define LIMIT_MS 6000u
#define ALL (FERRY_MIG_STOP_COPY | FERRY_MIG_PRE_COPY | FERRY_MIG_P2P)
#define NO_P2P (FERRY_MIG_STOP_COPY | FERRY_MIG_PRE_COPY)

static const struct ferry_migrate_options usual = {
    .struct_size = sizeof(usual),
    .max_downtime_ms = 2000,
    .arc_limit_ms = 3000,
    .peer_limit_ms = 3000,
};
/* Where somebody never answers. */
static const struct ferry_migrate_options quick = {
    .struct_size = sizeof(quick),
    .max_downtime_ms = 2000,
    .arc_limit_ms = 60,
    .peer_limit_ms = 60,
    .stop_deadline_ms = 300,
    .deadline_ms = 1000,
};

static struct ferry_endpoint *face[2][RIG_DEVICES];

static struct ferry_endpoint *dress(struct ferry_endpoint *endpoint, uint32_t side,
                                    uint32_t device)
{
    assert_int_equal(
        ferry_face_v1_open(endpoint, (side + device) % 3, &face[side][device], NULL),
        FERRY_OK);
    return face[side][device];
}

static void undress(uint32_t side, uint32_t device)
{
    ferry_face_v1_close(face[side][device]);
    face[side][device] = NULL;
}

static void open_rig(struct rig *rig, uint32_t features, uint32_t timeout_ms)
{
    const struct rig_choice choice = { .dress = dress,
                                       .undress = undress,
                                       .timeout_ms = timeout_ms,
                                       .features = { features, features } };

    rig_open(rig, &choice);
    rig_fill(rig, 7);
}

/* Exactly one side runs, and has all that there was. */
static void assert_one_runs(struct rig *rig)
{
    assert_int_not_equal(rig_runs(rig, 0), rig->side[1].running);
    if (rig->side[1].running) {
        assert_int_equal(rig_outcome(rig, 0), FERRY_OUTCOME_MOVED);
        assert_true(rig_runs(rig, 1));
        assert_true(rig_state_equal(rig) && rig_memory_equal(rig));
    }
}

/* The same contexts move when nothing is in the way. */
static void assert_moves(struct rig *rig)
{
    assert_int_equal(rig_start(rig, &usual), FERRY_OK);
    assert_true(rig_run(rig, LIMIT_MS));
    if (rig_outcome(rig, 0) != FERRY_OUTCOME_MOVED) {
        fail_msg("%s", rig->side[0].report.error.text);
    }
    assert_true(rig_state_equal(rig) && rig_memory_equal(rig));
}

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

static uint32_t cancel_once(uint32_t features, uint32_t side, uint32_t phase)
{
    struct ferry_migration *migration;
    struct rig rig;

    open_rig(&rig, features, 0);
    rig.cancel_side = side;
    rig.cancel_phase = phase;
    migration = ferry_migration_get(rig.side[side].context);
    assert_non_null(migration);
    migration->trace = (struct ferry_trace){ .action = cancel_in_phase, .user = &rig };
    assert_int_equal(rig_start(&rig, &usual), FERRY_OK);
    assert_true(rig_run(&rig, LIMIT_MS));
    assert_one_runs(&rig);
    rig_close(&rig);
    return rig.cancelled;
}

static void a_cancel_in_any_phase_leaves_one_side_running(void **state)
{
    static const uint32_t features[] = { ALL, NO_P2P };
    uint32_t seen;

    (void)state;
    for (size_t i = 0; i < sizeof(features) / sizeof(features[0]); i++) {
        seen = 0;
        for (uint32_t phase = FERRY_SRC_HELLO; phase < FERRY_SRC_ENDED; phase++) {
            seen += cancel_once(features[i], 0, phase);
        }
        assert_int_equal(seen, FERRY_SRC_COMMIT - FERRY_SRC_HELLO);
        for (uint32_t phase = FERRY_TGT_CHECK; phase < FERRY_TGT_ENDED; phase++) {
            (void)cancel_once(features[i], 1, phase);
        }
    }
}

static const uint32_t arcs[] = { FERRY_STATE_RUNNING_P2P,  FERRY_STATE_PRE_COPY,
                                 FERRY_STATE_PRE_COPY_P2P, FERRY_STATE_STOP,
                                 FERRY_STATE_STOP_COPY,    FERRY_STATE_RESUMING,
                                 FERRY_STATE_RUNNING };
#define ARCS (sizeof(arcs) / sizeof(arcs[0]))

static void fail_once(uint32_t features, uint32_t side, uint32_t to, int status)
{
    struct rig rig;

    open_rig(&rig, features, 0);
    rig.side[side].device[1].fail_to = to;
    rig.side[side].device[1].fail_status = status;
    rig.side[side].device[1].fails = 1;
    assert_int_equal(rig_start(&rig, &usual), FERRY_OK);
    if (!rig_run(&rig, LIMIT_MS)) {
        fail_msg("an arc to %s of side %u that fails hangs", ferry_state_name(to), side);
    }
    if (rig_runs(&rig, 0) == rig.side[1].running) {
        fail_msg("an arc to %s of side %u that fails: %s, %s", ferry_state_name(to), side,
                 ferry_outcome_name(rig_outcome(&rig, 0)), rig.side[0].report.error.text);
    }
    assert_one_runs(&rig);
    if (!rig.side[1].running) {
        assert_moves(&rig);
    }
    rig_close(&rig);
}

static void an_arc_that_fails_leaves_one_side_running(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARCS; i++) {
        for (uint32_t side = 0; side < 2; side++) {
            fail_once(ALL, side, arcs[i], FERRY_E_DEVICE);
            fail_once(i % 2 == 0 ? ALL : NO_P2P, side, arcs[i], FERRY_E_DEVICE_ERROR);
        }
    }
}

static void hang_once(uint32_t features, uint32_t side, uint32_t to)
{
    struct rig rig;

    open_rig(&rig, features, 1000);
    rig.side[side].device[1].hang_to = to;
    assert_int_equal(rig_start(&rig, &quick), FERRY_OK);
    if (!rig_run(&rig, LIMIT_MS)) {
        fail_msg("an arc to %s of side %u that hangs hangs all", ferry_state_name(to),
                 side);
    }
    assert_false(rig_runs(&rig, 0) && rig.side[1].running);
    assert_true(rig.side[0].running || rig.side[1].running || rig_undecided(&rig, 0));
    rig_close(&rig);
}

static void an_arc_that_hangs_ends_the_migration(void **state)
{
    (void)state;
    hang_once(ALL, 0, FERRY_STATE_RUNNING_P2P);
    hang_once(ALL, 0, FERRY_STATE_STOP_COPY); /* in the first read of pending_bytes */
    hang_once(NO_P2P, 0, FERRY_STATE_STOP_COPY);
    hang_once(ALL, 1, FERRY_STATE_RESUMING);
    hang_once(ALL, 1, FERRY_STATE_STOP);
    hang_once(ALL, 1, FERRY_STATE_RUNNING);
}

static void a_link_that_breaks_anywhere_leaves_no_two_running(void **state)
{
    (void)state;
    for (uint32_t side = 0; side < 2; side++) {
        for (uint64_t at = 1; at < (side == 0 ? 500000u : 1000u);
             at += side == 0 ? 53456 : 130) {
            struct rig rig;

            open_rig(&rig, ALL, 0);
            rig.fault = RIG_CUT;
            rig.fault_from = side;
            rig.fault_at = at;
            assert_int_equal(rig_start(&rig, &quick), FERRY_OK);
            assert_true(rig_run(&rig, LIMIT_MS));
            assert_false(rig_runs(&rig, 0) && rig.side[1].running);
            assert_true(rig_runs(&rig, 0) || rig_runs(&rig, 1) || rig_undecided(&rig, 0));
            rig_close(&rig);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_cancel_in_any_phase_leaves_one_side_running),
        cmocka_unit_test(an_arc_that_fails_leaves_one_side_running),
        cmocka_unit_test(an_arc_that_hangs_ends_the_migration),
        cmocka_unit_test(a_link_that_breaks_anywhere_leaves_no_two_running),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
