/* SPDX-License-Identifier: BSD-3-Clause */
#include "base/bitmap.h"

#include <string.h>

#include "base/reader.h"

uint64_t ferry_bitmap_bytes(uint64_t bits)
{
    return (bits / 64 + (bits % 64 != 0)) * 8;
}

int ferry_bitmap_test(const void *bitmap, uint64_t bit)
{
    const uint8_t *byte = bitmap;

    return byte[bit / 8] >> (bit % 8) & 1;
}

void ferry_bitmap_set(void *bitmap, uint64_t bit)
{
    uint8_t *byte = bitmap;

    byte[bit / 8] = (uint8_t)(byte[bit / 8] | 1u << (bit % 8));
}

void ferry_bitmap_clear(void *bitmap, uint64_t bit)
{
    uint8_t *byte = bitmap;

    byte[bit / 8] = (uint8_t)(byte[bit / 8] & ~(1u << (bit % 8)));
}

void ferry_bitmap_set_range(void *bitmap, uint64_t first, uint64_t count)
{
    uint8_t *byte = bitmap;
    uint64_t whole;

    while (count > 0 && first % 8 != 0) {
        ferry_bitmap_set(bitmap, first);
        first++;
        count--;
    }
    whole = count / 8;
    if (whole > 0) {
        memset(byte + first / 8, 0xff, whole);
    }
    first += whole * 8;
    count -= whole * 8;
    while (count > 0) {
        ferry_bitmap_set(bitmap, first);
        first++;
        count--;
    }
}

static void or_le64(uint8_t *byte, uint64_t bits)
{
    uint64_t value = ferry_load_le64(byte) | bits;

    /* Not as a loop: compilers make one store of these. */
    byte[0] = (uint8_t)value;
    byte[1] = (uint8_t)(value >> 8);
    byte[2] = (uint8_t)(value >> 16);
    byte[3] = (uint8_t)(value >> 24);
    byte[4] = (uint8_t)(value >> 32);
    byte[5] = (uint8_t)(value >> 40);
    byte[6] = (uint8_t)(value >> 48);
    byte[7] = (uint8_t)(value >> 56);
}

void ferry_bitmap_or64(void *bitmap, uint64_t first, uint64_t bits)
{
    uint8_t *byte = bitmap;
    uint64_t shift = first % 64;

    byte += first / 64 * 8;
    if (bits << shift) {
        or_le64(byte, bits << shift);
    }
    if (shift > 0 && bits >> (64 - shift)) {
        or_le64(byte + 8, bits >> (64 - shift));
    }
}

uint64_t ferry_bitmap_count(const void *bitmap, uint64_t bits)
{
    const uint8_t *byte = bitmap;
    uint64_t count = 0, i = 0;

    for (; bits - i >= 64; i += 64) {
        count += (uint64_t)__builtin_popcountll(ferry_load_le64(byte + i / 8));
    }
    for (; i < bits; i++) {
        count += (uint64_t)ferry_bitmap_test(bitmap, i);
    }
    return count;
}

/* First bit at or after `from` whose value is not that of every bit of `skip`. */
static uint64_t next_other(const void *bitmap, uint64_t bits, uint64_t from,
                           uint64_t skip)
{
    const uint8_t *byte = bitmap;

    while (from < bits) {
        if (from % 8 == 0 && bits - from >= 64) {
            uint64_t other = ferry_load_le64(byte + from / 8) ^ skip;

            if (other != 0) {
                return from + (uint64_t)__builtin_ctzll(other);
            }
            from += 64;
        } else if (ferry_bitmap_test(bitmap, from) != (int)(skip & 1)) {
            return from;
        } else {
            from++;
        }
    }
    return bits;
}

uint64_t ferry_bitmap_next(const void *bitmap, uint64_t bits, uint64_t from)
{
    return next_other(bitmap, bits, from, 0);
}

uint64_t ferry_bitmap_next_clear(const void *bitmap, uint64_t bits, uint64_t from)
{
    return next_other(bitmap, bits, from, UINT64_MAX);
}
