/* SPDX-License-Identifier: BSD-3-Clause */
#include "test_model_ring.h"

#include <linux/virtio_config.h>
#include <linux/virtio_crypto.h>
#include <linux/virtio_pci.h>
#include <openssl/evp.h>
#include <string.h>

#include "models/acc/acc_hw.h"
#include "models/acc/acc_regs.h"

#define TABLE_OFF 0x90000u
#define BUFFER_OFF 0x98000u
#define EVENT_DRIVER_OFF 0x4000u
#define EVENT_DEVICE_OFF 0x5000u
#define SLOTS 16u
#define BYTES 61440u

struct world {
    struct rig_ram ram;
    struct rig a, b;
    struct guest guest;
    uint8_t key[32];
    uint64_t id;
};

static struct world world;
static const char *const packed[] = { "packed=on", NULL };

static int set_up(void **state)
{
    memset(&world, 0, sizeof(world));
    rig_ram_open(&world.ram);
    rig_open(&world.a, "acc", packed, &world.ram);
    rig_open(&world.b, "acc", packed, &world.ram);
    guest_start_packed(&world.guest, &world.a, &world.ram);
    rig_fill(world.key, sizeof(world.key), 7);
    *state = &world;
    return guest_session(&world.guest, &world.a, VIRTIO_CRYPTO_OP_ENCRYPT, world.key, 32,
                         &world.id) != VIRTIO_CRYPTO_OK;
}

static int tear_down(void **state)
{
    (void)state;
    rig_close(&world.a);
    rig_close(&world.b);
    rig_ram_close(&world.ram);
    return 0;
}

static struct ring *data_ring(void)
{
    return &world.guest.ring[RING_DATA];
}

static uint32_t common(struct rig *rig, uint64_t off, uint32_t width)
{
    uint32_t value = 0;

    assert_int_equal(rig_read(rig, ACC_BAR_VIRTIO, off, &value, width), FERRY_OK);
    return value;
}

static void set_common(struct rig *rig, uint64_t off, uint32_t value, uint32_t width)
{
    assert_int_equal(rig_write(rig, ACC_BAR_VIRTIO, off, &value, width), FERRY_OK);
}

static uint32_t status_now(void)
{
    return common(&world.a, VIRTIO_PCI_COMMON_STATUS, 1);
}

static void queue_slots(uint32_t from, uint32_t to, uint32_t bytes)
{
    for (uint32_t slot = from; slot < to; slot++) {
        uint8_t iv[16];

        rig_fill(iv, sizeof(iv), slot + 100);
        rig_fill(world.ram.bytes + GUEST_SOURCE(slot), bytes, slot);
        memset(world.ram.bytes + GUEST_TARGET(slot), 0, bytes);
        (void)guest_cipher(&world.guest, slot, world.id, VIRTIO_CRYPTO_CIPHER_ENCRYPT, iv,
                           bytes);
    }
}

/* Takes completions from slot `from` on: in order, and right. Return: how many. */
static uint32_t take_slots(uint32_t from, uint32_t bytes)
{
    static uint8_t expected[BYTES];
    struct vring_used_elem elem;
    uint32_t slot = from;

    while (ring_take(data_ring(), &elem) == 1) {
        EVP_CIPHER_CTX *context = EVP_CIPHER_CTX_new();
        uint8_t iv[16];
        int done = 0;

        assert_true(slot < SLOTS);
        assert_int_equal(elem.id, slot * 4);
        assert_int_equal(elem.len, bytes + 1);
        assert_int_equal(guest_status(&world.guest, slot), VIRTIO_CRYPTO_OK);
        rig_fill(iv, sizeof(iv), slot + 100);
        assert_int_equal(
            EVP_EncryptInit_ex(context, EVP_aes_256_cbc(), NULL, world.key, iv), 1);
        assert_int_equal(EVP_EncryptUpdate(context, expected, &done,
                                           world.ram.bytes + GUEST_SOURCE(slot),
                                           (int)bytes),
                         1);
        assert_memory_equal(world.ram.bytes + GUEST_TARGET(slot), expected, bytes);
        EVP_CIPHER_CTX_free(context);
        slot++;
    }
    return slot - from;
}

