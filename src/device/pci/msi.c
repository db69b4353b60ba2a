/* SPDX-License-Identifier: BSD-3-Clause */
#include "base/reader.h"
#include "base/writer.h"
#include "device/device_private.h"
#include "device/pci/irq.h"
#include "os/eventfd.h"

/*
 * MSI: the mask and pending bits lie in config space. A vector fires when it has an
 * eventfd, MSI is enabled and its mask bit is clear; else it becomes pending and fires as
 * soon as all that holds.
 */

static uint32_t masks(const struct ferry_device *device)
{
    return ferry_load_le32(device->config.byte + device->config.msi_off +
                           DEVICE_PCI_MSI_MASK);
}

/* Vectors that the user has enabled: never more than there are, whatever was written. */
static uint32_t enabled_count(const struct ferry_device *device)
{
    const uint32_t log =
        device_config_get16(&device->config,
                            device->config.msi_off + DEVICE_PCI_MSI_CONTROL) >>
            DEVICE_PCI_MSI_LOG_SHIFT &
        7u;
    const uint32_t count = 1u << log;

    return count < device->irqs.msi.count ? count : device->irqs.msi.count;
}

int device_msi_on(const struct ferry_device *device)
{
    return device->config.msi_off != 0 &&
           (device_config_get16(&device->config,
                                device->config.msi_off + DEVICE_PCI_MSI_CONTROL) &
            DEVICE_PCI_MSI_ENABLE) != 0;
}

void device_msi_enable(struct ferry_device *device, uint32_t vectors)
{
    const uint32_t off = device->config.msi_off + DEVICE_PCI_MSI_CONTROL;
    uint32_t control = device_config_get16(&device->config, off);
    uint32_t log = 0;

    while (1u << log < vectors) {
        log++;
    }
    if ((control & DEVICE_PCI_MSI_ENABLE) == 0 || enabled_count(device) < vectors) {
        control &= ~(7u << DEVICE_PCI_MSI_LOG_SHIFT);
        control |= log << DEVICE_PCI_MSI_LOG_SHIFT | DEVICE_PCI_MSI_ENABLE;
        ferry_store_le16(device->config.byte + off, (uint16_t)control);
    }
}

void device_msi_set_pending(struct ferry_device *device, uint32_t pending)
{
    device->irqs.msi.pending = pending;
    if (device->config.msi_off != 0) {
        ferry_store_le32(device->config.byte + device->config.msi_off +
                             DEVICE_PCI_MSI_PENDING,
                         pending);
    }
}

void device_msi_raise(struct ferry_device *device, uint32_t vector)
{
    struct device_msi *msi = &device->irqs.msi;

    if (msi->fd[vector] >= 0 && (masks(device) >> vector & 1u) == 0 &&
        device_msi_on(device)) {
        (void)ferry_os_eventfd_signal(msi->fd[vector]);
    } else {
        device_msi_set_pending(device, msi->pending | 1u << vector);
    }
}

void device_msi_flush(struct ferry_device *device)
{
    const uint32_t pending = device->irqs.msi.pending;

    if (pending == 0 || !device_msi_on(device)) {
        return;
    }
    device_msi_set_pending(device, 0);
    for (uint32_t i = 0; i < device->irqs.msi.count; i++) {
        if ((pending >> i & 1u) != 0) {
            device_msi_raise(device, i);
        }
    }
}

void device_msi_act(struct ferry_device *device, uint32_t vector, uint32_t action)
{
    uint8_t *at = device->config.byte + device->config.msi_off + DEVICE_PCI_MSI_MASK;

    if (action == FERRY_IRQ_SET_MASK) {
        ferry_store_le32(at, masks(device) | 1u << vector);
    } else if (action == FERRY_IRQ_SET_UNMASK) {
        ferry_store_le32(at, masks(device) & ~(1u << vector));
        device_msi_flush(device);
    } else {
        device_msi_raise(device, vector);
    }
}

/* Which of the two carries the device's vectors now. */
static int uses_msi(const struct ferry_device *device)
{
    if (device->irqs.msi.count == 0 || device->msix.count == 0) {
        return device->irqs.msi.count != 0;
    }
    return device->irqs.in_use == DEVICE_IRQ_MSI ||
           (device->irqs.in_use != DEVICE_IRQ_MSIX && device_msi_on(device));
}

int ferry_irq_raise(struct ferry_device *device, uint32_t vector)
{
    const int msi = uses_msi(device);
    const uint32_t most = device->irqs.msi.count > device->msix.count
                              ? device->irqs.msi.count
                              : device->msix.count;
    int status;

    if (vector >= most || (!msi && vector >= device->msix.count)) {
        return FERRY_E_NOT_FOUND;
    }
    status = device_permit(device, FERRY_OP_IRQ_RAISE, NULL);
    if (status == FERRY_OK && msi) {
        /* PCI 3.0, 6.8.1.6: with fewer vectors than asked for, they are shared. */
        device_msi_raise(device, vector % enabled_count(device));
    } else if (status == FERRY_OK) {
        device_msix_raise(device, vector);
    }
    return status;
}
