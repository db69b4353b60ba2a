/* SPDX-License-Identifier: BSD-3-Clause */
#include <stdio.h>
#include <string.h>

#include "check/data/data.h"

/* -- Nothing for now -- */

enum { DRY_PRE_COPY, DRY_P2P, DRY_THEN_P2P };
static const char *const dry_names[] = { "PRE_COPY", "PRE_COPY_P2P",
                                         "PRE_COPY,then-PRE_COPY_P2P", NULL };

/* Reads again where nothing was: nothing again, said in the same way. Return: 1. */
static int stays_dry(struct check_run *run)
{
    uint8_t data[4096];
    uint64_t got;
    char text[160];

    for (uint32_t i = 0; i < 3; i++) {
        const int rc = check_read(run, data, sizeof(data), &got);

        /* A device that runs may find something at any time. */
        if (!check_that(run, rc == FERRY_E_DRY || (rc == FERRY_OK && got > 0),
                        "ENOMSG, or more bytes, when nothing was there", "%s",
                        rc == FERRY_OK ? "0 bytes: the end of the stream"
                                       : check_status_text(run, rc, text))) {
            return 0;
        }
    }
    return 1;
}

static void run_dry(struct check_run *run, uint32_t at)
{
    struct check_stream stream = { 0 };
    const uint32_t state =
        at == DRY_P2P ? FERRY_STATE_PRE_COPY_P2P : FERRY_STATE_PRE_COPY;
    int done;

    if (at != DRY_PRE_COPY && !data_has(run, FERRY_STATE_PRE_COPY_P2P)) {
        check_skip(run, "the device has no PRE_COPY_P2P");
        return;
    }
    done = data_fill(run) && check_go(run, state) && data_until_dry(run, &stream) &&
           stays_dry(run);
    if (done && at == DRY_THEN_P2P) {
        done = check_go(run, FERRY_STATE_PRE_COPY_P2P) && data_until_dry(run, &stream) &&
               stays_dry(run);
    }
    check_stream_free(&stream);
}

/* -- Left at any time -- */

enum { LEAVE_UNREAD, LEAVE_BYTE, LEAVE_PAGE, LEAVE_HALF, LEAVE_DRY, LEAVE_P2P };
static const char *const leave_names[] = {
    "nothing-read", "one-byte", "a-page", "half", "dry", "a-page,by-PRE_COPY_P2P", NULL
};

/* The next bytes of the stream, at most so many. */
static int read_on(struct check_run *run, uint64_t bytes, struct check_stream *stream)
{
    uint64_t got = 0;
    int rc = check_stream_room(stream, bytes);

    if (rc == FERRY_OK) {
        rc = check_read(run, stream->data + stream->bytes, bytes, &got);
    }
    stream->bytes += rc == FERRY_OK ? got : 0;
    return rc == FERRY_E_DRY || check_ok(run, rc, "DATA_READ in PRE_COPY");
}

static int read_part(struct check_run *run, uint32_t at, struct check_stream *stream)
{
    struct check_stream whole = { 0 };
    uint64_t half;
    int done;

    switch (at) {
    case LEAVE_UNREAD:
        return 1;
    case LEAVE_BYTE:
        return read_on(run, 1, stream);
    case LEAVE_PAGE:
    case LEAVE_P2P:
        return read_on(run, 4096, stream);
    case LEAVE_DRY:
        return data_until_dry(run, stream);
    default:
        break;
    }
    /* Half of what one session gave, in the next one. */
    done =
        data_until_dry(run, &whole) &&
        check_ok(run, check_set_state(run, FERRY_STATE_RUNNING), "PRE_COPY to RUNNING") &&
        check_go(run, FERRY_STATE_PRE_COPY);
    half = whole.bytes / 2 < (1u << 20) ? whole.bytes / 2 : 1u << 20;
    check_stream_free(&whole);
    return done && (half == 0 || read_on(run, half, stream));
}

