/* SPDX-License-Identifier: BSD-3-Clause */
#include <stdio.h>
#include <string.h>

#include "check/state/state.h"

static int same(const struct check_stream *a, const struct check_stream *b)
{
    return a->bytes == b->bytes &&
           (a->bytes == 0 || memcmp(a->data, b->data, a->bytes) == 0);
}

int state_own_save(struct check_run *run, struct state_own *ret_own)
{
    struct check_stream second = { 0 };
    int ready;

    memset(ret_own, 0, sizeof(*ret_own));
    ready = check_save(run, &ret_own->stream) && check_go(run, FERRY_STATE_RUNNING) &&
            check_save(run, &second) && check_go(run, FERRY_STATE_RUNNING);
    ret_own->steady = ready && same(&ret_own->stream, &second);
    check_stream_free(&second);
    if (!ready) {
        state_own_free(ret_own);
    }
    return ready;
}

void state_own_free(struct state_own *own)
{
    check_stream_free(&own->stream);
}

int state_take(struct check_run *run, struct check_stream *stream, uint64_t bytes)
{
    uint64_t got = 1;
    int rc = FERRY_OK;

    while (bytes > 0 && got > 0 && rc == FERRY_OK) {
        const uint32_t most =
            run->at->backend ? run->at->backend->ops->max_data(run->at->backend) : 1;
        const uint64_t want = bytes < most ? bytes : most;

        rc = check_stream_room(stream, want);
        if (rc == FERRY_OK) {
            rc = check_read(run, stream->data + stream->bytes, want, &got);
        }
        if (rc == FERRY_OK && got > want) {
            rc = FERRY_E_PROTOCOL;
        }
        stream->bytes += rc == FERRY_OK ? got : 0;
        bytes -= rc == FERRY_OK ? got : 0;
    }
    return rc == FERRY_E_DRY ? FERRY_OK : rc;
}

int state_enter(struct check_run *run, uint32_t state, uint32_t cut,
                const struct state_own *own, struct check_stream *taken)
{
    const uint64_t bytes = state_cut_bytes(cut, own->stream.bytes);
    char text[160];
    int rc = FERRY_OK;

    if (!check_go(run, state)) {
        return 0;
    }
    if (ferry_state_is_saving(state)) {
        rc = cut == STATE_CUT_ALL ? check_read_all(run, taken, 0)
                                  : state_take(run, taken, bytes);
    } else if (state == FERRY_STATE_RESUMING) {
        rc = check_write_all(run, own->stream.data, bytes, 0);
    }
    return rc == FERRY_OK
               ? 1
               : check_broken(run, "a transfer in %s: %s", ferry_state_name(state),
                              check_status_text(run, rc, text));
}

int state_enter_at(struct check_run *run, uint32_t at, const struct state_own *own)
{
    struct check_stream taken = { 0 };
    uint32_t state, cut;
    int ready;

    state_cut_at(run, at, &state, &cut);
    ready = state_enter(run, state, cut, own, &taken);
    check_stream_free(&taken);
    return ready;
}

int state_is_loaded(struct check_run *run, const struct state_own *own, const char *what)
{
    struct check_stream again = { 0 };
    char expected[160];
    int good;

    if (!own->steady) {
        return 1; /* nothing to compare with */
    }
    if (!check_save(run, &again)) {
        return 0;
    }
    snprintf(expected, sizeof(expected), "the same state %s", what);
    good = check_that(run, same(&own->stream, &again), expected,
                      "the device saves something else than was loaded into it (%llu "
                      "bytes, before %llu)",
                      (unsigned long long)again.bytes,
                      (unsigned long long)own->stream.bytes);
    check_stream_free(&again);
    return good;
}

