/* SPDX-License-Identifier: BSD-3-Clause */
#include <stdio.h>
#include <string.h>

#include "check/classes.h"
#include "check/state/state.h"
#include "ferry/host.h"
#include "os/eventfd.h"
#include "os/memory.h"

#define EXTRA_IOVA 0x40000000u
#define EXTRA_BYTES 0x10000u
#define PAGE 4096u

/* The user goes and another one comes. */
static int reopen(struct check_run *run)
{
    struct ferry_error error = { .code = FERRY_OK };
    int rc;

    check_device_close(run, run->at);
    rc = check_device_open(run, run->at, &error);
    return check_that(run, rc == FERRY_OK, "it can be opened again", "%s",
                      error.text[0] != '\0' ? error.text : ferry_status_text(rc));
}

static int leave_in(struct check_run *run, uint32_t at, const struct state_own *own)
{
    return state_enter_at(run, at, own) && reopen(run);
}

static void run_running(struct check_run *run, uint32_t at)
{
    struct state_own own;

    /* What had to be done to a device that was not is the engine's. */
    if (state_own_save(run, &own) && leave_in(run, at, &own) &&
        check_that(run, run->at->opened_in == FERRY_STATE_RUNNING,
                   "RUNNING for the next user", "%s",
                   ferry_state_name(run->at->opened_in))) {
        check_works(run, "for the next user");
    }
    state_own_free(&own);
}

static void run_session(struct check_run *run, uint32_t at)
{
    struct check_stream again = { 0 };
    struct state_own own;

    if (state_own_save(run, &own) && leave_in(run, at, &own) &&
        state_no_session(run, "for the next user") && check_save(run, &again)) {
        (void)state_is_whole(run, &own, &again, "for the next user");
    }
    check_stream_free(&again);
    state_own_free(&own);
}

static void run_log(struct check_run *run, uint32_t at)
{
    const struct ferry_range range = { CHECK_SCRATCH_IOVA, CHECK_SCRATCH_BYTES };
    uint64_t bits[1] = { 0 };
    char text[160];
    int rc;

    (void)at;
    if (check_reports_always(run)) {
        check_skip(run, "the device answers REPORT at any time");
        return;
    }
    rc = check_log_start(run, PAGE, &range, 1, NULL);
    if (rc != FERRY_OK) {
        check_broken(run, "the log cannot be started: %s",
                     check_status_text(run, rc, text));
        return;
    }
    if (!reopen(run)) {
        return;
    }
    rc = check_log_report(run, CHECK_SCRATCH_IOVA, PAGE, PAGE, bits);
    if (check_that(run, rc < 0, "the log is off for the next user",
                   "REPORT works without a START")) {
        check_ok(run, check_log_start(run, PAGE, &range, 1, NULL),
                 "START of the log by the next user");
    }
}

static void run_map(struct check_run *run, uint32_t at)
{
    char text[160];
    int rc = check_map(run, EXTRA_IOVA, EXTRA_BYTES, run->at->memory.fd, 0);

    (void)at;
    if (rc != FERRY_OK) {
        check_broken(run, "nothing can be mapped: %s", check_status_text(run, rc, text));
    } else if (reopen(run)) {
        check_ok(run, check_map(run, EXTRA_IOVA, EXTRA_BYTES, run->at->memory.fd, 0),
                 "DMA_MAP by the next user where another had mapped");
        (void)check_unmap(run, EXTRA_IOVA, EXTRA_BYTES);
    }
}

static int set_irqs(struct check_run *run, uint32_t flags, uint32_t index, const int *fd)
{
    struct ferry_request request = { .kind = FERRY_RQ_SET_IRQS };

    request.u.irq_set.flags = flags | FERRY_IRQ_SET_TRIGGER;
    request.u.irq_set.index = index;
    request.u.irq_set.count = 1;
    request.u.irq_set.fds = fd;
    request.u.irq_set.fd_count = fd ? 1 : 0;
    return check_call(run, &request);
}

