/* SPDX-License-Identifier: BSD-3-Clause */
#include <stdio.h>
#include <string.h>

#include "check/access/access.h"

/* Cells of the access table as cases. */

#define NONSENSE_BYTES 64u

static int refused(int status)
{
    return status < 0 && status != FERRY_E_TIMEOUT && status != FERRY_E_CLOSED;
}

static int latches(const struct check_run *run)
{
    return run->at->has_identity && run->at->identity.doorbell_latch != 0;
}

int access_judge(struct check_run *run, const struct access_case *at, int status,
                 const char *what)
{
    const char *state = ferry_state_name(at->state);
    uint32_t verdict = at->cell->verdict;
    char expected[160];
    char text[160];
    char when[64];

    if (verdict == FERRY_LATCH) {
        /* A power state waits on every device; doorbells on those that say so. */
        if (at->operation != FERRY_OP_POWER && !run->at->has_identity && status >= 0) {
            check_skip(run, "the device does not say whether it latches doorbells");
            return 0;
        }
        verdict =
            at->operation == FERRY_OP_POWER || latches(run) ? FERRY_ALLOW : FERRY_REFUSE;
    }
    check_status_text(run, status, text);
    if (verdict != FERRY_REFUSE) {
        snprintf(expected, sizeof(expected), "%s works in %s", what, state);
        return check_that(run, status >= 0, expected, "%s", text);
    }
    snprintf(expected, sizeof(expected), "%s is refused at once in %s", what, state);
    snprintf(when, sizeof(when), "after a refused %s", what);
    return check_that(run, refused(status), expected, "%s",
                      status >= 0 ? "it works" : text) &&
           check_is(run, at->state, when);
}

/* A load of nonsense: what refuses it may stay in RESUMING or end in ERROR. */
static int enter_error(struct check_run *run)
{
    uint8_t nonsense[NONSENSE_BYTES];
    uint32_t state = FERRY_STATE_COUNT;

    if (!check_go(run, FERRY_STATE_RESUMING)) {
        return 0;
    }
    memset(nonsense, 0xa5, sizeof(nonsense));
    (void)check_write(run, nonsense, sizeof(nonsense));
    (void)check_set_state(run, FERRY_STATE_STOP);
    if (check_get_state(run, &state) != FERRY_OK || state != FERRY_STATE_ERROR) {
        check_skip(run, "no request brings this device to ERROR");
        return 0;
    }
    return 1;
}

int access_enter(struct check_run *run, uint32_t state)
{
    return state == FERRY_STATE_ERROR ? enter_error(run) : check_go(run, state);
}

uint32_t access_pick(const struct check_run *run, uint32_t operations, uint32_t at,
                     struct access_case *ret_case)
{
    const char *rule = run->check->info.rule;
    uint32_t count = 0;

    for (uint32_t operation = 0; operation < FERRY_OP_COUNT; operation++) {
        for (uint32_t state = 0; state < FERRY_STATE_COUNT; state++) {
            const struct ferry_access *cell = ferry_access_get(operation, state);

            if (!(operations >> operation & 1u) ||
                !ferry_state_exists(state, run->device.features) ||
                strcmp(cell->rule->id, rule) != 0) {
                continue;
            }
            if (count++ == at) {
                *ret_case = (struct access_case){ operation, state, cell };
            }
        }
    }
    return count;
}

void access_name(const struct access_case *at, char ret_name[FERRY_CHECK_CASE_BYTES])
{
    snprintf(ret_name, FERRY_CHECK_CASE_BYTES, "%s@%s",
             ferry_operation_name(at->operation), ferry_state_name(at->state));
}

void access_watch(struct check_run *run)
{
    uint32_t state;

    (void)ferry_check_turn(&run->driven, run->look_ms);
    /* On a busy machine a server may not have run yet: between two answers it has. */
    (void)check_get_state(run, &state);
    (void)check_get_state(run, &state);
    check_looked(run, run->look_ms);
}
