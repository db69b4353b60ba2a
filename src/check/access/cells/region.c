/* SPDX-License-Identifier: BSD-3-Clause */
#include <stdio.h>
#include <string.h>

#include "check/access/access.h"
#include "os/clock.h"
#include "os/eventfd.h"
#include "os/memory.h"

/* Regions and doorbells: a guest's work, which a device that does not run must not take.
 */

#define SWEEP_BYTES 0x2000u /* of each BAR are tried */
#define DOORBELL_MS 1000u   /* a device that runs takes a doorbell before that */

/* MIG-QUI-1: until its data are read such a device's stop is no more than a P2P state. */
static int is_only_quiet(const struct check_run *run, uint32_t state)
{
    return run->at->is_v1 && run->at->identity.implicit_quiesce != 0 &&
           state != FERRY_STATE_RESUMING;
}

static void skip_quiet(struct check_run *run)
{
    check_skip(run, "the device is quiet implicitly: it stands still only when its data "
                    "are read");
}

/* Into STOP_COPY, to stand still. */
static int freeze(struct check_run *run)
{
    uint8_t byte;
    uint64_t got;

    return check_go(run, FERRY_STATE_STOP_COPY) &&
           (!is_only_quiet(run, FERRY_STATE_STOP_COPY) ||
            check_ok(run, check_read(run, &byte, 1, &got), "a read of data"));
}

void access_region_read(struct check_run *run, const struct access_case *at)
{
    const uint8_t ones[4] = { 0xff, 0xff, 0xff, 0xff };
    uint8_t seen[4] = { 0 };
    uint32_t region;
    uint64_t off;
    int rc;

    if (at->cell->verdict == FERRY_REFUSE && is_only_quiet(run, at->state)) {
        skip_quiet(run);
        return;
    }
    if (!access_region(run, &region, &off) || !access_enter(run, at->state)) {
        return;
    }
    rc = check_region_read(run, region, off, seen, sizeof(seen));
    if (at->cell->verdict == FERRY_REFUSE && rc >= 0) {
        char expected[160];

        snprintf(expected, sizeof(expected), "a read of a BAR in %s fails or gives ones",
                 ferry_state_name(at->state));
        check_that(run, memcmp(seen, ones, sizeof(ones)) == 0, expected,
                   "BAR%u at 0x%llx gives %02x%02x%02x%02x", region,
                   (unsigned long long)off, seen[3], seen[2], seen[1], seen[0]);
        return;
    }
    access_judge(run, at, rc, "a read of a BAR");
}

/*
 * Writes all over the BARs, as long as each is refused: a device that takes the first one
 * is judged by it and gets no second. Return: 1 when all were refused.
 */
static int sweep(struct check_run *run, const struct access_case *at,
                 const struct access_pci *pci)
{
    const struct check_device *device = run->at;
    const uint8_t ones[4] = { 0xff, 0xff, 0xff, 0xff };

    for (uint32_t i = 0; i < 6 && i < device->region_count; i++) {
        for (uint64_t off = 0; off + 4 <= device->region_size[i] && off < SWEEP_BYTES;
             off += 4) {
            int rc;

            if (!(device->region_flags[i] & FERRY_REGION_WRITE) ||
                access_is_msix(pci, i, off)) {
                continue;
            }
            rc = check_region_write(run, i, off, ones, sizeof(ones));
            if (rc >= 0) {
                return access_judge(run, at, rc, "a write to a BAR");
            }
        }
    }
    return check_is(run, at->state, "after refused writes to its BARs");
}

/* Saves it, has writes refused, and saves it again: what a BAR holds is in there. */
static void refused_writes(struct check_run *run, const struct access_case *at)
{
    struct check_stream before = { 0 }, after = { 0 };
    struct access_pci pci;
    int good = access_pci_read(run, &pci);

    if (at->state == FERRY_STATE_RESUMING) {
        good = good && access_steady(run, &before) && access_enter(run, at->state) &&
               sweep(run, at, &pci) && check_load(run, &before);
    } else if (at->state == FERRY_STATE_STOP || at->state == FERRY_STATE_STOP_COPY) {
        good = good && access_steady(run, &before) &&
               (at->state == FERRY_STATE_STOP_COPY ? freeze(run)
                                                   : check_go(run, at->state)) &&
               sweep(run, at, &pci) && check_go(run, FERRY_STATE_STOP);
    } else {
        good = 0;
        if (access_enter(run, at->state)) {
            sweep(run, at, &pci);
        }
    }
    if (good && access_snapshot(run, &after)) {
        access_same(run, &before, &after, "a refused write to a BAR");
    }
    check_stream_free(&before);
    check_stream_free(&after);
}

