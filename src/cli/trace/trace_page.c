/* SPDX-License-Identifier: BSD-3-Clause */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "cli/output.h"
#include "cli/trace/page.h"
#include "cli/trace/trace.h"

/* Where the data go in page.html. */
#define MARK "/*FERRY-TIMELINE*/"

/* JSON inside a script: no text of it may end the script. */
static int put_data(FILE *to, const char *text)
{
    for (const char *at = text; *at != '\0'; at++) {
        if (*at == '<' ? fputs("\\u003c", to) < 0 : fputc(*at, to) == EOF) {
            return 0;
        }
    }
    return 1;
}

int trace_page_write(struct json_object *file, const char *path,
                     struct ferry_error *reterr)
{
    int standard = strcmp(path, "-") == 0, good;
    FILE *to = standard ? stdout : fopen(path, "we");
    const char *page = (const char *)trace_page;
    const char *mark = strstr(page, MARK);

    if (to == NULL) {
        return ferry_error_set(reterr, FERRY_E_IO, "report", NULL, 0, "%s: %s", path,
                               strerror(errno));
    }
    good = mark != NULL &&
           fwrite(page, 1, (size_t)(mark - page), to) == (size_t)(mark - page) &&
           put_data(to, json_object_to_json_string_ext(file, JSON_C_TO_STRING_PLAIN)) &&
           fputs(mark + strlen(MARK), to) >= 0 && fflush(to) == 0;
    if (!standard) {
        good = fclose(to) == 0 && good;
    }
    if (!good) {
        return ferry_error_set(reterr, FERRY_E_IO, "report", NULL, 0, "%s: %s", path,
                               strerror(errno));
    }
    return FERRY_OK;
}

#define SHOWN_BYTES 80

/* A text as a terminal may have it: nothing that moves its cursor or names its window. */
static const char *shown(const char *from, char ret_text[SHOWN_BYTES])
{
    size_t i;

    for (i = 0; i + 1 < SHOWN_BYTES && from[i] != '\0'; i++) {
        ret_text[i] = from[i] < 0x20 || from[i] > 0x7e ? '?' : from[i];
    }
    ret_text[i] = '\0';
    return ret_text;
}

/* A file's number of microseconds; what is none, or cannot be one, is 0. */
static double us_of(struct json_object *event, const char *name)
{
    struct json_object *member = NULL;
    double us;

    json_object_object_get_ex(event, name, &member);
    us = json_object_get_double(member);
    return us >= 0 && us < 1e15 ? us : 0;
}

static void print_span(struct json_object *event, double begin_us)
{
    struct json_object *args = NULL;
    char text[TEXT_BYTES], part[3][SHOWN_BYTES];
    const char *device, *error, *state;

    json_object_object_get_ex(event, "args", &args);
    device = json_get_text(args, "device");
    error = json_get_text(args, "error");
    state = json_get_text(args, "state");
    printf("  %10.3f ms  %-10s %-8s %-16s %10s", (us_of(event, "ts") - begin_us) / 1e3,
           device[0] != '\0' ? shown(device, part[0]) : "-",
           shown(json_get_text(event, "cat"), part[1]),
           shown(json_get_text(event, "name"), part[2]),
           text_time((uint64_t)(us_of(event, "dur") * 1e3), text));
    if (json_get_u64(args, "bytes") > 0) {
        printf("  %s", text_bytes(json_get_u64(args, "bytes"), text));
    }
    if (error[0] != '\0') {
        printf("  failed: %s%s%s", shown(error, part[0]),
               state[0] != '\0' ? ", is in " : "", shown(state, part[1]));
    }
    putchar('\n');
}

static void print_side(struct json_object *file, struct json_object *side)
{
    struct json_object *events = NULL, *report = NULL;
    uint64_t pid = json_get_u64(side, "pid");
    char text[3][SHOWN_BYTES];
    double begin_us = -1;

    json_object_object_get_ex(file, "traceEvents", &events);
    json_object_object_get_ex(side, "report", &report);
    printf("%s of migration %s: %s\n", shown(json_get_text(side, "role"), text[0]),
           shown(json_get_text(side, "session"), text[1]),
           shown(json_get_text(report, "outcome"), text[2]));
    for (size_t i = 0; i < json_object_array_length(events); i++) {
        struct json_object *event = json_object_array_get_idx(events, i);

        if (json_get_u64(event, "pid") != pid || json_get_text(event, "ph")[0] != 'X') {
            continue;
        }
        if (begin_us < 0) {
            begin_us = us_of(event, "ts");
        }
        print_span(event, begin_us);
    }
    if (json_get_u64(side, "dropped") > 0) {
        printf("  %llu later events were not kept\n",
               (unsigned long long)json_get_u64(side, "dropped"));
    }
}

void trace_print(struct json_object *file)
{
    struct json_object *sides = trace_file_sides(file);

    for (size_t i = 0; i < json_object_array_length(sides); i++) {
        print_side(file, json_object_array_get_idx(sides, i));
    }
}
