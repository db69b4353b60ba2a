/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef TEST_HOST_PAIR_H
#define TEST_HOST_PAIR_H

#include "ferry/host.h"
#include "test_host_fake.h"

/* A context with two devices, "a" and "b". */
#define PAIR_TIMEOUT_MS 40u

struct events {
    uint32_t lost;
    uint32_t device;
};

struct pair {
    struct ferry_context *context;
    struct fake_device a, b;
    struct events events;
};

void setup_with(struct pair *pair, uint32_t no_peer_maps);
void setup(struct pair *pair);
/* Both devices must have been let go. */
void teardown(struct pair *pair);

/* Eventfds, made and closed. */
void make_eventfds(int *fds, uint32_t count);
void close_all(int *fds, uint32_t count);

#endif
