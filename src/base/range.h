/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef FERRY_BASE_RANGE_H
#define FERRY_BASE_RANGE_H

#include <stdint.h>

/*
 * Checked arithmetic for offset + size pairs that may come from a peer. A range is
 * [off, off + size). Every call may come from any thread.
 */

/* 1 and *ret_end = off + size when that does not overflow; else 0 and *ret_end untouched.
 */
int ferry_range_add(uint64_t off, uint64_t size, uint64_t *ret_end);

/* 1 when [off, off + size) lies inside [0, limit) and does not overflow. An empty range
 * at off == limit is inside. */
int ferry_range_inside(uint64_t off, uint64_t size, uint64_t limit);

/* 1 when [off, off + size) lies inside [outer_off, outer_off + outer_size); 0 when not,
 * or when either overflows. */
int ferry_range_within(uint64_t off, uint64_t size, uint64_t outer_off,
                       uint64_t outer_size);

/* 1 when both ranges are not empty and share a byte. A range that overflows counts as
 * reaching to the end of the address space. */
int ferry_range_overlaps(uint64_t a_off, uint64_t a_size, uint64_t b_off,
                         uint64_t b_size);

/* 1 when value is a multiple of alignment, a power of two. 0 when alignment is none. */
int ferry_range_aligned(uint64_t value, uint64_t alignment);

/* 1 for 1, 2, 4, 8, ...; 0 for all else, 0 included. */
int ferry_is_power_of_2(uint64_t value);

/* log2 of a power of two, which value must be. */
uint32_t ferry_log2(uint64_t value);

/* 1 and *ret_value = value rounded up to a multiple of alignment (a power of two); 0 when
 * that overflows. */
int ferry_range_round_up(uint64_t value, uint64_t alignment, uint64_t *ret_value);

#endif
