/* SPDX-License-Identifier: BSD-3-Clause */
#include <string.h>

#include "check/data/data.h"

/* -- A write that was refused -- */

enum { STICKY_NOISE, STICKY_ENDED, STICKY_CUT, STICKY_FOREIGN };
static const char *const sticky_names[] = { "noise-first", "behind-the-end",
                                            "begun-again", "foreign-first", NULL };

/* Bytes that a device should not take, before its own state comes. Return: 1 when there
 * are some. */
static int junk_of(struct check_run *run, uint32_t at, const struct check_stream *own,
                   struct check_stream *junk)
{
    struct data_noise noise = { 3 };
    int done = 1;

    if (at == STICKY_FOREIGN) {
        if (!run->foreign.backend) {
            check_skip(run, "no device of another kind was named");
            return 0;
        }
        run->at = &run->foreign;
        done = data_own(run, junk);
        run->at = &run->device;
        return done;
    }
    if (check_stream_room(junk, own->bytes + 4096) != FERRY_OK) {
        return check_broken(run, "no memory");
    }
    if (at == STICKY_NOISE) {
        for (junk->bytes = 0; junk->bytes < 4096; junk->bytes++) {
            junk->data[junk->bytes] = (uint8_t)data_noise(&noise);
        }
    } else {
        junk->bytes = at == STICKY_ENDED ? own->bytes : own->bytes / 2;
        memcpy(junk->data, own->data, junk->bytes);
    }
    return 1;
}

static void run_sticky(struct check_run *run, uint32_t at)
{
    struct check_stream own = { 0 }, junk = { 0 };

    if (data_own(run, &own) && junk_of(run, at, &own, &junk) && data_begin_load(run)) {
        int refused = data_write_cut(run, DATA_CUT_WHOLE, junk.data, junk.bytes) < 0;
        int rc;

        /* What a user does that does not look: it goes on. */
        refused |= data_write_cut(run, DATA_CUT_WHOLE, own.data, own.bytes) < 0;
        refused |= check_write(run, own.data, 1) < 0;
        refused |= data_write_cut(run, DATA_CUT_WHOLE, own.data, own.bytes) < 0;
        rc = check_set_state(run, FERRY_STATE_STOP);
        if (!refused && rc < 0) {
            check_skip(run, "no write was refused, only SET_STATE to STOP");
        } else if (check_that(run, rc < 0,
                              refused ? "SET_STATE to STOP fails after a refused write"
                                      : "such a stream is refused",
                              "it works") &&
                   check_refused(run, rc, "SET_STATE to STOP after a refused write") &&
                   data_refused_state(run, "a stream with a refused write")) {
            data_recovers(run, &own);
        }
    }
    check_stream_free(&own);
    check_stream_free(&junk);
}

/* -- One session after the other -- */

/* Loads it, and goes to STOP only: the device is opened all the time. */
static int load_ok(struct check_run *run, const struct check_stream *stream,
                   const char *what)
{
    return data_begin_load(run) &&
           check_ok(run, data_offer(run, stream->data, stream->bytes), what);
}

/* The first half of a stream, and no more. */
static int begin_half(struct check_run *run, const struct check_stream *stream)
{
    return data_begin_load(run) &&
           check_ok(run,
                    data_write_cut(run, DATA_CUT_WHOLE, stream->data, stream->bytes / 2),
                    "DATA_WRITE of the first half");
}

static void good_short(struct check_run *run, const struct check_stream *own)
{
    if (load_ok(run, own, "a first load") &&
        data_refused(run, own->data, own->bytes - 1,
                     "a stream without its last byte, after a good one,") &&
        load_ok(run, own, "a third load") &&
        data_refused(run, own->data, own->bytes / 2,
                     "half a stream, after a good one,")) {
        data_recovers(run, own);
    }
}

static void good_empty(struct check_run *run, const struct check_stream *own)
{
    if (load_ok(run, own, "a first load") &&
        data_refused(run, NULL, 0, "an empty stream, after a good one,")) {
        data_recovers(run, own);
    }
}

static void good_foreign(struct check_run *run, const struct check_stream *own)
{
    struct check_stream foreign = { 0 };

    if (!run->foreign.backend) {
        check_skip(run, "no device of another kind was named");
        return;
    }
    run->at = &run->foreign;
    if (data_own(run, &foreign)) {
        run->at = &run->device;
        if (load_ok(run, own, "a first load") &&
            data_refused(run, foreign.data, foreign.bytes,
                         "another device's state, after a good one,")) {
            data_recovers(run, own);
        }
    }
    run->at = &run->device;
    check_stream_free(&foreign);
}

static void short_good(struct check_run *run, const struct check_stream *own)
{
    if (data_refused(run, own->data, own->bytes / 2, "half a stream")) {
        data_loads(run, own->data, own->bytes, "a stream after one that was refused");
    }
}

static void good_good(struct check_run *run, const struct check_stream *own)
{
    if (load_ok(run, own, "a first load")) {
        data_loads(run, own->data, own->bytes, "a stream for the second time");
    }
}

