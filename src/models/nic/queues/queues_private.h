/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef FERRY_MODELS_NIC_QUEUES_PRIVATE_H
#define FERRY_MODELS_NIC_QUEUES_PRIVATE_H

#include "models/nic/nic_private.h"
#include "models/nic/queues/segment.h"

/* What the files of queues/ share. */

#define NIC_HEADER_BYTES ((uint32_t)sizeof(struct virtio_net_hdr_v1))
/* A frame with its header; not a multiple of 4096, so that the slots do not fall upon the
 * same lines of the cache. */
#define NIC_SLOT_BYTES 0x10080u
#define NIC_LENT_MAX 1024u  /* segments of memory that a batch holds */
#define NIC_STEERS 256u     /* places of the table of flows' pairs */
#define NIC_PEEK_BYTES 128u /* of a frame's start, to look at */

/* A frame on its way out, from the ring's point of view. */
struct nic_sent {
    uint16_t head, slots;
    uint32_t kind; /* enum nic_sent_kind */
};

enum nic_sent_kind {
    NIC_SENT_WHOLE = 0, /* the back end takes it as it is */
    NIC_SENT_SOFTWARE,  /* work is left to do that the back end does not do */
    NIC_SENT_DROP       /* it is none */
};

struct nic_batch {
    uint32_t count;
    uint32_t lent_count;
    struct nic_sent sent[NIC_BATCH];
    struct nic_frame frame[NIC_BATCH];
    struct iovec part[NIC_BATCH][NIC_FRAME_PARTS_MAX];
    struct ferry_dma_segment lent[NIC_LENT_MAX];
};

struct nic_queues {
    uint8_t *slot;       /* NIC_BATCH of NIC_SLOT_BYTES: copies of frames */
    uint32_t net_ready;  /* the wire may have frames */
    uint32_t blocked;    /* the wire is full */
    uint32_t watched;    /* the wire's descriptor is */
    uint32_t first_pair; /* the next round begins there */
    uint32_t announce_due, rarp_due;
    uint32_t aside;                  /* frames that come go to the backlog */
    uint32_t held;                   /* the wire tells of room to send alone */
    uint64_t offloads;               /* VIRTIO_NET_F_GUEST_* that the wire was told */
    uint32_t owed[NIC_PAIRS_MAX];    /* frames sent since the driver was interrupted */
    uint64_t sent_ns[NIC_PAIRS_MAX]; /* when the pair sent last */
    uint8_t steer[NIC_STEERS];       /* pair of a flow + 1; 0: not known */
    struct virtqueue_chain chain;
    struct nic_batch batch;
    struct nic_segments segments;
    /* Of buffers that are being filled: their segments and places in the ring. */
    struct virtqueue_segment in[VIRTQUEUE_CHAIN_MAX];
    struct {
        uint16_t head, slots;
        uint32_t bytes;
    } buffer[VIRTQUEUE_BATCH];
};

/* The feature was negotiated. */
static inline int nic_has(const struct nic *nic, uint32_t feature)
{
    return (nic->virtio.driver_features >> feature & 1) != 0;
}

/* The copy of frame i, behind room for a header. */
static inline uint8_t *nic_slot(const struct nic *nic, uint32_t i)
{
    return nic->queues->slot + (size_t)i * NIC_SLOT_BYTES + NIC_HEADER_BYTES;
}

/* --- queues.c --- */

/*
 * A ring was found empty: it is left alone until the driver notifies, who is asked to.
 * Return: FERRY_OK (look again while queue->kicked) or negative.
 */
int nic_queue_empty(struct nic *nic, struct virtqueue *queue);

/* --- config.c --- */

/* VIRTIO_NET_F_GUEST_* that hold now. */
uint64_t nic_offloads_now(const struct nic *nic);
/* Tells the wire when they have changed. */
void nic_offloads_tell(struct nic *nic);
/* The link as the wire sees it; tells the driver when it has changed. */
void nic_link_look(struct nic *nic);
/* What is due after a load: asks the driver to announce itself, and does it for him. */
void nic_announce(struct nic *nic);

/* --- control.c --- */

/* The control queue's number, which depends on what was negotiated. */
uint32_t nic_control_queue(const struct nic *nic);
/* Return: 1: more commands wait; FERRY_OK, or negative: the device needs a reset. */
int nic_control_work(struct nic *nic);

/* --- transmit.c --- */

/*
 * Sends a batch of a pair. Return: 1: there may be more; 0: not now (empty, or the wire
 * is full); negative: the device needs a reset.
 */
int nic_transmit(struct nic *nic, uint32_t pair);
/*
 * 1 for a moment after a pair has sent: its ring is looked at without a notification,
 * since the driver sends his next frame into it, and each notification is an exit of the
 * guest and a message. Nor is he interrupted for each frame then.
 */
int nic_transmit_lingers(const struct nic *nic, uint32_t pair);

/* --- receive.c --- */

/* What waits in the backlog, then a batch from the wire. Return: as nic_transmit. */
int nic_receive(struct nic *nic);
/* A batch goes from the wire to the backlog, or nowhere when there is no driver. Return:
 * 1: there is more. */
int nic_receive_aside(struct nic *nic);

/* --- filter.c --- */

void nic_filter_reset(struct nic *nic);
/* Does the driver want the frame? start: its first bytes, NIC_FRAME_MIN at least. */
int nic_filter_wants(const struct nic *nic, const uint8_t *start, uint32_t present);
/* A number that the frames of a flow share, in both directions. */
uint32_t nic_flow_hash(const uint8_t *start, uint32_t present);
/* The pair that gets the frame. */
uint32_t nic_steer(const struct nic *nic, const uint8_t *start, uint32_t present);
/* The driver sent a frame through that pair: what comes back belongs there. */
void nic_steer_learn(struct nic *nic, uint32_t pair, const uint8_t *start,
                     uint32_t present);

#endif
