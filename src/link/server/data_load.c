/* SPDX-License-Identifier: BSD-3-Clause */
#include "link/server/data_session.h"

#include <assert.h>

#include "wire/status.h"

/* Tells the client: 16 bytes into a socket in which at most one other such frame waits.
 */
static int tell(struct ferry_data_pipe *session, uint32_t kind, uint64_t value)
{
    uint8_t bytes[FERRY_FRAME_BYTES];
    struct iovec iov = { bytes, sizeof(bytes) };
    int rc;

    ferry_frame_encode(&session->out, kind, 0, value, bytes);
    rc = ferry_os_send(session->watch.fd, &iov, 1, NULL, 0, FERRY_OS_NOWAIT);
    return rc == (int)sizeof(bytes) ? FERRY_OK : FERRY_E_CLOSED;
}

void ferry_data_load_refuse(struct ferry_data_pipe *session, int status)
{
    if (status != FERRY_E_CLOSED) {
        (void)tell(session, FERRY_FRAME_ERROR, ferry_wire_errno_from_status(status));
    }
    ferry_data_session_close(session, status);
}

/* A head is complete. Return: FERRY_OK, or why nothing more is understood. */
static int take_head(struct ferry_data_pipe *session)
{
    struct ferry_frame frame;
    int rc = ferry_frame_decode(&session->in, session->head, &frame, NULL);

    session->head_got = 0;
    if (rc != FERRY_OK) {
        return rc;
    }
    if (frame.kind == FERRY_FRAME_SYNC) {
        return tell(session, FERRY_FRAME_TAKEN, session->taken);
    }
    session->piece_at = session->handed = 0;
    session->piece_bytes = frame.length;
    return FERRY_OK;
}

/* The device's place for what comes next, if it has one. */
static void ask_place(struct ferry_data_pipe *session, size_t left,
                      struct ferry_data_place *ret_place)
{
    struct ferry_endpoint *endpoint = session->connection->server->endpoint;

    *ret_place = (struct ferry_data_place){ .rest = left };
    /* What the device has not heard of yet comes first. */
    if (left == 0 || session->handed < session->piece_at) {
        return;
    }
    session->direct = ferry_endpoint_place(endpoint, left, ret_place) == FERRY_OK;
    if (!session->direct) {
        *ret_place = (struct ferry_data_place){ .rest = left };
    }
    assert(ret_place->size <= left);
    if (ret_place->rest > left - ret_place->size) {
        ret_place->rest = left - ret_place->size;
    }
}

/* One receive: of a piece what has a place, or its rest, and the head behind it. */
static int receive(struct ferry_data_pipe *session)
{
    size_t left = session->piece_bytes - session->piece_at, got;
    struct ferry_data_place place;
    struct iovec iov[3];
    size_t count = 0;
    int rc;

    ask_place(session, left, &place);
    if (place.size > 0) {
        iov[count++] = (struct iovec){ place.data, (size_t)place.size };
    }
    if (place.rest > 0) {
        iov[count++] = (struct iovec){ session->piece + session->piece_at + place.size,
                                       (size_t)place.rest };
    }
    if (place.size + place.rest == left) {
        iov[count++] = (struct iovec){ session->head + session->head_got,
                                       FERRY_FRAME_BYTES - session->head_got };
    }
    rc = ferry_os_receive(session->watch.fd, iov, count, NULL, FERRY_OS_NOWAIT);
    if (rc <= 0) {
        return rc;
    }
    got = (size_t)rc;
    session->moved += got;
    session->placed = got < place.size ? got : (size_t)place.size;
    left = got < left ? got : left;
    session->piece_at += left;
    session->head_got += got - left;
    return FERRY_OK;
}

/* What has come of the piece: first what is in place, then what is not. */
static int hand_over(struct ferry_data_pipe *session)
{
    size_t size =
        session->placed > 0 ? session->placed : session->piece_at - session->handed;

    session->request.kind = FERRY_RQ_DATA_WRITE;
    session->request.u.data = (struct ferry_data_io){
        .data = session->piece + session->handed,
        .size = size,
        .placed = session->placed > 0,
    };
    session->placed = 0;
    return ferry_data_session_submit(session);
}

