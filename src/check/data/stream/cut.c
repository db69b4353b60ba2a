/* SPDX-License-Identifier: BSD-3-Clause */
#include <stdio.h>

#include "check/data/data.h"

static void run_read_cut(struct check_run *run, uint32_t at)
{
    struct check_stream whole = { 0 }, stream = { 0 };
    char what[64];
    int rc;

    if (data_saved(run, &whole) && check_go(run, FERRY_STATE_STOP) &&
        check_go(run, FERRY_STATE_STOP_COPY)) {
        snprintf(what, sizeof(what), "a stream that was read by %s", data_cut_names[at]);
        rc = data_read_cut(run, at, whole.bytes, &stream);
        if (check_ok(run, rc, "reading")) {
            data_loads(run, stream.data, stream.bytes, what);
        }
    }
    check_stream_free(&whole);
    check_stream_free(&stream);
}

static void run_write_cut(struct check_run *run, uint32_t at)
{
    struct check_stream stream = { 0 };
    char what[64];

    if (data_saved(run, &stream) && data_begin_load(run)) {
        snprintf(what, sizeof(what), "DATA_WRITE by %s", data_cut_names[at]);
        if (check_ok(run, data_write_cut(run, at, stream.data, stream.bytes), what) &&
            check_ok(run, check_set_state(run, FERRY_STATE_STOP),
                     "SET_STATE to STOP after writes of any size") &&
            check_ok(run, check_set_state(run, FERRY_STATE_RUNNING), "STOP to RUNNING")) {
            check_works(run, "after its state was written in pieces");
        }
    }
    check_stream_free(&stream);
}

static void run_cut_same(struct check_run *run, uint32_t at)
{
    struct check_stream whole = { 0 }, again = { 0 }, stream = { 0 };

    if (data_saved(run, &whole) && data_saved_again(run, &again)) {
        if (data_differs_at(&whole, &again) != whole.bytes ||
            whole.bytes != again.bytes) {
            check_skip(run, "two saves that are read in the same way differ");
        } else if (check_go(run, FERRY_STATE_STOP) &&
                   check_go(run, FERRY_STATE_STOP_COPY) &&
                   check_ok(run, data_read_cut(run, at, whole.bytes, &stream),
                            "reading")) {
            data_equal(run, &whole, &stream, "the stream, cut in another way,");
        }
    }
    check_stream_free(&whole);
    check_stream_free(&again);
    check_stream_free(&stream);
}

const struct data_cases data_cases_cut[] = {
    { "data.read-cut", data_cut_names },
    { "data.write-cut", data_cut_names },
    { "data.cut-same", data_cut_names },
    { NULL, NULL },
};

const struct check check_data_cut[] = {
    { .info = { "data.read-cut", "MIG-DATA-6",
                "a state loads, whatever the reads' size (small ones at head and tail)",
                FERRY_CHECK_REQUIRED, 0 },
      .cases = data_cases,
      .name = data_case_name,
      .run = run_read_cut },
    { .info = { "data.write-cut", "MIG-DATA-6",
                "a state loads, whatever the writes' size (small ones at head and tail)",
                FERRY_CHECK_REQUIRED, 0 },
      .cases = data_cases,
      .name = data_case_name,
      .run = run_write_cut },
    { .info = { "data.cut-same", "MIG-DATA-6",
                "reads of any size give the same bytes (small ones at head and tail)",
                FERRY_CHECK_RECOMMENDED, 0 },
      .cases = data_cases,
      .name = data_case_name,
      .run = run_cut_same },
    { .info = { 0 } },
};
