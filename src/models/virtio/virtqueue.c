/* SPDX-License-Identifier: BSD-3-Clause */
#include <endian.h>
#include <linux/virtio_config.h>
#include <stdatomic.h>
#include <string.h>

#include "models/virtio/virtqueue_inside.h"

/* What both layouts have in common. */

void virtqueue_reset(struct virtqueue *queue)
{
    const uint16_t size_max = queue->size_max;

    memset(queue, 0, sizeof(*queue));
    queue->size_max = size_max;
    queue->size = size_max;
    queue->vector = UINT16_MAX;
}

static uint8_t has(uint64_t features, unsigned bit)
{
    return (features >> bit & 1) != 0 ? 1 : 0;
}

int virtqueue_size_valid(const struct virtqueue *queue, uint64_t features, uint32_t size)
{
    return size != 0 && size <= queue->size_max &&
           (has(features, VIRTIO_F_RING_PACKED) || (size & (size - 1)) == 0);
}

/* Do size and addresses make a queue of this layout? */
static int valid(const struct virtqueue *queue, uint64_t features)
{
    const int packed = has(features, VIRTIO_F_RING_PACKED);
    const uint64_t last = UINT64_MAX - 0x10000; /* more than any ring; no sum overflows */
    /* Split: the two rings; packed: the event suppression of driver and device. */
    const uint64_t avail_align = packed ? 4 : 2;

    return virtqueue_size_valid(queue, features, queue->size) &&
           queue->desc_iova % 16 == 0 && queue->avail_iova % avail_align == 0 &&
           queue->used_iova % 4 == 0 && queue->desc_iova < last &&
           queue->avail_iova < last && queue->used_iova < last;
}

int virtqueue_enable(struct virtqueue *queue, uint64_t features)
{
    const int packed = has(features, VIRTIO_F_RING_PACKED);

    if (!valid(queue, features)) {
        return FERRY_E_ARGUMENT;
    }
    queue->packed = (uint8_t)packed;
    queue->indirect = has(features, VIRTIO_RING_F_INDIRECT_DESC);
    if (packed) {
        queue->avail_taken = VIRTQUEUE_WRAP;
        queue->used_published = VIRTQUEUE_WRAP;
    }
    queue->enabled = 1;
    return FERRY_OK;
}

int virtqueue_import(struct virtqueue *queue, uint64_t features)
{
    const int packed = has(features, VIRTIO_F_RING_PACKED);
    const uint16_t slot = queue->avail_taken & (uint16_t)(VIRTQUEUE_WRAP - 1);

    /* Requests are completed in order, each before the next is taken. */
    if (!valid(queue, features) || queue->avail_taken != queue->used_published ||
        (packed && slot >= queue->size)) {
        return FERRY_E_ARGUMENT;
    }
    queue->packed = (uint8_t)packed;
    queue->indirect = has(features, VIRTIO_RING_F_INDIRECT_DESC);
    queue->avail_seen = queue->avail_taken;
    queue->head_count = 0;
    /* The source may have asked the driver not to notify: the flag in guest memory is not
     * carried, so it is cleared when the ring was found empty. */
    queue->quiet = 1;
    queue->enabled = 1;
    return FERRY_OK;
}

int virtqueue_add_segment(struct virtqueue_chain *chain, uint64_t iova, uint32_t size,
                          int device_writes)
{
    const uint32_t count = chain->out_count + chain->in_count;

    if (size == 0) {
        return FERRY_OK;
    }
    if (count == VIRTQUEUE_CHAIN_MAX || iova > UINT64_MAX - size) {
        return FERRY_E_PROTOCOL;
    }
    if (device_writes) {
        chain->in_count++;
        chain->in_bytes += size;
    } else if (chain->in_count != 0) {
        return FERRY_E_PROTOCOL; /* what the device reads comes first */
    } else {
        chain->out_count++;
        chain->out_bytes += size;
    }
    chain->segment[count].iova = iova;
    chain->segment[count].size = size;
    return FERRY_OK;
}

int virtqueue_pop(struct virtqueue *queue, struct ferry_device *device,
                  struct virtqueue_chain *ret_chain)
{
    int status;

    ret_chain->out_count = 0;
    ret_chain->in_count = 0;
    ret_chain->out_bytes = 0;
    ret_chain->in_bytes = 0;
    status = queue->packed ? virtqueue_packed_pop(queue, device, ret_chain)
                           : virtqueue_split_pop(queue, device, ret_chain);
    if (status == 1) {
        queue->last_slots = ret_chain->slots;
    }
    return status;
}

void virtqueue_unpop(struct virtqueue *queue)
{
    virtqueue_unpop_many(queue, 1, queue->last_slots);
}

void virtqueue_unpop_many(struct virtqueue *queue, uint32_t chains, uint32_t slots)
{
    queue->avail_taken = queue->packed
                             ? virtqueue_packed_back(queue, queue->avail_taken, slots)
                             : (uint16_t)(queue->avail_taken - chains);
}

int virtqueue_push(struct virtqueue *queue, struct ferry_device *device,
                   const struct virtqueue_chain *chain, uint32_t written_bytes)
{
    return virtqueue_push_buffer(queue, device, chain->head, chain->slots, written_bytes);
}

int virtqueue_push_buffer(struct virtqueue *queue, struct ferry_device *device,
                          uint16_t head, uint16_t slots, uint32_t written_bytes)
{
    struct vring_used_elem *elem = &queue->used[queue->used_count];

    elem->id = htole32(head);
    elem->len = htole32(written_bytes);
    queue->used_slots[queue->used_count] = slots;
    queue->used_count++;
    return virtqueue_room(queue) == 0 ? virtqueue_flush(queue, device) : FERRY_OK;
}

uint32_t virtqueue_room(const struct virtqueue *queue)
{
    /* Never more than the ring holds, whatever the driver puts in. */
    const uint32_t most = queue->size < VIRTQUEUE_BATCH ? queue->size : VIRTQUEUE_BATCH;

    return most - queue->used_count;
}

int virtqueue_flush(struct virtqueue *queue, struct ferry_device *device)
{
    int status;

    if (queue->used_count == 0) {
        return FERRY_OK;
    }
    status = queue->packed ? virtqueue_packed_publish(queue, device)
                           : virtqueue_split_publish(queue, device);
    queue->used_count = 0;
    if (status == FERRY_OK) {
        /* The completions first, then the flag: else both sides could wait for each
         * other. */
        atomic_thread_fence(memory_order_seq_cst);
        status = queue->packed ? virtqueue_packed_wants_interrupt(queue, device)
                               : virtqueue_split_wants_interrupt(queue, device);
    }
    if (status < 0) {
        /* The device needs a reset now; its indices stay ones that can be carried. */
        queue->avail_taken = queue->used_published;
        queue->avail_seen = queue->used_published;
        queue->head_count = 0;
    } else if (status > 0) {
        queue->interrupt = 1;
    }
    return status < 0 ? status : FERRY_OK;
}

int virtqueue_set_quiet(struct virtqueue *queue, struct ferry_device *device,
                        uint8_t quiet)
{
    const int status = queue->packed ? virtqueue_packed_set_quiet(queue, device, quiet)
                                     : virtqueue_split_set_quiet(queue, device, quiet);

    if (status == FERRY_OK) {
        queue->quiet = quiet;
        atomic_thread_fence(memory_order_seq_cst);
    }
    return status;
}
