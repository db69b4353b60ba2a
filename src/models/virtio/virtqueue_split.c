/* SPDX-License-Identifier: BSD-3-Clause */
#include "models/virtio/virtqueue_inside.h"

#include <endian.h>
#include <stdatomic.h>
#include <stddef.h>
#include <string.h>

#include "models/le.h"

/* Offsets inside the available and the used ring. */
#define RING_FLAGS 0u
#define RING_INDEX 2u
#define RING_ENTRIES 4u

/* Reads the available index and, from there, as many heads as the batch holds. */
static int fetch_heads(struct virtqueue *queue, struct ferry_device *device)
{
    const uint16_t slot = queue->avail_taken & (uint16_t)(queue->size - 1);
    uint8_t index[2];
    uint16_t count;
    int status;

    if (queue->avail_seen == queue->avail_taken) {
        status =
            ferry_dma_read(device, queue->avail_iova + RING_INDEX, index, sizeof(index));
        if (status != FERRY_OK) {
            return status;
        }
        /* The entries and descriptors were written before the index. */
        atomic_thread_fence(memory_order_acquire);
        queue->avail_seen = le_get16(index);
        if ((uint16_t)(queue->avail_seen - queue->avail_taken) > queue->size) {
            queue->avail_seen = queue->avail_taken;
            return FERRY_E_PROTOCOL;
        }
    }
    count = (uint16_t)(queue->avail_seen - queue->avail_taken);
    if (count > VIRTQUEUE_BATCH) {
        count = VIRTQUEUE_BATCH;
    }
    if (count > queue->size - slot) {
        count = (uint16_t)(queue->size - slot);
    }
    queue->head_from = queue->avail_taken;
    queue->head_count = 0;
    if (count == 0) {
        return FERRY_OK;
    }
    status = ferry_dma_read(device, queue->avail_iova + RING_ENTRIES + 2u * slot,
                            queue->head, 2u * (size_t)count);
    if (status == FERRY_OK) {
        queue->head_count = count;
    }
    return status;
}

static int add_segment(struct virtqueue_chain *chain, const struct vring_desc *desc)
{
    return virtqueue_add_segment(chain, le64toh(desc->addr), le32toh(desc->len),
                                 (le16toh(desc->flags) & VRING_DESC_F_WRITE) != 0);
}

/* Follows the chain inside an indirect table, which is copied before it is judged. */
static int walk_indirect(struct ferry_device *device, const struct vring_desc *desc,
                         struct virtqueue_chain *chain)
{
    const uint32_t bytes = le32toh(desc->len);
    const uint32_t count = bytes / (uint32_t)sizeof(struct vring_desc);
    uint32_t at = 0;
    int status;

    if (bytes == 0 || bytes % sizeof(struct vring_desc) != 0 ||
        count > VIRTQUEUE_CHAIN_MAX) {
        return FERRY_E_PROTOCOL;
    }
    status = ferry_dma_read(device, le64toh(desc->addr), chain->table.split, bytes);
    /* A chain that visits more entries than the table has runs in a circle. */
    for (uint32_t steps = 0; status == FERRY_OK; steps++) {
        const struct vring_desc *entry;
        uint16_t flags;

        if (steps == count || at >= count) {
            return FERRY_E_PROTOCOL;
        }
        entry = &chain->table.split[at];
        flags = le16toh(entry->flags);
        if ((flags & VRING_DESC_F_INDIRECT) != 0) {
            return FERRY_E_PROTOCOL;
        }
        status = add_segment(chain, entry);
        if ((flags & VRING_DESC_F_NEXT) == 0) {
            break;
        }
        at = le16toh(entry->next);
    }
    return status;
}

static int walk(struct virtqueue *queue, struct ferry_device *device, uint16_t head,
                struct virtqueue_chain *chain)
{
    uint32_t at = head;
    int status = FERRY_OK;

    for (uint32_t steps = 0; status == FERRY_OK; steps++) {
        struct vring_desc desc;
        uint16_t flags;

        if (steps == queue->size || at >= queue->size) {
            return FERRY_E_PROTOCOL;
        }
        status = ferry_dma_read(device, queue->desc_iova + at * sizeof(desc), &desc,
                                sizeof(desc));
        if (status != FERRY_OK) {
            return status;
        }
        flags = le16toh(desc.flags);
        if ((flags & VRING_DESC_F_INDIRECT) != 0) {
            if (!queue->indirect || (flags & VRING_DESC_F_NEXT) != 0) {
                return FERRY_E_PROTOCOL;
            }
            return walk_indirect(device, &desc, chain);
        }
        status = add_segment(chain, &desc);
        if ((flags & VRING_DESC_F_NEXT) == 0) {
            break;
        }
        at = le16toh(desc.next);
    }
    return status;
}

int virtqueue_split_pop(struct virtqueue *queue, struct ferry_device *device,
                        struct virtqueue_chain *chain)
{
    uint16_t ahead = (uint16_t)(queue->avail_taken - queue->head_from);
    int status;

    if (ahead >= queue->head_count) {
        status = fetch_heads(queue, device);
        if (status != FERRY_OK) {
            return status;
        }
        if (queue->head_count == 0) {
            return 0;
        }
        ahead = 0;
    }
    chain->head = le16toh(queue->head[ahead]);
    chain->slots = 1;
    status = walk(queue, device, chain->head, chain);
    if (status != FERRY_OK) {
        return status;
    }
    queue->avail_taken++;
    return 1;
}

/* Writes entries and index of what was completed. */
int virtqueue_split_publish(struct virtqueue *queue, struct ferry_device *device)
{
    const uint16_t slot = queue->used_published & (uint16_t)(queue->size - 1);
    const uint64_t entries = queue->used_iova + RING_ENTRIES;
    const size_t elem_bytes = sizeof(queue->used[0]);
    size_t first = queue->used_count;
    uint8_t index[2];
    int status;

    if (first > (size_t)(queue->size - slot)) {
        first = (size_t)(queue->size - slot);
    }
    status = ferry_dma_write(device, entries + slot * elem_bytes, queue->used,
                             first * elem_bytes);
    if (status == FERRY_OK && first < queue->used_count) {
        status = ferry_dma_write(device, entries, queue->used + first,
                                 (queue->used_count - first) * elem_bytes);
    }
    if (status != FERRY_OK) {
        return status;
    }
    /* The driver that sees the new index must see the entries and the data as well. */
    atomic_thread_fence(memory_order_release);
    le_put16(index, (uint16_t)(queue->used_published + queue->used_count));
    status = ferry_dma_write(device, queue->used_iova + RING_INDEX, index, sizeof(index));
    if (status == FERRY_OK) {
        queue->used_published = (uint16_t)(queue->used_published + queue->used_count);
    }
    return status;
}

int virtqueue_split_wants_interrupt(const struct virtqueue *queue,
                                    struct ferry_device *device)
{
    uint8_t flags[2];
    const int status =
        ferry_dma_read(device, queue->avail_iova + RING_FLAGS, flags, sizeof(flags));

    return status == FERRY_OK ? (le_get16(flags) & VRING_AVAIL_F_NO_INTERRUPT) == 0
                              : status;
}

int virtqueue_split_set_quiet(const struct virtqueue *queue, struct ferry_device *device,
                              uint8_t quiet)
{
    uint8_t flags[2];

    le_put16(flags, quiet != 0 ? VRING_USED_F_NO_NOTIFY : 0);
    return ferry_dma_write(device, queue->used_iova + RING_FLAGS, flags, sizeof(flags));
}
