/* SPDX-License-Identifier: BSD-3-Clause */
#include <stdio.h>
#include <string.h>

#include "cli/machine/machine.h"
#include "ferry/host.h"

/* Of the only device in a context. */
#define NAME "device"

void machine_options(const char *folder, struct machine_root *root,
                     struct ferry_machine_options *ret_options)
{
    memset(ret_options, 0, sizeof(*ret_options));
    ret_options->struct_size = sizeof(*ret_options);
    if (folder == NULL) {
        return;
    }
    snprintf(root->sysfs, sizeof(root->sysfs), "%s/sys", folder);
    snprintf(root->dev, sizeof(root->dev), "%s/dev", folder);
    snprintf(root->modules, sizeof(root->modules), "%s/modules", folder);
    snprintf(root->run, sizeof(root->run), "%s/run", folder);
    snprintf(root->proc, sizeof(root->proc), "%s/proc", folder);
    snprintf(root->modprobe, sizeof(root->modprobe), "%s/modprobe", folder);
    ret_options->sysfs = root->sysfs;
    ret_options->dev = root->dev;
    ret_options->modules = root->modules;
    ret_options->run = root->run;
    ret_options->proc = root->proc;
    ret_options->modprobe = root->modprobe;
}

void machine_uri(const struct ferry_machine_device *device, char *ret_uri)
{
    snprintf(ret_uri, MACHINE_URI_BYTES, "%s:%s",
             (device->flags & FERRY_MACHINE_CDEV) != 0 ? "vfio" : "vfio-group",
             device->name);
}

/* The device works by VFIO, and its driver has no migration. */
static void explain_driver(const struct ferry_machine_device *device,
                           struct machine_look *look)
{
    if ((device->flags & FERRY_MACHINE_MEDIATED) != 0) {
        snprintf(look->why, sizeof(look->why), "its driver %s cannot migrate it",
                 device->driver);
    } else if (device->variant[0] != '\0' &&
               strcmp(device->variant, device->driver) != 0) {
        snprintf(look->why, sizeof(look->why),
                 "its driver %s cannot migrate it: `ferry bind %s' gives it to %s",
                 device->driver, device->name, device->variant);
    } else {
        snprintf(look->why, sizeof(look->why),
                 "its driver %s cannot migrate it, and this kernel has no other for "
                 "%04x:%04x: load its vendor's variant driver and `ferry bind %s "
                 "--driver NAME'",
                 device->driver, device->vendor, device->device, device->name);
    }
}

/* A context's errors begin with the device's name in it, its URI and the request. */
static void take_reason(const char *uri, const char *text, struct machine_look *look)
{
    char start[sizeof(NAME) + MACHINE_URI_BYTES + 24];

    look->is_unknown = 1;
    snprintf(start, sizeof(start), "device '" NAME "' (%s): open: ", uri);
    snprintf(look->why, sizeof(look->why), "%s",
             strncmp(text, start, strlen(start)) == 0 ? text + strlen(start) : text);
}

static void look_inside(const struct ferry_machine_device *device,
                        struct machine_look *look)
{
    struct ferry_context_options options = { .struct_size = sizeof(options) };
    struct ferry_error error = { .code = FERRY_OK };
    struct ferry_context *context = NULL;
    struct ferry_device_view view;
    char uri[MACHINE_URI_BYTES];
    int status = ferry_context_create(&options, &context, &error);

    machine_uri(device, uri);
    if (status >= 0) {
        status = ferry_context_add_device(context, NAME, uri, &error);
    }
    if (status >= 0) {
        status = ferry_context_device(context, 0, &view, &error);
    }
    if (status < 0) {
        take_reason(uri, error.text[0] != '\0' ? error.text : ferry_status_text(status),
                    look);
    } else {
        look->is_open = 1;
        look->flags = view.migration_flags;
        look->can_log = view.can_log;
        look->uapi = (view.extensions & FERRY_VIEW_UAPI_V1) != 0 ? 1 : 2;
        if ((view.migration_flags & FERRY_MIG_STOP_COPY) == 0) {
            look->uapi = 0;
            explain_driver(device, look);
        }
    }
    if (context != NULL) {
        ferry_context_destroy(context);
    }
}

void machine_look(const struct ferry_machine_device *device, int open,
                  struct machine_look *ret_look)
{
    memset(ret_look, 0, sizeof(*ret_look));
    if (device->why[0] != '\0') {
        snprintf(ret_look->why, sizeof(ret_look->why), "%s", device->why);
    } else if (open) {
        look_inside(device, ret_look);
    }
}
