/* SPDX-License-Identifier: BSD-3-Clause */
#include "host/backend/kernel/iommu/iommufd.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <stdio.h>
#include <string.h>

#include "base/range.h"
#include "host/backend/kernel/iommu/say.h"
#include "os/errno.h"
#include "os/uapi/iommufd.h"
#include "os/uapi/vfio.h"

#define PATH "/dev/iommu"

/* Kernels before tokens know 16 bytes of struct uapi_bind and refuse all flags. */
#define BIND_BYTES_MIN UAPI_NEEDS(uapi_bind, out_devid)
#define ATTACH_BYTES_MIN UAPI_NEEDS(uapi_attach, pt_id)

static int bind_error(struct ferry_error *reterr, int err, const char *name,
                      int has_token)
{
    switch (err) {
    case EBUSY:
        return kernel_say(reterr, FERRY_E_BUSY, err,
                          "%s: it, or another device of its IOMMU group, is in use by "
                          "another process, or has a driver that is none of VFIO's "
                          "(`ferry list`)",
                          name);
    case EINVAL:
        if (has_token) {
            return kernel_say(reterr, FERRY_E_ARGUMENT, err,
                              "%s: it takes no VF token, or this kernel takes none for a "
                              "character device (then use vfio-group:)",
                              name);
        }
        return kernel_say(reterr, FERRY_E_BUSY, err,
                          "%s: the kernel refused to bind it: it is in use by another "
                          "process (`fuser /dev/vfio/devices/*` says which), or its "
                          "IOMMU does not keep caches coherent",
                          name);
    case EACCES:
        return kernel_say(reterr, FERRY_E_PERMISSION, err,
                          has_token ? "%s: this is not the VF token of its physical "
                                      "function's user"
                                    : "%s: the user of its physical function set a VF "
                                      "token: give it with token=UUID",
                          name);
    case EPERM:
        return kernel_say(reterr, FERRY_E_PERMISSION, err,
                          "%s: a device of its IOMMU group is in use by another process "
                          "(`ferry list`), or there is no interrupt remapping (QEMU: "
                          "intel-iommu,intremap=on; unsafe: "
                          "iommufd.allow_unsafe_interrupts=1)",
                          name);
    case ENODEV:
        return kernel_say(reterr, FERRY_E_NOT_FOUND, err,
                          "%s: the device is gone, or has no IOMMU", name);
    case ENOTTY:
        return kernel_say(reterr, FERRY_E_UNSUPPORTED, err,
                          "%s: this kernel cannot bind a device to an iommufd: use "
                          "vfio-group:",
                          name);
    default:
        return kernel_say(reterr, FERRY_E_IO, err,
                          "%s: VFIO_DEVICE_BIND_IOMMUFD failed (errno %d)", name, err);
    }
}

static int bind_device(struct iommufd *iommufd, int device_fd, const char *name,
                       const uint8_t *token, struct ferry_error *reterr)
{
    struct uapi_bind bind = { .argsz = token != NULL ? sizeof(bind) : BIND_BYTES_MIN,
                              .flags = token != NULL ? UAPI_BIND_TOKEN : 0,
                              .iommufd = iommufd->fd,
                              .token = (uint64_t)(uintptr_t)token };
    const int rc = kernel_ioctl(iommufd->calls, device_fd, UAPI_BIND, &bind);

    if (rc < 0) {
        return bind_error(reterr, -rc, name, token != NULL);
    }
    iommufd->device_id = bind.out_devid;
    return FERRY_OK;
}

/* Return: 0 or -errno. */
static int attach_to(struct iommufd *iommufd, int device_fd, uint32_t id)
{
    struct uapi_attach attach = { .argsz = ATTACH_BYTES_MIN, .pt_id = id };

    return kernel_ioctl(iommufd->calls, device_fd, UAPI_ATTACH, &attach);
}

/* A page table that tracks, if there is such hardware. Kernels and IOMMUs without it
 * refuse with various numbers. */
