/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef FERRY_MODELS_LE_H
#define FERRY_MODELS_LE_H

#include <endian.h>
#include <stdint.h>
#include <string.h>

/* Little-endian numbers at any alignment. The caller has checked the bounds. */

static inline uint16_t le_get16(const void *from)
{
    uint16_t value;

    memcpy(&value, from, sizeof(value));
    return le16toh(value);
}

static inline uint32_t le_get32(const void *from)
{
    uint32_t value;

    memcpy(&value, from, sizeof(value));
    return le32toh(value);
}

static inline uint64_t le_get64(const void *from)
{
    uint64_t value;

    memcpy(&value, from, sizeof(value));
    return le64toh(value);
}

static inline void le_put16(void *to, uint16_t value)
{
    value = htole16(value);
    memcpy(to, &value, sizeof(value));
}

static inline void le_put32(void *to, uint32_t value)
{
    value = htole32(value);
    memcpy(to, &value, sizeof(value));
}

static inline void le_put64(void *to, uint64_t value)
{
    value = htole64(value);
    memcpy(to, &value, sizeof(value));
}

/* A register of 64 bits as its halves of 32; high: not 0 for the upper one. */
static inline uint32_t le_half(uint64_t number, uint32_t high)
{
    return (uint32_t)(high != 0 ? number >> 32 : number);
}

static inline void le_set_half(uint64_t *number, uint32_t high, uint32_t value)
{
    const uint32_t shift = high != 0 ? 32 : 0;

    *number = (*number & ~(0xffffffffull << shift)) | (uint64_t)value << shift;
}

#endif
