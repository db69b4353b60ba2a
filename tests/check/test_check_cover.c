/* SPDX-License-Identifier: BSD-3-Clause */
#include <fnmatch.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "tests/check/rig/rig.h"

/*
 * The table check x mutant has no gap: whether the mutants are caught as it says is
 * tested class by class.
 */

static int in_class(const struct mutant_class *class, const char *id)
{
    const char *at = class->checks;

    while (*at != '\0') {
        const size_t length = strcspn(at, " ");
        char pattern[64];

        snprintf(pattern, sizeof(pattern), "%.*s", (int)length, at);
        if (fnmatch(pattern, id, 0) == 0) {
            return 1;
        }
        at += length + (at[length] == ' ');
    }
    return 0;
}

static const struct mutant_class *class_of(const char *id)
{
    const struct mutant_class *class = mutant_classes;

    while (class->name != NULL && !in_class(class, id)) {
        class ++;
    }
    return class->name != NULL ? class : NULL;
}

static void every_check_is_in_one_class(void **state)
{
    uint32_t wrong = 0;

    (void)state;
    for (uint32_t i = 0; ferry_check_get(i) != NULL; i++) {
        uint32_t count = 0;

        for (const struct mutant_class *c = mutant_classes; c->name != NULL; c++) {
            count += (uint32_t)in_class(c, ferry_check_get(i)->id);
        }
        if (count != 1) {
            print_error("    in %u classes: %s\n", count, ferry_check_get(i)->id);
            wrong++;
        }
    }
    assert_int_equal(wrong, 0);
}

/* Mutants that must be caught by the check, in a run that has it. */
static uint32_t mutants_of(const char *id, int print)
{
    uint32_t count = 0;

    for (const struct mutant_class *c = mutant_classes; c->name != NULL; c++) {
        for (const struct check_mutant *row = c->row; row->name != NULL; row++) {
            if (rig_names(row->caught_by, id)) {
                if (print) {
                    printf("  %s %s\n", count == 0 ? id : "", row->name);
                }
                count++;
            }
        }
    }
    return count;
}

static void every_check_has_a_mutant_that_it_catches(void **state)
{
    uint32_t missing = 0;

    (void)state;
    for (uint32_t i = 0; ferry_check_get(i) != NULL; i++) {
        if (mutants_of(ferry_check_get(i)->id, 0) == 0) {
            print_error("    caught by nothing: %s\n", ferry_check_get(i)->id);
            missing++;
        }
    }
    assert_int_equal(missing, 0);
}

static void every_mutant_is_named_once(void **state)
{
    (void)state;
    for (const struct mutant_class *c = mutant_classes; c->name != NULL; c++) {
        for (const struct check_mutant *a = c->row; a->name != NULL; a++) {
            assert_non_null(a->breaks);
            for (const struct check_mutant *b = c->row; b != a; b++) {
                assert_string_not_equal(a->name, b->name);
            }
        }
    }
}

static void print_table(void)
{
    uint32_t checks = 0, mutants = 0;

    for (; ferry_check_get(checks) != NULL; checks++) {
        const char *id = ferry_check_get(checks)->id;
        const struct mutant_class *class = class_of(id);

        printf("%s %s (%s)\n", class != NULL ? class->name : "?", id,
               ferry_check_get(checks)->rule);
        (void)mutants_of(id, 1);
    }
    for (const struct mutant_class *c = mutant_classes; c->name != NULL; c++) {
        for (const struct check_mutant *row = c->row; row->name != NULL; row++) {
            mutants++;
        }
    }
    printf("%u checks, %u mutants\n", checks, mutants);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_check_is_in_one_class),
        cmocka_unit_test(every_check_has_a_mutant_that_it_catches),
        cmocka_unit_test(every_mutant_is_named_once),
    };

    print_table();
    return cmocka_run_group_tests(tests, NULL, NULL);
}
