/* SPDX-License-Identifier: BSD-3-Clause */
#include "mutants.h"

/* What breaks the rules of accesses, interrupts, peers and concurrency. */

const struct check_mutant mutants_access[] = {
    { .name = NULL },
};
