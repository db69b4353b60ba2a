/* SPDX-License-Identifier: BSD-3-Clause */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#include "core/stream/payload.h"
#include "host/channel/channel_inside.h"
#include "host/ram/ram.h"
#include "os/memory.h"
#include "os/socket.h"

#define ABORT_BYTES 288u

struct end {
    struct ferry_channel *channel;
    uint8_t place[FERRY_RECORD_DATA_MAX];
    uint32_t records, rooms, downs, busy, slow;
    uint64_t bytes;
    uint16_t last_tag;
    struct ferry_error error;
};

static int begin(void *user, const struct ferry_record *record, uint64_t stream_off,
                 size_t *ret_prefix, struct ferry_error *reterr)
{
    (void)user, (void)stream_off, (void)reterr;
    if (record->tag == FERRY_REC_MEMORY_PAGES) {
        *ret_prefix = FERRY_STREAM_PREFIX_BYTES;
    }
    return FERRY_OK;
}

static int place(void *user, const struct ferry_record *record, const uint8_t *prefix,
                 uint8_t **ret_place, struct ferry_error *reterr)
{
    struct end *end = user;

    (void)prefix, (void)reterr;
    if (end->busy) {
        return FERRY_E_AGAIN;
    }
    if (record->tag == FERRY_REC_MEMORY_PAGES || record->tag == FERRY_REC_DEVICE_DATA) {
        *ret_place = end->place;
    }
    return FERRY_OK;
}

static int record_here(void *user, const struct ferry_record *record, uint64_t stream_off,
                       const uint8_t *payload, struct ferry_error *reterr)
{
    struct end *end = user;

    (void)stream_off, (void)payload, (void)reterr;
    end->records++;
    end->bytes += record->payload_bytes;
    end->last_tag = record->tag;
    if (end->slow) {
        ferry_channel_worked(end->channel, FERRY_STREAM_ZERO_MAX);
    }
    return FERRY_OK;
}

static void room(void *user)
{
    ((struct end *)user)->rooms++;
}

static void down(void *user, const struct ferry_error *error)
{
    struct end *end = user;

    end->downs++;
    end->error = *error;
}

static const struct ferry_channel_sink sink = { begin, place, record_here, room, down };

struct pair {
    struct ferry_loop *loop;
    struct end *end[2];
};

static void open_pair(struct pair *pair)
{
    int fd[2];

    assert_int_equal(ferry_loop_create(&pair->loop), FERRY_OK);
    assert_int_equal(ferry_os_socketpair(&fd[0], &fd[1]), FERRY_OK);
    for (int i = 0; i < 2; i++) {
        pair->end[i] = calloc(1, sizeof(*pair->end[i]));
        assert_non_null(pair->end[i]);
        assert_int_equal(ferry_channel_create(pair->loop, fd[i], &sink, pair->end[i],
                                              &pair->end[i]->channel),
                         FERRY_OK);
    }
}

static void turn(struct pair *pair, int turns)
{
    for (int i = 0; i < turns; i++) {
        assert_true(ferry_loop_dispatch(pair->loop, 1) >= 0);
    }
}

static void close_pair(struct pair *pair)
{
    for (int i = 0; i < 2; i++) {
        if (pair->end[i]->channel) {
            ferry_channel_destroy(pair->end[i]->channel);
        }
        free(pair->end[i]);
    }
    ferry_loop_destroy(pair->loop);
}

static void count_release(void *user)
{
    ++*(uint32_t *)user;
}

static void put_pages(struct ferry_channel *channel, const uint8_t *data, size_t bytes,
                      uint32_t *released)
{
    uint8_t prefix[FERRY_STREAM_PREFIX_BYTES] = { 0 };
    struct ferry_channel_body body = { data, bytes, 0, count_release, released };

    (void)ferry_channel_put_data(channel, FERRY_REC_MEMORY_PAGES, FERRY_NO_DEVICE, prefix,
                                 sizeof(prefix), &body);
}

static void records_of_every_length_come_through(void **state)
{
    static const size_t lengths[] = { 4096,  8192,   12288,
                                      65536, 524288, FERRY_RECORD_DATA_MAX };
    uint8_t *data = malloc(FERRY_RECORD_DATA_MAX);
    uint32_t released = 0;
    struct pair pair;

    (void)state;
    open_pair(&pair);
    for (size_t i = 0; i < FERRY_RECORD_DATA_MAX; i++) {
        data[i] = (uint8_t)(i * 31 >> 3);
    }
    for (uint32_t i = 0; i < sizeof(lengths) / sizeof(lengths[0]); i++) {
        put_pages(pair.end[0]->channel, data, lengths[i], &released);
        turn(&pair, 40);
        assert_int_equal(pair.end[1]->records, 2 * i + 1);
        assert_memory_equal(pair.end[1]->place, data, lengths[i]);
        assert_int_equal(released, i + 1);
        assert_int_equal(ferry_channel_put(pair.end[0]->channel, FERRY_REC_ALL_SENT,
                                           FERRY_NO_DEVICE, NULL, 0),
                         FERRY_OK);
        turn(&pair, 4);
        assert_int_equal(pair.end[1]->last_tag, FERRY_REC_ALL_SENT);
    }
    assert_int_equal(pair.end[1]->downs, 0);
    close_pair(&pair);
    free(data);
}

