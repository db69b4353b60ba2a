/* SPDX-License-Identifier: BSD-3-Clause */
#include <stdarg.h>
#include <setjmp.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>

#include "ferry/error.h"
#include "ferry/state.h"
#include "state_tables.h"

#define MACHINES (sizeof(expected_machines) / sizeof(expected_machines[0]))

static const struct expected_path *find(const struct expected_machine *machine,
                                        uint32_t cur, uint32_t wanted)
{
    size_t i;

    for (i = 0; i < machine->path_count; i++) {
        const char *states = machine->paths[i].states;

        if ((uint32_t)(states[0] - '0') == cur &&
            (uint32_t)(states[strlen(states) - 1] - '0') == wanted) {
            return &machine->paths[i];
        }
    }
    return NULL;
}

static void every_pair_has_the_kernels_next_state(void **state)
{
    size_t m;
    uint32_t cur, wanted, next;

    (void)state;
    for (m = 0; m < MACHINES; m++) {
        for (cur = 0; cur < 8; cur++) {
            for (wanted = 0; wanted < 8; wanted++) {
                char expected = expected_machines[m].next[cur][wanted];
                int rc;

                next = 99;
                rc = ferry_state_next(cur, wanted, expected_machines[m].features, &next);
                if (expected == '-') {
                    assert_int_equal(rc, FERRY_E_ARC);
                    assert_int_equal(next, 99);
                } else {
                    assert_int_equal(rc, FERRY_OK);
                    assert_int_equal(next, expected - '0');
                }
            }
        }
    }
}

static void there_are_12_20_19_and_40_legal_pairs(void **state)
{
    static const int expected[MACHINES] = { 12, 20, 19, 40 };
    size_t m;
    uint32_t cur, wanted, next;

    (void)state;
    for (m = 0; m < MACHINES; m++) {
        int count = 0;

        for (cur = 0; cur < 8; cur++) {
            for (wanted = 0; wanted < 8; wanted++) {
                count += cur != wanted &&
                         ferry_state_next(cur, wanted, expected_machines[m].features,
                                          &next) == FERRY_OK;
            }
        }
        assert_int_equal(count, expected[m]);
        assert_int_equal(count, expected_machines[m].path_count);
    }
}

/* MIG-ARC-1 */
static void every_full_path_is_the_kernels(void **state)
{
    size_t m, i;
    uint32_t cur, wanted;

    (void)state;
    for (m = 0; m < MACHINES; m++) {
        for (cur = 0; cur < 8; cur++) {
            for (wanted = 0; wanted < 8; wanted++) {
                const struct expected_machine *machine = &expected_machines[m];
                const struct expected_path *expected = find(machine, cur, wanted);
                uint32_t path[FERRY_STATE_COUNT];
                int rc = ferry_state_path(cur, wanted, machine->features, path);

                if (cur == wanted && machine->next[cur][wanted] != '-') {
                    assert_int_equal(rc, 0);
                } else if (!expected) {
                    assert_int_equal(rc, FERRY_E_ARC);
                } else {
                    assert_int_equal(rc, strlen(expected->states) - 1);
                    for (i = 0; i + 1 < strlen(expected->states); i++) {
                        assert_int_equal(path[i], expected->states[i + 1] - '0');
                    }
                }
            }
        }
    }
}

/* MIG-SES-1 */
static void every_pair_treats_the_data_session_as_the_kernel_does(void **state)
{
    size_t m;
    uint32_t cur, wanted;

    (void)state;
    for (m = 0; m < MACHINES; m++) {
        for (cur = 0; cur < 8; cur++) {
            for (wanted = 0; wanted < 8; wanted++) {
                const struct expected_machine *machine = &expected_machines[m];
                const struct expected_path *expected = find(machine, cur, wanted);
                int rc = ferry_state_data(cur, wanted, machine->features);

                if (cur == wanted && machine->next[cur][wanted] != '-') {
                    assert_int_equal(rc, FERRY_DATA_NONE);
                } else if (!expected) {
                    assert_int_equal(rc, FERRY_E_ARC);
                } else {
                    static const char letters[] = "NBEX";

                    assert_true(rc >= 0 && rc < 4);
                    assert_int_equal(letters[rc], expected->data);
                }
            }
        }
    }
}

/* MIG-ARC-2 */
static void numbers_that_are_no_states_are_refused(void **state)
{
    uint32_t next, path[FERRY_STATE_COUNT];

    (void)state;
    assert_int_equal(ferry_state_next(8, 2, 7, &next), FERRY_E_ARC);
    assert_int_equal(ferry_state_next(2, 8, 7, &next), FERRY_E_ARC);
    assert_int_equal(ferry_state_next(0xffffffffu, 0xffffffffu, 7, &next), FERRY_E_ARC);
    assert_int_equal(ferry_state_path(2, 0x80000000u, 7, path), FERRY_E_ARC);
    assert_int_equal(ferry_state_data(8, 1, 7), FERRY_E_ARC);
    assert_string_equal(ferry_state_name(8), "?");
}

static void a_device_without_stop_copy_has_no_arcs(void **state)
{
    uint32_t features, next;

    (void)state;
    for (features = 0; features < 8; features += 2) {
        assert_int_equal(
            ferry_state_next(FERRY_STATE_RUNNING, FERRY_STATE_STOP, features, &next),
            FERRY_E_ARC);
    }
}

static void states_exist_as_their_features_say(void **state)
{
    static const char *const exists[8] = {
        /* by features 0 to 7: which of the states 0 to 7 exist */
        "11100000", "11111000", "11100100", "11111100",
        "11100010", "11111010", "11100111", "11111111",
    };
    uint32_t features, s;

    (void)state;
    for (features = 0; features < 8; features++) {
        for (s = 0; s < 8; s++) {
            assert_int_equal(ferry_state_exists(s, features), exists[features][s] - '0');
        }
        assert_int_equal(ferry_state_exists(8, features), 0);
    }
}

static void three_states_are_saving_ones(void **state)
{
    uint32_t s;

    (void)state;
    for (s = 0; s < 10; s++) {
        assert_int_equal(ferry_state_is_saving(s), s == 3 || s == 6 || s == 7);
    }
}

static void names_are_the_uapis(void **state)
{
    static const char *const names[] = { "ERROR",     "STOP",        "RUNNING",
                                         "STOP_COPY", "RESUMING",    "RUNNING_P2P",
                                         "PRE_COPY",  "PRE_COPY_P2P" };
    uint32_t s;

    (void)state;
    for (s = 0; s < 8; s++) {
        assert_string_equal(ferry_state_name(s), names[s]);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_pair_has_the_kernels_next_state),
        cmocka_unit_test(there_are_12_20_19_and_40_legal_pairs),
        cmocka_unit_test(every_full_path_is_the_kernels),
        cmocka_unit_test(every_pair_treats_the_data_session_as_the_kernel_does),
        cmocka_unit_test(numbers_that_are_no_states_are_refused),
        cmocka_unit_test(a_device_without_stop_copy_has_no_arcs),
        cmocka_unit_test(states_exist_as_their_features_say),
        cmocka_unit_test(three_states_are_saving_ones),
        cmocka_unit_test(names_are_the_uapis),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
