/* SPDX-License-Identifier: BSD-3-Clause */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli/commands.h"
#include "cli/machine/machine.h"
#include "cli/output.h"
#include "ferry/state.h"

enum list_key { KEY_JSON = 'j', KEY_NO_OPEN = 'n' };

struct list_args {
    const char *root, *place;
    int json, no_open;
};

/* A table's row, and what it is as wide as. */
#define COLUMNS 4
static const char *const heading[COLUMNS] = { "DEVICE", "IDS", "DRIVER", "GROUP" };

static const struct argp_option list_options[] = {
    { "no-open", KEY_NO_OPEN, NULL, 0, "open no device: only sysfs is read", 0 },
    { "json", KEY_JSON, NULL, 0, "print JSON", 0 },
    MACHINE_ROOT_OPTION,
    { NULL, 0, NULL, 0, NULL, 0 },
};

static error_t parse_list(int key, char *text, struct argp_state *state)
{
    struct list_args *args = state->input;

    switch (key) {
    case KEY_JSON:
        args->json = 1;
        return 0;
    case KEY_NO_OPEN:
        args->no_open = 1;
        return 0;
    case MACHINE_KEY_ROOT:
        args->root = text;
        return 0;
    case ARGP_KEY_ARG:
        args->place = parse_one(state, args->place, text, "device");
        return 0;
    default:
        return ARGP_ERR_UNKNOWN;
    }
}

static const struct argp list_argp = {
    .options = list_options,
    .parser = parse_list,
    .args_doc = "[DEVICE]",
    .doc =
        "Shows the devices of this machine that VFIO can give to a user, their drivers "
        "and "
        "IOMMU groups, whether they can migrate, and what helps when they cannot. Those "
        "that belong to VFIO and are not in use are opened for a moment, which resets "
        "them.",
};

static void cell(const struct ferry_machine_device *device, unsigned column, char *ret,
                 size_t size)
{
    ret[0] = '\0';
    switch (column) {
    case 0:
        snprintf(ret, size, "%s", device->name);
        break;
    case 1:
        if ((device->flags & FERRY_MACHINE_MEDIATED) != 0) {
            snprintf(ret, size, "mdev");
        } else {
            snprintf(ret, size, "%04x:%04x", device->vendor, device->device);
        }
        break;
    case 2:
        snprintf(ret, size, "%s", device->driver[0] != '\0' ? device->driver : "-");
        break;
    default:
        if (device->group != UINT32_MAX) {
            snprintf(ret, size, "%u", device->group);
        } else {
            snprintf(ret, size, "-");
        }
    }
}

static void print_migration(const struct ferry_machine_device *device,
                            const struct machine_look *look)
{
    const size_t length = strlen(device->name);

    if (look->why[0] != '\0') {
        /* Most reasons begin with the device, which the row does already. */
        const char *why = look->why, *it = "";

        if (strncmp(why, device->name, length) == 0 && why[length] == ' ') {
            it = "it";
            why += length;
        } else if (strncmp(why, device->name, length) == 0 &&
                   strncmp(why + length, ": ", 2) == 0) {
            why += length + 2;
        }
        printf("%s: %s%s\n", look->is_unknown ? "not known" : "no", it, why);
    } else if (!look->is_open) {
        puts("not asked");
    } else {
        printf("v%d%s%s%s%s%s\n", look->uapi,
               (look->flags & FERRY_MIG_STOP_COPY) != 0 ? " STOP_COPY" : "",
               (look->flags & FERRY_MIG_P2P) != 0 ? " P2P" : "",
               (look->flags & FERRY_MIG_PRE_COPY) != 0 ? " PRE_COPY" : "",
               look->can_log ? " dirty-log" : "",
               (device->flags & FERRY_MACHINE_NO_RESET) != 0 ? " no-reset" : "");
    }
}

static void print_table(const struct ferry_machine_device *device, size_t count, int open)
{
    int width[COLUMNS];
    char text[64];

    if (count == 0) {
        puts(
            "No device of this machine is in an IOMMU group: turn the IOMMU on in the "
            "firmware\nand on the kernel's command line (intel_iommu=on; amd_iommu=on).");
        return;
    }
    for (unsigned column = 0; column < COLUMNS; column++) {
        width[column] = (int)strlen(heading[column]);
        for (size_t i = 0; i < count; i++) {
            cell(&device[i], column, text, sizeof(text));
            width[column] =
                (int)strlen(text) > width[column] ? (int)strlen(text) : width[column];
        }
        printf("%-*s  ", width[column], heading[column]);
    }
    puts("MIGRATION");
    for (size_t i = 0; i < count; i++) {
        struct machine_look look;

        for (unsigned column = 0; column < COLUMNS; column++) {
            cell(&device[i], column, text, sizeof(text));
            printf("%-*s  ", width[column], text);
        }
        /* What was found out is on the terminal while the next one is slow. */
        fflush(stdout);
        machine_look(&device[i], open, &look);
        print_migration(&device[i], &look);
    }
}

