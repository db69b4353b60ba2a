/* SPDX-License-Identifier: BSD-3-Clause */
#include <stdio.h>
#include <string.h>

#include "check/access/access.h"
#include "check/access/irq/line.h"
#include "check/classes.h"
#include "os/clock.h"

/*
 * An interrupt that is raised while its vector is masked stays pending, over changes of
 * state and over a load, and comes when the vector is unmasked.
 */

#define RANGE_BYTES (64u << 10)
#define ENTRY_BYTES 16u
#define ENTRY_CONTROL 12u
#define PENDING_MS 500u /* a device with work has something to say before that */
#define ARRIVE_MS 1000u

static int set_mask(struct check_run *run, const struct access_pci *pci, uint8_t value)
{
    for (uint32_t i = 0; i < run->device.eventfd_count; i++) {
        const uint64_t off = pci->table_off + i * ENTRY_BYTES + ENTRY_CONTROL;
        uint8_t seen = 0;

        if (check_region_write(run, pci->table_bar, off, &value, 1) < 0 ||
            check_region_read(run, pci->table_bar, off, &seen, 1) < 0 ||
            (seen & 1u) != value) {
            return 0;
        }
    }
    return run->device.eventfd_count > 0;
}

/* Is one of the driver's vectors pending? */
static int is_pending(struct check_run *run, const struct access_pci *pci)
{
    uint8_t bits[8] = { 0 };
    const uint32_t count = run->device.eventfd_count;

    if (check_region_read(run, pci->pba_bar, pci->pba_off, bits, sizeof(bits)) < 0) {
        return 0;
    }
    for (uint32_t i = 0; i < count && i < 64; i++) {
        if (bits[i / 8] >> (i % 8) & 1u) {
            return 1;
        }
    }
    return 0;
}

/* Work with masked vectors, until an interrupt is pending. Return: 1; else skipped or
 * BROKEN. */
static int make_pending(struct check_run *run, const struct access_pci *pci)
{
    const uint64_t until = ferry_os_now_ns() + PENDING_MS * (uint64_t)FERRY_NS_PER_MS;

    if (!check_can_begin(run) || !check_drive(run)) {
        return 0;
    }
    if (pci->msix_count == 0 || !set_mask(run, pci, 1)) {
        check_skip(run,
                   "the device has no MSI-X table whose mask bits keep what is written");
        return 0;
    }
    (void)irq_driver_count(run);
    if (is_pending(run, pci)) {
        check_skip(run, "the pending bits tell nothing");
        return 0;
    }
    if (!check_begin(run, CHECK_SCRATCH_IOVA, RANGE_BYTES)) {
        return 0;
    }
    while (!is_pending(run, pci)) {
        if (ferry_os_now_ns() >= until) {
            check_skip(run, "no interrupt gets pending");
            return 0;
        }
        (void)ferry_check_turn(&run->driven, 1);
    }
    return check_that(run, irq_driver_count(run) == 0,
                      "a masked vector does not interrupt", "its eventfd is signalled");
}

static void unmasked(struct check_run *run, const struct access_pci *pci,
                     const char *when)
{
    const uint64_t until = ferry_os_now_ns() + ARRIVE_MS * (uint64_t)FERRY_NS_PER_MS;
    char expected[160];
    uint64_t count = 0;

    snprintf(expected, sizeof(expected), "a pending interrupt comes %s", when);
    if (!set_mask(run, pci, 0)) {
        check_broken(run, "the vectors cannot be unmasked");
        return;
    }
    while (count == 0 && ferry_os_now_ns() < until) {
        (void)ferry_check_turn(&run->driven, 0);
        count = irq_driver_count(run);
    }
    check_that(run, count > 0, expected, "none comes");
}

/* Where a device stands still, and comes back from. */
#define LEFT_OUT                                                                         \
    (1u << FERRY_STATE_ERROR | 1u << FERRY_STATE_RUNNING | 1u << FERRY_STATE_RESUMING)

static uint32_t pending_cases(const struct check_run *run)
{
    return check_states(run, LEFT_OUT, UINT32_MAX, NULL);
}

static void pending_name(const struct check_run *run, uint32_t at,
                         char ret_name[FERRY_CHECK_CASE_BYTES])
{
    uint32_t state = 0;

    (void)check_states(run, LEFT_OUT, at, &state);
    snprintf(ret_name, FERRY_CHECK_CASE_BYTES, "RUNNING>%s>RUNNING",
             ferry_state_name(state));
}

static void run_pending(struct check_run *run, uint32_t at)
{
    struct access_pci pci;
    uint32_t state = 0;
    char when[96];

    (void)check_states(run, LEFT_OUT, at, &state);
    if (!access_pci_read(run, &pci) || !make_pending(run, &pci) || !check_settle(run) ||
        !check_go(run, state)) {
        return;
    }
    snprintf(when, sizeof(when), "after RUNNING, %s, RUNNING", ferry_state_name(state));
    if (check_that(run, is_pending(run, &pci), "a pending interrupt stays pending",
                   "it is gone in %s", ferry_state_name(state)) &&
        check_go(run, FERRY_STATE_RUNNING)) {
        unmasked(run, &pci, when);
    }
}

static void run_carried(struct check_run *run, uint32_t at)
{
    struct access_pci pci;

    (void)at;
    if (!access_pci_read(run, &pci) || !make_pending(run, &pci) || !check_settle(run)) {
        return;
    }
    if (access_load_own(run) && check_go(run, FERRY_STATE_RUNNING)) {
        unmasked(run, &pci, "after a save and a load");
    }
}

const struct check check_access_irq_pending[] = {
    { { "irq.pending", "MIG-IRQ-3", "a pending interrupt is not lost over a stop",
        FERRY_CHECK_EXPECTED, FERRY_CHECK_NEEDS_DRIVER | FERRY_CHECK_NEEDS_IRQ },
      pending_cases,
      pending_name,
      run_pending },
    { { "irq.carried", "MIG-IRQ-2", "a pending interrupt is not lost over a load",
        FERRY_CHECK_RECOMMENDED, FERRY_CHECK_NEEDS_DRIVER | FERRY_CHECK_NEEDS_IRQ },
      NULL,
      NULL,
      run_carried },
    { { NULL, NULL, NULL, 0, 0 }, NULL, NULL, NULL },
};
