/* SPDX-License-Identifier: BSD-3-Clause */
#include <stdio.h>
#include <string.h>

#include "check/classes.h"
#include "check/state/state.h"

#define EXTRA_IOVA 0x40000000u
#define EXTRA_BYTES 0x10000u
#define WORK_BYTES (1u << 20)

static void run_running(struct check_run *run, uint32_t at)
{
    struct state_own own;

    if (state_own_save(run, &own) && state_enter_at(run, at, &own) &&
        check_ok(run, check_reset(run), "a reset") &&
        check_is(run, FERRY_STATE_RUNNING, "after a reset")) {
        check_works(run, "after a reset");
    }
    state_own_free(&own);
}

static void run_session(struct check_run *run, uint32_t at)
{
    struct state_own own;

    if (state_own_save(run, &own) && state_enter_at(run, at, &own) && state_reset(run)) {
        state_no_session(run, "after a reset");
    }
    state_own_free(&own);
}

static void run_clean(struct check_run *run, uint32_t at)
{
    struct check_stream again = { 0 };
    struct state_own own;

    if (state_own_save(run, &own) && state_enter_at(run, at, &own) && state_reset(run) &&
        check_save(run, &again)) {
        (void)state_is_whole(run, &own, &again, "after a reset");
    }
    check_stream_free(&again);
    state_own_free(&own);
}

static void run_twice(struct check_run *run, uint32_t at)
{
    if (check_go(run, check_state_at(run, at)) &&
        check_ok(run, check_reset(run), "a reset") &&
        check_ok(run, check_reset(run), "a second reset") &&
        check_is(run, FERRY_STATE_RUNNING, "after two resets")) {
        check_works(run, "after two resets");
    }
}

static void run_map(struct check_run *run, uint32_t at)
{
    char text[160];
    int rc = check_map(run, EXTRA_IOVA, EXTRA_BYTES, run->at->memory.fd, 0);

    if (rc != FERRY_OK) {
        check_broken(run, "nothing can be mapped: %s", check_status_text(run, rc, text));
    } else if (check_go(run, check_state_at(run, at)) && state_reset(run)) {
        check_ok(run, check_unmap(run, EXTRA_IOVA, EXTRA_BYTES),
                 "DMA_UNMAP, after a reset, of what was mapped before it");
        return;
    }
    (void)check_unmap(run, EXTRA_IOVA, EXTRA_BYTES);
}

/* Does the device write to the scratch memory within the time to look? */
static int writes(struct check_run *run)
{
    uint8_t *memory = run->device.memory.address + CHECK_DRIVER_BYTES;

    memset(memory, 0x5a, WORK_BYTES);
    (void)ferry_check_turn(&run->driven, run->look_ms);
    for (uint32_t i = 0; i < WORK_BYTES; i++) {
        if (memory[i] != 0x5a) {
            return 1;
        }
    }
    return 0;
}

static void run_quiet(struct check_run *run, uint32_t at)
{
    if (check_begin(run, CHECK_SCRATCH_IOVA, WORK_BYTES) &&
        check_go(run, check_state_at(run, at)) && state_reset(run)) {
        check_looked(run, run->look_ms);
        check_that(run, !writes(run), "no DMA of work from before the reset",
                   "memory was written");
        check_works(run, "after a reset in the middle of work");
    }
}

const struct check check_state_reset[] = {
    { { "reset.running", "MIG-RST-1", "a reset in each state, in the middle of transfers",
        FERRY_CHECK_REQUIRED, FERRY_CHECK_NEEDS_RESET | FERRY_CHECK_NEEDS_V2 },
      state_cut_count,
      state_cut_name,
      run_running },
    { { "reset.session", "MIG-RST-3", "sessions are gone after a reset",
        FERRY_CHECK_REQUIRED, FERRY_CHECK_NEEDS_RESET | FERRY_CHECK_NEEDS_V2 },
      state_cut_count,
      state_cut_name,
      run_session },
    { { "reset.clean", "MIG-RST-4", "the state after a reset is the first one",
        FERRY_CHECK_RECOMMENDED, FERRY_CHECK_NEEDS_RESET | FERRY_CHECK_NEEDS_V2 },
      state_cut_count,
      state_cut_name,
      run_clean },
    { { "reset.twice", "MIG-RST-1", "a reset after a reset", FERRY_CHECK_REQUIRED,
        FERRY_CHECK_NEEDS_RESET | FERRY_CHECK_NEEDS_V2 },
      check_state_count,
      check_state_name,
      run_twice },
    { { "reset.map", "MIG-RST-5", "DMA maps stay over a reset", FERRY_CHECK_RECOMMENDED,
        FERRY_CHECK_NEEDS_RESET | FERRY_CHECK_NEEDS_V2 },
      check_state_count,
      check_state_name,
      run_map },
    { { "reset.quiet", "MIG-RST-4", "no DMA of what was begun before a reset",
        FERRY_CHECK_EXPECTED,
        FERRY_CHECK_NEEDS_RESET | FERRY_CHECK_NEEDS_DRIVER | FERRY_CHECK_NEEDS_V2 },
      check_state_count,
      check_state_name,
      run_quiet },
    { { NULL, NULL, NULL, 0, 0 }, NULL, NULL, NULL },
};
