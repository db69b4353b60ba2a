/* SPDX-License-Identifier: BSD-3-Clause */
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cli/check/checker.h"

/* The table for people: rule by rule, a line for each check, and each finding with what
 * was expected, what was seen, and the command that shows it again. */

enum colour { RED, GREEN, YELLOW, FAINT, BOLD };

static const char *on(const struct checker *checker, enum colour colour)
{
    static const char *const code[] = { "\033[31m", "\033[32m", "\033[33m", "\033[2m",
                                        "\033[1m" };

    return checker->coloured ? code[colour] : "";
}

static const char *off(const struct checker *checker)
{
    return checker->coloured ? "\033[0m" : "";
}

/* "pass" of a check with hundreds of cases is that of the worst. */
static void put_verdict(const struct checker *checker, const struct checker_tally *tally)
{
    const char *word = "pass";
    enum colour colour = GREEN;

    if (tally->failed > 0) {
        word = "FAIL";
        colour = RED;
    } else if (tally->broken > 0) {
        word = "BROKEN";
        colour = RED;
    } else if (tally->waived > 0) {
        word = "waived";
        colour = YELLOW;
    } else if (tally->passed == 0) {
        word = "skip";
        colour = FAINT;
    }
    printf("  %s%-6s%s ", on(checker, colour), word, off(checker));
}

static void put_count(uint32_t count, const char *what, const char **before)
{
    if (count > 0) {
        printf("%s%u %s", *before, count, what);
        *before = ", ";
    }
}

/* The first reason for which cases of the check were left out; "" without any. */
static const char *skip_reason(const struct checker *checker,
                               const struct ferry_check_info *info)
{
    for (size_t i = 0; i < checker->count; i++) {
        const struct ferry_check_result *found = &checker->result[i].found;

        if (found->check == info && found->verdict == FERRY_CHECK_SKIP) {
            return found->seen;
        }
    }
    return "";
}

static uint32_t looked_ms(const struct checker *checker,
                          const struct ferry_check_info *info)
{
    uint32_t most = 0;

    for (size_t i = 0; i < checker->count; i++) {
        const struct ferry_check_result *found = &checker->result[i].found;

        if (found->check == info && found->looked_ms > most) {
            most = found->looked_ms;
        }
    }
    return most;
}

static void put_check(const struct checker *checker, const struct ferry_check_info *info)
{
    const struct checker_tally tally = checker_count(checker, info, 0);
    const char *before = "", *why = skip_reason(checker, info);
    const uint32_t looked = looked_ms(checker, info);

    put_verdict(checker, &tally);
    printf("%-24s ", info->id);
    put_count(tally.failed, "failed", &before);
    put_count(tally.broken, "not tried", &before);
    put_count(tally.waived, "waived", &before);
    put_count(tally.passed, "passed", &before);
    put_count(tally.skipped, "skipped", &before);
    printf(": %s", info->title);
    if (why[0] != '\0') {
        printf(" (skipped: %s)", why);
    }
    if (looked != 0) {
        printf(" (looked for %u ms: longer may see more)", looked);
    }
    putchar('\n');
}

static void put_finding(const struct checker *checker,
                        const struct checker_result *result)
{
    const struct ferry_check_result *found = &result->found;
    char *again = checker_again(checker->args, found);
    char name[CHECKER_PATTERN_BYTES];

    printf("         %s%s%s  %s%s\n", on(checker, BOLD), checker_case_name(found, name),
           off(checker), checker_profile_text(found->check->profile),
           found->verdict == FERRY_CHECK_BROKEN ? "; could not be tried" : "");
    if (found->expected[0] != '\0') {
        printf("           expected  %s\n", found->expected);
    }
    printf("           seen      %s", found->seen);
    if (found->looked_ms != 0) {
        printf(" (looked for %u ms)", found->looked_ms);
    }
    printf("\n           again     %s\n", again != NULL ? again : "");
    if (result->waived != NULL) {
        printf("           waived    %s\n", result->waived->reason);
    }
    free(again);
}

static void put_case(const struct checker *checker,
                     const struct ferry_check_result *found)
{
    char name[CHECKER_PATTERN_BYTES], took[TEXT_BYTES];

    printf("         %s%s%s  %s, %s%s%s\n", on(checker, FAINT),
           checker_case_name(found, name), off(checker),
           checker_verdict_name(found->verdict), text_time(found->duration_ns, took),
           found->verdict == FERRY_CHECK_SKIP ? ": " : "",
           found->verdict == FERRY_CHECK_SKIP ? found->seen : "");
}

/* A check with its cases; quiet: nothing of one without findings. */
static void put_check_whole(const struct checker *checker,
                            const struct ferry_check_info *info)
{
    const struct checker_tally tally = checker_count(checker, info, 0);
    const struct checker_args *args = checker->args;

    if (args->quiet && tally.failed + tally.broken == 0) {
        return;
    }
    put_check(checker, info);
    for (size_t i = 0; i < checker->count; i++) {
        const struct checker_result *result = &checker->result[i];

        if (result->found.check != info) {
            continue;
        }
        if (checker_is_finding(&result->found) &&
            (result->waived == NULL || args->verbose || !args->quiet)) {
            put_finding(checker, result);
        } else if (args->verbose) {
            put_case(checker, &result->found);
        }
    }
}

/* 1 when no result before this one has the same check, or the same rule. */
static int is_first(const struct checker *checker, size_t at, int of_rule)
{
    const struct ferry_check_info *info = checker->result[at].found.check;

    for (size_t i = 0; i < at; i++) {
        const struct ferry_check_info *other = checker->result[i].found.check;

        if (other == info || (of_rule && strcmp(other->rule, info->rule) == 0)) {
            return 0;
        }
    }
    return 1;
}

