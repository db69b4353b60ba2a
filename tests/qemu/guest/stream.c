/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A TCP connection that carries data both ways. Each side knows what the other one sends,
 * and compares every byte: a byte's value follows from its place in the stream. The same
 * program runs at both ends.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "guest.h"

#define CHUNK_BYTES 16384u
/* So little that no queue on the way overflows: what is sent again is a move's doing. */
#define BUFFER_BYTES (128 * 1024)
#define LOOK_NS 100000000u /* at the connection's figures */
#define RETRY_NS 50000000L
#define POLL_MS 100

struct stream {
    struct sockaddr_in where;
    int listens, sends, receives, checks;
    _Atomic uint64_t sent, received, retransmits, rtt_us, connected;
};

/* What lies in a direction's stream at a place; splitmix64. */
static uint64_t word_at(uint64_t seed, uint64_t index)
{
    uint64_t x = seed + index * 0x9e3779b97f4a7c15u;

    x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9u;
    x = (x ^ (x >> 27)) * 0x94d049bb133111ebu;
    return x ^ (x >> 31);
}

/* The chunk that a place lies in. */
static void fill_chunk(uint64_t seed, uint64_t off, uint8_t *ret_chunk)
{
    const uint64_t first = off / CHUNK_BYTES * (CHUNK_BYTES / 8);

    for (size_t i = 0; i < CHUNK_BYTES / 8; i++) {
        const uint64_t word = word_at(seed, first + i);

        memcpy(ret_chunk + 8 * i, &word, 8);
    }
}

/* Each direction has its own seed. */
static uint64_t seed_of(const struct stream *stream, int out)
{
    return stream->listens == out ? 0x5eed5eed0001u : 0x5eed5eed0002u;
}

static int take_connection(struct work *work, struct stream *stream)
{
    const int on = 1;
    const int size = BUFFER_BYTES;
    const struct timespec pause = { .tv_nsec = RETRY_NS };
    const int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

    if (fd < 0) {
        return -1;
    }
    (void)setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
    (void)setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &size, sizeof(size));
    (void)setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &size, sizeof(size));
    if (!stream->listens) {
        while (!atomic_load(&work->stop)) {
            if (connect(fd, (struct sockaddr *)&stream->where, sizeof(stream->where)) ==
                0) {
                return fd;
            }
            (void)nanosleep(&pause, NULL);
        }
    } else if (bind(fd, (struct sockaddr *)&stream->where, sizeof(stream->where)) == 0 &&
               listen(fd, 1) == 0) {
        struct pollfd ready = { .fd = fd, .events = POLLIN };

        while (!atomic_load(&work->stop)) {
            if (poll(&ready, 1, POLL_MS) == 1) {
                const int taken = accept4(fd, NULL, NULL, SOCK_CLOEXEC);

                close(fd);
                return taken;
            }
        }
    }
    close(fd);
    return -1;
}

static void look(int fd, struct stream *stream)
{
    struct tcp_info info;
    socklen_t size = sizeof(info);

    memset(&info, 0, sizeof(info));
    if (getsockopt(fd, IPPROTO_TCP, TCP_INFO, &info, &size) == 0) {
        atomic_store(&stream->retransmits, info.tcpi_total_retrans);
        atomic_store(&stream->rtt_us, info.tcpi_rtt);
    }
}

/* Return: 1, or -1 when the connection is broken and that was noted. */
static int send_some(struct work *work, struct stream *stream, int fd)
{
    static uint8_t chunk[CHUNK_BYTES];
    const uint64_t off = atomic_load(&stream->sent);
    const size_t begin = off % CHUNK_BYTES;
    ssize_t count;

    if (begin == 0 && stream->checks) {
        fill_chunk(seed_of(stream, 1), off, chunk);
    }
    count = send(fd, chunk + begin, CHUNK_BYTES - begin, MSG_DONTWAIT | MSG_NOSIGNAL);
    if (count < 0) {
        if (errno == EAGAIN) {
            return 1;
        }
        work_error(work, "after %llu bytes sent: %s", (unsigned long long)off,
                   strerror(errno));
        return -1;
    }
    atomic_store(&stream->sent, off + (uint64_t)count);
    if (!stream->receives) {
        work_done(work, 1);
    }
    return 1;
}

