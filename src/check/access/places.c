/* SPDX-License-Identifier: BSD-3-Clause */
#include <stdio.h>
#include <string.h>

#include "base/reader.h"
#include "check/access/access.h"

/* What config space tells, and places of a device that can be read and written. */

#define CONFIG_BYTES 256u
#define PCI_CAP_POINTER 0x34u
#define PCI_FIRST_CAP 0x40u
#define CAP_PM 0x01u
#define CAP_MSIX 0x11u
#define PCI_CACHE_LINE 0x0cu
#define PCI_INTERRUPT_LINE 0x3cu
#define MSIX_ENTRY_DATA 8u
#define CAPS_MAX 48u /* more do not fit: a list that is longer is a ring */
#define PATTERN 0x5au

static void read_msix(const uint8_t *config, uint32_t off, struct access_pci *pci)
{
    const uint32_t table = ferry_load_le32(config + off + 4);
    const uint32_t pba = ferry_load_le32(config + off + 8);

    pci->msix_off = off;
    pci->msix_count = (ferry_load_le16(config + off + 2) & 0x7ffu) + 1;
    pci->table_bar = table & 7u;
    pci->table_off = table & ~7u;
    pci->pba_bar = pba & 7u;
    pci->pba_off = pba & ~7u;
}

int access_pci_read(struct check_run *run, struct access_pci *ret_pci)
{
    uint8_t config[CONFIG_BYTES] = { 0 };
    const uint64_t size = run->at->region_size[FERRY_REGION_CONFIG];
    const size_t bytes = size > 0 && size < sizeof(config) ? size : sizeof(config);
    char text[160];
    int rc = check_region_read(run, FERRY_REGION_CONFIG, 0, config, bytes);
    uint32_t off;

    memset(ret_pci, 0, sizeof(*ret_pci));
    if (rc != FERRY_OK) {
        return check_broken(run, "config space cannot be read: %s",
                            check_status_text(run, rc, text));
    }
    off = config[PCI_CAP_POINTER] & ~3u;
    for (uint32_t i = 0; i < CAPS_MAX && off >= PCI_FIRST_CAP && off + 12 <= CONFIG_BYTES;
         i++) {
        if (config[off] == CAP_PM) {
            ret_pci->pm_off = off;
        } else if (config[off] == CAP_MSIX) {
            read_msix(config, off, ret_pci);
        }
        off = config[off + 1] & ~3u;
    }
    return 1;
}

static int overlaps(uint64_t a, uint64_t a_bytes, uint64_t b, uint64_t b_bytes)
{
    return a < b + b_bytes && b < a + a_bytes;
}

int access_is_msix(const struct access_pci *pci, uint32_t region, uint64_t off)
{
    const uint64_t pba_bytes = (pci->msix_count + 63ull) / 64 * 8;

    return pci->msix_count > 0 &&
           ((region == pci->table_bar &&
             overlaps(off, 4, pci->table_off, 16ull * pci->msix_count)) ||
            (region == pci->pba_bar && overlaps(off, 4, pci->pba_off, pba_bytes)));
}

/* A place in a region; strict: no MSI-X in it, and nothing of it can be mapped. */
static int place_in(const struct check_device *device, const struct access_pci *pci,
                    uint32_t region, int strict, uint64_t *ret_off)
{
    const uint64_t candidates[] = { 0, (pci->table_off + 16ull * pci->msix_count) & ~3ull,
                                    (pci->pba_off + 256) & ~3ull };
    const uint32_t both = FERRY_REGION_READ | FERRY_REGION_WRITE;

    if ((device->region_flags[region] & both) != both ||
        (strict && ((device->region_flags[region] & FERRY_REGION_MMAP) ||
                    (pci->msix_count > 0 && region == pci->table_bar)))) {
        return 0;
    }
    for (size_t i = 0; i < 3; i++) {
        if (candidates[i] + 4 <= device->region_size[region] &&
            !access_is_msix(pci, region, candidates[i])) {
            *ret_off = candidates[i];
            return 1;
        }
    }
    return 0;
}

/* There are registers that take another width only. */
static int takes_words(struct check_run *run, uint32_t region, uint64_t off)
{
    uint8_t word[4];

    return check_region_read(run, region, off, word, sizeof(word)) == FERRY_OK;
}

int access_region(struct check_run *run, uint32_t *ret_region, uint64_t *ret_off)
{
    const struct check_device *device = run->at;
    struct access_pci pci;
    int found = 0;

    if (!access_pci_read(run, &pci)) {
        return 0;
    }
    for (int strict = 1; strict >= 0; strict--) {
        for (uint32_t i = 0; i < 6 && i < device->region_count; i++) {
            const int first = !found;
            uint64_t off;

            if (!place_in(device, &pci, i, strict, &off)) {
                continue;
            }
            found = 1;
            if (takes_words(run, i, off)) {
                *ret_region = i;
                *ret_off = off;
                return 1;
            }
            if (first) { /* this one when no other is better */
                *ret_region = i;
                *ret_off = off;
            }
        }
    }
    if (!found) {
        check_skip(run, "the device has no BAR beside its MSI-X table");
    }
    return found;
}

int access_put(struct check_run *run, const struct access_place *place, uint8_t value)
{
    return check_region_write(run, place->region, place->off, &value, 1);
}

int access_look(struct check_run *run, const struct access_place *place,
                uint8_t *ret_value)
{
    return check_region_read(run, place->region, place->off, ret_value, 1);
}

int access_keeps(struct check_run *run, struct access_place *place)
{
    uint8_t seen = 0;

    if (access_look(run, place, &place->old) < 0) {
        return 0;
    }
    place->fresh = place->old ^ PATTERN;
    if (access_put(run, place, place->fresh) < 0 || access_look(run, place, &seen) < 0 ||
        access_put(run, place, place->old) < 0) {
        return 0;
    }
    return seen == place->fresh;
}

int access_config_place(struct check_run *run, struct access_place *ret_place)
{
    *ret_place =
        (struct access_place){ .region = FERRY_REGION_CONFIG, .off = PCI_INTERRUPT_LINE };
    if (access_keeps(run, ret_place)) {
        return 1;
    }
    ret_place->off = PCI_CACHE_LINE;
    if (access_keeps(run, ret_place)) {
        return 1;
    }
    check_skip(run, "neither interrupt line nor cache line size keeps a value");
    return 0;
}

struct access_place access_msix_data(const struct access_pci *pci)
{
    return (struct access_place){ .region = pci->table_bar,
                                  .off = pci->table_off + MSIX_ENTRY_DATA };
}

int access_msix_place(struct check_run *run, struct access_place *ret_place)
{
    struct access_pci pci;

    if (!access_pci_read(run, &pci)) {
        return 0;
    }
    *ret_place = access_msix_data(&pci);
    if (pci.msix_count == 0 || !access_keeps(run, ret_place)) {
        check_skip(run, "the device has no MSI-X table that keeps what is written");
        return 0;
    }
    return 1;
}
