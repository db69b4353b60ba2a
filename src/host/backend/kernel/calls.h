/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef FERRY_HOST_BACKEND_KERNEL_CALLS_H
#define FERRY_HOST_BACKEND_KERNEL_CALLS_H

#include <stddef.h>
#include <stdint.h>

/*
 * The calls of the kernel that its backend and their IOMMUs make, so that a test can put
 * a kernel of its own in their place: one that fails where no real one can be made to.
 * Memory (mmap of a region, of a file) is not among them: os/memory.h.
 *
 * Each returns what the system call returns, or -errno; -EINTR is for the caller. None
 * touches errno. user: the struct's own.
 *
 * Thread: any.
 */
struct kernel_calls {
    size_t struct_size;
    void *user;
    /* flags: O_RDWR...; O_CLOEXEC is always added. May block (a device that resumes). */
    int (*open)(void *user, const char *path, int flags);
    void (*close)(void *user, int fd);
    /* arg: the structure, or a number where the request takes one. May block. */
    int (*ioctl)(void *user, int fd, unsigned long request, void *arg);
    int64_t (*pread)(void *user, int fd, void *data, size_t size, uint64_t off);
    int64_t (*pwrite)(void *user, int fd, const void *data, size_t size, uint64_t off);
    /* Data of a migration; may block. */
    int64_t (*read)(void *user, int fd, void *data, size_t size);
    int64_t (*write)(void *user, int fd, const void *data, size_t size);
    /* Of one descriptor. Return: the events, 0 after timeout_ms (negative: never). */
    int (*poll)(void *user, int fd, int events, int timeout_ms);
    /* Reads and writes of the descriptor return -EAGAIN instead of waiting, where its
     * driver knows that. */
    int (*set_nonblocking)(void *user, int fd);
    /* Closes what a descriptor stands for, and leaves the number taken, by something that
     * knows no call of a device: other threads may be about to use it. May block. */
    int (*give_up)(void *user, int fd);
};

/* The real ones. Return: a constant. */
const struct kernel_calls *kernel_calls_real(void);

/* The call, made again as often as a signal comes in its way. Only for requests that can
 * be repeated. Return: as ioctl of the struct; never -EINTR. */
int kernel_ioctl(const struct kernel_calls *calls, int fd, unsigned long request,
                 void *arg);

/* Closes *fd when it is not negative and sets it to -1. */
void kernel_close(const struct kernel_calls *calls, int *fd);

#endif
