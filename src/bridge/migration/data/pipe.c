/* SPDX-License-Identifier: BSD-3-Clause */
#include <string.h>
#include <sys/ioctl.h>
#include <sys/uio.h>

#include "bridge/migration/inside.h"
#include "link/hello/version.h"
#include "os/clock.h"
#include "os/eventfd.h"
#include "os/memory.h"
#include "os/socket.h"
#include "wire/status.h"

void bridge_pipe_init(struct bridge_pipe *pipe)
{
    memset(pipe, 0, sizeof(*pipe));
    pipe->fd = pipe->poll_fd = -1;
    pthread_mutex_init(&pipe->fd_lock, NULL);
}

void bridge_pipe_destroy(struct bridge_pipe *pipe)
{
    bridge_pipe_close(pipe);
    pthread_mutex_destroy(&pipe->fd_lock);
}

static void set_fd(struct bridge_pipe *pipe, int fd)
{
    int before;

    pthread_mutex_lock(&pipe->fd_lock);
    before = pipe->fd;
    pipe->fd = fd;
    pthread_mutex_unlock(&pipe->fd_lock);
    ferry_os_close(&before);
}

void bridge_pipe_close(struct bridge_pipe *pipe)
{
    if (pipe->fd >= 0) {
        set_fd(pipe, -1);
    }
}

void bridge_pipe_watch(struct bridge_pipe *pipe, int poll_fd)
{
    pthread_mutex_lock(&pipe->fd_lock);
    pipe->poll_fd = poll_fd;
    pthread_mutex_unlock(&pipe->fd_lock);
}

void bridge_pipe_wake(struct bridge_pipe *pipe)
{
    pthread_mutex_lock(&pipe->fd_lock);
    if (pipe->fd >= 0) {
        ferry_os_shutdown(pipe->fd);
    }
    if (pipe->poll_fd >= 0) {
        (void)ferry_os_eventfd_signal(pipe->poll_fd); /* a read tells */
    }
    pthread_mutex_unlock(&pipe->fd_lock);
}

void bridge_pipe_open(struct bridge_migration *migration, int loading)
{
    struct ferry_request request = { .kind = FERRY_RQ_DATA_FD };
    struct bridge_pipe *pipe = &migration->pipe;
    struct ferry_data_fd *given = &request.u.data_fd;

    bridge_pipe_close(pipe);
    if (!bridge_link_agreed(migration->device->link)->data_fd ||
        bridge_migration_call(migration, &request) != FERRY_OK) {
        return;
    }
    if (given->direction != (loading ? FERRY_DATA_LOADED : FERRY_DATA_SAVED) ||
        ferry_os_receive_limit(given->fd, migration->timeout_ms) != FERRY_OK ||
        ferry_os_send_limit(given->fd, migration->timeout_ms) != FERRY_OK) {
        ferry_os_close(&given->fd);
        return;
    }
    pipe->wanted = pipe->left = 0;
    pipe->head_got = pipe->unheard = 0;
    pipe->session = given->session;
    pipe->timeout_ms = migration->timeout_ms;
    ferry_frame_stream_init(&pipe->in,
                            loading ? FERRY_FRAME_LOAD_SERVER : FERRY_FRAME_SAVE_SERVER);
    ferry_frame_stream_init(&pipe->out,
                            loading ? FERRY_FRAME_LOAD_CLIENT : FERRY_FRAME_SAVE_CLIENT);
    set_fd(pipe, given->fd);
}

static int closed(struct bridge_pipe *pipe, int status, struct ferry_error *reterr)
{
    return ferry_error_set(reterr, status, "bridge", NULL, pipe->in.bytes,
                           status == FERRY_E_TIMEOUT
                               ? "no data from the server within its limit"
                               : "the server has closed the data descriptor");
}

/* A server that moves a byte now and then keeps every limit of a single wait. */
static void begin(struct bridge_pipe *pipe)
{
    pipe->due_ns = ferry_os_now_ns() + (uint64_t)pipe->timeout_ms * FERRY_NS_PER_MS;
}

static int is_late(const struct bridge_pipe *pipe)
{
    return ferry_os_now_ns() > pipe->due_ns;
}

/* The rest of a head. flags: FERRY_OS_*. Return: as ferry_os_receive(). */
static int hear(struct bridge_pipe *pipe, uint32_t flags, struct ferry_frame *ret_frame,
                struct ferry_error *reterr)
{
    int rc;

    while (pipe->head_got < FERRY_FRAME_BYTES) {
        struct iovec iov = { pipe->head + pipe->head_got,
                             FERRY_FRAME_BYTES - pipe->head_got };

        rc = ferry_os_receive(pipe->fd, &iov, 1, NULL, flags);
        if (rc == FERRY_E_AGAIN) {
            return rc;
        }
        if (rc < 0) {
            return closed(pipe, rc, reterr);
        }
        pipe->head_got += (size_t)rc;
        if (pipe->head_got < FERRY_FRAME_BYTES && is_late(pipe)) {
            return closed(pipe, FERRY_E_TIMEOUT, reterr);
        }
    }
    pipe->head_got = 0;
    rc = ferry_frame_decode(&pipe->in, pipe->head, ret_frame, reterr);
    if (rc == FERRY_OK && ret_frame->kind == FERRY_FRAME_ERROR) {
        rc = ferry_wire_status_from_errno((uint32_t)ret_frame->value);
        ferry_error_set(reterr, rc, "bridge", NULL, pipe->in.bytes,
                        "the device answers errno %llu: %s",
                        (unsigned long long)ret_frame->value, ferry_status_text(rc));
    }
    return rc;
}

