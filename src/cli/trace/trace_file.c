/* SPDX-License-Identifier: BSD-3-Clause */
#include <stdio.h>
#include <string.h>

#include "cli/output.h"
#include "cli/trace/trace.h"

#define TRACKS_MAX 256u
#define NAME_BYTES 48

/* One line of the timeline: a kind of work of one device (or of none), with what is open.
 */
struct track {
    int64_t device;
    char name[NAME_BYTES];
    uint64_t open_ns; /* 0: nothing is open */
    char open_name[NAME_BYTES];
};

/* One side on its way into the file. */
struct filling {
    struct json_object *events; /* of the file */
    struct json_object *side;
    uint64_t pid, last_ns;
    uint32_t track_count;
    struct track track[TRACKS_MAX];
};

static struct json_object *text(const char *value)
{
    return json_object_new_string(value);
}

/* A text of an answer, whatever came in its place. */
static const char *text_at(struct json_object *value)
{
    return json_object_is_type(value, json_type_string) ? json_object_get_string(value)
                                                        : "";
}

static void copy_text(char *to, size_t bytes, const char *from)
{
    snprintf(to, bytes, "%s", from != NULL ? from : "");
}

/* Microseconds with their fraction, as the format wants them. */
static struct json_object *json_us(uint64_t ns)
{
    char digits[40];

    snprintf(digits, sizeof(digits), "%llu.%03llu", (unsigned long long)(ns / 1000),
             (unsigned long long)(ns % 1000));
    return json_object_new_double_s((double)ns / 1000.0, digits);
}

static const char *device_name(const struct filling *filling, int64_t device)
{
    struct json_object *devices = NULL, *one = NULL;

    if (device < 0 || !json_object_object_get_ex(filling->side, "devices", &devices) ||
        !json_object_is_type(devices, json_type_array)) {
        return "";
    }
    one = json_object_array_get_idx(devices, (size_t)device);
    return text_at(one);
}

static struct json_object *new_event(const struct filling *filling, const char *phase,
                                     uint64_t tid, const char *name)
{
    struct json_object *event = json_object_new_object();

    json_object_object_add(event, "ph", text(phase));
    json_object_object_add(event, "pid", json_u64(filling->pid));
    json_object_object_add(event, "tid", json_u64(tid));
    json_object_object_add(event, "name", text(name));
    return event;
}

static void name_thing(struct filling *filling, const char *what, uint64_t tid,
                       const char *name)
{
    struct json_object *event = new_event(filling, "M", tid, what);
    struct json_object *args = json_object_new_object();

    json_object_object_add(args, "name", text(name));
    json_object_object_add(event, "args", args);
    json_object_array_add(filling->events, event);
}

/* Index of a track, made when it is new; the last one takes what is too much. */
static uint32_t track_of(struct filling *filling, int64_t device, const char *name)
{
    struct track *track;
    char title[2 * NAME_BYTES];

    for (uint32_t i = 0; i < filling->track_count; i++) {
        if (filling->track[i].device == device &&
            strcmp(filling->track[i].name, name) == 0) {
            return i;
        }
    }
    if (filling->track_count == TRACKS_MAX) {
        return TRACKS_MAX - 1;
    }
    track = &filling->track[filling->track_count];
    track->device = device;
    copy_text(track->name, sizeof(track->name), name);
    snprintf(title, sizeof(title), "%.40s%s%.40s", device_name(filling, device),
             device >= 0 ? ": " : "", name);
    name_thing(filling, "thread_name", filling->track_count + 1, title);
    return filling->track_count++;
}

static struct json_object *event_args(const struct filling *filling, int64_t device,
                                      int64_t status, uint64_t value, const char *state)
{
    struct json_object *args = json_object_new_object();

    if (device >= 0) {
        json_object_object_add(args, "device", text(device_name(filling, device)));
    }
    if (status < 0) {
        json_object_object_add(args, "error", text(ferry_status_name((int)status)));
    }
    if (value > 0) {
        json_object_object_add(args, "bytes", json_u64(value));
    }
    if (state != NULL && state[0] != '\0') {
        json_object_object_add(args, "state", text(state));
    }
    return args;
}

static void add_span(struct filling *filling, uint32_t index, uint64_t end_ns,
                     int64_t status, uint64_t value, const char *state)
{
    struct track *track = &filling->track[index];
    struct json_object *event;
    uint64_t ns = end_ns > track->open_ns ? end_ns - track->open_ns : 0;

    if (track->open_ns == 0) {
        return;
    }
    event = new_event(filling, "X", index + 1, track->open_name);
    json_object_object_add(event, "cat", text(track->name));
    json_object_object_add(event, "ts", json_us(track->open_ns));
    json_object_object_add(event, "dur", json_us(ns));
    json_object_object_add(event, "args",
                           event_args(filling, track->device, status, value, state));
    json_object_array_add(filling->events, event);
    track->open_ns = 0;
}

