/* SPDX-License-Identifier: BSD-3-Clause */
#include "fake_kernel.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/bitmap.h"
#include "os/uapi/type1.h"
#include "os/uapi/vfio.h"

#define FD_FIRST 1000
#define PEER_REGION 2u
#define PEER_REGION_OFF 0x20000000000ull
#define PEER_REGION_BYTES 0x10000u

const struct ferry_machine_place fake_place = { .name = "0000:01:00.0",
                                                .folder = "/sys/devices/x",
                                                .driver = "vfio-pci",
                                                .cdev = "/dev/vfio/devices/vfio3",
                                                .group = 7 };

int fake_take_fd(struct fake_kernel *fake, enum fake_kind kind)
{
    for (int i = 0; i < FAKE_FDS_MAX; i++) {
        if (fake->fd[i] == FAKE_FREE) {
            fake->fd[i] = kind;
            return FD_FIRST + i;
        }
    }
    abort();
}

static enum fake_kind kind_of(const struct fake_kernel *fake, int fd)
{
    return fd < FD_FIRST || fd >= FD_FIRST + FAKE_FDS_MAX ? FAKE_FREE
                                                          : fake->fd[fd - FD_FIRST];
}

/* Is this one of the calls that fail? */
static int fails(struct fake_kernel *fake)
{
    if (fake->fail_after > 0) {
        fake->fail_after--;
        return 0;
    }
    if (fake->fail_count == 0) {
        return 0;
    }
    fake->fail_count--;
    return 1;
}

static int fake_open(void *user, const char *path, int flags)
{
    struct fake_kernel *fake = user;

    (void)flags;
    if (fake->fail_path != NULL && strcmp(path, fake->fail_path) == 0 && fails(fake)) {
        return -fake->fail_err;
    }
    if (strcmp(path, fake_place.cdev) == 0) {
        return fake->no_cdev ? -ENOENT : fake_take_fd(fake, FAKE_DEVICE);
    }
    if (strcmp(path, "/dev/iommu") == 0) {
        return fake->no_iommufd ? -ENOENT : fake_take_fd(fake, FAKE_IOMMUFD);
    }
    if (strcmp(path, "/dev/vfio/7") == 0) {
        return fake_take_fd(fake, FAKE_GROUP);
    }
    return strcmp(path, "/dev/vfio/vfio") == 0 ? fake_take_fd(fake, FAKE_CONTAINER)
                                               : -ENOENT;
}

/* What goes with a descriptor, as in the kernel. */
static void fake_close(void *user, int fd)
{
    struct fake_kernel *fake = user;
    const enum fake_kind kind = kind_of(fake, fd);

    if (kind == FAKE_FREE) {
        abort(); /* closed twice, or never opened */
    }
    fake->fd[fd - FD_FIRST] = FAKE_FREE;
    if (kind == FAKE_DEVICE) {
        fake->bound = 0;
        fake->attached = 0;
    } else if (kind == FAKE_IOMMUFD) {
        if (fake->bound) {
            abort(); /* the device has to go first */
        }
        fake->hwpt_count = 0;
        fake->map_count = 0;
    } else if (kind == FAKE_CONTAINER) {
        fake->map_count = 0;
    } else if (kind == FAKE_GROUP) {
        fake->in_container = 0;
    }
}

static int bind_device(struct fake_kernel *fake, const struct uapi_bind *bind)
{
    const uint8_t *token = (const uint8_t *)(uintptr_t)bind->token;

    if (bind->argsz < UAPI_NEEDS(uapi_bind, out_devid) ||
        kind_of(fake, bind->iommufd) != FAKE_IOMMUFD) {
        return -EINVAL;
    }
    if (fake->has_token && ((bind->flags & UAPI_BIND_TOKEN) == 0 ||
                            memcmp(token, fake->token, sizeof(fake->token)) != 0)) {
        return -EACCES;
    }
    fake->bound = 1;
    return 0;
}

static int device_ioctl(struct fake_kernel *fake, unsigned long request, void *arg)
{
    if (request == UAPI_BIND) {
        const int rc = bind_device(fake, arg);

        if (rc == 0) {
            ((struct uapi_bind *)arg)->out_devid = 11;
        }
        return rc;
    }
    if (request == UAPI_ATTACH) {
        fake->attached = ((struct uapi_attach *)arg)->pt_id;
        return 0;
    }
    if (request == UAPI_GET_REGION_INFO) {
        struct uapi_region *region = arg;

        region->size = region->index == PEER_REGION ? PEER_REGION_BYTES : 0;
        region->offset = (uint64_t)region->index << 40;
        return region->index < 9 ? 0 : -EINVAL;
    }
    if (request == UAPI_FEATURE && fake->has_dma_buf) {
        const struct uapi_feature *feature = arg;
        const struct uapi_dma_buf *wanted = (const void *)(feature + 1);

        return wanted->region == PEER_REGION && wanted->areas == 1
                   ? fake_take_fd(fake, FAKE_DMABUF)
                   : -EINVAL;
    }
    return -ENOTTY;
}

