/* SPDX-License-Identifier: BSD-3-Clause */
#include "models/nic/net/stream/stream.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/timerfd.h>
#include <unistd.h>

#include "models/nic/net/stream/framer.h"

#define NS_PER_MS 1000000l

/*
 * The owner watches one epoll descriptor. In it is the peer while there is one, else what
 * says that another can be had: the way's own descriptor, or a timer.
 */
struct stream {
    struct nic_net net;
    const struct nic_stream_way *ops;
    void *way;
    struct nic_framer framer;
    int peer;
    int timer;
    uint32_t writing; /* 1: waits for room to write as well */
    uint32_t held;    /* 1: what comes is not wanted now */
    uint32_t deaf;    /* 1: the peer takes nothing more; what it sent is still read */
    uint32_t pad;
};

static int change(struct stream *stream, int how, int fd, uint32_t events)
{
    struct epoll_event event = { .events = events };

    return epoll_ctl(stream->net.fd, how, fd, &event);
}

/* -1: what can be had is not told of. */
static int way_fd(const struct stream *stream)
{
    return stream->ops->fd != NULL ? stream->ops->fd(stream->way) : -1;
}

/* The time of the next try; the timer stays silent until then. */
static void set_timer(struct stream *stream)
{
    const long ms =
        stream->ops->pace_ms != 0 ? (long)stream->ops->pace_ms : (long)NIC_STREAM_PACE_MS;
    const struct itimerspec at = { .it_value = { .tv_sec = ms / 1000,
                                                 .tv_nsec = ms % 1000 * NS_PER_MS } };

    (void)timerfd_settime(stream->timer, 0, &at, NULL);
}

/* After which another peer is waited for. */
static void wait_for_peer(struct stream *stream)
{
    const int fd = way_fd(stream);

    if (fd >= 0) {
        (void)change(stream, EPOLL_CTL_ADD, fd, EPOLLIN);
    } else {
        set_timer(stream);
    }
}

/* What of the peer is waited for. */
static uint32_t peer_events(const struct stream *stream)
{
    return (stream->held != 0 ? 0u : (uint32_t)EPOLLIN) |
           (stream->writing != 0 ? (uint32_t)EPOLLOUT : 0u);
}

static void want_write(struct stream *stream, uint32_t wanted)
{
    if (stream->writing != wanted) {
        stream->writing = wanted;
        (void)change(stream, EPOLL_CTL_MOD, stream->peer, peer_events(stream));
    }
}

static void stream_hold(struct nic_net *net, uint32_t on)
{
    struct stream *stream = (struct stream *)net;

    stream->held = on;
    if (stream->peer >= 0) {
        (void)change(stream, EPOLL_CTL_MOD, stream->peer, peer_events(stream));
    }
}

static void drop_peer(struct stream *stream, int status)
{
    if (status == FERRY_E_PROTOCOL) {
        stream->net.broken++;
    }
    nic_net_close_fd(&stream->peer); /* which takes it out of the epoll set too */
    nic_framer_reset(&stream->framer);
    stream->writing = 0;
    stream->deaf = 0;
    stream->net.link_up = 0;
    stream->net.pending = 0;
    if (stream->ops->ended != NULL) {
        stream->ops->ended(stream->way);
    }
    wait_for_peer(stream);
}

/* 1: the time to try has come. */
static int timer_ended(struct stream *stream)
{
    uint64_t times;

    return read(stream->timer, &times, sizeof(times)) == (ssize_t)sizeof(times);
}

/* A peer if there is one, else a time for the next try. */
static void connect_now(struct stream *stream)
{
    const int waited = way_fd(stream);
    int fd = -1;
    const int status = stream->ops->connect(stream->way, &fd);

    if (waited >= 0 && status == FERRY_E_AGAIN) {
        return;
    }
    /* Others that want to be the peer wait until this one has gone; and one that cannot
     * be had (no descriptors are left) is not asked for all the time. */
    if (waited >= 0) {
        (void)change(stream, EPOLL_CTL_DEL, waited, 0);
    }
    if (status < 0) {
        set_timer(stream);
        return;
    }
    stream->peer = fd;
    if (change(stream, EPOLL_CTL_ADD, fd, peer_events(stream)) < 0) {
        drop_peer(stream, FERRY_E_IO);
        return;
    }
    stream->net.link_up = 1;
    stream->net.connects++;
}

