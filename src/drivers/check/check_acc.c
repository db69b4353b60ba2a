/* SPDX-License-Identifier: BSD-3-Clause */
#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "drivers/acc_driver.h"
#include "drivers/check/check_drivers.h"

#define ACC_VENDOR 0x1af4u
#define ACC_DEVICE 0x1054u /* virtio 1.x, type 20: crypto */

/*
 * Requests of this driver's have a descriptor more than acc_guest_encrypt()'s: a target
 * of any length, and behind it what fills it up to whole blocks.
 */
#define CHAIN (ACC_CHAIN + 1)
#define LANES 160u /* requests under way */
/* So many lanes of acc_guest_init() as have descriptors for ours. */
#define SETUP_LANES ((LANES * CHAIN + ACC_CHAIN - 1) / ACC_CHAIN)

#define BLOCK 16u
#define REQUEST_BYTES (128u << 10) /* of a range, with one request */
#define LASTING_LANES 48u          /* requests of begin() */
#define LASTING_BYTES (256u << 10) /* of each: what the device takes */
/* Layout of the driver's memory behind queues and requests. */
#define SOURCE_OFF (1u << 20)
#define SPARE_OFF (2u << 20)

static_assert(SPARE_OFF + LASTING_BYTES <= 4u << 20, "the driver's memory");

/* NIST SP 800-38A, F.2.5: AES-256 in CBC mode. */
static const uint8_t nist_key[ACC_KEY_BYTES] = {
    0x60, 0x3d, 0xeb, 0x10, 0x15, 0xca, 0x71, 0xbe, 0x2b, 0x73, 0xae,
    0xf0, 0x85, 0x7d, 0x77, 0x81, 0x1f, 0x35, 0x2c, 0x07, 0x3b, 0x61,
    0x08, 0xd7, 0x2d, 0x98, 0x10, 0xa3, 0x09, 0x14, 0xdf, 0xf4,
};
static const uint8_t nist_plain[2 * BLOCK] = {
    0x6b, 0xc1, 0xbe, 0xe2, 0x2e, 0x40, 0x9f, 0x96, 0xe9, 0x3d, 0x7e,
    0x11, 0x73, 0x93, 0x17, 0x2a, 0xae, 0x2d, 0x8a, 0x57, 0x1e, 0x03,
    0xac, 0x9c, 0x9e, 0xb7, 0x6f, 0xac, 0x45, 0xaf, 0x8e, 0x51,
};
static const uint8_t nist_cipher[2 * BLOCK] = {
    0xf5, 0x8c, 0x4c, 0x04, 0xd6, 0xe5, 0xf1, 0xba, 0x77, 0x9e, 0xab,
    0xfb, 0x5f, 0x7b, 0xfb, 0xd6, 0x9c, 0xfc, 0x4e, 0x96, 0x7e, 0xdb,
    0x80, 0x8d, 0x67, 0x9f, 0x77, 0x7b, 0xc6, 0x70, 0x2c, 0x7d,
};

struct acc_check {
    struct ferry_check_device *device;
    struct pci_function pci;
    struct guest_ram ram;
    struct acc_driver acc;
    uint8_t busy[LANES];
    uint32_t under_way;
    uint32_t round;  /* no two requests have the same IV */
    uint32_t failed; /* status of the first request that did */
};

static int acc_matches(const uint8_t *config)
{
    return check_driver_is(config, ACC_VENDOR, ACC_DEVICE);
}

static void acc_stop(void *state)
{
    free(state);
}

static int wait_control(void *user, int timeout_ms)
{
    return ferry_check_irq_wait(user, ACC_VECTOR_CONTROL, (uint32_t)timeout_ms);
}

