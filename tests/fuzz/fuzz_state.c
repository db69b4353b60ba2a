/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Fuzzes the loading of device states: arbitrary bytes are taken or refused, and what was
 * taken can be saved into a sound state again. The first byte chooses the model (bit 2:
 * nic; else bit 0: copy, else acc) and whether hashes are put right before (bit 1).
 */
#include <string.h>
#include <xxhash.h>

#include "base/reader.h"
#include "base/writer.h"
#include "models/acc/acc_driver.h"
#include "models/acc/acc_image.h"
#include "models/acc/acc_regs.h"
#include "models/copy/copy_private.h"
#include "models/models.h"
#include "models/nic/migration/migration_private.h"
#include "must.h"

#define STATE_MAX (64u << 10)
#define PAGES 4u

/* What is saved has records that a state may lack. */
static uint8_t state[STATE_MAX], saved[2][2 * STATE_MAX];

static struct acc_hw *acc_new(void)
{
    struct acc_hw *hw = NULL;

    must(acc_hw_create(1, 4, &hw) == FERRY_OK);
    must(acc_hw_write(hw, ACC_W_CONTROL, ACC_CONTROL_PAUSE) == FERRY_OK);
    return hw;
}

static uint64_t acc_save(struct acc_hw *hw, uint8_t *to)
{
    uint64_t bytes = acc_image_bytes(hw);

    must(bytes <= STATE_MAX && bytes <= acc_image_max(hw));
    acc_image_match(hw, to);
    must(acc_image_save(hw, to) == bytes);
    return bytes;
}

/* As the variant driver takes a stream. Return: FERRY_OK, or why not. */
static int acc_load(struct acc_hw *hw, uint8_t *from, size_t size, int put_right)
{
    uint64_t bytes = 0;
    int rc;

    if (size < ACC_IMAGE_MATCH_BYTES + ACC_IMAGE_HEADER_BYTES) {
        return FERRY_E_SHORT;
    }
    if (put_right) {
        acc_image_match(hw, from);
    }
    rc = acc_image_match_check(hw, from);
    rc = rc == FERRY_OK ? acc_image_length(hw, from, &bytes) : rc;
    if (rc != FERRY_OK) {
        return rc;
    }
    must(bytes <= acc_image_max(hw));
    if (bytes > size) {
        return FERRY_E_SHORT;
    }
    if (put_right) {
        ferry_store_le64(from + bytes - 8, XXH3_64bits(from, (size_t)bytes - 8));
    }
    rc = acc_image_check(from, bytes);
    return rc == FERRY_OK ? acc_image_load(hw, from) : rc;
}

static void fuzz_acc(size_t size, int put_right)
{
    struct acc_hw *hw = acc_new(), *other = acc_new();
    uint64_t bytes;

    if (acc_load(hw, state, size, put_right) != FERRY_OK) {
        must(acc_hw_read(hw, ACC_W_S_COUNT) == 0 && acc_hw_read(hw, ACC_W_STATUS) == 0);
    } else {
        bytes = acc_save(hw, saved[0]);
        must(acc_load(other, saved[0], (size_t)bytes, 0) == FERRY_OK);
        must(acc_save(other, saved[1]) == bytes);
        must(memcmp(saved[0], saved[1], (size_t)bytes) == 0);
    }
    acc_hw_destroy(hw);
    acc_hw_destroy(other);
}

static void copy_new(struct copy *copy)
{
    memset(copy, 0, sizeof(*copy));
    copy->memory_bytes = PAGES * COPY_PAGE_BYTES;
    copy->page_count = PAGES;
    copy->channel_count = 2;
    copy->memory = calloc(PAGES, COPY_PAGE_BYTES);
    must(copy->memory != NULL);
    for (uint32_t i = 0; i < 2; i++) {
        copy_channel_reset(&copy->channel[i]);
    }
}

static void copy_free(struct copy *copy)
{
    copy_load_end(copy);
    copy_save_end(copy);
    free(copy->memory);
}

/* Puts the hashes of a stream of records right, as far as records follow each other. */
static void copy_put_right(size_t size)
{
    size_t at = 0;

    while (size - at >= COPY_RECORD_BYTES) {
        uint32_t type = ferry_load_le32(state + at),
                 count = ferry_load_le32(state + at + 4);
        size_t payload = type == COPY_REC_MATCH || type == COPY_REC_STATE ? count : 0;

        if (type == COPY_REC_DATA) {
            payload = (size_t)(count % 16u) * COPY_PAGE_BYTES;
        } else if (type == COPY_REC_END) {
            payload = COPY_END_BYTES;
            ferry_store_le64(state + at + 8, at);
        }
        at += COPY_RECORD_BYTES;
        if (payload > size - at) {
            return;
        }
        if (type == COPY_REC_MATCH && count == COPY_MATCH_BYTES) {
            ferry_store_le64(state + at + 24, XXH3_64bits(state, at + 24));
        } else if (type == COPY_REC_END) {
            ferry_store_le64(state + at, XXH3_64bits(state, at));
        }
        at += payload;
    }
}

static int copy_load(struct copy *copy, const uint8_t *from, size_t size)
{
    int rc = copy_load_begin(copy);

    must(rc == FERRY_OK);
    rc = copy_load_write(copy, from, size);
    return rc == FERRY_OK ? copy_load_finish(copy) : rc;
}

