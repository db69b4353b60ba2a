/* SPDX-License-Identifier: BSD-3-Clause */
#include <stdio.h>
#include <string.h>

#include "host/machine/inside.h"

/* Below /dev. */
#define CDEVS "vfio/devices"

static int too_long(const char *what, struct ferry_error *reterr)
{
    return ferry_error_set(reterr, FERRY_E_LIMIT, MACHINE_LAYER, NULL, 0,
                           "the path of %.150s is longer than %u bytes", what,
                           FERRY_MACHINE_PATH_BYTES - 1);
}

/* Of the folder's vfio-dev/, which has one entry. */
static int take_name(void *user, const char *name)
{
    char *taken = user;

    return ferry_os_path(taken, FERRY_MACHINE_NAME_BYTES, "%s", name) == FERRY_OK;
}

/* A device of VFIO's without the attribute `dev' has no character device. What was made
 * by hand, on no bus, needs none. */
static int find_cdev(const char *dev, struct ferry_machine_place *place)
{
    char path[MACHINE_PATH_BYTES], name[FERRY_MACHINE_NAME_BYTES] = "";

    ferry_os_path(path, sizeof(path), "%s/vfio-dev", place->folder);
    (void)ferry_os_folder_each(path, take_name, name);
    if (name[0] == '\0') {
        return FERRY_OK;
    }
    ferry_os_path(path, sizeof(path), "%s/vfio-dev/%s/dev", place->folder, name);
    if (!ferry_os_exists(path)) {
        ferry_os_path(path, sizeof(path), "%s/subsystem", place->folder);
        if (ferry_os_exists(path)) {
            return FERRY_OK;
        }
    }
    return ferry_os_path(place->cdev, sizeof(place->cdev), "%s/" CDEVS "/%s", dev, name);
}

/* The number that a group's folder is called. */
static uint32_t read_group(const char *name)
{
    uint64_t group = 0;

    for (size_t i = 0; name[i] != '\0'; i++) {
        if (name[i] < '0' || name[i] > '9' || group >= FERRY_MACHINE_NO_GROUP) {
            return FERRY_MACHINE_NO_GROUP;
        }
        group = group * 10 + (uint64_t)(name[i] - '0');
    }
    return name[0] != '\0' && group < FERRY_MACHINE_NO_GROUP ? (uint32_t)group
                                                             : FERRY_MACHINE_NO_GROUP;
}

/* What the group's link ends in is its number; the link may lead nowhere. */
static void find_group(struct ferry_machine_place *place)
{
    char path[MACHINE_PATH_BYTES], name[FERRY_MACHINE_NAME_BYTES];

    ferry_os_path(path, sizeof(path), "%s/iommu_group", place->folder);
    if (ferry_os_link_name(path, name, sizeof(name)) == FERRY_OK) {
        place->group = read_group(name);
    }
    /* The kernel calls the groups of mdevs so too: they do no DMA of their own. */
    ferry_os_path(path, sizeof(path), "%s/subsystem", place->folder);
    if (ferry_os_link_name(path, name, sizeof(name)) == FERRY_OK &&
        strcmp(name, "mdev") == 0) {
        return;
    }
    ferry_os_path(path, sizeof(path), "%s/iommu_group/name", place->folder);
    if (ferry_os_attr_read(path, name, sizeof(name)) == FERRY_OK) {
        place->is_noiommu = strcmp(name, "vfio-noiommu") == 0;
    }
}

/* All but the name, of a folder that is there. */
static int look(const char *dev, struct ferry_machine_place *place,
                struct ferry_error *reterr)
{
    char path[MACHINE_PATH_BYTES];

    place->group = FERRY_MACHINE_NO_GROUP;
    ferry_os_path(path, sizeof(path), "%s/driver", place->folder);
    if (ferry_os_link_name(path, place->driver, sizeof(place->driver)) == FERRY_E_LIMIT) {
        return ferry_error_set(reterr, FERRY_E_LIMIT, MACHINE_LAYER, NULL, 0,
                               "the name of %.128s's driver is longer than %u bytes",
                               place->name, FERRY_MACHINE_NAME_BYTES - 1);
    }
    find_group(place);
    return find_cdev(dev, place) == FERRY_OK ? FERRY_OK : too_long(place->name, reterr);
}

static int find_on_bus(const char *sysfs, const char *bus, const char *name,
                       struct ferry_machine_place *place, struct ferry_error *reterr)
{
    ferry_os_path(place->name, sizeof(place->name), "%s", name);
    if (ferry_os_path(place->folder, sizeof(place->folder), "%s/bus/%s/devices/%s", sysfs,
                      bus, name) != FERRY_OK) {
        return too_long(name, reterr);
    }
    if (!ferry_os_is_folder(place->folder)) {
        return ferry_error_set(reterr, FERRY_E_NOT_FOUND, MACHINE_LAYER, NULL, 0,
                               "this machine has no device %s (there is no %.120s): "
                               "`ferry list' shows those that there are",
                               name, place->folder);
    }
    return FERRY_OK;
}

