/* SPDX-License-Identifier: BSD-3-Clause */
#include <string.h>

#include "base/reader.h"
#include "base/writer.h"
#include "device/device_private.h"
#include "device/pci/config.h"

/* Power-on values and write masks of the config space, out of a description. */

enum {
    PCI_VENDOR = 0x00,
    PCI_DEVICE = 0x02,
    PCI_CLASS_REVISION = 0x08,
    PCI_CACHE_LINE = 0x0c,
    PCI_BAR0 = 0x10,
    PCI_SUBVENDOR = 0x2c,
    PCI_SUBDEVICE = 0x2e,
    PCI_ROM = 0x30,
    PCI_CAP_POINTER = 0x34,
    PCI_INTERRUPT_LINE = 0x3c,
    PCI_INTERRUPT_PIN = 0x3d,
    PCI_FIRST_CAP = 0x40,
    PCI_FIRST_EXT_CAP = 0x100
};
#define COMMAND_MASK 0x0546u /* memory, bus master, parity, SERR, INTx disable */
#define STATUS_CAP_LIST 0x0010u
#define BAR_64BIT 0x4u
#define BAR_PREFETCH 0x8u
#define ROM_ENABLE 0x1u

/* Capabilities. */
#define CAP_PM 0x01u
#define CAP_MSI 0x05u
#define CAP_VENDOR 0x09u
#define CAP_PCIE 0x10u
#define CAP_MSIX 0x11u
#define PM_BYTES 8u
#define MSI_BYTES 24u
#define MSI_64BIT 0x0080u
#define MSI_PER_VECTOR 0x0100u
#define MSI_COUNT_SHIFT 1u
#define MSIX_BYTES 12u
#define PCIE_BYTES 60u
#define PCIE_DEVICE_CAPS 4u
#define PCIE_FLR_ABLE (1u << 28)
#define PCIE_ROLE_BASED_ERRORS (1u << 15)
#define VENDOR_HEADER_BYTES 3u

/* Extended capabilities: id, version << 16, next << 20. */
#define EXT_CAP_SERIAL 0x0003u
#define EXT_CAP_VENDOR 0x000bu
#define EXT_VERSION_1 (1u << 16)
#define EXT_NEXT_SHIFT 20u
#define SERIAL_BYTES 12u
#define VSEC_HEADER_BYTES 8u
#define VSEC_REVISION_SHIFT 16u
#define VSEC_LENGTH_SHIFT 20u

static void put16(struct device_config *config, uint32_t off, uint32_t value,
                  uint32_t mask)
{
    ferry_store_le16(config->initial + off, (uint16_t)value);
    ferry_store_le16(config->mask + off, (uint16_t)mask);
}

static void put32(struct device_config *config, uint32_t off, uint32_t value,
                  uint32_t mask)
{
    ferry_store_le32(config->initial + off, value);
    ferry_store_le32(config->mask + off, mask);
}

static void init_header(struct device_config *config,
                        const struct ferry_identity *identity)
{
    put16(config, PCI_VENDOR, identity->pci_vendor, 0);
    put16(config, PCI_DEVICE, identity->pci_device, 0);
    put16(config, DEVICE_PCI_COMMAND, 0, COMMAND_MASK);
    put16(config, DEVICE_PCI_STATUS, STATUS_CAP_LIST, 0);
    put32(config, PCI_CLASS_REVISION, identity->pci_class, 0);
    put16(config, PCI_CACHE_LINE, 0, 0xff);
    put16(config, PCI_SUBVENDOR, identity->pci_subvendor, 0);
    put16(config, PCI_SUBDEVICE, identity->pci_subdevice, 0);
    put16(config, PCI_INTERRUPT_LINE, 0, 0xff);
}

/* The bits below a BAR's size cannot be written: a user who writes all ones reads the
 * size. */
static void init_bars(struct device_config *config,
                      const struct ferry_device_region *region)
{
    for (uint32_t i = 0; i < 6; i++) {
        const struct ferry_device_region *bar = &region[i];
        const uint64_t mask = ~(bar->size_bytes - 1);
        uint32_t flags = 0;

        if (bar->size_bytes == 0) {
            continue;
        }
        flags |= (bar->flags & FERRY_BAR_64BIT) != 0 ? BAR_64BIT : 0;
        flags |= (bar->flags & FERRY_BAR_PREFETCH) != 0 ? BAR_PREFETCH : 0;
        put32(config, PCI_BAR0 + 4 * i, flags, (uint32_t)mask);
        if ((bar->flags & FERRY_BAR_64BIT) != 0) {
            put32(config, PCI_BAR0 + 4 * (i + 1), 0, (uint32_t)(mask >> 32));
        }
    }
    if (region[FERRY_REGION_ROM].size_bytes != 0) {
        const uint64_t mask = ~(region[FERRY_REGION_ROM].size_bytes - 1);

        put32(config, PCI_ROM, 0, (uint32_t)mask | ROM_ENABLE);
    }
}

