/* SPDX-License-Identifier: BSD-3-Clause */
#include <string.h>

#include "base/range.h"
#include "base/reader.h"
#include "base/writer.h"
#include "bridge/device/inside.h"
#include "bridge/device/link.h"
#include "bridge/say.h"

#define HEADER_BYTES 64u
#define LIST_END 256u /* of the capabilities' list; the extended one begins there */
#define STATUS_OFF 0x06u
#define STATUS_LIST 0x10u
#define HEADER_TYPE_OFF 0x0eu
#define BAR_OFF 0x10u
#define LIST_OFF 0x34u
#define PIN_OFF 0x3du
#define PIN_MAX 4u
#define ROM_OFF 0x30u
#define ROM_END 0x34u
#define ROM_ADDRESS 0xfffff800u
#define ROM_ENABLE 1u
#define CAP_MSI 0x05u
#define CAP_MSIX 0x11u
#define MSI_LOG_MAX 5u /* 32 vectors */
#define EXTENDED_LEAST 8u
#define EXTENDED_REBAR 0x15u /* BARs that change their size: 7 with 8 bytes each */
#define EXTENDED_REBAR_BYTES 68u

/* What is looked at. */
struct walk {
    struct bridge_config *config;
    const struct ferry_region_info *region;
    struct bridge_msix *msix;
    uint32_t bytes;
};

static void fix(struct bridge_config *config, uint32_t off, uint32_t count)
{
    memset(config->fixed + off, 0xff, count);
}

/* Bytes of a capability that a VMM touches, whatever follows it. */
static uint32_t least(const uint8_t *cap)
{
    static const uint8_t bytes[] = { [0x01] = 8,  /* power management */
                                     [0x09] = 3,  /* vendor */
                                     [0x10] = 20, /* express */
                                     [CAP_MSIX] = 12,
                                     [0x13] = 6 }; /* advanced features */
    uint32_t msi = 10;

    if (cap[0] == CAP_MSI) {
        msi += cap[2] & 0x80 ? 4 : 0;          /* addresses of 64 bits */
        return cap[3] & 0x01 ? msi + 10 : msi; /* mask and pending bits */
    }
    return cap[0] < sizeof(bytes) && bytes[cap[0]] > 2 ? bytes[cap[0]] : 2;
}

static int in_bar(const struct walk *walk, uint32_t place, uint64_t bytes)
{
    const uint32_t index = place & 7u;

    return index < BRIDGE_ROM_REGION &&
           ferry_range_inside(place & ~7u, bytes, walk->region[index].size);
}

static const char *look_into_msix(struct walk *walk, uint32_t off)
{
    const uint8_t *cap = walk->config->byte + off;
    const uint32_t count = (ferry_load_le16(cap + 2) & 0x7ffu) + 1;
    const uint32_t table = ferry_load_le32(cap + 4);

    if (walk->msix->region != UINT32_MAX) {
        return "two MSI-X capabilities";
    }
    if (!in_bar(walk, table, (uint64_t)count * BRIDGE_MSIX_ENTRY_BYTES) ||
        !in_bar(walk, ferry_load_le32(cap + 8), (count + 63) / 64 * 8)) {
        return "the MSI-X table or its pending bits lie outside of the BARs";
    }
    walk->msix->region = table & 7u;
    walk->msix->off = table & ~7u;
    walk->msix->bytes = count * BRIDGE_MSIX_ENTRY_BYTES;
    fix(walk->config, off, 12);
    walk->config->fixed[off + 3] = 0x07; /* the rest enables and masks */
    return NULL;
}

static const char *look_into_msi(struct walk *walk, uint32_t off)
{
    if ((walk->config->byte[off + 2] >> 1 & 7u) > MSI_LOG_MAX) {
        return "an MSI capability with more than 32 vectors";
    }
    walk->config->fixed[off + 2] = 0x8e; /* how many, and how long it is */
    walk->config->fixed[off + 3] = 0x01;
    return NULL;
}

