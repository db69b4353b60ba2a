/* SPDX-License-Identifier: BSD-3-Clause */
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "ferry/host.h"
#include "v1_rig.h"

/* A device with uAPI v1 seen through the backend: saving and resuming. */

/* --- saving --- */

static void save_pieces(struct v1_rig *rig, uint64_t at, const uint64_t *pieces)
{
    static uint8_t data[0x6000];
    uint64_t got;

    for (size_t i = 0; pieces[i] != 0; i++) {
        memset(data, 0, sizeof(data));
        assert_int_equal(v1_rig_read(rig, data, sizeof(data), &got), FERRY_OK);
        assert_int_equal(got, pieces[i]);
        for (uint64_t n = 0; n < got; n++) {
            assert_int_equal(data[n], fake_v1_byte(at + n));
        }
        at += got;
    }
}

static void each_form_of_the_section_gives_one_transaction_a_read(void **state)
{
    static const uint64_t precopy[FAKE_V1_PIECES] = { 1, 4096, 0x2345 };
    static const uint64_t stopped[FAKE_V1_PIECES] = { 0x2fff, 7, 0x1000 };
    uint64_t got;
    struct v1_rig rig;
    uint8_t byte;

    (void)state;
    for (uint32_t form = FAKE_TRAPPED; form <= FAKE_PARTITIONED; form++) {
        for (uint32_t wander = 0; wander < 2; wander++) {
            v1_rig_open_form(&rig, form);
            rig.fake.wander = wander;
            memcpy(rig.fake.precopy, precopy, sizeof(precopy));
            memcpy(rig.fake.stopped, stopped, sizeof(stopped));
            assert_int_equal(v1_rig_set_state(&rig, FERRY_STATE_PRE_COPY), FERRY_OK);
            save_pieces(&rig, 0, precopy);
            assert_int_equal(v1_rig_read(&rig, &byte, 1, &got), FERRY_E_DRY);
            assert_int_equal(v1_rig_set_state(&rig, FERRY_STATE_STOP_COPY), FERRY_OK);
            save_pieces(&rig, 1 + 4096 + 0x2345, stopped);
            assert_int_equal(v1_rig_read(&rig, &byte, 1, &got), FERRY_OK);
            assert_int_equal(got, 0);
            v1_rig_close(&rig);
        }
    }
}

static void a_mapped_section_takes_no_request_for_its_data(void **state)
{
    uint8_t data[0x3000];
    struct v1_rig rig;
    uint64_t got;

    (void)state;
    v1_rig_open_form(&rig, FAKE_MAPPED);
    rig.fake.stopped[0] = 0x1800;
    assert_int_equal(v1_rig_set_state(&rig, FERRY_STATE_STOP_COPY), FERRY_OK);
    fake_v1_forget(&rig.fake);
    assert_int_equal(v1_rig_read(&rig, data, sizeof(data), &got), FERRY_OK);
    v1_rig_assert_trace(&rig, "P O S");
    v1_rig_close(&rig);

    v1_rig_open_form(&rig, FAKE_PARTITIONED);
    rig.fake.stopped[0] = 0x1800;
    assert_int_equal(v1_rig_set_state(&rig, FERRY_STATE_STOP_COPY), FERRY_OK);
    fake_v1_forget(&rig.fake);
    assert_int_equal(v1_rig_read(&rig, data, sizeof(data), &got), FERRY_OK);
    v1_rig_assert_trace(&rig, "P O S r");
    v1_rig_close(&rig);
}

static void a_reader_with_little_memory_gets_a_transaction_in_parts(void **state)
{
    struct v1_rig rig;
    uint64_t got, at = 0;
    uint8_t byte;

    (void)state;
    v1_rig_open(&rig);
    rig.fake.precopy[0] = 3;
    rig.fake.stopped[0] = 2;
    assert_int_equal(v1_rig_set_state(&rig, FERRY_STATE_PRE_COPY), FERRY_OK);
    assert_int_equal(v1_rig_read(&rig, &byte, 1, &got), FERRY_OK);
    assert_int_equal(byte, fake_v1_byte(at++));
    /* What the reader has not taken yet comes first after the stop. */
    assert_int_equal(v1_rig_set_state(&rig, FERRY_STATE_STOP_COPY), FERRY_OK);
    rig.fake.made = 3;
    for (uint32_t i = 0; i < 4; i++) {
        assert_int_equal(v1_rig_read(&rig, &byte, 1, &got), FERRY_OK);
        assert_int_equal(got, 1);
        assert_int_equal(byte, fake_v1_byte(at++));
    }
    assert_int_equal(v1_rig_read(&rig, &byte, 1, &got), FERRY_OK);
    assert_int_equal(got, 0);
    v1_rig_close(&rig);
}

