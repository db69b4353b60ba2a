/* SPDX-License-Identifier: BSD-3-Clause */
#include "device/pci/config.h"

#include <string.h>

#include "base/reader.h"
#include "base/writer.h"
#include "device/device_private.h"

/* Offsets and bits of the PCI header (PCI Local Bus 3.0, chapter 6). */
enum {
    PCI_VENDOR = 0x00,
    PCI_DEVICE = 0x02,
    PCI_COMMAND = 0x04,
    PCI_STATUS = 0x06,
    PCI_CLASS_REVISION = 0x08,
    PCI_CACHE_LINE = 0x0c,
    PCI_BAR0 = 0x10,
    PCI_SUBVENDOR = 0x2c,
    PCI_SUBDEVICE = 0x2e,
    PCI_ROM = 0x30,
    PCI_CAP_POINTER = 0x34,
    PCI_INTERRUPT_LINE = 0x3c,
    PCI_FIRST_CAP = 0x40
};
#define COMMAND_MASK 0x0546u /* memory, bus master, parity, SERR, INTx disable */
#define COMMAND_BUS_MASTER 0x04u
#define STATUS_CAP_LIST 0x0010u
#define BAR_64BIT 0x4u
#define BAR_PREFETCH 0x8u
#define ROM_ENABLE 0x1u

/* Capabilities. */
#define CAP_PM 0x01u
#define CAP_VENDOR 0x09u
#define CAP_PCIE 0x10u
#define CAP_MSIX 0x11u
#define PM_BYTES 8u
#define PM_CONTROL 4u
#define PM_STATE_MASK 0x3u
#define PM_D3HOT 3u
#define MSIX_BYTES 12u
#define MSIX_CONTROL 2u
#define MSIX_ENABLE 0x8000u
#define MSIX_FUNCTION_MASK 0x4000u
#define PCIE_BYTES 60u
#define PCIE_DEVICE_CAPS 4u
#define PCIE_DEVICE_CONTROL 8u
#define PCIE_FLR_ABLE (1u << 28)
#define PCIE_ROLE_BASED_ERRORS (1u << 15)
#define PCIE_FLR 0x80u /* in the upper byte of device control */
#define VENDOR_HEADER_BYTES 3u

static uint16_t get16(const struct device_config *config, uint32_t off)
{
    return ferry_load_le16(config->byte + off);
}

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
    put16(config, PCI_COMMAND, 0, COMMAND_MASK);
    put16(config, PCI_STATUS, STATUS_CAP_LIST, 0);
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
    put16(config, off + PCIE_DEVICE_CONTROL, 0, 0x7fff); /* starting an FLR is no state */
    put32(config, off + 12, 0x11, 0);                    /* link: 2.5 GT/s, one lane */
    put16(config, off + 16, 0, 0x00c0);                  /* link control: clock bits */
    put16(config, off + 18, 0x11, 0);
}

static void init_msix(struct device_config *config, const struct ferry_device_desc *desc,
                      uint32_t off)
{
    put16(config, off + MSIX_CONTROL, desc->msix_vectors - 1,
          MSIX_ENABLE | MSIX_FUNCTION_MASK);
    put32(config, off + 4, (uint32_t)desc->msix_table_off | desc->msix_bar, 0);
    put32(config, off + 8, (uint32_t)desc->msix_pba_off | desc->msix_bar, 0);
}

static int init_vendor_caps(struct device_config *config,
                            const struct ferry_device_desc *desc, uint32_t *tail,
                            uint32_t *end, struct ferry_error *reterr)
{
    for (uint32_t i = 0; i < desc->cap_count; i++) {
        const struct ferry_device_cap *cap = &desc->cap[i];
        const uint32_t body = cap->length - VENDOR_HEADER_BYTES;
        const uint32_t off = add_cap(config, CAP_VENDOR, cap->length, tail, end);

        if (off == 0) {
            return ferry_error_set(reterr, FERRY_E_ARGUMENT, "device", NULL, *end,
                                   "cap[%u]: %u bytes do not fit into config space", i,
                                   cap->length);
        }
        config->initial[off + 2] = cap->length;
        if (cap->bytes != NULL) {
            memcpy(config->initial + off + VENDOR_HEADER_BYTES, cap->bytes, body);
        }
        memset(config->mask + off + VENDOR_HEADER_BYTES, cap->writable ? 0xff : 0, body);
        config->cap[i] = *cap;
        config->cap[i].bytes = NULL;
        config->cap_off[i] = off;
    }
    config->cap_count = desc->cap_count;
    return FERRY_OK;
}

int device_config_init(struct device_config *config, const struct ferry_device_desc *desc,
                       struct ferry_error *reterr)
{
    uint32_t tail = PCI_CAP_POINTER, end = PCI_FIRST_CAP;
    int status;

