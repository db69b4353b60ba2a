/* SPDX-License-Identifier: BSD-3-Clause */
#include <dirent.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "os/clock.h"
#include "os/memory.h"
#include "test_link_fake.h"
#include "test_link_raw.h"
#include "wire/frame.h"
#include "wire/message.h"

/* The data descriptor: every rule of docs/vfio-user-extensions.md, `data_fd`. */

#define MIB (1u << 20)
#define LIMIT_MS 150u /* of the server, for a frame that was begun */

static struct served served;
static struct ferry_client *client;
static struct ferry_frame_stream in, out;
static uint8_t *bytes;
static int data_fd;
static uint64_t session;

static int start(void **state)
{
    struct ferry_link_server_options server = { .struct_size = sizeof(server),
                                                .message_timeout_ms = LIMIT_MS };
    struct ferry_client_options options = { .struct_size = sizeof(options),
                                            .timeout_ms = 5000 };

    (void)state;
    bytes = calloc(1, MIB);
    assert_non_null(bytes);
    data_fd = -1;
    assert_int_equal(
        ferry_client_from_fd(served_start(&served, &server), &options, &client, NULL),
        FERRY_OK);
    return 0;
}

static int stop(void **state)
{
    (void)state;
    if (client) {
        ferry_client_close(client);
    }
    client = NULL;
    if (data_fd >= 0) {
        ferry_os_close(&data_fd);
    }
    served_stop(&served);
    free(bytes);
    return 0;
}

static int set_state(uint32_t state)
{
    struct ferry_request request = { .kind = FERRY_RQ_SET_STATE };

    request.u.state = state;
    return ferry_client_call(client, &request);
}

static int get_state(void)
{
    struct ferry_request request = { .kind = FERRY_RQ_GET_STATE };

    assert_int_equal(ferry_client_call(client, &request), FERRY_OK);
    return (int)request.u.state;
}

static int ask(void)
{
    struct ferry_request request = { .kind = FERRY_RQ_DATA_FD };
    int rc = ferry_client_call(client, &request);

    if (rc == FERRY_OK) {
        int loads = request.u.data_fd.direction == FERRY_DATA_LOADED;

        data_fd = request.u.data_fd.fd;
        session = request.u.data_fd.session;
        assert_int_equal(ferry_os_receive_limit(data_fd, 5000), FERRY_OK);
        ferry_frame_stream_init(&in, loads ? FERRY_FRAME_LOAD_SERVER
                                           : FERRY_FRAME_SAVE_SERVER);
        ferry_frame_stream_init(&out, loads ? FERRY_FRAME_LOAD_CLIENT
                                            : FERRY_FRAME_SAVE_CLIENT);
    }
    return rc;
}

static void open_in(uint32_t state, uint32_t direction)
{
    assert_int_equal(set_state(state), FERRY_OK);
    assert_int_equal(ask(), FERRY_OK);
    assert_int_equal(in.role, direction == FERRY_DATA_LOADED ? FERRY_FRAME_LOAD_SERVER
                                                             : FERRY_FRAME_SAVE_SERVER);
    assert_int_not_equal(session, 0);
}

static void fill_leave(struct ferry_request *request, uint64_t of, uint64_t total)
{
    memset(request, 0, sizeof(*request));
    request->kind = FERRY_RQ_LEAVE_STATE;
    request->u.leave.state = FERRY_STATE_RUNNING;
    request->u.leave.session = of;
    request->u.leave.data_bytes = total;
}

static int leave(uint64_t of, uint64_t total)
{
    struct ferry_request request;

    fill_leave(&request, of, total);
    return ferry_client_call(client, &request);
}

static void assert_alive(void)
{
    struct ferry_request request = { .kind = FERRY_RQ_GET_INFO };

    assert_int_equal(ferry_client_call(client, &request), FERRY_OK);
}

static void put_frame(uint32_t kind, uint32_t length)
{
    uint8_t head[FERRY_FRAME_BYTES];

    ferry_frame_encode(&out, kind, length, 0, head);
    raw_send(data_fd, head, sizeof(head));
    if (length > 0) {
        memset(bytes, 3, length);
        raw_send(data_fd, bytes, length);
    }
}

/* Return: FERRY_E_CLOSED when the server has closed its end. */
static int get(void *ret_bytes, size_t size)
{
    uint8_t *at = ret_bytes;

    while (size > 0) {
        struct iovec iov = { at, size };
        int rc = ferry_os_receive(data_fd, &iov, 1, NULL, FERRY_OS_WAIT);

        if (rc < 0) {
            return rc;
        }
        at += rc;
        size -= (size_t)rc;
    }
    return FERRY_OK;
}

