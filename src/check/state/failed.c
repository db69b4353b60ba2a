/* SPDX-License-Identifier: BSD-3-Clause */
#include <stdio.h>

#include "check/classes.h"
#include "check/state/state.h"

#define WORK_BYTES 65536u

/* What is seen of changes of state: on the way, and when they fail. */

/* The pairs that need no load. */
static uint32_t seen_pick(const struct check_run *run, uint32_t at,
                          struct state_pair *ret_pair)
{
    const uint32_t all = (1u << (FERRY_DATA_ENDS_BEGINS + 1)) - 1;
    const uint32_t pairs = state_pairs(run, all, UINT32_MAX, ret_pair);
    struct state_pair pair = { 0, 0 };
    uint32_t count = 0;

    for (uint32_t i = 0; i < pairs; i++) {
        (void)state_pairs(run, all, i, &pair);
        if (pair.from != FERRY_STATE_RESUMING && count++ == at) {
            *ret_pair = pair;
        }
    }
    return count;
}

static uint32_t seen_cases(const struct check_run *run)
{
    struct state_pair pair;

    return seen_pick(run, UINT32_MAX, &pair);
}

static void seen_name(const struct check_run *run, uint32_t at,
                      char ret_name[FERRY_CHECK_CASE_BYTES])
{
    struct state_pair pair = { 0, 0 };

    (void)seen_pick(run, at, &pair);
    state_pair_name(&pair, ret_name);
}

static int is_on_the_way(uint32_t state, const struct state_pair *pair, uint32_t features)
{
    uint32_t path[FERRY_STATE_COUNT];
    const int count = ferry_state_path(pair->from, pair->to, features, path);

    for (int i = 0; i < count; i++) {
        if (path[i] == state) {
            return 1;
        }
    }
    return state == pair->from;
}

static void on_done(struct ferry_request *request)
{
    *(int *)request->user = 1;
}

/* A change of state, and the states that GET_STATE tells while it is under way. Return:
 * its status; *ret_strange: one that lies on no way, or FERRY_STATE_COUNT. */
static int walk(struct check_run *run, const struct state_pair *pair,
                uint32_t *ret_strange)
{
    struct ferry_backend *backend = run->at->backend;
    struct ferry_request request = { .kind = FERRY_RQ_SET_STATE, .u.state = pair->to };
    int over = 0, rc;

    *ret_strange = FERRY_STATE_COUNT;
    request.done = on_done;
    request.user = &over;
    rc = backend->ops->submit(backend, &request);
    if (rc != FERRY_PENDING) {
        return rc;
    }
    while (!over) { /* it has a limit of its own */
        uint32_t state;

        if (check_get_state(run, &state) == FERRY_OK &&
            !is_on_the_way(state, pair, run->at->features)) {
            *ret_strange = state;
        }
        (void)backend->ops->dispatch(backend);
    }
    return request.status;
}

static void run_seen(struct check_run *run, uint32_t at)
{
    const struct ferry_check_driver *driver = run->options->driver;
    struct state_pair pair = { 0, 0 };
    uint32_t strange;
    char text[160];
    int rc;

    (void)seen_pick(run, at, &pair);
    /* With work in hand an arc takes its time. */
    if (driver && driver->begin && driver->settle &&
        !check_begin(run, CHECK_SCRATCH_IOVA, WORK_BYTES)) {
        return;
    }
    if (!check_go(run, pair.from)) {
        return;
    }
    rc = walk(run, &pair, &strange);
    if (rc != FERRY_OK) {
        check_broken(run, "%s to %s: %s", ferry_state_name(pair.from),
                     ferry_state_name(pair.to), check_status_text(run, rc, text));
    } else if (check_that(run, strange == FERRY_STATE_COUNT,
                          "states on the way only, while a change is under way", "%s",
                          ferry_state_name(strange))) {
        check_is(run, pair.to, "after the change of state");
    }
}

static void failing_name(const struct check_run *run, uint32_t at,
                         char ret_name[FERRY_CHECK_CASE_BYTES])
{
    const struct state_pair pair = { FERRY_STATE_RESUMING, state_other_at(run, at) };

    state_pair_name(&pair, ret_name);
}

