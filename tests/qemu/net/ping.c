/* SPDX-License-Identifier: BSD-3-Clause */
/* A ping every so often, each told apart from the others: which of them were answered,
 * when, and how long there was no answer at all. */
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/ip_icmp.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "peer.h"

#define EVERY_MS 10u /* without another word */
#define KNOWN                                                                            \
    65536u /* pings that an answer may belong to: all numbers that there are             \
            */
#define FILL_BYTES 40u
#define GRACE_NS 2000000000u /* for an answer */
#define IP_WORDS 4u

struct packet {
    struct icmphdr header;
    uint64_t number; /* not cut off to 16 bits */
    uint64_t sent_ns;
    uint8_t fill[FILL_BYTES];
};

struct ping {
    struct sockaddr_in where;
    uint64_t every_ns;
    int waits; /* what is sent before the first answer does not count */
    _Atomic uint64_t sent, received, twice, wrong, rtt_us_max, rtt_us_sum;
    _Atomic uint64_t lost;         /* had no answer within GRACE_NS */
    uint64_t answered[KNOWN / 64]; /* a bit for each number; the process's own */
};

uint16_t checksum(const void *data, size_t bytes)
{
    const uint8_t *byte = data;
    uint32_t sum = 0;

    for (size_t i = 0; i + 1 < bytes; i += 2) {
        sum += (uint32_t)byte[i] << 8 | byte[i + 1];
    }
    while (sum >> 16 != 0) {
        sum = (sum & 0xffff) + (sum >> 16);
    }
    return htons((uint16_t)~sum);
}

static int has_answer(const struct ping *ping, uint64_t number)
{
    return (ping->answered[number % KNOWN / 64] >> number % 64 & 1) != 0;
}

/* How many pings are under way when the oldest of them is given up. */
static uint64_t under_way(const struct ping *ping)
{
    return GRACE_NS / ping->every_ns;
}

static void send_one(struct ping *ping, int fd)
{
    struct packet packet;
    const int counts = !ping->waits || atomic_load(&ping->received) > 0;
    const uint64_t number = counts ? atomic_load(&ping->sent) : 0;

    memset(&packet, 0, sizeof(packet));
    packet.header.type = ICMP_ECHO;
    packet.header.un.echo.id = htons((uint16_t)getpid());
    packet.header.un.echo.sequence = htons((uint16_t)number);
    packet.number = number;
    packet.sent_ns = monotonic_ns();
    for (size_t i = 0; i < FILL_BYTES; i++) {
        packet.fill[i] = (uint8_t)(number + i);
    }
    packet.header.checksum = checksum(&packet, sizeof(packet));
    if (counts && number >= under_way(ping) &&
        !has_answer(ping, number - under_way(ping))) {
        atomic_fetch_add(&ping->lost, 1);
    }
    ping->answered[number % KNOWN / 64] &= ~((uint64_t)1 << number % 64);
    /* An answer may come before this returns. What cannot be sent counts as lost. */
    atomic_store(&ping->sent, number + 1);
    (void)sendto(fd, &packet, sizeof(packet), MSG_DONTWAIT,
                 (struct sockaddr *)&ping->where, sizeof(ping->where));
}

static int is_right(const struct packet *packet)
{
    for (size_t i = 0; i < FILL_BYTES; i++) {
        if (packet->fill[i] != (uint8_t)(packet->number + i)) {
            return 0;
        }
    }
    return 1;
}

static void count_answer(struct work *work, struct ping *ping,
                         const struct packet *packet)
{
    const uint64_t sent = atomic_load(&ping->sent);
    const uint64_t rtt_us = (monotonic_ns() - packet->sent_ns) / 1000;
    const uint64_t bit = (uint64_t)1 << packet->number % 64;
    uint64_t *answered = &ping->answered[packet->number % KNOWN / 64];

    if (packet->number >= sent || sent - packet->number > KNOWN || !is_right(packet)) {
        atomic_fetch_add(&ping->wrong, 1);
        work_error(work, "a wrong answer to ping %llu of %llu",
                   (unsigned long long)packet->number, (unsigned long long)sent);
        return;
    }
    if ((*answered & bit) != 0) {
        atomic_fetch_add(&ping->twice, 1);
        return;
    }
    *answered |= bit;
    if (sent - packet->number > under_way(ping)) {
        atomic_fetch_sub(&ping->lost, 1); /* it was given up too early */
    }
    if (ping->waits && atomic_load(&ping->received) == 0) {
        atomic_store(&work->last_ns, monotonic_ns());
    }
    atomic_fetch_add(&ping->received, 1);
    atomic_fetch_add(&ping->rtt_us_sum, rtt_us);
    if (rtt_us > atomic_load(&ping->rtt_us_max)) {
        atomic_store(&ping->rtt_us_max, rtt_us);
    }
    work_done(work, 1);
}

