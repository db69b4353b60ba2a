/* SPDX-License-Identifier: BSD-3-Clause */
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "ferry/host.h"
#include "v1_rig.h"

/* A device with uAPI v1 seen through the backend: opening and states. */

/* --- opening --- */

static void a_device_with_the_region_is_one_of_v2_for_everyone_above(void **state)
{
    struct v1_rig rig;
    struct ferry_request request = { .kind = FERRY_RQ_MIG_FLAGS };

    (void)state;
    v1_rig_open(&rig);
    assert_int_equal(v1_rig_call(&rig, &request), FERRY_OK);
    assert_int_equal(request.u.mig_flags, FERRY_MIG_STOP_COPY | FERRY_MIG_PRE_COPY);
    assert_true(rig.backend->ops->extensions(rig.backend) & FERRY_VIEW_UAPI_V1);
    v1_rig_close(&rig);
}

static void a_device_without_the_region_stays_as_it_is(void **state)
{
    struct v1_rig rig;

    (void)state;
    fake_v1_open(&rig.fake, FAKE_TRAPPED);
    rig.fake.shy = 1;
    assert_int_equal(v1_rig_connect(&rig), FERRY_OK);
    assert_string_equal(rig.backend->ops->scheme, "local");
    v1_rig_close(&rig);
}

static void a_device_that_takes_too_long_is_not_waited_for(void **state)
{
    struct v1_rig rig;

    (void)state;
    fake_v1_open(&rig.fake, FAKE_TRAPPED);
    rig.fake.hurry = 1;
    assert_int_equal(v1_rig_connect(&rig), FERRY_E_TIMEOUT);
    v1_rig_assert_text(&rig, "too slowly");
    v1_rig_close(&rig);
}

static void a_region_that_cannot_be_one_is_refused_with_its_reason(void **state)
{
    static const struct {
        uint64_t region_bytes, area_off, area_bytes;
        uint32_t flags, form;
        const char *text;
    } rows[] = {
        { 32, 0, 0, 3, FAKE_TRAPPED, "no room for data" },
        { 0, 0, 0, 3, FAKE_TRAPPED, "no room for data" },
        { UINT64_MAX, 0, 0, 3, FAKE_TRAPPED, "no room for data" },
        { 0x6000, 0, 0, FERRY_REGION_READ, FAKE_TRAPPED, "both read and written" },
        { 0x6000, 0, 0, FERRY_REGION_WRITE, FAKE_TRAPPED, "both read and written" },
        { 0x6000, 0, 0x1000, 3, FAKE_MAPPED, "its registers can be mapped" },
        { 0x6000, 0x1000, 0x5001, 3, FAKE_MAPPED, "mmappable area" },
        { 0x6000, 0x1000, 0x6000, 3, FAKE_MAPPED, "mmappable area" },
        { 0x6000, 0x1001, 0x1000, 3, FAKE_MAPPED, "mmappable area" },
        { 0x6000, 0x1000, 0, 3, FAKE_MAPPED, "mmappable area" },
        { 0x6000, UINT64_MAX - 0xfff, 0x1000, 3, FAKE_MAPPED, "mmappable area" },
    };
    struct v1_rig rig;

    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        fake_v1_open(&rig.fake, rows[i].form);
        rig.fake.region_bytes = rows[i].region_bytes;
        rig.fake.region_flags = rows[i].flags;
        rig.fake.area_off = rows[i].area_off;
        rig.fake.area_bytes = rows[i].area_bytes;
        assert_int_equal(v1_rig_connect(&rig), FERRY_E_PROTOCOL);
        v1_rig_assert_text(&rig, rows[i].text);
        v1_rig_close(&rig);
    }
}

