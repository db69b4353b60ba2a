/* SPDX-License-Identifier: BSD-3-Clause */
#include <stdlib.h>
#include <string.h>

#include "base/range.h"
#include "host/backend/v1/v1_private.h"

static v1_step_fn move;

void ferry_v1_forget_data(struct backend_v1 *v1)
{
    free(v1->kept);
    v1->kept = NULL;
    v1->kept_size = v1->kept_given = 0;
    v1->open = 0;
    v1->ended = 0;
    v1->stalled = 0;
    v1->pending_least = UINT64_MAX;
}

/* Every job of the data needs the state; it is asked for when somebody else wrote it. */
static int need_state(struct backend_v1 *v1, v1_step_fn *next)
{
    /* Once only: a raw write may come between this look and the next step. */
    v1->asked = !v1->known;
    return v1->asked ? ferry_v1_read(v1, FERRY_V1_STATE_OFF, 4, next)
                     : next(v1, FERRY_OK);
}

static int know_state(struct backend_v1 *v1, int status)
{
    if (status != FERRY_OK) {
        return ferry_v1_failed(v1, status, "device_state");
    }
    if (!v1->asked) {
        return FERRY_OK;
    }
    return ferry_v1_take_state(v1, (uint32_t)ferry_v1_value(v1));
}

static int wrong_state(struct backend_v1 *v1)
{
    return ferry_error_set(v1->job->reterr, FERRY_E_STATE, V1_LAYER, NULL, 0,
                           "%s: not in %s", ferry_request_name(v1->job->kind),
                           ferry_state_name(v1->state));
}

/* --- the data section --- */

/* data_offset: behind the registers, inside the region. */
static int take_offset(struct backend_v1 *v1, int status)
{
    if (status != FERRY_OK) {
        return ferry_v1_failed(v1, status, "data_offset");
    }
    v1->data_off = ferry_v1_value(v1);
    if (v1->data_off < FERRY_V1_HEADER_BYTES) {
        return ferry_v1_lies(v1, "data_offset points into the registers", v1->data_off);
    }
    if (v1->data_off >= v1->region.size) {
        return ferry_v1_lies(v1, "data_offset lies outside of the region", v1->data_off);
    }
    return FERRY_OK;
}

/* Copies what is mapped at off. *ret_gap: else, bytes until something mapped begins. */
static uint64_t copy_mapped(const struct backend_v1 *v1, uint64_t off, uint8_t *data,
                            uint64_t size, uint64_t *ret_gap)
{
    *ret_gap = size;
    for (uint32_t i = 0; i < v1->region.area_count; i++) {
        const struct ferry_range *area = &v1->region.area[i];
        uint8_t *there = v1->map[i].data;

        if (there == NULL) {
            continue;
        }
        if (off < area->off) {
            *ret_gap = area->off - off < size ? area->off - off : size;
            return 0;
        }
        if (off - area->off < area->size) {
            const uint64_t left = area->size - (off - area->off);
            const uint64_t count = left < size ? left : size;

            there += off - area->off;
            memcpy(v1->writing ? there : data, v1->writing ? data : there, (size_t)count);
            return count;
        }
    }
    return 0;
}

/* One request of the section that is not mapped. */
static int move_some(struct backend_v1 *v1, uint64_t bytes)
{
    const uint32_t most = v1->below->ops->max_data(v1->below);

    (void)ferry_v1_read(v1, v1->data_off + v1->moved, 0, move);
    v1->sub.kind = v1->writing ? FERRY_RQ_REGION_WRITE : FERRY_RQ_REGION_READ;
    v1->sub.u.io.count = bytes < most ? (uint32_t)bytes : most;
    v1->sub.u.io.data = v1->data + v1->moved;
    return V1_ASK;
}

static int move(struct backend_v1 *v1, int status)
{
    if (status != FERRY_OK) {
        return ferry_v1_failed(v1, status, "the data section");
    }
    v1->moved += v1->sub.u.io.count;
    while (v1->moved < v1->data_size) {
        uint64_t gap;
        const uint64_t count =
            copy_mapped(v1, v1->data_off + v1->moved, v1->data + v1->moved,
                        v1->data_size - v1->moved, &gap);

        if (count == 0) {
            return move_some(v1, gap);
        }
        v1->moved += count;
    }
    return v1->moved_all(v1, FERRY_OK);
}

/* Moves data_size bytes of the section from or to data. */
static int move_data(struct backend_v1 *v1, uint8_t *data, uint32_t writing,
                     v1_step_fn *moved_all)
{
    v1->data = data;
    v1->writing = writing;
    v1->moved = 0;
    v1->moved_all = moved_all;
    v1->sub.u.io.count = 0;
    return move(v1, FERRY_OK);
}

