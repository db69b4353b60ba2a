/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef FERRY_MODELS_COPY_COPY_STREAM_H
#define FERRY_MODELS_COPY_COPY_STREAM_H

#include <stdint.h>

/*
 * The stream of `copy`: records of a 16-byte header and a payload, little endian.
 * docs/models/copy.md has the order in which they come.
 */
#define COPY_STREAM_VERSION 1u
#define COPY_MATCH_MAGIC 0x5950435952524546ull /* "FERRYCPY" */

/* Header: type@0 u32, count@4 u32, value@8 u64. */
struct copy_record {
    uint32_t type;
    uint32_t count;
    uint64_t value;
};
#define COPY_RECORD_BYTES 16u

/*
 * MATCH: count payload bytes, value the magic. Payload: version u32, page bytes u32,
 * memory bytes u64, channels u32, largest ring u32, XXH3-64 of all before u64. DATA:
 * count pages from page `value` on, and their bytes. ZERO, EQUAL: count pages from page
 * `value` on: all zero; as they were sent before. FINAL: the device has stopped. Then
 * every page comes once more, in order, as DATA, ZERO or EQUAL. STATE: value channels,
 * count payload bytes. END: count payload bytes, value the bytes of the stream before
 * this record. Payload: XXH3-64 of the stream up to here, this header included.
 */
enum copy_record_type {
    COPY_REC_MATCH = 1,
    COPY_REC_DATA = 2,
    COPY_REC_ZERO = 3,
    COPY_REC_EQUAL = 4,
    COPY_REC_FINAL = 5,
    COPY_REC_STATE = 6,
    COPY_REC_END = 7
};
#define COPY_MATCH_BYTES 32u
#define COPY_END_BYTES 8u
#define COPY_RUN_DATA 15u /* pages of one DATA record: 64 KiB with its header hold it */
#define COPY_RUN_OTHER 2048u /* pages of one ZERO or EQUAL record at most */
#define COPY_RECORD_MAX (COPY_RECORD_BYTES + COPY_RUN_DATA * 4096u)

/*
 * A channel in STATE: ring@0, done_ring@8 u64; entries@16, control@20, vector@24,
 * error@28, head@32, tail@36, done@40, busy@44 u32; the descriptor in hand@48;
 * progress@80 u64.
 */
#define COPY_CHANNEL_BYTES 88u
#define COPY_BUFFER_BYTES 1536u /* holds the longest payload that is not pages */

#endif
