/* SPDX-License-Identifier: BSD-3-Clause */
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "ferry/device.h"
#include "link/client/client.h"
#include "os/memory.h"
#include "os/socket.h"
#include "test_link_raw.h"
#include "wire/frame.h"

/*
 * The data descriptor of a device that lends its state. The device takes its memory back
 * with every arc and reset: whoever still reads it then is found by the sanitizer, or
 * sends other bytes.
 */

#define STATE_BYTES 1000003u
#define CAP_BYTES (2u << 20)
#define PCIE_CONTROL 8u /* in the capability */
#define FLR 0x8000u

static struct {
    struct ferry_device *device;
    struct ferry_server *server;
    uint8_t *bytes; /* the state, while it is out or comes in */
    size_t at;
    size_t most;          /* of one place */
    atomic_int slow_stop; /* 1: the arc to STOP waits until it is 0 */
    uint32_t stopping;
    uint64_t lent, placed;
    atomic_int place_status;
    pthread_t thread;
} lender;

/* Two frames have no room in a socket, whatever the machine allows. */
#define ROOM_BYTES (256u << 10)
void __real_ferry_os_room(int fd, uint32_t bytes);
void __wrap_ferry_os_room(int fd, uint32_t bytes);

void __wrap_ferry_os_room(int fd, uint32_t bytes)
{
    __real_ferry_os_room(fd, bytes < ROOM_BYTES ? bytes : ROOM_BYTES);
}

static struct ferry_client *client;
static struct ferry_frame_stream in, out;
static uint8_t *whole, *got; /* the stream as messages give it; as it came */
static uint64_t whole_bytes, session;
static int data_fd;

static uint8_t pattern(size_t i)
{
    return (uint8_t)(i * 7 + i / 256 * 3 + i / 65536 + 1);
}

static void take_back(void)
{
    /* Volatile: a compiler leaves out what is written just before a free(). */
    volatile uint8_t *bytes = lender.bytes;

    for (size_t i = 0; bytes && i < STATE_BYTES; i++) {
        bytes[i] = 0xee;
    }
    free(lender.bytes);
    lender.bytes = NULL;
    lender.at = 0;
}

static void reset(void *state, struct ferry_device *device,
                  enum ferry_reset_reason reason)
{
    (void)state, (void)device, (void)reason;
    take_back();
}

static int arc(void *state, struct ferry_device *device, uint32_t from, uint32_t to)
{
    (void)state;
    if (from == FERRY_STATE_RESUMING) {
        return lender.at == STATE_BYTES ? FERRY_OK : FERRY_E_SHORT;
    }
    take_back();
    if (to == FERRY_STATE_STOP_COPY || to == FERRY_STATE_RESUMING) {
        lender.bytes = malloc(STATE_BYTES);
        for (size_t i = 0; i < STATE_BYTES; i++) {
            lender.bytes[i] = to == FERRY_STATE_RESUMING ? 0 : pattern(i);
        }
    }
    if (from == FERRY_STATE_STOP_COPY && atomic_load(&lender.slow_stop)) {
        lender.stopping = 1;
        ferry_device_schedule(device);
        return FERRY_PENDING;
    }
    return FERRY_OK;
}

static int work(void *state, struct ferry_device *device)
{
    (void)state;
    if (lender.stopping && !atomic_load(&lender.slow_stop)) {
        lender.stopping = 0;
        ferry_device_arc_done(device, FERRY_OK);
    }
    return (int)lender.stopping;
}

static int save(void *state, struct ferry_device *device, void *ret_data, size_t cap)
{
    size_t left = STATE_BYTES - lender.at;

    (void)state, (void)device;
    left = left < cap ? left : cap;
    memcpy(ret_data, lender.bytes + lender.at, left);
    lender.at += left;
    return (int)left;
}

static int save_lend(void *state, struct ferry_device *device, void *buffer, size_t cap,
                     const void **ret_data)
{
    size_t left = STATE_BYTES - lender.at;

    (void)state, (void)device, (void)buffer;
    left = left < cap ? left : cap;
    *ret_data = lender.bytes + lender.at;
    lender.at += left;
    lender.lent += left;
    return (int)left;
}

