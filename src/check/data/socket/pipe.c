/* SPDX-License-Identifier: BSD-3-Clause */
#include "check/data/socket/pipe.h"

#include <stdio.h>
#include <string.h>

#include "os/memory.h"
#include "os/socket.h"

#define LIMIT_MS 5000u

uint32_t pipe_limit_ms(const struct check_run *run)
{
    return run->options->timeout_ms > 0 ? run->options->timeout_ms : LIMIT_MS;
}

int pipe_open(struct check_run *run, struct pipe *ret_pipe)
{
    struct ferry_request request = { .kind = FERRY_RQ_DATA_FD };
    const int rc = check_call(run, &request);
    const int saves = rc == FERRY_OK && request.u.data_fd.direction == FERRY_DATA_SAVED;

    *ret_pipe = (struct pipe){ .fd = -1 };
    if (rc != FERRY_OK) {
        return rc;
    }
    ret_pipe->fd = request.u.data_fd.fd;
    ret_pipe->session = request.u.data_fd.session;
    ferry_frame_stream_init(&ret_pipe->in,
                            saves ? FERRY_FRAME_SAVE_SERVER : FERRY_FRAME_LOAD_SERVER);
    ferry_frame_stream_init(&ret_pipe->out,
                            saves ? FERRY_FRAME_SAVE_CLIENT : FERRY_FRAME_LOAD_CLIENT);
    (void)ferry_os_receive_limit(ret_pipe->fd, pipe_limit_ms(run));
    return rc;
}

void pipe_close(struct pipe *pipe)
{
    ferry_os_close(&pipe->fd);
}

/* Return: FERRY_OK, or why it could not be sent. */
static int send_all(struct pipe *pipe, const uint8_t *data, uint64_t bytes)
{
    int rc = 1;

    while (rc > 0 && bytes > 0) {
        struct iovec iov = { .iov_len = bytes };

        memcpy(&iov.iov_base, &data, sizeof(data)); /* it is only read */
        rc = ferry_os_send(pipe->fd, &iov, 1, NULL, 0, FERRY_OS_WAIT);
        data += rc > 0 ? rc : 0;
        bytes -= rc > 0 ? (uint64_t)rc : 0;
    }
    return rc < 0 ? rc : FERRY_OK;
}

int pipe_send(struct pipe *pipe, uint32_t kind, const uint8_t *data, uint32_t bytes)
{
    uint8_t head[FERRY_FRAME_BYTES];
    int rc;

    ferry_frame_encode(&pipe->out, kind, bytes, 0, head);
    rc = send_all(pipe, head, sizeof(head));
    return rc == FERRY_OK ? send_all(pipe, data, bytes) : rc;
}

static int receive_all(struct pipe *pipe, uint8_t *ret_data, uint64_t bytes)
{
    int rc = 1;

    while (rc > 0 && bytes > 0) {
        struct iovec iov = { ret_data, bytes };

        rc = ferry_os_receive(pipe->fd, &iov, 1, NULL, FERRY_OS_WAIT);
        ret_data += rc > 0 ? rc : 0;
        bytes -= rc > 0 ? (uint64_t)rc : 0;
    }
    return rc < 0 ? rc : FERRY_OK;
}

int pipe_next(struct pipe *pipe, struct check_stream *stream)
{
    struct ferry_frame frame = { 0 };
    uint8_t head[FERRY_FRAME_BYTES];
    int rc = receive_all(pipe, head, sizeof(head));

    if (rc == FERRY_OK) {
        rc = ferry_frame_decode(&pipe->in, head, &frame, NULL);
    }
    if (rc == FERRY_OK) {
        rc = check_stream_room(stream, frame.length);
    }
    if (rc == FERRY_OK) {
        rc = receive_all(pipe, stream->data + stream->bytes, frame.length);
        stream->bytes += rc == FERRY_OK ? frame.length : 0;
    }
    return rc == FERRY_OK ? (int)frame.kind : rc;
}

int pipe_read_until(struct check_run *run, struct pipe *pipe, int kind,
                    struct check_stream *stream)
{
    char expected[64];
    int got = pipe_send(pipe, FERRY_FRAME_WANT, NULL, 0);

    if (got == FERRY_OK) {
        do {
            got = pipe_next(pipe, stream);
        } while (got == FERRY_FRAME_DATA);
    }
    snprintf(expected, sizeof(expected), "data, then %s",
             ferry_frame_name((uint32_t)kind));
    return check_that(run, got == kind, expected, "%s",
                      got > 0 ? ferry_frame_name((uint32_t)got) : ferry_status_text(got));
}
