/* SPDX-License-Identifier: BSD-3-Clause */
#include <stdio.h>

#include "check/classes.h"
#include "check/state/state.h"
#include "wire/status.h"

#define EINVAL_NUMBER 22u
#define ENOTTY_NUMBER 25u
#define DATA_SIZE 9u
#define KNOWN_FLAGS (FERRY_MIG_STOP_COPY | FERRY_MIG_P2P | FERRY_MIG_PRE_COPY)

static int get_flags(struct check_run *run, uint64_t *ret_flags)
{
    struct ferry_request request = { .kind = FERRY_RQ_MIG_FLAGS };
    int rc = check_call(run, &request);

    *ret_flags = rc == FERRY_OK ? request.u.mig_flags : 0;
    return rc;
}

/* In each state, then after a reset and after a reopening. */
static uint32_t flags_cases(const struct check_run *run)
{
    return check_state_count(run) + 2;
}

static void flags_name(const struct check_run *run, uint32_t at,
                       char ret_name[FERRY_CHECK_CASE_BYTES])
{
    const uint32_t count = check_state_count(run);

    if (at < count) {
        check_state_name(run, at, ret_name);
    } else {
        snprintf(ret_name, FERRY_CHECK_CASE_BYTES, at == count ? "reset" : "reopen");
    }
}

static void run_flags(struct check_run *run, uint32_t at)
{
    const uint32_t count = check_state_count(run);
    uint64_t before, after;

    if (!check_ok(run, get_flags(run, &before), "GET of the migration flags") ||
        !check_that(run, (before & FERRY_MIG_STOP_COPY) && !(before & ~KNOWN_FLAGS),
                    "STOP_COPY, with or without P2P and PRE_COPY", "0x%llx",
                    (unsigned long long)before)) {
        return;
    }
    if (at == count && !run->device.can_reset) {
        check_skip(run, "the device has no reset");
        return;
    }
    if (at < count    ? !check_go(run, check_state_at(run, at))
        : at == count ? !check_ok(run, check_reset(run), "a reset")
                      : !check_reopen(run)) {
        return;
    }
    if (check_ok(run, get_flags(run, &after), "GET of the migration flags")) {
        check_that(run, before == after, "the flags that it had before", "0x%llx",
                   (unsigned long long)after);
    }
}

/* What a device may have: 0 has to be refused, since the feature has no such operation.
 */
static const struct {
    const char *name;
    uint32_t index, operation, there, log;
} probes[] = {
    { "MIGRATION,GET", 1, FERRY_FEATURE_GET, 1, 0 },
    { "MIGRATION,SET", 1, FERRY_FEATURE_SET, 0, 0 },
    { "MIGRATION,GET+SET", 1, FERRY_FEATURE_GET | FERRY_FEATURE_SET, 0, 0 },
    { "MIG_DEVICE_STATE,GET", 2, FERRY_FEATURE_GET, 1, 0 },
    { "MIG_DEVICE_STATE,SET", 2, FERRY_FEATURE_SET, 1, 0 },
    { "MIG_DEVICE_STATE,GET+SET", 2, FERRY_FEATURE_GET | FERRY_FEATURE_SET, 1, 0 },
    { "DMA_LOGGING_START,SET", 6, FERRY_FEATURE_SET, 1, 1 },
    { "DMA_LOGGING_START,GET", 6, FERRY_FEATURE_GET, 0, 1 },
    { "DMA_LOGGING_STOP,SET", 7, FERRY_FEATURE_SET, 1, 1 },
    { "DMA_LOGGING_STOP,GET", 7, FERRY_FEATURE_GET, 0, 1 },
    { "DMA_LOGGING_REPORT,GET", 8, FERRY_FEATURE_GET, 1, 1 },
    { "DMA_LOGGING_REPORT,SET", 8, FERRY_FEATURE_SET, 0, 1 },
    { "MIG_DATA_SIZE,GET", DATA_SIZE, FERRY_FEATURE_GET, 1, 0 },
    { "MIG_DATA_SIZE,SET", DATA_SIZE, FERRY_FEATURE_SET, 0, 0 },
};

static int probe(struct check_run *run, uint32_t index, uint32_t operation)
{
    struct ferry_request request = { .kind = FERRY_RQ_PROBE };

    request.u.probe.index = index;
    request.u.probe.operation = operation;
    return check_call(run, &request);
}

static uint32_t probe_cases(const struct check_run *run)
{
    (void)run;
    return (uint32_t)(sizeof(probes) / sizeof(probes[0]));
}

