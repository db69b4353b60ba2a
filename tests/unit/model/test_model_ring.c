/* SPDX-License-Identifier: BSD-3-Clause */
#include "test_model_ring.h"

#include <linux/virtio_config.h>
#include <linux/virtio_crypto.h>
#include <linux/virtio_pci.h>
#include <string.h>

#include "models/acc/acc_regs.h"

#define AVAIL_OFF 0x4000u
#define USED_OFF 0x5000u
#define WRAP 0x8000u
#define MARK_AVAIL (1u << VRING_PACKED_DESC_F_AVAIL)
#define MARK_USED (1u << VRING_PACKED_DESC_F_USED)
#define CONTROL_OFF 0x80000u /* buffers of control requests */

static void write_common(struct rig *rig, uint64_t off, uint64_t value, uint32_t width)
{
    assert_int_equal(rig_write(rig, ACC_BAR_VIRTIO, ACC_COMMON_OFF + off, &value, width),
                     FERRY_OK);
}

static void start_queue(struct ring *ring, struct rig *rig)
{
    write_common(rig, VIRTIO_PCI_COMMON_Q_SELECT, ring->queue, 2);
    write_common(rig, VIRTIO_PCI_COMMON_Q_SIZE, RING_SIZE, 2);
    write_common(rig, VIRTIO_PCI_COMMON_Q_MSIX, ring->queue, 2);
    write_common(rig, VIRTIO_PCI_COMMON_Q_DESCLO, RING_IOVA(ring->off), 8);
    write_common(rig, VIRTIO_PCI_COMMON_Q_AVAILLO, RING_IOVA(ring->off + AVAIL_OFF), 8);
    write_common(rig, VIRTIO_PCI_COMMON_Q_USEDLO, RING_IOVA(ring->off + USED_OFF), 8);
    write_common(rig, VIRTIO_PCI_COMMON_Q_ENABLE, 1, 2);
}

static void start(struct guest *guest, struct rig *rig, const struct rig_ram *ram,
                  uint32_t packed)
{
    const uint32_t ready = VIRTIO_CONFIG_S_ACKNOWLEDGE | VIRTIO_CONFIG_S_DRIVER;

    memset(guest, 0, sizeof(*guest));
    guest->ram = ram->bytes;
    memset(ram->bytes, 0, 0x80000);
    write_common(rig, VIRTIO_PCI_COMMON_STATUS, 0, 1);
    write_common(rig, VIRTIO_PCI_COMMON_STATUS, ready, 1);
    write_common(rig, VIRTIO_PCI_COMMON_GFSELECT, 0, 4);
    write_common(rig, VIRTIO_PCI_COMMON_GF, 1u << VIRTIO_RING_F_INDIRECT_DESC, 4);
    write_common(rig, VIRTIO_PCI_COMMON_GFSELECT, 1, 4);
    /* VERSION_1, ACCESS_PLATFORM, RING_PACKED */
    write_common(rig, VIRTIO_PCI_COMMON_GF, packed ? 7 : 3, 4);
    write_common(rig, VIRTIO_PCI_COMMON_STATUS, ready | VIRTIO_CONFIG_S_FEATURES_OK, 1);
    write_common(rig, VIRTIO_PCI_COMMON_MSIX, RING_VECTOR_CONFIG, 2);
    for (uint32_t i = 0; i < 2; i++) {
        guest->ring[i].ram = ram->bytes;
        guest->ring[i].queue = i;
        guest->ring[i].off = 0x10000u * i;
        guest->ring[i].packed = packed;
        guest->ring[i].avail = packed ? WRAP : 0;
        guest->ring[i].used = guest->ring[i].avail;
        start_queue(&guest->ring[i], rig);
    }
    write_common(rig, VIRTIO_PCI_COMMON_STATUS,
                 ready | VIRTIO_CONFIG_S_FEATURES_OK | VIRTIO_CONFIG_S_DRIVER_OK, 1);
}

void guest_start(struct guest *guest, struct rig *rig, const struct rig_ram *ram)
{
    start(guest, rig, ram, 0);
}

void guest_start_packed(struct guest *guest, struct rig *rig, const struct rig_ram *ram)
{
    start(guest, rig, ram, 1);
}

