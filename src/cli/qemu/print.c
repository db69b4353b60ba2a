/* SPDX-License-Identifier: BSD-3-Clause */
#include <stdio.h>
#include <string.h>

#include "cli/output.h"
#include "cli/qemu/qemu.h"

/* As a POSIX shell reads it back. */
static void print_word(const char *word)
{
    static const char plain[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
                                "0123456789_-+=./:,@%";

    if (word[0] != '\0' && word[strspn(word, plain)] == '\0') {
        fputs(word, stdout);
        return;
    }
    putchar('\'');
    for (; *word != '\0'; word++) {
        if (*word == '\'') {
            fputs("'\\''", stdout);
        } else {
            putchar(*word);
        }
    }
    putchar('\'');
}

/* Model and options, as `ferry serve' takes them. */
static struct json_object *json_model(const struct qemu_device *device)
{
    struct json_object *list = json_object_new_array();

    for (size_t i = 0; i < device->model_options; i++) {
        json_object_array_add(list, json_object_new_string(device->model_option[i]));
    }
    return list;
}

static struct json_object *json_devices(const struct qemu_args *args)
{
    struct json_object *list = json_object_new_array();

    for (size_t i = 0; i < args->devices; i++) {
        const struct qemu_device *device = &args->device[i];
        struct json_object *one = json_object_new_object();

        json_object_object_add(one, "id", json_object_new_string(device->id));
        json_object_object_add(one, "fd", json_object_new_int(device->token));
        if (args->groups) {
            json_object_object_add(one, "group",
                                   json_object_new_int((int)qemu_group_number(device)));
        }
        json_object_object_add(one, "socket", json_object_new_string(device->socket));
        if (device->model != NULL) {
            json_object_object_add(one, "model", json_object_new_string(device->model));
            json_object_object_add(one, "options", json_model(device));
        }
        json_object_array_add(list, one);
    }
    return list;
}

static struct json_object *json_words(const struct qemu_plan *plan, size_t first,
                                      size_t count)
{
    struct json_object *list = json_object_new_array();

    for (size_t i = first; i < first + count; i++) {
        json_object_array_add(list, json_object_new_string(plan->command.word[i]));
    }
    return list;
}

static void print_as_json(const struct qemu_plan *plan, const struct qemu_args *args)
{
    struct json_object *root = json_object_new_object();
    struct json_object *environment = json_object_new_object();
    struct json_object *list = json_object_new_array();

    json_object_object_add(environment, "LD_PRELOAD",
                           json_object_new_string(plan->preload));
    json_object_object_add(root, "environment", environment);
    json_object_object_add(root, "command", json_words(plan, 0, plan->command.count));
    for (size_t i = 0; i < plan->count; i++) {
        struct json_object *one = json_object_new_object();

        json_object_object_add(
            one, "words", json_words(plan, plan->added[i].first, plan->added[i].count));
        json_object_object_add(one, "why", json_object_new_string(plan->added[i].why));
        json_object_array_add(list, one);
    }
    json_object_object_add(root, "added", list);
    if (plan->iommu >= 0) {
        json_object_object_add(root, "iommu_fd", json_object_new_int(plan->iommu));
    }
    json_object_object_add(root, "devices", json_devices(args));
    if (plan->note[0] != '\0') {
        json_object_object_add(root, "note", json_object_new_string(plan->note));
    }
    print_json(root, 1);
    json_object_put(root);
}

void qemu_plan_print(const struct qemu_plan *plan, const struct qemu_args *args)
{
    if (args->json) {
        print_as_json(plan, args);
        return;
    }
    fputs("LD_PRELOAD=", stdout);
    print_word(plan->preload);
    for (size_t i = 0; i < plan->command.count; i++) {
        putchar(' ');
        print_word(plan->command.word[i]);
    }
    fputs("\n# Descriptor", stdout);
    if (plan->iommu >= 0) {
        printf(" %d stands for the IOMMU,", plan->iommu);
    }
    for (size_t i = 0; i < args->devices; i++) {
        const struct qemu_device *device = &args->device[i];

        printf("%s %d for %s%s%s", i > 0 ? "," : "", device->token, device->id,
               device->model != NULL ? ", model " : " at ",
               device->model != NULL ? device->model : device->socket);
        if (args->groups) {
            printf(" (/dev/vfio/%u)", qemu_group_number(device));
        }
    }
    puts(":\n# they are open in what ferry qemu runs, and nowhere else.");
    if (args->groups) {
        printf("# The same holds for the folder %s.\n", args->folder);
    }
    if (plan->note[0] != '\0') {
        printf("# About the guest's memory: %s\n", plan->note);
    }
}
