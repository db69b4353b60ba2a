/* SPDX-License-Identifier: BSD-3-Clause */
#include "core/v1/region.h"

#include <assert.h>

#include "base/range.h"
#include "ferry/error.h"

static const struct ferry_v1_register_info registers[FERRY_V1_REGISTER_COUNT] = {
    [FERRY_V1_STATE] = { "device_state", FERRY_V1_STATE_OFF, 4, 1 },
    [FERRY_V1_RESERVED] = { "reserved", FERRY_V1_RESERVED_OFF, 4, 1 },
    [FERRY_V1_PENDING] = { "pending_bytes", FERRY_V1_PENDING_OFF, 8, 0 },
    [FERRY_V1_OFFSET] = { "data_offset", FERRY_V1_OFFSET_OFF, 8, 0 },
    [FERRY_V1_SIZE] = { "data_size", FERRY_V1_SIZE_OFF, 8, 1 },
};

const struct ferry_v1_register_info *ferry_v1_register(uint32_t reg)
{
    assert(reg < FERRY_V1_REGISTER_COUNT);
    return &registers[reg];
}

int ferry_v1_register_find(uint64_t off, uint64_t count, uint32_t *ret_reg)
{
    if (off >= FERRY_V1_HEADER_BYTES) {
        return FERRY_E_RANGE;
    }
    for (uint32_t i = 0; i < FERRY_V1_REGISTER_COUNT; i++) {
        if (registers[i].off == off && registers[i].bytes == count) {
            *ret_reg = i;
            return FERRY_OK;
        }
    }
    return FERRY_E_ALIGN;
}

int ferry_v1_piece_inside(uint64_t data_offset, uint64_t data_size, uint64_t region_bytes)
{
    return data_offset >= FERRY_V1_HEADER_BYTES && data_offset <= region_bytes &&
           ferry_range_inside(data_offset, data_size, region_bytes);
}
