/* SPDX-License-Identifier: BSD-3-Clause */
#include "host/file/reader.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>
#include <zstd.h>

#include "base/reader.h"
#include "os/draft.h"

#define INPUT_BYTES (64u << 10)
#define PAYLOAD_BYTES (FERRY_STREAM_PREFIX_BYTES + FERRY_RECORD_DATA_MAX)
#define HEADER FERRY_RECORD_HEADER_BYTES

struct ferry_file_reader {
    int fd;
    uint32_t whole;    /* the record of the last call was read to its end */
    uint32_t packed;   /* the last record, or what failed, came out of a PACKED */
    uint32_t ended;    /* the descriptor has no more */
    size_t head, tail; /* of input */
    size_t plain_head, plain_tail; /* of plain */
    uint64_t file_off;             /* of input[head] */
    uint64_t block_off;            /* of the PACKED in plain */
    uint64_t stream_off;           /* of the next record */
    uint64_t number, outer, blocks;
    ZSTD_DCtx *zstd;
    struct ferry_stream_hash hash; /* of the whole records of the file */
    uint8_t input[INPUT_BYTES];
    uint8_t plain[FERRY_RECORD_PLAIN_MAX];
    uint8_t payload[PAYLOAD_BYTES];
    uint8_t block[FERRY_STREAM_PACKED_BYTES + FERRY_RECORD_PLAIN_MAX];
};

_Static_assert(PAYLOAD_BYTES >= FERRY_RECORD_CONTROL_MAX, "every payload fits");

int ferry_file_reader_create(int fd, struct ferry_file_reader **ret_reader)
{
    struct ferry_file_reader *reader = calloc(1, sizeof(*reader));

    if (reader) {
        reader->fd = fd;
        reader->zstd = ZSTD_createDCtx();
        ferry_stream_hash_init(&reader->hash);
    }
    if (!reader || !reader->zstd) {
        free(reader);
        return FERRY_E_MEMORY;
    }
    *ret_reader = reader;
    return FERRY_OK;
}

void ferry_file_reader_destroy(struct ferry_file_reader *reader)
{
    if (reader) {
        ZSTD_freeDCtx(reader->zstd);
        free(reader);
    }
}

static size_t buffered(const struct ferry_file_reader *reader)
{
    return reader->tail - reader->head;
}

static size_t plain_left(const struct ferry_file_reader *reader)
{
    return reader->plain_tail - reader->plain_head;
}

/* Makes `bytes` bytes of the file readable in input, fewer when it ends. */
static int fill(struct ferry_file_reader *reader, size_t bytes,
                struct ferry_error *reterr)
{
    size_t got = 0;
    int rc;

    if (buffered(reader) >= bytes || reader->ended) {
        return FERRY_OK;
    }
    memmove(reader->input, reader->input + reader->head, buffered(reader));
    reader->tail -= reader->head;
    reader->head = 0;
    rc = ferry_os_file_take(reader->fd, reader->input + reader->tail,
                            INPUT_BYTES - reader->tail, &got, reterr);
    reader->ended = rc == FERRY_OK && got < INPUT_BYTES - reader->tail;
    reader->tail += got;
    return rc;
}

static int cut(struct ferry_file_reader *reader, const struct ferry_record *record,
               struct ferry_error *reterr)
{
    return ferry_error_set(reterr, FERRY_E_SHORT, "stream", "STR-END-2",
                           reader->stream_off, "the file ends inside %s at offset %llu",
                           record ? ferry_record_name(record->tag) : "a header",
                           (unsigned long long)reader->stream_off);
}

static void consume(struct ferry_file_reader *reader, size_t bytes)
{
    reader->head += bytes;
    reader->file_off += bytes;
}

/* Copies bytes of the file. *ret_got: fewer at its end. */
static int take_file(struct ferry_file_reader *reader, uint8_t *ret_data, size_t bytes,
                     size_t *ret_got, struct ferry_error *reterr)
{
    size_t part = bytes < buffered(reader) ? bytes : buffered(reader);
    size_t got = 0;
    int rc = FERRY_OK;

    memcpy(ret_data, reader->input + reader->head, part);
    consume(reader, part);
    if (part < bytes && !reader->ended) {
        rc = ferry_os_file_take(reader->fd, ret_data + part, bytes - part, &got, reterr);
        reader->ended = rc == FERRY_OK && got < bytes - part;
        reader->file_off += got;
    }
    *ret_got = part + got;
    return rc;
}

/* The header of the next record of the file itself, not taken yet.
 * Return: 1, FERRY_RECORD_SKIP + 1 for an unknown one, 0 at the end, or a code. */
static int peek_header(struct ferry_file_reader *reader, struct ferry_record *ret_record,
                       struct ferry_error *reterr)
{
    int rc = fill(reader, HEADER, reterr);

    if (rc < 0) {
        return rc;
    }
    if (buffered(reader) == 0) {
        return 0;
    }
    if (buffered(reader) < HEADER) {
        return cut(reader, NULL, reterr);
    }
    rc = ferry_record_decode(reader->input + reader->head, reader->stream_off, ret_record,
                             reterr);
    return rc < 0 ? rc : rc + 1;
}

