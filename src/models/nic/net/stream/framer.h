/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef FERRY_MODELS_NIC_NET_STREAM_FRAMER_H
#define FERRY_MODELS_NIC_NET_STREAM_FRAMER_H

#include "models/nic/net/net_private.h"

/*
 * Ethernet frames over a stream socket as QEMU's stream netdev and passt put them: 4
 * bytes of length, big-endian, then the frame. Reads and writes may end at any byte.
 */
#define NIC_FRAMER_LENGTH_BYTES 4u
#define NIC_FRAMER_BUFFER_BYTES (2u * (NIC_FRAMER_LENGTH_BYTES + NIC_FRAME_MAX))
#define NIC_FRAMER_READS_MAX 8u   /* in one call: a peer cannot hold it for ever */
#define NIC_FRAMER_PARTS_MAX 512u /* in one write */

struct nic_framer {
    uint8_t *in; /* NIC_FRAMER_BUFFER_BYTES, of which start to end were not looked at */
    uint32_t in_start, in_end;
    uint8_t *out; /* rest of a frame that the socket took a part of */
    uint32_t out_start, out_end;
};

/* Return: FERRY_OK, FERRY_E_MEMORY. */
int nic_framer_init(struct nic_framer *framer);
void nic_framer_fini(struct nic_framer *framer);
/* A new connection: nothing is left of the old one. */
void nic_framer_reset(struct nic_framer *framer);

/* Writes what is left of a frame. Return: FERRY_OK; FERRY_E_AGAIN (full),
 * FERRY_E_CLOSED. */
int nic_framer_flush(struct nic_framer *framer, int fd);
/*
 * Sends frames in order; counts those that it cannot send in net->dropped.
 * ret_taken: how many were taken, also on failure.
 * Return: FERRY_OK; FERRY_E_AGAIN (it is full), FERRY_E_CLOSED.
 */
int nic_framer_send(struct nic_framer *framer, int fd, struct nic_net *net,
                    const struct nic_frame *frame, uint32_t count, uint32_t *ret_taken);
/*
 * The next frames, and net->pending.
 * ret_came: how many, also on failure.
 * Return: FERRY_OK; FERRY_E_CLOSED; FERRY_E_PROTOCOL (a frame of no length or too long).
 */
int nic_framer_receive(struct nic_framer *framer, int fd, struct nic_net *net,
                       struct nic_frame *frame, uint32_t count, uint32_t *ret_came);

#endif
