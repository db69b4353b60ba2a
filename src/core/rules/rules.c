/* SPDX-License-Identifier: BSD-3-Clause */
#include "core/rules/rules.h"

static const struct ferry_rule *const tables[] = {
    ferry_rules_access,  ferry_rules_state,      ferry_rules_data, ferry_rules_dirty,
    ferry_rules_session, ferry_rules_interrupts, ferry_rules_v1,   ferry_rules_stream,
};

static const char *const chapter_names[FERRY_CHAPTER_COUNT] = {
    [FERRY_CHAPTER_STATES] = "states",       [FERRY_CHAPTER_ACCESS] = "access",
    [FERRY_CHAPTER_PEERS] = "peers",         [FERRY_CHAPTER_CONTENT] = "content",
    [FERRY_CHAPTER_DATA] = "data",           [FERRY_CHAPTER_PRE_COPY] = "pre-copy",
    [FERRY_CHAPTER_DIRTY] = "dirty",         [FERRY_CHAPTER_INTERRUPTS] = "interrupts",
    [FERRY_CHAPTER_PAGES] = "page-requests", [FERRY_CHAPTER_RESET] = "reset",
    [FERRY_CHAPTER_MIGRATION] = "migration", [FERRY_CHAPTER_V1] = "v1",
    [FERRY_CHAPTER_STREAM] = "stream",
};

const struct ferry_rule *ferry_rule_get(size_t i)
{
    const struct ferry_rule *rule;
    size_t table;

    for (table = 0; table < sizeof(tables) / sizeof(tables[0]); table++) {
        for (rule = tables[table]; rule->id; rule++) {
            if (i == 0) {
                return rule;
            }
            i--;
        }
    }
    return NULL;
}

const char *ferry_chapter_name(uint32_t chapter)
{
    if (chapter >= FERRY_CHAPTER_COUNT || !chapter_names[chapter]) {
        return "?";
    }
    return chapter_names[chapter];
}
