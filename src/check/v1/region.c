/* SPDX-License-Identifier: BSD-3-Clause */
#include <stdio.h>

#include "check/classes.h"
#include "check/v1/v1.h"

/* The registers: their width, what is reserved, and device_state in every combination. */

/* --- width --- */

static const struct {
    uint8_t off, count;
} wrong_access[] = {
    { 0, 1 },  { 0, 2 },  { 0, 8 },  { 1, 4 },  { 2, 2 },  { 3, 1 },
    { 4, 8 },  { 4, 1 },  { 8, 4 },  { 12, 4 }, { 9, 8 },  { 8, 1 },
    { 16, 4 }, { 20, 8 }, { 24, 4 }, { 28, 4 }, { 24, 1 }, { 28, 8 },
};

static uint32_t width_cases(const struct check_run *run)
{
    (void)run;
    return 2 * sizeof(wrong_access) / sizeof(wrong_access[0]);
}

static void width_name(const struct check_run *run, uint32_t at,
                       char ret_name[FERRY_CHECK_CASE_BYTES])
{
    (void)run;
    (void)snprintf(ret_name, FERRY_CHECK_CASE_BYTES, "%s-%u-at-%u",
                   at % 2 ? "write" : "read", wrong_access[at / 2].count,
                   wrong_access[at / 2].off);
}

static void run_width(struct check_run *run, uint32_t at)
{
    const uint32_t off = wrong_access[at / 2].off, count = wrong_access[at / 2].count;
    struct v1_region region;
    uint8_t bytes[8] = { 0 };
    uint32_t bits;
    int rc;

    if (!v1_find(run, &region)) {
        return;
    }
    rc = at % 2 ? check_region_write(run, region.index, off, bytes, count)
                : check_region_read(run, region.index, off, bytes, count);
    if (check_refused(run, rc,
                      at % 2 ? "a write that is no register's"
                             : "a read that is no register's") &&
        v1_bits(run, &region, &bits)) {
        check_that(run, bits == FERRY_V1_RUNNING, "a device that still runs (001)", "%s",
                   v1_text(bits));
    }
}

/* --- what is reserved --- */

static void run_word(struct check_run *run, uint32_t at)
{
    struct v1_region region;
    uint64_t value;

    (void)at;
    if (!v1_find(run, &region) ||
        !check_ok(run, v1_read(run, &region, FERRY_V1_RESERVED, &value),
                  "a read of the reserved word") ||
        !check_that(run, value == 0, "0 in the reserved word", "0x%llx",
                    (unsigned long long)value)) {
        return;
    }
    /* A write is ignored; whether it says so is not written anywhere. */
    (void)v1_write(run, &region, FERRY_V1_RESERVED, 0xffffffffu);
    if (check_ok(run, v1_read(run, &region, FERRY_V1_RESERVED, &value),
                 "a read of the reserved word")) {
        check_that(run, value == 0, "0 in the reserved word after a write", "0x%llx",
                   (unsigned long long)value);
    }
}

static uint32_t reserved_cases(const struct check_run *run)
{
    (void)run;
    return 29;
}

static void reserved_name(const struct check_run *run, uint32_t at,
                          char ret_name[FERRY_CHECK_CASE_BYTES])
{
    (void)run;
    (void)snprintf(ret_name, FERRY_CHECK_CASE_BYTES, "bit%u", at + 3);
}

static void run_reserved(struct check_run *run, uint32_t at)
{
    struct v1_region region;
    uint32_t bits;
    int rc;

    if (!v1_find(run, &region)) {
        return;
    }
    rc = v1_write(run, &region, FERRY_V1_STATE, 1ull << (at + 3));
    if (v1_bits(run, &region, &bits)) {
        check_that(
            run, bits == (rc == FERRY_OK ? 0 : FERRY_V1_RUNNING),
            "a write with a reserved bit does what its other bits say (000), or is "
            "refused and changes nothing (001)",
            "%s after a write that %s", v1_text(bits),
            rc == FERRY_OK ? "succeeded" : "failed");
    }
}

/* --- every combination --- */

static const uint8_t valid[] = { 0, FERRY_V1_RUNNING, FERRY_V1_SAVING,
                                 FERRY_V1_SAVING | FERRY_V1_RUNNING, FERRY_V1_RESUMING };
#define VALID (sizeof(valid) / sizeof(valid[0]))

/* An edge that the text draws, or one back to the state of the device at its opening. */
static int is_drawn(uint32_t from, uint32_t to)
{
    static const uint8_t edge[][2] = { { 1, 0 }, { 1, 2 }, { 2, 0 }, { 1, 3 },
                                       { 3, 2 }, { 1, 4 }, { 0, 1 }, { 3, 1 } };

    for (size_t i = 0; i < sizeof(edge) / sizeof(edge[0]); i++) {
        if (edge[i][0] == from && edge[i][1] == to) {
            return 1;
        }
    }
    return 0;
}

static uint32_t bits_cases(const struct check_run *run)
{
    (void)run;
    return VALID * (FERRY_V1_MASK + 1);
}

static void bits_name(const struct check_run *run, uint32_t at,
                      char ret_name[FERRY_CHECK_CASE_BYTES])
{
    (void)run;
    (void)snprintf(ret_name, FERRY_CHECK_CASE_BYTES, "%s>%s", v1_text(valid[at / 8]),
                   v1_text(at % 8));
}

