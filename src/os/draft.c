/* SPDX-License-Identifier: BSD-3-Clause */
#define _GNU_SOURCE
#include "os/draft.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "os/errno.h"
#include "os/memory.h"
#include "os/output.h"
#include "os/random.h"

#define FD_NAME_BYTES 32

static void folder_of(const char *path, char ret_folder[FERRY_OS_PATH_MAX + 1])
{
    const char *slash = strrchr(path, '/');
    size_t bytes = slash == NULL || slash == path ? 1 : (size_t)(slash - path);

    memcpy(ret_folder, slash == NULL ? "." : path, bytes);
    ret_folder[bytes] = '\0';
}

static void name_of(int fd, char ret_name[FD_NAME_BYTES])
{
    (void)snprintf(ret_name, FD_NAME_BYTES, "/proc/self/fd/%d", fd);
}

/* A file without any name is gone with its process, whatever kills that. Return: -1 where
 * the file system has none or it could not be named later. */
static int open_nameless(const char *path)
{
    char folder[FERRY_OS_PATH_MAX + 1], name[FD_NAME_BYTES];
    int fd;

    folder_of(path, folder);
    fd = open(folder, O_TMPFILE | O_WRONLY | O_CLOEXEC, 0600);
    if (fd >= 0) {
        name_of(fd, name);
        if (access(name, F_OK) < 0) {
            ferry_os_close(&fd);
        }
    }
    return fd;
}

static int open_temp(struct ferry_os_draft *draft, struct ferry_error *reterr)
{
    uint64_t salt = 0;
    int status = ferry_os_random(&salt, sizeof(salt));

    if (status != FERRY_OK) {
        return ferry_error_set(reterr, status, "os", NULL, 0, "no random numbers");
    }
    (void)snprintf(draft->temp, sizeof(draft->temp), "%s.%016llx", draft->path,
                   (unsigned long long)salt);
    draft->fd = open_nameless(draft->path);
    draft->nameless = draft->fd >= 0;
    if (!draft->nameless) {
        draft->fd =
            open(draft->temp, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600);
    }
    return draft->fd < 0 ? ferry_os_error(reterr, errno, draft->path) : FERRY_OK;
}

int ferry_os_draft_open(const char *path, struct ferry_os_draft *ret_draft,
                        struct ferry_error *reterr)
{
    struct stat st;

    memset(ret_draft, 0, sizeof(*ret_draft));
    ret_draft->fd = -1;
    if (path[0] == '\0' || strlen(path) > FERRY_OS_PATH_MAX) {
        return ferry_error_set(reterr, FERRY_E_LIMIT, "os", NULL, 0,
                               "a path has 1 to %u bytes", FERRY_OS_PATH_MAX);
    }
    memcpy(ret_draft->path, path, strlen(path) + 1);
    if (stat(path, &st) == 0 && S_ISDIR(st.st_mode)) {
        return ferry_os_error(reterr, EISDIR, path);
    }
    if (stat(path, &st) == 0 && !S_ISREG(st.st_mode)) {
        ret_draft->direct = 1;
        ret_draft->piped = 1;
        /* A pipe that nobody reads must not stop us here. */
        ret_draft->fd = open(path, O_WRONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
        if (ret_draft->fd >= 0 && fcntl(ret_draft->fd, F_SETFL, 0) < 0) {
            ferry_os_close(&ret_draft->fd);
        }
        return ret_draft->fd < 0 ? ferry_os_error(reterr, errno, path) : FERRY_OK;
    }
    return open_temp(ret_draft, reterr);
}

void ferry_os_draft_fd(int fd, struct ferry_os_draft *ret_draft)
{
    struct stat st;

    memset(ret_draft, 0, sizeof(*ret_draft));
    ret_draft->fd = fd;
    ret_draft->direct = 1;
    ret_draft->piped = fstat(fd, &st) < 0 || !S_ISREG(st.st_mode);
    (void)snprintf(ret_draft->path, sizeof(ret_draft->path), "descriptor %d", fd);
}

int ferry_os_draft_write(struct ferry_os_draft *draft, const void *data, size_t size,
                         struct ferry_error *reterr)
{
    const uint8_t *bytes = data;
    int status, err = 0;

