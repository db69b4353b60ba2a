/* SPDX-License-Identifier: BSD-3-Clause */
#include <stdio.h>

#include "check/classes.h"
#include "check/state/state.h"

#define ALL_PAIRS                                                                        \
    (1u << FERRY_DATA_NONE | 1u << FERRY_DATA_BEGINS | 1u << FERRY_DATA_ENDS |           \
     1u << FERRY_DATA_ENDS_BEGINS)

static uint32_t legal_cases(const struct check_run *run)
{
    struct state_pair pair;

    return state_pairs(run, ALL_PAIRS, UINT32_MAX, &pair);
}

static void legal_name(const struct check_run *run, uint32_t at,
                       char ret_name[FERRY_CHECK_CASE_BYTES])
{
    struct state_pair pair = { 0, 0 };

    (void)state_pairs(run, ALL_PAIRS, at, &pair);
    state_pair_name(&pair, ret_name);
}

static void run_legal(struct check_run *run, uint32_t at)
{
    struct check_stream stream = { 0 };
    struct state_pair pair = { 0, 0 };
    int ready;

    (void)state_pairs(run, ALL_PAIRS, at, &pair);
    if (pair.from == FERRY_STATE_RESUMING) {
        /* Nothing leaves it but a whole state, or a reset. */
        ready = check_save(run, &stream) && check_go(run, FERRY_STATE_RESUMING);
        if (ready && check_write_all(run, stream.data, stream.bytes, 0) != FERRY_OK) {
            ready = check_broken(run, "its own state cannot be written");
        }
        check_stream_free(&stream);
    } else {
        ready = check_go(run, pair.from);
    }
    if (ready && check_ok(run, check_set_state(run, pair.to), "SET_STATE")) {
        check_is(run, pair.to, "after SET_STATE");
    }
}

static int set_same(struct check_run *run, uint32_t state)
{
    return check_ok(run, check_set_state(run, state), "SET_STATE to the same state");
}

static void run_same(struct check_run *run, uint32_t at)
{
    const uint32_t state = check_state_at(run, at);

    if (state_has_session(state)) {
        state_interrupt(run, state, set_same, "after a SET_STATE to the same state");
    } else if (check_go(run, state) && set_same(run, state) &&
               check_is(run, state, "after a SET_STATE to the same state")) {
        state_no_session(run, "after a SET_STATE to the same state");
    }
}

/* Whatever moves data or looks at the device, but asks for no state. */
static void be_busy(struct check_run *run, uint32_t state)
{
    struct check_stream taken = { 0 };
    uint8_t bytes[64] = { 0 };
    uint64_t got;
    uint32_t seen;

    if (ferry_state_is_saving(state)) {
        (void)check_read_all(run, &taken, 0);
        (void)check_read(run, bytes, sizeof(bytes), &got); /* once more at its end */
    }
    /* Into RESUMING nonsense, elsewhere what is refused. */
    (void)check_write(run, bytes, sizeof(bytes));
    (void)check_read(run, bytes, sizeof(bytes), &got);
    (void)check_data_size(run, &got);
    (void)check_region_read(run, 7, 0, bytes, 4);
    (void)check_get_state(run, &seen);
    if (run->at == &run->device) {
        (void)ferry_check_turn(&run->driven, run->look_ms);
    }
    check_stream_free(&taken);
}

static void run_alone(struct check_run *run, uint32_t at)
{
    const uint32_t state = check_state_at(run, at);

    if (check_go(run, state)) {
        be_busy(run, state);
        check_looked(run, run->look_ms);
        check_is(run, state, "as long as nobody asks for another state");
    }
}

const struct check check_state_arcs[] = {
    { { "arc.legal", "MIG-ARC-1", "every pair of states with a way between them",
        FERRY_CHECK_REQUIRED, FERRY_CHECK_NEEDS_V2 },
      legal_cases,
      legal_name,
      run_legal },
    { { "arc.same", "MIG-ARC-4", "a change to the present state, in the middle of it",
        FERRY_CHECK_RECOMMENDED, FERRY_CHECK_NEEDS_V2 },
      check_state_count,
      check_state_name,
      run_same },
    { { "arc.alone", "MIG-ARC-6", "the state while data moves and nobody changes it",
        FERRY_CHECK_REQUIRED, FERRY_CHECK_NEEDS_V2 },
      check_state_count,
      check_state_name,
      run_alone },
    { { NULL, NULL, NULL, 0, 0 }, NULL, NULL, NULL },
};
