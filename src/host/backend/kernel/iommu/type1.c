/* SPDX-License-Identifier: BSD-3-Clause */
#include "host/backend/kernel/iommu/type1.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "host/backend/kernel/iommu/say.h"
#include "os/errno.h"
#include "os/uapi/type1.h"

#define PATH "/dev/vfio/vfio"

#define UUID_BYTES 16u
#define UUID_TEXT_BYTES 37u

static int open_group(struct type1 *type1, const struct ferry_machine_place *place,
                      struct ferry_error *reterr)
{
    struct uapi_group_status status = { .argsz = sizeof(status) };
    char path[32];
    int rc;

    if (place->group == FERRY_MACHINE_NO_GROUP) {
        return kernel_say(reterr, FERRY_E_UNSUPPORTED, 0,
                          "%s is in no IOMMU group: the machine has no IOMMU, or it is "
                          "off (intel_iommu=on, firmware)",
                          place->name);
    }
    if (place->is_noiommu) {
        return kernel_say(reterr, FERRY_E_UNSUPPORTED, 0,
                          "%s has no IOMMU (group noiommu-%u): a device that reaches all "
                          "of the machine's memory is not used",
                          place->name, place->group);
    }
    (void)snprintf(path, sizeof(path), "/dev/vfio/%u", place->group);
    rc = type1->calls->open(type1->calls->user, path, O_RDWR);
    if (rc < 0) {
        return kernel_say_open(reterr, -rc, path, place->name);
    }
    type1->group_fd = rc;
    rc = kernel_ioctl(type1->calls, type1->group_fd, UAPI_GROUP_GET_STATUS, &status);
    if (rc < 0 || (status.flags & UAPI_GROUP_VIABLE) == 0) {
        return kernel_say(reterr, FERRY_E_BUSY, rc < 0 ? -rc : 0,
                          "%s: other devices of IOMMU group %u are not bound to VFIO: "
                          "`ferry list` shows them, `ferry bind` binds them",
                          place->name, place->group);
    }
    return FERRY_OK;
}

static int open_container(struct type1 *type1, const char *name,
                          struct ferry_error *reterr)
{
    const struct kernel_calls *calls = type1->calls;
    const int fd = calls->open(calls->user, PATH, O_RDWR);
    int rc;

    if (fd == -ENOENT || fd == -ENODEV || fd == -ENXIO) {
        return kernel_say(reterr, FERRY_E_UNSUPPORTED, -fd,
                          "%s: there is no %s: load vfio (`modprobe vfio`), or use vfio: "
                          "on a kernel without containers",
                          name, PATH);
    }
    if (fd < 0) {
        return kernel_say_open(reterr, -fd, PATH, name);
    }
    type1->container_fd = fd;
    rc = kernel_ioctl(calls, fd, UAPI_GET_API_VERSION, NULL);
    if (rc != UAPI_API_VERSION) {
        return kernel_say(reterr, FERRY_E_VERSION, rc < 0 ? -rc : 0,
                          "%s: %s speaks version %d of its API, and %d is known", name,
                          PATH, rc, UAPI_API_VERSION);
    }
    rc = kernel_ioctl(calls, fd, UAPI_CHECK_EXTENSION, (void *)(uintptr_t)UAPI_TYPE1V2);
    if (rc <= 0) {
        return kernel_say(reterr, FERRY_E_UNSUPPORTED, rc < 0 ? -rc : 0,
                          "%s: %s has no IOMMU of type 1 (`modprobe vfio_iommu_type1`)",
                          name, PATH);
    }
    return FERRY_OK;
}

static int join_error(struct ferry_error *reterr, int err, const char *name,
                      const char *call)
{
    switch (err) {
    case EPERM:
        return kernel_say(reterr, FERRY_E_PERMISSION, err,
                          "%s: the kernel sees no interrupt remapping on this machine: "
                          "switch it on (firmware; QEMU: intel-iommu,intremap=on), or, "
                          "trusting the device, "
                          "vfio_iommu_type1.allow_unsafe_interrupts=1",
                          name);
    case EBUSY:
        return kernel_say(reterr, FERRY_E_BUSY, err,
                          "%s: its IOMMU group is in use by another process, or by this "
                          "one under another URI",
                          name);
    case EINVAL:
        return kernel_say(reterr, FERRY_E_BUSY, err,
                          "%s: %s failed (EINVAL): its IOMMU group is in a container "
                          "already, or its IOMMU cannot",
                          name, call);
    case ENODEV:
        return kernel_say(reterr, FERRY_E_NOT_FOUND, err,
                          "%s: the device is gone, or has no IOMMU", name);
    case ENOMEM:
        return kernel_say(reterr, FERRY_E_MEMORY, err,
                          "%s: no memory for the IOMMU's page tables", name);
    default:
        return kernel_say(reterr, FERRY_E_IO, err, "%s: %s failed (%s)", name, call,
                          ferry_os_errno_name(err));
    }
}

