/* SPDX-License-Identifier: BSD-3-Clause */
#include "cli/check/checker.h"

static const struct {
    uint32_t bit;
    const char *name;
} needs[] = {
    { FERRY_CHECK_NEEDS_P2P, "p2p" },
    { FERRY_CHECK_NEEDS_PRE_COPY, "pre-copy" },
    { FERRY_CHECK_NEEDS_LOG, "dirty-log" },
    { FERRY_CHECK_NEEDS_DRIVER, "driver" },
    { FERRY_CHECK_NEEDS_RESET, "reset" },
    { FERRY_CHECK_NEEDS_WIRE, "vfio-user" },
    { FERRY_CHECK_NEEDS_PARTNER, "partner" },
    { FERRY_CHECK_NEEDS_FOREIGN, "foreign" },
    { FERRY_CHECK_NEEDS_V1, "v1" },
    { FERRY_CHECK_NEEDS_V2, "v2" },
    { FERRY_CHECK_NEEDS_IRQ, "interrupts" },
    { FERRY_CHECK_NEEDS_REOPEN, "reopen" },
    { FERRY_CHECK_DESTRUCTIVE, "--destructive" },
    { FERRY_CHECK_MAY_HANG, "--force" },
};
#define NEED_COUNT (sizeof(needs) / sizeof(needs[0]))

static struct json_object *json_info(const struct ferry_check_info *info)
{
    struct json_object *object = json_object_new_object();
    struct json_object *array = json_object_new_array();

    for (size_t i = 0; i < NEED_COUNT; i++) {
        if (info->needs & needs[i].bit) {
            json_object_array_add(array, json_object_new_string(needs[i].name));
        }
    }
    json_object_object_add(object, "check", json_object_new_string(info->id));
    json_object_object_add(object, "rule", json_object_new_string(info->rule));
    json_object_object_add(object, "profile",
                           json_object_new_string(checker_profile_name(info->profile)));
    json_object_object_add(object, "needs", array);
    json_object_object_add(object, "title", json_object_new_string(info->title));
    return object;
}

static void print_info(const struct ferry_check_info *info)
{
    const char *before = "  [";

    printf("%-26s %-12s %-11s %s", info->id, info->rule,
           checker_profile_name(info->profile), info->title);
    for (size_t i = 0; i < NEED_COUNT; i++) {
        if (info->needs & needs[i].bit) {
            printf("%s%s", before, needs[i].name);
            before = ", ";
        }
    }
    puts(before[0] == ',' ? "]" : "");
}

void list_print(const struct checker_args *args)
{
    struct json_object *array = args->json ? json_object_new_array() : NULL;
    const struct ferry_check_info *info;

    for (size_t i = 0; (info = ferry_check_get(i)) != NULL; i++) {
        if (!checker_wants(args, info)) {
            continue;
        }
        if (array != NULL) {
            json_object_array_add(array, json_info(info));
        } else {
            print_info(info);
        }
    }
    if (array != NULL) {
        print_json(array, 1);
        json_object_put(array);
    }
}
