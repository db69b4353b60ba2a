/* SPDX-License-Identifier: BSD-3-Clause */
#define _GNU_SOURCE
#include "os/socket.h"

#include <errno.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

#include "os/clock.h"
#include "os/errno.h"
#include "os/memory.h"

#define CONTROL_BYTES CMSG_SPACE(FERRY_OS_FDS_MAX * sizeof(int))

/* 1 when iov can be used: few enough pieces and at least one byte in them. */
static int iov_valid(const struct iovec *iov, size_t iov_count)
{
    if (iov_count > FERRY_OS_PIECES_MAX) {
        return 0;
    }
    for (size_t i = 0; i < iov_count; i++) {
        if (iov[i].iov_len != 0) {
            return 1;
        }
    }
    return 0;
}

int ferry_os_socketpair(int *ret_a, int *ret_b)
{
    int fd[2];

    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fd) < 0) {
        return ferry_os_status(errno);
    }
    *ret_a = fd[0];
    *ret_b = fd[1];
    return FERRY_OK;
}

static int set_limit(int fd, int option, uint32_t limit_ms)
{
    struct timeval limit = { .tv_sec = (time_t)(limit_ms / 1000),
                             .tv_usec = (suseconds_t)(limit_ms % 1000) * 1000 };

    return setsockopt(fd, SOL_SOCKET, option, &limit, sizeof(limit)) < 0 ? FERRY_E_IO
                                                                         : FERRY_OK;
}

int ferry_os_receive_limit(int fd, uint32_t limit_ms)
{
    return set_limit(fd, SO_RCVTIMEO, limit_ms);
}

int ferry_os_send_limit(int fd, uint32_t limit_ms)
{
    return set_limit(fd, SO_SNDTIMEO, limit_ms);
}

void ferry_os_room(int fd, uint32_t bytes)
{
    int value = (int)bytes;

    (void)setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &value, sizeof(value));
}

void ferry_os_shutdown(int fd)
{
    (void)shutdown(fd, SHUT_RDWR);
}

/* Status of a failed transfer. */
static int transfer_status(int err, uint32_t flags, uint32_t fd_count)
{
    if (err == EAGAIN || err == EWOULDBLOCK) {
        return (flags & FERRY_OS_NOWAIT) != 0 ? FERRY_E_AGAIN : FERRY_E_TIMEOUT;
    }
    if (err == EBADF) {
        return fd_count > 0 ? FERRY_E_FDS : FERRY_E_ARGUMENT;
    }
    return ferry_os_status(err);
}

/* One piece without descriptors: the shorter system call, for the sake of round trips. */
static int send_plain(int fd, const struct iovec *iov, int send_flags, uint32_t flags)
{
    ssize_t sent;

    do {
        sent = send(fd, iov->iov_base, iov->iov_len, send_flags);
    } while (sent < 0 && errno == EINTR);
    return sent >= 0 ? (int)sent : transfer_status(errno, flags, 0);
}

int ferry_os_send(int fd, const struct iovec *iov, size_t iov_count, const int *fds,
                  uint32_t fd_count, uint32_t flags)
{
    _Alignas(struct cmsghdr) char control[CONTROL_BYTES];
    struct iovec piece[FERRY_OS_PIECES_MAX];
    struct msghdr msg = { 0 };
    ssize_t sent;
    int send_flags = MSG_NOSIGNAL | ((flags & FERRY_OS_NOWAIT) != 0 ? MSG_DONTWAIT : 0);

    if (fd_count > FERRY_OS_FDS_MAX) {
        return FERRY_E_FDS;
    }
    if (!iov_valid(iov, iov_count)) {
        return FERRY_E_ARGUMENT;
    }
    if (iov_count == 1 && fd_count == 0) {
        return send_plain(fd, iov, send_flags, flags);
    }
    memcpy(piece, iov, iov_count * sizeof(*iov));
    msg.msg_iov = piece;
    msg.msg_iovlen = iov_count;
    if (fd_count > 0) {
        struct cmsghdr *cmsg;
        size_t bytes = fd_count * sizeof(int);

        memset(control, 0, CMSG_SPACE(bytes));
        msg.msg_control = control;
        msg.msg_controllen = CMSG_SPACE(bytes);
        cmsg = CMSG_FIRSTHDR(&msg);
        cmsg->cmsg_level = SOL_SOCKET;
        cmsg->cmsg_type = SCM_RIGHTS;
        cmsg->cmsg_len = CMSG_LEN(bytes);
        memcpy(CMSG_DATA(cmsg), fds, bytes);
    }
    do {
        sent = sendmsg(fd, &msg, send_flags);
    } while (sent < 0 && errno == EINTR);
    return sent >= 0 ? (int)sent : transfer_status(errno, flags, fd_count);
}

/* Takes the descriptors of one control message over, or closes them when they do not fit.
 */
