/* SPDX-License-Identifier: BSD-3-Clause */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cli/commands.h"
#include "cli/output.h"
#include "cli/qemu/qemu.h"

/*
 * A device for a QEMU that knows no iommufd: it is named by its folder in sysfs, of which
 * QEMU reads the link "iommu_group" only, and opens /dev/vfio/NUMBER by that. The bridge
 * takes the number for the descriptor of a token.
 */

/* No kernel has so many groups; src/bridge/preload/tokens/inherited.h has it as well. */
#define NUMBER_FIRST 1000000000u
#define LINK "iommu_group"

void qemu_choose_groups(struct qemu_args *args, unsigned version)
{
    args->groups |= version != 0 && version < QEMU_IOMMUFD_SINCE;
}

unsigned qemu_group_number(const struct qemu_device *device)
{
    return NUMBER_FIRST + (unsigned)device->token;
}

int qemu_group_folder(const struct qemu_args *args, const struct qemu_device *device,
                      char *ret_path, size_t size)
{
    /* QEMU calls the device in its messages as the folder is called. */
    int n = snprintf(ret_path, size, "%s/%s", args->folder, device->id);

    return n >= 0 && (size_t)n < size;
}

static int make(const struct qemu_args *args, const struct qemu_device *device)
{
    char path[QEMU_PATH_BYTES], link[QEMU_PATH_BYTES + sizeof(LINK)], target[64];

    if (!qemu_group_folder(args, device, path, sizeof(path)) || mkdir(path, 0755) < 0) {
        print_error("qemu", NULL, "cannot make %s: %s", path, strerror(errno));
        return EXIT_FAILED;
    }
    snprintf(link, sizeof(link), "%s/" LINK, path);
    snprintf(target, sizeof(target), "/sys/kernel/iommu_groups/%u",
             qemu_group_number(device));
    if (symlink(target, link) < 0) {
        print_error("qemu", NULL, "cannot make %s: %s", link, strerror(errno));
        return EXIT_FAILED;
    }
    return EXIT_OK;
}

int qemu_groups_make(const struct qemu_args *args)
{
    int result = EXIT_OK;

    for (size_t i = 0; i < args->devices && result == EXIT_OK; i++) {
        result = make(args, &args->device[i]);
    }
    return result;
}

void qemu_groups_remove(const char *folder)
{
    DIR *list = opendir(folder);
    struct dirent *entry;

    while (list != NULL && (entry = readdir(list)) != NULL) {
        char link[QEMU_PATH_BYTES];

        if (entry->d_name[0] != '.') {
            snprintf(link, sizeof(link), "%.200s/" LINK, entry->d_name);
            unlinkat(dirfd(list), link, 0);
            unlinkat(dirfd(list), entry->d_name, AT_REMOVEDIR);
        }
    }
    if (list != NULL) {
        closedir(list);
    }
}