static void it_is_offered_only_when_asked_for(void **state)
{
    static const char *const off[] = { "packed=off", NULL };
    struct rig plain;

    (void)state;
    set_common(&world.a, VIRTIO_PCI_COMMON_DFSELECT, 1, 4);
    assert_int_equal(common(&world.a, VIRTIO_PCI_COMMON_DF, 4), 1u << 8 | 7);
    rig_open(&plain, "acc", off, &world.ram);
    set_common(&plain, VIRTIO_PCI_COMMON_DFSELECT, 1, 4);
    assert_int_equal(common(&plain, VIRTIO_PCI_COMMON_DF, 4), 1u << 8 | 3);
    rig_close(&plain);
}

static void split_rings_still_work_where_packed_is_offered(void **state)
{
    (void)state;
    guest_start(&world.guest, &world.a, &world.ram);
    assert_int_equal(guest_session(&world.guest, &world.a, VIRTIO_CRYPTO_OP_ENCRYPT,
                                   world.key, 32, &world.id),
                     VIRTIO_CRYPTO_OK);
    queue_slots(0, 3, 64);
    ring_notify(data_ring(), &world.a);
    rig_work(&world.a);
    assert_int_equal(take_slots(0, 64), 3);
}

static void requests_come_back_in_order_over_many_wraps(void **state)
{
    (void)state;
    /* 5 chains of 4 in a ring of 64: the chains lie across its end now and then. */
    for (uint32_t round = 0; round < 40; round++) {
        const uint32_t first = round % 11;

        queue_slots(first, first + 5, 48);
        ring_notify(data_ring(), &world.a);
        rig_work(&world.a);
        assert_int_equal(take_slots(first, 48), 5);
        assert_int_equal(rig_irqs(&world.a, 0), 1);
    }
}

static void a_full_ring_is_served(void **state)
{
    (void)state;
    for (uint32_t round = 0; round < 3; round++) {
        queue_slots(0, SLOTS, 16);
        ring_notify(data_ring(), &world.a);
        rig_work(&world.a);
        assert_int_equal(take_slots(0, 16), SLOTS);
    }
}

static void interrupts_are_left_out_when_the_driver_asks(void **state)
{
    const uint16_t disable = VRING_PACKED_EVENT_FLAG_DISABLE;

    (void)state;
    (void)rig_irqs(&world.a, 0);
    memcpy(world.ram.bytes + EVENT_DRIVER_OFF + 2, &disable, 2);
    queue_slots(0, 2, 16);
    ring_notify(data_ring(), &world.a);
    rig_work(&world.a);
    assert_int_equal(take_slots(0, 16), 2);
    assert_int_equal(rig_irqs(&world.a, 0), 0);
}

/* The state moves while requests are in a ring whose wrap counter has turned. */
static void move_with_requests_in_the_ring(uint32_t turns)
{
    struct rig_blob blob = { 0 };
    uint32_t early;

    for (uint32_t i = 0; i < turns; i++) {
        queue_slots(0, 3, 16);
        ring_notify(data_ring(), &world.a);
        rig_work(&world.a);
        assert_int_equal(take_slots(0, 16), 3);
    }
    queue_slots(0, SLOTS, BYTES);
    ring_notify(data_ring(), &world.a);
    assert_int_equal(world.a.endpoint->ops->work(world.a.endpoint), 1);
    assert_int_equal(rig_state(&world.a, FERRY_STATE_PRE_COPY), FERRY_OK);
    assert_int_equal(rig_save(&world.a, 4096, &blob), FERRY_E_DRY);
    assert_int_equal(rig_state(&world.a, FERRY_STATE_STOP_COPY), FERRY_OK);
    early = take_slots(0, BYTES);
    assert_true(early > 0 && early < SLOTS - 2);
    /* The source had asked the guest not to notify while it was busy. */
    assert_int_equal(world.ram.bytes[EVENT_DEVICE_OFF + 2],
                     VRING_PACKED_EVENT_FLAG_DISABLE);
    assert_int_equal(rig_save(&world.a, 4096, &blob), FERRY_OK);
    assert_int_equal(rig_resume(&world.b, 4096, &blob), FERRY_OK);
    rig_work(&world.b);
    assert_int_equal(take_slots(early, BYTES), 0); /* nothing before it runs */
    assert_int_equal(rig_state(&world.b, FERRY_STATE_RUNNING), FERRY_OK);
    rig_work(&world.b);
    assert_int_equal(take_slots(early, BYTES), SLOTS - early);
    assert_true(rig_irqs(&world.b, 0) > 0);
    assert_int_equal(world.ram.bytes[EVENT_DEVICE_OFF + 2],
                     VRING_PACKED_EVENT_FLAG_ENABLE);
    /* And on, over the end of the ring. */
    for (uint32_t i = 0; i < 12; i++) {
        queue_slots(0, 3, 16);
        ring_notify(data_ring(), &world.b);
        rig_work(&world.b);
        assert_int_equal(take_slots(0, 16), 3);
    }
    rig_blob_free(&blob);
}

