/* SPDX-License-Identifier: BSD-3-Clause */
#include <errno.h>
#include <fnmatch.h>
#include <stdlib.h>
#include <string.h>

#include "cli/check/checker.h"

#define BLANKS " \t"

static int wrong(const struct checker *checker, uint32_t line, const char *what)
{
    print_error("check", NULL, "%s:%u: %s", checker->args->waive, line, what);
    return EXIT_USAGE;
}

/* A waiver may be for all checks of a rule. */
static int names_rule(const char *pattern, const struct ferry_check_info *info)
{
    return fnmatch(pattern, info->rule, 0) == 0;
}

static int add(struct checker *checker, uint32_t line, const char *pattern,
               size_t pattern_bytes, const char *reason)
{
    struct checker_waiver *waiver = &checker->waiver[checker->waiver_count];
    const struct ferry_check_info *info;

    *waiver = (struct checker_waiver){ .line = line };
    waiver->pattern = strndup(pattern, pattern_bytes);
    waiver->reason = strdup(reason);
    checker->waiver_count++;
    if (waiver->pattern == NULL || waiver->reason == NULL) {
        return wrong(checker, line, "out of memory");
    }
    checker_clean(waiver->pattern);
    checker_clean(waiver->reason);
    waiver->unknown = 1;
    for (size_t i = 0; (info = ferry_check_get(i)) != NULL && waiver->unknown; i++) {
        waiver->unknown = !ferry_check_matches(waiver->pattern, info, NULL) &&
                          !names_rule(waiver->pattern, info);
    }
    return EXIT_OK;
}

/* "PATTERN REASON", a comment, or nothing. text: without its end of line. */
static int read_line(struct checker *checker, uint32_t line, char *text)
{
    const char *pattern = text + strspn(text, BLANKS);
    const size_t pattern_bytes = strcspn(pattern, BLANKS);
    const char *reason = pattern + pattern_bytes;

    reason += strspn(reason, BLANKS);
    if (pattern[0] == '\0' || pattern[0] == '#') {
        return EXIT_OK;
    }
    if (pattern_bytes >= CHECKER_PATTERN_BYTES) {
        return wrong(checker, line, "the pattern is too long");
    }
    if (reason[0] == '\0') {
        return wrong(checker, line,
                     "a reason is needed behind the pattern: why is it right that this "
                     "fails?");
    }
    if (checker->waiver_count == CHECKER_WAIVERS_MAX) {
        return wrong(checker, line, "too many waivers");
    }
    return add(checker, line, pattern, pattern_bytes, reason);
}

static int read_lines(struct checker *checker, FILE *file)
{
    char text[CHECKER_WAIVER_BYTES];
    size_t all = 0;
    uint32_t line = 0;
    int result = EXIT_OK;

    while (result == EXIT_OK && fgets(text, sizeof(text), file) != NULL) {
        size_t length = strlen(text);

        line++;
        all += length;
        if (length > 0 && text[length - 1] == '\n') {
            text[--length] = '\0';
        } else if (!feof(file)) {
            return wrong(checker, line, "the line is too long, or has a zero byte");
        }
        if (length > 0 && text[length - 1] == '\r') {
            text[--length] = '\0';
        }
        if (all > CHECKER_WAIVERS_BYTES) {
            return wrong(checker, line, "the file is too long");
        }
        result = read_line(checker, line, text);
    }
    if (result == EXIT_OK && ferror(file)) {
        print_error("check", NULL, "%s: %s", checker->args->waive, strerror(errno));
        result = EXIT_USAGE;
    }
    return result;
}

int checker_read_waivers(struct checker *checker)
{
    FILE *file;
    int result;

    if (checker->args->waive == NULL) {
        return EXIT_OK;
    }
    file = fopen(checker->args->waive, "re");
    checker->waiver = calloc(CHECKER_WAIVERS_MAX, sizeof(*checker->waiver));
    if (file == NULL || checker->waiver == NULL) {
        print_error("check", NULL, "--waive %s: %s", checker->args->waive,
                    file == NULL ? strerror(errno) : "out of memory");
        result = EXIT_USAGE;
    } else {
        result = read_lines(checker, file);
    }
    if (file != NULL) {
        fclose(file);
    }
    return result;
}

void checker_free_waivers(struct checker *checker)
{
    for (size_t i = 0; i < checker->waiver_count; i++) {
        free(checker->waiver[i].pattern);
        free(checker->waiver[i].reason);
    }
    free(checker->waiver);
}

const struct checker_waiver *checker_waive(struct checker *checker,
                                           const struct ferry_check_result *found)
{
    const int finding = checker_is_finding(found);
    const struct checker_waiver *first = NULL;

    if (found->verdict == FERRY_CHECK_SKIP) {
        return NULL;
    }
    for (size_t i = 0; i < checker->waiver_count; i++) {
        struct checker_waiver *waiver = &checker->waiver[i];

        if (checker_means(waiver->pattern, found) ||
            names_rule(waiver->pattern, found->check)) {
            waiver->tried++;
            waiver->matched += finding != 0;
            first = first == NULL && finding ? waiver : first;
        }
    }
    return first;
}

int checker_waiver_is_stale(const struct checker_waiver *waiver)
{
    return waiver->unknown || (waiver->tried > 0 && waiver->matched == 0);
}
