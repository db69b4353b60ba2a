/* SPDX-License-Identifier: BSD-3-Clause */
#include <stdarg.h>
#include <setjmp.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>

#include "core/v1/region.h"
#include "core/v1/walk.h"
#include "ferry/error.h"

#define ALL 7u
#define NO_PRE_COPY 3u

/*
 * Every place in which a device that is quiet implicitly can be: device_state, state of
 * v2, what each write walks through, and what the first read of pending_bytes does.
 */
static const struct place {
    uint32_t v1, state;
    const char *path[5]; /* to 000, 001, 010, 011, 100 */
    const char *freeze;
} places[] = {
    { 0, FERRY_STATE_STOP, { "", "52", "3", "526", "4" }, "" },
    { 0, FERRY_STATE_RUNNING_P2P, { "", "2", "", "26", "14" }, "1" },
    { 1, FERRY_STATE_RUNNING, { "5", "", "5", "6", "514" }, "" },
    { 2, FERRY_STATE_STOP_COPY, { "15", "152", "", "1526", "14" }, "" },
    { 2, FERRY_STATE_RUNNING_P2P, { "", "2", "", "26", "14" }, "13" },
    { 2, FERRY_STATE_PRE_COPY_P2P, { "5", "52", "", "526", "514" }, "3" },
    { 3, FERRY_STATE_PRE_COPY, { "25", "2", "7", "", "2514" }, "" },
    { 4, FERRY_STATE_RESUMING, { "1", "152", "13", "1526", "" }, "" },
};

/* The same without pre-copy: 011 is RUNNING. */
static const struct place places_no_pre_copy[] = {
    { 0, FERRY_STATE_STOP, { "", "52", "3", "52", "4" }, "" },
    { 0, FERRY_STATE_RUNNING_P2P, { "", "2", "", "2", "14" }, "1" },
    { 1, FERRY_STATE_RUNNING, { "5", "", "5", "", "514" }, "" },
    { 2, FERRY_STATE_STOP_COPY, { "15", "152", "", "152", "14" }, "" },
    { 2, FERRY_STATE_RUNNING_P2P, { "", "2", "", "2", "14" }, "13" },
    { 3, FERRY_STATE_RUNNING, { "5", "", "5", "", "514" }, "" },
    { 4, FERRY_STATE_RESUMING, { "1", "152", "13", "152", "" }, "" },
};

static void check_path(const uint32_t *path, int count, const char *expected)
{
    assert_int_equal(count, strlen(expected));
    for (int i = 0; i < count; i++) {
        assert_int_equal(path[i], expected[i] - '0');
    }
}

static void check_places(const struct place *place, size_t count, uint32_t features)
{
    uint32_t path[FERRY_STATE_COUNT];

    for (size_t i = 0; i < count; i++) {
        const struct ferry_v1_device device = { .features = features,
                                                .implicit = 1,
                                                .state = place[i].state,
                                                .v1 = place[i].v1 };

        for (uint32_t wanted = 0; wanted < 16; wanted++) {
            const int walked = ferry_v1_walk(&device, wanted, path);

            if (wanted < 5) {
                check_path(path, walked, place[i].path[wanted]);
            } else {
                assert_int_equal(walked, FERRY_E_ARC);
            }
        }
        check_path(path, ferry_v1_freeze(&device, path), place[i].freeze);
    }
}

static void every_write_at_a_quiet_device_walks_the_expected_states(void **state)
{
    (void)state;
    check_places(places, sizeof(places) / sizeof(places[0]), ALL);
    check_places(places_no_pre_copy,
                 sizeof(places_no_pre_copy) / sizeof(places_no_pre_copy[0]), NO_PRE_COPY);
}

/* The table above leaves no place out: whatever is written leads to one of its rows. */
static void no_write_and_no_freeze_leads_out_of_the_known_places(void **state)
{
    const size_t count = sizeof(places) / sizeof(places[0]);
    uint32_t path[FERRY_STATE_COUNT];

    (void)state;
    for (size_t i = 0; i < count; i++) {
        for (uint32_t wanted = 0; wanted < 6; wanted++) {
            struct ferry_v1_device device = { .features = ALL,
                                              .implicit = 1,
                                              .state = places[i].state,
                                              .v1 = places[i].v1 };
            const int walked = wanted < 5 ? ferry_v1_walk(&device, wanted, path)
                                          : ferry_v1_freeze(&device, path);
            int known = 0;

            device.v1 = wanted < 5 ? wanted : device.v1;
            device.state = walked > 0 ? path[walked - 1] : device.state;
            for (size_t j = 0; j < count; j++) {
                known |= places[j].v1 == device.v1 && places[j].state == device.state;
            }
            assert_true(known);
        }
    }
}

