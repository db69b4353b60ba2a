/* SPDX-License-Identifier: BSD-3-Clause */
#include <arpa/inet.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "models/nic/net/net_private.h"

/*
 * Each frame comes back with its MAC addresses swapped (from ECHO_MAC when it went to a
 * group), offloads and all. So that a guest has somebody to ping, an ARP request for any
 * address is answered with ECHO_MAC, and an ICMP echo request becomes its reply.
 */
#define ECHO_BYTES_MAX (512u << 10)
#define ECHO_FRAMES_MAX 1024u

#define MAC_BYTES 6u
#define IP_OFF 14u
#define ARP_END 42u

static const uint8_t ECHO_MAC[MAC_BYTES] = { 0x02, 0x46, 0x45, 0x52, 0x52, 0x59 };

struct echoed {
    struct virtio_net_hdr_v1 header;
    uint32_t bytes, off;
};

/* A ring of frames, whose bytes lie in `store` in the same order, each in one piece. */
struct echo {
    struct nic_net net;
    struct nic_offloads accepted;
    uint8_t *store;
    uint32_t first, count;
    uint32_t put;  /* where the next frame's bytes go */
    uint32_t full; /* 1: frames were not taken: whoever sends waits for the bell */
    struct echoed frame[ECHO_FRAMES_MAX];
};

/* Where `bytes` fit behind the last frame. Return: 1; 0: they do not now. */
static int find_room(struct echo *echo, uint32_t bytes, uint32_t *ret_off)
{
    uint32_t oldest;

    if (echo->count == 0) {
        *ret_off = 0;
        return 1;
    }
    if (echo->count == ECHO_FRAMES_MAX) {
        return 0;
    }
    oldest = echo->frame[echo->first].off;
    if (echo->put > oldest) {
        if (bytes <= ECHO_BYTES_MAX - echo->put) {
            *ret_off = echo->put;
            return 1;
        }
        *ret_off = 0;
        return bytes < oldest;
    }
    *ret_off = echo->put;
    return bytes < oldest - echo->put;
}

static void answer_arp(uint8_t *frame)
{
    uint8_t *arp = frame + IP_OFF;
    uint8_t wanted[4];

    memcpy(wanted, arp + 24, sizeof(wanted));
    arp[7] = 2;
    memcpy(arp + 18, arp + 8, MAC_BYTES + 4); /* its sender is now the target */
    memcpy(arp + 8, ECHO_MAC, MAC_BYTES);
    memcpy(arp + 14, wanted, sizeof(wanted));
}

/* 1: a request for an address that is not the sender's own. */
static int is_arp_request(const uint8_t *frame, uint32_t bytes)
{
    static const uint8_t request[] = { 0x08, 0x06, 0, 1, 0x08, 0, MAC_BYTES, 4, 0, 1 };
    static const uint8_t nobody[4] = { 0 };

    return bytes >= ARP_END && memcmp(frame + 12, request, sizeof(request)) == 0 &&
           memcmp(frame + 28, frame + 38, 4) != 0 && memcmp(frame + 28, nobody, 4) != 0;
}

/* The ICMP message of an echo request that is whole; NULL: it is something else. */
static uint8_t *find_ping(uint8_t *frame, uint32_t bytes)
{
    uint8_t *ip = frame + IP_OFF;
    uint32_t header;

    if (bytes < IP_OFF + 28 || frame[12] != 0x08 || frame[13] != 0 || ip[0] >> 4 != 4) {
        return NULL;
    }
    header = (ip[0] & 15u) * 4u;
    if (header < 20 || bytes < IP_OFF + header + 8 || ip[9] != IPPROTO_ICMP ||
        ((ip[6] & 0x3f) | ip[7]) != 0) {
        return NULL;
    }
    return ip[header] == 8 ? ip + header : NULL;
}

static void answer_ping(uint8_t *frame, uint8_t *icmp)
{
    uint8_t *ip = frame + IP_OFF;
    uint8_t source[4];
    uint32_t sum = (uint32_t)icmp[2] << 8 | icmp[3];

    memcpy(source, ip + 12, sizeof(source));
    memmove(ip + 12, ip + 16, sizeof(source));
    memcpy(ip + 16, source, sizeof(source));
    icmp[0] = 0;
    /* The type was 8 in the upper byte of a word: the sum's complement grows by as much.
     */
    sum += 0x0800;
    sum = (sum & 0xffff) + (sum >> 16);
    icmp[2] = (uint8_t)(sum >> 8);
    icmp[3] = (uint8_t)sum;
}

