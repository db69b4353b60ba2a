/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef FERRY_BRIDGE_PRELOAD_REAL_H
#define FERRY_BRIDGE_PRELOAD_REAL_H

#include <stddef.h>
#include <sys/types.h>
#include <sys/uio.h>

/*
 * The functions that come after ours: the C library's, or those of another preloaded
 * library. While they are being looked up, which may call them, and where one is missing,
 * the plain system call stands in.
 */
struct bridge_real {
    int (*ioctl)(int fd, unsigned long request, ...);
    ssize_t (*read)(int fd, void *data, size_t count);
    ssize_t (*write)(int fd, const void *data, size_t count);
    ssize_t (*pread)(int fd, void *data, size_t count, off_t off);
    ssize_t (*pwrite)(int fd, const void *data, size_t count, off_t off);
    ssize_t (*readv)(int fd, const struct iovec *piece, int count);
    ssize_t (*writev)(int fd, const struct iovec *piece, int count);
    ssize_t (*preadv)(int fd, const struct iovec *piece, int count, off_t off);
    ssize_t (*pwritev)(int fd, const struct iovec *piece, int count, off_t off);
    void *(*mmap)(void *address, size_t size, int prot, int flags, int fd, off_t off);
    int (*munmap)(void *address, size_t size);
    void *(*mremap)(void *address, size_t size, size_t fresh_size, int flags, ...);
    int (*close)(int fd);
    int (*close_range)(unsigned first, unsigned last, int flags);
    void (*closefrom)(int first);
    int (*dup)(int fd);
    int (*dup2)(int fd, int fresh);
    int (*dup3)(int fd, int fresh, int flags);
    int (*fcntl)(int fd, int command, ...);
    int (*open)(const char *path, int flags, ...);
    int (*openat)(int folder, const char *path, int flags, ...);
};

/* Thread: any, also before any constructor. Keeps errno. */
const struct bridge_real *bridge_real(void);

#endif
