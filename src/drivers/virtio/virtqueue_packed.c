/* SPDX-License-Identifier: BSD-3-Clause */
#include "drivers/virtio/virtqueue_packed.h"

#include <assert.h>
#include <linux/virtio_ring.h>

#define FLAG_AVAIL (1u << VRING_PACKED_DESC_F_AVAIL)
#define FLAG_USED (1u << VRING_PACKED_DESC_F_USED)

static uint16_t slot_of(const struct virtqueue *queue, uint16_t position)
{
    /* The queue lies in guest memory: whatever it says, the ring is not left. */
    return (uint16_t)((position & (VIRTQUEUE_WRAP - 1)) % queue->size);
}

static uint16_t advance(const struct virtqueue *queue, uint16_t position, uint16_t count)
{
    const uint32_t slot = (uint32_t)slot_of(queue, position) + count;
    const uint16_t wrap = position & VIRTQUEUE_WRAP;

    return slot < queue->size
               ? (uint16_t)(slot | wrap)
               : (uint16_t)((slot - queue->size) | (wrap ^ VIRTQUEUE_WRAP));
}

static struct vring_packed_desc *ring_of(const struct guest_ram *ram,
                                         const struct virtqueue *queue)
{
    return guest_at(ram, queue->desc_iova,
                    (uint64_t)queue->size * sizeof(struct vring_packed_desc));
}

int virtqueue_packed_check(const struct virtqueue *queue)
{
    return (queue->avail_next & (VIRTQUEUE_WRAP - 1)) < queue->size &&
           (queue->used_next & (VIRTQUEUE_WRAP - 1)) < queue->size &&
           queue->chain <= queue->size;
}

void virtqueue_packed_put(const struct guest_ram *ram, struct virtqueue *queue,
                          uint16_t head, const struct virtqueue_piece *piece,
                          uint16_t count)
{
    struct vring_packed_desc *ring = ring_of(ram, queue);
    struct vring_packed_desc *first = &ring[slot_of(queue, queue->avail_next)];
    uint16_t position = queue->avail_next, first_flags = 0;

    assert(count > 0 && head + count <= queue->size);
    queue->chain = count;
    for (uint16_t i = 0; i < count; i++) {
        struct vring_packed_desc *desc = &ring[slot_of(queue, position)];
        uint16_t flags = piece[i].device_writes ? VRING_DESC_F_WRITE : 0;

        flags |= i + 1 < count ? VRING_DESC_F_NEXT : 0;
        flags |= (position & VIRTQUEUE_WRAP) != 0 ? FLAG_AVAIL : FLAG_USED;
        desc->addr = piece[i].iova;
        desc->len = piece[i].bytes;
        desc->id = head;
        if (i == 0) {
            first_flags = flags;
        } else {
            desc->flags = flags;
        }
        guest_wrote(ram, desc, sizeof(*desc));
        position = advance(queue, position, 1);
    }
    queue->avail_next = position;
    guest_wrote(ram, queue, sizeof(*queue));
    /* The device may look at the ring at any time: the first one's flags come last. */
    __atomic_store_n(&first->flags, first_flags, __ATOMIC_RELEASE);
    guest_wrote(ram, first, sizeof(*first));
}

/* Has the device given the descriptor at this position back? */
static int is_used(const struct vring_packed_desc *ring, const struct virtqueue *queue,
                   uint16_t position)
{
    const uint16_t flags =
        __atomic_load_n(&ring[slot_of(queue, position)].flags, __ATOMIC_ACQUIRE);
    const uint16_t both = (position & VIRTQUEUE_WRAP) != 0 ? FLAG_AVAIL | FLAG_USED : 0;

    return (flags & (FLAG_AVAIL | FLAG_USED)) == both;
}

uint16_t virtqueue_packed_ready(const struct guest_ram *ram,
                                const struct virtqueue *queue)
{
    const struct vring_packed_desc *ring = ring_of(ram, queue);
    uint16_t position = queue->used_next, count = 0;

    while (queue->chain > 0 && count < queue->size / queue->chain &&
           position != queue->avail_next && is_used(ring, queue, position)) {
        position = advance(queue, position, queue->chain);
        count++;
    }
    return count;
}

int virtqueue_packed_take(const struct guest_ram *ram, struct virtqueue *queue,
                          uint16_t *ret_head, uint32_t *ret_bytes)
{
    const struct vring_packed_desc *ring = ring_of(ram, queue);
    const struct vring_packed_desc *desc = &ring[slot_of(queue, queue->used_next)];
    uint16_t id;

    if (virtqueue_packed_ready(ram, queue) == 0) {
        return 0;
    }
    id = desc->id;
    *ret_bytes = (desc->flags & VRING_DESC_F_WRITE) != 0 ? desc->len : 0;
    queue->used_next = advance(queue, queue->used_next, queue->chain);
    guest_wrote(ram, queue, sizeof(*queue));
    if (id >= queue->size) {
        return FERRY_E_PROTOCOL;
    }
    *ret_head = id;
    return 1;
}