/* --- DATA_READ --- */

static int give_kept(struct backend_v1 *v1)
{
    struct ferry_data_io *io = &v1->job->u.data;
    const uint64_t left = v1->kept_size - v1->kept_given;

    io->got = left < io->size ? left : io->size;
    memcpy(io->data, v1->kept + v1->kept_given, (size_t)io->got);
    v1->kept_given += io->got;
    if (v1->kept_given == v1->kept_size) {
        free(v1->kept);
        v1->kept = NULL;
    }
    return FERRY_OK;
}

static int read_kept(struct backend_v1 *v1, int status)
{
    (void)status;
    v1->open = 0;
    return give_kept(v1);
}

static int read_whole(struct backend_v1 *v1, int status)
{
    (void)status;
    v1->open = 0;
    v1->job->u.data.got = v1->data_size;
    return FERRY_OK;
}

/* The transaction that the device has laid out. */
static int read_piece(struct backend_v1 *v1)
{
    struct ferry_data_io *io = &v1->job->u.data;

    if (v1->data_size <= io->size) {
        return move_data(v1, io->data, 0, read_whole);
    }
    if (io->whole || v1->data_size > V1_KEPT_MAX) {
        return ferry_error_set(v1->job->reterr, FERRY_E_LIMIT, V1_LAYER, NULL, 0,
                               "migration region (uAPI v1): one transaction has %llu "
                               "bytes, at most %llu can be moved as one",
                               (unsigned long long)v1->data_size,
                               (unsigned long long)(io->whole ? io->size : V1_KEPT_MAX));
    }
    if (v1->kept == NULL) {
        v1->kept = malloc((size_t)v1->data_size);
    }
    if (v1->kept == NULL) {
        return FERRY_E_MEMORY;
    }
    v1->kept_size = v1->data_size;
    v1->kept_given = 0;
    return move_data(v1, v1->kept, 0, read_kept);
}

static int take_size(struct backend_v1 *v1, int status)
{
    if (status != FERRY_OK) {
        return ferry_v1_failed(v1, status, "data_size");
    }
    v1->data_size = ferry_v1_value(v1);
    if (v1->data_size == 0 && v1->state == FERRY_STATE_PRE_COPY) {
        return FERRY_E_DRY; /* some tell what the stop will give: nothing for now */
    }
    if (v1->data_size == 0) {
        return ferry_v1_lies(v1, "data_size is 0 while pending_bytes is not",
                             v1->pending);
    }
    if (!ferry_v1_piece_inside(v1->data_off, v1->data_size, v1->region.size)) {
        return ferry_v1_lies(v1, "data_size goes beyond the region", v1->data_size);
    }
    /* The next read of pending_bytes says that it was taken: not before it was. */
    v1->open = 1;
    return read_piece(v1);
}

static int read_size(struct backend_v1 *v1, int status)
{
    const int rc = take_offset(v1, status);

    return rc == FERRY_OK ? ferry_v1_read(v1, FERRY_V1_SIZE_OFF, 8, take_size) : rc;
}

/* A stopped device that goes on for ever: what is pending must go down at some time. */
static int goes_down(struct backend_v1 *v1)
{
    if (v1->pending < v1->pending_least) {
        v1->pending_least = v1->pending;
        v1->stalled = 0;
        return FERRY_OK;
    }
    return ++v1->stalled < V1_STALLED_MAX
               ? FERRY_OK
               : ferry_v1_lies(v1, "pending_bytes of the stopped device does not go down",
                               v1->pending);
}

static int take_pending(struct backend_v1 *v1, int status)
{
    const uint32_t stopped = v1->state == FERRY_STATE_STOP_COPY;
    int rc = FERRY_OK;

    if (status != FERRY_OK) {
        /* MIG-QUI-2: over a connection no more than the errno comes. */
        return ferry_v1_failed(v1, status,
                               stopped && v1->implicit_quiesce
                                   ? "pending_bytes (does a peer still write to the "
                                     "device?)"
                                   : "pending_bytes");
    }
    v1->pending = ferry_v1_value(v1);
    if (v1->pending == 0 && !stopped) {
        return FERRY_E_DRY;
    }
    if (v1->pending == 0) {
        v1->ended = 1;
        v1->job->u.data.got = 0;
        return FERRY_OK;
    }
    if (stopped) {
        rc = goes_down(v1);
    }
    return rc == FERRY_OK ? ferry_v1_read(v1, FERRY_V1_OFFSET_OFF, 8, read_size) : rc;
}