/* QEMU takes the pointers as they are, low bits and all. */
static const char *walk_list(struct walk *walk)
{
    const uint8_t *byte = walk->config->byte;
    uint8_t seen[LIST_END] = { 0 };
    const char *problem = NULL;
    uint32_t off;

    if (!(byte[STATUS_OFF] & STATUS_LIST)) {
        return NULL;
    }
    for (off = byte[LIST_OFF]; off != 0 && !problem; off = byte[off + 1]) {
        if (off < HEADER_BYTES || off + least(byte + off) > LIST_END) {
            return "a capability lies in the header or past the end";
        }
        if (seen[off]) {
            return "the list of capabilities does not end";
        }
        seen[off] = 1;
        fix(walk->config, off, 2);
        if (byte[off] == CAP_MSI) {
            problem = look_into_msi(walk, off);
        } else if (byte[off] == CAP_MSIX) {
            problem = look_into_msix(walk, off);
        }
    }
    return problem;
}

static const char *walk_extended(struct walk *walk)
{
    uint8_t seen[BRIDGE_CONFIG_BYTES / 4 + 1] = { 0 };
    uint32_t off = LIST_END;
    uint32_t head;

    if (walk->bytes < BRIDGE_CONFIG_BYTES ||
        ferry_load_le32(walk->config->byte + off) == 0) {
        return NULL;
    }
    while (off != 0) {
        head = ferry_load_le32(walk->config->byte + off);
        if (off < LIST_END ||
            off + ((head & 0xffffu) == EXTENDED_REBAR ? EXTENDED_REBAR_BYTES
                                                      : EXTENDED_LEAST) >
                BRIDGE_CONFIG_BYTES) {
            return "an extended capability lies in the first 256 bytes or past the end";
        }
        if (seen[off / 4 - 1] || seen[off / 4] || seen[off / 4 + 1]) {
            return "extended capabilities overlap, or their list does not end";
        }
        seen[off / 4] = 1;
        fix(walk->config, off, 4);
        off = head >> 20 & 0xffcu;
    }
    return NULL;
}

/* What a ROM's address keeps of a write. */
static uint32_t rom_mask(uint64_t bytes)
{
    uint32_t size = ~ROM_ADDRESS + 1;

    while (size < bytes && size < 1u << 31) {
        size <<= 1;
    }
    return bytes > 0 ? (0 - size) | ROM_ENABLE : 0;
}

static const char *look_at_bars(struct walk *walk)
{
    uint32_t i;

    for (i = 0; i < BRIDGE_ROM_REGION; i++) {
        const uint64_t size = walk->region[i].size;
        const uint32_t off = BAR_OFF + 4 * i;

        if (size > 0) {
            if ((size & (size - 1)) != 0) {
                return "the size of a BAR is no power of two";
            }
            walk->config->fixed[off] = walk->config->byte[off] & 1 ? 0x03 : 0x0f;
        }
    }
    return NULL;
}

const char *bridge_config_check(struct bridge_config *config, uint32_t bytes,
                                const struct ferry_region_info *region,
                                struct bridge_msix *ret_msix)
{
    struct walk walk = {
        .config = config, .region = region, .msix = ret_msix, .bytes = bytes
    };
    const char *problem;

    memset(config->fixed, 0, sizeof(config->fixed));
    *ret_msix = (struct bridge_msix){ .region = UINT32_MAX };
    if (config->byte[HEADER_TYPE_OFF] & 0x7f) {
        return "the header is not that of an ordinary device";
    }
    if (config->byte[PIN_OFF] > PIN_MAX) {
        return "there is no such interrupt pin";
    }
    fix(config, 0x00, 4); /* who made it */
    fix(config, 0x08, 4); /* class */
    fix(config, 0x2c, 4); /* who sells it */
    fix(config, HEADER_TYPE_OFF, 1);
    fix(config, LIST_OFF, 1);
    fix(config, PIN_OFF, 1);
    config->fixed[STATUS_OFF] = STATUS_LIST;
    config->rom_mask = rom_mask(region[BRIDGE_ROM_REGION].size);
    ferry_store_le32(config->byte + ROM_OFF, 0);
    problem = look_at_bars(&walk);
    if (!problem) {
        problem = walk_list(&walk);
    }
    return problem ? problem : walk_extended(&walk);
}

/* As the kernel has it: no other sizes. Without extended capabilities everything there
 * may read as ones, which QEMU takes for one. */
static uint32_t size_of(const struct ferry_region_info *region)
{
    return region->size < BRIDGE_CONFIG_BYTES ? LIST_END : BRIDGE_CONFIG_BYTES;
}

