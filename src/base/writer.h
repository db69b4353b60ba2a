/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef FERRY_BASE_WRITER_H
#define FERRY_BASE_WRITER_H

#include <stddef.h>
#include <stdint.h>

/*
 * Writes little-endian values into a buffer of the caller. What does not fit is dropped
 * as a whole and sets `overflow`, which stays set and keeps `pos` where it was.
 *
 * Thread: not thread safe. Memory: the buffer is borrowed.
 */
struct ferry_writer {
    uint8_t *data;
    size_t cap;
    size_t pos;
    int overflow;
};

/* data: cap bytes, borrowed while the writer is used; may be NULL when cap is 0. */
void ferry_writer_init(struct ferry_writer *writer, void *data, size_t cap);

void ferry_writer_u8(struct ferry_writer *writer, uint8_t value);
void ferry_writer_u16(struct ferry_writer *writer, uint16_t value);
void ferry_writer_u32(struct ferry_writer *writer, uint32_t value);
void ferry_writer_u64(struct ferry_writer *writer, uint64_t value);

/* bytes: `count` bytes, borrowed for the call; may be NULL when count is 0. */
void ferry_writer_bytes(struct ferry_writer *writer, const void *bytes, size_t count);

/* `count` bytes of 0. */
void ferry_writer_zero(struct ferry_writer *writer, size_t count);

/* Room of `count` bytes to be filled later: a pointer into the buffer, NULL on overflow.
 */
uint8_t *ferry_writer_room(struct ferry_writer *writer, size_t count);

/* One value at a fixed place; data must have 2, 4 or 8 bytes. Any alignment. */
void ferry_store_le16(void *data, uint16_t value);
void ferry_store_le32(void *data, uint32_t value);
void ferry_store_le64(void *data, uint64_t value);

#endif
