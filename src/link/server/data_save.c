/* SPDX-License-Identifier: BSD-3-Clause */
#include "link/server/data_session.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "os/socket.h"
#include "wire/status.h"

_Static_assert(1 + FERRY_DATA_PIECES_MAX <= FERRY_OS_PIECES_MAX,
               "a frame leaves with one call");

/* One frame; the bytes of a DATA are behind its head or named in session->part. */
static void put(struct ferry_data_pipe *session, uint32_t kind, uint32_t length,
                uint64_t value)
{
    const struct ferry_data_io *io = &session->request.u.data;
    int named = kind == FERRY_FRAME_DATA && io->piece && io->piece_count > 0;

    ferry_frame_encode(&session->out, kind, length, value, session->piece);
    session->part[0].data = session->piece;
    session->part[0].size = FERRY_FRAME_BYTES + (named ? 0 : length);
    session->part_at = 0;
    session->part_count = 1 + (named ? io->piece_count : 0);
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

/* Bytes of the frame have left. */
static void sent(struct ferry_data_pipe *session, size_t bytes)
{
    session->piece_at += bytes;
    session->moved += bytes;
    while (bytes > 0) {
        struct ferry_data_piece *part = &session->part[session->part_at];

        if (bytes < part->size) {
            part->data = (const uint8_t *)part->data + bytes;
            part->size -= bytes;
            return;
        }
        bytes -= (size_t)part->size;
        session->part_at++;
    }
}

/* Return: FERRY_OK when all of the frame has left. */
static int send_frame(struct ferry_data_pipe *session)
{
    while (session->piece_at < session->piece_bytes) {
        struct iovec iov[1 + FERRY_DATA_PIECES_MAX];
        size_t count = 0;
        int rc;

        for (uint32_t i = session->part_at; i < session->part_count; i++) {
            /* iov_base is not const, but sending does not write to it. */
            memcpy(&iov[count].iov_base, &session->part[i].data, sizeof(void *));
            iov[count++].iov_len = (size_t)session->part[i].size;
        }
        rc = ferry_os_send(session->watch.fd, iov, count, NULL, 0, FERRY_OS_NOWAIT);
        if (rc < 0) {
            return rc;
        }
        sent(session, (size_t)rc);
    }
    if (session->out.over && session->status != FERRY_OK) {
        return FERRY_E_CLOSED;
    }
    return FERRY_OK;
}

void ferry_data_save_keep(struct ferry_data_pipe *session)
{
    size_t left = session->piece_bytes - session->piece_at, at = 0;
    uint8_t *own;

    if (session->watch.fd < 0 || session->loading || session->in_request || left == 0) {
        return;
    }
    own = malloc(FERRY_FRAME_BYTES + FERRY_DATA_PIECE_BYTES);
    if (!own) {
        ferry_data_session_close(session, FERRY_E_MEMORY);
        return;
    }
    for (uint32_t i = session->part_at; i < session->part_count; i++) {
        memcpy(own + at, session->part[i].data, (size_t)session->part[i].size);
        at += (size_t)session->part[i].size;
    }
    assert(at == left);
    free(session->piece);
    session->piece = own;
    session->part[0] = (struct ferry_data_piece){ own, left };
    session->part_at = 0;
    session->part_count = 1;
}

static int read_more(struct ferry_data_pipe *session)
{
    session->request.kind = FERRY_RQ_DATA_READ;
    session->request.u.data = (struct ferry_data_io){
        .data = session->piece + FERRY_FRAME_BYTES,
        .size = FERRY_DATA_PIECE_BYTES,
        .piece = session->part + 1,
    };
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
