/* SPDX-License-Identifier: BSD-3-Clause */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
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

uint32_t parse_ms(const struct argp_state *state, const char *option, const char *text)
{
    return (uint32_t)parse_number(state, option, text, 1, 86400000);
}

uint32_t parse_duration(const struct argp_state *state, const char *option,
                        const char *text)
{
    static const struct {
        const char *name;
        uint32_t ms;
    } units[] = { { "", 1 }, { "ms", 1 }, { "s", 1000 }, { "min", 60000 } };
    const char *end = "?";
    uint64_t value = 0;

    if (read_number(text, &value, &end)) {
        for (size_t i = 0; i < sizeof(units) / sizeof(units[0]); i++) {
            if (strcmp(units[i].name, end) == 0 && value > 0 &&
                value <= 86400000 / units[i].ms) {
                return (uint32_t)value * units[i].ms;
            }
        }
    }
    argp_error(state, "%s takes a time such as 500ms or 10s, up to a day, not '%s'",
               option, text);
    return 0;
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

const char *parse_one(const struct argp_state *state, const char *have, const char *text,
                      const char *what)
{
    if (have != NULL) {
        argp_error(state, "one %s, not also '%s'", what, text);
    }
    return text;
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

/* Keys that no command has for options of its own. */
enum work_key { KEY_LANES = 0x400, KEY_BLOCK, KEY_DEPTH, KEY_RATE };

#define WORK_GROUP 3

static const struct argp_option work_rows[] = {
    { "lanes", KEY_LANES, "N", 0, "chains that are worked on at a time", WORK_GROUP },
    { "block", KEY_BLOCK, "SIZE", 0, "bytes of one request", WORK_GROUP },
    { "depth", KEY_DEPTH, "N", 0, "requests of one lane under way at a time",
      WORK_GROUP },
    { "rate", KEY_RATE, "SIZE", 0, "at most so many input bytes a second", WORK_GROUP },
    { NULL, 0, NULL, 0, NULL, 0 },
};

static error_t parse_work(int key, char *text, struct argp_state *state)
{
    struct work_options *work = state->input;

    switch (key) {
    case KEY_LANES:
        work->lanes = (uint32_t)parse_number(state, "--lanes", text, 1, 200);
        return 0;
    case KEY_BLOCK:
        work->block_bytes = (uint32_t)parse_size(state, "--block", text, 4096, 262144);
        return 0;
    case KEY_DEPTH:
        work->depth = (uint32_t)parse_number(state, "--depth", text, 1, 16);
        return 0;
    case KEY_RATE:
        work->rate = parse_size(state, "--rate", text, 1, 1ull << 40);
        return 0;
    default:
        return ARGP_ERR_UNKNOWN;
    }
}

/* Behind the help of an option: the command's own default. argp frees the text. */
static char *add_default(int key, const char *text, void *input)
{
    const struct work_options *work = input;
    char *full = NULL;
    size_t bytes = 0;
    FILE *out = key >= KEY_LANES && key <= KEY_RATE && work != NULL
                    ? open_memstream(&full, &bytes)
                    : NULL;

    if (out == NULL) {
        return (char *)(uintptr_t)text;
    }
    if (key == KEY_RATE && work->rate == 0) {
        fprintf(out, "%s (no limit)", text);
    } else if (key == KEY_RATE) {
        fprintf(out, "%s (%lluM)", text, (unsigned long long)(work->rate >> 20));
    } else if (key == KEY_BLOCK) {
        fprintf(out, "%s (%uK)", text, work->block_bytes >> 10);
    } else {
        fprintf(out, "%s (%u)", text, key == KEY_LANES ? work->lanes : work->depth);
    }
    fclose(out);
    return full;
}

const struct argp work_argp = {
    .options = work_rows,
    .parser = parse_work,
    .help_filter = add_default,
};
