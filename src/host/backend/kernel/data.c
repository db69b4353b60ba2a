/* SPDX-License-Identifier: BSD-3-Clause */
#include <errno.h>
#include <poll.h>
#include <string.h>

#include "host/backend/kernel/inside.h"
#include "os/clock.h"

/*
 * The data descriptor: a stream, one reader, one writer (drivers do not guard themselves
 * against two). No driver's file has splice_read, so bytes go through memory; they go
 * through the worker's, since a read cannot be taken back from the kernel.
 */

/* A driver whose poll says "ready" and whose read says "not yet", again and again. */
#define SPIN_PAUSE_NS ((uint64_t)FERRY_NS_PER_MS)

/* A driver that gives or takes bytes after a session has it go on: so says the request.
 */
static int goes_on(struct backend_kernel *kernel, struct kernel_job *job)
{
    const struct kernel_calls *calls = kernel->calls;
    uint8_t byte = 0;

    if (kernel->data_fd >= 0 || kernel->ended_fd < 0) {
        return 0;
    }
    if (kernel->ended_loads) {
        return job->request.kind == FERRY_RQ_DATA_WRITE &&
               calls->write(calls->user, kernel->ended_fd, &byte, 1) > 0;
    }
    if (job->request.kind != FERRY_RQ_DATA_READ ||
        calls->read(calls->user, kernel->ended_fd, &byte, 1) <= 0) {
        return 0;
    }
    job->request.u.data.got = 1;
    return 1;
}

static int no_session(struct backend_kernel *kernel, struct kernel_job *job)
{
    if (goes_on(kernel, job)) {
        return FERRY_OK;
    }
    return ferry_error_set(&job->detail, FERRY_E_STATE, KERNEL_LAYER, NULL, 0,
                           "%s: the device has no data to %s in %s",
                           ferry_request_name(job->request.kind),
                           job->request.kind == FERRY_RQ_DATA_WRITE ? "take" : "give",
                           ferry_state_name(kernel->state));
}

/*
 * Bytes that left the device for a request that had gone back to its submitter are lost,
 * and he does not know which of those that he gave are in it: what would follow is none
 * of a stream. Return: FERRY_OK, or why nothing more is moved in this session.
 */
static int check_whole(const struct backend_kernel *kernel, struct kernel_job *job)
{
    if (!kernel->torn) {
        return FERRY_OK;
    }
    return ferry_error_set(&job->detail, FERRY_E_STATE, KERNEL_LAYER, NULL, 0,
                           "%s: the session lost bytes to a request that was overdue: it "
                           "has to be left and begun anew",
                           ferry_request_name(job->request.kind));
}

int kernel_tears(const struct kernel_job *job, int status)
{
    const int reads = job->request.kind == FERRY_RQ_DATA_READ;
    const int writes = job->request.kind == FERRY_RQ_DATA_WRITE;
    const int overdue = job->original == NULL || (writes && status == FERRY_E_TIMEOUT);

    return (reads || writes) && overdue && job->request.u.data.got > 0;
}

static int data_failed(struct backend_kernel *kernel, struct kernel_job *job, int64_t rc)
{
    struct ferry_error why = { 0 };
    const int status = kernel_refusal(&why, (int)rc, "the device's data");

    (void)ferry_error_set(&job->detail, status, KERNEL_LAYER, NULL, 0, "in %s: %.200s",
                          ferry_state_name(kernel->state), why.text);
    job->detail.os_errno = why.os_errno;
    return status;
}

static int not_ready(struct kernel_job *job)
{
    return ferry_error_set(&job->detail, FERRY_E_TIMEOUT, KERNEL_LAYER, NULL, 0,
                           "%s: the device was not ready in time",
                           ferry_request_name(job->request.kind));
}

/*
 * One read or write that moves something, however long that takes within the limit.
 * ret_got: what the call returned: bytes, 0, -errno.
 * Return: FERRY_OK; FERRY_E_TIMEOUT.
 */
static int move(struct backend_kernel *kernel, struct kernel_job *job, uint8_t *data,
                uint64_t size, int64_t *ret_got)
{
    const struct kernel_calls *calls = kernel->calls;
    const int writes = job->request.kind == FERRY_RQ_DATA_WRITE;
    int was_ready = 0;

    for (;;) {
        *ret_got = writes ? calls->write(calls->user, kernel->data_fd, data, size)
                          : calls->read(calls->user, kernel->data_fd, data, size);
        if (*ret_got != -EINTR && *ret_got != -EAGAIN) {
            return FERRY_OK;
        }
        if (*ret_got == -EAGAIN) {
            if (was_ready) {
                ferry_os_sleep_ns(SPIN_PAUSE_NS);
            }
            was_ready = calls->poll(calls->user, kernel->data_fd,
                                    writes ? POLLOUT : POLLIN, KERNEL_TURN_MS) > 0;
        }
        /* After the wait: what moves for nobody is lost. */
        if (kernel_patience(kernel, job) != FERRY_OK) {
            return not_ready(job);
        }
    }
}

