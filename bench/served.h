/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef FERRY_BENCH_SERVED_H
#define FERRY_BENCH_SERVED_H

#include <stdint.h>
#include <sys/types.h>

#include "link/client/client.h"

/*
 * A server in a process of its own, over a socketpair: Ferry's, of an endpoint that
 * answers every region access at once, or a bare floor to compare it with.
 */
struct bench_served {
    pid_t pid;
    int fd;                      /* the floor's socket */
    struct ferry_client *client; /* NULL: the floor */
};

/* spin_us: of both ends; 0: they sleep. */
void bench_serve_ferry(struct bench_served *served, int cpu, uint32_t spin_us);
/* floor: serves fd and does not return; arg is given to it. */
void bench_serve_floor(struct bench_served *served, int cpu,
                       void (*floor)(int fd, uint32_t arg), uint32_t arg);
void bench_served_end(struct bench_served *served);

#endif
