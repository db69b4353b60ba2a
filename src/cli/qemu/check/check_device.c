/* SPDX-License-Identifier: BSD-3-Clause */
#include <poll.h>
#include <stdio.h>

#include "cli/output.h"
#include "cli/qemu/check/check.h"
#include "ferry/host.h"

/* A server needs a moment to see that its last user, QEMU, has gone. */
#define FREE_LIMIT_MS 5000
#define FREE_STEP_MS 20

/* Return: FERRY_OK or why not. */
static int look(const struct qemu_device *device, struct ferry_device_view *ret_view,
                struct ferry_error *reterr)
{
    struct ferry_context_options options = { .struct_size = sizeof(options) };
    struct ferry_context *context = NULL;
    char uri[QEMU_SOCKET_BYTES + 16];
    int status;

    snprintf(uri, sizeof(uri), "vfio-user:%s", device->socket);
    for (int waited = 0;; waited += FREE_STEP_MS) {
        status = ferry_context_create(&options, &context, reterr);
        status = status < 0 ? status
                            : ferry_context_add_device(context, "device", uri, reterr);
        if (status >= 0) {
            status = ferry_context_device(context, (uint32_t)status, ret_view, reterr);
        }
        ferry_context_destroy(context);
        context = NULL;
        if (status != FERRY_E_BUSY || waited >= FREE_LIMIT_MS) {
            return status;
        }
        poll(NULL, 0, FREE_STEP_MS);
    }
}

/* Without P2P and beside others. */
static void check_peers(struct qemu_report *report, const struct qemu_args *args,
                        const struct qemu_device *device)
{
    if (args->devices > 1 && !args->no_peer_maps) {
        qemu_find(report, QEMU_BLOCKS, device->id,
                  "--no-peer-maps, if no guest lets devices write into each other",
                  "it has no P2P states: QEMU stops one device after the other, and one "
                  "that still runs could write into one that has stopped. QEMU migrates "
                  "several devices only if all of them have P2P");
    } else if (args->devices > 1) {
        qemu_find(
            report, QEMU_NOTE, device->id, NULL,
            "it has no P2P states; the bridge shows them, since no peer reaches it");
    }
}

static void check_view(struct qemu_report *report, const struct qemu_args *args,
                       const struct qemu_device *device,
                       const struct ferry_device_view *view)
{
    uint32_t flags = view->migration_flags;
    char bytes[TEXT_BYTES];

    if ((flags & FERRY_MIG_STOP_COPY) == 0) {
        qemu_find(report, QEMU_BLOCKS, device->id, "a server that can save its device",
                  "its server has no migration support at all");
        return;
    }
    qemu_find(report, QEMU_GOOD, device->id, NULL, "%s:%s%s%s%s, %s of state",
              view->identity.model[0] != '\0' ? view->identity.model : "a device",
              " STOP_COPY", (flags & FERRY_MIG_P2P) != 0 ? " P2P" : "",
              (flags & FERRY_MIG_PRE_COPY) != 0 ? " PRE_COPY" : "",
              view->can_log ? " dirty-log" : "",
              view->data_size > 0 ? text_bytes(view->data_size, bytes) : "unknown bytes");
    if ((flags & FERRY_MIG_P2P) == 0) {
        check_peers(report, args, device);
    }
    if ((flags & FERRY_MIG_PRE_COPY) == 0) {
        qemu_find(report, QEMU_NOTE, device->id, NULL,
                  "it has no PRE_COPY: all of its state is sent during the downtime");
    }
    if (!view->can_log && args->groups) {
        qemu_find(report, QEMU_BLOCKS, device->id,
                  "a server with a dirty log; or a downtime-limit in which QEMU can send "
                  "all memory",
                  "its server has no dirty log: all memory counts as written, in each "
                  "round and in the downtime");
    } else if (!view->can_log) {
        qemu_find(
            report, QEMU_BLOCKS, device->id,
            "--device ...,qemu.enable-migration=on: QEMU then sends all memory again "
            "in each round, and in the downtime",
            "its server has no dirty log, so nobody knows what memory the device "
            "wrote");
    }
}

void qemu_check_devices(struct qemu_report *report, const struct qemu_args *args)
{
    for (size_t i = 0; i < args->devices; i++) {
        struct ferry_error error = { .code = FERRY_OK };
        struct ferry_device_view view;
        int status = look(&args->device[i], &view, &error);

        if (status >= 0) {
            check_view(report, args, &args->device[i], &view);
        } else {
            qemu_find(report, QEMU_BLOCKS, args->device[i].id,
                      status == FERRY_E_BUSY
                          ? "a device has one user at a time, and it has one already"
                          : "is its server running, and may you reach its socket?",
                      "%s",
                      error.text[0] != '\0' ? error.text : ferry_status_text(status));
        }
    }
}