static int group_ioctl(struct fake_kernel *fake, unsigned long request, void *arg)
{
    if (request == UAPI_GROUP_GET_STATUS) {
        ((struct uapi_group_status *)arg)->flags =
            fake->not_viable ? 0 : UAPI_GROUP_VIABLE;
        return 0;
    }
    if (request == UAPI_GROUP_SET_CONTAINER) {
        fake->in_container = 1;
        return 0;
    }
    if (request == UAPI_GROUP_UNSET_CONTAINER) {
        fake->in_container = 0;
        fake->has_iommu = 0;
        return 0;
    }
    if (request == UAPI_GROUP_GET_DEVICE_FD) {
        (void)snprintf(fake->device_name, sizeof(fake->device_name), "%s",
                       (const char *)arg);
        return fake->has_iommu ? fake_take_fd(fake, FAKE_DEVICE) : -EINVAL;
    }
    return -ENOTTY;
}

static int fake_ioctl(void *user, int fd, unsigned long request, void *arg)
{
    struct fake_kernel *fake = user;

    fake->calls_made++;
    if (fake->log_count < FAKE_LOG_MAX) {
        fake->log[fake->log_count++] = request;
    }
    if (fake->fail_nth == fake->calls_made ||
        (fake->fail_request == request && fails(fake))) {
        return -fake->fail_err;
    }
    switch (kind_of(fake, fd)) {
    case FAKE_DEVICE:
        return device_ioctl(fake, request, arg);
    case FAKE_GROUP:
        return group_ioctl(fake, request, arg);
    case FAKE_IOMMUFD:
        return fake_iommufd_ioctl(fake, request, arg);
    case FAKE_CONTAINER:
        return fake_container_ioctl(fake, request, arg);
    case FAKE_DMABUF:
    case FAKE_FREE:
        break;
    }
    return -ENOTTY;
}

void fake_kernel_init(struct fake_kernel *fake)
{
    *fake = (struct fake_kernel){ .calls = { .struct_size = sizeof(struct kernel_calls),
                                             .open = fake_open,
                                             .close = fake_close,
                                             .ioctl = fake_ioctl },
                                  .granule = 4096,
                                  .range_count = 2 };
    fake->calls.user = fake;
}

uint32_t fake_kernel_left(const struct fake_kernel *fake)
{
    uint32_t left = fake->map_count + fake->bound + fake->hwpt_count + fake->in_container;

    for (int i = 0; i < FAKE_FDS_MAX; i++) {
        left += fake->fd[i] != FAKE_FREE;
    }
    return left;
}

uint32_t fake_kernel_made(const struct fake_kernel *fake, unsigned long request)
{
    uint32_t count = 0;

    for (uint32_t i = 0; i < fake->log_count; i++) {
        count += fake->log[i] == request;
    }
    return count;
}

int fake_map_add(struct fake_kernel *fake, const struct fake_map *map)
{
    const uint64_t last = map->iova + (map->size - 1);

    if (map->size == 0 || last < map->iova ||
        ((map->iova | map->size) & (fake->granule - 1)) != 0) {
        return -EINVAL;
    }
    for (uint32_t i = 0; i < fake->map_count; i++) {
        const struct fake_map *other = &fake->map[i];

        if (map->iova <= other->iova + (other->size - 1) && other->iova <= last) {
            return -EEXIST;
        }
    }
    if (fake->map_count == FAKE_MAPS_MAX) {
        return -ENOSPC;
    }
    fake->map[fake->map_count++] = *map;
    return 0;
}

void fake_kernel_write(struct fake_kernel *fake, uint64_t iova)
{
    for (uint32_t i = 0; i < fake->map_count; i++) {
        const struct fake_map *map = &fake->map[i];

        if (fake->tracking && map->writable && iova >= map->iova &&
            iova - map->iova < map->size && fake->dirty_count < FAKE_DIRTY_MAX) {
            fake->dirty[fake->dirty_count++] = iova & ~(fake->granule - 1);
        }
    }
}

void fake_bits(struct fake_kernel *fake, uint64_t iova, uint64_t size, uint64_t page,
               uint64_t data, int keep)
{
    void *bits = (void *)(uintptr_t)data;
    uint32_t left = 0;

    if (fake->all_dirty) {
        ferry_bitmap_set_range(bits, 0, size / page);
        return;
    }
    for (uint32_t i = 0; i < fake->dirty_count; i++) {
        if (fake->dirty[i] >= iova && fake->dirty[i] - iova < size) {
            ferry_bitmap_set(bits, (fake->dirty[i] - iova) / page);
            if (!keep) {
                continue;
            }
        }
        fake->dirty[left++] = fake->dirty[i];
    }
    fake->dirty_count = left;
}
