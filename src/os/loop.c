/* SPDX-License-Identifier: BSD-3-Clause */
#define _GNU_SOURCE
#include "os/loop.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/timerfd.h>
#include <unistd.h>

#include "ferry/error.h"
#include "os/clock.h"
#include "os/errno.h"
#include "os/eventfd.h"
#include "os/memory.h"

#define BATCH 64
#define SLOTS_FIRST 16u

/* epoll data of the loop's own descriptors; a watch's is its slot and generation. */
#define TIMER_KEY UINT64_MAX
#define IDLE_KEY (UINT64_MAX - 1)

/*
 * Events name a slot and its generation, never a watch: a watch that went away (and may
 * be freed memory) after epoll_wait() returned is found gone instead of being called.
 */
struct slot {
    struct ferry_watch *watch; /* NULL: free */
    uint32_t generation;
    uint32_t next_free; /* slot number + 1; 0: none */
};

struct ferry_loop {
    int epoll_fd;
    int timer_fd;
    int idle_fd; /* readable while any idle is active */
    uint32_t slot_count;
    uint32_t first_free; /* slot number + 1; 0: none */
    uint32_t idle_signalled;
    struct slot *slot;
    struct ferry_loop_timer *timer; /* ascending deadlines */
    struct ferry_loop_idle *idle;
    struct ferry_loop_idle *idle_next; /* next to run in this round */
    uint64_t armed_ns;                 /* when timer_fd will fire; 0: not armed */
};

static uint32_t to_epoll(uint32_t events)
{
    return ((events & FERRY_LOOP_READ) != 0 ? (uint32_t)EPOLLIN : 0) |
           ((events & FERRY_LOOP_WRITE) != 0 ? (uint32_t)EPOLLOUT : 0);
}

static uint32_t from_epoll(uint32_t events)
{
    return ((events & EPOLLIN) != 0 ? FERRY_LOOP_READ : 0) |
           ((events & EPOLLOUT) != 0 ? FERRY_LOOP_WRITE : 0) |
           ((events & (EPOLLHUP | EPOLLERR)) != 0 ? FERRY_LOOP_HANGUP : 0);
}

static int epoll_set(const struct ferry_loop *loop, int operation, int fd,
                     uint32_t events, uint64_t key)
{
    struct epoll_event event = { .events = events, .data.u64 = key };

    return epoll_ctl(loop->epoll_fd, operation, fd, &event) < 0 ? ferry_os_status(errno)
                                                                : FERRY_OK;
}

static uint64_t watch_key(const struct ferry_watch *watch)
{
    return (uint64_t)watch->priv[1] << 32 | (watch->priv[0] - 1);
}

static int grow_slots(struct ferry_loop *loop)
{
    uint32_t count = loop->slot_count == 0 ? SLOTS_FIRST : loop->slot_count * 2;
    struct slot *bigger = realloc(loop->slot, count * sizeof(*bigger));

    if (bigger == NULL) {
        return FERRY_E_MEMORY;
    }
    loop->slot = bigger;
    for (uint32_t i = loop->slot_count; i < count; i++) {
        bigger[i] = (struct slot){ .next_free = loop->first_free };
        loop->first_free = i + 1;
    }
    loop->slot_count = count;
    return FERRY_OK;
}

int ferry_loop_create(struct ferry_loop **ret_loop)
{
    struct ferry_loop *loop = calloc(1, sizeof(*loop));
    int status;

    if (loop == NULL) {
        return FERRY_E_MEMORY;
    }
    loop->idle_fd = -1;
    loop->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
    loop->timer_fd = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK);
    if (loop->epoll_fd < 0 || loop->timer_fd < 0) {
        status = ferry_os_status(errno); /* out of descriptors, or of memory */
        goto out;
    }
    status = ferry_os_eventfd_create(&loop->idle_fd);
    if (status == FERRY_OK) {
        status = epoll_set(loop, EPOLL_CTL_ADD, loop->timer_fd, EPOLLIN, TIMER_KEY);
    }
    if (status == FERRY_OK) {
        status = epoll_set(loop, EPOLL_CTL_ADD, loop->idle_fd, EPOLLIN, IDLE_KEY);
    }
out:
    if (status != FERRY_OK) {
        ferry_loop_destroy(loop);
        return status;
    }
    *ret_loop = loop;
    return FERRY_OK;
}