/* A folder, or a link to one; its name is what VFIO calls the device. */
static int find_folder(const char *path, struct ferry_machine_place *place,
                       struct ferry_error *reterr)
{
    static const char *const signs[] = { "iommu_group", "vfio-dev", "subsystem" };
    char real[MACHINE_PATH_BYTES], sign[MACHINE_PATH_BYTES + 16],
        name[FERRY_MACHINE_NAME_BYTES];
    int status = ferry_os_real_path(path, real, sizeof(real));

    if (status == FERRY_OK && !ferry_os_is_folder(real)) {
        status = FERRY_E_NOT_FOUND;
    }
    if (status != FERRY_OK && status != FERRY_E_LIMIT) {
        return ferry_error_set(reterr, FERRY_E_NOT_FOUND, MACHINE_LAYER, NULL, 0,
                               "there is no folder %.180s, in which sysfs would tell of "
                               "a device",
                               path);
    }
    if (status != FERRY_OK ||
        ferry_os_path(place->folder, sizeof(place->folder), "%s", real) != FERRY_OK) {
        return too_long(path, reterr);
    }
    for (size_t i = 0; i < sizeof(signs) / sizeof(signs[0]); i++) {
        /* The link of a group may lead to where nothing is. */
        ferry_os_path(sign, sizeof(sign), "%s/%s", real, signs[i]);
        if (ferry_os_exists(sign) ||
            ferry_os_link_name(sign, name, sizeof(name)) == FERRY_OK) {
            ferry_os_path(place->name, sizeof(place->name), "%s", strrchr(real, '/') + 1);
            return place->name[0] != '\0' ? FERRY_OK : too_long(path, reterr);
        }
    }
    return ferry_error_set(reterr, FERRY_E_ARGUMENT, MACHINE_LAYER, NULL, 0,
                           "%.120s is not a device's folder of sysfs: it has neither "
                           "iommu_group nor vfio-dev",
                           path);
}

static int find_cdev_device(const char *sysfs, const char *path, const char *name,
                            struct ferry_machine_place *place, struct ferry_error *reterr)
{
    char link[MACHINE_PATH_BYTES];

    if (name[0] == '\0' || strchr(name, '/') != NULL) {
        return ferry_error_set(reterr, FERRY_E_ARGUMENT, MACHINE_LAYER, NULL, 0,
                               "%.180s is not a character device of VFIO's", path);
    }
    if (ferry_os_path(link, sizeof(link), "%s/class/vfio-dev/%s/device", sysfs, name) !=
        FERRY_OK) {
        return too_long(path, reterr);
    }
    if (!ferry_os_is_folder(link)) {
        return ferry_error_set(reterr, FERRY_E_NOT_FOUND, MACHINE_LAYER, NULL, 0,
                               "VFIO has no device %.60s (there is no %.100s): `ferry "
                               "list' shows those that it has",
                               name, link);
    }
    return find_folder(link, place, reterr);
}

int ferry_machine_find(const char *place, const char *sysfs, const char *dev,
                       struct ferry_machine_place *ret_place, struct ferry_error *reterr)
{
    struct ferry_machine_place found = { .group = FERRY_MACHINE_NO_GROUP };
    char name[FERRY_MACHINE_NAME_BYTES], cdevs[MACHINE_PATH_BYTES];
    size_t length;
    int status;

    sysfs = sysfs != NULL ? sysfs : "/sys";
    dev = dev != NULL ? dev : "/dev";
    ferry_os_path(cdevs, sizeof(cdevs), "%s/" CDEVS "/", dev);
    length = strlen(cdevs);
    if (machine_pci_address(place, name) == FERRY_OK) {
        status = find_on_bus(sysfs, "pci", name, &found, reterr);
    } else if (machine_is_uuid(place)) {
        status = find_on_bus(sysfs, "mdev", place, &found, reterr);
    } else if (length > 0 && strncmp(place, cdevs, length) == 0) {
        status = find_cdev_device(sysfs, place, place + length, &found, reterr);
    } else if (place[0] == '/' || place[0] == '.') {
        status = find_folder(place, &found, reterr);
    } else {
        status =
            ferry_error_set(reterr, FERRY_E_ARGUMENT, MACHINE_LAYER, NULL, 0,
                            "'%.80s' is none of a PCI address (0000:01:00.0), an mdev's "
                            "UUID, /dev/vfio/devices/vfioN and a device's folder of "
                            "sysfs",
                            place);
    }
    if (status == FERRY_OK) {
        status = look(dev, &found, reterr);
    }
    if (status == FERRY_OK) {
        *ret_place = found;
    }
    return status;
}
