/* SPDX-License-Identifier: BSD-3-Clause */
#include "models/virtio/virtqueue_inside.h"

#include <endian.h>
#include <stdatomic.h>
#include <stddef.h>
#include <string.h>

#include "models/le.h"

/*
 * The packed layout (virtio 1.1, 2.7): one ring of descriptors that both sides write. A
 * descriptor is available when its AVAIL flag is the ring's wrap counter and its USED
 * flag is not; it is used when both are.
 */

#define DESC_BYTES 16u
#define DESC_LENGTH 8u /* offset of length, id and flags */
#define DESC_FLAGS 14u
#define EVENT_FLAGS 2u /* offset in an event suppression structure */
#define FLAG_AVAIL (1u << VRING_PACKED_DESC_F_AVAIL)
#define FLAG_USED (1u << VRING_PACKED_DESC_F_USED)

static uint16_t slot_of(uint16_t position)
{
    return position & (uint16_t)(VIRTQUEUE_WRAP - 1);
}

uint16_t virtqueue_packed_add(const struct virtqueue *queue, uint16_t position,
                              uint32_t slots)
{
    const uint32_t slot = slot_of(position) + slots;
    const uint16_t wrap = position & VIRTQUEUE_WRAP;

    if (slot < queue->size) {
        return (uint16_t)(slot | wrap);
    }
    return (uint16_t)((slot - queue->size) | (wrap ^ VIRTQUEUE_WRAP));
}

uint16_t virtqueue_packed_back(const struct virtqueue *queue, uint16_t position,
                               uint32_t slots)
{
    const uint32_t slot = slot_of(position);
    const uint16_t wrap = position & VIRTQUEUE_WRAP;

    if (slot >= slots) {
        return (uint16_t)((slot - slots) | wrap);
    }
    return (uint16_t)((slot + queue->size - slots) | (wrap ^ VIRTQUEUE_WRAP));
}

static uint64_t desc_iova(const struct virtqueue *queue, uint16_t position)
{
    return queue->desc_iova + (uint64_t)slot_of(position) * DESC_BYTES;
}

static int is_available(uint16_t position, uint16_t flags)
{
    const int wrap = (position & VIRTQUEUE_WRAP) != 0;

    return ((flags & FLAG_AVAIL) != 0) == wrap && ((flags & FLAG_USED) != 0) != wrap;
}

static int add_segment(struct virtqueue_chain *chain,
                       const struct vring_packed_desc *desc)
{
    return virtqueue_add_segment(chain, le64toh(desc->addr), le32toh(desc->len),
                                 (le16toh(desc->flags) & VRING_DESC_F_WRITE) != 0);
}

/* All entries of an indirect table, in order; it is copied before it is judged. */
static int walk_indirect(struct ferry_device *device,
                         const struct vring_packed_desc *desc,
                         struct virtqueue_chain *chain)
{
    const uint32_t bytes = le32toh(desc->len);
    const uint32_t count = bytes / DESC_BYTES;
    int status;

    if (bytes == 0 || bytes % DESC_BYTES != 0 || count > VIRTQUEUE_CHAIN_MAX) {
        return FERRY_E_PROTOCOL;
    }
    status = ferry_dma_read(device, le64toh(desc->addr), chain->table.packed, bytes);
    for (uint32_t i = 0; i < count && status == FERRY_OK; i++) {
        const struct vring_packed_desc *entry = &chain->table.packed[i];

        if ((le16toh(entry->flags) & VRING_DESC_F_INDIRECT) != 0) {
            return FERRY_E_PROTOCOL;
        }
        status = add_segment(chain, entry);
    }
    return status;
}

/* The chain from a position on: the descriptors that follow it in the ring. */
static int walk(const struct virtqueue *queue, struct ferry_device *device,
                struct virtqueue_chain *chain)
{
    uint16_t flags = VRING_DESC_F_NEXT;
    int status = FERRY_OK;