static size_t copy_save_all(struct copy *copy, uint8_t *to)
{
    size_t bytes = 0;
    int got;

    must(copy_save_begin(copy, 0) == FERRY_OK);
    copy_save_freeze(copy);
    while ((got = copy_save_read(copy, to + bytes, STATE_MAX - bytes)) > 0) {
        bytes += (size_t)got;
        must(bytes < STATE_MAX);
    }
    must(got == 0);
    copy_save_end(copy);
    return bytes;
}

static void fuzz_copy(size_t size, int put_right)
{
    static struct copy copy, other;
    size_t bytes;

    if (put_right) {
        copy_put_right(size);
    }
    copy_new(&copy);
    copy_new(&other);
    if (copy_load(&copy, state, size) == FERRY_OK) {
        copy_load_end(&copy);
        bytes = copy_save_all(&copy, saved[0]);
        must(copy_load(&other, saved[0], bytes) == FERRY_OK);
        copy_load_end(&other);
        must(memcmp(copy.memory, other.memory, PAGES * COPY_PAGE_BYTES) == 0);
        must(copy_save_all(&other, saved[1]) == bytes);
        must(memcmp(saved[0], saved[1], bytes) == 0);
    }
    copy_free(&copy);
    copy_free(&other);
}

/* As after power-on. */
static void nic_renew(struct nic *nic)
{
    nic_save_end(nic->migration);
    nic_load_end(nic->migration);
    virtio_pci_reset(&nic->virtio);
    nic_queues_reset(nic);
    nic_flows_clear(nic->flows);
    memset(nic->receive, 0, sizeof(nic->receive));
    memset(nic->transmit, 0, sizeof(nic->transmit));
}

static struct nic *nic_new(void)
{
    const struct ferry_model_options options = { .struct_size = sizeof(options) };
    struct ferry_device *device;
    void *nic = NULL;

    must(ferry_model_find("nic")->create(&options, &device, &nic, NULL) == FERRY_OK);
    return nic;
}

static void nic_put_right(const struct nic *nic, size_t size)
{
    size_t at = 0;

    if (size >= NIC_RECORD_BYTES + NIC_MATCH_BYTES) {
        nic_record_put(state, NIC_TAG_MATCH, NIC_MATCH_BYTES);
        nic_image_write(nic, NIC_TAG_MATCH, state + NIC_RECORD_BYTES);
    }
    while (size - at >= NIC_RECORD_BYTES) {
        const uint64_t bytes = ferry_load_le64(state + at);

        if (bytes > size - at - NIC_RECORD_BYTES) {
            return;
        }
        if (ferry_load_le32(state + at + 12) == NIC_TAG_END && bytes == NIC_END_BYTES) {
            ferry_store_le64(state + at + NIC_RECORD_BYTES, at);
            ferry_store_le64(state + at + NIC_RECORD_BYTES + 8,
                             XXH3_64bits(state, at + NIC_RECORD_BYTES + 8));
        }
        at += NIC_RECORD_BYTES + (size_t)bytes;
    }
}

/* In pieces of a size that the state itself chooses. */
static int nic_load(struct nic *nic, const uint8_t *from, size_t size)
{
    const size_t piece = size != 0 ? from[size - 1] * 7u + 1u : 1;
    int rc = nic_load_begin(nic->migration);

    must(rc == FERRY_OK);
    for (size_t at = 0; at < size && rc == FERRY_OK; at += piece) {
        rc = nic_load_write(nic->migration, from + at,
                            size - at < piece ? size - at : piece);
    }
    return nic_load_finish(nic->migration);
}

static size_t nic_save_all(struct nic *nic, uint8_t *to)
{
    uint64_t said = 0;
    size_t bytes = 0;
    int got;

    must(nic_save_begin(nic->migration, 0) == FERRY_OK);
    must(nic_migration_data_size(nic->migration, &said) == FERRY_OK);
    while ((got = nic_migration_save(nic->migration, to + bytes, 2 * STATE_MAX - bytes)) >
           0) {
        bytes += (size_t)got;
        must(bytes < 2 * STATE_MAX);
    }
    must(got == 0 && bytes <= said);
    nic_save_end(nic->migration);
    return bytes;
}

static void fuzz_nic(size_t size, int put_right)
{
    static struct nic *nic, *other;
    size_t bytes;

    if (nic == NULL) {
        nic = nic_new();
        other = nic_new();
    }
    if (put_right) {
        nic_put_right(nic, size);
    }
    if (nic_load(nic, state, size) != FERRY_OK) {
        nic_renew(nic); /* what a refused load leaves goes with the reset */
    }
    bytes = nic_save_all(nic, saved[0]);
    must(nic_load(other, saved[0], bytes) == FERRY_OK);
    must(nic_save_all(other, saved[1]) == bytes);
    must(memcmp(saved[0], saved[1], bytes) == 0);
    nic_renew(nic);
    nic_renew(other);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < 1 || size - 1 > STATE_MAX) {
        return 0;
    }
    memcpy(state, data + 1, size - 1);
    if ((data[0] & 4) != 0) {
        fuzz_nic(size - 1, data[0] & 2);
    } else if ((data[0] & 1) != 0) {
        fuzz_copy(size - 1, data[0] & 2);
    } else {
        fuzz_acc(size - 1, data[0] & 2);
    }
    return 0;
}