/* Payload of a record of the file itself, whose header was peeked at. */
static int take_outer(struct ferry_file_reader *reader, const struct ferry_record *record,
                      uint8_t *ret_payload, struct ferry_error *reterr)
{
    size_t bytes = (size_t)record->payload_bytes, got = 0;
    uint8_t header[HEADER];
    int rc;

    memcpy(header, reader->input + reader->head, HEADER);
    consume(reader, HEADER);
    rc = take_file(reader, ret_payload, bytes, &got, reterr);
    if (rc < 0) {
        return rc;
    }
    if (got < bytes) {
        return cut(reader, record, reterr);
    }
    if (record->tag != FERRY_REC_FILE_END) {
        ferry_stream_hash_update(&reader->hash, header, HEADER);
        ferry_stream_hash_update(&reader->hash, ret_payload, bytes);
        reader->outer++;
    }
    return FERRY_OK;
}

static int bad_block(struct ferry_file_reader *reader, const char *rule, const char *what,
                     struct ferry_error *reterr)
{
    return ferry_error_set(reterr, FERRY_E_CORRUPT, "stream", rule, reader->stream_off,
                           "PACKED at byte %llu of the file: %s",
                           (unsigned long long)reader->block_off, what);
}

/* Unpacks the block whose header was peeked at. */
static int unpack(struct ferry_file_reader *reader, const struct ferry_record *record,
                  struct ferry_error *reterr)
{
    size_t bytes = (size_t)record->payload_bytes, got;
    const uint8_t *body = reader->block + FERRY_STREAM_PACKED_BYTES;
    struct ferry_stream_packed packed;
    int rc;

    reader->packed = 1;
    reader->block_off = reader->file_off;
    rc = take_outer(reader, record, reader->block, reterr);
    if (rc == FERRY_OK) {
        rc = ferry_record_check(record,
                                ferry_record_checksum(record, reader->block, bytes),
                                reader->stream_off, reterr);
    }
    if (rc == FERRY_OK) {
        rc = ferry_stream_get_packed(reader->block, bytes, &packed, reterr);
    }
    if (rc < 0) {
        return rc;
    }
    bytes = (size_t)packed.bytes;
    if (packed.method == FERRY_STREAM_STORED) {
        memcpy(reader->plain, body, bytes);
    } else {
        /* Never more than plain_bytes are written, whatever the frame says. */
        got = ZSTD_decompressDCtx(reader->zstd, reader->plain, packed.plain_bytes, body,
                                  bytes);
        if (ZSTD_isError(got) || got != packed.plain_bytes ||
            ZSTD_findFrameCompressedSize(body, bytes) != bytes) {
            return bad_block(reader, "STR-PACK-2", "it does not unpack to what it says",
                             reterr);
        }
    }
    reader->blocks++;
    reader->plain_head = 0;
    reader->plain_tail = packed.plain_bytes;
    return FERRY_OK;
}

/* Copies unpacked bytes, out of as many blocks as they take. */
static int take_plain(struct ferry_file_reader *reader, uint8_t *ret_data, size_t bytes,
                      struct ferry_error *reterr)
{
    while (bytes > 0) {
        size_t part = bytes < plain_left(reader) ? bytes : plain_left(reader);
        struct ferry_record record;
        int rc;

        memcpy(ret_data, reader->plain + reader->plain_head, part);
        reader->plain_head += part;
        ret_data += part;
        bytes -= part;
        if (bytes == 0) {
            break;
        }
        rc = peek_header(reader, &record, reterr);
        if (rc == 0) {
            return cut(reader, NULL, reterr);
        }
        if (rc > 0 && record.tag != FERRY_REC_PACKED) {
            return bad_block(reader, "STR-PACK-2",
                             "a record begins in it that does not end in the next",
                             reterr);
        }
        rc = rc < 0 ? rc : unpack(reader, &record, reterr);
        if (rc < 0) {
            return rc;
        }
    }
    return FERRY_OK;
}

static int next_packed(struct ferry_file_reader *reader, struct ferry_record *ret_record,
                       uint32_t *ret_unknown, struct ferry_error *reterr)
{
    uint8_t header[HEADER];
    int rc = take_plain(reader, header, HEADER, reterr);

    if (rc == FERRY_OK) {
        rc = ferry_record_decode(header, reader->stream_off, ret_record, reterr);
    }
    if (rc < 0) {
        return rc;
    }
    *ret_unknown = rc == FERRY_RECORD_SKIP;
    if (ret_record->tag == FERRY_REC_PACKED || ret_record->tag == FERRY_REC_PREAMBLE ||
        ret_record->tag == FERRY_REC_FILE_END) {
        return bad_block(reader, "STR-PACK-3", "it holds a record that is never packed",
                         reterr);
    }
    return take_plain(reader, reader->payload, (size_t)ret_record->payload_bytes, reterr);
}

