/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef FERRY_BASE_READER_H
#define FERRY_BASE_READER_H

#include <stddef.h>
#include <stdint.h>

/*
 * Reads little-endian values out of bytes that a peer sent. A read past the end gives 0
 * and sets `failed`, which stays set and keeps `pos` where it was: a decoder reads
 * everything and looks at `failed` once.
 *
 * Thread: not thread safe. Memory: the data is borrowed.
 */
struct ferry_reader {
    const uint8_t *data;
    size_t size;
    size_t pos;
    int failed;
};

/* data: size bytes, borrowed while the reader is used; may be NULL when size is 0. */
void ferry_reader_init(struct ferry_reader *reader, const void *data, size_t size);

/* The next value; 0 when it is not all there. */
uint8_t ferry_reader_u8(struct ferry_reader *reader);
uint16_t ferry_reader_u16(struct ferry_reader *reader);
uint32_t ferry_reader_u32(struct ferry_reader *reader);
uint64_t ferry_reader_u64(struct ferry_reader *reader);

/*
 * The next `bytes` bytes where they lie.
 * Return: a pointer into the data, borrowed; NULL when they are not all there (failed is
 *   set). With bytes 0 a pointer that must not be read.
 */
const uint8_t *ferry_reader_take(struct ferry_reader *reader, size_t bytes);

/* Copies the next `bytes` bytes; fills ret_data with 0 when they are not all there. */
void ferry_reader_bytes(struct ferry_reader *reader, void *ret_data, size_t bytes);

/* Passes over `bytes` bytes. */
void ferry_reader_skip(struct ferry_reader *reader, size_t bytes);

/* Bytes that are left; 0 once the reader has failed. */
size_t ferry_reader_remaining(const struct ferry_reader *reader);

/* One value at a fixed place; data must hold 2, 4 or 8 bytes. Any alignment. */
uint16_t ferry_load_le16(const void *data);
uint32_t ferry_load_le32(const void *data);
uint64_t ferry_load_le64(const void *data);

#endif
