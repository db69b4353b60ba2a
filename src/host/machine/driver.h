/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef FERRY_HOST_MACHINE_DRIVER_H
#define FERRY_HOST_MACHINE_DRIVER_H

#include "host/machine/machine.h"

/*
 * Whether a device's driver is one of VFIO's: the kernel made a vfio-dev of it (Linux
 * 6.1), or the driver's module uses VFIO's, or it is called so.
 * folder: the device's in sysfs; driver: its driver's name, "": none is bound.
 */
int machine_is_vfio(const char *folder, const char *driver);

#endif
