/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef FERRY_CORE_SESSION_PRECOPY_H
#define FERRY_CORE_SESSION_PRECOPY_H

#include <stdint.h>

#include "ferry/session.h"

/*
 * Pre-copy accounting and the switchover decision: what a stop now would leave, how fast
 * it would go, how long the guest would stand still.
 */
struct ferry_precopy {
    uint64_t round_start_ns;
    uint64_t round_bytes; /* sent in the present round, memory and devices */
    uint64_t ram_bytes, device_bytes;
    uint64_t ram_dirty_bytes; /* dirty after the last round */
    uint64_t other_bytes;     /* of devices without PRE_COPY, at a stop */
    uint64_t rate;            /* bytes per second, measured, else the first guess */
    uint64_t load_rate;
    uint32_t rounds;
    uint32_t ready; /* 1: the first round is complete, figures are meaningful */
    uint64_t initial_bytes[FERRY_SESSION_DEVICES_MAX];
    uint64_t stop_bytes[FERRY_SESSION_DEVICES_MAX];
};

void ferry_precopy_init(struct ferry_precopy *precopy,
                        const struct ferry_session_config *config);

void ferry_precopy_round_begin(struct ferry_precopy *precopy, uint64_t now_ns);
/* Takes in the rate of the round that ends now. */
void ferry_precopy_round_end(struct ferry_precopy *precopy, uint64_t now_ns);

/* Bytes that a stop now would leave to transfer. */
uint64_t ferry_precopy_left(const struct ferry_precopy *precopy,
                            const struct ferry_session_config *config);

/*
 * Expected downtime if the devices stopped now: the slowest arc of each kind (devices
 * move in parallel), the transfer of what is left or its loading, whichever is slower
 * (they overlap), and the fixed overhead. Saturates at UINT64_MAX.
 */
uint64_t ferry_precopy_predict(const struct ferry_precopy *precopy,
                               const struct ferry_session_config *config);

#endif
