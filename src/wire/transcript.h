/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef FERRY_WIRE_TRANSCRIPT_H
#define FERRY_WIRE_TRANSCRIPT_H

#include "base/reader.h"
#include "ferry/error.h"

/*
 * The format of transcripts (docs/transcripts.md): a head, then every message of a
 * server's connections with a head of its own. Pure; every call may come from any thread.
 */

#define FERRY_TRANSCRIPT_VERSION 1u
#define FERRY_TRANSCRIPT_HEAD_BYTES 16u
#define FERRY_TRANSCRIPT_RECORD_BYTES 16u
/* Largest message: a bitmap's, by far. */
#define FERRY_TRANSCRIPT_MESSAGE_MAX (64u << 20)
/* Largest file that is read. */
#define FERRY_TRANSCRIPT_FILE_MAX (256u << 20)
#define FERRY_TRANSCRIPT_FDS_MAX 64u

struct ferry_transcript_record {
    uint32_t number;        /* from 1, without gaps */
    uint32_t connection;    /* from 1 */
    uint32_t bytes;         /* of the message, or of what was kept of it */
    uint32_t fd_count;      /* descriptors that came along */
    uint32_t sender;        /* enum ferry_wire_sender */
    uint32_t cut;           /* 1: only the header of a message that was refused by it */
    const uint8_t *message; /* decoded: inside the file's bytes */
};

struct ferry_transcript_reader {
    struct ferry_reader in;
    uint32_t last; /* number of the last record */
    uint32_t connection;
};

void ferry_transcript_head_encode(void *ret_bytes);
/* Writes the record's head; the message follows it in the file. */
void ferry_transcript_record_encode(const struct ferry_transcript_record *record,
                                    void *ret_bytes);

/*
 * Begins to read a file. bytes: borrowed until the last record has been used.
 * Return: FERRY_OK; FERRY_E_FOREIGN (not a transcript), FERRY_E_VERSION.
 */
int ferry_transcript_begin(struct ferry_transcript_reader *reader, const void *bytes,
                           size_t size, struct ferry_error *reterr);
/*
 * Reads the next record.
 * Return: 1; 0 at the end; FERRY_E_SHORT (the file ends within a record),
 *   FERRY_E_PROTOCOL (reterr has the offset), FERRY_E_LIMIT.
 */
int ferry_transcript_next(struct ferry_transcript_reader *reader,
                          struct ferry_transcript_record *ret_record,
                          struct ferry_error *reterr);

#endif
