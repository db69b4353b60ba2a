/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef FERRY_OS_LOOP_H
#define FERRY_OS_LOOP_H

#include <stdint.h>

/*
 * Descriptors, timers and idle work behind one epoll descriptor, so that a whole
 * subsystem is one descriptor for the program that embeds it. Thread: one thread only.
 */
struct ferry_loop;

#define FERRY_LOOP_READ 1u
#define FERRY_LOOP_WRITE 4u
#define FERRY_LOOP_HANGUP 16u /* reported without being asked for */

/* The caller's memory; registered until ferry_loop_remove(). */
struct ferry_watch {
    int fd;          /* borrowed */
    uint32_t events; /* FERRY_LOOP_READ | FERRY_LOOP_WRITE wanted */
    void (*fn)(struct ferry_watch *watch, uint32_t events);
    void *user;
    uint32_t priv[2]; /* the loop's own; zero before the first add */
};

struct ferry_loop_timer {
    void (*fn)(struct ferry_loop_timer *timer, uint64_t now_ns);
    void *user;
    uint64_t deadline_ns;          /* the loop's own; 0: not armed */
    struct ferry_loop_timer *next; /* the loop's own */
};

/* Work for when nothing else is ready: fn returns 1 while it has more to do at once. */
struct ferry_loop_idle {
    int (*fn)(struct ferry_loop_idle *idle);
    void *user;
    uint32_t active;              /* set with ferry_loop_idle_start() */
    struct ferry_loop_idle *next; /* the loop's own */
};

/* Return: FERRY_OK, FERRY_E_LIMIT (no more descriptors), FERRY_E_IO, FERRY_E_MEMORY. */
int ferry_loop_create(struct ferry_loop **ret_loop);
void ferry_loop_destroy(struct ferry_loop *loop);

/* Readable when ferry_loop_dispatch(loop, 0) has something to do (active idle included).
 */
int ferry_loop_fd(const struct ferry_loop *loop);

int ferry_loop_add(struct ferry_loop *loop, struct ferry_watch *watch);
int ferry_loop_change(struct ferry_loop *loop, struct ferry_watch *watch,
                      uint32_t events);
/* Safe from within a callback, also for another watch of the same batch of events. */
void ferry_loop_remove(struct ferry_loop *loop, struct ferry_watch *watch);

/* Arms or re-arms (monotonic time); a timer fires once. */
void ferry_loop_timer_set(struct ferry_loop *loop, struct ferry_loop_timer *timer,
                          uint64_t deadline_ns);
void ferry_loop_timer_cancel(struct ferry_loop *loop, struct ferry_loop_timer *timer);

void ferry_loop_idle_add(struct ferry_loop *loop, struct ferry_loop_idle *idle);
void ferry_loop_idle_remove(struct ferry_loop *loop, struct ferry_loop_idle *idle);
/* Makes idle run before the next wait; it goes on until its fn returns 0. */
void ferry_loop_idle_start(struct ferry_loop *loop, struct ferry_loop_idle *idle);

/*
 * Waits at most timeout_ms (-1: for ever, 0: not at all) and runs what is ready once.
 * Return: number of callbacks run, FERRY_E_IO.
 */
int ferry_loop_dispatch(struct ferry_loop *loop, int timeout_ms);

#endif
