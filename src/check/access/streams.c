/* SPDX-License-Identifier: BSD-3-Clause */
#include <stdio.h>
#include <string.h>

#include "check/access/access.h"

/* Saves that are compared, and loads of them. */

/* A stream of the device, which goes on to that state. */
static int take(struct check_run *run, uint32_t state, struct check_stream *ret_stream)
{
    if (!check_save(run, ret_stream)) {
        return 0;
    }
    if (!check_go(run, state)) {
        check_stream_free(ret_stream);
        return 0;
    }
    return 1;
}

int access_snapshot(struct check_run *run, struct check_stream *ret_stream)
{
    return take(run, FERRY_STATE_STOP, ret_stream);
}

int access_same(struct check_run *run, const struct check_stream *before,
                const struct check_stream *after, const char *what)
{
    char expected[160];
    uint64_t at = 0;

    while (at < before->bytes && at < after->bytes &&
           before->data[at] == after->data[at]) {
        at++;
    }
    snprintf(expected, sizeof(expected), "%s changes nothing of what is saved", what);
    return check_that(run, at == before->bytes && at == after->bytes, expected,
                      "saves of %llu and %llu bytes differ from byte %llu on",
                      (unsigned long long)before->bytes, (unsigned long long)after->bytes,
                      (unsigned long long)at);
}

int access_steady(struct check_run *run, struct check_stream *ret_stream)
{
    struct check_stream first;
    int same;

    if (!access_snapshot(run, &first)) {
        return 0;
    }
    if (!access_snapshot(run, ret_stream)) {
        check_stream_free(&first);
        return 0;
    }
    same = first.bytes == ret_stream->bytes &&
           memcmp(first.data, ret_stream->data, first.bytes) == 0;
    check_stream_free(&first);
    if (!same) {
        check_stream_free(ret_stream);
        check_skip(run, "two saves of this device differ, so nothing is seen by them");
    }
    return same;
}

int access_own_stream(struct check_run *run, struct check_stream *ret_stream)
{
    return take(run, FERRY_STATE_RUNNING, ret_stream);
}

int access_load_own(struct check_run *run)
{
    struct check_stream stream = { 0 };
    const int good =
        check_save(run, &stream) && check_go(run, FERRY_STATE_RESUMING) &&
        check_ok(run, check_write_all(run, stream.data, stream.bytes, 0),
                 "the load of its own state") &&
        check_ok(run, check_set_state(run, FERRY_STATE_STOP), "RESUMING to STOP");

    check_stream_free(&stream);
    return good;
}
