/* SPDX-License-Identifier: BSD-3-Clause */
#define _GNU_SOURCE
#include "os/append.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "os/errno.h"
#include "os/memory.h"
#include "os/output.h"

int ferry_os_append_open(const char *path, int *ret_fd, struct ferry_error *reterr)
{
    const int fd = open(path, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC | O_NOCTTY, 0600);

    if (fd < 0) {
        return ferry_os_error(reterr, errno, path);
    }
    *ret_fd = fd;
    return FERRY_OK;
}

int ferry_os_fresh_open(const char *path, FILE **ret_stream, struct ferry_error *reterr)
{
    int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOCTTY, 0600);
    struct stat st;
    FILE *stream;

    if (fd < 0) {
        return ferry_os_error(reterr, errno, path);
    }
    if (fstat(fd, &st) < 0 || (S_ISREG(st.st_mode) && fchmod(fd, 0600) < 0)) {
        const int err = errno;

        ferry_os_close(&fd);
        return ferry_os_error(reterr, err, path);
    }
    stream = fdopen(fd, "wb");
    if (stream == NULL) {
        ferry_os_close(&fd);
        return ferry_os_error(reterr, ENOMEM, path);
    }
    *ret_stream = stream;
    return FERRY_OK;
}

int ferry_os_append(int fd, const void *data, size_t size)
{
    int err;

    return ferry_os_output(fd, data, size, FERRY_OS_OUTPUT_FOREVER, &err);
}
