/* SPDX-License-Identifier: BSD-3-Clause */
#include "device/region.h"

#include <stdlib.h>
#include <string.h>

#include "base/range.h"
#include "device/device_private.h"

/* What lies at an offset of a BAR or the ROM. */
enum piece_kind {
    PIECE_TRAPPED, /* the author's */
    PIECE_MEMORY,
    PIECE_ROM,   /* the image in the description */
    PIECE_TABLE, /* MSI-X */
    PIECE_PBA
};

struct piece {
    enum piece_kind kind;
    size_t len;      /* bytes of the access that it covers */
    uint64_t inside; /* offset from the start of table or PBA */
};

int device_region_init(struct ferry_device *device)
{
    for (uint32_t i = 0; i < device->region_count; i++) {
        struct device_memory *memory = &device->memory[i];
        const struct ferry_device_region *region = &device->region[i];
        int status;

        memory->fd = -1;
        if ((region->flags & FERRY_BAR_MEMORY) == 0) {
            continue;
        }
        status = ferry_os_memfd_create("ferry-bar", region->size_bytes, &memory->fd);
        if (status == FERRY_OK) {
            status = ferry_os_map_shared(memory->fd, 0, region->size_bytes,
                                         FERRY_OS_MAP_READ | FERRY_OS_MAP_WRITE,
                                         &memory->map, NULL);
        }
        if (status != FERRY_OK) {
            return status;
        }
    }
    return FERRY_OK;
}

void device_region_free(struct ferry_device *device)
{
    for (uint32_t i = 0; i < device->region_count; i++) {
        ferry_os_unmap(&device->memory[i].map);
        ferry_os_close(&device->memory[i].fd);
    }
    free(device->latch.entry);
}

void device_region_renew(struct ferry_device *device)
{
    for (uint32_t i = 0; i < device->region_count; i++) {
        struct device_memory *memory = &device->memory[i];

        int fresh = -1;

        if (memory->map.data == NULL) {
            continue;
        }
        if (ferry_os_memfd_create("ferry-bar", memory->map.size, &fresh) == FERRY_OK &&
            ferry_os_map_replace(&memory->map, fresh, 0,
                                 FERRY_OS_MAP_READ | FERRY_OS_MAP_WRITE) == FERRY_OK) {
            ferry_os_close(&memory->fd);
            memory->fd = fresh;
        } else {
            ferry_os_close(&fresh);
            memset(memory->map.data, 0, memory->map.size);
        }
    }
}

/* Narrows *piece by one range of the region: off lies in it, or it begins later. */
static void narrow(struct piece *piece, uint64_t off, enum piece_kind kind,
                   uint64_t range_off, uint64_t range_size)
{
    if (off >= range_off && off - range_off < range_size) {
        const uint64_t left = range_size - (off - range_off);

        piece->kind = kind;
        piece->inside = off - range_off;
        piece->len = piece->len < left ? piece->len : (size_t)left;
    } else if (off < range_off && range_off - off < piece->len) {
        piece->len = (size_t)(range_off - off);
    }
}

static struct piece piece_at(const struct ferry_device *device, uint32_t region,
                             uint64_t off, size_t count)
{
    const struct ferry_device_region *desc = &device->region[region];
    const struct device_msix *msix = &device->msix;
    struct piece piece = { .kind = PIECE_TRAPPED, .len = count };

    if (region == FERRY_REGION_ROM && device->rom != NULL) {
        piece.kind = PIECE_ROM;
        return piece;
    }
    if ((desc->flags & FERRY_BAR_MEMORY) != 0 && desc->area_count == 0) {
        piece.kind = PIECE_MEMORY;
    }
    for (uint32_t i = 0; i < desc->area_count; i++) {
        narrow(&piece, off, PIECE_MEMORY, desc->area[i].off, desc->area[i].size);
    }
    if (msix->count != 0 && msix->bar == region) {
        narrow(&piece, off, PIECE_TABLE, msix->table_off, msix->table_bytes);
        narrow(&piece, off, PIECE_PBA, msix->pba_off, msix->pba_bytes);
    }
    return piece;
}

static int is_msix(enum piece_kind kind)
{
    return kind == PIECE_TABLE || kind == PIECE_PBA;
}

uint64_t device_region_size(const struct ferry_device *device, uint32_t region)
{
    if (region == FERRY_REGION_CONFIG) {
        return device->config.bytes;
    }
    return region < device->region_count ? device->region[region].size_bytes : 0;
}

