/* SPDX-License-Identifier: BSD-3-Clause */
#include "base/reader.h"
#include "host/file/fields.h"

/* Config space by the names of the PCI specification. Source: <linux/pci_regs.h>. */

#define HEADER_BYTES 64u
#define EXTENDED_OFF 256u
#define CAPS_MAX 48u
#define STATUS_OFF 6u
#define STATUS_CAP_LIST 0x10u
#define CAP_POINTER_OFF 0x34u
#define MSIX_ENTRY_BYTES 16u
#define MSIX_SHOWN_MAX 64u

static const struct {
    const char *name;
    uint8_t off, bytes;
} header[] = {
    { "vendor", 0, 2 },
    { "device", 2, 2 },
    { "command", 4, 2 },
    { "status", 6, 2 },
    { "revision", 8, 1 },
    { "cache_line", 0x0c, 1 },
    { "latency", 0x0d, 1 },
    { "header_type", 0x0e, 1 },
    { "bar0", 0x10, 4 },
    { "bar1", 0x14, 4 },
    { "bar2", 0x18, 4 },
    { "bar3", 0x1c, 4 },
    { "bar4", 0x20, 4 },
    { "bar5", 0x24, 4 },
    { "subsystem_vendor", 0x2c, 2 },
    { "subsystem", 0x2e, 2 },
    { "rom", 0x30, 4 },
    { "capabilities", 0x34, 1 },
    { "interrupt_line", 0x3c, 1 },
    { "interrupt_pin", 0x3d, 1 },
};

static const char *cap_name(uint32_t cap)
{
    static const char *const names[] = {
        [0x01] = "power management",
        [0x03] = "VPD",
        [0x05] = "MSI",
        [0x09] = "vendor specific",
        [0x10] = "PCIe",
        [0x11] = "MSI-X",
        [0x12] = "SATA",
        [0x13] = "advanced",
        [0x14] = "EA",
    };

    return cap < sizeof(names) / sizeof(names[0]) && names[cap] ? names[cap] : "?";
}

static const char *ext_cap_name(uint32_t cap)
{
    static const char *const names[] = {
        [0x01] = "AER",           [0x02] = "VC",
        [0x03] = "serial number", [0x0b] = "vendor specific",
        [0x0d] = "ACS",           [0x0e] = "ARI",
        [0x0f] = "ATS",           [0x10] = "SR-IOV",
        [0x13] = "PRI",           [0x15] = "resizable BAR",
        [0x18] = "LTR",           [0x1b] = "PASID",
        [0x23] = "DVSEC",
    };

    return cap < sizeof(names) / sizeof(names[0]) && names[cap] ? names[cap] : "?";
}

static void header_fields(struct ferry_fields *fields, const uint8_t *space)
{
    for (size_t i = 0; i < sizeof(header) / sizeof(header[0]); i++) {
        const uint8_t *at = space + header[i].off;
        uint64_t value = header[i].bytes == 4   ? ferry_load_le32(at)
                         : header[i].bytes == 2 ? ferry_load_le16(at)
                                                : *at;

        ferry_fields_number(fields, header[i].name, FERRY_SHOW_HEX, value);
    }
    ferry_fields_number(fields, "class", FERRY_SHOW_HEX, ferry_load_le32(space + 8) >> 8);
}

/* The lists are a peer's: no longer than CAPS_MAX, whatever they link to. */
static void caps(struct ferry_fields *fields, const uint8_t *space, uint32_t bytes)
{
    uint32_t off = space[CAP_POINTER_OFF] & 0xfcu;

    if (!(ferry_load_le16(space + STATUS_OFF) & STATUS_CAP_LIST)) {
        return;
    }
    for (uint32_t i = 0; i < CAPS_MAX && off >= HEADER_BYTES && off + 4 <= bytes; i++) {
        ferry_fields_text(fields, "cap", "0x%02x %s (0x%02x)", off, cap_name(space[off]),
                          space[off]);
        if (space[off] == 0x11 && off + 12 <= bytes) {
            ferry_fields_text(fields, "msix_control", "0x%04x%s%s",
                              ferry_load_le16(space + off + 2),
                              space[off + 3] & 0x80 ? " enabled" : "",
                              space[off + 3] & 0x40 ? " masked" : "");
        }
        off = space[off + 1] & 0xfcu;
    }
}

static void ext_caps(struct ferry_fields *fields, const uint8_t *space, uint32_t bytes)
{
    uint32_t off = EXTENDED_OFF;

    for (uint32_t i = 0; i < CAPS_MAX && off >= EXTENDED_OFF && off + 4 <= bytes; i++) {
        uint32_t head = ferry_load_le32(space + off);

        if (head == 0 || head == 0xffffffffu) {
            return;
        }
        ferry_fields_text(fields, "ext_cap", "0x%03x %s (0x%04x)", off,
                          ext_cap_name(head & 0xffffu), head & 0xffffu);
        off = head >> 20 & 0xffcu;
    }
}

static void msix(struct ferry_fields *fields, const struct ferry_stream_config *config)
{
    uint32_t shown = 0;

    ferry_fields_number(fields, "msix_entries", FERRY_SHOW_NUMBER, config->msix_entries);
    for (uint32_t i = 0; i < config->msix_entries && shown < MSIX_SHOWN_MAX; i++) {
        const uint8_t *entry = config->msix + (size_t)i * MSIX_ENTRY_BYTES;

        if (ferry_load_le64(entry) == 0 && ferry_load_le32(entry + 8) == 0) {
            continue; /* never set up */
        }
        shown++;
        ferry_fields_text(fields, "msix", "%u address 0x%llx data 0x%x%s", i,
                          (unsigned long long)ferry_load_le64(entry),
                          ferry_load_le32(entry + 8), entry[12] & 1 ? " masked" : "");
    }
}

void ferry_fields_config(struct ferry_fields *fields,
                         const struct ferry_stream_config *config)
{
    ferry_fields_number(fields, "config", FERRY_SHOW_BYTES, config->config_bytes);
    if (config->config_bytes >= HEADER_BYTES) {
        header_fields(fields, config->config);
        caps(fields, config->config, config->config_bytes);
        ext_caps(fields, config->config, config->config_bytes);
    }
    if (config->msix_entries > 0) {
        msix(fields, config);
    }
    ferry_fields_number(fields, "vectors_enabled", FERRY_SHOW_NUMBER, config->vectors);
}
