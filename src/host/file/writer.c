/* SPDX-License-Identifier: BSD-3-Clause */
#include "host/file/writer.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>
#include <zstd.h>

#include "base/writer.h"
#include "ferry/session.h"

/* Small records leave together. */
#define BUFFER_BYTES (1u << 20)

struct ferry_file_writer {
    struct ferry_os_draft draft;
    int status; /* of the first failure */
    int level;
    ZSTD_CCtx *zstd; /* NULL: not packed */
    uint64_t records, bytes;
    size_t held;     /* bytes in buffer: not written, or not packed yet */
    uint8_t *buffer; /* BUFFER_BYTES: plain bytes */
    uint8_t *packed; /* FERRY_STREAM_PACKED_BYTES + FERRY_RECORD_PLAIN_MAX */
    struct ferry_stream_hash hash;
};

_Static_assert(BUFFER_BYTES <= FERRY_RECORD_PLAIN_MAX, "a full buffer is one block");

static int fail(struct ferry_file_writer *writer, int status)
{
    if (writer->status == FERRY_OK) {
        writer->status = status;
    }
    return writer->status;
}

int ferry_file_writer_create(const struct ferry_os_draft *draft, int level,
                             struct ferry_file_writer **ret_writer,
                             struct ferry_error *reterr)
{
    struct ferry_file_writer *writer = calloc(1, sizeof(*writer));
    struct ferry_os_draft own = *draft;
    int good = writer != NULL;

    if (good && level != 0 && (level < 1 || level > ZSTD_maxCLevel())) {
        free(writer);
        ferry_os_draft_drop(&own);
        return ferry_error_set(reterr, FERRY_E_ARGUMENT, "host", NULL, 0,
                               "levels of compression go from 1 to %d", ZSTD_maxCLevel());
    }
    if (good) {
        writer->draft = own;
        writer->level = level;
        writer->buffer = malloc(BUFFER_BYTES);
        good = writer->buffer != NULL;
    }
    if (good && level != 0) {
        writer->zstd = ZSTD_createCCtx();
        writer->packed = malloc(FERRY_STREAM_PACKED_BYTES + FERRY_RECORD_PLAIN_MAX);
        good = writer->zstd != NULL && writer->packed != NULL;
    }
    if (!good) {
        if (writer == NULL) {
            ferry_os_draft_drop(&own);
        }
        ferry_file_writer_destroy(writer);
        return ferry_error_set(reterr, FERRY_E_MEMORY, "host", NULL, 0,
                               "out of memory for a file's buffers");
    }
    ferry_stream_hash_init(&writer->hash);
    *ret_writer = writer;
    return FERRY_OK;
}

void ferry_file_writer_destroy(struct ferry_file_writer *writer)
{
    if (writer == NULL) {
        return;
    }
    ferry_os_draft_drop(&writer->draft);
    ZSTD_freeCCtx(writer->zstd);
    free(writer->packed);
    free(writer->buffer);
    free(writer);
}

static int write_out(struct ferry_file_writer *writer, const void *data, size_t bytes,
                     struct ferry_error *reterr)
{
    int rc = ferry_os_draft_write(&writer->draft, data, bytes, reterr);

    if (rc < 0) {
        return fail(writer, rc);
    }
    ferry_stream_hash_update(&writer->hash, data, bytes);
    writer->bytes += bytes;
    return FERRY_OK;
}

static int write_block(struct ferry_file_writer *writer, struct ferry_error *reterr)
{
    uint8_t *body = writer->packed + FERRY_STREAM_PACKED_BYTES;
    struct ferry_stream_packed packed = { .method = FERRY_STREAM_ZSTD,
                                          .plain_bytes = (uint32_t)writer->held };
    uint8_t header[FERRY_RECORD_HEADER_BYTES];
    struct ferry_writer prefix;
    struct ferry_record record;
    /* What does not get shorter does not fit either. */
    size_t bytes = ZSTD_compressCCtx(writer->zstd, body, writer->held - 1, writer->buffer,
                                     writer->held, writer->level);
    int rc;

    if (ZSTD_isError(bytes)) {
        packed.method = FERRY_STREAM_STORED;
        bytes = writer->held;
        memcpy(body, writer->buffer, bytes);
    }
    ferry_writer_init(&prefix, writer->packed, FERRY_STREAM_PACKED_BYTES);
    ferry_stream_put_packed(&prefix, &packed);
    assert(!prefix.overflow);
    bytes += FERRY_STREAM_PACKED_BYTES;
    ferry_record_seal(&record, FERRY_REC_PACKED, 0, FERRY_NO_DEVICE, writer->packed,
                      bytes);
    ferry_record_encode(&record, header);
    rc = write_out(writer, header, sizeof(header), reterr);
    if (rc == FERRY_OK) {
        rc = write_out(writer, writer->packed, bytes, reterr);
    }
    writer->records++;
    return rc;
}

