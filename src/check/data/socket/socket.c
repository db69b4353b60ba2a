/* SPDX-License-Identifier: BSD-3-Clause */
#include <stdio.h>

#include "check/data/data.h"
#include "check/data/socket/pipe.h"
#include "ferry/host.h"
#include "os/clock.h"
#include "os/memory.h"
#include "os/socket.h"

/* The data descriptor of the vfio-user extension `data_fd`. */

#define FIRST_BYTES 100u

/* 1 when the server has such descriptors. */
static int has_pipes(struct check_run *run)
{
    const struct ferry_backend_ops *ops = run->device.backend->ops;

    if (!ops->extensions ||
        !(ops->extensions(run->device.backend) & FERRY_VIEW_DATA_FD)) {
        check_skip(run, "the server has no data descriptors");
        return 0;
    }
    return 1;
}

static int begin(struct check_run *run, uint32_t state, struct pipe *pipe)
{
    pipe->fd = -1;
    if (!data_has(run, state)) {
        check_skip(run, "the device has no %s", ferry_state_name(state));
        return 0;
    }
    return has_pipes(run) && data_fill(run) && check_go(run, state) &&
           check_ok(run, pipe_open(run, pipe), "DATA_FD");
}

/* The other end is closed. */
static int at_end(struct check_run *run, struct pipe *pipe, const char *when)
{
    struct check_stream rest = { 0 };
    char expected[96];
    int got;

    do {
        got = pipe_next(pipe, &rest);
    } while (got > 0);
    check_stream_free(&rest);
    snprintf(expected, sizeof(expected), "the descriptor comes to its end %s", when);
    return check_that(run, got == FERRY_E_CLOSED, expected, "%s", ferry_status_text(got));
}

/* -- When it is given -- */

static const uint32_t given[] = { FERRY_STATE_STOP_COPY,    FERRY_STATE_PRE_COPY,
                                  FERRY_STATE_PRE_COPY_P2P, FERRY_STATE_RESUMING,
                                  FERRY_STATE_RUNNING,      FERRY_STATE_STOP,
                                  FERRY_STATE_RUNNING_P2P };
static const char *const given_names[] = { "STOP_COPY",   "PRE_COPY", "PRE_COPY_P2P",
                                           "RESUMING",    "RUNNING",  "STOP",
                                           "RUNNING_P2P", NULL };

static void run_given(struct check_run *run, uint32_t at)
{
    struct ferry_request request = { .kind = FERRY_RQ_DATA_FD };
    int rc;

    if (!data_has(run, given[at])) {
        check_skip(run, "the device has no %s", ferry_state_name(given[at]));
        return;
    }
    if (!has_pipes(run) || !check_go(run, given[at])) {
        return;
    }
    rc = check_call(run, &request);
    if (at > 3) {
        check_refused(run, rc, "DATA_FD without a session");
    } else if (check_ok(run, rc, "DATA_FD")) {
        const uint32_t wanted =
            given[at] == FERRY_STATE_RESUMING ? FERRY_DATA_LOADED : FERRY_DATA_SAVED;

        check_that(run, request.u.data_fd.direction == wanted,
                   "the direction of the session", "%u", request.u.data_fd.direction);
    }
    if (rc == FERRY_OK) {
        ferry_os_close(&request.u.data_fd.fd);
    }
    check_is(run, given[at], "after DATA_FD");
}

/* -- One way at a time -- */

enum { ONE_SECOND, ONE_READ, ONE_SET_STATE };
static const char *const one_names[] = { "second", "DATA_READ", "SET_STATE", NULL };

static void run_one(struct check_run *run, uint32_t at)
{
    struct pipe pipe, second = { .fd = -1 };
    uint8_t data[64];
    uint64_t got;

    if (begin(run, at == ONE_SET_STATE ? FERRY_STATE_RESUMING : FERRY_STATE_STOP_COPY,
              &pipe)) {
        if (at == ONE_SECOND) {
            check_refused(run, pipe_open(run, &second), "a second descriptor");
        } else if (at == ONE_READ) {
            check_refused(run, check_read(run, data, sizeof(data), &got),
                          "DATA_READ beside a descriptor");
        } else {
            check_refused(run, check_set_state(run, FERRY_STATE_STOP),
                          "SET_STATE past what the descriptor holds");
        }
    }
    pipe_close(&second);
    pipe_close(&pipe);
}

/* -- What comes over it -- */

enum { SAVE_STOP_COPY, SAVE_PRE_COPY, SAVE_CLOSED };
static const char *const save_names[] = { "STOP_COPY", "PRE_COPY", "closed-and-again",
                                          NULL };