static int acc_start(struct ferry_check_device *device, void **ret_state,
                     struct ferry_error *reterr)
{
    struct acc_check *check = calloc(1, sizeof(*check));
    struct acc_setup setup = { .key = nist_key,
                               .lanes = SETUP_LANES,
                               .control_eventfd = -1,
                               .timeout_ms = (int)CHECK_DRIVER_TIMEOUT_MS,
                               .wait = wait_control,
                               .user = device };
    uint8_t *source;
    int rc;

    if (check == NULL) {
        return ferry_error_set(reterr, FERRY_E_MEMORY, "acc", NULL, 0, "no memory");
    }
    check->device = device;
    check->pci.check = device;
    check->ram.address = ferry_check_memory(device, &check->ram.iova, &check->ram.size);
    assert(acc_guest_need(SETUP_LANES) <= SOURCE_OFF);
    setup.iova = check->ram.iova;
    rc = ferry_check_irqs(device, ACC_VECTORS);
    if (rc != FERRY_OK) {
        ferry_error_set(reterr, rc, "acc", NULL, 0, "no interrupts: %s",
                        ferry_status_text(rc));
    } else {
        rc = acc_guest_init(&check->pci, &check->ram, &check->acc, &setup, reterr);
    }
    if (rc != FERRY_OK) {
        acc_stop(check);
        return rc;
    }
    source = check->ram.address + SOURCE_OFF;
    for (uint32_t i = 0; i < LASTING_BYTES; i++) {
        source[i] = (uint8_t)(i * 7u + (i >> 8));
    }
    *ret_state = check;
    return FERRY_OK;
}

static struct acc_request *request_at(const struct acc_check *check, uint32_t lane)
{
    return guest_at(&check->ram,
                    check->acc.request_iova + lane * sizeof(struct acc_request),
                    sizeof(struct acc_request));
}

/* Encrypts so many bytes of the source: the first go to the range, the rest, which is
 * never empty, to the spare place. iv: NULL for one that was never used. */
static void submit(struct acc_check *check, uint32_t lane, const uint8_t *iv,
                   uint64_t iova, uint32_t range_bytes, uint32_t all_bytes)
{
    struct acc_request *request = request_at(check, lane);
    struct virtio_crypto_cipher_para *para = &request->op.u.sym_req.u.cipher.para;
    const uint64_t at = guest_iova(&check->ram, request);
    const struct virtqueue_piece piece[CHAIN] = {
        { at + offsetof(struct acc_request, op), sizeof(request->op), 0 },
        { at + offsetof(struct acc_request, iv), ACC_IV_BYTES, 0 },
        { check->ram.iova + SOURCE_OFF, all_bytes, 0 },
        { iova, range_bytes, 1 },
        { check->ram.iova + SPARE_OFF, all_bytes - range_bytes, 1 },
        { at + offsetof(struct acc_request, status), 1, 1 },
    };

    assert(!check->busy[lane] && all_bytes > range_bytes && all_bytes % BLOCK == 0);
    memset(request, 0, sizeof(*request));
    request->op.header.opcode = VIRTIO_CRYPTO_CIPHER_ENCRYPT;
    request->op.header.algo = VIRTIO_CRYPTO_CIPHER_AES_CBC;
    request->op.header.session_id = check->acc.session_id;
    request->op.u.sym_req.op_type = VIRTIO_CRYPTO_SYM_OP_CIPHER;
    para->iv_len = ACC_IV_BYTES;
    para->src_data_len = all_bytes;
    para->dst_data_len = all_bytes;
    check->round++;
    memcpy(request->iv, iv != NULL ? iv : (const uint8_t *)&check->round,
           iv != NULL ? ACC_IV_BYTES : sizeof(check->round));
    request->status = ACC_STATUS_NONE;
    virtqueue_put(&check->ram, &check->acc.data, (uint16_t)(lane * CHAIN), piece, CHAIN);
    check->busy[lane] = 1;
    check->under_way++;
}

/* Takes what is there. Return: 1 when nothing is under way any more; negative when the
 * device completed what nobody gave it. */
