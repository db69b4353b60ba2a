/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef FERRY_TEST_NIC_GUEST_H
#define FERRY_TEST_NIC_GUEST_H

#include <linux/virtio_net.h>

#include "../test_model_ring.h"
#include "../test_model_rig.h"

/*
 * A guest's virtio-net driver in guest memory alone. Every place of a queue has a buffer
 * of its own at the same number; the tests fill in what they like.
 */
#define NIC_QUEUES 5u /* two pairs and the control queue */
#define NIC_BUFFER_BYTES 4096u
/* Buffer of a place in a queue. */
#define NIC_BUFFER(queue, place)                                                         \
    (0x100000u + (uint32_t)(queue)*0x40000u + (uint32_t)(place)*NIC_BUFFER_BYTES)
#define NIC_HEADER ((uint32_t)sizeof(struct virtio_net_hdr_v1))
#define NIC_VECTOR_CONFIG 3u /* none of the queues of one pair */
#define NIC_MOST (~0ull)     /* every feature that is offered */

struct nic_guest {
    uint8_t *ram;
    uint64_t features; /* as negotiated */
    uint32_t control;  /* the control queue's number */
    struct ring ring[NIC_QUEUES];
    uint32_t frames; /* sent so far: the place of the next */
};

/* Drives the device to DRIVER_OK with those of the features that are offered. */
void nic_start(struct nic_guest *guest, struct rig *rig, const struct rig_ram *ram,
               uint64_t features);
uint64_t nic_offered(struct rig *rig);

/* Makes a receive buffer of so many bytes available. */
void nic_give(struct nic_guest *guest, uint32_t queue, uint32_t place, uint32_t bytes);
/* Queues a frame on a pair, header first; not notified. header: NULL: nothing to do. */
void nic_send(struct nic_guest *guest, uint32_t pair,
              const struct virtio_net_hdr_v1 *header, const uint8_t *frame,
              uint32_t bytes);
void nic_notify(struct nic_guest *guest, struct rig *rig, uint32_t queue);

/*
 * The next frame that was received, put together from its buffers.
 * ret_frame: 70000 bytes. Return: its bytes; 0: there is none.
 */
uint32_t nic_take(struct nic_guest *guest, uint32_t pair,
                  struct virtio_net_hdr_v1 *ret_header, uint8_t *ret_frame);

/* A command; data: `bytes` of it. Return: VIRTIO_NET_OK, VIRTIO_NET_ERR; 255: none. */
uint8_t nic_command(struct nic_guest *guest, struct rig *rig, uint8_t class, uint8_t what,
                    const void *data, uint32_t bytes);

/* The device configuration. */
struct virtio_net_config nic_config(struct rig *rig);
uint8_t nic_status(struct rig *rig);

/* An Ethernet frame of type 0x88b5 with bytes that depend on the seed. */
void nic_plain(uint8_t *frame, uint32_t bytes, uint32_t seed);
/* A TCP segment over IPv4 or IPv6, checksums right; ports depend on the flow. */
#define NIC_TCP4_HEADERS 54u
#define NIC_TCP6_HEADERS 74u
void nic_tcp(uint8_t *frame, uint32_t bytes, uint32_t v6, uint32_t flow);
/* 1: checksums and lengths of a TCP frame are right. */
int nic_tcp_right(const uint8_t *frame, uint32_t bytes, uint32_t v6);

#endif
