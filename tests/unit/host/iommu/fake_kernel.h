/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef FERRY_TEST_FAKE_KERNEL_H
#define FERRY_TEST_FAKE_KERNEL_H

#include "host/backend/kernel/calls.h"
#include "host/backend/kernel/iommu.h"

/*
 * As much of a kernel as iommufd and type 1 need, with its rules and its traps: it keeps
 * account of descriptors, binds and maps, so that a test sees what is left, and fails
 * where it is told to.
 */
#define FAKE_FDS_MAX 16
#define FAKE_MAPS_MAX 64
#define FAKE_DIRTY_MAX 64
#define FAKE_LOG_MAX 256

enum fake_kind {
    FAKE_FREE,
    FAKE_DEVICE,
    FAKE_IOMMUFD,
    FAKE_GROUP,
    FAKE_CONTAINER,
    FAKE_DMABUF
};

/* A chain of capabilities that leads nowhere good. */
enum fake_bad_caps {
    FAKE_CAPS_GOOD,
    FAKE_CAPS_LOOP,
    FAKE_CAPS_BEHIND_THE_END,
    FAKE_CAPS_IN_THE_HEAD,
    FAKE_CAPS_MORE_RANGES_THAN_BYTES,
    FAKE_CAPS_LONGER_THAN_ROOM,
    FAKE_CAPS_HUGE,
    FAKE_CAPS_KINDS
};

struct fake_map {
    uint64_t iova, size, address;
    uint32_t writable, is_file;
};

struct fake_kernel {
    struct kernel_calls calls;

    /* What it is like. */
    uint64_t granule;
    uint32_t range_count; /* of addresses that it takes; a hole in between */
    uint32_t no_iommufd;
    uint32_t no_cdev;
    uint32_t has_map_file;
    uint32_t has_dma_buf;
    uint32_t has_dirty;
    uint32_t all_dirty; /* as type 1 with a device that does DMA by itself */
    uint32_t not_viable;
    uint32_t unsupported_pages; /* address maps fail with EFAULT: a peer's region */
    uint8_t token[16];
    uint32_t has_token;
    /* Answers that make no sense. */
    uint32_t too_many_ranges; /* told with success */
    uint32_t bad_caps;        /* enum fake_bad_caps */
    uint64_t page_sizes;      /* of type 1; 0: the granule and all above */

    /* Fails with err at the call of that number from now on (0: the next); a path for an
     * open, else a request. count: how often. */
    unsigned long fail_request;
    const char *fail_path;
    uint32_t fail_after, fail_count;
    int fail_err;
    uint32_t
        fail_nth; /* 1...: the ioctl of that number since the start, whatever it is */

    /* What happened. */
    enum fake_kind fd[FAKE_FDS_MAX];
    struct fake_map map[FAKE_MAPS_MAX];
    uint32_t map_count;
    uint64_t dirty[FAKE_DIRTY_MAX]; /* addresses of pages */
    uint32_t dirty_count;
    uint32_t bound, attached, in_container, has_iommu, tracking;
    uint32_t hwpt_count;
    uint32_t calls_made;
    unsigned long log[FAKE_LOG_MAX]; /* requests */
    uint32_t log_count;
    uint32_t no_clear; /* questions that did not clear */
    char device_name[128];
};

/* A machine with both ways to memory, and no dirty tracking. */
void fake_kernel_init(struct fake_kernel *fake);

/* What is left: descriptors, maps, binds. 0: nothing. */
uint32_t fake_kernel_left(const struct fake_kernel *fake);

/* The device writes to a page; it counts when tracking is on and the page is mapped. */
void fake_kernel_write(struct fake_kernel *fake, uint64_t iova);

/* How often a request was made. */
uint32_t fake_kernel_made(const struct fake_kernel *fake, unsigned long request);

/* A PCI device in group 7 with a character device. */
extern const struct ferry_machine_place fake_place;

/* Inside. Return: 0 or -errno. */
int fake_iommufd_ioctl(struct fake_kernel *fake, unsigned long request, void *arg);
int fake_container_ioctl(struct fake_kernel *fake, unsigned long request, void *arg);
int fake_map_add(struct fake_kernel *fake, const struct fake_map *map);
int fake_take_fd(struct fake_kernel *fake, enum fake_kind kind);
/* Bits of [iova, iova + size), cleared unless `keep`. */
void fake_bits(struct fake_kernel *fake, uint64_t iova, uint64_t size, uint64_t page,
               uint64_t data, int keep);

#endif
