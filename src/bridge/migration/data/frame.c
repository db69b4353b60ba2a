/* SPDX-License-Identifier: BSD-3-Clause */
#include "bridge/migration/data/frame.h"

#include <assert.h>
#include <string.h>

#include "base/reader.h"
#include "base/writer.h"

static void put_head(uint8_t *at, uint32_t kind, size_t length, uint64_t value)
{
    ferry_store_le32(at, kind);
    ferry_store_le32(at + 4, (uint32_t)length);
    ferry_store_le64(at + 8, value);
}

size_t bridge_frame_begin(struct bridge_frame_writer *writer,
                          const struct ferry_stream_hello_device *source,
                          uint8_t ret_bytes[BRIDGE_FRAME_HEADER_MAX])
{
    struct ferry_writer out;

    ferry_writer_init(&out, ret_bytes + BRIDGE_FRAME_HEAD_BYTES,
                      BRIDGE_FRAME_HEADER_MAX - BRIDGE_FRAME_HEAD_BYTES);
    ferry_writer_u32(&out, BRIDGE_FRAME_VERSION);
    ferry_writer_u32(&out, 0);
    ferry_stream_put_hello_device(&out, source);
    assert(!out.overflow);
    put_head(ret_bytes, BRIDGE_FRAME_HEADER, out.pos, BRIDGE_FRAME_MAGIC);
    writer->bytes = 0;
    ferry_stream_hash_init(&writer->hash);
    ferry_stream_hash_update(&writer->hash, ret_bytes, BRIDGE_FRAME_HEAD_BYTES + out.pos);
    return BRIDGE_FRAME_HEAD_BYTES + out.pos;
}

void bridge_frame_data(struct bridge_frame_writer *writer, const void *data, size_t bytes,
                       uint8_t ret_head[BRIDGE_FRAME_HEAD_BYTES])
{
    assert(bytes > 0 && bytes <= BRIDGE_FRAME_DATA_MAX);
    put_head(ret_head, BRIDGE_FRAME_DATA, bytes, writer->bytes);
    ferry_stream_hash_update(&writer->hash, data, bytes);
    writer->bytes += bytes;
}

size_t bridge_frame_irqs(struct bridge_frame_writer *writer, uint32_t index,
                         const uint16_t *vector, uint32_t count,
                         uint8_t ret_bytes[BRIDGE_FRAME_IRQS_MAX])
{
    size_t bytes = BRIDGE_FRAME_HEAD_BYTES + 2u * (size_t)count;
    uint32_t i;

    assert(count > 0 && count <= BRIDGE_FRAME_VECTORS_MAX);
    put_head(ret_bytes, BRIDGE_FRAME_IRQS, 2u * (size_t)count, index);
    for (i = 0; i < count; i++) {
        ferry_store_le16(ret_bytes + BRIDGE_FRAME_HEAD_BYTES + 2u * i, vector[i]);
    }
    ferry_stream_hash_update(&writer->hash, ret_bytes, bytes);
    return bytes;
}

void bridge_frame_end(struct bridge_frame_writer *writer,
                      uint8_t ret_bytes[BRIDGE_FRAME_END_BYTES])
{
    struct ferry_stream_digest digest = ferry_stream_hash_digest(&writer->hash);

    put_head(ret_bytes, BRIDGE_FRAME_END,
             BRIDGE_FRAME_END_BYTES - BRIDGE_FRAME_HEAD_BYTES, writer->bytes);
    ferry_store_le64(ret_bytes + BRIDGE_FRAME_HEAD_BYTES, digest.low);
    ferry_store_le64(ret_bytes + BRIDGE_FRAME_HEAD_BYTES + 8, digest.high);
}

void bridge_frame_reader_init(struct bridge_frame_reader *reader)
{
    memset(reader, 0, sizeof(*reader));
    ferry_stream_hash_init(&reader->hash);
}

static int fail(struct bridge_frame_reader *reader, int code, const char *what,
                uint64_t value, struct ferry_error *reterr)
{
    reader->status = code;
    return ferry_error_set(reterr, code, "bridge", NULL, reader->off,
                           "the device's data, byte %llu: %s (%llu)",
                           (unsigned long long)reader->off, what,
                           (unsigned long long)value);
}

