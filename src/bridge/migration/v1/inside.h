/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef FERRY_BRIDGE_MIGRATION_V1_INSIDE_H
#define FERRY_BRIDGE_MIGRATION_V1_INSIDE_H

#include "bridge/migration/inside.h"
#include "bridge/migration/v1/v1.h"
#include "core/v1/region.h"
#include "ferry/state.h"
#include "os/memory.h"

/*
 *   region.c  its life, which access is what
 *   state.c   writes of device_state
 *   piece.c   reads of pending_bytes and the data to read; writes of data_size
 *   peers.c   all devices of the VMM: none stops, and none runs, before all are quiet
 */
struct bridge_v1 {
    pthread_mutex_t lock;
    struct bridge_v1 *next; /* peers.c */
    struct bridge_migration *migration;
    uint32_t state; /* device_state as the VMM reads it; never the error value */
    struct bridge_data *data; /* the session's, a reference; NULL: there is none */
    uint32_t given;           /* 1: the session's data has begun to reach the VMM */
    uint32_t spoilt; /* 1: the VMM believes in a session that is gone; until it writes a
                        state that begins anew */
    /* The present transaction of a save. */
    uint32_t filled; /* 1: piece_bytes of data are in the section */
    uint32_t told;   /* 1: the VMM has read data_size: pending_bytes then means "taken" */
    uint64_t piece_bytes;
    uint64_t used_bytes; /* of the section, since it was wiped */
    uint8_t *section;
    struct ferry_os_map map; /* of region.fd */
    struct ferry_region_info region;
};

/* state.c; locked. Return: 0 or -errno. */
int bridge_v1_write_state(struct bridge_v1 *v1, uint32_t wanted);
/* Is the VMM one that hears of no failure, and is helped over it? */
int bridge_v1_is_qemu(const struct bridge_v1 *v1);
/* The session is over; what is left of its data is wiped. */
void bridge_v1_end(struct bridge_v1 *v1);

/* piece.c; locked. Return: 0 or -errno. */
int bridge_v1_pending(struct bridge_v1 *v1, uint64_t *ret_bytes);
/* Waits until there is a piece. */
int bridge_v1_fill(struct bridge_v1 *v1);
int bridge_v1_take(struct bridge_v1 *v1, uint64_t bytes);

/* peers.c */
void bridge_v1_join(struct bridge_v1 *v1);
void bridge_v1_leave(struct bridge_v1 *v1);
/* Is there a device that cannot be quieted, and others it can reach? It is said then. */
int bridge_v1_reaches_others(struct bridge_v1 *v1);
/* All others that run and can: to their P2P state. Return: 0, or how it failed first. */
int bridge_v1_quiet_others(struct bridge_v1 *v1);
/* All others that stand still, can and have their state: to RUNNING_P2P. */
void bridge_v1_wake_others(struct bridge_v1 *v1);

#endif