/* One place further on in a packed ring. */
static uint16_t step(uint16_t position)
{
    const uint16_t slot = (uint16_t)((position & ~WRAP) + 1);

    return slot == RING_SIZE ? (uint16_t)((position & WRAP) ^ WRAP)
                             : (uint16_t)(slot | (position & WRAP));
}

uint16_t ring_marks(const struct ring *ring)
{
    return (uint16_t)((ring->avail & WRAP) != 0 ? MARK_AVAIL : MARK_USED);
}

void ring_raw(struct ring *ring, uint16_t slot, uint64_t iova, uint32_t size, uint16_t id,
              uint16_t flags)
{
    const struct vring_packed_desc desc = {
        .addr = iova, .len = size, .id = id, .flags = flags
    };

    memcpy(ring->ram + ring->off + slot * sizeof(desc), &desc, sizeof(desc));
}

static void offer_packed(struct ring *ring, uint16_t head)
{
    uint16_t at = head, count = 0, flags;

    do {
        const struct vring_desc *desc = &ring->stage[at];

        flags = desc->flags;
        ring_raw(ring, ring->avail & (uint16_t)~WRAP, desc->addr, desc->len, head,
                 (uint16_t)(flags | ring_marks(ring)));
        ring->avail = step(ring->avail);
        at = desc->next;
        count++;
    } while ((flags & VRING_DESC_F_NEXT) != 0);
    ring->chain_slots[head] = count;
}

static int take_packed(struct ring *ring, struct vring_used_elem *ret_elem)
{
    struct vring_packed_desc desc;
    const uint16_t marks = (ring->used & WRAP) != 0 ? MARK_AVAIL | MARK_USED : 0;

    memcpy(&desc, ring->ram + ring->off + (ring->used & (uint16_t)~WRAP) * sizeof(desc),
           sizeof(desc));
    if ((desc.flags & (MARK_AVAIL | MARK_USED)) != marks) {
        return 0;
    }
    ret_elem->id = desc.id;
    ret_elem->len = desc.len;
    assert_true(desc.id < RING_SIZE && ring->chain_slots[desc.id] != 0);
    for (uint16_t i = 0; i < ring->chain_slots[desc.id]; i++) {
        ring->used = step(ring->used);
    }
    return 1;
}

void ring_desc(struct ring *ring, uint16_t index, uint64_t iova, uint32_t size,
               uint16_t flags, uint16_t next)
{
    const struct vring_desc desc = {
        .addr = iova, .len = size, .flags = flags, .next = next
    };

    if (ring->packed) {
        ring->stage[index] = desc;
        return;
    }
    memcpy(ring->ram + ring->off + index * sizeof(desc), &desc, sizeof(desc));
}

void ring_offer(struct ring *ring, uint16_t head)
{
    uint8_t *avail = ring->ram + ring->off + AVAIL_OFF;

    if (ring->packed) {
        offer_packed(ring, head);
        return;
    }
    memcpy(avail + 4 + 2 * (ring->avail % RING_SIZE), &head, 2);
    ring->avail++;
    memcpy(avail + 2, &ring->avail, 2);
}

void ring_notify(const struct ring *ring, struct rig *rig)
{
    const uint16_t queue = (uint16_t)ring->queue;

    assert_int_equal(rig_write(rig, ACC_BAR_VIRTIO,
                               ACC_NOTIFY_OFF + ring->queue * ACC_NOTIFY_STEP, &queue, 2),
                     FERRY_OK);
}

int ring_take(struct ring *ring, struct vring_used_elem *ret_elem)
{
    const uint8_t *used = ring->ram + ring->off + USED_OFF;
    uint16_t index;

    if (ring->packed) {
        return take_packed(ring, ret_elem);
    }
    memcpy(&index, used + 2, 2);
    if (index == ring->used) {
        return 0;
    }
    memcpy(ret_elem, used + 4 + sizeof(*ret_elem) * (ring->used % RING_SIZE),
           sizeof(*ret_elem));
    ring->used++;
    return 1;
}