/* A part by messages, a descriptor that is closed unused, then the rest by another. */
static int close_and_again(struct check_run *run, struct pipe *pipe,
                           struct check_stream *stream)
{
    uint64_t got = 0;
    int rc;

    pipe_close(pipe);
    rc = check_stream_room(stream, FIRST_BYTES);
    if (rc == FERRY_OK) {
        rc = check_read(run, stream->data, FIRST_BYTES, &got);
    }
    /* The server may see the close a little later than the message. */
    for (uint32_t i = 0; rc == FERRY_E_BUSY && i < pipe_limit_ms(run); i++) {
        ferry_os_sleep_ns(FERRY_NS_PER_MS);
        rc = check_read(run, stream->data, FIRST_BYTES, &got);
    }
    stream->bytes = got;
    return check_ok(run, rc, "DATA_READ after the descriptor was closed") &&
           check_that(run, got > 0, "data after the descriptor was closed", "the end") &&
           check_ok(run, pipe_open(run, pipe), "another descriptor");
}

static void run_save(struct check_run *run, uint32_t at)
{
    struct check_stream stream = { 0 };
    struct pipe pipe;
    int done = begin(
        run, at == SAVE_PRE_COPY ? FERRY_STATE_PRE_COPY : FERRY_STATE_STOP_COPY, &pipe);

    if (done && at == SAVE_PRE_COPY) {
        done = pipe_read_until(run, &pipe, FERRY_FRAME_DRY, &stream) &&
               check_ok(run, check_set_state(run, FERRY_STATE_STOP_COPY),
                        "PRE_COPY to STOP_COPY with a descriptor");
    } else if (done && at == SAVE_CLOSED) {
        done = close_and_again(run, &pipe, &stream);
    }
    if (done && pipe_read_until(run, &pipe, FERRY_FRAME_END, &stream)) {
        pipe_close(&pipe);
        data_loads(run, stream.data, stream.bytes, "what came over a descriptor");
    }
    pipe_close(&pipe);
    check_stream_free(&stream);
}

/* Leaves RESUMING by the descriptor's session. */
static int leave(struct check_run *run, const struct pipe *pipe, uint64_t bytes)
{
    struct ferry_request request = { .kind = FERRY_RQ_LEAVE_STATE };

    request.u.leave.state = FERRY_STATE_STOP;
    request.u.leave.session = pipe->session;
    request.u.leave.data_bytes = bytes;
    return check_call(run, &request);
}

enum { LOAD_WHOLE, LOAD_SHORT, LOAD_EMPTY };
static const char *const load_names[] = { "whole", "short", "empty", NULL };

static void run_load(struct check_run *run, uint32_t at)
{
    struct check_stream stream = { 0 };
    struct pipe pipe = { .fd = -1 };
    uint64_t bytes = 0;
    int rc = FERRY_OK;

    if (!has_pipes(run) || !data_own(run, &stream) || !data_begin_load(run) ||
        !check_ok(run, pipe_open(run, &pipe), "DATA_FD")) {
        goto out;
    }
    if (at != LOAD_EMPTY) {
        bytes = at == LOAD_SHORT ? stream.bytes - 1 : stream.bytes;
    }
    for (uint64_t done = 0; rc == FERRY_OK && done < bytes;) {
        const uint64_t left = bytes - done;
        const uint32_t piece = left < 60000 ? (uint32_t)left : 60000u;

        rc = pipe_send(&pipe, FERRY_FRAME_DATA, stream.data + done, piece);
        done += piece;
    }
    if (check_ok(run, rc, "sending the state")) {
        rc = leave(run, &pipe, bytes);
        if (at == LOAD_WHOLE) {
            if (check_ok(run, rc, "leaving RESUMING") &&
                check_ok(run, check_set_state(run, FERRY_STATE_RUNNING),
                         "STOP to RUNNING")) {
                check_works(run, "after a load over a descriptor");
            }
        } else if (check_refused(run, rc, "a state that is not whole") &&
                   data_refused_state(run, "a state that is not whole")) {
            data_recovers(run, &stream);
        }
    }
out:
    pipe_close(&pipe);
    check_stream_free(&stream);
}

/* -- Its end -- */

enum { OVER_STOP, OVER_RUNNING, OVER_RESET, OVER_RESET_LOAD };
static const char *const over_names[] = { "STOP_COPY>STOP", "PRE_COPY>RUNNING",
                                          "reset-in-STOP_COPY", "reset-in-RESUMING",
                                          NULL };

