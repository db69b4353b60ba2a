/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef FERRY_MODELS_VIRTIO_VIRTQUEUE_H
#define FERRY_MODELS_VIRTIO_VIRTQUEUE_H

#include <stdint.h>
#include <linux/virtio_ring.h>

#include "ferry/device.h"

/*
 * A virtqueue, split or packed, from the device's side. Everything in guest memory is
 * hostile and may
 * change at any time: each field is copied once and then judged. A queue that breaks the
 * rules is reported with a negative code, and the device asks for a reset.
 *
 * Thread: the device's.
 */
#define VIRTQUEUE_SIZE_MAX 1024u
#define VIRTQUEUE_CHAIN_MAX 1024u /* descriptors of one chain, indirect ones included */
#define VIRTQUEUE_BATCH 64u       /* ring entries that are read or written together */
#define VIRTQUEUE_WRAP 0x8000u    /* packed: the wrap counter in a position */

struct virtqueue_segment {
    uint64_t iova;
    uint64_t size; /* never 0 */
};

/* One request: the parts that the device reads, then those that it writes. */
struct virtqueue_chain {
    uint16_t head; /* split: its first descriptor; packed: the buffer's id */
    uint16_t
        slots; /* places that it takes in the ring: split 1, packed its descriptors */
    uint16_t pad[2];
    uint32_t out_count; /* segments that the device reads: segment[0] on */
    uint32_t in_count;  /* segments that it writes: segment[out_count] on */
    uint64_t out_bytes, in_bytes;
    struct virtqueue_segment segment[VIRTQUEUE_CHAIN_MAX];
    /* Copy of an indirect table, in the layout of its ring. */
    union {
        struct vring_desc split[VIRTQUEUE_CHAIN_MAX];
        struct vring_packed_desc packed[VIRTQUEUE_CHAIN_MAX];
    } table;
};

struct virtqueue {
    /* What the driver set up. */
    uint64_t desc_iova, avail_iova, used_iova;
    uint16_t size, size_max;
    uint16_t vector;
    uint16_t enabled;
    /*
     * Taken from the ring, published in it. Split: free-running indices; packed:
     * positions, with the wrap counter in bit 15.
     */
    uint16_t avail_taken, used_published;
    uint16_t avail_seen; /* available index as last read */
    uint16_t head_from;  /* head[0] is the entry of this available index */
    uint16_t head_count;
    uint16_t used_count; /* completions not yet published */
    uint8_t kicked;      /* there may be something to take */
    uint8_t quiet;       /* the used ring's flag asks the driver not to notify */
    uint8_t indirect;    /* indirect descriptors were negotiated */
    uint8_t packed;      /* the packed layout was negotiated; set by virtqueue_enable() */
    uint8_t interrupt;   /* an interrupt is due at the end of the slice */
    uint16_t last_slots; /* of the request that was taken last */
    uint32_t part_done;  /* the device's own: how far it came with the next request */
    uint16_t head[VIRTQUEUE_BATCH];
    struct vring_used_elem used[VIRTQUEUE_BATCH];
    uint16_t used_slots[VIRTQUEUE_BATCH];
};

/* Back to the state after power-on; size_max stays. */
void virtqueue_reset(struct virtqueue *queue);

/* 1 when a queue of the layout that `features` chose can have this size. */
int virtqueue_size_valid(const struct virtqueue *queue, uint64_t features, uint32_t size);

/*
 * Takes size, addresses and layout into use, with an empty ring.
 * features: that the driver chose.
 * Return: FERRY_OK; FERRY_E_ARGUMENT (size, addresses or alignment cannot be).
 */
int virtqueue_enable(struct virtqueue *queue, uint64_t features);

/*
 * The same for a queue whose positions avail_taken and used_published were set before:
 * it goes on where it was elsewhere. Reads no guest memory.
 * Return: FERRY_OK; FERRY_E_ARGUMENT (also: positions that cannot be).
 */
int virtqueue_import(struct virtqueue *queue, uint64_t features);

/*
 * Takes the next request. ret_chain: the caller's, filled when 1 is returned.
 * Return: 1; 0 (none); negative (the ring or the chain is malformed or not in memory).
 */
int virtqueue_pop(struct virtqueue *queue, struct ferry_device *device,
                  struct virtqueue_chain *ret_chain);

/* Puts the request that was taken last back: it failed before it was completed. */
void virtqueue_unpop(struct virtqueue *queue);

/* The same for the last `chains` ones, which take `slots` places together. */
void virtqueue_unpop_many(struct virtqueue *queue, uint32_t chains, uint32_t slots);

/*
 * Completes a request; written_bytes: what the device wrote to it, from its start on.
 * It becomes visible with virtqueue_flush() at the latest.
 * Return: FERRY_OK or negative (the used ring cannot be written).
 */
int virtqueue_push(struct virtqueue *queue, struct ferry_device *device,
                   const struct virtqueue_chain *chain, uint32_t written_bytes);

/* The same for a request of which only head and slots were kept. */
int virtqueue_push_buffer(struct virtqueue *queue, struct ferry_device *device,
                          uint16_t head, uint16_t slots, uint32_t written_bytes);

/* How many completions become visible together at most, from now on. */
uint32_t virtqueue_room(const struct virtqueue *queue);

/*
 * Publishes what was completed and sets queue->interrupt when the driver wants to hear of
 * it. Return: FERRY_OK or negative (a ring is not in memory).
 */
int virtqueue_flush(struct virtqueue *queue, struct ferry_device *device);

/*
 * Tells the driver whether it should notify: quiet 1 while the device looks at the ring
 * by itself. After quiet 0 the ring must be looked at once more. Return: FERRY_OK or
 * negative.
 */
int virtqueue_set_quiet(struct virtqueue *queue, struct ferry_device *device,
                        uint8_t quiet);

#endif
