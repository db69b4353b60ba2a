/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef FERRY_DRIVERS_VIRTIO_VIRTQUEUE_H
#define FERRY_DRIVERS_VIRTIO_VIRTQUEUE_H

#include <stdint.h>

#include "drivers/guest/guest.h"

/*
 * The driver's side of a virtqueue, split or packed. The struct itself lives in the
 * guest's memory too. Descriptors are owned by the caller, who gives each request a fixed
 * chain: there is no free list.
 */
struct virtqueue {
    uint64_t desc_iova, avail_iova, used_iova;
    uint64_t doorbell_off; /* inside doorbell_region */
    uint32_t doorbell_region;
    uint16_t index, size;
    uint16_t
        avail_next; /* split: index that the next request gets in the available ring */
    uint16_t used_next; /* split: index of the next completion to take */
    /* Packed: both are positions in the ring, the wrap counter in bit 15. */
    uint16_t packed; /* 1: the packed layout */
    uint16_t chain;  /* packed: descriptors of each request; all have as many */
};

/* One piece of a request, in the order of the chain: first what the device reads. */
struct virtqueue_piece {
    uint64_t iova;
    uint32_t bytes;
    uint32_t device_writes; /* 1: the device writes it */
};

/* Bytes of guest memory that the rings of a queue need, from a page's start. */
uint64_t virtqueue_need(uint16_t size);

/*
 * Lays the rings out at `iova` (page aligned, virtqueue_need() bytes) and empties them.
 * packed: 1 when the device agreed to it.
 */
void virtqueue_init(const struct guest_ram *ram, struct virtqueue *queue, uint16_t index,
                    uint16_t size, uint64_t iova, uint16_t packed);

/* 1 when the queue's rings lie where virtqueue_init() puts them for its size and iova. */
int virtqueue_check(const struct virtqueue *queue, uint64_t iova);

/* Makes a chain of `count` pieces from descriptor `head` on available to the device. */
void virtqueue_put(const struct guest_ram *ram, struct virtqueue *queue, uint16_t head,
                   const struct virtqueue_piece *piece, uint16_t count);

/*
 * Takes one completion. Return: 1 with the chain's head and the bytes that the device
 * wrote; 0 when there is none; FERRY_E_PROTOCOL when the device completed a descriptor
 * that the ring does not have.
 */
int virtqueue_take(const struct guest_ram *ram, struct virtqueue *queue,
                   uint16_t *ret_head, uint32_t *ret_bytes);

/* Completions that the device has published and nobody has taken. */
uint16_t virtqueue_ready(const struct guest_ram *ram, const struct virtqueue *queue);

#endif
