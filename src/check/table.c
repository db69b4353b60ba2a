/* SPDX-License-Identifier: BSD-3-Clause */
#include "check/check.h"

#include "check/classes.h"

/* In the order in which they run: what others build on comes first. */
const struct check_class check_classes[] = {
    { check_state_arcs },
    { check_data_ends },
    { check_data_cut },
    { check_access_cells },
    { NULL },
};

const struct ferry_check_info *ferry_check_get(size_t i)
{
    for (const struct check_class *class = check_classes; class->check; class ++) {
        for (const struct check *check = class->check; check->info.id; check++) {
            if (i-- == 0) {
                return &check->info;
            }
        }
    }
    return NULL;
}
