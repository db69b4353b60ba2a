/* SPDX-License-Identifier: BSD-3-Clause */
#include <errno.h>
#include <stddef.h>
#include "bridge/say.h"

void bridge_say(const struct bridge_device *device, const char *format, ...)
{
    (void)device;
    (void)format;
}

void bridge_trace(const struct bridge_device *device, const char *format, ...)
{
    (void)device;
    (void)format;
}

int bridge_errno(int status)
{
    (void)status;
    return -ENOSYS;
}
