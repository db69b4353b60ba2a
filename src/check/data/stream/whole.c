/* SPDX-License-Identifier: BSD-3-Clause */
#include <string.h>

#include "check/data/data.h"

/* -- Short -- */

/* Is there more than pre-copy gave? SKIP when not: then that was all of the state. */
static int has_rest(struct check_run *run)
{
    struct check_stream rest = { 0 };
    int done = check_go(run, FERRY_STATE_STOP_COPY);

    if (done && check_read_all(run, &rest, 0) != FERRY_OK) {
        done = check_broken(run, "what comes after pre-copy cannot be read");
    }
    if (done && rest.bytes == 0) {
        check_skip(run, "the device gave all of its state in pre-copy");
        done = 0;
    }
    check_stream_free(&rest);
    return done;
}

/* What was given in pre-copy, without the rest. */
static int precopy_part(struct check_run *run)
{
    struct check_stream stream = { 0 };
    int done;

    if (!(run->device.features & FERRY_MIG_PRE_COPY)) {
        check_skip(run, "the device has no pre-copy");
        return 0;
    }
    done = data_fill(run) && check_go(run, FERRY_STATE_PRE_COPY);
    if (done && check_read_all(run, &stream, 0) != FERRY_OK) {
        done = check_broken(run, "its pre-copy cannot be read");
    }
    done = done && has_rest(run);
    if (done) {
        done = data_refused(run, stream.data, stream.bytes,
                            "a stream of pre-copy alone (%llu bytes)",
                            (unsigned long long)stream.bytes);
    }
    check_stream_free(&stream);
    return done;
}

static int refused_length(struct check_run *run, const struct check_stream *stream,
                          uint64_t bytes)
{
    return data_refused(run, stream->data, bytes, "a stream of %llu of its %llu bytes",
                        (unsigned long long)bytes, (unsigned long long)stream->bytes);
}

static int short_head(struct check_run *run, const struct check_stream *stream)
{
    static const uint64_t lengths[] = { 1,  2,  3,  4,  7,  8,  15,  16,  23,
                                        24, 31, 32, 40, 48, 64, 128, 256, 4096 };

    for (size_t i = 0; i < sizeof(lengths) / sizeof(lengths[0]); i++) {
        if (lengths[i] < stream->bytes && !refused_length(run, stream, lengths[i])) {
            return 0;
        }
    }
    return 1;
}

static int short_tail(struct check_run *run, const struct check_stream *stream)
{
    static const uint64_t missing[] = { 1,  2,  3,  4,  5,  6,   7,   8,
                                        12, 16, 24, 32, 64, 128, 256, 4096 };

    for (size_t i = 0; i < sizeof(missing) / sizeof(missing[0]); i++) {
        if (missing[i] < stream->bytes &&
            !refused_length(run, stream, stream->bytes - missing[i])) {
            return 0;
        }
    }
    return 1;
}

static int short_sampled(struct check_run *run, const struct check_stream *stream)
{
    const uint64_t tries = data_tries(stream->bytes / 2, 32);

    for (uint64_t i = 1; i < tries; i++) {
        const uint64_t bytes = data_part(stream->bytes, i, tries);

        if (bytes > 0 && !refused_length(run, stream, bytes)) {
            return 0;
        }
    }
    return 1;
}

enum { SHORT_EMPTY, SHORT_HEAD, SHORT_SAMPLED, SHORT_TAIL, SHORT_PRE_COPY };
static const char *const short_names[] = { "empty", "first-bytes",   "sampled",
                                           "tail",  "pre-copy-only", NULL };

static void run_short(struct check_run *run, uint32_t at)
{
    struct check_stream stream = { 0 };
    int done = 0, own;

    if (at == SHORT_PRE_COPY && !precopy_part(run)) {
        return;
    }
    own = data_own(run, &stream);
    if (own && stream.bytes == 0) {
        check_skip(run, "the device's state has no bytes now");
    } else if (own) {
        done = at == SHORT_EMPTY     ? data_refused(run, NULL, 0, "an empty stream")
               : at == SHORT_HEAD    ? short_head(run, &stream)
               : at == SHORT_SAMPLED ? short_sampled(run, &stream)
               : at == SHORT_TAIL    ? short_tail(run, &stream)
                                     : 1;
    }
    if (done) {
        data_recovers(run, &stream);
    }
    check_stream_free(&stream);
}

