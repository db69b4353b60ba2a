/* SPDX-License-Identifier: BSD-3-Clause */
#include <fnmatch.h>
#include <stddef.h>
#include <string.h>

#include "host/machine/inside.h"

/*
 * Modules tell in their aliases what they are for. Those of drivers that take a device
 * for VFIO only begin with MACHINE_ALIAS_PREFIX, so that nothing loads them by itself:
 *
 *   alias vfio_pci:v000015B3d0000101Esv*sd*bc*sc*i* mlx5_vfio_pci
 *   alias vfio_pci:v*d*sv*sd*bc*sc*i* vfio_pci
 *
 * Of those that match, the one that leaves the least open is the device's own.
 */
#define LINE_START "alias "
#define MODALIAS_PREFIX "pci:"
/* Built-in modules say the same as "MODULE.alias=PATTERN", each ended by a NUL. */
#define BUILTIN_SIGN ".alias="

struct search {
    struct machine_wish *wish;
    size_t count;
    size_t aliases;
};

static size_t count_stars(const char *pattern)
{
    size_t stars = 0;

    for (; *pattern != '\0'; pattern++) {
        stars += *pattern == '*';
    }
    return stars;
}

/* pattern: without the prefix. */
static int offer(struct search *search, const char *pattern, const char *module,
                 size_t length)
{
    const size_t stars = count_stars(pattern);

    if (length == 0 || length >= FERRY_MACHINE_NAME_BYTES) {
        return 0;
    }
    for (size_t i = 0; i < search->count; i++) {
        struct machine_wish *wish = &search->wish[i];
        const char *ids = wish->modalias + sizeof(MODALIAS_PREFIX) - 1;

        if ((wish->module[0] == '\0' || stars < wish->stars) &&
            strncmp(wish->modalias, MODALIAS_PREFIX, sizeof(MODALIAS_PREFIX) - 1) == 0 &&
            fnmatch(pattern, ids, 0) == 0) {
            memcpy(wish->module, module, length);
            wish->module[length] = '\0';
            wish->stars = stars;
        }
    }
    /* More than any kernel has: the file is something else. */
    return ++search->aliases >= MACHINE_ALIASES_MAX;
}

static const char *skip(const char *text, const char *start)
{
    const size_t length = strlen(start);

    return strncmp(text, start, length) == 0 ? text + length : NULL;
}

static int read_alias(void *user, const char *line)
{
    const char *at = skip(line, LINE_START MACHINE_ALIAS_PREFIX);
    char pattern[MACHINE_MODALIAS_BYTES];
    const char *end = at != NULL ? strchr(at, ' ') : NULL;

    if (end == NULL || (size_t)(end - at) >= sizeof(pattern)) {
        return 0;
    }
    memcpy(pattern, at, (size_t)(end - at));
    pattern[end - at] = '\0';
    return offer(user, pattern, end + 1, strcspn(end + 1, " \t\r"));
}

static int read_builtin(void *user, const char *text)
{
    const char *sign = strstr(text, BUILTIN_SIGN MACHINE_ALIAS_PREFIX);
    const char *pattern;

    if (sign == NULL) {
        return 0;
    }
    pattern = sign + sizeof(BUILTIN_SIGN MACHINE_ALIAS_PREFIX) - 1;
    return strlen(pattern) < MACHINE_MODALIAS_BYTES
               ? offer(user, pattern, text, (size_t)(sign - text))
               : 0;
}

void machine_find_variants(const struct machine_env *env, struct machine_wish *wish,
                           size_t count)
{
    struct search search = { .wish = wish, .count = count };
    char path[MACHINE_PATH_BYTES];

    for (size_t i = 0; i < count; i++) {
        wish[i].module[0] = '\0';
        wish[i].stars = 0;
    }
    /* A kernel may have neither: then nothing is known. */
    if (ferry_os_path(path, sizeof(path), "%s/modules.alias", env->modules) == FERRY_OK) {
        (void)ferry_os_lines(path, '\n', read_alias, &search);
    }
    if (ferry_os_path(path, sizeof(path), "%s/modules.builtin.modinfo", env->modules) ==
        FERRY_OK) {
        (void)ferry_os_lines(path, '\0', read_builtin, &search);
    }
}
