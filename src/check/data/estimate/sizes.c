/* SPDX-License-Identifier: BSD-3-Clause */
#include <stdio.h>
#include <string.h>

#include "check/data/data.h"

#define FEATURE_DATA_SIZE 9u
#define PLAUSIBLE_BYTES (1ull << 48) /* an errno as a size is far above it */

/* Through the kernel every device gives it; vfio-user knows no such message of its own.
 */
static int gives_size(struct check_run *run)
{
    struct ferry_request request = { .kind = FERRY_RQ_PROBE };

    request.u.probe.index = FEATURE_DATA_SIZE;
    request.u.probe.operation = FERRY_FEATURE_GET;
    if (check_call(run, &request) != FERRY_OK) {
        check_skip(run, "the device does not give the size of its data");
        return 0;
    }
    return 1;
}

/* -- In every state -- */

static const uint32_t states[] = { FERRY_STATE_RUNNING,     FERRY_STATE_STOP,
                                   FERRY_STATE_STOP_COPY,   FERRY_STATE_RESUMING,
                                   FERRY_STATE_RUNNING_P2P, FERRY_STATE_PRE_COPY,
                                   FERRY_STATE_PRE_COPY_P2P };
static const char *const state_names[] = { "RUNNING",      "STOP",        "STOP_COPY",
                                           "RESUMING",     "RUNNING_P2P", "PRE_COPY",
                                           "PRE_COPY_P2P", NULL };

static int plausible(struct check_run *run, const char *when)
{
    char expected[160];
    uint64_t bytes;

    snprintf(expected, sizeof(expected), "the size of the data %s", when);
    if (!check_ok(run, check_data_size(run, &bytes), expected)) {
        return 0;
    }
    snprintf(expected, sizeof(expected), "a size below 2^48 %s", when);
    return check_that(run, bytes < PLAUSIBLE_BYTES, expected, "%llu (%lld)",
                      (unsigned long long)bytes, (long long)bytes);
}

/* On the way of a stream: in its middle and at its end. */
static void along_a_save(struct check_run *run)
{
    struct check_stream stream = { 0 };
    uint8_t data[64];
    uint64_t got;

    if (check_ok(run, check_read(run, data, sizeof(data), &got), "DATA_READ") &&
        plausible(run, "after a read") &&
        check_ok(run, check_read_all(run, &stream, 0), "DATA_READ")) {
        plausible(run, "at the end of the stream");
    }
    check_stream_free(&stream);
}

static void along_a_load(struct check_run *run, const struct check_stream *own)
{
    if (check_ok(run, data_write_cut(run, DATA_CUT_WHOLE, own->data, own->bytes / 2),
                 "DATA_WRITE") &&
        plausible(run, "after half a load") &&
        check_ok(run,
                 data_write_cut(run, DATA_CUT_WHOLE, own->data + own->bytes / 2,
                                own->bytes - own->bytes / 2),
                 "DATA_WRITE") &&
        plausible(run, "after a load") &&
        check_ok(run, check_set_state(run, FERRY_STATE_STOP), "SET_STATE to STOP")) {
        plausible(run, "in STOP after a load");
    }
}

static void run_states(struct check_run *run, uint32_t at)
{
    struct check_stream own = { 0 };
    char when[64];

    snprintf(when, sizeof(when), "in %s", state_names[at]);
    if (!data_has(run, states[at])) {
        check_skip(run, "the device has no %s", state_names[at]);
    } else if (gives_size(run) && data_fill(run) &&
               (states[at] != FERRY_STATE_RESUMING || data_saved(run, &own)) &&
               check_go(run, states[at]) && plausible(run, when)) {
        if (states[at] == FERRY_STATE_STOP_COPY) {
            along_a_save(run);
        } else if (states[at] == FERRY_STATE_RESUMING) {
            along_a_load(run, &own);
        }
    }
    check_stream_free(&own);
}

/* -- Not below what comes -- */

enum {
    BELOW_RUNNING,
    BELOW_P2P,
    BELOW_STOP,
    BELOW_STOP_COPY,
    BELOW_MIDDLE,
    BELOW_PRE_COPY,
    BELOW_DRY,
    BELOW_DRY_CHANGED,
    BELOW_PRE_COPY_P2P,
    BELOW_LOADED
};
static const char *const below_names[] = { "RUNNING",
                                           "RUNNING_P2P",
                                           "STOP",
                                           "STOP_COPY",
                                           "within-STOP_COPY",
                                           "PRE_COPY",
                                           "PRE_COPY-dry",
                                           "PRE_COPY-changed",
                                           "PRE_COPY_P2P",
                                           "STOP-loaded",
                                           NULL };