static void only_what_v1_can_tell_is_there(void **state)
{
    static const struct {
        uint32_t index, operation;
        int status;
    } rows[] = {
        { 1, FERRY_FEATURE_GET, FERRY_OK },
        { 1, FERRY_FEATURE_SET, FERRY_E_UNSUPPORTED },
        { 2, FERRY_FEATURE_GET, FERRY_OK },
        { 2, FERRY_FEATURE_SET, FERRY_OK },
        { 6, FERRY_FEATURE_SET, FERRY_E_UNSUPPORTED }, /* the fake has no log */
        { 9, FERRY_FEATURE_GET, FERRY_E_UNSUPPORTED },
        { 0xfe01, FERRY_FEATURE_GET, FERRY_OK },
    };
    static const uint32_t refused[] = { FERRY_RQ_DATA_SIZE, FERRY_RQ_DATA_FD,
                                        FERRY_RQ_LEAVE_STATE };
    struct v1_rig rig;

    (void)state;
    v1_rig_open(&rig);
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct ferry_request request = { .kind = FERRY_RQ_PROBE };

        request.u.probe.index = rows[i].index;
        request.u.probe.operation = rows[i].operation;
        assert_int_equal(v1_rig_call(&rig, &request), rows[i].status);
    }
    for (size_t i = 0; i < sizeof(refused) / sizeof(refused[0]); i++) {
        struct ferry_request request = { .kind = refused[i] };

        assert_int_equal(v1_rig_call(&rig, &request), FERRY_E_UNSUPPORTED);
    }
    /* None of it read pending_bytes, which freezes a stopped device. */
    v1_rig_assert_trace(&rig, "");
    v1_rig_close(&rig);
}

/* --- states --- */

/* MIG-V1-1, MIG-V1-5 */
static void every_combination_of_bits_is_translated_never_passed_through(void **state)
{
    static const struct {
        uint32_t bits;
        int status;
        uint32_t v2;
    } rows[] = {
        { 0, FERRY_OK, FERRY_STATE_STOP },      { 1, FERRY_OK, FERRY_STATE_RUNNING },
        { 2, FERRY_OK, FERRY_STATE_STOP_COPY }, { 3, FERRY_OK, FERRY_STATE_PRE_COPY },
        { 4, FERRY_OK, FERRY_STATE_RESUMING },  { 5, FERRY_E_PROTOCOL, 0 },
        { 6, FERRY_OK, FERRY_STATE_ERROR },     { 7, FERRY_E_PROTOCOL, 0 },
    };
    struct v1_rig rig;

    (void)state;
    v1_rig_open(&rig);
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        uint32_t seen;

        rig.fake.state = FAKE_V1_RESERVED | rows[i].bits;
        assert_int_equal(v1_rig_get_state(&rig, &seen), rows[i].status);
        if (rows[i].status == FERRY_OK) {
            assert_int_equal(seen, rows[i].v2);
        }
    }
    v1_rig_close(&rig);
}

/* MIG-V1-4: reserved bits are kept */
static void each_legal_pair_of_states_is_walked_by_the_edges_of_v1(void **state)
{
    static const struct {
        uint32_t from, to;
        const char *trace;
    } rows[] = {
        { 1, FERRY_STATE_RUNNING, "s1" },
        { 1, FERRY_STATE_STOP, "s1 w0 s0" },
        { 1, FERRY_STATE_STOP_COPY, "s1 w2 s2" },
        { 1, FERRY_STATE_RESUMING, "s1 w4 s4" },
        { 1, FERRY_STATE_PRE_COPY, "s1 w3 s3" },
        { 0, FERRY_STATE_RUNNING, "s0 w1 s1" },
        { 0, FERRY_STATE_STOP_COPY, "s0 w2 s2" },
        { 0, FERRY_STATE_RESUMING, "s0 w4 s4" },
        { 0, FERRY_STATE_PRE_COPY, "s0 w1 s1 w3 s3" },
        { 2, FERRY_STATE_STOP, "s2 w0 s0" },
        { 2, FERRY_STATE_RUNNING, "s2 w0 s0 w1 s1" },
        { 2, FERRY_STATE_RESUMING, "s2 w0 s0 w4 s4" },
        { 4, FERRY_STATE_STOP, "s4 w0 s0" },
        { 4, FERRY_STATE_RUNNING, "s4 w1 s1" },
        { 4, FERRY_STATE_STOP_COPY, "s4 w0 s0 w2 s2" },
        { 4, FERRY_STATE_PRE_COPY, "s4 w1 s1 w3 s3" },
        { 3, FERRY_STATE_STOP, "s3 w1 s1 w0 s0" },
        { 3, FERRY_STATE_RUNNING, "s3 w1 s1" },
        { 3, FERRY_STATE_STOP_COPY, "s3 w2 s2" },
        { 3, FERRY_STATE_RESUMING, "s3 w1 s1 w4 s4" },
    };
    struct v1_rig rig;

    (void)state;
    v1_rig_open(&rig);
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        rig.fake.state = FAKE_V1_RESERVED | rows[i].from;
        assert_int_equal(v1_rig_set_state(&rig, rows[i].to), FERRY_OK);
        v1_rig_assert_trace(&rig, rows[i].trace);
        assert_int_equal(rig.fake.state & ~FERRY_V1_MASK, FAKE_V1_RESERVED);
    }
    v1_rig_close(&rig);
}

