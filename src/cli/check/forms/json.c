/* SPDX-License-Identifier: BSD-3-Clause */
#include <stdlib.h>

#include "cli/check/checker.h"
#include "ferry/state.h"

/* docs/check.md has this form; members are added, never changed. */
#define FORMAT 1

static void add_text(struct json_object *object, const char *name, const char *text)
{
    json_object_object_add(object, name,
                           text != NULL ? json_object_new_string(text) : NULL);
}

static struct json_object *json_device(const struct checker *checker)
{
    struct json_object *object = json_object_new_object();
    struct json_object *features = json_object_new_array();
    const struct checker_identity *identity = &checker->identity;
    const uint8_t *config = identity->config;
    static const struct {
        uint32_t bit;
        const char *name;
    } names[] = { { FERRY_MIG_STOP_COPY, "STOP_COPY" },
                  { FERRY_MIG_P2P, "P2P" },
                  { FERRY_MIG_PRE_COPY, "PRE_COPY" } };
    char pci[16] = "";

    if (identity->known) {
        snprintf(pci, sizeof(pci), "%02x%02x:%02x%02x", config[1], config[0], config[3],
                 config[2]);
    }
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        if (checker->summary.features & names[i].bit) {
            json_object_array_add(features, json_object_new_string(names[i].name));
        }
    }
    add_text(object, "uri", checker->args->uri);
    add_text(object, "model", identity->model[0] != '\0' ? identity->model : NULL);
    add_text(object, "pci", pci[0] != '\0' ? pci : NULL);
    json_object_object_add(object, "uapi", json_u64(checker->summary.uapi));
    json_object_object_add(object, "features", features);
    add_text(object, "driver",
             checker->driver.struct_size != 0 ? checker->driver.name : NULL);
    return object;
}

static struct json_object *json_result(const struct checker *checker,
                                       const struct checker_result *result)
{
    struct json_object *object = json_object_new_object();
    const struct ferry_check_result *found = &result->found;
    char *again = checker_again(checker->args, found);

    add_text(object, "check", found->check->id);
    add_text(object, "case", found->name);
    add_text(object, "rule", found->check->rule);
    add_text(object, "title", found->check->title);
    add_text(object, "profile", checker_profile_name(found->check->profile));
    add_text(object, "verdict", checker_verdict_name(found->verdict));
    add_text(object, "expected", found->expected);
    add_text(object, "seen", found->seen);
    json_object_object_add(object, "looked_ms", json_u64(found->looked_ms));
    json_object_object_add(object, "duration_ns", json_u64(found->duration_ns));
    add_text(object, "waived", result->waived != NULL ? result->waived->reason : NULL);
    add_text(object, "again", again);
    free(again);
    return object;
}

static struct json_object *json_tally(const struct checker *checker, uint32_t profile)
{
    const struct checker_tally tally = checker_count(checker, NULL, profile);
    struct json_object *object = json_object_new_object();

    json_object_object_add(object, "passed", json_u64(tally.passed));
    json_object_object_add(object, "failed", json_u64(tally.failed));
    json_object_object_add(object, "waived", json_u64(tally.waived));
    json_object_object_add(object, "skipped", json_u64(tally.skipped));
    json_object_object_add(object, "broken", json_u64(tally.broken));
    return object;
}

static struct json_object *json_waivers(const struct checker *checker)
{
    struct json_object *array = json_object_new_array();

    for (size_t i = 0; i < checker->waiver_count; i++) {
        const struct checker_waiver *waiver = &checker->waiver[i];
        struct json_object *object = json_object_new_object();

        add_text(object, "pattern", waiver->pattern);
        add_text(object, "reason", waiver->reason);
        json_object_object_add(object, "line", json_u64(waiver->line));
        json_object_object_add(object, "findings", json_u64(waiver->matched));
        json_object_object_add(object, "stale",
                               json_object_new_boolean(checker_waiver_is_stale(waiver)));
        json_object_array_add(array, object);
    }
    return array;
}

void json_print(const struct checker *checker)
{
    static const char *const end[] = { "done", "cancelled", "hung", "full", "error" };
    struct json_object *object = json_object_new_object();
    struct json_object *results = json_object_new_array();
    struct json_object *summary = json_object_new_object();

    for (size_t i = 0; i < checker->count; i++) {
        json_object_array_add(results, json_result(checker, &checker->result[i]));
    }
    for (uint32_t i = FERRY_CHECK_REQUIRED; i <= FERRY_CHECK_RECOMMENDED; i++) {
        json_object_object_add(summary, checker_profile_name(i), json_tally(checker, i));
    }
    json_object_object_add(object, "format", json_u64(FORMAT));
    add_text(object, "ferry", ferry_version());
    json_object_object_add(object, "device", json_device(checker));
    json_object_object_add(object, "results", results);
    json_object_object_add(object, "summary", summary);
    json_object_object_add(object, "waivers", json_waivers(checker));
    json_object_object_add(object, "duration_ns", json_u64(checker->duration_ns));
    add_text(object, "end", end[checker->end]);
    json_object_object_add(object, "error",
                           checker->end == CHECKER_ERROR ? json_error(&checker->error)
                                                         : NULL);
    json_object_object_add(object, "exit_status",
                           json_u64((uint64_t)checker_status(checker)));
    print_json(object, 1);
    json_object_put(object);
}
