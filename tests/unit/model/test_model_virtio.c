/* SPDX-License-Identifier: BSD-3-Clause */
#include "test_model_ring.h"

#include <linux/virtio_config.h>
#include <linux/virtio_crypto.h>
#include <linux/virtio_pci.h>
#include <string.h>

#include "models/acc/acc_regs.h"

#define TABLE_OFF 0x90000u /* an indirect table in guest memory */
#define BUFFER_OFF 0x98000u

struct world {
    struct rig_ram ram;
    struct rig rig;
    struct guest guest;
};

static struct world world;

static int set_up(void **state)
{
    rig_ram_open(&world.ram);
    rig_open(&world.rig, "acc", NULL, &world.ram);
    *state = &world;
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    rig_close(&world.rig);
    rig_ram_close(&world.ram);
    return 0;
}

static uint32_t common(uint64_t off, uint32_t width)
{
    uint32_t value = 0;

    assert_int_equal(rig_read(&world.rig, ACC_BAR_VIRTIO, off, &value, width), FERRY_OK);
    return value;
}

static void set_common(uint64_t off, uint32_t value, uint32_t width)
{
    assert_int_equal(rig_write(&world.rig, ACC_BAR_VIRTIO, off, &value, width), FERRY_OK);
}

static uint32_t status_now(void)
{
    return common(VIRTIO_PCI_COMMON_STATUS, 1);
}

static void capabilities_say_where_the_structures_are(void **state)
{
    uint32_t seen = 0;
    uint32_t cap = rig_read32(&world.rig, FERRY_REGION_CONFIG, 0x34) & 0xff;

    (void)state;
    assert_int_equal(rig_read32(&world.rig, FERRY_REGION_CONFIG, 0), 0x10541af4u);
    for (int hops = 0; cap != 0 && hops < 48; hops++) {
        struct virtio_pci_notify_cap bytes;

        assert_int_equal(
            rig_read(&world.rig, FERRY_REGION_CONFIG, cap, &bytes, sizeof(bytes)),
            FERRY_OK);
        cap = bytes.cap.cap_next;
        if (bytes.cap.cap_vndr != 9) {
            continue;
        }
        seen |= 1u << bytes.cap.cfg_type;
        if (bytes.cap.cfg_type == VIRTIO_PCI_CAP_PCI_CFG) {
            continue;
        }
        assert_int_equal(bytes.cap.bar, ACC_BAR_VIRTIO);
        if (bytes.cap.cfg_type == VIRTIO_PCI_CAP_NOTIFY_CFG) {
            assert_int_equal(bytes.cap.offset, ACC_NOTIFY_OFF);
            assert_int_equal(bytes.notify_off_multiplier, ACC_NOTIFY_STEP);
        } else if (bytes.cap.cfg_type == VIRTIO_PCI_CAP_COMMON_CFG) {
            assert_int_equal(bytes.cap.offset, ACC_COMMON_OFF);
            assert_true(bytes.cap.length >= sizeof(struct virtio_pci_common_cfg));
        } else if (bytes.cap.cfg_type == VIRTIO_PCI_CAP_DEVICE_CFG) {
            assert_int_equal(bytes.cap.offset, ACC_DEVICE_OFF);
            assert_int_equal(bytes.cap.length, sizeof(struct virtio_crypto_config));
        }
    }
    assert_int_equal(seen, 0x3e);
}

static void the_configuration_names_the_service_and_its_limits(void **state)
{
    struct virtio_crypto_config config;

    (void)state;
    assert_int_equal(
        rig_read(&world.rig, ACC_BAR_VIRTIO, ACC_DEVICE_OFF, &config, sizeof(config)),
        FERRY_OK);
    assert_int_equal(config.status, VIRTIO_CRYPTO_S_HW_READY);
    assert_int_equal(config.max_dataqueues, 1);
    assert_int_equal(config.crypto_services, 1u << VIRTIO_CRYPTO_SERVICE_CIPHER);
    assert_int_equal(config.cipher_algo_l, 1u << VIRTIO_CRYPTO_CIPHER_AES_CBC);
    assert_int_equal(config.max_size, ACC_REQUEST_MAX);
}

