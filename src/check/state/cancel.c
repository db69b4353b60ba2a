/* SPDX-License-Identifier: BSD-3-Clause */
#include <stdio.h>
#include <string.h>

#include "check/classes.h"
#include "check/state/state.h"

#define SESSIONS 4u
#define WORK_BYTES 65536u

/* The saving states, each with every cut. */
static uint32_t saving_pick(const struct check_run *run, uint32_t at, uint32_t *ret_state)
{
    uint32_t count = 0;

    for (uint32_t i = 0; i < check_state_count(run); i++) {
        const uint32_t state = check_state_at(run, i);

        if (ferry_state_is_saving(state) && count++ == at) {
            *ret_state = state;
        }
    }
    return count;
}

static uint32_t saving_cases(const struct check_run *run)
{
    uint32_t ignored;

    return saving_pick(run, UINT32_MAX, &ignored) * STATE_CUTS;
}

static void saving_name(const struct check_run *run, uint32_t at,
                        char ret_name[FERRY_CHECK_CASE_BYTES])
{
    uint32_t state = 0;

    (void)saving_pick(run, at / STATE_CUTS, &state);
    snprintf(ret_name, FERRY_CHECK_CASE_BYTES, "%s,%s", ferry_state_name(state),
             state_cut_names[at % STATE_CUTS]);
}

/* A session in the middle. */
static int begin(struct check_run *run, uint32_t at, const struct state_own *own)
{
    struct check_stream taken = { 0 };
    uint32_t state = 0;
    int ready;

    (void)saving_pick(run, at / STATE_CUTS, &state);
    ready = state_enter(run, state, at % STATE_CUTS, own, &taken);
    check_stream_free(&taken);
    return ready;
}

static void run_cancel(struct check_run *run, uint32_t at)
{
    struct state_own own;

    if (state_own_save(run, &own) && begin(run, at, &own) &&
        check_ok(run, check_set_state(run, FERRY_STATE_RUNNING),
                 "SET_STATE to RUNNING in the middle of a session") &&
        check_is(run, FERRY_STATE_RUNNING, "after a cancelled session")) {
        check_works(run, "after a cancelled session");
    }
    state_own_free(&own);
}

static void run_again(struct check_run *run, uint32_t at)
{
    struct check_stream again = { 0 };
    struct state_own own;

    if (state_own_save(run, &own) && begin(run, at, &own) &&
        check_go(run, FERRY_STATE_RUNNING) && check_save(run, &again)) {
        (void)state_is_whole(run, &own, &again, "after a cancelled session");
    }
    check_stream_free(&again);
    state_own_free(&own);
}

static void run_repeat(struct check_run *run, uint32_t at)
{
    struct check_stream stream = { 0 };
    struct state_own own;
    int good = state_own_save(run, &own);

    (void)at;
    if (good && !own.steady) {
        check_skip(run, "two saves of this device differ");
        good = 0;
    }
    for (uint32_t i = 0; i < SESSIONS && good; i++) {
        good = check_save(run, &stream) &&
               check_that(run,
                          stream.bytes == own.stream.bytes &&
                              memcmp(stream.data, own.stream.data, stream.bytes) == 0,
                          "every session of an idle device gives the same",
                          "session %u differs (%llu bytes, the first %llu)", i + 3,
                          (unsigned long long)stream.bytes,
                          (unsigned long long)own.stream.bytes) &&
               check_go(run, FERRY_STATE_RUNNING);
        check_stream_free(&stream);
    }
    state_own_free(&own);
}

static void run_work(struct check_run *run, uint32_t at)
{
    if (check_begin(run, CHECK_SCRATCH_IOVA, WORK_BYTES) &&
        check_go(run, state_other_at(run, at)) &&
        check_ok(run, check_set_state(run, FERRY_STATE_RUNNING),
                 "SET_STATE to RUNNING") &&
        check_settles(run, "after a way back")) {
        check_works(run, "after a way back");
    }
}

