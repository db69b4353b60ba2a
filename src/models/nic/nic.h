/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef FERRY_MODELS_NIC_H
#define FERRY_MODELS_NIC_H

#include "models/models.h"

/* `nic`: a virtio-net device, docs/models/nic.md. */
extern const struct ferry_model nic_model;

#define NIC_PCI_VENDOR 0x1af4u
#define NIC_PCI_DEVICE 0x1041u
#define NIC_PCI_CLASS 0x020000u
#define NIC_PCI_REVISION 1u
#define NIC_BAR_MSIX 1u   /* MSI-X table (offset 0) and PBA (offset 2048) */
#define NIC_BAR_VIRTIO 4u /* the virtio structures */
#define NIC_BAR_MSIX_BYTES 0x1000u
#define NIC_BAR_VIRTIO_BYTES 0x4000u

#endif
