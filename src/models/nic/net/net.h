/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef FERRY_MODELS_NIC_NET_NET_H
#define FERRY_MODELS_NIC_NET_NET_H

#include <linux/virtio_net.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/uio.h>

#include "ferry/error.h"

/*
 * The wire that a nic is plugged into. One file a kind: a UNIX stream socket, TAP, user
 * networking, pcap files, echo. Whatever comes from there is hostile: too long, too fast,
 * cut off at any byte.
 *
 * Thread: the device's. Nothing here waits.
 */
#define NIC_FRAME_MIN 14u /* an Ethernet header */
#define NIC_MTU_MAX 65535u
/* With segmentation offload a frame has up to 64 KiB behind its headers. */
#define NIC_FRAME_MAX (65536u + 18u)
#define NIC_FRAME_PARTS_MAX 64u
#define NIC_BATCH 32u /* frames that go through in one call */

/* One Ethernet frame, without FCS, in or out. */
struct nic_frame {
    struct virtio_net_hdr_v1 header; /* what was left to do (checksum, segments) */
    struct iovec *part;              /* where its bytes are, or may be put; at most
                                        NIC_FRAME_PARTS_MAX, which hold at least `bytes` */
    uint32_t part_count;
    uint32_t bytes; /* out: of the frame; in: room, then what the frame has */
};

/* VIRTIO_NET_F_* that matter to a back end. */
struct nic_offloads {
    uint32_t checksum; /* a frame may come with its checksum undone */
    uint32_t tso4, tso6, ecn;
};

struct nic_net;

struct nic_net_ops {
    const char *name; /* "stream" */
    /*
     * Sends frames in order. Return: how many were taken. Fewer than count: it is full,
     * and fd becomes ready when it is worth another try. A frame that it can never send
     * (too short or long, work left to do that it does not take, nobody at the other
     * end) counts as taken and is counted in net->dropped.
     */
    int (*send)(struct nic_net *net, const struct nic_frame *frame, uint32_t count);
    /*
     * The next frames; called when fd is ready, also for connections and for room to
     * send. Those that do not fit the room are dropped and counted. Return: how many
     * came; fewer than count: wait for fd, unless net->pending says that there is more.
     */
    int (*receive)(struct nic_net *net, struct nic_frame *frame, uint32_t count);
    /* What the driver accepted to be given, a subset of net->gives. NULL: nothing to do.
     * Until the first call, and after a reset, it is nothing. */
    void (*set_offloads)(struct nic_net *net, const struct nic_offloads *accepted);
    /* on: frames that come stay on the wire, and fd is ready for room to send alone.
     * NULL: nothing to do, it has room or makes some in receive(). */
    void (*hold)(struct nic_net *net, uint32_t on);
    void (*close)(struct nic_net *net);
};

/* First member of each back end. What stands here is its own to change, others read. */
struct nic_net {
    const struct nic_net_ops *ops;
    /*
     * Readable (POLLIN) when receive() is to be called and then send() for what waits;
     * the same descriptor for the whole life, whatever becomes of connections. -1: never.
     */
    int fd;
    uint32_t pending; /* 1: receive() has more, though fd may not say so */
    uint32_t link_up; /* 0: nobody at the other end. May change in any call */
    uint32_t pad;
    struct nic_offloads takes; /* frames that it can send with work left to do */
    struct nic_offloads gives; /* and such as it may receive once accepted */
    uint64_t dropped;          /* frames that could not be sent or did not fit */
    uint64_t broken;   /* connections that were closed since the peer broke the format */
    uint64_t connects; /* how often somebody was there */
};

/*
 * Opens the wire that text names: "none", "echo", "stream:PATH" (connects, and again when
 * the other end has gone), "listen:PATH", "tap:NAME", "user[:tcp=PORTS]",
 * "pcap:IN[:OUT]". docs/nic.md says what each does.
 * Return: FERRY_OK; FERRY_E_ARGUMENT, FERRY_E_MEMORY, FERRY_E_IO, FERRY_E_UNSUPPORTED,
 * FERRY_E_PERMISSION, FERRY_E_EXISTS, FERRY_E_NOT_FOUND with what was wrong in reterr.
 */
int nic_net_open(const char *text, struct nic_net **ret_net, struct ferry_error *reterr);

/* NULL is allowed. Frames that wait inside are gone. */
void nic_net_close(struct nic_net *net);

#endif
