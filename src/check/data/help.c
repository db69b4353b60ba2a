/* SPDX-License-Identifier: BSD-3-Clause */
#include "check/data/data.h"
#include "check/v1/v1.h"

#include <assert.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "os/clock.h"

/* So many small pieces at each end of a stream. */
#define SMALL_PIECES 2048u
/* A case that tries again and again writes about so much. */
#define CASE_BYTES (64ull << 20)
/* Pre-copy of an idle device that gives this and four times its size has no end. */
#define DRY_BYTES (64ull << 20)
/* In little pieces that would take long: this and four times its size, for so long. */
#define DRY_SLACK_BYTES 65536u
#define DRY_NS 200000000u

/* By the cut: sizes in turn; the largest that the backend takes is 0. */
static const uint32_t cut_sizes[DATA_CUTS][8] = {
    { 1 },     { 3 },     { 511 },
    { 4095 },  { 4096 },  { 4097 },
    { 65535 }, { 65537 }, { 1, 4096, 7, 65537, 2, 4095, 30011, 5 },
    { 0 },
};

const char *const data_cut_names[] = { "1",     "3",     "511",   "4095",  "4096", "4097",
                                       "65535", "65537", "mixed", "whole", NULL };

static const struct data_cases *const case_tables[] = {
    data_cases_ends,    data_cases_cut,   data_cases_whole,  data_cases_damage,
    data_cases_origin,  data_cases_again, data_cases_equal,  data_cases_sizes,
    data_cases_precopy, data_cases_info,  data_cases_socket,
};

static const char *const *names_of(const struct check_run *run)
{
    const char *const *names = NULL;

    for (size_t i = 0; i < sizeof(case_tables) / sizeof(case_tables[0]); i++) {
        for (const struct data_cases *row = case_tables[i]; row->id; row++) {
            if (strcmp(row->id, run->check->info.id) == 0) {
                names = row->names;
            }
        }
    }
    assert(names); /* else the check would pass without a case */
    return names;
}

uint32_t data_cases(const struct check_run *run)
{
    const char *const *names = names_of(run);
    uint32_t count = 0;

    while (names[count]) {
        count++;
    }
    return count;
}

void data_case_name(const struct check_run *run, uint32_t at,
                    char ret_name[FERRY_CHECK_CASE_BYTES])
{
    snprintf(ret_name, FERRY_CHECK_CASE_BYTES, "%s", names_of(run)[at]);
}

uint64_t data_tries(uint64_t bytes, uint64_t most)
{
    const uint64_t fit = bytes > 0 ? CASE_BYTES / bytes : most;

    return fit < 2 ? 2 : fit < most ? fit : most;
}

uint64_t data_part(uint64_t bytes, uint64_t i, uint64_t parts)
{
    return bytes / parts * i + bytes % parts * i / parts;
}

int data_has(const struct check_run *run, uint32_t state)
{
    uint32_t path[FERRY_STATE_COUNT];

    return ferry_state_path(FERRY_STATE_RUNNING, state, run->device.features, path) >= 0;
}

int data_until_dry(struct check_run *run, struct check_stream *stream)
{
    const uint64_t from = stream->bytes;
    const uint64_t begun = ferry_os_now_ns();
    uint64_t most = DRY_BYTES, idle, size = 0, got = 0;
    char text[160];
    int rc;

    if (check_data_size(run, &size) == FERRY_OK && size < CHECK_STREAM_MAX) {
        most += 4 * size;
    }
    idle = size > 0 ? most - DRY_BYTES + DRY_SLACK_BYTES : most;
    do {
        const uint64_t piece = 1u << 20;

        rc = check_stream_room(stream, piece);
        if (rc == FERRY_OK) {
            rc = check_read(run, stream->data + stream->bytes, piece, &got);
        }
        stream->bytes += rc == FERRY_OK ? got : 0;
    } while (rc == FERRY_OK && got > 0 && stream->bytes - from < most &&
             (stream->bytes - from < idle || ferry_os_now_ns() - begun < DRY_NS));
    if (rc == FERRY_OK && got > 0) {
        check_skip(run, "pre-copy of an idle device gives more and more: %llu bytes",
                   (unsigned long long)(stream->bytes - from));
        return 0;
    }
    if (rc == FERRY_OK && check_is_kernel(run)) {
        return 1; /* half of its drivers say 0; precopy.dry tells of it, once */
    }
    return check_that(run, rc == FERRY_E_DRY, "ENOMSG when nothing is there for now",
                      "%s",
                      rc == FERRY_OK ? "0 bytes: the end of the stream"
                                     : check_status_text(run, rc, text));
}

/* Bytes of the next piece, the turn-th. */
static uint64_t piece_of(const struct check_run *run, uint32_t cut, uint32_t turn,
                         uint64_t at, uint64_t total)
{
    const uint32_t most = run->at->backend->ops->max_data(run->at->backend);
    const uint32_t *sizes = cut_sizes[cut];
    const uint64_t window = (uint64_t)sizes[0] * SMALL_PIECES;
    uint32_t count = 1;
    uint64_t piece;

    while (count < 8 && sizes[count] != 0) {
        count++;
    }
    piece = sizes[turn % count];
    if (total > 2 * window && at >= window && at < total - window) {
        piece = total - window - at; /* the middle, in large pieces */
    }
    return piece == 0 || piece > most ? most : piece;
}

