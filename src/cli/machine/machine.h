/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef FERRY_CLI_MACHINE_MACHINE_H
#define FERRY_CLI_MACHINE_MACHINE_H

#include "ferry/machine.h"

#define MACHINE_ROOT_BYTES 512

/* The hidden option of these commands, for tests: a machine as files below a folder. */
#define MACHINE_KEY_ROOT 0x100
#define MACHINE_ROOT_OPTION                                                              \
    {                                                                                    \
        "root", MACHINE_KEY_ROOT, "FOLDER", OPTION_HIDDEN, NULL, 0                       \
    }

struct machine_root {
    char sysfs[MACHINE_ROOT_BYTES], dev[MACHINE_ROOT_BYTES], modules[MACHINE_ROOT_BYTES],
        run[MACHINE_ROOT_BYTES], proc[MACHINE_ROOT_BYTES], modprobe[MACHINE_ROOT_BYTES];
};

/* options for this machine, or for the one below folder, whose paths root keeps. */
void machine_options(const char *folder, struct machine_root *root,
                     struct ferry_machine_options *ret_options);

/* What opening a device showed of it. */
struct machine_look {
    int is_open;      /* it was opened; what follows holds then */
    int uapi;         /* version of the migration uAPI: 2, 1, or 0 for none */
    uint32_t flags;   /* FERRY_MIG_* */
    uint32_t can_log; /* it logs what it writes */
    int is_unknown;   /* it could not be opened, such as one that is in use */
    char why[512];    /* why it cannot migrate or be asked, and what would help */
};

/*
 * Opens a device that sysfs finds nothing wrong with, for a moment. open: 0 says what is
 * known without.
 */
void machine_look(const struct ferry_machine_device *device, int open,
                  struct machine_look *ret_look);

/* "vfio:0000:01:00.0", or "vfio-group:" where there is no character device. */
#define MACHINE_URI_BYTES 96
void machine_uri(const struct ferry_machine_device *device, char *ret_uri);

#endif
