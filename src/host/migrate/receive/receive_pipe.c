/* SPDX-License-Identifier: BSD-3-Clause */
#include "host/migrate/migration.h"

/*
 * The target's half of a data descriptor: records go from the memory into which they were
 * received to the device, each one as a DATA.
 */

static int hear(struct ferry_run_pipe *pipe, struct ferry_error *reterr)
{
    struct ferry_frame frame;
    int rc;

    for (;;) {
        rc = ferry_run_pipe_hear(pipe, &frame, reterr);
        if (rc != FERRY_OK) {
            return rc;
        }
        if (!pipe->sync_open || frame.value != pipe->sync_bytes) {
            return ferry_error_set(
                reterr, FERRY_E_PROTOCOL, FERRY_HOST_LAYER, NULL, pipe->out.bytes,
                "the device took %llu of %llu bytes, it says",
                (unsigned long long)frame.value, (unsigned long long)pipe->sync_bytes);
        }
        pipe->sync_open = 0;
        pipe->taken = frame.value;
    }
}

/* Return: FERRY_OK when the oldest record has left. */
static int put_record(struct ferry_run_pipe *pipe, struct ferry_op *op)
{
    size_t sent;
    int rc;

    if (op->begun_ns == 0) {
        op->begun_ns = 1;
        ferry_run_pipe_tell(pipe, FERRY_FRAME_DATA, op->queued);
    }
    do {
        rc = ferry_run_pipe_put(pipe, op->data + op->arg, op->queued - op->arg, &sent);
        op->arg += (uint32_t)sent;
    } while (rc == FERRY_E_AGAIN && sent > 0);
    return rc;
}

int ferry_run_pipe_write(struct ferry_run *run, uint32_t device)
{
    struct ferry_run_pipe *pipe = &run->device[device].pipe;
    struct ferry_run_writer *writer = &run->device[device].writer;
    struct ferry_error error = { .code = FERRY_OK };
    int rc, told = FERRY_OK;
    size_t sent;

    if (!pipe->open || writer->status < 0) {
        ferry_run_pipe_watch(pipe, 0);
        return 0;
    }
    rc = hear(pipe, &error);
    if (rc == FERRY_E_AGAIN && pipe->told_at < pipe->told_bytes &&
        (writer->count == 0 || writer->slot[0]->begun_ns == 0)) {
        told = ferry_run_pipe_put(pipe, NULL, 0, &sent); /* the rest of a SYNC */
    }
    if (rc == FERRY_E_AGAIN && told == FERRY_OK && writer->count > 0) {
        told = put_record(pipe, writer->slot[0]);
    }
    if (told != FERRY_OK && told != FERRY_E_AGAIN) {
        /* Its last words may say why. */
        rc = hear(pipe, &error);
        rc = rc == FERRY_E_AGAIN ? told : rc;
    }
    if (rc != FERRY_E_AGAIN) {
        ferry_run_pipe_watch(pipe, 0);
        /* One that has all of its state closes it as it leaves RESUMING. */
        if (!writer->ended) {
            ferry_run_writer_fail(run, device, rc, error.text);
        }
        return 0;
    }
    ferry_run_pipe_watch(pipe, told == FERRY_E_AGAIN ? FERRY_LOOP_READ | FERRY_LOOP_WRITE
                                                     : FERRY_LOOP_READ);
    return writer->count > 0 && told == FERRY_OK;
}

int ferry_run_pipe_taken(struct ferry_run *run, uint32_t device)
{
    struct ferry_run_pipe *pipe = &run->device[device].pipe;
    size_t sent;

    if (!pipe->open || pipe->taken == pipe->out.bytes) {
        return 1;
    }
    if (!pipe->sync_open) {
        pipe->sync_open = 1;
        pipe->sync_bytes = pipe->out.bytes;
        ferry_run_pipe_tell(pipe, FERRY_FRAME_SYNC, 0);
        if (ferry_run_pipe_put(pipe, NULL, 0, &sent) == FERRY_E_AGAIN) {
            ferry_run_pipe_watch(pipe, FERRY_LOOP_READ | FERRY_LOOP_WRITE);
        } else {
            ferry_run_pipe_watch(pipe, FERRY_LOOP_READ);
        }
    }
    return 0;
}
