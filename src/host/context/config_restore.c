/* SPDX-License-Identifier: BSD-3-Clause */
#include <stdlib.h>
#include <string.h>

#include "base/reader.h"
#include "base/writer.h"
#include "core/stream/payload.h"
#include "host/context/config_inside.h"

/*
 * Writing what is controlled from outside, in this order:
 *
 *   command off   nothing may be decoded while addresses move
 *   header        BARs, ROM, the bytes that only software uses
 *   capabilities  all but MSI-X and power management
 *   MSI-X         the function masked; eventfds; the table; the control word as it was.
 *                 An eventfd un-masks its vector's entry, so the table comes after it;
 * while the function is masked nothing fires in between power         a device in D3 may
 * take no other writes command       last: the device decodes and is bus master from here
 * on
 */

#define EXPRESS_CONTROL 8u
#define EXPRESS_CONTROL_FLR 0x8000u
#define PM_CONTROL 4u
#define PM_CONTROL_PME_STATUS 0x8000u
#define MSI_CONTROL 2u
#define MSI_CONTROL_64BIT 0x80u
#define MSI_CONTROL_MASKS 0x100u

struct restore {
    struct ferry_host_device *device;
    struct ferry_stream_config blob;
    struct ferry_host_config now;
    struct ferry_error *reterr;
};

static int write_config(struct restore *restore, uint32_t off, const void *data,
                        uint32_t count)
{
    struct ferry_host_device *device = restore->device;
    const int rc = ferry_context_region_write(
        device->context, device->index, FERRY_HOST_CONFIG_REGION, off, data, count, 0);

    if (rc != FERRY_OK) {
        return ferry_error_set(restore->reterr, rc, FERRY_HOST_LAYER, NULL, off,
                               "device '%s': config space at 0x%x was not taken: %s",
                               device->name, off, ferry_status_text(rc));
    }
    memcpy(restore->now.data + off, data, count);
    return FERRY_OK;
}

/* Writes [off, off + count) in naturally aligned pieces, where it differs. */
static int put_range(struct restore *restore, uint32_t off, uint32_t count)
{
    const uint32_t end = off + count;

    while (off < end) {
        const uint32_t next = (off & ~3u) + 4u;
        const uint32_t piece = (next < end ? next : end) - off;
        const uint8_t *wanted = restore->blob.config + off;

        if (memcmp(wanted, restore->now.data + off, piece) != 0) {
            const int rc = write_config(restore, off, wanted, piece);

            if (rc != FERRY_OK) {
                return rc;
            }
        }
        off += piece;
    }
    return FERRY_OK;
}

/* Writes a 16-bit word without some bits. */
static int put_word(struct restore *restore, uint32_t off, uint16_t without)
{
    const uint16_t word = ferry_load_le16(restore->blob.config + off);
    uint8_t bytes[2];

    ferry_store_le16(bytes, (uint16_t)(word & ~without));
    if (memcmp(bytes, restore->now.data + off, sizeof(bytes)) == 0) {
        return FERRY_OK;
    }
    return write_config(restore, off, bytes, sizeof(bytes));
}

static int put_header(struct restore *restore)
{
    static const struct {
        uint8_t off, count;
    } part_table[] = {
        { 0x0c, 2 }, /* cache line, latency timer */
        { FERRY_PCI_BAR_OFF, FERRY_PCI_BAR_END - FERRY_PCI_BAR_OFF },
        { FERRY_PCI_ROM_OFF, 4 },
        { 0x3c, 1 }, /* interrupt line */
    };
    const uint8_t off[2] = { 0, 0 };
    int rc = FERRY_OK;

    if (ferry_load_le16(restore->now.data + FERRY_PCI_COMMAND_OFF) != 0) {
        rc = write_config(restore, FERRY_PCI_COMMAND_OFF, off, sizeof(off));
    }
    for (size_t i = 0; i < sizeof(part_table) / sizeof(part_table[0]) && rc == FERRY_OK;
         i++) {
        rc = put_range(restore, part_table[i].off, part_table[i].count);
    }
    return rc;
}