static void what_v1_or_v2_lack_is_refused_without_a_write(void **state)
{
    static const struct {
        uint32_t from, to;
    } rows[] = {
        { 1, FERRY_STATE_RUNNING_P2P },
        { 3, FERRY_STATE_PRE_COPY_P2P },
        { 2, FERRY_STATE_PRE_COPY },
        { 1, FERRY_STATE_ERROR },
        { 1, 8 },
        { 1, UINT32_MAX },
        { 6, FERRY_STATE_RUNNING },
        { 6, FERRY_STATE_STOP },
    };
    struct v1_rig rig;

    (void)state;
    v1_rig_open(&rig);
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        rig.fake.state = FAKE_V1_RESERVED | rows[i].from;
        assert_int_equal(v1_rig_set_state(&rig, rows[i].to), FERRY_E_ARC);
        assert_int_equal(rig.fake.state, FAKE_V1_RESERVED | rows[i].from);
        assert_int_equal(strlen(rig.fake.trace), 2);
        fake_v1_forget(&rig.fake);
    }
    v1_rig_assert_text(&rig, "only a reset leaves the error state");
    v1_rig_close(&rig);
}

/* MIG-V1-2 */
static void a_failed_write_is_read_back(void **state)
{
    struct v1_rig rig;
    uint32_t seen;

    (void)state;
    v1_rig_open(&rig);
    rig.fake.fail_bits = FERRY_V1_SAVING;
    rig.fake.fail_bits_status = FERRY_E_DEVICE;
    assert_int_equal(v1_rig_set_state(&rig, FERRY_STATE_STOP_COPY), FERRY_E_DEVICE);
    v1_rig_assert_trace(&rig, "s1 w2 s1");
    v1_rig_assert_text(&rig, "it is in RUNNING");

    rig.fake.fail_bits_status = FERRY_E_DEVICE;
    rig.fake.fail_error = 1;
    assert_int_equal(v1_rig_set_state(&rig, FERRY_STATE_STOP_COPY), FERRY_E_DEVICE);
    v1_rig_assert_text(&rig, "it is in ERROR");
    assert_int_equal(v1_rig_get_state(&rig, &seen), FERRY_OK);
    assert_int_equal(seen, FERRY_STATE_ERROR);
    v1_rig_close(&rig);
}

/* MIG-V1-3 */
static void only_a_reset_leaves_the_error_state(void **state)
{
    struct ferry_request request = { .kind = FERRY_RQ_RESET };
    struct v1_rig rig;
    uint32_t seen;

    (void)state;
    v1_rig_open(&rig);
    rig.fake.state = FAKE_V1_RESERVED | FERRY_V1_ERROR;
    assert_int_equal(v1_rig_set_state(&rig, FERRY_STATE_RUNNING), FERRY_E_ARC);
    assert_int_equal(v1_rig_call(&rig, &request), FERRY_OK);
    assert_int_equal(v1_rig_get_state(&rig, &seen), FERRY_OK);
    assert_int_equal(seen, FERRY_STATE_RUNNING);
    v1_rig_close(&rig);
}