static int join(struct type1 *type1, const char *name, struct ferry_error *reterr)
{
    int32_t container = type1->container_fd;
    int rc =
        kernel_ioctl(type1->calls, type1->group_fd, UAPI_GROUP_SET_CONTAINER, &container);

    if (rc < 0) {
        return join_error(reterr, -rc, name, "VFIO_GROUP_SET_CONTAINER");
    }
    type1->joined = 1;
    rc = kernel_ioctl(type1->calls, type1->container_fd, UAPI_SET_IOMMU,
                      (void *)(uintptr_t)UAPI_TYPE1V2);
    return rc < 0 ? join_error(reterr, -rc, name, "VFIO_SET_IOMMU") : FERRY_OK;
}

/* "0000:01:00.1 vf_token=...": how a group is asked for a device. */
static void print_name(const char *name, const uint8_t *token, char *text, size_t cap)
{
    char uuid[UUID_TEXT_BYTES];
    size_t used = 0;

    if (token == NULL) {
        (void)snprintf(text, cap, "%s", name);
        return;
    }
    for (uint32_t i = 0; i < UUID_BYTES; i++) {
        const int dash = i == 4 || i == 6 || i == 8 || i == 10;

        used += (size_t)snprintf(uuid + used, sizeof(uuid) - used, "%s%02x",
                                 dash ? "-" : "", token[i]);
    }
    (void)snprintf(text, cap, "%s vf_token=%s", name, uuid);
}

static int get_device(struct type1 *type1, const char *name, const uint8_t *token,
                      int *ret_fd, struct ferry_error *reterr)
{
    char text[FERRY_MACHINE_NAME_BYTES + UUID_TEXT_BYTES + 16];
    int rc;

    print_name(name, token, text, sizeof(text));
    rc = kernel_ioctl(type1->calls, type1->group_fd, UAPI_GROUP_GET_DEVICE_FD, text);
    switch (rc < 0 ? -rc : 0) {
    case 0:
        *ret_fd = rc;
        return FERRY_OK;
    case EACCES:
        return kernel_say(reterr, FERRY_E_PERMISSION, -rc,
                          token != NULL
                              ? "%s: this is not the VF token of its physical "
                                "function's user"
                              : "%s: the user of its physical function set a VF "
                                "token: give it with token=UUID",
                          name);
    case EINVAL:
        return kernel_say(reterr, FERRY_E_ARGUMENT, -rc,
                          token != NULL ? "%s: it takes no VF token: leave token= away"
                                        : "%s: the kernel does not give the device out",
                          name);
    case ENODEV:
        return kernel_say(reterr, FERRY_E_NOT_FOUND, -rc,
                          "%s: the device is gone, or no longer bound to VFIO (`ferry "
                          "bind %s`)",
                          name, name);
    case EBUSY:
        return kernel_say(reterr, FERRY_E_BUSY, -rc, "%s: the device is in use", name);
    default:
        return kernel_say(reterr, FERRY_E_IO, -rc,
                          "%s: VFIO_GROUP_GET_DEVICE_FD failed (%s)", name,
                          ferry_os_errno_name(-rc));
    }
}

/* The device's descriptor is closed by now. */
static void type1_close(struct kernel_iommu *iommu)
{
    struct type1 *type1 = (struct type1 *)iommu;

    for (uint32_t i = 0; i < type1->maps.count; i++) {
        (void)kernel_type1_unmap_piece(type1, type1->maps.map[i].iova,
                                       type1->maps.map[i].size, NULL);
    }
    kernel_maps_clear(&type1->maps);
    if (type1->joined) {
        (void)kernel_ioctl(type1->calls, type1->group_fd, UAPI_GROUP_UNSET_CONTAINER,
                           NULL);
    }
    kernel_close(type1->calls, &type1->group_fd);
    kernel_close(type1->calls, &type1->container_fd);
    free(type1);
}

static const struct kernel_iommu_ops type1_ops = {
    .name = "type1",
    .close = type1_close,
    .map = kernel_type1_map,
    .unmap = kernel_type1_unmap,
    .track = kernel_type1_track,
    .report = kernel_type1_report,
};

int kernel_type1_open(const struct kernel_calls *calls,
                      const struct ferry_machine_place *place, const uint8_t *token,
                      struct kernel_iommu **ret_iommu, int *ret_device_fd,
                      struct ferry_error *reterr)
{
    struct type1 *type1 = calloc(1, sizeof(*type1));
    int device_fd = -1;
    int rc;

    if (type1 == NULL) {
        return kernel_say(reterr, FERRY_E_MEMORY, 0, "%s: out of memory", place->name);
    }
    type1->iommu.ops = &type1_ops;
    type1->calls = calls;
    type1->group_fd = -1;
    type1->container_fd = -1;
    rc = open_group(type1, place, reterr);
    if (rc == FERRY_OK) {
        rc = open_container(type1, place->name, reterr);
    }
    if (rc == FERRY_OK) {
        rc = join(type1, place->name, reterr);
    }
    if (rc == FERRY_OK) {
        rc = kernel_type1_ask(type1, place->name, reterr);
    }
    if (rc == FERRY_OK) {
        rc = get_device(type1, place->name, token, &device_fd, reterr);
    }
    if (rc != FERRY_OK) {
        type1_close(&type1->iommu);
        return rc;
    }
    kernel_type1_probe(type1);
    *ret_iommu = &type1->iommu;
    *ret_device_fd = device_fd;
    return FERRY_OK;
}
