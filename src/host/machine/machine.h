/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef FERRY_HOST_MACHINE_MACHINE_H
#define FERRY_HOST_MACHINE_MACHINE_H

#include <stdint.h>

#include "ferry/error.h"

/*
 * What the kernel says in sysfs of one device of this machine. No descriptor, nothing is
 * opened but sysfs: it may be out of date at once.
 */
#define FERRY_MACHINE_NAME_BYTES 64u
#define FERRY_MACHINE_PATH_BYTES 256u
#define FERRY_MACHINE_NO_GROUP UINT32_MAX

struct ferry_machine_place {
    char name[FERRY_MACHINE_NAME_BYTES];   /* "0000:01:00.0", an mdev's UUID: what a group
                                              is asked for */
    char folder[FERRY_MACHINE_PATH_BYTES]; /* in sysfs */
    char driver[FERRY_MACHINE_NAME_BYTES]; /* "": none is bound */
    char
        cdev[FERRY_MACHINE_PATH_BYTES]; /* "/dev/vfio/devices/vfioN"; "": there is none */
    uint32_t group;                     /* of its IOMMU, or FERRY_MACHINE_NO_GROUP */
    uint32_t is_noiommu;
};

/*
 * place: a PCI address with or without domain, an mdev's UUID,
 * "/dev/vfio/devices/vfioN", or a folder of sysfs. A folder that was made by hand is one
 * without a link "subsystem", with a link "iommu_group" (which may lead nowhere), or a
 * folder "vfio-dev" with a name in it, or both. sysfs, dev: NULL for "/sys" and "/dev";
 * others for tests.
 * Return: FERRY_OK; FERRY_E_ARGUMENT (it is none of these), FERRY_E_NOT_FOUND,
 * FERRY_E_LIMIT (a name or path does not fit), with a sentence that says what was looked
 * for and what would help (`ferry list').
 */
int ferry_machine_find(const char *place, const char *sysfs, const char *dev,
                       struct ferry_machine_place *ret_place, struct ferry_error *reterr);

/*
 * Why a device that was found cannot be opened: not bound (names `ferry bind'), bound to
 * a driver that is none of VFIO's, no IOMMU group, no IOMMU, no character device (an old
 * kernel: vfio-group:), others of its group not bound (which). Nothing is asked of a
 * folder that was made by hand. Return: FERRY_OK when nothing is in the way that sysfs
 * tells; FERRY_E_UNSUPPORTED.
 */
int ferry_machine_usable(const struct ferry_machine_place *place, int want_cdev,
                         struct ferry_error *reterr);

#endif