/*
 * Appends a capability of `bytes` bytes to the list.
 * *tail: where the pointer to it goes; *end: first free offset. Both are moved on.
 * Return: its offset, or 0 when there is no room.
 */
static uint32_t add_cap(struct device_config *config, uint32_t id, uint32_t bytes,
                        uint32_t *tail, uint32_t *end)
{
    const uint32_t off = *end;

    if (off + bytes > DEVICE_CONFIG_BYTES) {
        return 0;
    }
    config->initial[*tail] = (uint8_t)off;
    config->initial[off] = (uint8_t)id;
    *tail = off + 1;
    *end = (off + bytes + 3) & ~3u;
    return off;
}

static void init_pcie(struct device_config *config, uint32_t off)
{
    put16(config, off + 2, 2, 0); /* version 2, endpoint */
    put32(config, off + PCIE_DEVICE_CAPS, PCIE_FLR_ABLE | PCIE_ROLE_BASED_ERRORS, 0);
    put16(config, off + DEVICE_PCI_EXPRESS_CONTROL, 0,
          0x7fff);                      /* starting an FLR is no state */
    put32(config, off + 12, 0x11, 0);   /* link: 2.5 GT/s, one lane */
    put16(config, off + 16, 0, 0x00c0); /* link control: clock bits */
    put16(config, off + 18, 0x11, 0);
}

static void init_msix(struct device_config *config, const struct ferry_device_desc *desc,
                      uint32_t off)
{
    put16(config, off + DEVICE_PCI_MSIX_CONTROL, desc->msix_vectors - 1,
          DEVICE_PCI_MSIX_ENABLE | DEVICE_PCI_MSIX_FUNCTION_MASK);
    put32(config, off + 4, (uint32_t)desc->msix_table_off | desc->msix_bar, 0);
    put32(config, off + 8, (uint32_t)desc->msix_pba_off | desc->msix_bar, 0);
}

/* 64-bit addresses, a mask bit for each vector. */
static void init_msi(struct device_config *config, uint32_t vectors, uint32_t off)
{
    const uint32_t all = vectors == 32 ? UINT32_MAX : (1u << vectors) - 1;
    uint32_t log = 0;

    while (1u << log < vectors) {
        log++;
    }
    put16(config, off + DEVICE_PCI_MSI_CONTROL,
          MSI_64BIT | MSI_PER_VECTOR | log << MSI_COUNT_SHIFT,
          DEVICE_PCI_MSI_ENABLE | 7u << DEVICE_PCI_MSI_LOG_SHIFT);
    put32(config, off + 4, 0, 0xfffffffcu);
    put32(config, off + 8, 0, UINT32_MAX);
    put16(config, off + 12, 0, 0xffff);
    put32(config, off + DEVICE_PCI_MSI_MASK, 0, all);
}

/* The body of a vendor capability, plain or extended. */
static void init_body(struct device_config *config, uint32_t number,
                      const struct device_config_cap *cap, const uint8_t *bytes)
{
    const uint32_t count = cap->end - cap->body;

    if (bytes != NULL) {
        memcpy(config->initial + cap->body, bytes, count);
    }
    memset(config->mask + cap->body, cap->writable ? 0xff : 0, count);
    config->cap[number] = *cap;
}

static int init_vendor_caps(struct device_config *config,
                            const struct ferry_device_desc *desc, uint32_t *tail,
                            uint32_t *end, struct ferry_error *reterr)
{
    for (uint32_t i = 0; i < desc->cap_count; i++) {
        const struct ferry_device_cap *from = &desc->cap[i];
        const uint32_t off = add_cap(config, CAP_VENDOR, from->length, tail, end);
        const struct device_config_cap cap = { .off = off,
                                               .body = off + VENDOR_HEADER_BYTES,
                                               .end = off + from->length,
                                               .writable = from->writable,
                                               .trapped = from->trapped };

        if (off == 0) {
            return ferry_error_set(reterr, FERRY_E_ARGUMENT, "device", NULL, *end,
                                   "cap[%u]: %u bytes do not fit into config space", i,
                                   from->length);
        }
        config->initial[off + 2] = from->length;
        init_body(config, i, &cap, from->bytes);
    }
    return FERRY_OK;
}

