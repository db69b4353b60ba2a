/* SPDX-License-Identifier: BSD-3-Clause */
#include "host/machine/driver.h"

#include <string.h>

#include "os/sysfs/sysfs.h"

#define PATH_BYTES FERRY_OS_SYSFS_PATH_BYTES

static int see_name(void *user, const char *name)
{
    (void)user;
    return name[0] != '\0';
}

/* vfio_pci_core, vfio or mdev name in their `holders' the modules that use them. */
static int is_holder(const char *module_folder, const char *module)
{
    static const char *const cores[] = { "vfio_pci_core", "vfio_pci", "vfio", "mdev" };
    char path[PATH_BYTES];

    for (size_t i = 0; i < sizeof(cores) / sizeof(cores[0]); i++) {
        /* module_folder is /sys/module/NAME by a link of the driver's. */
        if (ferry_os_path(path, sizeof(path), "%s/../%s/holders/%s", module_folder,
                          cores[i], module) == FERRY_OK &&
            ferry_os_exists(path)) {
            return 1;
        }
    }
    return 0;
}

int machine_is_vfio(const char *folder, const char *driver)
{
    char path[PATH_BYTES], real[PATH_BYTES], module[FERRY_MACHINE_NAME_BYTES];

    if (ferry_os_path(path, sizeof(path), "%s/vfio-dev", folder) == FERRY_OK &&
        ferry_os_folder_each(path, see_name, NULL) == 1) {
        return 1;
    }
    if (driver[0] == '\0') {
        return 0;
    }
    if (strstr(driver, "vfio") != NULL) {
        return 1;
    }
    ferry_os_path(path, sizeof(path), "%s/driver/module", folder);
    return ferry_os_link_name(path, module, sizeof(module)) == FERRY_OK &&
           ferry_os_real_path(path, real, sizeof(real)) == FERRY_OK &&
           is_holder(real, module);
}