static void features_without_version_1_or_unknown_ones_are_not_ok(void **state)
{
    (void)state;
    set_common(VIRTIO_PCI_COMMON_DFSELECT, 1, 4);
    assert_int_equal(common(VIRTIO_PCI_COMMON_DF, 4), 1u << 8 | 3); /* 32, 33, 40 */
    set_common(VIRTIO_PCI_COMMON_STATUS, 3, 1);
    set_common(VIRTIO_PCI_COMMON_STATUS, 3 | VIRTIO_CONFIG_S_FEATURES_OK, 1);
    assert_int_equal(status_now(), 3);
    set_common(VIRTIO_PCI_COMMON_GFSELECT, 1, 4);
    set_common(VIRTIO_PCI_COMMON_GF, 1u | 1u << 2, 4); /* RING_PACKED is not offered */
    set_common(VIRTIO_PCI_COMMON_STATUS, 3 | VIRTIO_CONFIG_S_FEATURES_OK, 1);
    assert_int_equal(status_now(), 3);
    /* Nor does DRIVER_OK come without FEATURES_OK. */
    set_common(VIRTIO_PCI_COMMON_STATUS, 3 | VIRTIO_CONFIG_S_DRIVER_OK, 1);
    assert_int_equal(status_now(), 3);
    set_common(VIRTIO_PCI_COMMON_GF, 1u, 4);
    set_common(VIRTIO_PCI_COMMON_STATUS, 3 | VIRTIO_CONFIG_S_FEATURES_OK, 1);
    assert_int_equal(status_now(), 3 | VIRTIO_CONFIG_S_FEATURES_OK);
    /* From now on they are settled. */
    set_common(VIRTIO_PCI_COMMON_GF, 3u, 4);
    assert_int_equal(common(VIRTIO_PCI_COMMON_GF, 4), 1);
}

static void queues_that_make_no_sense_are_not_enabled(void **state)
{
    (void)state;
    assert_int_equal(common(VIRTIO_PCI_COMMON_NUMQ, 2), 2);
    set_common(VIRTIO_PCI_COMMON_Q_SELECT, 2, 2);
    assert_int_equal(common(VIRTIO_PCI_COMMON_Q_SIZE, 2), 0);
    set_common(VIRTIO_PCI_COMMON_Q_ENABLE, 1, 2);
    set_common(VIRTIO_PCI_COMMON_Q_SELECT, 0, 2);
    assert_int_equal(common(VIRTIO_PCI_COMMON_Q_SIZE, 2), ACC_DATA_QUEUE_SIZE);
    set_common(VIRTIO_PCI_COMMON_Q_SIZE, 48, 2);
    set_common(VIRTIO_PCI_COMMON_Q_SIZE, 2048, 2);
    set_common(VIRTIO_PCI_COMMON_Q_SIZE, 0, 2);
    assert_int_equal(common(VIRTIO_PCI_COMMON_Q_SIZE, 2), ACC_DATA_QUEUE_SIZE);
    set_common(VIRTIO_PCI_COMMON_Q_MSIX, 3, 2);
    assert_int_equal(common(VIRTIO_PCI_COMMON_Q_MSIX, 2), VIRTIO_MSI_NO_VECTOR);
    set_common(VIRTIO_PCI_COMMON_Q_MSIX, 2, 2);
    assert_int_equal(common(VIRTIO_PCI_COMMON_Q_MSIX, 2), 2);
    set_common(VIRTIO_PCI_COMMON_Q_DESCLO, 0x1008, 4);
    set_common(VIRTIO_PCI_COMMON_Q_ENABLE, 1, 2);
    assert_int_equal(common(VIRTIO_PCI_COMMON_Q_ENABLE, 2), 0);
    set_common(VIRTIO_PCI_COMMON_Q_DESCLO, 0x1000, 4);
    set_common(VIRTIO_PCI_COMMON_Q_USEDHI, 0xffffffffu, 4);
    set_common(VIRTIO_PCI_COMMON_Q_USEDLO, 0xfffffff0u, 4);
    set_common(VIRTIO_PCI_COMMON_Q_ENABLE, 1, 2);
    assert_int_equal(common(VIRTIO_PCI_COMMON_Q_ENABLE, 2), 0);
    set_common(VIRTIO_PCI_COMMON_Q_USEDHI, 0, 4);
    set_common(VIRTIO_PCI_COMMON_Q_ENABLE, 1, 2);
    assert_int_equal(common(VIRTIO_PCI_COMMON_Q_ENABLE, 2), 1);
    /* A live queue does not move. */
    set_common(VIRTIO_PCI_COMMON_Q_DESCLO, 0x2000, 4);
    assert_int_equal(common(VIRTIO_PCI_COMMON_Q_DESCLO, 4), 0x1000);
}

