/* SPDX-License-Identifier: BSD-3-Clause */
#include "core/rules/rules.h"

/* The migration region of Linux 5.8 to 5.17 and its translation. */
const struct ferry_rule ferry_rules_v1[] = {
    { 0 },
};
