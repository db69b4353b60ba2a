/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * UDP packets one way, as fast as they are taken: the receiver tells every so many
 * packets how far it is, and the sender does not run ahead of it by more than a window.
 * The same program runs at both ends.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "guest.h"

#define BATCH 32u
#define WINDOW 256u
#define BYTES_MIN 8u
#define BYTES_MAX 1472u
#define BUFFER_BYTES (1024 * 1024)
#define POLL_MS 100
#define QUIET_MS 1 /* no more come: the sender is told */
#define LOST_MS 20 /* so long without a word: the packets under way are lost */

struct datagram {
    struct sockaddr_in where;
    int receives;
    size_t bytes;
    _Atomic uint64_t sent, received, highest;
    _Atomic uint64_t stalls; /* the receiver was silent for LOST_MS */
};

struct batch {
    struct mmsghdr message[BATCH];
    struct iovec part[BATCH];
    uint8_t bytes[BATCH][BYTES_MAX];
};

static void batch_init(struct batch *batch, size_t bytes)
{
    memset(batch, 0, sizeof(*batch));
    for (size_t i = 0; i < BATCH; i++) {
        batch->part[i].iov_base = batch->bytes[i];
        batch->part[i].iov_len = bytes;
        batch->message[i].msg_hdr.msg_iov = &batch->part[i];
        batch->message[i].msg_hdr.msg_iovlen = 1;
    }
}

/* What the receiver has told last. */
static uint64_t take_word(int fd, uint64_t acked)
{
    uint64_t told;

    while (recv(fd, &told, sizeof(told), MSG_DONTWAIT) == (ssize_t)sizeof(told)) {
        acked = told > acked ? told : acked;
    }
    return acked;
}

static void send_all(struct work *work, struct datagram *datagram, int fd)
{
    static struct batch batch;
    uint64_t next = 0;
    uint64_t acked = 0;

    batch_init(&batch, datagram->bytes);
    if (connect(fd, (struct sockaddr *)&datagram->where, sizeof(datagram->where)) != 0) {
        work_error(work, "connect: %s", strerror(errno));
        return;
    }
    while (!atomic_load(&work->stop)) {
        struct pollfd ready = { .fd = fd, .events = POLLIN };
        int count;

        acked = take_word(fd, acked);
        if (next - acked > WINDOW - BATCH) {
            if (poll(&ready, 1, LOST_MS) == 0) {
                acked = next;
                atomic_fetch_add(&datagram->stalls, 1);
            }
            continue;
        }
        for (uint64_t i = 0; i < BATCH; i++) {
            const uint64_t number = next + i;

            memcpy(batch.bytes[i], &number, sizeof(number));
        }
        count = sendmmsg(fd, batch.message, BATCH, MSG_NOSIGNAL);
        if (count <= 0) { /* nobody listens yet, or no room */
            (void)poll(NULL, 0, LOST_MS);
            continue;
        }
        next += (uint64_t)count;
        atomic_store(&datagram->sent, next);
        work_done(work, (uint64_t)count);
    }
}

static void receive_all(struct work *work, struct datagram *datagram, int fd)
{
    static struct batch batch;
    struct sockaddr_in from;
    uint64_t number = 0;
    uint32_t owed = 0; /* packets that the sender was not told of */

    if (bind(fd, (struct sockaddr *)&datagram->where, sizeof(datagram->where)) != 0) {
        work_error(work, "bind: %s", strerror(errno));
        return;
    }
    batch_init(&batch, BYTES_MAX);
    batch.message[0].msg_hdr.msg_name = &from;
    while (!atomic_load(&work->stop)) {
        struct pollfd ready = { .fd = fd, .events = POLLIN };
        int count;

        batch.message[0].msg_hdr.msg_namelen = sizeof(from);
        count = recvmmsg(fd, batch.message, BATCH, MSG_DONTWAIT, NULL);
        if (count > 0) {
            memcpy(&number, batch.bytes[count - 1], sizeof(number));
            number++;
            owed += (uint32_t)count;
            atomic_fetch_add(&datagram->received, (uint64_t)count);
            atomic_store(&datagram->highest, number);
            work_done(work, (uint64_t)count);
        } else if (poll(&ready, 1, owed > 0 ? QUIET_MS : POLL_MS) != 0) {
            continue;
        }
        if (owed >= BATCH || (count <= 0 && owed > 0)) {
            owed = 0;
            (void)sendto(fd, &number, sizeof(number), MSG_DONTWAIT | MSG_NOSIGNAL,
                         (struct sockaddr *)&from, sizeof(from));
        }
    }
}

static void body(struct work *work, const void *arg)
{
    struct datagram *datagram = *(struct datagram *const *)arg;
    const int size = BUFFER_BYTES;
    const int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);

    if (fd < 0) {
        work_error(work, "socket: %s", strerror(errno));
        return;
    }
    (void)setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &size, sizeof(size));
    if (datagram->receives) {
        receive_all(work, datagram, fd);
    } else {
        send_all(work, datagram, fd);
    }
    close(fd);
}

static void more(const void *arg)
{
    const struct datagram *datagram = *(struct datagram *const *)arg;
    const uint64_t highest = atomic_load(&datagram->highest);
    const uint64_t received = atomic_load(&datagram->received);

    printf(" sent=%llu received=%llu lost=%llu stalls=%llu",
           (unsigned long long)atomic_load(&datagram->sent), (unsigned long long)received,
           (unsigned long long)(highest > received ? highest - received : 0),
           (unsigned long long)atomic_load(&datagram->stalls));
}

int command_datagram(const char *const words[WORDS_MAX])
{
    static struct worker worker = {
        .name = "datagram", .letter = 'd', .body = body, .more = more
    };
    static struct datagram *datagram;

    if (datagram == NULL) {
        datagram = shared_memory(sizeof(*datagram));
        if (datagram == NULL) {
            return fail("no memory");
        }
    }
    if (strcmp(words[1], "start") == 0 && worker.pid == 0) {
        memset(datagram, 0, sizeof(*datagram));
        datagram->receives = strcmp(words[2], "receive") == 0;
        datagram->where.sin_family = AF_INET;
        datagram->where.sin_port = htons((uint16_t)strtoul(words[3], NULL, 10));
        datagram->bytes = strtoul(words[4], NULL, 10);
        if (!datagram->receives &&
            (inet_pton(AF_INET, words[2], &datagram->where.sin_addr) != 1 ||
             datagram->bytes < BYTES_MIN || datagram->bytes > BYTES_MAX)) {
            return fail("an address and %u to %u bytes", BYTES_MIN, BYTES_MAX);
        }
    }
    return worker_command(&worker, words[1], (const void *)&datagram);
}