int data_read_cut(struct check_run *run, uint32_t cut, uint64_t total,
                  struct check_stream *stream)
{
    const uint64_t from = stream->bytes;
    uint64_t got = 0;
    uint32_t turn = 0;
    int rc;

    if (!run->at->backend) {
        return FERRY_E_CLOSED;
    }
    do {
        const uint64_t piece = piece_of(run, cut, turn++, stream->bytes - from, total);

        rc = check_stream_room(stream, piece);
        if (rc == FERRY_OK) {
            rc = check_read(run, stream->data + stream->bytes, piece, &got);
        }
        if (rc == FERRY_OK && got > piece) {
            rc = FERRY_E_PROTOCOL;
        }
        stream->bytes += rc == FERRY_OK ? got : 0;
    } while (rc == FERRY_OK && got > 0);
    return rc;
}

int data_write_cut(struct check_run *run, uint32_t cut, const uint8_t *data,
                   uint64_t bytes)
{
    uint64_t done = 0;
    uint32_t turn = 0;
    int rc = FERRY_OK;

    if (!run->at->backend) {
        return FERRY_E_CLOSED;
    }
    while (rc == FERRY_OK && done < bytes) {
        uint64_t piece = piece_of(run, cut, turn++, done, bytes);

        piece = piece < bytes - done ? piece : bytes - done;
        rc = check_write(run, data + done, piece);
        done += piece;
    }
    return rc;
}

int data_begin_load(struct check_run *run)
{
    char text[160];
    uint32_t state;
    int rc = check_get_state(run, &state);

    if (rc != FERRY_OK) {
        return check_broken(run, "GET_STATE before a load: %s",
                            check_status_text(run, rc, text));
    }
    /* A session that was not completed cannot be left by a change of state. */
    if ((state == FERRY_STATE_RESUMING || state == FERRY_STATE_ERROR) &&
        !check_back(run)) {
        return 0;
    }
    return check_go(run, FERRY_STATE_RESUMING);
}

/* v1 draws no way from RESUMING but to RUNNING: there a device says at the latest whether
 * it takes what was written. */
static int is_still_resuming(struct check_run *run)
{
    struct v1_region region;
    uint32_t bits;

    return run->at->is_v1 && v1_find(run, &region) && v1_bits(run, &region, &bits) &&
           bits == FERRY_V1_RESUMING;
}

int data_offer(struct check_run *run, const uint8_t *data, uint64_t bytes)
{
    int rc = data_write_cut(run, DATA_CUT_WHOLE, data, bytes);

    if (rc == FERRY_OK) {
        rc = check_set_state(run, FERRY_STATE_STOP);
    }
    return rc == FERRY_OK && is_still_resuming(run)
               ? check_set_state(run, FERRY_STATE_RUNNING)
               : rc;
}

int data_refused_state(struct check_run *run, const char *what)
{
    char expected[192];
    uint32_t seen;

    if (!check_ok(run, check_get_state(run, &seen), "GET_STATE after a refusal")) {
        return 0;
    }
    snprintf(expected, sizeof(expected), "RESUMING or ERROR after %s was refused", what);
    return check_that(run, seen == FERRY_STATE_RESUMING || seen == FERRY_STATE_ERROR,
                      expected, "%s", ferry_state_name(seen));
}

int data_refused(struct check_run *run, const uint8_t *data, uint64_t bytes,
                 const char *what, ...)
{
    char text[128], expected[192];
    va_list list;
    int rc;

    va_start(list, what);
    vsnprintf(text, sizeof(text), what, list);
    va_end(list);
    if (!data_begin_load(run)) {
        return 0;
    }
    rc = data_offer(run, data, bytes);
    snprintf(expected, sizeof(expected),
             "%s is refused, at the latest by SET_STATE to STOP", text);
    return check_that(run, rc < 0, expected, "all of it was taken") &&
           check_refused(run, rc, text) && data_refused_state(run, text);
}

int data_loads(struct check_run *run, const uint8_t *data, uint64_t bytes,
               const char *what)
{
    char text[160], expected[192];
    int rc;

    if (!data_begin_load(run)) {
        return 0;
    }
    rc = data_offer(run, data, bytes);
    snprintf(expected, sizeof(expected), "%s loads", what);
    if (!check_that(run, rc == FERRY_OK, expected, "%s",
                    check_status_text(run, rc, text))) {
        return 0;
    }
    rc = check_set_state(run, FERRY_STATE_RUNNING);
    snprintf(expected, sizeof(expected), "STOP to RUNNING after %s was loaded", what);
    return check_ok(run, rc, expected) && check_works(run, "after a load");
}

int data_recovers(struct check_run *run, const struct check_stream *good)
{
    return data_loads(run, good->data, good->bytes, "a good stream after a refused one");
}

int data_fits(const struct check_device *from, const struct check_device *to)
{
    struct ferry_error error = { .code = FERRY_OK };

    if (!from->has_identity || !to->has_identity) {
        return -1;
    }
    return ferry_compat_check(&from->identity, &to->identity, &error) == FERRY_OK;
}
