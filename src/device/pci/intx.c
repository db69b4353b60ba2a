/* SPDX-License-Identifier: BSD-3-Clause */
#include "device/device_private.h"
#include "device/pci/irq.h"
#include "os/eventfd.h"

/* May the line interrupt at all? PCI 3.0, 6.8.2.1: a function that uses MSI does not. */
static int wired(const struct ferry_device *device)
{
    const struct device_config *config = &device->config;

    return device->irqs.intx.fd >= 0 &&
           (device_config_get16(config, DEVICE_PCI_COMMAND) &
            DEVICE_PCI_COMMAND_INTX_OFF) == 0 &&
           !device_msi_on(device) &&
           (config->msix_off == 0 ||
            (device_config_get16(config, config->msix_off + DEVICE_PCI_MSIX_CONTROL) &
             DEVICE_PCI_MSIX_ENABLE) == 0);
}

void device_intx_flush(struct ferry_device *device)
{
    struct device_intx *intx = &device->irqs.intx;

    if (intx->asserted && !intx->masked && wired(device) &&
        device_permit(device, FERRY_OP_IRQ_RAISE, NULL) == FERRY_OK) {
        /* AUTOMASKED: one signal, then silence until the user has served it. */
        intx->masked = 1;
        (void)ferry_os_eventfd_signal(intx->fd);
    }
}

void device_intx_level(struct ferry_device *device, uint32_t level)
{
    device->irqs.intx.asserted = level;
    device_config_intx_status(&device->config, level != 0);
}

void device_intx_act(struct ferry_device *device, uint32_t action)
{
    struct device_intx *intx = &device->irqs.intx;

    if (action == FERRY_IRQ_SET_MASK) {
        intx->masked = 1;
    } else if (action == FERRY_IRQ_SET_UNMASK) {
        intx->masked = 0;
        device_intx_flush(device);
    } else if (wired(device)) {
        (void)ferry_os_eventfd_signal(intx->fd); /* loopback: the line stays as it is */
    }
}

int ferry_intx_set(struct ferry_device *device, int level)
{
    int status = FERRY_OK;

    if (device->irqs.intx.pin == 0) {
        return FERRY_E_NOT_FOUND;
    }
    if (level != 0) {
        status = device_permit(device, FERRY_OP_IRQ_RAISE, NULL);
    }
    if (status == FERRY_OK) {
        device_intx_level(device, level != 0);
        device_intx_flush(device);
    }
    return status;
}