static int check_header_head(struct bridge_frame_reader *reader, uint32_t length,
                             uint64_t value, struct ferry_error *reterr)
{
    if (reader->kind != BRIDGE_FRAME_HEADER || value != BRIDGE_FRAME_MAGIC) {
        return fail(
            reader, FERRY_E_FOREIGN,
            "it was not written by a bridge of Ferry: the source runs without one",
            reader->kind, reterr);
    }
    if (length < 8 || length > BRIDGE_FRAME_BODY_MAX) {
        return fail(reader, FERRY_E_LIMIT, "a HEADER of this length", length, reterr);
    }
    return FERRY_OK;
}

static int check_data_head(struct bridge_frame_reader *reader, uint32_t length,
                           uint64_t value, struct ferry_error *reterr)
{
    if (length == 0 || length > BRIDGE_FRAME_DATA_MAX) {
        return fail(reader, FERRY_E_LIMIT, "a DATA of this length", length, reterr);
    }
    if (value != reader->bytes) {
        return fail(reader, FERRY_E_PROTOCOL, "DATA of another place", value, reterr);
    }
    return FERRY_OK;
}

static int check_irqs_head(struct bridge_frame_reader *reader, uint32_t length,
                           uint64_t value, struct ferry_error *reterr)
{
    if (length == 0 || length % 2 != 0 || length > 2u * BRIDGE_FRAME_VECTORS_MAX) {
        return fail(reader, FERRY_E_LIMIT, "an IRQS of this length", length, reterr);
    }
    if (value != 1 && value != 2) {
        return fail(reader, FERRY_E_PROTOCOL, "IRQS of neither MSI nor MSI-X", value,
                    reterr);
    }
    return FERRY_OK;
}

static int check_end_head(struct bridge_frame_reader *reader, uint32_t length,
                          uint64_t value, struct ferry_error *reterr)
{
    if (length != BRIDGE_FRAME_END_BYTES - BRIDGE_FRAME_HEAD_BYTES) {
        return fail(reader, FERRY_E_LIMIT, "an END of this length", length, reterr);
    }
    if (value != reader->bytes) {
        return fail(reader, value > reader->bytes ? FERRY_E_SHORT : FERRY_E_LONG,
                    "END tells another number of bytes than came", value, reterr);
    }
    reader->length = value;
    return FERRY_OK;
}

/* The head is complete: may this unit come now? */
static int take_head(struct bridge_frame_reader *reader, struct ferry_error *reterr)
{
    uint32_t length = ferry_load_le32(reader->head + 4);
    uint64_t value = ferry_load_le64(reader->head + 8);
    int rc;

    reader->kind = ferry_load_le32(reader->head);
    reader->body_got = 0;
    if (!reader->begun) {
        rc = check_header_head(reader, length, value, reterr);
    } else if (reader->kind == BRIDGE_FRAME_DATA) {
        rc = check_data_head(reader, length, value, reterr);
    } else if (reader->kind == BRIDGE_FRAME_IRQS) {
        rc = check_irqs_head(reader, length, value, reterr);
    } else if (reader->kind == BRIDGE_FRAME_END) {
        rc = check_end_head(reader, length, value, reterr);
    } else if (!(reader->kind & BRIDGE_FRAME_OPTIONAL)) {
        rc = fail(reader, FERRY_E_MESSAGE,
                  "a unit that this version does not know; a newer bridge wrote it",
                  reader->kind, reterr);
    } else if (length > BRIDGE_FRAME_BODY_MAX) {
        rc = fail(reader, FERRY_E_LIMIT, "an optional unit of this length", length,
                  reterr);
    } else {
        rc = FERRY_OK;
    }
    reader->left = rc == FERRY_OK ? length : 0;
    return rc;
}

static int take_header(struct bridge_frame_reader *reader, struct ferry_error *reterr)
{
    uint32_t version = ferry_load_le32(reader->body);
    uint32_t options = ferry_load_le32(reader->body + 4);
    int rc;

    if (version != BRIDGE_FRAME_VERSION) {
        return fail(reader, FERRY_E_VERSION, "a version that this bridge does not read",
                    version, reterr);
    }
    if (options & BRIDGE_FRAME_OPTIONS_NEEDED) {
        return fail(reader, FERRY_E_VERSION, "options that this bridge does not know",
                    options, reterr);
    }
    rc = ferry_stream_get_hello_device(reader->body + 8, reader->body_got - 8,
                                       &reader->source, reterr);
    if (rc != FERRY_OK) {
        reader->status = rc;
        return rc;
    }
    reader->begun = 1;
    ferry_stream_hash_update(&reader->hash, reader->head, sizeof(reader->head));
    ferry_stream_hash_update(&reader->hash, reader->body, reader->body_got);
    return FERRY_OK;
}

