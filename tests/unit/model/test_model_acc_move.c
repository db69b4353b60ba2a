/* SPDX-License-Identifier: BSD-3-Clause */
#include "test_model_ring.h"

#include <linux/virtio_config.h>
#include <linux/virtio_crypto.h>
#include <linux/virtio_pci.h>
#include <openssl/evp.h>
#include <stdlib.h>
#include <string.h>

#include "models/acc/acc_regs.h"

#define BYTES 61440u
#define SLOTS 16u

struct world {
    struct rig_ram ram;
    struct rig a, b;
    struct guest guest;
    uint8_t key[32];
    uint64_t id;
};

static struct world world;

static int set_up(void **state)
{
    memset(&world, 0, sizeof(world));
    rig_ram_open(&world.ram);
    rig_open(&world.a, "acc", NULL, &world.ram);
    rig_open(&world.b, "acc", NULL, &world.ram);
    guest_start(&world.guest, &world.a, &world.ram);
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

static void queue_all(void)
{
    for (uint32_t slot = 0; slot < SLOTS; slot++) {
        uint8_t iv[16];

        rig_fill(iv, sizeof(iv), slot + 100);
        rig_fill(world.ram.bytes + GUEST_SOURCE(slot), BYTES, slot);
        memset(world.ram.bytes + GUEST_TARGET(slot), 0, BYTES);
        (void)guest_cipher(&world.guest, slot, world.id, VIRTIO_CRYPTO_CIPHER_ENCRYPT, iv,
                           BYTES);
    }
}

/* Takes completions: each in order, each right. Return: how many there were. */
static uint32_t take_all(uint32_t from)
{
    static uint8_t expected[BYTES];
    struct vring_used_elem elem;
    uint32_t slot = from;

    while (ring_take(&world.guest.ring[RING_DATA], &elem) == 1) {
        EVP_CIPHER_CTX *context = EVP_CIPHER_CTX_new();
        uint8_t iv[16];
        int done = 0;

        assert_true(slot < SLOTS);
        assert_int_equal(elem.id, slot * 4);
        assert_int_equal(guest_status(&world.guest, slot), VIRTIO_CRYPTO_OK);
        rig_fill(iv, sizeof(iv), slot + 100);
        assert_int_equal(
            EVP_EncryptInit_ex(context, EVP_aes_256_cbc(), NULL, world.key, iv), 1);
        assert_int_equal(EVP_EncryptUpdate(context, expected, &done,
                                           world.ram.bytes + GUEST_SOURCE(slot), BYTES),
                         1);
        assert_memory_equal(world.ram.bytes + GUEST_TARGET(slot), expected, BYTES);
        EVP_CIPHER_CTX_free(context);
        slot++;
    }
    return slot - from;
}

static void requests_in_the_ring_go_on_at_the_target(void **state)
{
    struct rig_blob blob = { 0 };
    uint64_t extra = 0;
    uint32_t early;
    uint16_t enable = 0;

    (void)state;
    queue_all();
    ring_notify(&world.guest.ring[RING_DATA], &world.a);
    assert_int_equal(world.a.endpoint->ops->work(world.a.endpoint), 1);
    assert_int_equal(rig_state(&world.a, FERRY_STATE_PRE_COPY), FERRY_OK);
    assert_int_equal(rig_save(&world.a, 4096, &blob), FERRY_E_DRY);
    /* It goes on working in pre-copy. */
    assert_int_equal(world.a.endpoint->ops->work(world.a.endpoint), 1);
    assert_int_equal(rig_state(&world.a, FERRY_STATE_STOP_COPY), FERRY_OK);
    early = take_all(0);
    assert_true(early > 4 && early < SLOTS - 4);
    /* The source had asked the guest not to notify while it was busy. */
    assert_int_equal(world.ram.bytes[0x5000], VRING_USED_F_NO_NOTIFY);
    rig_work(&world.a);
    assert_int_equal(take_all(early), 0); /* stopped is stopped */
    assert_int_equal(rig_save(&world.a, 4096, &blob), FERRY_OK);
    assert_int_equal(rig_resume(&world.b, 4096, &blob), FERRY_OK);
    rig_work(&world.b);
    assert_int_equal(take_all(early), 0); /* nothing before it runs */
    assert_int_equal(rig_state(&world.b, FERRY_STATE_RUNNING), FERRY_OK);
    rig_work(&world.b);
    assert_int_equal(take_all(early), SLOTS - early);
    assert_true(rig_irqs(&world.b, 0) > 0);
    assert_int_equal(world.ram.bytes[0x5000], 0); /* the target wants notifications */
    /* What the guest set up is there; the old session works and so does a new one. */
    assert_int_equal(
        rig_read(&world.b, ACC_BAR_VIRTIO, VIRTIO_PCI_COMMON_Q_ENABLE, &enable, 2),
        FERRY_OK);
    assert_int_equal(enable, 1);
    queue_all();
    ring_notify(&world.guest.ring[RING_DATA], &world.b);
    rig_work(&world.b);
    assert_int_equal(take_all(0), SLOTS);
    assert_int_equal(guest_session(&world.guest, &world.b, VIRTIO_CRYPTO_OP_DECRYPT,
                                   world.key, 16, &extra),
                     VIRTIO_CRYPTO_OK);
    assert_true(extra != world.id);
    assert_int_equal(guest_session_end(&world.guest, &world.b, world.id),
                     VIRTIO_CRYPTO_OK);
    rig_blob_free(&blob);
}

static void a_target_that_has_little_left_asks_for_notifications(void **state)
{
    struct rig_blob blob = { 0 };

    (void)state;
    queue_all();
    ring_notify(&world.guest.ring[RING_DATA], &world.a);
    for (int slice = 0; slice < 3; slice++) {
        assert_int_equal(world.a.endpoint->ops->work(world.a.endpoint), 1);
    }
    assert_int_equal(rig_state(&world.a, FERRY_STATE_STOP_COPY), FERRY_OK);
    assert_int_equal(take_all(0), SLOTS - 1);
    assert_int_equal(world.ram.bytes[0x5000], VRING_USED_F_NO_NOTIFY);
    assert_int_equal(rig_save(&world.a, 4096, &blob), FERRY_OK);
    assert_int_equal(rig_resume(&world.b, 4096, &blob), FERRY_OK);
    assert_int_equal(rig_state(&world.b, FERRY_STATE_RUNNING), FERRY_OK);
    rig_work(&world.b);
    assert_int_equal(take_all(SLOTS - 1), 1);
    assert_int_equal(world.ram.bytes[0x5000], 0);
    rig_blob_free(&blob);
}

/* MIG-CAN-1 */
static void a_source_that_is_taken_back_goes_on(void **state)
{
    struct rig_blob blob = { 0 };
    uint32_t early;

    (void)state;
    queue_all();
    ring_notify(&world.guest.ring[RING_DATA], &world.a);
    assert_int_equal(world.a.endpoint->ops->work(world.a.endpoint), 1);
    assert_int_equal(rig_state(&world.a, FERRY_STATE_STOP_COPY), FERRY_OK);
    assert_int_equal(rig_save(&world.a, 100, &blob), FERRY_OK);
    early = take_all(0);
    assert_int_equal(rig_state(&world.a, FERRY_STATE_RUNNING), FERRY_OK);
    rig_work(&world.a);
    assert_int_equal(take_all(early), SLOTS - early);
    rig_blob_free(&blob);
}

static void any_segmentation_gives_the_same_stream(void **state)
{
    static const size_t piece[] = { 1, 37, 65536 };
    struct rig_blob first = { 0 };

    (void)state;
    queue_all();
    for (size_t i = 0; i < 3; i++) {
        struct rig_blob blob = { 0 };

        assert_int_equal(rig_state(&world.a, FERRY_STATE_STOP_COPY), FERRY_OK);
        assert_true(rig_data_size(&world.a) > 0);
        assert_int_equal(rig_save(&world.a, piece[i], &blob), FERRY_OK);
        if (i == 0) {
            first = blob;
        } else {
            assert_int_equal(blob.count, first.count);
            assert_memory_equal(blob.bytes, first.bytes, first.count);
            rig_blob_free(&blob);
        }
        assert_int_equal(rig_resume(&world.b, piece[i], &first), FERRY_OK);
        assert_int_equal(rig_state(&world.a, FERRY_STATE_STOP), FERRY_OK);
    }
    assert_int_equal(rig_state(&world.b, FERRY_STATE_RUNNING), FERRY_OK);
    rig_work(&world.b);
    assert_int_equal(take_all(0), SLOTS);
    rig_blob_free(&first);
}

static void the_size_that_is_announced_is_not_exceeded(void **state)
{
    struct rig_blob blob = { 0 };
    uint64_t size;

    (void)state;
    size = rig_data_size(&world.a);
    assert_int_equal(rig_state(&world.a, FERRY_STATE_STOP_COPY), FERRY_OK);
    assert_true(rig_data_size(&world.a) <= size);
    assert_int_equal(rig_save(&world.a, 4096, &blob), FERRY_OK);
    assert_true(blob.count <= size);
    assert_true(rig_data_size(&world.a) >= 1);
    rig_blob_free(&blob);
}

static void a_device_that_no_guest_has_used_moves(void **state)
{
    struct rig_blob blob = { 0 };

    (void)state;
    assert_int_equal(rig_reset(&world.a), FERRY_OK);
    assert_int_equal(rig_state(&world.a, FERRY_STATE_STOP_COPY), FERRY_OK);
    assert_int_equal(rig_save(&world.a, 4096, &blob), FERRY_OK);
    assert_int_equal(rig_resume(&world.b, 4096, &blob), FERRY_OK);
    assert_int_equal(rig_state(&world.b, FERRY_STATE_RUNNING), FERRY_OK);
    guest_start(&world.guest, &world.b, &world.ram);
    assert_int_equal(guest_session(&world.guest, &world.b, VIRTIO_CRYPTO_OP_ENCRYPT,
                                   world.key, 32, &world.id),
                     VIRTIO_CRYPTO_OK);
    rig_blob_free(&blob);
}

/* A new target of other limits; its answer to the match data alone. */
static int early_answer(const char *option, const struct rig_blob *match)
{
    const char *const options[] = { option, NULL };
    struct rig other;
    int status;

    rig_open(&other, "acc", options, &world.ram);
    status = rig_state(&other, FERRY_STATE_RESUMING);
    if (status == FERRY_OK) {
        status = rig_load(&other, 7, match);
    }
    rig_close(&other);
    return status;
}

/* MIG-PRE-8 */
static void incompatible_targets_refuse_before_the_source_stops(void **state)
{
    struct rig_blob match = { 0 };

    (void)state;
    assert_int_equal(rig_state(&world.a, FERRY_STATE_PRE_COPY), FERRY_OK);
    assert_int_equal(rig_save(&world.a, 4096, &match), FERRY_E_DRY);
    assert_int_equal(early_answer("sessions=64", &match), FERRY_OK);
    assert_int_equal(early_answer("sessions=65", &match), FERRY_OK);
    assert_int_equal(early_answer("sessions=63", &match), FERRY_E_INCOMPATIBLE);
    assert_int_equal(early_answer("queues=2", &match), FERRY_E_INCOMPATIBLE);
    assert_int_equal(rig_state(&world.a, FERRY_STATE_RUNNING), FERRY_OK);
    rig_blob_free(&match);
}

/* MIG-DATA-8 */
static void another_models_state_is_foreign(void **state)
{
    const char *const options[] = { "memory=64K", NULL };
    struct rig_blob blob = { 0 };
    struct rig copy;

    (void)state;
    rig_open(&copy, "copy", options, &world.ram);
    assert_int_equal(rig_state(&copy, FERRY_STATE_STOP_COPY), FERRY_OK);
    assert_int_equal(rig_save(&copy, 4096, &blob), FERRY_OK);
    assert_int_equal(rig_resume(&world.b, 4096, &blob), FERRY_E_FOREIGN);
    rig_close(&copy);
    rig_blob_free(&blob);
}

/* b refuses the blob, does not leave RESUMING, and is as good as new after a reset. */
static void refused(const struct rig_blob *blob, const char *what, size_t at)
{
    if (rig_resume(&world.b, 4096, blob) >= FERRY_OK) {
        fail_msg("taken although %s at %zu", what, at);
    }
    assert_int_equal(ferry_device_state(world.b.device), FERRY_STATE_RESUMING);
    assert_int_equal(rig_reset(&world.b), FERRY_OK);
    assert_int_equal(ferry_device_state(world.b.device), FERRY_STATE_RUNNING);
}

static void damaged_streams_are_refused_whole(void **state)
{
    struct rig_blob blob = { 0 };
    struct rig_blob bad = { 0 };
    const uint8_t command[2] = { 6, 0 };

    (void)state;
    assert_int_equal(rig_state(&world.a, FERRY_STATE_STOP_COPY), FERRY_OK);
    assert_int_equal(rig_save(&world.a, 4096, &blob), FERRY_OK);
    bad.bytes = malloc(blob.count + 8);
    assert_non_null(bad.bytes);
    for (size_t at = 0; at < blob.count; at++) {
        memcpy(bad.bytes, blob.bytes, blob.count);
        bad.count = at;
        refused(&bad, "cut", at);
        bad.count = blob.count;
        bad.bytes[at] ^= (uint8_t)(1u << at % 8);
        refused(&bad, "flipped", at);
    }
    memcpy(bad.bytes, blob.bytes, blob.count);
    for (size_t more = 1; more <= 8; more++) {
        bad.bytes[blob.count + more - 1] = 0;
        bad.count = blob.count + more;
        refused(&bad, "too long", more);
    }
    /* None of it left a trace: the whole stream is still taken. */
    assert_int_equal(rig_resume(&world.b, 1, &blob), FERRY_OK);
    assert_int_equal(rig_state(&world.b, FERRY_STATE_RUNNING), FERRY_OK);
    assert_int_equal(rig_write(&world.b, FERRY_REGION_CONFIG, 4, command, 2), FERRY_OK);
    queue_all();
    ring_notify(&world.guest.ring[RING_DATA], &world.b);
    rig_work(&world.b);
    assert_int_equal(take_all(0), SLOTS);
    rig_blob_free(&blob);
    rig_blob_free(&bad);
}

int main(void)
{
#define RIG_TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        RIG_TEST(requests_in_the_ring_go_on_at_the_target),
        RIG_TEST(a_target_that_has_little_left_asks_for_notifications),
        RIG_TEST(a_source_that_is_taken_back_goes_on),
        RIG_TEST(any_segmentation_gives_the_same_stream),
        RIG_TEST(the_size_that_is_announced_is_not_exceeded),
        RIG_TEST(a_device_that_no_guest_has_used_moves),
        RIG_TEST(incompatible_targets_refuse_before_the_source_stops),
        RIG_TEST(another_models_state_is_foreign),
        RIG_TEST(damaged_streams_are_refused_whole),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
