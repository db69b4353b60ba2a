/* SPDX-License-Identifier: BSD-3-Clause */
#include "models/acc/acc_hw_private.h"

#include <assert.h>
#include <endian.h>
#include <linux/virtio_crypto.h>
#include <openssl/crypto.h>
#include <string.h>

/* The lengths are the stock driver's; a header that grows changes what it means. */
static_assert(sizeof(struct virtio_crypto_op_ctrl_req) == 72, "virtio 1.1, 5.9.7.2");
static_assert(sizeof(struct virtio_crypto_op_data_req) == 72, "virtio 1.1, 5.9.7.4");
static_assert(sizeof(struct virtio_crypto_session_input) == 16, "virtio 1.1, 5.9.7.2");

static struct acc_cursor out_cursor(const struct virtqueue_chain *chain)
{
    return (struct acc_cursor){ .segment = chain->segment, .count = chain->out_count };
}

static struct acc_cursor in_cursor(const struct virtqueue_chain *chain)
{
    return (struct acc_cursor){ .segment = chain->segment + chain->out_count,
                                .count = chain->in_count };
}

/* Reads the key behind the header and makes the session. *ret_status: VIRTIO_CRYPTO_*. */
static int create_session(struct acc_hw *hw, struct acc_cursor *out,
                          const struct virtio_crypto_op_ctrl_req *request,
                          uint64_t *ret_id, uint32_t *ret_status)
{
    const struct virtio_crypto_sym_create_session_req *sym =
        &request->u.sym_create_session;
    const struct virtio_crypto_cipher_session_para *para = &sym->u.cipher.para;
    const uint32_t key_bytes = le32toh(para->keylen);
    const uint32_t op = le32toh(para->op);
    uint8_t key[ACC_KEY_BYTES_MAX];
    int status;

    *ret_status = VIRTIO_CRYPTO_NOTSUPP;
    if (le32toh(sym->op_type) != VIRTIO_CRYPTO_SYM_OP_CIPHER ||
        le32toh(para->algo) != VIRTIO_CRYPTO_CIPHER_AES_CBC) {
        return FERRY_OK;
    }
    *ret_status = VIRTIO_CRYPTO_ERR;
    if (!acc_session_valid(op, key_bytes) ||
        hw->chain->out_bytes < sizeof(*request) + key_bytes) {
        return FERRY_OK;
    }
    status = acc_cursor_read(hw, out, key, key_bytes);
    if (status == FERRY_OK) {
        *ret_status = acc_session_create(hw, op, key, key_bytes, ret_id) == FERRY_OK
                          ? VIRTIO_CRYPTO_OK
                          : VIRTIO_CRYPTO_NOSPC;
    }
    OPENSSL_cleanse(key, sizeof(key));
    return status;
}

static int answer_create(struct acc_hw *hw, struct acc_cursor *out,
                         const struct virtio_crypto_op_ctrl_req *request,
                         uint32_t *ret_written)
{
    struct acc_cursor in = in_cursor(hw->chain);
    struct virtio_crypto_session_input input = { 0 };
    uint32_t result = 0;
    uint64_t id = 0;
    int status;

    if (hw->chain->in_bytes < sizeof(input)) {
        return FERRY_E_PROTOCOL;
    }
    status = create_session(hw, out, request, &id, &result);
    if (status != FERRY_OK) {
        return status;
    }
    input.session_id = htole64(id);
    input.status = htole32(result);
    *ret_written = sizeof(input);
    return acc_cursor_write(hw, &in, &input, sizeof(input));
}

static int answer_destroy(struct acc_hw *hw,
                          const struct virtio_crypto_op_ctrl_req *request,
                          uint32_t *ret_written)
{
    struct acc_cursor in = in_cursor(hw->chain);
    struct acc_session *session =
        acc_session_find(hw, le64toh(request->u.destroy_session.session_id));
    const struct virtio_crypto_inhdr inhdr = {
        .status = session != NULL ? VIRTIO_CRYPTO_OK : VIRTIO_CRYPTO_INVSESS,
    };

    if (session != NULL) {
        acc_session_destroy(hw, session);
    }
    *ret_written = sizeof(inhdr);
    return acc_cursor_write(hw, &in, &inhdr, sizeof(inhdr));
}

