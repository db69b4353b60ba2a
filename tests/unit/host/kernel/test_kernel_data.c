/* SPDX-License-Identifier: BSD-3-Clause */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "fake_vfio.h"

/* The data of a session: every byte once, in order, and the end where it is. */

static struct fake_vfio fake;
static struct ferry_backend *backend;
static struct ferry_error error;
static uint8_t data[FAKE_STREAM_BYTES + 100];

static int setup(void **state)
{
    (void)state;
    fake_init(&fake);
    backend = fake_open(&fake, KERNEL_DIRTY_BEST, 0);
    memset(&error, 0, sizeof(error));
    memset(data, 0xee, sizeof(data));
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    backend->ops->close(backend);
    fake_end(&fake);
    return 0;
}

static void go(uint32_t state)
{
    assert_int_equal(fake_set_state(backend, state, NULL), FERRY_OK);
}

static int read_data(void *to, uint64_t size, uint64_t *ret_got)
{
    struct ferry_request request = { .kind = FERRY_RQ_DATA_READ, .reterr = &error };
    int rc;

    request.u.data = (struct ferry_data_io){ .data = to, .size = size, .got = 77 };
    rc = fake_call(backend, &request);
    *ret_got = request.u.data.got;
    return rc;
}

static int write_data(const void *from, uint64_t size)
{
    struct ferry_request request = { .kind = FERRY_RQ_DATA_WRITE, .reterr = &error };
    void *memory = malloc(size + 1);
    int rc;

    memcpy(memory, from, size);
    request.u.data = (struct ferry_data_io){ .data = memory, .size = size };
    rc = fake_call(backend, &request);
    free(memory);
    return rc;
}

/* Reads to the end in pieces of at most that many bytes. */
static void read_to_the_end(uint64_t piece)
{
    uint64_t at = 0, got = 1;

    while (got > 0) {
        assert_true(at <= FAKE_STREAM_BYTES);
        assert_int_equal(read_data(data + at, piece, &got), FERRY_OK);
        assert_true(got <= piece);
        at += got;
    }
    assert_int_equal(at, FAKE_STREAM_BYTES);
    assert_memory_equal(data, fake.stream, FAKE_STREAM_BYTES);
}

static void a_state_is_read_in_pieces_of_any_size(void **state)
{
    static const uint32_t pieces[][2] = {
        { 100, 0 }, { 7, 0 }, { 5000, 13 }, { 5100, 0 }
    };

    (void)state;
    for (size_t i = 0; i < sizeof(pieces) / sizeof(pieces[0]); i++) {
        fake.data_most = pieces[i][1];
        go(FERRY_STATE_STOP_COPY);
        read_to_the_end(pieces[i][0]);
        go(FERRY_STATE_RUNNING);
    }
}

static void behind_the_end_is_the_end(void **state)
{
    uint64_t got;

    (void)state;
    go(FERRY_STATE_STOP_COPY);
    read_to_the_end(1000);
    assert_int_equal(read_data(data, 10, &got), FERRY_OK);
    assert_int_equal(got, 0);
}

static void dry_is_not_the_end(void **state)
{
    uint64_t got;

    (void)state;
    for (fake.has_enomsg = 0; fake.has_enomsg < 2; fake.has_enomsg++) {
        fake.stream_bytes = 300;
        go(FERRY_STATE_PRE_COPY);
        assert_int_equal(read_data(data, sizeof(data), &got), FERRY_OK);
        assert_int_equal(got, 300);
        assert_int_equal(read_data(data, sizeof(data), &got), FERRY_E_DRY);
        assert_int_equal(read_data(data, sizeof(data), &got), FERRY_E_DRY);
        fake.stream_bytes = 400; /* more has come up */
        assert_int_equal(read_data(data, sizeof(data), &got), FERRY_OK);
        assert_int_equal(got, 100);
        go(FERRY_STATE_PRE_COPY_P2P);
        assert_int_equal(read_data(data, sizeof(data), &got), FERRY_E_DRY);
        go(FERRY_STATE_STOP_COPY);
        assert_int_equal(read_data(data, sizeof(data), &got), FERRY_OK);
        assert_int_equal(got, 0);
        go(FERRY_STATE_RUNNING);
    }
}

static void a_stopped_device_must_not_be_dry(void **state)
{
    uint64_t got;

    (void)state;
    go(FERRY_STATE_STOP_COPY);
    fake.data = (struct fake_fault){ .err = ENOMSG };
    assert_int_equal(read_data(data, 10, &got), FERRY_E_DEVICE);
    assert_int_equal(error.os_errno, ENOMSG);
}

