/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef FERRY_MODELS_NIC_NIC_PRIVATE_H
#define FERRY_MODELS_NIC_NIC_PRIVATE_H

#include <stdint.h>

#include "models/nic/flows/flows.h"
#include "models/nic/flows/timer.h"
#include "models/nic/migration/migration.h"
#include "models/nic/net/backlog.h"
#include "models/nic/net/net.h"
#include "models/virtio/virtio_pci.h"

/*
 * A virtio-net device: a transport (virtio), queues over it, a wire (net), a table of
 * flows, and how it moves.
 *
 * Queues in the order of the specification: receive of pair i is 2i, transmit 2i + 1, the
 * control queue is the last of all that there are.
 */
#define NIC_PAIRS_MAX 8u
#define NIC_MAC_BYTES 6u
#define NIC_MAC_TABLE_MAX 64u /* unicast, and as many multicast */
#define NIC_VLANS 4096u

/* Which frames the driver wants; set by the control queue. */
struct nic_filter {
    uint8_t mac[NIC_MAC_BYTES];
    uint8_t promiscuous, all_multicast, all_unicast;
    uint8_t no_multicast, no_unicast, no_broadcast;
    uint8_t unicast_overflow, multicast_overflow; /* more than the table holds */
    uint8_t pad[2];
    uint32_t unicast_count, multicast_count;
    uint8_t unicast[NIC_MAC_TABLE_MAX][NIC_MAC_BYTES];
    uint8_t multicast[NIC_MAC_TABLE_MAX][NIC_MAC_BYTES];
    uint64_t vlan[NIC_VLANS / 64];
};

struct nic_counters {
    uint64_t frames, bytes;
    uint64_t dropped;  /* no buffer, too long, malformed */
    uint64_t filtered; /* receive: not wanted */
};

/* Options, fixed for the device's life; both sides of a move must agree on those that the
 * driver can see. */
struct nic_config {
    uint64_t flow_bytes;
    uint32_t pairs;
    uint32_t queue_size;
    uint32_t backlog_frames;
    uint32_t mtu; /* 0: not told */
    uint8_t mac[NIC_MAC_BYTES];
    uint8_t mergeable, offloads, packed;
    uint8_t flow_churn; /* percent of the table that changes in a second by itself */
    uint8_t pad[2];
};

struct nic_queues; /* what the queues keep between slices; nothing of it is carried */

struct nic {
    struct ferry_device *device;
    struct nic_config config;
    struct virtio_pci virtio;
    struct nic_filter filter;
    uint32_t pairs_used; /* VIRTIO_NET_CTRL_MQ_VQ_PAIRS_SET; 1 at first */
    uint16_t status;     /* VIRTIO_NET_S_*: link, announce not yet acknowledged */
    uint16_t pad;
    /* VIRTIO_NET_F_GUEST_* that were negotiated, and turned off by a command since. */
    uint64_t offloads_off;
    uint32_t quiet;  /* 1: it starts no DMA and raises no interrupt */
    uint32_t frozen; /* 1: and answers nothing */
    struct nic_queues *queues;
    struct nic_net *net;
    struct nic_backlog *backlog;
    struct nic_flows *flows;
    struct nic_flow_timer *flow_timer; /* NULL: the table changes by traffic alone */
    struct nic_migration *migration;
    struct nic_counters receive[NIC_PAIRS_MAX], transmit[NIC_PAIRS_MAX];
};

/* What it counted, for people. Return: how many. */
int nic_counters_tell(const struct nic *nic, struct ferry_counter *ret_counter,
                      uint32_t cap);

/* --- queues --- */

/* The device exists: its wire is watched. Return: FERRY_OK, FERRY_E_MEMORY, ... */
int nic_queues_create(struct nic *nic);
void nic_queues_destroy(struct nic *nic);
/* One slice over all queues. Return: 1: more to do now. */
int nic_queues_work(struct nic *nic);
/* Everything of the queues that a reset of the transport forgets. */
void nic_queues_reset(struct nic *nic);
/*
 * No DMA starts after this: what was taken from a ring is completed or put back, and
 * every used entry is published. Frames go to the backlog until nic_queues_resume().
 * Both set nic->quiet, and may be called in an arc.
 */
void nic_queues_quiet(struct nic *nic);
void nic_queues_resume(struct nic *nic);
/* After a load: the driver is asked to announce itself (GUEST_ANNOUNCE), and the nic
 * tells the wire where its address is now (a RARP frame) as it starts to run. */
void nic_queues_announce(struct nic *nic);

#endif