static void take_answers(struct work *work, struct ping *ping, int fd)
{
    uint8_t bytes[2048];
    ssize_t count;

    while ((count = recv(fd, bytes, sizeof(bytes), MSG_DONTWAIT)) > 0) {
        const size_t begin = (size_t)(bytes[0] & 15) * IP_WORDS;
        struct packet packet;

        if ((size_t)count != begin + sizeof(packet)) {
            continue;
        }
        memcpy(&packet, bytes + begin, sizeof(packet));
        if (packet.header.type == ICMP_ECHOREPLY &&
            packet.header.un.echo.id == htons((uint16_t)getpid())) {
            count_answer(work, ping, &packet);
        }
    }
}

static void body(struct work *work, const void *arg)
{
    struct ping *ping = *(struct ping *const *)arg;
    const int fd = socket(AF_INET, SOCK_RAW | SOCK_CLOEXEC, IPPROTO_ICMP);
    struct pollfd ready = { .fd = fd, .events = POLLIN };
    uint64_t next = monotonic_ns();
    uint64_t stopped = 0;

    if (fd < 0) {
        work_error(work, "no ICMP socket: %s", strerror(errno));
        return;
    }
    for (;;) {
        uint64_t now = monotonic_ns();
        int wait_ms;

        if (stopped == 0 && atomic_load(&work->stop)) {
            stopped = now;
        }
        if (stopped != 0 && (atomic_load(&ping->received) == atomic_load(&ping->sent) ||
                             now - stopped > GRACE_NS)) {
            break;
        }
        if (stopped == 0 && now >= next) {
            send_one(ping, fd);
            next += ping->every_ns;
            next = next < now ? now : next; /* this process was kept from running */
        }
        wait_ms = next > now ? (int)((next - now + 999999) / 1000000) : 0;
        (void)poll(&ready, 1, stopped != 0 ? 10 : wait_ms);
        take_answers(work, ping, fd);
    }
    close(fd);
}

static void more(const void *arg)
{
    const struct ping *ping = *(struct ping *const *)arg;
    const uint64_t received = atomic_load(&ping->received);
    const uint64_t sent = atomic_load(&ping->sent);
    const uint64_t sum = atomic_load(&ping->rtt_us_sum);

    printf(" sent=%llu received=%llu open=%llu twice=%llu rtt_us=%llu rtt_us_max=%llu",
           (unsigned long long)sent, (unsigned long long)received,
           (unsigned long long)(sent > received ? sent - received : 0),
           (unsigned long long)atomic_load(&ping->twice),
           (unsigned long long)(received > 0 ? sum / received : 0),
           (unsigned long long)atomic_load(&ping->rtt_us_max));
}

static struct worker worker = {
    .name = "ping", .letter = 'i', .body = body, .more = more
};
static struct ping *ping;

void ping_show(void)
{
    printf("%llu pings, %llu answers, %llu lost, longest gap %llu ms",
           (unsigned long long)atomic_load(&ping->sent),
           (unsigned long long)atomic_load(&ping->received),
           (unsigned long long)atomic_load(&ping->lost),
           (unsigned long long)atomic_load(&worker.shared->gap_ns) / 1000000);
}

int command_ping(const char *const words[WORDS_MAX])
{

    if (ping == NULL) {
        ping = shared_memory(sizeof(*ping));
        if (ping == NULL) {
            return fail("no memory");
        }
    }
    if (strcmp(words[1], "start") == 0 && worker.pid == 0) {
        const uint64_t every_ms = strtoull(words[3], NULL, 10);

        memset(ping, 0, sizeof(*ping));
        ping->where.sin_family = AF_INET;
        ping->waits = strcmp(words[4], "wait") == 0;
        ping->every_ns = (every_ms > 0 ? every_ms : EVERY_MS) * 1000000;
        if (inet_pton(AF_INET, words[2], &ping->where.sin_addr) != 1) {
            return fail("no address '%s'", words[2]);
        }
    }
    return worker_command(&worker, words[1], (const void *)&ping);
}
