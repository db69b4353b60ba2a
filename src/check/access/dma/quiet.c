/* SPDX-License-Identifier: BSD-3-Clause */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "check/access/access.h"
#include "check/access/irq/line.h"
#include "check/classes.h"

/*
 * A device that does not run writes to no memory and raises no interrupt. It gets work
 * that lasts, is taken to the state, and is watched for a while. That nothing was seen is
 * no proof, which the result says.
 */

#define RANGE_BYTES (64u << 10) /* that the driver has written over and over */
#define PAGE_BYTES 4096u
#define RANGE_WORDS (CHECK_SCRATCH_BYTES / PAGE_BYTES / 64)

#define DMA (1u << FERRY_OP_DMA_START)
#define IRQ (1u << FERRY_OP_IRQ_RAISE)

static int report(struct check_run *run, uint64_t page, uint64_t *ret_dirty)
{
    uint64_t bitmap[RANGE_WORDS] = { 0 };
    int rc = check_log_report(run, CHECK_SCRATCH_IOVA, CHECK_SCRATCH_BYTES, page, bitmap);

    *ret_dirty = 0;
    for (size_t i = 0; i < RANGE_WORDS; i++) {
        *ret_dirty += (uint64_t)__builtin_popcountll(bitmap[i]);
    }
    return rc;
}

/* Where it differs; CHECK_MEMORY_BYTES: nowhere. */
static uint64_t difference(const uint8_t *a, const uint8_t *b)
{
    uint64_t at = 0;

    if (memcmp(a, b, CHECK_MEMORY_BYTES) == 0) {
        return CHECK_MEMORY_BYTES;
    }
    while (a[at] == b[at]) {
        at++;
    }
    return at;
}

static void watch_memory(struct check_run *run, const struct access_case *at,
                         uint64_t page)
{
    uint8_t *const memory = run->device.memory.address;
    const char *state = ferry_state_name(at->state);
    uint8_t *before = malloc(CHECK_MEMORY_BYTES);
    char expected[160];
    uint64_t dirty = 0, where;
    int rc = page ? report(run, page, &dirty) : FERRY_OK;

    if (!before || rc != FERRY_OK) {
        free(before);
        check_broken(run, "no memory, or no report of the log in %s", state);
        return;
    }
    memcpy(before, memory, CHECK_MEMORY_BYTES);
    access_watch(run);
    where = difference(before, memory);
    snprintf(expected, sizeof(expected), "the device writes to no memory in %s", state);
    check_that(run, where == CHECK_MEMORY_BYTES, expected,
               "it writes at IOVA 0x%llx after the arc has ended",
               (unsigned long long)(CHECK_IOVA + where));
    if (page && check_ok(run, report(run, page, &dirty), "a report of the log")) {
        snprintf(expected, sizeof(expected), "the log shows no new write in %s", state);
        check_that(run, dirty == 0, expected, "%llu pages", (unsigned long long)dirty);
    }
    free(before);
}

static void watch_interrupts(struct check_run *run, const struct access_case *at)
{
    char expected[160];
    uint64_t count;

    /* What came before the arc ended is not meant. */
    (void)irq_driver_count(run);
    access_watch(run);
    count = irq_driver_count(run);
    snprintf(expected, sizeof(expected), "the device raises no interrupt in %s",
             ferry_state_name(at->state));
    check_that(run, count == 0, expected, "%llu came after the arc had ended",
               (unsigned long long)count);
}

/* Where it may work, it does. */
static void works_in(struct check_run *run, const struct access_case *at)
{
    const struct ferry_check_driver *driver = run->options->driver;
    struct ferry_error error = { .code = FERRY_OK };
    char expected[160];
    int rc;

    if (!driver->works || !driver->write) {
        check_skip(run, "the driver cannot tell whether it works");
        return;
    }
    if (!check_drive(run) || !check_go(run, at->state)) {
        return;
    }
    rc = at->operation == FERRY_OP_IRQ_RAISE
             ? driver->works(run->driver_state, &error)
             : driver->write(run->driver_state, CHECK_SCRATCH_IOVA, RANGE_BYTES, &error);
    snprintf(expected, sizeof(expected), "%s works in %s",
             at->operation == FERRY_OP_IRQ_RAISE ? "an interrupt" : "DMA",
             ferry_state_name(at->state));
    check_that(run, rc == FERRY_OK, expected, "%s",
               error.text[0] != '\0' ? error.text : ferry_status_text(rc));
}

void access_work(struct check_run *run, const struct access_case *at)
{
    const struct ferry_range all = { CHECK_SCRATCH_IOVA, CHECK_SCRATCH_BYTES };
    uint64_t page = 0;

    if (!run->options->driver) {
        check_skip(run, "no driver that has this device work");
        return;
    }
    if (at->cell->verdict == FERRY_ALLOW) {
        works_in(run, at);
        return;
    }
    if (!check_can_begin(run) || !check_drive(run)) {
        return;
    }
    if (at->operation == FERRY_OP_DMA_START && run->device.has_log &&
        check_log_start(run, PAGE_BYTES, &all, 1, &page) != FERRY_OK) {
        page = 0;
    }
    if (!check_begin(run, CHECK_SCRATCH_IOVA, RANGE_BYTES) ||
        !access_enter(run, at->state)) {
        return;
    }
    if (at->operation == FERRY_OP_DMA_START) {
        watch_memory(run, at, page);
    } else {
        watch_interrupts(run, at);
    }
}

static uint32_t watched(const struct check_run *run)
{
    return strncmp(run->check->info.id, "irq.", 4) == 0 ? IRQ : DMA;
}