static void data_that_comes_late_is_waited_for(void **state)
{
    uint64_t got;

    (void)state;
    go(FERRY_STATE_STOP_COPY);
    fake.data_late = 5;
    fake.signals = 2;
    assert_int_equal(read_data(data, 50, &got), FERRY_OK);
    assert_int_equal(got, 50);
    assert_memory_equal(data, fake.stream, 50);
    assert_int_equal(fake.polls, 5);
}

static void a_driver_that_says_more_than_it_read_is_found_out(void **state)
{
    uint64_t got;

    (void)state;
    go(FERRY_STATE_STOP_COPY);
    fake.more_than_asked = 1;
    assert_int_equal(read_data(data, 50, &got), FERRY_E_PROTOCOL);
    go(FERRY_STATE_RESUMING);
    assert_int_equal(write_data("abc", 3), FERRY_E_DEVICE);
}

static void a_read_that_fails_keeps_what_was_read(void **state)
{
    uint64_t got;

    (void)state;
    go(FERRY_STATE_STOP_COPY);
    assert_int_equal(read_data(data, 50, &got), FERRY_OK);
    fake.data = (struct fake_fault){ .err = EIO, .times = 1 };
    assert_int_equal(read_data(data + 50, 50, &got), FERRY_E_DEVICE);
    assert_int_equal(error.os_errno, EIO);
    assert_int_equal(data[50], 0xee);
    assert_int_equal(read_data(data + 50, 50, &got), FERRY_OK);
    assert_memory_equal(data, fake.stream, 100);
}

static void a_session_that_the_driver_ended_says_so(void **state)
{
    uint64_t got;

    (void)state;
    go(FERRY_STATE_STOP_COPY);
    fake.data = (struct fake_fault){ .err = ENODEV };
    assert_int_equal(read_data(data, 50, &got), FERRY_E_DEVICE_ERROR);
    assert_non_null(strstr(error.text, "STOP_COPY"));
}

static void a_state_is_written_whole_whatever_the_driver_takes(void **state)
{
    static const uint32_t most[] = { 0, 1, 64, 4999 };

    (void)state;
    for (size_t i = 0; i < sizeof(most) / sizeof(most[0]); i++) {
        fake.data_most = most[i];
        fake.data_late = 2;
        fake.signals = 2;
        go(FERRY_STATE_RESUMING);
        assert_int_equal(write_data(fake.stream, 3000), FERRY_OK);
        assert_int_equal(write_data(fake.stream + 3000, 2000), FERRY_OK);
        assert_int_equal(fake.loaded_bytes, FAKE_STREAM_BYTES);
        assert_memory_equal(fake.loaded, fake.stream, FAKE_STREAM_BYTES);
        go(FERRY_STATE_STOP);
    }
}

static void a_driver_that_takes_nothing_is_not_asked_for_ever(void **state)
{
    (void)state;
    go(FERRY_STATE_RESUMING);
    assert_int_equal(write_data(fake.stream, FAKE_STREAM_BYTES), FERRY_OK);
    assert_int_equal(write_data("more", 4), FERRY_E_DEVICE); /* it returns 0 */
}

static void a_write_that_fails_says_what_the_driver_said(void **state)
{
    (void)state;
    go(FERRY_STATE_RESUMING);
    fake.data = (struct fake_fault){ .err = EINVAL };
    assert_int_equal(write_data("bad!", 4), FERRY_E_ARGUMENT);
    assert_int_equal(error.os_errno, EINVAL);
}

static void data_move_only_in_their_states(void **state)
{
    uint64_t got;

    (void)state;
    assert_int_equal(read_data(data, 4, &got), FERRY_E_STATE);
    assert_int_equal(write_data("1234", 4), FERRY_E_STATE);
    go(FERRY_STATE_RESUMING);
    assert_int_equal(read_data(data, 4, &got), FERRY_E_STATE);
    go(FERRY_STATE_STOP_COPY);
    assert_int_equal(write_data("1234", 4), FERRY_E_STATE);
    assert_int_equal(read_data(data, 0, &got), FERRY_OK);
    assert_int_equal(got, 0);
    assert_int_equal(fake.stream_pos, 0);
}

