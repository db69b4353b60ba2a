/* SPDX-License-Identifier: BSD-3-Clause */
#define _GNU_SOURCE
#include "host/backend/kernel/calls.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <unistd.h>

/* Return: rc, or -errno; errno is as it was. */
static int64_t result(int64_t rc, int before)
{
    const int err = errno;

    errno = before;
    return rc < 0 ? -(int64_t)err : rc;
}

static int real_open(void *user, const char *path, int flags)
{
    const int before = errno;

    (void)user;
    return (int)result(open(path, flags | O_CLOEXEC), before);
}

static void real_close(void *user, int fd)
{
    const int before = errno;

    (void)user;
    (void)close(fd);
    errno = before;
}

static int real_ioctl(void *user, int fd, unsigned long request, void *arg)
{
    const int before = errno;

    (void)user;
    return (int)result(ioctl(fd, request, arg), before);
}

static int64_t real_pread(void *user, int fd, void *data, size_t size, uint64_t off)
{
    const int before = errno;

    (void)user;
    return off > INT64_MAX ? -EINVAL : result(pread(fd, data, size, (off_t)off), before);
}

static int64_t real_pwrite(void *user, int fd, const void *data, size_t size,
                           uint64_t off)
{
    const int before = errno;

    (void)user;
    return off > INT64_MAX ? -EINVAL : result(pwrite(fd, data, size, (off_t)off), before);
}

static int64_t real_read(void *user, int fd, void *data, size_t size)
{
    const int before = errno;

    (void)user;
    return result(read(fd, data, size), before);
}

static int64_t real_write(void *user, int fd, const void *data, size_t size)
{
    const int before = errno;

    (void)user;
    return result(write(fd, data, size), before);
}

static int real_poll(void *user, int fd, int events, int timeout_ms)
{
    const int before = errno;
    struct pollfd entry = { .fd = fd, .events = (short)events };
    const int rc = (int)result(poll(&entry, 1, timeout_ms), before);

    (void)user;
    return rc > 0 ? entry.revents : rc;
}

static int real_set_nonblocking(void *user, int fd)
{
    const int before = errno;
    const int flags = fcntl(fd, F_GETFL);

    (void)user;
    return (int)result(flags < 0 ? flags : fcntl(fd, F_SETFL, flags | O_NONBLOCK),
                       before);
}

static int real_give_up(void *user, int fd)
{
    const int before = errno;
    const int none = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    const int rc = (int)result(none < 0 ? none : dup3(none, fd, O_CLOEXEC), before);

    real_close(user, none);
    return rc;
}

static const struct kernel_calls real = {
    .struct_size = sizeof(struct kernel_calls),
    .open = real_open,
    .close = real_close,
    .ioctl = real_ioctl,
    .pread = real_pread,
    .pwrite = real_pwrite,
    .read = real_read,
    .write = real_write,
    .poll = real_poll,
    .set_nonblocking = real_set_nonblocking,
    .give_up = real_give_up,
};

const struct kernel_calls *kernel_calls_real(void)
{
    return &real;
}

int kernel_ioctl(const struct kernel_calls *calls, int fd, unsigned long request,
                 void *arg)
{
    int rc;

    do {
        rc = calls->ioctl(calls->user, fd, request, arg);
    } while (rc == -EINTR);
    return rc;
}

void kernel_close(const struct kernel_calls *calls, int *fd)
{
    if (*fd >= 0) {
        calls->close(calls->user, *fd);
    }
    *fd = -1;
}
