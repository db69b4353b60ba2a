/* SPDX-License-Identifier: BSD-3-Clause */
#include <stdio.h>
#include <string.h>

#include "cli/output.h"

/* One figure of a report: where it lies and how it is called in JSON. */
struct field {
    const char *name;
    size_t off;
};

static const struct field device_time[] = {
    { "quiet_ns", offsetof(struct ferry_device_report, quiet_ns) },
    { "stop_ns", offsetof(struct ferry_device_report, stop_ns) },
    { "data_ns", offsetof(struct ferry_device_report, data_ns) },
    { "load_ns", offsetof(struct ferry_device_report, load_ns) },
    { "run_ns", offsetof(struct ferry_device_report, run_ns) },
    { "precopy_bytes", offsetof(struct ferry_device_report, precopy_bytes) },
    { "stop_bytes", offsetof(struct ferry_device_report, stop_bytes) },
};

static const struct field whole[] = {
    { "total_ns", offsetof(struct ferry_report, total_ns) },
    { "downtime_ns", offsetof(struct ferry_report, downtime_ns) },
    { "predicted_downtime_ns", offsetof(struct ferry_report, predicted_downtime_ns) },
    { "ram_precopy_bytes", offsetof(struct ferry_report, ram_precopy_bytes) },
    { "ram_stop_bytes", offsetof(struct ferry_report, ram_stop_bytes) },
    { "pause_ns", offsetof(struct ferry_report, pause_ns) },
    { "quiet_ns", offsetof(struct ferry_report, quiet_ns) },
    { "stop_ns", offsetof(struct ferry_report, stop_ns) },
    { "transfer_ns", offsetof(struct ferry_report, transfer_ns) },
    { "prepare_ns", offsetof(struct ferry_report, prepare_ns) },
    { "commit_ns", offsetof(struct ferry_report, commit_ns) },
};

struct json_object *json_u64(uint64_t value)
{
    return json_object_new_uint64(value);
}

static void add_fields(struct json_object *object, const void *from,
                       const struct field *field, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        uint64_t value;

        memcpy(&value, (const char *)from + field[i].off, sizeof(value));
        json_object_object_add(object, field[i].name, json_u64(value));
    }
}

struct json_object *json_error(const struct ferry_error *error)
{
    struct json_object *object = json_object_new_object();

    json_object_object_add(object, "code",
                           json_object_new_string(ferry_status_name(error->code)));
    json_object_object_add(object, "layer", json_object_new_string(error->layer));
    json_object_object_add(object, "rule", json_object_new_string(error->rule));
    json_object_object_add(object, "offset", json_u64(error->offset));
    json_object_object_add(object, "text",
                           json_object_new_string(error->text[0] != '\0'
                                                      ? error->text
                                                      : ferry_status_text(error->code)));
    return object;
}

struct json_object *json_progress(const char *phase,
                                  const struct ferry_progress *progress)
{
    struct json_object *object = json_object_new_object();

    json_object_object_add(object, "phase", json_object_new_string(phase ? phase : ""));
    json_object_object_add(object, "round", json_u64(progress->round));
    json_object_object_add(object, "ram_bytes_sent", json_u64(progress->ram_bytes_sent));
    json_object_object_add(object, "device_bytes_sent",
                           json_u64(progress->device_bytes_sent));
    json_object_object_add(object, "bytes_left", json_u64(progress->bytes_left));
    json_object_object_add(object, "rate_bytes_per_s",
                           json_u64(progress->rate_bytes_per_s));
    json_object_object_add(object, "predicted_downtime_ns",
                           json_u64(progress->predicted_downtime_ns));
    return object;
}

static struct json_object *json_device(const struct ferry_device_report *device)
{
    struct json_object *object = json_object_new_object();

    json_object_object_add(object, "name", json_object_new_string(device->name));
    json_object_object_add(object, "state",
                           json_object_new_string(ferry_state_name(device->state)));
    add_fields(object, device, device_time, sizeof(device_time) / sizeof(device_time[0]));
    json_object_object_add(object, "irqs_carried", json_u64(device->irqs_carried));
    json_object_object_add(object, "was_reset",
                           json_object_new_boolean(device->was_reset != 0));
    json_object_object_add(object, "hung", json_object_new_boolean(device->hung != 0));
    json_object_object_add(object, "counters",
                           json_counters(device->counter, device->counter_count));
    return object;
}

struct json_object *json_report(const struct ferry_report *report)
{
    struct json_object *object = json_object_new_object();
    struct json_object *devices = json_object_new_array();
    char session[TEXT_BYTES];

