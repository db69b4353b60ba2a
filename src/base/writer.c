/* SPDX-License-Identifier: BSD-3-Clause */
#include "base/writer.h"

#include <string.h>

void ferry_store_le16(void *data, uint16_t value)
{
    uint8_t *b = data;

    b[0] = (uint8_t)value;
    b[1] = (uint8_t)(value >> 8);
}

void ferry_store_le32(void *data, uint32_t value)
{
    uint8_t *b = data;

    ferry_store_le16(b, (uint16_t)value);
    ferry_store_le16(b + 2, (uint16_t)(value >> 16));
}

void ferry_store_le64(void *data, uint64_t value)
{
    uint8_t *b = data;

    ferry_store_le32(b, (uint32_t)value);
    ferry_store_le32(b + 4, (uint32_t)(value >> 32));
}

void ferry_writer_init(struct ferry_writer *writer, void *data, size_t cap)
{
    writer->data = data;
    writer->cap = cap;
    writer->pos = 0;
    writer->overflow = 0;
}

uint8_t *ferry_writer_room(struct ferry_writer *writer, size_t count)
{
    uint8_t *at;

    /* pos <= cap always holds, so the subtraction cannot wrap. */
    if (writer->overflow || count > writer->cap - writer->pos) {
        writer->overflow = 1;
        return NULL;
    }
    /* No buffer at all is legal with nothing to write. */
    at = writer->cap > 0 ? writer->data + writer->pos : writer->data;
    writer->pos += count;
    return at;
}

void ferry_writer_u8(struct ferry_writer *writer, uint8_t value)
{
    uint8_t *at = ferry_writer_room(writer, 1);

    if (at) {
        *at = value;
    }
}

void ferry_writer_u16(struct ferry_writer *writer, uint16_t value)
{
    uint8_t *at = ferry_writer_room(writer, 2);

    if (at) {
        ferry_store_le16(at, value);
    }
}

void ferry_writer_u32(struct ferry_writer *writer, uint32_t value)
{
    uint8_t *at = ferry_writer_room(writer, 4);

    if (at) {
        ferry_store_le32(at, value);
    }
}

void ferry_writer_u64(struct ferry_writer *writer, uint64_t value)
{
    uint8_t *at = ferry_writer_room(writer, 8);

    if (at) {
        ferry_store_le64(at, value);
    }
}

void ferry_writer_bytes(struct ferry_writer *writer, const void *bytes, size_t count)
{
    uint8_t *at;

    if (count == 0) {
        return;
    }
    at = ferry_writer_room(writer, count);
    if (at) {
        memcpy(at, bytes, count);
    }
}

void ferry_writer_zero(struct ferry_writer *writer, size_t count)
{
    uint8_t *at;

    if (count == 0) {
        return;
    }
    at = ferry_writer_room(writer, count);
    if (at) {
        memset(at, 0, count);
    }
}
