/* SPDX-License-Identifier: BSD-3-Clause */
#include "bridge/iommu/type1/space.h"

#include <errno.h>
#include <string.h>

#include "base/bitmap.h"
#include "os/uapi/type1.h"
#include "os/uapi/iommufd.h"

/* Every size that is a whole number of pages. */
#define PAGE_SIZES (~(uint64_t)(IOMMU_PAGE_BYTES - 1))

int type1_space_make(struct type1_space *ret_space)
{
    struct uapi_iommu_ioas_alloc alloc = { .size = sizeof(alloc) };
    struct bridge_object *object = NULL;
    struct iommu_hwpt *hwpt = NULL;
    struct iommu *iommu;
    int rc = bridge_iommu_create(NULL, &object);

    if (rc < 0) {
        return rc;
    }
    iommu = (struct iommu *)(void *)object;
    rc = (int)iommu_request_ioas_alloc(iommu, &alloc);
    if (rc == 0) {
        (void)pthread_mutex_lock(&iommu->change);
        rc = iommu_hwpt_make(iommu, iommu_id_find(iommu, alloc.out_ioas_id, IOMMU_IOAS),
                             1, 0, &hwpt);
        (void)pthread_mutex_unlock(&iommu->change);
    }
    if (rc < 0) {
        bridge_object_put(object);
        return rc;
    }
    hwpt->lenient = 1;
    *ret_space = (struct type1_space){ .iommu = iommu,
                                       .ioas = alloc.out_ioas_id,
                                       .hwpt = hwpt->id };
    return 0;
}

static uint32_t maps_left(const struct type1_space *space)
{
    const struct iommu_ioas *ioas;
    uint32_t left;

    (void)pthread_mutex_lock(&space->iommu->change);
    ioas = iommu_id_find(space->iommu, space->ioas, IOMMU_IOAS);
    left = IOMMU_MAPS_MAX - ioas->count;
    (void)pthread_mutex_unlock(&space->iommu->change);
    return left;
}

/* What follows the info. */
struct caps {
    struct uapi_cap_type1_ranges ranges;
    struct uapi_cap_type1_maps_left left;
    struct uapi_cap_type1_migration migration; /* last: may be left out */
};
static_assert(sizeof(struct caps) == 80, "one behind the other");

static uint32_t at(size_t off)
{
    return (uint32_t)(sizeof(struct uapi_type1_info) + off);
}

long type1_get_info(const struct type1_space *space, int can_log, void *arg)
{
    struct uapi_type1_info *info = arg;
    const struct caps caps = {
        .ranges = { .head = { UAPI_CAP_TYPE1_RANGES, 1, at(offsetof(struct caps, left)) },
                    .count = 1,
                    .last = IOMMU_IOVA_END - 1 },
        .left = { .head = { UAPI_CAP_TYPE1_MAPS_LEFT, 1,
                            can_log ? at(offsetof(struct caps, migration)) : 0 },
                  .count = maps_left(space) },
        .migration = { .head = { UAPI_CAP_TYPE1_MIGRATION, 1, 0 },
                       .page_sizes = IOMMU_PAGE_BYTES,
                       .bitmap_bytes_max = TYPE1_BITMAP_BYTES_MAX },
    };
    const uint32_t bytes =
        (uint32_t)(can_log ? sizeof(caps) : offsetof(struct caps, migration));

    if (info->argsz < UAPI_NEEDS(uapi_type1_info, page_sizes)) {
        return -EINVAL;
    }
    info->flags = UAPI_TYPE1_PAGE_SIZES;
    info->page_sizes = PAGE_SIZES;
    /* Who cannot be told of capabilities does not know them. */
    if (info->argsz >= UAPI_NEEDS(uapi_type1_info, cap_offset)) {
        info->flags |= UAPI_TYPE1_CAPS;
        info->cap_offset = 0;
        if (info->argsz >= sizeof(*info) + bytes) {
            info->pad = 0;
            info->cap_offset = sizeof(*info);
            memcpy(info + 1, &caps, bytes);
        }
        info->argsz = (uint32_t)sizeof(*info) + bytes;
    }
    return 0;
}

