/* SPDX-License-Identifier: BSD-3-Clause */
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include "link/client/client_inside.h"

/*
 * Without the extension a read that is shorter than asked is the end of the stream, or
 * in pre-copy "nothing more for now". Here that becomes what a server with the
 * extension says.
 */
static int settle_data(struct ferry_client *client, struct ferry_request *request,
                       int status)
{
    const struct ferry_data_io *io = &request->u.data;

    if (status != FERRY_OK) {
        return status;
    }
    if (request->kind == FERRY_RQ_SET_STATE || request->kind == FERRY_RQ_GET_STATE) {
        if (client->device_state != request->u.state) {
            client->stream_over = 0;
        }
        client->device_state = request->u.state;
    }
    if (request->kind == FERRY_RQ_LEAVE_STATE) {
        client->device_state = request->u.leave.state;
        client->stream_over = 0;
    }
    if (request->kind == FERRY_RQ_RESET) {
        client->device_state = FERRY_STATE_RUNNING;
        client->stream_over = 0;
    }
    if (request->kind != FERRY_RQ_DATA_READ || client->agreed.notices) {
        return status;
    }
    if (client->device_state == FERRY_STATE_PRE_COPY ||
        client->device_state == FERRY_STATE_PRE_COPY_P2P) {
        return io->got == 0 ? FERRY_E_DRY : FERRY_OK;
    }
    client->stream_over = io->got < io->size;
    return FERRY_OK;
}

static void finish(struct ferry_client *client)
{
    struct ferry_slot *slot = client->intake.slot;
    struct ferry_os_fds late;
    int status = client->intake.status;

    client->intake.active = 0;
    client->intake.slot = NULL;
    ferry_rx_take_fds(&client->rx, 0, &late);
    ferry_os_fds_close(&late);
    if (!slot) {
        return;
    }
    if (slot->request && slot->request->kind == FERRY_RQ_LOG_RUNS && status == FERRY_OK) {
        status = ferry_codec_check_runs(&slot->request->u.log_runs);
    }
    if (slot->request && slot->request->kind == FERRY_RQ_COUNTERS && status == FERRY_OK) {
        status = ferry_codec_check_counters(&slot->request->u.counters);
    }
    if (slot->request) {
        status = settle_data(client, slot->request, status);
    }
    ferry_client_end(client, slot, status);
}

static void or_bytes(uint8_t *dst, const uint8_t *src, size_t bytes)
{
    size_t i;

    for (i = 0; i < bytes; i++) {
        dst[i] |= src[i];
    }
}

/* Moves what is there of a reply's data. Return: 1 when it is complete. */
static int move_data(struct ferry_client *client)
{
    struct ferry_codec_sink *sink = &client->intake.sink;
    const uint8_t *data = ferry_rx_data(&client->rx);
    size_t bytes = ferry_rx_size(&client->rx);

    if (bytes > sink->bytes) {
        bytes = sink->bytes;
    }
    if (sink->mode == FERRY_CODEC_COPY) {
        memcpy(sink->dst, data, bytes);
    } else if (sink->mode == FERRY_CODEC_OR) {
        or_bytes(sink->dst, data, bytes);
    }
    if (sink->mode != FERRY_CODEC_DROP) {
        sink->dst += bytes;
    }
    sink->bytes -= bytes;
    ferry_rx_consume(&client->rx, bytes);
    if (sink->bytes > 0) {
        return 0;
    }
    if (client->intake.padding > 0) {
        sink->bytes = client->intake.padding;
        sink->mode = FERRY_CODEC_DROP;
        client->intake.padding = 0;
        return 1;
    }
    finish(client);
    return 1;
}

/* Takes the reply's fixed part into the request. Return: the request's status so far. */
static int take_reply(struct ferry_client *client, struct ferry_slot *slot,
                      const struct ferry_wire_header *header, uint32_t need,
                      struct ferry_os_fds *fds)
{
    struct ferry_wire_body body = {
        .bytes = ferry_rx_data(&client->rx) + FERRY_WIRE_HEADER_BYTES,
        .have = need,
        .fd_count = fds->count,
    };
    struct ferry_wire_message reply;
    int rc = ferry_wire_reply_status(header);

    if (!slot->request) {
        return FERRY_E_TIMEOUT;
    }
    if (slot->request->kind == FERRY_RQ_RAW) {
        return ferry_client_raw_take(client, slot->request, header);
    }
    if (rc != FERRY_OK) {
        return ferry_error_set(slot->request->reterr, rc, "link", NULL, 0,
                               "%s: the server answers: %s (errno %u)",
                               ferry_request_name(slot->request->kind),
                               ferry_status_text(rc), header->error);
    }
    rc = ferry_wire_reply_decode(header, &body, &client->limits, &slot->asked, &reply,
                                 slot->request->reterr);
    if (rc == FERRY_OK) {
        rc = ferry_codec_take(slot->request, &reply, fds, &client->intake.sink);
    }
    /* What was decoded and what is still to come must be one message; the codec has
     * judged padding, which only this reply may have. */
    if (rc == FERRY_OK && reply.command == FERRY_WIRE_DATA_READ &&
        client->intake.sink.bytes > reply.data_bytes) {
        client->intake.sink.bytes = reply.data_bytes;
    }
    if (rc == FERRY_OK && client->intake.sink.mode != FERRY_CODEC_DROP &&
        client->intake.sink.bytes != reply.data_bytes) {
        rc = FERRY_E_PROTOCOL;
    }
    return rc;
}