static int load(void *state, struct ferry_device *device, const void *data, size_t count)
{
    (void)state, (void)device;
    if (count > STATE_BYTES - lender.at) {
        return FERRY_E_LONG;
    }
    memcpy(lender.bytes + lender.at, data, count);
    lender.at += count;
    return FERRY_OK;
}

static size_t load_place(void *state, struct ferry_device *device, size_t most,
                         void **ret_place)
{
    size_t left = STATE_BYTES - lender.at;

    (void)state, (void)device;
    *ret_place = lender.bytes + lender.at;
    most = most < lender.most ? most : lender.most;
    return most < left ? most : left;
}

static int load_done(void *state, struct ferry_device *device, size_t count)
{
    (void)state, (void)device;
    lender.at += count;
    lender.placed += count;
    return atomic_load(&lender.place_status);
}

static int data_size(void *state, struct ferry_device *device, uint64_t *ret_bytes)
{
    (void)state, (void)device;
    *ret_bytes = STATE_BYTES;
    return FERRY_OK;
}

static const struct ferry_device_ops ops = { .struct_size = sizeof(ops),
                                             .reset = reset,
                                             .work = work,
                                             .arc = arc,
                                             .save = save,
                                             .load = load,
                                             .data_size = data_size,
                                             .save_lend = save_lend,
                                             .load_place = load_place,
                                             .load_done = load_done };

static void *serve(void *user)
{
    (void)user;
    (void)ferry_server_run(lender.server);
    return NULL;
}

static int set_state(uint32_t wanted)
{
    struct ferry_request request = { .kind = FERRY_RQ_SET_STATE };

    request.u.state = wanted;
    return ferry_client_call(client, &request);
}

static void ask(void)
{
    struct ferry_request request = { .kind = FERRY_RQ_DATA_FD };
    int loads;

    assert_int_equal(ferry_client_call(client, &request), FERRY_OK);
    loads = request.u.data_fd.direction == FERRY_DATA_LOADED;
    data_fd = request.u.data_fd.fd;
    session = request.u.data_fd.session;
    assert_int_equal(ferry_os_receive_limit(data_fd, 5000), FERRY_OK);
    ferry_frame_stream_init(&in,
                            loads ? FERRY_FRAME_LOAD_SERVER : FERRY_FRAME_SAVE_SERVER);
    ferry_frame_stream_init(&out,
                            loads ? FERRY_FRAME_LOAD_CLIENT : FERRY_FRAME_SAVE_CLIENT);
}

/* The stream as messages give it, which never lends. */
static void read_whole(void)
{
    struct ferry_request request = { .kind = FERRY_RQ_DATA_READ };

    assert_int_equal(set_state(FERRY_STATE_STOP_COPY), FERRY_OK);
    do {
        request.u.data =
            (struct ferry_data_io){ .data = whole + whole_bytes, .size = 100000 };
        assert_int_equal(ferry_client_call(client, &request), FERRY_OK);
        whole_bytes += request.u.data.got;
    } while (request.u.data.got > 0);
    assert_int_equal(lender.lent, 0);
    assert_true(whole_bytes > STATE_BYTES);
    assert_int_equal(set_state(FERRY_STATE_STOP), FERRY_OK);
}

