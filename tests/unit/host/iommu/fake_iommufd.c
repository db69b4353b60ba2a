/* SPDX-License-Identifier: BSD-3-Clause */
#include <errno.h>
#include <string.h>

#include "fake_kernel.h"
#include "os/uapi/iommufd.h"

/* /dev/iommu of the fake kernel. */

#define IOAS 21u
#define HWPT_FIRST 31u
#define FREE_IOVA 0x7000000000ull /* where a map without an address goes */
#define HOLE_FIRST 0xfee00000ull
#define HOLE_LAST 0xfeefffffull
#define IOVA_LAST ((1ull << 48) - 1)

static int iova_ranges(const struct fake_kernel *fake,
                       struct uapi_iommu_ioas_iova_ranges *ranges)
{
    struct uapi_iommu_iova_range *range =
        (struct uapi_iommu_iova_range *)(uintptr_t)ranges->allowed_iovas;
    const uint32_t room = ranges->num_iovas;

    ranges->out_iova_alignment = fake->granule;
    ranges->num_iovas = fake->range_count;
    for (uint32_t i = 0; i < fake->range_count && i < room; i++) {
        range[i] = (struct uapi_iommu_iova_range){ 0x1000ull * i, 0x1000ull * i };
    }
    if (fake->range_count == 2) {
        range[0] = (struct uapi_iommu_iova_range){ 0, HOLE_FIRST - 1 };
        range[1] = (struct uapi_iommu_iova_range){ HOLE_LAST + 1, IOVA_LAST };
    }
    return fake->range_count > room && !fake->too_many_ranges ? -EMSGSIZE : 0;
}

static int hwpt_alloc(struct fake_kernel *fake, struct uapi_iommu_hwpt_alloc *alloc)
{
    if (alloc->flags != 0 && !fake->has_dirty) {
        return -EOPNOTSUPP;
    }
    if (alloc->dev_id != 11 || alloc->pt_id != IOAS) {
        return -ENOENT;
    }
    fake->hwpt_count++;
    alloc->out_hwpt_id = HWPT_FIRST;
    return 0;
}

static int map_memory(struct fake_kernel *fake, struct uapi_iommu_ioas_map *want)
{
    struct fake_map map = { .iova = want->iova,
                            .size = want->length,
                            .address = want->user_va,
                            .writable = (want->flags & UAPI_IOMMU_MAP_WRITEABLE) != 0 };

    if ((want->flags & UAPI_IOMMU_MAP_FIXED_IOVA) == 0) {
        want->iova = map.iova = FREE_IOVA;
    }
    if (fake->unsupported_pages) {
        return -EFAULT;
    }
    return fake_map_add(fake, &map);
}

static int map_file(struct fake_kernel *fake, const struct uapi_iommu_ioas_map_file *want)
{
    const struct fake_map map = { .iova = want->iova,
                                  .size = want->length,
                                  .writable =
                                      (want->flags & UAPI_IOMMU_MAP_WRITEABLE) != 0,
                                  .is_file = 1 };

    if (!fake->has_map_file) {
        return -ENOTTY;
    }
    /* Devices' own descriptors are no memory; what they export is. */
    if (want->fd >= 1000 && fake->fd[want->fd - 1000] != FAKE_DMABUF) {
        return -EINVAL;
    }
    return fake_map_add(fake, &map);
}

static int unmap(struct fake_kernel *fake, struct uapi_iommu_ioas_unmap *want)
{
    const uint64_t last =
        want->length == UINT64_MAX ? UINT64_MAX : want->iova + (want->length - 1);
    uint32_t left = 0;
    uint64_t bytes = 0;

    for (uint32_t i = 0; i < fake->map_count; i++) {
        const struct fake_map *map = &fake->map[i];

        if (map->iova >= want->iova && map->iova + (map->size - 1) <= last) {
            bytes += map->size;
            continue;
        }
        fake->map[left++] = *map;
    }
    fake->map_count = left;
    want->length = bytes;
    return bytes > 0 ? 0 : -ENOENT;
}

/* As Linux does: at a hole it ends, and says that all is well. */
static int get_dirty(struct fake_kernel *fake,
                     const struct uapi_iommu_hwpt_get_dirty *get)
{
    uint64_t iova = get->iova;

    if (!fake->tracking || get->hwpt_id != HWPT_FIRST || get->length == 0 ||
        get->page_size < fake->granule ||
        ((get->iova | get->length) & (get->page_size - 1)) != 0) {
        return -EINVAL;
    }
    fake->no_clear += (get->flags & UAPI_IOMMU_HWPT_GET_DIRTY_NO_CLEAR) != 0;
    for (uint32_t i = 0; i < fake->map_count; i++) {
        const struct fake_map *map = &fake->map[i];

        if (iova >= map->iova && iova - map->iova < map->size) {
            const uint64_t left = map->size - (iova - map->iova);
            const uint64_t size = left < get->length ? left : get->length;

            fake_bits(fake, iova, size, get->page_size, get->data,
                      (get->flags & UAPI_IOMMU_HWPT_GET_DIRTY_NO_CLEAR) != 0);
            break;
        }
    }
    return 0;
}

static int set_dirty(struct fake_kernel *fake,
                     const struct uapi_iommu_hwpt_set_dirty *set)
{
    if (set->hwpt_id != HWPT_FIRST || fake->attached != HWPT_FIRST) {
        return -EINVAL;
    }
    fake->tracking = set->flags;
    fake->dirty_count = 0;
    return 0;
}

int fake_iommufd_ioctl(struct fake_kernel *fake, unsigned long request, void *arg)
{
    switch (request) {
    case UAPI_IOMMU_IOAS_ALLOC:
        ((struct uapi_iommu_ioas_alloc *)arg)->out_ioas_id = IOAS;
        return 0;
    case UAPI_IOMMU_IOAS_IOVA_RANGES:
        return iova_ranges(fake, arg);
    case UAPI_IOMMU_HWPT_ALLOC:
        return hwpt_alloc(fake, arg);
    case UAPI_IOMMU_DESTROY:
        fake->hwpt_count--;
        return 0;
    case UAPI_IOMMU_IOAS_MAP:
        return map_memory(fake, arg);
    case UAPI_IOMMU_IOAS_MAP_FILE:
        return map_file(fake, arg);
    case UAPI_IOMMU_IOAS_UNMAP:
        return unmap(fake, arg);
    case UAPI_IOMMU_HWPT_SET_DIRTY_TRACKING:
        return set_dirty(fake, arg);
    case UAPI_IOMMU_HWPT_GET_DIRTY_BITMAP:
        return get_dirty(fake, arg);
    default:
        return -ENOTTY;
    }
}
