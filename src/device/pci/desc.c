/* SPDX-License-Identifier: BSD-3-Clause */
#include <string.h>

#include "base/bitmap.h"
#include "base/range.h"
#include "device/device_private.h"

/*
 * What an author may write into a description, and what a slot that was left out does.
 */

#define BAR_BYTES_MIN 16u
#define BAR_BYTES_MAX (1ull << 40)
#define BAR_BYTES_MAX_32 (1ull << 31)
#define ROM_BYTES_MIN 2048u

static int wrong(struct ferry_error *reterr, const char *member, uint64_t value,
                 const char *why)
{
    return ferry_error_set(reterr, FERRY_E_ARGUMENT, "device", NULL, 0, "%s (0x%llx): %s",
                           member, (unsigned long long)value, why);
}

static int check_ops(const struct ferry_device_desc *desc,
                     const struct ferry_device_ops *ops, struct ferry_error *reterr)
{
    const uint32_t flags = desc->identity.migration_flags;

    if ((flags & ~(FERRY_MIG_STOP_COPY | FERRY_MIG_P2P | FERRY_MIG_PRE_COPY)) != 0 ||
        (flags != 0 && (flags & FERRY_MIG_STOP_COPY) == 0)) {
        return wrong(reterr, "identity.migration_flags", flags,
                     "needs STOP_COPY, and nothing but P2P and PRE_COPY beside it");
    }
    if ((flags & FERRY_MIG_STOP_COPY) != 0 &&
        (ops->save == NULL || ops->load == NULL || ops->data_size == NULL)) {
        return wrong(reterr, "ops.save, .load, .data_size", flags,
                     "required with FERRY_MIG_STOP_COPY");
    }
    if ((flags & FERRY_MIG_PRE_COPY) != 0 && ops->precopy_info == NULL) {
        return wrong(reterr, "ops.precopy_info", flags,
                     "required with FERRY_MIG_PRE_COPY");
    }
    return FERRY_OK;
}

static int check_areas(const struct ferry_device_region *region, uint32_t index,
                       struct ferry_error *reterr)
{
    uint64_t end = 0;

    if ((region->flags & FERRY_BAR_MEMORY) == 0) {
        return region->area_count == 0 ? FERRY_OK
                                       : wrong(reterr, "region.area_count", index,
                                               "areas without BAR_MEMORY");
    }
    if (!ferry_range_aligned(region->size_bytes, DEVICE_PAGE_BYTES) ||
        region->area_count > FERRY_DEVICE_AREAS_MAX) {
        return wrong(reterr, "region", index, "no whole pages, or too many areas");
    }
    for (uint32_t i = 0; i < region->area_count; i++) {
        const uint64_t off = region->area[i].off, size = region->area[i].size;

        if (size == 0 || off < end ||
            !ferry_range_aligned(off | size, DEVICE_PAGE_BYTES) ||
            !ferry_range_inside(off, size, region->size_bytes)) {
            return wrong(reterr, "region.area", index,
                         "not page aligned, ascending and inside the region");
        }
        end = off + size;
    }
    return FERRY_OK;
}

static int check_bar(const struct ferry_device_desc *desc, uint32_t index,
                     struct ferry_error *reterr)
{
    const struct ferry_device_region *bar = &desc->region[index];
    const int wide = (bar->flags & FERRY_BAR_64BIT) != 0;

    if (bar->size_bytes == 0) {
        return FERRY_OK;
    }
    if ((bar->flags & ~(FERRY_BAR_64BIT | FERRY_BAR_PREFETCH | FERRY_BAR_MEMORY)) != 0) {
        return wrong(reterr, "region.flags", index, "unknown flag");
    }
    if (!ferry_is_power_of_2(bar->size_bytes) || bar->size_bytes < BAR_BYTES_MIN ||
        bar->size_bytes > (wide ? BAR_BYTES_MAX : BAR_BYTES_MAX_32)) {
        return wrong(reterr, "region.size_bytes", bar->size_bytes,
                     "a BAR is a power of two, 16 bytes to 2 GiB (64 bit: 1 TiB)");
    }
    if (wide && (index == 5 || desc->region[index + 1].size_bytes != 0)) {
        return wrong(reterr, "region", index, "a 64-bit BAR takes the next one as well");
    }
    return check_areas(bar, index, reterr);
}

static int check_rom(const struct ferry_device_region *rom, struct ferry_error *reterr)
{
    if (rom->size_bytes == 0) {
        return FERRY_OK;
    }
    if (!ferry_is_power_of_2(rom->size_bytes) || rom->size_bytes < ROM_BYTES_MIN ||
        rom->size_bytes > BAR_BYTES_MAX_32 || (rom->flags & ~FERRY_BAR_MEMORY) != 0) {
        return wrong(reterr, "region[6]", rom->size_bytes,
                     "a ROM is a power of two from 2048 bytes, with BAR_MEMORY at most");
    }
    return check_areas(rom, FERRY_REGION_ROM, reterr);
}

/* Table or PBA must lie in the trapped part, or users could reach around the emulation.
 */
static int check_msix_part(const struct ferry_device_region *bar, uint64_t off,
                           uint64_t bytes, const char *member, struct ferry_error *reterr)
{
    if (!ferry_range_aligned(off, 8) || off > UINT32_MAX ||
        !ferry_range_inside(off, bytes, bar->size_bytes)) {
        return wrong(reterr, member, off, "not 8-byte aligned and inside its BAR");
    }
    if ((bar->flags & FERRY_BAR_MEMORY) != 0 && bar->area_count == 0) {
        return wrong(reterr, member, off, "its BAR is mmappable as a whole");
    }
    for (uint32_t i = 0; i < bar->area_count; i++) {
        if (ferry_range_overlaps(off, bytes, bar->area[i].off, bar->area[i].size)) {
            return wrong(reterr, member, off, "inside an mmappable area");
        }
    }
    return FERRY_OK;
}

