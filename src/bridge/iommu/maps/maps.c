/* SPDX-License-Identifier: BSD-3-Clause */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "bridge/iommu/iommu_private.h"

/* The maps of an address space: an array of pointers, sorted. */

#define FIRST_CAP 16u

void iommu_map_free(struct iommu *iommu, struct iommu_map *map)
{
    if (map->file != NULL) {
        iommu_file_put(iommu, map->file);
    }
    free(map);
}

uint32_t iommu_maps_index(const struct iommu_ioas *ioas, uint64_t iova)
{
    uint32_t low = 0;
    uint32_t high = ioas->count;

    while (low < high) {
        const uint32_t mid = low + (high - low) / 2;
        const struct iommu_map *map = ioas->map[mid];

        if (map->iova + map->size <= iova) {
            low = mid + 1;
        } else {
            high = mid;
        }
    }
    return low;
}

int iommu_maps_free(const struct iommu_ioas *ioas, uint64_t iova, uint64_t size)
{
    const uint32_t at = iommu_maps_index(ioas, iova);

    return at == ioas->count || ioas->map[at]->iova >= iova + size;
}

int iommu_maps_place(const struct iommu_ioas *ioas, uint64_t size, uint64_t *ret_iova)
{
    uint64_t from = IOMMU_PAGE_BYTES; /* address 0 looks like none at all */

    for (uint32_t i = 0; i < ioas->count; i++) {
        const struct iommu_map *map = ioas->map[i];

        if (map->iova > from && map->iova - from >= size) {
            break;
        }
        if (map->iova + map->size > from) {
            from = map->iova + map->size;
        }
    }
    if (from > IOMMU_IOVA_END || IOMMU_IOVA_END - from < size) {
        return -ENOSPC;
    }
    *ret_iova = from;
    return 0;
}

/* Room for one more. The array is replaced, not moved: who reads it holds `view`. */
static struct iommu_map **grown(const struct iommu_ioas *ioas, uint32_t *ret_cap)
{
    const uint32_t cap = ioas->cap == 0 ? FIRST_CAP : ioas->cap * 2;
    struct iommu_map **map = malloc(cap * sizeof(struct iommu_map *));

    if (map != NULL && ioas->count > 0) {
        memcpy(map, ioas->map, ioas->count * sizeof(struct iommu_map *));
    }
    *ret_cap = cap;
    return map;
}

int iommu_maps_insert(struct iommu *iommu, struct iommu_ioas *ioas, struct iommu_map *map)
{
    const uint32_t at = iommu_maps_index(ioas, map->iova);
    struct iommu_map **old = NULL;
    struct iommu_map **array = ioas->map;
    uint32_t cap = ioas->cap;

    if (ioas->count == IOMMU_MAPS_MAX) {
        return -ENOSPC;
    }
    if (ioas->count == ioas->cap) {
        old = ioas->map;
        array = grown(ioas, &cap);
        if (array == NULL) {
            return -ENOMEM;
        }
    }
    (void)pthread_rwlock_wrlock(&iommu->view);
    ioas->map = array;
    ioas->cap = cap;
    memmove(array + at + 1, array + at, (ioas->count - at) * sizeof(struct iommu_map *));
    array[at] = map;
    ioas->count++;
    (void)pthread_rwlock_unlock(&iommu->view);
    free(old);
    return 0;
}

void iommu_maps_remove(struct iommu *iommu, struct iommu_ioas *ioas, uint32_t first,
                       uint32_t end)
{
    struct iommu_map *gone = NULL;

    (void)pthread_rwlock_wrlock(&iommu->view);
    for (uint32_t i = first; i < end; i++) {
        ioas->map[i]->gone = gone;
        gone = ioas->map[i];
    }
    if (end < ioas->count) { /* an empty one has no array */
        memmove(ioas->map + first, ioas->map + end,
                (ioas->count - end) * sizeof(struct iommu_map *));
    }
    ioas->count -= end - first;
    (void)pthread_rwlock_unlock(&iommu->view);
    while (gone != NULL) {
        struct iommu_map *map = gone;

        gone = map->gone;
        iommu_map_free(iommu, map);
    }
}

int bridge_iommu_next(struct bridge_device *device, uint64_t *iova, uint64_t *end)
{
    const struct bridge_attachment *attachment = device->attachment;
    const struct iommu_ioas *ioas;
    int found = 0;

    if (attachment == NULL) {
        return 0;
    }
    (void)pthread_rwlock_rdlock(&attachment->iommu->view);
    ioas = attachment->ioas;
    if (ioas != NULL) {
        uint32_t at = iommu_maps_index(ioas, *iova);

        while (at < ioas->count && ioas->map[at]->file == NULL) {
            at++;
        }
        if (at < ioas->count && ioas->map[at]->iova < *end) {
            const struct iommu_map *map = ioas->map[at];
            const uint64_t map_end = map->iova + map->size;

            *iova = map->iova > *iova ? map->iova : *iova;
            *end = map_end < *end ? map_end : *end;
            found = 1;
        }
    }
    (void)pthread_rwlock_unlock(&attachment->iommu->view);
    return found;
}
