/* SPDX-License-Identifier: BSD-3-Clause */
#include <errno.h>
#include <stddef.h>
#include "bridge/iommu/iommu.h"

int bridge_iommu_create(const struct bridge_token *token,
                        struct bridge_object **ret_object)
{
    (void)token;
    (void)ret_object;
    return -ENOSYS;
}

int bridge_iommu_bind(struct bridge_object *iommu, struct bridge_device *device,
                      uint32_t *ret_id)
{
    (void)iommu;
    (void)device;
    (void)ret_id;
    return -ENOSYS;
}

void bridge_iommu_unbind(struct bridge_device *device)
{
    (void)device;
}

int bridge_iommu_attach(struct bridge_device *device, uint32_t *pt)
{
    (void)device;
    (void)pt;
    return -ENOSYS;
}

int bridge_iommu_detach(struct bridge_device *device)
{
    (void)device;
    return -ENOSYS;
}

int bridge_iommu_repeat(struct bridge_device *device)
{
    (void)device;
    return -ENOSYS;
}

int bridge_iommu_dma(struct bridge_device *device, uint64_t iova, void *data, size_t size,
                     int is_write)
{
    (void)device;
    (void)iova;
    (void)data;
    (void)size;
    (void)is_write;
    return -ENOSYS;
}
