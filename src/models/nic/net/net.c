/* SPDX-License-Identifier: BSD-3-Clause */
#include "models/nic/net/net.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "models/le.h"
#include "models/nic/net/net_private.h"

static const struct {
    const char *name;
    uint32_t rest; /* 0: nothing may follow, 1: something must, 2: may */
    int (*open)(const char *rest, struct nic_net **ret_net, struct ferry_error *reterr);
} kinds[] = {
    { "none", 0, nic_none_open },      { "echo", 0, nic_echo_open },
    { "stream", 1, nic_connect_open }, { "listen", 1, nic_listen_open },
    { "tap", 1, nic_tap_open },        { "user", 2, nic_user_open },
    { "pcap", 1, nic_pcap_open },
};

#define KINDS (sizeof(kinds) / sizeof(kinds[0]))

int nic_net_open(const char *text, struct nic_net **ret_net, struct ferry_error *reterr)
{
    const size_t name = strcspn(text, ":");
    const char *rest = text[name] == ':' ? text + name + 1 : "";

    for (size_t i = 0; i < KINDS; i++) {
        if (strlen(kinds[i].name) != name || memcmp(kinds[i].name, text, name) != 0) {
            continue;
        }
        if ((kinds[i].rest == 0 && text[name] == ':') ||
            (kinds[i].rest == 1 && *rest == '\0')) {
            return ferry_error_set(reterr, FERRY_E_ARGUMENT, "nic", NULL, 0,
                                   "net=%.100s: %s %s", text, kinds[i].name,
                                   kinds[i].rest == 0 ? "takes nothing behind it"
                                                      : "needs a name behind a colon");
        }
        return kinds[i].open(rest, ret_net, reterr);
    }
    return ferry_error_set(reterr, FERRY_E_ARGUMENT, "nic", NULL, 0,
                           "net=%.100s: no such wire; there are none, echo, stream:PATH, "
                           "listen:PATH, tap:NAME, user, pcap:IN[:OUT]",
                           text);
}

void nic_net_close(struct nic_net *net)
{
    if (net != NULL) {
        net->ops->close(net);
    }
}

int nic_net_errno(struct ferry_error *reterr, int err, const char *what)
{
    int status = FERRY_E_IO;

    if (err == EACCES || err == EPERM) {
        status = FERRY_E_PERMISSION;
    } else if (err == ENOENT || err == ENODEV) {
        status = FERRY_E_NOT_FOUND;
    } else if (err == ENOMEM) {
        status = FERRY_E_MEMORY;
    } else if (err == EADDRINUSE || err == EBUSY) {
        status = FERRY_E_EXISTS;
    }
    (void)ferry_error_set(reterr, status, "nic", NULL, 0, "%.150s: %s", what,
                          strerror(err));
    if (reterr != NULL) {
        reterr->os_errno = (uint32_t)err;
    }
    return status;
}

void nic_net_close_fd(int *fd)
{
    if (*fd >= 0) {
        (void)close(*fd);
        *fd = -1;
    }
}

int nic_frame_length_ok(const struct nic_frame *frame)
{
    uint64_t room = 0;

    if (frame->bytes < NIC_FRAME_MIN || frame->bytes > NIC_FRAME_MAX ||
        frame->part_count > NIC_FRAME_PARTS_MAX) {
        return 0;
    }
    for (uint32_t i = 0; i < frame->part_count; i++) {
        room += frame->part[i].iov_len;
    }
    return room >= frame->bytes;
}

static int segments_ok(const struct virtio_net_hdr_v1 *header, uint32_t bytes,
                       const struct nic_offloads *allowed)
{
    const uint8_t type = header->gso_type & (uint8_t)~VIRTIO_NET_HDR_GSO_ECN;
    const int has_ecn = type != header->gso_type;

    if (type == VIRTIO_NET_HDR_GSO_NONE) {
        return !has_ecn;
    }
    return (header->flags & VIRTIO_NET_HDR_F_NEEDS_CSUM) != 0 &&
           le_get16(&header->gso_size) != 0 && le_get16(&header->hdr_len) <= bytes &&
           (!has_ecn || allowed->ecn != 0) &&
           ((type == VIRTIO_NET_HDR_GSO_TCPV4 && allowed->tso4 != 0) ||
            (type == VIRTIO_NET_HDR_GSO_TCPV6 && allowed->tso6 != 0));
}

int nic_frame_header_ok(const struct virtio_net_hdr_v1 *header, uint32_t bytes,
                        const struct nic_offloads *allowed)
{
    if ((header->flags & VIRTIO_NET_HDR_F_NEEDS_CSUM) != 0) {
        const uint32_t at =
            (uint32_t)le_get16(&header->csum_start) + le_get16(&header->csum_offset);

        if (allowed->checksum == 0 || at + 2 > bytes) {
            return 0;
        }
    }
    return segments_ok(header, bytes, allowed);
}

int nic_frame_can_send(const struct nic_net *net, const struct nic_frame *frame)
{
    return nic_frame_length_ok(frame) &&
           nic_frame_header_ok(&frame->header, frame->bytes, &net->takes);
}

void nic_frame_gather(const struct nic_frame *frame, uint8_t *ret_bytes)
{
    size_t left = frame->bytes;

    for (uint32_t i = 0; i < frame->part_count && left > 0; i++) {
        const struct iovec *part = &frame->part[i];
        const size_t take = part->iov_len < left ? part->iov_len : left;

        memcpy(ret_bytes, part->iov_base, take);
        ret_bytes += take;
        left -= take;
    }
}

int nic_frame_scatter(struct nic_frame *frame, const uint8_t *data, uint32_t bytes)
{
    size_t left = bytes;

    if (bytes > frame->bytes) {
        return 0;
    }
    for (uint32_t i = 0; i < frame->part_count && left > 0; i++) {
        const struct iovec *part = &frame->part[i];
        const size_t take = part->iov_len < left ? part->iov_len : left;

        memcpy(part->iov_base, data, take);
        data += take;
        left -= take;
    }
    frame->bytes = bytes;
    memset(&frame->header, 0, sizeof(frame->header));
    return 1;
}
