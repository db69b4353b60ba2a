/* SPDX-License-Identifier: BSD-3-Clause */
#include <errno.h>
#include <string.h>

#include "host/machine/inside.h"
#include "os/errno.h"

#define NAME_BYTES FERRY_MACHINE_NAME_BYTES

void machine_read_override(const struct ferry_machine_place *place,
                           char ret_override[FERRY_MACHINE_NAME_BYTES])
{
    char path[MACHINE_PATH_BYTES];

    ferry_os_path(path, sizeof(path), "%s/driver_override", place->folder);
    if (ferry_os_attr_read(path, ret_override, NAME_BYTES) != FERRY_OK ||
        strcmp(ret_override, "(null)") == 0) {
        ret_override[0] = '\0';
    }
}

static void read_driver(const struct ferry_machine_place *place,
                        char ret_driver[NAME_BYTES])
{
    char path[MACHINE_PATH_BYTES];

    ferry_os_path(path, sizeof(path), "%s/driver", place->folder);
    (void)ferry_os_link_name(path, ret_driver, NAME_BYTES);
}

/* reterr: what the kernel answered, as ": text", and "" when it took it. */
static int write_to(const struct machine_env *env, const char *path, const char *text,
                    struct ferry_error *reterr)
{
    int err = 0, status = env->write(env->user, path, text, &err);

    memset(reterr, 0, sizeof(*reterr));
    return status < 0 ? ferry_os_error(reterr, err, "") : FERRY_OK;
}

/* The status of a sentence that was just made, with the errno behind it. */
static int with_errno(int status, const struct ferry_error *answer,
                      struct ferry_error *reterr)
{
    if (reterr != NULL) {
        reterr->os_errno = answer->os_errno;
    }
    return status;
}

/* A device may be pulled out at any time. */
static int is_gone(const struct ferry_machine_place *place, struct ferry_error *reterr)
{
    if (ferry_os_is_folder(place->folder)) {
        return 0;
    }
    (void)ferry_error_set(reterr, FERRY_E_NOT_FOUND, MACHINE_LAYER, NULL, 0,
                          "%s is gone from this machine", place->name);
    return 1;
}

/* A driver's no is the device's affair, but for what is not permitted. */
static int refusal(int status)
{
    return status == FERRY_E_PERMISSION ? status : FERRY_E_DEVICE;
}

static int let_go(const struct machine_env *env, const struct ferry_machine_place *place,
                  const char *driver, struct ferry_error *reterr)
{
    char path[MACHINE_PATH_BYTES], now[NAME_BYTES];
    struct ferry_error answer;
    int status;

    ferry_os_path(path, sizeof(path), "%s/bus/pci/drivers/%s/unbind", env->sysfs, driver);
    status = write_to(env, path, place->name, &answer);
    read_driver(place, now);
    /* A device that was pulled out has no driver either. */
    if (now[0] == '\0') {
        return FERRY_OK;
    }
    status = ferry_error_set(reterr, refusal(status), MACHINE_LAYER, NULL, 0,
                             "the driver %s did not let go of %s%s", driver, place->name,
                             answer.text);
    return with_errno(status, &answer, reterr);
}

static int take(const struct machine_env *env, const struct ferry_machine_place *place,
                const char *driver, struct ferry_error *reterr)
{
    char path[MACHINE_PATH_BYTES], now[NAME_BYTES];
    struct ferry_error answer;
    int status;

    ferry_os_path(path, sizeof(path), "%s/bus/pci/drivers/%s/bind", env->sysfs, driver);
    status = write_to(env, path, place->name, &answer);
    read_driver(place, now);
    /* Whoever else probes drivers may have been quicker, which is answered by EBUSY. */
    if (strcmp(now, driver) == 0) {
        return FERRY_OK;
    }
    if (is_gone(place, reterr)) {
        return FERRY_E_NOT_FOUND;
    }
    status = ferry_error_set(reterr, refusal(status), MACHINE_LAYER, NULL, 0,
                             "the driver %s did not take %s%s; `dmesg' may tell why",
                             driver, place->name, answer.text);
    return with_errno(status, &answer, reterr);
}

static int write_override(const struct machine_env *env,
                          const struct ferry_machine_place *place, const char *override,
                          struct ferry_error *reterr)
{
    char path[MACHINE_PATH_BYTES];
    struct ferry_error answer;
    int status;

    ferry_os_path(path, sizeof(path), "%s/driver_override", place->folder);
    /* An empty line takes it away. */
    status = write_to(env, path, override[0] != '\0' ? override : "\n", &answer);
    if (status != FERRY_OK && is_gone(place, reterr)) {
        return FERRY_E_NOT_FOUND;
    }
    if (status != FERRY_OK) {
        status = ferry_error_set(reterr, status, MACHINE_LAYER, NULL, 0,
                                 "driver_override of %s cannot be written%s", place->name,
                                 answer.text);
        return with_errno(status, &answer, reterr);
    }
    return FERRY_OK;
}

int machine_move(const struct machine_env *env, const struct ferry_machine_place *place,
                 const char *driver, const char *override, struct ferry_error *reterr)
{
    /* A device may have had an override that its driver would not get it by. */
    const char *during = driver[0] != '\0' && override[0] != '\0' ? driver : override;
    char now[NAME_BYTES];
    int status = write_override(env, place, during, reterr);

    read_driver(place, now);
    if (status == FERRY_OK && strcmp(now, driver) != 0) {
        if (now[0] != '\0') {
            status = let_go(env, place, now, reterr);
        }
        if (status == FERRY_OK && driver[0] != '\0') {
            status = take(env, place, driver, reterr);
        }
    }
    if (status == FERRY_OK && strcmp(during, override) != 0) {
        status = write_override(env, place, override, reterr);
    }
    return status;
}
