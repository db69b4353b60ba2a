/* SPDX-License-Identifier: BSD-3-Clause */
#include "test_faces_rig.h"

#include <string.h>

#include "base/reader.h"
#include "base/writer.h"

void v1_show(struct toy *toy, uint32_t form)
{
    struct ferry_error error = { 0 };

    toy->endpoint->ops->detach(toy->endpoint);
    assert_int_equal(ferry_face_v1_open(toy->endpoint, form, &toy->endpoint, &error),
                     FERRY_OK);
    assert_int_equal(toy->endpoint->ops->attach(toy->endpoint, &toy->port), FERRY_OK);
    toy->resets = 0;
    toy->arcs = 0;
}

struct toy *v1_new(uint32_t flags, uint32_t form)
{
    struct toy *toy = toy_new(flags, 1);

    v1_show(toy, form);
    return toy;
}

void v1_free(struct toy *toy)
{
    struct ferry_endpoint *top = toy->endpoint;

    top->ops->detach(top);
    ferry_face_v1_close(top);
    toy->endpoint = ferry_device_endpoint(toy->device);
    toy_free(toy);
}

int v1_read(struct toy *toy, uint64_t off, uint32_t count, uint64_t *ret_value)
{
    uint8_t bytes[8] = { 0 };
    int status;

    assert_true(count <= sizeof(bytes));
    status = toy_read(toy, V1_REGION, off, bytes, count);
    if (status == FERRY_OK) {
        *ret_value = ferry_load_le64(bytes);
    }
    return status;
}

int v1_write(struct toy *toy, uint64_t off, uint32_t count, uint64_t value)
{
    uint8_t bytes[8];

    assert_true(count <= sizeof(bytes));
    ferry_store_le64(bytes, value);
    return toy_write(toy, V1_REGION, off, bytes, count);
}

int v1_try(struct toy *toy, uint32_t reg, uint64_t *ret_value)
{
    const struct ferry_v1_register_info *info = ferry_v1_register(reg);

    return v1_read(toy, info->off, info->bytes, ret_value);
}

uint64_t v1_get(struct toy *toy, uint32_t reg)
{
    uint64_t value = 0;

    assert_int_equal(v1_try(toy, reg, &value), FERRY_OK);
    return value;
}

int v1_put(struct toy *toy, uint32_t reg, uint64_t value)
{
    const struct ferry_v1_register_info *info = ferry_v1_register(reg);

    return v1_write(toy, info->off, info->bytes, value);
}

int v1_set(struct toy *toy, uint32_t bits)
{
    return v1_put(toy, FERRY_V1_STATE, bits);
}

uint64_t v1_take(struct toy *toy, uint8_t *data, uint64_t cap)
{
    uint64_t off, bytes;

    if (v1_get(toy, FERRY_V1_PENDING) == 0) {
        return 0;
    }
    off = v1_get(toy, FERRY_V1_OFFSET);
    bytes = v1_get(toy, FERRY_V1_SIZE);
    assert_in_range(bytes, 1, cap);
    assert_true(ferry_v1_piece_inside(off, bytes, v1_info(toy).size));
    assert_int_equal(toy_read(toy, V1_REGION, off, data, (uint32_t)bytes), FERRY_OK);
    return bytes;
}

uint64_t v1_save(struct toy *toy, uint8_t *data, uint64_t cap)
{
    uint64_t bytes = 0, got;

    while ((got = v1_take(toy, data + bytes, cap - bytes)) > 0) {
        bytes += got;
    }
    return bytes;
}

int v1_give(struct toy *toy, const uint8_t *data, uint64_t bytes)
{
    const uint64_t off = v1_get(toy, FERRY_V1_OFFSET);
    const int status = toy_write(toy, V1_REGION, off, data, (uint32_t)bytes);

    return status == FERRY_OK ? v1_put(toy, FERRY_V1_SIZE, bytes) : status;
}

struct ferry_region_info v1_info(struct toy *toy)
{
    struct ferry_request request = { .kind = FERRY_RQ_GET_REGION_INFO,
                                     .u.region.index = V1_REGION };

    assert_int_equal(toy_ask(toy, &request), FERRY_OK);
    return request.u.region;
}

void v1_fill(struct toy *toy, uint32_t bytes, uint32_t seed)
{
    assert_true(bytes <= TOY_STATE_MAX);
    toy->state_bytes = bytes;
    for (uint32_t i = 0; i < bytes; i++) {
        seed = seed * 1664525u + 1013904223u;
        toy->state[i] = (uint8_t)(seed >> 24);
    }
}
