/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef FERRY_BASE_BITMAP_H
#define FERRY_BASE_BITMAP_H

#include <stddef.h>
#include <stdint.h>

/*
 * Flat bitmaps in bytes, bit n in byte n / 8 at place n % 8: on a little-endian wire the
 * same as the 64-bit words of the uAPI. The memory is the caller's; any alignment.
 * Thread: not thread safe.
 */

/* Bytes of a bitmap of `bits` bits in whole 64-bit words, as the uAPI wants them. */
uint64_t ferry_bitmap_bytes(uint64_t bits);

/* bit must lie inside the bitmap. */
int ferry_bitmap_test(const void *bitmap, uint64_t bit);
void ferry_bitmap_set(void *bitmap, uint64_t bit);
void ferry_bitmap_clear(void *bitmap, uint64_t bit);

/* Sets bits [first, first + count). */
void ferry_bitmap_set_range(void *bitmap, uint64_t first, uint64_t count);

/*
 * Or's 64 bits in: bit n of them is bit first + n of the bitmap. Bits that are set must
 * lie inside it, and it must have whole 64-bit words.
 */
void ferry_bitmap_or64(void *bitmap, uint64_t first, uint64_t bits);

/* Number of set bits among the first `bits`. */
uint64_t ferry_bitmap_count(const void *bitmap, uint64_t bits);

/* First set bit at or after `from`; `bits` when there is none. */
uint64_t ferry_bitmap_next(const void *bitmap, uint64_t bits, uint64_t from);

/* First clear bit at or after `from`; `bits` when there is none. */
uint64_t ferry_bitmap_next_clear(const void *bitmap, uint64_t bits, uint64_t from);

#endif
