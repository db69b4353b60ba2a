/* SPDX-License-Identifier: BSD-3-Clause */
#include "device/device_private.h"
#include "device/pci/irq.h"
#include "os/eventfd.h"
#include "os/memory.h"

/* Eventfds that mask and unmask, and what of the interrupts a device's stream carries. */

/* The user wrote into an eventfd of its own: the same as the action by message. */
static void mask_ready(struct ferry_watch *watch, uint32_t events)
{
    struct device_mask_fd *by = watch->user;
    uint64_t count = 0;

    (void)events;
    if (ferry_os_eventfd_drain_shared(watch->fd, &count) != FERRY_OK) {
        (void)device_mask_fd_put(by->device, by, -1); /* it would be ready for ever */
    } else if (count != 0) {
        device_irq_act(by->device, by->index, by->vector, by->action);
    }
}

int device_mask_fd_put(struct ferry_device *device, struct device_mask_fd *by, int fd)
{
    int status = FERRY_OK;

    if (by->watch.fd >= 0) {
        device_unwatch(device, &by->watch);
        ferry_os_close(&by->watch.fd);
    }
    by->watch.fd = fd;
    if (fd >= 0) {
        by->watch.events = FERRY_LOOP_READ;
        status = device_watch(device, &by->watch);
        if (status != FERRY_OK) {
            ferry_os_close(&by->watch.fd);
        }
    }
    return status;
}

static void mask_fd_init(struct ferry_device *device, struct device_mask_fd *by,
                         uint32_t index, uint32_t vector, uint32_t action)
{
    by->watch = (struct ferry_watch){ .fd = -1, .fn = mask_ready, .user = by };
    by->device = device;
    by->index = index;
    by->vector = vector;
    by->action = action;
}

void device_mask_pair_init(struct ferry_device *device, struct device_mask_pair *by,
                           uint32_t index, uint32_t vector)
{
    mask_fd_init(device, &by->mask, index, vector, FERRY_IRQ_SET_MASK);
    mask_fd_init(device, &by->unmask, index, vector, FERRY_IRQ_SET_UNMASK);
}

void device_mask_pair_drop(struct ferry_device *device, struct device_mask_pair *by)
{
    (void)device_mask_fd_put(device, &by->mask, -1);
    (void)device_mask_fd_put(device, &by->unmask, -1);
}

uint32_t device_irqs_pending_count(const struct ferry_device *device)
{
    uint32_t count =
        device_msix_pending_count(&device->msix) + device->irqs.intx.asserted;

    for (uint32_t i = 0; i < device->irqs.msi.count; i++) {
        count += device->irqs.msi.pending >> i & 1u;
    }
    return count;
}

uint32_t device_irqs_next_pending(const struct ferry_device *device, uint32_t from)
{
    if (from < device->msix.count) {
        const uint32_t vector = device_msix_next_pending(&device->msix, from);

        if (vector < device->msix.count) {
            return vector;
        }
    }
    for (uint32_t i = from > DEVICE_PENDING_MSI ? from - DEVICE_PENDING_MSI : 0;
         i < device->irqs.msi.count; i++) {
        if ((device->irqs.msi.pending >> i & 1u) != 0) {
            return DEVICE_PENDING_MSI + i;
        }
    }
    return from <= DEVICE_PENDING_INTX && device->irqs.intx.asserted ? DEVICE_PENDING_INTX
                                                                     : UINT32_MAX;
}

int device_irqs_set_pending(struct ferry_device *device, uint32_t number)
{
    if (number < DEVICE_PENDING_MSI) {
        return device_msix_set_pending(&device->msix, number);
    }
    if (number == DEVICE_PENDING_INTX && device->irqs.intx.pin != 0) {
        device_intx_level(device, 1);
        return FERRY_OK;
    }
    if (number - DEVICE_PENDING_MSI < device->irqs.msi.count) {
        device_msi_set_pending(device, device->irqs.msi.pending |
                                           1u << (number - DEVICE_PENDING_MSI));
        return FERRY_OK;
    }
    return FERRY_E_RANGE;
}
