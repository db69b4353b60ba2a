/* SPDX-License-Identifier: BSD-3-Clause */
#define _GNU_SOURCE
#include "os/append.h"

#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

#include "os/errno.h"

int ferry_os_append_open(const char *path, int *ret_fd, struct ferry_error *reterr)
{
    const int fd = open(path, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC | O_NOCTTY, 0600);

    if (fd < 0) {
        return ferry_os_error(reterr, errno, path);
    }
    *ret_fd = fd;
    return FERRY_OK;
}

int ferry_os_append(int fd, const void *data, size_t size)
{
    const char *from = data;

    while (size > 0) {
        const ssize_t count = write(fd, from, size);

        if (count > 0) {
            from += count;
            size -= (size_t)count;
        } else if (count == 0 || errno != EINTR) {
            return FERRY_E_IO;
        }
    }
    return FERRY_OK;
}
