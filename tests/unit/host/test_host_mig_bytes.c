/* SPDX-License-Identifier: BSD-3-Clause */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "core/session/source.h"
#include "core/session/target.h"
#include "test_host_mig_rig.h"

/*
 * A stream that is damaged, cut or silent at byte N, in either direction. Whatever
 * happens, the two sides never both run, and never neither: before COMMIT the source runs
 * on and the target discards; later the target runs, or both keep their stopped state and
 * say so.
 */
#define LIMIT_MS 4000u
#define POSITIONS 28u

static const struct ferry_migrate_options quick = {
    .struct_size = sizeof(quick),
    .arc_limit_ms = 100,
    .peer_limit_ms = 30,
    .stop_deadline_ms = 60,
    .deadline_ms = 60,
};

/* What may be true at the end, of all that could be. */
static void check_end(struct rig *rig, const char *what, uint32_t from, uint64_t at)
{
    int source_runs = rig_runs(rig, 0), target_runs = rig_runs(rig, 1);
    int source_waits = rig_undecided(rig, 0), target_waits = rig_undecided(rig, 1);

    /* Devices of a target that has discarded are running again, but no CPU is. */
    if (source_runs && target_runs) {
        fail_msg("%s of side %u at %llu: both sides run", what, from,
                 (unsigned long long)at);
    }
    if (!source_runs && !target_runs && !source_waits && !target_waits) {
        fail_msg("%s of side %u at %llu: nobody runs: %s / %s: %s / %s", what, from,
                 (unsigned long long)at, ferry_outcome_name(rig_outcome(rig, 0)),
                 ferry_outcome_name(rig_outcome(rig, 1)), rig->side[0].report.error.text,
                 rig->side[1].report.error.text);
    }
    if (target_runs) {
        assert_true(rig_memory_equal(rig));
        assert_true(rig_state_equal(rig));
    }
    if (source_runs) {
        assert_int_equal(rig->side[0].foreign, 0);
        assert_int_equal(rig->side[0].tracking, 0);
        assert_int_equal(rig->side[0].device[0].resets, 0);
    }
    if (!source_waits) {
        assert_int_not_equal(rig_outcome(rig, 0), FERRY_OUTCOME_BUSY);
    }
}

static void one(uint32_t fault, uint32_t from, uint64_t at, const char *what)
{
    struct rig rig;

    rig_open(&rig, NULL);
    rig_fill(&rig, (uint32_t)at);
    rig.fault = fault;
    rig.fault_from = from;
    rig.fault_at = at;
    assert_int_equal(rig_start(&rig, &quick), FERRY_OK);
    if (!rig_run(&rig, LIMIT_MS)) {
        fail_msg("%s of side %u at %llu: it does not end: phases %u and %u", what, from,
                 (unsigned long long)at, rig_phase(&rig, 0), rig_phase(&rig, 1));
    }
    check_end(&rig, what, from, at);
    rig_close(&rig);
}

/* Bytes that each side sends in a move without fault. */
static void measure(uint64_t *ret_bytes)
{
    struct rig rig;

    rig_open(&rig, NULL);
    rig_fill(&rig, 1);
    assert_int_equal(rig_start(&rig, NULL), FERRY_OK);
    assert_true(rig_run(&rig, LIMIT_MS));
    assert_int_equal(rig_outcome(&rig, 0), FERRY_OUTCOME_MOVED);
    ret_bytes[0] = rig.passed[0];
    ret_bytes[1] = rig.passed[1];
    rig_close(&rig);
}

static void sweep(uint32_t fault, const char *what, uint32_t positions)
{
    uint64_t bytes[2];

    measure(bytes);
    for (uint32_t from = 0; from < 2; from++) {
        uint64_t last = UINT64_MAX;

        for (uint32_t i = 0; i < positions; i++) {
            /* All over the stream, denser at both ends, where the messages are. */
            uint64_t at = i < positions / 4 ? i * 7
                          : i < positions * 3 / 4
                              ? bytes[from] * (i - positions / 4) / (positions / 2)
                              : bytes[from] - 1 - (positions - 1 - i) * 5;

            if (at < bytes[from] && at != last) {
                one(fault, from, at, what);
                last = at;
            }
        }
    }
}

static void a_flipped_byte_never_runs_both_or_neither(void **state)
{
    (void)state;
    sweep(RIG_FLIP, "flip", POSITIONS);
}

static void a_cut_never_runs_both_or_neither(void **state)
{
    (void)state;
    sweep(RIG_CUT, "cut", POSITIONS);
}

static void a_peer_that_goes_silent_is_not_waited_for_for_ever(void **state)
{
    (void)state;
    sweep(RIG_SILENT, "silence", 4);
}

static void damaged_memory_is_named_at_both_sides(void **state)
{
    struct rig rig;
    uint64_t bytes[2];

    (void)state;
    measure(bytes);
    rig_open(&rig, NULL);
    rig_fill(&rig, 1);
    rig.fault = RIG_FLIP;
    rig.fault_from = 0;
    rig.fault_at = bytes[0] / 3;
    assert_int_equal(rig_start(&rig, &quick), FERRY_OK);
    assert_true(rig_run(&rig, LIMIT_MS));
    assert_int_equal(rig_outcome(&rig, 0), FERRY_OUTCOME_ROLLED_BACK);
    assert_int_equal(rig_outcome(&rig, 1), FERRY_OUTCOME_ROLLED_BACK);
    assert_int_equal(rig.side[1].report.error.code, FERRY_E_CORRUPT);
    assert_int_equal(rig.side[0].report.error.code, FERRY_E_CORRUPT);
    assert_string_equal(rig.side[0].report.error.rule, "STR-SUM-1");
    assert_string_equal(rig.side[0].report.error.text, rig.side[1].report.error.text);
    assert_true(rig_runs(&rig, 0));
    rig_close(&rig);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_flipped_byte_never_runs_both_or_neither),
        cmocka_unit_test(a_cut_never_runs_both_or_neither),
        cmocka_unit_test(a_peer_that_goes_silent_is_not_waited_for_for_ever),
        cmocka_unit_test(damaged_memory_is_named_at_both_sides),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
