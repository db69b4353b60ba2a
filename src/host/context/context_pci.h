/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef FERRY_HOST_CONTEXT_CONTEXT_PCI_H
#define FERRY_HOST_CONTEXT_CONTEXT_PCI_H

#include <stdint.h>

/* What the host needs to know of a device's config space, which is a peer's. */

#define FERRY_HOST_PCI_CAPS_MAX 48u /* that many fit behind the header */

#define FERRY_PCI_CAP_PM 0x01u
#define FERRY_PCI_CAP_MSI 0x05u
#define FERRY_PCI_CAP_VENDOR 0x09u
#define FERRY_PCI_CAP_EXPRESS 0x10u
#define FERRY_PCI_CAP_MSIX 0x11u

struct ferry_host_pci_cap {
    uint8_t off;
    uint8_t id;
    uint8_t bytes;  /* length that it has at least here (vendor: what it says) */
    uint8_t window; /* offset of a virtio access window's 4 data bytes: an access
                       to them is an access to a BAR; 0: none */
};

/* Extended capabilities that are looked at; a longer list is refused. */
#define FERRY_HOST_PCI_EXT_MAX 64u
#define FERRY_PCI_EXT_VENDOR 0x000bu
#define FERRY_PCI_EXT_VENDOR_HEADER 8u

struct ferry_host_pci_ext {
    uint16_t off, id;
    uint16_t bytes; /* vendor: what it says; else 4 */
    uint16_t pad;
};

struct ferry_host_pci {
    uint16_t vendor, device, subvendor, subdevice;
    uint32_t class_revision; /* class << 8 | revision */
    uint32_t cap_count;
    struct ferry_host_pci_cap cap[FERRY_HOST_PCI_CAPS_MAX];
    uint32_t ext_count;
    struct ferry_host_pci_ext ext[FERRY_HOST_PCI_EXT_MAX];
    uint32_t msix_off; /* 0: none */
    uint32_t msix_vectors;
    uint32_t msix_bar;
    uint64_t msix_table_off;
    const char *problem; /* what is wrong, with FERRY_E_PROTOCOL */
};

/* How config space is reached: a device, or bytes of a stream. */
struct ferry_host_pci_reader {
    /* off + count lies inside config_bytes. Return: FERRY_OK or a negative code. */
    int (*read)(void *user, uint32_t off, void *ret_data, uint32_t count);
    void *user;
    uint32_t config_bytes; /* >= 64 */
};

/*
 * Reads the header and walks the capabilities; touches nothing whose read has an effect.
 * Return: FERRY_OK; FERRY_E_PROTOCOL (ret_pci->problem says why); what read returned.
 */
int ferry_host_pci_scan(const struct ferry_host_pci_reader *reader,
                        struct ferry_host_pci *ret_pci);

#endif
