/* SPDX-License-Identifier: BSD-3-Clause */
#include <stdio.h>

#include "check/classes.h"
#include "check/state/state.h"
#include "wire/status.h"

#define EINVAL_NUMBER 22u
#define WORK_BYTES 65536u

static uint32_t forbidden_count(const struct check_run *run)
{
    uint32_t ignored;

    return state_forbidden(run, UINT32_MAX, &ignored);
}

/* Every state with every wish that cannot be. */
static uint32_t all_cases(const struct check_run *run)
{
    return check_state_count(run) * forbidden_count(run);
}

static void all_at(const struct check_run *run, uint32_t at, uint32_t *ret_from,
                   uint32_t *ret_to)
{
    const uint32_t each = forbidden_count(run);

    *ret_from = check_state_at(run, at / each);
    *ret_to = 0;
    (void)state_forbidden(run, at % each, ret_to);
}

static void all_name(const struct check_run *run, uint32_t at,
                     char ret_name[FERRY_CHECK_CASE_BYTES])
{
    uint32_t from, to;

    all_at(run, at, &from, &to);
    if (to < FERRY_STATE_COUNT) {
        const struct state_pair pair = { from, to };

        state_pair_name(&pair, ret_name);
    } else {
        snprintf(ret_name, FERRY_CHECK_CASE_BYTES, "%s>0x%x", ferry_state_name(from), to);
    }
}

static void run_refused(struct check_run *run, uint32_t at)
{
    uint32_t from, to;

    all_at(run, at, &from, &to);
    /* What works before has to work afterwards: a refusal may stop it in secret. */
    if ((from != FERRY_STATE_RUNNING || check_works(run, "at first")) &&
        check_go(run, from) &&
        check_refused(run, check_set_state(run, to), "SET_STATE") &&
        check_is(run, from, "after a SET_STATE that was refused") &&
        check_go(run, FERRY_STATE_RUNNING)) {
        check_works(run, "after a SET_STATE that was refused");
    }
}

static void run_errno(struct check_run *run, uint32_t at)
{
    char text[160];
    uint32_t from, to;
    int rc;

    all_at(run, at, &from, &to);
    if (!check_go(run, from)) {
        return;
    }
    rc = check_set_state(run, to);
    check_that(run, rc < 0 && ferry_wire_errno_from_status(rc) == EINVAL_NUMBER,
               "SET_STATE is refused with EINVAL (22)", "%s",
               check_status_text(run, rc, text));
}

/* All of them, one after the other. */
static int ask_forbidden(struct check_run *run, uint32_t state)
{
    uint32_t to = 0;

    (void)state;
    for (uint32_t i = 0; i < forbidden_count(run); i++) {
        (void)state_forbidden(run, i, &to);
        if (check_set_state(run, to) == FERRY_OK) {
            return check_broken(run, "a change that cannot be was not refused");
        }
    }
    return 1;
}

static void run_session(struct check_run *run, uint32_t at)
{
    state_interrupt(run, state_session_at(run, at), ask_forbidden,
                    "after changes that were refused");
}

static void run_work(struct check_run *run, uint32_t at)
{
    const uint32_t state = state_other_at(run, at);

    if (check_begin(run, CHECK_SCRATCH_IOVA, WORK_BYTES) && check_go(run, state) &&
        ask_forbidden(run, state) && check_go(run, FERRY_STATE_RUNNING) &&
        check_settles(run, "after changes that were refused")) {
        check_works(run, "after changes that were refused");
    }
}

/* STOP_COPY to what looks like a way back. */
static uint32_t back_cases(const struct check_run *run)
{
    return run->device.features & FERRY_MIG_P2P ? 2 : 1;
}

static void back_name(const struct check_run *run, uint32_t at,
                      char ret_name[FERRY_CHECK_CASE_BYTES])
{
    const struct state_pair pair = { FERRY_STATE_STOP_COPY, at ? FERRY_STATE_PRE_COPY_P2P
                                                               : FERRY_STATE_PRE_COPY };

    (void)run;
    state_pair_name(&pair, ret_name);
}

static int go_back(struct check_run *run, uint32_t state)
{
    (void)state;
    return check_refused(run, check_set_state(run, FERRY_STATE_PRE_COPY), "SET_STATE");
}

static int go_back_p2p(struct check_run *run, uint32_t state)
{
    (void)state;
    return check_refused(run, check_set_state(run, FERRY_STATE_PRE_COPY_P2P),
                         "SET_STATE");
}

static void run_back(struct check_run *run, uint32_t at)
{
    state_interrupt(run, FERRY_STATE_STOP_COPY, at ? go_back_p2p : go_back,
                    "after a SET_STATE back to pre-copy");
}

const struct check check_state_forbidden[] = {
    { { "arc.forbidden", "MIG-ARC-2", "a change to ERROR, to no state, to one it lacks",
        FERRY_CHECK_REQUIRED, FERRY_CHECK_NEEDS_V2 },
      all_cases,
      all_name,
      run_refused },
    { { "arc.errno", "MIG-ARC-10", "the errno of a change that cannot be",
        FERRY_CHECK_RECOMMENDED, FERRY_CHECK_NEEDS_V2 },
      all_cases,
      all_name,
      run_errno },
    { { "arc.forbidden.session", "MIG-ARC-2",
        "a transfer goes on after changes that cannot be", FERRY_CHECK_REQUIRED,
        FERRY_CHECK_NEEDS_V2 },
      state_session_count,
      state_session_name,
      run_session },
    { { "arc.forbidden.work", "MIG-ARC-2",
        "a driver's work goes on after changes that cannot be", FERRY_CHECK_REQUIRED,
        FERRY_CHECK_NEEDS_DRIVER | FERRY_CHECK_NEEDS_V2 },
      state_other_count,
      state_other_name,
      run_work },
    { { "arc.back", "MIG-ARC-3", "STOP_COPY to PRE_COPY or PRE_COPY_P2P",
        FERRY_CHECK_REQUIRED,
        FERRY_CHECK_NEEDS_PRE_COPY | FERRY_CHECK_MAY_HANG | FERRY_CHECK_NEEDS_V2 },
      back_cases,
      back_name,
      run_back },
    { { NULL, NULL, NULL, 0, 0 }, NULL, NULL, NULL },
};
