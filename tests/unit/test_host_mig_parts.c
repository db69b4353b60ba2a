/* SPDX-License-Identifier: BSD-3-Clause */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#include "host/channel/channel_inside.h"
#include "os/clock.h"
#include "os/memory.h"
#include "os/socket.h"
#include "test_host_mig_rig.h"

#define LIMIT_MS 4000u
#define ABORT_BYTES 288u

/* --- the channel --- */

struct end {
    struct ferry_channel *channel;
    uint8_t place[FERRY_RECORD_DATA_MAX];
    uint32_t records, rooms, downs, busy;
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
    struct ferry_channel_body body = { data, bytes, count_release, released };

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
    struct ferry_channel_body body = { data, 4u * FERRY_CHANNEL_COPY_MAX, drop_at_release,
                                       &pair };

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

/* --- the arbiter --- */

static void the_first_decision_stands(void **state)
{
    char folder[] = "/tmp/ferry-decision-XXXXXX", text[64], path[128];
    struct ferry_arbiter arbiter;
    struct ferry_error error;
    uint32_t decision = 99;

    (void)state;
    assert_non_null(mkdtemp(folder));
    snprintf(text, sizeof(text), "file:%s", folder);
    assert_int_equal(ferry_arbiter_parse(text, &arbiter, &error), FERRY_OK);
    assert_int_equal(
        ferry_arbiter_decide(&arbiter, 0xabc, 0, FERRY_DECISION_NONE, &decision, &error),
        FERRY_OK);
    assert_int_equal(decision, FERRY_DECISION_NONE);
    assert_int_equal(
        ferry_arbiter_decide(&arbiter, 0xabc, 0, FERRY_DECISION_ABORT, &decision, &error),
        FERRY_OK);
    assert_int_equal(decision, FERRY_DECISION_ABORT);
    assert_int_equal(ferry_arbiter_decide(&arbiter, 0xabc, 0, FERRY_DECISION_COMMIT,
                                          &decision, &error),
                     FERRY_OK);
    assert_int_equal(decision, FERRY_DECISION_ABORT);
    /* Another epoch is another decision. */
    assert_int_equal(ferry_arbiter_decide(&arbiter, 0xabc, 1, FERRY_DECISION_COMMIT,
                                          &decision, &error),
                     FERRY_OK);
    assert_int_equal(decision, FERRY_DECISION_COMMIT);
    for (int epoch = 0; epoch < 2; epoch++) {
        snprintf(path, sizeof(path), "%s/0000000000000abc-%d", folder, epoch);
        assert_int_equal(unlink(path), 0);
    }
    assert_int_equal(rmdir(folder), 0);
}

static void an_arbiter_that_cannot_be_asked_says_so(void **state)
{
    char folder[] = "/tmp/ferry-decision-XXXXXX", text[64], path[128];
    struct ferry_arbiter arbiter;
    struct ferry_error error;
    uint32_t decision = 99;
    FILE *file;

    (void)state;
    assert_int_equal(ferry_arbiter_parse("file:/no/such/folder", &arbiter, &error),
                     FERRY_OK);
    assert_int_equal(
        ferry_arbiter_decide(&arbiter, 1, 0, FERRY_DECISION_COMMIT, &decision, &error),
        FERRY_E_NOT_FOUND);
    assert_int_equal(
        ferry_arbiter_decide(&arbiter, 1, 0, FERRY_DECISION_NONE, &decision, &error),
        FERRY_E_NOT_FOUND);
    assert_non_null(mkdtemp(folder));
    snprintf(text, sizeof(text), "file:%s", folder);
    snprintf(path, sizeof(path), "%s/0000000000000001-0", folder);
    assert_int_equal(ferry_arbiter_parse(text, &arbiter, &error), FERRY_OK);
    file = fopen(path, "w");
    assert_non_null(file);
    fputs("perhaps\n", file);
    fclose(file);
    assert_int_equal(
        ferry_arbiter_decide(&arbiter, 1, 0, FERRY_DECISION_COMMIT, &decision, &error),
        FERRY_E_CORRUPT);
    assert_int_equal(decision, 99);
    unlink(path);
    rmdir(folder);
}

static void only_known_arbiters_are_taken(void **state)
{
    struct ferry_arbiter arbiter;
    struct ferry_error error;
    char text[FERRY_OS_PATH_MAX + 32];

    (void)state;
    assert_int_equal(ferry_arbiter_parse("none", &arbiter, &error), FERRY_OK);
    assert_int_equal(arbiter.kind, FERRY_ARBITER_NONE);
    assert_int_equal(ferry_arbiter_parse(NULL, &arbiter, &error), FERRY_OK);
    assert_int_equal(ferry_arbiter_parse("etcd:x", &arbiter, &error), FERRY_E_ARGUMENT);
    assert_int_equal(ferry_arbiter_parse("file:relative", &arbiter, &error),
                     FERRY_E_ARGUMENT);
    memset(text, 'x', sizeof(text) - 1);
    memcpy(text, "file:/", 6);
    text[sizeof(text) - 1] = '\0';
    assert_int_equal(ferry_arbiter_parse(text, &arbiter, &error), FERRY_E_LIMIT);
}

/* --- listening --- */

static const struct ferry_migrate_options impatient = { .struct_size = sizeof(impatient),
                                                        .peer_limit_ms = 80 };

static int connect_to(const char *text)
{
    struct ferry_os_address address;
    struct ferry_error error;
    int fd = -1;

    assert_int_equal(ferry_os_address_parse(text, &address, &error), FERRY_OK);
    assert_int_equal(ferry_os_connect(&address, 1000, &fd, &error), FERRY_OK);
    return fd;
}

static int contains(const uint8_t *bytes, size_t size, const char *text)
{
    size_t length = strlen(text);

    for (size_t i = 0; i + length <= size; i++) {
        if (memcmp(bytes + i, text, length) == 0) {
            return 1;
        }
    }
    return 0;
}

/* Turns until the listener has said why it refuses. */
static void expect_words(struct rig *rig, int fd, const char *text)
{
    uint8_t bytes[1024];
    size_t got = 0;

    for (int i = 0; i < 1000 && !contains(bytes, got, text); i++) {
        ssize_t count;

        rig_turn(rig);
        count = recv(fd, bytes + got, sizeof(bytes) - got, MSG_DONTWAIT);
        got += count > 0 ? (size_t)count : 0;
    }
    assert_true(contains(bytes, got, text));
}

static void move_to(struct rig *rig, const char *address)
{
    struct ferry_error error = { .code = FERRY_OK };

    rig_fill(rig, 1);
    if (ferry_context_send(rig->side[0].context, address, NULL, &error) != FERRY_OK) {
        fail_msg("%s", error.text);
    }
    assert_true(rig_run(rig, LIMIT_MS));
    assert_int_equal(rig_outcome(rig, 0), FERRY_OUTCOME_MOVED);
    assert_int_equal(rig_outcome(rig, 1), FERRY_OUTCOME_MOVED);
    assert_true(rig_memory_equal(rig) && rig_state_equal(rig));
}

static void a_listener_goes_on_after_garbage_and_silence(void **state)
{
    struct rig rig;
    struct ferry_error error;
    char address[128];
    int fd;

    (void)state;
    rig_open(&rig, NULL);
    assert_string_equal(ferry_context_address(rig.side[1].context), "");
    assert_int_equal(
        ferry_context_listen(rig.side[1].context, "tcp:127.0.0.1:0", &impatient, &error),
        FERRY_OK);
    snprintf(address, sizeof(address), "%s", ferry_context_address(rig.side[1].context));
    assert_memory_equal(address, "tcp:127.0.0.1:", 14);
    fd = connect_to(address);
    assert_int_equal(write(fd, "GET / HTTP/1.1\r\nHost: localhost\r\n\r\n", 35), 35);
    expect_words(&rig, fd, "no record begins here");
    ferry_os_close(&fd);
    fd = connect_to(address);
    expect_words(&rig, fd, "did not introduce itself");
    ferry_os_close(&fd);
    fd = connect_to(address);
    ferry_os_close(&fd);
    /* None of them was a migration. */
    assert_int_equal(rig.side[1].finished, 0);
    assert_int_equal(rig.side[1].events[FERRY_HOST_INCOMING], 0);
    move_to(&rig, address);
    assert_string_equal(ferry_context_address(rig.side[1].context), "");
    assert_int_equal(rig.side[1].events[FERRY_HOST_INCOMING], 1);
    rig_close(&rig);
}

static void a_listener_goes_on_after_a_migration_that_failed(void **state)
{
    struct rig rig;
    struct ferry_error error;
    const char *path = "unix:/tmp/ferry-test-mig.sock";

    (void)state;
    rig_open(&rig, NULL);
    rig_fill(&rig, 1);
    assert_int_equal(ferry_context_listen(rig.side[1].context, path, NULL, &error),
                     FERRY_OK);
    assert_int_equal(ferry_context_listen(rig.side[1].context, path, NULL, &error),
                     FERRY_E_BUSY);
    assert_int_equal(ferry_context_send(rig.side[1].context, path, NULL, &error),
                     FERRY_E_BUSY);
    rig.side[0].device[0].fail_to = FERRY_STATE_STOP_COPY;
    rig.side[0].device[0].fail_status = FERRY_E_DEVICE;
    rig.side[0].device[0].fails = 1;
    assert_int_equal(ferry_context_send(rig.side[0].context, path, NULL, &error),
                     FERRY_OK);
    assert_int_equal(ferry_context_send(rig.side[0].context, path, NULL, &error),
                     FERRY_E_BUSY);
    assert_true(rig_run(&rig, LIMIT_MS));
    assert_int_equal(rig_outcome(&rig, 0), FERRY_OUTCOME_ROLLED_BACK);
    assert_int_equal(rig_outcome(&rig, 1), FERRY_OUTCOME_ROLLED_BACK);
    assert_string_equal(ferry_context_address(rig.side[1].context), path);
    move_to(&rig, path);
    assert_int_not_equal(access(path + 5, F_OK), 0);
    rig_close(&rig);
}

static void a_device_that_dies_beside_a_silent_peer_is_told_of_once(void **state)
{
    struct rig rig;
    struct rig_side *side = &rig.side[1];
    int fd;

    (void)state;
    rig_open(&rig, NULL);
    assert_int_equal(
        ferry_context_listen(side->context, "tcp:127.0.0.1:0", &impatient, NULL),
        FERRY_OK);
    fd = connect_to(ferry_context_address(side->context));
    for (int i = 0; i < 100 && !side->context->migration->run; i++) {
        rig_turn(&rig);
    }
    assert_non_null(side->context->migration->run);
    ferry_host_device_died(side->context->device[0], FERRY_E_CLOSED);
    assert_int_equal(side->events[FERRY_HOST_DEVICE_LOST], 0);
    ferry_os_close(&fd);
    for (int i = 0; i < 100 && side->context->migration->run; i++) {
        rig_turn(&rig);
    }
    assert_int_equal(side->finished, 0);
    assert_int_equal(side->events[FERRY_HOST_DEVICE_LOST], 1);
    /* A source that is refused for it is no second death. */
    ferry_context_unlisten(side->context);
    assert_int_equal(rig_start(&rig, NULL), FERRY_OK);
    assert_true(rig_run(&rig, LIMIT_MS));
    assert_int_equal(rig_outcome(&rig, 1), FERRY_OUTCOME_REFUSED);
    assert_int_equal(side->events[FERRY_HOST_DEVICE_LOST], 1);
    rig_close(&rig);
}

static void nobody_listens_for_the_whole_world(void **state)
{
    struct rig rig;
    struct ferry_error error;

    (void)state;
    rig_open(&rig, NULL);
    assert_int_equal(
        ferry_context_listen(rig.side[1].context, "tcp:0.0.0.0:0", NULL, &error),
        FERRY_E_PERMISSION);
    assert_int_equal(
        ferry_context_send(rig.side[0].context, "unix:/no/such/socket", NULL, &error),
        FERRY_E_NOT_FOUND);
    assert_int_equal(
        ferry_context_send(rig.side[0].context, "smoke:signal", NULL, &error),
        FERRY_E_ARGUMENT);
    /* And can be sent after all of that. */
    assert_int_equal(rig_start(&rig, NULL), FERRY_OK);
    assert_true(rig_run(&rig, LIMIT_MS));
    assert_int_equal(rig_outcome(&rig, 0), FERRY_OUTCOME_MOVED);
    rig_close(&rig);
}

static void memory_stays_until_the_end_is_told(void **state)
{
    struct rig rig;

    (void)state;
    rig_open(&rig, NULL);
    assert_int_equal(rig_start(&rig, NULL), FERRY_OK);
    /* Before the peer has answered this ends it at once. */
    assert_int_equal(ferry_context_cancel(rig.side[0].context), FERRY_OK);
    assert_int_equal(rig.side[0].finished, 0);
    assert_int_equal(ferry_context_remove_memory(rig.side[0].context, 0, NULL),
                     FERRY_E_BUSY);
    assert_true(rig_run(&rig, LIMIT_MS));
    assert_int_equal(rig.side[0].finished, 1);
    assert_int_equal(ferry_context_remove_memory(rig.side[0].context, 0, NULL), FERRY_OK);
    assert_int_equal(ferry_context_cancel(rig.side[0].context), FERRY_E_STATE);
    rig_close(&rig);
}

/* --- the bandwidth limit --- */

static void the_bandwidth_is_limited_before_the_stop(void **state)
{
    struct ferry_migrate_options options = { .struct_size = sizeof(options),
                                             .bandwidth_bytes_per_s = 2u << 20 };
    struct rig rig;

    (void)state;
    rig_open(&rig, NULL);
    rig_fill(&rig, 1);
    assert_int_equal(rig_start(&rig, &options), FERRY_OK);
    assert_true(rig_run(&rig, LIMIT_MS));
    assert_int_equal(rig_outcome(&rig, 0), FERRY_OUTCOME_MOVED);
    assert_true(rig_memory_equal(&rig));
    /* 192 KiB of memory at 2 MiB/s, less one burst of 64 KiB: a lower bound. */
    assert_true(rig.side[0].report.total_ns > 50u * FERRY_NS_PER_MS);
    rig_close(&rig);
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
        cmocka_unit_test(a_damaged_record_ends_the_input_once),
        cmocka_unit_test(the_first_decision_stands),
        cmocka_unit_test(an_arbiter_that_cannot_be_asked_says_so),
        cmocka_unit_test(only_known_arbiters_are_taken),
        cmocka_unit_test(a_listener_goes_on_after_garbage_and_silence),
        cmocka_unit_test(a_listener_goes_on_after_a_migration_that_failed),
        cmocka_unit_test(a_device_that_dies_beside_a_silent_peer_is_told_of_once),
        cmocka_unit_test(nobody_listens_for_the_whole_world),
        cmocka_unit_test(memory_stays_until_the_end_is_told),
        cmocka_unit_test(the_bandwidth_is_limited_before_the_stop),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
