/* SPDX-License-Identifier: BSD-3-Clause */
#include <errno.h>
#include <string.h>

#include "fake_kernel.h"
#include "os/uapi/type1.h"

/* A container of the fake kernel, with an IOMMU of type 1. */

struct caps {
    struct uapi_cap_type1_ranges ranges;
    struct uapi_cap_type1_migration migration;
};

static void spoil(enum fake_bad_caps how, struct uapi_type1_info *info, struct caps *caps)
{
    switch (how) {
    case FAKE_CAPS_GOOD:
    case FAKE_CAPS_KINDS:
        break;
    case FAKE_CAPS_LOOP:
        caps->migration.head.next = sizeof(*info);
        break;
    case FAKE_CAPS_BEHIND_THE_END:
        caps->ranges.head.next = sizeof(*info) + sizeof(*caps) - 4;
        break;
    case FAKE_CAPS_IN_THE_HEAD:
        info->cap_offset = 4;
        break;
    case FAKE_CAPS_MORE_RANGES_THAN_BYTES:
        caps->ranges.count = 100;
        break;
    case FAKE_CAPS_LONGER_THAN_ROOM:
        info->argsz += 4096;
        break;
    case FAKE_CAPS_HUGE:
        info->argsz = UINT32_MAX;
        break;
    }
}

static int get_info(const struct fake_kernel *fake, struct uapi_type1_info *info)
{
    struct caps caps = {
        .ranges = { .head = { UAPI_CAP_TYPE1_RANGES, 1,
                              fake->has_dirty ? sizeof(*info) + sizeof(caps.ranges) : 0 },
                    .count = 1,
                    .last = (1ull << 40) - 1 },
        .migration = { .head = { UAPI_CAP_TYPE1_MIGRATION, 1, 0 },
                       .page_sizes = fake->granule,
                       .bitmap_bytes_max = 1u << 28 },
    };
    const uint32_t room = info->argsz;

    info->flags = UAPI_TYPE1_PAGE_SIZES | UAPI_TYPE1_CAPS;
    info->page_sizes = fake->page_sizes != 0 ? fake->page_sizes : ~(fake->granule - 1);
    info->argsz = sizeof(*info) + sizeof(caps);
    if (room >= info->argsz) {
        info->cap_offset = sizeof(*info);
        spoil((enum fake_bad_caps)fake->bad_caps, info, &caps);
        memcpy(info + 1, &caps, sizeof(caps));
    } else if (fake->bad_caps == FAKE_CAPS_HUGE) {
        info->argsz = UINT32_MAX;
    }
    return 0;
}

static int map_memory(struct fake_kernel *fake, const struct uapi_type1_map *want)
{
    const struct fake_map map = { .iova = want->iova,
                                  .size = want->size,
                                  .address = want->address,
                                  .writable = (want->flags & UAPI_TYPE1_MAP_WRITE) != 0 };

    return fake_map_add(fake, &map);
}

/* Which maps a range holds. Return: -EINVAL when it cuts one. */
static int check_whole(const struct fake_kernel *fake, uint64_t iova, uint64_t size)
{
    const uint64_t last = iova + (size - 1);

    for (uint32_t i = 0; i < fake->map_count; i++) {
        const struct fake_map *map = &fake->map[i];
        const uint64_t map_last = map->iova + (map->size - 1);

        if (map->iova <= last && iova <= map_last &&
            (map->iova < iova || map_last > last)) {
            return -EINVAL;
        }
    }
    return 0;
}

static int check_bitmap(const struct fake_kernel *fake, uint64_t size,
                        const struct uapi_type1_bitmap *bitmap)
{
    return bitmap->page_size == fake->granule && fake->tracking &&
                   bitmap->bytes >= (size / fake->granule + 63) / 64 * 8 &&
                   bitmap->bytes <= 65536
               ? 0
               : -EINVAL;
}

static int unmap(struct fake_kernel *fake, struct uapi_type1_unmap *want)
{
    const struct uapi_type1_bitmap *bitmap = (const void *)(want + 1);
    uint32_t left = 0;
    uint64_t bytes = 0;
    int rc = check_whole(fake, want->iova, want->size);

    if (rc == 0 && want->flags == UAPI_TYPE1_UNMAP_DIRTY) {
        rc = check_bitmap(fake, want->size, bitmap);
    }
    if (rc < 0) {
        return rc;
    }
    if (want->flags == UAPI_TYPE1_UNMAP_DIRTY) {
        fake_bits(fake, want->iova, want->size, bitmap->page_size, bitmap->data, 0);
    }
    for (uint32_t i = 0; i < fake->map_count; i++) {
        const struct fake_map *map = &fake->map[i];

        if (map->iova >= want->iova && map->iova - want->iova < want->size) {
            bytes += map->size;
            continue;
        }
        fake->map[left++] = *map;
    }
    fake->map_count = left;
    want->size = bytes;
    return 0;
}

static int dirty(struct fake_kernel *fake, const struct uapi_type1_dirty *want)
{
    const struct uapi_type1_dirty_range *range = (const void *)(want + 1);
    int rc;

    if (!fake->has_dirty) {
        return -ENOTTY;
    }
    if (want->flags != UAPI_TYPE1_DIRTY_GET) {
        fake->tracking = want->flags == UAPI_TYPE1_DIRTY_START;
        fake->dirty_count = 0;
        return 0;
    }
    rc = check_whole(fake, range->iova, range->size);
    rc = rc == 0 ? check_bitmap(fake, range->size, &range->bitmap) : rc;
    if (rc == 0) {
        fake_bits(fake, range->iova, range->size, range->bitmap.page_size,
                  range->bitmap.data, 0);
    }
    return rc;
}

int fake_container_ioctl(struct fake_kernel *fake, unsigned long request, void *arg)
{
    if (request == UAPI_GET_API_VERSION) {
        return UAPI_API_VERSION;
    }
    if (request == UAPI_CHECK_EXTENSION) {
        return (uintptr_t)arg == UAPI_TYPE1V2;
    }
    if (request == UAPI_SET_IOMMU) {
        fake->has_iommu = 1;
        return fake->in_container ? 0 : -EINVAL;
    }
    if (!fake->has_iommu) {
        return -EINVAL;
    }
    switch (request) {
    case UAPI_TYPE1_GET_INFO:
        return get_info(fake, arg);
    case UAPI_TYPE1_MAP:
        return map_memory(fake, arg);
    case UAPI_TYPE1_UNMAP:
        return unmap(fake, arg);
    case UAPI_TYPE1_DIRTY:
        return dirty(fake, arg);
    default:
        return -ENOTTY;
    }
}
