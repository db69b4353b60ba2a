/* SPDX-License-Identifier: BSD-3-Clause */
#include <stdlib.h>

#include "host/channel/channel_inside.h"
#include "os/clock.h"
#include "os/memory.h"
#include "os/socket.h"

void ferry_channel_watch(struct ferry_channel *channel)
{
    uint32_t events = 0;
    int limited = channel->token_timer.deadline_ns != 0;

    if (!channel->in_dead && !channel->resting) {
        events |= FERRY_LOOP_READ;
    }
    if (channel->first && !channel->out_dead && !limited) {
        events |= FERRY_LOOP_WRITE;
    }
    if (events == channel->watch.events) {
        return;
    }
    /* Without anything wanted a hung-up peer would be reported again and again. */
    if (events == 0) {
        ferry_loop_remove(channel->loop, &channel->watch);
    } else if (channel->watch.events == 0) {
        channel->watch.priv[0] = 0;
        channel->watch.priv[1] = 0;
        channel->watch.events = events;
        if (ferry_loop_add(channel->loop, &channel->watch) < 0) {
            channel->in_dead = 1;
            channel->out_dead = 1;
        }
        return;
    } else {
        ferry_loop_change(channel->loop, &channel->watch, events);
    }
    channel->watch.events = events;
}

static void discard_input(struct ferry_channel *channel)
{
    struct iovec iov = { channel->input, FERRY_CHANNEL_INPUT_BYTES };
    int rc = ferry_os_receive(channel->fd, &iov, 1, NULL, FERRY_OS_NOWAIT);

    if (rc < 0 && rc != FERRY_E_AGAIN) {
        ferry_channel_end_input(channel, NULL);
    }
}

/* A lingering channel is done when the peer has closed, or does not listen any more. */
static int lingered(struct ferry_channel *channel)
{
    if (channel->sink || !(channel->in_dead || channel->out_dead)) {
        return 0;
    }
    ferry_channel_destroy(channel);
    return 1;
}

static void ready(struct ferry_watch *watch, uint32_t events)
{
    struct ferry_channel *channel = watch->user;

    if (events & FERRY_LOOP_WRITE) {
        ferry_channel_flush(channel);
    }
    if ((events & (FERRY_LOOP_READ | FERRY_LOOP_HANGUP)) && !channel->in_dead) {
        if (channel->sink) {
            ferry_channel_input(channel);
        } else {
            discard_input(channel);
        }
        ferry_channel_watch(channel);
    }
    lingered(channel);
}

static int flush_idle(struct ferry_loop_idle *idle)
{
    struct ferry_channel *channel = idle->user;

    ferry_channel_flush(channel);
    if (channel->sink && channel->input_tail > channel->input_head && !channel->resting) {
        ferry_channel_input(channel);
        ferry_channel_watch(channel);
    }
    lingered(channel);
    return 0;
}

static void tokens_due(struct ferry_loop_timer *timer, uint64_t now_ns)
{
    (void)now_ns;
    ferry_channel_flush(timer->user);
}

static void linger_over(struct ferry_loop_timer *timer, uint64_t now_ns)
{
    (void)now_ns;
    ferry_channel_destroy(timer->user);
}

int ferry_channel_create(struct ferry_loop *loop, int fd,
                         const struct ferry_channel_sink *sink, void *user,
                         struct ferry_channel **ret_channel)
{
    struct ferry_channel *channel = malloc(sizeof(*channel));
    uint8_t *buffers = malloc(FERRY_CHANNEL_INPUT_BYTES + FERRY_RECORD_CONTROL_MAX);

    if (!channel || !buffers) {
        free(channel);
        free(buffers);
        ferry_os_close(&fd);
        return FERRY_E_MEMORY;
    }
    *channel = (struct ferry_channel){
        .loop = loop,
        .fd = fd,
        .bucket = &channel->own,
        .sink = sink,
        .user = user,
        .input = buffers,
        .scratch = buffers + FERRY_CHANNEL_INPUT_BYTES,
        .watch = { .fd = fd, .events = FERRY_LOOP_READ, .fn = ready, .user = channel },
        .flusher = { .fn = flush_idle, .user = channel },
        .token_timer = { .fn = tokens_due, .user = channel },
        .linger_timer = { .fn = linger_over, .user = channel },
    };
    if (ferry_loop_add(loop, &channel->watch) < 0) {
        free(buffers);
        free(channel);
        ferry_os_close(&fd);
        return FERRY_E_IO;
    }
    ferry_loop_idle_add(loop, &channel->flusher);
    *ret_channel = channel;
    return FERRY_OK;
}

void ferry_channel_destroy(struct ferry_channel *channel)
{
    struct ferry_channel **link = channel->list;

    channel->sink = NULL;
    channel->bucket = &channel->own;
    channel->own.limit_bytes_per_s = 0;
    ferry_channel_flush(channel);
    /* A release must not queue anything any more. */
    channel->out_dead = 1;
    ferry_channel_free_queue(channel);
    while (link && *link && *link != channel) {
        link = &(*link)->next_lingering;
    }
    if (link && *link) {
        *link = channel->next_lingering;
    }
    ferry_loop_timer_cancel(channel->loop, &channel->token_timer);
    ferry_loop_timer_cancel(channel->loop, &channel->linger_timer);
    ferry_loop_idle_remove(channel->loop, &channel->flusher);
    if (channel->watch.events != 0) {
        ferry_loop_remove(channel->loop, &channel->watch);
    }
    ferry_os_close(&channel->fd);
    free(channel->input);
    free(channel);
}

void ferry_channel_linger(struct ferry_channel *channel, struct ferry_channel **list)
{
    channel->sink = NULL;
    channel->resting = 0;
    /* After bad input the peer still has to hear why: what it sends is thrown away. */
    channel->in_dead = 0;
    ferry_channel_drop_data(channel);
    ferry_channel_own_bodies(channel);
    channel->bucket = &channel->own;
    channel->own.limit_bytes_per_s = 0;
    channel->list = list;
    channel->next_lingering = *list;
    *list = channel;
    ferry_loop_timer_set(channel->loop, &channel->linger_timer,
                         ferry_os_now_ns() + FERRY_CHANNEL_LINGER_NS);
    ferry_channel_flush(channel);
    ferry_loop_idle_start(channel->loop, &channel->flusher);
}
