/* SPDX-License-Identifier: BSD-3-Clause */
#include "bridge/preload/symbols/kvm.h"

#include <errno.h>
#include <linux/kvm.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "bridge/preload/symbols/real.h"
#include "bridge/preload/table.h"

/* Source: Documentation/virt/kvm/devices/vfio.rst; "group" in older kernels. */
#define VFIO_FILE 1u
#define VFIO_FILE_ADD 1u
#define VFIO_FILE_DEL 2u

/* KVM's pseudo device for VFIO: the kernel's, or one that stands in for it. */
struct kvm_vfio {
    struct bridge_object object;
    int is_kernels;
};

static void destroy(struct bridge_object *object)
{
    free(object);
}

static const struct bridge_object_ops ops = { .kind = "kvm", .destroy = destroy };

/* QEMU before 8.0 has them in an int on the way, which may have become a long with its
 * sign. */
static uint32_t number(unsigned long request)
{
    return (uint32_t)request;
}

int bridge_kvm_wants(unsigned long request)
{
    return number(request) == KVM_CREATE_DEVICE ||
           number(request) == KVM_SET_DEVICE_ATTR ||
           number(request) == KVM_HAS_DEVICE_ATTR;
}

static int answer(int rc)
{
    if (rc < 0) {
        errno = -rc;
        return -1;
    }
    return rc;
}

/* Return: 1 when a descriptor, as an attribute names it, stands for an object of ours. */
static int names_ours(const struct kvm_device_attr *attr)
{
    struct bridge_object *object;
    int32_t fd;

    if (attr->group != VFIO_FILE ||
        (attr->attr != VFIO_FILE_ADD && attr->attr != VFIO_FILE_DEL) || attr->addr == 0) {
        return 0;
    }
    memcpy(&fd, (const void *)(uintptr_t)attr->addr, sizeof(fd));
    object = bridge_table_recognise(fd);
    if (object == NULL) {
        return 0;
    }
    bridge_object_put(object);
    return 1;
}

/* Remembers a pseudo device. Return: 0 or -errno. */
static int note(int fd, int is_kernels)
{
    struct kvm_vfio *vfio = calloc(1, sizeof(*vfio));
    int rc;

    if (vfio == NULL) {
        return -ENOMEM;
    }
    bridge_object_init(&vfio->object, &ops);
    vfio->is_kernels = is_kernels;
    rc = bridge_table_put(fd, &vfio->object);
    bridge_object_put(&vfio->object);
    return rc;
}

static int create(int vm, struct kvm_create_device *device)
{
    int err = errno;
    int rc = bridge_real()->ioctl(vm, KVM_CREATE_DEVICE, device);
    int fd;

    if (device->type != KVM_DEV_TYPE_VFIO || (rc < 0 && errno == EBADF)) {
        return rc;
    }
    if (rc >= 0) {
        if (!(device->flags & KVM_CREATE_DEVICE_TEST)) {
            note((int)device->fd, 1);
        }
        return rc;
    }
    errno = err;
    if (device->flags & KVM_CREATE_DEVICE_TEST) {
        return 0;
    }
    fd = memfd_create("ferry-kvm-vfio", MFD_CLOEXEC);
    if (fd < 0) {
        return -1;
    }
    rc = note(fd, 0);
    if (rc < 0) {
        bridge_real()->close(fd);
        return answer(rc);
    }
    device->fd = (uint32_t)fd;
    return 0;
}

int bridge_kvm_ioctl(int fd, unsigned long request, void *arg)
{
    struct bridge_object *object;
    int rc = -ENXIO;
    int is_kernels;

    if (number(request) == KVM_CREATE_DEVICE) {
        return create(fd, arg);
    }
    object = bridge_table_get(fd);
    if (object == NULL || object->ops != &ops) {
        if (object) {
            bridge_object_put(object);
        }
        return bridge_real()->ioctl(fd, request, arg);
    }
    is_kernels = ((struct kvm_vfio *)object)->is_kernels;
    bridge_object_put(object);
    if (number(request) == KVM_SET_DEVICE_ATTR && names_ours(arg)) {
        return 0;
    }
    if (is_kernels) {
        return bridge_real()->ioctl(fd, request, arg);
    }
    if (((const struct kvm_device_attr *)arg)->group == VFIO_FILE) {
        rc = 0;
    }
    return answer(rc);
}
