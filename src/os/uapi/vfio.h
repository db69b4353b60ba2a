/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef FERRY_OS_UAPI_VFIO_H
#define FERRY_OS_UAPI_VFIO_H

#include <assert.h>
#include <stddef.h>
#include <stdint.h>

/*
 * The calls on a VFIO device's descriptor, as Linux defines them; the headers of older
 * systems lack the newer ones. The bridge serves them, the kernel backend makes them.
 */

/* _IO(';', 100 + n): neither direction nor size is in the number. */
#define UAPI_VFIO_CALL(n) ((unsigned long)((0x3bu << 8) | (100u + (n))))

#define UAPI_GET_INFO UAPI_VFIO_CALL(7)
#define UAPI_GET_REGION_INFO UAPI_VFIO_CALL(8)
#define UAPI_GET_IRQ_INFO UAPI_VFIO_CALL(9)
#define UAPI_SET_IRQS UAPI_VFIO_CALL(10)
#define UAPI_RESET UAPI_VFIO_CALL(11)
#define UAPI_GET_HOT_RESET_INFO UAPI_VFIO_CALL(12)
#define UAPI_HOT_RESET UAPI_VFIO_CALL(13)
#define UAPI_FEATURE UAPI_VFIO_CALL(17)
#define UAPI_BIND UAPI_VFIO_CALL(18)
#define UAPI_ATTACH UAPI_VFIO_CALL(19)
#define UAPI_DETACH UAPI_VFIO_CALL(20)

/* Every struct begins with argsz, the bytes that the caller has; what is needed ends with
 * the last member that the first version had. */
#define UAPI_NEEDS(type, member)                                                         \
    ((uint32_t)(offsetof(struct type, member) + sizeof(((struct type *)0)->member)))

struct uapi_bind {
    uint32_t argsz;
    uint32_t flags;
    int32_t iommufd;
    uint32_t out_devid;
    uint64_t token; /* address of 16 bytes */
};
#define UAPI_BIND_TOKEN 1u
static_assert(sizeof(struct uapi_bind) == 24, "VFIO_DEVICE_BIND_IOMMUFD");

struct uapi_attach {
    uint32_t argsz;
    uint32_t flags; /* 1: the PASID counts */
    uint32_t pt_id; /* in and out */
    uint32_t pasid;
};
static_assert(sizeof(struct uapi_attach) == 16, "VFIO_DEVICE_ATTACH_IOMMUFD_PT");

struct uapi_detach {
    uint32_t argsz;
    uint32_t flags;
    uint32_t pasid;
};
static_assert(sizeof(struct uapi_detach) == 12, "VFIO_DEVICE_DETACH_IOMMUFD_PT");

struct uapi_info {
    uint32_t argsz;
    uint32_t flags;
    uint32_t regions;
    uint32_t irqs;
    uint32_t cap_offset;
    uint32_t pad;
};
static_assert(sizeof(struct uapi_info) == 24, "VFIO_DEVICE_GET_INFO");

#define UAPI_INFO_RESET 1u
#define UAPI_INFO_PCI 2u

struct uapi_region {
    uint32_t argsz;
    uint32_t flags;
    uint32_t index;
    uint32_t cap_offset; /* 0: there are none, or they do not fit */
    uint64_t size;
    uint64_t offset; /* of its bytes in the descriptor */
};
static_assert(sizeof(struct uapi_region) == 32, "VFIO_DEVICE_GET_REGION_INFO");

#define UAPI_REGION_READ 1u
#define UAPI_REGION_WRITE 2u
#define UAPI_REGION_MMAP 4u
#define UAPI_REGION_CAPS 8u

struct uapi_cap {
    uint16_t id;
    uint16_t version;
    uint32_t next; /* from the info's begin; 0: the last */
};
static_assert(sizeof(struct uapi_cap) == 8, "vfio_info_cap_header");

#define UAPI_CAP_SPARSE 1u
#define UAPI_CAP_TYPE 2u
#define UAPI_CAP_MSIX_MAPPABLE 3u

struct uapi_area {
    uint64_t offset;
    uint64_t size;
};