static int start(void **state)
{
    struct ferry_device_desc desc = {
        .struct_size = sizeof(desc),
        .ops = &ops,
        .identity = { .model = "lender",
                      .state_version = 1,
                      .state_version_min = 1,
                      .migration_flags = FERRY_MIG_STOP_COPY },
    };
    struct ferry_server_options options = { .struct_size = sizeof(options) };
    struct ferry_client_options mine = { .struct_size = sizeof(mine),
                                         .timeout_ms = 5000 };
    int pair[2];

    (void)state;
    memset(&lender, 0, sizeof(lender));
    lender.most = STATE_BYTES;
    data_fd = -1;
    whole_bytes = 0;
    whole = calloc(1, CAP_BYTES);
    got = calloc(1, CAP_BYTES);
    assert_int_equal(ferry_os_socketpair(&pair[0], &pair[1]), FERRY_OK);
    options.fd = &pair[1];
    assert_int_equal(ferry_device_create(&desc, &lender.device, NULL), FERRY_OK);
    assert_int_equal(ferry_server_create(lender.device, &options, &lender.server, NULL),
                     FERRY_OK);
    assert_int_equal(pthread_create(&lender.thread, NULL, serve, NULL), 0);
    assert_int_equal(ferry_client_from_fd(pair[0], &mine, &client, NULL), FERRY_OK);
    read_whole();
    return whole == NULL || got == NULL;
}

/* The server ends with its client. */
static void hang_up(void)
{
    if (client) {
        ferry_client_close(client);
        client = NULL;
        assert_int_equal(pthread_join(lender.thread, NULL), 0);
    }
}

static int stop(void **state)
{
    (void)state;
    hang_up();
    if (data_fd >= 0) {
        ferry_os_close(&data_fd);
    }
    ferry_server_destroy(lender.server);
    ferry_device_destroy(lender.device);
    free(lender.bytes);
    free(whole);
    free(got);
    return 0;
}

static void put_frame(uint32_t kind, uint32_t length)
{
    uint8_t head[FERRY_FRAME_BYTES];

    ferry_frame_encode(&out, kind, length, 0, head);
    raw_send(data_fd, head, sizeof(head));
}

/* Return: bytes that came, fewer when the server has closed its end. */
static size_t get(void *ret_bytes, size_t size)
{
    uint8_t *at = ret_bytes;
    size_t done = 0;

    while (done < size) {
        struct iovec iov = { at + done, size - done };
        int rc = ferry_os_receive(data_fd, &iov, 1, NULL, FERRY_OS_WAIT);

        if (rc < 0) {
            assert_int_equal(rc, FERRY_E_CLOSED);
            return done;
        }
        done += (size_t)rc;
    }
    return done;
}

static struct ferry_frame get_head(void)
{
    uint8_t head[FERRY_FRAME_BYTES];
    struct ferry_frame frame;

    assert_int_equal(get(head, sizeof(head)), sizeof(head));
    assert_int_equal(ferry_frame_decode(&in, head, &frame, NULL), FERRY_OK);
    return frame;
}

static void lent_frames_are_the_stream_of_messages(void **state)
{
    struct ferry_frame frame;
    uint64_t total = 0;

    (void)state;
    assert_int_equal(set_state(FERRY_STATE_STOP_COPY), FERRY_OK);
    ask();
    put_frame(FERRY_FRAME_WANT, 0);
    for (frame = get_head(); frame.kind == FERRY_FRAME_DATA; frame = get_head()) {
        assert_int_equal(get(got + total, frame.length), frame.length);
        total += frame.length;
    }
    assert_int_equal(frame.kind, FERRY_FRAME_END);
    assert_int_equal(total, whole_bytes);
    assert_memory_equal(got, whole, total);
    hang_up();
    assert_int_equal(lender.lent, STATE_BYTES);
}

/*
 * The first frame has been sent when this returns, and the server is in the middle of the
 * second: two are more than the socket holds.
 */
static uint32_t begin_frames(void)
{
    struct ferry_frame frame;

    assert_int_equal(set_state(FERRY_STATE_STOP_COPY), FERRY_OK);
    ask();
    put_frame(FERRY_FRAME_WANT, 0);
    frame = get_head();
    assert_int_equal(frame.kind, FERRY_FRAME_DATA);
    assert_true(frame.length > 400000);
    return frame.length;
}

/* Both frames come as if nothing had happened. */
static void assert_both(uint32_t first)
{
    struct ferry_frame frame;

    assert_int_equal(get(got, first), first);
    frame = get_head();
    assert_int_equal(frame.kind, FERRY_FRAME_DATA);
    assert_true(frame.length > 400000);
    assert_int_equal(get(got + first, frame.length), frame.length);
    assert_memory_equal(got, whole, first + frame.length);
}