void ferry_loop_destroy(struct ferry_loop *loop)
{
    if (loop == NULL) {
        return;
    }
    ferry_os_close(&loop->idle_fd);
    ferry_os_close(&loop->timer_fd);
    ferry_os_close(&loop->epoll_fd);
    free(loop->slot);
    free(loop);
}

int ferry_loop_fd(const struct ferry_loop *loop)
{
    return loop->epoll_fd;
}

int ferry_loop_add(struct ferry_loop *loop, struct ferry_watch *watch)
{
    struct slot *slot;
    uint32_t number;
    int status;

    if (watch->priv[0] != 0) {
        return FERRY_E_EXISTS;
    }
    if (loop->first_free == 0 && grow_slots(loop) != FERRY_OK) {
        return FERRY_E_MEMORY;
    }
    number = loop->first_free - 1;
    slot = &loop->slot[number];
    watch->priv[0] = number + 1;
    watch->priv[1] = slot->generation;
    status = epoll_set(loop, EPOLL_CTL_ADD, watch->fd, to_epoll(watch->events),
                       watch_key(watch));
    if (status != FERRY_OK) {
        watch->priv[0] = 0;
        return status;
    }
    loop->first_free = slot->next_free;
    slot->watch = watch;
    return FERRY_OK;
}

int ferry_loop_change(struct ferry_loop *loop, struct ferry_watch *watch, uint32_t events)
{
    int status;

    if (watch->priv[0] == 0) {
        return FERRY_E_NOT_FOUND;
    }
    if (watch->events == events) {
        return FERRY_OK;
    }
    status =
        epoll_set(loop, EPOLL_CTL_MOD, watch->fd, to_epoll(events), watch_key(watch));
    if (status == FERRY_OK) {
        watch->events = events;
    }
    return status;
}

void ferry_loop_remove(struct ferry_loop *loop, struct ferry_watch *watch)
{
    struct slot *slot;

    if (watch->priv[0] == 0) {
        return;
    }
    slot = &loop->slot[watch->priv[0] - 1];
    /* Fails when the descriptor is closed already; then it is out of the set as well. */
    (void)epoll_set(loop, EPOLL_CTL_DEL, watch->fd, 0, 0);
    slot->watch = NULL;
    /* The highest generations are the loop's own keys. */
    slot->generation = slot->generation == UINT32_MAX - 1 ? 0 : slot->generation + 1;
    slot->next_free = loop->first_free;
    loop->first_free = watch->priv[0];
    watch->priv[0] = 0;
}

/*
 * Makes timer_fd fire no later than the first deadline. It is left alone when it fires
 * earlier anyway: a limit that is set and cancelled with every message costs no system
 * call.
 */
static void arm(struct ferry_loop *loop)
{
    struct itimerspec when = { { 0, 0 }, { 0, 0 } };
    uint64_t first = loop->timer != NULL ? loop->timer->deadline_ns : 0;

    if (first == 0 || (loop->armed_ns != 0 && loop->armed_ns <= first)) {
        return;
    }
    when.it_value.tv_sec = (time_t)(first / FERRY_NS_PER_S);
    when.it_value.tv_nsec = (long)(first % FERRY_NS_PER_S);
    (void)timerfd_settime(loop->timer_fd, TFD_TIMER_ABSTIME, &when, NULL);
    loop->armed_ns = first;
}

void ferry_loop_timer_cancel(struct ferry_loop *loop, struct ferry_loop_timer *timer)
{
    struct ferry_loop_timer **link = &loop->timer;

    if (timer->deadline_ns == 0) {
        return;
    }
    while (*link != NULL && *link != timer) {
        link = &(*link)->next;
    }
    if (*link == timer) {
        *link = timer->next;
    }
    timer->next = NULL;
    timer->deadline_ns = 0;
}

void ferry_loop_timer_set(struct ferry_loop *loop, struct ferry_loop_timer *timer,
                          uint64_t deadline_ns)
{
    struct ferry_loop_timer **link = &loop->timer;

    ferry_loop_timer_cancel(loop, timer);
    timer->deadline_ns = deadline_ns == 0 ? 1 : deadline_ns;
    while (*link != NULL && (*link)->deadline_ns <= timer->deadline_ns) {
        link = &(*link)->next;
    }
    timer->next = *link;
    *link = timer;
    arm(loop);
}