static struct ferry_frame get_frame(void)
{
    uint8_t head[FERRY_FRAME_BYTES];
    struct ferry_frame frame;

    assert_int_equal(get(head, sizeof(head)), FERRY_OK);
    assert_int_equal(ferry_frame_decode(&in, head, &frame, NULL), FERRY_OK);
    if (frame.length > 0) {
        assert_int_equal(get(bytes, frame.length), FERRY_OK);
        assert_int_equal(bytes[0], 0x42);
        assert_int_equal(bytes[frame.length - 1], 0x42);
    }
    return frame;
}

static void assert_closed(void)
{
    uint8_t byte;

    assert_int_equal(get(&byte, 1), FERRY_E_CLOSED);
}

static void assert_silent(void)
{
    assert_int_equal(ferry_os_poll(data_fd, FERRY_OS_POLL_READ, 20), FERRY_E_TIMEOUT);
}

static void assert_error(uint32_t number)
{
    struct ferry_frame frame = get_frame();

    assert_int_equal(frame.kind, FERRY_FRAME_ERROR);
    assert_int_equal(frame.value, number);
    assert_closed();
    assert_alive();
}

/* Reads DATA up to another frame. Return: its kind. */
static uint32_t read_all(void)
{
    struct ferry_frame frame = get_frame();

    while (frame.kind == FERRY_FRAME_DATA) {
        frame = get_frame();
    }
    return frame.kind;
}

static void a_client_without_the_extension_gets_none(void **state)
{
    struct served other;
    uint8_t message[64], payload[8];
    int fd = served_start(&other, NULL);

    (void)state;
    raw_handshake(fd);
    raw_put_u32(payload, 24);
    raw_put_u32(payload + 4, FERRY_WIRE_FEATURE_DATA_FD | 1u << 16);
    raw_send(fd, message, raw_message(message, 9, RAW_FEATURE, 0, payload, 8));
    raw_assert_error(fd, 9, RAW_FEATURE);
    raw_assert_alive(fd);
    ferry_os_close(&fd);
    served_stop(&other);
}

static void a_running_device_has_no_data(void **state)
{
    (void)state;
    assert_int_equal(ask(), FERRY_E_STATE);
    assert_alive();
}

static void a_second_descriptor_and_messages_for_data_are_refused_meanwhile(void **state)
{
    struct ferry_request request = { .kind = FERRY_RQ_DATA_READ };

    (void)state;
    open_in(FERRY_STATE_STOP_COPY, FERRY_DATA_SAVED);
    assert_int_equal(ask(), FERRY_E_BUSY);
    request.u.data.data = bytes;
    request.u.data.size = 16;
    assert_int_equal(ferry_client_call(client, &request), FERRY_E_BUSY);
    request.kind = FERRY_RQ_DATA_WRITE;
    assert_int_equal(ferry_client_call(client, &request), FERRY_E_BUSY);
    /* Another after the client has let go of this one, with another name. */
    ferry_os_close(&data_fd);
    for (int tries = 0; ask() == FERRY_E_BUSY; tries++) {
        assert_true(tries < 1000);
        ferry_os_sleep_ns(1000000);
    }
    assert_int_equal(session, 2);
}

static int open_descriptors(void)
{
    DIR *dir = opendir("/proc/self/fd");
    int count = 0;

    assert_non_null(dir);
    while (readdir(dir)) {
        count++;
    }
    closedir(dir);
    return count;
}

static void many_sessions_leave_no_descriptor_behind(void **state)
{
    int before = open_descriptors();

    (void)state;
    for (int i = 0; i < 300; i++) {
        open_in(i % 2 ? FERRY_STATE_RESUMING : FERRY_STATE_STOP_COPY,
                i % 2 ? FERRY_DATA_LOADED : FERRY_DATA_SAVED);
        if (i % 2) {
            assert_int_equal(leave(session, 0), FERRY_OK);
        } else {
            assert_int_equal(set_state(FERRY_STATE_RUNNING), FERRY_OK);
        }
        ferry_os_close(&data_fd);
    }
    assert_int_equal(open_descriptors(), before);
}

static void nothing_comes_before_it_is_wanted(void **state)
{
    (void)state;
    served.fake.data_left = 100;
    open_in(FERRY_STATE_STOP_COPY, FERRY_DATA_SAVED);
    assert_silent();
}

