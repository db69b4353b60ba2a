/* SPDX-License-Identifier: BSD-3-Clause */
#include "core/rules/rules.h"

/* Changes of state: arcs, data sessions, cancellation, reset. */
const struct ferry_rule ferry_rules_state[] = {
    {
        .id = "MIG-ARC-1",
        .text = "A change of state takes the shortest way over the basic arcs; among "
                "equals the one with the fewest saving states inside.",
        .why = "Both sides and the device must walk the same way.",
        .source = "uAPI v2",
        .chapter = FERRY_CHAPTER_STATES,
        .enforced = 1,
    },
    { 0 },
};
