/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef TEST_BRIDGE_VAULT_H
#define TEST_BRIDGE_VAULT_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdint.h>

#include "ferry/device.h"

/*
 * A device that is nothing but state: bytes of a pattern, some of them in pre-copy.
 * Served at a socket by a thread of its own. What a test sets is set before the server
 * begins or while it waits for a request.
 */
struct vault {
    struct ferry_identity identity; /* FERRY_MIG_* among it */
    uint64_t state_bytes;           /* that it saves, and wants when it loads */
    uint64_t precopy_bytes;         /* of them before a stop */
    uint8_t seed;                   /* of the pattern */

    atomic_uint refuse_from, refuse_to; /* this arc... */
    atomic_int refuse_with;             /* ...answers that; 0: no arc */
    atomic_int refuse_load;             /* load() answers that; 0: it takes */
    atomic_uint_least64_t saved, loaded;
    atomic_uint loads, arcs, resets;
    atomic_uint state;   /* after the last arc */
    atomic_uint when[8]; /* the last arc to a state, counted over all vaults; 0: none */
    atomic_int is_sound; /* of what was loaded: 1 all bytes were right */
    atomic_uint asks;    /* of its size and of pre-copy information */
    atomic_int stuck;    /* 1: save() and load() wait while it is */
    uint32_t counters;   /* so many queues' "lost", "carried" and "frames"; 0: none */
    atomic_int count_answer; /* what the question for counters answers if negative */
    atomic_uint counted;     /* times that it was asked for them */

    struct ferry_device *device;
    struct ferry_server *server;
    pthread_t thread;
    char path[96];
};

/* A vault of this many bytes; nothing is served yet. */
void vault_init(struct vault *vault, uint32_t flags, uint64_t state_bytes,
                uint64_t precopy_bytes);
void vault_serve(struct vault *vault, const char *path);
/* The server goes as if it had been killed: its sockets are closed. */
void vault_stop(struct vault *vault);

/* Byte of the pattern at off. */
uint8_t vault_byte(uint8_t seed, uint64_t off);

#endif