/* Return: FERRY_OK when the device has taken it. */
static int taken(struct ferry_data_pipe *session, int status)
{
    if (status == FERRY_OK) {
        session->handed += (size_t)session->request.u.data.size;
        session->taken += session->request.u.data.size;
    }
    if (status != FERRY_OK || session->handed == session->piece_bytes) {
        session->piece_at = session->piece_bytes = session->handed = 0;
        session->placed = 0;
        session->direct = 0;
    }
    return status;
}

/* 1 when something that came is to go to the device before more is received. */
static int has_part(const struct ferry_data_pipe *session)
{
    return session->handed < session->piece_at &&
           (session->direct || session->piece_at == session->piece_bytes);
}

/* All that is there. Return: FERRY_E_AGAIN, FERRY_PENDING, or why it is over. */
static int take_all(struct ferry_data_pipe *session)
{
    const struct ferry_job *leaving = session->leaving;
    uint64_t bytes = 0;
    uint32_t writes = 0;
    int rc = FERRY_OK;

    while (rc == FERRY_OK) {
        if (leaving && session->in.bytes > leaving->request.u.leave.data_bytes) {
            return FERRY_E_LONG;
        }
        if (has_part(session)) {
            rc = hand_over(session);
            if (rc != FERRY_PENDING) {
                writes++;
                bytes += session->request.u.data.size;
                rc = taken(session, rc);
            }
        } else if (session->head_got == FERRY_FRAME_BYTES && session->piece_bytes == 0) {
            rc = take_head(session);
        } else if ((bytes >= FERRY_DATA_BYTES_PER_TURN ||
                    writes >= FERRY_DATA_WRITES_PER_TURN) &&
                   !leaving) {
            /* What is here is done; the rest makes the descriptor readable. One that
             * leaves takes all there is: nothing may be left unseen. */
            return FERRY_E_AGAIN;
        } else {
            rc = receive(session);
        }
    }
    return rc;
}

void ferry_data_load_leave(struct ferry_data_pipe *session)
{
    struct ferry_job *job = session->leaving;
    uint64_t wanted;
    int status = session->status;

    if (!job || session->in_request) {
        return;
    }
    wanted = job->request.u.leave.data_bytes;
    if (status == FERRY_E_CLOSED) {
        status = FERRY_OK; /* the client has closed its end: what came counts */
    }
    if (status == FERRY_OK && (session->in.bytes > wanted ||
                               (session->taken == wanted && session->head_got > 0))) {
        status = FERRY_E_LONG;
    } else if (status == FERRY_OK && session->taken < wanted) {
        if (session->watch.fd >= 0) {
            return;
        }
        status = FERRY_E_SHORT;
    }
    session->leaving = NULL;
    if (status == FERRY_OK) {
        ferry_data_session_close(session, FERRY_OK);
    } else {
        ferry_data_session_await(session, session->head_got > 0);
    }
    ferry_job_go_on(job, status);
}

static void go_on(struct ferry_data_pipe *session, int rc)
{
    int begun;

    if (rc == FERRY_PENDING) {
        return; /* the session may be gone */
    }
    if (rc != FERRY_E_AGAIN) {
        ferry_data_load_refuse(session, rc);
    } else {
        ferry_data_session_watch(session, FERRY_LOOP_READ);
        begun = session->head_got > 0 || session->piece_bytes > 0;
        ferry_data_session_await(session, begun || session->leaving);
    }
    ferry_data_load_leave(session);
}

void ferry_data_load_go(struct ferry_data_pipe *session)
{
    struct ferry_connection *connection = session->connection;
    int rc;

    if (session->in_request) {
        ferry_data_session_watch(session, 0);
        return;
    }
    rc = take_all(session);
    if (rc == FERRY_PENDING && connection->data == session) {
        ferry_data_session_watch(session, 0);
        ferry_data_session_await(session, 0);
    }
    go_on(session, rc);
}

void ferry_data_load_done(struct ferry_data_pipe *session, int status)
{
    status = taken(session, status);
    if (session->watch.fd < 0) {
        ferry_data_load_leave(session);
    } else if (status != FERRY_OK) {
        go_on(session, status);
    } else {
        ferry_data_load_go(session);
    }
}
