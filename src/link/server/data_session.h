/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef FERRY_LINK_SERVER_DATA_SESSION_H
#define FERRY_LINK_SERVER_DATA_SESSION_H

#include "link/server/connection.h"
#include "wire/frame.h"

/*
 * The server's end of a data descriptor (docs/vfio-user-extensions.md, `data_fd`):
 *
 *   data_session.c  which requests it takes part in, its beginning and end
 *   data_save.c     the device's data to the descriptor
 *   data_load.c     from the descriptor to the device
 *
 * Every byte goes through DATA_READ and DATA_WRITE of the endpoint, one request at a
 * time, so the device's and every filter's rules hold as for messages. The loop turns
 * between pieces, so messages are served meanwhile. Thread: the loop's thread only.
 */

/* Read from the device at a time. */
#define FERRY_DATA_PIECE_BYTES (512u << 10)
/* Per readiness, so that a fast client does not keep the loop to itself: frames, or
 * requests that load and their bytes. */
#define FERRY_DATA_PIECES_PER_TURN 4u
#define FERRY_DATA_WRITES_PER_TURN 64u
#define FERRY_DATA_BYTES_PER_TURN (2u << 20)

struct ferry_data_pipe {
    struct ferry_connection *connection;
    struct ferry_watch watch; /* fd -1: closed */
    struct ferry_loop_timer timer;
    struct ferry_request request; /* one of the endpoint's at a time */
    struct ferry_job *leaving;    /* the LEAVE_STATE that waits, or NULL */
    struct ferry_frame_stream in, out;
    uint64_t id;
    uint64_t moved; /* counts whatever came or left, for the time limit */
    uint64_t moved_seen;
    uint64_t taken; /* loading: bytes that the device has taken */
    int32_t status; /* why it failed */
    uint32_t loading;
    uint32_t in_request; /* 1: the endpoint holds the request */
    uint32_t wanted;     /* saving: a WANT is open */
    uint32_t closed;     /* 1: to be freed when the endpoint lets go */
    uint8_t head[FERRY_FRAME_BYTES];
    size_t head_got;
    size_t piece_bytes, piece_at; /* saving: to be sent; loading: to be received */
    uint8_t *piece; /* saving: a frame's head and its bytes; loading: bytes */
    /* Saving: what of the frame is still to be sent, and where it is. */
    struct ferry_data_piece part[1 + FERRY_DATA_PIECES_MAX];
    uint32_t part_at, part_count;
    /* Loading: how far the device has the piece, and what lies at its own place. */
    size_t handed, placed;
    uint32_t direct; /* 1: the device has places: it gets the piece as it comes */
};

/* data_session.c, for job.c */

/*
 * Has a data session a say in this request?
 * Return: FERRY_OK: the request goes on to the endpoint (perhaps as another kind);
 *   FERRY_PENDING: it is held and ends later; another code: refused.
 */
int ferry_data_session_admit(struct ferry_job *job);
/* The endpoint has ended the job's request. Return: the status to answer with. */
int ferry_data_session_settle(struct ferry_job *job, int status);
/* Closes and forgets the present session, if there is one. */
void ferry_data_session_drop(struct ferry_connection *connection);
/* A LEAVE_STATE was admitted and its job is pending. It may end at once. */
void ferry_data_session_leave(struct ferry_connection *connection);

/* job.c: goes on with a job that was held: runs its request, or ends it with status. */
void ferry_job_go_on(struct ferry_job *job, int status);

/* For data_save.c and data_load.c */

/* Closes the descriptor; status: why, FERRY_OK as it should be. */
void ferry_data_session_close(struct ferry_data_pipe *session, int status);
/* Asks the loop for these events; 0: none at all. */
void ferry_data_session_watch(struct ferry_data_pipe *session, uint32_t events);
/* A frame was begun or something is awaited: it must go on in time; 0 ends the wait. */
void ferry_data_session_await(struct ferry_data_pipe *session, int awaited);
/*
 * Gives session->request to the endpoint.
 * Return: its status, or FERRY_PENDING: ferry_data_save_done() or ferry_data_load_done()
 *   is called later.
 */
int ferry_data_session_submit(struct ferry_data_pipe *session);

/* readable: 1 when the client may have sent something. */
void ferry_data_save_go(struct ferry_data_pipe *session, int readable);
void ferry_data_save_done(struct ferry_data_pipe *session, int status);
/* The device may be about to take back what it has lent: keeps what is still to be sent.
 */
void ferry_data_save_keep(struct ferry_data_pipe *session);
void ferry_data_load_go(struct ferry_data_pipe *session);
/* Tells the client why, and closes. */
void ferry_data_load_refuse(struct ferry_data_pipe *session, int status);
void ferry_data_load_done(struct ferry_data_pipe *session, int status);
/* Ends a LEAVE_STATE that waits, when it can be; the session may be gone after it. */
void ferry_data_load_leave(struct ferry_data_pipe *session);

#endif
