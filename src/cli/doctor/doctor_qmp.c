/* SPDX-License-Identifier: BSD-3-Clause */
#include <json-c/json.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli/doctor/doctor.h"

#define OUTPUT_BYTES (256u << 10)

/* What is asked, in the order of enum doctor_query; the reply has the query's number. */
static const char *const question[DOCTOR_QUERY_COUNT] = {
    "\"device-list-properties\",\"arguments\":{\"typename\":\"vfio-user-pci\"}",
    "\"device-list-properties\",\"arguments\":{\"typename\":\"vfio-pci\"}",
    "\"qom-list-properties\",\"arguments\":{\"typename\":\"memory-backend-memfd\"}",
    "\"query-migrate-capabilities\"",
};

static void take_version(struct doctor_qmp *qmp, struct json_object *greeting)
{
    static const char *const part[] = { "major", "minor", "micro" };
    struct json_object *at = NULL, *number = NULL;
    int value[3] = { 0, 0, 0 };

    if (!json_object_object_get_ex(greeting, "version", &at) ||
        !json_object_object_get_ex(at, "qemu", &at)) {
        return;
    }
    for (int i = 0; i < 3; i++) {
        if (json_object_object_get_ex(at, part[i], &number)) {
            value[i] = json_object_get_int(number);
        }
    }
    snprintf(qmp->version, sizeof(qmp->version), "%d.%d.%d", value[0], value[1],
             value[2]);
}

/* One line: the greeting, a reply, or an event. Whatever else it may be is passed over.
 */
static void take_line(struct doctor_qmp *qmp, const char *line)
{
    struct json_object *object = json_tokener_parse(line);
    struct json_object *id = NULL, *part = NULL;
    int query;

    if (object != NULL && json_object_is_type(object, json_type_object)) {
        if (json_object_object_get_ex(object, "QMP", &part)) {
            take_version(qmp, part);
        }
        query =
            json_object_object_get_ex(object, "id", &id) ? json_object_get_int(id) : -1;
        if (query >= 0 && query < DOCTOR_QUERY_COUNT) {
            qmp->answers++;
            if (json_object_object_get_ex(object, "return", &part) &&
                json_object_is_type(part, json_type_array) && qmp->list[query] == NULL) {
                qmp->list[query] = json_object_get(part);
            }
        }
    }
    json_object_put(object);
}

int doctor_qmp_ask(struct doctor_qmp *qmp, const char *qemu)
{
    const char *const argv[] = { qemu,   "-machine", "none",  "-nodefaults", "-display",
                                 "none", "-qmp",     "stdio", NULL };
    char *text = malloc(OUTPUT_BYTES);
    char input[1024] = "{\"execute\":\"qmp_capabilities\"}\n";
    size_t at = strlen(input);
    char *save = NULL;

    memset(qmp, 0, sizeof(*qmp));
    for (int i = 0; i < DOCTOR_QUERY_COUNT; i++) {
        at += (size_t)snprintf(input + at, sizeof(input) - at,
                               "{\"execute\":%s,\"id\":%d}\n", question[i], i);
    }
    snprintf(input + at, sizeof(input) - at, "{\"execute\":\"quit\"}\n");
    if (text != NULL && doctor_run(argv, input, text, OUTPUT_BYTES) == 0) {
        for (char *line = strtok_r(text, "\r\n", &save); line != NULL;
             line = strtok_r(NULL, "\r\n", &save)) {
            take_line(qmp, line);
        }
    }
    free(text);
    return qmp->version[0] != '\0' && qmp->answers == DOCTOR_QUERY_COUNT;
}

int doctor_qmp_lists(const struct doctor_qmp *qmp, enum doctor_query query,
                     const char *name)
{
    const char *key = query == DOCTOR_QUERY_CAPABILITIES ? "capability" : "name";
    const struct json_object *list = qmp->list[query];
    size_t count = list != NULL ? json_object_array_length(list) : 0;

    for (size_t i = 0; i < count; i++) {
        struct json_object *entry = json_object_array_get_idx(list, i), *text = NULL;

        if (json_object_object_get_ex(entry, key, &text) &&
            json_object_is_type(text, json_type_string) &&
            strcmp(json_object_get_string(text), name) == 0) {
            return 1;
        }
    }
    return 0;
}

void doctor_qmp_free(struct doctor_qmp *qmp)
{
    for (int i = 0; i < DOCTOR_QUERY_COUNT; i++) {
        json_object_put(qmp->list[i]);
    }
}