static void the_whole_state_comes_and_then_its_end(void **state)
{
    (void)state;
    served.fake.data_left = 3 * MIB + 5;
    open_in(FERRY_STATE_STOP_COPY, FERRY_DATA_SAVED);
    put_frame(FERRY_FRAME_WANT, 0);
    assert_int_equal(read_all(), FERRY_FRAME_END);
    assert_int_equal(in.bytes, 3 * MIB + 5);
    assert_silent();
}

static void pieces_of_any_size_give_the_same_bytes(void **state)
{
    (void)state;
    served.fake.data_left = 10001;
    served.fake.data_piece = 7;
    open_in(FERRY_STATE_STOP_COPY, FERRY_DATA_SAVED);
    put_frame(FERRY_FRAME_WANT, 0);
    assert_int_equal(read_all(), FERRY_FRAME_END);
    assert_int_equal(in.bytes, 10001);
}

static void a_dry_device_says_so_and_the_session_goes_on_when_it_has_stopped(void **state)
{
    (void)state;
    served.fake.data_left = 1000;
    open_in(FERRY_STATE_PRE_COPY, FERRY_DATA_SAVED);
    put_frame(FERRY_FRAME_WANT, 0);
    assert_int_equal(read_all(), FERRY_FRAME_DRY);
    assert_int_equal(in.bytes, 1000);
    put_frame(FERRY_FRAME_WANT, 0);
    assert_int_equal(read_all(), FERRY_FRAME_DRY);
    served.fake.data_left = 500;
    assert_int_equal(set_state(FERRY_STATE_STOP_COPY), FERRY_OK);
    put_frame(FERRY_FRAME_WANT, 0);
    assert_int_equal(read_all(), FERRY_FRAME_END);
    assert_int_equal(in.bytes, 1500);
}

static void messages_are_served_while_nobody_reads_the_data(void **state)
{
    (void)state;
    served.fake.data_left = UINT64_MAX;
    open_in(FERRY_STATE_STOP_COPY, FERRY_DATA_SAVED);
    put_frame(FERRY_FRAME_WANT, 0);
    for (int i = 0; i < 200; i++) {
        assert_alive();
    }
    assert_int_equal(set_state(FERRY_STATE_RUNNING), FERRY_OK);
    /* What was under way may still be read, then it is over. */
    while (get(bytes, 1) == FERRY_OK) {
    }
    assert_closed();
    assert_int_equal(get_state(), FERRY_STATE_RUNNING);
}

static void a_reset_ends_the_session(void **state)
{
    struct ferry_request request = { .kind = FERRY_RQ_RESET };

    (void)state;
    open_in(FERRY_STATE_PRE_COPY, FERRY_DATA_SAVED);
    assert_int_equal(ferry_client_call(client, &request), FERRY_OK);
    assert_closed();
}

static void a_second_want_is_refused(void **state)
{
    (void)state;
    atomic_store(&served.fake.data_slow, 1);
    open_in(FERRY_STATE_STOP_COPY, FERRY_DATA_SAVED);
    put_frame(FERRY_FRAME_WANT, 0);
    put_frame(FERRY_FRAME_WANT, 0);
    assert_error(22);
}

static void what_is_no_frame_is_refused_with_einval(void **state)
{
    (void)state;
    open_in(FERRY_STATE_STOP_COPY, FERRY_DATA_SAVED);
    raw_send(data_fd, "0123456789abcdef", 16);
    assert_error(22);
    assert_int_equal(get_state(), FERRY_STATE_STOP_COPY);
}

static void the_errno_of_a_device_that_cannot_read_is_told(void **state)
{
    (void)state;
    atomic_store(&served.fake.data_status, FERRY_E_DEVICE);
    open_in(FERRY_STATE_STOP_COPY, FERRY_DATA_SAVED);
    put_frame(FERRY_FRAME_WANT, 0);
    assert_error(5);
}

static void a_client_that_goes_while_the_device_thinks_is_forgotten(void **state)
{
    (void)state;
    atomic_store(&served.fake.data_slow, 1);
    open_in(FERRY_STATE_STOP_COPY, FERRY_DATA_SAVED);
    put_frame(FERRY_FRAME_WANT, 0);
    await_int(&served.fake.data_held, 1);
    ferry_client_close(client);
    client = NULL;
    assert_closed();
    await_int(&served.fake.detaches, 1);
}

