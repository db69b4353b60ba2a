/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef TEST_NET_RIG_H
#define TEST_NET_RIG_H

#include "models/nic/net/net.h"

#define NET_RIG_FRAMES NIC_BATCH

/* Frames with room for the longest, in parts of a given size. */
struct net_rig_frames {
    uint8_t *bytes[NET_RIG_FRAMES];
    struct iovec part[NET_RIG_FRAMES][NIC_FRAME_PARTS_MAX];
    struct nic_frame frame[NET_RIG_FRAMES];
};

void net_rig_make(struct net_rig_frames *frames);
void net_rig_free(struct net_rig_frames *frames);
/* Every frame may be received into again: all its room, in parts of part_bytes. */
void net_rig_empty(struct net_rig_frames *frames, uint32_t part_bytes);
/* Frame i has so many bytes, which follow from seed; its parts have part_bytes. */
void net_rig_fill(struct net_rig_frames *frames, uint32_t i, uint32_t bytes, uint8_t seed,
                  uint32_t part_bytes);
/* Frame i is what net_rig_fill() made of bytes and seed. */
void net_rig_check(const struct net_rig_frames *frames, uint32_t i, uint32_t bytes,
                   uint8_t seed);
/* The byte at off of a frame of that seed. */
uint8_t net_rig_byte(uint8_t seed, uint32_t off);

/* Waits for fd as the owner of a wire does. Return: 1: it is ready. */
int net_rig_ready(const struct nic_net *net, int timeout_ms);
/* Receives until count frames are there, into frames from the first on. */
void net_rig_receive(struct nic_net *net, struct net_rig_frames *frames, uint32_t count);
/* receive() whenever fd is ready, until the link is as wanted. */
void net_rig_link(struct nic_net *net, uint32_t wanted);

#endif
