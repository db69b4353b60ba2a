/* SPDX-License-Identifier: BSD-3-Clause */
#include "core/rules/rules.h"

/* A device's data: validity, estimates, pre-copy. */
const struct ferry_rule ferry_rules_data[] = {
    { 0 },
};
