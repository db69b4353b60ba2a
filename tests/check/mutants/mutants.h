/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef FERRY_TESTS_CHECK_MUTANTS_MUTANTS_H
#define FERRY_TESTS_CHECK_MUTANTS_MUTANTS_H

#include "tests/check/rig/mutant.h"
#include "tests/check/rig/wire.h"

/* The rows of each class, ended by one without name; mutants.c lists them. */
extern const struct check_mutant mutants_state[], mutants_reset[], mutants_data[],
    mutants_precopy[], mutants_load[], mutants_socket[], mutants_access[],
    mutants_quiet[], mutants_peers[], mutants_dirty[], mutants_v1[], mutants_history[],
    mutants_nic[];

#endif
