/* SPDX-License-Identifier: BSD-3-Clause */
#include <assert.h>

#include "core/stream/decoder.h"
#include "core/stream/payload.h"

/* The records of a migration over several connections. */

void ferry_stream_put_connections(struct ferry_writer *writer,
                                  const struct ferry_stream_connections *connections)
{
    assert(connections->count >= 1 && connections->count <= FERRY_STREAM_CONNECTIONS_MAX);
    ferry_writer_u32(writer, connections->count);
    ferry_writer_u32(writer, 0);
    ferry_writer_bytes(writer, connections->secret, FERRY_STREAM_SECRET_BYTES);
}

int ferry_stream_get_connections(const void *payload, size_t bytes,
                                 struct ferry_stream_connections *ret_connections,
                                 struct ferry_error *reterr)
{
    struct ferry_stream_connections connections;
    struct ferry_decoder d;
    int rc;

    ferry_decoder_init(&d, FERRY_REC_CONNECTIONS, payload, bytes, reterr);
    connections.count =
        ferry_decoder_u32_max(&d, FERRY_STREAM_CONNECTIONS_MAX, FERRY_E_LIMIT,
                              "STR-CON-1", "too many connections");
    if (connections.count == 0) {
        ferry_decoder_fail(&d, FERRY_E_PROTOCOL, "STR-CON-1", 0, "no connection", 0);
    }
    ferry_decoder_reserved(&d);
    ferry_reader_bytes(&d.reader, connections.secret, FERRY_STREAM_SECRET_BYTES);
    rc = ferry_decoder_end(&d);
    if (rc == FERRY_OK) {
        *ret_connections = connections;
    }
    return rc;
}

void ferry_stream_put_attach(struct ferry_writer *writer,
                             const struct ferry_stream_attach *attach)
{
    assert(attach->number >= 1 && attach->number < FERRY_STREAM_CONNECTIONS_MAX);
    ferry_writer_bytes(writer, attach->session_id, FERRY_STREAM_ID_BYTES);
    ferry_writer_u32(writer, attach->epoch);
    ferry_writer_u32(writer, attach->number);
    ferry_writer_bytes(writer, attach->secret, FERRY_STREAM_SECRET_BYTES);
}

int ferry_stream_get_attach(const void *payload, size_t bytes,
                            struct ferry_stream_attach *ret_attach,
                            struct ferry_error *reterr)
{
    struct ferry_stream_attach attach;
    struct ferry_decoder d;
    int rc;

    ferry_decoder_init(&d, FERRY_REC_ATTACH, payload, bytes, reterr);
    ferry_reader_bytes(&d.reader, attach.session_id, FERRY_STREAM_ID_BYTES);
    attach.epoch = ferry_reader_u32(&d.reader);
    attach.number =
        ferry_decoder_u32_max(&d, FERRY_STREAM_CONNECTIONS_MAX - 1, FERRY_E_LIMIT,
                              "STR-CON-1", "a number over the limit");
    if (attach.number == 0) {
        ferry_decoder_fail(&d, FERRY_E_PROTOCOL, "STR-CON-1", 20,
                           "the first connection is not attached", 0);
    }
    ferry_reader_bytes(&d.reader, attach.secret, FERRY_STREAM_SECRET_BYTES);
    rc = ferry_decoder_end(&d);
    if (rc == FERRY_OK) {
        *ret_attach = attach;
    }
    return rc;
}

void ferry_stream_put_barrier(struct ferry_writer *writer,
                              const struct ferry_stream_barrier *barrier)
{
    assert(barrier->members & 1);
    ferry_writer_u32(writer, barrier->number);
    ferry_writer_u32(writer, barrier->members);
}

int ferry_stream_get_barrier(const void *payload, size_t bytes,
                             struct ferry_stream_barrier *ret_barrier,
                             struct ferry_error *reterr)
{
    struct ferry_stream_barrier barrier;
    struct ferry_decoder d;
    int rc;

    ferry_decoder_init(&d, FERRY_REC_BARRIER, payload, bytes, reterr);
    barrier.number = ferry_reader_u32(&d.reader);
    barrier.members = ferry_reader_u32(&d.reader);
    if (barrier.number == 0) {
        ferry_decoder_fail(&d, FERRY_E_PROTOCOL, "STR-CON-2", 0, "they count from 1", 0);
    }
    if (!(barrier.members & 1) || barrier.members >> FERRY_STREAM_CONNECTIONS_MAX) {
        ferry_decoder_fail(&d, FERRY_E_PROTOCOL, "STR-CON-2", 4,
                           "without the first connection, or with none there can be",
                           barrier.members);
    }
    rc = ferry_decoder_end(&d);
    if (rc == FERRY_OK) {
        *ret_barrier = barrier;
    }
    return rc;
}
