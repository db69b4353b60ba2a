/* SPDX-License-Identifier: BSD-3-Clause */
#include "wire/transcript.h"

#include <string.h>

#include "base/writer.h"
#include "wire/header.h"

static const uint8_t magic[8] = { 'F', 'E', 'R', 'R', 'Y', 'T', 'R', 'C' };

void ferry_transcript_head_encode(void *ret_bytes)
{
    uint8_t *at = ret_bytes;

    memset(at, 0, FERRY_TRANSCRIPT_HEAD_BYTES);
    memcpy(at, magic, sizeof(magic));
    ferry_store_le32(at + 8, FERRY_TRANSCRIPT_VERSION);
}

void ferry_transcript_record_encode(const struct ferry_transcript_record *record,
                                    void *ret_bytes)
{
    uint8_t *at = ret_bytes;

    ferry_store_le32(at, record->number);
    ferry_store_le32(at + 4, record->bytes);
    ferry_store_le32(at + 8, record->connection);
    ferry_store_le16(at + 12, (uint16_t)record->fd_count);
    at[14] = (uint8_t)record->sender;
    at[15] = (uint8_t)record->cut;
}

int ferry_transcript_begin(struct ferry_transcript_reader *reader, const void *bytes,
                           size_t size, struct ferry_error *reterr)
{
    const uint8_t *at;
    uint32_t version;

    ferry_reader_init(&reader->in, bytes, size);
    reader->last = 0;
    reader->connection = 0;
    at = ferry_reader_take(&reader->in, sizeof(magic));
    version = ferry_reader_u32(&reader->in);
    ferry_reader_skip(&reader->in, 4);
    if (reader->in.failed != 0 || memcmp(at, magic, sizeof(magic)) != 0) {
        return ferry_error_set(reterr, FERRY_E_FOREIGN, "wire", NULL, 0,
                               "this is not a transcript of a vfio-user server");
    }
    if (version != FERRY_TRANSCRIPT_VERSION) {
        return ferry_error_set(reterr, FERRY_E_VERSION, "wire", NULL, 8,
                               "a transcript of version %u; this build reads %u", version,
                               FERRY_TRANSCRIPT_VERSION);
    }
    return FERRY_OK;
}

static int fail(const struct ferry_transcript_reader *reader, size_t off, int code,
                const char *what, uint64_t value, struct ferry_error *reterr)
{
    return ferry_error_set(reterr, code, "wire", NULL, off,
                           "record %u, byte %zu of the file: %s is %llu",
                           reader->last + 1, off, what, (unsigned long long)value);
}

static int check(const struct ferry_transcript_reader *reader, size_t off,
                 const struct ferry_transcript_record *record, struct ferry_error *reterr)
{
    if (record->number != reader->last + 1) {
        return fail(reader, off, FERRY_E_PROTOCOL, "the number", record->number, reterr);
    }
    if (record->bytes > FERRY_TRANSCRIPT_MESSAGE_MAX) {
        return fail(reader, off + 4, FERRY_E_LIMIT, "the size", record->bytes, reterr);
    }
    if (record->bytes < FERRY_WIRE_HEADER_BYTES ||
        (record->cut != 0 && record->bytes != FERRY_WIRE_HEADER_BYTES)) {
        return fail(reader, off + 4, FERRY_E_PROTOCOL, "the size", record->bytes, reterr);
    }
    if (record->connection == 0) {
        return fail(reader, off + 8, FERRY_E_PROTOCOL, "the connection",
                    record->connection, reterr);
    }
    if (record->fd_count > FERRY_TRANSCRIPT_FDS_MAX) {
        return fail(reader, off + 12, FERRY_E_LIMIT, "the number of descriptors",
                    record->fd_count, reterr);
    }
    if (record->sender != FERRY_WIRE_FROM_CLIENT &&
        record->sender != FERRY_WIRE_FROM_SERVER) {
        return fail(reader, off + 14, FERRY_E_PROTOCOL, "the sender", record->sender,
                    reterr);
    }
    if (record->cut > 1) {
        return fail(reader, off + 15, FERRY_E_PROTOCOL, "the flags", record->cut, reterr);
    }
    return FERRY_OK;
}

int ferry_transcript_next(struct ferry_transcript_reader *reader,
                          struct ferry_transcript_record *ret_record,
                          struct ferry_error *reterr)
{
    struct ferry_transcript_record record;
    size_t off = reader->in.pos;
    uint32_t size;
    int status;

    if (ferry_reader_remaining(&reader->in) == 0) {
        return 0;
    }
    record.number = ferry_reader_u32(&reader->in);
    record.bytes = ferry_reader_u32(&reader->in);
    record.connection = ferry_reader_u32(&reader->in);
    record.fd_count = ferry_reader_u16(&reader->in);
    record.sender = ferry_reader_u8(&reader->in);
    record.cut = ferry_reader_u8(&reader->in);
    if (reader->in.failed != 0) {
        return fail(reader, off, FERRY_E_SHORT, "the size of what is left", 0, reterr);
    }
    status = check(reader, off, &record, reterr);
    if (status != FERRY_OK) {
        return status;
    }
    record.message = ferry_reader_take(&reader->in, record.bytes);
    if (record.message == NULL) {
        return fail(reader, off, FERRY_E_SHORT, "the size", record.bytes, reterr);
    }
    size = ferry_load_le32(record.message + 4);
    if (record.cut == 0 && size != record.bytes) {
        return fail(reader, off + FERRY_TRANSCRIPT_RECORD_BYTES + 4, FERRY_E_PROTOCOL,
                    "the message's own size", size, reterr);
    }
    reader->last = record.number;
    reader->connection = record.connection;
    *ret_record = record;
    return 1;
}
