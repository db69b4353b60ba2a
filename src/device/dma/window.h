/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef FERRY_DEVICE_DMA_WINDOW_H
#define FERRY_DEVICE_DMA_WINDOW_H

#include <stddef.h>
#include <stdint.h>

#include "os/memory.h"

/*
 * What is really mapped of the user's files. One window serves every map of the same file
 * with the same access: a user who maps one file in tens of thousands of pieces costs the
 * process one mapping of the system's 65530 (vm.max_map_count), and a map costs no mmap.
 *
 * A file is known by device and inode number; its number cannot be given to another one
 * while a window holds it. Thread: the device's.
 */

/* Largest window. A map that lies in no single piece of this size gets its own. */
#define DEVICE_WINDOW_BYTES_MAX (1ull << 40)
#define DEVICE_WINDOW_BUCKETS 256u

struct device_window {
    struct ferry_os_file file;
    uint64_t off; /* of map.data inside the file */
    uint32_t access;
    uint32_t refs;
    uint32_t keeps_length; /* the file cannot be shortened any more */
    uint32_t pad;
    struct ferry_os_map map;
    struct device_window *next;
    struct device_window **link; /* what points here */
};

/* All zero when there is none. */
struct device_windows {
    struct device_window *bucket[DEVICE_WINDOW_BUCKETS];
};

/*
 * A window that holds [off, off + size) of a file; off a multiple of 4096.
 * fd: borrowed; may be closed afterwards. access: FERRY_OS_MAP_*. The file's present
 *   length is always looked at.
 * ret_lendable: 1 when these bytes of the file cannot be taken away any more.
 * Return: FERRY_OK; as ferry_os_map_shared().
 */
int device_window_get(struct device_windows *windows, int fd, uint64_t off, uint64_t size,
                      uint32_t access, struct device_window **ret_window,
                      uint32_t *ret_lendable, struct ferry_error *reterr);

/* Where a byte of the file is; it must lie inside the window. */
uint8_t *device_window_at(const struct device_window *window, uint64_t off);

/* One user less; the last one unmaps it. */
void device_window_put(struct device_window *window);

/* Unmaps all, whoever uses them. */
void device_windows_free(struct device_windows *windows);

#endif
