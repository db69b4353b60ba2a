/* SPDX-License-Identifier: BSD-3-Clause */
#include "mutants.h"

/* What breaks the rules of the migration region of uAPI v1. */

const struct check_mutant mutants_v1[] = {
    { .name = NULL },
};