static int take_all(void *user)
{
    struct acc_check *check = user;
    uint16_t head;
    uint32_t bytes;
    int taken;

    while ((taken = virtqueue_take(&check->ram, &check->acc.data, &head, &bytes)) == 1) {
        const uint32_t lane = head / CHAIN;

        if (head % CHAIN != 0 || lane >= LANES || !check->busy[lane]) {
            return FERRY_E_PROTOCOL;
        }
        check->busy[lane] = 0;
        check->under_way--;
        if (request_at(check, lane)->status != VIRTIO_CRYPTO_OK && check->failed == 0) {
            check->failed = request_at(check, lane)->status;
        }
    }
    return taken < 0 ? taken : check->under_way == 0;
}

static int acc_settle(void *state, struct ferry_error *reterr)
{
    struct acc_check *check = state;
    const uint32_t before = check->under_way;
    int rc = check_driver_wait(check->device, take_all, check);

    if (rc != FERRY_OK) {
        return ferry_error_set(reterr, rc, "acc", NULL, 0,
                               "%u of %u requests are not completed: %s",
                               check->under_way, before, ferry_status_text(rc));
    }
    if (check->failed != 0) {
        rc = ferry_error_set(reterr, FERRY_E_DEVICE, "acc", NULL, 0,
                             "a request ended with status %u", check->failed);
        check->failed = 0;
    }
    return rc;
}

static int kick(struct acc_check *check, struct ferry_error *reterr)
{
    const int rc = acc_guest_kick(&check->pci, &check->acc);

    return rc == FERRY_OK ? FERRY_OK
                          : ferry_error_set(reterr, rc, "acc", NULL, 0,
                                            "the doorbell: %s", ferry_status_text(rc));
}

static int run(struct acc_check *check, struct ferry_error *reterr)
{
    const int rc = kick(check, reterr);

    return rc == FERRY_OK ? acc_settle(check, reterr) : rc;
}

/* Whole blocks, and some bytes more than the range has. */
static uint32_t blocks_over(uint32_t bytes)
{
    return (bytes / BLOCK + 1) * BLOCK;
}

/* One pass over the range, with as many requests at a time as there are lanes. */
static int pass(struct acc_check *check, uint64_t iova, uint64_t bytes,
                struct ferry_error *reterr)
{
    int rc = FERRY_OK;

    while (rc == FERRY_OK && bytes > 0) {
        for (uint32_t lane = 0; lane < LANES && bytes > 0; lane++) {
            const uint32_t piece =
                bytes < REQUEST_BYTES ? (uint32_t)bytes : REQUEST_BYTES;

            submit(check, lane, NULL, iova, piece, blocks_over(piece));
            iova += piece;
            bytes -= piece;
        }
        rc = run(check, reterr);
    }
    return rc;
}

/* Ranges in which every byte is seen to; further passes over them are likely to end. */
#define SMALL_BYTES 256u
#define SMALL_PASSES 64u

static int all_differ(const uint8_t *a, const uint8_t *b, uint64_t bytes)
{
    for (uint64_t i = 0; i < bytes; i++) {
        if (a[i] == b[i]) {
            return 0;
        }
    }
    return 1;
}

static int acc_write(void *state, uint64_t iova, uint64_t bytes,
                     struct ferry_error *reterr)
{
    struct acc_check *check = state;
    const uint8_t *now = ferry_check_memory_at(check->device, iova, bytes);
    const uint64_t small = bytes <= SMALL_BYTES ? bytes : 0;
    uint8_t before[SMALL_BYTES];
    uint32_t passes = 0;
    int rc = acc_settle(check, reterr);

    if (rc != FERRY_OK) {
        return rc;
    }
    if (now == NULL) {
        return ferry_error_set(reterr, FERRY_E_RANGE, "acc", NULL, iova,
                               "not in the memory");
    }
    memcpy(before, now, small);
    do {
        rc = pass(check, iova, bytes, reterr);
    } while (rc == FERRY_OK && !all_differ(before, now, small) &&
             ++passes < SMALL_PASSES);
    return rc;
}

