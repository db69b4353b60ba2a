/* SPDX-License-Identifier: BSD-3-Clause */
#include "host/backend/kernel/iommu/maps.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/range.h"
#include "host/backend/kernel/iommu.h"
#include "host/backend/kernel/iommu/say.h"
#include "os/uapi/vfio.h"

#define MAPS_FIRST 16u

/* PCI has nine regions, and a driver may add some of its own. */
#define PEER_REGIONS_MAX 16u

uint32_t kernel_maps_first(const struct kernel_maps *maps, uint64_t iova)
{
    uint32_t low = 0;
    uint32_t high = maps->count;

    while (low < high) {
        const uint32_t middle = low + (high - low) / 2;
        const struct kernel_map *map = &maps->map[middle];

        if (map->iova + (map->size - 1) < iova) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    return low;
}

int kernel_maps_room(struct kernel_maps *maps, uint64_t iova, uint64_t size,
                     struct ferry_error *reterr)
{
    const uint32_t at = kernel_maps_first(maps, iova);

    if (size == 0 || iova > UINT64_MAX - (size - 1)) {
        return kernel_say(reterr, FERRY_E_RANGE, 0,
                          "a map of 0x%llx bytes at 0x%llx goes past the end",
                          (unsigned long long)size, (unsigned long long)iova);
    }
    if (at < maps->count && maps->map[at].iova <= iova + (size - 1)) {
        return kernel_say(reterr, FERRY_E_OVERLAP, 0,
                          "a map of 0x%llx bytes at 0x%llx overlaps the one at 0x%llx",
                          (unsigned long long)size, (unsigned long long)iova,
                          (unsigned long long)maps->map[at].iova);
    }
    if (maps->count >= KERNEL_MAPS_MAX) {
        return kernel_say(reterr, FERRY_E_LIMIT, 0, "a kernel device has at most %u maps",
                          KERNEL_MAPS_MAX);
    }
    if (maps->count == maps->cap) {
        const uint32_t cap = maps->cap == 0 ? MAPS_FIRST : maps->cap * 2;
        struct kernel_map *map = realloc(maps->map, cap * sizeof(*map));

        if (map == NULL) {
            return kernel_say(reterr, FERRY_E_MEMORY, 0, "no memory for a map");
        }
        maps->map = map;
        maps->cap = cap;
    }
    return FERRY_OK;
}

void kernel_maps_add(struct kernel_maps *maps, const struct kernel_map *map)
{
    const uint32_t at = kernel_maps_first(maps, map->iova);

    memmove(&maps->map[at + 1], &maps->map[at], (maps->count - at) * sizeof(*map));
    maps->map[at] = *map;
    maps->count++;
}

int kernel_maps_whole(const struct kernel_maps *maps, uint64_t iova, uint64_t size,
                      uint32_t *ret_first, uint32_t *ret_count,
                      struct ferry_error *reterr)
{
    const uint32_t first = kernel_maps_first(maps, iova);
    uint32_t end = first;
    uint64_t last;

    if (size == 0 || iova > UINT64_MAX - (size - 1)) {
        return kernel_say(reterr, FERRY_E_RANGE, 0,
                          "an unmap of 0x%llx bytes at 0x%llx goes past the end",
                          (unsigned long long)size, (unsigned long long)iova);
    }
    last = iova + (size - 1);
    while (end < maps->count && maps->map[end].iova <= last) {
        const struct kernel_map *map = &maps->map[end];

        if (map->iova < iova || map->iova + (map->size - 1) > last) {
            return kernel_say(reterr, FERRY_E_RANGE, 0,
                              "an unmap of 0x%llx bytes at 0x%llx cuts the map at 0x%llx",
                              (unsigned long long)size, (unsigned long long)iova,
                              (unsigned long long)map->iova);
        }
        end++;
    }
    if (end == first) {
        return kernel_say(reterr, FERRY_E_NOT_FOUND, 0, "nothing is mapped at 0x%llx",
                          (unsigned long long)iova);
    }
    *ret_first = first;
    *ret_count = end - first;
    return FERRY_OK;
}

void kernel_maps_remove(struct kernel_maps *maps, uint32_t first, uint32_t count)
{
    for (uint32_t i = first; i < first + count; i++) {
        ferry_os_unmap(&maps->map[i].window);
        free(maps->map[i].pending);
    }
    maps->count -= count;
    memmove(&maps->map[first], &maps->map[first + count],
            (maps->count - first) * sizeof(*maps->map));
}

void kernel_maps_clear(struct kernel_maps *maps)
{
    if (maps->count > 0) {
        kernel_maps_remove(maps, 0, maps->count);
    }
    free(maps->map);
    *maps = (struct kernel_maps){ .map = NULL };
}

int kernel_peer_region(const struct kernel_calls *calls, int fd, uint64_t off,
                       uint64_t size, uint32_t *ret_region, uint64_t *ret_region_off)
{
    for (uint32_t i = 0; fd >= 0 && i < PEER_REGIONS_MAX; i++) {
        struct uapi_region region = { .argsz = sizeof(region), .index = i };
        const int rc = kernel_ioctl(calls, fd, UAPI_GET_REGION_INFO, &region);

        if (rc == -ENOTTY) {
            return 0;
        }
        if (rc == 0 && ferry_range_within(off, size, region.offset, region.size)) {
            *ret_region = i;
            *ret_region_off = off - region.offset;
            return 1;
        }
    }
    return 0;
}

int kernel_map_address(const struct kernel_calls *calls, const struct ferry_dma_map *map,
                       struct ferry_os_map *ret_window, void **ret_address,
                       struct ferry_error *reterr)
{
    const uint32_t access =
        FERRY_OS_MAP_READ |
        ((map->flags & FERRY_DMA_WRITE) != 0 ? FERRY_OS_MAP_WRITE : 0);
    uint64_t region_off;
    uint32_t region;
    int rc;

    *ret_window = (struct ferry_os_map){ .data = NULL };
    if (map->address != NULL) {
        *ret_address = map->address;
        return FERRY_OK;
    }
    /* A device's descriptor has no length that could be asked for. */
    if (kernel_peer_region(calls, map->fd, map->offset, map->size, &region,
                           &region_off)) {
        rc = ferry_os_map_device(map->fd, map->offset, map->size, access, ret_window,
                                 reterr);
    } else {
        rc = ferry_os_map_shared(map->fd, map->offset, map->size, access, ret_window,
                                 reterr);
    }
    if (rc == FERRY_OK) {
        *ret_address = ret_window->data;
    }
    return rc;
}

int kernel_aperture_granule(struct kernel_aperture *aperture, uint64_t bytes,
                            const char *name, struct ferry_error *reterr)
{
    if (!ferry_is_power_of_2(bytes) || bytes > KERNEL_GRANULE_BYTES_MAX) {
        return kernel_say(reterr, FERRY_E_DEVICE, 0,
                          "%s: the kernel says that its IOMMU has pages of %llu bytes",
                          name, (unsigned long long)bytes);
    }
    /* An mdev has no IOMMU, and says 1. */
    aperture->granule =
        bytes < KERNEL_GRANULE_BYTES_MIN ? KERNEL_GRANULE_BYTES_MIN : bytes;
    return FERRY_OK;
}

/* The ranges, as many as fit. */
static void print_ranges(const struct kernel_aperture *aperture, char *text, size_t cap)
{
    size_t used = 0;

    text[0] = '\0';
    for (uint32_t i = 0; i < aperture->count && used + 1 < cap; i++) {
        const int n =
            snprintf(text + used, cap - used, "%s0x%llx-0x%llx", i > 0 ? ", " : "",
                     (unsigned long long)aperture->range[i].start,
                     (unsigned long long)aperture->range[i].last);

        used += n > 0 ? (size_t)n : 0;
    }
}

int kernel_aperture_check(const struct kernel_aperture *aperture,
                          const struct ferry_dma_map *map, struct ferry_error *reterr)
{
    const uint64_t places = map->iova | map->size | (uint64_t)(uintptr_t)map->address |
                            (map->fd >= 0 ? map->offset : 0);
    char text[96];

    if ((map->flags & (FERRY_DMA_READ | FERRY_DMA_WRITE)) == 0 ||
        (map->fd < 0 && map->address == NULL)) {
        return kernel_say(
            reterr, FERRY_E_ARGUMENT, 0,
            "a map at 0x%llx that nobody may use, or of no memory: a kernel "
            "device needs a descriptor or an address",
            (unsigned long long)map->iova);
    }
    if (map->size == 0 || map->iova > UINT64_MAX - (map->size - 1)) {
        return kernel_say(reterr, FERRY_E_RANGE, 0,
                          "a map of 0x%llx bytes at 0x%llx goes past the end",
                          (unsigned long long)map->size, (unsigned long long)map->iova);
    }
    if (!ferry_range_aligned(places, aperture->granule)) {
        return kernel_say(reterr, FERRY_E_ALIGN, 0,
                          "a map at 0x%llx: address, size, memory and offset must be "
                          "multiples of the IOMMU's %llu bytes",
                          (unsigned long long)map->iova,
                          (unsigned long long)aperture->granule);
    }
    for (uint32_t i = 0; i < aperture->count; i++) {
        if (map->iova >= aperture->range[i].start &&
            map->iova + (map->size - 1) <= aperture->range[i].last) {
            return FERRY_OK;
        }
    }
    if (aperture->count == 0) {
        return FERRY_OK;
    }
    print_ranges(aperture, text, sizeof(text));
    return kernel_say(reterr, FERRY_E_RANGE, 0,
                      "0x%llx bytes at 0x%llx are outside what this IOMMU takes: %s",
                      (unsigned long long)map->size, (unsigned long long)map->iova, text);
}