static int is_raw(const struct ferry_slot *slot)
{
    return slot->request && slot->request->kind == FERRY_RQ_RAW;
}

/* Return: 0 when more has to be received first, or the connection is dead. */
static int begin_reply(struct ferry_client *client,
                       const struct ferry_wire_header *header)
{
    struct ferry_slot *slot = ferry_client_find(client, header);
    uint32_t payload = header->size - FERRY_WIRE_HEADER_BYTES;
    uint32_t need = ferry_wire_decode_need(header);
    struct ferry_os_fds fds;

    if (!slot) {
        ferry_client_kill_text(client, FERRY_E_PROTOCOL, "a reply that nobody asked for");
        return 0;
    }
    if ((header->flags & FERRY_WIRE_FLAG_ERROR) || is_raw(slot)) {
        need = 0;
    }
    if (ferry_rx_size(&client->rx) < FERRY_WIRE_HEADER_BYTES + need) {
        if (ferry_rx_reserve(&client->rx, FERRY_WIRE_HEADER_BYTES + need) != FERRY_OK) {
            ferry_client_kill_text(client, FERRY_E_MEMORY, "out of memory for a reply");
        }
        return 0;
    }
    ferry_rx_take_fds(&client->rx, header->size, &fds);
    client->intake.active = 1;
    client->intake.slot = slot;
    client->intake.sink.dst = NULL;
    client->intake.sink.bytes = payload - need;
    client->intake.sink.mode = FERRY_CODEC_DROP;
    client->intake.status = take_reply(client, slot, header, need, &fds);
    if (client->intake.status != FERRY_OK) {
        client->intake.sink.bytes = payload - need;
        client->intake.sink.mode = FERRY_CODEC_DROP;
    }
    client->intake.padding = payload - need - (uint32_t)client->intake.sink.bytes;
    ferry_os_fds_close(&fds);
    ferry_rx_consume(&client->rx, FERRY_WIRE_HEADER_BYTES + need);
    return 1;
}

/* A message whose header breaks a rule although its end is known. */
static int refuse_header(struct ferry_client *client,
                         const struct ferry_wire_header *header,
                         const struct ferry_error *error)
{
    struct ferry_slot *slot;

    if (!ferry_wire_is_reply(header)) {
        return ferry_client_refuse(client, header, error->code);
    }
    slot = ferry_client_find(client, header);
    if (!slot) {
        ferry_client_kill(client, error);
        return 0;
    }
    if (is_raw(slot)) {
        return begin_reply(client, header); /* what it says is its sender's to judge */
    }
    if (slot->request && slot->request->reterr) {
        *slot->request->reterr = *error;
    }
    client->intake.active = 1;
    client->intake.slot = slot;
    client->intake.sink.bytes = header->size;
    client->intake.sink.mode = FERRY_CODEC_DROP;
    client->intake.status = FERRY_E_PROTOCOL;
    return 1;
}

/* Return: 0 when more has to be received first, or the connection is dead. */
static int next_message(struct ferry_client *client)
{
    struct ferry_error error; /* filled on failure only: a hot path */
    struct ferry_wire_header header;

    if (ferry_rx_size(&client->rx) < FERRY_WIRE_HEADER_BYTES) {
        if (ferry_rx_reserve(&client->rx, FERRY_WIRE_HEADER_BYTES) != FERRY_OK) {
            ferry_client_kill_text(client, FERRY_E_MEMORY, "out of memory");
        }
        return 0;
    }
    if (ferry_wire_header_decode(ferry_rx_data(&client->rx), &client->limits, &header,
                                 &error) != FERRY_OK) {
        ferry_client_kill(client, &error);
        return 0;
    }
    if (ferry_wire_header_check(&header, FERRY_WIRE_FROM_SERVER, &client->limits,
                                &error) != FERRY_OK) {
        return refuse_header(client, &header, &error);
    }
    return ferry_wire_is_reply(&header) ? begin_reply(client, &header)
                                        : ferry_client_serve(client, &header);
}

void ferry_client_process(struct ferry_client *client)
{
    int more = 1;

    while (more && !client->dead) {
        more = client->intake.active ? move_data(client) : next_message(client);
    }
}

int ferry_client_received(struct ferry_client *client, int rc, size_t direct)
{
    if (client->dead || rc == FERRY_E_AGAIN || rc == FERRY_E_TIMEOUT) {
        return 0;
    }
    if (rc < 0) {
        ferry_client_kill_text(client, rc,
                               rc == FERRY_E_CLOSED ? "the server closed the connection"
                                                    : "receiving failed");
        return 0;
    }
    if (direct > 0) {
        client->intake.sink.dst += direct;
        client->intake.sink.bytes -= direct;
    }
    ferry_client_process(client);
    return 1;
}

int ferry_client_receive(struct ferry_client *client)
{
    struct ferry_codec_sink *sink = &client->intake.sink;
    size_t direct = 0;
    int rc;

    if (client->dead) {
        return 0;
    }
    if (client->intake.active && sink->mode == FERRY_CODEC_COPY) {
        direct = sink->bytes;
    }
    rc = ferry_rx_receive(&client->rx, client->fd, sink->dst, direct, FERRY_OS_NOWAIT,
                          &direct);
    return ferry_client_received(client, rc, direct);
}
