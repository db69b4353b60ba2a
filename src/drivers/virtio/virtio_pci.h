/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef FERRY_DRIVERS_VIRTIO_VIRTIO_PCI_H
#define FERRY_DRIVERS_VIRTIO_VIRTIO_PCI_H

#include <stdint.h>

#include "drivers/virtio/pci.h"
#include "drivers/virtio/virtqueue.h"

/* Where a virtio device has its register blocks: read from its capabilities, plain data.
 */
struct virtio_pci {
    struct pci_function pci;
    uint32_t common_bar, notify_bar, device_bar;
    uint32_t notify_multiplier;
    uint64_t common_off, notify_off, device_off;
    uint64_t features; /* as negotiated */
};

/*
 * Finds the register blocks. Return: FERRY_OK; FERRY_E_NOT_FOUND (a block is missing: not
 * a modern virtio device); what an access returned.
 */
int virtio_pci_find(struct virtio_pci *virtio, const struct pci_function *pci);

/*
 * Resets the device and negotiates: of what the device offers, the bits of `wanted` are
 * taken; all of `needed` have to be among them.
 * Return: FERRY_OK; FERRY_E_UNSUPPORTED (a needed bit is not offered, or the device
 * refused the choice); FERRY_E_TIMEOUT (the reset does not end); what an access returned.
 */
int virtio_pci_negotiate(struct virtio_pci *virtio, uint64_t wanted, uint64_t needed);

/* Largest size of a queue. Return: > 0; 0 when the queue is not there; a negative code.
 */
int virtio_pci_queue_size(struct virtio_pci *virtio, uint16_t index);

/*
 * Hands a queue that virtqueue_init() has laid out to the device and fills its doorbell
 * in. vector: the MSI-X vector of its completions. Return: FERRY_OK; FERRY_E_UNSUPPORTED
 * (the device takes no such vector); what an access returned.
 */
int virtio_pci_enable_queue(struct virtio_pci *virtio, const struct guest_ram *ram,
                            struct virtqueue *queue, uint16_t vector);

/* The MSI-X vector of changes of the device's configuration. Return: FERRY_OK;
 * FERRY_E_UNSUPPORTED (the device takes no such vector); what an access returned. */
int virtio_pci_changes(struct virtio_pci *virtio, uint16_t vector);

/* The driver is ready: the device may work from now on. */
int virtio_pci_ready(struct virtio_pci *virtio);

/* Tells the device that a queue has new requests. */
int virtqueue_ring(const struct pci_function *pci, const struct virtqueue *queue);

#endif
