/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef FERRY_HOST_BACKEND_KERNEL_KERNEL_H
#define FERRY_HOST_BACKEND_KERNEL_KERNEL_H

#include "host/backend/backend.h"

/*
 * Devices of the kernel's VFIO.
 *
 *   vfio:PLACE[,OPTION...]        character device and iommufd
 *   vfio-group:PLACE[,OPTION...]  group and container with an IOMMU of type 1
 *
 * PLACE: a PCI address (0000:01:00.0; the domain may be left out), a character device
 * (/dev/vfio/devices/vfioN; not with vfio-group), or the device's folder in sysfs (any
 * bus: /sys/bus/mdev/devices/UUID).
 * OPTION: dirty=device|iommu|none (default: the best that there is and that works),
 * token=UUID (of a virtual function whose physical one is in the user's hands), arcs=all
 * (also asks the kernel for the two arcs that hang Linux 6.2 to 7.1: for a check).
 *
 * uAPI v2; a device with the migration region of v1 becomes one of v2 by
 * host/backend/v1. Calls of the kernel take their time, so a thread of the backend makes
 * those that change the state or move its data; the others are made by who asks.
 *
 * Return: FERRY_OK; FERRY_E_ARGUMENT (no such place, unknown option), FERRY_E_DEVICE and
 * others; reterr says in one sentence what is missing and which command would help.
 */
int ferry_backend_kernel_open(const char *rest,
                              const struct ferry_backend_options *options,
                              struct ferry_backend **ret_backend,
                              struct ferry_error *reterr);
int ferry_backend_kernel_open_group(const char *rest,
                                    const struct ferry_backend_options *options,
                                    struct ferry_backend **ret_backend,
                                    struct ferry_error *reterr);

#endif
