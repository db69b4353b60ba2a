/* SPDX-License-Identifier: BSD-3-Clause */
#include <errno.h>
#include <stddef.h>
#include "bridge/preload/service.h"

int bridge_service_add(struct bridge_link *link)
{
    (void)link;
    return -ENOSYS;
}

void bridge_service_remove(struct bridge_link *link)
{
    (void)link;
}