/* Sends what lies at CONTROL_OFF and waits; the answer comes behind it. */
static uint8_t *control(struct guest *guest, struct rig *rig, uint32_t out_bytes,
                        uint32_t in_bytes)
{
    struct ring *ring = &guest->ring[RING_CONTROL];
    struct vring_used_elem elem;

    ring_desc(ring, 0, RING_IOVA(CONTROL_OFF), out_bytes, VRING_DESC_F_NEXT, 1);
    ring_desc(ring, 1, RING_IOVA(CONTROL_OFF + 0x1000), in_bytes, VRING_DESC_F_WRITE, 0);
    ring_offer(ring, 0);
    ring_notify(ring, rig);
    rig_work(rig);
    assert_int_equal(ring_take(ring, &elem), 1);
    assert_int_equal(elem.len, in_bytes);
    return guest->ram + CONTROL_OFF + 0x1000;
}

uint32_t guest_session(struct guest *guest, struct rig *rig, uint32_t op,
                       const uint8_t *key, uint32_t key_bytes, uint64_t *ret_id)
{
    struct virtio_crypto_op_ctrl_req request = {
        .header = { .opcode = VIRTIO_CRYPTO_CIPHER_CREATE_SESSION,
                    .algo = VIRTIO_CRYPTO_CIPHER_AES_CBC },
        .u.sym_create_session = {
            .op_type = VIRTIO_CRYPTO_SYM_OP_CIPHER,
            .u.cipher.para = { .algo = VIRTIO_CRYPTO_CIPHER_AES_CBC, .keylen = key_bytes,
                               .op = op },
        },
    };
    struct virtio_crypto_session_input input;

    memcpy(guest->ram + CONTROL_OFF, &request, sizeof(request));
    memcpy(guest->ram + CONTROL_OFF + sizeof(request), key, key_bytes);
    memcpy(&input,
           control(guest, rig, (uint32_t)sizeof(request) + key_bytes, sizeof(input)),
           sizeof(input));
    *ret_id = input.session_id;
    return input.status;
}

uint32_t guest_session_end(struct guest *guest, struct rig *rig, uint64_t id)
{
    const struct virtio_crypto_op_ctrl_req request = {
        .header = { .opcode = VIRTIO_CRYPTO_CIPHER_DESTROY_SESSION },
        .u.destroy_session = { .session_id = id },
    };

    memcpy(guest->ram + CONTROL_OFF, &request, sizeof(request));
    return *control(guest, rig, sizeof(request), 1);
}

uint16_t guest_cipher(struct guest *guest, uint32_t slot, uint64_t session,
                      uint32_t opcode, const uint8_t *iv, uint32_t bytes)
{
    struct ring *ring = &guest->ring[RING_DATA];
    const struct virtio_crypto_op_data_req request = {
        .header = { .opcode = opcode, .algo = VIRTIO_CRYPTO_CIPHER_AES_CBC,
                    .session_id = session },
        .u.sym_req = {
            .op_type = VIRTIO_CRYPTO_SYM_OP_CIPHER,
            .u.cipher.para = { .iv_len = 16, .src_data_len = bytes, .dst_data_len = bytes },
        },
    };
    const uint32_t off = GUEST_SLOT(slot);
    const uint16_t head = (uint16_t)(slot * 4);

    memcpy(guest->ram + off, &request, sizeof(request));
    memcpy(guest->ram + off + sizeof(request), iv, 16);
    guest->ram[off + 0x800] = 0xee;
    ring_desc(ring, head, RING_IOVA(off), sizeof(request) + 16, VRING_DESC_F_NEXT,
              (uint16_t)(head + 1));
    ring_desc(ring, (uint16_t)(head + 1), RING_IOVA(GUEST_SOURCE(slot)), bytes,
              VRING_DESC_F_NEXT, (uint16_t)(head + 2));
    ring_desc(ring, (uint16_t)(head + 2), RING_IOVA(GUEST_TARGET(slot)), bytes,
              VRING_DESC_F_NEXT | VRING_DESC_F_WRITE, (uint16_t)(head + 3));
    ring_desc(ring, (uint16_t)(head + 3), RING_IOVA(off + 0x800), 1, VRING_DESC_F_WRITE,
              0);
    ring_offer(ring, head);
    return head;
}

uint8_t guest_status(const struct guest *guest, uint32_t slot)
{
    return guest->ram[GUEST_SLOT(slot) + 0x800];
}
