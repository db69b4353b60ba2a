/* SPDX-License-Identifier: BSD-3-Clause */
#include <string.h>

#include "host/machine/inside.h"

#define NAME_BYTES FERRY_MACHINE_NAME_BYTES

/* What a device had; without a record the caller may have said that the kernel chooses.
 */
static int recall(const struct machine_env *env, const struct ferry_machine_place *place,
                  struct machine_record *ret_record, struct ferry_error *reterr)
{
    char path[MACHINE_PATH_BYTES], modalias[MACHINE_MODALIAS_BYTES];
    int status = machine_record_read(env, place->name, ret_record, reterr);

    ferry_os_path(path, sizeof(path), "%s/modalias", place->folder);
    (void)ferry_os_attr_read(path, modalias, sizeof(modalias));
    if (status == FERRY_OK && strcmp(modalias, ret_record->modalias) != 0) {
        /* Another device came to the same place. */
        machine_record_drop(env, place->name);
        status = FERRY_E_NOT_FOUND;
    }
    if (status == FERRY_E_NOT_FOUND) {
        return ferry_error_set(reterr, status, MACHINE_LAYER, NULL, 0,
                               "`ferry bind' did not give %s away, so it is not known "
                               "what it had before: `ferry unbind --force %s' lets the "
                               "kernel choose a driver",
                               place->name, place->name);
    }
    return status;
}

/* A driver that is none of VFIO's is what the device should have, and the machine may
 * work with it: even by force it is not taken away on a guess. */
static int check_given_away(const struct ferry_machine_place *place,
                            struct ferry_error *reterr)
{
    if (place->driver[0] == '\0' || machine_is_vfio(place->folder, place->driver)) {
        return FERRY_OK;
    }
    return ferry_error_set(reterr, FERRY_E_NOT_FOUND, MACHINE_LAYER, NULL, 0,
                           "%s belongs to the driver %s, which is none of VFIO's: there "
                           "is nothing to undo",
                           place->name, place->driver);
}

/* Without a driver and without an override, as a device that was just plugged in. */
static int let_choose(const struct machine_env *env,
                      const struct ferry_machine_place *place, struct ferry_error *reterr)
{
    char path[MACHINE_PATH_BYTES];
    int status = machine_move(env, place, "", "", reterr);

    if (status == FERRY_OK) {
        ferry_os_path(path, sizeof(path), "%s/bus/pci/drivers_probe", env->sysfs);
        /* Nobody may want it: what there is then shows. */
        (void)env->write(env->user, path, place->name, NULL);
    }
    return status;
}

static int restore(const struct machine_env *env, const struct ferry_machine_place *place,
                   const struct machine_record *record, struct ferry_error *reterr)
{
    char driver[NAME_BYTES] = "";
    int status = FERRY_OK;

    if (record->driver[0] != '\0') {
        status = machine_get_driver(env, record->driver, driver, reterr);
    }
    return status == FERRY_OK ? machine_move(env, place, driver, record->override, reterr)
                              : status;
}

int machine_unbind(const struct machine_env *env, const char *name, char *ret_driver,
                   struct ferry_error *reterr)
{
    struct ferry_machine_place place;
    struct machine_record record;
    int known, status = machine_target(env, name, "unbind", &place, reterr);

    if (status != FERRY_OK) {
        return status;
    }
    /* Before the record, which only root may read. */
    status = machine_check_permission(&place, "unbind", reterr);
    if (status != FERRY_OK) {
        return status;
    }
    known = recall(env, &place, &record, reterr);
    if (known == FERRY_E_NOT_FOUND || (known != FERRY_OK && env->force)) {
        status = check_given_away(&place, reterr);
    }
    if (status != FERRY_OK || (known != FERRY_OK && !env->force)) {
        return status != FERRY_OK ? status : known;
    }
    status = machine_check_busy(env, &place, reterr);
    if (status == FERRY_OK) {
        status = known == FERRY_OK ? restore(env, &place, &record, reterr)
                                   : let_choose(env, &place, reterr);
    }
    if (status == FERRY_OK) {
        machine_record_drop(env, place.name);
        status = ferry_machine_find(place.name, env->sysfs, env->dev, &place, reterr);
    }
    if (status == FERRY_OK && ret_driver != NULL) {
        memcpy(ret_driver, place.driver, NAME_BYTES);
    }
    return status;
}

int ferry_machine_unbind(const struct ferry_machine_options *options, const char *name,
                         char *ret_driver, struct ferry_error *reterr)
{
    struct machine_env env;
    int status = machine_env_init(&env, options, reterr);

    return status == FERRY_OK ? machine_unbind(&env, name, ret_driver, reterr) : status;
}