static void add_point(struct filling *filling, uint32_t index, uint64_t time_ns,
                      const char *name, int64_t status)
{
    struct track *track = &filling->track[index];
    struct json_object *event = new_event(filling, "i", index + 1, name);

    json_object_object_add(event, "s", text("t"));
    json_object_object_add(event, "cat", text(track->name));
    json_object_object_add(event, "ts", json_us(time_ns));
    json_object_object_add(event, "args",
                           event_args(filling, track->device, status, 0, NULL));
    json_object_array_add(filling->events, event);
}

static void add_figure(struct filling *filling, uint64_t time_ns, const char *name,
                       uint64_t value)
{
    struct json_object *event = new_event(filling, "C", 0, name);
    struct json_object *args = json_object_new_object();

    json_object_object_add(args, "value", json_u64(value));
    json_object_object_add(event, "ts", json_us(time_ns));
    json_object_object_add(event, "args", args);
    json_object_array_add(filling->events, event);
}

/* [time_ns, kind, device, status, track, name, value], as trace_log_page() makes it. */
static void add_event(struct filling *filling, struct json_object *from)
{
    struct json_object *at[7];
    uint64_t time_ns, value;
    int64_t device, status;
    const char *name;
    uint32_t index;

    if (!json_object_is_type(from, json_type_array) ||
        json_object_array_length(from) < 7) {
        return;
    }
    for (size_t i = 0; i < 7; i++) {
        at[i] = json_object_array_get_idx(from, i);
    }
    time_ns = json_object_get_uint64(at[0]);
    device = json_object_get_int64(at[2]);
    status = json_object_get_int64(at[3]);
    name = text_at(at[5]);
    value = json_object_get_uint64(at[6]);
    filling->last_ns = time_ns;
    if (json_object_get_uint64(at[1]) == FERRY_TRACE_FIGURE) {
        add_figure(filling, time_ns, name, value);
        return;
    }
    index = track_of(filling, device, text_at(at[4]));
    switch ((enum ferry_trace_kind)json_object_get_uint64(at[1])) {
    case FERRY_TRACE_BEGIN:
        add_span(filling, index, time_ns, 0, 0, NULL);
        filling->track[index].open_ns = time_ns;
        copy_text(filling->track[index].open_name, NAME_BYTES, name);
        return;
    case FERRY_TRACE_END:
        add_span(filling, index, time_ns, status, value,
                 strcmp(filling->track[index].name, "state") == 0 ? name : NULL);
        return;
    case FERRY_TRACE_POINT:
        add_point(filling, index, time_ns, name, status);
        return;
    case FERRY_TRACE_FIGURE:
        return;
    }
}

struct json_object *trace_file_new(void)
{
    struct json_object *file = json_object_new_object();
    struct json_object *other = json_object_new_object();

    json_object_object_add(other, "format", text(TRACE_FORMAT));
    json_object_object_add(other, "sides", json_object_new_array());
    json_object_object_add(file, "displayTimeUnit", text("ms"));
    json_object_object_add(file, "otherData", other);
    json_object_object_add(file, "traceEvents", json_object_new_array());
    return file;
}

struct json_object *trace_file_sides(struct json_object *file)
{
    struct json_object *other = NULL, *sides = NULL;

    json_object_object_get_ex(file, "otherData", &other);
    json_object_object_get_ex(other, "sides", &sides);
    return sides;
}

/* What is told of a side beside its events. */
static void add_side(struct filling *filling, struct json_object *sides)
{
    static const char *const taken[] = { "role", "boot", "devices", "report", "dropped" };
    struct json_object *about = json_object_new_object(), *report = NULL;
    const char *session = "";
    char title[64];

    json_object_object_add(about, "pid", json_u64(filling->pid));
    for (size_t i = 0; i < sizeof(taken) / sizeof(taken[0]); i++) {
        struct json_object *member = NULL;

        if (json_object_object_get_ex(filling->side, taken[i], &member)) {
            json_object_object_add(about, taken[i], json_object_get(member));
        }
    }
    if (json_object_object_get_ex(filling->side, "report", &report)) {
        session = json_get_text(report, "session_id");
    }
    json_object_object_add(about, "session", text(session));
    json_object_array_add(sides, about);
    snprintf(title, sizeof(title), "%.16s of %.16s", json_get_text(about, "role"),
             session);
    name_thing(filling, "process_name", 0, title);
}

void trace_file_add(struct json_object *file, struct json_object *side)
{
    struct filling filling = { .side = side };
    struct json_object *sides = trace_file_sides(file), *events = NULL;

    json_object_object_get_ex(file, "traceEvents", &filling.events);
    filling.pid = json_object_array_length(sides) + 1;
    add_side(&filling, sides);
    if (!json_object_object_get_ex(side, "events", &events)) {
        return;
    }
    for (size_t i = 0; i < json_object_array_length(events); i++) {
        add_event(&filling, json_object_array_get_idx(events, i));
    }
    /* What is open when the timeline ends, such as the paused CPUs of a source, ends
     * there. */
    for (uint32_t i = 0; i < filling.track_count; i++) {
        add_span(&filling, i, filling.last_ns, 0, 0, NULL);
    }
}
