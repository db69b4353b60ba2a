/* SPDX-License-Identifier: BSD-3-Clause */
#include "device/migration/migration.h"

#include <assert.h>

#include "device/device_private.h"

/*
 * A SET of the state walks from arc to arc (rule MIG-ARC-1). Each arc goes through the
 * phases of enum device_arc_phase:
 *
 *   NONE --begin_arc--> CALLED --FERRY_PENDING--> AUTHOR --arc_done--+
 *                          |                                         |
 *                          +--FERRY_OK or a code--> author_done <----+
 *   author_done: segments out and the new state allows no DMA -> SEGMENTS, else end_arc
 *   end_arc: the state is the arc's end, or stays its start, or is ERROR -> NONE
 */

/* The only writer of the state. */
static void enter(struct ferry_device *device, uint32_t state)
{
    uint32_t next;

    /* RUNNING after a reset and ERROR after a failed arc are no arcs. */
    assert(state == FERRY_STATE_ERROR || state == FERRY_STATE_RUNNING ||
           (ferry_state_next(device->mig.state, state, device->identity.migration_flags,
                             &next) == FERRY_OK &&
            next == state));
    device->mig.state = state;
}

static int allows_dma(uint32_t state)
{
    return ferry_access_get(FERRY_OP_DMA_START, state)->verdict == FERRY_ALLOW;
}

int device_mig_pending(const struct ferry_device *device)
{
    return device->mig.phase != DEVICE_ARC_NONE;
}

/* What an arc does to the data session once it has been taken. */
static void end_session(struct ferry_device *device, uint32_t from, uint32_t to)
{
    if (ferry_state_is_saving(from) && !ferry_state_is_saving(to)) {
        device_save_end(device);
    }
    if (!ferry_state_is_saving(from) && ferry_state_is_saving(to)) {
        device_save_begin(device);
    }
}

/* The arc under way ends with `status`. Return: status. */
static int end_arc(struct ferry_device *device, int status)
{
    struct device_migration *mig = &device->mig;
    const uint32_t from = mig->state, to = mig->to;

    mig->phase = DEVICE_ARC_NONE;
    if (status == FERRY_E_DEVICE_ERROR) {
        enter(device, FERRY_STATE_ERROR);
        device_save_end(device);
        device_doorbells_gate(device);
        return status;
    }
    if (status < 0) {
        return status;
    }
    end_session(device, from, to);
    enter(device, to);
    if (ferry_access_get(FERRY_OP_POWER, to)->verdict == FERRY_ALLOW) {
        device_config_settle(
            &device->config); /* rule MIG-PM-1: what was written waited */
    }
    if (allows_dma(to)) {
        device_latch_replay(device);
        device_irqs_flush(device); /* what was pending where it ran before */
    }
    device_doorbells_gate(device);
    return FERRY_OK;
}

/* The author is done with its arc. Return: FERRY_OK, FERRY_PENDING or the arc's failure.
 */
static int author_done(struct ferry_device *device, int status)
{
    struct device_migration *mig = &device->mig;

    if (status > 0) {
        status =
            FERRY_E_DEVICE; /* no status at all: the author's mistake, not a success */
    }
    if (status == FERRY_OK && !allows_dma(mig->to)) {
        atomic_store(&device->waiting,
                     1); /* before `held` is looked at: see ferry_dma_put */
        if (atomic_load(&device->dma.held) != 0) {
            mig->phase = DEVICE_ARC_SEGMENTS;
            return FERRY_PENDING;
        }
    }
    return end_arc(device, status);
}

/* What the SDK does on its own before the author hears of an arc. */
static int prepare_arc(struct ferry_device *device, uint32_t from, uint32_t to)
{
    if (from == FERRY_STATE_RESUMING) {
        return device_load_check(device);
    }
    if (to == FERRY_STATE_RESUMING) {
        /* Both belonged to the state that is about to be replaced. */
        device_latch_clear(device);
        device_irqs_clear_pending(device);
        device_doorbells_drain(device);
        device_load_begin(device);
        device->scheduled = 0;
        device->ops.reset(device->state, device, FERRY_RESET_RESUMING);
    }
    return FERRY_OK;
}