static void an_estimate_is_never_the_callers_own_garbage(void **state)
{
    struct ferry_request request = { .kind = FERRY_RQ_PRECOPY_INFO, .reterr = &error };

    (void)state;
    fake.initial_bytes = 4711;
    assert_int_equal(fake_call(backend, &request), FERRY_E_STATE);
    go(FERRY_STATE_PRE_COPY);
    memset(&request.u, 0xff, sizeof(request.u));
    fake.signals = 2;
    assert_int_equal(fake_call(backend, &request), FERRY_OK);
    assert_int_equal(request.u.precopy.initial_bytes, 4711);
    assert_int_equal(request.u.precopy.dirty_bytes, 0);
    go(FERRY_STATE_STOP_COPY);
    assert_int_equal(fake_call(backend, &request), FERRY_E_STATE);
}

static void who_knows_of_reinit_is_asked_for_it(void **state)
{
    (void)state;
    assert_int_equal(fake.reinit_set, 0); /* the kernel does not know it: no harm */
    backend->ops->close(backend);
    fake_end(&fake);
    fake_init(&fake);
    fake.knows_reinit = 1;
    backend = fake_open(&fake, KERNEL_DIRTY_BEST, 0);
    assert_int_equal(fake.reinit_set, 1);
    backend->ops->close(backend);
    fake_end(&fake);
    fake_init(&fake);
    fake.knows_reinit = 1;
    fake.flags = FERRY_MIG_STOP_COPY;
    backend = fake_open(&fake, KERNEL_DIRTY_BEST, 0);
    assert_int_equal(fake.reinit_set, 0);
}

static void open_as_is(uint32_t as_is)
{
    backend->ops->close(backend);
    fake_end(&fake);
    fake_init(&fake);
    fake.as_is = as_is;
    backend = fake_open(&fake, KERNEL_DIRTY_BEST, 0);
}

/* A driver's session that does not end is nobody's business but a checker's. */
static void a_checker_sees_a_session_that_goes_on(void **state)
{
    uint64_t got;

    (void)state;
    for (uint32_t as_is = 0; as_is < 2; as_is++) {
        open_as_is(as_is);
        fake.no_end = 1;
        go(FERRY_STATE_STOP_COPY);
        assert_int_equal(read_data(data, 10, &got), FERRY_OK);
        go(FERRY_STATE_STOP);
        assert_int_equal(read_data(data, 10, &got), as_is ? FERRY_OK : FERRY_E_STATE);
        assert_int_equal(write_data("1", 1), FERRY_E_STATE);
        go(FERRY_STATE_RESUMING);
        assert_int_equal(write_data("1", 1), FERRY_OK);
        go(FERRY_STATE_STOP);
        assert_int_equal(write_data("1", 1), as_is ? FERRY_OK : FERRY_E_STATE);
        assert_int_equal(read_data(data, 10, &got), FERRY_E_STATE);
        fake.no_end = 0;
        assert_int_equal(write_data("1", 1), FERRY_E_STATE);
    }
}

static void a_checker_sees_what_a_driver_says_in_pre_copy(void **state)
{
    struct ferry_request request = { .kind = FERRY_RQ_PRECOPY_INFO, .reterr = &error };
    uint64_t got;

    (void)state;
    open_as_is(1);
    fake.stream_bytes = 0;
    go(FERRY_STATE_PRE_COPY);
    assert_int_equal(read_data(data, 10, &got), FERRY_OK); /* 0, and not dry */
    assert_int_equal(got, 0);
    fake.has_enomsg = 1;
    assert_int_equal(read_data(data, 10, &got), FERRY_E_DRY);
    request.u.precopy.dirty_bytes = 0xa5a5;
    assert_int_equal(fake_call(backend, &request), FERRY_OK);
    assert_int_equal(request.u.precopy.dirty_bytes, 0xa5a5);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        TEST(a_state_is_read_in_pieces_of_any_size),
        TEST(behind_the_end_is_the_end),
        TEST(dry_is_not_the_end),
        TEST(a_stopped_device_must_not_be_dry),
        TEST(data_that_comes_late_is_waited_for),
        TEST(a_driver_that_says_more_than_it_read_is_found_out),
        TEST(a_read_that_fails_keeps_what_was_read),
        TEST(a_session_that_the_driver_ended_says_so),
        TEST(a_state_is_written_whole_whatever_the_driver_takes),
        TEST(a_driver_that_takes_nothing_is_not_asked_for_ever),
        TEST(a_write_that_fails_says_what_the_driver_said),
        TEST(data_move_only_in_their_states),
        TEST(an_estimate_is_never_the_callers_own_garbage),
        TEST(who_knows_of_reinit_is_asked_for_it),
        TEST(a_checker_sees_a_session_that_goes_on),
        TEST(a_checker_sees_what_a_driver_says_in_pre_copy),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
