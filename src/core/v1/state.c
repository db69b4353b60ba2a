/* SPDX-License-Identifier: BSD-3-Clause */
#include "ferry/state.h"

#include "ferry/error.h"

/*
 * Version 1 of the uAPI: three bits instead of numbered states. Only RESUMING has the
 * same number in both versions, so nothing is ever passed through.
 */
struct v1_row {
    uint8_t defined; /* the bits mean something */
    uint8_t valid;   /* a user may write them */
    uint8_t v2;      /* enum ferry_state */
};

#define R FERRY_V1_RUNNING
#define SV FERRY_V1_SAVING
#define RS FERRY_V1_RESUMING

static const struct v1_row v1_rows[FERRY_V1_MASK + 1] = {
    [0] = { 1, 1, FERRY_STATE_STOP },        [R] = { 1, 1, FERRY_STATE_RUNNING },
    [SV] = { 1, 1, FERRY_STATE_STOP_COPY },  [SV | R] = { 1, 1, FERRY_STATE_PRE_COPY },
    [RS] = { 1, 1, FERRY_STATE_RESUMING },   [RS | R] = { 0, 0, 0 },
    [RS | SV] = { 1, 0, FERRY_STATE_ERROR }, [RS | SV | R] = { 0, 0, 0 },
};

/* v1 has no P2P states: a user of v1 sees their plain twins. */
static const uint8_t v2_to_v1[FERRY_STATE_COUNT] = {
    [FERRY_STATE_ERROR] = RS | SV,   [FERRY_STATE_STOP] = 0,
    [FERRY_STATE_RUNNING] = R,       [FERRY_STATE_STOP_COPY] = SV,
    [FERRY_STATE_RESUMING] = RS,     [FERRY_STATE_RUNNING_P2P] = R,
    [FERRY_STATE_PRE_COPY] = SV | R, [FERRY_STATE_PRE_COPY_P2P] = SV | R,
};

int ferry_state_v1_valid(uint32_t v1)
{
    return v1 <= FERRY_V1_MASK && v1_rows[v1].valid;
}

int ferry_state_from_v1(uint32_t v1, uint32_t *ret_state)
{
    if (v1 > FERRY_V1_MASK || !v1_rows[v1].defined) {
        return FERRY_E_ARGUMENT;
    }
    *ret_state = v1_rows[v1].v2;
    return FERRY_OK;
}

int ferry_state_to_v1(uint32_t state, uint32_t *ret_v1)
{
    if (state >= FERRY_STATE_COUNT) {
        return FERRY_E_ARGUMENT;
    }
    *ret_v1 = v2_to_v1[state];
    return FERRY_OK;
}

/*
 * The v2 state that stands for v1 bits on a device with these features. v1 demands
 * pre-copy of every device, which may give no bytes: without PRE_COPY a device just stays
 * RUNNING.
 */
static uint32_t stand_in(uint32_t v1, uint32_t features)
{
    uint32_t state = v1_rows[v1].v2;

    if (state == FERRY_STATE_PRE_COPY && !(features & FERRY_MIG_PRE_COPY)) {
        return FERRY_STATE_RUNNING;
    }
    return state;
}

int ferry_state_v1_path(uint32_t cur, uint32_t wanted, uint32_t features,
                        uint32_t *ret_path)
{
    uint32_t from, to;
    int first, second;

    if (!ferry_state_v1_valid(cur) || !ferry_state_v1_valid(wanted)) {
        return FERRY_E_ARC;
    }
    from = stand_in(cur, features);
    to = stand_in(wanted, features);
    if (from != FERRY_STATE_STOP_COPY || to != FERRY_STATE_PRE_COPY) {
        return ferry_state_path(from, to, features, ret_path);
    }
    /* Legal in v1 only: leave the old session entirely, then begin a new one. */
    first = ferry_state_path(from, FERRY_STATE_RUNNING, features, ret_path);
    if (first < 0) {
        return first;
    }
    second = ferry_state_path(FERRY_STATE_RUNNING, to, features, ret_path + first);
    return second < 0 ? second : first + second;
}
