/* SPDX-License-Identifier: BSD-3-Clause */
#define _GNU_SOURCE
#include "os/sysfs/sysfs.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/utsname.h>
#include <unistd.h>

#include "os/errno.h"

int ferry_os_path(char *ret_path, size_t size, const char *format, ...)
{
    va_list list;
    int length;

    va_start(list, format);
    length = vsnprintf(ret_path, size, format, list);
    va_end(list);
    if (length < 0 || (size_t)length >= size) {
        ret_path[0] = '\0';
        return FERRY_E_LIMIT;
    }
    return FERRY_OK;
}

int ferry_os_exists(const char *path)
{
    struct stat st;

    return stat(path, &st) == 0;
}

int ferry_os_is_folder(const char *path)
{
    struct stat st;

    return stat(path, &st) == 0 && S_ISDIR(st.st_mode);
}

int ferry_os_attr_read(const char *path, char *ret_text, size_t size)
{
    /* O_NONBLOCK: a pipe in the file's place must not stop us. */
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    int status = FERRY_OK;
    size_t done = 0;

    ret_text[0] = '\0';
    if (fd < 0) {
        return ferry_os_status(errno);
    }
    while (done + 1 < size) {
        ssize_t got = read(fd, ret_text + done, size - 1 - done);

        if (got < 0 && errno == EINTR) {
            continue;
        }
        if (got < 0) {
            status = ferry_os_status(errno);
            done = 0;
            break;
        }
        if (got == 0) {
            break;
        }
        done += (size_t)got;
    }
    close(fd);
    ret_text[done] = '\0';
    ret_text[strcspn(ret_text, "\n")] = '\0';
    return status;
}

int ferry_os_attr_number(const char *path, uint64_t *ret_value)
{
    char text[32], *end;
    int status = ferry_os_attr_read(path, text, sizeof(text));
    unsigned long long value;

    if (status < 0) {
        return status;
    }
    /* strtoull() would take a sign and blanks. */
    if (text[0] < '0' || text[0] > '9') {
        return FERRY_E_PROTOCOL;
    }
    errno = 0;
    value = strtoull(text, &end, 0);
    if (errno != 0 || end == text) {
        return FERRY_E_PROTOCOL;
    }
    *ret_value = value;
    return FERRY_OK;
}

int ferry_os_attr_write(const char *path, const char *text, int *ret_errno)
{
    const size_t size = strlen(text);
    int err = 0, fd = open(path, O_WRONLY | O_TRUNC | O_CLOEXEC | O_NONBLOCK);
    ssize_t done;

    if (fd < 0) {
        err = errno;
    } else {
        do {
            done = write(fd, text, size);
        } while (done < 0 && errno == EINTR);
        err = done < 0 ? errno : (size_t)done != size ? EIO : 0;
        close(fd);
    }
    if (ret_errno != NULL) {
        *ret_errno = err;
    }
    return ferry_os_status(err);
}

int ferry_os_attr_writable(const char *path)
{
    return faccessat(AT_FDCWD, path, W_OK, AT_EACCESS) == 0 ? 0 : errno;
}

int ferry_os_try_open(const char *path)
{
    int fd = open(path, O_RDWR | O_CLOEXEC | O_NONBLOCK);

    if (fd < 0) {
        return errno;
    }
    close(fd);
    return 0;
}

int ferry_os_try_disk(const char *path)
{
    struct stat st;
    int fd;

    if (stat(path, &st) < 0) {
        return errno;
    }
    if (!S_ISBLK(st.st_mode)) {
        return 0;
    }
    /* O_EXCL without O_CREAT: the kernel refuses what somebody holds. */
    fd = open(path, O_RDONLY | O_EXCL | O_CLOEXEC | O_NONBLOCK);
    if (fd < 0) {
        return errno;
    }
    close(fd);
    return 0;
}

int ferry_os_make_folder(const char *path)
{
    char part[FERRY_OS_SYSFS_PATH_BYTES];

    if (ferry_os_path(part, sizeof(part), "%s", path) != FERRY_OK) {
        return FERRY_E_LIMIT;
    }
    for (char *at = strchr(part + 1, '/'); at != NULL; at = strchr(at + 1, '/')) {
        *at = '\0';
        (void)mkdir(part, 0755);
        *at = '/';
    }
    if (mkdir(part, 0755) < 0 && errno != EEXIST) {
        return ferry_os_status(errno);
    }
    return ferry_os_is_folder(part) ? FERRY_OK : FERRY_E_EXISTS;
}

void ferry_os_remove_file(const char *path)
{
    (void)unlink(path);
}

void ferry_os_kernel_release(char *ret_text, size_t size)
{
    struct utsname name;

    snprintf(ret_text, size, "%s", uname(&name) == 0 ? name.release : "");
}

int ferry_os_link_target(const char *path, char *ret_text, size_t size)
{
    ssize_t length = readlink(path, ret_text, size);

    if (length >= 0 && (size_t)length < size) {
        ret_text[length] = '\0';
        return FERRY_OK;
    }
    ret_text[0] = '\0';
    return length < 0 ? ferry_os_status(errno) : FERRY_E_LIMIT;
}

int ferry_os_link_name(const char *path, char *ret_name, size_t size)
{
    char target[PATH_MAX];
    const char *name;
    int status = ferry_os_link_target(path, target, sizeof(target));

    ret_name[0] = '\0';
    if (status != FERRY_OK) {
        return status;
    }
    name = strrchr(target, '/');
    return ferry_os_path(ret_name, size, "%s", name != NULL ? name + 1 : target);
}

int ferry_os_real_path(const char *path, char *ret_path, size_t size)
{
    char real[PATH_MAX];

    ret_path[0] = '\0';
    if (realpath(path, real) == NULL) {
        return ferry_os_status(errno);
    }
    return ferry_os_path(ret_path, size, "%s", real);
}
