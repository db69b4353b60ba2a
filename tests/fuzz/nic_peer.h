/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef FERRY_TESTS_FUZZ_NIC_PEER_H
#define FERRY_TESTS_FUZZ_NIC_PEER_H

#include <stddef.h>
#include <stdint.h>

/* The other end of a nic's stream: it sends what it is told, and judges what it gets. */
struct nic_peer {
    int fd;                          /* -1: it hung up */
    uint64_t sent;                   /* bytes */
    uint64_t frames;                 /* that came */
    uint32_t head_bytes, frame_left; /* of the one that is coming */
    uint8_t head[4];
};

#define NIC_PEER_BYTES_MAX (1u << 20)

/* As far as the socket takes it, and up to NIC_PEER_BYTES_MAX in all. */
void nic_peer_send(struct nic_peer *peer, const uint8_t *bytes, size_t count);
/* A frame that says it has `bytes`; the first of them are given, the rest is 0. */
void nic_peer_frame(struct nic_peer *peer, uint32_t bytes, const uint8_t *given,
                    uint32_t count);
/* All that is there; it must keep to the framing. */
void nic_peer_receive(struct nic_peer *peer);
void nic_peer_hang_up(struct nic_peer *peer);

#endif
