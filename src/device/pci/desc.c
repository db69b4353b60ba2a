/* SPDX-License-Identifier: BSD-3-Clause */
#include "base/bitmap.h"
#include "base/range.h"
#include "device/device_private.h"

/* What an author may write into a description. */

#define BAR_BYTES_MIN 16u
#define BAR_BYTES_MAX (1ull << 40)
#define BAR_BYTES_MAX_32 (1ull << 31)
#define ROM_BYTES_MIN 2048u
#define EXT_CAP_BYTES_MIN 8u
#define EXT_CAP_BYTES_MAX 4095u

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
    if (ops->load_place != NULL && ops->load_done == NULL) {
        return wrong(reterr, "ops.load_done", 0, "required with load_place");
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

void device_desc_complete(struct ferry_device_desc *desc)
{
    struct ferry_device_region *rom = &desc->region[FERRY_REGION_ROM];

    if (desc->rom != NULL && rom->size_bytes == 0 &&
        desc->rom_bytes <= BAR_BYTES_MAX_32) {
        rom->size_bytes = ROM_BYTES_MIN;
        while (rom->size_bytes < desc->rom_bytes) {
            rom->size_bytes *= 2;
        }
    }
}

static int check_rom(const struct ferry_device_desc *desc, struct ferry_error *reterr)
{
    const struct ferry_device_region *rom = &desc->region[FERRY_REGION_ROM];

    if ((desc->rom == NULL) != (desc->rom_bytes == 0) ||
        desc->rom_bytes > rom->size_bytes || (desc->rom != NULL && rom->flags != 0)) {
        return wrong(reterr, "rom, rom_bytes", desc->rom_bytes,
                     "an image and its length, not longer than region[6], no BAR_MEMORY");
    }
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

static int check_irqs(const struct ferry_device_desc *desc, struct ferry_error *reterr)
{
    if (desc->intx_pin > 4) {
        return wrong(reterr, "intx_pin", desc->intx_pin, "1 to 4, or 0 for none");
    }
    if (desc->msi_vectors > FERRY_DEVICE_MSI_MAX ||
        (desc->msi_vectors != 0 && !ferry_is_power_of_2(desc->msi_vectors))) {
        return wrong(reterr, "msi_vectors", desc->msi_vectors,
                     "a power of two up to 32, or 0 for none");
    }
    return FERRY_OK;
}

/* Extended capabilities need the config space of PCI Express. */
static int check_ext_caps(const struct ferry_device_desc *desc,
                          struct ferry_error *reterr)
{
    if ((desc->flags & ~(FERRY_DEVICE_CONVENTIONAL | FERRY_DEVICE_READS_DURING_DMA)) !=
        0) {
        return wrong(reterr, "flags", desc->flags, "unknown flag");
    }
    if (desc->ext_cap_count > FERRY_DEVICE_EXT_CAPS_MAX) {
        return wrong(reterr, "ext_cap_count", desc->ext_cap_count, "more than 8");
    }
    if ((desc->flags & FERRY_DEVICE_CONVENTIONAL) != 0 &&
        (desc->ext_cap_count != 0 || desc->serial != 0)) {
        return wrong(reterr, "flags", desc->flags,
                     "conventional PCI has no extended capability");
    }
    for (uint32_t i = 0; i < desc->ext_cap_count; i++) {
        const struct ferry_device_ext_cap *cap = &desc->ext_cap[i];

        if (cap->length < EXT_CAP_BYTES_MIN || cap->length > EXT_CAP_BYTES_MAX ||
            cap->revision > 15) {
            return wrong(reterr, "ext_cap", i,
                         "a length of 8 to 4095 with its header, a revision up to 15");
        }
    }
    return FERRY_OK;
}

static int check_extra(const struct ferry_device_desc *desc, struct ferry_error *reterr)
{
    int status = FERRY_OK;

    if (desc->extra_count > FERRY_DEVICE_EXTRA_MAX) {
        return wrong(reterr, "extra_count", desc->extra_count, "more than 8");
    }
    for (uint32_t i = 0; i < desc->extra_count && status == FERRY_OK; i++) {
        const struct ferry_device_region *region = &desc->extra[i].region;

        if (region->size_bytes == 0 || region->size_bytes > BAR_BYTES_MAX ||
            (region->flags & ~(FERRY_BAR_MEMORY | FERRY_EXTRA_READ_ONLY)) != 0 ||
            region->flags == (FERRY_BAR_MEMORY | FERRY_EXTRA_READ_ONLY)) {
            return wrong(reterr, "extra", i,
                         "1 byte to 1 TiB; BAR_MEMORY or EXTRA_READ_ONLY at most");
        }
        status = check_areas(region, FERRY_REGION_EXTRA + i, reterr);
    }
    return status;
}

/* A doorbell stands for a write that region_write would be called for. */
static int check_doorbell(const struct ferry_device_desc *desc, uint32_t index,
                          struct ferry_error *reterr)
{
    const struct ferry_device_doorbell *bell = &desc->doorbell[index];
    const struct ferry_device_region *region = NULL;

    if (bell->region < FERRY_REGION_ROM) {
        region = &desc->region[bell->region];
    } else if (bell->region >= FERRY_REGION_EXTRA &&
               bell->region - FERRY_REGION_EXTRA < desc->extra_count) {
        region = &desc->extra[bell->region - FERRY_REGION_EXTRA].region;
    }
    if (region == NULL || !ferry_is_power_of_2(bell->size) || bell->size > 8 ||
        !ferry_range_aligned(bell->off, bell->size) ||
        !ferry_range_inside(bell->off, bell->size, region->size_bytes) ||
        (region->flags & FERRY_EXTRA_READ_ONLY) != 0) {
        return wrong(reterr, "doorbell", index,
                     "1, 2, 4 or 8 aligned bytes of a region that can be written");
    }
    if (bell->size < 8 && bell->value >> (8 * bell->size) != 0) {
        return wrong(reterr, "doorbell.value", bell->value, "longer than its size");
    }
    if ((region->flags & FERRY_BAR_MEMORY) != 0 && region->area_count == 0) {
        return wrong(reterr, "doorbell", index, "in memory that is not trapped");
    }
    for (uint32_t i = 0; i < region->area_count; i++) {
        if (ferry_range_overlaps(bell->off, bell->size, region->area[i].off,
                                 region->area[i].size)) {
            return wrong(reterr, "doorbell", index, "in memory that is not trapped");
        }
    }
    if (desc->msix_vectors != 0 && bell->region == desc->msix_bar &&
        (ferry_range_overlaps(bell->off, bell->size, desc->msix_table_off,
                              (uint64_t)desc->msix_vectors * DEVICE_MSIX_ENTRY_BYTES) ||
         ferry_range_overlaps(bell->off, bell->size, desc->msix_pba_off,
                              ferry_bitmap_bytes(desc->msix_vectors)))) {
        return wrong(reterr, "doorbell", index, "in the MSI-X table or PBA");
    }
    return FERRY_OK;
}

static int check_doorbells(const struct ferry_device_desc *desc,
                           struct ferry_error *reterr)
{
    int status = FERRY_OK;

    if (desc->doorbell_count > FERRY_DEVICE_DOORBELLS_MAX ||
        (desc->doorbell_count != 0 && desc->doorbell == NULL)) {
        return wrong(reterr, "doorbell_count", desc->doorbell_count,
                     "more than 64, or without doorbells");
    }
    for (uint32_t i = 0; i < desc->doorbell_count && status == FERRY_OK; i++) {
        status = check_doorbell(desc, i, reterr);
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
        status = check_rom(desc, reterr);
    }
    if (status == FERRY_OK) {
        status = check_msix(desc, reterr);
    }
    if (status == FERRY_OK) {
        status = check_irqs(desc, reterr);
    }
    if (status == FERRY_OK) {
        status = check_ext_caps(desc, reterr);
    }
    if (status == FERRY_OK) {
        status = check_extra(desc, reterr);
    }
    if (status == FERRY_OK) {
        status = check_doorbells(desc, reterr);
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
