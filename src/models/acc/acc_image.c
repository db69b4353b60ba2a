/* SPDX-License-Identifier: BSD-3-Clause */
#include "models/acc/acc_image.h"

#include <string.h>
#include <xxhash.h>

#include "models/le.h"

#define MATCH_MAGIC 0x4343415952524546ull /* "FERRYACC" */
#define STATE_MAGIC 0x54415453u           /* "STAT" */
#define DEVICE_BYTES 40u
#define QUEUE_BYTES 48u
#define SESSION_BYTES 48u
#define HASH_BYTES 8u
#define STATE_OFF ACC_IMAGE_MATCH_BYTES
#define DEVICE_OFF (STATE_OFF + ACC_IMAGE_HEADER_BYTES)
#define QUEUES_OFF (DEVICE_OFF + DEVICE_BYTES)

/* Registers of the device's and of a queue's record, 32 bits each, in stream order. */
static const uint32_t device_regs[] = {
    ACC_W_DRIVER_FEATURES_LO,
    ACC_W_DRIVER_FEATURES_HI,
    ACC_W_STATUS,
    ACC_W_CONFIG_VECTOR,
    ACC_W_ISR,
    ACC_W_DEVICE_SELECT,
    ACC_W_DRIVER_SELECT,
    ACC_W_QUEUE_SELECT,
    ACC_W_S_NEXT,
};
static const uint32_t queue_regs[] = {
    ACC_W_Q_SIZE,    ACC_W_Q_VECTOR,  ACC_W_Q_TAKEN,    ACC_W_Q_PUBLISHED,
    ACC_W_Q_DESC_LO, ACC_W_Q_DESC_HI, ACC_W_Q_AVAIL_LO, ACC_W_Q_AVAIL_HI,
    ACC_W_Q_USED_LO, ACC_W_Q_USED_HI, ACC_W_Q_ENABLE,
};
#define DEVICE_REGS (sizeof(device_regs) / sizeof(device_regs[0]))
#define QUEUE_REGS (sizeof(queue_regs) / sizeof(queue_regs[0]))
#define KEY_WORDS 8u

static uint64_t image_bytes(uint64_t queues, uint64_t sessions)
{
    return QUEUES_OFF + queues * QUEUE_BYTES + sessions * SESSION_BYTES + HASH_BYTES;
}

uint64_t acc_image_max(struct acc_hw *hw)
{
    return image_bytes(acc_hw_read(hw, ACC_W_QUEUES), acc_hw_read(hw, ACC_W_SESSIONS));
}

uint64_t acc_image_bytes(struct acc_hw *hw)
{
    return image_bytes(acc_hw_read(hw, ACC_W_QUEUES), acc_hw_read(hw, ACC_W_S_COUNT));
}

void acc_image_match(struct acc_hw *hw, uint8_t *ret_stream)
{
    le_put64(ret_stream, MATCH_MAGIC);
    le_put32(ret_stream + 8, ACC_IMAGE_VERSION);
    le_put32(ret_stream + 12, acc_hw_read(hw, ACC_W_DEVICE));
    le_put32(ret_stream + 16, acc_hw_read(hw, ACC_W_QUEUES));
    le_put32(ret_stream + 20, acc_hw_read(hw, ACC_W_SESSIONS));
    le_put32(ret_stream + 24, acc_hw_read(hw, ACC_W_ALGORITHMS));
    le_put32(ret_stream + 28, acc_hw_read(hw, ACC_W_VERSION));
    le_put32(ret_stream + 32, acc_hw_read(hw, ACC_W_FEATURES_LO));
    le_put32(ret_stream + 36, acc_hw_read(hw, ACC_W_FEATURES_HI));
    le_put64(ret_stream + 40, XXH3_64bits(ret_stream, 40));
}

int acc_image_match_check(struct acc_hw *hw, const uint8_t *stream)
{
    const uint32_t algorithms = le_get32(stream + 24);
    const uint32_t features_lo = le_get32(stream + 32);
    const uint32_t features_hi = le_get32(stream + 36);

    if (le_get64(stream) != MATCH_MAGIC) {
        return FERRY_E_FOREIGN;
    }
    if (le_get64(stream + 40) != XXH3_64bits(stream, 40)) {
        return FERRY_E_CORRUPT;
    }
    if (le_get32(stream + 8) != ACC_IMAGE_VERSION) {
        return FERRY_E_VERSION;
    }
    if (le_get32(stream + 12) != acc_hw_read(hw, ACC_W_DEVICE)) {
        return FERRY_E_FOREIGN;
    }
    /* The guest sees the number of queues; the other limits may only grow. */
    if (le_get32(stream + 16) != acc_hw_read(hw, ACC_W_QUEUES) ||
        le_get32(stream + 20) > acc_hw_read(hw, ACC_W_SESSIONS) ||
        le_get32(stream + 28) > acc_hw_read(hw, ACC_W_VERSION) ||
        (algorithms & ~acc_hw_read(hw, ACC_W_ALGORITHMS)) != 0 ||
        (features_lo & ~acc_hw_read(hw, ACC_W_FEATURES_LO)) != 0 ||
        (features_hi & ~acc_hw_read(hw, ACC_W_FEATURES_HI)) != 0) {
        return FERRY_E_INCOMPATIBLE;
    }
    return FERRY_OK;
}

