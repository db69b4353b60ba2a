/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef FERRY_DRIVERS_VIRTIO_PCI_H
#define FERRY_DRIVERS_VIRTIO_PCI_H

#include <stddef.h>
#include <stdint.h>

#include "ferry/host.h"

struct ferry_check_device;

/* One PCI device as a driver reaches it: plain data, no state of its own. It is one of a
 * context, or the one that the conformance checker looks at. */
struct pci_function {
    struct ferry_context *context;    /* borrowed */
    uint32_t device;                  /* index in the context */
    struct ferry_check_device *check; /* borrowed; NULL: one of the context */
};

#define PCI_REGION_CONFIG 7
#define PCI_CAP_ID_VENDOR 0x09
#define PCI_CAP_ID_MSIX 0x11

/*
 * Little-endian register access of 1, 2, 4 or 8 bytes; `failed` collects the first error
 * so that a sequence of accesses is checked once, at its end.
 */
uint64_t pci_read(const struct pci_function *pci, uint32_t region, uint64_t off,
                  size_t bytes, int *failed);
void pci_write(const struct pci_function *pci, uint32_t region, uint64_t off,
               uint64_t value, size_t bytes, int *failed);

/* A doorbell: the write does not wait for the device. */
int pci_doorbell(const struct pci_function *pci, uint32_t region, uint64_t off,
                 uint64_t value, size_t bytes);

/*
 * The next capability with this id after offset `after` (0: from the start).
 * Return: its offset in config space; FERRY_E_NOT_FOUND; FERRY_E_PROTOCOL when the list
 *   loops or leaves config space; what an access returned.
 */
int pci_next_cap(const struct pci_function *pci, uint8_t id, uint32_t after);

/* Switches memory decoding and bus mastering on. Return: what an access returned. */
int pci_enable_memory(const struct pci_function *pci);

/*
 * The same, and MSI-X.
 * Return: FERRY_OK; FERRY_E_NOT_FOUND without MSI-X; what an access returned.
 */
int pci_enable(const struct pci_function *pci);

/* The first region of a context's device that can be mapped. Return: its index;
 * FERRY_E_NOT_FOUND. */
int pci_memory_region(const struct pci_function *pci, uint64_t *ret_size);

#endif
