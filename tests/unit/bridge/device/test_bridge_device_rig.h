/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef FERRY_TEST_BRIDGE_DEVICE_RIG_H
#define FERRY_TEST_BRIDGE_DEVICE_RIG_H

#include <stdint.h>
#include <sys/types.h>

#include "bridge/device/device.h"
#include "bridge/device/inside.h"

/* A device server in a process of its own, which can be killed, and a bridge's device. */

#define RIG_MSIX 70u /* more vectors than a message has descriptors */
#define RIG_MSI 4u
#define RIG_ROM_BYTES 2048u
#define RIG_EXTRA_TYPE 0x80001af4u
#define RIG_MEMORY_BYTES 0x10000u
#define RIG_AREA_OFF 0x1000u /* two areas of it can be mapped */
#define RIG_AREA_BYTES 0x2000u
#define RIG_AREA2_OFF 0x8000u
#define RIG_TABLE_REGION 4u

/* Registers of region 0; below RIG_RESETS plain storage. */
#define RIG_RESETS 0x800u
#define RIG_PID 0x804u
#define RIG_SLEEP_MS 0x808u /* a write: the server does nothing for so long */
#define RIG_IOVA 0x810u
#define RIG_FETCH 0x818u /* a read: 4 bytes at that IOVA */
#define RIG_STORE 0x81cu /* a write: these 4 bytes to that IOVA */
#define RIG_REFUSE 0x820u
#define RIG_BYTES 0x1000u

/* Variants of the device. */
#define RIG_PLAIN "plain"
#define RIG_CONVENTIONAL "conventional" /* 256 bytes of config space, no ERR */
#define RIG_OTHER "other"               /* another PCI device */
#define RIG_NEWER "newer"               /* the same of a newer version */
#define RIG_MOVING "moving"             /* migrates, and has no state */

/* For main(): serves when it was started as a server, and does not return then. */
void rig_be_server(int argc, char **argv);

struct rig {
    char path[64];
    pid_t server; /* 0: none */
    int iommu_fd;
    struct bridge_object *iommu;
    struct bridge_object *object;
    struct bridge_device *device;
    uint32_t ioas, hwpt;
};

void rig_start_server(struct rig *rig, const char *variant);
/* SIGKILL; returns when it is gone. */
void rig_kill_server(struct rig *rig);
/* An iommufd and a device that is not bound. */
void rig_create(struct rig *rig, uint32_t timeout_ms);
long rig_ioctl(struct bridge_object *object, unsigned long request, void *arg);
long rig_bind(struct rig *rig);
/* To a page table of its own. */
void rig_attach(struct rig *rig);
/* All of that with a server. */
void rig_up(struct rig *rig, const char *variant);
void rig_down(struct rig *rig);

uint32_t rig_read32(struct rig *rig, uint64_t off);
void rig_write32(struct rig *rig, uint64_t off, uint32_t value);
ssize_t rig_pread(struct rig *rig, uint32_t region, uint64_t off, void *data,
                  size_t count);
ssize_t rig_pwrite(struct rig *rig, uint32_t region, uint64_t off, const void *data,
                   size_t count);
/* Waits until the connection is dead or alive; fails the test after some seconds. */
void rig_await_dead(struct rig *rig, int dead);

#endif