static int begin_arc(struct ferry_device *device, uint32_t to)
{
    struct device_migration *mig = &device->mig;
    int status = prepare_arc(device, mig->state, to);

    if (status != FERRY_OK) {
        return status;
    }
    mig->to = to;
    mig->has_result = 0;
    mig->phase = DEVICE_ARC_CALLED;
    status = device->ops.arc(device->state, device, mig->state, to);
    if (status == FERRY_PENDING && mig->has_result == 0) {
        mig->phase = DEVICE_ARC_AUTHOR;
        return FERRY_PENDING;
    }
    return author_done(device, status == FERRY_PENDING ? mig->result : status);
}

/* Walks on to the state that is wanted. Return: FERRY_OK, FERRY_PENDING, the failure. */
static int walk(struct ferry_device *device)
{
    struct device_migration *mig = &device->mig;
    int status = FERRY_OK;

    while (status == FERRY_OK && mig->state != mig->wanted) {
        uint32_t next;

        status = ferry_state_next(mig->state, mig->wanted,
                                  device->identity.migration_flags, &next);
        if (status == FERRY_OK) {
            status = begin_arc(device, next);
        }
    }
    return status;
}

void device_mig_poll(struct ferry_device *device)
{
    struct device_migration *mig = &device->mig;
    struct ferry_request *request = mig->request;
    int status = FERRY_PENDING;

    if (mig->phase == DEVICE_ARC_AUTHOR && mig->has_result) {
        status = author_done(device, mig->result);
    } else if (mig->phase == DEVICE_ARC_SEGMENTS && atomic_load(&device->dma.held) == 0) {
        status = end_arc(device, FERRY_OK);
    }
    if (status == FERRY_OK) {
        status = walk(device);
    }
    if (status != FERRY_PENDING) {
        mig->request = NULL;
        device_complete(device, request, status);
    }
}

void device_mig_reset(struct ferry_device *device, int why)
{
    struct device_migration *mig = &device->mig;

    if (mig->request != NULL) {
        device_complete(device, mig->request, why);
        mig->request = NULL;
    }
    mig->phase = DEVICE_ARC_NONE;
    device_save_end(device);
    device_latch_clear(device);
    device_doorbells_drain(device);
    enter(device, FERRY_STATE_RUNNING);
    device_doorbells_gate(device);
}

static int supported(const struct ferry_device *device, struct ferry_request *request,
                     uint32_t flags)
{
    if ((device->identity.migration_flags & flags) == flags) {
        return FERRY_OK;
    }
    return ferry_error_set(request->reterr, FERRY_E_UNSUPPORTED, "device", NULL, 0,
                           "the device lacks migration flags 0x%x",
                           flags & ~device->identity.migration_flags);
}

int device_mig_flags(struct ferry_device *device, struct ferry_request *request)
{
    request->u.mig_flags = device->identity.migration_flags;
    return supported(device, request, FERRY_MIG_STOP_COPY);
}

int device_mig_get(struct ferry_device *device, struct ferry_request *request)
{
    request->u.state = device->mig.state;
    return supported(device, request, FERRY_MIG_STOP_COPY);
}

/* Says which arc failed. */
static int explain(const struct ferry_device *device, struct ferry_request *request,
                   int status)
{
    return ferry_error_set(request->reterr, status, "device", "MIG-ARC-1", 0,
                           "SET_STATE %s failed; the device is in %s: %s",
                           ferry_state_name(request->u.state),
                           ferry_state_name(device->mig.state),
                           ferry_status_text(status));
}