/* The uAPI's loopback: a trigger without data raises the vector as the device would. */
static void run_irq(struct check_run *run, uint32_t at)
{
    const uint32_t index =
        run->device.vectors[FERRY_IRQ_MSIX] > 0 ? FERRY_IRQ_MSIX : FERRY_IRQ_MSI;
    char text[160];
    uint64_t count = 0;
    int fd = -1, rc;

    (void)at;
    rc = ferry_os_eventfd_create(&fd);
    if (rc == FERRY_OK) {
        rc = set_irqs(run, FERRY_IRQ_SET_DATA_EVENTFD, index, &fd);
    }
    if (rc == FERRY_OK) {
        rc = set_irqs(run, FERRY_IRQ_SET_DATA_NONE, index, NULL);
    }
    if (rc != FERRY_OK) {
        check_skip(run, "the vector cannot be raised: %s",
                   check_status_text(run, rc, text));
    } else if (ferry_check_turn(&run->driven, 1) != FERRY_OK ||
               ferry_os_eventfd_drain(fd, &count) != FERRY_OK || count == 0) {
        check_skip(run, "the vector cannot be raised");
    } else if (reopen(run)) {
        count = 0;
        (void)set_irqs(run, FERRY_IRQ_SET_DATA_NONE, index, NULL);
        (void)ferry_check_turn(&run->driven, run->look_ms);
        (void)ferry_os_eventfd_drain(fd, &count);
        check_looked(run, run->look_ms);
        check_that(run, count == 0, "the eventfd of a user who left is silent",
                   "it was signalled");
    }
    ferry_os_close(&fd);
}

static void run_clean(struct check_run *run, uint32_t at)
{
    const struct ferry_check_driver *driver = run->options->driver;
    struct ferry_error error = { .code = FERRY_OK };
    struct check_stream again = { 0 };
    struct state_own own;
    int rc = FERRY_OK;

    (void)at;
    if (!driver->change) {
        check_skip(run, "the driver '%s' cannot change the device", driver->name);
        return;
    }
    if (!reopen(run) || !state_own_save(run, &own)) {
        return;
    }
    if (!own.steady) {
        check_skip(run, "two saves of this device differ");
    } else if (check_drive(run)) {
        rc = driver->change(run->driver_state, &error);
        if (rc != FERRY_OK) {
            check_broken(run, "the driver cannot change the device: %s", error.text);
        } else if (reopen(run) && check_save(run, &again)) {
            check_that(
                run,
                again.bytes == own.stream.bytes &&
                    memcmp(again.data, own.stream.data, again.bytes) == 0,
                "the state of a device that nobody has used",
                "something of the user before (%llu bytes of state, %llu at first)",
                (unsigned long long)again.bytes, (unsigned long long)own.stream.bytes);
        }
    }
    check_stream_free(&again);
    state_own_free(&own);
}

const struct check check_state_reopen[] = {
    { { "reopen.running", "MIG-OPEN-1", "left in each state, in the middle of transfers",
        FERRY_CHECK_REQUIRED, FERRY_CHECK_NEEDS_REOPEN | FERRY_CHECK_NEEDS_V2 },
      state_cut_count,
      state_cut_name,
      run_running },
    { { "reopen.session", "MIG-OPEN-2", "no session is left for the next user",
        FERRY_CHECK_EXPECTED, FERRY_CHECK_NEEDS_REOPEN | FERRY_CHECK_NEEDS_V2 },
      state_cut_count,
      state_cut_name,
      run_session },
    { { "reopen.log", "MIG-OPEN-2", "no DMA log is left for the next user",
        FERRY_CHECK_EXPECTED,
        FERRY_CHECK_NEEDS_LOG | FERRY_CHECK_NEEDS_REOPEN | FERRY_CHECK_NEEDS_V2 },
      NULL,
      NULL,
      run_log },
    { { "reopen.map", "MIG-OPEN-2", "no DMA map is left for the next user",
        FERRY_CHECK_EXPECTED, FERRY_CHECK_NEEDS_REOPEN | FERRY_CHECK_NEEDS_V2 },
      NULL,
      NULL,
      run_map },
    { { "reopen.irq", "MIG-OPEN-2", "no eventfd of an earlier user is signalled",
        FERRY_CHECK_EXPECTED,
        FERRY_CHECK_NEEDS_IRQ | FERRY_CHECK_NEEDS_REOPEN | FERRY_CHECK_NEEDS_V2 },
      NULL,
      NULL,
      run_irq },
    { { "reopen.clean", "MIG-OPEN-2", "the next user finds nothing of the last one's",
        FERRY_CHECK_RECOMMENDED,
        FERRY_CHECK_NEEDS_DRIVER | FERRY_CHECK_NEEDS_REOPEN | FERRY_CHECK_NEEDS_V2 },
      NULL,
      NULL,
      run_clean },
    { { NULL, NULL, NULL, 0, 0 }, NULL, NULL, NULL },
};
