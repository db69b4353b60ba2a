/* SPDX-License-Identifier: BSD-3-Clause */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>

#include "bridge/device/device.h"
#include "bridge/iommu/type1/container.h"
#include "bridge/iommu/type1/type1.h"
#include "os/uapi/type1.h"
#include "bridge/preload/table.h"
#include "bridge/preload/tokens/environment.h"
#include "bridge/preload/tokens/inherited.h"

#define FOLDER "/dev/vfio/"

/* /dev/vfio/NUMBER: a group with one device. */
struct group {
    struct bridge_object object; /* first */
    struct bridge_token token;
    uint32_t number;
    pthread_mutex_t lock;
    struct type1_container *container; /* with a reference; NULL: in none */
    struct bridge_device *device;      /* no reference: it has one to the group */
};

/* Groups that are open and in no container: for one of them the VMM is about to open
 * one, while it opens the kernel's for a group of the kernel's. */
static uint32_t lonely; /* atomic */

static int wants_log(const struct group *group)
{
    return group->token.dirty != FERRY_BRIDGE_DIRTY_DEVICE;
}

static long get_status(struct group *group, void *arg)
{
    struct uapi_group_status *status = arg;

    if (status->argsz < sizeof(*status)) {
        return -EINVAL;
    }
    status->flags = UAPI_GROUP_VIABLE;
    (void)pthread_mutex_lock(&group->lock);
    status->flags |= group->container != NULL ? UAPI_GROUP_CONTAINER_SET : 0;
    (void)pthread_mutex_unlock(&group->lock);
    return 0;
}

/* `lock` is held. */
static void leave(struct group *group)
{
    type1_container_leave(group->container, wants_log(group));
    bridge_object_put((struct bridge_object *)group->container);
    group->container = NULL;
    __atomic_add_fetch(&lonely, 1, __ATOMIC_RELAXED);
}

static long set_container(struct group *group, void *arg)
{
    struct bridge_object *object;
    struct type1_container *container;
    int32_t fd;
    long rc = -EINVAL;

    memcpy(&fd, arg, sizeof(fd));
    object = fd < 0 ? NULL : bridge_table_get(fd);
    container = type1_container_of(object);
    (void)pthread_mutex_lock(&group->lock);
    if (container != NULL && group->container == NULL) {
        rc = type1_container_join(container, wants_log(group));
    }
    if (rc == 0) {
        group->container = container;
        bridge_object_get(object);
        __atomic_sub_fetch(&lonely, 1, __ATOMIC_RELAXED);
    }
    (void)pthread_mutex_unlock(&group->lock);
    if (object != NULL) {
        bridge_object_put(object);
    }
    return fd < 0 ? -EBADF : rc;
}

static long unset_container(struct group *group)
{
    long rc = 0;

    (void)pthread_mutex_lock(&group->lock);
    if (group->container == NULL) {
        rc = -EINVAL;
    } else if (group->device != NULL) {
        rc = -EBUSY;
    } else {
        leave(group);
    }
    (void)pthread_mutex_unlock(&group->lock);
    return rc;
}

/* The device: the one that is open, or a new one. ret_device: with a reference. */
static int find_device(struct group *group, struct bridge_device **ret_device)
{
    struct bridge_object *object;
    int rc;

    if (group->device != NULL && bridge_object_try_get(&group->device->object)) {
        *ret_device = group->device;
        return 0;
    }
    rc = bridge_device_create(&group->token, &object);
    if (rc < 0) {
        return rc;
    }
    *ret_device = bridge_device_of(object);
    (*ret_device)->group = &group->object;
    (*ret_device)->group_number = group->number;
    bridge_object_get(&group->object);
    group->device = *ret_device;
    return 0;
}

