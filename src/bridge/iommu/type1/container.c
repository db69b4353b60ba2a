/* SPDX-License-Identifier: BSD-3-Clause */
#include "bridge/iommu/type1/container.h"

#include <errno.h>
#include <stdlib.h>

#include "os/uapi/type1.h"

struct type1_container {
    struct bridge_object object; /* first */
    pthread_mutex_t lock;
    struct type1_space space; /* from SET_IOMMU until the last group has left */
    uint32_t groups;
    uint32_t silent; /* groups whose devices want no log of the container's */
};

static long check_extension(uintptr_t extension)
{
    return extension == UAPI_TYPE1 || extension == UAPI_TYPE1V2 ||
           extension == UAPI_CACHE_COHERENT || extension == UAPI_UNMAP_ALL_THERE;
}

/* As in the kernel: once, with a group in it. */
static long set_iommu(struct type1_container *container, uintptr_t type)
{
    long rc = -EINVAL;

    (void)pthread_mutex_lock(&container->lock);
    if (container->groups > 0 && container->space.iommu == NULL &&
        (type == UAPI_TYPE1 || type == UAPI_TYPE1V2)) {
        rc = type1_space_make(&container->space);
    }
    (void)pthread_mutex_unlock(&container->lock);
    return rc;
}

int type1_container_space(struct type1_container *container,
                          struct type1_space *ret_space)
{
    int rc = -EINVAL;

    (void)pthread_mutex_lock(&container->lock);
    if (container->space.iommu != NULL) {
        *ret_space = container->space;
        bridge_object_get(&ret_space->iommu->object);
        rc = 0;
    }
    (void)pthread_mutex_unlock(&container->lock);
    return rc;
}

static long call_space(struct type1_container *container, uint32_t request, void *arg)
{
    const int can_log = __atomic_load_n(&container->silent, __ATOMIC_RELAXED) == 0;
    struct type1_space space;
    long rc = type1_container_space(container, &space);

    if (rc < 0) {
        return rc;
    }
    if (arg == NULL) {
        rc = -EFAULT;
    } else if (request == UAPI_TYPE1_GET_INFO) {
        rc = type1_get_info(&space, can_log, arg);
    } else if (request == UAPI_TYPE1_MAP) {
        rc = type1_map(&space, arg);
    } else if (request == UAPI_TYPE1_UNMAP) {
        rc = type1_unmap(&space, arg);
    } else if (request == UAPI_TYPE1_DIRTY) {
        /* Also with a device that came later and hides the log: who asks has seen it, and
         * QEMU only reports an error before it goes on without these pages. */
        rc = type1_dirty(&space, arg);
    } else {
        rc = -ENOTTY;
    }
    bridge_object_put(&space.iommu->object);
    return rc;
}

static long container_ioctl(struct bridge_object *object, unsigned long request,
                            void *arg)
{
    struct type1_container *container = (struct type1_container *)object;

    /* An int on its way here may have become a long with its sign. */
    switch ((uint32_t)request) {
    case UAPI_GET_API_VERSION:
        return UAPI_API_VERSION;
    case UAPI_CHECK_EXTENSION:
        return check_extension((uintptr_t)arg);
    case UAPI_SET_IOMMU:
        return set_iommu(container, (uintptr_t)arg);
    default:
        return call_space(container, (uint32_t)request, arg);
    }
}

/* Groups hold references: none is left. */
static void container_destroy(struct bridge_object *object)
{
    struct type1_container *container = (struct type1_container *)object;

    (void)pthread_mutex_destroy(&container->lock);
    free(container);
}

static const struct bridge_object_ops container_ops = {
    .kind = "container",
    .ioctl = container_ioctl,
    .destroy = container_destroy,
};

int type1_container_create(struct bridge_object **ret_object)
{
    struct type1_container *container = calloc(1, sizeof(*container));

    if (container == NULL) {
        return -ENOMEM;
    }
    bridge_object_init(&container->object, &container_ops);
    (void)pthread_mutex_init(&container->lock, NULL);
    *ret_object = &container->object;
    return 0;
}

struct type1_container *type1_container_of(struct bridge_object *object)
{
    return object != NULL && object->ops == &container_ops
               ? (struct type1_container *)object
               : NULL;
}

int type1_container_join(struct type1_container *container, int can_log)
{
    int rc = -ENOSPC;

    (void)pthread_mutex_lock(&container->lock);
    if (container->groups < TYPE1_GROUPS_MAX) {
        container->groups++;
        __atomic_add_fetch(&container->silent, can_log ? 0 : 1, __ATOMIC_RELAXED);
        rc = 0;
    }
    (void)pthread_mutex_unlock(&container->lock);
    return rc;
}

void type1_container_leave(struct type1_container *container, int can_log)
{
    struct iommu *gone = NULL;

    (void)pthread_mutex_lock(&container->lock);
    __atomic_sub_fetch(&container->silent, can_log ? 0 : 1, __ATOMIC_RELAXED);
    if (--container->groups == 0) {
        gone = container->space.iommu;
        container->space = (struct type1_space){ .iommu = NULL };
    }
    (void)pthread_mutex_unlock(&container->lock);
    if (gone != NULL) {
        bridge_object_put(&gone->object);
    }
}