static int put_msi(struct restore *restore, uint32_t off)
{
    const uint16_t control = ferry_load_le16(restore->blob.config + off + MSI_CONTROL);
    uint32_t bytes = (control & MSI_CONTROL_64BIT) != 0 ? 14u : 10u;
    int rc;

    if ((control & MSI_CONTROL_MASKS) != 0) {
        bytes += 6u; /* padding and mask bits; the pending bits behind are the device's */
    }
    if (off + bytes > restore->now.bytes) {
        return ferry_error_set(restore->reterr, FERRY_E_PROTOCOL, FERRY_HOST_LAYER, NULL,
                               off,
                               "device '%s': the MSI capability reaches past the end",
                               restore->device->name);
    }
    rc = put_range(restore, off + 4u, bytes - 4u);
    return rc == FERRY_OK ? put_word(restore, off + MSI_CONTROL, 0) : rc;
}

static int put_vendor(struct restore *restore, const struct ferry_host_pci_cap *cap)
{
    const uint32_t window = (uint32_t)cap->off + cap->window;
    const uint32_t end = (uint32_t)cap->off + cap->bytes;
    int rc;

    if (cap->window == 0) {
        return put_range(restore, cap->off + 3u, cap->bytes - 3u);
    }
    /* Writing the window would write a BAR. */
    rc = put_range(restore, cap->off + 3u, window - cap->off - 3u);
    return rc == FERRY_OK ? put_range(restore, window + 4u, end - window - 4u) : rc;
}

/* What a user can write of the extended space: the bodies of vendor capabilities. */
static int put_ext_caps(struct restore *restore)
{
    int rc = FERRY_OK;

    for (uint32_t i = 0; i < restore->now.pci.ext_count && rc == FERRY_OK; i++) {
        const struct ferry_host_pci_ext *ext = &restore->now.pci.ext[i];

        if (ext->id == FERRY_PCI_EXT_VENDOR) {
            rc = put_range(restore, ext->off + FERRY_PCI_EXT_VENDOR_HEADER,
                           ext->bytes - FERRY_PCI_EXT_VENDOR_HEADER);
        }
    }
    return rc;
}

static int put_caps(struct restore *restore)
{
    int rc = FERRY_OK;

    for (uint32_t i = 0; i < restore->now.pci.cap_count && rc == FERRY_OK; i++) {
        const struct ferry_host_pci_cap *cap = &restore->now.pci.cap[i];

        if (cap->id == FERRY_PCI_CAP_VENDOR) {
            rc = put_vendor(restore, cap);
        } else if (cap->id == FERRY_PCI_CAP_EXPRESS) {
            rc = put_word(restore, cap->off + EXPRESS_CONTROL, EXPRESS_CONTROL_FLR);
        } else if (cap->id == FERRY_PCI_CAP_MSI) {
            rc = put_msi(restore, cap->off);
        }
    }
    return rc;
}

static int put_power(struct restore *restore)
{
    int rc = FERRY_OK;

    for (uint32_t i = 0; i < restore->now.pci.cap_count && rc == FERRY_OK; i++) {
        const struct ferry_host_pci_cap *cap = &restore->now.pci.cap[i];

        if (cap->id == FERRY_PCI_CAP_PM) {
            rc = put_word(restore, cap->off + PM_CONTROL, PM_CONTROL_PME_STATUS);
        }
    }
    return rc;
}

/* In one piece; entry by entry in 32-bit words for a server that takes no more. */
static int put_table(struct restore *restore)
{
    struct ferry_host_device *device = restore->device;
    const uint32_t bytes = device->msix_vectors * FERRY_MSIX_ENTRY_BYTES;
    int rc =
        ferry_context_region_write(device->context, device->index, device->msix_bar,
                                   device->msix_table_off, restore->blob.msix, bytes, 0);

    if (rc != FERRY_OK && rc != FERRY_E_CLOSED && rc != FERRY_E_TIMEOUT) {
        rc = FERRY_OK;
        for (uint32_t off = 0; off < bytes && rc == FERRY_OK; off += 4u) {
            rc = ferry_context_region_write(
                device->context, device->index, device->msix_bar,
                device->msix_table_off + off, restore->blob.msix + off, 4, 0);
        }
    }
    if (rc != FERRY_OK) {
        return ferry_error_set(restore->reterr, rc, FERRY_HOST_LAYER, NULL, 0,
                               "device '%s': the MSI-X table was not taken: %s",
                               device->name, ferry_status_text(rc));
    }
    return FERRY_OK;
}

