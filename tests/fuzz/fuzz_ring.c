/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Fuzzes the virtqueue walkers, split and packed, with a driver that is hostile and
 * changes its memory while the device looks at it. Input: layout and size, three
 * addresses, when and where a byte changes, then guest memory.
 *
 * A chain that is taken is one that the device may work on; the device writes only into
 * the rings, in bounded work.
 */
#include <linux/virtio_config.h>
#include <string.h>

#include "base/reader.h"
#include "models/virtio/virtqueue.h"
#include "must.h"

#define RAM_BYTES 0x8000u
#define POPS_MAX 200u

static struct {
    uint8_t ram[RAM_BYTES];
    const struct virtqueue *queue;
    uint32_t accesses;          /* since the last pop */
    uint32_t change_at, change; /* this access changes the byte there */
    uint32_t total;
} guest;

static int inside(uint64_t iova, size_t size)
{
    must(++guest.accesses < 4 * VIRTQUEUE_CHAIN_MAX);
    if (++guest.total == guest.change_at) {
        guest.ram[guest.change % RAM_BYTES] ^= (uint8_t)(guest.change >> 16);
    }
    return iova <= RAM_BYTES && size <= RAM_BYTES - iova;
}

/* Stands for the SDK's. */
int ferry_dma_read(struct ferry_device *device, uint64_t iova, void *ret_data,
                   size_t size)
{
    (void)device;
    if (!inside(iova, size)) {
        return FERRY_E_RANGE;
    }
    memcpy(ret_data, guest.ram + iova, size);
    return FERRY_OK;
}

static int within(uint64_t iova, size_t size, uint64_t base, uint64_t bytes)
{
    return iova >= base && iova + size <= base + bytes;
}

int ferry_dma_write(struct ferry_device *device, uint64_t iova, const void *data,
                    size_t size)
{
    const struct virtqueue *queue = guest.queue;

    (void)device;
    /* Split: the used ring and the event behind it; packed: the ring, the suppression. */
    must(queue->packed ? within(iova, size, queue->desc_iova, 16u * queue->size) ||
                             within(iova, size, queue->used_iova, 4)
                       : within(iova, size, queue->used_iova, 6u + 8u * queue->size));
    if (!inside(iova, size)) {
        return FERRY_E_RANGE;
    }
    memcpy(guest.ram + iova, data, size);
    return FERRY_OK;
}

static void check(const struct virtqueue *queue, const struct virtqueue_chain *chain)
{
    uint64_t out = 0, in = 0;

    must(chain->out_count <= VIRTQUEUE_CHAIN_MAX);
    must(chain->in_count <= VIRTQUEUE_CHAIN_MAX - chain->out_count);
    for (uint32_t i = 0; i < chain->out_count + chain->in_count; i++) {
        const struct virtqueue_segment *segment = &chain->segment[i];

        must(segment->size > 0 && segment->iova <= UINT64_MAX - segment->size);
        *(i < chain->out_count ? &out : &in) += segment->size;
    }
    must(out == chain->out_bytes && in == chain->in_bytes);
    must(queue->packed || chain->head < queue->size);
    must(chain->slots >= 1 && chain->slots <= queue->size);
}

static void serve(struct virtqueue *queue)
{
    static struct virtqueue_chain chain;
    struct virtqueue before;

    for (uint32_t i = 0; i < POPS_MAX; i++) {
        int rc;

        guest.accesses = 0;
        rc = virtqueue_pop(queue, NULL, &chain);
        must(rc <= 1);
        if (rc != 1) {
            break;
        }
        check(queue, &chain);
        if (i % 5 == 4) {
            /* Put back and taken again it goes on as before. */
            before = *queue;
            virtqueue_unpop(queue);
            virtqueue_unpop(&before);
            must(queue->avail_taken == before.avail_taken);
            if (virtqueue_pop(queue, NULL, &chain) != 1) {
                break;
            }
        }
        if (virtqueue_push(queue, NULL, &chain, 1) != FERRY_OK) {
            break;
        }
    }
    guest.accesses = 0;
    if (virtqueue_flush(queue, NULL) == FERRY_OK) {
        must(queue->used_count == 0);
        (void)virtqueue_set_quiet(queue, NULL, 0);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct virtqueue queue = { .size_max = VIRTQUEUE_SIZE_MAX };
    struct ferry_reader reader;
    uint64_t features = 1ull << VIRTIO_F_VERSION_1;
    uint8_t choice;

    memset(&guest, 0, sizeof(guest));
    ferry_reader_init(&reader, data, size);
    virtqueue_reset(&queue);
    choice = ferry_reader_u8(&reader);
    features |= (uint64_t)(choice & 1) << VIRTIO_F_RING_PACKED;
    features |= (uint64_t)(choice >> 1 & 1) << VIRTIO_RING_F_INDIRECT_DESC;
    queue.size = ferry_reader_u8(&reader);
    queue.desc_iova = (uint64_t)ferry_reader_u16(&reader) << 4;
    queue.avail_iova = (uint64_t)ferry_reader_u16(&reader) << 2;
    queue.used_iova = (uint64_t)ferry_reader_u16(&reader) << 2;
    guest.change_at = ferry_reader_u8(&reader);
    guest.change = ferry_reader_u32(&reader);
    guest.queue = &queue;
    size = ferry_reader_remaining(&reader);
    ferry_reader_bytes(&reader, guest.ram, size < RAM_BYTES ? size : RAM_BYTES);
    if ((choice & 4) != 0) {
        queue.avail_taken = queue.used_published = choice >> 3;
        if (virtqueue_import(&queue, features) != FERRY_OK) {
            return 0;
        }
    } else if (virtqueue_enable(&queue, features) != FERRY_OK) {
        return 0;
    }
    must(queue.enabled && queue.size != 0);
    serve(&queue);
    return 0;
}
