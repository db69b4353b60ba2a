/* SPDX-License-Identifier: BSD-3-Clause */
#include <linux/if_arp.h>
#include <linux/if_ether.h>
#include <stddef.h>
#include <string.h>

#include "models/le.h"
#include "models/nic/queues/queues_private.h"
#include "models/nic/queues/queues.h"

/* The device configuration, the feature bits, and what the driver is told of changes. */

#define GUEST_OFFLOADS                                                                   \
    (1ull << VIRTIO_NET_F_GUEST_CSUM | 1ull << VIRTIO_NET_F_GUEST_TSO4 |                 \
     1ull << VIRTIO_NET_F_GUEST_TSO6 | 1ull << VIRTIO_NET_F_GUEST_ECN)
#define HOST_OFFLOADS                                                                    \
    (1ull << VIRTIO_NET_F_CSUM | 1ull << VIRTIO_NET_F_HOST_TSO4 |                        \
     1ull << VIRTIO_NET_F_HOST_TSO6 | 1ull << VIRTIO_NET_F_HOST_ECN)
#define RARP_BYTES 60u
#define RARP_REQUEST 3u

uint64_t nic_features(const struct nic_config *config)
{
    uint64_t features = 1ull << VIRTIO_NET_F_MAC | 1ull << VIRTIO_NET_F_STATUS |
                        1ull << VIRTIO_NET_F_CTRL_VQ | 1ull << VIRTIO_NET_F_CTRL_RX |
                        1ull << VIRTIO_NET_F_CTRL_VLAN |
                        1ull << VIRTIO_NET_F_CTRL_RX_EXTRA |
                        1ull << VIRTIO_NET_F_GUEST_ANNOUNCE |
                        1ull << VIRTIO_NET_F_CTRL_MAC_ADDR | 1ull << VIRTIO_NET_F_MTU;

    if (config->pairs > 1) {
        features |= 1ull << VIRTIO_NET_F_MQ;
    }
    if (config->mergeable) {
        features |= 1ull << VIRTIO_NET_F_MRG_RXBUF;
    }
    if (config->offloads) {
        features |=
            HOST_OFFLOADS | GUEST_OFFLOADS | 1ull << VIRTIO_NET_F_CTRL_GUEST_OFFLOADS;
    }
    return features;
}

void nic_config_image(void *user, uint8_t *ret_config, size_t config_bytes)
{
    const struct nic *nic = user;
    uint8_t image[NIC_CONFIG_BYTES];

    memcpy(image, nic->filter.mac, NIC_MAC_BYTES);
    le_put16(image + offsetof(struct virtio_net_config, status), nic->status);
    le_put16(image + offsetof(struct virtio_net_config, max_virtqueue_pairs),
             (uint16_t)nic->config.pairs);
    le_put16(image + offsetof(struct virtio_net_config, mtu), (uint16_t)nic->config.mtu);
    memcpy(ret_config, image,
           config_bytes < sizeof(image) ? config_bytes : sizeof(image));
}

uint64_t nic_offloads_now(const struct nic *nic)
{
    return nic->virtio.driver_features & GUEST_OFFLOADS & ~nic->offloads_off;
}

void nic_offloads_tell(struct nic *nic)
{
    const uint64_t now = nic_offloads_now(nic);
    const struct nic_net *net = nic->net;
    const uint32_t checksum = (now >> VIRTIO_NET_F_GUEST_CSUM & 1) != 0;
    struct nic_offloads accepted = { .checksum = checksum };

    if (now == nic->queues->offloads) {
        return;
    }
    nic->queues->offloads = now;
    if (checksum) {
        accepted.tso4 = net->gives.tso4 && (now >> VIRTIO_NET_F_GUEST_TSO4 & 1) != 0;
        accepted.tso6 = net->gives.tso6 && (now >> VIRTIO_NET_F_GUEST_TSO6 & 1) != 0;
        accepted.ecn = net->gives.ecn && (now >> VIRTIO_NET_F_GUEST_ECN & 1) != 0;
        accepted.checksum = net->gives.checksum;
    }
    if (net->ops->set_offloads != NULL) {
        net->ops->set_offloads(nic->net, &accepted);
    }
}

void nic_link_look(struct nic *nic)
{
    const uint16_t up = nic->net->link_up ? VIRTIO_NET_S_LINK_UP : 0;

    if ((nic->status & VIRTIO_NET_S_LINK_UP) == up) {
        return;
    }
    nic->status = (uint16_t)((nic->status & ~VIRTIO_NET_S_LINK_UP) | up);
    if (nic_has(nic, VIRTIO_NET_F_STATUS)) {
        virtio_pci_config_changed(&nic->virtio);
    }
}

/* "My address is here now", for the switches on the way. */
static void fill_rarp(const uint8_t *mac, uint8_t *frame)
{
    static const uint8_t head[] = { 0, ARPHRD_ETHER, ETH_P_IP >> 8, ETH_P_IP & 255, 6, 4,
                                    0, RARP_REQUEST };

    memset(frame, 0, RARP_BYTES);
    memset(frame, 0xff, NIC_MAC_BYTES);
    memcpy(frame + 6, mac, NIC_MAC_BYTES);
    frame[12] = ETH_P_RARP >> 8;
    frame[13] = ETH_P_RARP & 255;
    memcpy(frame + 14, head, sizeof(head));
    memcpy(frame + 22, mac, NIC_MAC_BYTES); /* who asks, and about whom */
    memcpy(frame + 32, mac, NIC_MAC_BYTES);
}

void nic_announce(struct nic *nic)
{
    struct nic_queues *queues = nic->queues;
    uint8_t bytes[RARP_BYTES];
    struct iovec part = { .iov_base = bytes, .iov_len = sizeof(bytes) };
    const struct nic_frame frame = { .part = &part,
                                     .part_count = 1,
                                     .bytes = RARP_BYTES };

    if (queues->announce_due) {
        queues->announce_due = 0;
        if (nic_has(nic, VIRTIO_NET_F_GUEST_ANNOUNCE)) {
            nic->status |= VIRTIO_NET_S_ANNOUNCE;
            virtio_pci_config_changed(&nic->virtio);
        }
    }
    if (queues->rarp_due && nic->net->link_up && !queues->blocked) {
        fill_rarp(nic->filter.mac, bytes);
        if (nic->net->ops->send(nic->net, &frame, 1) == 1) {
            queues->rarp_due = 0;
        } else {
            queues->blocked = 1;
        }
    }
}
