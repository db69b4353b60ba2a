/* SPDX-License-Identifier: BSD-3-Clause */
#include "link/server/data_session.h"
#include "wire/status.h"

/* One frame, with the bytes of a DATA behind it already. */
static void put(struct ferry_data_pipe *session, uint32_t kind, uint32_t length,
                uint64_t value)
{
    ferry_frame_encode(&session->out, kind, length, value, session->piece);
    session->piece_at = 0;
    session->piece_bytes = FERRY_FRAME_BYTES + length;
    session->wanted = session->wanted && kind == FERRY_FRAME_DATA;
}

static void put_error(struct ferry_data_pipe *session, int status)
{
    session->status = status;
    put(session, FERRY_FRAME_ERROR, 0, ferry_wire_errno_from_status(status));
}

static void note(struct ferry_data_pipe *session, int status)
{
    const struct ferry_data_io *io = &session->request.u.data;
    int stopped = session->connection->device_state == FERRY_STATE_STOP_COPY;

    if (status == FERRY_OK && io->got > io->size) {
        status = FERRY_E_DEVICE;
    }
    if (status == FERRY_OK && io->got > 0) {
        put(session, FERRY_FRAME_DATA, (uint32_t)io->got, 0);
    } else if (status == FERRY_OK && stopped) {
        put(session, FERRY_FRAME_END, 0, 0);
    } else if (status == FERRY_OK || status == FERRY_E_DRY) {
        put(session, FERRY_FRAME_DRY, 0, 0);
    } else {
        put_error(session, status);
    }
}

/* Return: FERRY_OK when all of the frame has left. */
static int send_frame(struct ferry_data_pipe *session)
{
    while (session->piece_at < session->piece_bytes) {
        struct iovec iov = { session->piece + session->piece_at,
                             session->piece_bytes - session->piece_at };
        int rc = ferry_os_send(session->watch.fd, &iov, 1, NULL, 0, FERRY_OS_NOWAIT);

        if (rc < 0) {
            return rc;
        }
        session->piece_at += (size_t)rc;
        session->moved += (uint64_t)rc;
    }
    if (session->out.over && session->status != FERRY_OK) {
        return FERRY_E_CLOSED;
    }
    return FERRY_OK;
}

static int read_more(struct ferry_data_pipe *session)
{
    struct ferry_data_io *io = &session->request.u.data;

    session->request.kind = FERRY_RQ_DATA_READ;
    io->data = session->piece + FERRY_FRAME_BYTES;
    io->size = FERRY_DATA_PIECE_BYTES;
    io->got = 0;
    return ferry_data_session_submit(session);
}

/* Takes the client's frames. Return: FERRY_E_AGAIN, or why the descriptor is of no use.
 */
static int listen(struct ferry_data_pipe *session)
{
    struct ferry_frame frame;
    int rc;

    for (;;) {
        struct iovec iov = { session->head + session->head_got,
                             FERRY_FRAME_BYTES - session->head_got };

        rc = ferry_os_receive(session->watch.fd, &iov, 1, NULL, FERRY_OS_NOWAIT);
        if (rc < 0) {
            return rc;
        }
        session->head_got += (size_t)rc;
        if (session->head_got < FERRY_FRAME_BYTES) {
            continue;
        }
        session->head_got = 0;
        rc = ferry_frame_decode(&session->in, session->head, &frame, NULL);
        if (rc != FERRY_OK || session->wanted || session->out.over) {
            return FERRY_E_PROTOCOL;
        }
        session->wanted = 1;
    }
}

/* Tells the client why, when no frame is half sent, and closes. */
static void refuse(struct ferry_data_pipe *session, int status)
{
    /* The endpoint may be filling the rest of the piece, but never a frame's head. */
    int between = session->piece_at == session->piece_bytes;

    if (status != FERRY_E_CLOSED && between && !session->out.over) {
        put_error(session, status);
        (void)send_frame(session);
    }
    ferry_data_session_close(session, status);
}

void ferry_data_save_go(struct ferry_data_pipe *session, int readable)
{
    uint32_t pieces = 0;
    int rc = readable ? listen(session) : FERRY_E_AGAIN;

    if (rc != FERRY_E_AGAIN) {
        refuse(session, rc);
        return;
    }
    for (;;) {
        rc = send_frame(session);
        if (rc == FERRY_E_AGAIN ||
            (rc == FERRY_OK && pieces++ > FERRY_DATA_PIECES_PER_TURN)) {
            ferry_data_session_watch(session, FERRY_LOOP_READ | FERRY_LOOP_WRITE);
            return;
        }
        if (rc != FERRY_OK) {
            ferry_data_session_close(session, rc);
            return;
        }
        if (!session->wanted || session->in_request) {
            break;
        }
        rc = read_more(session);
        if (rc == FERRY_PENDING) {
            return; /* the session may be gone */
        }
        note(session, rc);
    }
    ferry_data_session_watch(session, FERRY_LOOP_READ);
}

void ferry_data_save_done(struct ferry_data_pipe *session, int status)
{
    if (session->watch.fd < 0) {
        return;
    }
    note(session, status);
    ferry_data_save_go(session, 0);
}