/* MSI's control word once more: taking eventfds for it has enabled it. */
static int put_msi_control(struct restore *restore)
{
    int rc = FERRY_OK;

    if (restore->device->irq_index != FERRY_IRQ_MSI || restore->device->irq_count == 0) {
        return FERRY_OK;
    }
    for (uint32_t i = 0; i < restore->now.pci.cap_count && rc == FERRY_OK; i++) {
        const uint32_t off = (uint32_t)restore->now.pci.cap[i].off + MSI_CONTROL;

        if (restore->now.pci.cap[i].id == FERRY_PCI_CAP_MSI) {
            rc = write_config(restore, off, restore->blob.config + off, 2);
        }
    }
    return rc;
}

static int put_msix(struct restore *restore)
{
    struct ferry_host_device *device = restore->device;
    const uint32_t off = device->msix_cap_off + FERRY_PCI_MSIX_CONTROL;
    uint8_t masked[2];
    int rc;

    if (device->msix_cap_off == 0) {
        rc = ferry_host_irqs_send(device, restore->reterr);
        return rc == FERRY_OK ? put_msi_control(restore) : rc;
    }
    ferry_store_le16(masked, (uint16_t)(ferry_load_le16(restore->blob.config + off) |
                                        FERRY_PCI_MSIX_FUNCTION_MASK));
    rc = write_config(restore, off, masked, sizeof(masked));
    if (rc == FERRY_OK) {
        rc = ferry_host_irqs_send(device, restore->reterr);
    }
    if (rc == FERRY_OK) {
        rc = put_table(restore);
    }
    if (rc == FERRY_OK) {
        rc = put_msi_control(restore);
    }
    return rc == FERRY_OK ? put_word(restore, off, 0) : rc;
}

/* The device may have ignored what it was told: it must not run with other addresses. */
static int verify(struct restore *restore)
{
    struct ferry_host_device *device = restore->device;
    uint8_t header[FERRY_PCI_BAR_END];
    const int rc =
        ferry_context_region_read(device->context, device->index,
                                  FERRY_HOST_CONFIG_REGION, 0, header, sizeof(header));

    if (rc != FERRY_OK) {
        return ferry_error_set(restore->reterr, rc, FERRY_HOST_LAYER, NULL, 0,
                               "device '%s': config space cannot be read back: %s",
                               device->name, ferry_status_text(rc));
    }
    for (uint32_t off = 0; off < sizeof(header); off++) {
        const int command =
            off == FERRY_PCI_COMMAND_OFF || off == FERRY_PCI_COMMAND_OFF + 1;

        if ((command || off >= FERRY_PCI_BAR_OFF) &&
            header[off] != restore->blob.config[off]) {
            return ferry_error_set(
                restore->reterr, FERRY_E_DEVICE, FERRY_HOST_LAYER, NULL, off,
                "device '%s': config space at 0x%x is 0x%02x after "
                "0x%02x was written",
                device->name, off, header[off], restore->blob.config[off]);
        }
    }
    return FERRY_OK;
}

int ferry_host_config_restore(struct ferry_context *context, uint32_t device,
                              const void *blob, size_t bytes, struct ferry_error *reterr)
{
    static int (*const step_table[])(struct restore *) = {
        put_header, put_caps, put_ext_caps, put_msix, put_power,
    };
    struct ferry_host_device *of = ferry_host_device(context, device);
    struct restore *restore;
    int rc;

    if (of == NULL) {
        return ferry_error_set(reterr, FERRY_E_NOT_FOUND, FERRY_HOST_LAYER, NULL, 0,
                               "no device %u", device);
    }
    restore = calloc(1, sizeof(*restore));
    if (restore == NULL) {
        return ferry_error_set(reterr, FERRY_E_MEMORY, FERRY_HOST_LAYER, NULL, 0,
                               "device '%s': out of memory", of->name);
    }
    restore->device = of;
    restore->reterr = reterr;
    rc = ferry_host_config_match(of, blob, bytes, &restore->blob, &restore->now, reterr);
    for (size_t i = 0; i < sizeof(step_table) / sizeof(step_table[0]) && rc == FERRY_OK;
         i++) {
        rc = step_table[i](restore);
    }
    if (rc == FERRY_OK) {
        rc = put_word(restore, FERRY_PCI_COMMAND_OFF, 0);
    }
    if (rc == FERRY_OK) {
        rc = verify(restore);
    }
    free(restore);
    return rc;
}