static void a_transaction_that_must_stay_whole_is_refused_before_it_is_touched(void **s)
{
    struct ferry_request request = { .kind = FERRY_RQ_DATA_READ };
    struct v1_rig rig;
    uint8_t data[64];
    uint64_t got;

    (void)s;
    v1_rig_open(&rig);
    rig.fake.stopped[0] = 65;
    assert_int_equal(v1_rig_set_state(&rig, FERRY_STATE_STOP_COPY), FERRY_OK);
    request.u.data =
        (struct ferry_data_io){ .data = data, .size = sizeof(data), .whole = 1 };
    assert_int_equal(v1_rig_call(&rig, &request), FERRY_E_LIMIT);
    v1_rig_assert_text(&rig, "one transaction has 65 bytes, at most 64");
    /* It is still there for a reader that may have it in parts. */
    assert_int_equal(v1_rig_read(&rig, data, sizeof(data), &got), FERRY_OK);
    assert_int_equal(got, 64);
    assert_int_equal(data[0], fake_v1_byte(0));
    assert_int_equal(v1_rig_read(&rig, data, sizeof(data), &got), FERRY_OK);
    assert_int_equal(got, 1);
    assert_int_equal(data[0], fake_v1_byte(64));
    v1_rig_close(&rig);
}

static void a_transaction_that_was_not_read_is_not_lost(void **state)
{
    struct v1_rig rig;
    uint8_t data[64];
    uint64_t got;

    (void)state;
    v1_rig_open(&rig);
    rig.fake.precopy[0] = 40;
    assert_int_equal(v1_rig_set_state(&rig, FERRY_STATE_PRE_COPY), FERRY_OK);
    rig.fake.fail_off = 0x1000;
    rig.fake.fail_off_status = FERRY_E_IO;
    assert_int_equal(v1_rig_read(&rig, data, sizeof(data), &got), FERRY_E_IO);
    assert_int_equal(v1_rig_set_state(&rig, FERRY_STATE_STOP_COPY), FERRY_E_STATE);
    assert_int_equal(v1_rig_read(&rig, data, sizeof(data), &got), FERRY_OK);
    assert_int_equal(got, 40);
    assert_int_equal(data[39], fake_v1_byte(39));
    assert_int_equal(v1_rig_set_state(&rig, FERRY_STATE_STOP_COPY), FERRY_OK);
    v1_rig_close(&rig);
}

static void the_end_is_not_asked_for_again(void **state)
{
    struct v1_rig rig;
    uint64_t got;
    uint8_t byte;

    (void)state;
    v1_rig_open(&rig);
    assert_int_equal(v1_rig_set_state(&rig, FERRY_STATE_STOP_COPY), FERRY_OK);
    fake_v1_forget(&rig.fake);
    assert_int_equal(v1_rig_read(&rig, &byte, 1, &got), FERRY_OK);
    assert_int_equal(got, 0);
    v1_rig_assert_trace(&rig, "P");
    assert_int_equal(v1_rig_read(&rig, &byte, 1, &got), FERRY_OK);
    assert_int_equal(got, 0);
    v1_rig_assert_trace(&rig, "");
    v1_rig_close(&rig);
}

static void stopping_reads_no_pending_bytes(void **state)
{
    uint32_t seen;
    struct v1_rig rig;

    (void)state;
    v1_rig_open(&rig);
    assert_int_equal(v1_rig_set_state(&rig, FERRY_STATE_PRE_COPY), FERRY_OK);
    assert_int_equal(v1_rig_set_state(&rig, FERRY_STATE_STOP_COPY), FERRY_OK);
    assert_int_equal(v1_rig_get_state(&rig, &seen), FERRY_OK);
    assert_null(strchr(rig.fake.trace, 'P'));
    v1_rig_close(&rig);
}

