/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef FERRY_TESTS_STATE_TABLES_H
#define FERRY_TESTS_STATE_TABLES_H

#include <stddef.h>
#include <stdint.h>

/*
 * What Linux does, as it was printed by the kernel's own vfio_mig_get_next_state() when
 * it was compiled and run for all inputs: expected values that do not come from Ferry.
 * States are the uAPI's numbers: 0 ERROR, 1 STOP, 2 RUNNING, 3 STOP_COPY, 4 RESUMING, 5
 * RUNNING_P2P, 6 PRE_COPY, 7 PRE_COPY_P2P.
 */

/* One legal pair (first and last of the path), its path, and what the data session does:
 * N neither, B begins, E ends, X ends and begins. */
struct expected_path {
    const char *states;
    char data;
};

/* next: [cur][wanted]: '-' is EINVAL, else the next state; the diagonal is cur itself. */
struct expected_machine {
    uint32_t features;
    size_t path_count;
    const struct expected_path *paths;
    const char *next[8];
};

static const struct expected_path expected_paths_1[] = {
    { "12", 'N' },  { "13", 'B' },  { "14", 'B' },  { "21", 'N' },
    { "213", 'B' }, { "214", 'B' }, { "31", 'E' },  { "312", 'E' },
    { "314", 'X' }, { "41", 'E' },  { "412", 'E' }, { "413", 'X' },
};

static const struct expected_path expected_paths_3[] = {
    { "152", 'N' },  { "13", 'B' },   { "14", 'B' }, { "15", 'N' },   { "251", 'N' },
    { "2513", 'B' }, { "2514", 'B' }, { "25", 'N' }, { "31", 'E' },   { "3152", 'E' },
    { "314", 'X' },  { "315", 'E' },  { "41", 'E' }, { "4152", 'E' }, { "413", 'X' },
    { "415", 'E' },  { "51", 'N' },   { "52", 'N' }, { "513", 'B' },  { "514", 'B' },
};

static const struct expected_path expected_paths_5[] = {
    { "12", 'N' },  { "13", 'B' },  { "14", 'B' },  { "126", 'B' },  { "21", 'N' },
    { "213", 'B' }, { "214", 'B' }, { "26", 'B' },  { "31", 'E' },   { "312", 'E' },
    { "314", 'X' }, { "41", 'E' },  { "412", 'E' }, { "413", 'X' },  { "4126", 'X' },
    { "621", 'E' }, { "62", 'E' },  { "63", 'N' },  { "6214", 'X' },
};

static const struct expected_path expected_paths_7[] = {
    { "152", 'N' },   { "13", 'B' },    { "14", 'B' },   { "15", 'N' },   { "1526", 'B' },
    { "157", 'B' },   { "251", 'N' },   { "2513", 'B' }, { "2514", 'B' }, { "25", 'N' },
    { "26", 'B' },    { "257", 'B' },   { "31", 'E' },   { "3152", 'E' }, { "314", 'X' },
    { "315", 'E' },   { "41", 'E' },    { "4152", 'E' }, { "413", 'X' },  { "415", 'E' },
    { "41526", 'X' }, { "4157", 'X' },  { "51", 'N' },   { "52", 'N' },   { "513", 'B' },
    { "514", 'B' },   { "526", 'B' },   { "57", 'B' },   { "6251", 'E' }, { "62", 'E' },
    { "673", 'N' },   { "62514", 'X' }, { "625", 'E' },  { "67", 'N' },   { "751", 'E' },
    { "752", 'E' },   { "73", 'N' },    { "7514", 'X' }, { "75", 'E' },   { "76", 'N' },
};

static const struct expected_machine expected_machines[] = {
    {
        .features = 1,
        .path_count = 12,
        .paths = expected_paths_1,
        .next = {
            "--------", /* ERROR */
            "-1234---", /* STOP */
            "-1211---", /* RUNNING */
            "-1131---", /* STOP_COPY */
            "-1114---", /* RESUMING */
            "--------", /* RUNNING_P2P */
            "--------", /* PRE_COPY */
            "--------", /* PRE_COPY_P2P */
        },
    },
    {
        .features = 3,
        .path_count = 20,
        .paths = expected_paths_3,
        .next = {
            "--------", /* ERROR */
            "-15345--", /* STOP */
            "-52555--", /* RUNNING */
            "-11311--", /* STOP_COPY */
            "-11141--", /* RESUMING */
            "-12115--", /* RUNNING_P2P */
            "--------", /* PRE_COPY */
            "--------", /* PRE_COPY_P2P */
        },
    },
    {
        .features = 5,
        .path_count = 19,
        .paths = expected_paths_5,
        .next = {
            "--------", /* ERROR */
            "-1234-2-", /* STOP */
            "-1211-6-", /* RUNNING */
            "-1131---", /* STOP_COPY */
            "-1114-1-", /* RESUMING */
            "--------", /* RUNNING_P2P */
            "-2232-6-", /* PRE_COPY */
            "--------", /* PRE_COPY_P2P */
        },
    },
    {
        .features = 7,
        .path_count = 40,
        .paths = expected_paths_7,
        .next = {
            "--------", /* ERROR */
            "-1534555", /* STOP */
            "-5255565", /* RUNNING */
            "-11311--", /* STOP_COPY */
            "-1114111", /* RESUMING */
            "-1211527", /* RUNNING_P2P */
            "-2272267", /* PRE_COPY */
            "-5535567", /* PRE_COPY_P2P */
        },
    },
};

#endif
