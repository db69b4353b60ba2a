/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef FERRY_DRIVERS_VIRTIO_VIRTQUEUE_BATCH_H
#define FERRY_DRIVERS_VIRTIO_VIRTQUEUE_BATCH_H

#include "drivers/virtio/virtqueue.h"

/*
 * Many requests of one descriptor each at a time: what a network driver's queues have.
 * The device sees all of a batch at once.
 */
struct virtqueue_buffer {
    uint64_t iova;
    uint32_t bytes;
    uint16_t head; /* its descriptor; no two requests under way have the same */
    uint16_t device_writes;
};

struct virtqueue_done {
    uint16_t head;
    uint16_t pad;
    uint32_t bytes; /* written by the device */
};

/* Makes them available, in order; count is at most the queue's size. */
void virtqueue_put_batch(const struct guest_ram *ram, struct virtqueue *queue,
                         const struct virtqueue_buffer *buffer, uint16_t count);

/*
 * Takes completions, at most so many. Return: how many; FERRY_E_PROTOCOL when the device
 * completed a descriptor that the ring does not have, or more than there are.
 */
int virtqueue_take_batch(const struct guest_ram *ram, struct virtqueue *queue,
                         struct virtqueue_done *ret_done, uint16_t most);

/* 0: the device looks at the queue by itself, a doorbell says nothing new. */
int virtqueue_wants_doorbell(const struct guest_ram *ram, const struct virtqueue *queue);

/* Does the driver want interrupts for this queue? Wanted after virtqueue_init(). After it
 * was switched on, the queue must be looked at once more. */
void virtqueue_want_interrupts(const struct guest_ram *ram, const struct virtqueue *queue,
                               int wanted);

#endif
