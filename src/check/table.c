/* SPDX-License-Identifier: BSD-3-Clause */
#include "check/check.h"

#include "check/classes.h"

/* In the order in which they run: what others build on comes first. */
/* clang-format off */
const struct check_class check_classes[] = {
    { check_state_features },
    { check_state_messages },
    { check_state_arcs },
    { check_state_forbidden },
    { check_state_failed },
    { check_state_session },
    { check_state_cancel },
    { check_state_reset },
    { check_state_reopen },
    { check_data_ends },
    { check_data_cut },
    { check_data_whole },
    { check_data_damage },
    { check_data_origin },
    { check_data_again },
    { check_data_equal },
    { check_data_sizes },
    { check_data_precopy },
    { check_data_info },
    { check_data_socket },
    { check_access_cells },
    { check_access_external },
    { check_access_irq_set },
    { check_access_irq_pending },
    { check_access_quiet },
    { check_access_peers },
    { check_access_race },
    { check_access_race_set },
    { check_dirty_start },
    { check_dirty_report },
    { check_dirty_pages },
    { check_dirty_keep },
    { check_v1_region },
    { check_v1_data },
    { NULL },
};
/* clang-format on */

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
