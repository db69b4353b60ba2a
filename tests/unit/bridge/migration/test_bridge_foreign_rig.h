/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef TEST_BRIDGE_FOREIGN_RIG_H
#define TEST_BRIDGE_FOREIGN_RIG_H

#include "test_bridge_mig_rig.h"

/*
 * A server that is none of Ferry's: no extension, no size, no pre-copy information, the
 * data by messages alone. It may fall silent or die at a request.
 */

#define MIB (1u << 20)

enum { VERSION = 1, INFO = 4, FEATURE = 16, READ = 17, WRITE = 18 };

struct foreign {
    int listener, fd;
    const char *json; /* of VERSION */
    uint32_t features;
    uint64_t state_bytes, precopy_bytes;
    uint64_t saved, loaded, spoilt;
    uint32_t first_state; /* 0: RUNNING */
    uint32_t state, reads, writes, largest;
    uint32_t die_at, hush_at; /* a command: READ, WRITE, or the state of a SET + 100 */
    uint32_t refuse_set;      /* 1: every change of state is */
    uint8_t *in, *out;
    pthread_t thread;
};

extern struct foreign server;
extern struct end bridge_end; /* the bridge's side of it */
extern struct bytes data;

/* Starts the server and binds `bridge_end` to it. `server` may be set up before: json of
 * VERSION (NULL: an empty object), first_state, die_at, hush_at. */
void foreign_begin(uint32_t features, uint64_t state_bytes, uint64_t precopy_bytes);

/* Takes both sides down and forgets the data: a teardown of cmocka. */
int foreign_end(void **state);

/* `data` goes into the device, which runs after it. */
void foreign_load(void);

#endif