static void a_reset_that_leaves_the_bits_is_followed_by_a_write(void **state)
{
    struct ferry_request request = { .kind = FERRY_RQ_RESET };
    struct v1_rig rig;

    (void)state;
    v1_rig_open(&rig);
    rig.fake.reset_keeps = 1;
    rig.fake.state = FAKE_V1_RESERVED | FERRY_V1_SAVING;
    assert_int_equal(v1_rig_call(&rig, &request), FERRY_OK);
    v1_rig_assert_trace(&rig, "R s2 w0 s0 w1 s1");
    rig.fake.fail_reset = FERRY_E_DEVICE;
    assert_int_equal(v1_rig_call(&rig, &request), FERRY_E_DEVICE);
    v1_rig_close(&rig);
}

/* Runs a device that takes nothing but what the text of v1 draws out of 100. */
static void load_drawn_only(struct v1_rig *rig, uint32_t any_chunks)
{
    v1_rig_open(rig);
    rig->backend->ops->close(rig->backend);
    rig->fake.any_chunks = any_chunks;
    assert_int_equal(v1_rig_connect(rig), FERRY_OK);
    rig->fake.state = FAKE_V1_RESERVED | FERRY_V1_RESUMING;
    rig->fake.fail_bits = 0;
    rig->fake.fail_bits_status = FERRY_E_ARGUMENT;
}

static void a_device_that_knows_no_stop_after_a_load_is_told_to_be_in_stop(void **state)
{
    struct v1_rig rig;
    uint32_t seen;

    (void)state;
    load_drawn_only(&rig, 0);
    assert_int_equal(v1_rig_set_state(&rig, FERRY_STATE_STOP), FERRY_OK);
    v1_rig_assert_trace(&rig, "s4 w0 s4");
    assert_int_equal(v1_rig_get_state(&rig, &seen), FERRY_OK);
    assert_int_equal(seen, FERRY_STATE_STOP);
    assert_int_equal(v1_rig_set_state(&rig, FERRY_STATE_STOP), FERRY_OK);
    fake_v1_forget(&rig.fake);
    /* There is no other session to be had, and none to save. */
    assert_int_equal(v1_rig_set_state(&rig, FERRY_STATE_RESUMING), FERRY_E_ARC);
    assert_int_equal(v1_rig_set_state(&rig, FERRY_STATE_STOP_COPY), FERRY_E_ARC);
    v1_rig_assert_trace(&rig, "s4 s4");
    rig.fake.fail_bits = FERRY_V1_RUNNING;
    rig.fake.fail_bits_status = FERRY_E_ARGUMENT;
    assert_int_equal(v1_rig_set_state(&rig, FERRY_STATE_RUNNING), FERRY_E_ARGUMENT);
    v1_rig_assert_text(&rig, "it is in RESUMING");
    fake_v1_forget(&rig.fake);
    assert_int_equal(v1_rig_set_state(&rig, FERRY_STATE_RUNNING), FERRY_OK);
    v1_rig_assert_trace(&rig, "s4 w1 s1");
    /* It is over: RESUMING is RESUMING again. */
    assert_int_equal(v1_rig_set_state(&rig, FERRY_STATE_RESUMING), FERRY_OK);
    assert_int_equal(v1_rig_get_state(&rig, &seen), FERRY_OK);
    assert_int_equal(seen, FERRY_STATE_RESUMING);
    v1_rig_close(&rig);
}

