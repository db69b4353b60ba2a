/* SPDX-License-Identifier: BSD-3-Clause */
#include "ferry/bridge.h"

int ferry_bridge_device_token(const struct ferry_bridge_device *device, int *ret_fd,
                              struct ferry_error *reterr)
{
    (void)device;
    (void)ret_fd;
    return ferry_error_set(reterr, FERRY_E_UNSUPPORTED, "bridge", NULL, 0, "not yet");
}

int ferry_bridge_iommu_token(int *ret_fd, struct ferry_error *reterr)
{
    (void)ret_fd;
    return ferry_error_set(reterr, FERRY_E_UNSUPPORTED, "bridge", NULL, 0, "not yet");
}