static void run_bits(struct check_run *run, uint32_t at)
{
    const uint32_t from = valid[at / 8], to = at % 8;
    struct v1_region region;
    uint32_t now;
    int rc;

    if (!v1_find(run, &region) ||
        (from != FERRY_V1_RUNNING && !v1_go(run, &region, from))) {
        return;
    }
    rc = v1_set(run, &region, to);
    if (!ferry_state_v1_valid(to)) {
        check_refused(run, rc, "a write of a combination that is no state");
        return;
    }
    if (is_drawn(from, to) && !check_ok(run, rc, "a write of device_state")) {
        return;
    }
    /* Edges that are not drawn may fail; what is left then is another check's. */
    if (rc == FERRY_OK && v1_bits(run, &region, &now)) {
        check_that(run, now == to, "the device_state that was written", "%s after %s>%s",
                   v1_text(now), v1_text(from), v1_text(to));
    }
}

/* What a write leaves that failed. A device that took it has nothing to show. */
static void run_failed(struct check_run *run, uint32_t at)
{
    const uint32_t from = valid[at / 8], to = at % 8;
    struct v1_region region;
    uint32_t now;

    if (!v1_find(run, &region) ||
        (from != FERRY_V1_RUNNING && !v1_go(run, &region, from))) {
        return;
    }
    if (v1_set(run, &region, to) == FERRY_OK) {
        check_skip(run, "the write succeeded");
    } else if (v1_bits(run, &region, &now)) {
        check_that(run, now == from || now == FERRY_V1_ERROR,
                   "the device_state before a write that failed, or 110",
                   "%s after %s>%s", v1_text(now), v1_text(from), v1_text(to));
    }
}

/* --- the error state --- */

static uint32_t error_cases(const struct check_run *run)
{
    (void)run;
    return VALID;
}

static void error_name(const struct check_run *run, uint32_t at,
                       char ret_name[FERRY_CHECK_CASE_BYTES])
{
    (void)run;
    (void)snprintf(ret_name, FERRY_CHECK_CASE_BYTES, "110>%s", v1_text(valid[at]));
}

/* Bytes that are no state at all, which may bring a device there. Return: 1 when so. */
static int go_to_error(struct check_run *run, const struct v1_region *region)
{
    static const uint8_t rubbish[3] = { 0xa5, 0x5a, 0xa5 };
    uint32_t now;

    if (!v1_go(run, region, FERRY_V1_RESUMING)) {
        return 0;
    }
    (void)v1_give(run, region, rubbish, sizeof(rubbish));
    (void)v1_set(run, region, FERRY_V1_RUNNING);
    if (!v1_bits(run, region, &now)) {
        return 0;
    }
    if (now != FERRY_V1_ERROR) {
        check_skip(run, "rubbish to resume from does not bring this device to 110");
        return 0;
    }
    return 1;
}

static void run_error(struct check_run *run, uint32_t at)
{
    struct v1_region region;
    uint32_t now;

    if (!v1_find(run, &region) || !go_to_error(run, &region) ||
        !check_refused(run, v1_set(run, &region, valid[at]),
                       "a write of device_state in the error state") ||
        !v1_bits(run, &region, &now) ||
        !check_that(run, now == FERRY_V1_ERROR, "still 110", "%s", v1_text(now)) ||
        !check_ok(run, check_reset(run), "a reset in the error state")) {
        return;
    }
    if (v1_bits(run, &region, &now)) {
        check_that(run, now == FERRY_V1_RUNNING, "001 after a reset", "%s", v1_text(now));
    }
}

const struct check check_v1_region[] = {
    { { "v1.width", "MIG-V1-12", "accesses to the registers in another width or place",
        FERRY_CHECK_RECOMMENDED, FERRY_CHECK_NEEDS_V1 },
      width_cases,
      width_name,
      run_width },
    { { "v1.reserved.word", "MIG-V1-4", "the reserved word reads 0 and stays so",
        FERRY_CHECK_REQUIRED, FERRY_CHECK_NEEDS_V1 },
      NULL,
      NULL,
      run_word },
    { { "v1.reserved.bits", "MIG-V1-4", "a write of device_state with a reserved bit",
        FERRY_CHECK_RECOMMENDED, FERRY_CHECK_NEEDS_V1 },
      reserved_cases,
      reserved_name,
      run_reserved },
    { { "v1.bits", "MIG-V1-1", "each combination of bits, written in each state",
        FERRY_CHECK_REQUIRED, FERRY_CHECK_NEEDS_V1 },
      bits_cases,
      bits_name,
      run_bits },
    { { "v1.failed", "MIG-V1-2", "what a write of device_state leaves that failed",
        FERRY_CHECK_REQUIRED, FERRY_CHECK_NEEDS_V1 },
      bits_cases,
      bits_name,
      run_failed },
    { { "v1.error", "MIG-V1-3", "the error state, and what leaves it",
        FERRY_CHECK_REQUIRED, FERRY_CHECK_NEEDS_V1 | FERRY_CHECK_NEEDS_RESET },
      error_cases,
      error_name,
      run_error },
    { { NULL, NULL, NULL, 0, 0 }, NULL, NULL, NULL },
};
