/* SPDX-License-Identifier: BSD-3-Clause */
#include <stdio.h>
#include <string.h>

#include "check/access/access.h"

/* Config space and MSI-X: what VMMs save and restore while the device does not run. */

#define PCI_COMMAND 0x04u
#define COMMAND_INTX_OFF 0x0400u

void access_config_read(struct check_run *run, const struct access_case *at)
{
    uint8_t before[64], now[64];
    int rc = check_region_read(run, FERRY_REGION_CONFIG, 0, before, sizeof(before));

    if (!check_ok(run, rc, "a read of config space in RUNNING") ||
        !access_enter(run, at->state)) {
        return;
    }
    memset(now, 0, sizeof(now));
    rc = check_region_read(run, FERRY_REGION_CONFIG, 0, now, sizeof(now));
    if (access_judge(run, at, rc, "a read of config space") && rc >= 0) {
        check_that(run, memcmp(before, now, 4) == 0,
                   "config space names the same device in every state",
                   "%02x%02x:%02x%02x in RUNNING, %02x%02x:%02x%02x in %s", before[1],
                   before[0], before[3], before[2], now[1], now[0], now[3], now[2],
                   ferry_state_name(at->state));
    }
}

/* A write in that state, and what is read afterwards. */
static void try_write(struct check_run *run, const struct access_case *at,
                      const struct access_place *place, const char *what)
{
    char expected[160];
    uint8_t seen = 0;
    int rc = access_put(run, place, place->fresh);

    if (!access_judge(run, at, rc, what) || rc < 0) {
        return;
    }
    snprintf(expected, sizeof(expected), "%s in %s is read back", what,
             ferry_state_name(at->state));
    rc = access_look(run, place, &seen);
    if (check_ok(run, rc, "reading it back") &&
        check_that(run, seen == place->fresh, expected, "0x%02x was written, 0x%02x read",
                   place->fresh, seen)) {
        rc = access_put(run, place, place->old);
        check_ok(run, rc, "writing the old value back");
    }
}

/* The command register is written as a whole, as guests and VMMs do it. */
static void try_command(struct check_run *run, const struct access_case *at)
{
    uint8_t old[2], fresh[2], seen[2];
    int rc = check_region_read(run, FERRY_REGION_CONFIG, PCI_COMMAND, old, sizeof(old));

    if (!check_ok(run, rc, "a read of the command register")) {
        return;
    }
    fresh[0] = old[0];
    fresh[1] = old[1] ^ (uint8_t)(COMMAND_INTX_OFF >> 8);
    rc = check_region_write(run, FERRY_REGION_CONFIG, PCI_COMMAND, fresh, sizeof(fresh));
    if (!access_judge(run, at, rc, "a write of the command register") || rc < 0) {
        return;
    }
    rc = check_region_read(run, FERRY_REGION_CONFIG, PCI_COMMAND, seen, sizeof(seen));
    if (check_ok(run, rc, "a read of the command register")) {
        check_that(run, memcmp(seen, old, 2) == 0 || memcmp(seen, fresh, 2) == 0,
                   "the command register holds the old or the new value", "0x%02x%02x",
                   seen[1], seen[0]);
    }
    rc = check_region_write(run, FERRY_REGION_CONFIG, PCI_COMMAND, old, sizeof(old));
    check_ok(run, rc, "writing the command register back");
}

void access_config_write(struct check_run *run, const struct access_case *at)
{
    struct access_place place;

    if (access_config_place(run, &place) && access_enter(run, at->state)) {
        try_write(run, at, &place, "a write of config space");
        if (at->cell->verdict == FERRY_ALLOW) {
            try_command(run, at);
        }
    }
}

/* Return: 1; 0 with the case skipped or BROKEN. */
static int need_msix(struct check_run *run, struct access_pci *ret_pci)
{
    if (!access_pci_read(run, ret_pci)) {
        return 0;
    }
    if (ret_pci->msix_count == 0) {
        check_skip(run, "the device has no MSI-X");
        return 0;
    }
    return 1;
}

void access_msix_read(struct check_run *run, const struct access_case *at)
{
    struct access_pci pci;
    uint8_t entry[16], pending[8];
    int rc;

    if (!need_msix(run, &pci) || !access_enter(run, at->state)) {
        return;
    }
    rc = check_region_read(run, pci.table_bar, pci.table_off, entry, sizeof(entry));
    if (access_judge(run, at, rc, "a read of the MSI-X table")) {
        rc = check_region_read(run, pci.pba_bar, pci.pba_off, pending, sizeof(pending));
        access_judge(run, at, rc, "a read of MSI-X pending bits");
    }
}

