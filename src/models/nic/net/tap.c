/* SPDX-License-Identifier: BSD-3-Clause */
#include <errno.h>
#include <fcntl.h>
#include <linux/if_tun.h>
#include <net/if.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>
#include <sys/uio.h>
#include <unistd.h>

#include "models/nic/net/net_private.h"

/* tap:NAME: a TAP interface of the kernel, which is made when there is none and the user
 * may. Checksums and segments go through as they are. */

#define TUN_DEVICE "/dev/net/tun"
#define PARTS (NIC_FRAME_PARTS_MAX + 2u) /* the header in front, a spare byte behind */

/* The owner watches an epoll descriptor, out of which a TAP that was removed is taken: it
 * would be "ready" for ever. */
struct tap {
    struct nic_net net;
    int tun;
    uint32_t pad;
};

/* Return: 1; 0: it went nowhere. A TAP drops rather than says that it is full. */
static int send_one(const struct tap *tap, const struct nic_frame *frame)
{
    struct virtio_net_hdr_v1 header = frame->header;
    struct iovec part[PARTS] = { { .iov_base = &header, .iov_len = sizeof(header) } };
    size_t left = frame->bytes;
    int count = 1;
    ssize_t sent;

    header.num_buffers = 0;
    for (uint32_t i = 0; i < frame->part_count && left > 0; i++) {
        part[count] = frame->part[i];
        if (part[count].iov_len > left) {
            part[count].iov_len = left;
        }
        left -= part[count++].iov_len;
    }
    do {
        sent = writev(tap->tun, part, count);
    } while (sent < 0 && errno == EINTR);
    return sent >= 0;
}

static int tap_send(struct nic_net *net, const struct nic_frame *frame, uint32_t count)
{
    const struct tap *tap = (struct tap *)net;

    for (uint32_t i = 0; i < count; i++) {
        if (!nic_frame_can_send(net, &frame[i]) || !send_one(tap, &frame[i])) {
            net->dropped++;
        }
    }
    return (int)count;
}

/* The next frame. Return: 1; 0: dropped; FERRY_E_AGAIN: there is none. */
static int receive_one(struct tap *tap, struct nic_frame *frame)
{
    struct iovec part[PARTS] = { { .iov_base = &frame->header,
                                   .iov_len = sizeof(frame->header) } };
    size_t room = frame->bytes;
    uint8_t spare; /* the kernel cuts off what does not fit, without a word */
    int count = 1;
    ssize_t got;

    for (uint32_t i = 0; i < frame->part_count && room > 0; i++) {
        part[count] = frame->part[i];
        if (part[count].iov_len > room) {
            part[count].iov_len = room;
        }
        room -= part[count++].iov_len;
    }
    part[count++] = (struct iovec){ .iov_base = &spare, .iov_len = 1 };
    do {
        got = readv(tap->tun, part, count);
    } while (got < 0 && errno == EINTR);
    if (got < 0) {
        if (errno == EBADFD) {
            (void)epoll_ctl(tap->net.fd, EPOLL_CTL_DEL, tap->tun, NULL);
            tap->net.link_up = 0;
        }
        return FERRY_E_AGAIN;
    }
    if ((size_t)got < sizeof(frame->header) + NIC_FRAME_MIN ||
        (size_t)got > sizeof(frame->header) + frame->bytes) {
        tap->net.dropped++;
        return 0;
    }
    frame->bytes = (uint32_t)((size_t)got - sizeof(frame->header));
    frame->header.num_buffers = 0;
    return 1;
}

static int tap_receive(struct nic_net *net, struct nic_frame *frame, uint32_t count)
{
    uint32_t came = 0;

    for (uint32_t tries = 0; tries < count; tries++) {
        const int got = receive_one((struct tap *)net, &frame[came]);

        if (got < 0) {
            net->pending = 0;
            return (int)came;
        }
        came += (uint32_t)got;
    }
    net->pending = 1;
    return (int)came;
}