static int check_file_end(struct ferry_file_reader *reader, uint64_t off,
                          const struct ferry_record *record, struct ferry_error *reterr)
{
    struct ferry_stream_file_end end;
    int rc = ferry_stream_get_file_end(reader->payload, (size_t)record->payload_bytes,
                                       &end, reterr);

    return rc < 0 ? rc
                  : ferry_stream_check_file_end(&end, reader->outer, off, &reader->hash,
                                                reterr);
}

int ferry_file_reader_next(struct ferry_file_reader *reader,
                           struct ferry_file_record *ret_record,
                           struct ferry_error *reterr)
{
    struct ferry_record *record = &ret_record->record;
    int rc = FERRY_OK;

    memset(ret_record, 0, sizeof(*ret_record));
    reader->whole = 0;
    reader->packed = plain_left(reader) > 0;
    ret_record->number = reader->number;
    ret_record->off = reader->stream_off;
    ret_record->file_off = reader->packed ? reader->block_off : reader->file_off;
    ret_record->payload = reader->payload;
    if (!reader->packed) {
        rc = peek_header(reader, record, reterr);
        if (rc <= 0) {
            return rc;
        }
        ret_record->unknown = rc == FERRY_RECORD_SKIP + 1;
        rc = record->tag == FERRY_REC_PACKED
                 ? unpack(reader, record, reterr)
                 : take_outer(reader, record, reader->payload, reterr);
    }
    if (rc == FERRY_OK && reader->packed) {
        rc = next_packed(reader, record, &ret_record->unknown, reterr);
    }
    if (rc < 0) {
        return rc;
    }
    ret_record->packed = reader->packed;
    reader->whole = 1;
    reader->number++;
    reader->stream_off += HEADER + record->payload_bytes;
    rc = ferry_record_check(
        record,
        ferry_record_checksum(record, reader->payload, (size_t)record->payload_bytes),
        ret_record->off, reterr);
    if (rc == FERRY_OK && record->tag == FERRY_REC_FILE_END) {
        rc = check_file_end(reader, ret_record->file_off, record, reterr);
    }
    return rc < 0 ? rc : 1;
}

int ferry_file_reader_whole(const struct ferry_file_reader *reader)
{
    return (int)reader->whole;
}

/* Something that could be a header: the rest is judged when it is read. */
static int looks_like_one(const uint8_t *bytes)
{
    return ferry_load_le32(bytes) == FERRY_RECORD_MAGIC;
}

static int resync_plain(struct ferry_file_reader *reader, uint64_t *ret_skipped)
{
    while (plain_left(reader) >= sizeof(uint32_t)) {
        if (looks_like_one(reader->plain + reader->plain_head)) {
            return 1;
        }
        reader->plain_head++;
        *ret_skipped += 1;
    }
    *ret_skipped += plain_left(reader);
    reader->plain_head = reader->plain_tail;
    return 0;
}

static int resync_file(struct ferry_file_reader *reader, uint64_t *ret_skipped,
                       struct ferry_error *reterr)
{
    for (;;) {
        int rc = fill(reader, HEADER, reterr);

        if (rc < 0) {
            return rc;
        }
        if (buffered(reader) < HEADER) {
            *ret_skipped += buffered(reader);
            consume(reader, buffered(reader));
            return 0;
        }
        if (looks_like_one(reader->input + reader->head)) {
            return 1;
        }
        ferry_stream_hash_update(&reader->hash, reader->input + reader->head, 1);
        consume(reader, 1);
        *ret_skipped += 1;
    }
}

int ferry_file_reader_resync(struct ferry_file_reader *reader, uint64_t *ret_skipped,
                             struct ferry_error *reterr)
{
    struct ferry_record record;
    int rc;

    *ret_skipped = 0;
    if (!reader->packed) {
        /* Not the same header again. */
        size_t bytes = buffered(reader) > 0 ? 1 : 0;

        ferry_stream_hash_update(&reader->hash, reader->input + reader->head, bytes);
        consume(reader, bytes);
        *ret_skipped = bytes;
        return resync_file(reader, ret_skipped, reterr);
    }
    for (;;) {
        if (resync_plain(reader, ret_skipped)) {
            return 1;
        }
        rc = peek_header(reader, &record, reterr);
        if (rc > 0 && record.tag != FERRY_REC_PACKED) {
            return 1;
        }
        if (rc <= 0) {
            return rc == FERRY_E_IO ? rc : resync_file(reader, ret_skipped, reterr);
        }
        rc = unpack(reader, &record, reterr);
        if (rc == FERRY_E_IO) {
            return rc;
        }
    }
}

uint64_t ferry_file_reader_offset(const struct ferry_file_reader *reader)
{
    return reader->stream_off;
}

uint64_t ferry_file_reader_bytes(const struct ferry_file_reader *reader)
{
    return reader->file_off;
}

uint64_t ferry_file_reader_blocks(const struct ferry_file_reader *reader)
{
    return reader->blocks;
}
