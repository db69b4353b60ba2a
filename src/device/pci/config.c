/* SPDX-License-Identifier: BSD-3-Clause */
#include "device/pci/config.h"

#include <string.h>

#include "base/reader.h"
#include "base/writer.h"
#include "device/device_private.h"

#define PCIE_FLR 0x80u /* in the upper byte of device control */

void device_config_power_on(struct device_config *config)
{
    memcpy(config->byte, config->initial, sizeof(config->byte));
    config->asleep = 0;
}

void device_config_settle(struct device_config *config)
{
    config->asleep = (config->byte[config->pm_off + DEVICE_PCI_PM_CONTROL] &
                      DEVICE_PCI_PM_STATE) == DEVICE_PCI_PM_D3HOT;
}

uint16_t device_config_get16(const struct device_config *config, uint32_t off)
{
    return ferry_load_le16(config->byte + off);
}

void device_config_intx_status(struct device_config *config, int level)
{
    uint8_t *status = config->byte + DEVICE_PCI_STATUS;

    *status = (uint8_t)((*status & ~DEVICE_PCI_STATUS_INTX) |
                        (level ? DEVICE_PCI_STATUS_INTX : 0u));
}

void device_config_wake(struct device_config *config)
{
    config->byte[config->pm_off + DEVICE_PCI_PM_CONTROL] &= (uint8_t)~DEVICE_PCI_PM_STATE;
    config->asleep = 0;
}

int device_config_bus_master(const struct device_config *config)
{
    return (device_config_get16(config, DEVICE_PCI_COMMAND) &
            DEVICE_PCI_COMMAND_MASTER) != 0;
}

int device_config_asleep(const struct device_config *config)
{
    return config->asleep != 0;
}

int device_config_msix_on(const struct device_config *config)
{
    return config->msix_off != 0 &&
           (device_config_get16(config, config->msix_off + DEVICE_PCI_MSIX_CONTROL) &
            (DEVICE_PCI_MSIX_ENABLE | DEVICE_PCI_MSIX_FUNCTION_MASK)) ==
               DEVICE_PCI_MSIX_ENABLE;
}

void device_config_msix_enable(struct device_config *config)
{
    const uint32_t off = config->msix_off + DEVICE_PCI_MSIX_CONTROL;
    const uint32_t value = device_config_get16(config, off);

    /* As the kernel does; a function that is already enabled keeps its own mask. */
    if ((value & DEVICE_PCI_MSIX_ENABLE) == 0) {
        ferry_store_le16(config->byte + off, (uint16_t)((value | DEVICE_PCI_MSIX_ENABLE) &
                                                        ~DEVICE_PCI_MSIX_FUNCTION_MASK));
    }
}

/*
 * The trapped capability that an access at off meets.
 * Return: its number and *ret_len, the bytes from off that belong to it; or -1 and the
 * bytes until the next one begins (count at most).
 */
static int trapped_at(const struct device_config *config, uint32_t off, size_t count,
                      size_t *ret_len)
{
    size_t len = count;

    for (uint32_t i = 0; i < DEVICE_CONFIG_CAPS_MAX; i++) {
        const struct device_config_cap *cap = &config->cap[i];

        if (cap->trapped == 0 || off >= cap->end) {
            continue;
        }
        if (off >= cap->body) {
            *ret_len = count < cap->end - off ? count : cap->end - off;
            return (int)i;
        }
        len = len < cap->body - off ? len : cap->body - off;
    }
    *ret_len = len;
    return -1;
}

int device_config_read(struct ferry_device *device, uint64_t off, void *ret_data,
                       size_t count)
{
    const struct device_config *config = &device->config;
    uint8_t *to = ret_data;
    uint32_t at = (uint32_t)off;

    while (count > 0) {
        size_t len;
        const int cap = trapped_at(config, at, count, &len);

        if (cap < 0) {
            memcpy(to, config->byte + at, len);
        } else {
            const uint32_t inside = at - config->cap[cap].off;
            const int status = device->ops.cap_read(device->state, device, (uint32_t)cap,
                                                    inside, to, len);
            if (status < 0) {
                return status;
            }
        }
        at += (uint32_t)len;
        to += len;
        count -= len;
    }
    return FERRY_OK;
}

/* Plain bytes; returns 1 when the write starts a function level reset. */
static int write_bytes(struct device_config *config, uint32_t at, const uint8_t *from,
                       size_t count)
{
    const uint32_t pm = config->pm_off + DEVICE_PCI_PM_CONTROL;
    const uint32_t flr = config->pcie_off + DEVICE_PCI_EXPRESS_CONTROL + 1;
    int reset = 0;

    for (size_t i = 0; i < count; i++) {
        const uint32_t off = at + (uint32_t)i;
        const uint8_t mask = config->mask[off];
        uint8_t value = (uint8_t)((config->byte[off] & ~mask) | (from[i] & mask));

        if (off == pm && (value & DEVICE_PCI_PM_STATE) != 0 &&
            (value & DEVICE_PCI_PM_STATE) != DEVICE_PCI_PM_D3HOT) {
            /* PCI PM 1.2, 3.2.4: a write of a state that is not there is discarded. */
            value = config->byte[off];
        }
        if (config->pcie_off != 0 && off == flr && (from[i] & PCIE_FLR) != 0) {
            reset = 1;
        }
        config->byte[off] = value;
    }
    return reset;
}

int device_config_write(struct ferry_device *device, uint64_t off, const void *data,
                        size_t count)
{
    struct device_config *config = &device->config;
    const uint8_t *from = data;
    uint32_t at = (uint32_t)off;
    int reset = 0, status = FERRY_OK;

    while (count > 0 && status >= 0) {
        size_t len;
        const int cap = trapped_at(config, at, count, &len);

        if (cap < 0) {
            reset |= write_bytes(config, at, from, len);
        } else if (config->cap[cap].writable) {
            status = device->ops.cap_write(device->state, device, (uint32_t)cap,
                                           at - config->cap[cap].off, from, len);
        }
        at += (uint32_t)len;
        from += len;
        count -= len;
    }
    if (reset) {
        device_reset(device);
    }
    /* Rule MIG-PM-1: while the device does not run, the new power state only waits. */
    if (ferry_access_get(FERRY_OP_POWER, device->mig.state)->verdict == FERRY_ALLOW) {
        device_config_settle(config);
    }
    device_irqs_flush(device);
    return status < 0 ? status : FERRY_OK;
}