static void what_was_sent_is_taken_and_said_to_be(void **state)
{
    struct ferry_frame frame;

    (void)state;
    open_in(FERRY_STATE_RESUMING, FERRY_DATA_LOADED);
    put_frame(FERRY_FRAME_DATA, MIB);
    put_frame(FERRY_FRAME_DATA, 5);
    put_frame(FERRY_FRAME_SYNC, 0);
    frame = get_frame();
    assert_int_equal(frame.kind, FERRY_FRAME_TAKEN);
    assert_int_equal(frame.value, MIB + 5);
    assert_int_equal(atomic_load(&served.fake.data_taken), MIB + 5);
    assert_int_equal(leave(session, MIB + 5), FERRY_OK);
    assert_closed();
    assert_int_equal(get_state(), FERRY_STATE_RUNNING);
    assert_int_equal(atomic_load(&served.fake.data_sum), 3 * (MIB + 5));
}

static void counted_done(struct ferry_request *request)
{
    *(int *)request->user = 1;
}

static void leaving_waits_for_what_is_still_under_way(void **state)
{
    struct ferry_request request;
    int done = 0;

    (void)state;
    open_in(FERRY_STATE_RESUMING, FERRY_DATA_LOADED);
    fill_leave(&request, session, 2000);
    request.done = counted_done;
    request.user = &done;
    assert_int_equal(ferry_client_submit(client, &request), FERRY_PENDING);
    put_frame(FERRY_FRAME_DATA, 1500);
    assert_int_equal(get_state(), FERRY_STATE_RESUMING);
    put_frame(FERRY_FRAME_DATA, 500);
    while (!done) {
        assert_int_equal(ferry_os_poll(ferry_client_fd(client), FERRY_OS_POLL_READ, 5000),
                         FERRY_OK);
        assert_true(ferry_client_dispatch(client) >= 0);
    }
    assert_int_equal(request.status, FERRY_OK);
    assert_int_equal(atomic_load(&served.fake.data_taken), 2000);
}

static void a_device_that_takes_its_time_is_waited_for(void **state)
{
    (void)state;
    atomic_store(&served.fake.data_slow, 1);
    atomic_store(&served.fake.release, 1); /* work() ends what is held */
    open_in(FERRY_STATE_RESUMING, FERRY_DATA_LOADED);
    put_frame(FERRY_FRAME_DATA, 1500);
    put_frame(FERRY_FRAME_DATA, 700);
    assert_int_equal(leave(session, 2200), FERRY_OK);
    assert_int_equal(atomic_load(&served.fake.data_taken), 2200);
}

static void leaving_too_early_fails_and_changes_nothing(void **state)
{
    (void)state;
    open_in(FERRY_STATE_RESUMING, FERRY_DATA_LOADED);
    put_frame(FERRY_FRAME_DATA, 100);
    assert_int_equal(leave(session, 101), FERRY_E_SHORT);
    assert_int_equal(get_state(), FERRY_STATE_RESUMING);
    /* The byte may still come. */
    put_frame(FERRY_FRAME_DATA, 1);
    assert_int_equal(leave(session, 101), FERRY_OK);
}

static void more_than_was_announced_fails_and_changes_nothing(void **state)
{
    (void)state;
    open_in(FERRY_STATE_RESUMING, FERRY_DATA_LOADED);
    put_frame(FERRY_FRAME_DATA, 100);
    assert_int_equal(leave(session, 99), FERRY_E_LONG);
    assert_int_equal(get_state(), FERRY_STATE_RESUMING);
}

static void a_frame_behind_the_last_byte_fails_too(void **state)
{
    (void)state;
    open_in(FERRY_STATE_RESUMING, FERRY_DATA_LOADED);
    put_frame(FERRY_FRAME_DATA, 100);
    raw_send(data_fd, "\1\0\0", 3);
    assert_int_equal(leave(session, 100), FERRY_E_LONG);
    assert_int_equal(get_state(), FERRY_STATE_RESUMING);
}

static void only_the_open_session_can_be_left(void **state)
{
    (void)state;
    assert_int_equal(leave(1, 0), FERRY_E_NOT_FOUND);
    open_in(FERRY_STATE_RESUMING, FERRY_DATA_LOADED);
    assert_int_equal(leave(session + 1, 0), FERRY_E_NOT_FOUND);
    assert_int_equal(leave(session, 0), FERRY_OK);
    assert_int_equal(leave(session, 0), FERRY_E_NOT_FOUND);
    ferry_os_close(&data_fd);
    open_in(FERRY_STATE_STOP_COPY, FERRY_DATA_SAVED);
    assert_int_equal(leave(session, 0), FERRY_E_NOT_FOUND);
}

