/* SPDX-License-Identifier: BSD-3-Clause */
#include <fnmatch.h>
#include <stdio.h>
#include <string.h>

#include "ferry/check.h"

/* Which checks and cases are meant: by pattern, rule and profile. */

#define PATTERN_BYTES 256u

/* fnmatch(3), but that brackets stand for themselves: "arc.legal[RUNNING>STOP]". */
static int matches_one(const char *pattern, size_t length, const char *text)
{
    char escaped[PATTERN_BYTES];
    size_t used = 0;

    for (size_t i = 0; i < length && used + 3 < sizeof(escaped); i++) {
        if (strchr("[]\\", pattern[i]) != NULL) {
            escaped[used++] = '\\';
        }
        escaped[used++] = pattern[i];
    }
    escaped[used] = '\0';
    return fnmatch(escaped, text, 0) == 0;
}

int ferry_check_matches(const char *only, const struct ferry_check_info *info,
                        const char *name)
{
    char full[PATTERN_BYTES];

    snprintf(full, sizeof(full), "%s[%s]", info->id, name != NULL ? name : "");
    while (*only != '\0') {
        const size_t length = strcspn(only, " ");
        const size_t id_length = name != NULL ? length : strcspn(only, " [");

        if (length > 0 && (matches_one(only, id_length, info->id) ||
                           (name != NULL && matches_one(only, length, full)))) {
            return 1;
        }
        only += length + (only[length] == ' ');
    }
    return 0;
}

/* "MIG-ARC-1" begins MIG-ARC-1 and not MIG-ARC-10. */
static int begins(const char *prefix, const char *rule)
{
    const size_t length = strlen(prefix);

    return strncmp(rule, prefix, length) == 0 &&
           (length == 0 || prefix[length - 1] < '0' || prefix[length - 1] > '9' ||
            rule[length] < '0' || rule[length] > '9');
}

int ferry_check_wanted(const struct ferry_check_options *options,
                       const struct ferry_check_info *info)
{
    return (options->profile == 0 || info->profile <= options->profile) &&
           (options->rule == NULL || begins(options->rule, info->rule)) &&
           (options->only == NULL || ferry_check_matches(options->only, info, NULL));
}