static void the_structures_can_be_reached_through_config_space(void **state)
{
    uint32_t cap = rig_read32(&world.rig, FERRY_REGION_CONFIG, 0x34) & 0xff;
    struct virtio_pci_cap bytes = { 0 };
    const uint8_t bar = ACC_BAR_VIRTIO;
    const uint8_t status = 1;

    (void)state;
    while (cap != 0) {
        assert_int_equal(
            rig_read(&world.rig, FERRY_REGION_CONFIG, cap, &bytes, sizeof(bytes)),
            FERRY_OK);
        if (bytes.cap_vndr == 9 && bytes.cfg_type == VIRTIO_PCI_CAP_PCI_CFG) {
            break;
        }
        cap = bytes.cap_next;
    }
    assert_true(cap != 0);
    assert_int_equal(rig_write(&world.rig, FERRY_REGION_CONFIG, cap + 4, &bar, 1),
                     FERRY_OK);
    rig_write32(&world.rig, FERRY_REGION_CONFIG, cap + 8, VIRTIO_PCI_COMMON_NUMQ);
    rig_write32(&world.rig, FERRY_REGION_CONFIG, cap + 12, 2);
    assert_int_equal(rig_read32(&world.rig, FERRY_REGION_CONFIG, cap + 16), 2);
    rig_write32(&world.rig, FERRY_REGION_CONFIG, cap + 8, VIRTIO_PCI_COMMON_STATUS);
    rig_write32(&world.rig, FERRY_REGION_CONFIG, cap + 12, 1);
    assert_int_equal(rig_write(&world.rig, FERRY_REGION_CONFIG, cap + 16, &status, 1),
                     FERRY_OK);
    assert_int_equal(status_now(), 1);
    /* A window that points outside reads zero and writes nowhere. */
    rig_write32(&world.rig, FERRY_REGION_CONFIG, cap + 8, 0xfffffffcu);
    rig_write32(&world.rig, FERRY_REGION_CONFIG, cap + 12, 4);
    assert_int_equal(rig_read32(&world.rig, FERRY_REGION_CONFIG, cap + 16), 0);
    rig_write32(&world.rig, FERRY_REGION_CONFIG, cap + 16, 0);
    assert_int_equal(status_now(), 1);
}

static void a_reset_by_status_forgets_queues_and_sessions(void **state)
{
    const uint8_t key[32] = { 1 };
    uint64_t id = 0;
    uint64_t again = 0;

    (void)state;
    guest_start(&world.guest, &world.rig, &world.ram);
    assert_int_equal(
        guest_session(&world.guest, &world.rig, VIRTIO_CRYPTO_OP_ENCRYPT, key, 32, &id),
        VIRTIO_CRYPTO_OK);
    set_common(VIRTIO_PCI_COMMON_STATUS, 0, 1);
    assert_int_equal(status_now(), 0);
    assert_int_equal(common(VIRTIO_PCI_COMMON_Q_ENABLE, 2), 0);
    guest_start(&world.guest, &world.rig, &world.ram);
    assert_int_equal(guest_session_end(&world.guest, &world.rig, id),
                     VIRTIO_CRYPTO_INVSESS);
    assert_int_equal(guest_session(&world.guest, &world.rig, VIRTIO_CRYPTO_OP_ENCRYPT,
                                   key, 32, &again),
                     VIRTIO_CRYPTO_OK);
}

static void the_variant_drivers_half_is_closed_to_the_guest(void **state)
{
    uint8_t bytes[8] = { 0 };

    (void)state;
    assert_int_equal(rig_read32(&world.rig, ACC_BAR_HW, ACC_REG_ID), ACC_ID);
    assert_int_equal(rig_read(&world.rig, ACC_BAR_HW, 0x8000, bytes, 4),
                     FERRY_E_PERMISSION);
    assert_int_equal(rig_read(&world.rig, ACC_BAR_HW, 0x80e0, bytes, 8),
                     FERRY_E_PERMISSION);
    assert_int_equal(rig_read(&world.rig, ACC_BAR_HW, 0x7ffc, bytes, 8),
                     FERRY_E_PERMISSION);
    assert_int_equal(rig_write(&world.rig, ACC_BAR_HW, 0x802c, bytes, 4),
                     FERRY_E_PERMISSION);
}