static int take_fds(struct cmsghdr *cmsg, struct ferry_os_fds *fds)
{
    size_t count = (cmsg->cmsg_len - CMSG_LEN(0)) / sizeof(int);
    const unsigned char *data = CMSG_DATA(cmsg);
    int status = FERRY_OK;

    for (size_t i = 0; i < count; i++) {
        int fd;

        memcpy(&fd, data + i * sizeof(int), sizeof(int));
        if (fds != NULL && fds->count < FERRY_OS_FDS_MAX) {
            fds->fd[fds->count++] = fd;
        } else {
            ferry_os_close(&fd);
            status = FERRY_E_FDS;
        }
    }
    return status;
}

/* Collects the descriptors of one recvmsg(). On failure none of them stays open. */
static int collect_fds(struct msghdr *msg, struct ferry_os_fds *ret_fds)
{
    uint32_t before = ret_fds != NULL ? ret_fds->count : 0;
    int status = FERRY_OK;

    for (struct cmsghdr *cmsg = CMSG_FIRSTHDR(msg); cmsg != NULL;
         cmsg = CMSG_NXTHDR(msg, cmsg)) {
        if (cmsg->cmsg_level == SOL_SOCKET && cmsg->cmsg_type == SCM_RIGHTS &&
            take_fds(cmsg, ret_fds) != FERRY_OK) {
            status = FERRY_E_FDS;
        }
    }
    /* Cut off: the kernel closed some, and which vector is missing its own nobody knows.
     */
    if ((msg->msg_flags & MSG_CTRUNC) != 0) {
        status = FERRY_E_FDS;
    }
    if (status != FERRY_OK && ret_fds != NULL) {
        while (ret_fds->count > before) {
            ferry_os_close(&ret_fds->fd[--ret_fds->count]);
        }
    }
    return status;
}

int ferry_os_receive(int fd, const struct iovec *iov, size_t iov_count,
                     struct ferry_os_fds *ret_fds, uint32_t flags)
{
    _Alignas(struct cmsghdr) char control[CONTROL_BYTES];
    struct iovec piece[FERRY_OS_PIECES_MAX];
    struct msghdr msg = { 0 };
    ssize_t got;
    int receive_flags =
        MSG_CMSG_CLOEXEC | ((flags & FERRY_OS_NOWAIT) != 0 ? MSG_DONTWAIT : 0);

    if (!iov_valid(iov, iov_count)) {
        return FERRY_E_ARGUMENT;
    }
    memcpy(piece, iov, iov_count * sizeof(*iov));
    msg.msg_iov = piece;
    msg.msg_iovlen = iov_count;
    /* Also when none are expected: without room the kernel may not tell of them. */
    msg.msg_control = control;
    msg.msg_controllen = sizeof(control);
    do {
        got = recvmsg(fd, &msg, receive_flags);
    } while (got < 0 && errno == EINTR);
    if (got < 0) {
        return transfer_status(errno, flags, 0);
    }
    if (msg.msg_controllen > 0 || (msg.msg_flags & MSG_CTRUNC) != 0) {
        int status = collect_fds(&msg, ret_fds);

        if (status != FERRY_OK) {
            return status;
        }
    }
    return got > 0 ? (int)got : FERRY_E_CLOSED;
}

void ferry_os_fds_close(struct ferry_os_fds *fds)
{
    while (fds->count > 0) {
        ferry_os_close(&fds->fd[--fds->count]);
    }
}

static short to_poll(uint32_t what)
{
    return (short)(((what & FERRY_OS_POLL_READ) != 0 ? POLLIN : 0) |
                   ((what & FERRY_OS_POLL_WRITE) != 0 ? POLLOUT : 0));
}

int ferry_os_poll(int fd, uint32_t what, uint32_t limit_ms)
{
    return ferry_os_poll_two(fd, what, -1, 0, limit_ms);
}

int ferry_os_poll_two(int fd, uint32_t what, int other, uint32_t other_what,
                      uint32_t limit_ms)
{
    uint64_t deadline_ns = ferry_os_now_ns() + (uint64_t)limit_ms * FERRY_NS_PER_MS;
    struct pollfd both[2] = { { .fd = fd, .events = to_poll(what) },
                              { .fd = other, .events = to_poll(other_what) } };

    for (;;) {
        uint64_t now = ferry_os_now_ns();
        uint64_t left = now < deadline_ns ? deadline_ns - now : 0;
        struct timespec wait = { .tv_sec = (time_t)(left / FERRY_NS_PER_S),
                                 .tv_nsec = (long)(left % FERRY_NS_PER_S) };
        int ready = ppoll(both, other < 0 ? 1 : 2, &wait, NULL);

        if (ready > 0) {
            return ((both[0].revents | both[1].revents) & POLLNVAL) != 0 ? FERRY_E_IO
                                                                         : FERRY_OK;
        }
        if (ready == 0 || errno != EINTR) {
            return ready == 0 ? FERRY_E_TIMEOUT : FERRY_E_IO;
        }
    }
}
