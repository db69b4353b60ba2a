/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef FERRY_CHECK_CLASSES_H
#define FERRY_CHECK_CLASSES_H

#include "check/check.h"

/* The table of each file of checks; table.c lists them. */
extern const struct check check_state_arcs[], check_state_forbidden[],
    check_state_failed[], check_state_session[], check_state_features[],
    check_state_messages[], check_state_cancel[], check_state_reset[],
    check_state_reopen[];
extern const struct check check_data_ends[];
extern const struct check check_data_socket[];
extern const struct check check_data_info[];
extern const struct check check_data_precopy[];
extern const struct check check_data_sizes[];
extern const struct check check_data_equal[];
extern const struct check check_data_again[];
extern const struct check check_data_origin[];
extern const struct check check_data_cut[];
extern const struct check check_data_whole[];
extern const struct check check_data_damage[];
extern const struct check check_access_cells[];
extern const struct check check_access_external[];
extern const struct check check_access_irq_set[];
extern const struct check check_access_irq_pending[];
extern const struct check check_access_quiet[];
extern const struct check check_access_peers[];
extern const struct check check_access_race[];
extern const struct check check_access_race_set[];
extern const struct check check_dirty_start[], check_dirty_report[], check_dirty_pages[],
    check_dirty_keep[];
extern const struct check check_v1_region[], check_v1_data[];

#endif
