/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef FERRY_STATE_H
#define FERRY_STATE_H

#include <stddef.h>
#include <stdint.h>

#include "ferry/version.h"

#ifdef __cplusplus
extern "C" {
#endif

/* Device states; the numbers are those of the VFIO migration uAPI, version 2. */
enum ferry_state {
    FERRY_STATE_ERROR = 0,
    FERRY_STATE_STOP = 1,
    FERRY_STATE_RUNNING = 2,
    FERRY_STATE_STOP_COPY = 3,
    FERRY_STATE_RESUMING = 4,
    FERRY_STATE_RUNNING_P2P = 5,
    FERRY_STATE_PRE_COPY = 6,
    FERRY_STATE_PRE_COPY_P2P = 7
};
#define FERRY_STATE_COUNT 8

/* Migration features of a device: VFIO_MIGRATION_* of the uAPI. */
#define FERRY_MIG_STOP_COPY 1u
#define FERRY_MIG_P2P 2u
#define FERRY_MIG_PRE_COPY 4u

/* What a change of state does to the device's data session (uAPI: the data fd). */
enum ferry_data_session {
    FERRY_DATA_NONE = 0,       /* neither begins nor ends one */
    FERRY_DATA_BEGINS = 1,     /* the last arc opens a new session */
    FERRY_DATA_ENDS = 2,       /* an arc ends the present session */
    FERRY_DATA_ENDS_BEGINS = 3 /* ends the present session, then opens another */
};

/* Name of a state in the uAPI's words ("PRE_COPY_P2P"); "?" for no state. Thread: any. */
FERRY_PUBLIC const char *ferry_state_name(uint32_t state);

/*
 * The next state on the way from cur to wanted: the shortest path over the basic arcs
 * that the features allow; among equals the one with the fewest interior saving states.
 *
 * features: FERRY_MIG_* bits; FERRY_MIG_STOP_COPY must be set.
 * ret_next: written on success; equals cur when cur == wanted.
 * Return: FERRY_OK; FERRY_E_ARC when there is no legal path (ERROR as source or wish,
 *   STOP_COPY to PRE_COPY or PRE_COPY_P2P, a state that the features lack, a number that
 *   is no state).
 * Thread: any. Source: uAPI v2, combination of arcs; rule MIG-ARC-1.
 */
FERRY_PUBLIC int ferry_state_next(uint32_t cur, uint32_t wanted, uint32_t features,
                                  uint32_t *ret_next);

/*
 * The whole path from cur to wanted, cur excluded, wanted included.
 * ret_path: at least FERRY_STATE_COUNT entries.
 * Return: number of arcs (0 when cur == wanted), or FERRY_E_ARC.
 * Thread: any.
 */
FERRY_PUBLIC int ferry_state_path(uint32_t cur, uint32_t wanted, uint32_t features,
                                  uint32_t *ret_path);

/*
 * What the change from cur to wanted does to the data session.
 * Return: an enum ferry_data_session value, or FERRY_E_ARC.
 * Thread: any. Source: uAPI v2, data fd.
 */
FERRY_PUBLIC int ferry_state_data(uint32_t cur, uint32_t wanted, uint32_t features);

/* 1 when the state exists for these features (RUNNING, ERROR, STOP always), else 0. */
FERRY_PUBLIC int ferry_state_exists(uint32_t state, uint32_t features);

/* 1 for PRE_COPY, PRE_COPY_P2P and STOP_COPY: the states that stream device data out. */
FERRY_PUBLIC int ferry_state_is_saving(uint32_t state);

/* device_state bits of the uAPI's version 1 (Linux 5.8 to 5.17). */
#define FERRY_V1_RUNNING 1u
#define FERRY_V1_SAVING 2u
#define FERRY_V1_RESUMING 4u
#define FERRY_V1_MASK 7u

/* 1 when the three bits are a valid v1 device_state (the error value 110 is not). */
FERRY_PUBLIC int ferry_state_v1_valid(uint32_t v1);

/*
 * The v2 state for a v1 device_state. The numbers differ: they never pass through.
 * Return: FERRY_OK (110 gives FERRY_STATE_ERROR), or FERRY_E_ARGUMENT for 101, 111 and
 * for reserved bits.
 */
FERRY_PUBLIC int ferry_state_from_v1(uint32_t v1, uint32_t *ret_state);

/*
 * The v1 device_state for a v2 state; the P2P states map to their plain twins, since v1
 * has none.
 * Return: FERRY_OK or FERRY_E_ARGUMENT for a number that is no state.
 */
FERRY_PUBLIC int ferry_state_to_v1(uint32_t state, uint32_t *ret_v1);

/*
 * The v2 states to walk for a write of v1 `wanted` while device_state is `cur`. 010 to
 * 011 is legal in v1 and not in v2: it goes over STOP and RUNNING with a new data
 * session. v1 demands pre-copy of every device: one without FERRY_MIG_PRE_COPY stays in
 * RUNNING for 011 (and has 0 pending bytes). ret_path: at least FERRY_STATE_COUNT
 * entries, v2 states, cur excluded. Return: number of entries, FERRY_E_ARC (from the
 * error value, to an invalid one).
 */
FERRY_PUBLIC int ferry_state_v1_path(uint32_t cur, uint32_t wanted, uint32_t features,
                                     uint32_t *ret_path);

#ifdef __cplusplus
}
#endif

#endif
