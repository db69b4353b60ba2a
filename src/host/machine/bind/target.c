/* SPDX-License-Identifier: BSD-3-Clause */
#include <errno.h>

#include "host/machine/inside.h"

int machine_target(const struct machine_env *env, const char *name, const char *verb,
                   struct ferry_machine_place *ret_place, struct ferry_error *reterr)
{
    char address[FERRY_MACHINE_NAME_BYTES];

    if (machine_is_uuid(name)) {
        return ferry_error_set(reterr, FERRY_E_UNSUPPORTED, MACHINE_LAYER, NULL, 0,
                               "an mdev belongs to VFIO from its making on: there is "
                               "nothing to %s",
                               verb);
    }
    if (machine_pci_address(name, address) != FERRY_OK) {
        return ferry_error_set(reterr, FERRY_E_ARGUMENT, MACHINE_LAYER, NULL, 0,
                               "'%.80s' is no PCI address, such as 0000:01:00.0", name);
    }
    return ferry_machine_find(address, env->sysfs, env->dev, ret_place, reterr);
}

int machine_check_permission(const struct ferry_machine_place *place, const char *verb,
                             struct ferry_error *reterr)
{
    char path[MACHINE_PATH_BYTES];
    int err;

    ferry_os_path(path, sizeof(path), "%s/driver_override", place->folder);
    err = ferry_os_attr_writable(path);
    if (err == 0) {
        return FERRY_OK;
    }
    if (err == ENOENT) {
        return ferry_error_set(reterr, FERRY_E_UNSUPPORTED, MACHINE_LAYER, NULL, 0,
                               "%s has no driver_override: this kernel is older than "
                               "Linux 3.16",
                               place->name);
    }
    if (err == EROFS) {
        return ferry_error_set(
            reterr, FERRY_E_PERMISSION, MACHINE_LAYER, NULL, 0,
            "sysfs can only be read here (a container?): `ferry %s %s' "
            "works on the machine itself",
            verb, place->name);
    }
    return ferry_error_set(reterr, FERRY_E_PERMISSION, MACHINE_LAYER, NULL, 0,
                           "only root gives devices to other drivers: "
                           "`sudo ferry %s %s'",
                           verb, place->name);
}

int machine_check_busy(const struct machine_env *env,
                       const struct ferry_machine_place *place,
                       struct ferry_error *reterr)
{
    int status = FERRY_OK;

    if (machine_is_vfio(place->folder, place->driver)) {
        status = machine_check_users(env, place, reterr);
    }
    /* One of VFIO's may have virtual functions. */
    return status == FERRY_OK && !env->force ? machine_check_needed(env, place, reterr)
                                             : status;
}