static int takes_half(struct check_run *run)
{
    check_skip(run, "the device takes half a state for a whole one");
    return 0;
}

/* A load of half a state, which a change to `to` ends. ret_state: where it is then.
 * Return: 1 when the change failed; 0 with the case decided. */
static int fail_load(struct check_run *run, uint32_t to, uint32_t *ret_state)
{
    struct check_stream stream = { 0 };
    int ready = check_save(run, &stream) && check_go(run, FERRY_STATE_RESUMING);

    /* How the write ends does not matter: half a state was given at best. */
    if (ready) {
        (void)check_write_all(run, stream.data, stream.bytes / 2, 0);
    }
    check_stream_free(&stream);
    if (!ready) {
        return 0;
    }
    if (check_set_state(run, to) == FERRY_OK) {
        return takes_half(run);
    }
    return check_ok(run, check_get_state(run, ret_state),
                    "GET_STATE after a change that failed");
}

static void run_failing(struct check_run *run, uint32_t at)
{
    const struct state_pair pair = { FERRY_STATE_RESUMING, state_other_at(run, at) };
    uint32_t state;

    if (fail_load(run, pair.to, &state)) {
        check_that(run,
                   state == FERRY_STATE_ERROR ||
                       is_on_the_way(state, &pair, run->device.features),
                   "a state on the way, or ERROR, after a change that failed", "%s",
                   ferry_state_name(state));
    }
}

/* Too early; the load goes on where it was. */
static int end_early(struct check_run *run, uint32_t state)
{
    uint32_t now;

    if (check_set_state(run, FERRY_STATE_STOP) == FERRY_OK) {
        return takes_half(run);
    }
    if (check_get_state(run, &now) != FERRY_OK || now != state) {
        check_skip(run, "the failure is not without effect: %s", ferry_state_name(now));
        return 0;
    }
    return 1;
}

static void run_go_on(struct check_run *run, uint32_t at)
{
    (void)at;
    state_interrupt(run, FERRY_STATE_RESUMING, end_early,
                    "after a SET_STATE that failed and left it in RESUMING");
}

/* In ERROR, where the device goes there: only a reset leads out. */
static void run_error(struct check_run *run, uint32_t at)
{
    uint32_t state;

    if (!fail_load(run, FERRY_STATE_STOP, &state)) {
        return;
    }
    if (state != FERRY_STATE_ERROR) {
        check_skip(run, "a load that fails leaves it in %s, not in ERROR",
                   ferry_state_name(state));
        return;
    }
    if (check_refused(run, check_set_state(run, check_state_at(run, at)),
                      "SET_STATE in ERROR") &&
        check_is(run, FERRY_STATE_ERROR, "until there is a reset") &&
        check_ok(run, check_reset(run), "a reset in ERROR") &&
        check_is(run, FERRY_STATE_RUNNING, "after a reset in ERROR")) {
        check_works(run, "after a reset in ERROR");
    }
}

const struct check check_state_failed[] = {
    { { "arc.seen", "MIG-ARC-1", "what GET_STATE tells while a change is under way",
        FERRY_CHECK_REQUIRED, FERRY_CHECK_NEEDS_V2 },
      seen_cases,
      seen_name,
      run_seen },
    { { "arc.failed", "MIG-ARC-5", "where the device is after a change that failed",
        FERRY_CHECK_REQUIRED, FERRY_CHECK_NEEDS_V2 },
      state_other_count,
      failing_name,
      run_failing },
    { { "arc.failed.goes-on", "MIG-ARC-9", "a load goes on after it was ended too early",
        FERRY_CHECK_RECOMMENDED, FERRY_CHECK_NEEDS_V2 },
      NULL,
      NULL,
      run_go_on },
    { { "arc.error", "MIG-ERR-4", "ERROR is left by a reset only", FERRY_CHECK_REQUIRED,
        FERRY_CHECK_NEEDS_RESET | FERRY_CHECK_NEEDS_V2 },
      check_state_count,
      check_state_name,
      run_error },
    { { NULL, NULL, NULL, 0, 0 }, NULL, NULL, NULL },
};
