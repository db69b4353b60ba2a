/* SPDX-License-Identifier: BSD-3-Clause */
#include <stdlib.h>
#include <string.h>

#include "cli/check/checker.h"

int checker_is_finding(const struct ferry_check_result *found)
{
    return found->verdict == FERRY_CHECK_FAIL || found->verdict == FERRY_CHECK_BROKEN;
}

int checker_means(const char *pattern, const struct ferry_check_result *found)
{
    return ferry_check_matches(pattern, found->check,
                               found->name[0] != '\0' ? found->name : NULL);
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
