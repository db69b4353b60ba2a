/* SPDX-License-Identifier: BSD-3-Clause */
#include <time.h>

#include "link/client/client_inside.h"
#include "os/clock.h"

#define SPINS 16u /* looks at the socket between two at the clock */

void ferry_client_rouse(struct ferry_waiter *waiter)
{
    waiter->done = 1;
    if (waiter->asleep) {
        pthread_cond_signal(&waiter->wake);
    }
}

void ferry_client_stop_reading(struct ferry_client *client)
{
    struct ferry_waiter *waiter = client->sleepers;

    client->reading = 0;
    client->reads++;
    if (client->parked &&
        (!client->dispatcher || client->due_first || ferry_client_leaves_twin(client))) {
        client->parked = 0;
        ferry_client_watch(client);
    }
    /* One whose request has ended leaves without reading: it must not be the one. */
    while (waiter && waiter->done) {
        waiter = waiter->next;
    }
    if (waiter) {
        pthread_cond_signal(&waiter->wake);
    }
}

/* Sleeps while another thread reads. Return: 0 when the limit ran out. */
static int sleep_until(struct ferry_client *client, struct ferry_waiter *waiter,
                       uint64_t deadline_ns)
{
    struct timespec until = { .tv_sec = (time_t)(deadline_ns / FERRY_NS_PER_S),
                              .tv_nsec = (long)(deadline_ns % FERRY_NS_PER_S) };
    struct ferry_waiter **link = &client->sleepers;
    pthread_condattr_t attr;
    int in_time = 1;

    pthread_condattr_init(&attr);
    pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
    pthread_cond_init(&waiter->wake, &attr);
    pthread_condattr_destroy(&attr);
    waiter->asleep = 1;
    waiter->next = client->sleepers;
    client->sleepers = waiter;
    while (!waiter->done && client->reading && in_time) {
        in_time = pthread_cond_timedwait(&waiter->wake, &client->lock, &until) == 0;
    }
    while (*link != waiter) {
        link = &(*link)->next;
    }
    *link = waiter->next;
    waiter->asleep = 0;
    pthread_cond_destroy(&waiter->wake);
    return in_time || waiter->done || !client->reading;
}

/*
 * Waits for the socket with the lock released; who waits to read also for the twin.
 * Return: 0 when the limit ran out.
 */
static int poll_until(struct ferry_client *client, uint32_t what, uint64_t deadline_ns)
{
    uint32_t twin =
        FERRY_OS_POLL_READ | (client->twin.tx.first ? FERRY_OS_POLL_WRITE : 0);
    int other = client->twin.fd;
    uint64_t now = ferry_os_now_ns();

    if (now >= deadline_ns) {
        return 0;
    }
    if (!(what & FERRY_OS_POLL_READ) || ferry_client_leaves_twin(client)) {
        other = -1;
    }
    pthread_mutex_unlock(&client->lock);
    ferry_os_poll_two(client->fd, what, other, twin,
                      (uint32_t)((deadline_ns - now) / FERRY_NS_PER_MS) + 1);
    pthread_mutex_lock(&client->lock);
    return 1;
}

/*
 * Another thread reads, but nobody else may be there to send the rest of this
 * request.
 */
static int follow(struct ferry_client *client, struct ferry_slot *slot,
                  struct ferry_waiter *waiter, uint64_t deadline_ns)
{
    int in_time;

    if (slot->state != FERRY_SLOT_QUEUED) {
        return sleep_until(client, waiter, deadline_ns);
    }
    in_time = poll_until(client, FERRY_OS_POLL_WRITE, deadline_ns);
    ferry_client_flush(client);
    return in_time;
}

/* Receives, the lock released; looks for bytes for a while before it sleeps. */
static int receive_waiting(struct ferry_client *client, void *dst, size_t bytes,
                           size_t *ret_direct)
{
    uint64_t until = 0;
    uint64_t now;
    uint32_t i;
    int rc;

    if (client->spin_ns > 0) {
        do {
            for (i = 0; i < SPINS; i++) {
                rc = ferry_rx_receive(&client->rx, client->fd, dst, bytes,
                                      FERRY_OS_NOWAIT, ret_direct);
                if (rc != FERRY_E_AGAIN) {
                    return rc;
                }
            }
            now = ferry_os_now_ns();
            until = until > 0 ? until : now + client->spin_ns;
        } while (now < until);
    }
    return ferry_rx_receive(&client->rx, client->fd, dst, bytes, FERRY_OS_WAIT,
                            ret_direct);
}

/*
 * The short way: one waiting receive with the lock released. It writes to rx and, when
 * the reply that is coming in is this thread's own, to its request's memory, which
 * only this thread could give up.
 */
static int read_blocking(struct ferry_client *client)
{
    struct ferry_codec_sink *sink = &client->intake.sink;
    uint8_t *dst = sink->dst;
    size_t direct = 0;
    int rc;

    if (client->intake.active && sink->mode == FERRY_CODEC_COPY) {
        direct = sink->bytes;
    }
    pthread_mutex_unlock(&client->lock);
    rc = receive_waiting(client, dst, direct, &direct);
    pthread_mutex_lock(&client->lock);
    ferry_client_received(client, rc, direct);
    return rc != FERRY_E_TIMEOUT;
}

/* Receives once as the reader. Return: 0 when the limit ran out. */
static int read_once(struct ferry_client *client, const struct ferry_waiter *waiter,
                     uint64_t deadline_ns, int *fresh)
{
    const struct ferry_intake *intake = &client->intake;
    int others = intake->active && intake->sink.mode == FERRY_CODEC_COPY &&
                 intake->slot && intake->slot->waiter != waiter;
    uint32_t what = FERRY_OS_POLL_READ;

    if (*fresh && !others && !client->tx.first &&
        (client->twin.fd < 0 || ferry_client_leaves_twin(client))) {
        /* The socket's own limit is the whole limit: only good for the first wait. */
        *fresh = 0;
        return read_blocking(client);
    }
    if (client->tx.first) {
        what |= FERRY_OS_POLL_WRITE;
    }
    if (!poll_until(client, what, deadline_ns)) {
        return 0;
    }
    ferry_client_flush(client);
    if (!ferry_client_receive(client) && !ferry_client_leaves_twin(client)) {
        ferry_client_twin_step(client);
    }
    return 1;
}

void ferry_client_wait(struct ferry_client *client, struct ferry_slot *slot,
                       struct ferry_waiter *waiter)
{
    uint64_t deadline_ns = slot->deadline_ns;
    int in_time;
    int mine = 0;
    int fresh = 1;

    while (!waiter->done) {
        if (mine || !client->reading) {
            client->reading = mine = 1;
            in_time = read_once(client, waiter, deadline_ns, &fresh);
        } else {
            fresh = 0;
            in_time = follow(client, slot, waiter, deadline_ns);
        }
        if (!in_time && !waiter->done) {
            ferry_client_give_up(client, slot);
        }
    }
    if (mine) {
        ferry_client_stop_reading(client);
    }
}