static void a_device_that_is_not_quiet_walks_as_without_the_word(void **state)
{
    uint32_t path[FERRY_STATE_COUNT], plain[FERRY_STATE_COUNT];

    (void)state;
    for (uint32_t features = 1; features < 8; features += 2) {
        for (uint32_t v1 = 0; v1 < 8; v1++) {
            for (uint32_t wanted = 0; wanted < 16; wanted++) {
                const struct ferry_v1_device device = { .features = features, .v1 = v1 };
                const int count = ferry_v1_walk(&device, wanted, path);

                assert_int_equal(count, ferry_state_v1_path(v1, wanted, features, plain));
                if (count > 0) {
                    assert_memory_equal(path, plain, (size_t)count * sizeof(path[0]));
                }
            }
        }
    }
}

static void only_pre_copy_and_the_stop_behind_it_are_one_session(void **state)
{
    (void)state;
    for (uint32_t from = 0; from < 8; from++) {
        for (uint32_t to = 0; to < 8; to++) {
            assert_int_equal(ferry_v1_same_session(from, to),
                             from == to || (from == 3 && to == 2));
        }
    }
}

/* By offset 0, 4, 8, 16, 24: width, which register. */
static int expected_register(uint64_t off, uint64_t count, uint32_t *ret_reg)
{
    static const struct {
        uint64_t off, count;
    } rows[] = { { 0, 4 }, { 4, 4 }, { 8, 8 }, { 16, 8 }, { 24, 8 } };

    for (uint32_t i = 0; i < 5; i++) {
        if (rows[i].off == off && rows[i].count == count) {
            *ret_reg = i;
            return FERRY_OK;
        }
    }
    return off < 32 ? FERRY_E_ALIGN : FERRY_E_RANGE;
}

static void every_offset_and_width_is_a_register_or_refused(void **state)
{
    (void)state;
    for (uint64_t off = 0; off < 80; off++) {
        for (uint64_t count = 0; count < 80; count++) {
            uint32_t reg = 99, expected = 99;
            const int status = expected_register(off, count, &expected);

            assert_int_equal(ferry_v1_register_find(off, count, &reg), status);
            assert_int_equal(reg, expected);
        }
    }
    for (uint32_t i = 0; i < FERRY_V1_REGISTER_COUNT; i++) {
        const struct ferry_v1_register_info *info = ferry_v1_register(i);
        uint32_t reg;

        assert_int_equal(ferry_v1_register_find(info->off, info->bytes, &reg), FERRY_OK);
        assert_int_equal(reg, i);
    }
    assert_int_equal(ferry_v1_register_find(UINT64_MAX, 8, &(uint32_t){ 0 }),
                     FERRY_E_RANGE);
}

static void a_piece_lies_behind_the_registers_and_inside_the_region(void **state)
{
    (void)state;
    assert_int_equal(ferry_v1_piece_inside(32, 68, 100), 1);
    assert_int_equal(ferry_v1_piece_inside(100, 0, 100), 1);
    assert_int_equal(ferry_v1_piece_inside(32, 69, 100), 0);
    assert_int_equal(ferry_v1_piece_inside(31, 1, 100), 0);
    assert_int_equal(ferry_v1_piece_inside(0, 0, 100), 0);
    assert_int_equal(ferry_v1_piece_inside(101, 0, 100), 0);
    assert_int_equal(ferry_v1_piece_inside(64, UINT64_MAX, 100), 0);
    assert_int_equal(ferry_v1_piece_inside(UINT64_MAX, 2, UINT64_MAX), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_write_at_a_quiet_device_walks_the_expected_states),
        cmocka_unit_test(no_write_and_no_freeze_leads_out_of_the_known_places),
        cmocka_unit_test(a_device_that_is_not_quiet_walks_as_without_the_word),
        cmocka_unit_test(only_pre_copy_and_the_stop_behind_it_are_one_session),
        cmocka_unit_test(every_offset_and_width_is_a_register_or_refused),
        cmocka_unit_test(a_piece_lies_behind_the_registers_and_inside_the_region),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