static void requests_in_the_first_turn_go_on_at_the_target(void **state)
{
    (void)state;
    move_with_requests_in_the_ring(0);
}

static void requests_in_wrapped_rings_go_on_at_the_target(void **state)
{
    (void)state;
    move_with_requests_in_the_ring(7); /* 84 of 64 places: the counter has turned once */
}

static void a_target_without_packed_rings_refuses(void **state)
{
    struct rig_blob blob = { 0 };
    struct rig plain;

    (void)state;
    rig_open(&plain, "acc", NULL, &world.ram);
    assert_int_equal(rig_state(&world.a, FERRY_STATE_STOP_COPY), FERRY_OK);
    assert_int_equal(rig_save(&world.a, 4096, &blob), FERRY_OK);
    assert_int_equal(rig_resume(&plain, 4096, &blob), FERRY_E_INCOMPATIBLE);
    rig_close(&plain);
    rig_blob_free(&blob);
}

static void the_identity_has_the_feature_as_a_key(void **state)
{
    static struct ferry_identity with, without;
    struct ferry_request request = { .kind = FERRY_RQ_IDENTITY, .u.identity = &with };
    struct ferry_error error;
    struct rig plain;

    (void)state;
    rig_open(&plain, "acc", NULL, &world.ram);
    assert_int_equal(rig_request(&world.a, &request), FERRY_OK);
    request.u.identity = &without;
    assert_int_equal(rig_request(&plain, &request), FERRY_OK);
    assert_int_equal(ferry_compat_check(&with, &without, &error), FERRY_E_INCOMPATIBLE);
    assert_non_null(strstr(error.text, "features"));
    assert_int_equal(ferry_compat_check(&without, &with, &error), FERRY_OK);
    rig_close(&plain);
}

/* The ways to break a packed ring. */
static void chain_without_end(struct ring *ring)
{
    for (uint16_t i = 0; i < RING_SIZE; i++) {
        ring_raw(ring, i, RING_IOVA(BUFFER_OFF), 16, 0,
                 (uint16_t)(ring_marks(ring) | VRING_DESC_F_NEXT));
    }
}

static void chain_of_nothing_without_end(struct ring *ring)
{
    for (uint16_t i = 0; i < RING_SIZE; i++) {
        ring_raw(ring, i, RING_IOVA(BUFFER_OFF), 0, 0,
                 (uint16_t)(ring_marks(ring) | VRING_DESC_F_NEXT));
    }
}

static uint16_t here(const struct ring *ring)
{
    return ring->avail & 0x7fffu;
}

static void put(struct ring *ring, uint64_t iova, uint32_t size, uint32_t flags)
{
    ring_raw(ring, here(ring), iova, size, 9, (uint16_t)(flags | ring_marks(ring)));
}

static void put_second(struct ring *ring, uint64_t iova, uint32_t size, uint32_t flags)
{
    ring_raw(ring, (uint16_t)(here(ring) + 1), iova, size, 9,
             (uint16_t)(flags | ring_marks(ring)));
}

static void put_table(struct ring *ring, uint32_t i, uint64_t iova, uint32_t size,
                      uint16_t flags)
{
    const struct vring_packed_desc desc = { .addr = iova, .len = size, .flags = flags };

    memcpy(ring->ram + TABLE_OFF + i * sizeof(desc), &desc, sizeof(desc));
}

static void write_before_read(struct ring *ring)
{
    put_second(ring, RING_IOVA(BUFFER_OFF), 128, 0);
    put(ring, RING_IOVA(BUFFER_OFF), 128, VRING_DESC_F_NEXT | VRING_DESC_F_WRITE);
}

