/* SPDX-License-Identifier: BSD-3-Clause */
#include <errno.h>
#include <fcntl.h>
#include <string.h>

#include "host/backend/kernel/iommu/iommufd.h"
#include "host/backend/kernel/iommu/say.h"
#include "os/uapi/iommufd.h"
#include "os/uapi/vfio.h"

#define NAME "iommufd"

static uint32_t map_flags(const struct ferry_dma_map *map)
{
    return UAPI_IOMMU_MAP_FIXED_IOVA |
           ((map->flags & FERRY_DMA_READ) != 0 ? UAPI_IOMMU_MAP_READABLE : 0) |
           ((map->flags & FERRY_DMA_WRITE) != 0 ? UAPI_IOMMU_MAP_WRITEABLE : 0);
}

/* Return: 0 or -errno. */
static int map_address(struct iommufd *iommufd, const struct ferry_dma_map *map,
                       const void *address)
{
    struct uapi_iommu_ioas_map call = {
        .size = sizeof(call),
        .flags = map_flags(map),
        .ioas_id = iommufd->ioas_id,
        .user_va = (uint64_t)(uintptr_t)address,
        .length = map->size,
        .iova = map->iova,
    };

    return kernel_ioctl(iommufd->calls, iommufd->fd, UAPI_IOMMU_IOAS_MAP, &call);
}

/* Return: 0 or -errno; -ENOTTY when the kernel does not map files. */
static int map_file(struct iommufd *iommufd, const struct ferry_dma_map *map, int fd,
                    uint64_t start)
{
    struct uapi_iommu_ioas_map_file call = {
        .size = sizeof(call),
        .flags = map_flags(map),
        .ioas_id = iommufd->ioas_id,
        .fd = fd,
        .start = start,
        .length = map->size,
        .iova = map->iova,
    };
    int rc;

    if (iommufd->no_map_file) {
        return -ENOTTY;
    }
    rc = kernel_ioctl(iommufd->calls, iommufd->fd, UAPI_IOMMU_IOAS_MAP_FILE, &call);
    iommufd->no_map_file = rc == -ENOTTY;
    return rc;
}

/* A region of another device: newer kernels give out a descriptor for it that an iommufd
 * takes. Return: 0 or -errno. */
static int map_peer(struct iommufd *iommufd, const struct ferry_dma_map *map)
{
    struct {
        struct uapi_feature head;
        struct uapi_dma_buf wanted;
        struct uapi_area area;
    } call = {
        .head = { .argsz = sizeof(call), .flags = UAPI_DMA_BUF | UAPI_FEATURE_GET },
        .wanted = { .open_flags = O_RDWR | O_CLOEXEC, .areas = 1 },
        .area = { .size = map->size },
    };
    int fd;
    int rc;

    if (iommufd->no_map_file ||
        !kernel_peer_region(iommufd->calls, map->fd, map->offset, map->size,
                            &call.wanted.region, &call.area.offset)) {
        return -ENOTTY;
    }
    fd = kernel_ioctl(iommufd->calls, map->fd, UAPI_FEATURE, &call);
    if (fd < 0) {
        return fd;
    }
    rc = map_file(iommufd, map, fd, 0);
    kernel_close(iommufd->calls, &fd);
    return rc;
}

/* By the file, which needs nobody's address; else by address. ret_window: the caller's.
 */
static int map_memory(struct iommufd *iommufd, const struct ferry_dma_map *map,
                      struct ferry_os_map *ret_window, struct ferry_error *reterr)
{
    uint64_t region_off;
    uint32_t region;
    void *address = NULL;
    int is_peer = 0;
    int rc;

    if (map->fd >= 0 && map_file(iommufd, map, map->fd, map->offset) == 0) {
        return FERRY_OK;
    }
    if (map->address == NULL) {
        is_peer = kernel_peer_region(iommufd->calls, map->fd, map->offset, map->size,
                                     &region, &region_off);
        if (is_peer && map_peer(iommufd, map) == 0) {
            return FERRY_OK;
        }
    }
    rc = kernel_map_address(iommufd->calls, map, ret_window, &address, reterr);
    if (rc != FERRY_OK) {
        return rc;
    }
    rc = map_address(iommufd, map, address);
    if (rc < 0) {
        ferry_os_unmap(ret_window);
        return kernel_say_map(reterr, -rc, NAME, map->iova, map->size, is_peer);
    }
    return FERRY_OK;
}

int kernel_iommufd_map(struct kernel_iommu *iommu, const struct ferry_dma_map *map,
                       struct ferry_error *reterr)
{
    struct iommufd *iommufd = (struct iommufd *)iommu;
    struct kernel_map held = { .iova = map->iova,
                               .size = map->size,
                               .flags = map->flags };
    int rc = kernel_aperture_check(&iommufd->aperture, map, reterr);

    if (rc == FERRY_OK) {
        rc = kernel_maps_room(&iommufd->maps, map->iova, map->size, reterr);
    }
    if (rc == FERRY_OK) {
        rc = map_memory(iommufd, map, &held.window, reterr);
    }
    if (rc == FERRY_OK) {
        kernel_maps_add(&iommufd->maps, &held);
    }
    return rc;
}

int kernel_iommufd_unmap_range(struct iommufd *iommufd, uint64_t iova, uint64_t size)
{
    struct uapi_iommu_ioas_unmap call = {
        .size = sizeof(call), .ioas_id = iommufd->ioas_id, .iova = iova, .length = size
    };

    return kernel_ioctl(iommufd->calls, iommufd->fd, UAPI_IOMMU_IOAS_UNMAP, &call);
}

static int take(void *user, struct kernel_map *map, const struct ferry_log_report *report)
{
    struct iommufd *iommufd = user;

    if (report != NULL && iommufd->tracking) {
        kernel_iommufd_last(iommufd, map, report);
    }
    return kernel_iommufd_unmap_range(iommufd, map->iova, map->size);
}

int kernel_iommufd_unmap(struct kernel_iommu *iommu, const struct ferry_dma_unmap *unmap,
                         struct ferry_error *reterr)
{
    struct iommufd *iommufd = (struct iommufd *)iommu;

    return kernel_dirty_unmap(&iommufd->maps, unmap, NAME, take, iommufd, reterr);
}