static int take_end(struct bridge_frame_reader *reader, struct ferry_error *reterr)
{
    struct ferry_stream_digest digest = ferry_stream_hash_digest(&reader->hash);

    if (digest.low != ferry_load_le64(reader->body) ||
        digest.high != ferry_load_le64(reader->body + 8)) {
        return fail(reader, FERRY_E_CORRUPT, "the hash of the data is another one",
                    reader->bytes, reterr);
    }
    reader->over = 1;
    return FERRY_OK;
}

/* A unit other than DATA is complete. */
static int take_body(struct bridge_frame_reader *reader, struct bridge_frame_part *part,
                     struct ferry_error *reterr)
{
    int rc = FERRY_OK;

    if (reader->kind == BRIDGE_FRAME_HEADER) {
        rc = take_header(reader, reterr);
    } else if (reader->kind == BRIDGE_FRAME_END) {
        rc = take_end(reader, reterr);
    } else if (reader->kind == BRIDGE_FRAME_IRQS) {
        ferry_stream_hash_update(&reader->hash, reader->head, sizeof(reader->head));
        ferry_stream_hash_update(&reader->hash, reader->body, reader->body_got);
        part->index = (uint32_t)ferry_load_le64(reader->head + 8);
        part->data = reader->body;
        part->bytes = reader->body_got;
    } else {
        return FERRY_OK; /* optional: passed over */
    }
    if (rc == FERRY_OK) {
        part->kind = reader->kind;
    }
    return rc;
}

static size_t least(size_t a, size_t b)
{
    return a < b ? a : b;
}

/* Bytes of a body. Return: how many were used. */
static size_t take_bytes(struct bridge_frame_reader *reader, const uint8_t *data,
                         size_t bytes, struct bridge_frame_part *part)
{
    size_t count = least(bytes, reader->left);

    if (reader->kind == BRIDGE_FRAME_DATA) {
        ferry_stream_hash_update(&reader->hash, data, count);
        reader->bytes += count;
        part->kind = BRIDGE_FRAME_DATA;
        part->data = data;
        part->bytes = count;
    } else {
        memcpy(reader->body + reader->body_got, data, count);
        reader->body_got += count;
    }
    reader->left -= (uint32_t)count;
    return count;
}

int bridge_frame_feed(struct bridge_frame_reader *reader, const void *data, size_t bytes,
                      size_t *ret_used, struct bridge_frame_part *ret_part,
                      struct ferry_error *reterr)
{
    const uint8_t *at = data;
    size_t used = 0, count;
    int rc = reader->status;

    memset(ret_part, 0, sizeof(*ret_part));
    *ret_used = 0;
    if (rc != FERRY_OK) {
        return fail(reader, rc, "it has failed before", 0, reterr);
    }
    if (reader->over && bytes > 0) {
        return fail(reader, FERRY_E_LONG, "it goes on behind its END", bytes, reterr);
    }
    while (rc == FERRY_OK && used < bytes && ret_part->kind == BRIDGE_FRAME_NONE) {
        if (reader->head_got < BRIDGE_FRAME_HEAD_BYTES) {
            count = least(bytes - used, BRIDGE_FRAME_HEAD_BYTES - reader->head_got);
            memcpy(reader->head + reader->head_got, at + used, count);
            reader->head_got += count;
            if (reader->head_got == BRIDGE_FRAME_HEAD_BYTES) {
                rc = take_head(reader, reterr);
            }
        } else {
            count = take_bytes(reader, at + used, bytes - used, ret_part);
        }
        used += count;
        reader->off += count;
        if (rc == FERRY_OK && reader->head_got == BRIDGE_FRAME_HEAD_BYTES &&
            reader->left == 0) {
            reader->head_got = 0;
            if (reader->kind != BRIDGE_FRAME_DATA) {
                rc = take_body(reader, ret_part, reterr);
            }
        }
    }
    *ret_used = used;
    return rc;
}