static int start_read(struct backend_v1 *v1, int status)
{
    const int rc = know_state(v1, status);

    if (rc != FERRY_OK) {
        return rc;
    }
    if (!ferry_state_is_saving(v1->state)) {
        return wrong_state(v1);
    }
    if (v1->job->u.data.size == 0) {
        return FERRY_OK;
    }
    if (v1->open) {
        return read_piece(v1);
    }
    if (v1->kept != NULL) {
        return give_kept(v1);
    }
    if (v1->ended) {
        return FERRY_OK;
    }
    return ferry_v1_read(v1, FERRY_V1_PENDING_OFF, 8, take_pending);
}

int ferry_v1_data_read(struct backend_v1 *v1, int status)
{
    (void)status;
    v1->job->u.data.got = 0;
    v1->job->u.data.piece_count = 0;
    return need_state(v1, start_read);
}

/* --- PRECOPY_INFO --- */

static int got_info(struct backend_v1 *v1, int status)
{
    if (status != FERRY_OK) {
        return ferry_v1_failed(v1, status, "pending_bytes");
    }
    v1->job->u.precopy.dirty_bytes = ferry_v1_value(v1);
    return FERRY_OK;
}

static int start_info(struct backend_v1 *v1, int status)
{
    const int rc = know_state(v1, status);

    if (rc != FERRY_OK) {
        return rc;
    }
    if (v1->state != FERRY_STATE_PRE_COPY) {
        return wrong_state(v1);
    }
    /* v1 has no part that must have come before a stop makes sense. */
    v1->job->u.precopy = (struct ferry_precopy_info){ .initial_bytes = 0 };
    if (v1->open || v1->kept != NULL) {
        v1->job->u.precopy.dirty_bytes =
            v1->open ? v1->data_size : v1->kept_size - v1->kept_given;
        return FERRY_OK;
    }
    return ferry_v1_read(v1, FERRY_V1_PENDING_OFF, 8, got_info);
}

int ferry_v1_precopy_info(struct backend_v1 *v1, int status)
{
    (void)status;
    return need_state(v1, start_info);
}

/* --- DATA_WRITE --- */

static v1_step_fn write_offset;

static int consumed(struct backend_v1 *v1, int status)
{
    if (status != FERRY_OK) {
        return ferry_v1_failed(v1, status, "data_size");
    }
    v1->taken += v1->data_size;
    return v1->taken == v1->job->u.data.size
               ? FERRY_OK
               : ferry_v1_read(v1, FERRY_V1_OFFSET_OFF, 8, write_offset);
}

static int write_size(struct backend_v1 *v1, int status)
{
    (void)status;
    return ferry_v1_write(v1, FERRY_V1_SIZE_OFF, 8, v1->data_size, consumed);
}

static int write_offset(struct backend_v1 *v1, int status)
{
    const struct ferry_data_io *io = &v1->job->u.data;
    const int rc = take_offset(v1, status);
    uint64_t room;

    if (rc != FERRY_OK) {
        return rc;
    }
    room = v1->region.size - v1->data_off;
    v1->data_size = io->size - v1->taken;
    if (v1->data_size > room && !v1->any_chunks) {
        return ferry_error_set(v1->job->reterr, FERRY_E_LIMIT, V1_LAYER, NULL, 0,
                               "migration region (uAPI v1): a transaction of %llu bytes "
                               "does not fit its data section of %llu, and it must not "
                               "be split",
                               (unsigned long long)v1->data_size,
                               (unsigned long long)room);
    }
    if (v1->data_size > room && room < V1_ROOM_MIN) {
        return ferry_v1_lies(v1, "its data section takes next to nothing at once", room);
    }
    v1->data_size = v1->data_size < room ? v1->data_size : room;
    return move_data(v1, (uint8_t *)io->data + v1->taken, 1, write_size);
}

static int start_write(struct backend_v1 *v1, int status)
{
    const int rc = know_state(v1, status);

    if (rc != FERRY_OK) {
        return rc;
    }
    if (v1->state != FERRY_STATE_RESUMING) {
        return wrong_state(v1);
    }
    if (v1->job->u.data.size == 0) {
        return FERRY_OK;
    }
    v1->taken = 0;
    return ferry_v1_read(v1, FERRY_V1_OFFSET_OFF, 8, write_offset);
}

int ferry_v1_data_write(struct backend_v1 *v1, int status)
{
    (void)status;
    return need_state(v1, start_write);
}