static int acc_begin(void *state, uint64_t iova, uint64_t bytes,
                     struct ferry_error *reterr)
{
    struct acc_check *check = state;
    int rc = acc_settle(check, reterr);

    if (rc != FERRY_OK || bytes == 0) {
        return rc;
    }
    if (ferry_check_memory_at(check->device, iova, bytes) == NULL) {
        return ferry_error_set(reterr, FERRY_E_RANGE, "acc", NULL, iova,
                               "not in the memory");
    }
    /* Each request goes on long behind the range, in memory of the driver's. */
    for (uint32_t lane = 0; lane < LASTING_LANES; lane++) {
        const uint64_t off =
            lane * (uint64_t)REQUEST_BYTES %
            ((bytes + REQUEST_BYTES - 1) / REQUEST_BYTES * REQUEST_BYTES);
        const uint64_t left = bytes - off;

        submit(check, lane, NULL, iova + off,
               left < REQUEST_BYTES ? (uint32_t)left : REQUEST_BYTES, LASTING_BYTES);
    }
    return kick(check, reterr);
}

/* Encrypts what has a known answer: bytes and interrupt arrive. */
static int acc_works(void *state, struct ferry_error *reterr)
{
    struct acc_check *check = state;
    uint8_t iv[ACC_IV_BYTES], saved[sizeof(nist_plain)];
    uint8_t *const source = check->ram.address + SOURCE_OFF;
    uint8_t *const spare = check->ram.address + SPARE_OFF;
    const uint64_t target = SPARE_OFF + BLOCK;
    int rc = acc_settle(check, reterr);

    if (rc != FERRY_OK) {
        return rc;
    }
    (void)ferry_check_irq_wait(check->device, ACC_VECTOR_DATA,
                               0); /* of what was before */
    for (uint8_t i = 0; i < sizeof(iv); i++) {
        iv[i] = i;
    }
    memcpy(saved, source, sizeof(saved));
    memcpy(source, nist_plain, sizeof(nist_plain));
    memset(spare, 0, BLOCK + sizeof(nist_cipher));
    submit(check, 0, iv, check->ram.iova + target, BLOCK, sizeof(nist_plain));
    rc = run(check, reterr);
    memcpy(source, saved, sizeof(saved));
    if (rc != FERRY_OK) {
        return rc;
    }
    if (memcmp(spare + BLOCK, nist_cipher, BLOCK) != 0 ||
        memcmp(spare, nist_cipher + BLOCK, BLOCK) != 0) {
        return ferry_error_set(reterr, FERRY_E_DEVICE, "acc", NULL, 0,
                               "a known text is encrypted wrongly");
    }
    rc = ferry_check_irq_wait(check->device, ACC_VECTOR_DATA, CHECK_DRIVER_TIMEOUT_MS);
    return rc == FERRY_OK ? FERRY_OK
                          : ferry_error_set(reterr, rc, "acc", NULL, 0,
                                            "no interrupt for completed requests: %s",
                                            ferry_status_text(rc));
}

/* Where the device is in its queue is part of its state. */
static int acc_change(void *state, struct ferry_error *reterr)
{
    struct acc_check *check = state;
    int rc = acc_settle(check, reterr);

    if (rc == FERRY_OK) {
        submit(check, 0, NULL, check->ram.iova + SPARE_OFF + BLOCK, BLOCK, 2 * BLOCK);
        rc = run(check, reterr);
    }
    return rc;
}

const struct ferry_check_driver check_driver_acc = {
    .struct_size = sizeof(check_driver_acc),
    .name = "acc",
    .matches = acc_matches,
    .start = acc_start,
    .stop = acc_stop,
    .works = acc_works,
    .write = acc_write,
    .begin = acc_begin,
    .settle = acc_settle,
    .change = acc_change,
};