static void interrupts_are_left_out_when_the_driver_asks(void **state)
{
    struct ring *ring = &world.guest.ring[RING_DATA];
    const uint8_t iv[16] = { 0 };
    const uint16_t no_interrupt = VRING_AVAIL_F_NO_INTERRUPT;
    struct vring_used_elem elem;

    (void)state;
    guest_start(&world.guest, &world.rig, &world.ram);
    for (uint32_t slot = 0; slot < 3; slot++) {
        (void)guest_cipher(&world.guest, slot, 77, VIRTIO_CRYPTO_CIPHER_ENCRYPT, iv, 16);
    }
    ring_notify(ring, &world.rig);
    rig_work(&world.rig);
    assert_int_equal(rig_irqs(&world.rig, 0), 1); /* one for the slice */
    memcpy(world.ram.bytes + ring->off + 0x4000, &no_interrupt, 2);
    (void)guest_cipher(&world.guest, 3, 77, VIRTIO_CRYPTO_CIPHER_ENCRYPT, iv, 16);
    ring_notify(ring, &world.rig);
    rig_work(&world.rig);
    assert_int_equal(rig_irqs(&world.rig, 0), 0);
    for (uint32_t i = 0; i < 4; i++) {
        assert_int_equal(ring_take(ring, &elem), 1);
        assert_int_equal(elem.id, i * 4);
        assert_int_equal(guest_status(&world.guest, i), VIRTIO_CRYPTO_INVSESS);
    }
    assert_int_equal(ring_take(ring, &elem), 0);
}

/* The ways to break a ring; each leaves the data queue with something bad to take. */
static void loop_in_the_table(struct ring *ring)
{
    ring_desc(ring, 0, RING_IOVA(BUFFER_OFF), 16, VRING_DESC_F_NEXT, 1);
    ring_desc(ring, 1, RING_IOVA(BUFFER_OFF), 16, VRING_DESC_F_NEXT, 0);
    ring_offer(ring, 0);
}

static void loop_of_nothing(struct ring *ring)
{
    /* Empty buffers count for no segment, and still the walk must end. */
    ring_desc(ring, 0, RING_IOVA(BUFFER_OFF), 0, VRING_DESC_F_NEXT, 1);
    ring_desc(ring, 1, RING_IOVA(BUFFER_OFF), 0, VRING_DESC_F_NEXT, 0);
    ring_offer(ring, 0);
}

static void head_outside_the_table(struct ring *ring)
{
    ring_offer(ring, RING_SIZE);
}

static void next_outside_the_table(struct ring *ring)
{
    ring_desc(ring, 0, RING_IOVA(BUFFER_OFF), 16, VRING_DESC_F_NEXT, 0xffff);
    ring_offer(ring, 0);
}

static void write_before_read(struct ring *ring)
{
    ring_desc(ring, 0, RING_IOVA(BUFFER_OFF), 128, VRING_DESC_F_NEXT | VRING_DESC_F_WRITE,
              1);
    ring_desc(ring, 1, RING_IOVA(BUFFER_OFF), 128, 0, 0);
    ring_offer(ring, 0);
}

static void put_table(struct ring *ring, uint32_t i, uint64_t iova, uint32_t size,
                      uint16_t flags, uint16_t next)
{
    const struct vring_desc desc = {
        .addr = iova, .len = size, .flags = flags, .next = next
    };

    memcpy(ring->ram + TABLE_OFF + i * sizeof(desc), &desc, sizeof(desc));
}

static void offer_table(struct ring *ring, uint32_t bytes, uint16_t flags)
{
    ring_desc(ring, 0, RING_IOVA(TABLE_OFF), bytes, VRING_DESC_F_INDIRECT | flags, 1);
    ring_offer(ring, 0);
}

static void indirect_loop(struct ring *ring)
{
    put_table(ring, 0, RING_IOVA(BUFFER_OFF), 16, VRING_DESC_F_NEXT, 1);
    put_table(ring, 1, RING_IOVA(BUFFER_OFF), 16, VRING_DESC_F_NEXT, 0);
    offer_table(ring, 32, 0);
}

