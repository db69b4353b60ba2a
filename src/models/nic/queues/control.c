/* SPDX-License-Identifier: BSD-3-Clause */
#include <endian.h>
#include <string.h>

#include "models/le.h"
#include "models/nic/queues/queues_private.h"

/* A table of 64 addresses of each kind, with room for what does not fit: the number
 * alone counts then, but the command has to be read to its end. */
#define COMMAND_BYTES_MAX (16u << 10)
#define HEADER_BYTES ((uint32_t)sizeof(struct virtio_net_ctrl_hdr))
#define COMMANDS_MAX 32u /* in one slice */

/* A command's data, of which `at` bytes were taken. */
struct command {
    const uint8_t *data;
    uint32_t bytes, at;
};

/* Return: count bytes of it; NULL: it is shorter. */
static const uint8_t *take(struct command *command, uint32_t count)
{
    const uint8_t *data = command->data + command->at;

    if (count > command->bytes - command->at) {
        return NULL;
    }
    command->at += count;
    return data;
}

uint32_t nic_control_queue(const struct nic *nic)
{
    /* Spec 5.1.2: without MQ there is one pair, whatever the device has. */
    return nic_has(nic, VIRTIO_NET_F_MQ) ? 2 * nic->config.pairs : 2;
}

static int command_receive(struct nic *nic, uint8_t what, struct command *command)
{
    struct nic_filter *filter = &nic->filter;
    uint8_t *const flag[] = {
        [VIRTIO_NET_CTRL_RX_PROMISC] = &filter->promiscuous,
        [VIRTIO_NET_CTRL_RX_ALLMULTI] = &filter->all_multicast,
        [VIRTIO_NET_CTRL_RX_ALLUNI] = &filter->all_unicast,
        [VIRTIO_NET_CTRL_RX_NOMULTI] = &filter->no_multicast,
        [VIRTIO_NET_CTRL_RX_NOUNI] = &filter->no_unicast,
        [VIRTIO_NET_CTRL_RX_NOBCAST] = &filter->no_broadcast,
    };
    const uint8_t *on = take(command, 1);

    if (on == NULL || what >= sizeof(flag) / sizeof(flag[0]) ||
        !nic_has(nic, what < VIRTIO_NET_CTRL_RX_ALLUNI ? VIRTIO_NET_F_CTRL_RX
                                                       : VIRTIO_NET_F_CTRL_RX_EXTRA)) {
        return VIRTIO_NET_ERR;
    }
    *flag[what] = *on != 0;
    return VIRTIO_NET_OK;
}

/* One of the two tables. Return: its addresses; NULL: the command is cut off. */
static const uint8_t *take_table(struct command *command, uint32_t *ret_count)
{
    const uint8_t *count = take(command, 4);

    if (count == NULL || le_get32(count) > COMMAND_BYTES_MAX / NIC_MAC_BYTES) {
        return NULL;
    }
    *ret_count = le_get32(count);
    return take(command, *ret_count * NIC_MAC_BYTES);
}

static void set_table(uint8_t (*table)[NIC_MAC_BYTES], uint32_t *ret_count,
                      uint8_t *ret_overflow, const uint8_t *mac, uint32_t count)
{
    *ret_overflow = count > NIC_MAC_TABLE_MAX;
    *ret_count = *ret_overflow ? 0 : count;
    memset(table, 0, NIC_MAC_TABLE_MAX * sizeof(table[0]));
    memcpy(table, mac, *ret_count * NIC_MAC_BYTES);
}

static int command_mac(struct nic *nic, uint8_t what, struct command *command)
{
    struct nic_filter *filter = &nic->filter;
    const uint8_t *unicast, *multicast;
    uint32_t unicast_count = 0, multicast_count = 0;

    if (what == VIRTIO_NET_CTRL_MAC_ADDR_SET) {
        const uint8_t *mac = take(command, NIC_MAC_BYTES);

        if (mac == NULL || !nic_has(nic, VIRTIO_NET_F_CTRL_MAC_ADDR)) {
            return VIRTIO_NET_ERR;
        }
        memcpy(filter->mac, mac, NIC_MAC_BYTES);
        return VIRTIO_NET_OK;
    }
    if (what != VIRTIO_NET_CTRL_MAC_TABLE_SET || !nic_has(nic, VIRTIO_NET_F_CTRL_RX)) {
        return VIRTIO_NET_ERR;
    }
    unicast = take_table(command, &unicast_count);
    multicast = unicast != NULL ? take_table(command, &multicast_count) : NULL;
    if (multicast == NULL) {
        return VIRTIO_NET_ERR;
    }
    set_table(filter->unicast, &filter->unicast_count, &filter->unicast_overflow, unicast,
              unicast_count);
    set_table(filter->multicast, &filter->multicast_count, &filter->multicast_overflow,
              multicast, multicast_count);
    return VIRTIO_NET_OK;
}

static int command_vlan(struct nic *nic, uint8_t what, struct command *command)
{
    const uint8_t *number = take(command, 2);
    uint64_t *word, bit;

    if (number == NULL || le_get16(number) >= NIC_VLANS ||
        !nic_has(nic, VIRTIO_NET_F_CTRL_VLAN) || what > VIRTIO_NET_CTRL_VLAN_DEL) {
        return VIRTIO_NET_ERR;
    }
    word = &nic->filter.vlan[le_get16(number) / 64];
    bit = 1ull << le_get16(number) % 64;
    *word = what == VIRTIO_NET_CTRL_VLAN_ADD ? *word | bit : *word & ~bit;
    return VIRTIO_NET_OK;
}

