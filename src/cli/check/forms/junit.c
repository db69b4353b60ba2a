/* SPDX-License-Identifier: BSD-3-Clause */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "cli/check/checker.h"

/* JUnit XML: a suite for each check, whose package is the rule. */

#define NS_PER_S 1e9

/* An attribute or text; control characters are none of XML's. */
static void put_text(FILE *out, const char *text)
{
    for (; *text != '\0'; text++) {
        switch (*text) {
        case '&':
            fputs("&amp;", out);
            break;
        case '<':
            fputs("&lt;", out);
            break;
        case '>':
            fputs("&gt;", out);
            break;
        case '"':
            fputs("&quot;", out);
            break;
        default:
            fputc(*text < ' ' || *text > '~' ? '?' : *text, out);
            break;
        }
    }
}

static void put_attribute(FILE *out, const char *name, const char *text)
{
    fprintf(out, " %s=\"", name);
    put_text(out, text);
    fputc('"', out);
}

static void put_tally(FILE *out, const struct checker_tally *tally, uint64_t ns)
{
    const uint32_t skipped = tally->skipped + tally->waived;

    fprintf(out, " tests=\"%u\" failures=\"%u\" errors=\"%u\" skipped=\"%u\"",
            tally->passed + tally->failed + tally->broken + skipped, tally->failed,
            tally->broken, skipped);
    fprintf(out, " time=\"%.6f\"", (double)ns / NS_PER_S);
}

/* Why it did not pass. */
static void put_finding(const struct checker *checker,
                        const struct checker_result *result)
{
    const struct ferry_check_result *found = &result->found;
    const char *kind = found->verdict == FERRY_CHECK_FAIL ? "failure" : "error";
    char *again = checker_again(checker->args, found);
    FILE *out = checker->junit;

    fprintf(out, "      <%s", kind);
    put_attribute(out, "type", checker_profile_name(found->check->profile));
    put_attribute(out, "message", found->seen);
    fputs(">expected: ", out);
    put_text(out, found->expected);
    fputs("\nseen: ", out);
    put_text(out, found->seen);
    fputs("\nagain: ", out);
    put_text(out, again != NULL ? again : "");
    fprintf(out, "\n</%s>\n", kind);
    free(again);
}

static void put_case(const struct checker *checker, const struct checker_result *result)
{
    const struct ferry_check_result *found = &result->found;
    FILE *out = checker->junit;

    fputs("    <testcase", out);
    put_attribute(out, "classname", found->check->id);
    put_attribute(out, "name", found->name[0] != '\0' ? found->name : found->check->id);
    fprintf(out, " time=\"%.6f\">\n", (double)found->duration_ns / NS_PER_S);
    if (result->waived != NULL) {
        fputs("      <skipped message=\"waived: ", out);
        put_text(out, result->waived->reason);
        fputs("\"/>\n", out);
    } else if (found->verdict == FERRY_CHECK_SKIP) {
        fputs("      <skipped", out);
        put_attribute(out, "message", found->seen);
        fputs("/>\n", out);
    } else if (found->verdict != FERRY_CHECK_PASS) {
        put_finding(checker, result);
    } else if (found->looked_ms != 0) {
        fprintf(out, "      <system-out>looked for %u ms</system-out>\n",
                found->looked_ms);
    }
    fputs("    </testcase>\n", out);
}

/* The check whose results begin at `at`; Return: where the next check's begin. */
static size_t put_suite(const struct checker *checker, size_t at)
{
    const struct ferry_check_info *info = checker->result[at].found.check;
    const struct checker_tally tally = checker_count(checker, info, 0);
    FILE *out = checker->junit;
    uint64_t ns = 0;
    size_t end = at;

    for (; end < checker->count && checker->result[end].found.check == info; end++) {
        ns += checker->result[end].found.duration_ns;
    }
    fputs("  <testsuite", out);
    put_attribute(out, "name", info->id);
    put_attribute(out, "package", info->rule);
    put_tally(out, &tally, ns);
    fputs(">\n    <properties>\n      <property name=\"profile\"", out);
    put_attribute(out, "value", checker_profile_name(info->profile));
    fputs("/>\n    </properties>\n", out);
    for (; at < end; at++) {
        put_case(checker, &checker->result[at]);
    }
    fputs("  </testsuite>\n", out);
    return end;
}

/* A run that did not get to its end must not look like one that did. */
static void put_end(const struct checker *checker)
{
    FILE *out = checker->junit;

    fputs("  <testsuite name=\"end\" tests=\"1\" failures=\"0\" errors=\"1\" "
          "skipped=\"0\" time=\"0\">\n    <testcase classname=\"end\" name=\"end\" "
          "time=\"0\">\n      <error",
          out);
    put_attribute(out, "message",
                  checker->end == CHECKER_ERROR ? checker->error.text
                                                : checker_end_text(checker));
    fputs("/>\n    </testcase>\n  </testsuite>\n", out);
}

int junit_open(struct checker *checker)
{
    const char *path = checker->args->junit;

    if (path == NULL) {
        return EXIT_OK;
    }
    checker->junit = fopen(path, "we");
    if (checker->junit == NULL) {
        print_error("check", NULL, "--junit %s: %s", path, strerror(errno));
        return EXIT_USAGE;
    }
    return EXIT_OK;
}

int junit_write(struct checker *checker)
{
    struct checker_tally tally = checker_count(checker, NULL, 0);
    FILE *out = checker->junit;
    size_t at = 0;
    int failed;

    if (out == NULL) {
        return EXIT_OK;
    }
    tally.broken += checker->end != CHECKER_DONE;
    fputs("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<testsuites", out);
    put_attribute(out, "name", checker->args->uri);
    put_tally(out, &tally, checker->duration_ns);
    fputs(">\n", out);
    while (at < checker->count) {
        at = put_suite(checker, at);
    }
    if (checker->end != CHECKER_DONE) {
        put_end(checker);
    }
    fputs("</testsuites>\n", out);
    failed = ferror(out);
    checker->junit = NULL;
    if (fclose(out) != 0 || failed) {
        print_error("check", NULL, "--junit %s: %s", checker->args->junit,
                    strerror(errno));
        return EXIT_FAILED;
    }
    return EXIT_OK;
}