static void try_connect(struct stream *stream)
{
    const int waited = way_fd(stream);
    const int timed = timer_ended(stream);

    if (waited >= 0 && timed) {
        (void)change(stream, EPOLL_CTL_ADD, waited, EPOLLIN);
    }
    if (waited >= 0 || timed) {
        connect_now(stream);
    }
}

static int stream_send(struct nic_net *net, const struct nic_frame *frame, uint32_t count)
{
    struct stream *stream = (struct stream *)net;
    uint32_t taken = 0;
    int status;

    if (stream->peer >= 0 && stream->deaf == 0) {
        status =
            nic_framer_send(&stream->framer, stream->peer, net, frame, count, &taken);
        if (status == FERRY_OK || status == FERRY_E_AGAIN) {
            want_write(stream, status == FERRY_E_AGAIN);
            return (int)taken;
        }
        stream->deaf = 1;
        net->pending = 1;
    }
    net->dropped += count - taken;
    return (int)count;
}

static int stream_receive(struct nic_net *net, struct nic_frame *frame, uint32_t count)
{
    struct stream *stream = (struct stream *)net;
    uint32_t came = 0;
    int status;

    if (stream->peer < 0) {
        try_connect(stream);
    }
    if (stream->peer < 0) {
        return 0;
    }
    if (stream->writing != 0) {
        status = nic_framer_flush(&stream->framer, stream->peer);
        if (status == FERRY_E_CLOSED) {
            stream->deaf = 1;
        }
        want_write(stream, status == FERRY_E_AGAIN);
    }
    status = nic_framer_receive(&stream->framer, stream->peer, net, frame, count, &came);
    if (status == FERRY_OK && stream->deaf != 0 && came < count) {
        status = FERRY_E_CLOSED;
    }
    if (status < 0) {
        drop_peer(stream, status);
    }
    return (int)came;
}

static void stream_close(struct nic_net *net)
{
    struct stream *stream = (struct stream *)net;

    nic_net_close_fd(&stream->peer);
    stream->ops->destroy(stream->way);
    nic_net_close_fd(&stream->timer);
    nic_net_close_fd(&net->fd);
    nic_framer_fini(&stream->framer);
    free(stream);
}

static const struct nic_net_ops stream_ops = {
    .name = "stream",
    .send = stream_send,
    .receive = stream_receive,
    .hold = stream_hold,
    .close = stream_close,
};

int nic_stream_create(const struct nic_stream_way *ops, void *way,
                      struct nic_net **ret_net, struct ferry_error *reterr)
{
    struct stream *stream = calloc(1, sizeof(*stream));

    if (stream == NULL || nic_framer_init(&stream->framer) < 0) {
        free(stream);
        ops->destroy(way);
        return ferry_error_set(reterr, FERRY_E_MEMORY, "nic", NULL, 0, "no memory");
    }
    stream->net.ops = &stream_ops;
    stream->ops = ops;
    stream->way = way;
    stream->peer = -1;
    stream->net.fd = epoll_create1(EPOLL_CLOEXEC);
    stream->timer = timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK | TFD_CLOEXEC);
    if (stream->net.fd < 0 || stream->timer < 0 ||
        change(stream, EPOLL_CTL_ADD, stream->timer, EPOLLIN) < 0) {
        const int err = errno;

        stream_close(&stream->net);
        return nic_net_errno(reterr, err, ops->name);
    }
    if (way_fd(stream) >= 0) {
        wait_for_peer(stream);
    } else {
        connect_now(stream);
    }
    *ret_net = &stream->net;
    return FERRY_OK;
}
