/* SPDX-License-Identifier: BSD-3-Clause */
#include <stdio.h>

#include "ferry/access.h"
#include "ferry/check.h"
#include "tables.h"

static const char *const profile_names[] = {
    [FERRY_CHECK_REQUIRED] = "required",
    [FERRY_CHECK_EXPECTED] = "expected",
    [FERRY_CHECK_RECOMMENDED] = "recommended",
};

void spec_print_rules(void)
{
    const struct ferry_rule *rule;

    for (size_t i = 0; (rule = ferry_rule_get(i)) != NULL; i++) {
        printf("%s\t%s\t%u\t%s\t%s\t%s\n", rule->id, ferry_chapter_name(rule->chapter),
               rule->enforced, rule->source, rule->text, rule->why);
    }
}

void spec_print_checks(void)
{
    const struct ferry_check_info *check;

    for (size_t i = 0; (check = ferry_check_get(i)) != NULL; i++) {
        printf("%s\t%s\t%s\t%s\n", check->id, check->rule, profile_names[check->profile],
               check->title);
    }
}

static const struct {
    const char *name;
    void (*print)(void);
} blocks[] = {
    { "states", spec_print_states },
    { "arcs", spec_print_arcs },
    { "short names", spec_print_short_names },
    { "access", spec_print_access },
    { "cells", spec_print_cells },
    { "v1 states", spec_print_v1_states },
    { "rules", spec_print_rules },
    { "checks", spec_print_checks },
};

static const struct {
    const char *name;
    void (*print)(uint32_t features);
} blocks_of_features[] = {
    { "next", spec_print_next },
    { "pairs", spec_print_pairs },
    { "v1 paths", spec_print_v1_paths },
};

int main(void)
{
    for (size_t i = 0; i < sizeof(blocks) / sizeof(blocks[0]); i++) {
        printf("@@ %s\n", blocks[i].name);
        blocks[i].print();
    }
    for (size_t i = 0; i < sizeof(blocks_of_features) / sizeof(blocks_of_features[0]);
         i++) {
        for (int f = 0; f < SPEC_FEATURES; f++) {
            printf("@@ %s features=%u\n", blocks_of_features[i].name, spec_features[f]);
            blocks_of_features[i].print(spec_features[f]);
        }
    }
    return fflush(stdout) == 0 && !ferror(stdout) ? 0 : 1;
}
