/* SPDX-License-Identifier: BSD-3-Clause */
#include "core/rules/rules.h"

/* Logging of what a device writes. */
const struct ferry_rule ferry_rules_dirty[] = {
    { 0 },
};
