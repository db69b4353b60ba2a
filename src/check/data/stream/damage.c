/* SPDX-License-Identifier: BSD-3-Clause */
#include <string.h>

#include "check/data/data.h"

#define PAGE 4096u

/* -- One bit -- */

static const char *const flip_names[] = { "bit0", "bit1", "bit2", "bit3", "bit4",
                                          "bit5", "bit6", "bit7", NULL };

static int refused_flip(struct check_run *run, struct check_stream *stream, uint64_t byte,
                        uint32_t bit)
{
    int refused;

    stream->data[byte] ^= (uint8_t)(1u << bit);
    refused =
        data_refused(run, stream->data, stream->bytes,
                     "a stream of %llu bytes with bit %u of byte %llu turned",
                     (unsigned long long)stream->bytes, bit, (unsigned long long)byte);
    stream->data[byte] ^= (uint8_t)(1u << bit);
    return refused;
}

static void run_flip(struct check_run *run, uint32_t bit)
{
    struct check_stream stream = { 0 };
    int refused = data_own(run, &stream);

    if (refused) {
        const uint64_t tries = data_tries(stream.bytes, 24), ends = tries / 2;

        /* Near both ends, where headers and sums are, and all over it. */
        for (uint64_t i = 0; refused && i < ends; i++) {
            const uint64_t off = 5 * i + bit;

            refused = off >= stream.bytes ||
                      (refused_flip(run, &stream, off, bit) &&
                       refused_flip(run, &stream, stream.bytes - 1 - off, bit));
        }
        for (uint64_t i = 0; refused && i < tries; i++) {
            refused = refused_flip(run, &stream, data_part(stream.bytes, i, tries), bit);
        }
    }
    if (refused) {
        data_recovers(run, &stream);
    }
    check_stream_free(&stream);
}

/* -- Order -- */

/* Two blocks of so many bytes change places. Return: 0 when that changes nothing. */
static int swap(struct check_stream *stream, uint64_t a, uint64_t b, uint64_t bytes)
{
    if (memcmp(stream->data + a, stream->data + b, bytes) == 0) {
        return 0;
    }
    for (uint64_t i = 0; i < bytes; i++) {
        const uint8_t byte = stream->data[a + i];

        stream->data[a + i] = stream->data[b + i];
        stream->data[b + i] = byte;
    }
    return 1;
}

/* Return: 1 when it was refused, or there was nothing to try. tried: counts. */
static int refused_swap(struct check_run *run, struct check_stream *stream, uint64_t a,
                        uint64_t b, uint64_t bytes, uint32_t *tried)
{
    int refused;

    if (b + bytes > stream->bytes || a + bytes > b || !swap(stream, a, b, bytes)) {
        return 1;
    }
    ++*tried;
    refused = data_refused(run, stream->data, stream->bytes,
                           "a stream whose %llu bytes at %llu and %llu changed places",
                           (unsigned long long)bytes, (unsigned long long)a,
                           (unsigned long long)b);
    (void)swap(stream, a, b, bytes);
    return refused;
}

/* Blocks that follow each other, at samples. */
static int neighbours(struct check_run *run, struct check_stream *stream, uint64_t bytes,
                      uint32_t *tried)
{
    const uint64_t tries = data_tries(stream->bytes, 16);
    int refused = 1;

    for (uint64_t i = 0; refused && i < tries; i++) {
        const uint64_t at = data_part(stream->bytes, i, tries) / bytes * bytes;

        refused = refused_swap(run, stream, at, at + bytes, bytes, tried);
    }
    return refused;
}

/* A block is left out of the middle. */
static int left_out(struct check_run *run, struct check_stream *stream, uint64_t bytes,
                    uint32_t *tried)
{
    struct check_stream part = { 0 };
    const uint64_t at = stream->bytes / 2;
    int refused = 1;

    if (at + bytes < stream->bytes &&
        check_stream_room(&part, stream->bytes) == FERRY_OK) {
        ++*tried;
        memcpy(part.data, stream->data, at);
        memcpy(part.data + at, stream->data + at + bytes, stream->bytes - at - bytes);
        refused = data_refused(run, part.data, stream->bytes - bytes,
                               "a stream whose %llu bytes at %llu were left out",
                               (unsigned long long)bytes, (unsigned long long)at);
    }
    check_stream_free(&part);
    return refused;
}

