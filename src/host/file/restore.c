/* SPDX-License-Identifier: BSD-3-Clause */
#include <stdlib.h>
#include <string.h>

#include "host/file/check.h"
#include "host/file/peer.h"
#include "os/draft.h"
#include "os/memory.h"

/* The file as a source: its records in turn, as fast as the target takes them. */

static void fail(struct ferry_file_peer *peer, const struct ferry_error *error)
{
    peer->finished = 1;
    peer->error = *error;
    ferry_file_peer_put_abort(peer, error);
}

/* Return: 1 when there may be more to send at once. */
static int send_next(struct ferry_file_peer *peer)
{
    struct ferry_error error = { .code = FERRY_OK };
    struct ferry_file_record next;
    const struct ferry_record *record = &next.record;
    struct ferry_stream_preamble preamble;
    int rc = ferry_file_reader_next(peer->reader, &next, &error);

    if (rc == 0) {
        rc = ferry_error_set(&error, FERRY_E_SHORT, "stream", "STR-END-2", next.off,
                             "the file has become shorter while it was read");
    } else if (rc == 1 && record->tag == FERRY_REC_PREAMBLE) {
        rc = ferry_stream_get_preamble(next.payload, (size_t)record->payload_bytes,
                                       &preamble, &error);
        if (rc == FERRY_OK) {
            memcpy(peer->session_id, preamble.session_id, sizeof(peer->session_id));
            peer->epoch = preamble.epoch;
            ferry_file_peer_put_preamble(peer);
        }
    } else if (rc == 1 && record->tag == FERRY_REC_FILE_END) {
        peer->finished = 1;
    } else if (rc == 1 && !next.unknown) {
        rc = ferry_channel_put_flags(peer->channel, record->tag, record->flags,
                                     record->device, next.payload,
                                     (size_t)record->payload_bytes);
        peer->waits = record->tag == FERRY_REC_HELLO;
        if (rc < 0) {
            peer->finished = 1; /* the connection's end is told to the target */
            return 0;
        }
    }
    if (rc < 0) {
        ferry_file_check_place(&next, &error);
        fail(peer, &error);
    }
    return !peer->finished && !peer->waits;
}

static int produce(struct ferry_loop_idle *idle)
{
    struct ferry_file_peer *peer = idle->user;

    while (!peer->finished && !peer->waits && ferry_channel_room(peer->channel)) {
        (void)send_next(peer);
    }
    ferry_channel_flush(peer->channel);
    return 0; /* room() or ACCEPT goes on */
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
    (void)user;
    (void)record;
    (void)prefix;
    (void)ret_place; /* answers are short: the channel's own memory */
    (void)reterr;
    return FERRY_OK;
}

static int record_here(void *user, const struct ferry_record *record, uint64_t stream_off,
                       const uint8_t *payload, struct ferry_error *reterr)
{
    struct ferry_file_peer *peer = user;

    (void)stream_off;
    (void)payload;
    (void)reterr;
    if (record->tag == FERRY_REC_ACCEPT) {
        peer->waits = 0;
        ferry_loop_idle_start(peer->loop, &peer->producer);
    } else if (record->tag == FERRY_REC_PREPARED) {
        ferry_file_peer_put_token(peer, FERRY_REC_COMMIT);
    } else if (record->tag == FERRY_REC_REFUSE || record->tag == FERRY_REC_ABORT) {
        peer->finished = 1; /* the target's report says why */
    }
    return FERRY_OK;
}

static void room(void *user)
{
    struct ferry_file_peer *peer = user;

    ferry_loop_idle_start(peer->loop, &peer->producer);
}

static void down(void *user, const struct ferry_error *error)
{
    struct ferry_file_peer *peer = user;

    (void)error;
    peer->finished = 1;
}

static const struct ferry_channel_sink sink = {
    .begin = begin,
    .place = place,
    .record = record_here,
    .room = room,
    .down = down,
};

int ferry_file_peer_restore(struct ferry_loop *loop, int fd, int file,
                            struct ferry_file_peer **ret_peer)
{
    struct ferry_file_peer *peer = calloc(1, sizeof(*peer));
    int rc;

    if (!peer) {
        ferry_os_close(&fd);
        ferry_os_close(&file);
        return FERRY_E_MEMORY;
    }
    peer->loop = loop;
    peer->fd = file;
    peer->producer.fn = produce;
    peer->producer.user = peer;
    rc = ferry_channel_create(loop, fd, &sink, peer, &peer->channel);
    if (rc == FERRY_OK) {
        rc = ferry_file_reader_create(file, &peer->reader);
    }
    if (rc < 0) {
        ferry_file_peer_destroy(peer);
        return rc;
    }
    ferry_loop_idle_add(loop, &peer->producer);
    ferry_loop_idle_start(loop, &peer->producer);
    *ret_peer = peer;
    return FERRY_OK;
}
