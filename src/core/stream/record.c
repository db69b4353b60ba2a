/* SPDX-License-Identifier: BSD-3-Clause */
#include "core/stream/record.h"

#include <xxhash.h>

#include "base/reader.h"
#include "base/writer.h"
#include "core/stream/tags.h"
#include "ferry/session.h"

_Static_assert(sizeof(struct ferry_record) == FERRY_RECORD_HEADER_BYTES,
               "the decoded header has no padding");
_Static_assert(offsetof(struct ferry_record, checksum) == 24, "checksum at 24");

#define FLAGS_KNOWN (FERRY_RECORD_OPTIONAL | FERRY_RECORD_CHUNK)

static int refuse(struct ferry_error *reterr, int code, const char *rule, uint64_t off,
                  const struct ferry_record *record, const char *what, uint64_t value)
{
    return ferry_error_set(reterr, code, "stream", rule, off,
                           "record %s (tag %u) at offset %llu: %s (0x%llx)",
                           ferry_record_name(record->tag), record->tag,
                           (unsigned long long)off, what, (unsigned long long)value);
}

static void read_header(const void *bytes, struct ferry_record *ret_record)
{
    struct ferry_reader reader;

    ferry_reader_init(&reader, bytes, FERRY_RECORD_HEADER_BYTES);
    ret_record->magic = ferry_reader_u32(&reader);
    ret_record->tag = ferry_reader_u16(&reader);
    ret_record->flags = ferry_reader_u16(&reader);
    ret_record->device = ferry_reader_u32(&reader);
    ret_record->channel = ferry_reader_u32(&reader);
    ret_record->payload_bytes = ferry_reader_u64(&reader);
    ret_record->checksum = ferry_reader_u64(&reader);
}

/* A tag that this build does not know: only its size limit and channel can be judged. */
static int check_unknown(const struct ferry_record *record, uint64_t off,
                         struct ferry_error *reterr)
{
    if (!(record->flags & FERRY_RECORD_OPTIONAL)) {
        return refuse(reterr, FERRY_E_MESSAGE, "STR-HDR-3", off, record,
                      "an unknown record that must not be skipped", record->tag);
    }
    if (record->payload_bytes > FERRY_RECORD_CONTROL_MAX) {
        return refuse(reterr, FERRY_E_LIMIT, "STR-HDR-6", off, record,
                      "payload over the limit", record->payload_bytes);
    }
    return FERRY_RECORD_SKIP;
}

static int check_known(const struct ferry_record *record, uint64_t off,
                       struct ferry_error *reterr)
{
    const struct ferry_tag *tag = ferry_tag_get(record->tag);

    if (record->flags & ~(uint32_t)tag->flags) {
        return refuse(reterr, FERRY_E_PROTOCOL, "STR-HDR-2", off, record,
                      "flags that this record cannot have", record->flags);
    }
    if (record->device == FERRY_NO_DEVICE ? tag->device == FERRY_TAG_DEVICE
                                          : tag->device == FERRY_TAG_NO_DEVICE) {
        return refuse(reterr, FERRY_E_PROTOCOL, "STR-HDR-5", off, record,
                      tag->device == FERRY_TAG_DEVICE ? "it must name a device"
                                                      : "it belongs to no device",
                      record->device);
    }
    if (record->device != FERRY_NO_DEVICE &&
        record->device >= FERRY_SESSION_DEVICES_MAX) {
        return refuse(reterr, FERRY_E_PROTOCOL, "STR-HDR-5", off, record,
                      "device index over the limit", record->device);
    }
    if (record->payload_bytes > tag->max_bytes) {
        return refuse(reterr, FERRY_E_LIMIT, "STR-HDR-6", off, record,
                      "payload over the limit", record->payload_bytes);
    }
    if (record->payload_bytes < tag->min_bytes) {
        return refuse(reterr, FERRY_E_SHORT, "STR-HDR-7", off, record,
                      "payload shorter than its fixed part", record->payload_bytes);
    }
    return FERRY_OK;
}

int ferry_record_decode(const void *bytes, uint64_t stream_off,
                        struct ferry_record *ret_record, struct ferry_error *reterr)
{
    struct ferry_record record;
    int rc;

    read_header(bytes, &record);
    if (record.magic != FERRY_RECORD_MAGIC) {
        return refuse(reterr, FERRY_E_PROTOCOL, "STR-HDR-1", stream_off, &record,
                      "no record begins here: wrong magic", record.magic);
    }
    if (record.flags & ~FLAGS_KNOWN) {
        return refuse(reterr, FERRY_E_PROTOCOL, "STR-HDR-2", stream_off, &record,
                      "reserved flags", record.flags);
    }
    if (record.channel != 0) {
        return refuse(reterr, FERRY_E_PROTOCOL, "STR-HDR-4", stream_off, &record,
                      "channel is not 0", record.channel);
    }
    rc = ferry_tag_get(record.tag) ? check_known(&record, stream_off, reterr)
                                   : check_unknown(&record, stream_off, reterr);
    if (rc >= 0) {
        *ret_record = record;
    }
    return rc;
}

void ferry_record_encode(const struct ferry_record *record, void *ret_bytes)
{
    struct ferry_writer writer;

    ferry_writer_init(&writer, ret_bytes, FERRY_RECORD_HEADER_BYTES);
    ferry_writer_u32(&writer, record->magic);
    ferry_writer_u16(&writer, record->tag);
    ferry_writer_u16(&writer, record->flags);
    ferry_writer_u32(&writer, record->device);
    ferry_writer_u32(&writer, record->channel);
    ferry_writer_u64(&writer, record->payload_bytes);
    ferry_writer_u64(&writer, record->checksum);
}

void ferry_record_seal(struct ferry_record *ret_record, uint16_t tag, uint16_t flags,
                       uint32_t device, const void *payload, size_t bytes)
{
    ret_record->magic = FERRY_RECORD_MAGIC;
    ret_record->tag = tag;
    ret_record->flags = flags;
    ret_record->device = device;
    ret_record->channel = 0;
    ret_record->payload_bytes = bytes;
    ret_record->checksum = ferry_record_checksum(ret_record, payload, bytes);
}

/* All of the header that the decoder cannot check otherwise goes into the seed. */
uint64_t ferry_record_seed(const struct ferry_record *record)
{
    return (uint64_t)record->tag | (uint64_t)record->device << 16 |
           (uint64_t)record->flags << 48;
}

uint64_t ferry_record_checksum(const struct ferry_record *record, const void *payload,
                               size_t bytes)
{
    return XXH3_64bits_withSeed(payload, bytes, ferry_record_seed(record));
}

int ferry_record_check(const struct ferry_record *record, uint64_t checksum,
                       uint64_t stream_off, struct ferry_error *reterr)
{
    if (checksum == record->checksum) {
        return FERRY_OK;
    }
    return refuse(reterr, FERRY_E_CORRUPT, "STR-SUM-1", stream_off, record,
                  "the payload does not match its checksum", checksum);
}
