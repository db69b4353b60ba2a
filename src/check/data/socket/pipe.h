/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef FERRY_CHECK_DATA_SOCKET_PIPE_H
#define FERRY_CHECK_DATA_SOCKET_PIPE_H

#include "check/check.h"
#include "wire/frame.h"

/* One data descriptor and the frames on it (docs/vfio-user-extensions.md, `data_fd`). */
struct pipe {
    int fd;
    uint64_t session;
    struct ferry_frame_stream in, out;
};

/* Asks for one in the present state. Return: the status; ret_pipe->fd is -1 without one.
 */
int pipe_open(struct check_run *run, struct pipe *ret_pipe);
void pipe_close(struct pipe *pipe);
/* How long one wait may be. */
uint32_t pipe_limit_ms(const struct check_run *run);
/* Return: FERRY_OK, or why it could not be sent. */
int pipe_send(struct pipe *pipe, uint32_t kind, const uint8_t *data, uint32_t bytes);
/* The next frame and its data, which is appended. Return: its kind or a status. */
int pipe_next(struct pipe *pipe, struct check_stream *stream);
/* Asks, and reads until a frame of that kind. Return: 1; 0: FAILED. */
int pipe_read_until(struct check_run *run, struct pipe *pipe, int kind,
                    struct check_stream *stream);

#endif
