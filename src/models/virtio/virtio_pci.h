/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef FERRY_MODELS_VIRTIO_VIRTIO_PCI_H
#define FERRY_MODELS_VIRTIO_VIRTIO_PCI_H

#include <stddef.h>
#include <stdint.h>

#include "ferry/device.h"
#include "models/virtio/virtqueue.h"

/*
 * Virtio 1.x over PCI, the device's side: common configuration, notifications, ISR,
 * device configuration and the configuration access capability, all behind one trapped
 * BAR.
 *
 * Thread: the device's.
 */
#define VIRTIO_PCI_QUEUES_MAX 17u
#define VIRTIO_PCI_CAPS 5u

/* Offsets in the BAR. */
#define VIRTIO_PCI_COMMON_OFF 0x0000u
#define VIRTIO_PCI_ISR_OFF 0x1000u
#define VIRTIO_PCI_DEVICE_OFF 0x2000u
#define VIRTIO_PCI_NOTIFY_OFF 0x3000u
#define VIRTIO_PCI_NOTIFY_STEP 4u
#define VIRTIO_PCI_BAR_BYTES 0x4000u

struct virtio_pci_ops {
    size_t struct_size;
    /* The whole device configuration, read only. Required. */
    void (*config)(void *user, uint8_t *ret_config, size_t config_bytes);
    /* The driver wrote status 0: forget everything beyond this transport. Required. */
    void (*reset)(void *user);
};

struct virtio_pci {
    const struct virtio_pci_ops *ops; /* borrowed */
    void *user;
    struct ferry_device *device; /* set once the device is made */
    uint64_t features;           /* offered */
    uint32_t config_bytes;       /* of the device configuration, at most 64 */
    uint32_t bar;                /* the BAR that holds the structures */
    uint32_t vectors;
    uint32_t queue_count;
    /* What the driver set up. */
    uint64_t driver_features;
    uint32_t device_select, driver_select;
    uint16_t config_vector, queue_select;
    uint8_t status, isr;
    uint8_t pad[2];
    uint8_t window[20]; /* the configuration access capability's bytes */
    uint8_t pad2[4];
    uint8_t cap_bytes[VIRTIO_PCI_CAPS][20];
    struct virtqueue queue[VIRTIO_PCI_QUEUES_MAX];
};

/*
 * Prepares the transport; ops, user, features, config_bytes, bar, vectors, queue_count
 * and each queue's size_max are set by the caller before.
 */
void virtio_pci_init(struct virtio_pci *virtio);

/* Fills the device's vendor capabilities; their bodies live in *virtio. */
void virtio_pci_caps(struct virtio_pci *virtio, struct ferry_device_desc *ret_desc);

/*
 * Tells that a queue may be notified through an eventfd as well: what is written there
 * says nothing that the place does not say.
 * ret_bell: VIRTIO_PCI_QUEUES_MAX of them, in use until the device is made.
 */
void virtio_pci_doorbells(const struct virtio_pci *virtio,
                          struct ferry_device_doorbell *ret_bell,
                          struct ferry_device_desc *ret_desc);

/* Back to power-on state, ops->reset not called. */
void virtio_pci_reset(struct virtio_pci *virtio);

/*
 * A driver's access to the BAR. Accesses of odd widths are ignored as hardware does.
 * Return: FERRY_OK.
 */
int virtio_pci_read(struct virtio_pci *virtio, uint64_t off, void *ret_data,
                    size_t count);
int virtio_pci_write(struct virtio_pci *virtio, uint64_t off, const void *data,
                     size_t count);

/* Access to a vendor capability; cap: its index in the description. */
int virtio_pci_cap_read(struct virtio_pci *virtio, uint32_t cap, uint32_t off,
                        void *ret_data, size_t count);
int virtio_pci_cap_write(struct virtio_pci *virtio, uint32_t cap, uint32_t off,
                         const void *data, size_t count);

/* 1 when the driver is ready and the device did not ask for a reset. */
int virtio_pci_alive(const struct virtio_pci *virtio);

/* 1 when features are ones that a driver may have chosen (VERSION_1, none unknown). */
int virtio_pci_features_valid(const struct virtio_pci *virtio, uint64_t features);

/* Something is wrong beyond repair: tells the driver to reset the device. */
void virtio_pci_needs_reset(struct virtio_pci *virtio);

/* The device configuration has changed: tells a driver that is ready. */
void virtio_pci_config_changed(struct virtio_pci *virtio);

/* Raises the queue's interrupt when one is due. */
void virtio_pci_interrupt(struct virtio_pci *virtio, struct virtqueue *queue);

/* Every enabled queue is looked at again. */
void virtio_pci_kick_all(struct virtio_pci *virtio);

#endif