/* MIG-V1-9 */
static void the_lies_of_a_saving_device_are_found_out(void **state)
{
    static const struct {
        uint32_t lie;
        const char *text;
    } rows[] = {
        { FAKE_OFFSET_ZERO, "data_offset points into the registers (0x0)" },
        { FAKE_OFFSET_IN_REGISTERS, "data_offset points into the registers (0x1f)" },
        { FAKE_OFFSET_OUTSIDE, "data_offset lies outside of the region (0x6000)" },
        { FAKE_OFFSET_HUGE, "data_offset lies outside of the region" },
        { FAKE_SIZE_ZERO, "data_size is 0 while pending_bytes is not" },
        { FAKE_SIZE_OUTSIDE, "data_size goes beyond the region (0x5001)" },
        { FAKE_SIZE_HUGE, "data_size goes beyond the region" },
    };
    struct v1_rig rig;
    uint8_t data[256];
    uint64_t got;

    (void)state;
    for (uint32_t form = FAKE_TRAPPED; form <= FAKE_PARTITIONED; form++) {
        for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
            v1_rig_open_form(&rig, form);
            rig.fake.stopped[0] = 100;
            assert_int_equal(v1_rig_set_state(&rig, FERRY_STATE_STOP_COPY), FERRY_OK);
            rig.fake.lie = rows[i].lie;
            assert_int_equal(v1_rig_read(&rig, data, sizeof(data), &got),
                             FERRY_E_PROTOCOL);
            v1_rig_assert_text(&rig, rows[i].text);
            v1_rig_close(&rig);
        }
    }
}

/* Its pending_bytes tells what a stop would give; users of v1 have always gone on. */
static void a_piece_of_no_bytes_in_pre_copy_is_nothing_for_now(void **state)
{
    struct v1_rig rig;
    uint8_t data[256];
    uint64_t got;

    (void)state;
    v1_rig_open(&rig);
    rig.fake.precopy[0] = rig.fake.stopped[0] = 100;
    assert_int_equal(v1_rig_set_state(&rig, FERRY_STATE_PRE_COPY), FERRY_OK);
    rig.fake.lie = FAKE_SIZE_ZERO;
    assert_int_equal(v1_rig_read(&rig, data, sizeof(data), &got), FERRY_E_DRY);
    rig.fake.lie = FAKE_HONEST;
    assert_int_equal(v1_rig_set_state(&rig, FERRY_STATE_STOP_COPY), FERRY_OK);
    assert_int_equal(v1_rig_read(&rig, data, sizeof(data), &got), FERRY_OK);
    assert_int_equal(got, 100);
    v1_rig_close(&rig);
}

static void a_stopped_device_whose_data_never_end_is_given_up(void **state)
{
    struct v1_rig rig;
    uint8_t data[256];
    uint64_t got;
    uint32_t reads = 0;
    int rc = FERRY_OK;

    (void)state;
    v1_rig_open_form(&rig, FAKE_MAPPED);
    rig.fake.stopped[0] = 100;
    assert_int_equal(v1_rig_set_state(&rig, FERRY_STATE_STOP_COPY), FERRY_OK);
    rig.fake.lie = FAKE_ENDLESS;
    while (rc == FERRY_OK && reads < 10000) {
        rc = v1_rig_read(&rig, data, sizeof(data), &got);
        reads++;
    }
    assert_int_equal(rc, FERRY_E_PROTOCOL);
    v1_rig_assert_text(&rig, "does not go down");
    v1_rig_close(&rig);
}

static void the_errno_of_a_register_ends_the_read(void **state)
{
    static const uint32_t offs[] = { FERRY_V1_PENDING_OFF, FERRY_V1_OFFSET_OFF,
                                     FERRY_V1_SIZE_OFF };
    static const char *const names[] = { "pending_bytes", "data_offset", "data_size" };
    struct v1_rig rig;
    uint8_t data[256];
    uint64_t got;

    (void)state;
    for (size_t i = 0; i < 3; i++) {
        v1_rig_open(&rig);
        rig.fake.stopped[0] = 100;
        assert_int_equal(v1_rig_set_state(&rig, FERRY_STATE_STOP_COPY), FERRY_OK);
        rig.fake.fail_off = offs[i];
        rig.fake.fail_off_status = FERRY_E_IO;
        assert_int_equal(v1_rig_read(&rig, data, sizeof(data), &got), FERRY_E_IO);
        v1_rig_assert_text(&rig, names[i]);
        v1_rig_close(&rig);
    }
}

