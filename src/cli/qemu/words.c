/* SPDX-License-Identifier: BSD-3-Clause */
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli/qemu/qemu.h"

/* Return: 1 when there is room for one more and the NULL behind it. */
static int make_room(struct qemu_words *words)
{
    size_t room = words->room > 0 ? 2 * words->room : 32;
    char **more;

    if (words->count + 1 < words->room) {
        return 1;
    }
    more = realloc(words->word, room * sizeof(*more));
    if (more == NULL) {
        return 0;
    }
    words->word = more;
    words->room = room;
    return 1;
}

void qemu_words_add(struct qemu_words *words, const char *format, ...)
{
    char *text = NULL;
    size_t bytes = 0;
    va_list list;
    FILE *out;

    out = make_room(words) ? open_memstream(&text, &bytes) : NULL;
    if (out == NULL) {
        words->failed = 1;
        return;
    }
    va_start(list, format);
    vfprintf(out, format, list);
    va_end(list);
    if (fclose(out) != 0) {
        free(text);
        words->failed = 1;
        return;
    }
    words->word[words->count++] = text;
    words->word[words->count] = NULL;
}

void qemu_words_free(struct qemu_words *words)
{
    for (size_t i = 0; i < words->count; i++) {
        free(words->word[i]);
    }
    free(words->word);
    memset(words, 0, sizeof(*words));
}