    init_header(config, &desc->identity);
    init_bars(config, desc->region);
    config->pm_off = add_cap(config, CAP_PM, PM_BYTES, &tail, &end);
    put16(config, config->pm_off + 2, 3, 0); /* PM 1.2, no D1, no D2 */
    /* Linux restores config space after D3hot unless No_Soft_Reset (bit 3) is set. */
    put16(config, config->pm_off + PM_CONTROL, 0x8, PM_STATE_MASK);
    config->pcie_off = add_cap(config, CAP_PCIE, PCIE_BYTES, &tail, &end);
    init_pcie(config, config->pcie_off);
    if (desc->msix_vectors != 0) {
        config->msix_off = add_cap(config, CAP_MSIX, MSIX_BYTES, &tail, &end);
        init_msix(config, desc, config->msix_off);
    }
    status = init_vendor_caps(config, desc, &tail, &end, reterr);
    if (status == FERRY_OK) {
        device_config_power_on(config);
    }
    return status;
}

void device_config_power_on(struct device_config *config)
{
    memcpy(config->byte, config->initial, sizeof(config->byte));
}

void device_config_wake(struct device_config *config)
{
    config->byte[config->pm_off + PM_CONTROL] &= (uint8_t)~PM_STATE_MASK;
}

int device_config_bus_master(const struct device_config *config)
{
    return (get16(config, PCI_COMMAND) & COMMAND_BUS_MASTER) != 0;
}

int device_config_asleep(const struct device_config *config)
{
    return (config->byte[config->pm_off + PM_CONTROL] & PM_STATE_MASK) == PM_D3HOT;
}

int device_config_msix_on(const struct device_config *config)
{
    return config->msix_off != 0 && (get16(config, config->msix_off + MSIX_CONTROL) &
                                     (MSIX_ENABLE | MSIX_FUNCTION_MASK)) == MSIX_ENABLE;
}

void device_config_msix_enable(struct device_config *config)
{
    const uint32_t off = config->msix_off + MSIX_CONTROL;
    const uint32_t value = get16(config, off);

    /* As the kernel does; a function that is already enabled keeps its own mask. */
    if ((value & MSIX_ENABLE) == 0) {
        ferry_store_le16(config->byte + off,
                         (uint16_t)((value | MSIX_ENABLE) & ~MSIX_FUNCTION_MASK));
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

    for (uint32_t i = 0; i < config->cap_count; i++) {
        const uint32_t first = config->cap_off[i] + VENDOR_HEADER_BYTES;
        const uint32_t end = config->cap_off[i] + config->cap[i].length;

        if (config->cap[i].trapped == 0 || off >= end) {
            continue;
        }
        if (off >= first) {
            *ret_len = count < end - off ? count : end - off;
            return (int)i;
        }
        len = len < first - off ? len : first - off;
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

    memset(to, 0, count); /* the extended space */
    while (count > 0 && at < DEVICE_CONFIG_BYTES) {
        const size_t room = DEVICE_CONFIG_BYTES - at;
        size_t len;
        const int cap = trapped_at(config, at, count < room ? count : room, &len);

        if (cap < 0) {
            memcpy(to, config->byte + at, len);
        } else {
            const uint32_t inside = at - config->cap_off[cap];
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
    const uint32_t pm = config->pm_off + PM_CONTROL;
    const uint32_t flr = config->pcie_off + PCIE_DEVICE_CONTROL + 1;
    int reset = 0;

    for (size_t i = 0; i < count; i++) {
        const uint32_t off = at + (uint32_t)i;
        const uint8_t mask = config->mask[off];
        uint8_t value = (uint8_t)((config->byte[off] & ~mask) | (from[i] & mask));

        if (off == pm && (value & PM_STATE_MASK) != 0 &&
            (value & PM_STATE_MASK) != PM_D3HOT) {
            /* PCI PM 1.2, 3.2.4: a write of a state that is not there is discarded. */
            value = config->byte[off];
        }
        if (off == flr && (from[i] & PCIE_FLR) != 0) {
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

    while (count > 0 && at < DEVICE_CONFIG_BYTES && status >= 0) {
        const size_t room = DEVICE_CONFIG_BYTES - at;
        size_t len;
        const int cap = trapped_at(config, at, count < room ? count : room, &len);

        if (cap < 0) {
            reset |= write_bytes(config, at, from, len);
        } else if (config->cap[cap].writable) {
            status = device->ops.cap_write(device->state, device, (uint32_t)cap,
                                           at - config->cap_off[cap], from, len);
        }
        at += (uint32_t)len;
        from += len;
        count -= len;
    }
    if (reset) {
        device_reset(device);
    }
    device_msix_flush(device);
    return status < 0 ? status : FERRY_OK;
}
