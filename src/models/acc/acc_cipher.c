/* SPDX-License-Identifier: BSD-3-Clause */
#include "models/acc/acc_hw_private.h"

#include <linux/virtio_crypto.h>
#include <openssl/crypto.h>
#include <string.h>

/* A session's number: its slot, and above it what tells it from earlier ones there. */
#define SLOT_BITS 16u

int acc_session_valid(uint32_t op, uint32_t key_bytes)
{
    return (op == VIRTIO_CRYPTO_OP_ENCRYPT || op == VIRTIO_CRYPTO_OP_DECRYPT) &&
           (key_bytes == 16 || key_bytes == 24 || key_bytes == 32);
}

int acc_session_create(struct acc_hw *hw, uint32_t op, const uint8_t *key,
                       uint32_t key_bytes, uint64_t *ret_id)
{
    struct acc_session *session;
    uint32_t slot = 0;

    if (!acc_session_valid(op, key_bytes)) {
        return FERRY_E_ARGUMENT;
    }
    if (hw->session_count == hw->session_max) {
        return FERRY_E_LIMIT;
    }
    while (hw->session[slot].used != 0) {
        slot++;
    }
    session = &hw->session[slot];
    session->generation = hw->next_generation++;
    session->used = 1;
    session->op = (uint8_t)op;
    session->key_bytes = (uint8_t)key_bytes;
    memcpy(session->key, key, key_bytes);
    hw->session_count++;
    *ret_id = (uint64_t)session->generation << SLOT_BITS | slot;
    return FERRY_OK;
}

struct acc_session *acc_session_find(struct acc_hw *hw, uint64_t id)
{
    const uint64_t slot = id & ((1u << SLOT_BITS) - 1);

    if (slot >= hw->session_max || hw->session[slot].used == 0 ||
        hw->session[slot].generation != id >> SLOT_BITS) {
        return NULL;
    }
    return &hw->session[slot];
}

void acc_session_destroy(struct acc_hw *hw, struct acc_session *session)
{
    if (session->used == 0) {
        return;
    }
    EVP_CIPHER_CTX_free(session->context);
    OPENSSL_cleanse(session, sizeof(*session));
    hw->session_count--;
}

void acc_session_destroy_all(struct acc_hw *hw)
{
    for (uint32_t i = 0; i < hw->session_max; i++) {
        acc_session_destroy(hw, &hw->session[i]);
    }
}

/* Makes the session's context ready for one request. */
static int start(struct acc_hw *hw, struct acc_session *session, const uint8_t *iv)
{
    const EVP_CIPHER *cipher = hw->cipher[session->key_bytes / 8 - 2];
    const int encrypt = session->op == VIRTIO_CRYPTO_OP_ENCRYPT;

    if (session->context != NULL) {
        /* The key's schedule stays; only the IV is new. */
        return EVP_CipherInit_ex2(session->context, NULL, NULL, iv, -1, NULL) == 1
                   ? FERRY_OK
                   : FERRY_E_DEVICE;
    }
    session->context = EVP_CIPHER_CTX_new();
    if (session->context == NULL ||
        EVP_CipherInit_ex2(session->context, cipher, session->key, iv, encrypt, NULL) !=
            1 ||
        EVP_CIPHER_CTX_set_padding(session->context, 0) != 1) {
        EVP_CIPHER_CTX_free(session->context);
        session->context = NULL;
        return FERRY_E_DEVICE;
    }
    return FERRY_OK;
}

static int update(struct acc_session *session, uint8_t *target, const uint8_t *source,
                  uint64_t bytes)
{
    int done = 0;

    return EVP_CipherUpdate(session->context, target, &done, source, (int)bytes) == 1 &&
                   (uint64_t)done == bytes
               ? FERRY_OK
               : FERRY_E_DEVICE;
}

static uint64_t cursor_left(const struct acc_cursor *cursor)
{
    return cursor->count != 0 ? cursor->segment->size - cursor->done : 0;
}

static void cursor_move(struct acc_cursor *cursor, uint64_t count)
{
    cursor->done += count;
    if (cursor->done == cursor->segment->size) {
        cursor->segment++;
        cursor->count--;
        cursor->done = 0;
    }
}

int acc_cursor_skip(struct acc_cursor *cursor, uint64_t count)
{
    while (count != 0) {
        const uint64_t left = cursor_left(cursor);

        if (left == 0) {
            return FERRY_E_RANGE;
        }
        cursor_move(cursor, count < left ? count : left);
        count -= count < left ? count : left;
    }
    return FERRY_OK;
}

