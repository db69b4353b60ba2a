/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef FERRY_CORE_V1_WALK_H
#define FERRY_CORE_V1_WALK_H

#include <stdint.h>

#include "ferry/state.h"

/*
 * Which states of v2 a device walks through when its user writes device_state of v1.
 *
 * Implicit quiescence: v1 has no P2P states, so the devices of a user cannot stop
 * together. A device that is quiet implicitly starts no DMA when RUNNING is cleared, but
 * takes that of its peers (RUNNING_P2P, PRE_COPY_P2P), until pending_bytes is read the
 * first time: that freezes it (STOP, STOP_COPY). The user stops all devices before it
 * reads the first one's pending_bytes. 000 behind 010 ends the freeze: the user of
 * devices that are to run again writes it to all of them before the first one runs.
 */
struct ferry_v1_device {
    uint32_t features; /* FERRY_MIG_* of the v2 device */
    uint32_t implicit; /* 1: quiet implicitly; features have FERRY_MIG_P2P */
    uint32_t state;    /* of the v2 device, enum ferry_state */
    uint32_t v1;       /* device_state: what was written last */
};

/*
 * For a write of v1 `wanted`. ret_path: at least FERRY_STATE_COUNT entries.
 * Return: number of entries (0: nothing is to be done), FERRY_E_ARC (from the error
 * value, to an invalid one). Rules MIG-V1-1, MIG-V1-6, MIG-QUI-1.
 */
int ferry_v1_walk(const struct ferry_v1_device *device, uint32_t wanted,
                  uint32_t *ret_path);

/*
 * For a read of pending_bytes: the way on to the frozen state. Return: as
 * ferry_v1_walk(); 0 for a device that runs, loads or is frozen. Rule MIG-QUI-1.
 */
int ferry_v1_freeze(const struct ferry_v1_device *device, uint32_t *ret_path);

/*
 * Does a piece of data that the user has not taken yet stay his when device_state
 * changes? Only pre-copy and the stop-and-copy behind it are one session.
 */
int ferry_v1_same_session(uint32_t from, uint32_t to);

#endif
