/* SPDX-License-Identifier: BSD-3-Clause */
#include <errno.h>
#include <string.h>

#include "host/machine/inside.h"

#define NAME_BYTES FERRY_MACHINE_NAME_BYTES

/* Who has one of a device's nodes open. */
struct user {
    const struct machine_env *env;
    char node[2][MACHINE_PATH_BYTES];
    const char *process; /* that is looked at now */
    char pid[NAME_BYTES], command[32];
};

static int look_at_descriptor(void *data, const char *name)
{
    struct user *user = data;
    char path[MACHINE_PATH_BYTES], target[MACHINE_PATH_BYTES];

    if (ferry_os_path(path, sizeof(path), "%s/%s/fd/%s", user->env->proc, user->process,
                      name) != FERRY_OK ||
        ferry_os_link_target(path, target, sizeof(target)) != FERRY_OK) {
        return 0;
    }
    return strcmp(target, user->node[0]) == 0 || strcmp(target, user->node[1]) == 0;
}

static int look_at_process(void *data, const char *name)
{
    struct user *user = data;
    char path[MACHINE_PATH_BYTES];

    if (name[0] < '0' || name[0] > '9' ||
        ferry_os_path(path, sizeof(path), "%s/%s/fd", user->env->proc, name) !=
            FERRY_OK) {
        return 0;
    }
    user->process = name;
    if (ferry_os_folder_each(path, look_at_descriptor, user) != 1) {
        return 0;
    }
    ferry_os_path(user->pid, sizeof(user->pid), "%s", name);
    ferry_os_path(path, sizeof(path), "%s/%s/comm", user->env->proc, name);
    (void)ferry_os_attr_read(path, user->command, sizeof(user->command));
    return 1;
}

int machine_check_users(const struct machine_env *env,
                        const struct ferry_machine_place *place,
                        struct ferry_error *reterr)
{
    struct user user = { .env = env };
    int is_open = 0;

    ferry_os_path(user.node[0], sizeof(user.node[0]), "%s", place->cdev);
    if (place->group != FERRY_MACHINE_NO_GROUP) {
        ferry_os_path(user.node[1], sizeof(user.node[1]), "%s/vfio/%s%u", env->dev,
                      place->is_noiommu ? "noiommu-" : "", place->group);
        /* A group is open once, and not while one of its devices is by its own node. */
        is_open = ferry_os_try_open(user.node[1]) == EBUSY;
    }
    (void)ferry_os_folder_each(env->proc, look_at_process, &user);
    if (user.pid[0] != '\0') {
        return ferry_error_set(reterr, FERRY_E_BUSY, MACHINE_LAYER, NULL, 0,
                               "%s is in the hands of process %s (%s): end that first",
                               place->name, user.pid, user.command);
    }
    if (is_open) {
        return ferry_error_set(reterr, FERRY_E_BUSY, MACHINE_LAYER, NULL, 0,
                               "a process that is not seen here has %s of its group %u "
                               "open: end that first",
                               place->name, place->group);
    }
    return FERRY_OK;
}
