/* SPDX-License-Identifier: BSD-3-Clause */
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>

#include "bridge/iommu/cdev.h"
#include "bridge/iommu/type1/type1.h"
#include "bridge/preload/symbols/real.h"
#include "bridge/preload/symbols/symbols.h"

/* What fortified programs call instead; no header has them. */
int __open_2(const char *path, int flags);
int __open64_2(const char *path, int flags);
int __openat_2(int folder, const char *path, int flags);
int __openat64_2(int folder, const char *path, int flags);

/* Paths of devices and iommufds, of groups and containers. Return: 1: it was one, and
 * *ret_fd is what open() answers. */
static int open_own(const char *path, int flags, int *ret_fd)
{
    if (!bridge_cdev_open(path, flags, ret_fd) &&
        !bridge_type1_open(path, flags, ret_fd)) {
        return 0;
    }
    if (*ret_fd < 0) {
        errno = -*ret_fd;
        *ret_fd = -1;
    }
    return 1;
}

static int takes_mode(int flags)
{
    return (flags & O_CREAT) != 0 || (flags & O_TMPFILE) == O_TMPFILE;
}

static int open_any(const char *path, int flags, mode_t mode)
{
    int fd;

    return open_own(path, flags, &fd) ? fd : bridge_real()->open(path, flags, mode);
}

static int openat_any(int folder, const char *path, int flags, mode_t mode)
{
    int fd;

    /* Ours are absolute: the folder does not matter. */
    return open_own(path, flags, &fd) ? fd
                                      : bridge_real()->openat(folder, path, flags, mode);
}

BRIDGE_SYMBOL int open(const char *path, int flags, ...)
{
    mode_t mode = 0;
    va_list args;

    if (takes_mode(flags)) {
        va_start(args, flags);
        mode = va_arg(args, mode_t);
        va_end(args);
    }
    return open_any(path, flags, mode);
}

BRIDGE_SYMBOL int open64(const char *path, int flags, ...)
{
    mode_t mode = 0;
    va_list args;

    if (takes_mode(flags)) {
        va_start(args, flags);
        mode = va_arg(args, mode_t);
        va_end(args);
    }
    return open_any(path, flags | O_LARGEFILE, mode);
}

BRIDGE_SYMBOL int openat(int folder, const char *path, int flags, ...)
{
    mode_t mode = 0;
    va_list args;

    if (takes_mode(flags)) {
        va_start(args, flags);
        mode = va_arg(args, mode_t);
        va_end(args);
    }
    return openat_any(folder, path, flags, mode);
}

BRIDGE_SYMBOL int openat64(int folder, const char *path, int flags, ...)
{
    mode_t mode = 0;
    va_list args;

    if (takes_mode(flags)) {
        va_start(args, flags);
        mode = va_arg(args, mode_t);
        va_end(args);
    }
    return openat_any(folder, path, flags | O_LARGEFILE, mode);
}

/* A file to be made without a mode is the caller's fault, which the real ones punish: no
 * flags of theirs make one. */
BRIDGE_SYMBOL int __open_2(const char *path, int flags)
{
    return open_any(path, flags & ~O_CREAT, 0);
}

BRIDGE_SYMBOL int __open64_2(const char *path, int flags)
{
    return open_any(path, (flags & ~O_CREAT) | O_LARGEFILE, 0);
}

BRIDGE_SYMBOL int __openat_2(int folder, const char *path, int flags)
{
    return openat_any(folder, path, flags & ~O_CREAT, 0);
}

BRIDGE_SYMBOL int __openat64_2(int folder, const char *path, int flags)
{
    return openat_any(folder, path, (flags & ~O_CREAT) | O_LARGEFILE, 0);
}
