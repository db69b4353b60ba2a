/* SPDX-License-Identifier: BSD-3-Clause */
#include <stdio.h>

#include "check/classes.h"
#include "check/state/state.h"

#define BEGINS (1u << FERRY_DATA_BEGINS | 1u << FERRY_DATA_ENDS_BEGINS)
#define ENDS (1u << FERRY_DATA_ENDS)
#define NONE (1u << FERRY_DATA_NONE)

static uint32_t count_of(const struct check_run *run, uint32_t data)
{
    struct state_pair pair;

    return state_pairs(run, data, UINT32_MAX, &pair);
}

static struct state_pair pair_at(const struct check_run *run, uint32_t data, uint32_t at)
{
    struct state_pair pair = { 0, 0 };

    (void)state_pairs(run, data, at, &pair);
    return pair;
}

static uint32_t begins_cases(const struct check_run *run)
{
    return count_of(run, BEGINS);
}

static void begins_name(const struct check_run *run, uint32_t at,
                        char ret_name[FERRY_CHECK_CASE_BYTES])
{
    const struct state_pair pair = pair_at(run, BEGINS, at);

    state_pair_name(&pair, ret_name);
}

/* To `from`, ready to be left: a saving session half read, a load complete. */
static int enter_from(struct check_run *run, uint32_t from, const struct state_own *own)
{
    struct check_stream taken = { 0 };
    const int ready = state_enter(
        run, from, from == FERRY_STATE_RESUMING ? STATE_CUT_ALL : STATE_CUT_HALF, own,
        &taken);

    check_stream_free(&taken);
    return ready;
}

static int set(struct check_run *run, const struct state_pair *pair)
{
    char text[160];
    int rc = check_set_state(run, pair->to);

    return rc == FERRY_OK
               ? 1
               : check_broken(run, "%s to %s: %s", ferry_state_name(pair->from),
                              ferry_state_name(pair->to),
                              check_status_text(run, rc, text));
}

static void run_begins(struct check_run *run, uint32_t at)
{
    const struct state_pair pair = pair_at(run, BEGINS, at);
    struct check_stream taken = { 0 };
    struct state_own own;

    if (!state_own_save(run, &own)) {
        return;
    }
    if (enter_from(run, pair.from, &own) && set(run, &pair)) {
        (void)state_finish(run, pair.to, STATE_CUT_NONE, &own, &taken,
                           "of a session that has just begun");
    }
    check_stream_free(&taken);
    state_own_free(&own);
}

static uint32_t ends_cases(const struct check_run *run)
{
    return count_of(run, ENDS);
}

static void ends_name(const struct check_run *run, uint32_t at,
                      char ret_name[FERRY_CHECK_CASE_BYTES])
{
    const struct state_pair pair = pair_at(run, ENDS, at);

    state_pair_name(&pair, ret_name);
}

static void run_ends(struct check_run *run, uint32_t at)
{
    const struct state_pair pair = pair_at(run, ENDS, at);
    struct state_own own;

    if (!state_own_save(run, &own)) {
        return;
    }
    if (enter_from(run, pair.from, &own) && set(run, &pair)) {
        state_no_session(run, "after it was left");
    }
    state_own_free(&own);
}

/* Pairs that have nothing to do with sessions; or those that move inside one. */
static uint32_t none_pick(const struct check_run *run, int saving, uint32_t at,
                          struct state_pair *ret_pair)
{
    uint32_t count = 0;

    for (uint32_t i = 0; i < count_of(run, NONE); i++) {
        const struct state_pair pair = pair_at(run, NONE, i);

        if ((ferry_state_is_saving(pair.from) != 0) == saving && count++ == at) {
            *ret_pair = pair;
        }
    }
    return count;
}

static uint32_t none_cases(const struct check_run *run)
{
    struct state_pair pair;

    return none_pick(run, 0, UINT32_MAX, &pair);
}

static void none_name(const struct check_run *run, uint32_t at,
                      char ret_name[FERRY_CHECK_CASE_BYTES])
{
    struct state_pair pair = { 0, 0 };

    (void)none_pick(run, 0, at, &pair);
    state_pair_name(&pair, ret_name);
}