/* All of iov. */
static int send_all(struct bridge_pipe *pipe, struct iovec *iov, size_t count)
{
    while (count > 0) {
        int rc = ferry_os_send(pipe->fd, iov, count, NULL, 0, FERRY_OS_WAIT);
        size_t sent = rc > 0 ? (size_t)rc : 0;

        if (rc < 0) {
            return rc;
        }
        while (count > 0 && sent >= iov->iov_len) {
            sent -= iov->iov_len;
            iov++;
            count--;
        }
        if (count > 0) {
            iov->iov_base = (uint8_t *)iov->iov_base + sent;
            iov->iov_len -= sent;
        }
        if (count > 0 && is_late(pipe)) {
            return FERRY_E_TIMEOUT;
        }
    }
    return FERRY_OK;
}

/* One frame; the bytes of a DATA behind it. */
static int tell(struct bridge_pipe *pipe, uint32_t kind, const uint8_t *data,
                size_t bytes, struct ferry_error *reterr)
{
    uint8_t head[FERRY_FRAME_BYTES];
    struct iovec iov[2] = { { head, sizeof(head) }, { NULL, bytes } };
    struct ferry_frame frame;
    int rc;

    begin(pipe);
    ferry_frame_encode(&pipe->out, kind, (uint32_t)bytes, 0, head);
    /* iov_base is not const, but sending does not write to it. */
    memcpy(&iov[1].iov_base, &data, sizeof(data));
    rc = send_all(pipe, iov, bytes > 0 ? 2 : 1);
    if (rc < 0 && rc != FERRY_E_TIMEOUT) {
        /* Its last words may say why. */
        int last = hear(pipe, FERRY_OS_NOWAIT, &frame, reterr);

        return last < 0 && last != FERRY_E_AGAIN ? last : closed(pipe, rc, reterr);
    }
    return rc < 0 ? closed(pipe, rc, reterr) : FERRY_OK;
}

int bridge_pipe_want(struct bridge_pipe *pipe, struct ferry_error *reterr)
{
    if (pipe->wanted) {
        return FERRY_OK;
    }
    pipe->wanted = 1;
    return tell(pipe, FERRY_FRAME_WANT, NULL, 0, reterr);
}

/* One receive of data, and the head behind the last of a DATA. */
static int receive(struct bridge_pipe *pipe, uint8_t *at, size_t bytes, size_t *ret_got,
                   struct ferry_error *reterr)
{
    size_t want = bytes < pipe->left ? bytes : pipe->left, body;
    struct iovec iov[2] = { { at, want }, { pipe->head, FERRY_FRAME_BYTES } };
    int rc =
        ferry_os_receive(pipe->fd, iov, want == pipe->left ? 2 : 1, NULL, FERRY_OS_WAIT);

    if (rc < 0) {
        return closed(pipe, rc, reterr);
    }
    body = (size_t)rc < want ? (size_t)rc : want;
    *ret_got += body;
    pipe->left -= (uint32_t)body;
    pipe->head_got = (size_t)rc - body;
    return FERRY_OK;
}

int bridge_pipe_read(struct bridge_pipe *pipe, uint8_t *ret_data, size_t bytes,
                     size_t *ret_got, enum bridge_mark *ret_mark,
                     struct ferry_error *reterr)
{
    int rc = bridge_pipe_want(pipe, reterr);
    struct ferry_frame frame;

    *ret_got = 0;
    *ret_mark = BRIDGE_MARK_NONE;
    begin(pipe);
    while (rc == FERRY_OK && *ret_got < bytes && *ret_mark == BRIDGE_MARK_NONE) {
        if (*ret_got > 0 && is_late(pipe)) {
            break; /* what has come is data */
        }
        if (pipe->left > 0) {
            rc = receive(pipe, ret_data + *ret_got, bytes - *ret_got, ret_got, reterr);
            continue;
        }
        rc = hear(pipe, FERRY_OS_WAIT, &frame, reterr);
        if (rc == FERRY_OK && frame.kind == FERRY_FRAME_DATA) {
            pipe->left = frame.length;
        } else if (rc == FERRY_OK) {
            pipe->wanted = 0;
            *ret_mark = frame.kind == FERRY_FRAME_END ? BRIDGE_MARK_END : BRIDGE_MARK_DRY;
        }
    }
    return rc;
}

int bridge_pipe_write(struct bridge_pipe *pipe, const uint8_t *data, size_t bytes,
                      struct ferry_error *reterr)
{
    struct ferry_frame frame;
    int rc = FERRY_OK;

    while (rc == FERRY_OK && bytes > 0) {
        size_t piece = bytes < FERRY_FRAME_DATA_MAX ? bytes : FERRY_FRAME_DATA_MAX;

        rc = tell(pipe, FERRY_FRAME_DATA, data, piece, reterr);
        data += piece;
        bytes -= piece;
        pipe->unheard += piece;
    }
    if (rc == FERRY_OK && pipe->unheard >= FERRY_FRAME_DATA_MAX) {
        /* It speaks only to refuse: no SYNC was sent. That of the last bytes is what the
         * request to leave RESUMING is answered. */
        pipe->unheard = 0;
        rc = hear(pipe, FERRY_OS_NOWAIT, &frame, reterr);
        rc = rc == FERRY_E_AGAIN ? FERRY_OK : rc == FERRY_OK ? FERRY_E_PROTOCOL : rc;
    }
    return rc;
}

uint64_t bridge_pipe_waiting(const struct bridge_pipe *pipe)
{
    int waiting = 0;

    if (pipe->fd < 0 || ioctl(pipe->fd, FIONREAD, &waiting) != 0 || waiting < 0) {
        return 0;
    }
    return (uint64_t)waiting;
}