    json_object_object_add(object, "outcome",
                           json_object_new_string(ferry_outcome_name(report->outcome)));
    json_object_object_add(object, "incoming",
                           json_object_new_boolean(report->incoming != 0));
    json_object_object_add(object, "rounds", json_u64(report->rounds));
    json_object_object_add(object, "connections", json_u64(report->connections));
    add_fields(object, report, whole, sizeof(whole) / sizeof(whole[0]));
    snprintf(session, sizeof(session), "%016llx", (unsigned long long)report->session_id);
    json_object_object_add(object, "session_id", json_object_new_string(session));
    if (report->error.code != FERRY_OK) {
        json_object_object_add(object, "error", json_error(&report->error));
    }
    for (uint32_t i = 0; i < report->device_count && i < FERRY_SESSION_DEVICES_MAX; i++) {
        json_object_array_add(devices, json_device(&report->device[i]));
    }
    json_object_object_add(object, "devices", devices);
    return object;
}

struct json_object *json_identity(const struct ferry_identity *identity)
{
    static const char *const relation[] = { "?", "equal", "at_least", "superset" };
    struct json_object *object = json_object_new_object();
    struct json_object *keys = json_object_new_array();
    char pci[TEXT_BYTES];

    snprintf(pci, sizeof(pci), "%04x:%04x", identity->pci_vendor, identity->pci_device);
    json_object_object_add(object, "model", json_object_new_string(identity->model));
    json_object_object_add(object, "pci", json_object_new_string(pci));
    json_object_object_add(object, "pci_class", json_u64(identity->pci_class));
    json_object_object_add(object, "state_version", json_u64(identity->state_version));
    json_object_object_add(object, "state_version_min",
                           json_u64(identity->state_version_min));
    for (uint32_t i = 0; i < identity->key_count && i < FERRY_KEYS_MAX; i++) {
        const struct ferry_compat_key *key = &identity->key[i];
        struct json_object *one = json_object_new_object();

        json_object_object_add(one, "name", json_object_new_string(key->name));
        json_object_object_add(
            one, "relation",
            json_object_new_string(relation[key->relation <= 3 ? key->relation : 0]));
        json_object_object_add(one, "value", json_u64(key->value));
        json_object_array_add(keys, one);
    }
    json_object_object_add(object, "keys", keys);
    return object;
}

static void print_devices(struct json_object *devices)
{
    size_t count = json_object_array_length(devices);

    printf("  %-10s %12s %12s %10s %10s %10s %10s %10s\n", "device", "pre-copied",
           "after stop", "quiet", "stop", "data", "load", "run");
    for (size_t i = 0; i < count; i++) {
        struct json_object *device = json_object_array_get_idx(devices, i);
        char text[7][TEXT_BYTES];

        printf("  %-10s %12s %12s %10s %10s %10s %10s %10s\n",
               json_get_text(device, "name"),
               text_bytes(json_get_u64(device, "precopy_bytes"), text[0]),
               text_bytes(json_get_u64(device, "stop_bytes"), text[1]),
               text_time(json_get_u64(device, "quiet_ns"), text[2]),
               text_time(json_get_u64(device, "stop_ns"), text[3]),
               text_time(json_get_u64(device, "data_ns"), text[4]),
               text_time(json_get_u64(device, "load_ns"), text[5]),
               text_time(json_get_u64(device, "run_ns"), text[6]));
    }
    for (size_t i = 0; i < count; i++) {
        struct json_object *device = json_object_array_get_idx(devices, i);
        struct json_object *counters = NULL;
        char prefix[FERRY_CONTEXT_NAME_BYTES + TEXT_BYTES];

        if (json_object_object_get_ex(device, "counters", &counters) &&
            json_object_is_type(counters, json_type_array)) {
            snprintf(prefix, sizeof(prefix), "  %s counted",
                     json_get_text(device, "name"));
            print_counters(prefix, counters);
        }
    }
}

void print_report(struct json_object *report)
{
    static const char *const part[] = { "pause",    "quiet",   "stop",
                                        "transfer", "prepare", "commit" };
    struct json_object *devices = NULL;
    char text[3][TEXT_BYTES];

    printf("  downtime %s (predicted %s) of %s in all:",
           text_time(json_get_u64(report, "downtime_ns"), text[0]),
           text_time(json_get_u64(report, "predicted_downtime_ns"), text[1]),
           text_time(json_get_u64(report, "total_ns"), text[2]));
    for (size_t i = 0; i < sizeof(part) / sizeof(part[0]); i++) {
        char name[TEXT_BYTES];

        snprintf(name, sizeof(name), "%s_ns", part[i]);
        printf(" %s %s", part[i], text_time(json_get_u64(report, name), text[0]));
    }
    printf("\n  memory: %s while it ran (%llu rounds), %s after the stop\n",
           text_bytes(json_get_u64(report, "ram_precopy_bytes"), text[0]),
           (unsigned long long)json_get_u64(report, "rounds"),
           text_bytes(json_get_u64(report, "ram_stop_bytes"), text[1]));
    if (json_get_u64(report, "connections") > 1) {
        printf("  over %llu connections\n",
               (unsigned long long)json_get_u64(report, "connections"));
    }
    if (json_object_object_get_ex(report, "devices", &devices) &&
        json_object_is_type(devices, json_type_array)) {
        print_devices(devices);
    }
    fflush(stdout);
}