static void turn_round(uint8_t *frame, uint32_t bytes)
{
    const int is_group = (frame[0] & 1) != 0;
    uint8_t to[MAC_BYTES];
    uint8_t *icmp = find_ping(frame, bytes);

    memcpy(to, frame, MAC_BYTES);
    memcpy(frame, frame + MAC_BYTES, MAC_BYTES);
    memcpy(frame + MAC_BYTES, is_group ? ECHO_MAC : to, MAC_BYTES);
    if (is_arp_request(frame, bytes)) {
        memcpy(frame + MAC_BYTES, ECHO_MAC, MAC_BYTES);
        answer_arp(frame);
    } else if (icmp != NULL && !is_group) {
        answer_ping(frame, icmp);
    }
}

static void ring_bell(const struct echo *echo)
{
    const uint64_t one = 1;

    (void)!write(echo->net.fd, &one, sizeof(one));
}

static int echo_send(struct nic_net *net, const struct nic_frame *frame, uint32_t count)
{
    struct echo *echo = (struct echo *)net;
    const uint32_t before = echo->count;
    uint32_t i;

    for (i = 0; i < count; i++) {
        struct echoed *to = &echo->frame[(echo->first + echo->count) % ECHO_FRAMES_MAX];
        uint32_t off = 0;

        if (!nic_frame_length_ok(&frame[i]) ||
            !nic_frame_header_ok(&frame[i].header, frame[i].bytes, &echo->accepted)) {
            net->dropped++;
            continue;
        }
        if (!find_room(echo, frame[i].bytes, &off)) {
            break;
        }
        *to = (struct echoed){ .header = frame[i].header,
                               .bytes = frame[i].bytes,
                               .off = off };
        nic_frame_gather(&frame[i], echo->store + off);
        turn_round(echo->store + off, frame[i].bytes);
        echo->put = off + frame[i].bytes;
        echo->count++;
    }
    echo->full |= i < count;
    net->pending = echo->count > 0;
    if (before == 0 && echo->count > 0) {
        ring_bell(echo);
    }
    return (int)i;
}

static int echo_receive(struct nic_net *net, struct nic_frame *frame, uint32_t count)
{
    struct echo *echo = (struct echo *)net;
    uint32_t came = 0;

    while (came < count && echo->count > 0) {
        const struct echoed *from = &echo->frame[echo->first];

        if (nic_frame_scatter(&frame[came], echo->store + from->off, from->bytes)) {
            frame[came++].header = from->header;
        } else {
            net->dropped++;
        }
        echo->first = (echo->first + 1) % ECHO_FRAMES_MAX;
        echo->count--;
    }
    net->pending = echo->count > 0;
    if (echo->count == 0 && echo->full) {
        /* It stays rung, since it is worth another try to send. */
        echo->full = 0;
    } else if (echo->count == 0) {
        uint64_t rung;

        (void)!read(net->fd, &rung, sizeof(rung));
    }
    return (int)came;
}

static void echo_set_offloads(struct nic_net *net, const struct nic_offloads *accepted)
{
    ((struct echo *)net)->accepted = *accepted;
    net->takes = *accepted; /* what is sent comes back */
}

static void echo_close(struct nic_net *net)
{
    struct echo *echo = (struct echo *)net;

    nic_net_close_fd(&net->fd);
    free(echo->store);
    free(echo);
}

static const struct nic_net_ops echo_ops = {
    .name = "echo",
    .send = echo_send,
    .receive = echo_receive,
    .set_offloads = echo_set_offloads,
    .close = echo_close,
};

int nic_echo_open(const char *rest, struct nic_net **ret_net, struct ferry_error *reterr)
{
    static const struct nic_offloads all = { 1, 1, 1, 1 };
    struct echo *echo = calloc(1, sizeof(*echo));

    (void)rest;
    if (echo == NULL || (echo->store = malloc(ECHO_BYTES_MAX)) == NULL) {
        free(echo);
        return ferry_error_set(reterr, FERRY_E_MEMORY, "nic", NULL, 0, "no memory");
    }
    echo->net.ops = &echo_ops;
    echo->net.gives = all; /* it takes what it may give back: nothing at first */
    echo->net.link_up = 1;
    echo->net.fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (echo->net.fd < 0) {
        const int err = errno;

        echo_close(&echo->net);
        return nic_net_errno(reterr, err, "eventfd");
    }
    *ret_net = &echo->net;
    return FERRY_OK;
}
