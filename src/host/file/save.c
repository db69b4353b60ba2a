/* SPDX-License-Identifier: BSD-3-Clause */
#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "base/writer.h"
#include "host/file/peer.h"
#include "os/memory.h"

/*
 * The file as a target. What replaces a target's answers, and why nothing is lost:
 * docs/spec/stream.md, section 4.
 */

#define BODY_BYTES (FERRY_STREAM_PREFIX_BYTES + FERRY_RECORD_DATA_MAX)

static void give_up(struct ferry_file_peer *peer, const struct ferry_error *error)
{
    peer->dropped = 1;
    peer->error = *error;
    ferry_file_peer_put_abort(peer, error);
}

static void accept_all(struct ferry_file_peer *peer)
{
    struct ferry_stream_accept accept = { .device_count = peer->device_count };
    uint8_t bytes[1024];
    struct ferry_writer payload;

    ferry_writer_init(&payload, bytes, sizeof(bytes));
    ferry_stream_put_accept(&payload, &accept);
    assert(!payload.overflow);
    (void)ferry_channel_put(peer->channel, FERRY_REC_ACCEPT, FERRY_NO_DEVICE, bytes,
                            payload.pos);
}

static void runs_in_the_file(struct ferry_file_peer *peer)
{
    struct ferry_stream_running running = { .device_count = peer->device_count };
    uint8_t bytes[1024];
    struct ferry_writer payload;

    ferry_writer_init(&payload, bytes, sizeof(bytes));
    ferry_stream_put_running(&payload, &running);
    assert(!payload.overflow);
    (void)ferry_channel_put(peer->channel, FERRY_REC_RUNNING, FERRY_NO_DEVICE, bytes,
                            payload.pos);
}

static void all_sent(struct ferry_file_peer *peer)
{
    struct ferry_error error = { .code = FERRY_OK };
    int rc = ferry_file_writer_end(peer->writer, &error);

    if (rc == FERRY_OK && peer->then == FERRY_SAVE_STOP) {
        rc = ferry_file_writer_sync(peer->writer, &error);
    }
    if (rc < 0) {
        give_up(peer, &error);
        return;
    }
    peer->whole = 1;
    if (peer->then == FERRY_SAVE_STOP) {
        ferry_file_peer_put_token(peer, FERRY_REC_PREPARED);
        return;
    }
    /* The way back is the one that every failed migration takes: it needs no new rules.
     * The disk is waited for when the devices run again. */
    ferry_error_set(&error, FERRY_E_CANCELLED, "host", NULL, 0,
                    "the file is whole: the devices run on");
    ferry_file_peer_put_abort(peer, &error);
}

static void commit(struct ferry_file_peer *peer)
{
    if (ferry_file_writer_publish(peer->writer, &peer->error) < 0) {
        peer->dropped = 1;
        ferry_file_peer_put_token(peer, FERRY_REC_RETURN);
        return;
    }
    runs_in_the_file(peer);
}

/* A file is written in one version: what the source could also have spoken is no news to
 * its readers. */
static int preamble(struct ferry_file_peer *peer, struct ferry_record *record,
                    struct ferry_error *reterr)
{
    struct ferry_stream_preamble preamble;
    struct ferry_writer payload;
    int rc = ferry_stream_get_preamble(peer->body, (size_t)record->payload_bytes,
                                       &preamble, reterr);

    if (rc < 0) {
        return rc;
    }
    memcpy(peer->session_id, preamble.session_id, sizeof(peer->session_id));
    peer->epoch = preamble.epoch;
    preamble.version_min = preamble.version;
    ferry_writer_init(&payload, peer->body, BODY_BYTES);
    ferry_stream_put_preamble(&payload, &preamble);
    assert(!payload.overflow);
    ferry_record_seal(record, record->tag, record->flags, record->device, peer->body,
                      payload.pos);
    return FERRY_OK;
}

static void answer(struct ferry_file_peer *peer, const struct ferry_record *record)
{
    switch (record->tag) {
    case FERRY_REC_PREAMBLE:
        ferry_file_peer_put_preamble(peer);
        return;
    case FERRY_REC_HELLO_DEVICE:
        peer->device_count++;
        return;
    case FERRY_REC_HELLO:
        accept_all(peer);
        return;
    case FERRY_REC_DEVICE_INITIAL:
        (void)ferry_channel_put(peer->channel, FERRY_REC_INITIAL_DONE, record->device, "",
                                0);
        return;
    case FERRY_REC_ALL_SENT:
        all_sent(peer);
        return;
    default:
        return;
    }
}

