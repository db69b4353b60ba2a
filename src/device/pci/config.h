/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef FERRY_DEVICE_PCI_CONFIG_H
#define FERRY_DEVICE_PCI_CONFIG_H

#include <stddef.h>
#include <stdint.h>

#include "ferry/device.h"

/*
 * PCI config space: 256 bytes, or 4096 with PCI Express, with a write mask for each.
 * Thread: the device's.
 */
#define DEVICE_CONFIG_BYTES 256u
#define DEVICE_CONFIG_SPACE_BYTES 4096u
#define DEVICE_CONFIG_CAPS_MAX (FERRY_DEVICE_CAPS_MAX + FERRY_DEVICE_EXT_CAPS_MAX)

/* Offsets and bits that more than one file knows (PCI Local Bus 3.0, chapter 6). */
#define DEVICE_PCI_COMMAND 0x04u
#define DEVICE_PCI_STATUS 0x06u
#define DEVICE_PCI_COMMAND_MASTER 0x0004u
#define DEVICE_PCI_COMMAND_INTX_OFF 0x0400u
#define DEVICE_PCI_STATUS_INTX 0x08u
#define DEVICE_PCI_MSIX_CONTROL 2u
#define DEVICE_PCI_MSIX_ENABLE 0x8000u
#define DEVICE_PCI_MSIX_FUNCTION_MASK 0x4000u
#define DEVICE_PCI_MSI_CONTROL 2u
#define DEVICE_PCI_MSI_ENABLE 0x0001u
#define DEVICE_PCI_MSI_LOG_SHIFT 4u /* vectors enabled: 1 << this field of 3 bits */
#define DEVICE_PCI_MSI_MASK 0x10u
#define DEVICE_PCI_MSI_PENDING 0x14u
#define DEVICE_PCI_PM_CONTROL 4u
#define DEVICE_PCI_PM_STATE 0x3u
#define DEVICE_PCI_PM_D3HOT 3u
#define DEVICE_PCI_EXPRESS_CONTROL 8u

/* A vendor capability whose body the author knows; off 0: none of that number. */
struct device_config_cap {
    uint32_t off, body, end; /* of the capability, of its body, behind it */
    uint8_t writable, trapped;
    uint8_t pad[2];
};

struct device_config {
    uint8_t byte[DEVICE_CONFIG_SPACE_BYTES];
    uint8_t initial[DEVICE_CONFIG_SPACE_BYTES];   /* power-on values */
    uint8_t mask[DEVICE_CONFIG_SPACE_BYTES];      /* bits that a write changes */
    uint32_t bytes;                               /* 256 or 4096 */
    uint32_t pm_off, msix_off, msi_off, pcie_off; /* 0: absent */
    uint32_t asleep; /* 1: in D3hot, which may lag behind what was written (MIG-PM-1) */
    struct device_config_cap cap[DEVICE_CONFIG_CAPS_MAX];
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

/* [off, off + count) lies inside the space; the access table has been asked. */
int device_config_read(struct ferry_device *device, uint64_t off, void *ret_data,
                       size_t count);
int device_config_write(struct ferry_device *device, uint64_t off, const void *data,
                        size_t count);

/* Power state D0 again; the rest stays. */
void device_config_wake(struct device_config *config);
/* The power state that was written takes effect. */
void device_config_settle(struct device_config *config);

/* A 16-bit register as it is. */
uint16_t device_config_get16(const struct device_config *config, uint32_t off);

/* The interrupt bit of the status register. */
void device_config_intx_status(struct device_config *config, int level);

/* 1 while bus master is set / the power state is D3hot. */
int device_config_bus_master(const struct device_config *config);
int device_config_asleep(const struct device_config *config);

/* MSI-X control: enabled, function masked; enabling it for the user (SET_IRQS). */
int device_config_msix_on(const struct device_config *config);
void device_config_msix_enable(struct device_config *config);

#endif
