/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef FERRY_CHECK_CLASSES_H
#define FERRY_CHECK_CLASSES_H

#include "check/check.h"

/* The table of each file of checks; table.c lists them. */
extern const struct check check_state_arcs[];
extern const struct check check_data_ends[];
extern const struct check check_data_cut[];
extern const struct check check_access_cells[];

#endif
