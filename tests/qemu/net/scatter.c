/* SPDX-License-Identifier: BSD-3-Clause */
/* Frames of ever other flows, so many a second, to a device whose guest drops them: they
 * are for a network address that it has not. */
#include <arpa/inet.h>
#include <errno.h>
#include <linux/if_packet.h>
#include <net/if.h>
#include <netinet/if_ether.h>
#include <netinet/ip.h>
#include <netinet/udp.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "peer.h"

#define MAC_BYTES 6u
#define NOBODY 0x0a630001u  /* 10.99.0.1 */
#define SENDERS 0x0b000000u /* 11.0.0.0/8 */
#define RATE_MAX 1000000ul
#define SLICE_MS 2

struct scatter {
    uint8_t mac[MAC_BYTES];
    uint64_t rate; /* frames a second */
    _Atomic uint64_t sent;
};

struct frame {
    struct ether_header ether;
    struct iphdr ip;
    struct udphdr udp;
    uint8_t fill[22]; /* up to the shortest frame */
} __attribute__((packed));

static void frame_init(const struct scatter *scatter, struct frame *ret_frame)
{
    memset(ret_frame, 0, sizeof(*ret_frame));
    memcpy(ret_frame->ether.ether_dhost, scatter->mac, MAC_BYTES);
    ret_frame->ether.ether_shost[0] = 2;
    ret_frame->ether.ether_shost[5] = 0x77;
    ret_frame->ether.ether_type = htons(ETHERTYPE_IP);
    ret_frame->ip.version = 4;
    ret_frame->ip.ihl = 5;
    ret_frame->ip.ttl = 64;
    ret_frame->ip.protocol = IPPROTO_UDP;
    ret_frame->ip.tot_len = htons(sizeof(*ret_frame) - sizeof(ret_frame->ether));
    ret_frame->ip.daddr = htonl(NOBODY);
    ret_frame->udp.dest = htons(9);
    ret_frame->udp.len = htons(sizeof(ret_frame->udp) + sizeof(ret_frame->fill));
}

static void set_flow(struct frame *frame, uint64_t number)
{
    const uint64_t flow = number * 0x9e3779b97f4a7c15u >> 24;

    frame->ip.saddr = htonl(SENDERS | (uint32_t)(flow & 0xffffff));
    frame->udp.source = htons((uint16_t)(flow >> 24 | 1));
    frame->ip.check = 0;
    frame->ip.check =
        checksum((const uint8_t *)frame + sizeof(frame->ether), sizeof(frame->ip));
}

static void body(struct work *work, const void *arg)
{
    struct scatter *scatter = *(struct scatter *const *)arg;
    struct sockaddr_ll where = { .sll_family = AF_PACKET,
                                 .sll_ifindex = (int)if_nametoindex(PEER_INTERFACE),
                                 .sll_halen = MAC_BYTES };
    const int fd = socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC, 0);
    const uint64_t began = monotonic_ns();
    uint64_t number = 0;
    struct frame frame;

    if (fd < 0) {
        work_error(work, "no packet socket: %s", strerror(errno));
        return;
    }
    memcpy(where.sll_addr, scatter->mac, MAC_BYTES);
    frame_init(scatter, &frame);
    while (!atomic_load(&work->stop)) {
        const uint64_t due = (monotonic_ns() - began) / 1000 * scatter->rate / 1000000;

        for (; number < due; number++) {
            set_flow(&frame, number);
            (void)sendto(fd, &frame, sizeof(frame), MSG_DONTWAIT,
                         (struct sockaddr *)&where, sizeof(where));
            work_done(work, 1);
        }
        atomic_store(&scatter->sent, number);
        (void)poll(NULL, 0, SLICE_MS);
    }
    close(fd);
}

static void more(const void *arg)
{
    const struct scatter *scatter = *(struct scatter *const *)arg;

    printf(" sent=%llu", (unsigned long long)atomic_load(&scatter->sent));
}

int command_scatter(const char *const words[WORDS_MAX])
{
    static struct worker worker = {
        .name = "scatter", .letter = 'x', .body = body, .more = more
    };
    static struct scatter *scatter;

    if (scatter == NULL) {
        scatter = shared_memory(sizeof(*scatter));
        if (scatter == NULL) {
            return fail("no memory");
        }
    }
    if (strcmp(words[1], "start") == 0 && worker.pid == 0) {
        memset(scatter, 0, sizeof(*scatter));
        scatter->rate = strtoul(words[3], NULL, 10);
        if (from_hex(words[2], scatter->mac, MAC_BYTES) != MAC_BYTES ||
            scatter->rate == 0 || scatter->rate > RATE_MAX) {
            return fail("a MAC as twelve hex digits, and frames a second");
        }
    }
    return worker_command(&worker, words[1], (const void *)&scatter);
}