static void a_plain_set_state_cannot_overtake_the_data(void **state)
{
    (void)state;
    open_in(FERRY_STATE_RESUMING, FERRY_DATA_LOADED);
    assert_int_equal(set_state(FERRY_STATE_RUNNING), FERRY_E_BUSY);
    assert_int_equal(get_state(), FERRY_STATE_RESUMING);
}

static void a_client_may_close_its_end_when_all_is_written(void **state)
{
    (void)state;
    open_in(FERRY_STATE_RESUMING, FERRY_DATA_LOADED);
    put_frame(FERRY_FRAME_DATA, 100);
    ferry_os_close(&data_fd);
    assert_int_equal(leave(session, 101), FERRY_E_SHORT);
    assert_int_equal(leave(session, 100), FERRY_OK);
}

static void a_device_that_refuses_bytes_is_told_of_at_once(void **state)
{
    (void)state;
    atomic_store(&served.fake.data_status, FERRY_E_INCOMPATIBLE);
    open_in(FERRY_STATE_RESUMING, FERRY_DATA_LOADED);
    put_frame(FERRY_FRAME_DATA, 100);
    assert_error(18);
    assert_int_equal(leave(session, 100), FERRY_E_INCOMPATIBLE);
    assert_int_equal(get_state(), FERRY_STATE_RESUMING);
}

static void a_frame_that_was_begun_must_end_in_time(void **state)
{
    (void)state;
    open_in(FERRY_STATE_RESUMING, FERRY_DATA_LOADED);
    raw_send(data_fd, "\1\0\0", 3);
    assert_error(110);
}

static void a_frame_of_the_wrong_place_is_refused(void **state)
{
    (void)state;
    open_in(FERRY_STATE_RESUMING, FERRY_DATA_LOADED);
    out.bytes = 1;
    put_frame(FERRY_FRAME_SYNC, 0);
    assert_error(22);
}

static void a_client_that_goes_in_the_middle_of_a_frame_is_forgotten(void **state)
{
    struct ferry_request request;

    (void)state;
    open_in(FERRY_STATE_RESUMING, FERRY_DATA_LOADED);
    raw_send(data_fd, "\1\0\0", 3);
    fill_leave(&request, session, 7);
    assert_int_equal(ferry_client_submit(client, &request), FERRY_PENDING);
    ferry_client_close(client);
    client = NULL;
    assert_int_equal(request.status, FERRY_E_CLOSED);
    await_int(&served.fake.detaches, 1);
    assert_closed();
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, start, stop)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_client_without_the_extension_gets_none),
        TEST(a_running_device_has_no_data),
        TEST(a_second_descriptor_and_messages_for_data_are_refused_meanwhile),
        TEST(many_sessions_leave_no_descriptor_behind),
        TEST(nothing_comes_before_it_is_wanted),
        TEST(the_whole_state_comes_and_then_its_end),
        TEST(pieces_of_any_size_give_the_same_bytes),
        TEST(a_dry_device_says_so_and_the_session_goes_on_when_it_has_stopped),
        TEST(messages_are_served_while_nobody_reads_the_data),
        TEST(a_reset_ends_the_session),
        TEST(a_second_want_is_refused),
        TEST(what_is_no_frame_is_refused_with_einval),
        TEST(the_errno_of_a_device_that_cannot_read_is_told),
        TEST(a_client_that_goes_while_the_device_thinks_is_forgotten),
        TEST(what_was_sent_is_taken_and_said_to_be),
        TEST(leaving_waits_for_what_is_still_under_way),
        TEST(a_device_that_takes_its_time_is_waited_for),
        TEST(leaving_too_early_fails_and_changes_nothing),
        TEST(more_than_was_announced_fails_and_changes_nothing),
        TEST(a_frame_behind_the_last_byte_fails_too),
        TEST(only_the_open_session_can_be_left),
        TEST(a_plain_set_state_cannot_overtake_the_data),
        TEST(a_client_may_close_its_end_when_all_is_written),
        TEST(a_device_that_refuses_bytes_is_told_of_at_once),
        TEST(a_frame_that_was_begun_must_end_in_time),
        TEST(a_frame_of_the_wrong_place_is_refused),
        TEST(a_client_that_goes_in_the_middle_of_a_frame_is_forgotten),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
