/* SPDX-License-Identifier: BSD-3-Clause */
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cli/commands.h"
#include "cli/output.h"
#include "cli/qemu/qemu.h"
#include "ferry/bridge.h"

#define LIBRARY "libferry-bridge.so"
/* The first QEMU with -machine aux-ram-share=. */
#define AUX_SHARE_SINCE 1000u

/* In words from first on: an option and its value. */
static void note_added(struct qemu_plan *plan, size_t first, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

static void note_added(struct qemu_plan *plan, size_t first, const char *format, ...)
{
    struct qemu_added *added = &plan->added[plan->count++];
    va_list list;

    added->first = first;
    added->count = plan->command.count - first;
    va_start(list, format);
    vsnprintf(added->why, sizeof(added->why), format, list);
    va_end(list);
}

/* The user's --bridge, FERRY_BRIDGE, the build's, the installed one. */
static int find_bridge(struct qemu_plan *plan, const char *told)
{
    const char *path = told != NULL ? told : getenv("FERRY_BRIDGE");
    char self[QEMU_PATH_BYTES / 2], beside[QEMU_PATH_BYTES];
    ssize_t n = readlink("/proc/self/exe", self, sizeof(self) - 1);
    char *slash;

    self[n > 0 ? n : 0] = '\0';
    slash = strrchr(self, '/');
    if (path == NULL && slash != NULL) {
        snprintf(beside, sizeof(beside), "%.*s/../bridge/" LIBRARY, (int)(slash - self),
                 self);
        path = access(beside, R_OK) == 0 ? beside : NULL;
    }
    if (path == NULL) {
        path = FERRY_BRIDGE_FOLDER "/" LIBRARY;
    }
    /* Also since QEMU may start somewhere else. */
    if (strlen(path) >= sizeof(plan->bridge) || access(path, R_OK) != 0) {
        print_error("qemu", NULL,
                    "there is no bridge at %s: %s; --bridge or FERRY_BRIDGE name it",
                    path, strerror(errno));
        return EXIT_FAILED;
    }
    {
        char *full = realpath(path, NULL);

        snprintf(plan->bridge, sizeof(plan->bridge), "%s", full != NULL ? full : path);
        free(full);
    }
    if (strpbrk(plan->bridge, ": \t") != NULL) {
        print_error(
            "qemu", NULL,
            "%s: LD_PRELOAD takes no path with a space or a colon; copy the bridge "
            "to another place and name that with --bridge",
            plan->bridge);
        return EXIT_FAILED;
    }
    return EXIT_OK;
}

static int set_preload(struct qemu_plan *plan)
{
    const char *have = getenv("LD_PRELOAD");
    int n =
        snprintf(plan->preload, sizeof(plan->preload), "%s%s%s", have != NULL ? have : "",
                 have != NULL && have[0] != '\0' ? ":" : "", plan->bridge);

    if (n < 0 || (size_t)n >= sizeof(plan->preload)) {
        print_error("qemu", NULL, "LD_PRELOAD is longer than %zu bytes",
                    sizeof(plan->preload));
        return EXIT_FAILED;
    }
    return EXIT_OK;
}

static int set_log(struct qemu_plan *plan, const char *log)
{
    char here[sizeof(plan->log)] = "";
    int n;

    if (log == NULL) {
        return EXIT_OK;
    }
    if (log[0] != '/' && getcwd(here, sizeof(here) - 1) != NULL) {
        strcat(here, "/");
    }
    n = snprintf(plan->log, sizeof(plan->log), "%s%s", here, log);
    if (n < 0 || (size_t)n >= sizeof(plan->log)) {
        print_error("qemu", NULL, "--log: a path of at most %zu bytes, not %s",
                    sizeof(plan->log) - 1, log);
        return EXIT_USAGE;
    }
    return EXIT_OK;
}

/* "ferry", or with a number behind it when the user's ids begin so. */
static void choose_id(struct qemu_plan *plan)
{
    snprintf(plan->id, sizeof(plan->id), "ferry");
    for (unsigned i = 2; i < 100 && qemu_line_has_id(plan->line, plan->id); i++) {
        snprintf(plan->id, sizeof(plan->id), "ferry%u-", i);
    }
}

static void add_backend(struct qemu_plan *plan)
{
    size_t first = plan->command.count;

    qemu_words_add(&plan->command, "-object");
    qemu_words_add(&plan->command, "memory-backend-memfd,id=%s-ram,size=%s,share=on",
                   plan->id, plan->line->size);
    qemu_words_add(&plan->command, "-machine");
    qemu_words_add(&plan->command, "memory-backend=%s-ram", plan->id);
    note_added(plan, first, "%s of memory that device servers can map%s",
               plan->line->size,
               plan->line->has_size ? "" : " (QEMU's default; there is no -m)");
}

static void add_memory(struct qemu_plan *plan, int keep)
{
    const char *left = NULL;

    switch (keep ? QEMU_MEMORY_NONE : plan->line->memory) {
    case QEMU_MEMORY_SIZE:
        add_backend(plan);
        break;
    case QEMU_MEMORY_PATH:
        left = "-mem-path makes memory that no server can map; use -object "
               "memory-backend-file,share=on with -machine memory-backend=";
        break;
    case QEMU_MEMORY_NUMA:
        left = "-numa mem= makes memory that no server can map; use -numa memdev= with "
               "-object memory-backend-memfd";
        break;
    case QEMU_MEMORY_CONFIG:
        left = "-readconfig may say what the memory is; see to share=on";
        break;
    case QEMU_MEMORY_OWN:
    case QEMU_MEMORY_NONE:
        break;
    }
    for (size_t i = 0; i < plan->line->backends && left == NULL; i++) {
        if (!plan->line->backend[i].shared) {
            left = "a memory-backend without share=on can be mapped by no server";
        }
    }
    if (left != NULL) {
        snprintf(plan->note, sizeof(plan->note), "%s: else each access is a message",
                 left);
    }
}

/* ROMs and video memory with descriptors, so that devices can read them quickly. */
static void add_aux_share(struct qemu_plan *plan, unsigned version)
{
    size_t first = plan->command.count;

    if (version < AUX_SHARE_SINCE || plan->line->has_aux_share ||
        plan->line->memory == QEMU_MEMORY_NONE) {
        return;
    }
    qemu_words_add(&plan->command, "-machine");
    qemu_words_add(&plan->command, "aux-ram-share=on");
    note_added(plan, first, "servers can map ROMs as well");
}

/* Where no descriptor of the user's is taken for it. */
static int lift(int fd)
{
    int high = fcntl(fd, F_DUPFD_CLOEXEC, QEMU_FD_FIRST);

    if (high < 0) {
        return fd;
    }
    close(fd);
    return high;
}

static int add_iommu(struct qemu_plan *plan)
{
    struct ferry_error error = { .code = FERRY_OK };
    size_t first = plan->command.count;

    if (ferry_bridge_iommu_token(&plan->iommu, &error) < 0) {
        plan->iommu = -1;
        print_error("qemu", &error, "cannot make a token for the IOMMU");
        return EXIT_FAILED;
    }
    plan->iommu = lift(plan->iommu);
    qemu_words_add(&plan->command, "-object");
    qemu_words_add(&plan->command, "iommufd,id=%s,fd=%d", plan->id, plan->iommu);
    note_added(plan, first, "an IOMMU, by the bridge");
    return EXIT_OK;
}

/* Before 8.1 QEMU asks the container only. */
static int check_groups(const struct qemu_args *args, unsigned version)
{
    for (size_t i = 0; i < args->devices; i++) {
        if (version != 0 && version < QEMU_MIGRATES_SINCE &&
            args->device[i].dirty == FERRY_BRIDGE_DIRTY_DEVICE) {
            print_error("qemu", NULL,
                        "dirty=device needs QEMU 8.1 or later: this one asks the IOMMU "
                        "for written pages");
            return EXIT_USAGE;
        }
    }
    return EXIT_OK;
}

/*
 * Before 8.0 QEMU loses what a device writes to memory that a vIOMMU unmaps. Without a
 * log in its container it does not migrate.
 */
static int must_stay(const struct qemu_plan *plan)
{
    return plan->line->has_iommu && plan->version != 0 && plan->version < QEMU_V2_SINCE;
}

static int make_token(const struct qemu_plan *plan, const struct qemu_args *args,
                      struct qemu_device *device)
{
    const struct ferry_bridge_device token = {
        .struct_size = sizeof(token),
        .name = device->name[0] != '\0' ? device->name : device->id,
        .path = device->socket,
        .log = plan->log[0] != '\0' ? plan->log : NULL,
        .timeout_ms = args->timeout_ms,
        .no_peer_maps = (uint32_t)args->no_peer_maps,
        .dirty = must_stay(plan) ? FERRY_BRIDGE_DIRTY_DEVICE : device->dirty,
        .trace = (uint32_t)args->trace,
    };
    struct ferry_error error = { .code = FERRY_OK };

    if (ferry_bridge_device_token(&token, &device->token, &error) < 0) {
        device->token = -1;
        print_error("qemu", &error, "cannot make a token for %s", device->socket);
        return error.code == FERRY_E_ARGUMENT || error.code == FERRY_E_LIMIT
                   ? EXIT_USAGE
                   : EXIT_FAILED;
    }
    device->token = lift(device->token);
    return EXIT_OK;
}

static int check_id(const struct qemu_plan *plan, const struct qemu_args *args, size_t i)
{
    const char *id = args->device[i].id;

    for (size_t j = 0; j < i; j++) {
        if (strcmp(args->device[j].id, id) == 0) {
            print_error("qemu", NULL, "two devices with id=%s", id);
            return EXIT_USAGE;
        }
    }
    if (strcmp(id, plan->id) == 0) {
        print_error("qemu", NULL, "id=%s is the IOMMU's; give the device another one",
                    id);
        return EXIT_USAGE;
    }
    return EXIT_OK;
}

/* Commas are doubled, as QEMU wants them. */
static void double_commas(const char *text, char *ret_text, size_t size)
{
    size_t n = 0;

    for (; *text != '\0' && n + 2 < size; text++) {
        ret_text[n++] = *text;
        if (*text == ',') {
            ret_text[n++] = ',';
        }
    }
    ret_text[n] = '\0';
}

/* By descriptor, or by the folder of a group. */
static int name_device(struct qemu_plan *plan, const struct qemu_args *args,
                       const struct qemu_device *device, const char *more)
{
    char folder[QEMU_PATH_BYTES], text[2 * QEMU_PATH_BYTES];

    if (args->groups && !qemu_group_folder(args, device, folder, sizeof(folder))) {
        print_error("qemu", NULL, "the name of %s's folder is too long", device->id);
        return EXIT_FAILED;
    }
    qemu_words_add(&plan->command, "-device");
    if (!args->groups) {
        qemu_words_add(&plan->command, "vfio-pci,id=%s,fd=%d,iommufd=%s%s", device->id,
                       device->token, plan->id, more);
        return EXIT_OK;
    }
    double_commas(folder, text, sizeof(text));
    qemu_words_add(&plan->command, "vfio-pci,id=%s,sysfsdev=%s%s%s", device->id, text,
                   plan->version != 0 && plan->version < QEMU_MIGRATES_SINCE
                       ? ",x-enable-migration=on"
                       : "",
                   more);
    return EXIT_OK;
}

static int add_device(struct qemu_plan *plan, struct qemu_args *args, size_t i)
{
    struct qemu_device *device = &args->device[i];
    size_t first = plan->command.count, used = 0;
    char more[QEMU_PATH_BYTES] = "";
    int result;

    if (device->id[0] == '\0') {
        snprintf(device->id, sizeof(device->id), "%.32s%zu", plan->id, i);
    }
    result = check_id(plan, args, i);
    result = result == EXIT_OK ? make_token(plan, args, device) : result;
    if (result != EXIT_OK) {
        return result;
    }
    for (size_t j = 0; j < device->properties; j++) {
        int n = snprintf(more + used, sizeof(more) - used, ",%s", device->property[j]);

        if (n < 0 || (size_t)n >= sizeof(more) - used) {
            print_error("qemu", NULL, "the properties of %s are longer than %zu bytes",
                        device->id, sizeof(more) - 1);
            return EXIT_USAGE;
        }
        used += (size_t)n;
    }
    result = name_device(plan, args, device, more);
    if (result != EXIT_OK) {
        return result;
    }
    note_added(plan, first, "%s %s%s",
               device->model != NULL ? "a model of Ferry's," : "the device at",
               device->model != NULL ? device->model : device->socket,
               must_stay(plan) ? "; beside a vIOMMU it cannot be migrated" : "");
    return EXIT_OK;
}

int qemu_plan_make(struct qemu_plan *ret_plan, struct qemu_args *args,
                   const struct qemu_line *line, unsigned version)
{
    struct qemu_plan *plan = ret_plan;
    int result;

    memset(plan, 0, sizeof(*plan));
    plan->line = line;
    plan->version = version;
    plan->iommu = -1;
    choose_id(plan);
    result = find_bridge(plan, args->bridge);
    result = result == EXIT_OK ? set_preload(plan) : result;
    result = result == EXIT_OK ? set_log(plan, args->log) : result;
    for (size_t i = 0; i < line->count; i++) {
        qemu_words_add(&plan->command, "%s", line->word[i]);
    }
    add_memory(plan, args->keep_memory);
    add_aux_share(plan, version);
    if (result == EXIT_OK) {
        result = args->groups ? check_groups(args, version) : add_iommu(plan);
    }
    for (size_t i = 0; i < args->devices && result == EXIT_OK; i++) {
        result = add_device(plan, args, i);
    }
    if (result == EXIT_OK && plan->command.failed) {
        print_error("qemu", NULL, "out of memory");
        result = EXIT_FAILED;
    }
    return result;
}

void qemu_plan_free(struct qemu_plan *plan)
{
    qemu_words_free(&plan->command);
    if (plan->iommu >= 0) {
        close(plan->iommu);
    }
}