int state_is_whole(struct check_run *run, const struct state_own *own,
                   const struct check_stream *stream, const char *what)
{
    char expected[160];
    char text[160];
    int rc;

    if (!check_go(run, FERRY_STATE_RESUMING)) {
        return 0;
    }
    rc = check_write_all(run, stream->data, stream->bytes, 0);
    if (rc == FERRY_OK) {
        rc = check_set_state(run, FERRY_STATE_STOP);
    }
    snprintf(expected, sizeof(expected), "the stream is whole %s", what);
    return check_that(
               run, rc == FERRY_OK, expected, "its %llu bytes cannot be loaded: %s",
               (unsigned long long)stream->bytes, check_status_text(run, rc, text)) &&
           state_is_loaded(run, own, what);
}

/* The rest of a saving session, over STOP_COPY to its end. */
static int finish_saving(struct check_run *run, uint32_t state,
                         struct check_stream *taken, const char *what)
{
    char expected[160];
    char text[160];
    int rc = FERRY_OK;

    snprintf(expected, sizeof(expected), "the session goes on %s", what);
    if (state != FERRY_STATE_STOP_COPY) {
        rc = check_read_all(run, taken, 0);
        if (rc == FERRY_OK) {
            rc = check_set_state(run, FERRY_STATE_STOP_COPY);
        }
    }
    if (rc == FERRY_OK) {
        rc = check_read_all(run, taken, 0);
    }
    return check_that(run, rc == FERRY_OK, expected, "%s",
                      check_status_text(run, rc, text));
}

static int finish_loading(struct check_run *run, uint32_t cut,
                          const struct state_own *own, const char *what)
{
    const uint64_t done = state_cut_bytes(cut, own->stream.bytes);
    char expected[160];
    char text[160];
    int rc = check_write_all(run, own->stream.data + done, own->stream.bytes - done, 0);

    if (rc == FERRY_OK) {
        rc = check_set_state(run, FERRY_STATE_STOP);
    }
    snprintf(expected, sizeof(expected), "the load goes on %s", what);
    return check_that(run, rc == FERRY_OK, expected, "%s",
                      check_status_text(run, rc, text)) &&
           state_is_loaded(run, own, what);
}

int state_finish(struct check_run *run, uint32_t state, uint32_t cut,
                 const struct state_own *own, struct check_stream *taken,
                 const char *what)
{
    if (state == FERRY_STATE_RESUMING) {
        return finish_loading(run, cut, own, what);
    }
    return !ferry_state_is_saving(state) || (finish_saving(run, state, taken, what) &&
                                             state_is_whole(run, own, taken, what));
}

int state_reset(struct check_run *run)
{
    char text[160];
    int rc = check_reset(run);

    return rc == FERRY_OK ? 1
                          : check_broken(run, "a reset is refused: %s",
                                         check_status_text(run, rc, text));
}

int state_no_session(struct check_run *run, const char *when)
{
    char expected[160];
    uint8_t byte = 0;
    uint64_t got;
    int rc = check_read(run, &byte, 1, &got);

    snprintf(expected, sizeof(expected), "there is no session %s", when);
    if (!check_that(run, rc < 0 || got == 0, expected, "data can be read") ||
        !check_that(run, rc != FERRY_E_TIMEOUT && rc != FERRY_E_CLOSED, expected,
                    "a read does not end, or costs the device")) {
        return 0;
    }
    rc = check_write(run, &byte, 1);
    return check_that(run, rc < 0, expected, "data can be written") &&
           check_that(run, rc != FERRY_E_TIMEOUT && rc != FERRY_E_CLOSED, expected,
                      "a write does not end, or costs the device");
}

void state_interrupt(struct check_run *run, uint32_t state,
                     int (*happen)(struct check_run *run, uint32_t state),
                     const char *what)
{
    struct check_stream taken = { 0 };
    struct state_own own;

    if (!state_own_save(run, &own)) {
        return;
    }
    if (state_enter(run, state, STATE_CUT_HALF, &own, &taken) && happen(run, state) &&
        check_is(run, state, what)) {
        (void)state_finish(run, state, STATE_CUT_HALF, &own, &taken, what);
    }
    check_stream_free(&taken);
    state_own_free(&own);
}