static uint32_t load_cases(const struct check_run *run)
{
    (void)run;
    return STATE_CUTS;
}

static void load_name(const struct check_run *run, uint32_t at,
                      char ret_name[FERRY_CHECK_CASE_BYTES])
{
    (void)run;
    snprintf(ret_name, FERRY_CHECK_CASE_BYTES, "%s", state_cut_names[at]);
}

static void run_load_reset(struct check_run *run, uint32_t at)
{
    struct state_own own;

    if (state_own_save(run, &own) &&
        state_enter(run, FERRY_STATE_RESUMING, at, &own, NULL) && state_reset(run) &&
        check_is(run, FERRY_STATE_RUNNING, "after a load that was aborted") &&
        check_works(run, "after a load that was aborted") &&
        check_go(run, FERRY_STATE_RESUMING)) {
        (void)state_finish(run, FERRY_STATE_RESUMING, STATE_CUT_NONE, &own, NULL,
                           "after a load that was aborted");
    }
    state_own_free(&own);
}

/* A load of half a state. Return: 1 when the device refused it. */
static int load_half(struct check_run *run, const struct state_own *own)
{
    if (!check_go(run, FERRY_STATE_RESUMING)) {
        return 0;
    }
    (void)check_write_all(run, own->stream.data, own->stream.bytes / 2, 0);
    return check_set_state(run, FERRY_STATE_STOP) < 0;
}

static void run_load_refused(struct check_run *run, uint32_t at)
{
    struct state_own own;

    (void)at;
    if (!state_own_save(run, &own)) {
        return;
    }
    if (!load_half(run, &own)) {
        check_skip(run, "the device takes half a state for a whole one");
    } else if (state_reset(run) &&
               check_is(run, FERRY_STATE_RUNNING, "after a load that was refused") &&
               check_works(run, "after a load that was refused") &&
               check_that(run, load_half(run, &own), "the second load is judged as well",
                          "half a state is taken now") &&
               state_reset(run) && check_go(run, FERRY_STATE_RESUMING)) {
        (void)state_finish(run, FERRY_STATE_RESUMING, STATE_CUT_NONE, &own, NULL,
                           "after loads that were refused");
    }
    state_own_free(&own);
}

const struct check check_state_cancel[] = {
    { { "cancel.works", "MIG-CAN-1", "a session that is left in the middle",
        FERRY_CHECK_REQUIRED, FERRY_CHECK_NEEDS_V2 },
      saving_cases,
      saving_name,
      run_cancel },
    { { "cancel.again", "MIG-CAN-2", "the session after one that was left in the middle",
        FERRY_CHECK_EXPECTED, FERRY_CHECK_NEEDS_V2 },
      saving_cases,
      saving_name,
      run_again },
    { { "cancel.repeat", "MIG-CAN-2", "one session after the other",
        FERRY_CHECK_RECOMMENDED, FERRY_CHECK_NEEDS_V2 },
      NULL,
      NULL,
      run_repeat },
    { { "cancel.work", "MIG-CAN-1", "work in hand, and back from each state",
        FERRY_CHECK_REQUIRED, FERRY_CHECK_NEEDS_DRIVER | FERRY_CHECK_NEEDS_V2 },
      state_other_count,
      state_other_name,
      run_work },
    { { "cancel.load", "MIG-RST-6", "a load that a reset aborts", FERRY_CHECK_EXPECTED,
        FERRY_CHECK_NEEDS_RESET | FERRY_CHECK_NEEDS_V2 },
      load_cases,
      load_name,
      run_load_reset },
    { { "cancel.load.refused", "MIG-RST-6", "a load after one that was refused",
        FERRY_CHECK_EXPECTED, FERRY_CHECK_NEEDS_RESET | FERRY_CHECK_NEEDS_V2 },
      NULL,
      NULL,
      run_load_refused },
    { { NULL, NULL, NULL, 0, 0 }, NULL, NULL, NULL },
};
