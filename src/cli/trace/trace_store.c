/* SPDX-License-Identifier: BSD-3-Clause */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli/output.h"
#include "cli/trace/trace.h"

#define EVENTS_MAX (TRACE_SIDES_MAX * TRACE_EVENTS_MAX)
#define TEXT_MAX 256

int trace_file_write(struct json_object *file, const char *path,
                     struct ferry_error *reterr)
{
    int standard = strcmp(path, "-") == 0, failed;
    FILE *to = standard ? stdout : fopen(path, "we");
    const char *text =
        json_object_to_json_string_ext(file, JSON_C_TO_STRING_NOSLASHESCAPE);

    if (to == NULL) {
        return ferry_error_set(reterr, FERRY_E_IO, "trace", NULL, 0, "%s: %s", path,
                               strerror(errno));
    }
    failed = fputs(text, to) < 0 || fputc('\n', to) < 0 || fflush(to) != 0;
    if (!standard) {
        failed |= fclose(to) != 0;
    }
    if (failed) {
        return ferry_error_set(reterr, FERRY_E_IO, "trace", NULL, 0, "%s: %s", path,
                               strerror(errno));
    }
    return FERRY_OK;
}

/* --- reading: nothing of a file is believed before it was looked at --- */

static int read_whole(const char *path, char **ret_text, struct ferry_error *reterr)
{
    FILE *from = strcmp(path, "-") == 0 ? stdin : fopen(path, "re");
    size_t cap = 1u << 16, used = 0, got = 1;
    char *text = NULL, *grown;
    int status = FERRY_OK;

    if (from == NULL) {
        return ferry_error_set(reterr, errno == ENOENT ? FERRY_E_NOT_FOUND : FERRY_E_IO,
                               "trace", NULL, 0, "%s: %s", path, strerror(errno));
    }
    while (status == FERRY_OK && got > 0) {
        grown = realloc(text, cap + 1);
        if (grown == NULL) {
            status = ferry_error_set(reterr, FERRY_E_MEMORY, "trace", NULL, 0, "%s: %s",
                                     path, ferry_status_text(FERRY_E_MEMORY));
            break;
        }
        text = grown;
        got = fread(text + used, 1, cap - used, from);
        used += got;
        if (ferror(from)) {
            status = ferry_error_set(reterr, FERRY_E_IO, "trace", NULL, used, "%s: %s",
                                     path, strerror(errno));
        } else if (used > TRACE_FILE_MAX_BYTES) {
            status =
                ferry_error_set(reterr, FERRY_E_LIMIT, "trace", NULL, used,
                                "%s: more than %u MiB", path, TRACE_FILE_MAX_BYTES >> 20);
        }
        cap = used == cap ? 2 * cap : cap;
    }
    if (from != stdin) {
        fclose(from);
    }
    if (status < 0) {
        free(text);
        return status;
    }
    text[used] = '\0';
    *ret_text = text;
    return FERRY_OK;
}

static int bad(struct ferry_error *reterr, size_t at, const char *what)
{
    return ferry_error_set(reterr, FERRY_E_MESSAGE, "trace", "timeline", at, "%s", what);
}

static int has(struct json_object *object, const char *name, enum json_type type)
{
    struct json_object *member = NULL;

    if (!json_object_object_get_ex(object, name, &member)) {
        return 0;
    }
    if (type == json_type_double && json_object_is_type(member, json_type_int)) {
        return 1;
    }
    if (type == json_type_string && json_object_get_string_len(member) > TEXT_MAX) {
        return 0;
    }
    return json_object_is_type(member, type);
}

static int check_event(struct json_object *event, size_t at, struct ferry_error *reterr)
{
    const char *phase;

    if (!json_object_is_type(event, json_type_object) ||
        !has(event, "ph", json_type_string) || !has(event, "pid", json_type_int) ||
        !has(event, "name", json_type_string)) {
        return bad(reterr, at, "an event needs ph, pid and name (offset: its number)");
    }
    if (has(event, "args", json_type_object) == 0) {
        return bad(reterr, at, "an event needs args (offset: its number)");
    }
    phase = json_get_text(event, "ph");
    if (strlen(phase) != 1 || strchr("MXiC", phase[0]) == NULL) {
        return bad(reterr, at, "an event is one of M, X, i and C (offset: its number)");
    }
    if (phase[0] != 'M' && !has(event, "ts", json_type_double)) {
        return bad(reterr, at, "an event needs a time ts (offset: its number)");
    }
    if (phase[0] == 'X' &&
        (!has(event, "dur", json_type_double) || !has(event, "cat", json_type_string))) {
        return bad(reterr, at, "a span needs dur and cat (offset: its number)");
    }
    return FERRY_OK;
}

static int check_side(struct json_object *side, size_t at, struct ferry_error *reterr)
{
    if (!json_object_is_type(side, json_type_object) ||
        !has(side, "pid", json_type_int) || !has(side, "role", json_type_string) ||
        !has(side, "session", json_type_string) ||
        !has(side, "devices", json_type_array) ||
        !has(side, "report", json_type_object)) {
        return bad(reterr, at,
                   "a side needs pid, role, session, devices and report (offset: its "
                   "number)");
    }
    return FERRY_OK;
}

static int check_file(struct json_object *file, struct ferry_error *reterr)
{
    struct json_object *other = NULL, *sides = NULL, *events = NULL;
    int status = FERRY_OK;

    if (!json_object_is_type(file, json_type_object) ||
        !json_object_object_get_ex(file, "otherData", &other) ||
        strcmp(json_get_text(other, "format"), TRACE_FORMAT) != 0) {
        return bad(reterr, 0,
                   "no timeline of Ferry: otherData.format is not " TRACE_FORMAT);
    }
    if (!has(other, "sides", json_type_array) ||
        !has(file, "traceEvents", json_type_array)) {
        return bad(reterr, 0, "otherData.sides and traceEvents are lists");
    }
    json_object_object_get_ex(other, "sides", &sides);
    json_object_object_get_ex(file, "traceEvents", &events);
    if (json_object_array_length(sides) > TRACE_SIDES_MAX ||
        json_object_array_length(events) > EVENTS_MAX) {
        return ferry_error_set(reterr, FERRY_E_LIMIT, "trace", NULL, 0,
                               "at most %u sides and %u events", TRACE_SIDES_MAX,
                               EVENTS_MAX);
    }
    for (size_t i = 0; i < json_object_array_length(sides) && status == FERRY_OK; i++) {
        status = check_side(json_object_array_get_idx(sides, i), i, reterr);
    }
    for (size_t i = 0; i < json_object_array_length(events) && status == FERRY_OK; i++) {
        status = check_event(json_object_array_get_idx(events, i), i, reterr);
    }
    return status;
}

int trace_file_read(const char *path, struct json_object **ret_file,
                    struct ferry_error *reterr)
{
    enum json_tokener_error why = json_tokener_success;
    struct json_object *file;
    char *text = NULL;
    int status = read_whole(path, &text, reterr);

    if (status < 0) {
        return status;
    }
    file = json_tokener_parse_verbose(text, &why);
    free(text);
    if (file == NULL) {
        return ferry_error_set(reterr, FERRY_E_MESSAGE, "trace", NULL, 0,
                               "%s is not JSON: %s", path, json_tokener_error_desc(why));
    }
    status = check_file(file, reterr);
    if (status < 0) {
        json_object_put(file);
        return status;
    }
    *ret_file = file;
    return FERRY_OK;
}
