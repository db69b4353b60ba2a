/* SPDX-License-Identifier: BSD-3-Clause */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "tests/check/rig/rig.h"

/*
 * One class of mutants: each is caught by exactly the checks that its row names.
 *
 *   test_check_table CLASS            the class's test
 *   test_check_table CLASS "a name"   one mutant of it, telling each case
 *   test_check_table whole            some of each class, over the checks of all classes
 */
#define MUTANTS_MAX 256u

/* Of each class some that only their own checks notice. */
static const char *const whole[] = {
    "denies that it has MIG_DATA_SIZE",
    "loses a byte with each read of one byte",
    "takes zeros for a state",
    "takes a stream that lacks its end",
    "announces 16 bytes",
    "drops writes of config space when it is stopped",
    "refuses DMA maps in STOP_COPY",
    "writes to its peer in RUNNING_P2P",
    "clears the bits of the caller",
    "loses what is in the middle of large pages",
    NULL,
};

struct one {
    const struct mutant_class *class;
    const struct check_mutant *row;
    uint32_t verbose, whole;
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
    const char *only = row->whole || one->whole ? NULL
                       : row->only              ? row->only
                                                : one->class->checks;
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

static void add_row(const struct mutant_class *class, const struct check_mutant *row,
                    struct one *ret_one, struct CMUnitTest *ret_test)
{
    *ret_one = (struct one){ .class = class, .row = row };
    *ret_test = (struct CMUnitTest){ row->name, is_caught_by_exactly_its_checks, NULL,
                                     NULL, ret_one };
}

/* only: NULL, or the name of one. */
static uint32_t add_class(const struct mutant_class *class, const char *only,
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
        add_row(class, row, &one[count], &test[count]);
        one[count++].verbose = only != NULL;
    }
    if (only != NULL && count == 0) {
        fprintf(stderr, "there is no mutant that %s\n", only);
        exit(1);
    }
    return count;
}

static uint32_t add_whole(struct one *one, struct CMUnitTest *test)
{
    uint32_t count = 0;

    for (; whole[count] != NULL; count++) {
        uint32_t found = 0;

        for (const struct mutant_class *c = mutant_classes; c->name != NULL; c++) {
            for (const struct check_mutant *row = c->row; row->name != NULL; row++) {
                if (strcmp(row->name, whole[count]) == 0) {
                    add_row(c, row, &one[count], &test[count]);
                    one[count].whole = ++found;
                }
            }
        }
        if (found != 1) {
            fprintf(stderr, "%u mutants that %s\n", found, whole[count]);
            exit(1);
        }
    }
    return count;
}

int main(int argc, char **argv)
{
    static struct one one[MUTANTS_MAX];
    static struct CMUnitTest test[MUTANTS_MAX];
    const struct mutant_class *class = mutant_classes;
    const char *name = argc > 1 ? argv[1] : "";
    uint32_t count;
    int failed;

    while (class->name != NULL && strcmp(class->name, name) != 0) {
        class ++;
    }
    if (strcmp(name, "whole") == 0) {
        count = add_whole(one, test);
    } else if (class->name != NULL) {
        count = add_class(class, argc > 2 ? argv[2] : NULL, one, test);
    } else {
        fprintf(stderr, "a class of mutants must be named\n");
        return 1;
    }
    failed = _cmocka_run_group_tests(name, test, count, NULL, NULL);
    for (uint32_t i = 0; i < count; i++) {
        printf("%6.2f s  %s\n", one[i].seconds, one[i].row->name);
    }
    return failed != 0;
}