static int rule_has_findings(const struct checker *checker, const char *rule)
{
    for (size_t i = 0; i < checker->count; i++) {
        const struct checker_result *result = &checker->result[i];

        if (strcmp(result->found.check->rule, rule) == 0 &&
            checker_is_finding(&result->found) && result->waived == NULL) {
            return 1;
        }
    }
    return 0;
}

static void put_rule(const struct checker *checker, const char *id)
{
    const struct ferry_rule *rule = checker_rule(id);

    if (checker->args->quiet && !rule_has_findings(checker, id)) {
        return;
    }
    printf("\n%s%s%s  %s\n", on(checker, BOLD), id, off(checker),
           rule != NULL ? rule->text : "");
    for (size_t i = 0; i < checker->count; i++) {
        const struct ferry_check_info *info = checker->result[i].found.check;

        if (strcmp(info->rule, id) == 0 && is_first(checker, i, 0)) {
            put_check_whole(checker, info);
        }
    }
}

static void put_device(const struct checker *checker)
{
    const struct ferry_check_summary *summary = &checker->summary;

    if (checker->args->quiet || checker->end == CHECKER_ERROR) {
        return;
    }
    printf("\n%s%s%s: uAPI v%u, STOP_COPY%s%s, driver %s\n", checker->args->uri,
           checker->identity.model[0] != '\0' ? ", model " : "", checker->identity.model,
           summary->uapi, summary->features & FERRY_MIG_P2P ? " P2P" : "",
           summary->features & FERRY_MIG_PRE_COPY ? " PRE_COPY" : "",
           checker->driver.struct_size != 0 ? checker->driver.name : "none");
}

static void put_summary(const struct checker *checker)
{
    char took[TEXT_BYTES];

    printf("\n%-21s %8s %8s %8s %8s %9s\n", "", "passed", "failed", "waived", "skipped",
           "not tried");
    for (uint32_t i = FERRY_CHECK_REQUIRED; i <= FERRY_CHECK_RECOMMENDED; i++) {
        const struct checker_tally tally = checker_count(checker, NULL, i);

        printf("%-21s %8u %s%8u%s %8u %8u %9u\n", checker_profile_text(i), tally.passed,
               tally.failed > 0 ? on(checker, RED) : "", tally.failed,
               tally.failed > 0 ? off(checker) : "", tally.waived, tally.skipped,
               tally.broken);
    }
    printf("%zu case%s in %s\n", checker->count, checker->count == 1 ? "" : "s",
           text_time(checker->duration_ns, took));
}

static int lacks(const struct checker_target *target)
{
    return target->target.uri == NULL && target->target.endpoint == NULL;
}

/* The checks that an option would have let run. One that lacks several counts for each.
 */
static void put_wants(const struct checker *checker)
{
    const struct {
        uint32_t need;
        int absent;
        const char *option;
    } wants[] = {
        { FERRY_CHECK_NEEDS_DRIVER, checker->driver.struct_size == 0, "--driver" },
        { FERRY_CHECK_NEEDS_PARTNER, lacks(&checker->partner), "--partner" },
        { FERRY_CHECK_NEEDS_FOREIGN, lacks(&checker->foreign), "--foreign" },
        { FERRY_CHECK_DESTRUCTIVE, !(checker->args->allowed & FERRY_CHECK_DESTRUCTIVE),
          "--destructive" },
    };
    /* Those of the other uAPI are of no use here. */
    const uint32_t other =
        checker->summary.uapi == 1 ? FERRY_CHECK_NEEDS_V2 : FERRY_CHECK_NEEDS_V1;
    const char *before = "More is checked with ";

    for (size_t i = 0; i < sizeof(wants) / sizeof(wants[0]); i++) {
        uint32_t count = 0;

        for (size_t k = 0; k < checker->count && wants[i].absent; k++) {
            const struct ferry_check_result *found = &checker->result[k].found;

            count += found->verdict == FERRY_CHECK_SKIP && found->name[0] == '\0' &&
                     (found->check->needs & wants[i].need) != 0 &&
                     (found->check->needs & other) == 0;
        }
        if (count > 0) {
            printf("%s%s (%u check%s)", before, wants[i].option, count,
                   count == 1 ? "" : "s");
            before = ", ";
        }
    }
    fputs(before[0] == ',' ? ".\n" : "", stdout);
}

static void put_outcome(const struct checker *checker)
{
    const int status = checker_status(checker);
    const char *text = "Nothing is broken.";

    if (status == EXIT_REQUIRED) {
        text = "Something is broken that the uAPI requires.";
    } else if (status == EXIT_EXPECTED) {
        text = "Something is broken that QEMU relies on.";
    } else if (status == EXIT_RECOMMENDED) {
        text = "Nothing is broken but what Ferry recommends.";
    } else if (status != EXIT_OK) {
        text = "Not all could be checked.";
    }
    if (checker->end != CHECKER_DONE) {
        printf("%s.\n", checker_end_text(checker));
    }
    printf("%s%s%s\n", on(checker, status == EXIT_OK ? GREEN : RED), text, off(checker));
}

int table_may_colour(void)
{
    const char *term = getenv("TERM"), *none = getenv("NO_COLOR");

    return isatty(STDOUT_FILENO) && (none == NULL || none[0] == '\0') && term != NULL &&
           strcmp(term, "dumb") != 0;
}

void table_print(const struct checker *checker)
{
    put_device(checker);
    for (size_t i = 0; i < checker->count; i++) {
        if (is_first(checker, i, 1)) {
            put_rule(checker, checker->result[i].found.check->rule);
        }
    }
    if (checker->end != CHECKER_ERROR) {
        put_summary(checker);
        put_wants(checker);
        put_outcome(checker);
    }
}
