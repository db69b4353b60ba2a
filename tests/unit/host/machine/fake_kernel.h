/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef FERRY_TESTS_UNIT_HOST_MACHINE_FAKE_KERNEL_H
#define FERRY_TESTS_UNIT_HOST_MACHINE_FAKE_KERNEL_H

#include "host/machine/inside.h"
#include "tree.h"

/*
 * Does to a made-up machine what the kernel does when the files of its drivers are
 * written to: a driver gets a device or loses it, if the device's override lets it.
 */
struct fake_kernel {
    struct tree tree;
    struct machine_env env;
    unsigned writes;    /* so far */
    uint32_t fail;      /* bit n: write n fails */
    int err;            /* that they fail with; 0: they are taken and do nothing */
    unsigned pull_at;   /* at this write the device leaves the machine */
    const char *held;   /* the name of a disk that something holds */
    const char *chosen; /* what drivers_probe gives it to; NULL: none */
    const char *module, *brings; /* what can be loaded, and the driver that it has */
    const char *says;            /* what modprobe says else */
    unsigned loads;
    char asked[64]; /* the last module that was asked for */
};

/* A machine with the drivers vfio-pci and e1000e, and EDU at e1000e in group 5. */
#define EDU "0000:01:00.0"
void fake_make(struct fake_kernel *fake);
void fake_remove(struct fake_kernel *fake);

int fake_bind(struct fake_kernel *fake, const char *driver, struct ferry_error *error);
int fake_unbind(struct fake_kernel *fake, struct ferry_error *error);

/* Fails the test when EDU has another driver ("": none), override, or record (0: none).
 */
void fake_expect(const struct fake_kernel *fake, const char *driver, const char *override,
                 int has_record);
/* Fails the test when a sentence does not say so. */
void assert_says(const struct ferry_error *error, const char *words);

#endif