static int no_memory(struct kernel_job *job)
{
    return ferry_error_set(&job->detail, FERRY_E_MEMORY, KERNEL_LAYER, NULL, 0,
                           "%s: out of memory", ferry_request_name(job->request.kind));
}

/* What the read returned, in terms of a stream. */
static int take_read(struct backend_kernel *kernel, struct kernel_job *job, int64_t got,
                     uint64_t asked)
{
    struct ferry_data_io *io = &job->request.u.data;
    const int stopped = kernel->state == FERRY_STATE_STOP_COPY;

    if (got > 0 && (uint64_t)got <= asked) {
        io->got = (uint64_t)got;
        return kernel_copy(kernel, job, io->data, kernel->bounce, io->got);
    }
    /* Some drivers say 0, and not ENOMSG, when a running device has no more for now. */
    if (((got == 0 && !kernel->as_is) || got == -ENOMSG) && !stopped) {
        return FERRY_E_DRY;
    }
    if (got == 0) {
        io->got = 0; /* the end of the stream */
        return FERRY_OK;
    }
    if (got > 0) {
        return ferry_error_set(&job->detail, FERRY_E_PROTOCOL, KERNEL_LAYER, NULL, 0,
                               "the driver read more bytes than were asked for");
    }
    return data_failed(kernel, job, got);
}

int kernel_data_read(struct backend_kernel *kernel, struct kernel_job *job)
{
    struct ferry_data_io *io = &job->request.u.data;
    const uint64_t size = io->size < KERNEL_DATA_MAX ? io->size : KERNEL_DATA_MAX;
    int64_t got;
    int rc;

    io->got = 0;
    if (kernel->data_fd < 0 || kernel->data_loads) {
        return no_session(kernel, job);
    }
    rc = check_whole(kernel, job);
    if (rc != FERRY_OK || size == 0) {
        return rc;
    }
    if (kernel_bounce(kernel, size) == NULL) {
        return no_memory(job);
    }
    rc = move(kernel, job, kernel->bounce, size, &got);
    return rc == FERRY_OK ? take_read(kernel, job, got, size) : rc;
}

/* Writes what is in the worker's memory. A driver may take it in pieces. */
static int write_all(struct backend_kernel *kernel, struct kernel_job *job, uint64_t size)
{
    uint64_t done = 0;

    while (done < size) {
        int64_t got;
        const int rc = move(kernel, job, kernel->bounce + done, size - done, &got);

        if (rc != FERRY_OK) {
            return rc;
        }
        if (got <= 0 || (uint64_t)got > size - done) {
            /* 0 would be tried for ever. */
            return data_failed(kernel, job, got < 0 ? got : -EIO);
        }
        done += (uint64_t)got;
        job->request.u.data.got += (uint64_t)got;
    }
    return FERRY_OK;
}

int kernel_data_write(struct backend_kernel *kernel, struct kernel_job *job)
{
    struct ferry_data_io *io = &job->request.u.data;
    uint64_t done = 0;
    int rc;

    io->got = 0;
    if (kernel->data_fd < 0 || !kernel->data_loads) {
        return no_session(kernel, job);
    }
    rc = check_whole(kernel, job);
    if (rc != FERRY_OK) {
        return rc;
    }
    if (kernel_bounce(kernel, KERNEL_DATA_MAX) == NULL) {
        return no_memory(job);
    }
    while (done < io->size && rc == FERRY_OK) {
        const uint64_t left = io->size - done;
        const uint64_t size = left < KERNEL_DATA_MAX ? left : KERNEL_DATA_MAX;

        rc = kernel_copy(kernel, job, kernel->bounce, (const uint8_t *)io->data + done,
                         size);
        if (rc == FERRY_OK) {
            rc = write_all(kernel, job, size);
        }
        done += size;
    }
    return rc;
}

int kernel_precopy_info(struct backend_kernel *kernel, struct kernel_job *job)
{
    /* Drivers copy the structure in and fill one of the two sizes: the other comes back
     * as it was. */
    struct uapi_precopy_info info = { .argsz = sizeof(info) };
    int rc;

    if (kernel->as_is) {
        info.initial_bytes = job->request.u.precopy.initial_bytes;
        info.dirty_bytes = job->request.u.precopy.dirty_bytes;
    }

    if (kernel->data_fd < 0 || kernel->data_loads ||
        kernel->state == FERRY_STATE_STOP_COPY) {
        return no_session(kernel, job);
    }
    do {
        rc = kernel->calls->ioctl(kernel->calls->user, kernel->data_fd,
                                  UAPI_MIG_GET_PRECOPY_INFO, &info);
    } while (rc == -EINTR && kernel_patience(kernel, job) == FERRY_OK);
    if (rc < 0) {
        return data_failed(kernel, job, rc);
    }
    job->request.u.precopy =
        (struct ferry_precopy_info){ .initial_bytes = info.initial_bytes,
                                     .dirty_bytes = info.dirty_bytes };
    return FERRY_OK;
}
