/* SPDX-License-Identifier: BSD-3-Clause */
/* Small posted writes that wait for the socket leave together, as one message. */
#include <string.h>

#include "link/client/client_inside.h"

#define HEAD_BYTES (FERRY_WIRE_HEADER_BYTES + 8u) /* of REGION_WRITE_MULTI */
#define DATA_AT (FERRY_WIRE_HEADER_BYTES + 16u)   /* of REGION_WRITE */
#define WRITES_MAX ((FERRY_WIRE_HEAD_MAX - HEAD_BYTES) / FERRY_WIRE_WRITE_BYTES)

/* The newest message, when nothing of it has left and it is a write like these. */
static struct ferry_slot *last_write(struct ferry_client *client)
{
    struct ferry_tx_node *node = client->tx.last;
    struct ferry_slot *slot = (struct ferry_slot *)node;

    if (!node || !ferry_client_owns(client, node) || node->sent > 0 ||
        !slot->asked.posted) {
        return NULL;
    }
    if (slot->asked.command == FERRY_WIRE_REGION_WRITE_MULTI) {
        return slot->asked.u.multi.count < WRITES_MAX ? slot : NULL;
    }
    return slot->asked.command == FERRY_WIRE_REGION_WRITE &&
                   slot->asked.u.io.count <= 8 && node->data_bytes == 0
               ? slot
               : NULL;
}

static void put(struct ferry_slot *slot, uint64_t place,
                const struct ferry_wire_write *write)
{
    ferry_wire_write_encode(write, slot->node.head + HEAD_BYTES +
                                       place * FERRY_WIRE_WRITE_BYTES);
}

/* Makes a single write the first of several. Its caller's part is done. */
static void widen(struct ferry_client *client, struct ferry_slot *slot)
{
    struct ferry_wire_write first = { .off = slot->asked.u.io.off,
                                      .region = slot->asked.u.io.region,
                                      .count = slot->asked.u.io.count };

    memcpy(first.data, slot->node.head + DATA_AT, first.count);
    slot->asked.command = FERRY_WIRE_REGION_WRITE_MULTI;
    slot->asked.u.multi.count = 1;
    put(slot, 0, &first);
    ferry_client_deliver(client, slot, FERRY_OK);
}

int ferry_client_join(struct ferry_client *client, const struct ferry_request *request)
{
    const struct ferry_region_io *io = &request->u.io;
    struct ferry_wire_write write = { .count = 0 };
    struct ferry_slot *slot;
    uint64_t end;

    if (!client->agreed.write_multiple || request->kind != FERRY_RQ_REGION_WRITE ||
        !io->posted || io->count > sizeof(write.data) ||
        __builtin_add_overflow(io->off, (uint64_t)io->count, &end)) {
        return 0;
    }
    slot = last_write(client);
    if (!slot) {
        return 0;
    }
    if (slot->asked.command == FERRY_WIRE_REGION_WRITE) {
        widen(client, slot);
    }
    write.off = io->off;
    write.region = io->index;
    write.count = io->count;
    memcpy(write.data, io->data, io->count);
    put(slot, slot->asked.u.multi.count++, &write);
    slot->asked.data = slot->node.head + HEAD_BYTES;
    slot->asked.data_bytes = (uint32_t)slot->asked.u.multi.count * FERRY_WIRE_WRITE_BYTES;
    (void)ferry_wire_encode(&slot->asked, slot->node.head, HEAD_BYTES);
    slot->node.head_bytes = HEAD_BYTES + slot->asked.data_bytes;
    return 1;
}
