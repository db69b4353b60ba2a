/* SPDX-License-Identifier: BSD-3-Clause */
#include "bridge/object.h"

#include <assert.h>
#include <errno.h>

#include "bridge/preload/tokens/known.h"

void bridge_object_init(struct bridge_object *object, const struct bridge_object_ops *ops)
{
    object->ops = ops;
    object->references = 1;
    object->named = 0;
}

void bridge_object_get(struct bridge_object *object)
{
    const uint32_t before = __atomic_fetch_add(&object->references, 1, __ATOMIC_RELAXED);

    assert(before > 0 && before < UINT32_MAX);
}

int bridge_object_try_get(struct bridge_object *object)
{
    uint32_t count = __atomic_load_n(&object->references, __ATOMIC_RELAXED);

    while (count > 0) {
        if (__atomic_compare_exchange_n(&object->references, &count, count + 1, 0,
                                        __ATOMIC_ACQ_REL, __ATOMIC_RELAXED)) {
            return 1;
        }
    }
    return 0;
}

void bridge_object_put(struct bridge_object *object)
{
    const uint32_t before = __atomic_fetch_sub(&object->references, 1, __ATOMIC_ACQ_REL);
    int err;

    assert(before > 0);
    if (before > 1) {
        return;
    }
    err = errno;
    /* Who looks for its token from now on must not find memory that goes away. */
    if (__atomic_load_n(&object->named, __ATOMIC_ACQUIRE)) {
        bridge_known_forget(object);
    }
    object->ops->destroy(object);
    errno = err;
}
