/* SPDX-License-Identifier: BSD-3-Clause */
#include <errno.h>
#include <string.h>

#include "bridge/iommu/iommu.h"
#include "bridge/migration/v1/inside.h"
#include "bridge/say.h"

/*
 * What QEMU 7.2 makes of a write that fails:
 * - it reads device_state back and aborts at the error value, or when that read fails;
 * - at the start and the stop of the guest it notes the failure in the outgoing stream,
 *   and follows a null pointer when there is none: at every stop and start outside of an
 *   outgoing migration, so also when a target leaves RESUMING;
 * - else the migration fails and the guest goes on.
 * So the error value is never shown, and only the states that begin or end a save may be
 * refused. For the others there is the error interrupt, for which QEMU stops the guest.
 * With a token for who is not QEMU each may.
 */

#define STOP 0u
#define RUNNING FERRY_V1_RUNNING
#define STOP_AND_COPY FERRY_V1_SAVING
#define PRE_COPY (FERRY_V1_SAVING | FERRY_V1_RUNNING)
#define RESUMING FERRY_V1_RESUMING

void bridge_v1_end(struct bridge_v1 *v1)
{
    if (v1->data) {
        bridge_object_put(&v1->data->object);
        v1->data = NULL;
    }
    if (v1->used_bytes > 0) {
        explicit_bzero(v1->section, v1->used_bytes);
    }
    v1->used_bytes = 0;
    v1->filled = v1->told = 0;
    v1->piece_bytes = 0;
}

/* The migration's state; no call to the server. */
static uint32_t state_of(struct bridge_v1 *v1)
{
    uint32_t state;

    pthread_mutex_lock(&v1->migration->lock);
    state = v1->migration->vmm;
    pthread_mutex_unlock(&v1->migration->lock);
    return state;
}

static int is_saving(const struct bridge_v1 *v1)
{
    return (v1->state & FERRY_V1_SAVING) != 0;
}

static int stands_still(uint32_t state)
{
    return state == FERRY_STATE_STOP || state == FERRY_STATE_STOP_COPY ||
           state == FERRY_STATE_RESUMING;
}

int bridge_v1_is_qemu(const struct bridge_v1 *v1)
{
    return v1->migration->device->token.uapi == BRIDGE_UAPI_ANY;
}

/* To a state of v2, with the other devices' part in it. Return: 0 or -errno. */
static int go(struct bridge_v1 *v1, uint32_t wanted)
{
    const uint32_t state = state_of(v1);
    struct bridge_data *fresh = NULL;
    int rc = 0;

    if (!bridge_v1_is_qemu(v1)) {
        rc = 0; /* who uses one device sees to the others himself */
    } else if (stands_still(wanted) && wanted != FERRY_STATE_RESUMING &&
               !stands_still(state)) {
        rc = bridge_v1_quiet_others(v1);
    } else if (!stands_still(wanted) && stands_still(state)) {
        bridge_v1_wake_others(v1);
    }
    if (rc == 0) {
        rc = bridge_migration_go(v1->migration, wanted, &fresh);
    }
    if (fresh) {
        bridge_v1_end(v1);
        v1->data = fresh;
        v1->given = 0;
    }
    return rc;
}

static int run(struct bridge_v1 *v1)
{
    /* When it fails the guest has been told to stop, unless it merely lost its server. */
    const int rc = go(v1, FERRY_STATE_RUNNING);

    v1->spoilt = 0;
    return bridge_v1_is_qemu(v1) ? 0 : rc;
}

static int stop(struct bridge_v1 *v1)
{
    const int rc = go(v1, FERRY_STATE_STOP);

    if (!bridge_v1_is_qemu(v1)) {
        return rc;
    }
    if (rc < 0) {
        bridge_say(v1->migration->device,
                   "it does not stop with its guest, which goes unheard: it counts as "
                   "stopped, and a save is going to fail");
    }
    return 0;
}

static int stop_and_copy(struct bridge_v1 *v1)
{
    int rc = 0;

    if (v1->spoilt) {
        rc = -EIO;
    } else if (bridge_v1_is_qemu(v1) && !is_saving(v1) && bridge_v1_reaches_others(v1)) {
        rc = -EOPNOTSUPP;
    } else if (bridge_v1_is_qemu(v1) && bridge_iommu_misled(v1->migration->device)) {
        bridge_say(v1->migration->device,
                   "QEMU before 8.0 loses what is written to memory that a vIOMMU then "
                   "unmaps: it moves no device beside one");
        rc = -EOPNOTSUPP;
    } else {
        rc = go(v1, FERRY_STATE_STOP_COPY);
    }
    if (rc < 0 && v1->state == RUNNING && bridge_v1_is_qemu(v1)) {
        v1->spoilt = 1; /* a guest that is stopped for a snapshot: the save fails */
        rc = 0;
    }
    return rc;
}

static int pre_copy(struct bridge_v1 *v1)
{
    const uint32_t state = state_of(v1);
    int rc = 0;

    if (bridge_v1_is_qemu(v1) && !is_saving(v1) && bridge_v1_reaches_others(v1)) {
        return -EOPNOTSUPP;
    }
    if (stands_still(state)) {
        rc = go(v1, FERRY_STATE_RUNNING); /* legal in v1 only: a new session */
    }
    if (!is_saving(v1)) {
        v1->given = 0;
    }
    if (rc == 0) {
        rc = go(v1, bridge_migration_flags(v1->migration) & FERRY_MIG_PRE_COPY
                        ? FERRY_STATE_PRE_COPY
                        : FERRY_STATE_RUNNING);
    }
    v1->spoilt = rc == 0 ? 0 : v1->spoilt;
    return rc;
}

static int resume(struct bridge_v1 *v1)
{
    const int rc = go(v1, FERRY_STATE_RESUMING);

    v1->spoilt = rc == 0 ? 0 : v1->spoilt;
    return rc;
}

static int change(struct bridge_v1 *v1, uint32_t wanted)
{
    switch (wanted) {
    case STOP:
        return stop(v1);
    case RUNNING:
        return run(v1);
    case STOP_AND_COPY:
        return stop_and_copy(v1);
    case PRE_COPY:
        return pre_copy(v1);
    default:
        return resume(v1);
    }
}

int bridge_v1_write_state(struct bridge_v1 *v1, uint32_t wanted)
{
    const uint32_t before = v1->state;
    int rc;

    if (!ferry_state_v1_valid(wanted)) {
        return -EINVAL;
    }
    rc = change(v1, wanted);
    bridge_trace(v1->migration->device, "device_state %u -> %u: %d", before, wanted, rc);
    if (rc < 0) {
        return rc;
    }
    v1->state = wanted;
    if (wanted == STOP || wanted == RUNNING) {
        bridge_v1_end(v1);
    }
    return 0;
}
