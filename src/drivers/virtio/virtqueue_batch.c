/* SPDX-License-Identifier: BSD-3-Clause */
#include "drivers/virtio/virtqueue_batch.h"

#include <assert.h>
#include <linux/virtio_ring.h>

#include "drivers/virtio/virtqueue_packed.h"

static struct vring_avail *avail_ring(const struct guest_ram *ram,
                                      const struct virtqueue *queue)
{
    return guest_at(ram, queue->avail_iova,
                    sizeof(struct vring_avail) + 2u * queue->size);
}

static struct vring_used *used_ring(const struct guest_ram *ram,
                                    const struct virtqueue *queue)
{
    return guest_at(ram, queue->used_iova,
                    sizeof(struct vring_used) +
                        (uint64_t)queue->size * sizeof(struct vring_used_elem));
}

static void split_put(const struct guest_ram *ram, struct virtqueue *queue,
                      const struct virtqueue_buffer *buffer, uint16_t count)
{
    const uint64_t bytes = (uint64_t)queue->size * sizeof(struct vring_desc);
    struct vring_desc *desc = guest_at(ram, queue->desc_iova, bytes);
    struct vring_avail *avail = avail_ring(ram, queue);

    for (uint16_t i = 0; i < count; i++) {
        assert(buffer[i].head < queue->size);
        desc[buffer[i].head] = (struct vring_desc){
            .addr = buffer[i].iova,
            .len = buffer[i].bytes,
            .flags = buffer[i].device_writes ? VRING_DESC_F_WRITE : 0,
        };
        avail->ring[queue->avail_next++ % queue->size] = buffer[i].head;
    }
    /* One report for all: rings are small, and a page is reported whole anyway. */
    guest_wrote(ram, desc, bytes);
    guest_wrote(ram, avail, sizeof(*avail) + 2u * queue->size);
    __atomic_store_n(&avail->idx, queue->avail_next, __ATOMIC_RELEASE);
    guest_wrote(ram, &avail->idx, sizeof(avail->idx));
}

static void packed_put(const struct guest_ram *ram, struct virtqueue *queue,
                       const struct virtqueue_buffer *buffer, uint16_t count)
{
    const uint64_t bytes = (uint64_t)queue->size * sizeof(struct vring_packed_desc);
    struct vring_packed_desc *ring = guest_at(ram, queue->desc_iova, bytes);
    uint16_t position = queue->avail_next, first_flags = 0;
    struct vring_packed_desc *first =
        &ring[(position & (VIRTQUEUE_WRAP - 1)) % queue->size];

    queue->chain = 1;
    for (uint16_t i = 0; i < count; i++) {
        uint16_t slot = (position & (VIRTQUEUE_WRAP - 1)) % queue->size;
        uint16_t flags = (position & VIRTQUEUE_WRAP) != 0
                             ? 1u << VRING_PACKED_DESC_F_AVAIL
                             : 1u << VRING_PACKED_DESC_F_USED;

        assert(buffer[i].head < queue->size);
        flags |= buffer[i].device_writes ? VRING_DESC_F_WRITE : 0;
        ring[slot].addr = buffer[i].iova;
        ring[slot].len = buffer[i].bytes;
        ring[slot].id = buffer[i].head;
        if (i == 0) {
            first_flags = flags;
        } else {
            ring[slot].flags = flags;
        }
        position = slot + 1u < queue->size ? position + 1u
                                           : (position & VIRTQUEUE_WRAP) ^ VIRTQUEUE_WRAP;
    }
    guest_wrote(ram, ring, bytes);
    queue->avail_next = position;
    /* The device may look at the ring at any time: the first one's flags come last. */
    __atomic_store_n(&first->flags, first_flags, __ATOMIC_RELEASE);
    guest_wrote(ram, first, sizeof(*first));
}

void virtqueue_put_batch(const struct guest_ram *ram, struct virtqueue *queue,
                         const struct virtqueue_buffer *buffer, uint16_t count)
{
    assert(count <= queue->size);
    if (count == 0) {
        return;
    }
    if (queue->packed != 0) {
        packed_put(ram, queue, buffer, count);
    } else {
        split_put(ram, queue, buffer, count);
    }
    guest_wrote(ram, queue, sizeof(*queue));
}