/* Whatever it is called: a group has one device. */
static long get_device(struct group *group)
{
    struct bridge_device *device = NULL;
    struct type1_space space = { .iommu = NULL };
    long rc = -EINVAL;

    (void)pthread_mutex_lock(&group->lock);
    if (group->container != NULL) {
        rc = type1_container_space(group->container, &space);
    }
    if (rc == 0) {
        rc = find_device(group, &device);
    }
    if (rc == 0) {
        rc = bridge_device_open(device, &space.iommu->object, space.hwpt);
    }
    if (rc == 0) {
        rc = bridge_table_open("ferry-device", O_CLOEXEC, &device->object);
    }
    (void)pthread_mutex_unlock(&group->lock);
    /* Without the lock: the device may be freed, and says so to its group. */
    if (device != NULL) {
        bridge_object_put(&device->object);
    }
    if (space.iommu != NULL) {
        bridge_object_put(&space.iommu->object);
    }
    return rc;
}

static long group_ioctl(struct bridge_object *object, unsigned long request, void *arg)
{
    struct group *group = (struct group *)object;

    if ((uint32_t)request == UAPI_GROUP_UNSET_CONTAINER) {
        return unset_container(group);
    }
    if (arg == NULL) {
        return -EFAULT;
    }
    switch ((uint32_t)request) {
    case UAPI_GROUP_GET_STATUS:
        return get_status(group, arg);
    case UAPI_GROUP_SET_CONTAINER:
        return set_container(group, arg);
    case UAPI_GROUP_GET_DEVICE_FD:
        return get_device(group);
    default:
        return -ENOTTY;
    }
}

static void group_destroy(struct bridge_object *object)
{
    struct group *group = (struct group *)object;

    if (group->container != NULL) {
        leave(group);
    }
    __atomic_sub_fetch(&lonely, 1, __ATOMIC_RELAXED);
    (void)pthread_mutex_destroy(&group->lock);
    free(group);
}

static const struct bridge_object_ops group_ops = {
    .kind = "group",
    .ioctl = group_ioctl,
    .destroy = group_destroy,
};

void bridge_group_left(struct bridge_device *device)
{
    struct group *group = (struct group *)device->group;

    if (group == NULL) {
        return;
    }
    (void)pthread_mutex_lock(&group->lock);
    if (group->device == device) {
        group->device = NULL;
    }
    (void)pthread_mutex_unlock(&group->lock);
    bridge_object_put(&group->object);
}

int bridge_group_is(int fd, uint32_t number)
{
    struct bridge_object *object = fd < 0 ? NULL : bridge_table_get(fd);
    int is = 0;

    if (object != NULL) {
        is = object->ops == &group_ops && ((struct group *)object)->number == number;
        bridge_object_put(object);
    }
    return is;
}

static int open_group(const struct bridge_token *token, uint32_t number, int flags)
{
    struct group *group = calloc(1, sizeof(*group));
    int fd;

    if (group == NULL) {
        return -ENOMEM;
    }
    bridge_object_init(&group->object, &group_ops);
    group->token = *token;
    group->number = number;
    (void)pthread_mutex_init(&group->lock, NULL);
    __atomic_add_fetch(&lonely, 1, __ATOMIC_RELAXED);
    fd = bridge_table_open("ferry-group", flags, &group->object);
    bridge_object_put(&group->object);
    bridge_environment_clean();
    return fd;
}

static int open_container(int flags)
{
    struct bridge_object *object = NULL;
    int rc = type1_container_create(&object);

    if (rc == 0) {
        rc = bridge_table_open("ferry-container", flags, object);
        bridge_object_put(object);
    }
    return rc;
}

int bridge_type1_open(const char *path, int flags, int *ret_fd)
{
    const int err = errno;
    struct bridge_token token;
    uint32_t number;

    if (path == NULL || strncmp(path, FOLDER, strlen(FOLDER)) != 0) {
        return 0;
    }
    path += strlen(FOLDER);
    if (strcmp(path, "vfio") == 0) {
        if (__atomic_load_n(&lonely, __ATOMIC_RELAXED) == 0) {
            return 0;
        }
        *ret_fd = open_container(flags);
        errno = err;
        return 1;
    }
    number = bridge_inherited_find(path, &token);
    if (number == 0) {
        return 0;
    }
    *ret_fd = open_group(&token, number, flags);
    errno = err;
    return 1;
}

void bridge_type1_fork_child(void)
{
    __atomic_store_n(&lonely, 0, __ATOMIC_RELAXED);
}
