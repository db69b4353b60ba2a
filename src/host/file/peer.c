/* SPDX-License-Identifier: BSD-3-Clause */
#include "host/file/peer.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "base/writer.h"
#include "os/memory.h"

/* What both kinds of peers have in common. */

/* A failure of the channel shows as its end, to both of its sides. */
static void put(struct ferry_file_peer *peer, uint16_t tag,
                const struct ferry_writer *payload)
{
    assert(!payload->overflow);
    (void)ferry_channel_put(peer->channel, tag, FERRY_NO_DEVICE, payload->data,
                            payload->pos);
}

void ferry_file_peer_put_preamble(struct ferry_file_peer *peer)
{
    struct ferry_stream_preamble preamble = { .version = FERRY_STREAM_VERSION,
                                              .version_min = FERRY_STREAM_VERSION_MIN,
                                              .epoch = peer->epoch };
    uint8_t bytes[32];
    struct ferry_writer payload;

    memcpy(preamble.session_id, peer->session_id, sizeof(preamble.session_id));
    ferry_writer_init(&payload, bytes, sizeof(bytes));
    ferry_stream_put_preamble(&payload, &preamble);
    put(peer, FERRY_REC_PREAMBLE, &payload);
}

void ferry_file_peer_put_token(struct ferry_file_peer *peer, uint16_t tag)
{
    struct ferry_stream_token token = { .epoch = peer->epoch };
    uint8_t bytes[24];
    struct ferry_writer payload;

    memcpy(token.session_id, peer->session_id, sizeof(token.session_id));
    ferry_writer_init(&payload, bytes, sizeof(bytes));
    ferry_stream_put_token(&payload, &token);
    put(peer, tag, &payload);
}

void ferry_file_peer_put_abort(struct ferry_file_peer *peer,
                               const struct ferry_error *error)
{
    struct ferry_stream_reason reason;
    uint8_t bytes[288];
    struct ferry_writer payload;

    ferry_stream_reason_from_error(error, &reason);
    ferry_writer_init(&payload, bytes, sizeof(bytes));
    ferry_stream_put_reason(&payload, &reason);
    put(peer, FERRY_REC_ABORT, &payload);
}

void ferry_file_peer_destroy(struct ferry_file_peer *peer)
{
    if (peer == NULL) {
        return;
    }
    if (peer->channel) {
        ferry_channel_destroy(peer->channel);
    }
    if (peer->reader) {
        ferry_loop_idle_remove(peer->loop, &peer->producer);
        ferry_file_reader_destroy(peer->reader);
    }
    ferry_os_close(&peer->fd);
    ferry_file_writer_destroy(peer->writer);
    free(peer->body);
    free(peer);
}