static void add_flag(struct json_object *object, const char *name, uint32_t flags,
                     uint32_t flag)
{
    json_object_object_add(object, name, json_object_new_boolean((flags & flag) != 0));
}

static void add_text(struct json_object *object, const char *name, const char *text)
{
    json_object_object_add(object, name,
                           text[0] != '\0' ? json_object_new_string(text) : NULL);
}

static struct json_object *json_migration(const struct machine_look *look)
{
    struct json_object *object = json_object_new_object();

    json_object_object_add(object, "uapi", json_u64((uint64_t)look->uapi));
    add_flag(object, "stop_copy", look->flags, FERRY_MIG_STOP_COPY);
    add_flag(object, "p2p", look->flags, FERRY_MIG_P2P);
    add_flag(object, "pre_copy", look->flags, FERRY_MIG_PRE_COPY);
    json_object_object_add(object, "dirty_log",
                           json_object_new_boolean(look->can_log != 0));
    return object;
}

static struct json_object *json_device(const struct ferry_machine_device *device,
                                       const struct machine_look *look)
{
    struct json_object *object = json_object_new_object();
    char uri[MACHINE_URI_BYTES];

    machine_uri(device, uri);
    add_text(object, "name", device->name);
    add_text(object, "driver", device->driver);
    add_text(object, "variant", device->variant);
    json_object_object_add(object, "group",
                           device->group != UINT32_MAX ? json_u64(device->group) : NULL);
    add_text(object, "cdev", device->cdev);
    add_text(object, "uri", device->why[0] == '\0' ? uri : "");
    json_object_object_add(object, "vendor", json_u64(device->vendor));
    json_object_object_add(object, "device", json_u64(device->device));
    json_object_object_add(object, "subvendor", json_u64(device->subvendor));
    json_object_object_add(object, "subdevice", json_u64(device->subdevice));
    json_object_object_add(object, "class", json_u64(device->class_code));
    add_flag(object, "vfio", device->flags, FERRY_MACHINE_VFIO);
    add_flag(object, "mediated", device->flags, FERRY_MACHINE_MEDIATED);
    add_flag(object, "virtual", device->flags, FERRY_MACHINE_VIRTUAL);
    add_flag(object, "shared_group", device->flags, FERRY_MACHINE_MULTIFUNCTION_GROUP);
    add_flag(object, "override", device->flags, FERRY_MACHINE_OVERRIDE);
    add_flag(object, "no_reset", device->flags, FERRY_MACHINE_NO_RESET);
    /* null: nobody asked it, or it could not be asked. */
    json_object_object_add(object, "can_migrate",
                           look->is_open || (look->why[0] != '\0' && !look->is_unknown)
                               ? json_object_new_boolean(look->why[0] == '\0')
                               : NULL);
    json_object_object_add(object, "migration",
                           look->is_open ? json_migration(look) : NULL);
    add_text(object, "why", look->why);
    return object;
}

static void print_devices(const struct ferry_machine_device *device, size_t count,
                          int open)
{
    struct json_object *root = json_object_new_object();
    struct json_object *list = json_object_new_array();

    for (size_t i = 0; i < count; i++) {
        struct machine_look look;

        machine_look(&device[i], open, &look);
        json_object_array_add(list, json_device(&device[i], &look));
    }
    json_object_object_add(root, "devices", list);
    print_json(root, 1);
    json_object_put(root);
}

/* ret_device: FERRY_MACHINE_DEVICES_MAX entries. */
static int find(const struct list_args *args, struct ferry_machine_device *ret_device,
                size_t *ret_count, struct ferry_error *reterr)
{
    struct ferry_machine_options options;
    struct machine_root root;

    machine_options(args->root, &root, &options);
    *ret_count = 1;
    return args->place != NULL
               ? ferry_machine_get(&options, args->place, ret_device, reterr)
               : ferry_machine_list(&options, ret_device, FERRY_MACHINE_DEVICES_MAX,
                                    ret_count, reterr);
}

int command_list(int argc, char **argv)
{
    struct list_args args = { .json = 0 };
    struct ferry_error error = { .code = FERRY_OK };
    struct ferry_machine_device *device;
    size_t count = 0;
    int status, open;

    argp_parse(&list_argp, argc, argv, 0, NULL, &args);
    device = calloc(FERRY_MACHINE_DEVICES_MAX, sizeof(*device));
    if (device == NULL) {
        print_error("list", NULL, "no memory for the list of devices");
        return EXIT_FAILED;
    }
    status = find(&args, device, &count, &error);
    /* Devices of a folder are none that could be opened. */
    open = !args.no_open && args.root == NULL;
    if (status < 0) {
        print_error("list", NULL, "%s", error.text);
    } else if (args.json) {
        print_devices(device, count, open);
    } else {
        print_table(device, count, open);
    }
    free(device);
    return status == FERRY_E_ARGUMENT ? EXIT_USAGE : status < 0 ? EXIT_FAILED : EXIT_OK;
}
