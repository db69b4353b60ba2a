/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef FERRY_BRIDGE_OBJECT_H
#define FERRY_BRIDGE_OBJECT_H

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

/*
 * What stands behind a descriptor of the VMM. Calls may come from any thread, several at
 * once; each holds a reference for its time. They answer like the kernel: >= 0 or a
 * negative errno.
 */
struct bridge_object;

struct bridge_object_ops {
    const char *kind; /* "device", "iommu", "data" */
    /* arg: the VMM's pointer as it came; NULL slots answer ENOTTY / EINVAL / ENODEV. */
    long (*ioctl)(struct bridge_object *object, unsigned long request, void *arg);
    ssize_t (*read)(struct bridge_object *object, void *ret_data, size_t count);
    ssize_t (*write)(struct bridge_object *object, const void *data, size_t count);
    ssize_t (*pread)(struct bridge_object *object, void *ret_data, size_t count,
                     uint64_t off);
    ssize_t (*pwrite)(struct bridge_object *object, const void *data, size_t count,
                      uint64_t off);
    /*
     * Which file stands for [off, off + length)? The caller maps it in its place.
     * ret_fd: borrowed, valid as long as the object is referenced.
     */
    int (*map)(struct bridge_object *object, uint64_t off, uint64_t length, int *ret_fd,
               uint64_t *ret_off);
    /* The last reference is gone: no descriptor, no call. Frees the object. */
    void (*destroy)(struct bridge_object *object);
};

struct bridge_object {
    const struct bridge_object_ops *ops;
    uint32_t references; /* atomic; whoever makes an object holds the first */
    uint32_t named;      /* atomic; 1: a token's inode leads to it (known.h) */
};

/* One reference, the caller's. */
void bridge_object_init(struct bridge_object *object,
                        const struct bridge_object_ops *ops);
void bridge_object_get(struct bridge_object *object);
/* 0 when the last one is just being given up: for whoever knows an object that he holds
 * no reference to, but whose end waits for him. */
int bridge_object_try_get(struct bridge_object *object);
/* The last one destroys the object. Keeps errno. */
void bridge_object_put(struct bridge_object *object);

#endif
