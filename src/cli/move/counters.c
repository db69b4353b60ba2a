/* SPDX-License-Identifier: BSD-3-Clause */
#include <stdio.h>
#include <string.h>

#include "cli/output.h"

struct json_object *json_counters(const struct ferry_counter *counter, uint32_t count)
{
    struct json_object *list = json_object_new_array();

    for (uint32_t i = 0; i < count; i++) {
        struct json_object *one = json_object_new_object();

        json_object_object_add(one, "name", json_object_new_string(counter[i].name));
        if (counter[i].queue != FERRY_COUNTER_DEVICE) {
            json_object_object_add(one, "queue", json_u64(counter[i].queue));
        }
        json_object_object_add(one, "value", json_u64(counter[i].value));
        json_object_array_add(list, one);
    }
    return list;
}

/* All of one name: their sum, and where they come from when that is more than one. What
 * is 0 is left out: a device has many, and few that happen. */
static void print_name(const char *prefix, struct json_object *list, const char *name)
{
    const size_t count = json_object_array_length(list);
    struct json_object *queue = NULL;
    const char *between = " (";
    uint64_t sum = 0;
    size_t queues = 0;

    for (size_t i = 0; i < count; i++) {
        struct json_object *one = json_object_array_get_idx(list, i);

        if (strcmp(json_get_text(one, "name"), name) == 0) {
            sum += json_get_u64(one, "value");
            queues += json_object_object_get_ex(one, "queue", &queue) ? 1 : 0;
        }
    }
    if (sum == 0) {
        return;
    }
    printf("%s %s %llu", prefix, name, (unsigned long long)sum);
    for (size_t i = 0; i < count && queues > 1; i++) {
        struct json_object *one = json_object_array_get_idx(list, i);
        const uint64_t value = json_get_u64(one, "value");

        if (value > 0 && strcmp(json_get_text(one, "name"), name) == 0) {
            printf("%squeue %llu: %llu", between,
                   (unsigned long long)json_get_u64(one, "queue"),
                   (unsigned long long)value);
            between = ", ";
        }
    }
    puts(between[0] == ',' ? ")" : "");
}

static int is_first(struct json_object *list, size_t at)
{
    const char *name = json_get_text(json_object_array_get_idx(list, at), "name");

    for (size_t i = 0; i < at; i++) {
        if (strcmp(json_get_text(json_object_array_get_idx(list, i), "name"), name) ==
            0) {
            return 0;
        }
    }
    return 1;
}

void print_counters(const char *prefix, struct json_object *list)
{
    for (size_t i = 0; i < json_object_array_length(list); i++) {
        if (is_first(list, i)) {
            print_name(prefix, list,
                       json_get_text(json_object_array_get_idx(list, i), "name"));
        }
    }
}
