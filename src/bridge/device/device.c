/* SPDX-License-Identifier: BSD-3-Clause */
#include <errno.h>
#include <stddef.h>
#include "bridge/device/device.h"

int bridge_device_create(const struct bridge_token *token,
                         struct bridge_object **ret_object)
{
    (void)token;
    (void)ret_object;
    return -ENOSYS;
}

struct bridge_device *bridge_device_of(struct bridge_object *object)
{
    (void)object;
    return NULL;
}

void bridge_device_lost(struct bridge_device *device)
{
    (void)device;
}

void bridge_device_alarm(struct bridge_device *device)
{
    (void)device;
}

int bridge_device_reset(struct bridge_device *device)
{
    (void)device;
    return -ENOSYS;
}
