/* SPDX-License-Identifier: BSD-3-Clause */
#include "mutants.h"

/* What breaks the rules of the DMA log. */

const struct check_mutant mutants_dirty[] = {
    { .name = NULL },
};