    for (chain->slots = 0; status == FERRY_OK && (flags & VRING_DESC_F_NEXT) != 0;
         chain->slots++) {
        struct vring_packed_desc desc;

        /* A chain that does not end within the ring runs in a circle. */
        if (chain->slots == queue->size) {
            return FERRY_E_PROTOCOL;
        }
        status = ferry_dma_read(
            device,
            desc_iova(queue,
                      virtqueue_packed_add(queue, queue->avail_taken, chain->slots)),
            &desc, sizeof(desc));
        if (status != FERRY_OK) {
            return status;
        }
        flags = le16toh(desc.flags);
        chain->head = le16toh(desc.id); /* the last one's counts */
        if ((flags & VRING_DESC_F_INDIRECT) == 0) {
            status = add_segment(chain, &desc);
        } else if (!queue->indirect || chain->slots != 0 ||
                   (flags & VRING_DESC_F_NEXT) != 0) {
            return FERRY_E_PROTOCOL;
        } else {
            status = walk_indirect(device, &desc, chain);
        }
    }
    return status;
}

int virtqueue_packed_pop(struct virtqueue *queue, struct ferry_device *device,
                         struct virtqueue_chain *chain)
{
    uint8_t flags[2];
    int status = ferry_dma_read(device, desc_iova(queue, queue->avail_taken) + DESC_FLAGS,
                                flags, sizeof(flags));

    if (status != FERRY_OK) {
        return status;
    }
    if (!is_available(queue->avail_taken, le_get16(flags))) {
        return 0;
    }
    /* The rest of the chain was written before the first one's flags. */
    atomic_thread_fence(memory_order_acquire);
    status = walk(queue, device, chain);
    if (status != FERRY_OK) {
        return status;
    }
    queue->avail_taken = virtqueue_packed_add(queue, queue->avail_taken, chain->slots);
    return 1;
}

/* Length and id of a completion, and unless it is the first also its flags. */
static int publish_one(const struct virtqueue *queue, struct ferry_device *device,
                       uint32_t i, uint16_t position, uint16_t *ret_flags)
{
    const uint32_t length = le32toh(queue->used[i].len);
    uint8_t bytes[8];

    *ret_flags = length != 0 ? VRING_DESC_F_WRITE : 0;
    if ((position & VIRTQUEUE_WRAP) != 0) {
        *ret_flags |= FLAG_AVAIL | FLAG_USED;
    }
    le_put32(bytes, length);
    le_put16(bytes + 4, (uint16_t)le32toh(queue->used[i].id));
    le_put16(bytes + 6, *ret_flags);
    return ferry_dma_write(device, desc_iova(queue, position) + DESC_LENGTH, bytes,
                           i == 0 ? 6 : 8);
}

/*
 * The driver takes completions in order, so that the first one's flags, written last,
 * show them all at once: some belong together.
 */
int virtqueue_packed_publish(struct virtqueue *queue, struct ferry_device *device)
{
    uint16_t position = queue->used_published;
    uint16_t first_flags = 0;
    uint8_t bytes[2];
    int status = FERRY_OK;

    for (uint32_t i = 0; i < queue->used_count && status == FERRY_OK; i++) {
        uint16_t flags = 0;

        status = publish_one(queue, device, i, position, &flags);
        first_flags = i == 0 ? flags : first_flags;
        position = virtqueue_packed_add(queue, position, queue->used_slots[i]);
    }
    if (status != FERRY_OK) {
        return status;
    }
    /* The driver that sees the flags must see length, id and the data as well. */
    atomic_thread_fence(memory_order_release);
    le_put16(bytes, first_flags);
    status = ferry_dma_write(device, desc_iova(queue, queue->used_published) + DESC_FLAGS,
                             bytes, 2);
    if (status == FERRY_OK) {
        queue->used_published = position;
    }
    return status;
}

int virtqueue_packed_wants_interrupt(const struct virtqueue *queue,
                                     struct ferry_device *device)
{
    uint8_t flags[2];
    const int status =
        ferry_dma_read(device, queue->avail_iova + EVENT_FLAGS, flags, sizeof(flags));

    /* DESC asks for an event index, which is not offered: then rather one too many. */
    return status == FERRY_OK ? le_get16(flags) != VRING_PACKED_EVENT_FLAG_DISABLE
                              : status;
}

int virtqueue_packed_set_quiet(const struct virtqueue *queue, struct ferry_device *device,
                               uint8_t quiet)
{
    uint8_t flags[2];

    le_put16(flags, quiet != 0 ? VRING_PACKED_EVENT_FLAG_DISABLE
                               : VRING_PACKED_EVENT_FLAG_ENABLE);
    return ferry_dma_write(device, queue->used_iova + EVENT_FLAGS, flags, sizeof(flags));
}
