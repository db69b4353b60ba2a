/* SPDX-License-Identifier: BSD-3-Clause */
#include "mutants.h"

/* What breaks the rules of streams, their validation, sizes and pre-copy. */

const struct check_mutant mutants_data[] = {
    { .name = NULL },
};
