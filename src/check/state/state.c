/* SPDX-License-Identifier: BSD-3-Clause */
#include "check/state/state.h"

#include <stdio.h>
#include <string.h>

const char *const state_cut_names[STATE_CUTS] = { "0", "1", "half", "all-1", "all" };

uint64_t state_cut_bytes(uint32_t cut, uint64_t whole)
{
    switch ((enum state_cut)cut) {
    case STATE_CUT_NONE:
        return 0;
    case STATE_CUT_ONE:
        return whole > 0;
    case STATE_CUT_HALF:
        return whole / 2;
    case STATE_CUT_ALL_BUT_ONE:
        return whole > 0 ? whole - 1 : 0;
    case STATE_CUT_ALL:
    case STATE_CUTS:
        break;
    }
    return whole;
}

int state_has_session(uint32_t state)
{
    return ferry_state_is_saving(state) || state == FERRY_STATE_RESUMING;
}

uint32_t state_session_count(const struct check_run *run)
{
    uint32_t count = 0;

    for (uint32_t i = 0; i < check_state_count(run); i++) {
        count += state_has_session(check_state_at(run, i)) != 0;
    }
    return count;
}

uint32_t state_session_at(const struct check_run *run, uint32_t at)
{
    uint32_t i = 0;

    while (!state_has_session(check_state_at(run, i)) || at-- > 0) {
        i++;
    }
    return check_state_at(run, i);
}

void state_session_name(const struct check_run *run, uint32_t at,
                        char ret_name[FERRY_CHECK_CASE_BYTES])
{
    snprintf(ret_name, FERRY_CHECK_CASE_BYTES, "%s",
             ferry_state_name(state_session_at(run, at)));
}

uint32_t state_other_count(const struct check_run *run)
{
    return check_state_count(run) - 1;
}

uint32_t state_other_at(const struct check_run *run, uint32_t at)
{
    const uint32_t state = check_state_at(run, at);

    return state < FERRY_STATE_RESUMING ? state : check_state_at(run, at + 1);
}

void state_other_name(const struct check_run *run, uint32_t at,
                      char ret_name[FERRY_CHECK_CASE_BYTES])
{
    snprintf(ret_name, FERRY_CHECK_CASE_BYTES, "%s",
             ferry_state_name(state_other_at(run, at)));
}

uint32_t state_cut_count(const struct check_run *run)
{
    uint32_t count = 0;

    for (uint32_t i = 0; i < check_state_count(run); i++) {
        count += state_has_session(check_state_at(run, i)) ? STATE_CUTS : 1;
    }
    return count;
}

void state_cut_at(const struct check_run *run, uint32_t at, uint32_t *ret_state,
                  uint32_t *ret_cut)
{
    uint32_t i = 0;

    while (at >= (state_has_session(check_state_at(run, i)) ? STATE_CUTS : 1u)) {
        at -= state_has_session(check_state_at(run, i)) ? STATE_CUTS : 1u;
        i++;
    }
    *ret_state = check_state_at(run, i);
    *ret_cut = at;
}

void state_cut_name(const struct check_run *run, uint32_t at,
                    char ret_name[FERRY_CHECK_CASE_BYTES])
{
    uint32_t state, cut;

    state_cut_at(run, at, &state, &cut);
    snprintf(ret_name, FERRY_CHECK_CASE_BYTES, "%s%s%s", ferry_state_name(state),
             state_has_session(state) ? "," : "",
             state_has_session(state) ? state_cut_names[cut] : "");
}

uint32_t state_pairs(const struct check_run *run, uint32_t data, uint32_t at,
                     struct state_pair *ret_pair)
{
    const uint32_t features = run->device.features;
    uint32_t count = 0;

    for (uint32_t from = 0; from < FERRY_STATE_COUNT; from++) {
        for (uint32_t to = 0; to < FERRY_STATE_COUNT; to++) {
            const int effect = ferry_state_data(from, to, features);

            if (from == to || effect < 0 || !(data & (1u << effect))) {
                continue;
            }
            if (count++ == at) {
                *ret_pair = (struct state_pair){ from, to };
            }
        }
    }
    return count;
}

void state_pair_name(const struct state_pair *pair, char ret_name[FERRY_CHECK_CASE_BYTES])
{
    snprintf(ret_name, FERRY_CHECK_CASE_BYTES, "%s>%s", ferry_state_name(pair->from),
             ferry_state_name(pair->to));
}

uint32_t state_forbidden(const struct check_run *run, uint32_t at, uint32_t *ret_state)
{
    /* Among them what is a state when it is cut to 8 or 31 bits. */
    static const uint32_t numbers[] = { FERRY_STATE_ERROR, FERRY_STATE_COUNT, 99, 0x102u,
                                        0x80000002u,       0xffffffffu };
    const uint32_t fixed = sizeof(numbers) / sizeof(numbers[0]);
    uint32_t count = fixed;

    if (at < fixed) {
        *ret_state = numbers[at];
    }
    for (uint32_t state = FERRY_STATE_STOP; state < FERRY_STATE_COUNT; state++) {
        if (ferry_state_exists(state, run->device.features)) {
            continue;
        }
        if (count++ == at) {
            *ret_state = state;
        }
    }
    return count;
}