/* Reads a part of a stream. */
static int read_some(struct check_run *run)
{
    uint8_t data[4096];
    uint64_t got, size;

    if (!check_ok(run, check_data_size(run, &size), "the size of the data")) {
        return 0;
    }
    return check_ok(run,
                    check_read(run, data, size / 3 < 4096 ? size / 3 + 1 : 4096, &got),
                    "DATA_READ");
}

/* To where the size is asked. */
static int prepare(struct check_run *run, uint32_t at)
{
    static const uint32_t state[] = {
        [BELOW_RUNNING] = FERRY_STATE_RUNNING,
        [BELOW_P2P] = FERRY_STATE_RUNNING_P2P,
        [BELOW_STOP] = FERRY_STATE_STOP,
        [BELOW_STOP_COPY] = FERRY_STATE_STOP_COPY,
        [BELOW_MIDDLE] = FERRY_STATE_STOP_COPY,
        [BELOW_PRE_COPY] = FERRY_STATE_PRE_COPY,
        [BELOW_DRY] = FERRY_STATE_PRE_COPY,
        [BELOW_DRY_CHANGED] = FERRY_STATE_PRE_COPY,
        [BELOW_PRE_COPY_P2P] = FERRY_STATE_PRE_COPY_P2P,
        [BELOW_LOADED] = FERRY_STATE_STOP,
    };
    struct check_stream stream = { 0 };
    int done;

    if (!data_has(run, state[at])) {
        check_skip(run, "the device has no %s", ferry_state_name(state[at]));
        return 0;
    }
    if (at == BELOW_DRY_CHANGED && !data_can_change(run)) {
        return 0;
    }
    if (at == BELOW_LOADED) {
        done = data_saved(run, &stream) && check_load(run, &stream);
    } else {
        done = data_fill(run) && check_go(run, state[at]);
    }
    if (done && (at == BELOW_DRY || at == BELOW_DRY_CHANGED)) {
        done = check_ok(run, check_read_all(run, &stream, 0), "DATA_READ in PRE_COPY");
    }
    check_stream_free(&stream);
    return done && (at != BELOW_MIDDLE || read_some(run)) &&
           (at != BELOW_DRY_CHANGED || data_change(run));
}

static void run_below(struct check_run *run, uint32_t at)
{
    struct check_stream stream = { 0 };
    uint64_t size;

    if (gives_size(run) && prepare(run, at) &&
        check_ok(run, check_data_size(run, &size), "the size of the data") &&
        check_go(run, FERRY_STATE_STOP_COPY) &&
        check_ok(run, check_read_all(run, &stream, 0), "DATA_READ")) {
        check_that(run, size >= stream.bytes,
                   "a size that is not below what STOP_COPY then gives",
                   "%llu, and %llu bytes came", (unsigned long long)size,
                   (unsigned long long)stream.bytes);
    }
    check_stream_free(&stream);
}

/* -- Asking changes nothing -- */

enum { ASKING_STOP, ASKING_STOP_COPY, ASKING_MIDDLE };
static const char *const asking_names[] = { "STOP", "STOP_COPY", "within-STOP_COPY",
                                            NULL };

static void run_asking(struct check_run *run, uint32_t at)
{
    uint64_t first, next = 0;

    if (!gives_size(run) || !data_fill(run) ||
        !check_go(run, at == ASKING_STOP ? FERRY_STATE_STOP : FERRY_STATE_STOP_COPY) ||
        (at == ASKING_MIDDLE && !read_some(run)) ||
        !check_ok(run, check_data_size(run, &first), "the size of the data")) {
        return;
    }
    for (uint32_t i = 0; i < 8; i++) {
        if (!check_ok(run, check_data_size(run, &next), "the size of the data") ||
            !check_that(run, next == first, "the same size when it is asked again",
                        "%llu, then %llu", (unsigned long long)first,
                        (unsigned long long)next)) {
            return;
        }
    }
}

const struct data_cases data_cases_sizes[] = {
    { "size.states", state_names },
    { "size.below", below_names },
    { "size.asking", asking_names },
    { NULL, NULL },
};

const struct check check_data_sizes[] = {
    { .info = { "size.states", "MIG-SIZE-1",
                "the size of the data can be asked in every state, and is plausible",
                FERRY_CHECK_REQUIRED, 0 },
      .cases = data_cases,
      .name = data_case_name,
      .run = run_states },
    { .info = { "size.below", "MIG-SIZE-2",
                "the size of the data is not below what STOP_COPY then gives",
                FERRY_CHECK_RECOMMENDED, 0 },
      .cases = data_cases,
      .name = data_case_name,
      .run = run_below },
    { .info = { "size.asking", "MIG-SIZE-3",
                "a device that is stopped gives the same size again",
                FERRY_CHECK_RECOMMENDED, 0 },
      .cases = data_cases,
      .name = data_case_name,
      .run = run_asking },
    { .info = { 0 } },
};