/* But for the one thing that is wrong these would be requests that are answered. */
static void indirect_with_next(struct ring *ring)
{
    put_table(ring, 0, RING_IOVA(BUFFER_OFF), 128, 0);
    put_table(ring, 1, RING_IOVA(BUFFER_OFF), 16, VRING_DESC_F_WRITE);
    put_second(ring, RING_IOVA(BUFFER_OFF), 16, VRING_DESC_F_WRITE);
    put(ring, RING_IOVA(TABLE_OFF), 32, VRING_DESC_F_INDIRECT | VRING_DESC_F_NEXT);
}

static void indirect_behind_another(struct ring *ring)
{
    put_table(ring, 0, RING_IOVA(BUFFER_OFF), 16, VRING_DESC_F_WRITE);
    put_second(ring, RING_IOVA(TABLE_OFF), 16, VRING_DESC_F_INDIRECT);
    put(ring, RING_IOVA(BUFFER_OFF), 128, VRING_DESC_F_NEXT);
}

static void indirect_in_indirect(struct ring *ring)
{
    put_table(ring, 0, RING_IOVA(BUFFER_OFF), 128, VRING_DESC_F_INDIRECT);
    put_table(ring, 1, RING_IOVA(BUFFER_OFF), 16, VRING_DESC_F_WRITE);
    put(ring, RING_IOVA(TABLE_OFF), 32, VRING_DESC_F_INDIRECT);
}

static void indirect_of_odd_length(struct ring *ring)
{
    put_table(ring, 0, RING_IOVA(BUFFER_OFF), 128, 0);
    put_table(ring, 1, RING_IOVA(BUFFER_OFF), 16, VRING_DESC_F_WRITE);
    put(ring, RING_IOVA(TABLE_OFF), 40, VRING_DESC_F_INDIRECT);
}

static void indirect_of_no_length(struct ring *ring)
{
    put(ring, RING_IOVA(TABLE_OFF), 0, VRING_DESC_F_INDIRECT);
}

static void indirect_too_long(struct ring *ring)
{
    put(ring, RING_IOVA(TABLE_OFF), 1025 * 16, VRING_DESC_F_INDIRECT);
}

static void indirect_outside_memory(struct ring *ring)
{
    put(ring, 0x10, 32, VRING_DESC_F_INDIRECT);
}

static void buffer_outside_memory(struct ring *ring)
{
    put_second(ring, RING_IOVA(BUFFER_OFF), 16, VRING_DESC_F_WRITE);
    put(ring, 0x10, 128, VRING_DESC_F_NEXT);
}

static void buffer_that_wraps(struct ring *ring)
{
    put_second(ring, RING_IOVA(BUFFER_OFF), 16, VRING_DESC_F_WRITE);
    put(ring, UINT64_MAX - 15, 128, VRING_DESC_F_NEXT);
}

static void request_without_answer(struct ring *ring)
{
    put(ring, RING_IOVA(BUFFER_OFF), 128, 0);
}

static void broken_rings_ask_for_a_reset_and_work_after_it(void **state)
{
    static void (*const broken[])(struct ring * ring) = {
        chain_without_end,       chain_of_nothing_without_end, write_before_read,
        indirect_with_next,      indirect_behind_another,      indirect_in_indirect,
        indirect_of_odd_length,  indirect_of_no_length,        indirect_too_long,
        indirect_outside_memory, buffer_outside_memory,        buffer_that_wraps,
        request_without_answer,
    };

    (void)state;
    for (size_t i = 0; i < sizeof(broken) / sizeof(broken[0]); i++) {
        struct rig_blob blob = { 0 };

        guest_start_packed(&world.guest, &world.a, &world.ram);
        (void)rig_irqs(&world.a, RING_VECTOR_CONFIG);
        broken[i](data_ring());
        ring_notify(data_ring(), &world.a);
        rig_work(&world.a);
        if ((status_now() & VIRTIO_CONFIG_S_NEEDS_RESET) == 0) {
            fail_msg("case %zu goes unnoticed", i);
        }
        assert_int_equal(rig_irqs(&world.a, RING_VECTOR_CONFIG), 1);
        /* Its state can still be carried. */
        assert_int_equal(rig_state(&world.a, FERRY_STATE_STOP_COPY), FERRY_OK);
        assert_int_equal(rig_save(&world.a, 4096, &blob), FERRY_OK);
        assert_int_equal(rig_state(&world.b, FERRY_STATE_RUNNING), FERRY_OK);
        assert_int_equal(rig_resume(&world.b, 4096, &blob), FERRY_OK);
        assert_int_equal(rig_state(&world.a, FERRY_STATE_RUNNING), FERRY_OK);
        rig_blob_free(&blob);
    }
    guest_start_packed(&world.guest, &world.a, &world.ram);
    assert_int_equal(guest_session(&world.guest, &world.a, VIRTIO_CRYPTO_OP_ENCRYPT,
                                   world.key, 32, &world.id),
                     VIRTIO_CRYPTO_OK);
    queue_slots(0, 2, 64);
    ring_notify(data_ring(), &world.a);
    rig_work(&world.a);
    assert_int_equal(take_slots(0, 64), 2);
}

