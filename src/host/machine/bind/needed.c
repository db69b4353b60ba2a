/* SPDX-License-Identifier: BSD-3-Clause */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "host/machine/inside.h"

#define NAME_BYTES FERRY_MACHINE_NAME_BYTES
#define IFF_UP_BIT 1u
/* A controller of NVMe disks may be part of so many subsystems (it is part of one). */
#define FOLDERS_MAX 4u

/*
 * What the machine needs of a device hangs below its folder of sysfs: the kernel's lists
 * of interfaces and disks are links to there.
 */
struct need {
    const struct machine_env *env;
    char folder[FOLDERS_MAX][MACHINE_PATH_BYTES];
    size_t folders;
    const char *class_name; /* that is gone through now */
    char disk[NAME_BYTES], number[32];
    char what[160]; /* it is for; "": for nothing that was found */
};

static int is_below(const struct need *need, const char *path)
{
    for (size_t i = 0; i < need->folders; i++) {
        const size_t length = strlen(need->folder[i]);

        if (strncmp(path, need->folder[i], length) == 0 && path[length] == '/') {
            return 1;
        }
    }
    return 0;
}

/* Where an entry of a class leads to; 0 when not to this device. */
static int follow(const struct need *need, const char *name, char *ret_path)
{
    char link[MACHINE_PATH_BYTES];

    return ferry_os_path(link, sizeof(link), "%s/class/%s/%s", need->env->sysfs,
                         need->class_name, name) == FERRY_OK &&
           ferry_os_real_path(link, ret_path, MACHINE_PATH_BYTES) == FERRY_OK &&
           is_below(need, ret_path);
}

static int look_at_interface(void *user, const char *name)
{
    struct need *need = user;
    char folder[MACHINE_PATH_BYTES], path[MACHINE_PATH_BYTES];
    uint64_t flags = 0;

    if (!follow(need, name, folder) ||
        ferry_os_path(path, sizeof(path), "%s/flags", folder) != FERRY_OK ||
        ferry_os_attr_number(path, &flags) != FERRY_OK || (flags & IFF_UP_BIT) == 0) {
        return 0;
    }
    snprintf(need->what, sizeof(need->what),
             "its network interface %.40s is up (`ip link set %.40s down')", name, name);
    return 1;
}

/* "36 35 8:1 / /mnt rw shared:1 - ext4 /dev/sda1 rw": btrfs and others show a number of
 * their own, so that the source's name counts as well. */
static int look_at_mount(void *user, const char *line)
{
    struct need *need = user;
    char number[32], point[80];
    const char *source = strstr(line, " - ");

    if (sscanf(line, "%*s %*s %31s %*s %79s", number, point) != 2) {
        return 0;
    }
    source = source != NULL ? strstr(source, " /dev/") : NULL;
    if (strcmp(number, need->number) != 0) {
        const size_t length = strlen(need->disk);

        if (source == NULL || strncmp(source + 6, need->disk, length) != 0 ||
            source[6 + length] != ' ') {
            return 0;
        }
    }
    snprintf(need->what, sizeof(need->what), "its disk %.40s is mounted on %.60s",
             need->disk, point);
    return 1;
}

/* "/dev/sda2   partition   1000   0   -2" */
static int look_at_swap(void *user, const char *line)
{
    struct need *need = user;
    const size_t length = strlen(need->disk);

    if (strncmp(line, "/dev/", 5) != 0 || strncmp(line + 5, need->disk, length) != 0 ||
        (line[5 + length] != ' ' && line[5 + length] != '\t')) {
        return 0;
    }
    snprintf(need->what, sizeof(need->what), "its disk %.40s has swap space", need->disk);
    return 1;
}

static int look_at_holder(void *user, const char *name)
{
    struct need *need = user;

    snprintf(need->what, sizeof(need->what), "its disk %.40s is part of %.40s",
             need->disk, name);
    return 1;
}