static void attach_tracking(struct iommufd *iommufd, int device_fd)
{
    struct uapi_iommu_hwpt_alloc alloc = { .size = sizeof(alloc),
                                           .flags = UAPI_IOMMU_HWPT_ALLOC_DIRTY_TRACKING,
                                           .dev_id = iommufd->device_id,
                                           .pt_id = iommufd->ioas_id };
    struct uapi_iommu_destroy destroy = { .size = sizeof(destroy) };
    int rc = kernel_ioctl(iommufd->calls, iommufd->fd, UAPI_IOMMU_HWPT_ALLOC, &alloc);

    if (rc < 0) {
        /* To an iommufd an mdev is no device: it does no DMA. */
        (void)snprintf(iommufd->cannot, sizeof(iommufd->cannot),
                       rc == -ENOENT ? "an iommufd tells no pages of a mediated device "
                                       "(IOMMU_HWPT_ALLOC: %s); vfio-group: may do it"
                                     : "this IOMMU, or this kernel for it, has no dirty "
                                       "tracking (IOMMU_HWPT_ALLOC: %s)",
                       ferry_os_errno_name(-rc));
        return;
    }
    rc = attach_to(iommufd, device_fd, alloc.out_hwpt_id);
    if (rc < 0) {
        (void)snprintf(iommufd->cannot, sizeof(iommufd->cannot),
                       "the device cannot be attached to a page table that tracks (%s)",
                       ferry_os_errno_name(-rc));
        destroy.id = alloc.out_hwpt_id;
        (void)kernel_ioctl(iommufd->calls, iommufd->fd, UAPI_IOMMU_DESTROY, &destroy);
        return;
    }
    iommufd->hwpt_id = alloc.out_hwpt_id;
}

static int attach_error(struct ferry_error *reterr, int err, const char *name)
{
    switch (err) {
    case EINVAL:
    case EBUSY:
        return kernel_say(
            reterr, FERRY_E_BUSY, err,
            "%s: it cannot be attached to memory of its own: another device "
            "of its IOMMU group has been, or its IOMMU cannot (`ferry list` "
            "shows groups)",
            name);
    case EPERM:
        return bind_error(reterr, err, name, 0);
    case ENOMEM:
        return kernel_say(reterr, FERRY_E_MEMORY, err,
                          "%s: no memory for the IOMMU's page tables", name);
    case ENODEV:
        return kernel_say(reterr, FERRY_E_NOT_FOUND, err,
                          "%s: the device is gone, or has no IOMMU", name);
    default:
        return kernel_say(reterr, FERRY_E_IO, err,
                          "%s: VFIO_DEVICE_ATTACH_IOMMUFD_PT failed (errno %d)", name,
                          err);
    }
}

/* After the attach: only then is it known what the IOMMU takes. */
static int ask_aperture(struct iommufd *iommufd, const char *name,
                        struct ferry_error *reterr)
{
    struct kernel_aperture *aperture = &iommufd->aperture;
    struct uapi_iommu_ioas_iova_ranges ranges = {
        .size = sizeof(ranges),
        .ioas_id = iommufd->ioas_id,
        .num_iovas = KERNEL_APERTURE_RANGES_MAX,
        .allowed_iovas = (uint64_t)(uintptr_t)aperture->range,
    };
    const int rc =
        kernel_ioctl(iommufd->calls, iommufd->fd, UAPI_IOMMU_IOAS_IOVA_RANGES, &ranges);

    /* More ranges than there is room for: no map is judged beforehand. */
    if (rc < 0 && rc != -EMSGSIZE) {
        return kernel_say(reterr, FERRY_E_IO, -rc,
                          "%s: the iommufd does not say which addresses it takes (%s)",
                          name, ferry_os_errno_name(-rc));
    }
    aperture->count =
        rc == 0 && ranges.num_iovas <= KERNEL_APERTURE_RANGES_MAX ? ranges.num_iovas : 0;
    return kernel_aperture_granule(aperture, ranges.out_iova_alignment, name, reterr);
}

static int alloc_ioas(struct iommufd *iommufd, const char *name,
                      struct ferry_error *reterr)
{
    struct uapi_iommu_ioas_alloc alloc = { .size = sizeof(alloc) };
    const int rc =
        kernel_ioctl(iommufd->calls, iommufd->fd, UAPI_IOMMU_IOAS_ALLOC, &alloc);

