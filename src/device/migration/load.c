/* SPDX-License-Identifier: BSD-3-Clause */
#include "device/migration/stream.h"

#include <assert.h>
#include <string.h>

#include "base/reader.h"
#include "device/device_private.h"

/* What is asked for at a time when the author has no place for the next bytes. */
#define UNPLACED_BYTES 4096u

/*
 * The way in. Each stage collects one item of `need` bytes, then looks at it whole; data
 * goes to the author as it comes.
 */
enum load_stage {
    LOAD_HEADER = 0,
    LOAD_FRAME,
    LOAD_DATA,
    LOAD_LATCH,
    LOAD_ENTRY,
    LOAD_VECTOR,
    LOAD_END,
    LOAD_OVER
};

static void expect(struct device_load *load, enum load_stage stage, size_t need)
{
    load->stage = (uint32_t)stage;
    load->have = 0;
    load->need = need;
}

void device_load_begin(struct ferry_device *device)
{
    memset(&device->load, 0, sizeof(device->load));
    expect(&device->load, LOAD_HEADER, DEVICE_STREAM_HEADER_BYTES);
}

/* The rule for which data is refused with this code. */
static const char *rule_of(int code)
{
    switch (code) {
    case FERRY_E_FOREIGN:
        return "MIG-DATA-8";
    case FERRY_E_VERSION:
        return "MIG-COMPAT-3";
    case FERRY_E_LONG:
        return "MIG-DATA-9";
    case FERRY_E_INCOMPATIBLE: /* doorbells for a device that latches none */
        return "MIG-P2P-2";
    default:
        return "MIG-DATA-10";
    }
}

static int refuse(struct ferry_error *reterr, int code, const struct device_load *load,
                  const char *what, uint64_t value)
{
    return ferry_error_set(reterr, code, "device", rule_of(code), load->total,
                           "device stream: %s (%llu)", what, (unsigned long long)value);
}

static int header_done(struct ferry_device *device, struct ferry_error *reterr)
{
    struct device_load *load = &device->load;
    const struct ferry_identity *identity = &device->identity;
    const uint32_t version = ferry_load_le32(load->item + 4);
    const uint32_t state_version = ferry_load_le32(load->item + 8);

    if (ferry_load_le32(load->item) != DEVICE_STREAM_MAGIC) {
        return refuse(reterr, FERRY_E_FOREIGN, load, "is none",
                      ferry_load_le32(load->item));
    }
    if (version != DEVICE_STREAM_VERSION) {
        return refuse(reterr, FERRY_E_VERSION, load, "unknown version", version);
    }
    if (memcmp(load->item + 16, identity->model, FERRY_MODEL_BYTES) != 0) {
        return refuse(reterr, FERRY_E_FOREIGN, load, "of another model", 0);
    }
    if (state_version < identity->state_version_min ||
        state_version > identity->state_version) {
        return refuse(reterr, FERRY_E_VERSION, load, "state version", state_version);
    }
    if (ferry_load_le32(load->item + 12) != 0) {
        return refuse(reterr, FERRY_E_PROTOCOL, load, "reserved bytes in the header", 12);
    }
    expect(load, LOAD_FRAME, DEVICE_STREAM_FRAME_BYTES);
    return FERRY_OK;
}

static int frame_done(struct ferry_device *device, struct ferry_error *reterr)
{
    struct device_load *load = &device->load;
    const uint32_t type = ferry_load_le32(load->item);
    const uint32_t length = ferry_load_le32(load->item + 4);

    if (type == DEVICE_FRAME_DATA && length >= 1 && length <= DEVICE_STREAM_DATA_MAX) {
        expect(load, LOAD_DATA, 0);
        load->left = length;
        return FERRY_OK;
    }
    if (type == DEVICE_FRAME_LATCH && load->latch_seen == 0 &&
        length >= DEVICE_STREAM_LATCH_BYTES && length <= DEVICE_STREAM_DATA_MAX) {
        load->latch_seen = 1;
        load->left = length - DEVICE_STREAM_LATCH_BYTES;
        expect(load, LOAD_LATCH, DEVICE_STREAM_LATCH_BYTES);
        return FERRY_OK;
    }
    if (type == DEVICE_FRAME_END && load->latch_seen != 0 &&
        length == DEVICE_STREAM_END_BYTES) {
        expect(load, LOAD_END, DEVICE_STREAM_END_BYTES);
        return FERRY_OK;
    }
    return refuse(reterr, FERRY_E_PROTOCOL, load, "a malformed or misplaced frame", type);
}