static void a_receiver_without_room_stops_the_sender(void **state)
{
    uint8_t *data = calloc(1, FERRY_RAM_RECORD_BYTES);
    uint32_t released = 0, put = 0;
    struct pair pair;

    (void)state;
    open_pair(&pair);
    pair.end[1]->busy = 1;
    while (ferry_channel_room(pair.end[0]->channel) && put < 100) {
        put_pages(pair.end[0]->channel, data, FERRY_RAM_RECORD_BYTES, &released);
        put++;
        turn(&pair, 3);
    }
    assert_in_range(put, 2, 20); /* the queue's limit and the socket's buffer */
    assert_int_equal(pair.end[1]->records, 0);
    assert_int_equal(pair.end[0]->rooms, 0);
    pair.end[1]->busy = 0;
    ferry_channel_resume(pair.end[1]->channel);
    turn(&pair, 200);
    assert_int_equal(pair.end[1]->records, put);
    assert_int_equal(released, put);
    assert_int_equal(pair.end[0]->rooms, 1);
    close_pair(&pair);
    free(data);
}

static void a_peer_that_never_reads_costs_a_bounded_queue(void **state)
{
    uint8_t *data = calloc(1, FERRY_RECORD_CONTROL_MAX);
    struct pair pair;
    int rc = FERRY_OK;

    (void)state;
    open_pair(&pair);
    pair.end[1]->busy = 1;
    for (int i = 0; i < 1000 && rc == FERRY_OK; i++) {
        rc = ferry_channel_put(pair.end[0]->channel, FERRY_REC_VMM_STATE, FERRY_NO_DEVICE,
                               data, FERRY_RECORD_CONTROL_MAX);
    }
    assert_int_equal(rc, FERRY_E_LIMIT);
    assert_true(ferry_channel_queued(pair.end[0]->channel) <= FERRY_CHANNEL_QUEUE_MAX);
    close_pair(&pair);
    free(data);
}

static void dropped_data_leaves_a_sound_stream(void **state)
{
    uint8_t *data = calloc(1, FERRY_RAM_RECORD_BYTES);
    uint32_t released = 0, put = 0;
    struct pair pair;

    (void)state;
    open_pair(&pair);
    pair.end[1]->busy = 1;
    while (ferry_channel_room(pair.end[0]->channel)) {
        /* Short and long ones in turn: whole pieces and borrowed bodies. */
        put_pages(pair.end[0]->channel, data, put % 2 ? 4096 : FERRY_RAM_RECORD_BYTES,
                  &released);
        put++;
        turn(&pair, 2);
    }
    ferry_channel_drop_data(pair.end[0]->channel);
    assert_int_equal(ferry_channel_put(pair.end[0]->channel, FERRY_REC_ABORT,
                                       FERRY_NO_DEVICE, data, ABORT_BYTES),
                     FERRY_OK);
    pair.end[1]->busy = 0;
    ferry_channel_resume(pair.end[1]->channel);
    turn(&pair, 200);
    assert_int_equal(pair.end[1]->downs, 0);
    assert_int_equal(pair.end[1]->last_tag, FERRY_REC_ABORT);
    assert_true(pair.end[1]->records < put);
    assert_int_equal(released, put);
    close_pair(&pair);
    free(data);
}

/* A producer that fails while its memory is given back: the session drops the rest. */
static void drop_at_release(void *user)
{
    struct pair *pair = user;

    ferry_channel_drop_data(pair->end[0]->channel);
    assert_int_equal(ferry_channel_put(pair->end[0]->channel, FERRY_REC_ABORT,
                                       FERRY_NO_DEVICE, pair->end[0]->place, ABORT_BYTES),
                     FERRY_OK);
}

static void data_dropped_by_a_release_leaves_a_sound_stream(void **state)
{
    uint8_t *data = calloc(1, 4u * FERRY_CHANNEL_COPY_MAX);
    uint8_t prefix[FERRY_STREAM_PREFIX_BYTES] = { 0 };
    uint32_t released = 0;
    struct pair pair;
    struct ferry_channel_body body = { data, 4u * FERRY_CHANNEL_COPY_MAX, 0,
                                       drop_at_release, &pair };

    (void)state;
    open_pair(&pair);
    /* All of it fits into one send: the release runs while the others leave as well. */
    assert_int_equal(ferry_channel_put_data(pair.end[0]->channel, FERRY_REC_MEMORY_PAGES,
                                            FERRY_NO_DEVICE, prefix, sizeof(prefix),
                                            &body),
                     FERRY_OK);
    put_pages(pair.end[0]->channel, data, 4096, &released);
    put_pages(pair.end[0]->channel, data, body.bytes, &released);
    turn(&pair, 20);
    assert_int_equal(ferry_channel_queued(pair.end[0]->channel), 0);
    assert_int_equal(released, 2);
    assert_int_equal(pair.end[1]->downs, 0);
    assert_int_equal(pair.end[1]->records, 4);
    assert_int_equal(pair.end[1]->last_tag, FERRY_REC_ABORT);
    close_pair(&pair);
    free(data);
}

