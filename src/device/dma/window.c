/* SPDX-License-Identifier: BSD-3-Clause */
#include "device/dma/window.h"

#include <stdlib.h>

#include "base/range.h"

static struct device_window **bucket_of(struct device_windows *windows,
                                        const struct ferry_os_file *file)
{
    uint64_t hash = (file->inode + file->device * 31u) * 0x9e3779b97f4a7c15ull;

    return &windows->bucket[(hash >> 32) % DEVICE_WINDOW_BUCKETS];
}

static int same_file(const struct ferry_os_file *a, const struct ferry_os_file *b)
{
    return a->inode == b->inode && a->device == b->device;
}

/*
 * Who the file is, its length and whether that can still shrink. A seal once seen is
 * remembered: it never goes away. Asked before the length, which then is the last word.
 */
static int look(struct device_windows *windows, int fd, struct ferry_os_file *ret_file,
                uint32_t *ret_keeps)
{
    struct device_window *window;
    int status = ferry_os_file_look(fd, ret_file);

    *ret_keeps = 0;
    if (status != FERRY_OK) {
        return status;
    }
    for (window = *bucket_of(windows, ret_file); window != NULL; window = window->next) {
        if (same_file(&window->file, ret_file) && window->keeps_length != 0) {
            *ret_keeps = 1;
            return FERRY_OK;
        }
    }
    if (ferry_os_file_keeps_length(fd) != 0) {
        *ret_keeps = 1;
        status = ferry_os_file_look(fd, ret_file);
    }
    return status;
}

static struct device_window *find(struct device_windows *windows,
                                  const struct ferry_os_file *file, uint64_t off,
                                  uint64_t size, uint32_t access)
{
    struct device_window *window = *bucket_of(windows, file);

    while (window != NULL &&
           (!same_file(&window->file, file) || window->access != access ||
            !ferry_range_within(off, size, window->off, window->map.size))) {
        window = window->next;
    }
    return window;
}

/* Maps as much of the file around the wanted part as makes sense, or just that. */
static int open_window(struct device_window *window, int fd, uint64_t off, uint64_t size,
                       struct ferry_error *reterr)
{
    const uint64_t begin = off & ~(DEVICE_WINDOW_BYTES_MAX - 1);
    uint64_t bytes = window->file.size - begin;
    int status = FERRY_E_LIMIT;

    if (bytes > DEVICE_WINDOW_BYTES_MAX) {
        bytes = DEVICE_WINDOW_BYTES_MAX;
    }
    /* Mapping huge pages reserves them: no more than is asked for. */
    if (window->file.huge_pages == 0 && ferry_range_within(off, size, begin, bytes)) {
        status =
            ferry_os_map_shared(fd, begin, bytes, window->access, &window->map, NULL);
        window->off = begin;
    }
    if (status != FERRY_OK) {
        status = ferry_os_map_shared(fd, off, size, window->access, &window->map, reterr);
        window->off = off;
    }
    return status;
}

static int create(struct device_windows *windows, int fd,
                  const struct ferry_os_file *file, uint64_t off, uint64_t size,
                  uint32_t access, struct device_window **ret_window,
                  struct ferry_error *reterr)
{
    struct device_window **link = bucket_of(windows, file);
    struct device_window *window = calloc(1, sizeof(*window));
    int status;

    if (window == NULL) {
        return FERRY_E_MEMORY;
    }
    window->file = *file;
    window->access = access;
    status = open_window(window, fd, off, size, reterr);
    if (status != FERRY_OK) {
        free(window);
        return status;
    }
    window->link = link;
    window->next = *link;
    if (window->next != NULL) {
        window->next->link = &window->next;
    }
    *link = window;
    *ret_window = window;
    return FERRY_OK;
}

int device_window_get(struct device_windows *windows, int fd, uint64_t off, uint64_t size,
                      uint32_t access, struct device_window **ret_window,
                      uint32_t *ret_lendable, struct ferry_error *reterr)
{
    struct device_window *window;
    struct ferry_os_file file;
    uint32_t keeps;
    int status = look(windows, fd, &file, &keeps);

    if (status != FERRY_OK) {
        return ferry_error_set(reterr, status, "device", NULL, 0,
                               "DMA_MAP: the descriptor is not a regular file");
    }
    /* Pages past the end of the file would raise SIGBUS at the first access. */
    if (!ferry_range_inside(off, size, file.size)) {
        return ferry_error_set(
            reterr, FERRY_E_RANGE, "device", NULL, 0,
            "DMA_MAP: [0x%llx, +0x%llx) lies past the end of the file (0x%llx bytes)",
            (unsigned long long)off, (unsigned long long)size,
            (unsigned long long)file.size);
    }
    window = find(windows, &file, off, size, access);
    if (window == NULL) {
        status = create(windows, fd, &file, off, size, access, &window, reterr);
        if (status != FERRY_OK) {
            return status;
        }
    } else {
        /* Another descriptor opened the window; this one may be good for less. */
        status = ferry_os_file_may(fd, access);
        if (status != FERRY_OK) {
            return ferry_error_set(reterr, status, "device", NULL, 0,
                                   "DMA_MAP: the descriptor does not permit that access");
        }
    }
    window->keeps_length = keeps;
    window->refs++;
    *ret_window = window;
    *ret_lendable = keeps;
    return FERRY_OK;
}

uint8_t *device_window_at(const struct device_window *window, uint64_t off)
{
    return (uint8_t *)window->map.data + (off - window->off);
}

static void drop(struct device_window *window)
{
    *window->link = window->next;
    if (window->next != NULL) {
        window->next->link = window->link;
    }
    ferry_os_unmap(&window->map);
    free(window);
}

void device_window_put(struct device_window *window)
{
    window->refs--;
    if (window->refs == 0) {
        drop(window);
    }
}

void device_windows_free(struct device_windows *windows)
{
    for (uint32_t i = 0; i < DEVICE_WINDOW_BUCKETS; i++) {
        while (windows->bucket[i] != NULL) {
            drop(windows->bucket[i]);
        }
    }
}
