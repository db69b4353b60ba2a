/* SPDX-License-Identifier: BSD-3-Clause */
#include "drivers/virtio/virtqueue_packed.h"

#include <assert.h>
#include <linux/virtio_ring.h>
#include <string.h>

static uint64_t avail_off(uint16_t size)
{
    return (uint64_t)size * sizeof(struct vring_desc);
}

static uint64_t used_off(uint16_t size)
{
    uint64_t end = avail_off(size) + sizeof(struct vring_avail) + 2u * size + 2u;

    return (end + VRING_USED_ALIGN_SIZE - 1) / VRING_USED_ALIGN_SIZE *
           VRING_USED_ALIGN_SIZE;
}

static uint64_t used_bytes(uint16_t size)
{
    return sizeof(struct vring_used) + (uint64_t)size * sizeof(struct vring_used_elem) +
           2u;
}

uint64_t virtqueue_need(uint16_t size)
{
    uint64_t end = used_off(size) + used_bytes(size);

    return (end + FERRY_PAGE_BYTES - 1) / FERRY_PAGE_BYTES * FERRY_PAGE_BYTES;
}

void virtqueue_init(const struct guest_ram *ram, struct virtqueue *queue, uint16_t index,
                    uint16_t size, uint64_t iova, uint16_t packed)
{
    void *rings = guest_at(ram, iova, virtqueue_need(size));

    memset(queue, 0, sizeof(*queue));
    queue->index = index;
    queue->size = size;
    queue->packed = packed;
    queue->avail_next = packed != 0 ? VIRTQUEUE_WRAP : 0;
    queue->used_next = queue->avail_next;
    queue->desc_iova = iova;
    queue->avail_iova = iova + avail_off(size);
    queue->used_iova = iova + used_off(size);
    memset(rings, 0, virtqueue_need(size));
    guest_wrote(ram, rings, virtqueue_need(size));
    guest_wrote(ram, queue, sizeof(*queue));
}

int virtqueue_check(const struct virtqueue *queue, uint64_t iova)
{
    return queue->size > 0 && queue->desc_iova == iova &&
           queue->avail_iova == iova + avail_off(queue->size) &&
           queue->used_iova == iova + used_off(queue->size) &&
           (queue->packed == 0 || virtqueue_packed_check(queue));
}

static struct vring_avail *avail_ring(const struct guest_ram *ram,
                                      const struct virtqueue *queue)
{
    return guest_at(ram, queue->avail_iova,
                    sizeof(struct vring_avail) + 2u * queue->size);
}

static struct vring_used *used_ring(const struct guest_ram *ram,
                                    const struct virtqueue *queue)
{
    return guest_at(ram, queue->used_iova, used_bytes(queue->size));
}

static void split_put(const struct guest_ram *ram, struct virtqueue *queue, uint16_t head,
                      const struct virtqueue_piece *piece, uint16_t count)
{
    uint64_t bytes = (uint64_t)queue->size * sizeof(struct vring_desc);
    struct vring_desc *desc = guest_at(ram, queue->desc_iova, bytes);
    struct vring_avail *avail = avail_ring(ram, queue);
    uint16_t slot = (uint16_t)(queue->avail_next % queue->size);

    assert(count > 0 && head + count <= queue->size);
    for (uint16_t i = 0; i < count; i++) {
        uint16_t flags = piece[i].device_writes ? VRING_DESC_F_WRITE : 0;
        int last = i + 1 == count;

        desc[head + i].addr = piece[i].iova;
        desc[head + i].len = piece[i].bytes;
        desc[head + i].flags = (uint16_t)(flags | (last ? 0 : VRING_DESC_F_NEXT));
        desc[head + i].next = (uint16_t)(last ? 0 : head + i + 1);
    }
    guest_wrote(ram, &desc[head], count * sizeof(struct vring_desc));
    avail->ring[slot] = head;
    guest_wrote(ram, &avail->ring[slot], sizeof(avail->ring[slot]));
    queue->avail_next++;
    guest_wrote(ram, queue, sizeof(*queue));
    /* The device may look at the ring at any time: the index comes after the entry. */
    __atomic_store_n(&avail->idx, queue->avail_next, __ATOMIC_RELEASE);
    guest_wrote(ram, &avail->idx, sizeof(avail->idx));
}

void virtqueue_put(const struct guest_ram *ram, struct virtqueue *queue, uint16_t head,
                   const struct virtqueue_piece *piece, uint16_t count)
{
    if (queue->packed != 0) {
        virtqueue_packed_put(ram, queue, head, piece, count);
    } else {
        split_put(ram, queue, head, piece, count);
    }
}

static uint16_t split_ready(const struct guest_ram *ram, const struct virtqueue *queue)
{
    struct vring_used *used = used_ring(ram, queue);

    return (uint16_t)(__atomic_load_n(&used->idx, __ATOMIC_ACQUIRE) - queue->used_next);
}

uint16_t virtqueue_ready(const struct guest_ram *ram, const struct virtqueue *queue)
{
    return queue->packed != 0 ? virtqueue_packed_ready(ram, queue)
                              : split_ready(ram, queue);
}

int virtqueue_take(const struct guest_ram *ram, struct virtqueue *queue,
                   uint16_t *ret_head, uint32_t *ret_bytes)
{
    struct vring_used *used;
    const struct vring_used_elem *elem;

    if (queue->packed != 0) {
        return virtqueue_packed_take(ram, queue, ret_head, ret_bytes);
    }
    used = used_ring(ram, queue);
    if (split_ready(ram, queue) == 0) {
        return 0;
    }
    elem = &used->ring[queue->used_next % queue->size];
    queue->used_next++;
    guest_wrote(ram, queue, sizeof(*queue));
    if (elem->id >= queue->size) {
        return FERRY_E_PROTOCOL;
    }
    *ret_head = (uint16_t)elem->id;
    *ret_bytes = elem->len;
    return 1;
}
