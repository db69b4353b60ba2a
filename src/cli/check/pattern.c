/* SPDX-License-Identifier: BSD-3-Clause */
#include <fnmatch.h>
#include <stdlib.h>
#include <string.h>

#include "cli/check/checker.h"

/* Brackets stand for themselves, as in libferry. */
static int matches_text(const char *pattern, size_t length, const char *text)
{
    char escaped[2 * CHECKER_PATTERN_BYTES];
    size_t used = 0;

    for (size_t i = 0; i < length && used + 3 < sizeof(escaped); i++) {
        if (pattern[i] == '[' || pattern[i] == ']' || pattern[i] == '\\') {
            escaped[used++] = '\\';
        }
        escaped[used++] = pattern[i];
    }
    escaped[used] = '\0';
    return fnmatch(escaped, text, 0) == 0;
}

int checker_may_match(const char *pattern, const struct ferry_check_info *info)
{
    return matches_text(pattern, strcspn(pattern, "["), info->id) ||
           matches_text(pattern, strlen(pattern), info->rule);
}

int checker_matches(const char *pattern, const struct ferry_check_info *info,
                    const char *name)
{
    const size_t length = strlen(pattern);
    char full[CHECKER_PATTERN_BYTES];

    if (name[0] == '\0') {
        return checker_may_match(pattern, info);
    }
    snprintf(full, sizeof(full), "%s[%s]", info->id, name);
    return matches_text(pattern, length, info->id) ||
           matches_text(pattern, length, full) ||
           matches_text(pattern, length, info->rule);
}

const char *checker_case_name(const struct ferry_check_result *found,
                              char ret_text[CHECKER_PATTERN_BYTES])
{
    snprintf(ret_text, CHECKER_PATTERN_BYTES, found->name[0] != '\0' ? "%s[%s]" : "%s%s",
             found->check->id, found->name);
    return ret_text;
}

/* A word of a shell's command line. */
static void put_word(FILE *out, const char *word)
{
    static const char plain[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
                                "0123456789-_./:=,@%+";

    if (word[0] != '\0' && word[strspn(word, plain)] == '\0') {
        fprintf(out, " %s", word);
        return;
    }
    fputs(" '", out);
    for (; *word != '\0'; word++) {
        if (*word == '\'') {
            fputs("'\\''", out);
        } else {
            fputc(*word, out);
        }
    }
    fputc('\'', out);
}

static void put_option(FILE *out, const char *option, const char *value)
{
    if (value != NULL) {
        fprintf(out, " %s", option);
        put_word(out, value);
    }
}

char *checker_again(const struct checker_args *args,
                    const struct ferry_check_result *found)
{
    char name[CHECKER_PATTERN_BYTES], *text = NULL;
    size_t bytes = 0;
    FILE *out = open_memstream(&text, &bytes);

    if (out == NULL) {
        return NULL;
    }
    fputs("ferry check", out);
    put_word(out, args->uri);
    for (size_t i = 0; i < args->filter_count; i++) {
        put_option(out, "--filter", args->filter[i]);
    }
    put_option(out, "--uapi", args->uapi);
    put_option(out, "--partner", args->partner);
    put_option(out, "--foreign", args->foreign);
    put_option(out, "--driver", args->driver);
    if (args->timeout_ms != 0) {
        fprintf(out, " --timeout %ums", args->timeout_ms);
    }
    if (args->look_ms != 0) {
        fprintf(out, " --look %ums", args->look_ms);
    }
    fputs((args->allowed & FERRY_CHECK_DESTRUCTIVE) ? " --destructive" : "", out);
    fputs((args->allowed & FERRY_CHECK_MAY_HANG) ? " --force" : "", out);
    put_option(out, "--check", checker_case_name(found, name));
    fclose(out);
    return text;
}

void checker_clean(char *text)
{
    for (; *text != '\0'; text++) {
        if (*text < ' ' || *text > '~') {
            *text = *text == '\n' || *text == '\t' ? ' ' : '?';
        }
    }
}

const char *checker_profile_name(uint32_t profile)
{
    static const char *const name[] = { "?", "required", "expected", "recommended" };

    return name[profile <= FERRY_CHECK_RECOMMENDED ? profile : 0];
}

const char *checker_profile_text(uint32_t profile)
{
    static const char *const text[] = { "?", "required by the uAPI", "expected by QEMU",
                                        "recommended by Ferry" };

    return text[profile <= FERRY_CHECK_RECOMMENDED ? profile : 0];
}

const char *checker_verdict_name(uint32_t verdict)
{
    static const char *const name[] = { "?", "pass", "fail", "skip", "broken" };

    return name[verdict <= FERRY_CHECK_BROKEN ? verdict : 0];
}

const struct ferry_rule *checker_rule(const char *id)
{
    const struct ferry_rule *rule;

    for (size_t i = 0; (rule = ferry_rule_get(i)) != NULL; i++) {
        if (strcmp(rule->id, id) == 0) {
            return rule;
        }
    }
    return NULL;
}
