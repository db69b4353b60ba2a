/* SPDX-License-Identifier: BSD-3-Clause */
#include "host/migrate/migration.h"
#include "os/socket.h"

/*
 * The source's half of a data descriptor: each record's buffer is filled from it and goes
 * to the channel as it is. What the channel does not take stays in the descriptor, whose
 * room is what the device may be ahead.
 */

/* Records per turn of the loop, so that others are heard. */
#define RECORDS_PER_TURN 8u

void ferry_run_pipe_want(struct ferry_run *run, uint32_t device)
{
    struct ferry_run_pipe *pipe = &run->device[device].pipe;
    size_t sent;

    if (!pipe->open || pipe->wanted) {
        return;
    }
    pipe->wanted = 1;
    ferry_run_pipe_tell(pipe, FERRY_FRAME_WANT, 0);
    /* 16 bytes into a socket in which nothing else waits: it leaves, or never will. */
    if (ferry_run_pipe_put(pipe, NULL, 0, &sent) != FERRY_OK) {
        ferry_run_reader_fail(run, device, FERRY_E_DEVICE,
                              "the device does not take in its data descriptor");
    }
}

/* The next record of what a DATA has left. Return: 0 when no buffer is free. */
static int take_buffer(struct ferry_run *run, struct ferry_run_pipe *pipe)
{
    if (!pipe->buffer) {
        pipe->buffer = ferry_run_reader_buffer(run, pipe->device);
        if (!pipe->buffer) {
            return 0;
        }
        pipe->got = 0;
        pipe->want_bytes =
            pipe->left < pipe->buffer->cap ? pipe->left : (uint32_t)pipe->buffer->cap;
    }
    return 1;
}

/* One receive of a record's bytes and the head behind them. */
static int receive(struct ferry_run_pipe *pipe, struct ferry_error *reterr)
{
    size_t want = pipe->want_bytes - pipe->got, body;
    struct iovec iov[2] = { { pipe->buffer->data + pipe->got, want },
                            { pipe->head, FERRY_FRAME_BYTES } };
    /* The head comes behind the last record of a DATA only. */
    size_t count = want == pipe->left ? 2 : 1;
    int rc = ferry_run_pipe_receive(pipe, iov, count, reterr);

    if (rc < 0) {
        return rc;
    }
    body = (size_t)rc < want ? (size_t)rc : want;
    pipe->got += body;
    pipe->left -= (uint32_t)body;
    pipe->head_got = (size_t)rc - body;
    return FERRY_OK;
}

/* A frame's head is complete. Return: FERRY_OK to go on with what follows it. */
static int take_frame(struct ferry_run *run, struct ferry_run_pipe *pipe,
                      struct ferry_error *reterr)
{
    struct ferry_run_reader *reader = &run->device[pipe->device].reader;
    struct ferry_frame frame;
    int rc = ferry_run_pipe_hear(pipe, &frame, reterr);

    if (rc != FERRY_OK) {
        return rc;
    }
    if (frame.kind == FERRY_FRAME_DATA) {
        pipe->left = frame.length;
        return FERRY_OK;
    }
    pipe->wanted = 0;
    if (frame.kind == FERRY_FRAME_DRY && reader->final) {
        /* Said before the device was stopped. */
        ferry_run_pipe_want(run, pipe->device);
        return FERRY_E_AGAIN;
    }
    reader->stopping = 1;
    if (frame.kind == FERRY_FRAME_END && !reader->final) {
        return ferry_error_set(reterr, FERRY_E_PROTOCOL, FERRY_HOST_LAYER, NULL,
                               pipe->in.bytes, "END before the device was stopped");
    }
    reader->ended = frame.kind == FERRY_FRAME_END;
    return FERRY_E_AGAIN;
}

/* Return: FERRY_E_AGAIN to wait for the descriptor, FERRY_E_BUSY for buffer or channel.
 */
static int read_some(struct ferry_run *run, struct ferry_run_pipe *pipe,
                     struct ferry_error *reterr)
{
    uint32_t records = 0;
    int rc = FERRY_OK;

    while (rc == FERRY_OK) {
        if (pipe->buffer && pipe->got == pipe->want_bytes) {
            struct ferry_op *op = pipe->buffer;

            pipe->buffer = NULL;
            op->request.u.data.got = pipe->got;
            ferry_run_reader_send(run, op);
            /* While it is in the cache; its memory is then the next record's. */
            ferry_channel_flush(ferry_lanes_of_device(run, pipe->device));
            records++;
        } else if (records >= RECORDS_PER_TURN && pipe->head_got < FERRY_FRAME_BYTES) {
            /* What is here is done; the rest makes the descriptor readable. */
            rc = FERRY_E_AGAIN;
        } else if (pipe->left == 0 && !pipe->buffer) {
            rc = take_frame(run, pipe, reterr);
        } else if (!ferry_channel_room(ferry_lanes_of_device(run, pipe->device)) ||
                   !take_buffer(run, pipe)) {
            rc = FERRY_E_BUSY;
        } else {
            rc = receive(pipe, reterr);
        }
    }
    return rc;
}

void ferry_run_pipe_read(struct ferry_run *run, uint32_t device)
{
    struct ferry_run_pipe *pipe = &run->device[device].pipe;
    struct ferry_run_reader *reader = &run->device[device].reader;
    struct ferry_error error = { .code = FERRY_OK };
    int rc;

    if (!pipe->open || !reader->active || reader->stopping) {
        ferry_run_pipe_watch(pipe, 0);
        return;
    }
    rc = read_some(run, pipe, &error);
    if (rc == FERRY_E_AGAIN || rc == FERRY_E_BUSY) {
        ferry_run_pipe_watch(
            pipe, rc == FERRY_E_AGAIN && !reader->stopping ? FERRY_LOOP_READ : 0);
        return;
    }
    ferry_run_pipe_watch(pipe, 0);
    ferry_run_reader_fail(run, device, rc, error.text);
}
