/* SPDX-License-Identifier: BSD-3-Clause */
#include <stdio.h>
#include <string.h>

#include "check/data/data.h"
#include "ferry/device.h"

/* A read that must find the end: 0, whatever was asked before. */
static int at_end(struct check_run *run, uint64_t bytes, const char *when)
{
    uint8_t data[4096];
    char expected[160], text[160];
    uint64_t got = 0;
    const int rc = check_read(run, data, bytes, &got);

    snprintf(expected, sizeof(expected), "a read of %llu bytes gives 0 %s",
             (unsigned long long)bytes, when);
    return check_that(run, rc == FERRY_OK, expected, "%s",
                      rc == FERRY_E_DRY ? "ENOMSG: nothing for now"
                                        : check_status_text(run, rc, text)) &&
           check_that(run, got == 0, expected, "%llu bytes", (unsigned long long)got);
}

/* Asks all that may be asked of a device that is being saved. */
static int ask_around(struct check_run *run)
{
    uint8_t config[64];
    uint64_t bytes;
    uint32_t state;

    (void)check_data_size(run, &bytes);
    (void)check_region_read(run, FERRY_REGION_CONFIG, 0, config, sizeof(config));
    return check_ok(run, check_get_state(run, &state), "GET_STATE between reads");
}

/* A stream that is far longer than this, and than its estimate, does not end. */
#define ENDLESS_BYTES (64ull << 20)

static int read_to_end(struct check_run *run)
{
    uint8_t data[65536];
    uint64_t most = ENDLESS_BYTES, total = 0, got = 0, estimate = 0;
    char text[160];
    int rc;

    if (check_data_size(run, &estimate) == FERRY_OK && estimate < CHECK_STREAM_MAX) {
        most += 2 * estimate;
    } else {
        most = CHECK_STREAM_MAX;
    }
    do {
        rc = check_read(run, data, sizeof(data), &got);
        total += rc == FERRY_OK ? got : 0;
    } while (rc == FERRY_OK && got > 0 && total <= most);
    return check_that(run, rc == FERRY_OK, "reads in STOP_COPY end with 0", "%s",
                      rc == FERRY_E_DRY ? "ENOMSG: nothing for now"
                                        : check_status_text(run, rc, text)) &&
           check_that(run, got == 0, "reads in STOP_COPY end with 0",
                      "no end after %llu bytes, announced were %llu",
                      (unsigned long long)total, (unsigned long long)estimate);
}

static int stay_at_end(struct check_run *run)
{
    static const uint64_t sizes[] = { 1, 4096, 512 };

    for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
        if (!at_end(run, sizes[i], "again and again behind the end") ||
            !ask_around(run) || !at_end(run, sizes[i], "after other requests")) {
            return 0;
        }
    }
    return check_ok(run, check_set_state(run, FERRY_STATE_STOP_COPY),
                    "SET_STATE to the present state") &&
           at_end(run, 4096, "after SET_STATE to the present state");
}

enum { END_STOP, END_PRE_COPY, END_WORKING };
static const char *const end_names[] = { "from-STOP", "from-PRE_COPY", "working", NULL };

static void run_end(struct check_run *run, uint32_t at)
{
    const struct ferry_check_driver *driver = run->options->driver;
    struct ferry_error error = { .code = FERRY_OK };

    if (at == END_PRE_COPY && !(run->device.features & FERRY_MIG_PRE_COPY)) {
        check_skip(run, "the device has no pre-copy");
        return;
    }
    if (at == END_WORKING && (!driver || !driver->begin)) {
        check_skip(run, "no driver that has this device write on and on");
        return;
    }
    if (!data_fill(run)) {
        return;
    }
    if (at == END_WORKING &&
        (!check_drive(run) || driver->begin(run->driver_state, CHECK_SCRATCH_IOVA, 65536,
                                            &error) != FERRY_OK)) {
        check_broken(run, "the driver '%s' cannot begin: %s", driver->name, error.text);
        return;
    }
    if (check_go(run, at == END_PRE_COPY ? FERRY_STATE_PRE_COPY : FERRY_STATE_STOP) &&
        check_go(run, FERRY_STATE_STOP_COPY) && read_to_end(run)) {
        stay_at_end(run);
    }
}

/* Reads the stream of a stopped device while other requests come in between. */
static int read_between(struct check_run *run, uint64_t total, uint32_t at,
                        struct check_stream *stream)
{
    const uint64_t piece = total / 7 + 1;
    uint64_t got = 0;
    uint32_t state;
    uint8_t byte;
    int rc;

