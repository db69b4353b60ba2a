/* SPDX-License-Identifier: BSD-3-Clause */
#define _GNU_SOURCE
#include "os/eventfd.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/uio.h>
#include <unistd.h>

#include "os/errno.h"

int ferry_os_eventfd_create(int *ret_fd)
{
    int fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);

    if (fd < 0) {
        return ferry_os_status(errno);
    }
    *ret_fd = fd;
    return FERRY_OK;
}

int ferry_os_eventfd_adopt(int fd)
{
    static const char name[] = "anon_inode:[eventfd]";
    char path[40];
    char target[sizeof(name)];
    ssize_t got;
    int flags;

    (void)snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
    got = readlink(path, target, sizeof(target));
    if (got < 0) {
        return errno == ENOENT ? FERRY_E_FDS : FERRY_E_IO;
    }
    /* readlink() does not end with NUL; a longer name fills the buffer and differs. */
    if ((size_t)got != sizeof(name) - 1 || memcmp(target, name, sizeof(name) - 1) != 0) {
        return FERRY_E_FDS;
    }
    flags = fcntl(fd, F_GETFL);
    if (flags < 0) {
        return FERRY_E_IO;
    }
    if ((flags & O_NONBLOCK) == 0 && fcntl(fd, F_SETFL, flags | O_NONBLOCK) < 0) {
        return FERRY_E_IO;
    }
    return FERRY_OK;
}

int ferry_os_eventfd_signal(int fd)
{
    const uint64_t one = 1;
    const int flags = fcntl(fd, F_GETFL);

    /* Whoever shares it may have made it block again. */
    if (flags >= 0 && (flags & O_NONBLOCK) == 0) {
        (void)fcntl(fd, F_SETFL, flags | O_NONBLOCK);
    }
    if (write(fd, &one, sizeof(one)) == (ssize_t)sizeof(one)) {
        return FERRY_OK;
    }
    /* Full: who reads it finds it signalled, which is all that an event says. Only a full
     * one that was made to block in this moment waits, until a signal. */
    return errno == EAGAIN || errno == EINTR ? FERRY_OK : FERRY_E_IO;
}

int ferry_os_eventfd_drain(int fd, uint64_t *ret_count)
{
    uint64_t count = 0;

    for (;;) {
        if (read(fd, &count, sizeof(count)) == (ssize_t)sizeof(count)) {
            break;
        }
        if (errno == EINTR) {
            continue;
        }
        if (errno != EAGAIN) {
            return FERRY_E_IO;
        }
        count = 0;
        break;
    }
    if (ret_count != NULL) {
        *ret_count = count;
    }
    return FERRY_OK;
}

int ferry_os_eventfd_drain_shared(int fd, uint64_t *ret_count)
{
    uint64_t count = 0;
    struct iovec part = { .iov_base = &count, .iov_len = sizeof(count) };
    ssize_t got;

    do {
        got = preadv2(fd, &part, 1, -1, RWF_NOWAIT);
    } while (got < 0 && errno == EINTR);
    if (got < 0 && errno != EAGAIN) {
        return errno == EOPNOTSUPP || errno == ENOSYS
                   ? ferry_os_eventfd_drain(fd, ret_count)
                   : FERRY_E_IO;
    }
    if (ret_count != NULL) {
        *ret_count = got == (ssize_t)sizeof(count) ? count : 0;
    }
    return FERRY_OK;
}
