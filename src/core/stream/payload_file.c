/* SPDX-License-Identifier: BSD-3-Clause */
#include <assert.h>

#include "core/stream/decoder.h"
#include "core/stream/payload.h"

/* The records that only a file has. */

void ferry_stream_put_packed(struct ferry_writer *writer,
                             const struct ferry_stream_packed *packed)
{
    assert(packed->plain_bytes > 0 && packed->plain_bytes <= FERRY_RECORD_PLAIN_MAX);
    ferry_writer_u32(writer, packed->method);
    ferry_writer_u32(writer, packed->plain_bytes);
}

int ferry_stream_get_packed(const void *payload, size_t bytes,
                            struct ferry_stream_packed *ret_packed,
                            struct ferry_error *reterr)
{
    size_t prefix = bytes < FERRY_STREAM_PACKED_BYTES ? bytes : FERRY_STREAM_PACKED_BYTES;
    struct ferry_stream_packed packed;
    struct ferry_decoder d;
    int rc;

    ferry_decoder_init(&d, FERRY_REC_PACKED, payload, prefix, reterr);
    packed.method = ferry_decoder_u32_max(&d, FERRY_STREAM_ZSTD, FERRY_E_UNSUPPORTED,
                                          "STR-PACK-1", "an unknown method");
    packed.plain_bytes = ferry_decoder_u32_max(&d, FERRY_RECORD_PLAIN_MAX, FERRY_E_LIMIT,
                                               "STR-PACK-1", "it unpacks to too much");
    packed.bytes = bytes - prefix;
    if (packed.plain_bytes == 0 || packed.bytes == 0) {
        ferry_decoder_fail(&d, FERRY_E_PROTOCOL, "STR-PACK-1", 4, "it is empty",
                           packed.bytes);
    } else if (packed.bytes > packed.plain_bytes ||
               (packed.method == FERRY_STREAM_STORED &&
                packed.bytes != packed.plain_bytes)) {
        ferry_decoder_fail(&d, FERRY_E_LONG, "STR-PACK-1", 4,
                           "the packed bytes are not the shorter ones", packed.bytes);
    }
    rc = ferry_decoder_end(&d);
    if (rc == FERRY_OK) {
        *ret_packed = packed;
    }
    return rc;
}

void ferry_stream_put_file_end(struct ferry_writer *writer,
                               const struct ferry_stream_file_end *end)
{
    ferry_writer_u64(writer, end->records);
    ferry_writer_u64(writer, end->bytes);
    ferry_writer_u64(writer, end->hash_low);
    ferry_writer_u64(writer, end->hash_high);
}

int ferry_stream_get_file_end(const void *payload, size_t bytes,
                              struct ferry_stream_file_end *ret_end,
                              struct ferry_error *reterr)
{
    struct ferry_stream_file_end end;
    struct ferry_decoder d;
    int rc;

    ferry_decoder_init(&d, FERRY_REC_FILE_END, payload, bytes, reterr);
    end.records = ferry_reader_u64(&d.reader);
    end.bytes = ferry_reader_u64(&d.reader);
    end.hash_low = ferry_reader_u64(&d.reader);
    end.hash_high = ferry_reader_u64(&d.reader);
    rc = ferry_decoder_end(&d);
    if (rc == FERRY_OK) {
        *ret_end = end;
    }
    return rc;
}

int ferry_stream_check_file_end(const struct ferry_stream_file_end *end, uint64_t records,
                                uint64_t off, const struct ferry_stream_hash *hash,
                                struct ferry_error *reterr)
{
    struct ferry_stream_digest digest = ferry_stream_hash_digest(hash);

    if (end->bytes != off || end->records != records) {
        int code = end->bytes > off || (end->bytes == off && end->records > records)
                       ? FERRY_E_SHORT
                       : FERRY_E_LONG;

        return ferry_error_set(reterr, code, "stream", "STR-END-3", off,
                               "FILE_END speaks of %llu records in %llu bytes, it came "
                               "after %llu in %llu",
                               (unsigned long long)end->records,
                               (unsigned long long)end->bytes,
                               (unsigned long long)records, (unsigned long long)off);
    }
    if (end->hash_low != digest.low || end->hash_high != digest.high) {
        return ferry_error_set(reterr, FERRY_E_CORRUPT, "stream", "STR-END-3", off,
                               "the file's hash is not that of its %llu bytes before "
                               "FILE_END",
                               (unsigned long long)off);
    }
    return FERRY_OK;
}
