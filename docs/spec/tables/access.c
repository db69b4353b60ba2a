/* SPDX-License-Identifier: BSD-3-Clause */
#include <ctype.h>
#include <stdio.h>

#include "ferry/access.h"
#include "ferry/state.h"
#include "tables.h"

static const char letters[] = { [FERRY_ALLOW] = 'A',
                                [FERRY_REFUSE] = 'R',
                                [FERRY_IGNORE] = 'I',
                                [FERRY_COMPARE] = 'C',
                                [FERRY_LATCH] = 'L' };

static const char *const verdict_texts[] = {
    [FERRY_ALLOW] = "allowed",    [FERRY_REFUSE] = "refused", [FERRY_IGNORE] = "ignored",
    [FERRY_COMPARE] = "compared", [FERRY_LATCH] = "latched",
};

void spec_print_access(void)
{
    printf("```\n%-13s", "");
    for (uint32_t state = 0; state < FERRY_STATE_COUNT; state++) {
        printf(state < FERRY_STATE_COUNT - 1 ? " %-6s" : " %s\n", spec_short_name(state));
    }
    for (uint32_t op = 0; op < FERRY_OP_COUNT; op++) {
        printf("%-13s", ferry_operation_name(op));
        for (uint32_t state = 0; state < FERRY_STATE_COUNT; state++) {
            printf(state < FERRY_STATE_COUNT - 1 ? " %-6c" : " %c\n",
                   letters[ferry_access_get(op, state)->verdict]);
        }
    }
    printf("```\n");
}

static int same(const struct ferry_access *a, const struct ferry_access *b)
{
    return a->verdict == b->verdict && a->read_value == b->read_value &&
           a->rule == b->rule;
}

/* What a read finds is said where it is a read. */
static int is_read(uint32_t op)
{
    return op == FERRY_OP_CONFIG_READ || op == FERRY_OP_MSIX_READ ||
           op == FERRY_OP_REGION_READ;
}

/* That everything works in RUNNING and PRE_COPY is said once, not with each operation. */
static int is_plain(uint32_t op, uint32_t state)
{
    return (state == FERRY_STATE_RUNNING || state == FERRY_STATE_PRE_COPY) &&
           same(ferry_access_get(op, state), ferry_access_get(FERRY_OP_INFO, state));
}

/* One row for the cells of an operation that are as the one of `first`. */
static void print_row(uint32_t op, uint32_t first)
{
    const struct ferry_access *cell = ferry_access_get(op, first);

    printf("| %s | %s", ferry_operation_name(op), ferry_state_name(first));
    for (uint32_t state = first + 1; state < FERRY_STATE_COUNT; state++) {
        if (same(cell, ferry_access_get(op, state))) {
            printf(", %s", ferry_state_name(state));
        }
    }
    printf(" | %s", verdict_texts[cell->verdict]);
    if (is_read(op) && (cell->verdict == FERRY_REFUSE || cell->verdict == FERRY_IGNORE)) {
        printf("; reads as %02x", cell->read_value);
    }
    printf(" | [%s](%s.md#", cell->rule->id, ferry_chapter_name(cell->rule->chapter));
    for (const char *c = cell->rule->id; *c; c++) {
        (void)putchar(tolower((unsigned char)*c));
    }
    printf(") |\n");
}

void spec_print_cells(void)
{
    printf("| operation | states | what happens | rule |\n|---|---|---|---|\n");
    for (uint32_t op = 0; op < FERRY_OP_COUNT; op++) {
        for (uint32_t state = 0; state < FERRY_STATE_COUNT; state++) {
            uint32_t earlier = 0;

            while (earlier < state &&
                   !same(ferry_access_get(op, state), ferry_access_get(op, earlier))) {
                earlier++;
            }
            if (earlier == state && !is_plain(op, state)) {
                print_row(op, state);
            }
        }
    }
}