static void data_belong_to_their_states(void **state)
{
    struct v1_rig rig;
    uint8_t data[16];
    uint64_t got;

    (void)state;
    v1_rig_open(&rig);
    assert_int_equal(v1_rig_read(&rig, data, sizeof(data), &got), FERRY_E_STATE);
    assert_int_equal(v1_rig_write(&rig, data, sizeof(data)), FERRY_E_STATE);
    assert_int_equal(v1_rig_set_state(&rig, FERRY_STATE_RESUMING), FERRY_OK);
    assert_int_equal(v1_rig_read(&rig, data, sizeof(data), &got), FERRY_E_STATE);
    v1_rig_close(&rig);
}

static void what_is_pending_is_told_in_pre_copy_only(void **state)
{
    struct ferry_request request = { .kind = FERRY_RQ_PRECOPY_INFO };
    struct v1_rig rig;

    (void)state;
    v1_rig_open(&rig);
    rig.fake.precopy[0] = 100;
    rig.fake.precopy[1] = 23;
    assert_int_equal(v1_rig_call(&rig, &request), FERRY_E_STATE);
    assert_int_equal(v1_rig_set_state(&rig, FERRY_STATE_PRE_COPY), FERRY_OK);
    assert_int_equal(v1_rig_call(&rig, &request), FERRY_OK);
    assert_int_equal(request.u.precopy.initial_bytes, 0);
    assert_int_equal(request.u.precopy.dirty_bytes, 123);
    assert_int_equal(v1_rig_set_state(&rig, FERRY_STATE_STOP_COPY), FERRY_OK);
    fake_v1_forget(&rig.fake);
    assert_int_equal(v1_rig_call(&rig, &request), FERRY_E_STATE);
    v1_rig_assert_trace(&rig, "");
    v1_rig_close(&rig);
}

/* --- resuming --- */

/* MIG-V1-11 */
static void each_write_is_one_transaction(void **state)
{
    static const uint64_t sizes[] = { 1, 0x2000, 4097, 12 };
    struct v1_rig rig;
    uint8_t data[0x2000];

    (void)state;
    for (uint32_t form = FAKE_TRAPPED; form <= FAKE_PARTITIONED; form++) {
        uint64_t at = 0;

        v1_rig_open_form(&rig, form);
        rig.fake.wander = 1;
        assert_int_equal(v1_rig_set_state(&rig, FERRY_STATE_RESUMING), FERRY_OK);
        for (size_t i = 0; i < 4; i++) {
            for (uint64_t n = 0; n < sizes[i]; n++) {
                data[n] = fake_v1_byte(at + n);
            }
            assert_int_equal(v1_rig_write(&rig, data, sizes[i]), FERRY_OK);
            at += sizes[i];
        }
        assert_int_equal(rig.fake.written_count, 4);
        for (size_t i = 0; i < 4; i++) {
            assert_int_equal(rig.fake.written[i], sizes[i]);
        }
        for (uint64_t n = 0; n < at; n++) {
            assert_int_equal(rig.fake.taken[n], fake_v1_byte(n));
        }
        v1_rig_close(&rig);
    }
}

static void
a_transaction_that_does_not_fit_is_refused_before_the_section_is_touched(void **state)
{
    static uint8_t data[FAKE_V1_REGION_BYTES];
    struct v1_rig rig;

    (void)state;
    v1_rig_open(&rig);
    assert_int_equal(v1_rig_set_state(&rig, FERRY_STATE_RESUMING), FERRY_OK);
    fake_v1_forget(&rig.fake);
    assert_int_equal(v1_rig_write(&rig, data, 0x5001), FERRY_E_LIMIT);
    v1_rig_assert_text(&rig, "must not be split");
    v1_rig_assert_trace(&rig, "O");
    assert_int_equal(v1_rig_write(&rig, data, 0x5000), FERRY_OK);
    v1_rig_close(&rig);

    /* One that takes any size gets it in parts. */
    fake_v1_open(&rig.fake, FAKE_TRAPPED);
    rig.fake.any_chunks = 1;
    assert_int_equal(v1_rig_connect(&rig), FERRY_OK);
    assert_int_equal(v1_rig_set_state(&rig, FERRY_STATE_RESUMING), FERRY_OK);
    assert_int_equal(v1_rig_write(&rig, data, 0x5001), FERRY_OK);
    assert_int_equal(rig.fake.written_count, 2);
    assert_int_equal(rig.fake.written[1], 1);
    v1_rig_close(&rig);
}

