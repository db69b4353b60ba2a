/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef FERRY_HOST_FILE_READER_H
#define FERRY_HOST_FILE_READER_H

#include <stddef.h>
#include <stdint.h>

#include "core/stream/payload.h"
#include "ferry/error.h"

/*
 * Reads the records of a file, or of a captured stream, one after the other; packed ones
 * are unpacked below. Needs some 3 MiB, whatever the file says. Thread: not thread safe.
 */
struct ferry_file_reader;

/* One record of the stream; payload: borrowed until the next call. */
struct ferry_file_record {
    struct ferry_record record;
    uint64_t number;   /* from 0; in the unpacked stream */
    uint64_t off;      /* in the unpacked stream */
    uint64_t file_off; /* of it, or of the PACKED that it begins in, in the file */
    uint32_t packed;   /* 1: it came out of a PACKED */
    uint32_t unknown;  /* 1: an optional record that this build does not know */
    const uint8_t *payload;
};

/* fd: borrowed, read from where it stands to its end. Return: FERRY_OK, FERRY_E_MEMORY.
 */
int ferry_file_reader_create(int fd, struct ferry_file_reader **ret_reader);
void ferry_file_reader_destroy(struct ferry_file_reader *reader);

/*
 * The next record, its checksum and, of FILE_END, number, length and hash compared.
 * Return: 1; 0 at the file's end; FERRY_E_SHORT (it ends inside a record),
 * FERRY_E_CORRUPT, FERRY_E_IO, what ferry_record_decode() and ferry_stream_get_packed()
 * return. After a failure whose record was read whole (ferry_file_reader_whole()),
 * ret_record is filled and reading goes on behind it.
 */
int ferry_file_reader_next(struct ferry_file_reader *reader,
                           struct ferry_file_record *ret_record,
                           struct ferry_error *reterr);
int ferry_file_reader_whole(const struct ferry_file_reader *reader);
/*
 * After another failure: goes to where the next record seems to begin.
 * ret_skipped: bytes of the file, or of an unpacked block, that belong to no record.
 * Return: 1; 0 when there is none; FERRY_E_IO.
 */
int ferry_file_reader_resync(struct ferry_file_reader *reader, uint64_t *ret_skipped,
                             struct ferry_error *reterr);
/* Bytes of the file read so far; PACKED records and the bytes that they stood for. */
uint64_t ferry_file_reader_bytes(const struct ferry_file_reader *reader);
uint64_t ferry_file_reader_blocks(const struct ferry_file_reader *reader);
uint64_t ferry_file_reader_offset(const struct ferry_file_reader *reader);

#endif
