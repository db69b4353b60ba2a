/* SPDX-License-Identifier: BSD-3-Clause */
#include <stdio.h>

#include "ferry/state.h"
#include "tables.h"

static void print_bits(uint32_t v1)
{
    printf("%u%u%u", v1 >> 2 & 1, v1 >> 1 & 1, v1 & 1);
}

void spec_print_v1_states(void)
{
    printf("| bits | valid | state of v2 | its number there |\n|---|---|---|---|\n");
    for (uint32_t v1 = 0; v1 <= FERRY_V1_MASK; v1++) {
        uint32_t state;

        printf("| ");
        print_bits(v1);
        if (ferry_state_from_v1(v1, &state) < 0) {
            printf(" | no | | |\n");
        } else {
            printf(" | %s | %s | %u |\n", ferry_state_v1_valid(v1) ? "yes" : "read only",
                   ferry_state_name(state), state);
        }
    }
}

void spec_print_v1_paths(uint32_t features)
{
    printf("| from | to | states of v2 on the way |\n|---|---|---|\n");
    for (uint32_t from = 0; from <= FERRY_V1_MASK; from++) {
        for (uint32_t to = 0; to <= FERRY_V1_MASK; to++) {
            uint32_t path[FERRY_STATE_COUNT];
            const int count = ferry_state_v1_path(from, to, features, path);

            if (count < 0 || from == to) {
                continue;
            }
            printf("| ");
            print_bits(from);
            printf(" | ");
            print_bits(to);
            printf(" | ");
            for (int i = 0; i < count; i++) {
                printf("%s%s", i > 0 ? ", " : "", ferry_state_name(path[i]));
            }
            printf("%s |\n", count == 0 ? "none: it stays" : "");
        }
    }
}