enum { ORDER_HALVES, ORDER_PAGES, ORDER_ENDS, ORDER_WORDS, ORDER_LESS };
static const char *const order_names[] = { "halves", "pages",    "first-and-last-page",
                                           "words",  "left-out", NULL };

static void run_order(struct check_run *run, uint32_t at)
{
    struct check_stream stream = { 0 };
    uint32_t tried = 0;
    int refused = data_own(run, &stream);
    const uint64_t half = stream.bytes / 2;

    if (refused) {
        switch (at) {
        case ORDER_HALVES:
            refused = refused_swap(run, &stream, 0, half, half, &tried);
            break;
        case ORDER_PAGES:
            refused = neighbours(run, &stream, PAGE, &tried);
            break;
        case ORDER_ENDS:
            refused = stream.bytes < PAGE ||
                      refused_swap(run, &stream, 0, stream.bytes - PAGE, PAGE, &tried);
            break;
        case ORDER_WORDS:
            refused = neighbours(run, &stream, 8, &tried);
            break;
        default:
            refused = left_out(run, &stream, 1, &tried) &&
                      left_out(run, &stream, 8, &tried) &&
                      left_out(run, &stream, PAGE, &tried);
            break;
        }
        if (tried == 0) {
            check_skip(run, "its stream of %llu bytes has nothing to change there",
                       (unsigned long long)stream.bytes);
        }
    }
    if (refused && tried > 0) {
        data_recovers(run, &stream);
    }
    check_stream_free(&stream);
}

/* -- What is no state at all -- */

enum { NOISE_ZEROS, NOISE_ONES, NOISE_RANDOM };
static const char *const noise_names[] = { "zeros", "ones", "random", NULL };

static void run_noise(struct check_run *run, uint32_t at)
{
    struct check_stream stream = { 0 }, junk = { 0 };
    struct data_noise noise = { 7 };
    int refused = data_own(run, &stream);

    if (refused && check_stream_room(&junk, stream.bytes) != FERRY_OK) {
        refused = check_broken(run, "no memory");
    }
    if (refused) {
        for (uint64_t i = 0; i < stream.bytes; i++) {
            junk.data[i] = at == NOISE_ZEROS  ? 0
                           : at == NOISE_ONES ? 0xff
                                              : (uint8_t)data_noise(&noise);
        }
        refused = data_refused(run, junk.data, stream.bytes, "%llu bytes of %s",
                               (unsigned long long)stream.bytes, noise_names[at]) &&
                  data_refused(run, junk.data, 1, "one byte of %s", noise_names[at]) &&
                  data_refused(run, junk.data, stream.bytes / 2 + 1, "%llu bytes of %s",
                               (unsigned long long)stream.bytes / 2 + 1, noise_names[at]);
    }
    if (refused) {
        data_recovers(run, &stream);
    }
    check_stream_free(&stream);
    check_stream_free(&junk);
}

const struct data_cases data_cases_damage[] = {
    { "data.flip", flip_names },
    { "data.order", order_names },
    { "data.noise", noise_names },
    { NULL, NULL },
};

const struct check check_data_damage[] = {
    { .info = { "data.noise", "MIG-DATA-18", "zeros, ones and noise are no state",
                FERRY_CHECK_REQUIRED, 0 },
      .cases = data_cases,
      .name = data_case_name,
      .run = run_noise },
    { .info = { "data.order", "MIG-DATA-10",
                "a state whose parts changed places is refused (samples)",
                FERRY_CHECK_RECOMMENDED, 0 },
      .cases = data_cases,
      .name = data_case_name,
      .run = run_order },
    { .info = { "data.flip", "MIG-DATA-10",
                "a state with one bit turned is refused (samples, each bit of a byte)",
                FERRY_CHECK_RECOMMENDED, 0 },
      .cases = data_cases,
      .name = data_case_name,
      .run = run_flip },
    { .info = { 0 } },
};
