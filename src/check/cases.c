/* SPDX-License-Identifier: BSD-3-Clause */
#include <stdio.h>

#include "check/check.h"

/* The states that a device has, as cases. */

#define NOT_ERROR (1u << FERRY_STATE_ERROR)

uint32_t check_states(const struct check_run *run, uint32_t without, uint32_t at,
                      uint32_t *ret_state)
{
    uint32_t count = 0;

    for (uint32_t state = 0; state < FERRY_STATE_COUNT; state++) {
        if (!(without >> state & 1u) && ferry_state_exists(state, run->device.features) &&
            count++ == at) {
            *ret_state = state;
        }
    }
    return count;
}

uint32_t check_state_count(const struct check_run *run)
{
    return check_states(run, NOT_ERROR, UINT32_MAX, NULL);
}

uint32_t check_state_at(const struct check_run *run, uint32_t at)
{
    uint32_t state = FERRY_STATE_ERROR;

    (void)check_states(run, NOT_ERROR, at, &state);
    return state;
}

void check_state_name(const struct check_run *run, uint32_t at,
                      char ret_name[FERRY_CHECK_CASE_BYTES])
{
    snprintf(ret_name, FERRY_CHECK_CASE_BYTES, "%s",
             ferry_state_name(check_state_at(run, at)));
}