static int command_announce(struct nic *nic, uint8_t what)
{
    if (what != VIRTIO_NET_CTRL_ANNOUNCE_ACK ||
        !nic_has(nic, VIRTIO_NET_F_GUEST_ANNOUNCE)) {
        return VIRTIO_NET_ERR;
    }
    nic->status &= (uint16_t)~VIRTIO_NET_S_ANNOUNCE;
    return VIRTIO_NET_OK;
}

static int command_pairs(struct nic *nic, uint8_t what, struct command *command)
{
    const uint8_t *pairs = take(command, 2);

    if (what != VIRTIO_NET_CTRL_MQ_VQ_PAIRS_SET || pairs == NULL ||
        !nic_has(nic, VIRTIO_NET_F_MQ) || le_get16(pairs) == 0 ||
        le_get16(pairs) > nic->config.pairs) {
        return VIRTIO_NET_ERR;
    }
    nic->pairs_used = le_get16(pairs);
    /* Nothing more is given to the others, whose buffers the driver no longer renews. */
    for (uint32_t i = nic->pairs_used; i < nic->config.pairs; i++) {
        nic_backlog_join(nic->backlog, i, i % nic->pairs_used);
    }
    return VIRTIO_NET_OK;
}

static int command_offloads(struct nic *nic, uint8_t what, struct command *command)
{
    const uint8_t *bits = take(command, 8);
    const uint64_t all = nic_offloads_now(nic) | nic->offloads_off;

    if (what != VIRTIO_NET_CTRL_GUEST_OFFLOADS_SET || bits == NULL ||
        !nic_has(nic, VIRTIO_NET_F_CTRL_GUEST_OFFLOADS) || (le_get64(bits) & ~all) != 0) {
        return VIRTIO_NET_ERR;
    }
    nic->offloads_off = all & ~le_get64(bits);
    return VIRTIO_NET_OK;
}

static int perform(struct nic *nic, const struct virtio_net_ctrl_hdr *header,
                   struct command *command)
{
    switch (header->class) {
    case VIRTIO_NET_CTRL_RX:
        return command_receive(nic, header->cmd, command);
    case VIRTIO_NET_CTRL_MAC:
        return command_mac(nic, header->cmd, command);
    case VIRTIO_NET_CTRL_VLAN:
        return command_vlan(nic, header->cmd, command);
    case VIRTIO_NET_CTRL_ANNOUNCE:
        return command_announce(nic, header->cmd);
    case VIRTIO_NET_CTRL_MQ:
        return command_pairs(nic, header->cmd, command);
    case VIRTIO_NET_CTRL_GUEST_OFFLOADS:
        return command_offloads(nic, header->cmd, command);
    default:
        return VIRTIO_NET_ERR;
    }
}

/* Copies the command out of guest memory, performs it and writes the answer. */
static int serve(struct nic *nic)
{
    const struct virtqueue_chain *chain = &nic->queues->chain;
    uint8_t *bytes = nic->queues->slot;
    struct command command = { .data = bytes + HEADER_BYTES };
    struct virtio_net_ctrl_hdr header;
    uint8_t answer = VIRTIO_NET_ERR;
    uint32_t done = 0;
    int status = FERRY_OK;

    if (chain->out_bytes < HEADER_BYTES || chain->in_bytes == 0) {
        return FERRY_E_PROTOCOL;
    }
    if (chain->out_bytes <= COMMAND_BYTES_MAX) {
        for (uint32_t i = 0; i < chain->out_count && status == FERRY_OK; i++) {
            status = ferry_dma_read(nic->device, chain->segment[i].iova, bytes + done,
                                    (size_t)chain->segment[i].size);
            done += (uint32_t)chain->segment[i].size;
        }
        memcpy(&header, bytes, sizeof(header));
        command.bytes = done - HEADER_BYTES;
        if (status == FERRY_OK) {
            answer = (uint8_t)perform(nic, &header, &command);
        }
    }
    return status == FERRY_OK
               ? ferry_dma_write(nic->device, chain->segment[chain->out_count].iova,
                                 &answer, 1)
               : status;
}

int nic_control_work(struct nic *nic)
{
    const uint32_t number = nic_control_queue(nic);
    struct virtqueue *queue = &nic->virtio.queue[number];
    int status = FERRY_OK;

    if (number >= nic->virtio.queue_count || queue->enabled == 0 ||
        !nic_has(nic, VIRTIO_NET_F_CTRL_VQ)) {
        return FERRY_OK;
    }
    for (uint32_t i = 0; i < COMMANDS_MAX && queue->kicked != 0; i++) {
        status = virtqueue_pop(queue, nic->device, &nic->queues->chain);
        if (status < 0) {
            return status;
        }
        if (status == 0) {
            status = nic_queue_empty(nic, queue);
            if (status < 0) {
                return status;
            }
            continue;
        }
        status = serve(nic);
        if (status != FERRY_OK) {
            virtqueue_unpop(queue);
            return status;
        }
        status = virtqueue_push(queue, nic->device, &nic->queues->chain, 1);
        if (status != FERRY_OK) {
            return status;
        }
    }
    return queue->kicked != 0;
}
