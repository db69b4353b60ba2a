/* SPDX-License-Identifier: BSD-3-Clause */
#include <string.h>

#include "check/data/data.h"

/* -- The same state, saved again -- */

enum { SAME_FRESH, SAME_FILLED };
static const char *const same_names[] = { "fresh", "filled", NULL };

static void run_same(struct check_run *run, uint32_t at)
{
    struct check_stream first = { 0 }, second = { 0 }, third = { 0 };

    if (at == SAME_FILLED && !data_can_change(run)) {
        return;
    }
    if ((at == SAME_FRESH ? check_save(run, &first) : data_saved(run, &first)) &&
        data_saved_again(run, &second) &&
        data_equal(run, &first, &second, "the second save of a stopped device") &&
        data_saved_again(run, &third)) {
        data_equal(run, &first, &third, "the third save of a stopped device");
    }
    check_stream_free(&first);
    check_stream_free(&second);
    check_stream_free(&third);
}

/* -- Nothing of what was before a reset -- */

enum { CLEAN_RESET, CLEAN_REOPENED, CLEAN_LOADED };
static const char *const clean_names[] = { "reset", "opened-again", "reset-after-a-load",
                                           NULL };

/* Work, a save and, in one of the cases, a load. */
static int leave_traces(struct check_run *run, uint32_t at)
{
    struct check_stream stream = { 0 };
    int done = data_saved(run, &stream);

    if (done && at == CLEAN_LOADED) {
        done = check_load(run, &stream);
    }
    check_stream_free(&stream);
    return done && check_go(run, FERRY_STATE_RUNNING);
}

static void run_clean(struct check_run *run, uint32_t at)
{
    struct check_stream first = { 0 }, second = { 0 };
    int done = 0;

    if (at != CLEAN_REOPENED && !run->device.can_reset) {
        check_skip(run, "the device has no reset");
        return;
    }
    if (check_save(run, &first) && check_go(run, FERRY_STATE_RUNNING) &&
        leave_traces(run, at)) {
        done = at == CLEAN_REOPENED ? check_reopen(run)
                                    : check_ok(run, check_reset(run), "a reset");
    }
    if (done && check_save(run, &second)) {
        data_equal(run, &first, &second,
                   at == CLEAN_REOPENED ? "a device that was opened again"
                                        : "a device that was reset");
    }
    check_stream_free(&first);
    check_stream_free(&second);
}

/* -- Saved, loaded, saved -- */

enum { ROUND_FRESH, ROUND_FILLED, ROUND_AFTER_WORK };
static const char *const round_names[] = { "fresh", "filled", "over-other-state", NULL };

static void run_round(struct check_run *run, uint32_t at)
{
    struct check_stream first = { 0 }, other = { 0 }, second = { 0 };
    int done = 1;

    if (at != ROUND_FRESH && !data_can_change(run)) {
        return;
    }
    done = at == ROUND_FRESH ? check_save(run, &first) : data_saved(run, &first);
    if (done && at == ROUND_AFTER_WORK) {
        done = data_saved(run, &other);
    }
    if (done && data_begin_load(run) &&
        check_ok(run, data_offer(run, first.data, first.bytes), "its own state's load") &&
        check_save(run, &second)) {
        data_equal(run, &first, &second, "a device that was saved and loaded");
    }
    check_stream_free(&first);
    check_stream_free(&other);
    check_stream_free(&second);
}

/* The same by way of the partner. */
static void run_round_partner(struct check_run *run, uint32_t at)
{
    struct check_stream first = { 0 }, second = { 0 };

    (void)at;
    if (data_fits(&run->device, &run->partner) == 0 ||
        data_fits(&run->partner, &run->device) == 0) {
        check_skip(run, "the second device is not the same");
        return;
    }
    if (data_saved(run, &first)) {
        run->at = &run->partner;
        if (data_begin_load(run) &&
            check_ok(run, data_offer(run, first.data, first.bytes),
                     "the load into the second device") &&
            check_save(run, &second)) {
            data_equal(run, &first, &second, "the second device's save");
        }
        run->at = &run->device;
    }
    check_stream_free(&first);
    check_stream_free(&second);
}

/* -- It works where it was loaded -- */

enum { GOES_STOP_COPY, GOES_PRE_COPY, GOES_TWICE };
static const char *const goes_names[] = { "STOP_COPY", "PRE_COPY", "twice", NULL };

/* One move of the device into itself; its driver knows nothing of it. */
static int move(struct check_run *run, uint32_t at)
{
    struct check_stream stream = { 0 };
    int done = 1;
    int rc;

    if (at == GOES_PRE_COPY) {
        done = check_go(run, FERRY_STATE_PRE_COPY);
        rc = done ? check_read_all(run, &stream, 0) : FERRY_OK;
        done = done && check_ok(run, rc, "DATA_READ in PRE_COPY");
        if (done && run->options->driver->works) {
            done = check_works(run, "in PRE_COPY");
        }
    }
    done = done && check_go(run, FERRY_STATE_STOP_COPY) &&
           check_ok(run, check_read_all(run, &stream, 0), "DATA_READ in STOP_COPY") &&
           check_go(run, FERRY_STATE_RESUMING) &&
           check_ok(run, data_offer(run, stream.data, stream.bytes), "the load") &&
           check_ok(run, check_set_state(run, FERRY_STATE_RUNNING), "STOP to RUNNING") &&
           check_works(run, "where its state was loaded");
    check_stream_free(&stream);
    return done;
}

static void run_goes_on(struct check_run *run, uint32_t at)
{
    if (at == GOES_PRE_COPY && !(run->device.features & FERRY_MIG_PRE_COPY)) {
        check_skip(run, "the device has no pre-copy");
        return;
    }
    if (data_fill(run) && check_works(run, "before it is saved") && move(run, at) &&
        at == GOES_TWICE) {
        move(run, at);
    }
}

const struct data_cases data_cases_equal[] = {
    { "data.same", same_names },
    { "data.clean", clean_names },
    { "data.round", round_names },
    { "data.goes-on", goes_names },
    { NULL, NULL },
};

const struct check check_data_equal[] = {
    { .info = { "data.goes-on", "MIG-DATA-22",
                "its driver works on over a save and a load", FERRY_CHECK_REQUIRED,
                FERRY_CHECK_NEEDS_DRIVER },
      .cases = data_cases,
      .name = data_case_name,
      .run = run_goes_on },
    { .info = { "data.same", "MIG-DATA-12",
                "saves of a device that stays stopped are equal", FERRY_CHECK_RECOMMENDED,
                0 },
      .cases = data_cases,
      .name = data_case_name,
      .run = run_same },
    { .info = { "data.clean", "MIG-DATA-20",
                "a save holds nothing of what was before a reset or another opening",
                FERRY_CHECK_RECOMMENDED, 0 },
      .cases = data_cases,
      .name = data_case_name,
      .run = run_clean },
    { .info = { "data.round", "MIG-DATA-13",
                "a device that was saved, loaded and saved again gives the same bytes",
                FERRY_CHECK_RECOMMENDED, 0 },
      .cases = data_cases,
      .name = data_case_name,
      .run = run_round },
    { .info = { "data.round-partner", "MIG-DATA-13",
                "a second device that took the state gives the same bytes",
                FERRY_CHECK_RECOMMENDED, FERRY_CHECK_NEEDS_PARTNER },
      .run = run_round_partner },
    { .info = { 0 } },
};