void access_msix_write(struct check_run *run, const struct access_case *at)
{
    struct access_pci pci;
    struct access_place place;
    uint8_t none[8] = { 0 };
    int kept, rc;

    if (!need_msix(run, &pci)) {
        return;
    }
    place = access_msix_data(&pci);
    kept = access_keeps(run, &place);
    if (!access_enter(run, at->state)) {
        return;
    }
    if (kept) {
        try_write(run, at, &place, "a write of the MSI-X table");
    } else {
        /* Linux keeps the table to itself: writes are taken and dropped. */
        rc = access_put(run, &place, place.old);
        access_judge(run, at, rc, "a write of the MSI-X table");
    }
    rc = check_region_write(run, pci.pba_bar, pci.pba_off, none, sizeof(none));
    access_judge(run, at, rc, "a write of MSI-X pending bits");
}

#define PM_CONTROL 4u
#define PM_STATE 3u
#define D3HOT 3u

static int set_power(struct check_run *run, const struct access_place *place,
                     uint32_t state)
{
    return access_put(run, place, (uint8_t)((place->old & ~PM_STATE) | state));
}

/* In D3hot nothing of the BARs is decoded: a read fails or gives ones. */
static void asleep(struct check_run *run, const struct access_place *pm)
{
    uint8_t seen = 0, data[4] = { 0 };
    const uint8_t ones[4] = { 0xff, 0xff, 0xff, 0xff };
    uint32_t region;
    uint64_t off;
    int rc = access_look(run, pm, &seen);

    if (!check_ok(run, rc, "a read of the power state") ||
        !check_that(run, (seen & PM_STATE) == D3HOT,
                    "the power state that was written is there when the device runs",
                    "D%u", seen & PM_STATE)) {
        return;
    }
    if (access_region(run, &region, &off)) {
        rc = check_region_read(run, region, off, data, sizeof(data));
        check_that(run, rc < 0 || memcmp(data, ones, sizeof(ones)) == 0,
                   "a device in D3hot that runs again does not decode its BARs",
                   "a read gives %02x%02x%02x%02x", data[3], data[2], data[1], data[0]);
    }
}

/* D3hot and D0 again while it does not run: the device has seen neither. */
static int power_passes(struct check_run *run, const struct access_case *at,
                        const struct access_place *pm)
{
    int rc = set_power(run, pm, D3HOT);

    if (!access_judge(run, at, rc, "a write of the power state")) {
        return 0;
    }
    rc = set_power(run, pm, 0);
    return access_judge(run, at, rc, "a write of the power state") &&
           check_is(run, at->state, "after writes of the power state");
}

void access_power(struct check_run *run, const struct access_case *at)
{
    struct check_stream before = { 0 }, after = { 0 };
    struct access_place pm = { .region = FERRY_REGION_CONFIG };
    struct access_pci pci;
    const int stops = at->state == FERRY_STATE_STOP;

    if (!access_pci_read(run, &pci)) {
        return;
    }
    pm.off = pci.pm_off + PM_CONTROL;
    if (pci.pm_off == 0 || access_look(run, &pm, &pm.old) < 0) {
        check_skip(run, "the device has no power management");
        return;
    }
    if (at->cell->verdict != FERRY_LATCH) {
        if (access_enter(run, at->state)) {
            access_judge(run, at, set_power(run, &pm, 0), "a write of the power state");
        }
        return;
    }
    /* With a state that a change of power would lose. */
    if (stops && ((run->options->driver && !check_works(run, "at first")) ||
                  !access_steady(run, &before))) {
        return;
    }
    if (access_enter(run, at->state) && power_passes(run, at, &pm) && stops &&
        access_snapshot(run, &after)) {
        access_same(run, &before, &after, "a power state that waits");
    }
    check_stream_free(&before);
    check_stream_free(&after);
    if (at->state != FERRY_STATE_RESUMING && access_enter(run, at->state) &&
        access_judge(run, at, set_power(run, &pm, D3HOT), "a write of the power state") &&
        check_go(run, FERRY_STATE_RUNNING)) {
        asleep(run, &pm);
        check_ok(run, set_power(run, &pm, 0), "waking it");
    }
}