/* Does the access lie inside the region? */
static int check_bounds(const struct ferry_device *device,
                        const struct ferry_region_io *io, struct ferry_error *reterr)
{
    const uint64_t size = device_region_size(device, io->index);

    /* EINVAL, as the kernel's VFIO and libvfio-user say it. */
    if (io->index >= device->region_count) {
        return ferry_error_set(reterr, FERRY_E_ARGUMENT, "device", NULL, io->off,
                               "region %u: the device has %u", io->index,
                               device->region_count);
    }
    if (size == 0) {
        return ferry_error_set(reterr, FERRY_E_NOT_FOUND, "device", NULL, io->off,
                               "region %u is absent", io->index);
    }
    if (io->count == 0 || !ferry_range_inside(io->off, io->count, size)) {
        return ferry_error_set(reterr, FERRY_E_RANGE, "device", NULL, io->off,
                               "region %u: %u bytes at 0x%llx of 0x%llx", io->index,
                               io->count, (unsigned long long)io->off,
                               (unsigned long long)size);
    }
    return FERRY_OK;
}

/*
 * The strictest answer of the access table to all pieces of an access, asked before the
 * first is performed, so that a refused access changes nothing.
 */
static int access_pieces(const struct ferry_device *device,
                         const struct ferry_region_io *io, int write, uint8_t *ret_fill,
                         struct ferry_error *reterr)
{
    int strictest = DEVICE_DO;
    size_t done = 0;

    while (done < io->count) {
        const struct piece piece =
            piece_at(device, io->index, io->off + done, io->count - done);
        const uint32_t operation =
            is_msix(piece.kind) ? (write ? FERRY_OP_MSIX_WRITE : FERRY_OP_MSIX_READ)
                                : (write ? FERRY_OP_REGION_WRITE : FERRY_OP_REGION_READ);
        const int access = device_access(device, operation, ret_fill, reterr);

        strictest = access > strictest ? access : strictest;
        if (access == DEVICE_REFUSE) {
            break;
        }
        done += piece.len;
    }
    return strictest;
}

/* The image, and zeros up to the power of two that the BAR is long. */
static void read_rom(const struct ferry_device *device, uint64_t off, uint8_t *to,
                     size_t count)
{
    const uint64_t left = off < device->rom_bytes ? device->rom_bytes - off : 0;
    const size_t have = count < left ? count : (size_t)left;

    if (have != 0) {
        memcpy(to, device->rom + off, have);
    }
    memset(to + have, 0, count - have);
}

static int read_piece(struct ferry_device *device, uint32_t region, uint64_t off,
                      const struct piece *piece, uint8_t *to)
{
    switch (piece->kind) {
    case PIECE_MEMORY:
        memcpy(to, (const uint8_t *)device->memory[region].map.data + off, piece->len);
        return FERRY_OK;
    case PIECE_ROM:
        read_rom(device, off, to, piece->len);
        return FERRY_OK;
    case PIECE_TABLE:
        device_msix_table_read(&device->msix, piece->inside, to, piece->len);
        return FERRY_OK;
    case PIECE_PBA:
        device_msix_pba_read(&device->msix, piece->inside, to, piece->len);
        return FERRY_OK;
    case PIECE_TRAPPED:
        break;
    }
    return device->ops.region_read(device->state, device, region, off, to, piece->len);
}

static int write_piece(struct ferry_device *device, uint32_t region, uint64_t off,
                       const struct piece *piece, const uint8_t *from, int latch)
{
    switch (piece->kind) {
    case PIECE_MEMORY:
        memcpy((uint8_t *)device->memory[region].map.data + off, from, piece->len);
        return FERRY_OK;
    case PIECE_TABLE:
        device_msix_table_write(device, piece->inside, from, piece->len);
        return FERRY_OK;
    case PIECE_PBA: /* read only */
    case PIECE_ROM:
        return FERRY_OK;
    case PIECE_TRAPPED:
        break;
    }
    if (latch) {
        return device_latch_push(device, region, off, from, piece->len);
    }
    return device->ops.region_write(device->state, device, region, off, from, piece->len);
}

/* A device in D3hot does not decode its BARs. */
int device_region_decodes(const struct ferry_device *device, uint32_t region)
{
    return region >= FERRY_REGION_CONFIG || !device_config_asleep(&device->config);
}

static int read_only(const struct ferry_device *device, uint32_t region)
{
    return region == FERRY_REGION_ROM ||
           (device->region[region].flags & FERRY_EXTRA_READ_ONLY) != 0;
}

static int read_config(struct ferry_device *device, const struct ferry_region_io *io,
                       struct ferry_error *reterr)
{
    uint8_t fill = 0;
    const int access = device_access(device, FERRY_OP_CONFIG_READ, &fill, reterr);

    if (access != DEVICE_DO) {
        memset(io->data, fill, io->count);
        return access == DEVICE_REFUSE ? FERRY_E_STATE : FERRY_OK;
    }
    return device_config_read(device, io->off, io->data, io->count);
}

