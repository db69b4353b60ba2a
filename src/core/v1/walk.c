/* SPDX-License-Identifier: BSD-3-Clause */
#include "core/v1/walk.h"

#include "ferry/error.h"

#define STOP 0u
#define STOP_AND_COPY FERRY_V1_SAVING
#define PRE_COPY (FERRY_V1_SAVING | FERRY_V1_RUNNING)

/* Not running, and no more DMA of peers is taken. */
static int is_frozen(uint32_t state)
{
    return state == FERRY_STATE_STOP || state == FERRY_STATE_STOP_COPY ||
           state == FERRY_STATE_RESUMING;
}

/* Where a device that is quiet implicitly goes when RUNNING is cleared. */
static uint32_t quiet_state(uint32_t state, uint32_t wanted)
{
    /* Its data are not asked for any more: it takes its peers' DMA again, since one of
     * them may run before it does. Rule MIG-BACK-4. */
    if (state == FERRY_STATE_STOP_COPY && wanted == STOP) {
        return FERRY_STATE_RUNNING_P2P;
    }
    if (is_frozen(state)) {
        return wanted == STOP_AND_COPY ? FERRY_STATE_STOP_COPY : FERRY_STATE_STOP;
    }
    if (wanted == STOP_AND_COPY &&
        (state == FERRY_STATE_PRE_COPY || state == FERRY_STATE_PRE_COPY_P2P)) {
        return FERRY_STATE_PRE_COPY_P2P; /* the session goes on */
    }
    return FERRY_STATE_RUNNING_P2P;
}

static uint32_t full_state(uint32_t wanted, uint32_t features)
{
    uint32_t state = FERRY_STATE_ERROR;

    (void)ferry_state_from_v1(wanted, &state);
    if (state == FERRY_STATE_PRE_COPY && (features & FERRY_MIG_PRE_COPY) == 0) {
        return FERRY_STATE_RUNNING;
    }
    return state;
}

/* Over RUNNING, which ends the session that there is. */
static int walk_anew(uint32_t state, uint32_t to, uint32_t features, uint32_t *ret_path)
{
    const int first = ferry_state_path(state, FERRY_STATE_RUNNING, features, ret_path);
    int second;

    if (first < 0) {
        return first;
    }
    second = ferry_state_path(FERRY_STATE_RUNNING, to, features, ret_path + first);
    return second < 0 ? second : first + second;
}

int ferry_v1_walk(const struct ferry_v1_device *device, uint32_t wanted,
                  uint32_t *ret_path)
{
    uint32_t to;

    if (!device->implicit) {
        return ferry_state_v1_path(device->v1, wanted, device->features, ret_path);
    }
    if (!ferry_state_v1_valid(device->v1) || !ferry_state_v1_valid(wanted)) {
        return FERRY_E_ARC;
    }
    if (device->v1 == wanted) {
        return 0;
    }
    if (wanted == STOP || wanted == STOP_AND_COPY) {
        return ferry_state_path(device->state, quiet_state(device->state, wanted),
                                device->features, ret_path);
    }
    to = full_state(wanted, device->features);
    if (to == FERRY_STATE_PRE_COPY) {
        return walk_anew(device->state, to, device->features, ret_path);
    }
    return ferry_state_path(device->state, to, device->features, ret_path);
}

int ferry_v1_freeze(const struct ferry_v1_device *device, uint32_t *ret_path)
{
    uint32_t to;

    if (device->v1 == STOP_AND_COPY) {
        to = FERRY_STATE_STOP_COPY;
    } else if (device->v1 == STOP) {
        to = FERRY_STATE_STOP;
    } else {
        return 0;
    }
    return ferry_state_path(device->state, to, device->features, ret_path);
}

int ferry_v1_same_session(uint32_t from, uint32_t to)
{
    return from == to || (from == PRE_COPY && to == STOP_AND_COPY);
}
