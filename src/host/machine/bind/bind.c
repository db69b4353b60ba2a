/* SPDX-License-Identifier: BSD-3-Clause */
#include <stdio.h>
#include <string.h>

#include "host/machine/inside.h"

#define NAME_BYTES FERRY_MACHINE_NAME_BYTES
#define AUTO "auto"
#define GENERAL_DRIVER "vfio-pci"

static int check_device(const struct machine_env *env,
                        const struct ferry_machine_place *place,
                        struct ferry_error *reterr)
{
    char path[MACHINE_PATH_BYTES];
    uint64_t class_code = 0;
    int status;

    ferry_os_path(path, sizeof(path), "%s/class", place->folder);
    if (ferry_os_attr_number(path, &class_code) == FERRY_OK &&
        machine_is_bridge(class_code)) {
        return ferry_error_set(reterr, FERRY_E_UNSUPPORTED, MACHINE_LAYER, NULL, 0,
                               "%s is a bridge: the machine needs it", place->name);
    }
    if (place->group == FERRY_MACHINE_NO_GROUP || place->is_noiommu) {
        return ferry_error_set(reterr, FERRY_E_UNSUPPORTED, MACHINE_LAYER, NULL, 0,
                               "%s is in no IOMMU group, so that VFIO does not take it: "
                               "" MACHINE_TURN_ON,
                               place->name);
    }
    status = machine_check_permission(place, "bind", reterr);
    return status == FERRY_OK ? machine_check_busy(env, place, reterr) : status;
}

/* The name that was asked for; "auto" by the aliases. */
static void choose(const struct machine_env *env, const struct ferry_machine_place *place,
                   const char *driver, char ret_name[NAME_BYTES],
                   struct machine_wish *wish)
{
    char path[MACHINE_PATH_BYTES];

    memset(wish, 0, sizeof(*wish));
    ferry_os_path(path, sizeof(path), "%s/modalias", place->folder);
    (void)ferry_os_attr_read(path, wish->modalias, sizeof(wish->modalias));
    if (driver != NULL && strcmp(driver, AUTO) != 0) {
        /* What does not fit is no driver's name: the next who looks says so. */
        snprintf(ret_name, NAME_BYTES, "%s", driver);
        return;
    }
    machine_find_variants(env, wish, 1);
    snprintf(ret_name, NAME_BYTES, "%s",
             wish->module[0] != '\0' ? wish->module : GENERAL_DRIVER);
}

static int has_it(const struct ferry_machine_place *place, const char *name)
{
    char module[NAME_BYTES];

    machine_module_of(place->folder, module);
    return place->driver[0] != '\0' &&
           (machine_same_name(place->driver, name) || machine_same_name(module, name));
}

/* Does the record tell what the device had before we took it? Then it is at the driver
 * that it was given to, or where a bind that was killed on its way has left it. */
static int is_ours(const struct machine_record *record,
                   const struct ferry_machine_place *place, const char *override)
{
    return strcmp(record->bound, place->driver) == 0 ||
           (strcmp(record->bound, override) == 0 &&
            (place->driver[0] == '\0' || strcmp(record->driver, place->driver) == 0));
}

/* What there was stays known over a second bind to another of VFIO's drivers. */
static int remember(const struct machine_env *env,
                    const struct ferry_machine_place *place, const char *driver,
                    const char *modalias, struct ferry_error *reterr)
{
    struct machine_record record;
    char override[NAME_BYTES];

    machine_read_override(place, override);
    if (machine_record_read(env, place->name, &record, NULL) != FERRY_OK ||
        strcmp(record.modalias, modalias) != 0 || !is_ours(&record, place, override)) {
        snprintf(record.driver, sizeof(record.driver), "%s", place->driver);
        snprintf(record.modalias, sizeof(record.modalias), "%s", modalias);
        snprintf(record.override, sizeof(record.override), "%s", override);
    }
    snprintf(record.bound, sizeof(record.bound), "%s", driver);
    return machine_record_write(env, place->name, &record, reterr);
}

/* After a bind that failed: error tells why, and what became of the device then. */
static void give_back(const struct machine_env *env,
                      const struct ferry_machine_place *place, const char *override,
                      const struct machine_record *before, struct ferry_error *error)
{
    const uint32_t os_errno = error->os_errno;
    char why[sizeof(error->text)];

    memcpy(why, error->text, sizeof(why));
    if (machine_move(env, place, place->driver, override, NULL) != FERRY_OK) {
        (void)ferry_error_set(error, error->code, MACHINE_LAYER, NULL, 0,
                              "%.160s; and it is not back: `ferry unbind %s' tries again",
                              why, place->name);
    } else {
        if (before->bound[0] != '\0') {
            (void)machine_record_write(env, place->name, before, NULL);
        } else {
            machine_record_drop(env, place->name);
        }
        (void)ferry_error_set(
            error, error->code, MACHINE_LAYER, NULL, 0, "%.180s; it %s%s", why,
            place->driver[0] != '\0' ? "is back at " : "has no driver, as before",
            place->driver);
    }
    error->os_errno = os_errno;
}

static int rebind(const struct machine_env *env, const struct ferry_machine_place *place,
                  const char *driver, const char *modalias, struct ferry_error *reterr)
{
    struct machine_record before;
    struct ferry_error error = { .code = FERRY_OK };
    char override[NAME_BYTES];
    int status;

    machine_read_override(place, override);
    if (machine_record_read(env, place->name, &before, NULL) != FERRY_OK) {
        memset(&before, 0, sizeof(before));
    }
    status = remember(env, place, driver, modalias, reterr);
    if (status != FERRY_OK) {
        return status;
    }
    status = machine_move(env, place, driver, driver, &error);
    if (status != FERRY_OK) {
        give_back(env, place, override, &before, &error);
        if (reterr != NULL) {
            *reterr = error;
        }
    }
    return status;
}

int machine_bind(const struct machine_env *env, const char *name, const char *driver,
                 char *ret_driver, struct ferry_error *reterr)
{
    struct ferry_machine_place place;
    struct machine_wish wish;
    char wanted[NAME_BYTES + 1], found[NAME_BYTES];
    int status = machine_target(env, name, "bind", &place, reterr);

    if (status != FERRY_OK) {
        return status;
    }
    choose(env, &place, driver, wanted, &wish);
    if (has_it(&place, wanted) && machine_is_vfio(place.folder, place.driver)) {
        snprintf(found, sizeof(found), "%s", place.driver);
    } else {
        status = check_device(env, &place, reterr);
        if (status == FERRY_OK) {
            status = machine_get_driver(env, wanted, found, reterr);
        }
        if (status == FERRY_OK && !machine_driver_is_vfio(env, found)) {
            status =
                ferry_error_set(reterr, FERRY_E_ARGUMENT, MACHINE_LAYER, NULL, 0,
                                "%s is none of VFIO's drivers: `ferry bind %s' finds "
                                "the right one",
                                found, place.name);
        }
        if (status == FERRY_OK) {
            status = rebind(env, &place, found, wish.modalias, reterr);
        }
    }
    if (status == FERRY_OK && ret_driver != NULL) {
        memcpy(ret_driver, found, NAME_BYTES);
    }
    return status;
}

int ferry_machine_bind(const struct ferry_machine_options *options, const char *name,
                       const char *driver, char *ret_driver, struct ferry_error *reterr)
{
    struct machine_env env;
    int status = machine_env_init(&env, options, reterr);

    return status == FERRY_OK ? machine_bind(&env, name, driver, ret_driver, reterr)
                              : status;
}
