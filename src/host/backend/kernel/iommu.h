/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef FERRY_HOST_BACKEND_KERNEL_IOMMU_H
#define FERRY_HOST_BACKEND_KERNEL_IOMMU_H

#include "host/backend/kernel/calls.h"
#include "host/machine/machine.h"
#include "link/request.h"

/*
 * How a kernel device reaches the user's memory: an iommufd's IOAS, or a container of
 * type 1. The device's descriptor comes out of it, since a group gives it away and an
 * iommufd has to have it bound before anything else is asked.
 *
 * Thread: one at a time; the backend holds its lock.
 */
struct kernel_iommu;

struct kernel_iommu_ops {
    const char *name; /* "iommufd", "type1" */
    /* Unmaps everything, detaches and closes; the device's descriptor is closed by the
     * caller before it (a container cannot be left while a device is open). */
    void (*close)(struct kernel_iommu *iommu);
    /*
     * map->fd and offset: what backs the memory, or -1; map->address: where this process
     * has it, or NULL (then fd is mapped until the unmap, or given to the kernel as it
     * is). One of them is needed. Return: FERRY_OK; FERRY_E_ARGUMENT (nobody may use it,
     * or there is no memory), FERRY_E_ALIGN, FERRY_E_RANGE (the IOMMU's addresses),
     * FERRY_E_OVERLAP, FERRY_E_LIMIT (locked memory, or maps; the sentence says which
     * limit), FERRY_E_UNSUPPORTED (this memory cannot be mapped here: a peer's region),
     * FERRY_E_PERMISSION, FERRY_E_MEMORY, FERRY_E_IO; nothing of it is mapped then.
     */
    int (*map)(struct kernel_iommu *iommu, const struct ferry_dma_map *map,
               struct ferry_error *reterr);
    /*
     * Whole maps of a range only. With FERRY_UNMAP_BITMAP the IOMMU's dirty bits, if it
     * tracks; what it does not tell counts as written. Return: FERRY_OK; FERRY_E_RANGE
     * (the range cuts a map), FERRY_E_NOT_FOUND, FERRY_E_ARGUMENT (the bitmap);
     * FERRY_E_IO: maps from the one that the sentence names on are still there.
     */
    int (*unmap)(struct kernel_iommu *iommu, const struct ferry_dma_unmap *unmap,
                 struct ferry_error *reterr);
    /* Starts or stops tracking of all that is mapped now or later; a start forgets what
     * was before, and does nothing while it is on. Return: FERRY_OK; FERRY_E_UNSUPPORTED
     * when it cannot, with the reason, FERRY_E_IO. */
    int (*track)(struct kernel_iommu *iommu, int on, struct ferry_error *reterr);
    /*
     * Sets bits of pages written since the last report, and forgets them. The range may
     * span mappings and holes: it asks mapping by mapping. Return: FERRY_OK;
     * FERRY_E_STATE (not tracking), FERRY_E_ARGUMENT; FERRY_E_IO, FERRY_E_MEMORY: all of
     * the range has to be taken as written.
     */
    int (*report)(struct kernel_iommu *iommu, const struct ferry_log_report *report,
                  struct ferry_error *reterr);
};

struct kernel_iommu {
    const struct kernel_iommu_ops *ops;
    int can_track; /* 1: track() and report() were seen to work */
    int is_exact;  /* 1: a page that was not written to was seen to be told as clean. 0
                      with can_track: type 1 over a device's own DMA tells every page */
};

/* Limits. */
#define KERNEL_MAPS_MAX 65535u /* what a container of type 1 takes by default */

/*
 * Opens the character device, binds it to an iommufd of its own and attaches it to an
 * IOAS (with an HWPT that tracks, where there is one). calls: borrowed until close().
 * token: 16 bytes or NULL.
 * ret_device_fd: the caller's.
 */
int kernel_iommufd_open(const struct kernel_calls *calls,
                        const struct ferry_machine_place *place, const uint8_t *token,
                        struct kernel_iommu **ret_iommu, int *ret_device_fd,
                        struct ferry_error *reterr);

/* Opens the group, puts it into a container of its own and takes the device. */
int kernel_type1_open(const struct kernel_calls *calls,
                      const struct ferry_machine_place *place, const uint8_t *token,
                      struct kernel_iommu **ret_iommu, int *ret_device_fd,
                      struct ferry_error *reterr);

#endif
