/* SPDX-License-Identifier: BSD-3-Clause */
#include <stdlib.h>
#include <string.h>

#include "cli/output.h"
#include "cli/trace/trace.h"

#define FIRST_CAP 4096u
/* A page must fit into a control line together with what is around it. */
#define PAGE_EVENTS 256u

void trace_log_add(struct trace_log *log, const struct ferry_trace_event *event)
{
    if (log->over) {
        log->count = log->dropped = 0;
        log->over = 0;
    }
    if (log->count == log->cap && log->cap < TRACE_EVENTS_MAX) {
        uint32_t cap = log->cap > 0 ? 2 * log->cap : FIRST_CAP;
        struct ferry_trace_event *grown =
            realloc(log->event, cap * sizeof(log->event[0]));

        if (grown != NULL) {
            log->event = grown;
            log->cap = cap;
        }
    }
    if (log->count == log->cap) {
        log->dropped++;
        return;
    }
    log->event[log->count++] = *event;
}

void trace_log_free(struct trace_log *log)
{
    free(log->event);
    memset(log, 0, sizeof(*log));
}

/* [time_ns, kind, device or -1, status, track, name, value] */
static struct json_object *json_event(const struct ferry_trace_event *event)
{
    struct json_object *array = json_object_new_array();
    int64_t device = event->device == FERRY_NO_DEVICE ? -1 : (int64_t)event->device;

    json_object_array_add(array, json_u64(event->time_ns));
    json_object_array_add(array, json_u64(event->kind));
    json_object_array_add(array, json_object_new_int64(device));
    json_object_array_add(array, json_object_new_int(event->status));
    json_object_array_add(array, json_object_new_string(event->track));
    json_object_array_add(array, json_object_new_string(event->name ? event->name : ""));
    json_object_array_add(array, json_u64(event->value));
    return array;
}

struct json_object *trace_log_page(const struct trace_log *log, uint64_t from)
{
    struct json_object *object = json_object_new_object();
    struct json_object *events = json_object_new_array();
    uint32_t at = from < log->count ? (uint32_t)from : log->count;
    uint32_t end = log->count - at > PAGE_EVENTS ? at + PAGE_EVENTS : log->count;

    for (uint32_t i = at; i < end; i++) {
        json_object_array_add(events, json_event(&log->event[i]));
    }
    json_object_object_add(object, "next", json_u64(end));
    json_object_object_add(object, "total", json_u64(log->count));
    json_object_object_add(object, "dropped", json_u64(log->dropped));
    json_object_object_add(object, "role",
                           json_object_new_string(log->count > 0 && log->event[0].incoming
                                                      ? "target"
                                                      : "source"));
    json_object_object_add(object, "events", events);
    return object;
}