/* -- Long -- */

enum { LONG_BYTE, LONG_PAGE, LONG_TWICE };
static const char *const long_names[] = { "one-byte", "a-page", "twice", NULL };

static void run_long(struct check_run *run, uint32_t at)
{
    struct check_stream stream = { 0 };

    if (data_own(run, &stream)) {
        const uint64_t own = stream.bytes;
        const uint64_t more = at == LONG_BYTE ? 1 : at == LONG_PAGE ? 4096 : own;

        if (check_stream_room(&stream, more) != FERRY_OK) {
            check_broken(run, "no memory");
        } else {
            memset(stream.data + own, 0, more);
            if (at == LONG_TWICE) {
                memcpy(stream.data + own, stream.data, own);
            }
            if (data_refused(run, stream.data, own + more,
                             "a stream with %llu bytes behind its end",
                             (unsigned long long)more)) {
                data_recovers(run, &stream);
            }
        }
    }
    check_stream_free(&stream);
}

/* -- Endless -- */

#define PIECE_BYTES (1u << 20)
#define ENDLESS_BYTES (64ull << 20) /* and four times its own length */

enum { ENDLESS_NOISE, ENDLESS_REST, ENDLESS_HEAD };
static const char *const endless_names[] = { "noise", "behind-its-end", "its-head-again",
                                             NULL };

static void fill_piece(const struct check_stream *own, uint32_t at, uint8_t *ret_piece)
{
    struct data_noise noise = { 1 };
    const uint64_t head = own->bytes < 4096 ? own->bytes : 4096;

    for (uint64_t i = 0; i < PIECE_BYTES; i++) {
        ret_piece[i] =
            at == ENDLESS_HEAD ? own->data[i % head] : (uint8_t)data_noise(&noise);
    }
}

static void write_endless(struct check_run *run, const struct check_stream *own,
                          uint32_t at, const uint8_t *piece)
{
    const uint64_t most = ENDLESS_BYTES + 4 * own->bytes;
    uint64_t written = 0;
    int rc = at == ENDLESS_REST
                 ? data_write_cut(run, DATA_CUT_WHOLE, own->data, own->bytes)
                 : FERRY_OK;

    if (!check_ok(run, rc, "DATA_WRITE of its own state")) {
        return;
    }
    while (rc == FERRY_OK && written < most) {
        rc = data_write_cut(run, DATA_CUT_WHOLE, piece, PIECE_BYTES);
        written += PIECE_BYTES;
    }
    if (check_that(run, rc != FERRY_OK, "a write is refused before 64 MiB were taken",
                   "%llu bytes were taken", (unsigned long long)written) &&
        check_refused(run, rc, "a stream without end") &&
        data_refused_state(run, "a stream without end")) {
        data_recovers(run, own);
    }
}

static void run_endless(struct check_run *run, uint32_t at)
{
    struct check_stream stream = { 0 }, piece = { 0 };

    if (data_own(run, &stream) && data_begin_load(run)) {
        if (check_stream_room(&piece, PIECE_BYTES) != FERRY_OK) {
            check_broken(run, "no memory");
        } else {
            fill_piece(&stream, at, piece.data);
            write_endless(run, &stream, at, piece.data);
        }
    }
    check_stream_free(&stream);
    check_stream_free(&piece);
}

const struct data_cases data_cases_whole[] = {
    { "data.short", short_names },
    { "data.long", long_names },
    { "data.endless", endless_names },
    { NULL, NULL },
};

const struct check check_data_whole[] = {
    { .info = { "data.short", "MIG-DATA-7",
                "RESUMING to STOP fails when a part of the state is missing (samples)",
                FERRY_CHECK_REQUIRED, 0 },
      .cases = data_cases,
      .name = data_case_name,
      .run = run_short },
    { .info = { "data.long", "MIG-DATA-9", "bytes behind the end of a state are refused",
                FERRY_CHECK_RECOMMENDED, 0 },
      .cases = data_cases,
      .name = data_case_name,
      .run = run_long },
    { .info = { "data.endless", "MIG-DATA-17",
                "a stream that does not end is refused while it is written",
                FERRY_CHECK_RECOMMENDED, 0 },
      .cases = data_cases,
      .name = data_case_name,
      .run = run_endless },
    { .info = { 0 } },
};
