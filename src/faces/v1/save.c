/* SPDX-License-Identifier: BSD-3-Clause */
#include "base/range.h"
#include "faces/v1/face.h"

/*
 * pending_bytes is 0 exactly when there is nothing, which no estimate of a device tells:
 * so the piece is fetched when pending_bytes is read, and stays in the section until
 * another read says that it was taken.
 */

static int stopped(const struct face *face)
{
    return (face->device.v1 & FERRY_V1_RUNNING) == 0;
}

static int answer(struct face *face)
{
    uint64_t pending;

    if (!ferry_range_add(face->piece_bytes, face->rest_bytes, &pending)) {
        pending = UINT64_MAX;
    }
    return face_put(face, pending);
}

static int estimated(struct face *face, int status)
{
    face->rest_bytes = 0; /* not every device can tell */
    if (status == FERRY_OK && stopped(face)) {
        face->rest_bytes = face->sub.u.data_size;
    } else if (status == FERRY_OK &&
               !ferry_range_add(face->sub.u.precopy.initial_bytes,
                                face->sub.u.precopy.dirty_bytes, &face->rest_bytes)) {
        face->rest_bytes = UINT64_MAX;
    }
    return answer(face);
}

static int estimate(struct face *face)
{
    return face_ask(face, stopped(face) ? FERRY_RQ_DATA_SIZE : FERRY_RQ_PRECOPY_INFO,
                    estimated);
}

static int nothing_now(struct face *face)
{
    return face_put(face, 0);
}

static int compared(struct face *face, int status)
{
    if (status == FERRY_OK) {
        return nothing_now(face);
    }
    face->spoilt = status;
    return face_fail(face, status, "MIG-QUI-2",
                     "the device's memory was written to after the freeze: its data was "
                     "collected too early");
}

/* All data was read: is it still what the device holds? */
static int at_end(struct face *face)
{
    return face->device.implicit ? face_watch_compare(face, compared) : nothing_now(face);
}

static int fetched(struct face *face, int status)
{
    const uint64_t got = face->sub.u.data.got;

    if (!stopped(face) && (status == FERRY_E_DRY || (status == FERRY_OK && got == 0))) {
        return nothing_now(face);
    }
    if (status == FERRY_E_DRY || (status == FERRY_OK && got > FERRY_V1_PIECE_MAX)) {
        return face_fail(face, FERRY_E_DEVICE, "MIG-V1-10",
                         "the stopped device gives neither data nor an end");
    }
    if (status != FERRY_OK) {
        return status;
    }
    if (got == 0) {
        face->ended = 1;
        return at_end(face);
    }
    face_section_write(face, face_section_offset(face), face->section.work.data, got);
    face->piece_bytes = got;
    return estimate(face);
}

static int fetch(struct face *face, int status)
{
    if (status != FERRY_OK) {
        return status;
    }
    if (!ferry_state_is_saving(face->device.state)) {
        return nothing_now(face); /* 000; or 011 of a device without pre-copy */
    }
    if (face->piece_bytes > 0) {
        return estimate(face);
    }
    if (face->ended) {
        return at_end(face);
    }
    (void)face_ask(face, FERRY_RQ_DATA_READ, fetched);
    face->sub.u.data.data = face->section.work.data;
    face->sub.u.data.size = FERRY_V1_PIECE_MAX;
    return FACE_ASK;
}

int face_read_pending(struct face *face)
{
    if (face->spoilt != FERRY_OK) {
        return face_fail(face, face->spoilt, "MIG-QUI-2",
                         "the data of this session is not worth anything any more");
    }
    if (face->told) {
        face->piece_bytes = 0;
        face->told = 0;
        face->turn++;
    }
    if (face->device.v1 == FERRY_V1_RUNNING || face->device.v1 == FERRY_V1_RESUMING) {
        return nothing_now(face);
    }
    return face_freeze(face, fetch);
}
