/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef FERRY_TEST_MODEL_RING_H
#define FERRY_TEST_MODEL_RING_H

#include <linux/virtio_ring.h>

#include "test_model_rig.h"

/*
 * A guest's virtio-crypto driver, as small as it can be: it lives in guest memory alone,
 * so it goes on when the device under it was moved to another rig.
 */
#define RING_SIZE 64u
#define RING_DATA 0u /* queue numbers of a device with one data queue */
#define RING_CONTROL 1u
#define RING_VECTOR_CONFIG 2u

struct ring {
    uint8_t *ram; /* guest memory */
    uint32_t queue;
    uint32_t off; /* of the ring in guest memory */
    uint16_t next_desc;
    uint16_t avail;
    uint16_t used;
    /* Packed: avail and used are positions, the wrap counter in bit 15; descriptors are
     * kept here until their chain is offered, whose id is its head. */
    uint32_t packed;
    struct vring_desc stage[RING_SIZE];
    uint16_t chain_slots[RING_SIZE];
};

struct guest {
    uint8_t *ram;
    struct ring ring[2]; /* data, control */
};

/* A place in guest memory as the device sees it. */
#define RING_IOVA(off) (RIG_RAM_IOVA + (uint64_t)(off))

/* Brings the device up: features, both queues, vectors 0, 1 and config 2, DRIVER_OK. */
void guest_start(struct guest *guest, struct rig *rig, const struct rig_ram *ram);
/* The same with packed rings. */
void guest_start_packed(struct guest *guest, struct rig *rig, const struct rig_ram *ram);

/* Puts a descriptor into the table. */
void ring_desc(struct ring *ring, uint16_t index, uint64_t iova, uint32_t size,
               uint16_t flags, uint16_t next);
/* Packed: writes a descriptor to a place in the ring as it is. */
void ring_raw(struct ring *ring, uint16_t slot, uint64_t iova, uint32_t size, uint16_t id,
              uint16_t flags);
/* Packed: AVAIL and USED of a descriptor that is available at the next position. */
uint16_t ring_marks(const struct ring *ring);
/* Makes a chain available. */
void ring_offer(struct ring *ring, uint16_t head);
void ring_notify(const struct ring *ring, struct rig *rig);
/* Takes the next used entry. Return: 1 and the entry, 0. */
int ring_take(struct ring *ring, struct vring_used_elem *ret_elem);

/* Creates a session. Return: VIRTIO_CRYPTO_* status. */
uint32_t guest_session(struct guest *guest, struct rig *rig, uint32_t op,
                       const uint8_t *key, uint32_t key_bytes, uint64_t *ret_id);
/* Destroys one. Return: VIRTIO_CRYPTO_* status. */
uint32_t guest_session_end(struct guest *guest, struct rig *rig, uint64_t id);

/*
 * Queues a cipher request in `slot` (0 to 15), which owns 64 KiB of guest memory: the
 * source is at GUEST_SOURCE(slot), the result comes to GUEST_TARGET(slot). Not notified.
 * Return: the head.
 */
#define GUEST_SLOT(slot) (0x100000u + (slot)*0x20000u)
#define GUEST_SOURCE(slot) (GUEST_SLOT(slot) + 0x1000u)
#define GUEST_TARGET(slot) (GUEST_SLOT(slot) + 0x11000u)
uint16_t guest_cipher(struct guest *guest, uint32_t slot, uint64_t session,
                      uint32_t opcode, const uint8_t *iv, uint32_t bytes);
/* The status byte of the last request in that slot. */
uint8_t guest_status(const struct guest *guest, uint32_t slot);

#endif