long type1_map(const struct type1_space *space, void *arg)
{
    const struct uapi_type1_map *want = arg;
    struct uapi_iommu_ioas_map map = { .size = sizeof(map),
                                       .flags = UAPI_IOMMU_MAP_FIXED_IOVA,
                                       .ioas_id = space->ioas };
    long rc;

    if (want->argsz < sizeof(*want) ||
        (want->flags & ~(UAPI_TYPE1_MAP_READ | UAPI_TYPE1_MAP_WRITE)) != 0) {
        return -EINVAL;
    }
    map.flags |= (want->flags & UAPI_TYPE1_MAP_READ) ? UAPI_IOMMU_MAP_READABLE : 0;
    map.flags |= (want->flags & UAPI_TYPE1_MAP_WRITE) ? UAPI_IOMMU_MAP_WRITEABLE : 0;
    map.user_va = want->address;
    map.iova = want->iova;
    map.length = want->size;
    rc = iommu_request_map(space->iommu, &map);
    return rc == -EOVERFLOW ? -EINVAL : rc;
}

/* The maps inside of [iova, last]: none may reach out of it. `change` is held. */
static int find_maps(const struct iommu_ioas *ioas, uint64_t iova, uint64_t last,
                     uint32_t *ret_first, uint32_t *ret_end)
{
    const uint32_t first = iommu_maps_index(ioas, iova);
    const uint32_t end =
        last == UINT64_MAX ? ioas->count : iommu_maps_index(ioas, last + 1);

    if ((first < ioas->count && ioas->map[first]->iova < iova) ||
        (end < ioas->count && ioas->map[end]->iova <= last)) {
        return -EINVAL;
    }
    *ret_first = first;
    *ret_end = end;
    return 0;
}

static long unmap(const struct type1_space *space, uint64_t iova, uint64_t last,
                  uint64_t *ret_bytes)
{
    struct iommu *iommu = space->iommu;
    struct iommu_ioas *ioas;
    uint64_t bytes = 0;
    uint32_t first = 0;
    uint32_t end = 0;
    int rc;

    (void)pthread_mutex_lock(&iommu->change);
    ioas = iommu_id_find(iommu, space->ioas, IOMMU_IOAS);
    rc = find_maps(ioas, iova, last, &first, &end);
    for (uint32_t i = first; i < end; i++) {
        bytes += ioas->map[i]->size;
    }
    if (rc == 0 && first < end) {
        rc = iommu_ioas_unmap(iommu, ioas, first, end);
    }
    (void)pthread_mutex_unlock(&iommu->change);
    if (rc == 0) {
        *ret_bytes = bytes;
    }
    return rc;
}

static int is_tracking(const struct type1_space *space)
{
    const struct iommu_hwpt *hwpt;
    int tracking;

    (void)pthread_mutex_lock(&space->iommu->change);
    hwpt = iommu_id_find(space->iommu, space->hwpt, IOMMU_HWPT);
    tracking = hwpt->tracking != 0;
    (void)pthread_mutex_unlock(&space->iommu->change);
    return tracking;
}

static int check_bitmap(uint64_t iova, uint64_t size,
                        const struct uapi_type1_bitmap *bitmap)
{
    const uint64_t pages = size / IOMMU_PAGE_BYTES;
    const uint64_t words = pages / 64 + (pages % 64 != 0);

    if (bitmap->page_size != IOMMU_PAGE_BYTES || size == 0 || iova + size - 1 < iova ||
        ((iova | size) & (IOMMU_PAGE_BYTES - 1)) != 0 || bitmap->bytes < words * 8 ||
        bitmap->bytes > TYPE1_BITMAP_BYTES_MAX) {
        return -EINVAL;
    }
    return bitmap->data == 0 ? -EFAULT : 0;
}

static long report(const struct type1_space *space, uint64_t iova, uint64_t size,
                   const struct uapi_type1_bitmap *bitmap)
{
    struct uapi_iommu_hwpt_get_dirty get = {
        .size = sizeof(get),
        .hwpt_id = space->hwpt,
        .iova = iova,
        .length = iova + size == 0 ? size - IOMMU_PAGE_BYTES : size,
        .page_size = bitmap->page_size,
        .data = bitmap->data,
    };

    /* Nothing can be mapped in the last page, behind which no address is. */
    return get.length > 0 ? iommu_request_get_dirty(space->iommu, &get) : 0;
}