static void an_indirect_table_is_read_in_order(void **state)
{
    const struct virtio_crypto_op_data_req request = {
        .header = { .opcode = VIRTIO_CRYPTO_CIPHER_ENCRYPT,
                    .algo = VIRTIO_CRYPTO_CIPHER_AES_CBC,
                    .session_id = 777 },
        .u.sym_req.op_type = VIRTIO_CRYPTO_SYM_OP_CIPHER,
    };
    struct ring *ring = data_ring();
    struct vring_packed_desc desc;

    (void)state;
    memcpy(world.ram.bytes + BUFFER_OFF, &request, sizeof(request));
    put_table(ring, 0, RING_IOVA(BUFFER_OFF), sizeof(request), 0);
    put_table(ring, 1, RING_IOVA(BUFFER_OFF + 0x800), 1, VRING_DESC_F_WRITE);
    /* The device gives the driver's id back, whatever it is. */
    ring_raw(ring, here(ring), RING_IOVA(TABLE_OFF), 32, 0xfedc,
             (uint16_t)(VRING_DESC_F_INDIRECT | ring_marks(ring)));
    world.ram.bytes[BUFFER_OFF + 0x800] = 0xee;
    ring_notify(ring, &world.a);
    rig_work(&world.a);
    memcpy(&desc, world.ram.bytes, sizeof(desc));
    assert_int_equal(desc.id, 0xfedc);
    assert_int_equal(desc.len, 1);
    assert_int_equal(world.ram.bytes[BUFFER_OFF + 0x800], VIRTIO_CRYPTO_INVSESS);
    assert_int_equal(status_now() & VIRTIO_CONFIG_S_NEEDS_RESET, 0);
}

static void the_stream_carries_positions_with_their_wrap_counters(void **state)
{
    struct rig_blob blob = { 0 };
    uint32_t found = 0;

    (void)state;
    queue_slots(0, 3, 16);
    ring_notify(data_ring(), &world.a);
    rig_work(&world.a);
    assert_int_equal(take_slots(0, 16), 3);
    assert_int_equal(rig_state(&world.a, FERRY_STATE_STOP_COPY), FERRY_OK);
    assert_int_equal(rig_save(&world.a, 4096, &blob), FERRY_OK);
    for (size_t i = 0; i + 8 <= blob.count; i += 4) {
        static const uint8_t both[8] = { 12, 0x80, 0, 0, 12, 0x80, 0, 0 };

        found += memcmp(blob.bytes + i, both, 8) == 0;
    }
    assert_int_equal(found, 1); /* taken and published of the data queue */
    rig_blob_free(&blob);
}