static int flush(struct ferry_file_writer *writer, struct ferry_error *reterr)
{
    int rc = FERRY_OK;

    if (writer->held > 0) {
        rc = writer->zstd ? write_block(writer, reterr)
                          : write_out(writer, writer->buffer, writer->held, reterr);
        writer->held = 0;
    }
    return rc;
}

static int hold(struct ferry_file_writer *writer, const void *data, size_t bytes,
                struct ferry_error *reterr)
{
    const uint8_t *from = data;
    int rc = FERRY_OK;

    while (bytes > 0 && rc == FERRY_OK) {
        size_t room = BUFFER_BYTES - writer->held;
        size_t part = bytes < room ? bytes : room;

        memcpy(writer->buffer + writer->held, from, part);
        writer->held += part;
        from += part;
        bytes -= part;
        if (writer->held == BUFFER_BYTES) {
            rc = flush(writer, reterr);
        }
    }
    return rc;
}

int ferry_file_writer_put(struct ferry_file_writer *writer,
                          const struct ferry_record *record, const void *payload,
                          struct ferry_error *reterr)
{
    uint8_t header[FERRY_RECORD_HEADER_BYTES];
    int rc = writer->status;

    if (rc < 0) {
        return ferry_error_set(reterr, rc, "host", NULL, writer->bytes,
                               "the file could not be written before");
    }
    ferry_record_encode(record, header);
    rc = hold(writer, header, sizeof(header), reterr);
    if (rc == FERRY_OK) {
        rc = hold(writer, payload, (size_t)record->payload_bytes, reterr);
    }
    if (!writer->zstd) {
        writer->records++;
    } else if (record->tag == FERRY_REC_PREAMBLE && rc == FERRY_OK) {
        /* Whoever opens the file sees its version before anything is unpacked. */
        rc = write_out(writer, writer->buffer, writer->held, reterr);
        writer->held = 0;
        writer->records++;
    }
    return rc;
}

int ferry_file_writer_end(struct ferry_file_writer *writer, struct ferry_error *reterr)
{
    struct ferry_stream_file_end end;
    struct ferry_stream_digest digest;
    uint8_t bytes[FERRY_RECORD_HEADER_BYTES + 32];
    struct ferry_record record;
    struct ferry_writer payload;
    int rc = writer->status < 0 ? writer->status : flush(writer, reterr);

    if (rc < 0) {
        return rc;
    }
    digest = ferry_stream_hash_digest(&writer->hash);
    end.records = writer->records;
    end.bytes = writer->bytes;
    end.hash_low = digest.low;
    end.hash_high = digest.high;
    ferry_writer_init(&payload, bytes + FERRY_RECORD_HEADER_BYTES, 32);
    ferry_stream_put_file_end(&payload, &end);
    assert(!payload.overflow);
    ferry_record_seal(&record, FERRY_REC_FILE_END, 0, FERRY_NO_DEVICE, payload.data,
                      payload.pos);
    ferry_record_encode(&record, bytes);
    return write_out(writer, bytes, sizeof(bytes), reterr);
}

int ferry_file_writer_sync(struct ferry_file_writer *writer, struct ferry_error *reterr)
{
    int rc =
        writer->status < 0 ? writer->status : ferry_os_draft_sync(&writer->draft, reterr);

    return rc < 0 ? fail(writer, rc) : FERRY_OK;
}

int ferry_file_writer_publish(struct ferry_file_writer *writer,
                              struct ferry_error *reterr)
{
    int rc = writer->status < 0 ? writer->status
                                : ferry_os_draft_publish(&writer->draft, reterr);

    return rc < 0 ? fail(writer, rc) : FERRY_OK;
}

uint64_t ferry_file_writer_bytes(const struct ferry_file_writer *writer)
{
    return writer->bytes;
}