static int tells_pages(uint64_t size, const struct uapi_type1_bitmap *bitmap)
{
    const uint64_t pages = size / IOMMU_PAGE_BYTES;

    return ferry_bitmap_next((const void *)(uintptr_t)bitmap->data, pages, 0) < pages;
}

/* Written pages of memory that is gone: see bridge_iommu_misled(). */
static void note_written(const struct type1_space *space)
{
    struct iommu_hwpt *hwpt;

    (void)pthread_mutex_lock(&space->iommu->change);
    hwpt = iommu_id_find(space->iommu, space->hwpt, IOMMU_HWPT);
    hwpt->misled = 1;
    (void)pthread_mutex_unlock(&space->iommu->change);
}

long type1_unmap(const struct type1_space *space, void *arg)
{
    struct uapi_type1_unmap *want = arg;
    const struct uapi_type1_bitmap *bitmap =
        (const struct uapi_type1_bitmap *)(const void *)(want + 1);
    const uint64_t iova = want->iova;
    const uint64_t size = want->size;
    long rc = 0;

    if (want->argsz < sizeof(*want) ||
        (want->flags & ~(UAPI_TYPE1_UNMAP_DIRTY | UAPI_TYPE1_UNMAP_ALL)) != 0) {
        return -EINVAL;
    }
    if ((want->flags & UAPI_TYPE1_UNMAP_ALL) != 0) {
        if (iova != 0 || size != 0 || (want->flags & UAPI_TYPE1_UNMAP_DIRTY) != 0) {
            return -EINVAL;
        }
        return unmap(space, 0, UINT64_MAX, &want->size);
    }
    if (size == 0 || iova + size - 1 < iova ||
        ((iova | size) & (IOMMU_PAGE_BYTES - 1)) != 0) {
        return -EINVAL;
    }
    if ((want->flags & UAPI_TYPE1_UNMAP_DIRTY) == 0) {
        return unmap(space, iova, iova + size - 1, &want->size);
    }
    if (want->argsz < sizeof(*want) + sizeof(*bitmap) || !is_tracking(space)) {
        return -EINVAL;
    }
    rc = check_bitmap(iova, size, bitmap);
    if (rc < 0) {
        return rc;
    }
    /* What a server knew of a map that goes is kept until it is told. */
    rc = unmap(space, iova, iova + size - 1, &want->size);
    rc = rc == 0 ? report(space, iova, size, bitmap) : rc;
    /* Maps go also when a server refuses, and then nobody looks at the bitmap. */
    if (rc < 0 || tells_pages(size, bitmap)) {
        note_written(space);
    }
    return rc;
}

long type1_dirty(const struct type1_space *space, void *arg)
{
    const struct uapi_type1_dirty *want = arg;
    const struct uapi_type1_dirty_range *range =
        (const struct uapi_type1_dirty_range *)(const void *)(want + 1);
    struct uapi_iommu_hwpt_set_dirty set = { .size = sizeof(set),
                                             .hwpt_id = space->hwpt };
    long rc;

    if (want->argsz < sizeof(*want)) {
        return -EINVAL;
    }
    switch (want->flags) {
    case UAPI_TYPE1_DIRTY_START:
        set.flags = UAPI_IOMMU_HWPT_DIRTY_TRACKING_ENABLE;
        return iommu_request_set_dirty(space->iommu, &set);
    case UAPI_TYPE1_DIRTY_STOP:
        return iommu_request_set_dirty(space->iommu, &set);
    case UAPI_TYPE1_DIRTY_GET:
        if (want->argsz < sizeof(*want) + sizeof(*range) || !is_tracking(space)) {
            return -EINVAL;
        }
        rc = check_bitmap(range->iova, range->size, &range->bitmap);
        return rc == 0 ? report(space, range->iova, range->size, &range->bitmap) : rc;
    default:
        return -EINVAL;
    }
}
