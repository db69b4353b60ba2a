/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef FERRY_MODELS_ACC_ACC_HW_PRIVATE_H
#define FERRY_MODELS_ACC_ACC_HW_PRIVATE_H

#include <openssl/evp.h>

#include "models/acc/acc_hw.h"
#include "models/acc/acc_regs.h"

#define ACC_BLOCK_BYTES 16u
#define ACC_BOUNCE_BYTES 4096u

struct acc_session {
    uint32_t generation;
    uint8_t used;
    uint8_t op;        /* VIRTIO_CRYPTO_OP_* */
    uint8_t key_bytes; /* 16, 24 or 32 */
    uint8_t pad;
    uint8_t key[ACC_KEY_BYTES_MAX];
    EVP_CIPHER_CTX *context; /* keyed at the first use, then only the IV changes */
};

struct acc_hw {
    struct virtio_pci virtio;
    uint32_t session_max;
    uint32_t session_count;
    uint32_t next_generation;
    uint32_t paused;
    /* The window's own. */
    uint32_t queue_index, session_index, session_generation;
    uint32_t next_data_queue; /* turn of the data queues */
    uint8_t session_key[ACC_KEY_BYTES_MAX];
    EVP_CIPHER *cipher[3];         /* 128, 192, 256 */
    struct acc_session *session;   /* session_max entries */
    struct virtqueue_chain *chain; /* the request in hand */
    uint8_t bounce[ACC_BOUNCE_BYTES];
};

/* A place in the buffers of a chain. */
struct acc_cursor {
    const struct virtqueue_segment *segment;
    uint32_t count; /* segments left, the present one included */
    uint32_t pad;
    uint64_t done; /* bytes of the present segment that lie behind */
};

/* Sessions: acc_cipher.c. */

/* 1 when op and key length are ones that the engine can do. */
int acc_session_valid(uint32_t op, uint32_t key_bytes);

/* Makes a session in a free slot. Return: FERRY_OK, FERRY_E_LIMIT, FERRY_E_ARGUMENT. */
int acc_session_create(struct acc_hw *hw, uint32_t op, const uint8_t *key,
                       uint32_t key_bytes, uint64_t *ret_id);

/* The session of that number, or NULL. */
struct acc_session *acc_session_find(struct acc_hw *hw, uint64_t id);

/* Forgets a session and its key. */
void acc_session_destroy(struct acc_hw *hw, struct acc_session *session);
void acc_session_destroy_all(struct acc_hw *hw);

/*
 * Runs `bytes` (whole blocks) from source to target and moves both cursors.
 * Return: FERRY_OK; FERRY_E_DEVICE (the cipher failed); a code of ferry_dma_*.
 */
int acc_cipher_run(struct acc_hw *hw, struct acc_session *session, const uint8_t *iv,
                   struct acc_cursor *source, struct acc_cursor *target, uint32_t bytes);

/* Reads or writes through a cursor and moves it. Return: FERRY_OK, a code of ferry_dma_*.
 */
int acc_cursor_read(struct acc_hw *hw, struct acc_cursor *cursor, void *ret_data,
                    size_t count);
int acc_cursor_write(struct acc_hw *hw, struct acc_cursor *cursor, const void *data,
                     size_t count);
/* Moves a cursor on. Return: FERRY_OK, FERRY_E_RANGE (past the end). */
int acc_cursor_skip(struct acc_cursor *cursor, uint64_t count);

/*
 * Requests: acc_request.c. Each performs the request in hw->chain and says how much was
 * written to it. Return: FERRY_OK (a bad request got its error status), or negative: the
 * request cannot be answered, the device needs a reset.
 */
int acc_request_control(struct acc_hw *hw, uint32_t *ret_written);
int acc_request_data(struct acc_hw *hw, uint32_t *ret_written, uint32_t *ret_bytes);

#endif
