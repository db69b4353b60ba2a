/* SPDX-License-Identifier: BSD-3-Clause */
#include <stdio.h>
#include <string.h>

#include "ferry/state.h"
#include "tables.h"

const uint32_t spec_features[SPEC_FEATURES] = {
    FERRY_MIG_STOP_COPY,
    FERRY_MIG_STOP_COPY | FERRY_MIG_P2P,
    FERRY_MIG_STOP_COPY | FERRY_MIG_PRE_COPY,
    FERRY_MIG_STOP_COPY | FERRY_MIG_P2P | FERRY_MIG_PRE_COPY,
};

static const char *const short_names[FERRY_STATE_COUNT] = {
    [FERRY_STATE_ERROR] = "ERROR",     [FERRY_STATE_STOP] = "STOP",
    [FERRY_STATE_RUNNING] = "RUN",     [FERRY_STATE_STOP_COPY] = "S_COPY",
    [FERRY_STATE_RESUMING] = "RESUME", [FERRY_STATE_RUNNING_P2P] = "R_P2P",
    [FERRY_STATE_PRE_COPY] = "PRE",    [FERRY_STATE_PRE_COPY_P2P] = "P_P2P",
};

static const char *const data_texts[] = {
    [FERRY_DATA_NONE] = "",
    [FERRY_DATA_BEGINS] = "begins",
    [FERRY_DATA_ENDS] = "ends",
    [FERRY_DATA_ENDS_BEGINS] = "ends, another begins",
};

const char *spec_short_name(uint32_t state)
{
    return state < FERRY_STATE_COUNT ? short_names[state] : "?";
}

/* Which features a state takes: the smallest set in which it exists. */
static const char *needs(uint32_t state)
{
    if (ferry_state_exists(state, 0)) {
        return "";
    }
    if (ferry_state_exists(state, FERRY_MIG_STOP_COPY)) {
        return "STOP_COPY";
    }
    if (ferry_state_exists(state, FERRY_MIG_STOP_COPY | FERRY_MIG_P2P)) {
        return "P2P";
    }
    if (ferry_state_exists(state, FERRY_MIG_STOP_COPY | FERRY_MIG_PRE_COPY)) {
        return "PRE_COPY";
    }
    return "P2P, PRE_COPY";
}

static const char *streams(uint32_t state)
{
    if (ferry_state_is_saving(state)) {
        return "out";
    }
    return state == FERRY_STATE_RESUMING ? "in" : "";
}

void spec_print_states(void)
{
    printf("| number | state | takes the feature | data |\n|---|---|---|---|\n");
    for (uint32_t state = 0; state < FERRY_STATE_COUNT; state++) {
        printf("| %u | %s | %s | %s |\n", state, ferry_state_name(state), needs(state),
               streams(state));
    }
}

static int is_arc(uint32_t from, uint32_t to, uint32_t features)
{
    uint32_t path[FERRY_STATE_COUNT];

    return ferry_state_path(from, to, features, path) == 1;
}

static void print_arc(uint32_t from, uint32_t to)
{
    int data = 0;
    int exists = 0;
    char row[64] = "";

    for (int i = 0; i < SPEC_FEATURES; i++) {
        const int is = is_arc(from, to, spec_features[i]);

        (void)strcat(row, is ? " yes |" : " |");
        if (is) {
            exists = 1;
            data = ferry_state_data(from, to, spec_features[i]);
        }
    }
    if (exists) {
        printf("| %s | %s |%s %s |\n", ferry_state_name(from), ferry_state_name(to), row,
               data_texts[data]);
    }
}

void spec_print_arcs(void)
{
    printf("| from | to | alone | P2P | PRE_COPY | both | session |\n"
           "|---|---|---|---|---|---|---|\n");
    for (uint32_t from = 0; from < FERRY_STATE_COUNT; from++) {
        for (uint32_t to = 0; to < FERRY_STATE_COUNT; to++) {
            print_arc(from, to);
        }
    }
}

void spec_print_short_names(void)
{
    printf("```\n");
    for (uint32_t state = 0; state < FERRY_STATE_COUNT; state++) {
        if (strcmp(short_names[state], ferry_state_name(state)) != 0) {
            printf("%-6s  %s\n", short_names[state], ferry_state_name(state));
        }
    }
    printf("```\n");
}

void spec_print_next(uint32_t features)
{
    printf("```\n%-6s", "");
    for (uint32_t to = 0; to < FERRY_STATE_COUNT; to++) {
        printf(to < FERRY_STATE_COUNT - 1 ? " %-6s" : " %s\n", short_names[to]);
    }
    for (uint32_t from = 0; from < FERRY_STATE_COUNT; from++) {
        printf("%-6s", short_names[from]);
        for (uint32_t to = 0; to < FERRY_STATE_COUNT; to++) {
            uint32_t next;
            const char *text = "-";

            if (ferry_state_next(from, to, features, &next) >= 0) {
                text = next == from ? "." : short_names[next];
            }
            printf(to < FERRY_STATE_COUNT - 1 ? " %-6s" : " %s\n", text);
        }
    }
    printf("```\n");
}

void spec_print_pairs(uint32_t features)
{
    printf("| from | to | way | data session |\n|---|---|---|---|\n");
    for (uint32_t from = 0; from < FERRY_STATE_COUNT; from++) {
        for (uint32_t to = 0; to < FERRY_STATE_COUNT; to++) {
            uint32_t path[FERRY_STATE_COUNT];
            const int count = ferry_state_path(from, to, features, path);

            if (count <= 0) {
                continue;
            }
            printf("| %s | %s | ", ferry_state_name(from), ferry_state_name(to));
            for (int i = 0; i < count - 1; i++) {
                printf("%s%s", i > 0 ? ", " : "over ", ferry_state_name(path[i]));
            }
            printf("%s| %s |\n", count > 1 ? " " : "",
                   data_texts[ferry_state_data(from, to, features)]);
        }
    }
}