static void save_session(struct acc_hw *hw, uint32_t slot, uint8_t *record)
{
    le_put32(record, slot);
    le_put32(record + 4, acc_hw_read(hw, ACC_W_S_INFO));
    le_put32(record + 8, acc_hw_read(hw, ACC_W_S_GENERATION));
    le_put32(record + 12, 0);
    for (uint32_t i = 0; i < KEY_WORDS; i++) {
        le_put32(record + 16 + 4 * i, acc_hw_read(hw, ACC_W_S_KEY + 4 * i));
    }
}

uint64_t acc_image_save(struct acc_hw *hw, uint8_t *ret_stream)
{
    const uint32_t queues = acc_hw_read(hw, ACC_W_QUEUES);
    const uint32_t slots = acc_hw_read(hw, ACC_W_SESSIONS);
    const uint64_t bytes = acc_image_bytes(hw);
    uint8_t *at = ret_stream + QUEUES_OFF;

    memset(ret_stream + STATE_OFF, 0, (size_t)(bytes - STATE_OFF));
    le_put32(ret_stream + STATE_OFF, STATE_MAGIC);
    le_put32(ret_stream + STATE_OFF + 4, (uint32_t)(bytes - STATE_OFF));
    le_put32(ret_stream + STATE_OFF + 8, queues);
    le_put32(ret_stream + STATE_OFF + 12, acc_hw_read(hw, ACC_W_S_COUNT));
    for (size_t i = 0; i < DEVICE_REGS; i++) {
        le_put32(ret_stream + DEVICE_OFF + 4 * i, acc_hw_read(hw, device_regs[i]));
    }
    for (uint32_t queue = 0; queue < queues; queue++, at += QUEUE_BYTES) {
        (void)acc_hw_write(hw, ACC_W_Q_INDEX, queue);
        for (size_t i = 0; i < QUEUE_REGS; i++) {
            le_put32(at + 4 * i, acc_hw_read(hw, queue_regs[i]));
        }
    }
    for (uint32_t slot = 0; slot < slots; slot++) {
        (void)acc_hw_write(hw, ACC_W_S_INDEX, slot);
        if ((acc_hw_read(hw, ACC_W_S_INFO) & ACC_S_INFO_USED) != 0) {
            save_session(hw, slot, at);
            at += SESSION_BYTES;
        }
    }
    le_put64(at, XXH3_64bits(ret_stream, (size_t)(bytes - HASH_BYTES)));
    return bytes;
}

int acc_image_length(struct acc_hw *hw, const uint8_t *stream, uint64_t *ret_bytes)
{
    const uint8_t *header = stream + STATE_OFF;
    const uint32_t queues = le_get32(header + 8);
    const uint32_t sessions = le_get32(header + 12);

    if (le_get32(header) != STATE_MAGIC) {
        return FERRY_E_FOREIGN;
    }
    if (queues != acc_hw_read(hw, ACC_W_QUEUES) ||
        sessions > acc_hw_read(hw, ACC_W_SESSIONS) ||
        le_get32(header + 4) != image_bytes(queues, sessions) - STATE_OFF) {
        return FERRY_E_CORRUPT;
    }
    *ret_bytes = image_bytes(queues, sessions);
    return FERRY_OK;
}

int acc_image_check(const uint8_t *stream, uint64_t bytes)
{
    const size_t hashed = (size_t)(bytes - HASH_BYTES);

    return le_get64(stream + hashed) == XXH3_64bits(stream, hashed) ? FERRY_OK
                                                                    : FERRY_E_CORRUPT;
}

static int load_registers(struct acc_hw *hw, const uint32_t *reg, size_t count,
                          const uint8_t *record)
{
    for (size_t i = 0; i < count; i++) {
        if (acc_hw_write(hw, reg[i], le_get32(record + 4 * i)) != FERRY_OK) {
            return FERRY_E_CORRUPT;
        }
    }
    return FERRY_OK;
}

static int load_session(struct acc_hw *hw, const uint8_t *record)
{
    if (acc_hw_write(hw, ACC_W_S_INDEX, le_get32(record)) != FERRY_OK ||
        acc_hw_write(hw, ACC_W_S_GENERATION, le_get32(record + 8)) != FERRY_OK) {
        return FERRY_E_CORRUPT;
    }
    for (uint32_t i = 0; i < KEY_WORDS; i++) {
        if (acc_hw_write(hw, ACC_W_S_KEY + 4 * i, le_get32(record + 16 + 4 * i)) !=
            FERRY_OK) {
            return FERRY_E_CORRUPT;
        }
    }
    return acc_hw_write(hw, ACC_W_S_INFO, le_get32(record + 4)) == FERRY_OK
               ? FERRY_OK
               : FERRY_E_CORRUPT;
}

int acc_image_load(struct acc_hw *hw, const uint8_t *stream)
{
    const uint32_t queues = le_get32(stream + STATE_OFF + 8);
    const uint32_t sessions = le_get32(stream + STATE_OFF + 12);
    const uint8_t *at = stream + QUEUES_OFF;
    int status;

    (void)acc_hw_write(hw, ACC_W_RESET, 1);
    status = load_registers(hw, device_regs, DEVICE_REGS, stream + DEVICE_OFF);
    for (uint32_t queue = 0; queue < queues && status == FERRY_OK; queue++) {
        (void)acc_hw_write(hw, ACC_W_Q_INDEX, queue);
        status = load_registers(hw, queue_regs, QUEUE_REGS, at);
        at += QUEUE_BYTES;
    }
    for (uint32_t i = 0; i < sessions && status == FERRY_OK; i++) {
        status = load_session(hw, at);
        at += SESSION_BYTES;
    }
    if (status != FERRY_OK) {
        (void)acc_hw_write(hw, ACC_W_RESET, 1);
    }
    return status;
}
