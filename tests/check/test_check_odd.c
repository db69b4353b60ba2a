/* SPDX-License-Identifier: BSD-3-Clause */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "tests/check/odd/odd.h"
#include "tests/check/rig/rig.h"

/*
 * Devices that are other than Ferry's and conform all the same: no check that the text
 * of the uAPI demands may fail for them, and of the others only those that the row names
 * in `also`, since the device really lacks what they recommend.
 *
 *   test_check_odd           all of them
 *   test_check_odd WORD      those whose name has it, telling each case
 */

static uint32_t verbose;

static void judge(const struct check_mutant *row, const struct ferry_check_info *info,
                  const struct rig_verdict *verdict, uint32_t *wrong)
{
    const int may =
        info->profile != FERRY_CHECK_REQUIRED && rig_names(row->also, info->id);

    if (verdict->failed > 0 && !may) {
        print_error("    wronged: %s[%s]: expected %s, seen %s\n", info->id,
                    verdict->first_failed.name, verdict->first_failed.expected,
                    verdict->first_failed.seen);
        ++*wrong;
    }
    if (verdict->broken > 0) {
        print_error("    not tried: %s[%s]: %s\n", info->id, verdict->first_broken.name,
                    verdict->first_broken.seen);
        ++*wrong;
    }
    if (verdict->failed == 0 && rig_names(row->also, info->id)) {
        print_error("    does not fail: %s\n", info->id);
        ++*wrong;
    }
}

static void is_not_wronged(void **state)
{
    const struct check_mutant *row = *state;
    struct rig_run *run = calloc(1, sizeof(*run));
    uint32_t wrong = 0;

    assert_non_null(run);
    run->verbose = verbose;
    assert_int_equal(rig_check(row, row->only, run), FERRY_OK);
    for (uint32_t i = 0; i < run->count; i++) {
        judge(row, ferry_check_get(i), &run->verdict[i], &wrong);
    }
    print_message("    %u passed, %u skipped, %.2f s\n", run->summary.passed,
                  run->summary.skipped, run->seconds);
    assert_true(run->summary.passed > 0);
    free(run);
    assert_int_equal(wrong, 0);
}

int main(int argc, char **argv)
{
    static struct check_mutant row[ODD_MAX];
    struct CMUnitTest test[ODD_MAX];
    size_t count = 0;

    for (size_t i = 0; odd_devices[i].name != NULL; i++) {
        if (i == ODD_MAX) {
            fprintf(stderr, "more than %u devices\n", ODD_MAX);
            return 1;
        }
        row[i] = odd_devices[i];
        if (argc < 2 || strstr(row[i].name, argv[1]) != NULL) {
            test[count++] =
                (struct CMUnitTest){ row[i].name, is_not_wronged, NULL, NULL, &row[i] };
        }
    }
    verbose = argc > 1;
    return _cmocka_run_group_tests("legal oddities", test, count, NULL, NULL) != 0;
}
