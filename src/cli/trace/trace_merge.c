/* SPDX-License-Identifier: BSD-3-Clause */
#include <string.h>

#include "cli/output.h"
#include "cli/trace/trace.h"

static struct json_object *member(struct json_object *object, const char *name)
{
    struct json_object *found = NULL;

    json_object_object_get_ex(object, name, &found);
    return found;
}

int trace_file_merge(struct json_object *file, struct json_object *more,
                     struct ferry_error *reterr)
{
    struct json_object *sides = trace_file_sides(file);
    struct json_object *new_sides = trace_file_sides(more);
    struct json_object *events = member(file, "traceEvents");
    struct json_object *new_events = member(more, "traceEvents");
    uint64_t base = 0;

    if (json_object_array_length(sides) + json_object_array_length(new_sides) >
        TRACE_SIDES_MAX) {
        return ferry_error_set(reterr, FERRY_E_LIMIT, "trace", NULL, 0,
                               "more than %u sides in all", TRACE_SIDES_MAX);
    }
    for (size_t i = 0; i < json_object_array_length(sides); i++) {
        uint64_t pid = json_get_u64(json_object_array_get_idx(sides, i), "pid");

        base = pid > base ? pid : base;
    }
    for (size_t i = 0; i < json_object_array_length(new_sides); i++) {
        struct json_object *side = json_object_array_get_idx(new_sides, i);

        json_object_object_add(side, "pid", json_u64(base + json_get_u64(side, "pid")));
        json_object_array_add(sides, json_object_get(side));
    }
    for (size_t i = 0; i < json_object_array_length(new_events); i++) {
        struct json_object *event = json_object_array_get_idx(new_events, i);

        json_object_object_add(event, "pid", json_u64(base + json_get_u64(event, "pid")));
        json_object_array_add(events, json_object_get(event));
    }
    return FERRY_OK;
}

/* --- clocks --- */

/* Time of the first point of a side with this track and name; 0: none. */
static double point_us(struct json_object *events, uint64_t pid, const char *track,
                       const char *name)
{
    for (size_t i = 0; i < json_object_array_length(events); i++) {
        struct json_object *event = json_object_array_get_idx(events, i);

        if (json_get_u64(event, "pid") == pid &&
            strcmp(json_get_text(event, "ph"), "i") == 0 &&
            strcmp(json_get_text(event, "cat"), track) == 0 &&
            strcmp(json_get_text(event, "name"), name) == 0) {
            return json_object_get_double(member(event, "ts"));
        }
    }
    return 0;
}

static void shift(struct json_object *events, uint64_t pid, double by_us)
{
    for (size_t i = 0; i < json_object_array_length(events); i++) {
        struct json_object *event = json_object_array_get_idx(events, i);
        struct json_object *time = member(event, "ts");

        if (json_get_u64(event, "pid") == pid && time != NULL) {
            json_object_object_add(
                event, "ts",
                json_object_new_double(json_object_get_double(time) + by_us));
        }
    }
}

/*
 * A message each way and the times of both ends give the difference of the clocks, as far
 * as both ways take equally long.
 */
static void align(struct json_object *events, struct json_object *source,
                  struct json_object *target)
{
    uint64_t from = json_get_u64(source, "pid"), to = json_get_u64(target, "pid");
    double there_sent = point_us(events, from, "sent", "HELLO");
    double there_got = point_us(events, to, "received", "HELLO");
    double back_sent = point_us(events, to, "sent", "PREPARED");
    double back_got = point_us(events, from, "received", "PREPARED");

    if (back_sent <= 0 || back_got <= 0) { /* it never came that far */
        back_sent = point_us(events, to, "sent", "ACCEPT");
        back_got = point_us(events, from, "received", "ACCEPT");
    }
    if (there_sent <= 0 || there_got <= 0 || back_sent <= 0 || back_got <= 0) {
        return;
    }
    shift(events, to, -((there_got - there_sent) - (back_got - back_sent)) / 2);
    json_object_object_add(target, "aligned", json_object_new_boolean(1));
}

static int by_time(const void *left, const void *right)
{
    struct json_object *const *const a = left, *const *const b = right;
    double at = json_object_get_double(member(*a, "ts"));
    double bt = json_object_get_double(member(*b, "ts"));

    return (at > bt) - (at < bt);
}

void trace_file_align(struct json_object *file)
{
    struct json_object *sides = trace_file_sides(file);
    size_t count = json_object_array_length(sides);

    for (size_t i = 0; i < count; i++) {
        struct json_object *source = json_object_array_get_idx(sides, i);

        if (strcmp(json_get_text(source, "role"), "source") != 0) {
            continue;
        }
        for (size_t j = 0; j < count; j++) {
            struct json_object *target = json_object_array_get_idx(sides, j);

            if (strcmp(json_get_text(target, "role"), "target") == 0 &&
                strcmp(json_get_text(target, "session"),
                       json_get_text(source, "session")) == 0 &&
                strcmp(json_get_text(target, "boot"), json_get_text(source, "boot")) !=
                    0 &&
                member(target, "aligned") == NULL) {
                align(member(file, "traceEvents"), source, target);
            }
        }
    }
    json_object_array_sort(member(file, "traceEvents"), by_time);
}