static void compare(struct work *work, const struct stream *stream, uint64_t off,
                    const uint8_t *bytes, size_t count)
{
    static uint8_t right[CHUNK_BYTES];
    static uint64_t known = UINT64_MAX;

    while (count > 0) {
        const size_t begin = off % CHUNK_BYTES;
        const size_t part = count < CHUNK_BYTES - begin ? count : CHUNK_BYTES - begin;

        if (known != off / CHUNK_BYTES) {
            known = off / CHUNK_BYTES;
            fill_chunk(seed_of(stream, 0), off, right);
        }
        for (size_t i = 0; memcmp(right + begin, bytes, part) != 0 && i < part; i++) {
            if (right[begin + i] != bytes[i]) {
                work_error(work, "byte %llu is 0x%02x, and 0x%02x was sent",
                           (unsigned long long)off + i, bytes[i], right[begin + i]);
                break;
            }
        }
        off += part;
        bytes += part;
        count -= part;
    }
}

/* Return: 1; 0 at the end of the stream; -1 when it is broken and that was noted. */
static int receive_some(struct work *work, struct stream *stream, int fd)
{
    static uint8_t bytes[4 * CHUNK_BYTES];
    const uint64_t off = atomic_load(&stream->received);
    const ssize_t count = recv(fd, bytes, sizeof(bytes), MSG_DONTWAIT);

    if (count < 0 && errno == EAGAIN) {
        return 1;
    }
    if (count < 0) {
        work_error(work, "after %llu bytes received: %s", (unsigned long long)off,
                   strerror(errno));
        return -1;
    }
    if (count > 0 && stream->checks) {
        compare(work, stream, off, bytes, (size_t)count);
    }
    atomic_store(&stream->received, off + (uint64_t)count);
    if (count > 0) {
        work_done(work, 1);
    }
    return count > 0;
}

/* Until both directions have ended: one ends when its sender is told to stop, or when the
 * other one has ended. */
static void talk(struct work *work, struct stream *stream, int fd)
{
    uint64_t looked_ns = 0;
    int sends = stream->sends;
    int receives = 1;
    int ended = 0;

    while (receives > 0 || sends > 0) {
        struct pollfd ready = { .fd = fd };
        const uint64_t now = monotonic_ns();

        if ((atomic_load(&work->stop) || receives == 0) && !ended) {
            sends = 0;
            ended = 1;
            look(fd, stream);
            (void)shutdown(fd, SHUT_WR);
            continue;
        }
        ready.events = (short)((receives > 0 ? POLLIN : 0) | (sends > 0 ? POLLOUT : 0));
        (void)poll(&ready, 1, POLL_MS);
        if ((ready.revents & POLLOUT) != 0) {
            sends = send_some(work, stream, fd);
        }
        if (receives > 0 && (ready.revents & (POLLIN | POLLHUP | POLLERR)) != 0) {
            receives = receive_some(work, stream, fd);
        }
        if (sends < 0 || receives < 0) {
            break;
        }
        if (now - looked_ns > LOOK_NS) {
            looked_ns = now;
            look(fd, stream);
        }
    }
}

static void body(struct work *work, const void *arg)
{
    struct stream *stream = *(struct stream *const *)arg;
    const int fd = take_connection(work, stream);

    if (fd < 0) {
        if (!atomic_load(&work->stop)) {
            work_error(work, "no connection: %s", strerror(errno));
        }
        return;
    }
    atomic_store(&stream->connected, 1);
    talk(work, stream, fd);
    close(fd);
}

static void more(const void *arg)
{
    const struct stream *stream = *(struct stream *const *)arg;

    printf(" connected=%llu sent=%llu received=%llu retransmits=%llu rtt_us=%llu",
           (unsigned long long)atomic_load(&stream->connected),
           (unsigned long long)atomic_load(&stream->sent),
           (unsigned long long)atomic_load(&stream->received),
           (unsigned long long)atomic_load(&stream->retransmits),
           (unsigned long long)atomic_load(&stream->rtt_us));
}

int command_stream(const char *const words[WORDS_MAX])
{
    static struct worker worker = {
        .name = "stream", .letter = 's', .body = body, .more = more
    };
    static struct stream *stream;
    const char *way = words[4][0] != '\0' ? words[4] : "both";

    if (stream == NULL) {
        stream = shared_memory(sizeof(*stream));
        if (stream == NULL) {
            return fail("no memory");
        }
    }
    if (strcmp(words[1], "start") == 0 && worker.pid == 0) {
        memset(stream, 0, sizeof(*stream));
        stream->listens = strcmp(words[2], "listen") == 0;
        stream->sends = strcmp(way, "receive") != 0;
        stream->receives = strcmp(way, "send") != 0;
        stream->checks = strcmp(words[5], "plain") != 0;
        stream->where.sin_family = AF_INET;
        stream->where.sin_port = htons((uint16_t)strtoul(words[3], NULL, 10));
        if (!stream->listens &&
            inet_pton(AF_INET, words[2], &stream->where.sin_addr) != 1) {
            return fail("'listen' or an address, not '%s'", words[2]);
        }
    }
    return worker_command(&worker, words[1], (const void *)&stream);
}