static int check_msix(const struct ferry_device_desc *desc, struct ferry_error *reterr)
{
    const uint64_t table = (uint64_t)desc->msix_vectors * DEVICE_MSIX_ENTRY_BYTES;
    const uint64_t pba = ferry_bitmap_bytes(desc->msix_vectors);
    int status;

    if (desc->msix_vectors == 0) {
        return FERRY_OK;
    }
    if (desc->msix_vectors > FERRY_DEVICE_MSIX_MAX || desc->msix_bar > 5) {
        return wrong(reterr, "msix_vectors, msix_bar", desc->msix_vectors,
                     "at most 2048 vectors, in BAR 0 to 5");
    }
    if (ferry_range_overlaps(desc->msix_table_off, table, desc->msix_pba_off, pba)) {
        return wrong(reterr, "msix_pba_off", desc->msix_pba_off, "overlaps the table");
    }
    status = check_msix_part(&desc->region[desc->msix_bar], desc->msix_table_off, table,
                             "msix_table_off", reterr);
    if (status == FERRY_OK) {
        status = check_msix_part(&desc->region[desc->msix_bar], desc->msix_pba_off, pba,
                                 "msix_pba_off", reterr);
    }
    return status;
}

static int check_identity(const struct ferry_device_desc *desc,
                          struct ferry_error *reterr)
{
    /* A malformed identity is refused by the comparison with itself. */
    if (ferry_compat_check(&desc->identity, &desc->identity, reterr) != FERRY_OK) {
        return FERRY_E_ARGUMENT;
    }
    return FERRY_OK;
}

int device_desc_check(const struct ferry_device_desc *desc,
                      const struct ferry_device_ops *ops, struct ferry_error *reterr)
{
    int status = check_identity(desc, reterr);

    if (status == FERRY_OK) {
        status = check_ops(desc, ops, reterr);
    }
    for (uint32_t i = 0; i < 6 && status == FERRY_OK; i++) {
        status = check_bar(desc, i, reterr);
    }
    if (status == FERRY_OK) {
        status = check_rom(&desc->region[FERRY_REGION_ROM], reterr);
    }
    if (status == FERRY_OK) {
        status = check_msix(desc, reterr);
    }
    if (status == FERRY_OK && desc->cap_count > FERRY_DEVICE_CAPS_MAX) {
        status = wrong(reterr, "cap_count", desc->cap_count, "more than 8");
    }
    for (uint32_t i = 0; i < desc->cap_count && status == FERRY_OK; i++) {
        if (desc->cap[i].length < 3) {
            status = wrong(reterr, "cap.length", i, "less than the header's 3 bytes");
        }
    }
    return status;
}

static int default_region_read(void *state, struct ferry_device *device, uint32_t region,
                               uint64_t off, void *ret_data, size_t count)
{
    (void)state;
    (void)device;
    (void)region;
    (void)off;
    memset(ret_data, 0, count);
    return FERRY_OK;
}

static int default_region_write(void *state, struct ferry_device *device, uint32_t region,
                                uint64_t off, const void *data, size_t count)
{
    (void)state;
    (void)device;
    (void)region;
    (void)off;
    (void)data;
    (void)count;
    return FERRY_OK;
}

static int default_cap_read(void *state, struct ferry_device *device, uint32_t cap,
                            uint32_t off, void *ret_data, size_t count)
{
    const struct device_config *config = &device->config;

    (void)state;
    memcpy(ret_data, config->byte + config->cap_off[cap] + off, count);
    return FERRY_OK;
}

static int default_cap_write(void *state, struct ferry_device *device, uint32_t cap,
                             uint32_t off, const void *data, size_t count)
{
    struct device_config *config = &device->config;

    (void)state;
    memcpy(config->byte + config->cap_off[cap] + off, data, count);
    return FERRY_OK;
}

static void default_reset(void *state, struct ferry_device *device,
                          enum ferry_reset_reason reason)
{
    (void)state;
    (void)device;
    (void)reason;
}

static int default_work(void *state, struct ferry_device *device)
{
    (void)state;
    (void)device;
    return 0;
}

static int default_arc(void *state, struct ferry_device *device, uint32_t from,
                       uint32_t to)
{
    (void)state;
    (void)device;
    (void)from;
    (void)to;
    return FERRY_OK;
}

/* Whether segments are out is looked at by the SDK, whatever the author answers. */
static int default_dma_unmap(void *state, struct ferry_device *device, uint64_t iova,
                             uint64_t size)
{
    (void)state;
    (void)device;
    (void)iova;
    (void)size;
    return FERRY_OK;
}

void device_ops_fill(struct ferry_device_ops *ops)
{
    ops->region_read = ops->region_read != NULL ? ops->region_read : default_region_read;
    ops->region_write =
        ops->region_write != NULL ? ops->region_write : default_region_write;
    ops->cap_read = ops->cap_read != NULL ? ops->cap_read : default_cap_read;
    ops->cap_write = ops->cap_write != NULL ? ops->cap_write : default_cap_write;
    ops->reset = ops->reset != NULL ? ops->reset : default_reset;
    ops->work = ops->work != NULL ? ops->work : default_work;
    ops->arc = ops->arc != NULL ? ops->arc : default_arc;
    ops->dma_unmap = ops->dma_unmap != NULL ? ops->dma_unmap : default_dma_unmap;
}