static int read_all(struct bridge_device *device, uint8_t *ret_byte, uint32_t bytes,
                    struct ferry_error *reterr)
{
    const uint32_t most = bridge_link_max_data(device->link);
    uint32_t done = 0;
    int rc = FERRY_OK;

    while (done < bytes && rc == FERRY_OK) {
        struct ferry_request request = { .kind = FERRY_RQ_REGION_READ };

        request.u.io.index = BRIDGE_CONFIG_REGION;
        request.u.io.off = done;
        request.u.io.count = bytes - done < most ? bytes - done : most;
        request.u.io.data = ret_byte + done;
        request.reterr = reterr;
        rc = bridge_link_call(device->link, &request);
        done += request.u.io.count;
    }
    return rc;
}

int bridge_config_ask(struct bridge_device *device, struct bridge_facts *facts,
                      struct ferry_error *reterr)
{
    struct ferry_region_info *region = &facts->region[BRIDGE_CONFIG_REGION];
    const uint8_t *byte = facts->config.byte;
    struct ferry_identity *identity = &facts->identity;
    const char *problem;
    int rc;

    if (facts->info.region_count <= BRIDGE_CONFIG_REGION || region->size < LIST_END) {
        return ferry_error_set(reterr, FERRY_E_UNSUPPORTED, "bridge", NULL, 0,
                               "the device is no PCI device: it has no config space");
    }
    region->size = size_of(region);
    rc = read_all(device, facts->config.byte, (uint32_t)region->size, reterr);
    if (rc != FERRY_OK) {
        return ferry_error_set(reterr, rc, "bridge", NULL, 0, "config space: %s",
                               ferry_status_text(rc));
    }
    if (ferry_load_le32(byte + LIST_END) == UINT32_MAX) {
        region->size = LIST_END;
    }
    problem = bridge_config_check(&facts->config, (uint32_t)region->size, facts->region,
                                  &facts->msix);
    if (problem) {
        return ferry_error_set(reterr, FERRY_E_PROTOCOL, "bridge", NULL, 0,
                               "a VMM cannot use its config space: %s", problem);
    }
    /* The numbers there are what the guest's driver sees, so they count. */
    identity->pci_vendor = ferry_load_le16(byte);
    identity->pci_device = ferry_load_le16(byte + 2);
    identity->pci_class = ferry_load_le32(byte + 8);
    identity->pci_subvendor = ferry_load_le16(byte + 0x2c);
    identity->pci_subdevice = ferry_load_le16(byte + 0x2e);
    return FERRY_OK;
}

int bridge_config_differs(const struct bridge_config *old,
                          const struct bridge_config *fresh)
{
    uint32_t i;

    for (i = 0; i < BRIDGE_CONFIG_BYTES; i++) {
        if (old->fixed[i] != fresh->fixed[i] ||
            ((old->byte[i] ^ fresh->byte[i]) & old->fixed[i]) != 0) {
            return 1;
        }
    }
    return 0;
}

void bridge_config_keep(struct bridge_device *device, uint64_t off, uint8_t *data,
                        uint32_t count)
{
    uint64_t i;

    pthread_mutex_lock(&device->lock);
    for (i = off; i < off + count && i < BRIDGE_CONFIG_BYTES; i++) {
        const int is_rom = i >= ROM_OFF && i < ROM_END;
        const uint8_t fixed = is_rom ? 0xff : device->config.fixed[i];

        data[i - off] =
            (uint8_t)((data[i - off] & ~fixed) | (device->config.byte[i] & fixed));
        device->config.byte[i] = data[i - off];
    }
    pthread_mutex_unlock(&device->lock);
}

void bridge_config_write(struct bridge_device *device, uint64_t off, const uint8_t *data,
                         uint32_t count)
{
    uint8_t mask[ROM_END - ROM_OFF];
    uint64_t i;

    ferry_store_le32(mask, device->config.rom_mask);
    pthread_mutex_lock(&device->lock);
    for (i = off; i < off + count; i++) {
        if (i >= ROM_OFF && i < ROM_END) {
            device->config.byte[i] = data[i - off] & mask[i - ROM_OFF];
        }
    }
    pthread_mutex_unlock(&device->lock);
}

void bridge_config_recall(struct bridge_device *device, uint64_t off, uint8_t *ret_data,
                          uint32_t count)
{
    pthread_mutex_lock(&device->lock);
    memcpy(ret_data, device->config.byte + off, count);
    pthread_mutex_unlock(&device->lock);
}