static void half_rest(struct check_run *run, const struct check_stream *own)
{
    const uint64_t half = own->bytes / 2;

    if (begin_half(run, own) &&
        data_refused(run, own->data + half, own->bytes - half,
                     "the second half of a stream, the first being of an earlier "
                     "session,")) {
        data_recovers(run, own);
    }
}

static void half_whole(struct check_run *run, const struct check_stream *own)
{
    if (begin_half(run, own)) {
        data_loads(run, own->data, own->bytes, "a stream after one that was given up");
    }
}

/* A session of before, whatever the device holds now. */
static void older(struct check_run *run, const struct check_stream *own)
{
    struct check_stream newer = { 0 };

    if (data_saved(run, &newer) && load_ok(run, &newer, "the newer state")) {
        check_undrive(run); /* its rings are those of the newer state */
        data_loads(run, own->data, own->bytes, "a stream of an earlier session");
    }
    check_stream_free(&newer);
}

/* Leaves a saving session in its middle. */
static int leave_half(struct check_run *run, uint32_t from, int reset)
{
    char text[160];
    int rc;

    if (reset) {
        rc = check_reset(run); /* whether it works there is another rule's */
        return rc == FERRY_OK ||
               check_broken(run, "a reset in %s: %s", ferry_state_name(from),
                            check_status_text(run, rc, text));
    }
    rc = check_set_state(run, from == FERRY_STATE_PRE_COPY ? FERRY_STATE_RUNNING
                                                           : FERRY_STATE_STOP);
    return check_ok(run, rc, "leaving a session in its middle");
}

/* A saving session that was left in the middle, then one that is whole. */
static void saved_half(struct check_run *run, uint32_t from, int reset)
{
    struct check_stream stream = { 0 };
    uint8_t part[4000];
    uint64_t got;

    if (data_fill(run) && check_go(run, from)) {
        const int rc = check_read(run, part, sizeof(part), &got);

        if ((rc == FERRY_E_DRY || check_ok(run, rc, "DATA_READ")) &&
            leave_half(run, from, reset) && check_save(run, &stream)) {
            data_loads(run, stream.data, stream.bytes,
                       "a stream after a session that was left in its middle");
        }
    }
    check_stream_free(&stream);
}

enum {
    SECOND_GOOD_SHORT,
    SECOND_GOOD_EMPTY,
    SECOND_GOOD_FOREIGN,
    SECOND_SHORT_GOOD,
    SECOND_GOOD_GOOD,
    SECOND_HALF_REST,
    SECOND_HALF_WHOLE,
    SECOND_OLDER,
    SECOND_STOP_COPY_HALF,
    SECOND_PRE_COPY_HALF,
    SECOND_RESET_HALF
};
static const char *const second_names[] = {
    "good-then-short",   "good-then-empty",    "good-then-foreign",  "short-then-good",
    "good-twice",        "half-then-the-rest", "half-then-whole",    "older",
    "left-in-STOP_COPY", "left-in-PRE_COPY",   "reset-in-STOP_COPY", NULL,
};

static void run_second(struct check_run *run, uint32_t at)
{
    static void (*const loads[])(struct check_run *, const struct check_stream *) = {
        [SECOND_GOOD_SHORT] = good_short,     [SECOND_GOOD_EMPTY] = good_empty,
        [SECOND_GOOD_FOREIGN] = good_foreign, [SECOND_SHORT_GOOD] = short_good,
        [SECOND_GOOD_GOOD] = good_good,       [SECOND_HALF_REST] = half_rest,
        [SECOND_HALF_WHOLE] = half_whole,     [SECOND_OLDER] = older,
    };
    struct check_stream own = { 0 };

    if (at == SECOND_STOP_COPY_HALF) {
        saved_half(run, FERRY_STATE_STOP_COPY, 0);
    } else if (at == SECOND_PRE_COPY_HALF) {
        if (run->device.features & FERRY_MIG_PRE_COPY) {
            saved_half(run, FERRY_STATE_PRE_COPY, 0);
        } else {
            check_skip(run, "the device has no pre-copy");
        }
    } else if (at == SECOND_RESET_HALF) {
        if (run->device.can_reset) {
            saved_half(run, FERRY_STATE_STOP_COPY, 1);
        } else {
            check_skip(run, "the device has no reset");
        }
    } else if (data_own(run, &own)) {
        loads[at](run, &own);
    }
    check_stream_free(&own);
}

const struct data_cases data_cases_again[] = {
    { "data.sticky", sticky_names },
    { "data.second", second_names },
    { NULL, NULL },
};

const struct check check_data_again[] = {
    { .info = { "data.second", "MIG-DATA-19",
                "no session takes over what an earlier one left", FERRY_CHECK_REQUIRED,
                0 },
      .cases = data_cases,
      .name = data_case_name,
      .run = run_second },
    { .info = { "data.sticky", "MIG-DATA-11",
                "after a refused write nothing makes RESUMING to STOP work",
                FERRY_CHECK_RECOMMENDED, 0 },
      .cases = data_cases,
      .name = data_case_name,
      .run = run_sticky },
    { .info = { 0 } },
};