    do {
        rc = check_stream_room(stream, piece);
        if (rc == FERRY_OK) {
            rc = check_read(run, stream->data + stream->bytes, piece, &got);
        }
        stream->bytes += rc == FERRY_OK ? got : 0;
        if (at == 0 && !ask_around(run)) {
            return 0;
        }
        if (at == 1 && !check_ok(run, check_set_state(run, FERRY_STATE_STOP_COPY),
                                 "SET_STATE to the present state")) {
            return 0;
        }
        if (at == 2) {
            byte = 0;
            (void)check_write(run, &byte, 1); /* refused: there is no such session */
            (void)check_set_state(run, FERRY_STATE_COUNT);
            (void)check_get_state(run, &state);
        }
    } while (rc == FERRY_OK && got > 0);
    return check_ok(run, rc, "DATA_READ between other requests");
}

static const char *const once_names[] = { "questions", "SET_STATE", "refused", NULL };

static void run_once(struct check_run *run, uint32_t at)
{
    struct check_stream whole = { 0 }, again = { 0 }, stream = { 0 };

    if (data_saved(run, &whole) && data_saved_again(run, &again) &&
        check_go(run, FERRY_STATE_STOP) && check_go(run, FERRY_STATE_STOP_COPY) &&
        read_between(run, whole.bytes, at, &stream)) {
        const int same =
            whole.bytes == again.bytes && data_differs_at(&whole, &again) == whole.bytes;

        if (!same || data_equal(run, &whole, &stream, "the interrupted stream")) {
            data_loads(run, stream.data, stream.bytes, "the interrupted stream");
        }
    }
    check_stream_free(&whole);
    check_stream_free(&again);
    check_stream_free(&stream);
}

enum { ZERO_READ, ZERO_WRITE };
static const char *const zero_names[] = { "read", "write", NULL };

/* Half a stream, nothing at all, the other half. Either answer is fine. */
static int read_around_nothing(struct check_run *run, uint64_t total,
                               struct check_stream *stream)
{
    uint64_t got = 0;
    int rc = check_stream_room(stream, total + 1);

    if (rc == FERRY_OK) {
        rc = check_read(run, stream->data, total / 2 + 1, &got);
    }
    if (!check_ok(run, rc, "DATA_READ")) {
        return 0;
    }
    stream->bytes = got;
    rc = check_read(run, stream->data + got, 0, &got);
    return check_that(run, rc != FERRY_OK || got == 0, "a read of 0 bytes gives none",
                      "%llu bytes", (unsigned long long)got) &&
           check_ok(run, data_read_cut(run, DATA_CUT_WHOLE, 0, stream),
                    "DATA_READ after one of 0 bytes");
}

static void run_zero(struct check_run *run, uint32_t at)
{
    struct check_stream whole = { 0 }, stream = { 0 };
    int ready = data_saved(run, &whole);

    if (ready && at == ZERO_READ) {
        ready = check_go(run, FERRY_STATE_STOP) && check_go(run, FERRY_STATE_STOP_COPY) &&
                read_around_nothing(run, whole.bytes, &stream);
        if (ready) {
            data_loads(run, stream.data, stream.bytes,
                       "a stream in which a read asked for 0 bytes");
        }
    } else if (ready && data_begin_load(run)) {
        const uint64_t half = whole.bytes / 2;

        ready = check_ok(run, data_write_cut(run, DATA_CUT_WHOLE, whole.data, half),
                         "DATA_WRITE");
        (void)check_write(run, whole.data, 0);
        if (ready &&
            check_ok(run,
                     data_write_cut(run, DATA_CUT_WHOLE, whole.data + half,
                                    whole.bytes - half),
                     "DATA_WRITE after one of 0 bytes") &&
            check_ok(run, check_set_state(run, FERRY_STATE_STOP),
                     "SET_STATE to STOP after a write of 0 bytes") &&
            check_go(run, FERRY_STATE_RUNNING)) {
            check_works(run, "after a load with a write of 0 bytes");
        }
    }
    check_stream_free(&whole);
    check_stream_free(&stream);
}

const struct data_cases data_cases_ends[] = {
    { "data.end", end_names },
    { "data.once", once_names },
    { "data.zero", zero_names },
    { NULL, NULL },
};

const struct check check_data_ends[] = {
    { .info = { "data.end", "MIG-DATA-5",
                "in STOP_COPY reads come to 0, and to nothing else afterwards",
                FERRY_CHECK_REQUIRED, 0 },
      .cases = data_cases,
      .name = data_case_name,
      .run = run_end },
    { .info = { "data.once", "MIG-DATA-14",
                "what comes between reads neither loses nor doubles a byte",
                FERRY_CHECK_REQUIRED, 0 },
      .cases = data_cases,
      .name = data_case_name,
      .run = run_once },
    { .info = { "data.zero", "MIG-DATA-16", "reads and writes of 0 bytes change nothing",
                FERRY_CHECK_RECOMMENDED, 0 },
      .cases = data_cases,
      .name = data_case_name,
      .run = run_zero },
    { .info = { 0 } },
};
