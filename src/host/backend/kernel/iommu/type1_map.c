/* SPDX-License-Identifier: BSD-3-Clause */
#include <errno.h>
#include <string.h>

#include "base/bitmap.h"
#include "host/backend/kernel/iommu/say.h"
#include "host/backend/kernel/iommu/type1.h"
#include "os/uapi/type1.h"

#define NAME "type 1"

int kernel_type1_map_piece(struct type1 *type1, const void *address, uint64_t iova,
                           uint64_t size, uint32_t flags)
{
    struct uapi_type1_map call = {
        .argsz = sizeof(call),
        .flags = ((flags & FERRY_DMA_READ) != 0 ? UAPI_TYPE1_MAP_READ : 0) |
                 ((flags & FERRY_DMA_WRITE) != 0 ? UAPI_TYPE1_MAP_WRITE : 0),
        .address = (uint64_t)(uintptr_t)address,
        .iova = iova,
        .size = size,
    };

    return kernel_ioctl(type1->calls, type1->container_fd, UAPI_TYPE1_MAP, &call);
}

int kernel_type1_unmap_piece(struct type1 *type1, uint64_t iova, uint64_t size,
                             void *bits)
{
    struct {
        struct uapi_type1_unmap head;
        struct uapi_type1_bitmap bitmap;
    } call = {
        .head = { .argsz = bits != NULL ? sizeof(call) : sizeof(call.head),
                  .flags = bits != NULL ? UAPI_TYPE1_UNMAP_DIRTY : 0,
                  .iova = iova,
                  .size = size },
        .bitmap = { .page_size = type1->aperture.granule,
                    .bytes = ferry_bitmap_bytes(size / type1->aperture.granule),
                    .data = (uint64_t)(uintptr_t)bits },
    };
    const int rc =
        kernel_ioctl(type1->calls, type1->container_fd, UAPI_TYPE1_UNMAP, &call);

    /* It says how much went. */
    return rc == 0 && call.head.size != size ? -ENOENT : rc;
}

/* All pieces, or none. Return: 0 or -errno. */
static int map_pieces(struct type1 *type1, const struct ferry_dma_map *map,
                      const uint8_t *address)
{
    uint64_t done = 0;

    while (done < map->size) {
        const uint64_t left = map->size - done;
        const uint64_t size = left < TYPE1_PIECE_BYTES ? left : TYPE1_PIECE_BYTES;
        const int rc = kernel_type1_map_piece(type1, address + done, map->iova + done,
                                              size, map->flags);

        if (rc < 0) {
            if (done > 0) {
                (void)kernel_type1_unmap_piece(type1, map->iova, done, NULL);
            }
            return rc;
        }
        done += size;
    }
    return 0;
}

int kernel_type1_map(struct kernel_iommu *iommu, const struct ferry_dma_map *map,
                     struct ferry_error *reterr)
{
    struct type1 *type1 = (struct type1 *)iommu;
    struct kernel_map held = { .iova = map->iova,
                               .size = map->size,
                               .flags = map->flags };
    void *address = NULL;
    int rc = kernel_aperture_check(&type1->aperture, map, reterr);

    if (rc == FERRY_OK) {
        rc = kernel_maps_room(&type1->maps, map->iova, map->size, reterr);
    }
    if (rc == FERRY_OK) {
        rc = kernel_map_address(type1->calls, map, &held.window, &address, reterr);
    }
    if (rc != FERRY_OK) {
        return rc;
    }
    rc = map_pieces(type1, map, address);
    if (rc < 0) {
        uint64_t region_off;
        uint32_t region;
        const int is_peer =
            map->address == NULL && kernel_peer_region(type1->calls, map->fd, map->offset,
                                                       map->size, &region, &region_off);

        ferry_os_unmap(&held.window);
        return kernel_say_map(reterr, -rc, NAME, map->iova, map->size, is_peer);
    }
    kernel_maps_add(&type1->maps, &held);
    return FERRY_OK;
}

static int take(void *user, struct kernel_map *map, const struct ferry_log_report *report)
{
    struct type1 *type1 = user;

    return report != NULL && type1->tracking
               ? kernel_type1_last(type1, map, report)
               : kernel_type1_unmap_piece(type1, map->iova, map->size, NULL);
}

int kernel_type1_unmap(struct kernel_iommu *iommu, const struct ferry_dma_unmap *unmap,
                       struct ferry_error *reterr)
{
    struct type1 *type1 = (struct type1 *)iommu;

    return kernel_dirty_unmap(&type1->maps, unmap, NAME, take, type1, reterr);
}
