/* SPDX-License-Identifier: BSD-3-Clause */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <poll.h>

#include "test_net_rig.h"

#define PATIENCE_MS 5000

void net_rig_make(struct net_rig_frames *frames)
{
    for (uint32_t i = 0; i < NET_RIG_FRAMES; i++) {
        frames->bytes[i] = malloc(NIC_FRAME_MAX);
        assert_non_null(frames->bytes[i]);
    }
    net_rig_empty(frames, NIC_FRAME_MAX);
}

void net_rig_free(struct net_rig_frames *frames)
{
    for (uint32_t i = 0; i < NET_RIG_FRAMES; i++) {
        free(frames->bytes[i]);
    }
}

static void cut(struct net_rig_frames *frames, uint32_t i, uint32_t part_bytes)
{
    uint32_t off = 0;
    uint32_t count = 0;

    while (off < NIC_FRAME_MAX && count < NIC_FRAME_PARTS_MAX) {
        const uint32_t left = NIC_FRAME_MAX - off;
        const uint32_t take =
            left < part_bytes || count == NIC_FRAME_PARTS_MAX - 1 ? left : part_bytes;

        frames->part[i][count++] =
            (struct iovec){ .iov_base = frames->bytes[i] + off, .iov_len = take };
        off += take;
    }
    frames->frame[i] = (struct nic_frame){ .part = frames->part[i],
                                           .part_count = count,
                                           .bytes = NIC_FRAME_MAX };
}

void net_rig_empty(struct net_rig_frames *frames, uint32_t part_bytes)
{
    for (uint32_t i = 0; i < NET_RIG_FRAMES; i++) {
        memset(frames->bytes[i], 0xee, NIC_FRAME_MAX);
        cut(frames, i, part_bytes);
    }
}

uint8_t net_rig_byte(uint8_t seed, uint32_t off)
{
    return (uint8_t)(seed * 31u + off * 7u + (off >> 8));
}

void net_rig_fill(struct net_rig_frames *frames, uint32_t i, uint32_t bytes, uint8_t seed,
                  uint32_t part_bytes)
{
    cut(frames, i, part_bytes);
    for (uint32_t off = 0; off < bytes && off < NIC_FRAME_MAX; off++) {
        frames->bytes[i][off] = net_rig_byte(seed, off);
    }
    frames->frame[i].bytes = bytes;
}

void net_rig_check(const struct net_rig_frames *frames, uint32_t i, uint32_t bytes,
                   uint8_t seed)
{
    assert_int_equal(frames->frame[i].bytes, bytes);
    for (uint32_t off = 0; off < bytes; off++) {
        if (frames->bytes[i][off] != net_rig_byte(seed, off)) {
            fail_msg("frame %u differs at byte %u", i, off);
        }
    }
}

int net_rig_ready(const struct nic_net *net, int timeout_ms)
{
    struct pollfd pollfd = { .fd = net->fd, .events = POLLIN };

    return net->pending != 0 || poll(&pollfd, 1, timeout_ms) == 1;
}

void net_rig_receive(struct nic_net *net, struct net_rig_frames *frames, uint32_t count)
{
    uint32_t came = 0;

    net_rig_empty(frames, 1000);
    while (came < count) {
        int now;

        assert_true(net_rig_ready(net, PATIENCE_MS));
        now = net->ops->receive(net, frames->frame + came, count - came);
        assert_true(now >= 0);
        came += (uint32_t)now;
    }
}

void net_rig_link(struct nic_net *net, uint32_t wanted)
{
    struct net_rig_frames frames;

    net_rig_make(&frames);
    while (net->link_up != wanted) {
        assert_true(net_rig_ready(net, PATIENCE_MS));
        net_rig_empty(&frames, NIC_FRAME_MAX);
        assert_true(net->ops->receive(net, frames.frame, NET_RIG_FRAMES) >= 0);
    }
    net_rig_free(&frames);
}
