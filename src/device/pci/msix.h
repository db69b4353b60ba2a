/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef FERRY_DEVICE_PCI_MSIX_H
#define FERRY_DEVICE_PCI_MSIX_H

#include <stddef.h>
#include <stdint.h>

#include "ferry/device.h"
#include "link/request.h"

/*
 * MSI-X: table and pending bits as the user sees them in the BAR, one eventfd per vector.
 * A vector fires when it has an eventfd, MSI-X is enabled and neither the function nor
 * the vector is masked; else it becomes pending and fires as soon as all that holds.
 * Thread: the device's.
 */
#define DEVICE_MSIX_ENTRY_BYTES 16u

struct device_msix {
    uint32_t count;
    uint32_t bar;
    uint64_t table_off, table_bytes;
    uint64_t pba_off, pba_bytes;
    uint8_t *table;   /* table_bytes */
    uint8_t *pending; /* pba_bytes, a flat bitmap */
    int *fd;          /* count; -1: none */
};

/* Return: FERRY_OK, FERRY_E_MEMORY. */
int device_msix_init(struct device_msix *msix, const struct ferry_device_desc *desc);
void device_msix_free(struct device_msix *msix);

/* Power-on: every vector masked, nothing pending. Eventfds stay. */
void device_msix_power_on(struct device_msix *msix);
/* Nothing is pending any more (a reset of the function). */
void device_msix_clear_pending(struct device_msix *msix);
/* Vectors that are pending: how many, and the first from `from` on (count: none). */
uint32_t device_msix_pending_count(const struct device_msix *msix);
uint32_t device_msix_next_pending(const struct device_msix *msix, uint32_t from);
/* Makes a vector pending; it fires with the next flush that may. Return: FERRY_OK,
 * FERRY_E_RANGE (there is no such vector). */
int device_msix_set_pending(struct device_msix *msix, uint32_t vector);
/* Takes every eventfd away. */
void device_msix_drop(struct device_msix *msix);

/* Access to the table; off counts from its start; off + count lies inside. */
void device_msix_table_read(const struct device_msix *msix, uint64_t off, void *ret_data,
                            size_t count);
void device_msix_table_write(struct ferry_device *device, uint64_t off, const void *data,
                             size_t count);
void device_msix_pba_read(const struct device_msix *msix, uint64_t off, void *ret_data,
                          size_t count);

/* Fires what is pending and no longer held back. */
void device_msix_flush(struct ferry_device *device);

/* Signals a vector, or notes it as pending. */
void device_msix_raise(struct ferry_device *device, uint32_t vector);
/* FERRY_IRQ_SET_MASK, _UNMASK or _TRIGGER of one vector; flush follows. */
void device_msix_act(struct ferry_device *device, uint32_t vector, uint32_t action);

#endif
