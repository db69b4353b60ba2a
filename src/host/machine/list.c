/* SPDX-License-Identifier: BSD-3-Clause */
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include "host/machine/inside.h"

/* Bridges of all kinds, which nobody wants to give to a user. */

/* The names of what is listed, and then what the aliases say of them. */
struct names {
    const struct machine_env *env;
    char (*name)[FERRY_MACHINE_NAME_BYTES];
    size_t count;
};

static uint64_t number_of(const struct ferry_machine_place *place, const char *attr)
{
    char path[MACHINE_PATH_BYTES];
    uint64_t value = 0;

    ferry_os_path(path, sizeof(path), "%s/%s", place->folder, attr);
    (void)ferry_os_attr_number(path, &value);
    return value;
}

static int is_listed(const struct machine_env *env, const char *name)
{
    struct ferry_machine_place place;

    return ferry_machine_find(name, env->sysfs, env->dev, &place, NULL) == FERRY_OK &&
           (machine_is_vfio(place.folder, place.driver) ||
            (place.group != FERRY_MACHINE_NO_GROUP &&
             !machine_is_bridge(number_of(&place, "class"))));
}

static int add_name(void *user, const char *name)
{
    struct names *names = user;
    char address[FERRY_MACHINE_NAME_BYTES];

    if (names->count == FERRY_MACHINE_DEVICES_MAX) {
        return 1;
    }
    if (machine_is_uuid(name) ||
        (machine_pci_address(name, address) == FERRY_OK && is_listed(names->env, name))) {
        ferry_os_path(names->name[names->count++], sizeof(names->name[0]), "%s", name);
    }
    return 0;
}

static int compare(const void *a, const void *b)
{
    return strcmp(a, b);
}

static int count_member(void *user, const char *name)
{
    unsigned *count = user;

    (void)name;
    return ++*count > 1;
}

static uint32_t find_flags(const struct ferry_machine_place *place)
{
    char path[MACHINE_PATH_BYTES], override[FERRY_MACHINE_NAME_BYTES];
    unsigned members = 0;
    uint32_t flags = place->cdev[0] != '\0' ? FERRY_MACHINE_CDEV : 0;

    flags |= machine_is_vfio(place->folder, place->driver) ? FERRY_MACHINE_VFIO : 0;
    flags |= machine_is_uuid(place->name) ? FERRY_MACHINE_MEDIATED : 0;
    /* PCI devices that can be reset have a file for it. */
    ferry_os_path(path, sizeof(path), "%s/reset", place->folder);
    if ((flags & FERRY_MACHINE_MEDIATED) == 0 && !ferry_os_exists(path)) {
        flags |= FERRY_MACHINE_NO_RESET;
    }
    ferry_os_path(path, sizeof(path), "%s/physfn", place->folder);
    flags |= ferry_os_exists(path) ? FERRY_MACHINE_VIRTUAL : 0;
    ferry_os_path(path, sizeof(path), "%s/iommu_group/devices", place->folder);
    (void)ferry_os_folder_each(path, count_member, &members);
    flags |= members > 1 ? FERRY_MACHINE_MULTIFUNCTION_GROUP : 0;
    machine_read_override(place, override);
    return flags | (override[0] != '\0' ? FERRY_MACHINE_OVERRIDE : 0);
}

/* Before what the aliases say is known: wish gets what they are asked by. */
static void describe(const struct ferry_machine_place *place,
                     struct ferry_machine_device *device, struct machine_wish *wish)
{
    struct ferry_error error = { .code = FERRY_OK };
    char path[MACHINE_PATH_BYTES];

    memset(device, 0, sizeof(*device));
    memcpy(device->name, place->name, sizeof(device->name));
    memcpy(device->driver, place->driver, sizeof(device->driver));
    ferry_os_path(device->cdev, sizeof(device->cdev), "%s", place->cdev);
    device->group = place->group;
    device->flags = find_flags(place);
    device->vendor = (uint16_t)number_of(place, "vendor");
    device->device = (uint16_t)number_of(place, "device");
    device->subvendor = (uint16_t)number_of(place, "subsystem_vendor");
    device->subdevice = (uint16_t)number_of(place, "subsystem_device");
    device->class_code = (uint32_t)number_of(place, "class");
    if (ferry_machine_usable(place, place->group == FERRY_MACHINE_NO_GROUP, &error) !=
        FERRY_OK) {
        memcpy(device->why, error.text, sizeof(device->why));
    }
    memset(wish, 0, sizeof(*wish));
    ferry_os_path(path, sizeof(path), "%s/modalias", place->folder);
    (void)ferry_os_attr_read(path, wish->modalias, sizeof(wish->modalias));
}

