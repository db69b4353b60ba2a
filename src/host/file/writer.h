/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef FERRY_HOST_FILE_WRITER_H
#define FERRY_HOST_FILE_WRITER_H

#include <stddef.h>
#include <stdint.h>

#include "core/stream/payload.h"
#include "ferry/error.h"
#include "os/draft.h"

/*
 * Writes a file of records: plain, or packed in blocks (docs/spec/stream.md, section 4).
 * Blocks while the disk does. Thread: not thread safe.
 */
struct ferry_file_writer;

/*
 * draft: an open one, given away, also on failure. level: of zstd, 0: not packed.
 * Return: FERRY_OK; FERRY_E_MEMORY; FERRY_E_ARGUMENT (no such level).
 */
int ferry_file_writer_create(const struct ferry_os_draft *draft, int level,
                             struct ferry_file_writer **ret_writer,
                             struct ferry_error *reterr);
/* Drops what is not published, frees. NULL: nothing. */
void ferry_file_writer_destroy(struct ferry_file_writer *writer);

/* One record as it is to be read again; its checksum is right. After a failure every
 * further call fails with the first code. Return: FERRY_OK, FERRY_E_IO. */
int ferry_file_writer_put(struct ferry_file_writer *writer,
                          const struct ferry_record *record, const void *payload,
                          struct ferry_error *reterr);
/* Writes out what is held back, and FILE_END. */
int ferry_file_writer_end(struct ferry_file_writer *writer, struct ferry_error *reterr);
/* Waits until all is on disk. */
int ferry_file_writer_sync(struct ferry_file_writer *writer, struct ferry_error *reterr);
/* Gives the file its name. After end() and sync(). */
int ferry_file_writer_publish(struct ferry_file_writer *writer,
                              struct ferry_error *reterr);
/* Bytes written so far. */
uint64_t ferry_file_writer_bytes(const struct ferry_file_writer *writer);

#endif