int device_region_read(struct ferry_device *device, struct ferry_request *request)
{
    const struct ferry_region_io *io = &request->u.io;
    uint8_t *to = io->data, fill = 0;
    size_t done = 0;
    int access, status = check_bounds(device, io, request->reterr);

    if (status != FERRY_OK) {
        return status;
    }
    if (io->index == FERRY_REGION_CONFIG) {
        return read_config(device, io, request->reterr);
    }
    access = access_pieces(device, io, 0, &fill, request->reterr);
    if (access != DEVICE_DO) {
        memset(to, fill, io->count);
        return access == DEVICE_REFUSE ? FERRY_E_STATE : FERRY_OK;
    }
    if (!device_region_decodes(device, io->index)) {
        memset(to, 0xff, io->count);
        return FERRY_OK;
    }
    while (done < io->count && status >= 0) {
        const struct piece piece =
            piece_at(device, io->index, io->off + done, io->count - done);

        status = read_piece(device, io->index, io->off + done, &piece, to + done);
        done += piece.len;
    }
    return status < 0 ? status : FERRY_OK;
}

static int write_config(struct ferry_device *device, const struct ferry_region_io *io,
                        struct ferry_error *reterr)
{
    const int access = device_access(device, FERRY_OP_CONFIG_WRITE, NULL, reterr);

    if (access != DEVICE_DO) {
        return access == DEVICE_REFUSE ? FERRY_E_STATE : FERRY_OK;
    }
    return device_config_write(device, io->off, io->data, io->count);
}

int device_region_write(struct ferry_device *device, struct ferry_request *request)
{
    const struct ferry_region_io *io = &request->u.io;
    const uint8_t *from = io->data;
    size_t done = 0;
    int access, status = check_bounds(device, io, request->reterr);

    if (status != FERRY_OK) {
        return status;
    }
    if (io->index == FERRY_REGION_CONFIG) {
        return write_config(device, io, request->reterr);
    }
    access = access_pieces(device, io, 1, NULL, request->reterr);
    if (access == DEVICE_REFUSE) {
        return FERRY_E_STATE;
    }
    if (access == DEVICE_IGNORE || !device_region_decodes(device, io->index) ||
        read_only(device, io->index)) {
        return FERRY_OK;
    }
    while (done < io->count && status >= 0) {
        const struct piece piece =
            piece_at(device, io->index, io->off + done, io->count - done);

        status = write_piece(device, io->index, io->off + done, &piece, from + done,
                             access == DEVICE_LATCH);
        done += piece.len;
    }
    return status < 0 ? status : FERRY_OK;
}

int device_latch_push(struct ferry_device *device, uint32_t region, uint64_t off,
                      const void *data, size_t count)
{
    struct device_latch *latch = &device->latch;
    struct device_latch_entry *entry;
    struct piece piece;

    if (region == FERRY_REGION_ROM || region == FERRY_REGION_CONFIG || count == 0 ||
        count > DEVICE_LATCH_BYTES ||
        !ferry_range_inside(off, count, device_region_size(device, region)) ||
        read_only(device, region)) {
        return FERRY_E_RANGE;
    }
    piece = piece_at(device, region, off, count);
    if (piece.kind != PIECE_TRAPPED || piece.len != count) {
        return FERRY_E_RANGE;
    }
    if (latch->entry == NULL) {
        latch->entry = calloc(DEVICE_LATCH_MAX, sizeof(latch->entry[0]));
        if (latch->entry == NULL) {
            return FERRY_E_MEMORY;
        }
    }
    if (latch->count == DEVICE_LATCH_MAX) {
        return FERRY_E_LIMIT;
    }
    entry = &latch->entry[latch->count++];
    memset(entry, 0, sizeof(*entry));
    entry->region = (uint8_t)region;
    entry->off = off;
    entry->count = (uint8_t)count;
    memcpy(entry->data, data, count);
    return FERRY_OK;
}

int device_latch_once(struct ferry_device *device, uint32_t region, uint64_t off,
                      const void *data, size_t count)
{
    const struct device_latch *latch = &device->latch;

    for (uint32_t i = 0; i < latch->count; i++) {
        const struct device_latch_entry *entry = &latch->entry[i];

        if (entry->region == region && entry->off == off && entry->count == count &&
            memcmp(entry->data, data, count) == 0) {
            return FERRY_OK;
        }
    }
    return device_latch_push(device, region, off, data, count);
}

void device_latch_replay(struct ferry_device *device)
{
    const uint32_t count = device->latch.count;

    for (uint32_t i = 0; i < count && i < device->latch.count; i++) {
        const struct device_latch_entry entry = device->latch.entry[i];

        /* The user's write was accepted long ago; nobody is left to hear of a failure. */
        (void)device->ops.region_write(device->state, device, entry.region, entry.off,
                                       entry.data, entry.count);
    }
    device->latch.count = 0;
}

void device_latch_clear(struct ferry_device *device)
{
    device->latch.count = 0;
}

void *ferry_device_region_memory(struct ferry_device *device, uint32_t region)
{
    return region < device->region_count ? device->memory[region].map.data : NULL;
}
