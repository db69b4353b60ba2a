/* SPDX-License-Identifier: BSD-3-Clause */
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "check/check.h"

/* What a check says of its case. The first word stands. */
__attribute__((format(printf, 4, 0))) static void say(struct check_run *run,
                                                      uint32_t verdict,
                                                      const char *expected,
                                                      const char *seen, va_list list)
{
    struct ferry_check_result *result = run->result;

    if (result->verdict != 0) {
        return;
    }
    result->verdict = verdict;
    snprintf(result->expected, sizeof(result->expected), "%s", expected);
    vsnprintf(result->seen, sizeof(result->seen), seen, list);
}

int check_that(struct check_run *run, int condition, const char *expected,
               const char *seen, ...)
{
    va_list list;

    if (!condition) {
        va_start(list, seen);
        say(run, FERRY_CHECK_FAIL, expected, seen, list);
        va_end(list);
    }
    return condition;
}

int check_ok(struct check_run *run, int status, const char *what)
{
    char expected[sizeof(run->result->expected)];
    char text[160];

    snprintf(expected, sizeof(expected), "%s works", what);
    return check_that(run, status >= 0, expected, "%s",
                      check_status_text(run, status, text));
}

int check_refused(struct check_run *run, int status, const char *what)
{
    char expected[sizeof(run->result->expected)];
    char text[160];

    snprintf(expected, sizeof(expected), "%s is refused at once", what);
    return check_that(run,
                      status < 0 && status != FERRY_E_TIMEOUT && status != FERRY_E_CLOSED,
                      expected, "%s", check_status_text(run, status, text));
}

void check_skip(struct check_run *run, const char *why, ...)
{
    va_list list;

    va_start(list, why);
    say(run, FERRY_CHECK_SKIP, "", why, list);
    va_end(list);
}

int check_broken(struct check_run *run, const char *how, ...)
{
    va_list list;

    va_start(list, how);
    say(run, FERRY_CHECK_BROKEN, "", how, list);
    va_end(list);
    return 0;
}

void check_looked(struct check_run *run, uint32_t ms)
{
    run->result->looked_ms += ms;
}