/* A loaded module's driver has a name of its own. */
static void name_variants(const struct machine_env *env,
                          struct ferry_machine_device *device, struct machine_wish *wish,
                          size_t count)
{
    machine_find_variants(env, wish, count);
    for (size_t i = 0; i < count; i++) {
        if (wish[i].module[0] == '\0') {
            continue;
        }
        machine_look_for_driver(env, wish[i].module, device[i].variant);
        if (device[i].variant[0] == '\0') {
            memcpy(device[i].variant, wish[i].module, sizeof(device[i].variant));
        }
    }
}

static int list_bus(struct names *names, const char *bus)
{
    char path[MACHINE_PATH_BYTES];
    int status;

    if (ferry_os_path(path, sizeof(path), "%s/bus/%s/devices", names->env->sysfs, bus) !=
        FERRY_OK) {
        return FERRY_E_LIMIT;
    }
    status = ferry_os_folder_each(path, add_name, names);
    return status > 0 ? FERRY_OK : status;
}

/* Fills device and wish of those names that are there still. Return: how many. */
static size_t look_at_all(const struct machine_env *env, const struct names *names,
                          struct ferry_machine_device *device, struct machine_wish *wish,
                          size_t cap)
{
    struct ferry_machine_place place;
    size_t count = 0;

    for (size_t i = 0; i < names->count && count < cap; i++) {
        if (ferry_machine_find(names->name[i], env->sysfs, env->dev, &place, NULL) ==
            FERRY_OK) {
            describe(&place, &device[count], &wish[count]);
            count++;
        }
    }
    return count;
}

int ferry_machine_list(const struct ferry_machine_options *options,
                       struct ferry_machine_device *ret_device, size_t cap,
                       size_t *ret_count, struct ferry_error *reterr)
{
    struct machine_env env;
    struct names names = { .env = &env };
    struct machine_wish *wish = NULL;
    size_t count;
    int status = machine_env_init(&env, options, reterr);

    if (status != FERRY_OK) {
        return status;
    }
    names.name = calloc(FERRY_MACHINE_DEVICES_MAX, sizeof(*names.name));
    wish = calloc(cap > 0 ? cap : 1, sizeof(*wish));
    if (names.name == NULL || wish == NULL) {
        status = ferry_error_set(reterr, FERRY_E_MEMORY, MACHINE_LAYER, NULL, 0,
                                 "no memory for the list of devices");
        goto out;
    }
    if (list_bus(&names, "pci") != FERRY_OK) {
        status = ferry_error_set(reterr, FERRY_E_IO, MACHINE_LAYER, NULL, 0,
                                 "%.180s/bus/pci/devices cannot be read: no sysfs, or a "
                                 "kernel without PCI",
                                 env.sysfs);
        goto out;
    }
    /* Not there without the module mdev. */
    (void)list_bus(&names, "mdev");
    qsort(names.name, names.count, sizeof(*names.name), compare);
    count = look_at_all(&env, &names, ret_device, wish, cap);
    name_variants(&env, ret_device, wish, count);
    *ret_count = cap < names.count ? names.count : count;
out:
    free(names.name);
    free(wish);
    return status;
}

int ferry_machine_get(const struct ferry_machine_options *options, const char *place,
                      struct ferry_machine_device *ret_device, struct ferry_error *reterr)
{
    struct machine_env env;
    struct machine_wish wish;
    struct ferry_machine_place found;
    int status = machine_env_init(&env, options, reterr);

    if (status == FERRY_OK) {
        status = ferry_machine_find(place, env.sysfs, env.dev, &found, reterr);
    }
    if (status == FERRY_OK) {
        describe(&found, ret_device, &wish);
        name_variants(&env, ret_device, &wish, 1);
    }
    return status;
}