static void a_section_that_takes_byte_by_byte_is_none(void **state)
{
    struct v1_rig rig;
    uint8_t data[256] = { 1 };

    (void)state;
    fake_v1_open(&rig.fake, FAKE_TRAPPED);
    rig.fake.any_chunks = 1;
    rig.fake.region_bytes = 0x1001; /* one behind its data_offset */
    assert_int_equal(v1_rig_connect(&rig), FERRY_OK);
    assert_int_equal(v1_rig_set_state(&rig, FERRY_STATE_RESUMING), FERRY_OK);
    assert_int_equal(v1_rig_write(&rig, data, sizeof(data)), FERRY_E_PROTOCOL);
    v1_rig_assert_text(&rig, "next to nothing");
    assert_int_equal(v1_rig_write(&rig, data, 1), FERRY_OK);
    v1_rig_close(&rig);
}

static void the_lies_of_a_resuming_device_are_found_out(void **state)
{
    static const uint32_t lies[] = { FAKE_OFFSET_ZERO, FAKE_OFFSET_IN_REGISTERS,
                                     FAKE_OFFSET_OUTSIDE, FAKE_OFFSET_HUGE };
    struct v1_rig rig;
    uint8_t data[256] = { 1 };

    (void)state;
    for (size_t i = 0; i < sizeof(lies) / sizeof(lies[0]); i++) {
        v1_rig_open_form(&rig, FAKE_MAPPED);
        assert_int_equal(v1_rig_set_state(&rig, FERRY_STATE_RESUMING), FERRY_OK);
        rig.fake.lie = lies[i];
        assert_int_equal(v1_rig_write(&rig, data, sizeof(data)), FERRY_E_PROTOCOL);
        v1_rig_assert_text(&rig, "data_offset");
        assert_int_equal(rig.fake.written_count, 0);
        v1_rig_close(&rig);
    }
}

static void the_errno_of_a_transaction_ends_the_write(void **state)
{
    struct v1_rig rig;
    uint8_t data[256] = { 1 };

    (void)state;
    v1_rig_open(&rig);
    assert_int_equal(v1_rig_set_state(&rig, FERRY_STATE_RESUMING), FERRY_OK);
    rig.fake.fail_off = FERRY_V1_SIZE_OFF;
    rig.fake.fail_off_status = FERRY_E_CORRUPT;
    assert_int_equal(v1_rig_write(&rig, data, sizeof(data)), FERRY_E_CORRUPT);
    v1_rig_close(&rig);
}

static void a_write_to_the_region_by_somebody_else_is_noticed(void **state)
{
    struct ferry_request request = { .kind = FERRY_RQ_REGION_WRITE };
    uint32_t bits = FAKE_V1_RESERVED | FERRY_V1_SAVING;
    struct v1_rig rig;
    uint8_t data[256];
    uint64_t got;

    (void)state;
    v1_rig_open(&rig);
    rig.fake.stopped[0] = 9;
    assert_int_equal(v1_rig_set_state(&rig, FERRY_STATE_STOP), FERRY_OK);
    request.u.io =
        (struct ferry_region_io){ .index = FAKE_V1_REGION, .count = 4, .data = &bits };
    assert_int_equal(v1_rig_call(&rig, &request), FERRY_OK);
    assert_int_equal(v1_rig_read(&rig, data, sizeof(data), &got), FERRY_OK);
    assert_int_equal(got, 9);
    v1_rig_close(&rig);
}

