/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef FERRY_MACHINE_H
#define FERRY_MACHINE_H

#include <stddef.h>
#include <stdint.h>

#include "ferry/error.h"
#include "ferry/version.h"

#ifdef __cplusplus
extern "C" {
#endif

/*
 * The devices of this machine that VFIO can give to a user: what `ferry list`, `ferry
 * bind` and `ferry unbind` do. Thread: any; each call reads or writes sysfs by itself.
 */

#define FERRY_MACHINE_DEVICES_MAX 4096u

#define FERRY_MACHINE_VFIO 1u                 /* a driver of VFIO's is bound */
#define FERRY_MACHINE_CDEV 2u                 /* it has a character device (vfio:) */
#define FERRY_MACHINE_MEDIATED 4u             /* an mdev */
#define FERRY_MACHINE_VIRTUAL 8u              /* a virtual function */
#define FERRY_MACHINE_MULTIFUNCTION_GROUP 16u /* others are in its IOMMU group */
#define FERRY_MACHINE_OVERRIDE 32u            /* its driver_override is set */

struct ferry_machine_device {
    char name[64];    /* PCI address, or an mdev's UUID */
    char driver[64];  /* "": none */
    char variant[64]; /* the VFIO driver that the kernel's aliases name for it, the most
                         specific one ("mlx5_vfio_pci", "vfio-pci"); "": none is known */
    char cdev[64];    /* "/dev/vfio/devices/vfioN"; "": none */
    char why[256]; /* why it cannot be used now, and the command that helps; "": it can */
    uint32_t group; /* IOMMU group; UINT32_MAX: none */
    uint32_t flags; /* FERRY_MACHINE_* */
    uint16_t vendor, device, subvendor, subdevice;
    uint32_t class_code;
};

/* Other roots than "/sys", "/dev" and "/lib/modules/RELEASE"; NULL takes these. */
struct ferry_machine_options {
    size_t struct_size;
    const char *sysfs;
    const char *dev;
    const char *modules;
};

/*
 * All PCI devices in an IOMMU group or bound to a VFIO driver, and all mdevs, ascending
 * by name. ret_device: caller's memory of cap entries; ret_count: how many there are,
 * which may be more than cap. options: may be NULL.
 * Return: FERRY_OK, FERRY_E_IO (no sysfs), FERRY_E_MEMORY.
 */
FERRY_PUBLIC int ferry_machine_list(const struct ferry_machine_options *options,
                                    struct ferry_machine_device *ret_device, size_t cap,
                                    size_t *ret_count, struct ferry_error *reterr);

/*
 * Takes a device away from its driver and gives it to one of VFIO's. driver: "auto" (the
 * variant driver that the kernel's vfio_pci aliases name, else vfio-pci) or a name. What
 * was before is remembered in the device's folder below /run/ferry, for unbind. On
 * failure it is given back. ret_driver: 64 bytes, the driver that has it now. May be
 * NULL. Return: FERRY_OK (also when it has that driver already), FERRY_E_ARGUMENT,
 * FERRY_E_BUSY, FERRY_E_IO ...; reterr: one sentence and the command that helps.
 */
FERRY_PUBLIC int ferry_machine_bind(const struct ferry_machine_options *options,
                                    const char *name, const char *driver,
                                    char *ret_driver, struct ferry_error *reterr);

/* Gives a device back to the driver that it had before ferry_machine_bind(). */
FERRY_PUBLIC int ferry_machine_unbind(const struct ferry_machine_options *options,
                                      const char *name, char *ret_driver,
                                      struct ferry_error *reterr);

#ifdef __cplusplus
}
#endif

#endif
