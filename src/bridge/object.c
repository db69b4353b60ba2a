/* SPDX-License-Identifier: BSD-3-Clause */
#include <errno.h>
#include <stddef.h>
#include "bridge/object.h"

void bridge_object_init(struct bridge_object *object, const struct bridge_object_ops *ops)
{
    (void)object;
    (void)ops;
}

void bridge_object_get(struct bridge_object *object)
{
    (void)object;
}

void bridge_object_put(struct bridge_object *object)
{
    (void)object;
}
