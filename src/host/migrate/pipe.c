/* SPDX-License-Identifier: BSD-3-Clause */
#include <string.h>

#include "host/migrate/migration.h"
#include "os/memory.h"
#include "os/socket.h"
#include "wire/status.h"

void ferry_run_pipe_watch(struct ferry_run_pipe *pipe, uint32_t events)
{
    struct ferry_loop *loop = pipe->run->context->loop;

    if (!pipe->open || events == pipe->watch.events) {
        return;
    }
    /* A hung-up device is reported as long as the descriptor is watched for anything. */
    if (events == 0) {
        ferry_loop_remove(loop, &pipe->watch);
    } else if (pipe->watch.events == 0) {
        memset(pipe->watch.priv, 0, sizeof(pipe->watch.priv));
        pipe->watch.events = events;
        if (ferry_loop_add(loop, &pipe->watch) < 0) {
            pipe->watch.events = 0;
        }
        return;
    } else {
        ferry_loop_change(loop, &pipe->watch, events);
    }
    pipe->watch.events = events;
}

void ferry_run_pipe_close(struct ferry_run *run, uint32_t device)
{
    struct ferry_run_pipe *pipe = &run->device[device].pipe;

    if (!pipe->open) {
        return;
    }
    ferry_run_pipe_watch(pipe, 0);
    pipe->open = 0;
    ferry_os_close(&pipe->watch.fd);
    pipe->watch.fd = -1;
}

static void on_event(struct ferry_watch *watch, uint32_t events)
{
    struct ferry_run_pipe *pipe = watch->user;

    (void)events;
    if (pipe->run->incoming) {
        ferry_run_writer_pump(pipe->run, pipe->device);
    } else {
        ferry_run_reader_pump(pipe->run, pipe->device);
    }
}

static void start(struct ferry_run *run, uint32_t device,
                  const struct ferry_data_fd *given)
{
    struct ferry_run_pipe *pipe = &run->device[device].pipe;

    memset(pipe, 0, sizeof(*pipe));
    pipe->open = 1;
    pipe->run = run;
    pipe->device = device;
    pipe->session = given->session;
    pipe->watch.fd = given->fd;
    pipe->watch.fn = on_event;
    pipe->watch.user = pipe;
    ferry_frame_stream_init(&pipe->in, run->incoming ? FERRY_FRAME_LOAD_SERVER
                                                     : FERRY_FRAME_SAVE_SERVER);
    ferry_frame_stream_init(&pipe->out, run->incoming ? FERRY_FRAME_LOAD_CLIENT
                                                      : FERRY_FRAME_SAVE_CLIENT);
}

static void opened(struct ferry_run *run, struct ferry_op *op)
{
    uint32_t device = op->device;
    const struct ferry_data_fd *given = &op->request.u.data_fd;
    uint32_t wanted = run->incoming ? FERRY_DATA_LOADED : FERRY_DATA_SAVED;

    if (op->request.status == FERRY_OK && given->direction == wanted) {
        start(run, device, given);
    } else if (op->request.status == FERRY_OK) {
        ferry_os_close(&op->request.u.data_fd.fd);
    }
    ferry_op_free(op);
    run->device[device].pipe_over(run, device);
}

void ferry_run_pipe_open(struct ferry_run *run, uint32_t device,
                         void (*over)(struct ferry_run *run, uint32_t device))
{
    struct ferry_op *op;

    if (run->no_data_fd || run->device[device].pipe.open) {
        over(run, device);
        return;
    }
    op = ferry_op_new(run, FERRY_RQ_DATA_FD, device, 0, opened);
    if (!op) {
        over(run, device); /* by messages */
        return;
    }
    run->device[device].pipe_over = over;
    ferry_op_run(op);
}

void ferry_run_pipe_tell(struct ferry_run_pipe *pipe, uint32_t kind, uint32_t length)
{
    ferry_frame_encode(&pipe->out, kind, length, 0, pipe->told);
    pipe->told_bytes = FERRY_FRAME_BYTES;
    pipe->told_at = 0;
}

int ferry_run_pipe_put(struct ferry_run_pipe *pipe, const uint8_t *data, size_t bytes,
                       size_t *ret_data_sent)
{
    size_t head = pipe->told_bytes - pipe->told_at;
    size_t count = 0;
    struct iovec iov[2];
    int rc;

    *ret_data_sent = 0;
    if (head > 0) {
        iov[count++] = (struct iovec){ pipe->told + pipe->told_at, head };
    }
    if (bytes > 0) {
        /* iov_base is not const, but sending does not write to it. */
        memcpy(&iov[count].iov_base, &data, sizeof(data));
        iov[count++].iov_len = bytes;
    }
    if (count == 0) {
        return FERRY_OK;
    }
    rc = ferry_os_send(pipe->watch.fd, iov, count, NULL, 0, FERRY_OS_NOWAIT);
    if (rc < 0) {
        return rc;
    }
    if ((size_t)rc < head) {
        pipe->told_at += (size_t)rc;
        return FERRY_E_AGAIN;
    }
    pipe->told_at += head;
    *ret_data_sent = (size_t)rc - head;
    return *ret_data_sent == bytes ? FERRY_OK : FERRY_E_AGAIN;
}

int ferry_run_pipe_receive(const struct ferry_run_pipe *pipe, const struct iovec *iov,
                           size_t count, struct ferry_error *reterr)
{
    int rc = ferry_os_receive(pipe->watch.fd, iov, count, NULL, FERRY_OS_NOWAIT);

    if (rc >= 0 || rc == FERRY_E_AGAIN) {
        return rc;
    }
    return ferry_error_set(reterr, FERRY_E_DEVICE, FERRY_HOST_LAYER, NULL, pipe->in.bytes,
                           "the device has closed its data descriptor");
}

int ferry_run_pipe_hear(struct ferry_run_pipe *pipe, struct ferry_frame *ret_frame,
                        struct ferry_error *reterr)
{
    int rc;

    while (pipe->head_got < FERRY_FRAME_BYTES) {
        struct iovec iov = { pipe->head + pipe->head_got,
                             FERRY_FRAME_BYTES - pipe->head_got };

        rc = ferry_run_pipe_receive(pipe, &iov, 1, reterr);
        if (rc < 0) {
            return rc;
        }
        pipe->head_got += (size_t)rc;
    }
    pipe->head_got = 0;
    rc = ferry_frame_decode(&pipe->in, pipe->head, ret_frame, reterr);
    if (rc == FERRY_OK && ret_frame->kind == FERRY_FRAME_ERROR) {
        rc = ferry_wire_status_from_errno((uint32_t)ret_frame->value);
        return ferry_error_set(reterr, rc, FERRY_HOST_LAYER, NULL, pipe->in.bytes,
                               "the device answers errno %llu: %s",
                               (unsigned long long)ret_frame->value,
                               ferry_status_text(rc));
    }
    return rc;
}
