/* SPDX-License-Identifier: BSD-3-Clause */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "check/access/dma/memory.h"
#include "check/classes.h"

/* Two devices of a kind, one of which writes into the other; and doorbells that ring in
 * between. */

static const uint32_t p2p_states[] = { FERRY_STATE_RUNNING_P2P,
                                       FERRY_STATE_PRE_COPY_P2P };

static uint32_t p2p_cases(const struct check_run *run)
{
    return run->device.features & FERRY_MIG_PRE_COPY ? 2 : 1;
}

static void p2p_name(const struct check_run *run, uint32_t at,
                     char ret_name[FERRY_CHECK_CASE_BYTES])
{
    (void)run;
    snprintf(ret_name, FERRY_CHECK_CASE_BYTES, "%s", ferry_state_name(p2p_states[at]));
}

/* Does the partner's memory change while nobody may write to it? */
static int watch(struct check_run *run, struct peer_memory *memory, const char *state)
{
    uint8_t *before = malloc(memory->bytes);
    char expected[160];
    int same;

    if (!before || peer_memory_read(memory, before) != FERRY_OK) {
        free(before);
        return check_broken(run, "the partner's memory cannot be read");
    }
    access_watch(run);
    same = peer_memory_read(memory, memory->copy) == FERRY_OK &&
           memcmp(before, memory->copy, memory->bytes) == 0;
    free(before);
    snprintf(expected, sizeof(expected), "nothing is written to a peer from %s on",
             state);
    return check_that(run, same, expected, "the peer's memory changes");
}

static int both_go(struct check_run *run, uint32_t first, uint32_t second)
{
    int good;

    good = check_go(run, first);
    run->at = &run->partner;
    good = good && check_go(run, second);
    run->at = &run->device;
    return good;
}

/* Under load: the one that writes gets quiet, then the other, then both stop; and back in
 * the other order. */
static void two_phases(struct check_run *run, struct peer_memory *memory, uint32_t state)
{
    if (!check_begin(run, CHECK_SCRATCH_IOVA, memory->bytes) || !check_go(run, state) ||
        !watch(run, memory, ferry_state_name(state)) ||
        !both_go(run, state, FERRY_STATE_RUNNING_P2P) ||
        !both_go(run, FERRY_STATE_STOP, FERRY_STATE_STOP) ||
        !watch(run, memory, "STOP") ||
        !both_go(run, FERRY_STATE_RUNNING_P2P, FERRY_STATE_RUNNING_P2P) ||
        !watch(run, memory, "RUNNING_P2P")) {
        return;
    }
    if (both_go(run, FERRY_STATE_RUNNING, FERRY_STATE_RUNNING)) {
        check_settles(run, "when both run again");
    }
}

static void run_peers(struct check_run *run, uint32_t at)
{
    struct peer_memory memory;

    if (!check_can_begin(run)) {
        return;
    }
    if (!peer_memory_open(run, &run->partner, &memory)) {
        return;
    }
    if (peer_memory_map(run, &memory)) {
        two_phases(run, &memory, p2p_states[at]);
    }
    peer_memory_unmap(run, &memory);
    peer_memory_close(&memory);
}

/* -- Doorbells in a P2P state -- */

#define LATCH_BYTES 4096u
#define MARK 0x5cu /* where nothing was written yet */
#define WAYS 2u    /* back to RUNNING; over a save and a load */

static uint32_t latch_cases(const struct check_run *run)
{
    return WAYS * p2p_cases(run);
}

static void latch_name(const struct check_run *run, uint32_t at,
                       char ret_name[FERRY_CHECK_CASE_BYTES])
{
    (void)run;
    snprintf(ret_name, FERRY_CHECK_CASE_BYTES, "%s>%s",
             ferry_state_name(p2p_states[at / WAYS]),
             at % WAYS == 0 ? "RUNNING" : "STOP_COPY>load>RUNNING");
}

/* The doorbell was taken: it is performed later, and not now. */
static void performed(struct check_run *run, uint32_t state, int over_load)
{
    uint8_t before[LATCH_BYTES];
    uint8_t *memory =
        ferry_check_memory_at(&run->driven, CHECK_SCRATCH_IOVA, sizeof(before));

    memset(before, MARK, sizeof(before));
    memcpy(memory, before, sizeof(before));
    access_watch(run);
    if (!check_that(run, memcmp(before, memory, sizeof(before)) == 0,
                    "a latched doorbell is performed later", "it writes in %s",
                    ferry_state_name(state)) ||
        (over_load && !access_load_own(run)) || !check_go(run, FERRY_STATE_RUNNING) ||
        !check_settles(run, "when a device with a latched doorbell runs")) {
        return;
    }
    check_that(run, memcmp(before, memory, sizeof(before)) != 0,
               "a latched doorbell is performed when the device runs",
               "nothing was written");
}

static void run_latch(struct check_run *run, uint32_t at)
{
    const struct ferry_check_driver *driver = run->options->driver;
    const uint32_t state = p2p_states[at / WAYS];
    struct ferry_error error = { .code = FERRY_OK };
    int latches = run->device.has_identity && run->device.identity.doorbell_latch;
    int rc;

    if (!check_can_begin(run) || !check_works(run, "at first") || !check_go(run, state)) {
        return;
    }
    rc = driver->begin(run->driver_state, CHECK_SCRATCH_IOVA, LATCH_BYTES, &error);
    if (latches) {
        if (check_that(run, rc == FERRY_OK, "a device that says so latches doorbells",
                       "%s", error.text)) {
            performed(run, state, at % WAYS == 1);
        }
    } else if (rc == FERRY_OK && !run->device.has_identity) {
        check_skip(run, "the device does not say whether it latches doorbells");
    } else if (check_that(run, rc != FERRY_OK,
                          "a doorbell that is not latched is refused",
                          "it is taken in %s", ferry_state_name(state))) {
        check_is(run, state, "after a refused doorbell");
    }
}

const struct check check_access_peers[] = {
    { { "p2p.peers", "MIG-P2P-1",
        "two devices stop in two phases under load: a quiet one writes to no peer",
        FERRY_CHECK_REQUIRED,
        FERRY_CHECK_NEEDS_P2P | FERRY_CHECK_NEEDS_DRIVER | FERRY_CHECK_NEEDS_PARTNER },
      p2p_cases,
      p2p_name,
      run_peers },
    { { "p2p.latch", "MIG-P2P-2",
        "a doorbell that rings in a P2P state is performed when the device runs",
        FERRY_CHECK_RECOMMENDED, FERRY_CHECK_NEEDS_P2P | FERRY_CHECK_NEEDS_DRIVER },
      latch_cases,
      latch_name,
      run_latch },
    { { NULL, NULL, NULL, 0, 0 }, NULL, NULL, NULL },
};