static void positions_that_cannot_be_are_not_loaded(void **state)
{
    static const struct {
        uint32_t taken, published;
        int status;
    } cases[] = {
        { 0x8000, 0x8000, FERRY_OK },         { 0x0000, 0x0000, FERRY_OK },
        { 0x801f, 0x801f, FERRY_OK },         { 0x001f, 0x001f, FERRY_OK },
        { 0x8020, 0x8020, FERRY_E_ARGUMENT }, { 0x0020, 0x0020, FERRY_E_ARGUMENT },
        { 0xffff, 0xffff, FERRY_E_ARGUMENT }, { 0x8001, 0x8000, FERRY_E_ARGUMENT },
        { 0x0003, 0x8003, FERRY_E_ARGUMENT },
    };

    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct acc_hw *hw;

        assert_int_equal(acc_hw_create(1, 4, &hw), FERRY_OK);
        acc_hw_offer_packed(hw);
        assert_int_equal(acc_hw_write(hw, ACC_W_CONTROL, ACC_CONTROL_PAUSE), FERRY_OK);
        assert_int_equal(acc_hw_write(hw, ACC_W_DRIVER_FEATURES_HI, 5), FERRY_OK);
        assert_int_equal(acc_hw_write(hw, ACC_W_Q_INDEX, 0), FERRY_OK);
        assert_int_equal(acc_hw_write(hw, ACC_W_Q_SIZE, 32), FERRY_OK);
        assert_int_equal(acc_hw_write(hw, ACC_W_Q_TAKEN, cases[i].taken), FERRY_OK);
        assert_int_equal(acc_hw_write(hw, ACC_W_Q_PUBLISHED, cases[i].published),
                         FERRY_OK);
        assert_int_equal(acc_hw_write(hw, ACC_W_Q_ENABLE, 1), cases[i].status);
        acc_hw_destroy(hw);
    }
}

static void any_size_up_to_the_largest_is_taken(void **state)
{
    (void)state;
    set_common(&world.a, VIRTIO_PCI_COMMON_STATUS, 0, 1);
    set_common(&world.a, VIRTIO_PCI_COMMON_GFSELECT, 1, 4);
    set_common(&world.a, VIRTIO_PCI_COMMON_GF, 5, 4);
    set_common(&world.a, VIRTIO_PCI_COMMON_STATUS, 11, 1);
    set_common(&world.a, VIRTIO_PCI_COMMON_Q_SIZE, 48, 2);
    assert_int_equal(common(&world.a, VIRTIO_PCI_COMMON_Q_SIZE, 2), 48);
    set_common(&world.a, VIRTIO_PCI_COMMON_Q_SIZE, 2048, 2);
    set_common(&world.a, VIRTIO_PCI_COMMON_Q_SIZE, 0, 2);
    assert_int_equal(common(&world.a, VIRTIO_PCI_COMMON_Q_SIZE, 2), 48);
    /* Event suppression lies on 4 bytes. */
    set_common(&world.a, VIRTIO_PCI_COMMON_Q_DESCLO, RIG_RAM_IOVA, 4);
    set_common(&world.a, VIRTIO_PCI_COMMON_Q_AVAILLO, RIG_RAM_IOVA + 0x4002, 4);
    set_common(&world.a, VIRTIO_PCI_COMMON_Q_USEDLO, RIG_RAM_IOVA + 0x5000, 4);
    set_common(&world.a, VIRTIO_PCI_COMMON_Q_ENABLE, 1, 2);
    assert_int_equal(common(&world.a, VIRTIO_PCI_COMMON_Q_ENABLE, 2), 0);
    set_common(&world.a, VIRTIO_PCI_COMMON_Q_AVAILLO, RIG_RAM_IOVA + 0x4004, 4);
    set_common(&world.a, VIRTIO_PCI_COMMON_Q_ENABLE, 1, 2);
    assert_int_equal(common(&world.a, VIRTIO_PCI_COMMON_Q_ENABLE, 2), 1);
}

int main(void)
{
#define RIG_TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        RIG_TEST(it_is_offered_only_when_asked_for),
        RIG_TEST(split_rings_still_work_where_packed_is_offered),
        RIG_TEST(requests_come_back_in_order_over_many_wraps),
        RIG_TEST(a_full_ring_is_served),
        RIG_TEST(interrupts_are_left_out_when_the_driver_asks),
        RIG_TEST(requests_in_the_first_turn_go_on_at_the_target),
        RIG_TEST(requests_in_wrapped_rings_go_on_at_the_target),
        RIG_TEST(a_target_without_packed_rings_refuses),
        RIG_TEST(the_identity_has_the_feature_as_a_key),
        RIG_TEST(broken_rings_ask_for_a_reset_and_work_after_it),
        RIG_TEST(an_indirect_table_is_read_in_order),
        RIG_TEST(the_stream_carries_positions_with_their_wrap_counters),
        RIG_TEST(positions_that_cannot_be_are_not_loaded),
        RIG_TEST(any_size_up_to_the_largest_is_taken),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