/* The next entry or vector of the latch, or the next frame when that was the last. */
static void expect_entry(struct device_load *load)
{
    if (load->left > 0) {
        expect(load, LOAD_ENTRY, DEVICE_STREAM_ENTRY_BYTES);
    } else if (load->vectors_left > 0) {
        expect(load, LOAD_VECTOR, DEVICE_STREAM_VECTOR_BYTES);
    } else {
        expect(load, LOAD_FRAME, DEVICE_STREAM_FRAME_BYTES);
    }
}

static int latch_done(struct ferry_device *device, struct ferry_error *reterr)
{
    struct device_load *load = &device->load;
    const uint32_t count = ferry_load_le32(load->item);
    const uint32_t vectors = ferry_load_le32(load->item + 4);

    if (count > DEVICE_LATCH_MAX || vectors > DEVICE_PENDING_MAX ||
        count * DEVICE_STREAM_ENTRY_BYTES + vectors * DEVICE_STREAM_VECTOR_BYTES !=
            load->left) {
        return refuse(reterr, FERRY_E_PROTOCOL, load, "count of latched doorbells",
                      count);
    }
    if (count != 0 && device->identity.doorbell_latch == 0) {
        return refuse(reterr, FERRY_E_INCOMPATIBLE, load,
                      "doorbells for a device that cannot latch", count);
    }
    load->left = count;
    load->vectors_left = vectors;
    expect_entry(load);
    return FERRY_OK;
}

static int entry_done(struct ferry_device *device, struct ferry_error *reterr)
{
    static const uint8_t zero[DEVICE_LATCH_BYTES];
    struct device_load *load = &device->load;
    const uint64_t off = ferry_load_le64(load->item);
    const uint8_t *data = load->item + 8;
    const uint8_t region = load->item[16], count = load->item[17];
    int status = FERRY_E_PROTOCOL;

    if (count >= 1 && count <= DEVICE_LATCH_BYTES &&
        memcmp(load->item + 18, zero, 6) == 0 &&
        memcmp(data + count, zero, DEVICE_LATCH_BYTES - count) == 0) {
        status = device_latch_push(device, region, off, data, count);
    }
    if (status != FERRY_OK) {
        return refuse(reterr, status, load, "a latched doorbell of no register", off);
    }
    load->left--;
    expect_entry(load);
    return FERRY_OK;
}

static int vector_done(struct ferry_device *device, struct ferry_error *reterr)
{
    struct device_load *load = &device->load;
    const uint32_t vector = ferry_load_le32(load->item);
    const int status = device_irqs_set_pending(device, vector);

    if (status != FERRY_OK) {
        return refuse(reterr, status, load, "a pending vector that is not there", vector);
    }
    load->vectors_left--;
    expect_entry(load);
    return FERRY_OK;
}

static int end_done(struct ferry_device *device, struct ferry_error *reterr)
{
    struct device_load *load = &device->load;
    const uint64_t total = ferry_load_le64(load->item);

    if (total != load->total) {
        return refuse(reterr, FERRY_E_CORRUPT, load, "bytes announced at its end", total);
    }
    expect(load, LOAD_OVER, 0);
    return FERRY_OK;
}

/* An item is complete. */
static int item_done(struct ferry_device *device, struct ferry_error *reterr)
{
    switch ((enum load_stage)device->load.stage) {
    case LOAD_HEADER:
        return header_done(device, reterr);
    case LOAD_FRAME:
        return frame_done(device, reterr);
    case LOAD_LATCH:
        return latch_done(device, reterr);
    case LOAD_ENTRY:
        return entry_done(device, reterr);
    case LOAD_VECTOR:
        return vector_done(device, reterr);
    case LOAD_END:
        return end_done(device, reterr);
    case LOAD_DATA:
    case LOAD_OVER:
        break;
    }
    return refuse(reterr, FERRY_E_LONG, &device->load, "goes on after its end", 0);
}

