/* SPDX-License-Identifier: BSD-3-Clause */
#include <string.h>

#include "cli/qemu/check/check.h"

/* Part of QEMU's words, what they mean, what to do. */
static const struct {
    const char *words, *means, *todo;
} known[] = {
    { "if all of them support P2P",
      "QEMU stops one device after the other, and one that still runs could write into "
      "one that has stopped",
      "--no-peer-maps, if no guest lets devices write into each other" },
    { "device and IOMMU dirty tracking",
      "nobody knows what memory the device wrote: its server has no log, or dirty= hides "
      "it",
      "dirty=any; or qemu.enable-migration=on: QEMU then sends all memory again in each "
      "round, and in the downtime" },
    { "caching-mode", "QEMU wants that of its vIOMMU for VFIO devices",
      "-device intel-iommu,caching-mode=on" },
    { "vIOMMU",
      "QEMU before 11.0 migrates no VFIO device beside a vIOMMU, later ones only "
      "if the IOMMU tracks dirty pages",
      "QEMU 11.0 or later and dirty=iommu for each device; or no vIOMMU" },
    { "VFIO device doesn't support migration",
      "the server has no migration support, or nobody knows what memory the device wrote",
      "a server that can save its device" },
    { "migration is not supported in kernel",
      "the server has no migration support at all", "a server that can save its device" },
    { "STOP_COPY is not supported", "the server cannot save its device",
      "a server that can" },
    { "Migration is disabled for VFIO device", "enable-migration=off is set",
      "leave it out" },
    { "large memory VM", "the log of the IOMMU is too small for this memory",
      "dirty=device" },
    { "postcopy", "VFIO devices write memory that the target may not have yet",
      "leave postcopy-ram off" },
    { "background snapshot", "VFIO devices write memory that is being saved",
      "leave background-snapshot off" },
    { "invalid object type: iommufd", "it is older than its version says, or says none",
      "--groups" },
    { "Inappropriate ioctl",
      "the bridge is not in QEMU: something between removed "
      "LD_PRELOAD or the descriptors",
      "look at what the wrapper does; see LIMITS in docs/qemu.md" },
    { "cannot be preloaded", "the loader did not take the bridge",
      "a bridge that was built for this system: --bridge" },
    { "error bind device", "the bridge could not use the device's server",
      "the bridge's own words stand before it; is the server running, and free?" },
    { "Failed to get \"write\" lock",
      "another process has this image open, maybe the guest itself",
      "--check before the guest is started, or with another image" },
};

void qemu_explain(struct qemu_report *report, const char *reason)
{
    for (size_t i = 0; i < sizeof(known) / sizeof(known[0]); i++) {
        if (strstr(reason, known[i].words) != NULL) {
            qemu_find(report, QEMU_BLOCKS, "QEMU", known[i].todo, "it says: %.300s (%s)",
                      reason, known[i].means);
            return;
        }
    }
    qemu_find(report, QEMU_BLOCKS, "QEMU", NULL, "it says: %.500s", reason);
}