static int split_take(const struct guest_ram *ram, struct virtqueue *queue,
                      struct virtqueue_done *ret_done, uint16_t most)
{
    const struct vring_used *used = used_ring(ram, queue);
    uint16_t there =
        (uint16_t)(__atomic_load_n(&used->idx, __ATOMIC_ACQUIRE) - queue->used_next);

    if (there > queue->size) {
        return FERRY_E_PROTOCOL;
    }
    there = there < most ? there : most;
    for (uint16_t i = 0; i < there; i++) {
        const struct vring_used_elem *elem = &used->ring[queue->used_next % queue->size];

        if (elem->id >= queue->size) {
            return FERRY_E_PROTOCOL;
        }
        ret_done[i] =
            (struct virtqueue_done){ .head = (uint16_t)elem->id, .bytes = elem->len };
        queue->used_next++;
    }
    return there;
}

static int packed_take(const struct guest_ram *ram, struct virtqueue *queue,
                       struct virtqueue_done *ret_done, uint16_t most)
{
    const uint64_t bytes = (uint64_t)queue->size * sizeof(struct vring_packed_desc);
    const struct vring_packed_desc *ring = guest_at(ram, queue->desc_iova, bytes);
    uint16_t count = 0;

    while (count < most && queue->used_next != queue->avail_next) {
        const uint16_t wrap = queue->used_next & VIRTQUEUE_WRAP;
        const uint16_t slot = (queue->used_next & (VIRTQUEUE_WRAP - 1)) % queue->size;
        const uint16_t both =
            1u << VRING_PACKED_DESC_F_AVAIL | 1u << VRING_PACKED_DESC_F_USED;
        const uint16_t flags = __atomic_load_n(&ring[slot].flags, __ATOMIC_ACQUIRE);

        if ((flags & both) != (wrap != 0 ? both : 0)) {
            break;
        }
        if (ring[slot].id >= queue->size) {
            return FERRY_E_PROTOCOL;
        }
        ret_done[count++] = (struct virtqueue_done){
            .head = ring[slot].id,
            .bytes = (flags & VRING_DESC_F_WRITE) != 0 ? ring[slot].len : 0,
        };
        queue->used_next =
            slot + 1u < queue->size ? queue->used_next + 1u : wrap ^ VIRTQUEUE_WRAP;
    }
    return count;
}

int virtqueue_take_batch(const struct guest_ram *ram, struct virtqueue *queue,
                         struct virtqueue_done *ret_done, uint16_t most)
{
    int taken = queue->packed != 0 ? packed_take(ram, queue, ret_done, most)
                                   : split_take(ram, queue, ret_done, most);

    if (taken != 0) {
        guest_wrote(ram, queue, sizeof(*queue));
    }
    return taken;
}

int virtqueue_wants_doorbell(const struct guest_ram *ram, const struct virtqueue *queue)
{
    /* What was made available has to be seen before the device says that it rests. */
    __atomic_thread_fence(__ATOMIC_SEQ_CST);
    if (queue->packed != 0) {
        const struct vring_packed_desc_event *event =
            guest_at(ram, queue->used_iova, sizeof(*event));

        return __atomic_load_n(&event->flags, __ATOMIC_RELAXED) !=
               VRING_PACKED_EVENT_FLAG_DISABLE;
    }
    return (__atomic_load_n(&used_ring(ram, queue)->flags, __ATOMIC_RELAXED) &
            VRING_USED_F_NO_NOTIFY) == 0;
}

void virtqueue_want_interrupts(const struct guest_ram *ram, const struct virtqueue *queue,
                               int wanted)
{
    if (queue->packed != 0) {
        struct vring_packed_desc_event *event =
            guest_at(ram, queue->avail_iova, sizeof(*event));

        __atomic_store_n(&event->flags,
                         wanted ? VRING_PACKED_EVENT_FLAG_ENABLE
                                : VRING_PACKED_EVENT_FLAG_DISABLE,
                         __ATOMIC_SEQ_CST);
        guest_wrote(ram, event, sizeof(*event));
    } else {
        struct vring_avail *avail = avail_ring(ram, queue);

        __atomic_store_n(&avail->flags, wanted ? 0 : VRING_AVAIL_F_NO_INTERRUPT,
                         __ATOMIC_SEQ_CST);
        guest_wrote(ram, &avail->flags, sizeof(avail->flags));
    }
}