/*
 * Appends an extended capability. *last: the one before it, 0: none; *end: first free
 * offset. Return: its offset, or 0 when there is no room.
 */
static uint32_t add_ext_cap(struct device_config *config, uint32_t id, uint32_t bytes,
                            uint32_t *last, uint32_t *end)
{
    const uint32_t off = *end;

    if (off + bytes > config->bytes) {
        return 0;
    }
    put32(config, off, id | EXT_VERSION_1, 0);
    if (*last != 0) {
        put32(config, *last,
              ferry_load_le32(config->initial + *last) | off << EXT_NEXT_SHIFT, 0);
    }
    *last = off;
    *end = (off + bytes + 3) & ~3u;
    return off;
}

static int init_ext_caps(struct device_config *config,
                         const struct ferry_device_desc *desc, struct ferry_error *reterr)
{
    uint32_t last = 0, end = PCI_FIRST_EXT_CAP;

    if (desc->serial != 0) {
        const uint32_t off =
            add_ext_cap(config, EXT_CAP_SERIAL, SERIAL_BYTES, &last, &end);

        put32(config, off + 4, (uint32_t)desc->serial, 0);
        put32(config, off + 8, (uint32_t)(desc->serial >> 32), 0);
    }
    for (uint32_t i = 0; i < desc->ext_cap_count; i++) {
        const struct ferry_device_ext_cap *from = &desc->ext_cap[i];
        const uint32_t off =
            add_ext_cap(config, EXT_CAP_VENDOR, from->length, &last, &end);
        const struct device_config_cap cap = { .off = off,
                                               .body = off + VSEC_HEADER_BYTES,
                                               .end = off + from->length,
                                               .writable = from->writable,
                                               .trapped = from->trapped };

        if (off == 0) {
            return ferry_error_set(reterr, FERRY_E_ARGUMENT, "device", NULL, end,
                                   "ext_cap[%u]: %u bytes do not fit into config space",
                                   i, from->length);
        }
        put32(config, off + 4,
              from->vsec_id | (uint32_t)from->revision << VSEC_REVISION_SHIFT |
                  (uint32_t)from->length << VSEC_LENGTH_SHIFT,
              0);
        init_body(config, FERRY_DEVICE_CAPS_MAX + i, &cap, from->bytes);
    }
    return FERRY_OK;
}

int device_config_init(struct device_config *config, const struct ferry_device_desc *desc,
                       struct ferry_error *reterr)
{
    uint32_t tail = PCI_CAP_POINTER, end = PCI_FIRST_CAP;
    int status;

    config->bytes = (desc->flags & FERRY_DEVICE_CONVENTIONAL) != 0
                        ? DEVICE_CONFIG_BYTES
                        : DEVICE_CONFIG_SPACE_BYTES;
    init_header(config, &desc->identity);
    config->initial[PCI_INTERRUPT_PIN] = (uint8_t)desc->intx_pin;
    init_bars(config, desc->region);
    config->pm_off = add_cap(config, CAP_PM, PM_BYTES, &tail, &end);
    put16(config, config->pm_off + 2, 3, 0); /* PM 1.2, no D1, no D2 */
    /* Linux restores config space after D3hot unless No_Soft_Reset (bit 3) is set. */
    put16(config, config->pm_off + DEVICE_PCI_PM_CONTROL, 0x8, DEVICE_PCI_PM_STATE);
    if ((desc->flags & FERRY_DEVICE_CONVENTIONAL) == 0) {
        config->pcie_off = add_cap(config, CAP_PCIE, PCIE_BYTES, &tail, &end);
        init_pcie(config, config->pcie_off);
    }
    if (desc->msix_vectors != 0) {
        config->msix_off = add_cap(config, CAP_MSIX, MSIX_BYTES, &tail, &end);
        init_msix(config, desc, config->msix_off);
    }
    if (desc->msi_vectors != 0) {
        config->msi_off = add_cap(config, CAP_MSI, MSI_BYTES, &tail, &end);
        init_msi(config, desc->msi_vectors, config->msi_off);
    }
    status = init_vendor_caps(config, desc, &tail, &end, reterr);
    if (status == FERRY_OK) {
        status = init_ext_caps(config, desc, reterr);
    }
    if (status == FERRY_OK) {
        device_config_power_on(config);
    }
    return status;
}
