/* SPDX-License-Identifier: BSD-3-Clause */
#include <stdarg.h>
#include <setjmp.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>

#include "ferry/error.h"
#include "ferry/state.h"

/* By v1 bits 000 to 111: may be written, and the v2 state ('-': means nothing). */
static const char v1_valid[] = "11111000";
static const char v1_to_v2[] = "12364-0-";
/* By v2 state 0 to 7: the v1 bits. */
static const char v2_to_v1[] = "60124133";

/* MIG-V1-1 */
static void validity_is_that_of_the_v1_header_for_every_number(void **state)
{
    uint32_t v1;

    (void)state;
    for (v1 = 0; v1 < 64; v1++) {
        assert_int_equal(ferry_state_v1_valid(v1), v1 < 8 && v1_valid[v1] == '1');
    }
    assert_int_equal(ferry_state_v1_valid(0x80000001u), 0);
}

/* MIG-V1-5 */
static void every_v1_number_is_translated_or_refused(void **state)
{
    uint32_t v1, v2;

    (void)state;
    for (v1 = 0; v1 < 64; v1++) {
        int known = v1 < 8 && v1_to_v2[v1] != '-';

        v2 = 99;
        assert_int_equal(ferry_state_from_v1(v1, &v2),
                         known ? FERRY_OK : FERRY_E_ARGUMENT);
        assert_int_equal(v2, known ? (uint32_t)(v1_to_v2[v1] - '0') : 99);
    }
}

/* MIG-V1-5, MIG-V1-13 */
static void every_v2_state_is_translated_or_refused(void **state)
{
    uint32_t v1, v2;

    (void)state;
    for (v2 = 0; v2 < 16; v2++) {
        v1 = 99;
        assert_int_equal(ferry_state_to_v1(v2, &v1),
                         v2 < 8 ? FERRY_OK : FERRY_E_ARGUMENT);
        assert_int_equal(v1, v2 < 8 ? (uint32_t)(v2_to_v1[v2] - '0') : 99);
    }
}

static void what_goes_to_v2_comes_back(void **state)
{
    uint32_t v1, v2, back;

    (void)state;
    for (v1 = 0; v1 < 8; v1++) {
        if (ferry_state_from_v1(v1, &v2) == FERRY_OK) {
            assert_int_equal(ferry_state_to_v1(v2, &back), FERRY_OK);
            assert_int_equal(back, v1);
        }
    }
}

/* Expected v2 paths of all 25 writes, for a device with pre-copy and without P2P ... */
static const char *const paths_5[5][5] = {
    /* to:    000 001   010  011    100 */
    { "", "2", "3", "26", "4" },    /* from 000 STOP */
    { "1", "", "13", "6", "14" },   /* from 001 RUNNING */
    { "1", "12", "", "126", "14" }, /* from 010 stop-and-copy */
    { "21", "2", "3", "", "214" },  /* from 011 pre-copy */
    { "1", "12", "13", "126", "" }, /* from 100 RESUMING */
};
/* ... with all features ... */
static const char *const paths_7[5][5] = {
    { "", "52", "3", "526", "4" },    { "51", "", "513", "6", "514" },
    { "1", "152", "", "1526", "14" }, { "251", "2", "73", "", "2514" },
    { "1", "152", "13", "1526", "" },
};
/* ... and without pre-copy, which v1 wants all the same: the device stays RUNNING. */
static const char *const paths_1[5][5] = {
    { "", "2", "3", "2", "4" },    { "1", "", "13", "", "14" },
    { "1", "12", "", "12", "14" }, { "1", "", "13", "", "14" },
    { "1", "12", "13", "12", "" },
};

static void check_paths(const char *const expected[5][5], uint32_t features)
{
    uint32_t cur, wanted;

    for (cur = 0; cur < 5; cur++) {
        for (wanted = 0; wanted < 5; wanted++) {
            const char *want = expected[cur][wanted];
            uint32_t path[FERRY_STATE_COUNT];
            int rc = ferry_state_v1_path(cur, wanted, features, path), i;

            assert_int_equal(rc, strlen(want));
            for (i = 0; i < rc; i++) {
                assert_int_equal(path[i], want[i] - '0');
            }
        }
    }
}

/* MIG-V1-7 */
static void every_v1_write_walks_the_expected_states(void **state)
{
    (void)state;
    check_paths(paths_5, 5);
    check_paths(paths_7, 7);
    check_paths(paths_1, 1);
}

/* MIG-V1-1, MIG-V1-3 */
static void no_v1_write_leads_from_or_to_what_is_invalid(void **state)
{
    uint32_t path[FERRY_STATE_COUNT], v1, other;

    (void)state;
    for (v1 = 0; v1 < 32; v1++) {
        for (other = 5; other < 32; other++) {
            assert_int_equal(ferry_state_v1_path(v1, other, 7, path), FERRY_E_ARC);
            assert_int_equal(ferry_state_v1_path(other, v1, 7, path), FERRY_E_ARC);
        }
    }
}

/* MIG-V1-6 */
static void stop_and_copy_to_pre_copy_is_a_new_session(void **state)
{
    uint32_t path[FERRY_STATE_COUNT], cur = FERRY_STATE_STOP_COPY;
    int ended = 0, began = 0, i, count;

    (void)state;
    /* v2 has no way, v1 has. */
    assert_int_equal(ferry_state_path(cur, FERRY_STATE_PRE_COPY, 7, path), FERRY_E_ARC);
    count = ferry_state_v1_path(2, 3, 7, path);
    assert_int_equal(count, 4);
    for (i = 0; i < count; i++) {
        int data = ferry_state_data(cur, path[i], 7);

        assert_true(data >= 0);
        ended += data == FERRY_DATA_ENDS;
        began += data == FERRY_DATA_BEGINS;
        cur = path[i];
    }
    assert_int_equal(cur, FERRY_STATE_PRE_COPY);
    assert_int_equal(ended, 1);
    assert_int_equal(began, 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(validity_is_that_of_the_v1_header_for_every_number),
        cmocka_unit_test(every_v1_number_is_translated_or_refused),
        cmocka_unit_test(every_v2_state_is_translated_or_refused),
        cmocka_unit_test(what_goes_to_v2_comes_back),
        cmocka_unit_test(every_v1_write_walks_the_expected_states),
        cmocka_unit_test(no_v1_write_leads_from_or_to_what_is_invalid),
        cmocka_unit_test(stop_and_copy_to_pre_copy_is_a_new_session),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
