/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef FERRY_OS_UAPI_IOMMUFD_H
#define FERRY_OS_UAPI_IOMMUFD_H

#include <assert.h>
#include <stddef.h>
#include <stdint.h>

/*
 * The uAPI of /dev/iommu, which the headers of Debian 12 do not have. Every request
 * starts with the size of its structure as the caller knows it: a shorter one is filled
 * up with zeros, a longer one must have zeros behind what is known.
 */

/* Request numbers: no direction, no size, type ';'. */
#define UAPI_IOMMU_REQUEST(number) (0x3b00ul | (number))
#define UAPI_IOMMU_DESTROY UAPI_IOMMU_REQUEST(0x80)
#define UAPI_IOMMU_IOAS_ALLOC UAPI_IOMMU_REQUEST(0x81)
#define UAPI_IOMMU_IOAS_ALLOW_IOVAS UAPI_IOMMU_REQUEST(0x82)
#define UAPI_IOMMU_IOAS_COPY UAPI_IOMMU_REQUEST(0x83)
#define UAPI_IOMMU_IOAS_IOVA_RANGES UAPI_IOMMU_REQUEST(0x84)
#define UAPI_IOMMU_IOAS_MAP UAPI_IOMMU_REQUEST(0x85)
#define UAPI_IOMMU_IOAS_UNMAP UAPI_IOMMU_REQUEST(0x86)
#define UAPI_IOMMU_OPTION UAPI_IOMMU_REQUEST(0x87)
#define UAPI_IOMMU_VFIO_IOAS UAPI_IOMMU_REQUEST(0x88)
#define UAPI_IOMMU_HWPT_ALLOC UAPI_IOMMU_REQUEST(0x89)
#define UAPI_IOMMU_GET_HW_INFO UAPI_IOMMU_REQUEST(0x8a)
#define UAPI_IOMMU_HWPT_SET_DIRTY_TRACKING UAPI_IOMMU_REQUEST(0x8b)
#define UAPI_IOMMU_HWPT_GET_DIRTY_BITMAP UAPI_IOMMU_REQUEST(0x8c)
#define UAPI_IOMMU_IOAS_MAP_FILE UAPI_IOMMU_REQUEST(0x8f)
#define UAPI_IOMMU_IOAS_CHANGE_PROCESS UAPI_IOMMU_REQUEST(0x92)

struct uapi_iommu_destroy {
    uint32_t size, id;
};
static_assert(sizeof(struct uapi_iommu_destroy) == 8, "uAPI");

struct uapi_iommu_ioas_alloc {
    uint32_t size, flags;
    uint32_t out_ioas_id;
};
static_assert(sizeof(struct uapi_iommu_ioas_alloc) == 12, "uAPI");

struct uapi_iommu_iova_range {
    uint64_t start, last; /* both inside */
};
static_assert(sizeof(struct uapi_iommu_iova_range) == 16, "uAPI");

struct uapi_iommu_ioas_iova_ranges {
    uint32_t size, ioas_id;
    uint32_t num_iovas; /* in: room; out: how many there are */
    uint32_t reserved;
    uint64_t allowed_iovas; /* address of num_iovas ranges */
    uint64_t out_iova_alignment;
};
static_assert(sizeof(struct uapi_iommu_ioas_iova_ranges) == 32, "uAPI");

#define UAPI_IOMMU_MAP_FIXED_IOVA 1u
#define UAPI_IOMMU_MAP_WRITEABLE 2u
#define UAPI_IOMMU_MAP_READABLE 4u

struct uapi_iommu_ioas_map {
    uint32_t size, flags, ioas_id, reserved;
    uint64_t user_va, length;
    uint64_t iova; /* in with FIXED_IOVA; out */
};
static_assert(sizeof(struct uapi_iommu_ioas_map) == 40, "uAPI");

struct uapi_iommu_ioas_map_file {
    uint32_t size, flags, ioas_id;
    int32_t fd;
    uint64_t start, length; /* start: inside the file */
    uint64_t iova;
};
static_assert(sizeof(struct uapi_iommu_ioas_map_file) == 40, "uAPI");

struct uapi_iommu_ioas_copy {
    uint32_t size, flags, dst_ioas_id, src_ioas_id;
    uint64_t length, dst_iova, src_iova;
};
static_assert(sizeof(struct uapi_iommu_ioas_copy) == 40, "uAPI");

struct uapi_iommu_ioas_unmap {
    uint32_t size, ioas_id;
    uint64_t iova;
    uint64_t length; /* out: bytes that were unmapped */
};
static_assert(sizeof(struct uapi_iommu_ioas_unmap) == 24, "uAPI");

#define UAPI_IOMMU_OPTION_RLIMIT_MODE 0u
#define UAPI_IOMMU_OPTION_HUGE_PAGES 1u
#define UAPI_IOMMU_OPTION_SET 0u
#define UAPI_IOMMU_OPTION_GET 1u

struct uapi_iommu_option {
    uint32_t size, option_id;
    uint16_t op, reserved;
    uint32_t object_id;
    uint64_t val64;
};
static_assert(sizeof(struct uapi_iommu_option) == 24, "uAPI");

#define UAPI_IOMMU_VFIO_IOAS_GET 0u
#define UAPI_IOMMU_VFIO_IOAS_SET 1u
#define UAPI_IOMMU_VFIO_IOAS_CLEAR 2u

struct uapi_iommu_vfio_ioas {
    uint32_t size, ioas_id;
    uint16_t op, reserved;
};
static_assert(sizeof(struct uapi_iommu_vfio_ioas) == 12, "uAPI");

#define UAPI_IOMMU_HWPT_ALLOC_DIRTY_TRACKING 2u

struct uapi_iommu_hwpt_alloc {
    uint32_t size, flags, dev_id, pt_id;
    uint32_t out_hwpt_id, reserved;
    uint32_t data_type, data_len; /* 0: no data */
    uint64_t data_uptr;
    uint32_t fault_id, reserved2;
};
static_assert(sizeof(struct uapi_iommu_hwpt_alloc) == 48, "uAPI");

#define UAPI_IOMMU_HW_INFO_INPUT_TYPE 1u
#define UAPI_IOMMU_HW_CAP_DIRTY_TRACKING 1ull

struct uapi_iommu_hw_info {
    uint32_t size, flags, dev_id;
    uint32_t data_len; /* in: room; out: bytes of data, here always 0 */
    uint64_t data_uptr;
    uint32_t data_type; /* in and out; 0: none */
    uint8_t out_max_pasid_log2, reserved[3];
    uint64_t out_capabilities;
};
static_assert(sizeof(struct uapi_iommu_hw_info) == 40, "uAPI");

#define UAPI_IOMMU_HWPT_DIRTY_TRACKING_ENABLE 1u

struct uapi_iommu_hwpt_set_dirty {
    uint32_t size, flags, hwpt_id, reserved;
};
static_assert(sizeof(struct uapi_iommu_hwpt_set_dirty) == 16, "uAPI");

#define UAPI_IOMMU_HWPT_GET_DIRTY_NO_CLEAR 1u

struct uapi_iommu_hwpt_get_dirty {
    uint32_t size, hwpt_id, flags, reserved;
    uint64_t iova, length, page_size;
    uint64_t data; /* address of the bitmap; bits are only set */
};
static_assert(sizeof(struct uapi_iommu_hwpt_get_dirty) == 48, "uAPI");

#endif
