/* SPDX-License-Identifier: BSD-3-Clause */
#include "bridge/iommu/cdev.h"

#include <errno.h>
#include <string.h>

#include "bridge/device/device.h"
#include "bridge/iommu/iommu.h"
#include "bridge/preload/table.h"
#include "bridge/preload/tokens/environment.h"
#include "bridge/preload/tokens/inherited.h"

#define DEVICES "/dev/vfio/devices/vfio"
#define IOMMU "/dev/iommu"

/* Devices that were opened by their path and are not bound. */
static uint32_t waiting; /* atomic */

/* As in the kernel each open is one of its own; the second one fails when it is bound. */
static int open_device(const struct bridge_token *token, int flags)
{
    struct bridge_object *object = NULL;
    int fd = bridge_device_create(token, &object);

    if (fd < 0) {
        return fd;
    }
    bridge_device_of(object)->waits = 1;
    __atomic_add_fetch(&waiting, 1, __ATOMIC_RELAXED);
    fd = bridge_table_open("ferry-device", flags, object);
    bridge_object_put(object);
    bridge_environment_clean();
    return fd;
}

static int open_iommu(int flags)
{
    const struct bridge_token token = { .kind = BRIDGE_TOKEN_IOMMU };
    struct bridge_object *object = NULL;
    int fd = bridge_iommu_create(&token, &object);

    if (fd == 0) {
        fd = bridge_table_open("ferry-iommu", flags, object);
        bridge_object_put(object);
    }
    return fd;
}

int bridge_cdev_open(const char *path, int flags, int *ret_fd)
{
    const int err = errno;
    struct bridge_token token;

    if (path == NULL) {
        return 0;
    }
    if (strcmp(path, IOMMU) == 0) {
        if (__atomic_load_n(&waiting, __ATOMIC_RELAXED) == 0) {
            return 0;
        }
        *ret_fd = open_iommu(flags);
    } else if (strncmp(path, DEVICES, strlen(DEVICES)) == 0 &&
               bridge_inherited_find(path + strlen(DEVICES), &token) != 0) {
        *ret_fd = open_device(&token, flags);
    } else {
        return 0;
    }
    errno = err;
    return 1;
}

void bridge_cdev_served(struct bridge_device *device)
{
    if (__atomic_exchange_n(&device->waits, 0, __ATOMIC_RELAXED) != 0) {
        __atomic_sub_fetch(&waiting, 1, __ATOMIC_RELAXED);
    }
}

void bridge_cdev_fork_child(void)
{
    __atomic_store_n(&waiting, 0, __ATOMIC_RELAXED);
}
