/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef FERRY_DEVICE_PCI_CONFIG_H
#define FERRY_DEVICE_PCI_CONFIG_H

#include <stddef.h>
#include <stdint.h>

#include "ferry/device.h"

/*
 * PCI config space: 256 bytes with a write mask for each, and an extended space of zeros.
 * Thread: the device's.
 */
#define DEVICE_CONFIG_BYTES 256u
#define DEVICE_CONFIG_SPACE_BYTES 4096u

struct device_config {
    uint8_t byte[DEVICE_CONFIG_BYTES];
    uint8_t initial[DEVICE_CONFIG_BYTES]; /* power-on values */
    uint8_t mask[DEVICE_CONFIG_BYTES];    /* bits that a write changes */
    uint32_t pm_off, msix_off, pcie_off;  /* 0: absent */
    uint32_t cap_count;
    uint32_t cap_off[FERRY_DEVICE_CAPS_MAX];
    struct ferry_device_cap cap[FERRY_DEVICE_CAPS_MAX]; /* bytes: not used after init */
};

/*
 * Builds header, write masks and capability list.
 * desc: borrowed for the call.
 * Return: FERRY_OK; FERRY_E_ARGUMENT when the capabilities do not fit or are malformed.
 */
int device_config_init(struct device_config *config, const struct ferry_device_desc *desc,
                       struct ferry_error *reterr);

/* Power-on values. */
void device_config_power_on(struct device_config *config);

/* [off, off + count) lies inside the 4096 bytes; the access table has been asked. */
int device_config_read(struct ferry_device *device, uint64_t off, void *ret_data,
                       size_t count);
int device_config_write(struct ferry_device *device, uint64_t off, const void *data,
                        size_t count);

/* Power state D0 again; the rest stays. */
void device_config_wake(struct device_config *config);

/* 1 while bus master is set / the power state is D3hot. */
int device_config_bus_master(const struct device_config *config);
int device_config_asleep(const struct device_config *config);

/* MSI-X control: enabled, function masked; enabling it for the user (SET_IRQS). */
int device_config_msix_on(const struct device_config *config);
void device_config_msix_enable(struct device_config *config);

#endif
