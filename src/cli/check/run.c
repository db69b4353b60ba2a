/* SPDX-License-Identifier: BSD-3-Clause */
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "cli/check/checker.h"

#define NS_PER_MS 1000000ull
#define NS_PER_S 1000000000ull

/* For the signal handler. */
static volatile sig_atomic_t interrupted;

static void on_signal(int number)
{
    static const char text[] =
        "\nferry check: ending after this case; once more ends it at once\n";

    (void)number;
    interrupted = 1;
    if (write(STDERR_FILENO, text, sizeof(text) - 1) < 0) {
        return; /* nobody listens */
    }
}

static void install_signals(void)
{
    struct sigaction action;

    memset(&action, 0, sizeof(action));
    action.sa_handler = on_signal;
    action.sa_flags = (int)SA_RESETHAND | SA_RESTART;
    (void)sigaction(SIGINT, &action, NULL);
    (void)sigaction(SIGTERM, &action, NULL);
}

static uint64_t now_ns(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * NS_PER_S + (uint64_t)now.tv_nsec;
}

/* Return: the new last result; NULL when there is no room. */
static struct checker_result *add_result(struct checker *checker)
{
    const size_t cap = checker->cap == 0 ? 256 : 2 * checker->cap;
    struct checker_result *more;

    if (checker->count == CHECKER_RESULTS_MAX) {
        return NULL;
    }
    if (checker->count == checker->cap) {
        more = realloc(checker->result, cap * sizeof(*more));
        if (more == NULL) {
            return NULL;
        }
        checker->result = more;
        checker->cap = cap;
    }
    return &checker->result[checker->count++];
}

/* A device that lets each case run into the time limit would take hours. */
static int hangs(struct checker *checker, const struct ferry_check_result *found)
{
    const uint32_t limit_ms =
        checker->args->timeout_ms != 0 ? checker->args->timeout_ms : CHECKER_TIMEOUT_MS;
    const int overdue =
        checker_is_finding(found) && found->duration_ns >= limit_ms * NS_PER_MS;

    checker->hung = overdue ? checker->hung + 1 : 0;
    checker->overdue += overdue != 0;
    return checker->hung == CHECKER_HUNG_MAX || checker->overdue == CHECKER_OVERDUE_MAX;
}

static void on_begin(void *user, const struct ferry_check_info *check, const char *name)
{
    progress_check(user, check, name);
}

static int on_result(void *user, const struct ferry_check_result *found)
{
    struct checker *checker = user;
    struct checker_result *result = add_result(checker);

    if (result == NULL) {
        checker->end = CHECKER_FULL;
        return 1;
    }
    result->found = *found;
    checker_clean(result->found.name);
    checker_clean(result->found.expected);
    checker_clean(result->found.seen);
    result->waived = checker_waive(checker, &result->found);
    for (size_t i = 0; i < checker->args->pattern_count; i++) {
        checker->pattern_uses[i] += checker_means(checker->args->pattern[i], found) != 0;
    }
    if (found->check != checker->at) {
        progress_check(checker, found->check, found->name); /* it never began */
    }
    tap_result(checker, result);
    if (interrupted) {
        checker->end = CHECKER_CANCELLED;
    } else if (hangs(checker, found)) {
        checker->end = CHECKER_HUNG;
    }
    return checker->end != CHECKER_DONE;
}

/* The patterns between spaces; Return: malloc, NULL without any. */
static char *join_patterns(const struct checker_args *args)
{
    char *text = NULL;
    size_t bytes = 0;
    FILE *out = args->pattern_count > 0 ? open_memstream(&text, &bytes) : NULL;

    if (out == NULL) {
        return NULL;
    }
    for (size_t i = 0; i < args->pattern_count; i++) {
        fprintf(out, "%s%s", i > 0 ? " " : "", args->pattern[i]);
    }
    fclose(out);
    return text;
}

/* 1 when --rule and --profile leave something of the pattern. */
static int is_left(const struct checker_args *args, const char *pattern)
{
    const struct ferry_check_info *info;

    for (size_t i = 0; (info = ferry_check_get(i)) != NULL; i++) {
        if (ferry_check_matches(pattern, info, NULL) && checker_wants(args, info)) {
            return 1;
        }
    }
    return 0;
}

