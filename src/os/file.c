/* SPDX-License-Identifier: BSD-3-Clause */
#define _GNU_SOURCE
#include "os/file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "os/errno.h"
#include "os/memory.h"
#include "os/random.h"

/* Both names share the folder, since link() does not cross file systems. */
#define TEMP_BYTES (FERRY_OS_PATH_MAX + 32u)

static int write_all(int fd, const void *data, size_t size)
{
    const uint8_t *bytes = data;
    size_t done = 0;

    while (done < size) {
        ssize_t put = write(fd, bytes + done, size - done);

        if (put < 0 && errno != EINTR) {
            return errno;
        }
        done += put > 0 ? (size_t)put : 0;
    }
    return 0;
}

/* Makes the folder's entry durable. Returns an errno value. */
static int sync_folder(const char *path)
{
    char folder[FERRY_OS_PATH_MAX + 1];
    const char *slash = strrchr(path, '/');
    int fd = -1;
    int err = 0;

    if (slash == NULL) {
        (void)strcpy(folder, ".");
    } else {
        size_t bytes = slash == path ? 1 : (size_t)(slash - path);

        memcpy(folder, path, bytes);
        folder[bytes] = '\0';
    }
    fd = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0) {
        return errno;
    }
    if (fsync(fd) < 0) {
        err = errno;
    }
    ferry_os_close(&fd);
    return err;
}

/* A new file beside path with the whole content, on disk. */
static int write_temp(const char *path, const void *data, size_t size, char *ret_temp,
                      struct ferry_error *reterr)
{
    uint64_t salt = 0;
    int fd = -1;
    int err = 0;
    int status = ferry_os_random(&salt, sizeof(salt));

    if (status != FERRY_OK) {
        return ferry_error_set(reterr, status, "os", NULL, 0, "no random numbers");
    }
    (void)snprintf(ret_temp, TEMP_BYTES, "%s.%016llx", path, (unsigned long long)salt);
    fd = open(ret_temp, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (fd < 0) {
        return ferry_os_error(reterr, errno, ret_temp);
    }
    err = write_all(fd, data, size);
    if (err == 0 && fsync(fd) < 0) {
        err = errno;
    }
    if (close(fd) < 0 && err == 0 && errno != EINTR) {
        err = errno;
    }
    if (err != 0) {
        (void)unlink(ret_temp);
        /* Nothing was published. A full disk is an I/O error and no limit of ours. */
        return ferry_os_error_as(reterr, FERRY_E_IO, err, ret_temp);
    }
    return FERRY_OK;
}

int ferry_os_file_create_once(const char *path, const void *data, size_t size,
                              struct ferry_error *reterr)
{
    char temp[TEMP_BYTES];
    struct stat st;
    int err = 0;
    int status;

    if (strlen(path) > FERRY_OS_PATH_MAX) {
        return ferry_error_set(reterr, FERRY_E_LIMIT, "os", NULL, 0,
                               "the path is longer than %u bytes", FERRY_OS_PATH_MAX);
    }
    status = write_temp(path, data, size, temp, reterr);
    if (status != FERRY_OK) {
        return status;
    }
    /* link() is the one step that publishes: it fails when the name exists. */
    if (link(temp, path) < 0) {
        err = errno;
        /* Over NFS the answer to a successful link can get lost and the repeated request
         * fails: a second name of our own file tells. */
        if (err == EEXIST && stat(temp, &st) == 0 && st.st_nlink == 2) {
            err = 0;
        }
    }
    (void)unlink(temp);
    if (err == 0) {
        err = sync_folder(path);
        /* The name may be lost with the power: who needs it reads it again. */
        return err == 0 ? FERRY_OK : ferry_os_error_as(reterr, FERRY_E_IO, err, path);
    }
    return ferry_os_error(reterr, err, path);
}

int ferry_os_file_read(const char *path, void *ret_data, size_t cap, size_t *ret_size,
                       struct ferry_error *reterr)
{
    uint8_t *data = ret_data;
    uint8_t extra;
    size_t done = 0;
    int status = FERRY_OK;
    /* O_NONBLOCK: a pipe in the file's place must not stop us. */
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);

    if (fd < 0) {
        return ferry_os_error(reterr, errno, path);
    }
    for (;;) {
        ssize_t got =
            done < cap ? read(fd, data + done, cap - done) : read(fd, &extra, 1);

        if (got < 0 && errno == EINTR) {
            continue;
        }
        if (got < 0) {
            status = ferry_os_error_as(reterr, FERRY_E_IO, errno, path);
            break;
        }
        if (got == 0) {
            *ret_size = done;
            break;
        }
        if (done == cap) {
            status = ferry_error_set(reterr, FERRY_E_LIMIT, "os", NULL, (uint64_t)cap,
                                     "%.200s is longer than %zu bytes", path, cap);
            break;
        }
        done += (size_t)got;
    }
    ferry_os_close(&fd);
    return status;
}
