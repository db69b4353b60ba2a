/* SPDX-License-Identifier: BSD-3-Clause */
#include <stdio.h>

#include "check/classes.h"

/*
 * Every legal pair of states for the device's features, in the order of their numbers.
 * Return: their number; with `at` below it the pair.
 */
static uint32_t pair_of(uint32_t features, uint32_t at, uint32_t *ret_from,
                        uint32_t *ret_to)
{
    uint32_t count = 0, path[FERRY_STATE_COUNT];

    for (uint32_t from = 0; from < FERRY_STATE_COUNT; from++) {
        for (uint32_t to = 0; to < FERRY_STATE_COUNT; to++) {
            if (from == to || ferry_state_path(from, to, features, path) < 0) {
                continue;
            }
            if (count++ == at) {
                *ret_from = from;
                *ret_to = to;
            }
        }
    }
    return count;
}

static uint32_t legal_cases(const struct check_run *run)
{
    uint32_t from, to;

    return pair_of(run->device.features, UINT32_MAX, &from, &to);
}

static void legal_name(const struct check_run *run, uint32_t at,
                       char ret_name[FERRY_CHECK_CASE_BYTES])
{
    uint32_t from = 0, to = 0;

    (void)pair_of(run->device.features, at, &from, &to);
    snprintf(ret_name, FERRY_CHECK_CASE_BYTES, "%s>%s", ferry_state_name(from),
             ferry_state_name(to));
}

static void run_legal(struct check_run *run, uint32_t at)
{
    struct check_stream stream = { 0 };
    uint32_t from = 0, to = 0;
    int ready;

    (void)pair_of(run->device.features, at, &from, &to);
    if (from == FERRY_STATE_RESUMING) {
        /* Nothing leaves it but a whole state, or a reset. */
        ready = check_save(run, &stream) && check_go(run, FERRY_STATE_RESUMING);
        if (ready && check_write_all(run, stream.data, stream.bytes, 0) != FERRY_OK) {
            ready = check_broken(run, "its own state cannot be written");
        }
        check_stream_free(&stream);
    } else {
        ready = check_go(run, from);
    }
    if (ready && check_ok(run, check_set_state(run, to), "SET_STATE")) {
        check_is(run, to, "after SET_STATE");
    }
}

const struct check check_state_arcs[] = {
    { { "arc.legal", "MIG-ARC-1", "every pair of states with a way between them",
        FERRY_CHECK_REQUIRED, 0 },
      legal_cases,
      legal_name,
      run_legal },
    { { NULL, NULL, NULL, 0, 0 }, NULL, NULL, NULL },
};
