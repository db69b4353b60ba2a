/* SPDX-License-Identifier: BSD-3-Clause */
#include <stdlib.h>

#include "cli/check/checker.h"

/* TAP 13, as it comes: each case is a test point. */

/* The directive of a failure that is known; as one word it would be a note to us. */
static const char known[] = " # TO"
                            "DO ";

/* A number sign would begin a directive. */
static void put_text(const char *text)
{
    for (; *text != '\0'; text++) {
        if (*text == '#' || *text == '\\') {
            putchar('\\');
        }
        putchar(*text);
    }
}

/* A YAML scalar in double quotes. */
static void put_member(const char *name, const char *text)
{
    printf("  %s: \"", name);
    for (; *text != '\0'; text++) {
        if (*text == '"' || *text == '\\') {
            putchar('\\');
        }
        putchar(*text);
    }
    puts("\"");
}

void tap_begin(const struct checker *checker)
{
    if (checker->args->tap) {
        puts("TAP version 13");
        fflush(stdout);
    }
}

static void put_details(const struct checker *checker,
                        const struct ferry_check_result *found)
{
    char *again = checker_again(checker->args, found);

    puts("  ---");
    put_member("rule", found->check->rule);
    put_member("profile", checker_profile_name(found->check->profile));
    put_member("verdict", checker_verdict_name(found->verdict));
    if (found->expected[0] != '\0') {
        put_member("expected", found->expected);
    }
    put_member("seen", found->seen);
    put_member("again", again != NULL ? again : "");
    puts("  ...");
    free(again);
}

void tap_result(const struct checker *checker, const struct checker_result *result)
{
    const struct ferry_check_result *found = &result->found;
    const int fails = checker_is_finding(found);
    char name[CHECKER_PATTERN_BYTES];

    if (!checker->args->tap) {
        return;
    }
    printf("%sok %zu - ", fails ? "not " : "", checker->count);
    put_text(checker_case_name(found, name));
    printf(" %s", found->check->rule);
    if (found->looked_ms != 0 && !fails) {
        printf(", looked for %u ms", found->looked_ms);
    }
    if (result->waived != NULL) {
        fputs(known, stdout);
        put_text(result->waived->reason);
    } else if (found->verdict == FERRY_CHECK_SKIP) {
        fputs(" # SKIP ", stdout);
        put_text(found->seen);
    }
    putchar('\n');
    if (fails) {
        put_details(checker, found);
    }
    fflush(stdout);
}

void tap_end(const struct checker *checker)
{
    if (!checker->args->tap) {
        return;
    }
    if (checker->end == CHECKER_DONE) {
        printf("1..%zu\n", checker->count);
    } else {
        printf("Bail out! %s", checker_end_text(checker));
        if (checker->end == CHECKER_ERROR) {
            printf(": %s", checker->error.text[0] != '\0'
                               ? checker->error.text
                               : ferry_status_text(checker->error.code));
        }
        putchar('\n');
    }
    fflush(stdout);
}
