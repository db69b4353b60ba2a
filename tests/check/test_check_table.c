/* SPDX-License-Identifier: BSD-3-Clause */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "rig.h"

/*
 * One class of mutants: each is caught by exactly the checks that its row names.
 *
 *   test_check_table CLASS            the class's test
 *   test_check_table CLASS "a name"   one mutant of it, telling each case
 */
#define MUTANTS_MAX 256u

struct one {
    const struct mutant_class *class;
    const struct check_mutant *row;
    uint32_t verbose;
    double seconds;
};

static void print_surprise(const char *what, const struct ferry_check_info *info,
                           const struct ferry_check_result *result)
{
    print_error("    %s: %s[%s]: expected %s, seen %s\n", what, info->id, result->name,
                result->expected, result->seen);
}

/* Why did a check that must catch it not? */
static void print_miss(const struct ferry_check_info *info,
                       const struct rig_verdict *verdict)
{
    print_error("    not caught by %s: %u passed, %u skipped (%s), %u broken (%s)\n",
                info->id, verdict->passed, verdict->skipped, verdict->first_skipped.seen,
                verdict->broken, verdict->first_broken.seen);
}

static uint32_t judge(const struct check_mutant *row, const struct rig_run *run)
{
    uint32_t wrong = 0;

    for (uint32_t i = 0; i < run->count; i++) {
        const struct ferry_check_info *info = ferry_check_get(i);
        const struct rig_verdict *verdict = &run->verdict[i];
        const int must = rig_names(row->caught_by, info->id);
        const int may = must || rig_names(row->also, info->id);

        if (verdict->failed > 0 && !may) {
            print_surprise("fails as well", info, &verdict->first_failed);
            wrong++;
        } else if (verdict->failed == 0 && must) {
            print_miss(info, verdict);
            wrong++;
        }
    }
    return wrong;
}

/* A name that no check has would never be missed. */
static uint32_t unknown(const char *ids)
{
    uint32_t count = 0;

    while (ids != NULL && *ids != '\0') {
        const size_t length = strcspn(ids, " ");

        if (length > 0 && rig_find(ids, length) == RIG_CHECKS_MAX) {
            print_error("    there is no check %.*s\n", (int)length, ids);
            count++;
        }
        ids += length + (ids[length] == ' ');
    }
    return count;
}

static void is_caught_by_exactly_its_checks(void **state)
{
    struct one *one = *state;
    const struct check_mutant *row = one->row;
    struct rig_run *run = calloc(1, sizeof(*run));
    const char *only = row->whole ? NULL : row->only ? row->only : one->class->checks;
    uint32_t wrong;

    assert_non_null(run);
    assert_non_null(row->caught_by);
    assert_non_null(row->breaks);
    run->verbose = one->verbose;
    assert_int_equal(rig_check(row, only, run), FERRY_OK);
    wrong = judge(row, run) + unknown(row->caught_by) + unknown(row->also);
    one->seconds = run->seconds;
    free(run);
    assert_int_equal(wrong, 0);
}

static uint32_t add_rows(const struct mutant_class *class, const char *only,
                         struct one *one, struct CMUnitTest *test)
{
    uint32_t count = 0;

    for (const struct check_mutant *row = class->row; row->name != NULL; row++) {
        if (only != NULL && strcmp(only, row->name) != 0) {
            continue;
        }
        if (count == MUTANTS_MAX) {
            fprintf(stderr, "more than %u mutants\n", MUTANTS_MAX);
            exit(1);
        }
        one[count] = (struct one){ class, row, only != NULL, 0 };
        test[count] = (struct CMUnitTest){ row->name, is_caught_by_exactly_its_checks,
                                           NULL, NULL, &one[count] };
        count++;
    }
    return count;
}

int main(int argc, char **argv)
{
    static struct one one[MUTANTS_MAX];
    static struct CMUnitTest test[MUTANTS_MAX];
    const struct mutant_class *class = mutant_classes;
    uint32_t count;
    int failed;

    while (class->name != NULL && argc > 1 && strcmp(class->name, argv[1]) != 0) {
        class ++;
    }
    if (argc < 2 || class->name == NULL) {
        fprintf(stderr, "a class of mutants must be named\n");
        return 1;
    }
    count = add_rows(class, argc > 2 ? argv[2] : NULL, one, test);
    if (argc > 2 && count == 0) {
        fprintf(stderr, "no mutant of that name\n");
        return 1;
    }
    failed = _cmocka_run_group_tests(class->name, test, count, NULL, NULL);
    for (uint32_t i = 0; i < count; i++) {
        printf("%6.2f s  %s\n", one[i].seconds, one[i].row->name);
    }
    return failed != 0;
}
