/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef FERRY_CORE_STREAM_RECORD_H
#define FERRY_CORE_STREAM_RECORD_H

#include "ferry/stream.h"

/*
 * Record headers and checksums. A record is read in this order: 32 bytes of header,
 * ferry_record_decode(), payload_bytes of payload, ferry_record_check().
 * Every call may come from any thread.
 */

/* ferry_record_decode: a sound header of an unknown optional record. Read its payload,
 * check it, drop it. */
#define FERRY_RECORD_SKIP 1

/* Header of a payload that is in one piece: everything filled, checksum included. */
void ferry_record_seal(struct ferry_record *ret_record, uint16_t tag, uint16_t flags,
                       uint32_t device, const void *payload, size_t bytes);

/* The header as its FERRY_RECORD_HEADER_BYTES bytes. */
void ferry_record_encode(const struct ferry_record *record, void *ret_bytes);

/*
 * Reads and checks a header: magic, flags, tag, channel, size limit of the tag, device
 * index present or absent as the tag wants it. bytes: FERRY_RECORD_HEADER_BYTES bytes.
 * stream_off: offset of the header in the stream, for reterr.
 * Return: FERRY_OK; FERRY_RECORD_SKIP; FERRY_E_PROTOCOL (magic, flags, channel, device),
 *   FERRY_E_MESSAGE (an unknown mandatory tag), FERRY_E_LIMIT (payload too long),
 *   FERRY_E_SHORT (payload shorter than the tag's fixed part). ret_record is written on
 *   success only.
 * Rules: STR-HDR-1 to -7.
 */
int ferry_record_decode(const void *bytes, uint64_t stream_off,
                        struct ferry_record *ret_record, struct ferry_error *reterr);

/* Flags that a writer gives a record of this tag; CHUNK is the writer's own decision. */
uint16_t ferry_record_flags(uint32_t tag);

/* Longest payload that a tag may have; the control limit for an unknown one. */
uint32_t ferry_record_limit(uint32_t tag);

/*
 * Checksum of a payload in one piece: XXH3-64, seeded with tag | device << 16 | flags <<
 * 48 of the record, so that a damaged header is found as well.
 */
uint64_t ferry_record_checksum(const struct ferry_record *record, const void *payload,
                               size_t bytes);

/*
 * Compares a computed checksum with the header's.
 * Return: FERRY_OK or FERRY_E_CORRUPT (rule STR-SUM-1).
 */
int ferry_record_check(const struct ferry_record *record, uint64_t checksum,
                       uint64_t stream_off, struct ferry_error *reterr);

/* State of an incremental hash; the caller's memory, from malloc() or anywhere. It must
 * not be copied or moved while in use (the state inside is aligned by its address). */
struct ferry_stream_hash {
    uint64_t state[80];
};

/* The record checksum of a payload in pieces: init, update once per piece in order,
 * digest. record: its tag, device and flags count. */
void ferry_record_sum_init(struct ferry_stream_hash *sum,
                           const struct ferry_record *record);
void ferry_record_sum_update(struct ferry_stream_hash *sum, const void *data,
                             size_t bytes);
uint64_t ferry_record_sum_digest(const struct ferry_stream_hash *sum);

/* 128-bit hash (XXH3-128) of all data of one device, in any segmentation. */
struct ferry_stream_digest {
    uint64_t low, high;
};
void ferry_stream_hash_init(struct ferry_stream_hash *hash);
void ferry_stream_hash_update(struct ferry_stream_hash *hash, const void *data,
                              size_t bytes);
struct ferry_stream_digest ferry_stream_hash_digest(const struct ferry_stream_hash *hash);

#endif