static void run_none(struct check_run *run, uint32_t at)
{
    struct state_pair pair = { 0, 0 };

    (void)none_pick(run, 0, at, &pair);
    if (check_go(run, pair.from) && set(run, &pair)) {
        state_no_session(run, "on an arc that begins none");
    }
}

static const uint32_t kept_cuts[] = { STATE_CUT_NONE, STATE_CUT_ONE, STATE_CUT_HALF,
                                      STATE_CUT_ALL };
#define KEPT_CUTS (sizeof(kept_cuts) / sizeof(kept_cuts[0]))

static uint32_t kept_cases(const struct check_run *run)
{
    struct state_pair pair;

    return none_pick(run, 1, UINT32_MAX, &pair) * (uint32_t)KEPT_CUTS;
}

static void kept_name(const struct check_run *run, uint32_t at,
                      char ret_name[FERRY_CHECK_CASE_BYTES])
{
    struct state_pair pair = { 0, 0 };

    (void)none_pick(run, 1, at / KEPT_CUTS, &pair);
    snprintf(ret_name, FERRY_CHECK_CASE_BYTES, "%s>%s,%s", ferry_state_name(pair.from),
             ferry_state_name(pair.to), state_cut_names[kept_cuts[at % KEPT_CUTS]]);
}

static void run_kept(struct check_run *run, uint32_t at)
{
    struct check_stream taken = { 0 };
    struct state_pair pair = { 0, 0 };
    struct state_own own;

    (void)none_pick(run, 1, at / KEPT_CUTS, &pair);
    if (!state_own_save(run, &own)) {
        return;
    }
    if (state_enter(run, pair.from, kept_cuts[at % KEPT_CUTS], &own, &taken) &&
        set(run, &pair)) {
        (void)state_finish(run, pair.to, 0, &own, &taken,
                           "after a move inside the session");
    }
    check_stream_free(&taken);
    state_own_free(&own);
}

/* The other way round than the session goes. */
static int go_against(struct check_run *run, uint32_t state)
{
    uint8_t bytes[16] = { 0xff, 0xff, 0xff, 0xff };
    uint64_t got = 0;
    int rc;

    if (state == FERRY_STATE_RESUMING) {
        rc = check_read(run, bytes, sizeof(bytes), &got);
        return check_refused(run, rc, "a read while loading");
    }
    rc = check_write(run, bytes, sizeof(bytes));
    return check_refused(run, rc, "a write while saving");
}

static void run_direction(struct check_run *run, uint32_t at)
{
    state_interrupt(run, state_session_at(run, at), go_against,
                    "after data went the wrong way");
}

const struct check check_state_session[] = {
    { { "session.begins", "MIG-SES-1", "a session begins, with the first byte",
        FERRY_CHECK_REQUIRED, FERRY_CHECK_NEEDS_V2 },
      begins_cases,
      begins_name,
      run_begins },
    { { "session.none", "MIG-SES-1", "other arcs begin no session", FERRY_CHECK_REQUIRED,
        FERRY_CHECK_NEEDS_V2 },
      none_cases,
      none_name,
      run_none },
    { { "session.ends", "MIG-SES-2", "nothing is read or written after a session",
        FERRY_CHECK_REQUIRED, FERRY_CHECK_NEEDS_V2 },
      ends_cases,
      ends_name,
      run_ends },
    { { "session.kept", "MIG-SES-3", "moves inside a session: one stream, nothing twice",
        FERRY_CHECK_REQUIRED, FERRY_CHECK_NEEDS_PRE_COPY | FERRY_CHECK_NEEDS_V2 },
      kept_cases,
      kept_name,
      run_kept },
    { { "session.direction", "MIG-SES-4", "data in the wrong direction is refused",
        FERRY_CHECK_REQUIRED, FERRY_CHECK_NEEDS_V2 },
      state_session_count,
      state_session_name,
      run_direction },
    { { NULL, NULL, NULL, 0, 0 }, NULL, NULL, NULL },
};
