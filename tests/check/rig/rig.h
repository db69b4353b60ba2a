/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef FERRY_TESTS_CHECK_RIG_RIG_H
#define FERRY_TESTS_CHECK_RIG_RIG_H

#include <stddef.h>
#include <stdint.h>

#include "ferry/check.h"
#include "tests/check/rig/mutant.h"

/* Makes the devices of a row and runs checks over them. */

#define RIG_CHECKS_MAX 512u

/* How the cases of one check ended. */
struct rig_verdict {
    uint32_t passed, failed, skipped, broken;
    struct ferry_check_result first_failed, first_broken, first_skipped;
};

struct rig_run {
    struct ferry_check_summary summary;
    struct rig_verdict verdict[RIG_CHECKS_MAX]; /* by number of ferry_check_get() */
    uint32_t count;                             /* checks that there are */
    uint32_t verbose;                           /* in: prints each case */
    double seconds;
};

/*
 * Runs the checks that `only` names over a device of the row, with a second one and a
 * foreign one. The row may have no hooks: the unbroken model.
 * Return: what ferry_check_run() returned; asserts that the devices can be made.
 */
int rig_check(const struct check_mutant *row, const char *only, struct rig_run *run);

/* The number of a check, or RIG_CHECKS_MAX. length: of id, which need not be ended. */
uint32_t rig_find(const char *id, size_t length);

/* Is the check's identifier among these, between spaces? NULL: no. */
int rig_names(const char *ids, const char *id);

#endif
