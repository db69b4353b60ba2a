/* SPDX-License-Identifier: BSD-3-Clause */
#include <stddef.h>
#include <string.h>

#include "host/machine/inside.h"

/* A module may wait for its device's firmware. */
#define LOAD_LIMIT_MS 60000u

static int write_attr(void *user, const char *path, const char *text, int *ret_errno)
{
    (void)user;
    return ferry_os_attr_write(path, text, ret_errno);
}

static int try_disk(void *user, const char *path)
{
    (void)user;
    return ferry_os_try_disk(path);
}

static int load_module(void *user, const char *module, char *ret_text, size_t size)
{
    const struct machine_env *env = user;
    const char *const argv[] = { env->modprobe, module, NULL };
    int status = ferry_os_run(argv, LOAD_LIMIT_MS, ret_text, size);

    return status > 0 ? FERRY_E_IO : status;
}

int machine_env_init(struct machine_env *env, const struct ferry_machine_options *options,
                     struct ferry_error *reterr)
{
    struct ferry_machine_options own = { .struct_size = sizeof(own) };
    char release[64];

    if (options != NULL) {
        if (options->struct_size < sizeof(options->struct_size)) {
            return ferry_error_set(reterr, FERRY_E_ARGUMENT, MACHINE_LAYER, NULL, 0,
                                   "struct_size is %zu", options->struct_size);
        }
        /* What an older program does not know is as it always was. */
        memcpy(&own, options,
               options->struct_size < sizeof(own) ? options->struct_size : sizeof(own));
    }
    memset(env, 0, sizeof(*env));
    env->sysfs = own.sysfs != NULL ? own.sysfs : "/sys";
    env->dev = own.dev != NULL ? own.dev : "/dev";
    env->run = own.run != NULL ? own.run : "/run/ferry/bind";
    env->proc = own.proc != NULL ? own.proc : "/proc";
    env->modprobe = own.modprobe != NULL ? own.modprobe : "modprobe";
    env->modules = own.modules;
    if (env->modules == NULL) {
        ferry_os_kernel_release(release, sizeof(release));
        ferry_os_path(env->release, sizeof(env->release), "/lib/modules/%s", release);
        env->modules = env->release;
    }
    env->force = own.force != 0;
    env->write = write_attr;
    env->load = load_module;
    env->try_disk = try_disk;
    env->user = env;
    return FERRY_OK;
}