static void indirect_loop_of_nothing(struct ring *ring)
{
    put_table(ring, 0, RING_IOVA(BUFFER_OFF), 0, VRING_DESC_F_NEXT, 1);
    put_table(ring, 1, RING_IOVA(BUFFER_OFF), 0, VRING_DESC_F_NEXT, 0);
    offer_table(ring, 32, 0);
}

static void indirect_in_indirect(struct ring *ring)
{
    put_table(ring, 0, RING_IOVA(TABLE_OFF), 16, VRING_DESC_F_INDIRECT, 0);
    offer_table(ring, 16, 0);
}

static void indirect_with_next(struct ring *ring)
{
    put_table(ring, 0, RING_IOVA(BUFFER_OFF), 128, 0, 0);
    offer_table(ring, 16, VRING_DESC_F_NEXT);
}

static void indirect_of_odd_length(struct ring *ring)
{
    put_table(ring, 0, RING_IOVA(BUFFER_OFF), 128, 0, 0);
    offer_table(ring, 24, 0);
}

static void indirect_of_no_length(struct ring *ring)
{
    offer_table(ring, 0, 0);
}

static void indirect_too_long(struct ring *ring)
{
    offer_table(ring, 1025 * 16, 0);
}

static void indirect_outside_memory(struct ring *ring)
{
    ring_desc(ring, 0, 0x10, 32, VRING_DESC_F_INDIRECT, 0);
    ring_offer(ring, 0);
}

static void indirect_next_outside(struct ring *ring)
{
    put_table(ring, 0, RING_IOVA(BUFFER_OFF), 128, VRING_DESC_F_NEXT, 2);
    offer_table(ring, 32, 0);
}

static void buffer_outside_memory(struct ring *ring)
{
    ring_desc(ring, 0, 0x10, 128, VRING_DESC_F_NEXT, 1);
    ring_desc(ring, 1, RING_IOVA(BUFFER_OFF), 16, VRING_DESC_F_WRITE, 0);
    ring_offer(ring, 0);
}

static void buffer_that_wraps(struct ring *ring)
{
    ring_desc(ring, 0, UINT64_MAX - 15, 128, VRING_DESC_F_NEXT, 1);
    ring_desc(ring, 1, RING_IOVA(BUFFER_OFF), 16, VRING_DESC_F_WRITE, 0);
    ring_offer(ring, 0);
}

static void request_too_short(struct ring *ring)
{
    ring_desc(ring, 0, RING_IOVA(BUFFER_OFF), 71, VRING_DESC_F_NEXT, 1);
    ring_desc(ring, 1, RING_IOVA(BUFFER_OFF), 16, VRING_DESC_F_WRITE, 0);
    ring_offer(ring, 0);
}

static void request_without_answer(struct ring *ring)
{
    ring_desc(ring, 0, RING_IOVA(BUFFER_OFF), 128, 0, 0);
    ring_offer(ring, 0);
}

static void index_that_jumps(struct ring *ring)
{
    ring->avail = (uint16_t)(ring->avail + RING_SIZE);
    ring_offer(ring, 0);
}

static void broken_rings_ask_for_a_reset_and_work_after_it(void **state)
{
    static void (*const broken[])(struct ring * ring) = {
        loop_of_nothing,         indirect_loop_of_nothing, loop_in_the_table,
        head_outside_the_table,  next_outside_the_table,   write_before_read,
        indirect_loop,           indirect_in_indirect,     indirect_with_next,
        indirect_of_odd_length,  indirect_of_no_length,    indirect_too_long,
        indirect_outside_memory, indirect_next_outside,    buffer_outside_memory,
        buffer_that_wraps,       request_too_short,        request_without_answer,
        index_that_jumps,
    };
    const uint8_t iv[16] = { 0 };

    (void)state;
    for (size_t i = 0; i < sizeof(broken) / sizeof(broken[0]); i++) {
        struct ring *ring = &world.guest.ring[RING_DATA];
        struct vring_used_elem elem;

        guest_start(&world.guest, &world.rig, &world.ram);
        /* A good request in front of the bad one is completed all the same. */
        (void)guest_cipher(&world.guest, 15, 77, VIRTIO_CRYPTO_CIPHER_ENCRYPT, iv, 16);
        broken[i](ring);
        ring_notify(ring, &world.rig);
        rig_work(&world.rig);
        if ((status_now() & VIRTIO_CONFIG_S_NEEDS_RESET) == 0) {
            fail_msg("case %zu goes unnoticed", i);
        }
        assert_int_equal(rig_irqs(&world.rig, RING_VECTOR_CONFIG), 1);
        assert_int_equal(common(ACC_ISR_OFF, 1) & VIRTIO_PCI_ISR_CONFIG,
                         VIRTIO_PCI_ISR_CONFIG);
        if (broken[i] != index_that_jumps) {
            assert_int_equal(ring_take(ring, &elem), 1);
            assert_int_equal(elem.id, 60);
        }
        assert_int_equal(ring_take(ring, &elem), 0);
        /* It does nothing more until it is reset. */
        ring_notify(ring, &world.rig);
        rig_work(&world.rig);
        assert_int_equal(ring_take(ring, &elem), 0);
        (void)rig_irqs(&world.rig, 0);
    }
    guest_start(&world.guest, &world.rig, &world.ram);
    (void)guest_cipher(&world.guest, 0, 77, VIRTIO_CRYPTO_CIPHER_ENCRYPT, iv, 16);
    ring_notify(&world.guest.ring[RING_DATA], &world.rig);
    rig_work(&world.rig);
    assert_int_equal(guest_status(&world.guest, 0), VIRTIO_CRYPTO_INVSESS);
}

