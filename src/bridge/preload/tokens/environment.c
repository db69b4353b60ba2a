/* SPDX-License-Identifier: BSD-3-Clause */
#include "bridge/preload/tokens/environment.h"

#include <dlfcn.h>
#include <stdlib.h>
#include <string.h>

#define SEPARATORS ": " /* ld.so(8) */

static const char inside = 0; /* its address is in this library */

int bridge_environment_remove(char *list, const char *name)
{
    const size_t name_bytes = strlen(name);
    char *from = list;
    char *to = list;
    int removed = 0;

    while (*from != '\0') {
        const size_t bytes = strcspn(from, SEPARATORS);
        const size_t gap = strspn(from + bytes, SEPARATORS);
        const char *last = memrchr(from, '/', bytes);
        const char *file = last ? last + 1 : from;

        if ((size_t)(from + bytes - file) == name_bytes &&
            memcmp(file, name, name_bytes) == 0) {
            removed++;
        } else {
            memmove(to, from, bytes + gap);
            to += bytes + gap;
        }
        from += bytes + gap;
    }
    /* What is left behind would still be seen in /proc/PID/environ. */
    memset(to, 0, (size_t)(from - to));
    return removed;
}

void bridge_environment_clean(void)
{
    char *list = getenv("LD_PRELOAD");
    const char *name;
    Dl_info info;

    if (list == NULL || dladdr(&inside, &info) == 0) {
        return;
    }
    name = strrchr(info.dli_fname, '/');
    bridge_environment_remove(list, name ? name + 1 : info.dli_fname);
}
