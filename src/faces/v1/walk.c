/* SPDX-License-Identifier: BSD-3-Clause */
#include "faces/v1/face.h"

/* The pieces of a session, and what is known of it, are over. */
static void end_data(struct face *face)
{
    face_section_wipe(face);
    face->piece_bytes = 0;
    face->rest_bytes = 0;
    face->told = 0;
    face->ended = 0;
    face->turn = 0;
    face->spoilt = FERRY_OK;
}

void face_renew(struct face *face)
{
    face->device.v1 = FERRY_V1_RUNNING;
    face->device.state = FERRY_STATE_RUNNING;
    face->failed = 0;
    end_data(face);
    face_watch_forget(face);
}

static void fail_for_good(struct face *face)
{
    face->failed = 1;
    end_data(face);
}

/* --- the walk below --- */

static int arc_done(struct face *face, int status);

static int walk_on(struct face *face)
{
    if (face->path_at == face->path_count) {
        return face->walked(face, FERRY_OK);
    }
    (void)face_ask(face, FERRY_RQ_SET_STATE, arc_done);
    face->sub.u.state = face->path[face->path_at];
    return FACE_ASK;
}

static void arrive(struct face *face, uint32_t state)
{
    const int data = ferry_state_data(face->device.state, state, face->device.features);

    face->cut |= data == FERRY_DATA_ENDS || data == FERRY_DATA_ENDS_BEGINS;
    face->device.state = state;
}

/* An arc failed: the device is where it was, where it was to go, or in ERROR. */
static int look_where(struct face *face, int status)
{
    const uint32_t state = face->sub.u.state;

    if (status != FERRY_OK || state >= FERRY_STATE_COUNT || state == FERRY_STATE_ERROR) {
        fail_for_good(face);
    } else if (state != face->device.state) {
        arrive(face, state);
    }
    return face->walked(face, face->walk_status);
}

static int arc_done(struct face *face, int status)
{
    if (status != FERRY_OK) {
        face->walk_status = status;
        return face_ask(face, FERRY_RQ_GET_STATE, look_where);
    }
    arrive(face, face->path[face->path_at++]);
    return walk_on(face);
}

static int walk(struct face *face, int count, face_step *walked)
{
    face->path_count = (uint32_t)count;
    face->path_at = 0;
    face->walked = walked;
    return walk_on(face);
}

/* --- writes of device_state --- */

/*
 * Back in the state before. A user who goes on to collect data as if nothing had been
 * must not get the beginning of another session behind that of the first.
 */
static int went_back(struct face *face, int status)
{
    if (status != FERRY_OK) {
        fail_for_good(face);
    } else if (face->cut && ferry_state_is_saving(face->start)) {
        end_data(face);
        face->spoilt = FERRY_E_DEVICE;
    }
    return face->write_status;
}

/*
 * v1: after a write that failed device_state reads as before, or as ERROR. What was
 * loaded and accepted cannot be brought back into RESUMING.
 */
static int go_back(struct face *face, int status)
{
    const int lost = face->cut && face->start == FERRY_STATE_RESUMING;
    const int count = ferry_state_path(face->device.state, face->start,
                                       face->device.features, face->path);

    face->write_status = status;
    if (lost || count < 0) {
        fail_for_good(face);
        return status;
    }
    return walk(face, count, went_back);
}

static int wrote_state(struct face *face, int status)
{
    if (status != FERRY_OK) {
        return face->failed || face->device.state == face->start ? status
                                                                 : go_back(face, status);
    }
    if (!ferry_v1_same_session(face->device.v1, face->wanted)) {
        end_data(face);
    }
    if ((face->wanted & (FERRY_V1_RUNNING | FERRY_V1_RESUMING)) != 0 ||
        face->device.state == FERRY_STATE_RUNNING_P2P) {
        face_watch_forget(face); /* what a peer writes now is right */
    }
    face->device.v1 = face->wanted;
    return FERRY_OK;
}

int face_write_state(struct face *face, uint32_t value)
{
    int count;

    if ((value & FERRY_V1_STATE_RESERVED) != 0) {
        return face_fail(face, FERRY_E_ARGUMENT, "MIG-V1-4",
                         "bits of device_state that have no meaning were set");
    }
    count = ferry_v1_walk(&face->device, value, face->path);
    if (count < 0) {
        return face_fail(face, FERRY_E_ARGUMENT, "MIG-V1-1",
                         "the value of device_state is none that can be written");
    }
    face->wanted = value;
    face->start = face->device.state;
    face->cut = 0;
    return walk(face, count, wrote_state);
}

/* --- reads of device_state --- */

static int answer_state(struct face *face)
{
    return face_put(face, face->failed ? FERRY_V1_ERROR : face->device.v1);
}

static int saw_state(struct face *face, int status)
{
    if (status != FERRY_OK) {
        return status;
    }
    if (face->sub.u.state == FERRY_STATE_ERROR) {
        fail_for_good(face);
    }
    return answer_state(face);
}

int face_read_state(struct face *face)
{
    /* Some devices fail by themselves, though the uAPI forbids it. */
    return face->failed ? answer_state(face)
                        : face_ask(face, FERRY_RQ_GET_STATE, saw_state);
}

/* --- the freeze --- */

static int froze(struct face *face, int status)
{
    if (status != FERRY_OK || !face->device.implicit) {
        return face->frozen(face, status);
    }
    return face_watch_note(face, face->frozen);
}

int face_freeze(struct face *face, face_step *next)
{
    const int count = ferry_v1_freeze(&face->device, face->path);

    if ((face->device.v1 & FERRY_V1_RUNNING) != 0) {
        return next(face, FERRY_OK);
    }
    face->frozen = next;
    if (count < 0) {
        return next(face, count);
    }
    return walk(face, count, froze);
}
