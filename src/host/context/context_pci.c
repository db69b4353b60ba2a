/* SPDX-License-Identifier: BSD-3-Clause */
#include "host/context/context_pci.h"

#include <string.h>

#include "base/reader.h"
#include "ferry/error.h"

#define HEADER_BYTES 64u
#define STATUS_OFF 0x06u
#define STATUS_CAPS 0x10u
#define HEADER_TYPE_OFF 0x0eu
#define CAP_POINTER_OFF 0x34u
#define CAPS_END 256u
#define VIRTIO_VENDOR 0x1af4u
#define VIRTIO_CAP_PCI_CFG 5u
#define VIRTIO_WINDOW_OFF 16u
#define VIRTIO_WINDOW_CAP_BYTES 20u

/* Bytes that a capability has at least; 2 for the ones that are only passed over. */
static uint32_t cap_bytes_min(uint8_t id)
{
    switch (id) {
    case FERRY_PCI_CAP_PM:
        return 8;
    case FERRY_PCI_CAP_MSI:
        return 10;
    case FERRY_PCI_CAP_VENDOR:
        return 3;
    case FERRY_PCI_CAP_EXPRESS:
        return 12;
    case FERRY_PCI_CAP_MSIX:
        return 12;
    default:
        return 2;
    }
}

static int malformed(struct ferry_host_pci *pci, const char *problem)
{
    pci->problem = problem;
    return FERRY_E_PROTOCOL;
}

/* Looks into one capability. bytes: the min of its kind. */
static int read_cap(const struct ferry_host_pci_reader *reader,
                    struct ferry_host_pci *pci, struct ferry_host_pci_cap *cap)
{
    uint8_t bytes[16] = { 0 };
    int rc = reader->read(reader->user, cap->off, bytes, cap->bytes);

    if (rc != FERRY_OK) {
        return rc;
    }
    if (cap->id == FERRY_PCI_CAP_VENDOR) {
        cap->bytes = bytes[2];
        if (cap->bytes < 3 || (uint32_t)cap->off + cap->bytes > CAPS_END ||
            (uint32_t)cap->off + cap->bytes > reader->config_bytes) {
            return malformed(pci, "a vendor capability's length is wrong");
        }
        if (pci->vendor == VIRTIO_VENDOR && cap->bytes >= VIRTIO_WINDOW_CAP_BYTES) {
            rc = reader->read(reader->user, cap->off + 3u, bytes, 1);
            if (rc == FERRY_OK && bytes[0] == VIRTIO_CAP_PCI_CFG) {
                cap->window = VIRTIO_WINDOW_OFF;
            }
        }
        return rc;
    }
    if (cap->id == FERRY_PCI_CAP_MSIX) {
        const uint32_t table = ferry_load_le32(bytes + 4);

        if (pci->msix_off != 0) {
            return malformed(pci, "two MSI-X capabilities");
        }
        pci->msix_off = cap->off;
        pci->msix_vectors = (ferry_load_le16(bytes + 2) & 0x7ffu) + 1u;
        pci->msix_bar = table & 7u;
        pci->msix_table_off = table & ~7u;
    }
    return FERRY_OK;
}

static int walk(const struct ferry_host_pci_reader *reader, struct ferry_host_pci *pci,
                uint8_t first)
{
    const uint32_t end =
        reader->config_bytes < CAPS_END ? reader->config_bytes : CAPS_END;
    uint32_t off = first & 0xfcu;

    while (off != 0) {
        struct ferry_host_pci_cap *cap = &pci->cap[pci->cap_count];
        uint8_t head[2];
        int rc;

        /* A list that comes back to itself would never end. */
        if (pci->cap_count == FERRY_HOST_PCI_CAPS_MAX) {
            return malformed(pci, "the list of capabilities does not end");
        }
        if (off < HEADER_BYTES || off + 2 > end) {
            return malformed(pci, "a capability lies in the header or past the end");
        }
        rc = reader->read(reader->user, off, head, sizeof(head));
        if (rc != FERRY_OK) {
            return rc;
        }
        *cap = (struct ferry_host_pci_cap){ .off = (uint8_t)off,
                                            .id = head[0],
                                            .bytes = (uint8_t)cap_bytes_min(head[0]) };
        if (off + cap->bytes > end) {
            return malformed(pci, "a capability reaches past the end");
        }
        if (cap->bytes > 2) {
            rc = read_cap(reader, pci, cap);
            if (rc != FERRY_OK) {
                return rc;
            }
        }
        pci->cap_count++;
        off = head[1] & 0xfcu;
    }
    return FERRY_OK;
}

/* The list in the extended space, which a device without one answers with 0 or ones. */
static int walk_ext(const struct ferry_host_pci_reader *reader,
                    struct ferry_host_pci *pci)
{
    uint32_t off = CAPS_END;

    while (off != 0) {
        struct ferry_host_pci_ext *ext = &pci->ext[pci->ext_count];
        uint8_t bytes[8];
        uint32_t head;
        int rc;

        if (off + sizeof(bytes) > reader->config_bytes) {
            return off == CAPS_END ? FERRY_OK
                                   : malformed(pci, "an extended capability reaches past "
                                                    "the end");
        }
        rc = reader->read(reader->user, off, bytes, sizeof(bytes));
        head = ferry_load_le32(bytes);
        if (rc != FERRY_OK || (off == CAPS_END && (head == 0 || head == UINT32_MAX))) {
            return rc;
        }
        if (pci->ext_count == FERRY_HOST_PCI_EXT_MAX) {
            return malformed(pci, "the list of extended capabilities does not end");
        }
        *ext = (struct ferry_host_pci_ext){ .off = (uint16_t)off,
                                            .id = (uint16_t)(head & 0xffffu),
                                            .bytes = 4 };
        if (ext->id == FERRY_PCI_EXT_VENDOR) {
            ext->bytes = (uint16_t)(ferry_load_le32(bytes + 4) >> 20);
            if (ext->bytes < FERRY_PCI_EXT_VENDOR_HEADER ||
                off + ext->bytes > reader->config_bytes) {
                return malformed(pci, "an extended vendor capability's length is wrong");
            }
        }
        pci->ext_count++;
        off = head >> 20 & 0xffcu;
        if (off != 0 && off < CAPS_END) {
            return malformed(pci, "an extended capability lies in the first 256 bytes");
        }
    }
    return FERRY_OK;
}

int ferry_host_pci_scan(const struct ferry_host_pci_reader *reader,
                        struct ferry_host_pci *ret_pci)
{
    uint8_t header[HEADER_BYTES];
    int rc;

    memset(ret_pci, 0, sizeof(*ret_pci));
    rc = reader->read(reader->user, 0, header, sizeof(header));
    if (rc != FERRY_OK) {
        return rc;
    }
    if ((header[HEADER_TYPE_OFF] & 0x7fu) != 0) {
        return malformed(ret_pci, "the header is not that of an ordinary device");
    }
    ret_pci->vendor = ferry_load_le16(header);
    ret_pci->device = ferry_load_le16(header + 2);
    ret_pci->class_revision = ferry_load_le32(header + 8);
    ret_pci->subvendor = ferry_load_le16(header + 0x2c);
    ret_pci->subdevice = ferry_load_le16(header + 0x2e);
    /* class << 8 | revision is how it lies there. */
    if ((ferry_load_le16(header + STATUS_OFF) & STATUS_CAPS) == 0) {
        return FERRY_OK;
    }
    rc = walk(reader, ret_pci, header[CAP_POINTER_OFF]);
    return rc == FERRY_OK ? walk_ext(reader, ret_pci) : rc;
}
