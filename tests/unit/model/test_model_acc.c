/* SPDX-License-Identifier: BSD-3-Clause */
#include "test_model_ring.h"

#include <linux/virtio_config.h>
#include <linux/virtio_crypto.h>
#include <linux/virtio_pci.h>
#include <openssl/evp.h>
#include <string.h>
#include <sys/eventfd.h>

#include "models/acc/acc_hw.h"
#include "models/acc/acc_regs.h"
#include "models/virtio/virtio_pci.h"

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
    guest_start(&world.guest, &world.rig, &world.ram);
    *state = &world;
    return 0;
}

static int set_up_unsealed(void **state)
{
    rig_ram_open_unsealed(&world.ram);
    rig_open(&world.rig, "acc", NULL, &world.ram);
    guest_start(&world.guest, &world.rig, &world.ram);
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

/* What OpenSSL makes of it without the device. */
static void by_hand(const uint8_t *key, uint32_t key_bytes, int encrypt,
                    const uint8_t *iv, const uint8_t *from, uint32_t bytes,
                    uint8_t *ret_to)
{
    const EVP_CIPHER *cipher = key_bytes == 16   ? EVP_aes_128_cbc()
                               : key_bytes == 24 ? EVP_aes_192_cbc()
                                                 : EVP_aes_256_cbc();
    EVP_CIPHER_CTX *context = EVP_CIPHER_CTX_new();
    int done = 0;

    assert_non_null(context);
    assert_int_equal(EVP_CipherInit_ex(context, cipher, NULL, key, iv, encrypt), 1);
    assert_int_equal(EVP_CIPHER_CTX_set_padding(context, 0), 1);
    assert_int_equal(EVP_CipherUpdate(context, ret_to, &done, from, (int)bytes), 1);
    assert_int_equal(done, bytes);
    EVP_CIPHER_CTX_free(context);
}

/* Queues one request with its own data and IV in a slot. */
static void queue_one(uint32_t slot, uint64_t session, uint32_t bytes)
{
    uint8_t iv[16];

    rig_fill(iv, sizeof(iv), slot + 100);
    rig_fill(world.ram.bytes + GUEST_SOURCE(slot), bytes, slot);
    memset(world.ram.bytes + GUEST_TARGET(slot), 0, bytes);
    (void)guest_cipher(&world.guest, slot, session, VIRTIO_CRYPTO_CIPHER_ENCRYPT, iv,
                       bytes);
}

/* The result in a slot is what AES-256-CBC with that key gives. */
static void check_one(uint32_t slot, const uint8_t *key, uint32_t bytes)
{
    static uint8_t expected[65536];
    uint8_t iv[16];

    rig_fill(iv, sizeof(iv), slot + 100);
    by_hand(key, 32, 1, iv, world.ram.bytes + GUEST_SOURCE(slot), bytes, expected);
    assert_int_equal(guest_status(&world.guest, slot), VIRTIO_CRYPTO_OK);
    assert_memory_equal(world.ram.bytes + GUEST_TARGET(slot), expected, bytes);
}

static void it_encrypts_and_decrypts_as_openssl_does(void **state)
{
    static const uint32_t key_bytes[] = { 16, 24, 32 };
    static uint8_t expected[65536];
    uint8_t key[32];
    uint8_t iv[16];

    (void)state;
    rig_fill(key, sizeof(key), 1);
    rig_fill(iv, sizeof(iv), 2);
    for (uint32_t i = 0; i < 6; i++) {
        const int encrypt = i % 2 == 0;
        const uint32_t size = key_bytes[i / 2];
        const uint32_t bytes = i < 2 ? 16 : i < 4 ? 4080 : 65536;
        struct vring_used_elem elem;
        uint64_t id = 0;

        assert_int_equal(
            guest_session(&world.guest, &world.rig,
                          encrypt ? VIRTIO_CRYPTO_OP_ENCRYPT : VIRTIO_CRYPTO_OP_DECRYPT,
                          key, size, &id),
            VIRTIO_CRYPTO_OK);
        rig_fill(world.ram.bytes + GUEST_SOURCE(i), bytes, i);
        /* Twice: the second time the key's schedule is there already. */
        for (int turn = 0; turn < 2; turn++) {
            memset(world.ram.bytes + GUEST_TARGET(i), 0, bytes);
            (void)guest_cipher(&world.guest, i, id,
                               encrypt ? VIRTIO_CRYPTO_CIPHER_ENCRYPT
                                       : VIRTIO_CRYPTO_CIPHER_DECRYPT,
                               iv, bytes);
            ring_notify(&world.guest.ring[RING_DATA], &world.rig);
            rig_work(&world.rig);
            assert_int_equal(ring_take(&world.guest.ring[RING_DATA], &elem), 1);
            assert_int_equal(elem.len, bytes + 1);
            assert_int_equal(guest_status(&world.guest, i), VIRTIO_CRYPTO_OK);
            by_hand(key, size, encrypt, iv, world.ram.bytes + GUEST_SOURCE(i), bytes,
                    expected);
            assert_memory_equal(world.ram.bytes + GUEST_TARGET(i), expected, bytes);
        }
    }
}

static void an_eventfd_notifies_as_a_write_does(void **state)
{
    struct ferry_request request = { .kind = FERRY_RQ_REGION_IO_FDS };
    struct ferry_io_fd entry[8];
    struct vring_used_elem elem;
    uint8_t key[32];
    uint64_t id = 0;

    (void)state;
    rig_fill(key, sizeof(key), 7);
    assert_int_equal(guest_session(&world.guest, &world.rig, VIRTIO_CRYPTO_OP_ENCRYPT,
                                   key, sizeof(key), &id),
                     VIRTIO_CRYPTO_OK);
    request.u.io_fds =
        (struct ferry_region_io_fds){ .index = ACC_BAR_VIRTIO, .cap = 8, .entry = entry };
    assert_int_equal(rig_request(&world.rig, &request), FERRY_OK);
    assert_int_equal(request.u.io_fds.count, 2); /* one data queue and control */
    assert_int_equal(entry[RING_DATA].off, VIRTIO_PCI_NOTIFY_OFF);
    queue_one(0, id, 512);
    rig_work(&world.rig);
    assert_int_equal(ring_take(&world.guest.ring[RING_DATA], &elem), 0); /* not yet */
    assert_int_equal(eventfd_write(entry[RING_DATA].fd, 1), 0);
    rig_work(&world.rig);
    assert_int_equal(ring_take(&world.guest.ring[RING_DATA], &elem), 1);
    check_one(0, key, 512);
}

/* One request through an indirect table with pieces that split blocks and headers. */
static void scattered_buffers_give_the_same_result(void **state)
{
    static const uint32_t out_piece[] = { 40, 39, 3, 6, 1, 15, 100, 33, 1900, 63, 2000 };
    static const uint32_t in_piece[] = { 5, 11, 2049, 47, 2000, 1 };
    struct ring *ring = &world.guest.ring[RING_DATA];
    uint8_t *table = world.ram.bytes + 0x90000;
    const uint32_t bytes = 4112;
    uint8_t key[32];
    uint8_t iv[16];
    uint8_t expected[4112];
    uint8_t flat[88 + 4112];
    uint32_t out_off = 0x200000;
    uint32_t in_off = 0x300000;
    uint32_t count = 0;
    uint32_t at = 0;
    uint64_t id = 0;

    (void)state;
    rig_fill(key, sizeof(key), 1);
    rig_fill(iv, sizeof(iv), 2);
    assert_int_equal(
        guest_session(&world.guest, &world.rig, VIRTIO_CRYPTO_OP_ENCRYPT, key, 32, &id),
        VIRTIO_CRYPTO_OK);
    /* The flat request, to be cut: header and IV from a queued one, then the data. */
    (void)guest_cipher(&world.guest, 0, id, VIRTIO_CRYPTO_CIPHER_ENCRYPT, iv, bytes);
    ring->avail--;
    memcpy(flat, world.ram.bytes + GUEST_SLOT(0), 88);
    rig_fill(flat + 88, bytes, 3);
    for (size_t i = 0; i < sizeof(out_piece) / sizeof(out_piece[0]); i++, count++) {
        const struct vring_desc desc = { .addr = RING_IOVA(out_off),
                                         .len = out_piece[i],
                                         .flags = VRING_DESC_F_NEXT,
                                         .next = (uint16_t)(count + 1) };

        memcpy(table + count * sizeof(desc), &desc, sizeof(desc));
        memcpy(world.ram.bytes + out_off, flat + at, out_piece[i]);
        at += out_piece[i];
        out_off += 0x1003;
    }
    assert_int_equal(at, sizeof(flat));
    for (size_t i = 0; i < sizeof(in_piece) / sizeof(in_piece[0]); i++, count++) {
        const int last = i + 1 == sizeof(in_piece) / sizeof(in_piece[0]);
        const struct vring_desc desc = {
            .addr = RING_IOVA(in_off),
            .len = in_piece[i],
            .flags = (uint16_t)(VRING_DESC_F_WRITE | (last ? 0 : VRING_DESC_F_NEXT)),
            .next = (uint16_t)(count + 1),
        };

        memcpy(table + count * sizeof(desc), &desc, sizeof(desc));
        in_off += 0x1001;
    }
    ring_desc(ring, 0, RING_IOVA(0x90000), count * 16, VRING_DESC_F_INDIRECT, 0);
    ring_offer(ring, 0);
    ring_notify(ring, &world.rig);
    rig_work(&world.rig);
    by_hand(key, 32, 1, iv, flat + 88, bytes, expected);
    at = 0;
    in_off = 0x300000;
    for (size_t i = 0; i + 1 < sizeof(in_piece) / sizeof(in_piece[0]); i++) {
        assert_memory_equal(world.ram.bytes + in_off, expected + at, in_piece[i]);
        at += in_piece[i];
        in_off += 0x1001;
    }
    assert_int_equal(world.ram.bytes[in_off], VIRTIO_CRYPTO_OK);
    assert_int_equal(at, bytes);
}

static void bad_requests_get_their_status(void **state)
{
    struct ring *ring = &world.guest.ring[RING_DATA];
    const uint8_t key[32] = { 9 };
    const uint8_t iv[16] = { 0 };
    struct virtio_crypto_op_data_req *request =
        (struct virtio_crypto_op_data_req *)(void *)(world.ram.bytes + GUEST_SLOT(0));
    struct virtio_crypto_cipher_para *para = &request->u.sym_req.u.cipher.para;
    struct vring_used_elem elem;
    uint64_t id = 0;

    (void)state;
    assert_int_equal(
        guest_session(&world.guest, &world.rig, VIRTIO_CRYPTO_OP_ENCRYPT, key, 32, &id),
        VIRTIO_CRYPTO_OK);
    for (int i = 0; i < 10; i++) {
        static const uint8_t expected[] = {
            VIRTIO_CRYPTO_OK,     VIRTIO_CRYPTO_NOTSUPP, VIRTIO_CRYPTO_BADMSG,
            VIRTIO_CRYPTO_BADMSG, VIRTIO_CRYPTO_BADMSG,  VIRTIO_CRYPTO_BADMSG,
            VIRTIO_CRYPTO_BADMSG, VIRTIO_CRYPTO_NOTSUPP, VIRTIO_CRYPTO_INVSESS,
            VIRTIO_CRYPTO_BADMSG,
        };

        (void)guest_cipher(&world.guest, 0, id, VIRTIO_CRYPTO_CIPHER_ENCRYPT, iv, 64);
        switch (i) {
        case 1:
            request->header.opcode = VIRTIO_CRYPTO_HASH;
            break;
        case 2:
            request->header.opcode = VIRTIO_CRYPTO_CIPHER_DECRYPT;
            break;
        case 3:
            para->iv_len = 12;
            break;
        case 4:
            para->src_data_len = 63;
            break;
        case 5:
            para->src_data_len = 80; /* more than there is */
            break;
        case 6:
            para->dst_data_len = 0xffffffffu;
            break;
        case 7:
            request->u.sym_req.op_type = VIRTIO_CRYPTO_SYM_OP_ALGORITHM_CHAINING;
            break;
        case 8:
            request->header.session_id = id + (1ull << 60);
            break;
        case 9:
            para->src_data_len = ACC_REQUEST_MAX + 16;
            break;
        default:
            break;
        }
        ring_notify(ring, &world.rig);
        rig_work(&world.rig);
        assert_int_equal(ring_take(ring, &elem), 1);
        assert_int_equal(guest_status(&world.guest, 0), expected[i]);
    }
}

static void sessions_are_bounded_and_their_numbers_are_not_reused(void **state)
{
    const uint8_t key[32] = { 3 };
    uint64_t id[ACC_SESSIONS_DEFAULT + 1];
    uint64_t extra = 0;

    (void)state;
    for (uint32_t i = 0; i < ACC_SESSIONS_DEFAULT; i++) {
        assert_int_equal(guest_session(&world.guest, &world.rig, VIRTIO_CRYPTO_OP_ENCRYPT,
                                       key, 32, &id[i]),
                         VIRTIO_CRYPTO_OK);
    }
    assert_int_equal(guest_session(&world.guest, &world.rig, VIRTIO_CRYPTO_OP_ENCRYPT,
                                   key, 32, &extra),
                     VIRTIO_CRYPTO_NOSPC);
    assert_int_equal(guest_session_end(&world.guest, &world.rig, id[5]),
                     VIRTIO_CRYPTO_OK);
    assert_int_equal(guest_session_end(&world.guest, &world.rig, id[5]),
                     VIRTIO_CRYPTO_INVSESS);
    assert_int_equal(guest_session(&world.guest, &world.rig, VIRTIO_CRYPTO_OP_DECRYPT,
                                   key, 16, &extra),
                     VIRTIO_CRYPTO_OK);
    assert_true(extra != id[5]);
    assert_int_equal(guest_session_end(&world.guest, &world.rig, id[5]),
                     VIRTIO_CRYPTO_INVSESS);
    /* Keys and directions that do not exist. */
    assert_int_equal(guest_session_end(&world.guest, &world.rig, extra),
                     VIRTIO_CRYPTO_OK);
    assert_int_equal(guest_session(&world.guest, &world.rig, VIRTIO_CRYPTO_OP_ENCRYPT,
                                   key, 17, &extra),
                     VIRTIO_CRYPTO_ERR);
    assert_int_equal(guest_session(&world.guest, &world.rig, 3, key, 32, &extra),
                     VIRTIO_CRYPTO_ERR);
}

static void many_requests_are_done_in_order_with_one_interrupt_per_slice(void **state)
{
    struct ring *ring = &world.guest.ring[RING_DATA];
    const uint32_t bytes = 65536 - 4096;
    struct vring_used_elem elem;
    uint8_t key[32];
    uint64_t id = 0;
    uint64_t irqs;

    (void)state;
    rig_fill(key, sizeof(key), 1);
    assert_int_equal(
        guest_session(&world.guest, &world.rig, VIRTIO_CRYPTO_OP_ENCRYPT, key, 32, &id),
        VIRTIO_CRYPTO_OK);
    for (uint32_t slot = 0; slot < 16; slot++) {
        queue_one(slot, id, bytes);
    }
    ring_notify(ring, &world.rig);
    rig_work(&world.rig);
    irqs = rig_irqs(&world.rig, 0);
    assert_true(irqs >= 2 && irqs <= 5); /* 15 requests of 60 KiB in slices of 256 KiB */
    for (uint32_t slot = 0; slot < 16; slot++) {
        assert_int_equal(ring_take(ring, &elem), 1);
        assert_int_equal(elem.id, slot * 4);
        check_one(slot, key, bytes);
    }
    assert_int_equal(ring_take(ring, &elem), 0);
    /* The driver is asked to notify again, and does. */
    assert_int_equal(world.ram.bytes[ring->off + 0x5000], 0);
}

int main(void)
{
#define RIG_TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        RIG_TEST(it_encrypts_and_decrypts_as_openssl_does),
        RIG_TEST(an_eventfd_notifies_as_a_write_does),
        RIG_TEST(scattered_buffers_give_the_same_result),
        cmocka_unit_test_setup_teardown(scattered_buffers_give_the_same_result,
                                        set_up_unsealed, tear_down),
        RIG_TEST(bad_requests_get_their_status),
        RIG_TEST(sessions_are_bounded_and_their_numbers_are_not_reused),
        RIG_TEST(many_requests_are_done_in_order_with_one_interrupt_per_slice),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