static void run_leave(struct check_run *run, uint32_t at)
{
    struct check_stream stream = { 0 };

    if (at == LEAVE_P2P && !data_has(run, FERRY_STATE_PRE_COPY_P2P)) {
        check_skip(run, "the device has no PRE_COPY_P2P");
        return;
    }
    if (data_fill(run) && check_go(run, FERRY_STATE_PRE_COPY) &&
        read_part(run, at, &stream) &&
        (at != LEAVE_P2P ||
         (check_go(run, FERRY_STATE_PRE_COPY_P2P) && read_on(run, 4096, &stream))) &&
        check_ok(run, check_set_state(run, FERRY_STATE_STOP_COPY),
                 "SET_STATE to STOP_COPY") &&
        check_ok(run, data_read_cut(run, DATA_CUT_WHOLE, 0, &stream),
                 "DATA_READ in STOP_COPY")) {
        data_loads(run, stream.data, stream.bytes, "pre-copy and what came after it");
    }
    check_stream_free(&stream);
}

/* -- What changes meanwhile -- */

enum { CHANGED_ONCE, CHANGED_UNREAD, CHANGED_BEFORE, CHANGED_MANY };
static const char *const changed_names[] = { "once", "unread", "before-it-was-read",
                                             "many-times", NULL };

/* Changes and reads, each in its turn. */
static int change_along(struct check_run *run, uint32_t at, struct check_stream *stream)
{
    const uint32_t rounds = at == CHANGED_MANY ? 5 : 1;
    int done =
        at == CHANGED_BEFORE ? read_on(run, 4096, stream) : data_until_dry(run, stream);

    for (uint32_t i = 0; done && i < rounds; i++) {
        done = data_change(run) &&
               (at == CHANGED_UNREAD || read_on(run, 65536u << i, stream));
    }
    return done;
}

/* Is it the state that the device has, as a save without pre-copy tells? */
static void compare_with_plain(struct check_run *run, const struct check_stream *stream)
{
    struct check_stream plain = { 0 }, again = { 0 }, loaded = { 0 };

    if (data_saved_again(run, &plain) && data_saved_again(run, &again)) {
        if (plain.bytes != again.bytes ||
            data_differs_at(&plain, &again) != plain.bytes) {
            check_skip(run, "two saves of the stopped device differ");
        } else if (data_begin_load(run) &&
                   check_ok(run, data_offer(run, stream->data, stream->bytes),
                            "the load of pre-copy and what came after it") &&
                   check_save(run, &loaded)) {
            data_equal(run, &plain, &loaded,
                       "a device that loaded what came in pre-copy and after it");
        }
    }
    check_stream_free(&plain);
    check_stream_free(&again);
    check_stream_free(&loaded);
}

static void run_changed(struct check_run *run, uint32_t at)
{
    struct check_stream stream = { 0 };

    if (data_can_change(run) && data_fill(run) && check_go(run, FERRY_STATE_PRE_COPY) &&
        change_along(run, at, &stream) && check_go(run, FERRY_STATE_STOP_COPY) &&
        check_ok(run, data_read_cut(run, DATA_CUT_WHOLE, 0, &stream),
                 "DATA_READ in STOP_COPY")) {
        compare_with_plain(run, &stream);
    }
    check_stream_free(&stream);
}

const struct data_cases data_cases_precopy[] = {
    { "precopy.dry", dry_names },
    { "precopy.leave", leave_names },
    { "precopy.changed", changed_names },
    { NULL, NULL },
};

const struct check check_data_precopy[] = {
    { .info = { "precopy.dry", "MIG-PRE-3",
                "a read that finds nothing in pre-copy says ENOMSG, and never 0",
                FERRY_CHECK_REQUIRED, FERRY_CHECK_NEEDS_PRE_COPY },
      .cases = data_cases,
      .name = data_case_name,
      .run = run_dry },
    { .info = { "precopy.leave", "MIG-PRE-6",
                "pre-copy that is left at any time goes on in STOP_COPY",
                FERRY_CHECK_REQUIRED, FERRY_CHECK_NEEDS_PRE_COPY },
      .cases = data_cases,
      .name = data_case_name,
      .run = run_leave },
    { .info = { "precopy.changed", "MIG-PRE-7",
                "what changes during pre-copy is given again", FERRY_CHECK_RECOMMENDED,
                FERRY_CHECK_NEEDS_PRE_COPY | FERRY_CHECK_NEEDS_DRIVER },
      .cases = data_cases,
      .name = data_case_name,
      .run = run_changed },
    { .info = { 0 } },
};
