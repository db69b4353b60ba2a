/* SPDX-License-Identifier: BSD-3-Clause */
#define _GNU_SOURCE
#include "os/output.h"

#include <errno.h>
#include <limits.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <time.h>
#include <unistd.h>

#include "ferry/error.h"
#include "os/clock.h"

/* What one call takes of a pipe that said it has room, without waiting. */
#define PIECE_BYTES ((size_t)PIPE_BUF)

/* Return: FERRY_OK when there is room; FERRY_E_TIMEOUT, FERRY_E_IO. */
static int wait_for_room(int fd, uint64_t deadline_ns, int *ret_errno)
{
    for (;;) {
        struct pollfd wait = { .fd = fd, .events = POLLOUT };
        const uint64_t now_ns = ferry_os_now_ns();
        const uint64_t left_ns = deadline_ns > now_ns ? deadline_ns - now_ns : 0;
        const int count = poll(&wait, 1, (int)(left_ns / FERRY_NS_PER_MS));

        if (count > 0) {
            return FERRY_OK; /* an error is told by write() */
        }
        if (count < 0 && errno != EINTR) {
            *ret_errno = errno;
            return FERRY_E_IO;
        }
        if (count == 0 && left_ns < FERRY_NS_PER_MS) {
            *ret_errno = ETIMEDOUT;
            return FERRY_E_TIMEOUT;
        }
    }
}

static int write_all(int fd, const uint8_t *from, size_t size, uint64_t deadline_ns,
                     int *ret_errno)
{
    while (size > 0) {
        size_t part = size;
        ssize_t count;

        if (deadline_ns != UINT64_MAX) {
            const int status = wait_for_room(fd, deadline_ns, ret_errno);

            if (status != FERRY_OK) {
                return status;
            }
            part = part < PIECE_BYTES ? part : PIECE_BYTES;
        }
        count = write(fd, from, part);
        if (count > 0) {
            from += count;
            size -= (size_t)count;
        } else if (count == 0 || (errno != EINTR && errno != EAGAIN) ||
                   (errno == EAGAIN && deadline_ns == UINT64_MAX)) {
            *ret_errno = count == 0 ? EIO : errno;
            return FERRY_E_IO;
        }
    }
    return FERRY_OK;
}

int ferry_os_output(int fd, const void *data, size_t size, uint32_t limit_ms,
                    int *ret_errno)
{
    const uint64_t deadline_ns =
        limit_ms == FERRY_OS_OUTPUT_FOREVER
            ? UINT64_MAX
            : ferry_os_now_ns() + (uint64_t)limit_ms * FERRY_NS_PER_MS;
    const struct timespec at_once = { .tv_sec = 0 };
    sigset_t pipe, pending, before;
    int status, held;

    /* SIGPIPE goes to the thread that writes: it is held back and taken out again,
     * unless one was waiting before. */
    (void)sigemptyset(&pipe);
    (void)sigaddset(&pipe, SIGPIPE);
    (void)sigpending(&pending);
    held = sigismember(&pending, SIGPIPE);
    (void)pthread_sigmask(SIG_BLOCK, &pipe, &before);
    status = write_all(fd, data, size, deadline_ns, ret_errno);
    if (status == FERRY_E_IO && *ret_errno == EPIPE && held == 0) {
        while (sigtimedwait(&pipe, NULL, &at_once) < 0 && errno == EINTR) {
        }
    }
    (void)pthread_sigmask(SIG_SETMASK, &before, NULL);
    return status;
}
