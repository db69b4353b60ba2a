/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef FERRY_OS_UAPI_TYPE1_H
#define FERRY_OS_UAPI_TYPE1_H

#include <assert.h>
#include <stdint.h>

#include "os/uapi/vfio.h"

/*
 * VFIO's older way to memory, as Linux defines it: /dev/vfio/vfio (a container, with an
 * IOMMU of type 1) and /dev/vfio/NUMBER (a group of devices).
 */

#define UAPI_GET_API_VERSION UAPI_VFIO_CALL(0)
#define UAPI_CHECK_EXTENSION UAPI_VFIO_CALL(1)
#define UAPI_SET_IOMMU UAPI_VFIO_CALL(2)
#define UAPI_GROUP_GET_STATUS UAPI_VFIO_CALL(3)
#define UAPI_GROUP_SET_CONTAINER UAPI_VFIO_CALL(4)
#define UAPI_GROUP_UNSET_CONTAINER UAPI_VFIO_CALL(5)
#define UAPI_GROUP_GET_DEVICE_FD UAPI_VFIO_CALL(6)
#define UAPI_TYPE1_GET_INFO UAPI_VFIO_CALL(12)
#define UAPI_TYPE1_MAP UAPI_VFIO_CALL(13)
#define UAPI_TYPE1_UNMAP UAPI_VFIO_CALL(14)
#define UAPI_TYPE1_DIRTY UAPI_VFIO_CALL(17)

#define UAPI_API_VERSION 0

/* Of UAPI_CHECK_EXTENSION; the first two are also those of UAPI_SET_IOMMU. */
#define UAPI_TYPE1 1u
#define UAPI_TYPE1V2 3u
#define UAPI_CACHE_COHERENT 4u
#define UAPI_UNMAP_ALL_THERE 9u

struct uapi_group_status {
    uint32_t argsz;
    uint32_t flags;
};
static_assert(sizeof(struct uapi_group_status) == 8, "VFIO_GROUP_GET_STATUS");
#define UAPI_GROUP_VIABLE 1u
#define UAPI_GROUP_CONTAINER_SET 2u

struct uapi_type1_info {
    uint32_t argsz;
    uint32_t flags;
    uint64_t page_sizes;
    uint32_t cap_offset;
    uint32_t pad;
};
static_assert(sizeof(struct uapi_type1_info) == 24, "VFIO_IOMMU_GET_INFO");
#define UAPI_TYPE1_PAGE_SIZES 1u
#define UAPI_TYPE1_CAPS 2u

#define UAPI_CAP_TYPE1_RANGES 1u
#define UAPI_CAP_TYPE1_MIGRATION 2u
#define UAPI_CAP_TYPE1_MAPS_LEFT 3u

struct uapi_cap_type1_ranges {
    struct uapi_cap head;
    uint32_t count;
    uint32_t reserved;
    uint64_t first, last; /* of one range; both inside */
};
static_assert(sizeof(struct uapi_cap_type1_ranges) == 32, "uAPI, with one range");

struct uapi_cap_type1_migration {
    struct uapi_cap head;
    uint32_t flags;
    uint32_t pad;
    uint64_t page_sizes;
    uint64_t bitmap_bytes_max;
};
static_assert(sizeof(struct uapi_cap_type1_migration) == 32, "uAPI");

struct uapi_cap_type1_maps_left {
    struct uapi_cap head;
    uint32_t count;
    uint32_t pad;
};
static_assert(sizeof(struct uapi_cap_type1_maps_left) == 16, "uAPI and padding");

struct uapi_type1_map {
    uint32_t argsz;
    uint32_t flags;
    uint64_t address;
    uint64_t iova;
    uint64_t size;
};
static_assert(sizeof(struct uapi_type1_map) == 32, "VFIO_IOMMU_MAP_DMA");
#define UAPI_TYPE1_MAP_READ 1u
#define UAPI_TYPE1_MAP_WRITE 2u

struct uapi_type1_bitmap {
    uint64_t page_size;
    uint64_t bytes;
    uint64_t data; /* the caller's address */
};
static_assert(sizeof(struct uapi_type1_bitmap) == 24, "struct vfio_bitmap");

struct uapi_type1_unmap {
    uint32_t argsz;
    uint32_t flags;
    uint64_t iova;
    uint64_t size; /* out: bytes that were unmapped */
    /* with UAPI_TYPE1_UNMAP_DIRTY a struct uapi_type1_bitmap follows */
};
static_assert(sizeof(struct uapi_type1_unmap) == 24, "VFIO_IOMMU_UNMAP_DMA");
#define UAPI_TYPE1_UNMAP_DIRTY 1u
#define UAPI_TYPE1_UNMAP_ALL 2u

struct uapi_type1_dirty {
    uint32_t argsz;
    uint32_t flags;
    /* with UAPI_TYPE1_DIRTY_GET a struct uapi_type1_dirty_range follows */
};
static_assert(sizeof(struct uapi_type1_dirty) == 8, "VFIO_IOMMU_DIRTY_PAGES");
#define UAPI_TYPE1_DIRTY_START 1u
#define UAPI_TYPE1_DIRTY_STOP 2u
#define UAPI_TYPE1_DIRTY_GET 4u

struct uapi_type1_dirty_range {
    uint64_t iova;
    uint64_t size;
    struct uapi_type1_bitmap bitmap;
};
static_assert(sizeof(struct uapi_type1_dirty_range) == 40, "uAPI");

#endif