/* The second one ends in its middle. */
static void assert_cut(uint32_t first)
{
    struct ferry_frame frame;
    size_t count;

    assert_int_equal(get(got, first), first);
    frame = get_head();
    assert_int_equal(frame.kind, FERRY_FRAME_DATA);
    count = get(got + first, frame.length);
    assert_true(count < frame.length);
    assert_memory_equal(got, whole, first + count);
    ferry_os_close(&data_fd);
}

static void ended(struct ferry_request *request)
{
    request->user = request;
}

static void a_frame_under_way_outlives_an_arc_that_takes_the_memory(void **state)
{
    struct ferry_request request = { .kind = FERRY_RQ_SET_STATE, .done = ended };
    struct ferry_request info = { .kind = FERRY_RQ_GET_INFO };
    uint32_t first = begin_frames();

    (void)state;
    atomic_store(&lender.slow_stop, 1);
    request.u.state = FERRY_STATE_STOP;
    assert_int_equal(ferry_client_submit(client, &request), FERRY_PENDING);
    /* Behind it: the arc has begun, and the memory is gone. */
    assert_int_equal(ferry_client_call(client, &info), FERRY_OK);
    assert_null(request.user);
    assert_both(first);
    atomic_store(&lender.slow_stop, 0);
    while (!request.user) {
        assert_true(ferry_client_dispatch(client) >= 0);
        assert_int_equal(ferry_client_call(client, &info), FERRY_OK);
    }
    assert_int_equal(request.status, FERRY_OK);
}

static uint32_t config32(uint64_t off)
{
    struct ferry_request request = { .kind = FERRY_RQ_REGION_READ };
    uint32_t value = 0;

    request.u.io = (struct ferry_region_io){
        .index = FERRY_REGION_CONFIG, .count = 4, .off = off, .data = &value
    };
    assert_int_equal(ferry_client_call(client, &request), FERRY_OK);
    return value;
}

static void a_frame_under_way_outlives_a_function_level_reset(void **state)
{
    struct ferry_request request = { .kind = FERRY_RQ_REGION_WRITE };
    uint32_t off = config32(0x34) & 0xfc;
    uint16_t control = FLR;
    uint32_t first;

    (void)state;
    while (off != 0 && (config32(off) & 0xff) != 0x10) {
        off = config32(off) >> 8 & 0xfc;
    }
    assert_int_not_equal(off, 0);
    first = begin_frames();
    request.u.io = (struct ferry_region_io){ .index = FERRY_REGION_CONFIG,
                                             .count = 2,
                                             .off = off + PCIE_CONTROL };
    request.u.io.data = &control;
    assert_int_equal(ferry_client_call(client, &request), FERRY_OK);
    assert_both(first);
}

static void what_ends_the_session_ends_the_frame(void **state)
{
    struct ferry_request request = { .kind = FERRY_RQ_RESET };
    uint32_t first = begin_frames();

    (void)state;
    assert_int_equal(ferry_client_call(client, &request), FERRY_OK);
    assert_cut(first);
    first = begin_frames();
    assert_int_equal(set_state(FERRY_STATE_STOP), FERRY_OK);
    assert_cut(first);
}

static void a_client_may_die_in_the_middle_of_what_is_lent(void **state)
{
    uint32_t first = begin_frames();

    (void)state;
    hang_up(); /* the device takes its memory back */
    assert_null(lender.bytes);
    assert_cut(first);
}

static int leave(uint64_t total)
{
    struct ferry_request request = { .kind = FERRY_RQ_LEAVE_STATE };

    request.u.leave.state = FERRY_STATE_STOP;
    request.u.leave.session = session;
    request.u.leave.data_bytes = total;
    return ferry_client_call(client, &request);
}