static void the_last_words_are_heard_after_the_owner_is_gone(void **state)
{
    struct ferry_channel *lingering = NULL;
    uint8_t *data = calloc(1, FERRY_RAM_RECORD_BYTES);
    uint32_t released = 0, put = 0;
    struct pair pair;

    (void)state;
    open_pair(&pair);
    pair.end[1]->busy = 1;
    while (ferry_channel_room(pair.end[0]->channel)) {
        put_pages(pair.end[0]->channel, data, FERRY_RAM_RECORD_BYTES, &released);
        put++;
        turn(&pair, 2);
    }
    ferry_channel_drop_data(pair.end[0]->channel);
    assert_int_equal(ferry_channel_put(pair.end[0]->channel, FERRY_REC_ABORT,
                                       FERRY_NO_DEVICE, data, ABORT_BYTES),
                     FERRY_OK);
    ferry_channel_linger(pair.end[0]->channel, &lingering);
    pair.end[0]->channel = NULL;
    assert_int_equal(released, put); /* nothing is borrowed any more */
    memset(data, 0xff, FERRY_RAM_RECORD_BYTES);
    pair.end[1]->busy = 0;
    ferry_channel_resume(pair.end[1]->channel);
    turn(&pair, 100);
    assert_int_equal(pair.end[1]->last_tag, FERRY_REC_ABORT);
    assert_int_equal(pair.end[1]->downs, 0);
    assert_non_null(lingering);
    ferry_channel_destroy(pair.end[1]->channel); /* it waits for this */
    pair.end[1]->channel = NULL;
    turn(&pair, 3);
    assert_null(lingering);
    close_pair(&pair);
    free(data);
}

static void a_damaged_record_ends_the_input_once(void **state)
{
    uint8_t bytes[FERRY_RECORD_HEADER_BYTES] = "not a record, whatever it may be";
    struct ferry_loop *loop;
    struct end *end = calloc(1, sizeof(*end));
    int fd[2];

    (void)state;
    assert_int_equal(ferry_loop_create(&loop), FERRY_OK);
    assert_int_equal(ferry_os_socketpair(&fd[0], &fd[1]), FERRY_OK);
    assert_int_equal(ferry_channel_create(loop, fd[0], &sink, end, &end->channel),
                     FERRY_OK);
    assert_int_equal(write(fd[1], bytes, sizeof(bytes)), sizeof(bytes));
    assert_int_equal(write(fd[1], bytes, sizeof(bytes)), sizeof(bytes));
    for (int i = 0; i < 4; i++) {
        ferry_loop_dispatch(loop, 1);
    }
    assert_int_equal(end->downs, 1);
    assert_int_equal(end->error.code, FERRY_E_PROTOCOL);
    /* The output still works: the peer can be told. */
    assert_int_equal(
        ferry_channel_put(end->channel, FERRY_REC_ALL_SENT, FERRY_NO_DEVICE, NULL, 0),
        FERRY_OK);
    ferry_loop_dispatch(loop, 1);
    assert_int_equal(recv(fd[1], bytes, sizeof(bytes), MSG_DONTWAIT), sizeof(bytes));
    ferry_channel_destroy(end->channel);
    ferry_os_close(&fd[1]);
    ferry_loop_destroy(loop);
    free(end);
}

static void long_work_gives_the_loop_its_turn_before_the_next_record(void **state)
{
    struct pair pair;

    (void)state;
    open_pair(&pair);
    pair.end[1]->slow = 1;
    for (uint32_t i = 0; i < 20; i++) {
        assert_int_equal(ferry_channel_put(pair.end[0]->channel, FERRY_REC_ALL_SENT,
                                           FERRY_NO_DEVICE, NULL, 0),
                         FERRY_OK);
    }
    ferry_channel_flush(pair.end[0]->channel);
    for (uint32_t before = 0; pair.end[1]->records < 20;) {
        turn(&pair, 1);
        /* By readiness and by the idle work of one turn, but never all at once. */
        assert_in_range(pair.end[1]->records, before + 1, before + 2);
        before = pair.end[1]->records;
    }
    assert_int_equal(pair.end[1]->downs, 0);
    close_pair(&pair);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(records_of_every_length_come_through),
        cmocka_unit_test(a_receiver_without_room_stops_the_sender),
        cmocka_unit_test(a_peer_that_never_reads_costs_a_bounded_queue),
        cmocka_unit_test(dropped_data_leaves_a_sound_stream),
        cmocka_unit_test(data_dropped_by_a_release_leaves_a_sound_stream),
        cmocka_unit_test(the_last_words_are_heard_after_the_owner_is_gone),
        cmocka_unit_test(long_work_gives_the_loop_its_turn_before_the_next_record),
        cmocka_unit_test(a_damaged_record_ends_the_input_once),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