static void probe_name(const struct check_run *run, uint32_t at,
                       char ret_name[FERRY_CHECK_CASE_BYTES])
{
    (void)run;
    snprintf(ret_name, FERRY_CHECK_CASE_BYTES, "%s", probes[at].name);
}

static void run_probe(struct check_run *run, uint32_t at)
{
    char text[160];
    uint64_t bytes;
    int rc;

    if (probes[at].log && !run->device.has_log) {
        check_skip(run, "the device does not log DMA");
        return;
    }
    if (probes[at].index == DATA_SIZE && check_data_size(run, &bytes) != FERRY_OK) {
        check_skip(run, "the device does not tell the size of its data");
        return;
    }
    rc = probe(run, probes[at].index, probes[at].operation);
    if (probes[at].there) {
        check_ok(run, rc, "PROBE of an operation that the feature has");
    } else {
        check_that(run, rc < 0 && ferry_wire_errno_from_status(rc) == EINVAL_NUMBER,
                   "PROBE of an operation that the feature has not: EINVAL (22)", "%s",
                   check_status_text(run, rc, text));
    }
}

static const struct {
    const char *name;
    uint32_t index;
} unknown[] = {
    { "4095", 4095 },
    { "0x8001", 0x8001 }, /* 1 when it is cut */
    { "0xfdff", 0xfdff },
    { "0xffff", 0xffff },
};

static uint32_t unknown_cases(const struct check_run *run)
{
    (void)run;
    return (uint32_t)(sizeof(unknown) / sizeof(unknown[0]));
}

static void unknown_name(const struct check_run *run, uint32_t at,
                         char ret_name[FERRY_CHECK_CASE_BYTES])
{
    (void)run;
    snprintf(ret_name, FERRY_CHECK_CASE_BYTES, "%s", unknown[at].name);
}

static void run_unknown(struct check_run *run, uint32_t at)
{
    char text[160];

    for (uint32_t operation = 1; operation <= 3; operation++) {
        int rc = probe(run, unknown[at].index, operation);

        if (!check_that(run, rc < 0 && ferry_wire_errno_from_status(rc) == ENOTTY_NUMBER,
                        "PROBE of a feature that it lacks: ENOTTY (25)", "%s",
                        check_status_text(run, rc, text))) {
            return;
        }
    }
}

/* Probing all there is, in the middle of a transfer. */
static int probe_all(struct check_run *run, uint32_t state)
{
    uint64_t bits[1] = { 0 };
    const int tells = run->device.has_log && !check_reports_always(run);

    (void)state;
    for (uint32_t i = 0; i < probe_cases(run); i++) {
        (void)probe(run, probes[i].index, probes[i].operation);
    }
    if (!tells) {
        return 1;
    }
    return check_that(
        run, check_log_report(run, CHECK_SCRATCH_IOVA, 4096, 4096, bits) < 0,
        "PROBE starts nothing", "the log is on after a PROBE of DMA_LOGGING_START");
}

static void run_still(struct check_run *run, uint32_t at)
{
    const uint32_t state = check_state_at(run, at);

    if (state_has_session(state)) {
        state_interrupt(run, state, probe_all, "after PROBEs");
    } else if (check_go(run, state) && probe_all(run, state)) {
        check_is(run, state, "after PROBEs");
    }
}

const struct check check_state_features[] = {
    { { "feature.flags", "MIG-FEAT-1", "the migration flags, and that they stay",
        FERRY_CHECK_REQUIRED, FERRY_CHECK_NEEDS_V2 },
      flags_cases,
      flags_name,
      run_flags },
    { { "feature.probe", "MIG-FEAT-2", "PROBE of each operation of each feature",
        FERRY_CHECK_REQUIRED, FERRY_CHECK_NEEDS_V2 },
      probe_cases,
      probe_name,
      run_probe },
    { { "feature.unknown", "MIG-FEAT-3", "PROBE of features that do not exist",
        FERRY_CHECK_EXPECTED, FERRY_CHECK_NEEDS_V2 },
      unknown_cases,
      unknown_name,
      run_unknown },
    { { "feature.still", "MIG-FEAT-4", "PROBE changes nothing", FERRY_CHECK_REQUIRED,
        FERRY_CHECK_NEEDS_V2 },
      check_state_count,
      check_state_name,
      run_still },
    { { NULL, NULL, NULL, 0, 0 }, NULL, NULL, NULL },
};