static int tell_offloads(int fd, const struct nic_offloads *offloads)
{
    unsigned long flags = 0;

    if (offloads->checksum != 0) {
        flags = TUN_F_CSUM;
        flags |= offloads->tso4 != 0 ? TUN_F_TSO4 : 0u;
        flags |= offloads->tso6 != 0 ? TUN_F_TSO6 : 0u;
        flags |= offloads->ecn != 0 ? TUN_F_TSO_ECN : 0u;
    }
    return ioctl(fd, TUNSETOFFLOAD, flags);
}

static void tap_set_offloads(struct nic_net *net, const struct nic_offloads *accepted)
{
    (void)tell_offloads(((struct tap *)net)->tun, accepted);
}

static void tap_close(struct nic_net *net)
{
    struct tap *tap = (struct tap *)net;

    nic_net_close_fd(&tap->tun);
    nic_net_close_fd(&net->fd);
    free(tap);
}

static const struct nic_net_ops tap_ops = {
    .name = "tap",
    .send = tap_send,
    .receive = tap_receive,
    .set_offloads = tap_set_offloads,
    .close = tap_close,
};

static int is_name(const char *name)
{
    static const char letters[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
                                  "0123456789_.-";

    return strlen(name) < IFNAMSIZ && name[strspn(name, letters)] == '\0' &&
           strcmp(name, ".") != 0 && strcmp(name, "..") != 0;
}

/* What to do about it, behind the reason. */
static int explain(struct ferry_error *reterr, int err, const char *name)
{
    const char *advice = "";
    int status = nic_net_errno(reterr, err, name);

    if (err == EPERM || err == EACCES) {
        advice = "; make it for yourself first, as root: ip tuntap add mode tap user "
                 "USER vnet_hdr name NAME";
    } else if (err == EBUSY) {
        advice = "; another process has it open";
    } else if (err == EINVAL) {
        advice = "; an interface of that name is no TAP with one queue";
    } else if (err == ENOENT || err == ENODEV) {
        advice = "; the kernel has no TUN/TAP here (" TUN_DEVICE ")";
    }
    if (reterr != NULL) {
        strncat(reterr->text, advice, sizeof(reterr->text) - strlen(reterr->text) - 1);
    }
    return status;
}

/* Returns an errno value. */
static int attach(int fd, const char *name)
{
    static const struct nic_offloads none = { 0 };
    struct ifreq request = { .ifr_flags = IFF_TAP | IFF_NO_PI | IFF_VNET_HDR };
    int bytes = (int)sizeof(struct virtio_net_hdr_v1);

    memcpy(request.ifr_name, name, strlen(name));
    if (ioctl(fd, TUNSETIFF, &request) < 0 || ioctl(fd, TUNSETVNETHDRSZ, &bytes) < 0 ||
        tell_offloads(fd, &none) < 0) {
        return errno;
    }
    return 0;
}

int nic_tap_open(const char *rest, struct nic_net **ret_net, struct ferry_error *reterr)
{
    static const struct nic_offloads all = { 1, 1, 1, 1 };
    struct epoll_event event = { .events = EPOLLIN };
    struct tap *tap = NULL;
    int err = 0;

    if (!is_name(rest)) {
        return ferry_error_set(reterr, FERRY_E_ARGUMENT, "nic", NULL, 0,
                               "tap:%.100s: the name of an interface has up to %d "
                               "letters, digits and _.-",
                               rest, IFNAMSIZ - 1);
    }
    tap = calloc(1, sizeof(*tap));
    if (tap == NULL) {
        return ferry_error_set(reterr, FERRY_E_MEMORY, "nic", NULL, 0, "no memory");
    }
    tap->net = (struct nic_net){ .ops = &tap_ops,
                                 .fd = epoll_create1(EPOLL_CLOEXEC),
                                 .link_up = 1,
                                 .takes = all,
                                 .gives = all };
    tap->tun = open(TUN_DEVICE, O_RDWR | O_NONBLOCK | O_CLOEXEC);
    err = tap->tun < 0 ? errno : attach(tap->tun, rest);
    if (err == 0 && epoll_ctl(tap->net.fd, EPOLL_CTL_ADD, tap->tun, &event) < 0) {
        err = errno;
    }
    if (err != 0) {
        tap_close(&tap->net);
        return explain(reterr, err, rest);
    }
    *ret_net = &tap->net;
    return FERRY_OK;
}
