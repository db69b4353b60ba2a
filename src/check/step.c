/* SPDX-License-Identifier: BSD-3-Clause */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "check/check.h"

#define PIECE_BYTES (1u << 20)

static int broken_at(struct check_run *run, uint32_t from, uint32_t to, int status)
{
    char text[160];

    return check_broken(run, "on the way, %s to %s: %s", ferry_state_name(from),
                        ferry_state_name(to), check_status_text(run, status, text));
}

/* What a device may ask for before it is left: its stream read to the end. */
static int drain(struct check_run *run)
{
    struct check_stream stream = { 0 };
    int rc = check_read_all(run, &stream, 0);

    check_stream_free(&stream);
    return rc;
}

/* The text of v1 draws the ways to these from RUNNING: a device need not know others. */
static int is_undrawn(const struct check_run *run, uint32_t from, uint32_t to)
{
    return run->at->is_v1 && from == FERRY_STATE_STOP &&
           (to == FERRY_STATE_STOP_COPY || to == FERRY_STATE_RESUMING);
}

static int walk_arc(struct check_run *run, uint32_t from, uint32_t to)
{
    int rc = check_set_state(run, to);

    if (rc == FERRY_E_ARGUMENT && is_undrawn(run, from, to) &&
        check_set_state(run, FERRY_STATE_RUNNING) == FERRY_OK) {
        rc = check_set_state(run, to);
    }

    if (rc < 0 && from == FERRY_STATE_STOP_COPY && drain(run) == FERRY_OK) {
        rc = check_set_state(run, to);
    }
    return rc == FERRY_OK ? 1 : broken_at(run, from, to, rc);
}

int check_go(struct check_run *run, uint32_t state)
{
    uint32_t path[FERRY_STATE_COUNT];
    uint32_t from;
    int count;
    int rc = check_get_state(run, &from);

    if (rc != FERRY_OK) {
        return broken_at(run, from, state, rc);
    }
    /* Nothing but a reset is sure to leave these. */
    if ((from == FERRY_STATE_ERROR || from == FERRY_STATE_RESUMING) && from != state) {
        if (run->at->can_reset) {
            rc = check_reset(run);
        } else if (!check_reopen(run)) {
            return 0;
        }
        if (rc == FERRY_OK) {
            rc = check_get_state(run, &from);
        }
        if (rc != FERRY_OK) {
            return broken_at(run, from, state, rc);
        }
    }
    count = ferry_state_path(from, state, run->at->features, path);
    if (count == FERRY_E_ARC) {
        /* STOP_COPY to PRE_COPY: over RUNNING, with a new session. */
        if (!walk_arc(run, from, FERRY_STATE_STOP)) {
            return 0;
        }
        from = FERRY_STATE_STOP;
        count = ferry_state_path(from, state, run->at->features, path);
    }
    if (count < 0) {
        return broken_at(run, from, state, count);
    }
    for (int i = 0; i < count; i++) {
        if (!walk_arc(run, from, path[i])) {
            return 0;
        }
        from = path[i];
    }
    return 1;
}

int check_is(struct check_run *run, uint32_t state, const char *when)
{
    char expected[160];
    uint32_t seen;
    int rc = check_get_state(run, &seen);

    if (!check_ok(run, rc, "GET_STATE")) {
        return 0;
    }
    snprintf(expected, sizeof(expected), "%s %s", ferry_state_name(state), when);
    return check_that(run, seen == state, expected, "%s", ferry_state_name(seen));
}

int check_drive(struct check_run *run)
{
    const struct ferry_check_driver *driver = run->options->driver;
    struct ferry_error error = { .code = FERRY_OK };
    int rc;

    if (run->driver_started) {
        return 1;
    }
    if (!driver || !driver->start) {
        return check_broken(run, "there is no driver for it");
    }
    if (run->driver_fault[0] != '\0') {
        return check_broken(run, "%s", run->driver_fault);
    }
    memset(run->device.memory.address, 0, CHECK_DRIVER_BYTES);
    rc = driver->start(&run->driven, &run->driver_state, &error);
    if (rc != FERRY_OK) {
        return check_broken(run, "the driver '%s' cannot start: %s", driver->name,
                            error.text[0] != '\0' ? error.text : ferry_status_text(rc));
    }
    run->driver_started = 1;
    return 1;
}

