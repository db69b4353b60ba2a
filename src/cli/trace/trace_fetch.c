/* SPDX-License-Identifier: BSD-3-Clause */
#include <stdio.h>
#include <string.h>

#include "cli/output.h"
#include "cli/trace/trace.h"

#define REPLY_TIMEOUT_MS 10000

/* Names the run of the machine whose clock the times are of. */
static struct json_object *json_boot(void)
{
    FILE *file = fopen("/proc/sys/kernel/random/boot_id", "re");
    char text[64] = "";

    if (file != NULL) {
        if (fgets(text, sizeof(text), file) == NULL) {
            text[0] = '\0';
        }
        fclose(file);
    }
    text[strcspn(text, "\n")] = '\0';
    return json_object_new_string(text);
}

/* Moves the events of a page behind those of the side. */
static void take_events(struct json_object *side, struct json_object *page)
{
    struct json_object *all = NULL, *some = NULL;

    if (!json_object_object_get_ex(side, "events", &all) ||
        !json_object_object_get_ex(page, "events", &some) ||
        !json_object_is_type(some, json_type_array)) {
        return;
    }
    for (size_t i = 0; i < json_object_array_length(some); i++) {
        json_object_array_add(all, json_object_get(json_object_array_get_idx(some, i)));
    }
}

static int next_page(struct control_lines *lines, struct json_object *side, uint64_t from,
                     uint64_t *ret_next, struct ferry_error *reterr)
{
    struct json_object *request = control_command("trace"), *page = NULL;
    int status;

    json_object_object_add(request, "from", json_u64(from));
    status = control_call(lines, request, REPLY_TIMEOUT_MS, &page, reterr);
    if (status < 0) {
        return status;
    }
    if (from == 0) {
        static const char *const taken[] = { "role", "devices", "report", "dropped",
                                             "total" };

        for (size_t i = 0; i < sizeof(taken) / sizeof(taken[0]); i++) {
            struct json_object *member = NULL;

            if (json_object_object_get_ex(page, taken[i], &member)) {
                json_object_object_add(side, taken[i], json_object_get(member));
            }
        }
    }
    take_events(side, page);
    *ret_next = json_get_u64(page, "next");
    json_object_put(page);
    return FERRY_OK;
}

int trace_fetch(struct control_lines *lines, struct json_object **ret_side,
                struct ferry_error *reterr)
{
    struct json_object *side = json_object_new_object();
    uint64_t at = 0, next = 0;
    int status;

    json_object_object_add(side, "events", json_object_new_array());
    json_object_object_add(side, "boot", json_boot());
    do {
        at = next;
        status = next_page(lines, side, at, &next, reterr);
        /* No host has more; this one could go on for ever. */
    } while (status == FERRY_OK && next > at && next < json_get_u64(side, "total") &&
             next < TRACE_EVENTS_MAX);
    if (status == FERRY_OK && json_get_u64(side, "total") == 0) {
        status = ferry_error_set(reterr, FERRY_E_NOT_FOUND, "trace", NULL, 0,
                                 "nothing has migrated at this host yet");
    }
    if (status < 0) {
        json_object_put(side);
        return status;
    }
    *ret_side = side;
    return FERRY_OK;
}

int trace_save(struct control_lines *const *lines, uint32_t count, const char *path,
               struct ferry_error *reterr)
{
    struct json_object *file = trace_file_new();
    int status = FERRY_OK;

    for (uint32_t i = 0; i < count && status == FERRY_OK; i++) {
        struct json_object *side = NULL;

        status = trace_fetch(lines[i], &side, reterr);
        if (status == FERRY_OK) {
            trace_file_add(file, side);
            json_object_put(side);
        }
    }
    if (status == FERRY_OK) {
        status = trace_file_write(file, path, reterr);
    }
    json_object_put(file);
    return status;
}
