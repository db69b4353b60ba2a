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
#define FERRY_MACHINE_NO_RESET 64u            /* the kernel cannot reset it alone */

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
    uint32_t reserved[8];
};

/* NULL and 0 everywhere is this machine. */
struct ferry_machine_options {
    size_t struct_size;
    const char *sysfs;    /* instead of "/sys" */
    const char *dev;      /* "/dev" */
    const char *modules;  /* "/lib/modules/RELEASE" */
    const char *run;      /* "/run/ferry/bind": what unbind needs to know */
    const char *proc;     /* "/proc" */
    const char *modprobe; /* the program "modprobe" */
    uint32_t force;       /* 1, see ferry_machine_bind() and ferry_machine_unbind() */
    uint32_t reserved;
};

/*
 * All PCI devices in an IOMMU group or bound to a VFIO driver (but bridges, of all
 * kinds), and all mdevs, ascending by name. ret_device: caller's memory of cap
 * entries; ret_count: how many there are, which may be more than cap, and is at most
 * FERRY_MACHINE_DEVICES_MAX. options: may be NULL.
 * Return: FERRY_OK, FERRY_E_ARGUMENT (struct_size), FERRY_E_IO (no sysfs),
 * FERRY_E_MEMORY.
 */
FERRY_PUBLIC int ferry_machine_list(const struct ferry_machine_options *options,
                                    struct ferry_machine_device *ret_device, size_t cap,
                                    size_t *ret_count, struct ferry_error *reterr);

/*
 * One device. place: a PCI address with or without domain, an mdev's UUID, a node
 * /dev/vfio/devices/vfioN, or a device's folder of sysfs.
 * Return: FERRY_OK, FERRY_E_ARGUMENT (it is none of these), FERRY_E_NOT_FOUND,
 * FERRY_E_LIMIT (a name or path is too long).
 */
FERRY_PUBLIC int ferry_machine_get(const struct ferry_machine_options *options,
                                   const char *place,
                                   struct ferry_machine_device *ret_device,
                                   struct ferry_error *reterr);

/*
 * Takes a PCI device away from its driver and gives it to one of VFIO's, which is loaded
 * when it is not there. name: its address. driver: "auto" or NULL (the variant driver
 * that the kernel's vfio_pci aliases name, else vfio-pci), or a driver's or its module's
 * name. What was before is remembered below options->run, for unbind. On failure the
 * device is given back. ret_driver: 64 bytes, the driver that has it now; may be NULL.
 * Blocks while drivers let go, probe and load.
 * Return: FERRY_OK (also when it has that driver already), FERRY_E_ARGUMENT (no PCI
 * address, no driver of VFIO's), FERRY_E_NOT_FOUND (no such device or driver),
 * FERRY_E_UNSUPPORTED (not a device that VFIO takes, no IOMMU), FERRY_E_BUSY (a process
 * has it open, or the machine needs it, but for options->force), FERRY_E_PERMISSION,
 * FERRY_E_DEVICE (the driver refused it), FERRY_E_LIMIT, FERRY_E_IO; reterr: one sentence
 * and the command that helps.
 */
FERRY_PUBLIC int ferry_machine_bind(const struct ferry_machine_options *options,
                                    const char *name, const char *driver,
                                    char *ret_driver, struct ferry_error *reterr);

/*
 * Gives a device back to the driver that it had before ferry_machine_bind(), or to none.
 * ret_driver: 64 bytes, the driver that has it now, "" for none; may be NULL.
 * With options->force the kernel chooses a driver when it is not known what was before; a
 * device that has a driver then that is none of VFIO's keeps it.
 * Return: as above; FERRY_E_NOT_FOUND also when it is not known what was before,
 * FERRY_E_PROTOCOL (what was remembered is damaged). On failure it may be without a
 * driver; it is remembered still what it had.
 */
FERRY_PUBLIC int ferry_machine_unbind(const struct ferry_machine_options *options,
                                      const char *name, char *ret_driver,
                                      struct ferry_error *reterr);

#ifdef __cplusplus
}
#endif

#endif