int device_mig_set(struct ferry_device *device, struct ferry_request *request)
{
    struct device_migration *mig = &device->mig;
    uint32_t next;
    int status = supported(device, request, FERRY_MIG_STOP_COPY);

    if (status != FERRY_OK) {
        return status;
    }
    if (device_mig_pending(device)) {
        return explain(device, request, FERRY_E_BUSY);
    }
    if (mig->state == FERRY_STATE_ERROR) {
        return explain(device, request, FERRY_E_DEVICE_ERROR);
    }
    status = ferry_state_next(mig->state, request->u.state,
                              device->identity.migration_flags, &next);
    if (status != FERRY_OK) {
        return explain(device, request, status);
    }
    /* A doorbell that was rung before the user asked is not to wait behind the change. */
    device_doorbells_collect(device);
    mig->wanted = request->u.state;
    status = walk(device);
    if (status == FERRY_PENDING) {
        mig->request = request;
    } else if (status < 0) {
        return explain(device, request, status);
    }
    return status;
}

void ferry_device_arc_done(struct ferry_device *device, int status)
{
    struct device_migration *mig = &device->mig;

    /* Late, after a reset took the arc away: nobody waits for it. */
    if (mig->phase != DEVICE_ARC_CALLED && mig->phase != DEVICE_ARC_AUTHOR) {
        return;
    }
    mig->has_result = 1;
    mig->result = status;
    if (device->depth == 0) {
        device_wake(device);
    }
}

int device_mig_size(struct ferry_device *device, struct ferry_request *request)
{
    uint64_t bytes = 0;
    int status = supported(device, request, FERRY_MIG_STOP_COPY);

    if (status == FERRY_OK) {
        status = device->ops.data_size(device->state, device, &bytes);
    }
    if (status == FERRY_OK) {
        request->u.data_size = device_save_size(device, bytes);
    }
    return status;
}

int device_mig_precopy(struct ferry_device *device, struct ferry_request *request)
{
    struct ferry_device_precopy info = { 0, 0 };
    int status = supported(device, request, FERRY_MIG_PRE_COPY);

    if (status == FERRY_OK) {
        status = device->ops.precopy_info(device->state, device, &info);
    }
    if (status == FERRY_OK) {
        device_save_precopy(device, &info);
        request->u.precopy.initial_bytes = info.initial_bytes;
        request->u.precopy.dirty_bytes = info.dirty_bytes;
    }
    return status;
}

int device_mig_read(struct ferry_device *device, struct ferry_request *request)
{
    struct ferry_data_io *io = &request->u.data;

    if (io->size == 0) {
        /* Its answer could not be told from the end of the stream. */
        return ferry_error_set(request->reterr, FERRY_E_ARGUMENT, "device", NULL, 0,
                               "DATA_READ of 0 bytes");
    }
    if (device_mig_pending(device) && !ferry_state_is_saving(device->mig.to)) {
        return FERRY_E_BUSY; /* the session is about to end */
    }
    io->piece_count = 0;
    if (io->piece != NULL) {
        const int status = device_save_lend(device, io);

        if (status != FERRY_E_UNSUPPORTED) {
            return status;
        }
    }
    return device_save_read(device, io->data, io->size, &io->got);
}

int device_mig_write(struct ferry_device *device, struct ferry_request *request)
{
    if (device_mig_pending(device)) {
        return FERRY_E_BUSY; /* what was loaded is being validated */
    }
    if (request->u.data.placed) {
        return device_load_placed(device, request->u.data.size);
    }
    return device_load_write(device, request->u.data.data, request->u.data.size,
                             request->reterr);
}

int device_mig_place(struct ferry_device *device, uint64_t most,
                     struct ferry_data_place *ret_place)
{
    if (device_mig_pending(device) ||
        device_permit(device, FERRY_OP_DATA_WRITE, NULL) != FERRY_OK) {
        return FERRY_E_UNSUPPORTED; /* the write will hear why */
    }
    return device_load_place(device, most, ret_place);
}
