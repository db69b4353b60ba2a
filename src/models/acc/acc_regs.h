/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef FERRY_MODELS_ACC_ACC_REGS_H
#define FERRY_MODELS_ACC_ACC_REGS_H

/*
 * The `acc` model as its driver sees it: a virtio-crypto device (virtio 1.x over PCI).
 * Requests have the formats of <linux/virtio_crypto.h>; docs/models/acc.md is its manual.
 */

#define ACC_PCI_VENDOR 0x1af4u
#define ACC_PCI_DEVICE 0x1054u  /* 0x1040 + VIRTIO_ID_CRYPTO (20) */
#define ACC_PCI_CLASS 0x108000u /* encryption controller, other */
#define ACC_PCI_REVISION 1u

/* Regions. */
#define ACC_BAR_MSIX 0u   /* MSI-X table (offset 0) and PBA (offset 4096) */
#define ACC_BAR_HW 2u     /* 64 KiB: the guest's half, then the variant driver's */
#define ACC_BAR_VIRTIO 4u /* the virtio structures */
#define ACC_BAR_MSIX_BYTES 0x2000u
#define ACC_BAR_HW_BYTES 0x10000u
#define ACC_BAR_VIRTIO_BYTES 0x4000u

/* Where the virtio structures lie in BAR4; the vendor capabilities say the same. */
#define ACC_COMMON_OFF 0x0000u
#define ACC_ISR_OFF 0x1000u
#define ACC_DEVICE_OFF 0x2000u
#define ACC_NOTIFY_OFF 0x3000u
/* Doorbell of queue q: a u16 write of q at ACC_NOTIFY_OFF + q * ACC_NOTIFY_STEP. */
#define ACC_NOTIFY_STEP 4u

/*
 * Queues 0 to n - 1 are data queues, queue n is the control queue (n: max_dataqueues of
 * the device configuration). Vectors: one per queue and one for configuration changes;
 * the driver assigns them.
 */
#define ACC_DATA_QUEUES_MAX 16u
#define ACC_DATA_QUEUE_SIZE 1024u
#define ACC_CONTROL_QUEUE_SIZE 64u

#define ACC_SESSIONS_DEFAULT 64u
#define ACC_SESSIONS_MAX 4096u
#define ACC_KEY_BYTES_MAX 32u
#define ACC_REQUEST_MAX (256u << 10) /* source bytes of one request: max_size */
#define ACC_CHAIN_MAX 1024u /* descriptors of one request, indirect ones included */

/* The guest's half of BAR2: read only, for people. */
#define ACC_REG_ID 0x00u      /* u32: ACC_ID */
#define ACC_REG_VERSION 0x04u /* u32: 1 */
#define ACC_ID 0x31434341u    /* "ACC1" */

#endif