static int run_timers(struct ferry_loop *loop)
{
    uint64_t fired;
    uint64_t now = ferry_os_now_ns();
    uint32_t due = 0;
    int ran = 0;

    (void)ferry_os_eventfd_drain(loop->timer_fd, &fired);
    loop->armed_ns = 0;
    for (struct ferry_loop_timer *t = loop->timer; t != NULL && t->deadline_ns <= now;
         t = t->next) {
        due++;
    }
    /* Counted first: a timer that sets itself to now again must not keep us here. */
    for (; due > 0 && loop->timer != NULL && loop->timer->deadline_ns <= now; due--) {
        struct ferry_loop_timer *timer = loop->timer;

        loop->timer = timer->next;
        timer->next = NULL;
        timer->deadline_ns = 0;
        timer->fn(timer, now);
        ran++;
    }
    arm(loop);
    return ran;
}

void ferry_loop_idle_add(struct ferry_loop *loop, struct ferry_loop_idle *idle)
{
    idle->active = 0;
    idle->next = loop->idle;
    loop->idle = idle;
}

void ferry_loop_idle_remove(struct ferry_loop *loop, struct ferry_loop_idle *idle)
{
    struct ferry_loop_idle **link = &loop->idle;

    while (*link != NULL && *link != idle) {
        link = &(*link)->next;
    }
    if (*link == idle) {
        *link = idle->next;
    }
    if (loop->idle_next == idle) {
        loop->idle_next = idle->next;
    }
    idle->next = NULL;
    idle->active = 0;
}

void ferry_loop_idle_start(struct ferry_loop *loop, struct ferry_loop_idle *idle)
{
    idle->active = 1;
    if (loop->idle_signalled == 0) {
        loop->idle_signalled = 1;
        (void)ferry_os_eventfd_signal(loop->idle_fd);
    }
}

/* Runs every active idle once. The eventfd stays readable until none is active any more.
 */
static int run_idle(struct ferry_loop *loop)
{
    int ran = 0;
    int active = 0;

    for (struct ferry_loop_idle *idle = loop->idle; idle != NULL;
         idle = loop->idle_next) {
        loop->idle_next = idle->next;
        if (idle->active != 0) {
            /* Cleared before the call, so that a start from within it is not lost; the
             * idle may be gone afterwards unless it returns 1. */
            idle->active = 0;
            ran++;
            if (idle->fn(idle) != 0) {
                idle->active = 1;
            }
        }
    }
    loop->idle_next = NULL;
    for (const struct ferry_loop_idle *idle = loop->idle; idle != NULL;
         idle = idle->next) {
        active |= idle->active != 0;
    }
    if (active == 0) {
        (void)ferry_os_eventfd_drain(loop->idle_fd, NULL);
        loop->idle_signalled = 0;
    }
    return ran;
}

/* Calls the watch of an event, when it still is there. */
static int run_watch(struct ferry_loop *loop, const struct epoll_event *event)
{
    uint32_t number = (uint32_t)event->data.u64;
    uint32_t generation = (uint32_t)(event->data.u64 >> 32);
    struct ferry_watch *watch;

    if (number >= loop->slot_count) {
        return 0;
    }
    watch = loop->slot[number].watch;
    if (watch == NULL || loop->slot[number].generation != generation) {
        return 0;
    }
    watch->fn(watch, from_epoll(event->events));
    return 1;
}

int ferry_loop_dispatch(struct ferry_loop *loop, int timeout_ms)
{
    struct epoll_event event[BATCH];
    int timers = 0;
    int idles = 0;
    int ran = 0;
    int count = epoll_wait(loop->epoll_fd, event, BATCH, timeout_ms);

    if (count < 0) {
        /* A signal: the caller's loop looks at its flags and comes again. */
        return errno == EINTR ? 0 : FERRY_E_IO;
    }
    for (int i = 0; i < count; i++) {
        if (event[i].data.u64 == TIMER_KEY) {
            timers = 1;
        } else if (event[i].data.u64 == IDLE_KEY) {
            idles = 1;
        } else {
            ran += run_watch(loop, &event[i]);
        }
    }
    if (timers != 0) {
        ran += run_timers(loop);
    }
    if (idles != 0 || loop->idle_signalled != 0) {
        ran += run_idle(loop);
    }
    return ran;
}