static void run_over(struct check_run *run, uint32_t at)
{
    static const uint32_t state[] = { FERRY_STATE_STOP_COPY, FERRY_STATE_PRE_COPY,
                                      FERRY_STATE_STOP_COPY, FERRY_STATE_RESUMING };
    struct pipe pipe = { .fd = -1 };
    int rc;

    if (at >= OVER_RESET && !run->device.can_reset) {
        check_skip(run, "the device has no reset");
        return;
    }
    if (begin(run, state[at], &pipe)) {
        rc = at >= OVER_RESET
                 ? check_reset(run)
                 : check_set_state(run, at == OVER_STOP ? FERRY_STATE_STOP
                                                        : FERRY_STATE_RUNNING);
        if (check_ok(run, rc, "leaving a session that has a descriptor")) {
            at_end(run, &pipe, "with the session");
        }
    }
    pipe_close(&pipe);
}

/* -- Waiting for it -- */

enum { WAIT_UNASKED, WAIT_ASKED, WAIT_ROOM };
static const char *const wait_names[] = { "unasked", "asked", "room", NULL };

static void run_wait(struct check_run *run, uint32_t at)
{
    struct pipe pipe = { .fd = -1 };
    int rc;

    if (!begin(run, at == WAIT_ROOM ? FERRY_STATE_RESUMING : FERRY_STATE_STOP_COPY,
               &pipe)) {
        pipe_close(&pipe);
        return;
    }
    if (at == WAIT_UNASKED) {
        check_looked(run, run->look_ms);
        rc = ferry_os_poll(pipe.fd, FERRY_OS_POLL_READ, run->look_ms);
        check_that(run, rc == FERRY_E_TIMEOUT, "nothing to read before it was asked for",
                   "%s", rc == FERRY_OK ? "readable" : ferry_status_text(rc));
    } else if (at == WAIT_ASKED) {
        rc = pipe_send(&pipe, FERRY_FRAME_WANT, NULL, 0);
        rc = rc == FERRY_OK
                 ? ferry_os_poll(pipe.fd, FERRY_OS_POLL_READ, pipe_limit_ms(run))
                 : rc;
        check_ok(run, rc, "waiting for data that was asked for");
    } else {
        check_ok(run, ferry_os_poll(pipe.fd, FERRY_OS_POLL_WRITE, pipe_limit_ms(run)),
                 "waiting for room to write");
    }
    pipe_close(&pipe);
}

const struct data_cases data_cases_socket[] = {
    { "datafd.given", given_names },
    { "datafd.one", one_names },
    { "datafd.save", save_names },
    { "datafd.load", load_names },
    { "datafd.over", over_names },
    { "datafd.wait", wait_names },
    { NULL, NULL },
};

const struct check check_data_socket[] = {
    { .info = { "datafd.given", "MIG-FD-1",
                "a data descriptor is given in a session, and in no other state",
                FERRY_CHECK_RECOMMENDED, FERRY_CHECK_NEEDS_WIRE },
      .cases = data_cases,
      .name = data_case_name,
      .run = run_given },
    { .info = { "datafd.one", "MIG-FD-2",
                "beside a data descriptor there is no other way for the data",
                FERRY_CHECK_RECOMMENDED, FERRY_CHECK_NEEDS_WIRE },
      .cases = data_cases,
      .name = data_case_name,
      .run = run_one },
    { .info = { "datafd.save", "MIG-FD-3",
                "a state that came over a data descriptor, closed in between, loads",
                FERRY_CHECK_RECOMMENDED, FERRY_CHECK_NEEDS_WIRE },
      .cases = data_cases,
      .name = data_case_name,
      .run = run_save },
    { .info = { "datafd.load", "MIG-FD-4",
                "a state loads over a data descriptor, and a part of it does not",
                FERRY_CHECK_RECOMMENDED, FERRY_CHECK_NEEDS_WIRE },
      .cases = data_cases,
      .name = data_case_name,
      .run = run_load },
    { .info = { "datafd.over", "MIG-FD-5", "a data descriptor ends with its session",
                FERRY_CHECK_RECOMMENDED, FERRY_CHECK_NEEDS_WIRE },
      .cases = data_cases,
      .name = data_case_name,
      .run = run_over },
    { .info = { "datafd.wait", "MIG-FD-6",
                "a data descriptor is readable when data was asked for, not before",
                FERRY_CHECK_RECOMMENDED, FERRY_CHECK_NEEDS_WIRE },
      .cases = data_cases,
      .name = data_case_name,
      .run = run_wait },
    { .info = { 0 } },
};
