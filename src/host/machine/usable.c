/* SPDX-License-Identifier: BSD-3-Clause */
#include <stdio.h>
#include <string.h>

#include "host/machine/inside.h"

/* Members of a group that are in the way. */
struct members {
    const struct ferry_machine_place *place;
    char folder[MACHINE_PATH_BYTES];
    char first[FERRY_MACHINE_NAME_BYTES], driver[FERRY_MACHINE_NAME_BYTES];
    unsigned count;
};

/* The kernel lets these stay: they make no DMA of their own, or manage it. */
static int may_stay(const char *driver)
{
    return driver[0] == '\0' || strcmp(driver, "pcieport") == 0 ||
           strcmp(driver, "pci-stub") == 0 || strcmp(driver, "shpchp") == 0;
}

static int look_at_member(void *user, const char *name)
{
    struct members *members = user;
    char folder[MACHINE_PATH_BYTES], path[MACHINE_PATH_BYTES],
        driver[FERRY_MACHINE_NAME_BYTES];

    if (strcmp(name, members->place->name) == 0 ||
        ferry_os_path(folder, sizeof(folder), "%s/%s", members->folder, name) !=
            FERRY_OK) {
        return 0;
    }
    ferry_os_path(path, sizeof(path), "%s/driver", folder);
    (void)ferry_os_link_name(path, driver, sizeof(driver));
    if (may_stay(driver) || machine_is_vfio(folder, driver)) {
        return 0;
    }
    /* The first by name: folders have no order. */
    if (members->count++ == 0 || strcmp(name, members->first) < 0) {
        ferry_os_path(members->first, sizeof(members->first), "%s", name);
        ferry_os_path(members->driver, sizeof(members->driver), "%s", driver);
    }
    return 0;
}

static int check_members(const struct ferry_machine_place *place,
                         struct ferry_error *reterr)
{
    struct members members = { .place = place, .count = 0 };
    char more[32] = "";

    ferry_os_path(members.folder, sizeof(members.folder), "%s/iommu_group/devices",
                  place->folder);
    (void)ferry_os_folder_each(members.folder, look_at_member, &members);
    if (members.count == 0) {
        return FERRY_OK;
    }
    if (members.count > 1) {
        snprintf(more, sizeof(more), " and %u more", members.count - 1);
    }
    return ferry_error_set(reterr, FERRY_E_UNSUPPORTED, MACHINE_LAYER, NULL, 0,
                           "%s%s, of the same IOMMU group %u as %s, belongs to the "
                           "driver %s: `ferry bind %s' gives it to VFIO as well",
                           members.first, more, place->group, place->name, members.driver,
                           members.first);
}

static int check_driver(const struct ferry_machine_place *place,
                        struct ferry_error *reterr)
{
    char path[MACHINE_PATH_BYTES];

    ferry_os_path(path, sizeof(path), "%s/subsystem", place->folder);
    /* A folder that was made by hand is on no bus and has no driver. */
    if (!ferry_os_exists(path) || machine_is_vfio(place->folder, place->driver)) {
        return FERRY_OK;
    }
    if (place->driver[0] == '\0') {
        return ferry_error_set(reterr, FERRY_E_UNSUPPORTED, MACHINE_LAYER, NULL, 0,
                               "%s has no driver: `ferry bind %s' gives it one of VFIO's",
                               place->name, place->name);
    }
    return ferry_error_set(reterr, FERRY_E_UNSUPPORTED, MACHINE_LAYER, NULL, 0,
                           "%s belongs to the driver %s, which is none of VFIO's: "
                           "`ferry bind %s' gives it to one",
                           place->name, place->driver, place->name);
}

int ferry_machine_usable(const struct ferry_machine_place *place, int want_cdev,
                         struct ferry_error *reterr)
{
    const int has_cdev = want_cdev && place->cdev[0] != '\0';
    int status;

    if (place->is_noiommu) {
        return ferry_error_set(reterr, FERRY_E_UNSUPPORTED, MACHINE_LAYER, NULL, 0,
                               "%s is in VFIO's no-IOMMU mode, in which nothing maps "
                               "memory for it: " MACHINE_TURN_ON,
                               place->name);
    }
    /* An emulated device may have a character device and no group. */
    if (place->group == FERRY_MACHINE_NO_GROUP && !has_cdev) {
        return ferry_error_set(reterr, FERRY_E_UNSUPPORTED, MACHINE_LAYER, NULL, 0,
                               "%s is in no IOMMU group: " MACHINE_TURN_ON, place->name);
    }
    status = check_driver(place, reterr);
    if (status == FERRY_OK && want_cdev && !has_cdev) {
        status = ferry_error_set(reterr, FERRY_E_UNSUPPORTED, MACHINE_LAYER, NULL, 0,
                                 "%s has no character device: this kernel is older than "
                                 "Linux 6.6 or was built without "
                                 "CONFIG_VFIO_DEVICE_CDEV; use vfio-group:%s",
                                 place->name, place->name);
    }
    return status == FERRY_OK ? check_members(place, reterr) : status;
}