void check_undrive(struct check_run *run)
{
    if (run->driver_started && run->options->driver->stop) {
        run->options->driver->stop(run->driver_state);
    }
    run->driver_started = 0;
    run->driver_state = NULL;
}

void check_driver_try(struct check_run *run)
{
    const struct ferry_check_driver *driver = run->options->driver;
    struct ferry_check_result unseen = { .check = NULL };
    struct ferry_error error = { .code = FERRY_OK };
    int rc;

    if (!driver || !driver->works || check_base(run, &error) != FERRY_OK) {
        return;
    }
    run->result = &unseen;
    rc = check_drive(run) ? driver->works(run->driver_state, &error) : FERRY_OK;
    run->result = NULL;
    if (rc != FERRY_OK) {
        snprintf(run->driver_fault, sizeof(run->driver_fault),
                 "the driver '%s' has even a device that was just opened not work: %s",
                 driver->name,
                 error.text[0] != '\0' ? error.text : ferry_status_text(rc));
    }
}

/* Without a driver: the least that a device does. */
static int round_trip(struct check_run *run, const char *when)
{
    uint8_t config[4];
    char expected[160];
    char text[160];
    int rc = check_region_read(run, 7, 0, config, sizeof(config));

    snprintf(expected, sizeof(expected), "the device works %s", when);
    if (!check_that(run, rc == FERRY_OK, expected, "config space: %s",
                    check_status_text(run, rc, text))) {
        return 0;
    }
    for (int back = 0; back < 2; back++) {
        rc = check_set_state(run, back ? FERRY_STATE_RUNNING : FERRY_STATE_STOP);
        if (!check_that(run, rc == FERRY_OK, expected, "%s: %s",
                        back ? "STOP to RUNNING" : "RUNNING to STOP",
                        check_status_text(run, rc, text))) {
            return 0;
        }
    }
    return check_is(run, FERRY_STATE_RUNNING, when);
}

int check_works(struct check_run *run, const char *when)
{
    const struct ferry_check_driver *driver = run->options->driver;
    struct ferry_error error = { .code = FERRY_OK };
    char expected[160];
    int rc;

    if (!driver || !driver->works || run->at != &run->device) {
        return round_trip(run, when);
    }
    if (!check_drive(run)) {
        return 0;
    }
    rc = driver->works(run->driver_state, &error);
    snprintf(expected, sizeof(expected), "the device works %s", when);
    return check_that(run, rc == FERRY_OK, expected, "%s",
                      error.text[0] != '\0' ? error.text : ferry_status_text(rc));
}

void check_stream_free(struct check_stream *stream)
{
    free(stream->data);
    memset(stream, 0, sizeof(*stream));
}

int check_stream_room(struct check_stream *stream, uint64_t bytes)
{
    uint64_t cap = stream->cap ? stream->cap * 2 : PIECE_BYTES;
    uint8_t *data;

    if (stream->bytes > CHECK_STREAM_MAX - bytes) {
        return FERRY_E_LIMIT;
    }
    while (cap < stream->bytes + bytes) {
        cap *= 2;
    }
    if (cap == stream->cap || stream->cap >= stream->bytes + bytes) {
        return FERRY_OK;
    }
    data = realloc(stream->data, cap);
    if (!data) {
        return FERRY_E_MEMORY;
    }
    stream->data = data;
    stream->cap = cap;
    return FERRY_OK;
}

static uint64_t piece_of(const struct check_run *run, uint64_t piece)
{
    const uint32_t most = run->at->backend->ops->max_data(run->at->backend);

    return piece == 0 || piece > most ? (most < PIECE_BYTES ? most : PIECE_BYTES) : piece;
}

/*
 * So many bytes, of a device that says how many there are, are far more than it has.
 * ret_dry: pre-copy, which may have more and more and may be left at any time.
 */
