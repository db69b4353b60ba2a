/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef FERRY_DRIVERS_CHECK_CHECK_DRIVERS_H
#define FERRY_DRIVERS_CHECK_CHECK_DRIVERS_H

#include "ferry/check.h"

/*
 * What has the models work while the conformance checker looks at them, over the same
 * drivers as the guest's (pci_function.check). A write of acc is the output of a cipher:
 * in ranges of more than 256 bytes some bytes may come out as they were.
 */
extern const struct ferry_check_driver check_driver_copy, check_driver_acc,
    check_driver_nic;

/*
 * QEMU's edu. The second one also fills the device's buffer, which no register gives: a
 * variant driver may refuse to save it then. The first one writes what is in the buffer
 * already, so a write may leave bytes as they were.
 */
extern const struct ferry_check_driver check_driver_edu, check_driver_edu_buffer;

/* The one that drives a device with this config space (64 bytes), or NULL. */
const struct ferry_check_driver *check_driver_find(const uint8_t *config);

/* -- What they share -- */

#define CHECK_DRIVER_TIMEOUT_MS 2000u

/* 1 when config space has these identifiers. */
int check_driver_is(const uint8_t *config, uint16_t vendor, uint16_t device);

/*
 * Lets the device go on until done() returns other than 0 or time is up; spins at first,
 * as most work takes some microseconds.
 * Return: FERRY_OK when done() returned more than 0, what it returned below 0,
 *   FERRY_E_TIMEOUT, or what letting it go on returned.
 */
int check_driver_wait(struct ferry_check_device *device, int (*done)(void *user),
                      void *user);

#endif
