/* SPDX-License-Identifier: BSD-3-Clause */
#include "base/reader.h"

#include <string.h>

uint16_t ferry_load_le16(const void *data)
{
    const uint8_t *b = data;

    return (uint16_t)(b[0] | b[1] << 8);
}

uint32_t ferry_load_le32(const void *data)
{
    const uint8_t *b = data;

    return (uint32_t)b[0] | (uint32_t)b[1] << 8 | (uint32_t)b[2] << 16 |
           (uint32_t)b[3] << 24;
}

uint64_t ferry_load_le64(const void *data)
{
    const uint8_t *b = data;

    return (uint64_t)ferry_load_le32(b) | (uint64_t)ferry_load_le32(b + 4) << 32;
}

void ferry_reader_init(struct ferry_reader *reader, const void *data, size_t size)
{
    reader->data = data;
    reader->size = size;
    reader->pos = 0;
    reader->failed = 0;
}

const uint8_t *ferry_reader_take(struct ferry_reader *reader, size_t bytes)
{
    static const uint8_t nothing;
    const uint8_t *at;

    /* pos <= size always holds, so the subtraction cannot wrap. */
    if (reader->failed || bytes > reader->size - reader->pos) {
        reader->failed = 1;
        return NULL;
    }
    if (bytes == 0) {
        return &nothing;
    }
    at = reader->data + reader->pos;
    reader->pos += bytes;
    return at;
}

uint8_t ferry_reader_u8(struct ferry_reader *reader)
{
    const uint8_t *at = ferry_reader_take(reader, 1);

    return at ? *at : 0;
}

uint16_t ferry_reader_u16(struct ferry_reader *reader)
{
    const uint8_t *at = ferry_reader_take(reader, 2);

    return at ? ferry_load_le16(at) : 0;
}

uint32_t ferry_reader_u32(struct ferry_reader *reader)
{
    const uint8_t *at = ferry_reader_take(reader, 4);

    return at ? ferry_load_le32(at) : 0;
}

uint64_t ferry_reader_u64(struct ferry_reader *reader)
{
    const uint8_t *at = ferry_reader_take(reader, 8);

    return at ? ferry_load_le64(at) : 0;
}

void ferry_reader_bytes(struct ferry_reader *reader, void *ret_data, size_t bytes)
{
    const uint8_t *at = ferry_reader_take(reader, bytes);

    if (bytes == 0) {
        return;
    }
    if (at) {
        memcpy(ret_data, at, bytes);
    } else {
        /* A decoder that looks at `failed` late must not see stale memory. */
        memset(ret_data, 0, bytes);
    }
}

void ferry_reader_skip(struct ferry_reader *reader, size_t bytes)
{
    (void)ferry_reader_take(reader, bytes);
}

size_t ferry_reader_remaining(const struct ferry_reader *reader)
{
    return reader->failed ? 0 : reader->size - reader->pos;
}
