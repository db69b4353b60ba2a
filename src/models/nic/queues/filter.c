/* SPDX-License-Identifier: BSD-3-Clause */
#include <netinet/in.h>
#include <string.h>

#include "models/nic/queues/queues_private.h"

#define TYPE_IP4 0x0800u
#define TYPE_IP6 0x86ddu
#define TYPE_VLAN 0x8100u
#define TYPE_OFF 12u

static uint32_t get16(const uint8_t *from)
{
    return (uint32_t)from[0] << 8 | from[1];
}

void nic_filter_reset(struct nic *nic)
{
    memset(&nic->filter, 0, sizeof(nic->filter));
    memcpy(nic->filter.mac, nic->config.mac, NIC_MAC_BYTES);
    /* Until the driver says what it wants it gets all; some never say. */
    nic->filter.promiscuous = 1;
}

static int in_table(const uint8_t (*table)[NIC_MAC_BYTES], uint32_t count,
                    const uint8_t *mac)
{
    for (uint32_t i = 0; i < count; i++) {
        if (memcmp(table[i], mac, NIC_MAC_BYTES) == 0) {
            return 1;
        }
    }
    return 0;
}

static int wants_vlan(const struct nic *nic, const uint8_t *start, uint32_t present)
{
    uint32_t vlan;

    if (!nic_has(nic, VIRTIO_NET_F_CTRL_VLAN) || present < TYPE_OFF + 4 ||
        get16(start + TYPE_OFF) != TYPE_VLAN) {
        return 1;
    }
    vlan = get16(start + TYPE_OFF + 2) & (NIC_VLANS - 1);
    return (nic->filter.vlan[vlan / 64] >> vlan % 64 & 1) != 0;
}

int nic_filter_wants(const struct nic *nic, const uint8_t *start, uint32_t present)
{
    static const uint8_t broadcast[NIC_MAC_BYTES] = { 255, 255, 255, 255, 255, 255 };
    const struct nic_filter *filter = &nic->filter;

    if (filter->promiscuous) {
        return 1;
    }
    if (!wants_vlan(nic, start, present)) {
        return 0;
    }
    if (memcmp(start, broadcast, NIC_MAC_BYTES) == 0) {
        return !filter->no_broadcast;
    }
    if ((start[0] & 1) != 0) {
        return !filter->no_multicast &&
               (filter->all_multicast || filter->multicast_overflow ||
                in_table(filter->multicast, filter->multicast_count, start));
    }
    return !filter->no_unicast &&
           (filter->all_unicast || filter->unicast_overflow ||
            memcmp(start, filter->mac, NIC_MAC_BYTES) == 0 ||
            in_table(filter->unicast, filter->unicast_count, start));
}

/* Exchanged words, as the answers' are, give the same sum. */
static uint32_t sum_words(const uint8_t *from, uint32_t bytes)
{
    uint32_t sum = 0;

    for (uint32_t i = 0; i < bytes; i += 4) {
        uint32_t word;

        memcpy(&word, from + i, sizeof(word));
        sum += word;
    }
    return sum;
}

uint32_t nic_flow_hash(const uint8_t *start, uint32_t present)
{
    uint32_t type = get16(start + TYPE_OFF);
    uint32_t ip = TYPE_OFF + 2, ports, protocol, sum;

    if (type == TYPE_VLAN && present >= ip + 4) {
        type = get16(start + ip + 2);
        ip += 4;
    }
    if (type == TYPE_IP4 && present >= ip + 20) {
        protocol = start[ip + 9];
        ports = ip + 4u * (start[ip] & 15u);
        sum = sum_words(start + ip + 12, 8);
        if ((get16(start + ip + 6) & 0x3fff) != 0) {
            protocol = 0; /* a fragment: only the first one has ports */
        }
    } else if (type == TYPE_IP6 && present >= ip + 40) {
        protocol = start[ip + 6];
        ports = ip + 40;
        sum = sum_words(start + ip + 8, 32);
    } else {
        return 0;
    }
    if ((protocol == IPPROTO_TCP || protocol == IPPROTO_UDP) && present >= ports + 4) {
        sum += get16(start + ports) + get16(start + ports + 2);
    }
    sum *= 0x9e3779b1u;
    return sum ^ sum >> 16;
}

uint32_t nic_steer(const struct nic *nic, const uint8_t *start, uint32_t present)
{
    uint32_t hash, known;

    if (nic->pairs_used < 2) {
        return 0;
    }
    hash = nic_flow_hash(start, present);
    known = nic->queues->steer[hash % NIC_STEERS];
    /* Spec 5.1.6.5.6: where the flow's last frame was sent, what comes back is given. */
    return known != 0 && known <= nic->pairs_used ? known - 1 : hash % nic->pairs_used;
}

void nic_steer_learn(struct nic *nic, uint32_t pair, const uint8_t *start,
                     uint32_t present)
{
    if (nic->pairs_used > 1) {
        const uint32_t hash = nic_flow_hash(start, present);

        nic->queues->steer[hash % NIC_STEERS] = (uint8_t)(pair + 1);
    }
}
