/* SPDX-License-Identifier: BSD-3-Clause */
#include <string.h>

#include "host/machine/inside.h"

#define NAME_BYTES FERRY_MACHINE_NAME_BYTES
#define BRIDGES 0x06u
#define OTHER_BRIDGE 0x0680u /* devices like any other, such as switches of GPUs */
#define DRIVER_PREFIX "pci:"

static int see_name(void *user, const char *name)
{
    (void)user;
    return name[0] != '\0';
}

int machine_is_bridge(uint64_t class_code)
{
    return class_code >> 16 == BRIDGES && class_code >> 8 != OTHER_BRIDGE;
}

int machine_same_name(const char *a, const char *b)
{
    for (; *a != '\0' || *b != '\0'; a++, b++) {
        if ((*a == '-' ? '_' : *a) != (*b == '-' ? '_' : *b)) {
            return 0;
        }
    }
    return 1;
}

/* vfio_pci_core, vfio or mdev name in their `holders' the modules that use them. */
static int is_holder(const char *modules_folder, const char *module)
{
    static const char *const cores[] = { "vfio_pci_core", "vfio_pci", "vfio", "mdev" };
    char path[MACHINE_PATH_BYTES];

    for (size_t i = 0; i < sizeof(cores) / sizeof(cores[0]); i++) {
        if (ferry_os_path(path, sizeof(path), "%s/%s/holders/%s", modules_folder,
                          cores[i], module) == FERRY_OK &&
            ferry_os_exists(path)) {
            return 1;
        }
    }
    return 0;
}

/* folder: a driver's. */
static int is_vfio(const char *folder, const char *driver)
{
    char path[MACHINE_PATH_BYTES], real[MACHINE_PATH_BYTES];
    char *name;

    if (strstr(driver, "vfio") != NULL) {
        return 1;
    }
    if (ferry_os_path(path, sizeof(path), "%s/module", folder) != FERRY_OK ||
        ferry_os_real_path(path, real, sizeof(real)) != FERRY_OK) {
        return 0;
    }
    /* "/sys/module/NAME" */
    name = strrchr(real, '/');
    *name++ = '\0';
    return is_holder(real, name);
}

int machine_is_vfio(const char *folder, const char *driver)
{
    char path[MACHINE_PATH_BYTES];

    if (ferry_os_path(path, sizeof(path), "%s/vfio-dev", folder) == FERRY_OK &&
        ferry_os_folder_each(path, see_name, NULL) == 1) {
        return 1;
    }
    return driver[0] != '\0' &&
           ferry_os_path(path, sizeof(path), "%s/driver", folder) == FERRY_OK &&
           is_vfio(path, driver);
}

int machine_driver_is_vfio(const struct machine_env *env, const char *driver)
{
    char path[MACHINE_PATH_BYTES];

    return ferry_os_path(path, sizeof(path), "%s/bus/pci/drivers/%s", env->sysfs,
                         driver) == FERRY_OK &&
           is_vfio(path, driver);
}

void machine_module_of(const char *folder, char ret_module[FERRY_MACHINE_NAME_BYTES])
{
    char path[MACHINE_PATH_BYTES];

    ferry_os_path(path, sizeof(path), "%s/driver/module", folder);
    (void)ferry_os_link_name(path, ret_module, NAME_BYTES);
}

struct wanted {
    const char *name;
    char driver[NAME_BYTES];
};

static int compare_driver(void *user, const char *name)
{
    struct wanted *wanted = user;

    return machine_same_name(name, wanted->name) &&
           ferry_os_path(wanted->driver, sizeof(wanted->driver), "%s", name) == FERRY_OK;
}

/* Of a module's "drivers": those of PCI devices. */
static int take_driver(void *user, const char *name)
{
    struct wanted *wanted = user;
    const size_t length = sizeof(DRIVER_PREFIX) - 1;

    return strncmp(name, DRIVER_PREFIX, length) == 0 &&
           ferry_os_path(wanted->driver, sizeof(wanted->driver), "%s", name + length) ==
               FERRY_OK;
}

void machine_look_for_driver(const struct machine_env *env, const char *name,
                             char ret_driver[FERRY_MACHINE_NAME_BYTES])
{
    struct wanted wanted = { .name = name };
    char path[MACHINE_PATH_BYTES], module[NAME_BYTES];

    ferry_os_path(path, sizeof(path), "%s/bus/pci/drivers", env->sysfs);
    if (ferry_os_folder_each(path, compare_driver, &wanted) != 1) {
        /* A driver may be called in another way than its module. */
        ferry_os_path(module, sizeof(module), "%s", name);
        for (char *at = strchr(module, '-'); at != NULL; at = strchr(at, '-')) {
            *at = '_';
        }
        ferry_os_path(path, sizeof(path), "%s/module/%s/drivers", env->sysfs, module);
        (void)ferry_os_folder_each(path, take_driver, &wanted);
    }
    ferry_os_path(ret_driver, NAME_BYTES, "%s", wanted.driver);
}

/* It becomes part of paths, and an argument of modprobe. */
static int is_name(const char *name)
{
    static const char allowed[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
                                  "0123456789_-";

    return name[0] != '\0' && name[0] != '-' && strlen(name) < NAME_BYTES &&
           name[strspn(name, allowed)] == '\0';
}

int machine_get_driver(const struct machine_env *env, const char *name,
                       char ret_driver[FERRY_MACHINE_NAME_BYTES],
                       struct ferry_error *reterr)
{
    char said[96] = "";
    int status;

    if (!is_name(name)) {
        return ferry_error_set(reterr, FERRY_E_ARGUMENT, MACHINE_LAYER, NULL, 0,
                               "'%.80s' is no name of a driver", name);
    }
    machine_look_for_driver(env, name, ret_driver);
    if (ret_driver[0] != '\0') {
        return FERRY_OK;
    }
    status = env->load(env->user, name, said, sizeof(said));
    machine_look_for_driver(env, name, ret_driver);
    if (ret_driver[0] != '\0') {
        return FERRY_OK;
    }
    if (status == FERRY_E_NOT_FOUND) {
        return ferry_error_set(
            reterr, FERRY_E_NOT_FOUND, MACHINE_LAYER, NULL, 0,
            "there is no driver %.60s, and no program %.100s that would "
            "load it: load it with insmod",
            name, env->modprobe);
    }
    return ferry_error_set(
        reterr, FERRY_E_NOT_FOUND, MACHINE_LAYER, NULL, 0,
        "there is no driver %.60s, and `modprobe %.60s' brought none%s%s", name, name,
        said[0] != '\0' ? ": " : "", said);
}
