/* SPDX-License-Identifier: BSD-3-Clause */
#include <assert.h>
#include <string.h>

#include "drivers/nic_driver.h"
#include "drivers/virtio/virtio_pci.h"

#define BATCH 64u
#define HEADER NIC_DRIVER_HEADER_BYTES

static int lent(const struct nic_driver_queue *queue, uint32_t buffer)
{
    return (queue->lent[buffer / 64] >> (buffer % 64) & 1) != 0;
}

static void flip(struct nic_driver_queue *queue, uint32_t buffer)
{
    queue->lent[buffer / 64] ^= 1ull << (buffer % 64);
}

static uint64_t buffer_iova(const struct nic_driver *nic,
                            const struct nic_driver_queue *queue, uint32_t buffer)
{
    return queue->buffer_iova + (uint64_t)buffer * nic->buffer_bytes;
}

static uint16_t spare_at(const struct nic_driver_pair *pair, uint32_t i)
{
    /* A power of two; the pair lies in guest memory: the array is never left. */
    return pair
        ->spare[(pair->spare_first + i) & (uint32_t)(pair->transmit.ring.size - 1)];
}

uint32_t nic_driver_free(const struct nic_driver *nic, uint32_t pair)
{
    return nic->pair[pair].spare_count;
}

uint8_t *nic_driver_fill(const struct guest_ram *ram, const struct nic_driver *nic,
                         uint32_t pair, uint32_t i)
{
    const struct nic_driver_pair *mine = &nic->pair[pair];

    assert(i < mine->spare_count);
    return guest_at(ram, buffer_iova(nic, &mine->transmit, spare_at(mine, i)),
                    nic->buffer_bytes);
}

void nic_driver_send(const struct guest_ram *ram, struct nic_driver *nic, uint32_t pair,
                     const uint32_t *frame_bytes, uint32_t count)
{
    struct nic_driver_pair *mine = &nic->pair[pair];
    struct nic_driver_queue *queue = &mine->transmit;
    struct virtqueue_buffer batch[BATCH];
    uint16_t in_batch = 0;

    assert(count <= mine->spare_count);
    for (uint32_t i = 0; i < count; i++) {
        const uint16_t buffer = spare_at(mine, i);
        const uint64_t iova = buffer_iova(nic, queue, buffer);

        assert(frame_bytes[i] <= nic->buffer_bytes - HEADER);
        if (ram->context != NULL) {
            const uint64_t bytes = HEADER + frame_bytes[i];

            guest_wrote(ram, guest_at(ram, iova, bytes), bytes);
        }
        batch[in_batch++] = (struct virtqueue_buffer){
            .iova = iova,
            .bytes = (uint32_t)HEADER + frame_bytes[i],
            .head = buffer,
        };
        flip(queue, buffer);
        queue->bytes += frame_bytes[i];
        if (in_batch == BATCH || i + 1 == count) {
            virtqueue_put_batch(ram, &queue->ring, batch, in_batch);
            in_batch = 0;
        }
    }
    queue->frames += count;
    mine->spare_first =
        (uint16_t)((mine->spare_first + count) & (uint32_t)(queue->ring.size - 1));
    mine->spare_count = (uint16_t)(mine->spare_count - count);
    guest_wrote(ram, mine, sizeof(*mine));
}

int nic_driver_reclaim(const struct guest_ram *ram, struct nic_driver *nic, uint32_t pair)
{
    struct nic_driver_pair *mine = &nic->pair[pair];
    struct nic_driver_queue *queue = &mine->transmit;
    struct virtqueue_done done[BATCH];
    int all = 0, taken;

    do {
        taken = virtqueue_take_batch(ram, &queue->ring, done, BATCH);
        for (int i = 0; i < taken; i++) {
            if (!lent(queue, done[i].head)) {
                return FERRY_E_PROTOCOL;
            }
            flip(queue, done[i].head);
            mine->spare[(mine->spare_first + mine->spare_count) &
                        (uint32_t)(queue->ring.size - 1)] = done[i].head;
            mine->spare_count++;
        }
        all += taken > 0 ? taken : 0;
    } while (taken == (int)BATCH);
    if (all > 0) {
        guest_wrote(ram, mine, sizeof(*mine));
    }
    return taken < 0 ? taken : all;
}

