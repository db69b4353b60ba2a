/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef FERRY_CORE_RULES_RULES_H
#define FERRY_CORE_RULES_RULES_H

#include "ferry/access.h"

/*
 * Index of a rule that a cell of the access table names, in ferry_rules_access; rules
 * that no cell names stand behind them, without an index.
 */
enum ferry_access_rule {
    FERRY_RULE_RUN_1 = 0,
    FERRY_RULE_PRE_1,
    FERRY_RULE_PRE_2,
    FERRY_RULE_P2P_1,
    FERRY_RULE_P2P_2,
    FERRY_RULE_P2P_3,
    FERRY_RULE_P2P_4,
    FERRY_RULE_P2P_5,
    FERRY_RULE_P2P_6,
    FERRY_RULE_STOP_1,
    FERRY_RULE_STOP_2,
    FERRY_RULE_STOP_3,
    FERRY_RULE_STOP_4,
    FERRY_RULE_STOP_5,
    FERRY_RULE_STOP_6,
    FERRY_RULE_RES_1,
    FERRY_RULE_RES_2,
    FERRY_RULE_RES_3,
    FERRY_RULE_RES_4,
    FERRY_RULE_DATA_1,
    FERRY_RULE_DATA_2,
    FERRY_RULE_DATA_3,
    FERRY_RULE_DATA_4,
    FERRY_RULE_ERR_1,
    FERRY_RULE_ERR_2,
    FERRY_RULE_ERR_3,
    FERRY_RULE_INFO_1,
    FERRY_RULE_IRQ_1,
    FERRY_RULE_MAP_1,
    FERRY_RULE_LOG_1,
    FERRY_RULE_RST_1,
    FERRY_RULE_RST_2,
    FERRY_RULE_PM_1,
    FERRY_RULE_BUF_1,
    FERRY_RULE_PRI_1,
    FERRY_RULE_ACCESS_COUNT
};

/*
 * The specification's rules, one table per source file; ferry_rule_get() walks them in
 * this order. A table ends with the first row without an id. The manual prints the rows:
 * text and why are sentences. source is "uAPI v2" (or "uAPI v1") for what the text of
 * linux/vfio.h says or Linux's VFIO core does, else "Ferry". chapter: where the manual
 * shows the rule.
 */
extern const struct ferry_rule ferry_rules_access[];
extern const struct ferry_rule ferry_rules_state[];
extern const struct ferry_rule ferry_rules_data[];
extern const struct ferry_rule ferry_rules_dirty[];
extern const struct ferry_rule ferry_rules_session[];
extern const struct ferry_rule ferry_rules_interrupts[];
extern const struct ferry_rule ferry_rules_v1[];
extern const struct ferry_rule ferry_rules_stream[];

#endif
