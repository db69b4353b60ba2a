/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef FERRY_HOST_MACHINE_INSIDE_H
#define FERRY_HOST_MACHINE_INSIDE_H

#include "ferry/machine.h"
#include "host/machine/machine.h"
#include "os/sysfs/sysfs.h"

#define MACHINE_LAYER "host"
#define MACHINE_PATH_BYTES FERRY_OS_SYSFS_PATH_BYTES
#define MACHINE_MODALIAS_BYTES 128u
/* How the aliases begin by which modules say which devices they take for VFIO. */
#define MACHINE_ALIAS_PREFIX "vfio_pci:"
/* Kernels have some hundred of them. */
#define MACHINE_ALIASES_MAX 4096u

#define MACHINE_TURN_ON                                                                  \
    "turn the IOMMU on in the firmware and on the kernel's command line "                \
    "(intel_iommu=on; amd_iommu=on)"

/* Where the machine is, and who changes it: the kernel, or a test. */
struct machine_env {
    const char *sysfs, *dev, *modules, *run, *proc, *modprobe;
    int force;
    char release[MACHINE_PATH_BYTES]; /* "/lib/modules/RELEASE" */
    /* Writes to a file of sysfs. ret_errno: the kernel's answer. */
    int (*write)(void *user, const char *path, const char *text, int *ret_errno);
    /* Loads a module; what it says goes to ret_text. Return: FERRY_OK or a code: only
     * its drivers show whether it is there. */
    int (*load)(void *user, const char *module, char *ret_text, size_t size);
    /* Return: EBUSY when something holds the disk of this node. */
    int (*try_disk)(void *user, const char *path);
    void *user;
};

/* options: may be NULL. Return: FERRY_OK; FERRY_E_ARGUMENT: struct_size. */
int machine_env_init(struct machine_env *env, const struct ferry_machine_options *options,
                     struct ferry_error *reterr);

/*
 * A PCI address as sysfs writes it: "1:0.0" without its domain, and capitals, become
 * "0000:01:00.0". Return: FERRY_OK; FERRY_E_ARGUMENT: it is none.
 */
int machine_pci_address(const char *text, char ret_name[FERRY_MACHINE_NAME_BYTES]);

/* Return: 1 for 8-4-4-4-12 hexadecimal digits. */
int machine_is_uuid(const char *text);

/* alias.c */

struct machine_wish {
    char modalias[MACHINE_MODALIAS_BYTES]; /* as in sysfs: "pci:v..." */
    char module[FERRY_MACHINE_NAME_BYTES];
    size_t stars; /* of the alias that has it */
};

/* Which module takes a device for VFIO, by the most specific alias, "" when none does;
 * for each of count devices. */
void machine_find_variants(const struct machine_env *env, struct machine_wish *wish,
                           size_t count);

/* driver.c */

/* Names of modules have '_' where those of drivers may have '-'. */
int machine_same_name(const char *a, const char *b);

/*
 * Whether a device's driver is one of VFIO's: the kernel made a vfio-dev of it (Linux
 * 6.1), or the driver's module uses VFIO's, or it is called so.
 * folder: the device's in sysfs; driver: its driver's name, "": none is bound.
 */
int machine_is_vfio(const char *folder, const char *driver);

/* The module of a device's driver; "" when it is built in or there is none. */
void machine_module_of(const char *folder, char ret_module[FERRY_MACHINE_NAME_BYTES]);

/*
 * The PCI driver of this name, or the one of the module of this name; "": there is none
 * now. machine_get_driver() loads a module then.
 * Return: FERRY_OK; FERRY_E_ARGUMENT (no name of a driver), FERRY_E_NOT_FOUND.
 */
void machine_look_for_driver(const struct machine_env *env, const char *name,
                             char ret_driver[FERRY_MACHINE_NAME_BYTES]);
