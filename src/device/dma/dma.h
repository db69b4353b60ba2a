/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef FERRY_DEVICE_DMA_DMA_H
#define FERRY_DEVICE_DMA_DMA_H

#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>

#include "core/dirty.h"
#include "ferry/device.h"
#include "link/request.h"
#include "device/dma/window.h"
#include "os/memory.h"

/*
 * The user's memory: a table of maps sorted by IOVA, each with its part of the dirty log.
 *
 * Thread: the device's, except that ferry_dma_put() comes from any. It reaches its map
 * through a slot, whose memory stays where it is for the device's life; `held` keeps map
 * and log alive until it has run.
 */

/* Maps that one device takes; one more is refused with FERRY_E_LIMIT. */
#define FERRY_DEVICE_MAPS_MAX FERRY_DMA_MAPS_MAX
#define DEVICE_PAGE_BYTES 4096u
#define DEVICE_PAGE_SHIFT 12u
#define DEVICE_SLOTS_PER_CHUNK 256u
#define DEVICE_SLOT_CHUNKS 513u

struct device_map {
    uint64_t iova, size;
    struct device_window *window; /* holds its memory; NULL: reached by messages only */
    uint8_t *address;             /* of iova; NULL without a window */
    uint32_t flags;               /* FERRY_DMA_* */
    uint32_t slot;
    _Atomic uint32_t held;               /* segments that are out */
    uint32_t lendable;                   /* the user cannot shorten the file behind it */
    uint32_t released;                   /* the author agreed to its unmap */
    struct ferry_request *leaving;       /* the unmap that waits for it, or NULL */
    _Atomic(struct ferry_dirty *) dirty; /* &log while its writes are logged, or NULL */
    struct ferry_dirty log;
    void *log_memory;
    struct ferry_os_map log_pages; /* what log_memory lies in; data NULL: malloc's */
    struct device_map *next;       /* free, or gone while segments are still out */
};

struct device_dma {
    struct device_map **map; /* sorted by iova */
    uint32_t count, cap;
    uint32_t slots; /* made so far */
    uint64_t pages; /* of 4096 bytes, of all maps in the table */
    struct device_windows windows;
    struct device_map *chunk[DEVICE_SLOT_CHUNKS];
    struct device_map *free;
    struct device_map *gone;     /* unmapped by a disconnect, segments still out */
    _Atomic uint32_t held;       /* segments that are out, of all maps */
    struct ferry_request *unmap; /* unmaps that wait, oldest first */
};

void device_dma_free(struct ferry_device *device);

/* Index of the first map that ends behind iova (count when there is none). */
uint32_t device_dma_index(const struct device_dma *dma, uint64_t iova);

/* FERRY_RQ_DMA_MAP and _UNMAP. */
int device_dma_map(struct ferry_device *device, struct ferry_request *request);
int device_dma_unmap(struct ferry_device *device, struct ferry_request *request);

/* Frees a map that is in no table any more and of which no segment is out. */
void device_dma_release(struct device_dma *dma, struct device_map *map);

/* Goes on with unmaps that wait for segments; completes those that are over. */
void device_dma_poll(struct ferry_device *device);

/* The user is gone: every map goes, unmaps that wait end with FERRY_E_CLOSED. */
void device_dma_drop(struct ferry_device *device);

#endif
