/* SPDX-License-Identifier: BSD-3-Clause */
#include <string.h>

#include "link/client/client_inside.h"

int ferry_client_raw_prepare(struct ferry_slot *slot, const struct ferry_raw *raw)
{
    const struct ferry_wire_header header = {
        .id = slot->id,
        .command = (uint16_t)raw->command,
        .size = FERRY_WIRE_HEADER_BYTES + raw->bytes,
    };

    if (raw->bytes > FERRY_RAW_BYTES_MAX || raw->command > UINT16_MAX) {
        return FERRY_E_LIMIT;
    }
    memset(&slot->asked, 0, sizeof(slot->asked));
    slot->asked.id = slot->id;
    slot->asked.command = header.command;
    ferry_wire_header_encode(&header, slot->node.head);
    slot->node.head_bytes = FERRY_WIRE_HEADER_BYTES;
    slot->node.data = raw->payload;
    slot->node.data_bytes = raw->bytes;
    slot->node.fds = NULL;
    slot->node.fd_count = 0;
    return FERRY_OK;
}

int ferry_client_raw_take(struct ferry_client *client, struct ferry_request *request,
                          const struct ferry_wire_header *header)
{
    struct ferry_codec_sink *sink = &client->intake.sink;
    struct ferry_raw *raw = &request->u.raw;
    int rc = ferry_wire_reply_status(header);

    raw->got = raw->error = 0;
    if (rc != FERRY_OK) {
        raw->error = header->error;
        return ferry_error_set(request->reterr, rc, "link", NULL, 0,
                               "RAW: the server answers: %s (errno %u)",
                               ferry_status_text(rc), header->error);
    }
    if (sink->bytes > raw->cap) {
        sink->bytes = raw->cap;
    }
    raw->got = (uint32_t)sink->bytes;
    sink->dst = raw->reply;
    sink->mode = raw->cap > 0 ? FERRY_CODEC_COPY : FERRY_CODEC_DROP;
    return FERRY_OK;
}