int acc_cursor_read(struct acc_hw *hw, struct acc_cursor *cursor, void *ret_data,
                    size_t count)
{
    uint8_t *to = ret_data;

    while (count != 0) {
        const uint64_t left = cursor_left(cursor);
        const size_t part = count < left ? count : (size_t)left;
        int status;

        if (part == 0) {
            return FERRY_E_RANGE;
        }
        status = ferry_dma_read(hw->virtio.device, cursor->segment->iova + cursor->done,
                                to, part);
        if (status != FERRY_OK) {
            return status;
        }
        cursor_move(cursor, part);
        to += part;
        count -= part;
    }
    return FERRY_OK;
}

int acc_cursor_write(struct acc_hw *hw, struct acc_cursor *cursor, const void *data,
                     size_t count)
{
    const uint8_t *from = data;

    while (count != 0) {
        const uint64_t left = cursor_left(cursor);
        const size_t part = count < left ? count : (size_t)left;
        int status;

        if (part == 0) {
            return FERRY_E_RANGE;
        }
        status = ferry_dma_write(hw->virtio.device, cursor->segment->iova + cursor->done,
                                 from, part);
        if (status != FERRY_OK) {
            return status;
        }
        cursor_move(cursor, part);
        from += part;
        count -= part;
    }
    return FERRY_OK;
}

/*
 * Runs whole blocks straight from memory to memory.
 * Return: bytes done (0: the mappings end inside the next block), or negative;
 *   FERRY_E_UNSUPPORTED for memory that is reached by message.
 */
static int run_direct(struct acc_hw *hw, struct acc_session *session,
                      struct acc_cursor *source, struct acc_cursor *target,
                      uint64_t bytes)
{
    struct ferry_device *device = hw->virtio.device;
    struct ferry_dma_segment from;
    struct ferry_dma_segment to;
    uint64_t both;
    int status;

    status = ferry_dma_get(device, source->segment->iova + source->done, bytes, 0, &from);
    if (status != FERRY_OK) {
        return status;
    }
    status = ferry_dma_get(device, target->segment->iova + target->done, bytes, 1, &to);
    if (status != FERRY_OK) {
        ferry_dma_put(device, &from, 0);
        return status;
    }
    both = from.size < to.size ? from.size : to.size;
    both -= both % ACC_BLOCK_BYTES;
    if (both != 0) {
        status = update(session, to.address, from.address, both);
    }
    /* Logged also after a failure: part of it may be written. */
    ferry_dma_put(device, &to, both);
    ferry_dma_put(device, &from, 0);
    if (status != FERRY_OK) {
        return status;
    }
    if (both != 0) {
        cursor_move(source, both);
        cursor_move(target, both);
    }
    return (int)both;
}

/* Runs blocks through the bounce buffer: they straddle segments or have no address. */
static int run_bounced(struct acc_hw *hw, struct acc_session *session,
                       struct acc_cursor *source, struct acc_cursor *target,
                       uint64_t bytes)
{
    const size_t part = bytes < sizeof(hw->bounce) ? (size_t)bytes : sizeof(hw->bounce);
    int status = acc_cursor_read(hw, source, hw->bounce, part);

    if (status == FERRY_OK) {
        status = update(session, hw->bounce, hw->bounce, part);
    }
    if (status == FERRY_OK) {
        status = acc_cursor_write(hw, target, hw->bounce, part);
    }
    return status == FERRY_OK ? (int)part : status;
}

int acc_cipher_run(struct acc_hw *hw, struct acc_session *session, const uint8_t *iv,
                   struct acc_cursor *source, struct acc_cursor *target, uint32_t bytes)
{
    int status = start(hw, session, iv);

    while (status == FERRY_OK && bytes != 0) {
        uint64_t direct = bytes;
        int done = 0;

        direct = direct < cursor_left(source) ? direct : cursor_left(source);
        direct = direct < cursor_left(target) ? direct : cursor_left(target);
        direct -= direct % ACC_BLOCK_BYTES;
        if (direct != 0) {
            done = run_direct(hw, session, source, target, direct);
        }
        if (done == FERRY_E_UNSUPPORTED) {
            done = run_bounced(hw, session, source, target, direct);
        } else if (done == 0) {
            done = run_bounced(hw, session, source, target, ACC_BLOCK_BYTES);
        }
        if (done < 0) {
            status = done;
        } else {
            bytes -= (uint32_t)done;
        }
    }
    return status;
}
