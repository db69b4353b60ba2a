/* SPDX-License-Identifier: BSD-3-Clause */
#include <string.h>
#include <unistd.h>

#include "cli/qemu/check/check.h"
#include "ferry/bridge.h"

/* As 100 * major + minor: what the bridge's calls come from. */
#define VERSION_V1 502u
#define VERSION_TESTED 1000u
#define VERSION_MULTIFD 1000u
#define VERSION_VIOMMU 1100u

static void check_version(struct qemu_report *report)
{
    unsigned number = report->number;

    if (number == 0) {
        qemu_find(report, QEMU_NOTE, "QEMU",
                  "see what the command says with -version; wrappers have to hand it on",
                  "its version is not known");
    } else if (number < VERSION_V1) {
        qemu_find(report, QEMU_BLOCKS, "QEMU", "QEMU 7.2 or later",
                  "%s: it migrates no VFIO device", report->version);
    } else if (number < QEMU_V2_SINCE) {
        qemu_find(report, number == QEMU_V1_TESTED ? QEMU_GOOD : QEMU_NOTE, "QEMU",
                  number == QEMU_V1_TESTED ? NULL : "QEMU 7.2, or 10.0 or later",
                  "%s: by uAPI v1, with groups%s", report->version,
                  number == QEMU_V1_TESTED ? "" : "; not tested with Ferry");
    } else if (number < VERSION_TESTED) {
        qemu_find(report, QEMU_NOTE, "QEMU", "QEMU 10.0 or later",
                  "%s: not tested with Ferry, and without multifd for device state",
                  report->version);
    } else {
        qemu_find(report, QEMU_GOOD, "QEMU", NULL, "%s", report->version);
    }
}

static void check_iommu(struct qemu_report *report, const struct qemu_args *args)
{
    int by_device = 0;

    for (size_t i = 0; i < args->devices; i++) {
        by_device |= args->device[i].dirty != FERRY_BRIDGE_DIRTY_IOMMU;
    }
    if (report->number != 0 && report->number < QEMU_V2_SINCE) {
        qemu_find(report, QEMU_BLOCKS, "vIOMMU", "QEMU 11.0 or later, or no vIOMMU",
                  "before 8.0 QEMU loses what a device wrote to memory that the vIOMMU "
                  "unmaps: it is kept from migrating");
    } else if (report->number != 0 && report->number < VERSION_VIOMMU) {
        qemu_find(report, QEMU_BLOCKS, "vIOMMU", "QEMU 11.0 or later, or no vIOMMU",
                  "before 11.0 QEMU migrates no VFIO device beside a vIOMMU");
    } else if (by_device) {
        qemu_find(report, QEMU_BLOCKS, "vIOMMU",
                  "--device ...,dirty=iommu for each device",
                  "beside a vIOMMU QEMU migrates VFIO devices only if the (host's) IOMMU "
                  "tracks dirty pages, not the device itself");
    } else {
        qemu_find(report, QEMU_GOOD, "vIOMMU", NULL,
                  "dirty pages are tracked by the IOMMU, as QEMU wants it");
    }
}

/* The bridge connects while QEMU still is who started it, and again after a server's
 * death, when it is not. */
static void check_user(struct qemu_report *report)
{
    qemu_find(report, QEMU_NOTE, "QEMU",
              "let the user of -runas or -run-with reach the sockets, at the same paths "
              "inside of a chroot",
              "it changes user or root after the devices are connected: if a server dies "
              "and comes back, the bridge connects again as the new user");
}

void qemu_check_line(struct qemu_report *report, const struct qemu_args *args,
                     const struct qemu_line *line)
{
    check_version(report);
    if (line->has_vfio_user) {
        qemu_find(report, QEMU_BLOCKS, "vfio-user", "--device SOCKET in its place",
                  "the command has QEMU's own vfio-user-pci: a migration ends well and "
                  "loses that device's state silently");
    }
    if (line->has_iommu) {
        check_iommu(report, args);
    }
    if (line->has_user) {
        check_user(report);
    }
    if (args->devices > 1 && args->no_peer_maps) {
        qemu_find(report, QEMU_NOTE, "devices", NULL,
                  "--no-peer-maps: no device can reach another one's memory");
    }
    qemu_find(report, QEMU_NOTE, "QEMU", NULL,
              "with VFIO devices it refuses postcopy-ram and background-snapshot when "
              "`migrate' comes, not before");
}