static uint64_t far_too_many(struct check_run *run, int *ret_dry)
{
    uint64_t size = 0;
    uint32_t state;

    *ret_dry = check_get_state(run, &state) == FERRY_OK &&
               (state == FERRY_STATE_PRE_COPY || state == FERRY_STATE_PRE_COPY_P2P);
    if (check_data_size(run, &size) != FERRY_OK || size > CHECK_STREAM_MAX) {
        return *ret_dry ? CHECK_ENDLESS_BYTES : UINT64_MAX;
    }
    return 4 * size + (*ret_dry ? 65536u : CHECK_ENDLESS_BYTES);
}

/* Nothing else is asked before so many bytes came: it could disturb the stream. */
#define LONG_BYTES (256u << 10)

int check_read_all(struct check_run *run, struct check_stream *stream, uint64_t piece)
{
    const uint64_t from = stream->bytes;
    uint64_t got = 0, most = LONG_BYTES;
    int rc, asked = 0, pre_copy = 0;

    if (!run->at->backend) {
        return FERRY_E_CLOSED;
    }
    piece = piece_of(run, piece);
    do {
        if (stream->bytes - from > most && !asked) {
            most = far_too_many(run, &pre_copy);
            asked = 1;
        }
        if (stream->bytes - from > most) {
            return pre_copy ? FERRY_OK : FERRY_E_LIMIT;
        }
        rc = check_stream_room(stream, piece);
        if (rc == FERRY_OK) {
            rc = check_read(run, stream->data + stream->bytes, piece, &got);
        }
        if (rc == FERRY_OK && got > piece) {
            rc = FERRY_E_PROTOCOL;
        }
        stream->bytes += rc == FERRY_OK ? got : 0;
    } while (rc == FERRY_OK && got > 0);
    return rc == FERRY_E_DRY ? FERRY_OK : rc;
}

int check_write_all(struct check_run *run, const uint8_t *data, uint64_t bytes,
                    uint64_t piece)
{
    int rc = FERRY_OK;

    if (!run->at->backend) {
        return FERRY_E_CLOSED;
    }
    piece = piece_of(run, piece);
    while (rc == FERRY_OK && bytes > 0) {
        uint64_t count = bytes < piece ? bytes : piece;

        rc = check_write(run, data, count);
        data += count;
        bytes -= count;
    }
    return rc;
}

int check_save(struct check_run *run, struct check_stream *ret_stream)
{
    char text[160];
    int rc;

    memset(ret_stream, 0, sizeof(*ret_stream));
    if (!check_go(run, FERRY_STATE_STOP_COPY)) {
        return 0;
    }
    rc = check_read_all(run, ret_stream, 0);
    if (rc == FERRY_E_LIMIT) {
        check_skip(run,
                   "its state has no end, or is larger than what is kept in memory "
                   "(%llu MiB): %llu bytes came",
                   CHECK_STREAM_MAX >> 20, (unsigned long long)ret_stream->bytes);
        check_stream_free(ret_stream);
        return 0;
    }
    if (rc != FERRY_OK) {
        check_stream_free(ret_stream);
        return check_broken(run, "its state cannot be read: %s",
                            check_status_text(run, rc, text));
    }
    return 1;
}

int check_load(struct check_run *run, const struct check_stream *stream)
{
    char text[160];
    uint32_t state;
    int rc = check_get_state(run, &state);

    if (rc == FERRY_OK && state == FERRY_STATE_RESUMING) {
        if (run->at->can_reset) {
            rc = check_reset(run);
        } else if (!check_reopen(run)) {
            return 0;
        }
    }
    if (rc != FERRY_OK || !check_go(run, FERRY_STATE_RESUMING)) {
        return check_broken(run, "a load cannot begin: %s",
                            check_status_text(run, rc, text));
    }
    rc = check_write_all(run, stream->data, stream->bytes, 0);
    if (rc == FERRY_OK) {
        rc = check_set_state(run, FERRY_STATE_STOP);
    }
    return rc == FERRY_OK ? 1
                          : check_broken(run, "its own state cannot be loaded: %s",
                                         check_status_text(run, rc, text));
}
