/* SPDX-License-Identifier: BSD-3-Clause */
#include "base/range.h"

int ferry_range_add(uint64_t off, uint64_t size, uint64_t *ret_end)
{
    if (size > UINT64_MAX - off) {
        return 0;
    }
    *ret_end = off + size;
    return 1;
}

int ferry_range_inside(uint64_t off, uint64_t size, uint64_t limit)
{
    return off <= limit && size <= limit - off;
}

int ferry_range_within(uint64_t off, uint64_t size, uint64_t outer_off,
                       uint64_t outer_size)
{
    uint64_t end;

    if (!ferry_range_add(outer_off, outer_size, &end)) {
        return 0;
    }
    return off >= outer_off && ferry_range_inside(off, size, end);
}

int ferry_range_overlaps(uint64_t a_off, uint64_t a_size, uint64_t b_off, uint64_t b_size)
{
    if (a_size == 0 || b_size == 0) {
        return 0;
    }
    /* Distances instead of ends: off + size may be 2^64 or overflow. */
    return a_off <= b_off ? b_off - a_off < a_size : a_off - b_off < b_size;
}

int ferry_is_power_of_2(uint64_t value)
{
    return value != 0 && (value & (value - 1)) == 0;
}

int ferry_range_aligned(uint64_t value, uint64_t alignment)
{
    return ferry_is_power_of_2(alignment) && (value & (alignment - 1)) == 0;
}

uint32_t ferry_log2(uint64_t value)
{
    uint32_t shift = 0;

    while (value > 1) {
        value >>= 1;
        shift++;
    }
    return shift;
}

int ferry_range_round_up(uint64_t value, uint64_t alignment, uint64_t *ret_value)
{
    uint64_t up;

    if (!ferry_is_power_of_2(alignment) || !ferry_range_add(value, alignment - 1, &up)) {
        return 0;
    }
    *ret_value = up & ~(alignment - 1);
    return 1;
}
