/* SPDX-License-Identifier: BSD-3-Clause */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>

#include "cli/commands.h"

/* Return: 1 with the number and where it ends. */
static int read_number(const char *text, uint64_t *ret_value, const char **ret_end)
{
    char *end;

    if (text[0] < '0' || text[0] > '9') {
        return 0;
    }
    errno = 0;
    *ret_value = strtoull(text, &end, 0);
    *ret_end = end;
    return errno == 0;
}

uint64_t parse_number(const struct argp_state *state, const char *option,
                      const char *text, uint64_t least, uint64_t most)
{
    const char *end = "";
    uint64_t value = 0;

    if (!read_number(text, &value, &end) || *end != '\0' || value < least ||
        value > most) {
        argp_error(state, "%s takes a number from %llu to %llu, not '%s'", option,
                   (unsigned long long)least, (unsigned long long)most, text);
    }
    return value;
}

static unsigned unit_shift(const char *unit)
{
    static const char units[] = "KMG";

    for (unsigned i = 0; i < 3; i++) {
        if (unit[0] == units[i] && unit[1] == '\0') {
            return 10 * (i + 1);
        }
    }
    return unit[0] == '\0' ? 0 : 64;
}

uint64_t parse_size(const struct argp_state *state, const char *option, const char *text,
                    uint64_t least, uint64_t most)
{
    const char *end = "?";
    uint64_t value = 0;
    int good = read_number(text, &value, &end);
    unsigned shift = unit_shift(end);

    good = good && shift < 64 && value <= UINT64_MAX >> shift;
    if (good) {
        value <<= shift;
    }
    if (!good || value < least || value > most) {
        argp_error(state,
                   "%s takes a size such as 64M, from %llu to %llu bytes, not '%s'",
                   option, (unsigned long long)least, (unsigned long long)most, text);
    }
    return value;
}

int parse_descriptor(const struct argp_state *state, const char *option, const char *text)
{
    int fd = (int)parse_number(state, option, text, 0, 65535);

    if (fcntl(fd, F_GETFD) < 0) {
        argp_error(state, "%s: descriptor %d is not open", option, fd);
    }
    return fd;
}

const char *parse_arbiter(const struct argp_state *state, const char *text)
{
    if (strcmp(text, "none") != 0 && strncmp(text, "file:/", 6) != 0) {
        argp_error(state,
                   "--arbiter takes none, or file:FOLDER with an absolute path, not '%s'",
                   text);
    }
    return text;
}