static void rings_outside_memory_ask_for_a_reset(void **state)
{
    static const uint32_t off[] = { VIRTIO_PCI_COMMON_Q_DESCLO,
                                    VIRTIO_PCI_COMMON_Q_AVAILLO,
                                    VIRTIO_PCI_COMMON_Q_USEDLO };
    const uint8_t iv[16] = { 0 };

    (void)state;
    for (size_t i = 0; i < 3; i++) {
        struct ring *ring = &world.guest.ring[RING_DATA];

        guest_start(&world.guest, &world.rig, &world.ram);
        /* RING_RESET was not negotiated: the queue's place is changed before DRIVER_OK.
         */
        set_common(VIRTIO_PCI_COMMON_STATUS, 0, 1);
        set_common(VIRTIO_PCI_COMMON_GFSELECT, 1, 4);
        set_common(VIRTIO_PCI_COMMON_GF, 1, 4);
        set_common(VIRTIO_PCI_COMMON_STATUS, 11, 1);
        set_common(VIRTIO_PCI_COMMON_MSIX, RING_VECTOR_CONFIG, 2);
        set_common(VIRTIO_PCI_COMMON_Q_SIZE, RING_SIZE, 2);
        set_common(VIRTIO_PCI_COMMON_Q_DESCLO, RIG_RAM_IOVA, 4);
        set_common(VIRTIO_PCI_COMMON_Q_AVAILLO, RIG_RAM_IOVA + 0x4000, 4);
        set_common(VIRTIO_PCI_COMMON_Q_USEDLO, RIG_RAM_IOVA + 0x5000, 4);
        set_common(off[i], 0x1000, 4);
        set_common(VIRTIO_PCI_COMMON_Q_ENABLE, 1, 2);
        set_common(VIRTIO_PCI_COMMON_STATUS, 15, 1);
        (void)guest_cipher(&world.guest, 0, 77, VIRTIO_CRYPTO_CIPHER_ENCRYPT, iv, 16);
        ring_notify(ring, &world.rig);
        rig_work(&world.rig);
        assert_true((status_now() & VIRTIO_CONFIG_S_NEEDS_RESET) != 0);
        assert_int_equal(rig_irqs(&world.rig, RING_VECTOR_CONFIG), 1);
    }
}

int main(void)
{
#define RIG_TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        RIG_TEST(capabilities_say_where_the_structures_are),
        RIG_TEST(the_configuration_names_the_service_and_its_limits),
        RIG_TEST(features_without_version_1_or_unknown_ones_are_not_ok),
        RIG_TEST(queues_that_make_no_sense_are_not_enabled),
        RIG_TEST(the_structures_can_be_reached_through_config_space),
        RIG_TEST(a_reset_by_status_forgets_queues_and_sessions),
        RIG_TEST(the_variant_drivers_half_is_closed_to_the_guest),
        RIG_TEST(interrupts_are_left_out_when_the_driver_asks),
        RIG_TEST(broken_rings_ask_for_a_reset_and_work_after_it),
        RIG_TEST(rings_outside_memory_ask_for_a_reset),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
