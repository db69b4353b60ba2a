/* SPDX-License-Identifier: BSD-3-Clause */
#include <string.h>

#include "bridge/iommu/iommu_private.h"

/*
 * Servers' DMA messages. They come from whoever waits for a server, also for its answer
 * to an unmap: nothing here waits for anybody who does that.
 */

/* How much of [iova, iova + size) lies in one map. Return: bytes, or a status. */
static int64_t look(const struct bridge_attachment *attachment, uint64_t iova,
                    size_t size, int is_write, struct iommu_map **ret_map)
{
    const struct iommu_ioas *ioas = attachment->ioas;
    const uint32_t wanted = is_write ? FERRY_DMA_WRITE : FERRY_DMA_READ;
    const uint32_t at = iommu_maps_index(ioas, iova);
    struct iommu_map *map;
    uint64_t left;

    if (at == ioas->count || ioas->map[at]->iova > iova) {
        return FERRY_E_RANGE;
    }
    map = ioas->map[at];
    if (map->peer && attachment->device->token.no_peer_maps != 0) {
        return FERRY_E_RANGE;
    }
    if ((map->flags & wanted) == 0) {
        return FERRY_E_PERMISSION;
    }
    *ret_map = map;
    left = map->iova + map->size - iova;
    return (int64_t)(left < size ? left : size);
}

static uint8_t *address_of(struct iommu *iommu, const struct iommu_map *map,
                           uint64_t iova, uint64_t size, int is_write)
{
    const uint64_t inside = iova - map->iova;

    if (map->address != NULL) {
        return map->address + inside;
    }
    return iommu_file_at(iommu, map->file, map->off + inside, size, is_write);
}

/* One walk over the maps: the first only looks, so that a message that cannot be done in
 * full does nothing; the second copies. */
static int walk(struct bridge_attachment *attachment, uint64_t iova, uint8_t *data,
                size_t size, int is_write, int copy)
{
    struct iommu_map *map = NULL;

    while (size > 0) {
        const int64_t piece = look(attachment, iova, size, is_write, &map);
        uint8_t *memory;

        if (piece < 0) {
            return (int)piece;
        }
        memory = address_of(attachment->iommu, map, iova, (uint64_t)piece, is_write);
        if (memory == NULL) {
            return FERRY_E_PERMISSION;
        }
        if (copy && is_write) {
            memcpy(memory, data, (size_t)piece);
        } else if (copy) {
            memcpy(data, memory, (size_t)piece);
        }
        iova += (uint64_t)piece;
        data += piece;
        size -= (size_t)piece;
    }
    return FERRY_OK;
}

int bridge_iommu_dma(struct bridge_device *device, uint64_t iova, void *data, size_t size,
                     int is_write)
{
    struct bridge_attachment *attachment =
        __atomic_load_n(&device->attachment, __ATOMIC_ACQUIRE);
    int status = FERRY_E_RANGE;

    if (attachment == NULL || size > INT64_MAX || iova > UINT64_MAX - size) {
        return FERRY_E_RANGE;
    }
    (void)pthread_rwlock_rdlock(&attachment->iommu->view);
    if (attachment->ioas != NULL) {
        status = walk(attachment, iova, data, size, is_write, 0);
        if (status == FERRY_OK) {
            status = walk(attachment, iova, data, size, is_write, 1);
        }
        if (status == FERRY_OK && is_write) {
            bridge_log_told(device->log, iova, size);
        }
    }
    (void)pthread_rwlock_unlock(&attachment->iommu->view);
    return status;
}