/* A pattern that picks nothing is a mistake that must not look like success. */
static int check_patterns(const struct checker *checker)
{
    for (size_t i = 0; i < checker->args->pattern_count; i++) {
        if (checker->pattern_uses[i] == 0 && checker->end == CHECKER_DONE &&
            is_left(checker->args, checker->args->pattern[i])) {
            print_error("check", NULL, "--check '%s': this device has no such case",
                        checker->args->pattern[i]);
            return EXIT_USAGE;
        }
    }
    return EXIT_OK;
}

int checker_run(struct checker *checker)
{
    const struct checker_args *args = checker->args;
    char *only = join_patterns(args);
    const struct ferry_check_options options = {
        .struct_size = sizeof(options),
        .device = checker->device.target,
        .partner = checker->partner.target,
        .foreign = checker->foreign.target,
        .driver = checker->driver.struct_size != 0 ? &checker->driver : NULL,
        .profile = args->profile,
        .allowed = args->allowed,
        .timeout_ms = args->timeout_ms,
        .look_ms = args->look_ms,
        .only = only,
        .rule = args->rule,
        .begin = on_begin,
        .result = on_result,
        .user = checker,
    };
    const uint64_t begun = now_ns();
    int status;

    install_signals();
    tap_begin(checker);
    progress_begin(checker);
    status = ferry_check_run(&options, &checker->summary, &checker->error);
    progress_close(checker);
    checker->duration_ns = now_ns() - begun;
    free(only);
    if (status < 0 && checker->end == CHECKER_DONE && interrupted) {
        checker->end = CHECKER_CANCELLED;
    } else if (status < 0 && checker->end == CHECKER_DONE) {
        checker->end = CHECKER_ERROR;
        checker->error.code = status;
        checker_clean(checker->error.text);
        print_open_error("check", &checker->error);
    }
    tap_end(checker);
    status = check_patterns(checker);
    return status != EXIT_OK ? status : checker_status(checker);
}

struct checker_tally checker_count(const struct checker *checker,
                                   const struct ferry_check_info *check, uint32_t profile)
{
    struct checker_tally tally = { 0 };

    for (size_t i = 0; i < checker->count; i++) {
        const struct checker_result *result = &checker->result[i];
        const struct ferry_check_result *found = &result->found;

        if ((check != NULL && found->check != check) ||
            (profile != 0 && found->check->profile != profile)) {
            continue;
        }
        tally.waived += result->waived != NULL;
        tally.passed += found->verdict == FERRY_CHECK_PASS;
        tally.skipped += found->verdict == FERRY_CHECK_SKIP;
        tally.failed += found->verdict == FERRY_CHECK_FAIL && result->waived == NULL;
        tally.broken += found->verdict == FERRY_CHECK_BROKEN && result->waived == NULL;
    }
    return tally;
}

int checker_status(const struct checker *checker)
{
    static const int of_profile[] = { EXIT_FAILED, EXIT_REQUIRED, EXIT_EXPECTED };

    if (checker->end == CHECKER_CANCELLED) {
        return EXIT_CANCELLED;
    }
    if (checker->end == CHECKER_ERROR) {
        /* A server that refuses us: no mistake of our user, and no word on the device. */
        return strcmp(checker->error.layer, "link") == 0    ? EXIT_FAILED
               : checker->error.code == FERRY_E_UNSUPPORTED ? EXIT_REFUSED
               : checker->error.code == FERRY_E_ARGUMENT    ? EXIT_USAGE
                                                            : EXIT_FAILED;
    }
    for (uint32_t i = FERRY_CHECK_REQUIRED; i <= FERRY_CHECK_EXPECTED; i++) {
        if (checker_count(checker, NULL, i).failed > 0) {
            return of_profile[i];
        }
    }
    if (checker->end != CHECKER_DONE || checker_count(checker, NULL, 0).broken > 0) {
        return EXIT_FAILED;
    }
    return checker_count(checker, NULL, 0).failed > 0 ? EXIT_RECOMMENDED : EXIT_OK;
}

const char *checker_end_text(const struct checker *checker)
{
    static const char *const text[] = {
        "",
        "ended by the user: not all was checked",
        "ended: the device lets one request after the other run into the time limit",
        "ended: there is no memory for more results",
        "the device could not be checked",
    };

    return text[checker->end];
}