/* One buffer that came back. Return: FERRY_OK, FERRY_E_PROTOCOL. */
static int take_in(const struct guest_ram *ram, const struct nic_driver *nic,
                   struct nic_driver_pair *mine, const struct virtqueue_done *done,
                   struct nic_received *ret_received)
{
    struct nic_driver_queue *queue = &mine->receive;
    const uint8_t *start =
        guest_at(ram, buffer_iova(nic, queue, done->head), nic->buffer_bytes);
    const struct virtio_net_hdr_v1 *header = (const void *)start;
    const int first = mine->rest == 0;

    if (!lent(queue, done->head) || done->bytes > nic->buffer_bytes ||
        (first && (done->bytes < HEADER || header->num_buffers > queue->ring.size))) {
        return FERRY_E_PROTOCOL;
    }
    flip(queue, done->head);
    if (first) {
        /* Without mergeable buffers the field need not be set. */
        mine->rest = header->num_buffers > 0 ? (uint16_t)(header->num_buffers - 1) : 0;
        queue->frames++;
    } else {
        mine->rest--;
    }
    *ret_received = (struct nic_received){
        .header = first ? header : NULL,
        .data = first ? start + HEADER : start,
        .bytes = first ? done->bytes - (uint32_t)HEADER : done->bytes,
        .buffer = done->head,
        .rest = mine->rest,
    };
    queue->bytes += ret_received->bytes;
    return FERRY_OK;
}

int nic_driver_receive(const struct guest_ram *ram, struct nic_driver *nic, uint32_t pair,
                       struct nic_received *ret_received, uint32_t most)
{
    struct nic_driver_pair *mine = &nic->pair[pair];
    struct virtqueue_done done[BATCH];
    int taken = virtqueue_take_batch(ram, &mine->receive.ring, done,
                                     (uint16_t)(most < BATCH ? most : BATCH));

    for (int i = 0; i < taken; i++) {
        const int status = take_in(ram, nic, mine, &done[i], &ret_received[i]);

        if (status < 0) {
            return status;
        }
    }
    if (taken > 0) {
        guest_wrote(ram, mine, sizeof(*mine));
    }
    return taken;
}

void nic_driver_give_back(const struct guest_ram *ram, struct nic_driver *nic,
                          uint32_t pair, const struct nic_received *received,
                          uint32_t count)
{
    struct nic_driver_queue *queue = &nic->pair[pair].receive;
    struct virtqueue_buffer batch[BATCH];
    uint16_t in_batch = 0;

    for (uint32_t i = 0; i < count; i++) {
        assert(received[i].buffer < queue->ring.size && !lent(queue, received[i].buffer));
        flip(queue, received[i].buffer);
        batch[in_batch++] = (struct virtqueue_buffer){
            .iova = buffer_iova(nic, queue, received[i].buffer),
            .bytes = nic->buffer_bytes,
            .head = received[i].buffer,
            .device_writes = 1,
        };
        if (in_batch == BATCH || i + 1 == count) {
            virtqueue_put_batch(ram, &queue->ring, batch, in_batch);
            in_batch = 0;
        }
    }
    guest_wrote(ram, &nic->pair[pair], sizeof(nic->pair[pair]));
}

int nic_driver_kick(const struct pci_function *pci, const struct guest_ram *ram,
                    const struct nic_driver_queue *queue)
{
    return virtqueue_wants_doorbell(ram, &queue->ring) ? virtqueue_ring(pci, &queue->ring)
                                                       : FERRY_OK;
}