    if (rc < 0) {
        return kernel_say(reterr, FERRY_E_IO, -rc,
                          "%s: the iommufd gives no address space (%s)", name,
                          ferry_os_errno_name(-rc));
    }
    iommufd->ioas_id = alloc.out_ioas_id;
    return FERRY_OK;
}

static int open_iommu(struct iommufd *iommufd, const char *name,
                      struct ferry_error *reterr)
{
    const int fd = iommufd->calls->open(iommufd->calls->user, PATH, O_RDWR);

    if (fd == -ENOENT || fd == -ENODEV || fd == -ENXIO) {
        return kernel_say(reterr, FERRY_E_UNSUPPORTED, -fd,
                          "%s: there is no %s: load iommufd (`modprobe iommufd`), or use "
                          "vfio-group: on a kernel without it",
                          name, PATH);
    }
    if (fd < 0) {
        return kernel_say_open(reterr, -fd, PATH, name);
    }
    iommufd->fd = fd;
    return FERRY_OK;
}

/* The device's descriptor is closed by now: nothing is attached any more. */
static void iommufd_close(struct kernel_iommu *iommu)
{
    struct iommufd *iommufd = (struct iommufd *)iommu;

    /* A child that was forked may hold the descriptor for a while: memory goes now. */
    if (iommufd->fd >= 0 && iommufd->maps.count > 0) {
        (void)kernel_iommufd_unmap_range(iommufd, 0, UINT64_MAX);
    }
    kernel_maps_clear(&iommufd->maps);
    kernel_close(iommufd->calls, &iommufd->fd);
    free(iommufd);
}

static const struct kernel_iommu_ops iommufd_ops = {
    .name = "iommufd",
    .close = iommufd_close,
    .map = kernel_iommufd_map,
    .unmap = kernel_iommufd_unmap,
    .track = kernel_iommufd_track,
    .report = kernel_iommufd_report,
};

static int set_up(struct iommufd *iommufd, int device_fd, const char *name,
                  const uint8_t *token, struct ferry_error *reterr)
{
    int rc = open_iommu(iommufd, name, reterr);

    if (rc == FERRY_OK) {
        rc = bind_device(iommufd, device_fd, name, token, reterr);
    }
    if (rc == FERRY_OK) {
        rc = alloc_ioas(iommufd, name, reterr);
    }
    if (rc != FERRY_OK) {
        return rc;
    }
    attach_tracking(iommufd, device_fd);
    if (iommufd->hwpt_id == 0) {
        rc = attach_to(iommufd, device_fd, iommufd->ioas_id);
    }
    if (rc < 0) {
        return attach_error(reterr, -rc, name);
    }
    rc = ask_aperture(iommufd, name, reterr);
    if (rc == FERRY_OK && iommufd->hwpt_id != 0) {
        kernel_iommufd_probe(iommufd);
    }
    return rc;
}

int kernel_iommufd_open(const struct kernel_calls *calls,
                        const struct ferry_machine_place *place, const uint8_t *token,
                        struct kernel_iommu **ret_iommu, int *ret_device_fd,
                        struct ferry_error *reterr)
{
    struct iommufd *iommufd;
    int device_fd;
    int rc;

    if (place->cdev[0] == '\0') {
        return kernel_say(reterr, FERRY_E_UNSUPPORTED, 0,
                          "%s has no character device: an older kernel, or one without "
                          "VFIO_DEVICE_CDEV: use vfio-group:",
                          place->name);
    }
    iommufd = calloc(1, sizeof(*iommufd));
    if (iommufd == NULL) {
        return kernel_say(reterr, FERRY_E_MEMORY, 0, "%s: out of memory", place->name);
    }
    iommufd->iommu.ops = &iommufd_ops;
    iommufd->calls = calls;
    iommufd->fd = -1;
    device_fd = calls->open(calls->user, place->cdev, O_RDWR);
    rc = device_fd < 0 ? kernel_say_open(reterr, -device_fd, place->cdev, place->name)
                       : set_up(iommufd, device_fd, place->name, token, reterr);
    if (rc != FERRY_OK) {
        /* The device first: it is what is bound. */
        kernel_close(calls, &device_fd);
        iommufd_close(&iommufd->iommu);
        return rc;
    }
    *ret_iommu = &iommufd->iommu;
    *ret_device_fd = device_fd;
    return FERRY_OK;
}