int acc_request_control(struct acc_hw *hw, uint32_t *ret_written)
{
    struct acc_cursor out = out_cursor(hw->chain);
    struct acc_cursor in = in_cursor(hw->chain);
    struct virtio_crypto_op_ctrl_req request;
    uint8_t refusal[sizeof(struct virtio_crypto_session_input)] = { 0 };
    int status;

    if (hw->chain->out_bytes < sizeof(request) || hw->chain->in_bytes == 0) {
        return FERRY_E_PROTOCOL;
    }
    status = acc_cursor_read(hw, &out, &request, sizeof(request));
    if (status != FERRY_OK) {
        return status;
    }
    switch (le32toh(request.header.opcode)) {
    case VIRTIO_CRYPTO_CIPHER_CREATE_SESSION:
        return answer_create(hw, &out, &request, ret_written);
    case VIRTIO_CRYPTO_CIPHER_DESTROY_SESSION:
        return answer_destroy(hw, &request, ret_written);
    default:
        break;
    }
    /* Create answers carry the status behind 8 bytes, destroy answers are one byte. */
    if (hw->chain->in_bytes < sizeof(refusal)) {
        refusal[0] = VIRTIO_CRYPTO_NOTSUPP;
        *ret_written = 1;
    } else {
        refusal[8] = VIRTIO_CRYPTO_NOTSUPP;
        *ret_written = sizeof(refusal);
    }
    return acc_cursor_write(hw, &in, refusal, *ret_written);
}

/* Judges a data request. Return: VIRTIO_CRYPTO_OK with session and length, or an error.
 */
static uint8_t check_data(struct acc_hw *hw,
                          const struct virtio_crypto_op_data_req *request,
                          struct acc_session **ret_session, uint32_t *ret_bytes)
{
    const struct virtio_crypto_cipher_para *para = &request->u.sym_req.u.cipher.para;
    const uint32_t opcode = le32toh(request->header.opcode);
    const uint32_t source_bytes = le32toh(para->src_data_len);
    const uint32_t target_bytes = le32toh(para->dst_data_len);
    uint8_t op;

    if (opcode == VIRTIO_CRYPTO_CIPHER_ENCRYPT) {
        op = VIRTIO_CRYPTO_OP_ENCRYPT;
    } else if (opcode == VIRTIO_CRYPTO_CIPHER_DECRYPT) {
        op = VIRTIO_CRYPTO_OP_DECRYPT;
    } else {
        return VIRTIO_CRYPTO_NOTSUPP;
    }
    if (le32toh(request->u.sym_req.op_type) != VIRTIO_CRYPTO_SYM_OP_CIPHER) {
        return VIRTIO_CRYPTO_NOTSUPP;
    }
    *ret_session = acc_session_find(hw, le64toh(request->header.session_id));
    if (*ret_session == NULL) {
        return VIRTIO_CRYPTO_INVSESS;
    }
    if ((*ret_session)->op != op || le32toh(para->iv_len) != ACC_BLOCK_BYTES ||
        source_bytes > ACC_REQUEST_MAX || source_bytes % ACC_BLOCK_BYTES != 0 ||
        target_bytes < source_bytes ||
        hw->chain->out_bytes < sizeof(*request) + ACC_BLOCK_BYTES + source_bytes ||
        hw->chain->in_bytes <
            (uint64_t)target_bytes + sizeof(struct virtio_crypto_inhdr)) {
        return VIRTIO_CRYPTO_BADMSG;
    }
    *ret_bytes = source_bytes;
    return VIRTIO_CRYPTO_OK;
}

int acc_request_data(struct acc_hw *hw, uint32_t *ret_written, uint32_t *ret_bytes)
{
    struct acc_cursor out = out_cursor(hw->chain);
    struct acc_cursor in = in_cursor(hw->chain);
    struct acc_cursor last = in;
    struct acc_session *session = NULL;
    struct virtio_crypto_op_data_req request;
    struct virtio_crypto_inhdr inhdr;
    uint8_t iv[ACC_BLOCK_BYTES];
    uint32_t bytes = 0;
    int status;

    if (hw->chain->out_bytes < sizeof(request) || hw->chain->in_bytes < sizeof(inhdr)) {
        return FERRY_E_PROTOCOL;
    }
    status = acc_cursor_read(hw, &out, &request, sizeof(request));
    if (status != FERRY_OK) {
        return status;
    }
    inhdr.status = check_data(hw, &request, &session, &bytes);
    if (inhdr.status == VIRTIO_CRYPTO_OK) {
        status = acc_cursor_read(hw, &out, iv, sizeof(iv));
        if (status == FERRY_OK) {
            status = acc_cipher_run(hw, session, iv, &out, &in, bytes);
        }
        if (status == FERRY_E_DEVICE) {
            inhdr.status = VIRTIO_CRYPTO_ERR;
            status = FERRY_OK;
        }
    }
    /* The status is the last byte that the device may write, however long that part is.
     */
    if (status == FERRY_OK) {
        status = acc_cursor_skip(&last, hw->chain->in_bytes - sizeof(inhdr));
    }
    if (status == FERRY_OK) {
        status = acc_cursor_write(hw, &last, &inhdr, sizeof(inhdr));
    }
    *ret_bytes = bytes;
    *ret_written = bytes + (uint32_t)sizeof(inhdr);
    return status;
}
