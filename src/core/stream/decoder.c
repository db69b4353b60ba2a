/* SPDX-License-Identifier: BSD-3-Clause */
#include "core/stream/decoder.h"

#include <assert.h>
#include <string.h>

#include "base/range.h"

void ferry_decoder_init(struct ferry_decoder *decoder, uint32_t tag, const void *payload,
                        size_t bytes, struct ferry_error *reterr)
{
    ferry_reader_init(&decoder->reader, payload, bytes);
    decoder->tag = tag;
    decoder->status = FERRY_OK;
    decoder->reterr = reterr;
}

void ferry_decoder_fail(struct ferry_decoder *decoder, int code, const char *rule,
                        size_t off, const char *what, uint64_t value)
{
    /* After a short read every value is 0: judging it would hide the real cause. */
    if (decoder->status != FERRY_OK || decoder->reader.failed) {
        return;
    }
    decoder->status = ferry_error_set(decoder->reterr, code, "stream", rule, off,
                                      "%s, offset %zu of its payload: %s (0x%llx)",
                                      ferry_record_name(decoder->tag), off, what,
                                      (unsigned long long)value);
}

uint32_t ferry_decoder_u32_max(struct ferry_decoder *decoder, uint32_t max, int code,
                               const char *rule, const char *what)
{
    size_t off = decoder->reader.pos;
    uint32_t value = ferry_reader_u32(&decoder->reader);

    if (value > max) {
        ferry_decoder_fail(decoder, code, rule, off, what, value);
        return 0;
    }
    return value;
}

uint32_t ferry_decoder_bool(struct ferry_decoder *decoder)
{
    return ferry_decoder_u32_max(decoder, 1, FERRY_E_PROTOCOL, "STR-PAY-2",
                                 "neither 0 nor 1");
}

void ferry_decoder_reserved(struct ferry_decoder *decoder)
{
    (void)ferry_decoder_u32_max(decoder, 0, FERRY_E_PROTOCOL, "STR-PAY-2",
                                "a reserved value is not 0");
}

uint64_t ferry_decoder_ns(struct ferry_decoder *decoder)
{
    size_t off = decoder->reader.pos;
    uint64_t value = ferry_reader_u64(&decoder->reader);

    if (value > FERRY_STREAM_TIME_MAX_NS) {
        ferry_decoder_fail(decoder, FERRY_E_LIMIT, "STR-PAY-3", off,
                           "a time of more than 100 days", value);
        return 0;
    }
    return value;
}

void ferry_decoder_text(struct ferry_decoder *decoder, char *ret_text, size_t cap)
{
    size_t off = decoder->reader.pos, i;
    int ended = 0;

    ferry_reader_bytes(&decoder->reader, ret_text, cap);
    for (i = 0; i < cap; i++) {
        unsigned char c = (unsigned char)ret_text[i];

        if (c == '\0') {
            ended = 1;
        } else if (ended) {
            ferry_decoder_fail(decoder, FERRY_E_PROTOCOL, "STR-PAY-4", off + i,
                               "text goes on after its end", c);
            return;
        } else if (c < 0x20 || c > 0x7e) {
            ferry_decoder_fail(decoder, FERRY_E_PROTOCOL, "STR-PAY-4", off + i,
                               "text is not printable", c);
            return;
        }
    }
    if (!ended) {
        ferry_decoder_fail(decoder, FERRY_E_PROTOCOL, "STR-PAY-4", off,
                           "text is not terminated", cap);
    }
}

void ferry_decoder_check_pages(struct ferry_decoder *decoder, size_t off, uint64_t start,
                               uint64_t size)
{
    uint64_t end;

    if (!ferry_range_aligned(start, FERRY_STREAM_PAGE_BYTES)) {
        ferry_decoder_fail(decoder, FERRY_E_ALIGN, "STR-PAY-5", off,
                           "not at a page's start", start);
    } else if (size == 0 || !ferry_range_aligned(size, FERRY_STREAM_PAGE_BYTES)) {
        ferry_decoder_fail(decoder, FERRY_E_ALIGN, "STR-PAY-5", off,
                           "the length is not of whole pages", size);
    } else if (!ferry_range_add(start, size, &end)) {
        ferry_decoder_fail(decoder, FERRY_E_RANGE, "STR-PAY-5", off,
                           "start and length overflow", start);
    }
}

int ferry_decoder_end(struct ferry_decoder *decoder)
{
    const struct ferry_reader *reader = &decoder->reader;

    if (decoder->status != FERRY_OK) {
        return decoder->status;
    }
    if (reader->failed) {
        return ferry_error_set(decoder->reterr, FERRY_E_SHORT, "stream", "STR-PAY-1",
                               reader->pos,
                               "%s: the payload ends at offset %zu, too early",
                               ferry_record_name(decoder->tag), reader->size);
    }
    if (ferry_reader_remaining(reader) > 0) {
        return ferry_error_set(decoder->reterr, FERRY_E_LONG, "stream", "STR-PAY-1",
                               reader->pos, "%s: %zu bytes follow its end at offset %zu",
                               ferry_record_name(decoder->tag),
                               ferry_reader_remaining(reader), reader->pos);
    }
    return FERRY_OK;
}

void ferry_stream_put_text(struct ferry_writer *writer, const char *text, size_t cap)
{
    const char *end = memchr(text, '\0', cap);
    size_t len;

    assert(end);
    len = (size_t)(end - text);
    ferry_writer_bytes(writer, text, len);
    ferry_writer_zero(writer, cap - len);
}