static void
what_is_loaded_and_not_run_takes_no_more_data_and_is_left_by_a_reset(void **state)
{
    struct ferry_request request = { .kind = FERRY_RQ_RESET };
    uint8_t byte = 0;
    struct ferry_request data = { .kind = FERRY_RQ_DATA_WRITE };
    struct v1_rig rig;
    uint32_t seen;

    (void)state;
    load_drawn_only(&rig, 0);
    assert_int_equal(v1_rig_set_state(&rig, FERRY_STATE_STOP), FERRY_OK);
    data.u.data.data = &byte;
    data.u.data.size = 1;
    assert_int_equal(v1_rig_call(&rig, &data), FERRY_E_STATE);
    rig.fake.reset_keeps = 1;
    assert_int_equal(v1_rig_call(&rig, &request), FERRY_OK);
    assert_int_equal(v1_rig_set_state(&rig, FERRY_STATE_RESUMING), FERRY_OK);
    assert_int_equal(v1_rig_get_state(&rig, &seen), FERRY_OK);
    assert_int_equal(seen, FERRY_STATE_RESUMING);
    v1_rig_close(&rig);
}

/* There the failure says that the data are bad, and in time. */
static void a_device_that_says_who_it_is_refuses_stop_after_a_load_for_good(void **state)
{
    struct v1_rig rig;
    uint32_t seen;

    (void)state;
    load_drawn_only(&rig, 1);
    assert_int_equal(v1_rig_set_state(&rig, FERRY_STATE_STOP), FERRY_E_ARGUMENT);
    assert_int_equal(v1_rig_get_state(&rig, &seen), FERRY_OK);
    assert_int_equal(seen, FERRY_STATE_RESUMING);
    v1_rig_close(&rig);
}

static void another_errno_than_einval_is_about_the_data(void **state)
{
    struct v1_rig rig;

    (void)state;
    load_drawn_only(&rig, 0);
    rig.fake.fail_bits_status = FERRY_E_DEVICE;
    assert_int_equal(v1_rig_set_state(&rig, FERRY_STATE_STOP), FERRY_E_DEVICE);
    v1_rig_assert_text(&rig, "it is in RESUMING");
    v1_rig_close(&rig);
}

static void a_device_state_that_lies_is_found_out(void **state)
{
    static const struct {
        uint32_t lie;
        int status;
        const char *text;
    } rows[] = {
        { FAKE_STATE_NONE, FERRY_E_PROTOCOL, "a combination that is none (0x5)" },
        { FAKE_STATE_DEAF, FERRY_E_PROTOCOL, "succeeded and was not done" },
        { FAKE_STATE_ERROR, FERRY_E_DEVICE_ERROR, "is in the error state" },
        { FAKE_STATE_ASTRAY, FERRY_E_PROTOCOL, "neither the one before nor the error" },
    };
    struct v1_rig rig;

    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        v1_rig_open(&rig);
        rig.fake.lie = rows[i].lie;
        assert_int_equal(v1_rig_set_state(&rig, FERRY_STATE_STOP_COPY), rows[i].status);
        v1_rig_assert_text(&rig, rows[i].text);
        v1_rig_close(&rig);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_device_with_the_region_is_one_of_v2_for_everyone_above),
        cmocka_unit_test(a_device_without_the_region_stays_as_it_is),
        cmocka_unit_test(a_device_that_takes_too_long_is_not_waited_for),
        cmocka_unit_test(a_region_that_cannot_be_one_is_refused_with_its_reason),
        cmocka_unit_test(only_what_v1_can_tell_is_there),
        cmocka_unit_test(every_combination_of_bits_is_translated_never_passed_through),
        cmocka_unit_test(each_legal_pair_of_states_is_walked_by_the_edges_of_v1),
        cmocka_unit_test(what_v1_or_v2_lack_is_refused_without_a_write),
        cmocka_unit_test(a_failed_write_is_read_back),
        cmocka_unit_test(only_a_reset_leaves_the_error_state),
        cmocka_unit_test(a_reset_that_leaves_the_bits_is_followed_by_a_write),
        cmocka_unit_test(a_device_that_knows_no_stop_after_a_load_is_told_to_be_in_stop),
        cmocka_unit_test(
            what_is_loaded_and_not_run_takes_no_more_data_and_is_left_by_a_reset),
        cmocka_unit_test(a_device_that_says_who_it_is_refuses_stop_after_a_load_for_good),
        cmocka_unit_test(another_errno_than_einval_is_about_the_data),
        cmocka_unit_test(a_device_state_that_lies_is_found_out),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