/* The stream in frames of `frame` bytes, in sends of `part` bytes. */
static void put_whole(uint64_t frame, uint64_t part)
{
    for (uint64_t at = 0; at < whole_bytes; at += frame) {
        uint64_t length = whole_bytes - at < frame ? whole_bytes - at : frame;

        put_frame(FERRY_FRAME_DATA, (uint32_t)length);
        for (uint64_t done = 0; done < length; done += part) {
            raw_send(data_fd, whole + at + done,
                     length - done < part ? length - done : part);
        }
    }
}

static void what_comes_is_put_in_its_place_however_it_is_cut(void **state)
{
    static const uint64_t frames[] = { 1u << 20, 70001, 8200, 524288 };
    static const uint64_t parts[] = { 1u << 20, 65536, 3001, 100000 };
    static const size_t places[] = { STATE_BYTES, 1000, 65536, 4097 };

    (void)state;
    for (uint32_t n = 0; n < 4 * 4; n++) {
        struct ferry_request info = { .kind = FERRY_RQ_GET_STATE };

        lender.most = places[n / 4];
        lender.placed = 0;
        assert_int_equal(set_state(FERRY_STATE_RESUMING), FERRY_OK);
        ask();
        put_whole(frames[n % 4], parts[(n + n / 4) % 4]);
        assert_int_equal(leave(whole_bytes), FERRY_OK);
        /* An answer of the server's: it is between two requests now. */
        assert_int_equal(ferry_client_call(client, &info), FERRY_OK);
        assert_int_equal(info.u.state, FERRY_STATE_STOP);
        assert_int_equal(lender.at, STATE_BYTES);
        assert_true(lender.placed > STATE_BYTES / 2);
        for (size_t i = 0; i < STATE_BYTES; i++) {
            if (lender.bytes[i] != pattern(i)) {
                fail_msg("byte %zu of cut %u", i, n);
            }
        }
        ferry_os_close(&data_fd);
    }
}

static void a_stream_that_ends_in_a_place_is_short(void **state)
{
    (void)state;
    assert_int_equal(set_state(FERRY_STATE_RESUMING), FERRY_OK);
    ask();
    put_frame(FERRY_FRAME_DATA, 500000);
    raw_send(data_fd, whole, 300000);
    ferry_os_close(&data_fd);
    /* Neither what was announced nor what came was taken as a whole. */
    assert_int_equal(leave(500000), FERRY_E_SHORT);
    assert_int_equal(set_state(FERRY_STATE_STOP), FERRY_E_SHORT);
}

static void a_refusal_of_what_is_in_place_reaches_the_client(void **state)
{
    struct ferry_frame frame;

    (void)state;
    atomic_store(&lender.place_status, FERRY_E_INCOMPATIBLE);
    assert_int_equal(set_state(FERRY_STATE_RESUMING), FERRY_OK);
    ask();
    put_frame(FERRY_FRAME_DATA, 100000);
    raw_send(data_fd, whole, 100000);
    frame = get_head();
    assert_int_equal(frame.kind, FERRY_FRAME_ERROR);
    assert_int_equal(get(got, 1), 0);
    assert_true(leave(100000) < 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(lent_frames_are_the_stream_of_messages, start,
                                        stop),
        cmocka_unit_test_setup_teardown(
            a_frame_under_way_outlives_an_arc_that_takes_the_memory, start, stop),
        cmocka_unit_test_setup_teardown(a_frame_under_way_outlives_a_function_level_reset,
                                        start, stop),
        cmocka_unit_test_setup_teardown(what_ends_the_session_ends_the_frame, start,
                                        stop),
        cmocka_unit_test_setup_teardown(a_client_may_die_in_the_middle_of_what_is_lent,
                                        start, stop),
        cmocka_unit_test_setup_teardown(what_comes_is_put_in_its_place_however_it_is_cut,
                                        start, stop),
        cmocka_unit_test_setup_teardown(a_stream_that_ends_in_a_place_is_short, start,
                                        stop),
        cmocka_unit_test_setup_teardown(a_refusal_of_what_is_in_place_reaches_the_client,
                                        start, stop),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
