/* SPDX-License-Identifier: BSD-3-Clause */
#include "bridge/preload/symbols/real.h"

#include <assert.h>
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

static_assert(sizeof(off_t) == 8, "one register takes an offset");

/* All of the C library's variadic ones take one argument of a register's size at most. */
static int raw_ioctl(int fd, unsigned long request, ...)
{
    va_list args;
    void *arg;

    va_start(args, request);
    arg = va_arg(args, void *);
    va_end(args);
    return (int)syscall(SYS_ioctl, fd, request, arg);
}

static int raw_fcntl(int fd, int command, ...)
{
    va_list args;
    void *arg;

    va_start(args, command);
    arg = va_arg(args, void *);
    va_end(args);
    return (int)syscall(SYS_fcntl, fd, command, arg);
}

static int raw_openat(int folder, const char *path, int flags, ...)
{
    va_list args;
    mode_t mode;

    va_start(args, flags);
    mode = va_arg(args, mode_t);
    va_end(args);
    return (int)syscall(SYS_openat, folder, path, flags, mode);
}

static int raw_open(const char *path, int flags, ...)
{
    va_list args;
    mode_t mode;

    va_start(args, flags);
    mode = va_arg(args, mode_t);
    va_end(args);
    return raw_openat(AT_FDCWD, path, flags, mode);
}

static void *raw_mremap(void *address, size_t size, size_t fresh_size, int flags, ...)
{
    va_list args;
    void *fresh;

    va_start(args, flags);
    fresh = va_arg(args, void *);
    va_end(args);
    return (void *)syscall(SYS_mremap, address, size, fresh_size, flags, fresh);
}

static ssize_t raw_read(int fd, void *data, size_t count)
{
    return syscall(SYS_read, fd, data, count);
}

static ssize_t raw_write(int fd, const void *data, size_t count)
{
    return syscall(SYS_write, fd, data, count);
}

static ssize_t raw_pread(int fd, void *data, size_t count, off_t off)
{
    return syscall(SYS_pread64, fd, data, count, off);
}

static ssize_t raw_pwrite(int fd, const void *data, size_t count, off_t off)
{
    return syscall(SYS_pwrite64, fd, data, count, off);
}

static ssize_t raw_readv(int fd, const struct iovec *piece, int count)
{
    return syscall(SYS_readv, fd, piece, count);
}

static ssize_t raw_writev(int fd, const struct iovec *piece, int count)
{
    return syscall(SYS_writev, fd, piece, count);
}

static ssize_t raw_preadv(int fd, const struct iovec *piece, int count, off_t off)
{
    return syscall(SYS_preadv, fd, piece, count, off, 0L);
}

static ssize_t raw_pwritev(int fd, const struct iovec *piece, int count, off_t off)
{
    return syscall(SYS_pwritev, fd, piece, count, off, 0L);
}

static void *raw_mmap(void *address, size_t size, int prot, int flags, int fd, off_t off)
{
    return (void *)syscall(SYS_mmap, address, size, prot, flags, fd, off);
}

static int raw_munmap(void *address, size_t size)
{
    return (int)syscall(SYS_munmap, address, size);
}

static int raw_close(int fd)
{
    return (int)syscall(SYS_close, fd);
}

static int raw_close_range(unsigned first, unsigned last, int flags)
{
    return (int)syscall(SYS_close_range, first, last, flags);
}

static void raw_closefrom(int first)
{
    raw_close_range(first < 0 ? 0 : (unsigned)first, UINT_MAX, 0);
}

static int raw_dup(int fd)
{
    return (int)syscall(SYS_dup, fd);
}

static int raw_dup3(int fd, int fresh, int flags)
{
    return (int)syscall(SYS_dup3, fd, fresh, flags);
}

static int raw_dup2(int fd, int fresh)
{
    /* Newer architectures have no such call. */
    if (fd == fresh) {
        return raw_fcntl(fd, F_GETFD) < 0 ? -1 : fresh;
    }
    return raw_dup3(fd, fresh, 0);
}

static const struct bridge_real raw = {
    .ioctl = raw_ioctl,
    .read = raw_read,
    .write = raw_write,
    .pread = raw_pread,
    .pwrite = raw_pwrite,
    .readv = raw_readv,
    .writev = raw_writev,
    .preadv = raw_preadv,
    .pwritev = raw_pwritev,
    .mmap = raw_mmap,
    .munmap = raw_munmap,
    .mremap = raw_mremap,
    .close = raw_close,
    .close_range = raw_close_range,
    .closefrom = raw_closefrom,
    .dup = raw_dup,
    .dup2 = raw_dup2,
    .dup3 = raw_dup3,
    .fcntl = raw_fcntl,
    .open = raw_open,
    .openat = raw_openat,
};

#define AT(field) offsetof(struct bridge_real, field)

static const struct {
    const char *name;
    size_t at;
} names[] = {
    { "ioctl", AT(ioctl) },         { "read", AT(read) },
    { "write", AT(write) },         { "pread64", AT(pread) },
    { "pwrite64", AT(pwrite) },     { "readv", AT(readv) },
    { "writev", AT(writev) },       { "preadv64", AT(preadv) },
    { "mmap64", AT(mmap) },         { "pwritev64", AT(pwritev) },
    { "munmap", AT(munmap) },       { "mremap", AT(mremap) },
    { "close", AT(close) },         { "close_range", AT(close_range) },
    { "closefrom", AT(closefrom) }, { "dup", AT(dup) },
    { "dup2", AT(dup2) },           { "dup3", AT(dup3) },
    { "fcntl", AT(fcntl) },         { "open64", AT(open) },
    { "openat64", AT(openat) },
};

static struct bridge_real found;
static atomic_int is_found;
static atomic_int is_looking;

const struct bridge_real *bridge_real(void)
{
    size_t i;
    int err;

    if (atomic_load_explicit(&is_found, memory_order_acquire)) {
        return &found;
    }
    /* dlsym() may allocate, and so map memory by one of ours: it must not wait for
     * itself. */
    if (atomic_exchange(&is_looking, 1)) {
        return &raw;
    }
    err = errno;
    memcpy(&found, &raw, sizeof(found));
    for (i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        void *function = dlsym(RTLD_NEXT, names[i].name);

        if (function) {
            memcpy((char *)&found + names[i].at, &function, sizeof(function));
        }
    }
    atomic_store_explicit(&is_found, 1, memory_order_release);
    errno = err;
    return &found;
}