static int begin(void *user, const struct ferry_record *record, uint64_t stream_off,
                 size_t *ret_prefix, struct ferry_error *reterr)
{
    (void)user;
    (void)record;
    (void)stream_off;
    (void)reterr;
    *ret_prefix = 0;
    return FERRY_OK;
}

static int place(void *user, const struct ferry_record *record, const uint8_t *prefix,
                 uint8_t **ret_place, struct ferry_error *reterr)
{
    struct ferry_file_peer *peer = user;

    (void)prefix;
    (void)reterr;
    assert(record->payload_bytes <= BODY_BYTES);
    *ret_place = peer->body;
    return FERRY_OK;
}

static int record_here(void *user, const struct ferry_record *record, uint64_t stream_off,
                       const uint8_t *payload, struct ferry_error *reterr)
{
    struct ferry_file_peer *peer = user;
    struct ferry_error error = { .code = FERRY_OK };
    struct ferry_record own = *record;
    int rc = FERRY_OK;

    (void)stream_off;
    (void)payload;
    (void)reterr;
    if (record->tag == FERRY_REC_ABORT) {
        peer->dropped = 1; /* cancelled, or it went wrong at the source */
    }
    if (peer->dropped) {
        return FERRY_OK;
    }
    if (record->tag == FERRY_REC_COMMIT) {
        commit(peer);
        return FERRY_OK;
    }
    if (record->tag == FERRY_REC_PREAMBLE) {
        rc = preamble(peer, &own, &error);
    }
    if (rc == FERRY_OK) {
        rc = ferry_file_writer_put(peer->writer, &own, peer->body, &error);
    }
    if (rc < 0) {
        give_up(peer, &error);
        return FERRY_OK;
    }
    answer(peer, record);
    return FERRY_OK;
}

static void room(void *user)
{
    (void)user;
}

static void down(void *user, const struct ferry_error *error)
{
    (void)user;
    (void)error; /* the source tells what happened to it */
}

static const struct ferry_channel_sink sink = {
    .begin = begin,
    .place = place,
    .record = record_here,
    .room = room,
    .down = down,
};

int ferry_file_peer_save(struct ferry_loop *loop, int fd, uint32_t then,
                         struct ferry_file_writer *writer,
                         struct ferry_file_peer **ret_peer)
{
    struct ferry_file_peer *peer = calloc(1, sizeof(*peer));
    int rc = FERRY_E_MEMORY;

    if (!peer) {
        ferry_file_writer_destroy(writer);
        ferry_os_close(&fd);
        return rc;
    }
    peer->loop = loop;
    peer->fd = -1;
    peer->then = then;
    peer->writer = writer;
    peer->body = malloc(BODY_BYTES);
    if (!peer->body) {
        ferry_os_close(&fd);
    } else {
        rc = ferry_channel_create(loop, fd, &sink, peer, &peer->channel);
    }
    if (rc < 0) {
        ferry_file_peer_destroy(peer);
        return rc;
    }
    *ret_peer = peer;
    return FERRY_OK;
}

void ferry_file_peer_end(struct ferry_file_peer *peer, struct ferry_report *report)
{
    struct ferry_error error = { .code = FERRY_OK };
    int rc;

    if (peer->writer && peer->whole && !peer->dropped && peer->then == FERRY_SAVE_RUN) {
        rc = ferry_file_writer_sync(peer->writer, &error);
        if (rc == FERRY_OK) {
            rc = ferry_file_writer_publish(peer->writer, &error);
        }
        /* A device that did not come back is worse news than a file is good ones. */
        if (report->outcome == FERRY_OUTCOME_ROLLED_BACK && rc == FERRY_OK) {
            report->outcome = FERRY_OUTCOME_SAVED;
        }
        if (report->outcome != FERRY_OUTCOME_LOST) {
            report->error = error;
        }
    } else if (peer->error.code < 0) {
        report->error = peer->error; /* it knows the file's name and the system's word */
    }
}