void access_region_write(struct check_run *run, const struct access_case *at)
{
    uint8_t data[4] = { 0 };
    uint32_t region;
    uint64_t off;
    int rc;

    if (!access_region(run, &region, &off)) {
        return;
    }
    if (at->cell->verdict == FERRY_REFUSE) {
        if (at->state == FERRY_STATE_STOP && is_only_quiet(run, at->state)) {
            skip_quiet(run);
        } else {
            refused_writes(run, at);
        }
        return;
    }
    /* What is there is written back: it must be harmless on any device. */
    rc = check_region_read(run, region, off, data, sizeof(data));
    if (check_ok(run, rc, "a read of a BAR in RUNNING") && access_enter(run, at->state)) {
        rc = check_region_write(run, region, off, data, sizeof(data));
        access_judge(run, at, rc, "a write to a BAR");
    }
}

/* -- Doorbells through eventfds -- */

struct bells {
    struct ferry_io_fd entry[FERRY_IO_FDS_MAX];
    uint32_t count;
};

static int find_bells(struct check_run *run, struct bells *bells)
{
    bells->count = 0;
    for (uint32_t i = 0; i < 6 && i < run->at->region_count && bells->count == 0; i++) {
        struct ferry_request request = { .kind = FERRY_RQ_REGION_IO_FDS };

        request.u.io_fds.index = i;
        request.u.io_fds.cap = FERRY_IO_FDS_MAX;
        request.u.io_fds.entry = bells->entry;
        if (run->at->region_size[i] > 0 && check_call(run, &request) == FERRY_OK) {
            bells->count = request.u.io_fds.count;
        }
    }
    if (bells->count == 0) {
        check_skip(run, "the device has no doorbells through eventfds");
    }
    return bells->count > 0;
}

static void close_bells(struct check_run *run, struct bells *bells)
{
    for (uint32_t i = 0; i < bells->count && !run->at->target.endpoint; i++) {
        ferry_os_close(&bells->entry[i].fd);
    }
}

/* Waits until the device has taken what was rung, or the time is over. Return: 1 when it
 * has. */
static int taken(struct check_run *run, int fd, uint32_t ms)
{
    const uint64_t until = ferry_os_now_ns() + (uint64_t)ms * FERRY_NS_PER_MS;
    uint64_t count;

    do {
        (void)ferry_check_turn(&run->driven, 1);
        count = 0;
        if (ferry_os_eventfd_drain(fd, &count) != FERRY_OK || count == 0) {
            return 1;
        }
        (void)ferry_os_eventfd_signal(fd);
    } while (ferry_os_now_ns() < until);
    return 0;
}

void access_ioeventfd(struct check_run *run, const struct access_case *at)
{
    char expected[160];
    struct bells bells;
    uint32_t verdict = at->cell->verdict;
    int heard;

    if (verdict == FERRY_LATCH) {
        verdict = run->at->has_identity && run->at->identity.doorbell_latch
                      ? FERRY_ALLOW
                      : FERRY_IGNORE;
    }
    if (verdict != FERRY_ALLOW && is_only_quiet(run, at->state)) {
        skip_quiet(run); /* it may latch the doorbell as in a P2P state */
        return;
    }
    if (!find_bells(run, &bells)) {
        return;
    }
    if (access_enter(run, at->state) &&
        check_ok(run, ferry_os_eventfd_signal(bells.entry[0].fd), "ringing a doorbell")) {
        heard = taken(run, bells.entry[0].fd,
                      verdict == FERRY_ALLOW ? DOORBELL_MS : run->look_ms);
        snprintf(expected, sizeof(expected),
                 verdict == FERRY_ALLOW ? "a doorbell is taken in %s"
                                        : "a doorbell is left where it is in %s",
                 ferry_state_name(at->state));
        check_that(run, heard == (verdict == FERRY_ALLOW), expected,
                   heard ? "its eventfd was read"
                         : "its eventfd is not read within %u ms",
                   DOORBELL_MS);
        if (verdict != FERRY_ALLOW) {
            check_looked(run, run->look_ms);
            check_is(run, at->state, "after a doorbell");
        }
    }
    close_bells(run, &bells);
}