static int look_at_disk(void *user, const char *name)
{
    struct need *need = user;
    char folder[MACHINE_PATH_BYTES], path[MACHINE_PATH_BYTES];

    if (!follow(need, name, folder)) {
        return 0;
    }
    ferry_os_path(need->disk, sizeof(need->disk), "%s", name);
    if (ferry_os_path(path, sizeof(path), "%s/holders", folder) == FERRY_OK) {
        (void)ferry_os_folder_each(path, look_at_holder, need);
    }
    if (ferry_os_path(path, sizeof(path), "%s/dev", folder) == FERRY_OK) {
        (void)ferry_os_attr_read(path, need->number, sizeof(need->number));
    }
    if (need->what[0] == '\0' && ferry_os_path(path, sizeof(path), "%s/self/mountinfo",
                                               need->env->proc) == FERRY_OK) {
        (void)ferry_os_lines(path, '\n', look_at_mount, need);
    }
    if (need->what[0] == '\0' &&
        ferry_os_path(path, sizeof(path), "%s/swaps", need->env->proc) == FERRY_OK) {
        (void)ferry_os_lines(path, '\n', look_at_swap, need);
    }
    /* Pools of disks (ZFS, btrfs) are seen by none of these. */
    if (need->what[0] == '\0' &&
        ferry_os_path(path, sizeof(path), "%s/%s", need->env->dev, name) == FERRY_OK &&
        need->env->try_disk(need->env->user, path) == EBUSY) {
        snprintf(need->what, sizeof(need->what), "its disk %.40s is in use", name);
    }
    return need->what[0] != '\0';
}

/* A controller of a disk with several paths: the disk hangs below the subsystem. */
struct subsystem {
    struct need *need;
    const char *name;
};

static int look_at_controller(void *user, const char *name)
{
    struct subsystem *subsystem = user;
    struct need *need = subsystem->need;
    char link[MACHINE_PATH_BYTES], real[MACHINE_PATH_BYTES];

    if (strncmp(name, "nvme", 4) != 0 || need->folders == FOLDERS_MAX ||
        ferry_os_path(link, sizeof(link), "%s/class/nvme-subsystem/%s/%s",
                      need->env->sysfs, subsystem->name, name) != FERRY_OK ||
        ferry_os_real_path(link, real, sizeof(real)) != FERRY_OK ||
        !is_below(need, real)) {
        return 0;
    }
    ferry_os_path(link, sizeof(link), "%s/class/nvme-subsystem/%s", need->env->sysfs,
                  subsystem->name);
    need->folders += ferry_os_real_path(link, need->folder[need->folders],
                                        MACHINE_PATH_BYTES) == FERRY_OK;
    return 1;
}

static int look_at_subsystem(void *user, const char *name)
{
    struct subsystem subsystem = { .need = user, .name = name };
    char path[MACHINE_PATH_BYTES];

    if (ferry_os_path(path, sizeof(path), "%s/class/nvme-subsystem/%s",
                      subsystem.need->env->sysfs, name) == FERRY_OK) {
        (void)ferry_os_folder_each(path, look_at_controller, &subsystem);
    }
    return 0;
}

static void each_of(struct need *need, const char *class_name, ferry_os_name_fn *call)
{
    char path[MACHINE_PATH_BYTES];

    need->class_name = class_name;
    if (need->what[0] == '\0' &&
        ferry_os_path(path, sizeof(path), "%s/class/%s", need->env->sysfs, class_name) ==
            FERRY_OK) {
        (void)ferry_os_folder_each(path, call, need);
    }
}

int machine_check_needed(const struct machine_env *env,
                         const struct ferry_machine_place *place,
                         struct ferry_error *reterr)
{
    struct need need = { .env = env };
    char path[MACHINE_PATH_BYTES];
    uint64_t functions = 0;

    if (ferry_os_real_path(place->folder, need.folder[0], sizeof(need.folder[0])) !=
        FERRY_OK) {
        return ferry_error_set(reterr, FERRY_E_LIMIT, MACHINE_LAYER, NULL, 0,
                               "the path behind %.180s is too long", place->folder);
    }
    need.folders = 1;
    each_of(&need, "nvme-subsystem", look_at_subsystem);
    each_of(&need, "net", look_at_interface);
    each_of(&need, "block", look_at_disk);
    ferry_os_path(path, sizeof(path), "%s/sriov_numvfs", place->folder);
    if (need.what[0] == '\0' && ferry_os_attr_number(path, &functions) == FERRY_OK &&
        functions > 0) {
        snprintf(need.what, sizeof(need.what), "its virtual functions (%u) would vanish",
                 (unsigned)functions);
    }
    if (need.what[0] == '\0') {
        return FERRY_OK;
    }
    return ferry_error_set(reterr, FERRY_E_BUSY, MACHINE_LAYER, NULL, 0,
                           "the machine needs %s: %s; --force takes it nevertheless",
                           place->name, need.what);
}
