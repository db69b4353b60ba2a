/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef FERRY_MODELS_VIRTIO_VIRTQUEUE_INSIDE_H
#define FERRY_MODELS_VIRTIO_VIRTQUEUE_INSIDE_H

#include "models/virtio/virtqueue.h"

/* The two layouts of a virtqueue; the contracts are those of virtqueue.h. */

int virtqueue_split_pop(struct virtqueue *queue, struct ferry_device *device,
                        struct virtqueue_chain *chain);
int virtqueue_split_publish(struct virtqueue *queue, struct ferry_device *device);
/* May the driver be interrupted? Return: 1, 0 or negative. */
int virtqueue_split_wants_interrupt(const struct virtqueue *queue,
                                    struct ferry_device *device);
int virtqueue_split_set_quiet(const struct virtqueue *queue, struct ferry_device *device,
                              uint8_t quiet);

int virtqueue_packed_pop(struct virtqueue *queue, struct ferry_device *device,
                         struct virtqueue_chain *chain);
int virtqueue_packed_publish(struct virtqueue *queue, struct ferry_device *device);
int virtqueue_packed_wants_interrupt(const struct virtqueue *queue,
                                     struct ferry_device *device);
int virtqueue_packed_set_quiet(const struct virtqueue *queue, struct ferry_device *device,
                               uint8_t quiet);
/* A position `slots` further on, or back. */
uint16_t virtqueue_packed_add(const struct virtqueue *queue, uint16_t position,
                              uint32_t slots);
uint16_t virtqueue_packed_back(const struct virtqueue *queue, uint16_t position,
                               uint32_t slots);

/*
 * Adds one buffer to a chain: what the device reads comes first.
 * Return: FERRY_OK, FERRY_E_PROTOCOL.
 */
int virtqueue_add_segment(struct virtqueue_chain *chain, uint64_t iova, uint32_t size,
                          int device_writes);

#endif
