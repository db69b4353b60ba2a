/* SPDX-License-Identifier: BSD-3-Clause */
#include <stdio.h>
#include <string.h>

#include "check/access/access.h"

/* Requests about the data session: where they are legal, and that they harm nothing where
 * they are not. What the data holds is looked at elsewhere. */

#define PIECE_BYTES 4096u

void access_data_read(struct check_run *run, const struct access_case *at)
{
    uint8_t data[PIECE_BYTES];
    char expected[160];
    uint64_t got = 0;
    int rc;

    if (!access_enter(run, at->state)) {
        return;
    }
    rc = check_read(run, data, sizeof(data), &got);
    if (at->cell->verdict == FERRY_ALLOW) {
        access_judge(run, at, rc == FERRY_E_DRY ? FERRY_OK : rc, "a read of data");
        return;
    }
    /* A descriptor whose session is over may also say that this is the end. */
    snprintf(expected, sizeof(expected), "no data is given in %s",
             ferry_state_name(at->state));
    check_that(run, rc < 0 || got == 0, expected, "a read gives %llu bytes",
               (unsigned long long)got);
    check_that(run, rc != FERRY_E_TIMEOUT && rc != FERRY_E_CLOSED, expected,
               "the device does not answer");
    check_is(run, at->state, "after a read of data");
}

void access_data_write(struct check_run *run, const struct access_case *at)
{
    struct check_stream stream = { 0 };
    uint64_t count;
    int rc;

    if (!access_own_stream(run, &stream)) {
        return;
    }
    count = stream.bytes < 16 ? stream.bytes : 16;
    if (access_enter(run, at->state)) {
        rc = check_write(run, stream.data, count);
        access_judge(run, at, rc, "a write of data");
    }
    check_stream_free(&stream);
}

void access_precopy_info(struct check_run *run, const struct access_case *at)
{
    struct ferry_precopy_info info;
    int rc;

    if (!check_go(run, FERRY_STATE_PRE_COPY)) {
        return;
    }
    rc = check_precopy_info(run, &info);
    if (rc == FERRY_E_UNSUPPORTED) {
        check_skip(run, "pre-copy information cannot be asked for over this connection");
        return;
    }
    if (access_enter(run, at->state)) {
        rc = check_precopy_info(run, &info);
        access_judge(run, at, rc, "a request for pre-copy information");
    }
}

void access_data_size(struct check_run *run, const struct access_case *at)
{
    uint64_t bytes = 0;
    int rc = check_data_size(run, &bytes);

    if (rc == FERRY_E_UNSUPPORTED) {
        check_skip(run, "the size of the data cannot be asked for over this connection");
        return;
    }
    /* One that never tells it lacks the feature, which is younger than migration. */
    if (rc < 0 && rc != FERRY_E_CLOSED && rc != FERRY_E_TIMEOUT) {
        check_skip(run, "the device does not tell the size of its data");
        return;
    }
    if (access_enter(run, at->state)) {
        rc = check_data_size(run, &bytes);
        access_judge(run, at, rc, "a request for the size of the data");
    }
}

void access_reset(struct check_run *run, const struct access_case *at)
{
    char text[160];
    int rc;

    if (!run->at->can_reset) {
        check_skip(run, "the device has no reset");
        return;
    }
    if (at->state == FERRY_STATE_ERROR ? !access_enter(run, at->state)
                                       : !check_go(run, at->state)) {
        return;
    }
    rc = check_reset(run);
    if (access_judge(run, at, rc, "a reset") &&
        check_is(run, FERRY_STATE_RUNNING, "after a reset")) {
        snprintf(text, sizeof(text), "after a reset in %s", ferry_state_name(at->state));
        check_works(run, text);
    }
}
