/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef FERRY_CORE_STREAM_DECODER_H
#define FERRY_CORE_STREAM_DECODER_H

#include "base/reader.h"
#include "base/writer.h"
#include "core/stream/payload.h"

/* Longest time in a record: no sum of them can overflow. 100 days. */
#define FERRY_STREAM_TIME_MAX_NS 8640000000000000ull

/*
 * A bounded reader that also judges: the first thing that is wrong is kept, with record,
 * offset and rule, and ferry_decoder_end() gives it back. What is read after that is
 * without meaning, but always inside the payload.
 */
struct ferry_decoder {
    struct ferry_reader reader;
    uint32_t tag;
    int status;
    struct ferry_error *reterr;
};

void ferry_decoder_init(struct ferry_decoder *decoder, uint32_t tag, const void *payload,
                        size_t bytes, struct ferry_error *reterr);

/* Keeps the first failure; off counts inside the payload. */
void ferry_decoder_fail(struct ferry_decoder *decoder, int code, const char *rule,
                        size_t off, const char *what, uint64_t value);

/* A 32-bit value that must be at most max (a count, an index, an enumeration). */
uint32_t ferry_decoder_u32_max(struct ferry_decoder *decoder, uint32_t max, int code,
                               const char *rule, const char *what);
/* 0 or 1. */
uint32_t ferry_decoder_bool(struct ferry_decoder *decoder);
/* A reserved 32-bit value that must be 0. */
void ferry_decoder_reserved(struct ferry_decoder *decoder);
/* A time of at most FERRY_STREAM_TIME_MAX_NS. */
uint64_t ferry_decoder_ns(struct ferry_decoder *decoder);
/* A field of cap bytes with printable text, a NUL and only 0 behind it. */
void ferry_decoder_text(struct ferry_decoder *decoder, char *ret_text, size_t cap);
/* A range of pages: both aligned to FERRY_STREAM_PAGE_BYTES, size not 0, no overflow.
 * off: of the first of the two in the payload. */
void ferry_decoder_check_pages(struct ferry_decoder *decoder, size_t off, uint64_t start,
                               uint64_t size);

/* Return: FERRY_OK; the first failure; FERRY_E_SHORT or FERRY_E_LONG (STR-PAY-1). */
int ferry_decoder_end(struct ferry_decoder *decoder);

/* Writes a text field of cap bytes: the text, then only 0, whatever text's memory holds.
 */
void ferry_stream_put_text(struct ferry_writer *writer, const char *text, size_t cap);

#endif
