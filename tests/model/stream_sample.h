/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef FERRY_TESTS_STREAM_SAMPLE_H
#define FERRY_TESTS_STREAM_SAMPLE_H

#include "core/stream/order.h"

/* A whole small migration as its two streams, every record in it, and a reader for any.
 */

#define SAMPLE_CAP 32768u
#define SAMPLE_DEVICES 2u

/* Appends a sealed record with this payload. */
void sample_record(struct ferry_writer *writer, uint16_t tag, uint16_t flags,
                   uint32_t device, const void *payload, size_t bytes);

/* The source's stream, PREAMBLE to COMMIT / the target's, PREAMBLE to RUNNING. */
void sample_source(struct ferry_writer *writer);
void sample_target(struct ferry_writer *writer);

/* The end of a file with everything that writer holds, so many records. */
void sample_file_end(struct ferry_writer *writer, uint64_t records);

/* Tags that the other side must have sent before the whole sample is legal. */
uint32_t sample_sent(uint32_t side);

struct walk {
    uint32_t side; /* enum ferry_stream_side: who wrote it */
    uint32_t one_way;
    uint32_t sent;    /* bit per tag */
    uint32_t lenient; /* 1: wrong checksums and hashes are computed but forgiven */
    uint32_t records; /* out: records that were taken */
    uint32_t skipped; /* out: unknown optional ones among them */
    uint64_t end;     /* out: offset behind the last one */
};

/* Reads a stream as a receiver does. Return: FERRY_OK when it is whole and right. */
int walk_stream(struct walk *walk, const uint8_t *data, size_t size,
                struct ferry_error *reterr);

#endif