/* The author has these. */
static void took_data(struct device_load *load, uint64_t size)
{
    load->left -= size;
    load->total += size;
    if (load->left == 0) {
        expect(load, LOAD_FRAME, DEVICE_STREAM_FRAME_BYTES);
    }
}

/* Takes bytes of the stage. Return: bytes taken (> 0) or a negative code. */
static int64_t take(struct ferry_device *device, const uint8_t *from, uint64_t size,
                    struct ferry_error *reterr)
{
    struct device_load *load = &device->load;
    uint64_t len = size;
    int status = FERRY_OK;

    if (load->stage == LOAD_OVER) {
        return item_done(device, reterr);
    }
    if (load->stage == LOAD_DATA) {
        len = len < load->left ? len : load->left;
        status = device->ops.load(device->state, device, from, (size_t)len);
        took_data(load, len);
        return status < 0 ? status : (int64_t)len;
    }
    len = len < load->need - load->have ? len : load->need - load->have;
    memcpy(load->item + load->have, from, (size_t)len);
    load->have += (size_t)len;
    if (load->have == load->need) {
        status = item_done(device, reterr);
    }
    return status < 0 ? status : (int64_t)len;
}

int device_load_write(struct ferry_device *device, const void *data, uint64_t size,
                      struct ferry_error *reterr)
{
    struct device_load *load = &device->load;
    const uint8_t *from = data;
    uint64_t done = 0;

    load->placed = 0;
    while (done < size && load->status == FERRY_OK) {
        const int64_t taken = take(device, from + done, size - done, reterr);

        if (taken < 0) {
            load->status = (int32_t)taken;
        } else {
            done += (uint64_t)taken;
        }
    }
    return load->status;
}

int device_load_place(struct ferry_device *device, uint64_t most,
                      struct ferry_data_place *ret_place)
{
    struct device_load *load = &device->load;
    void *place = NULL;
    uint64_t size = 0;

    load->placed = 0;
    if (device->ops.load_place == NULL || load->status != FERRY_OK ||
        load->stage == LOAD_OVER || most == 0) {
        return FERRY_E_UNSUPPORTED;
    }
    if (load->stage != LOAD_DATA) {
        size = load->need - load->have;
        *ret_place = (struct ferry_data_place){ .rest = size < most ? size : most };
        return FERRY_OK;
    }
    most = most < load->left ? most : load->left;
    size = device->ops.load_place(device->state, device, (size_t)most, &place);
    if (size > most || (size > 0 && place == NULL)) {
        load->status = FERRY_E_DEVICE; /* the author's mistake: the write hears of it */
        return FERRY_E_UNSUPPORTED;
    }
    if (size == 0) {
        *ret_place =
            (struct ferry_data_place){ .rest = most < UNPLACED_BYTES ? most
                                                                     : UNPLACED_BYTES };
        return FERRY_OK;
    }
    load->placed = size;
    *ret_place = (struct ferry_data_place){
        .data = place,
        .size = size,
        .rest = size == load->left ? DEVICE_STREAM_FRAME_BYTES : 0,
    };
    return FERRY_OK;
}

int device_load_placed(struct ferry_device *device, uint64_t size)
{
    struct device_load *load = &device->load;

    if (load->status != FERRY_OK || size == 0) {
        return load->status;
    }
    assert(size <= load->placed); /* never without a place that was asked for */
    load->placed = 0;
    load->status = device->ops.load_done(device->state, device, (size_t)size);
    took_data(load, size);
    return load->status;
}

int device_load_check(const struct ferry_device *device)
{
    const struct device_load *load = &device->load;

    if (load->status != FERRY_OK) {
        return load->status;
    }
    return load->stage == LOAD_OVER ? FERRY_OK : FERRY_E_SHORT;
}
