/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef FERRY_HOST_CONTEXT_CONFIG_INSIDE_H
#define FERRY_HOST_CONTEXT_CONFIG_INSIDE_H

#include "host/context/context.h"
#include "host/context/context_pci.h"

/* Shared by config_save.c, config_check.c and config_restore.c only. */

#define FERRY_PCI_COMMAND_OFF 0x04u
#define FERRY_PCI_BAR_OFF 0x10u
#define FERRY_PCI_BAR_END 0x28u
#define FERRY_PCI_ROM_OFF 0x30u
#define FERRY_PCI_MSIX_CONTROL 2u /* offset inside the capability */
#define FERRY_PCI_MSIX_FUNCTION_MASK 0x4000u
#define FERRY_MSIX_ENTRY_BYTES 16u

/* Config space as it is now. */
struct ferry_host_config {
    struct ferry_host_pci pci;
    uint32_t bytes;
    uint8_t data[FERRY_HOST_CONFIG_BYTES]; /* virtio access windows read as 0 */
};

/* Return: FERRY_OK; FERRY_E_PROTOCOL (malformed), what the accesses returned. */
int ferry_host_config_read(struct ferry_host_device *device,
                           struct ferry_host_config *ret_config,
                           struct ferry_error *reterr);

struct ferry_stream_config;

/*
 * Reads the blob and compares it with the device.
 * ret_blob: points into blob. ret_now: the device's config space.
 * Return: as ferry_host_config_check().
 */
int ferry_host_config_match(struct ferry_host_device *device, const void *blob,
                            size_t bytes, struct ferry_stream_config *ret_blob,
                            struct ferry_host_config *ret_now,
                            struct ferry_error *reterr);

#endif