struct uapi_cap_sparse {
    struct uapi_cap head;
    uint32_t areas;
    uint32_t pad;
};
static_assert(sizeof(struct uapi_cap_sparse) == 16, "sparse mmap: the areas follow");

struct uapi_cap_type {
    struct uapi_cap head;
    uint32_t type;
    uint32_t subtype;
};
static_assert(sizeof(struct uapi_cap_type) == 16, "region type");

struct uapi_irq {
    uint32_t argsz;
    uint32_t flags;
    uint32_t index;
    uint32_t count;
};
static_assert(sizeof(struct uapi_irq) == 16, "VFIO_DEVICE_GET_IRQ_INFO");

/* Behind it: nothing, a byte or a descriptor for each of count. Flags: FERRY_IRQ_SET_*.
 */
struct uapi_irq_set {
    uint32_t argsz;
    uint32_t flags;
    uint32_t index;
    uint32_t start;
    uint32_t count;
};
static_assert(sizeof(struct uapi_irq_set) == 20, "VFIO_DEVICE_SET_IRQS");

struct uapi_hot_reset_info {
    uint32_t argsz;
    uint32_t flags;
    uint32_t count; /* devices follow */
};
static_assert(sizeof(struct uapi_hot_reset_info) == 12, "GET_PCI_HOT_RESET_INFO");

#define UAPI_HOT_RESET_IDS 1u   /* devices are named by their id in the iommufd */
#define UAPI_HOT_RESET_OWNED 2u /* all of them are the caller's */

struct uapi_hot_reset_device {
    uint32_t id;
    uint16_t segment;
    uint8_t bus;
    uint8_t function;
};
static_assert(sizeof(struct uapi_hot_reset_device) == 8, "vfio_pci_dependent_device");

struct uapi_hot_reset {
    uint32_t argsz;
    uint32_t flags;
    uint32_t count; /* of groups; 0 with an iommufd */
};
static_assert(sizeof(struct uapi_hot_reset) == 12, "VFIO_DEVICE_PCI_HOT_RESET");

/* Its payload follows. */
struct uapi_feature {
    uint32_t argsz;
    uint32_t flags; /* number | UAPI_FEATURE_* */
};
static_assert(sizeof(struct uapi_feature) == 8, "VFIO_DEVICE_FEATURE");

#define UAPI_FEATURE_NUMBER 0xffffu
#define UAPI_FEATURE_GET (1u << 16)
#define UAPI_FEATURE_SET (1u << 17)
#define UAPI_FEATURE_PROBE (1u << 18)

#define UAPI_MIGRATION 1u
#define UAPI_MIG_STATE 2u
#define UAPI_LOG_START 6u
#define UAPI_LOG_STOP 7u
#define UAPI_LOG_REPORT 8u
#define UAPI_MIG_SIZE 9u
#define UAPI_DMA_BUF 11u
#define UAPI_PRECOPY_V2 12u

struct uapi_migration {
    uint64_t flags; /* FERRY_MIG_* */
};

struct uapi_mig_state {
    uint32_t state;
    int32_t data_fd;
};
static_assert(sizeof(struct uapi_mig_state) == 8, "MIG_DEVICE_STATE");

struct uapi_mig_size {
    uint64_t stop_copy_bytes;
};

struct uapi_log_start {
    uint64_t page_size;
    uint32_t ranges;
    uint32_t pad;
    uint64_t range; /* address of struct uapi_log_range */
};
static_assert(sizeof(struct uapi_log_start) == 24, "DMA_LOGGING_START");

struct uapi_log_range {
    uint64_t iova;
    uint64_t length;
};
static_assert(sizeof(struct uapi_log_range) == 16, "DMA_LOGGING_START's ranges");

struct uapi_log_report {
    uint64_t iova;
    uint64_t length;
    uint64_t page_size;
    uint64_t bitmap; /* address */
};
static_assert(sizeof(struct uapi_log_report) == 32, "DMA_LOGGING_REPORT");

/* Areas follow. The answer is a descriptor. */
struct uapi_dma_buf {
    uint32_t region;
    uint32_t open_flags;
    uint32_t flags;
    uint32_t areas;
};
static_assert(sizeof(struct uapi_dma_buf) == 16, "DMA_BUF");

#endif