/* Begins another save by hand, and looks at the state as everyone does. */
static void save_by_hand(struct v1_rig *rig)
{
    struct ferry_request request = { .kind = FERRY_RQ_REGION_WRITE };
    uint32_t bits, state;

    for (uint32_t i = 0; i < 2; i++) {
        bits = FAKE_V1_RESERVED | (i == 0 ? 0 : FERRY_V1_SAVING);
        request.u.io = (struct ferry_region_io){ .index = FAKE_V1_REGION,
                                                 .count = 4,
                                                 .data = &bits };
        assert_int_equal(v1_rig_call(rig, &request), FERRY_OK);
    }
    assert_int_equal(v1_rig_get_state(rig, &state), FERRY_OK);
    assert_int_equal(state, FERRY_STATE_STOP_COPY);
}

static void a_save_that_somebody_else_began_has_its_own_data(void **state)
{
    struct v1_rig rig;
    uint8_t data[256];
    uint64_t got;

    (void)state;
    v1_rig_open(&rig);
    rig.fake.stopped[0] = 9;
    assert_int_equal(v1_rig_set_state(&rig, FERRY_STATE_STOP_COPY), FERRY_OK);
    assert_int_equal(v1_rig_read(&rig, data, sizeof(data), &got), FERRY_OK);
    assert_int_equal(v1_rig_read(&rig, data, sizeof(data), &got), FERRY_OK);
    assert_int_equal(got, 0);
    /* Neither the end of the first one is this one's, nor a rest that was not fetched. */
    save_by_hand(&rig);
    assert_int_equal(v1_rig_read(&rig, data, 4, &got), FERRY_OK);
    assert_int_equal(got, 4);
    save_by_hand(&rig);
    assert_int_equal(v1_rig_read(&rig, data, sizeof(data), &got), FERRY_OK);
    assert_int_equal(got, 9);
    v1_rig_close(&rig);
}

static void the_rest_of_a_transaction_outlasts_a_stop_that_was_not_answered(void **state)
{
    struct v1_rig rig;
    uint8_t data[256];
    uint64_t got;

    (void)state;
    v1_rig_open(&rig);
    rig.fake.precopy[0] = 9;
    assert_int_equal(v1_rig_set_state(&rig, FERRY_STATE_PRE_COPY), FERRY_OK);
    assert_int_equal(v1_rig_read(&rig, data, 4, &got), FERRY_OK);
    rig.fake.fail_bits = FERRY_V1_SAVING;
    rig.fake.fail_bits_status = FERRY_E_TIMEOUT;
    assert_int_equal(v1_rig_set_state(&rig, FERRY_STATE_STOP_COPY), FERRY_E_TIMEOUT);
    assert_int_equal(v1_rig_read(&rig, data, sizeof(data), &got), FERRY_OK);
    assert_int_equal(got, 5);
    v1_rig_close(&rig);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_form_of_the_section_gives_one_transaction_a_read),
        cmocka_unit_test(a_mapped_section_takes_no_request_for_its_data),
        cmocka_unit_test(a_reader_with_little_memory_gets_a_transaction_in_parts),
        cmocka_unit_test(
            a_transaction_that_must_stay_whole_is_refused_before_it_is_touched),
        cmocka_unit_test(a_transaction_that_was_not_read_is_not_lost),
        cmocka_unit_test(the_end_is_not_asked_for_again),
        cmocka_unit_test(stopping_reads_no_pending_bytes),
        cmocka_unit_test(the_lies_of_a_saving_device_are_found_out),
        cmocka_unit_test(a_piece_of_no_bytes_in_pre_copy_is_nothing_for_now),
        cmocka_unit_test(a_stopped_device_whose_data_never_end_is_given_up),
        cmocka_unit_test(the_errno_of_a_register_ends_the_read),
        cmocka_unit_test(data_belong_to_their_states),
        cmocka_unit_test(what_is_pending_is_told_in_pre_copy_only),
        cmocka_unit_test(each_write_is_one_transaction),
        cmocka_unit_test(
            a_transaction_that_does_not_fit_is_refused_before_the_section_is_touched),
        cmocka_unit_test(a_section_that_takes_byte_by_byte_is_none),
        cmocka_unit_test(the_lies_of_a_resuming_device_are_found_out),
        cmocka_unit_test(the_errno_of_a_transaction_ends_the_write),
        cmocka_unit_test(a_write_to_the_region_by_somebody_else_is_noticed),
        cmocka_unit_test(a_save_that_somebody_else_began_has_its_own_data),
        cmocka_unit_test(the_rest_of_a_transaction_outlasts_a_stop_that_was_not_answered),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