    if (draft->piped) {
        status = ferry_os_output(draft->fd, data, size, FERRY_OS_DRAFT_WAIT_MS, &err);
        return status == FERRY_OK ? status
                                  : ferry_os_error_as(reterr, status, err, draft->path);
    }
    while (size > 0) {
        ssize_t put = write(draft->fd, bytes, size);

        if (put < 0 && errno == EINTR) {
            continue;
        }
        if (put <= 0) {
            /* A full disk is an I/O error and no limit of ours. */
            return ferry_os_error_as(reterr, FERRY_E_IO, put < 0 ? errno : EIO,
                                     draft->path);
        }
        bytes += put;
        size -= (size_t)put;
    }
    return FERRY_OK;
}

int ferry_os_draft_sync(struct ferry_os_draft *draft, struct ferry_error *reterr)
{
    /* Pipes and devices have nothing that could be lost. */
    if (fsync(draft->fd) < 0 && errno != EINVAL && errno != EROFS && errno != ENOTSUP) {
        return ferry_os_error_as(reterr, FERRY_E_IO, errno, draft->path);
    }
    return FERRY_OK;
}

static int sync_folder(const char *path)
{
    char folder[FERRY_OS_PATH_MAX + 1];
    int fd, err = 0;

    folder_of(path, folder);
    fd = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0) {
        return errno;
    }
    if (fsync(fd) < 0 && errno != EINVAL) {
        err = errno;
    }
    ferry_os_close(&fd);
    return err;
}

int ferry_os_draft_publish(struct ferry_os_draft *draft, struct ferry_error *reterr)
{
    char name[FD_NAME_BYTES];
    int err = 0;
    int fd = draft->fd;

    draft->fd = -1;
    name_of(fd, name);
    /* Only rename() replaces what is there. */
    if (draft->nameless &&
        linkat(AT_FDCWD, name, AT_FDCWD, draft->temp, AT_SYMLINK_FOLLOW) < 0) {
        err = errno;
    }
    if (close(fd) < 0 && errno != EINTR && err == 0) {
        err = errno;
    }
    if (draft->direct) {
        return err == 0 ? FERRY_OK
                        : ferry_os_error_as(reterr, FERRY_E_IO, err, draft->path);
    }
    if (err == 0 && rename(draft->temp, draft->path) < 0) {
        err = errno;
    }
    if (err != 0) {
        (void)unlink(draft->temp);
        return ferry_os_error_as(reterr, FERRY_E_IO, err, draft->path);
    }
    err = sync_folder(draft->path);
    return err == 0 ? FERRY_OK : ferry_os_error_as(reterr, FERRY_E_IO, err, draft->path);
}

void ferry_os_draft_drop(struct ferry_os_draft *draft)
{
    if (draft->fd < 0) {
        return;
    }
    if (!draft->direct && !draft->nameless) {
        (void)unlink(draft->temp);
    }
    ferry_os_close(&draft->fd);
}

int ferry_os_file_open(const char *path, int *ret_fd, struct ferry_error *reterr)
{
    struct stat st;
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);

    if (fd < 0) {
        return ferry_os_error(reterr, errno, path);
    }
    if (fstat(fd, &st) == 0 && S_ISDIR(st.st_mode)) {
        ferry_os_close(&fd);
        return ferry_os_error_as(reterr, FERRY_E_IO, EISDIR, path);
    }
    *ret_fd = fd;
    return FERRY_OK;
}

int ferry_os_file_take(int fd, void *ret_data, size_t size, size_t *ret_got,
                       struct ferry_error *reterr)
{
    uint8_t *data = ret_data;
    size_t done = 0;

    while (done < size) {
        ssize_t got = read(fd, data + done, size - done);

        if (got < 0 && errno == EINTR) {
            continue;
        }
        if (got < 0) {
            return ferry_os_error_as(reterr, FERRY_E_IO, errno, "reading");
        }
        if (got == 0) {
            break;
        }
        done += (size_t)got;
    }
    *ret_got = done;
    return FERRY_OK;
}

int ferry_os_file_rewind(int fd)
{
    return lseek(fd, 0, SEEK_SET) == 0 ? FERRY_OK : FERRY_E_UNSUPPORTED;
}
