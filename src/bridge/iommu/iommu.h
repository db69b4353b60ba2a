/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef FERRY_BRIDGE_IOMMU_IOMMU_H
#define FERRY_BRIDGE_IOMMU_IOMMU_H

#include "bridge/object.h"
#include "bridge/preload/tokens/token.h"
#include "link/request.h"

struct bridge_device;
struct bridge_attachment;

/* An iommufd: address spaces, page tables, and the devices bound to it. */
int bridge_iommu_create(const struct bridge_token *token,
                        struct bridge_object **ret_object);

/*
 * VFIO_DEVICE_BIND_IOMMUFD. iommu: any object; -EINVAL when it is no iommufd. Sets
 * device->attachment and keeps the iommufd until unbind.
 * ret_id: the object id of the device inside the iommufd.
 */
int bridge_iommu_bind(struct bridge_object *iommu, struct bridge_device *device,
                      uint32_t *ret_id);
/*
 * Detaches as well. No DMA message of the device may come any more
 * (bridge_link_give_up()); its link and its log must still be there. Nothing happens when
 * it is not bound.
 */
void bridge_iommu_unbind(struct bridge_device *device);

/* VFIO_DEVICE_ATTACH_IOMMUFD_PT: pt: an IOAS or a page table (HWPT); everything mapped in
 * it gets mapped at the server. *pt becomes the page table's id. Another one replaces
 * it. */
int bridge_iommu_attach(struct bridge_device *device, uint32_t *pt);
int bridge_iommu_detach(struct bridge_device *device);

/* The server came back: all maps again. Return: 0 or -errno. */
int bridge_iommu_repeat(struct bridge_device *device);

/* The device stands still no longer: what its server did not take meanwhile. Return: 0 or
 * -errno: it has not the memory that the VMM thinks. */
int bridge_iommu_settle(struct bridge_device *device);

/*
 * Has the VMM been told of written pages as they were unmapped, since tracking began?
 * QEMU before 8.0 asks so for what a vIOMMU unmaps, when it knows no more which memory it
 * was, and takes the pages for others: a migration would lose them. Thread: any.
 */
int bridge_iommu_misled(struct bridge_device *device);

/* A server's DMA message: what is mapped at iova, by its address in this process.
 * Return: FERRY_OK, FERRY_E_RANGE, FERRY_E_PERMISSION. Thread: any, no waits. */
int bridge_iommu_dma(struct bridge_device *device, uint64_t iova, void *data, size_t size,
                     int is_write);

/* The first piece of [*iova, *end) that lies in one map which the server has a file of:
 * narrows both. The others it reaches by messages, which are noted here, and there are
 * servers that refuse to be asked. Return: 1; 0 when there is none. Thread: any, no
 * waits. */
int bridge_iommu_next(struct bridge_device *device, uint64_t *iova, uint64_t *end);

#endif
