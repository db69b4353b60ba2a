/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef FERRY_DRIVERS_VIRTIO_VIRTQUEUE_PACKED_H
#define FERRY_DRIVERS_VIRTIO_VIRTQUEUE_PACKED_H

#include "drivers/virtio/virtqueue.h"

/* The packed layout; the contracts are those of virtqueue.h. */

#define VIRTQUEUE_WRAP 0x8000u /* the wrap counter in a position */

void virtqueue_packed_put(const struct guest_ram *ram, struct virtqueue *queue,
                          uint16_t head, const struct virtqueue_piece *piece,
                          uint16_t count);
uint16_t virtqueue_packed_ready(const struct guest_ram *ram,
                                const struct virtqueue *queue);
int virtqueue_packed_take(const struct guest_ram *ram, struct virtqueue *queue,
                          uint16_t *ret_head, uint32_t *ret_bytes);
/* 1 when positions and chain length are those of a queue of this size. */
int virtqueue_packed_check(const struct virtqueue *queue);

#endif