static uint32_t quiet_cases(const struct check_run *run)
{
    struct access_case at;

    return access_pick(run, watched(run), UINT32_MAX, &at);
}

static void quiet_name(const struct check_run *run, uint32_t at,
                       char ret_name[FERRY_CHECK_CASE_BYTES])
{
    struct access_case cell = { 0 };

    (void)access_pick(run, watched(run), at, &cell);
    access_name(&cell, ret_name);
}

static void run_quiet(struct check_run *run, uint32_t at)
{
    struct access_case cell = { 0 };

    (void)access_pick(run, watched(run), at, &cell);
    access_work(run, &cell);
}

/* -- It goes on with what it had -- */

#define LEFT_OUT (1u << FERRY_STATE_ERROR | 1u << FERRY_STATE_RUNNING)

static uint32_t go_on_cases(const struct check_run *run)
{
    return check_states(run, LEFT_OUT, UINT32_MAX, NULL);
}

static void go_on_name(const struct check_run *run, uint32_t at,
                       char ret_name[FERRY_CHECK_CASE_BYTES])
{
    uint32_t state = 0;

    (void)check_states(run, LEFT_OUT, at, &state);
    snprintf(ret_name, FERRY_CHECK_CASE_BYTES, "RUNNING>%s>RUNNING",
             ferry_state_name(state));
}

static void run_go_on(struct check_run *run, uint32_t at)
{
    uint32_t state = 0;
    char when[64];

    (void)check_states(run, LEFT_OUT, at, &state);
    if (!check_begin(run, CHECK_SCRATCH_IOVA, RANGE_BYTES)) {
        return;
    }
    if ((state == FERRY_STATE_RESUMING ? access_load_own(run) : check_go(run, state)) &&
        check_go(run, FERRY_STATE_RUNNING)) {
        snprintf(when, sizeof(when), "after RUNNING, %s, RUNNING",
                 ferry_state_name(state));
        if (check_settles(run, when)) {
            check_works(run, when);
        }
    }
}

/* -- A load needs no guest memory -- */

static void run_blind(struct check_run *run, uint32_t at)
{
    struct check_stream stream = { 0 };
    int rc;

    (void)at;
    if (!check_begin(run, CHECK_SCRATCH_IOVA, RANGE_BYTES) || !check_save(run, &stream) ||
        !check_go(run, FERRY_STATE_RESUMING)) {
        check_stream_free(&stream);
        return;
    }
    rc = check_unmap(run, CHECK_IOVA, CHECK_MEMORY_BYTES);
    if (check_ok(run, rc, "the unmap of all memory in RESUMING") &&
        check_ok(run, check_write_all(run, stream.data, stream.bytes, 0),
                 "a load while no memory is mapped") &&
        check_ok(run, check_set_state(run, FERRY_STATE_STOP),
                 "RESUMING to STOP while no memory is mapped")) {
        rc = check_map(run, CHECK_IOVA, CHECK_MEMORY_BYTES, run->at->memory.fd, 0);
        if (check_ok(run, rc, "the map of all memory in STOP") &&
            check_go(run, FERRY_STATE_RUNNING) && check_settles(run, "after the load")) {
            check_works(run, "after a load without memory");
        }
    } else {
        (void)check_reopen(run);
    }
    check_stream_free(&stream);
}

const struct check check_access_quiet[] = {
    { { "dma.stopped", "MIG-STOP-1", "a stopped device writes to no memory",
        FERRY_CHECK_REQUIRED, FERRY_CHECK_NEEDS_DRIVER },
      quiet_cases,
      quiet_name,
      run_quiet },
    { { "dma.p2p", "MIG-P2P-1", "a device in a P2P state writes to no memory either",
        FERRY_CHECK_RECOMMENDED, FERRY_CHECK_NEEDS_DRIVER | FERRY_CHECK_NEEDS_P2P },
      quiet_cases,
      quiet_name,
      run_quiet },
    { { "dma.resuming", "MIG-RES-3", "a loading device writes to no memory",
        FERRY_CHECK_EXPECTED, FERRY_CHECK_NEEDS_DRIVER },
      quiet_cases,
      quiet_name,
      run_quiet },
    { { "dma.blind", "MIG-RES-3", "a load needs no guest memory", FERRY_CHECK_RECOMMENDED,
        FERRY_CHECK_NEEDS_DRIVER },
      NULL,
      NULL,
      run_blind },
    { { "dma.goes-on", "MIG-RUN-2", "work under way is completed when it runs again",
        FERRY_CHECK_REQUIRED, FERRY_CHECK_NEEDS_DRIVER },
      go_on_cases,
      go_on_name,
      run_go_on },
    { { "irq.stopped", "MIG-STOP-1", "a stopped device raises no interrupt",
        FERRY_CHECK_REQUIRED, FERRY_CHECK_NEEDS_DRIVER | FERRY_CHECK_NEEDS_IRQ },
      quiet_cases,
      quiet_name,
      run_quiet },
    { { "irq.p2p", "MIG-P2P-6", "a device in a P2P state raises no interrupt",
        FERRY_CHECK_RECOMMENDED,
        FERRY_CHECK_NEEDS_DRIVER | FERRY_CHECK_NEEDS_IRQ | FERRY_CHECK_NEEDS_P2P },
      quiet_cases,
      quiet_name,
      run_quiet },
    { { "irq.resuming", "MIG-RES-3", "a loading device raises no interrupt",
        FERRY_CHECK_EXPECTED, FERRY_CHECK_NEEDS_DRIVER | FERRY_CHECK_NEEDS_IRQ },
      quiet_cases,
      quiet_name,
      run_quiet },
    { { NULL, NULL, NULL, 0, 0 }, NULL, NULL, NULL },
};