int machine_get_driver(const struct machine_env *env, const char *name,
                       char ret_driver[FERRY_MACHINE_NAME_BYTES],
                       struct ferry_error *reterr);
/* Whether a driver that is there is one of VFIO's. */
int machine_driver_is_vfio(const struct machine_env *env, const char *driver);

/* Bridges between buses are nothing that VFIO takes. class_code: 24 bits. */
int machine_is_bridge(uint64_t class_code);

/* bind/target.c */

/* The place of a PCI device that is named by its address. verb: "bind", "unbind".
 * Return: as ferry_machine_find(), FERRY_E_UNSUPPORTED (an mdev). */
int machine_target(const struct machine_env *env, const char *name, const char *verb,
                   struct ferry_machine_place *ret_place, struct ferry_error *reterr);
/* Asked before anything is touched: half of it would be worse than nothing. Return:
 * FERRY_OK; FERRY_E_PERMISSION, FERRY_E_UNSUPPORTED (an old kernel). */
int machine_check_permission(const struct ferry_machine_place *place, const char *verb,
                             struct ferry_error *reterr);

/* What is in use is not taken away; machine_env.force is for what the machine needs,
 * never for what a process has open. Return: FERRY_OK; FERRY_E_BUSY. */
int machine_check_busy(const struct machine_env *env,
                       const struct ferry_machine_place *place,
                       struct ferry_error *reterr);

/* bind/users.c */

/* Return: FERRY_OK; FERRY_E_BUSY: a process has it open by VFIO (which). */
int machine_check_users(const struct machine_env *env,
                        const struct ferry_machine_place *place,
                        struct ferry_error *reterr);
/* bind/needed.c */

/* Return: FERRY_OK; FERRY_E_BUSY: the machine needs it: a network interface that is up, a
 * disk that is mounted, swapped to or part of another, or virtual functions. */
int machine_check_needed(const struct machine_env *env,
                         const struct ferry_machine_place *place,
                         struct ferry_error *reterr);

/* bind/record.c */

/* What a device had before `ferry bind'. */
struct machine_record {
    char driver[FERRY_MACHINE_NAME_BYTES];   /* "": none */
    char override[FERRY_MACHINE_NAME_BYTES]; /* "": none */
    char bound[FERRY_MACHINE_NAME_BYTES];    /* to which it was given */
    char modalias[MACHINE_MODALIAS_BYTES];   /* another device may be there one day */
};

/* Return: FERRY_OK; FERRY_E_NOT_FOUND, FERRY_E_PROTOCOL, FERRY_E_IO... */
int machine_record_read(const struct machine_env *env, const char *name,
                        struct machine_record *ret_record, struct ferry_error *reterr);
/* Replaces what is there. Return: FERRY_OK; what ferry_os_file_create_once() returns. */
int machine_record_write(const struct machine_env *env, const char *name,
                         const struct machine_record *record, struct ferry_error *reterr);
void machine_record_drop(const struct machine_env *env, const char *name);

/* bind/move.c */

/*
 * Gives a device to a driver: its override, away from the driver that has it, to the new
 * one ("": to none). On failure it is where the kernel left it.
 * Return: FERRY_OK; FERRY_E_PERMISSION, FERRY_E_DEVICE (the driver refused it),
 * FERRY_E_IO; one sentence, without what becomes of the device then.
 */
int machine_move(const struct machine_env *env, const struct ferry_machine_place *place,
                 const char *driver, const char *override, struct ferry_error *reterr);

/* The override that is set; "" for none. */
void machine_read_override(const struct ferry_machine_place *place,
                           char ret_override[FERRY_MACHINE_NAME_BYTES]);

/* bind/bind.c and unbind.c, over any environment */
int machine_bind(const struct machine_env *env, const char *name, const char *driver,
                 char *ret_driver, struct ferry_error *reterr);
int machine_unbind(const struct machine_env *env, const char *name, char *ret_driver,
                   struct ferry_error *reterr);

#endif
