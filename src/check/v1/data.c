/* SPDX-License-Identifier: BSD-3-Clause */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "check/access/dma/memory.h"
#include "check/classes.h"
#include "check/v1/v1.h"

/* The iteration: pending_bytes, data_offset, data_size, the data; and the way back. */

#define PAGE_BYTES 4096u

/* --- where data are --- */

static const uint8_t moving[] = { FERRY_V1_SAVING, FERRY_V1_SAVING | FERRY_V1_RUNNING,
                                  FERRY_V1_RESUMING };

static uint32_t moving_cases(const struct check_run *run)
{
    (void)run;
    return sizeof(moving);
}

static void moving_name(const struct check_run *run, uint32_t at,
                        char ret_name[FERRY_CHECK_CASE_BYTES])
{
    (void)run;
    (void)snprintf(ret_name, FERRY_CHECK_CASE_BYTES, "%s", v1_text(moving[at]));
}

static void run_offset(struct check_run *run, uint32_t at)
{
    struct v1_region region;
    uint64_t off, pending = 1;

    if (!v1_find(run, &region) || !v1_go(run, &region, moving[at]) ||
        (moving[at] != FERRY_V1_RESUMING &&
         !check_ok(run, v1_read(run, &region, FERRY_V1_PENDING, &pending),
                   "a read of pending_bytes"))) {
        return;
    }
    if (pending == 0) {
        check_skip(run, "nothing is pending, so there is no piece to have a place");
        return;
    }
    if (!check_ok(run, v1_read(run, &region, FERRY_V1_OFFSET, &off),
                  "a read of data_offset")) {
        return;
    }
    if (check_that(run, off >= FERRY_V1_HEADER_BYTES && off < region.size,
                   "a data_offset behind the registers and inside the region",
                   "0x%llx in a region of 0x%llx", (unsigned long long)off,
                   (unsigned long long)region.size)) {
        check_that(run, !v1_is_mapped(&region, off) || off % PAGE_BYTES == 0,
                   "a page aligned data_offset where the data can be mapped", "0x%llx",
                   (unsigned long long)off);
    }
}

/* --- the iteration --- */

static void run_again(struct check_run *run, uint32_t at)
{
    struct v1_region region;
    uint64_t first[3] = { 1 }, second[3];

    (void)at;
    if (!v1_find(run, &region) || !v1_go(run, &region, FERRY_V1_SAVING)) {
        return;
    }
    /* The others mean nothing when nothing is pending. */
    for (uint32_t i = 0; i < 3 && first[0] != 0; i++) {
        const uint32_t reg = FERRY_V1_PENDING + i;

        if (!check_ok(run, v1_read(run, &region, reg, &first[i]), "a read") ||
            !check_ok(run, v1_read(run, &region, reg, &second[i]), "a second read") ||
            !check_that(run, first[i] == second[i], "the same again",
                        "%s reads %llu, then %llu", ferry_v1_register(reg)->name,
                        (unsigned long long)first[i], (unsigned long long)second[i])) {
            return;
        }
    }
}

static void run_end(struct check_run *run, uint32_t at)
{
    struct v1_pieces pieces = { 0 };
    struct v1_region region;
    uint64_t pending = 0;

    (void)at;
    if (v1_find(run, &region) && v1_save(run, &region, &pieces)) {
        for (uint32_t i = 0; i < 3; i++) {
            if (!check_ok(run, v1_read(run, &region, FERRY_V1_PENDING, &pending),
                          "a read of pending_bytes behind the end") ||
                !check_that(run, pending == 0, "no pending_bytes behind the end", "%llu",
                            (unsigned long long)pending)) {
                break;
            }
        }
    }
    v1_pieces_free(&pieces);
}

/* --- pre-copy, left at any time --- */

static const char *const points[] = { "at-once", "pending", "offset",
                                      "size",    "data",    "dry" };
#define POINTS (sizeof(points) / sizeof(points[0]))

static uint32_t leave_cases(const struct check_run *run)
{
    (void)run;
    return 2 * POINTS;
}

static void leave_name(const struct check_run *run, uint32_t at,
                       char ret_name[FERRY_CHECK_CASE_BYTES])
{
    (void)run;
    (void)snprintf(ret_name, FERRY_CHECK_CASE_BYTES, "%s>%s", points[at / 2],
                   v1_text(at % 2 ? FERRY_V1_RUNNING : FERRY_V1_SAVING));
}

/* Does the iteration up to a point. Return: 1, or 0 when the case has its verdict. */
static int iterate_to(struct check_run *run, const struct v1_region *region,
                      uint32_t point, struct v1_pieces *pieces)
{
    uint64_t value, pending = 1;

    if (point >= 4) {
        return point == 4 ? v1_take(run, region, pieces) >= 0
                          : v1_take_precopy(run, region, pieces);
    }
    for (uint32_t i = 0; i < point && pending != 0; i++) {
        if (!check_ok(run, v1_read(run, region, FERRY_V1_PENDING + i, &value),
                      "a read of a register in pre-copy")) {
            return 0;
        }
        pending = i == 0 ? value : pending;
    }
    return 1;
}

static void run_leave(struct check_run *run, uint32_t at)
{
    const uint32_t to = at % 2 ? FERRY_V1_RUNNING : FERRY_V1_SAVING;
    struct v1_pieces pieces = { 0 };
    struct v1_region region;

    if (v1_find(run, &region) &&
        v1_go(run, &region, FERRY_V1_SAVING | FERRY_V1_RUNNING) &&
        iterate_to(run, &region, at / 2, &pieces) &&
        check_ok(run, v1_set(run, &region, to),
                 "leaving pre-copy, whatever is pending") &&
        to == FERRY_V1_SAVING) {
        (void)v1_take_all(run, &region, &pieces);
    }
    v1_pieces_free(&pieces);
}

static void run_precopy(struct check_run *run, uint32_t at)
{
    struct v1_region region;
    uint64_t pending;

    (void)at;
    if (v1_find(run, &region) &&
        check_ok(run, v1_set(run, &region, FERRY_V1_SAVING | FERRY_V1_RUNNING),
                 "a write of 011")) {
        (void)check_ok(run, v1_read(run, &region, FERRY_V1_PENDING, &pending),
                       "a read of pending_bytes in pre-copy");
    }
}

/* --- resuming --- */

static int give_all(struct check_run *run, const struct v1_region *region,
                    const struct v1_pieces *pieces)
{
    const uint8_t *data = pieces->stream.data;

    for (uint32_t i = 0; i < pieces->count; i++) {
        if (!check_ok(run, v1_give(run, region, data, pieces->size[i]),
                      "a transaction in which it was saved")) {
            return 0;
        }
        data += pieces->size[i];
    }
    return 1;
}

static uint32_t resume_cases(const struct check_run *run)
{
    (void)run;
    return 2;
}

static void resume_name(const struct check_run *run, uint32_t at,
                        char ret_name[FERRY_CHECK_CASE_BYTES])
{
    (void)run;
    (void)snprintf(ret_name, FERRY_CHECK_CASE_BYTES, "%s",
                   at ? "after-pre-copy" : "stop-and-copy");
}

static void run_resume(struct check_run *run, uint32_t at)
{
    struct v1_pieces pieces = { 0 };
    struct v1_region region;

    if (v1_find(run, &region) &&
        (at == 0 || (v1_go(run, &region, FERRY_V1_SAVING | FERRY_V1_RUNNING) &&
                     v1_take_precopy(run, &region, &pieces))) &&
        v1_save(run, &region, &pieces) && check_ok(run, check_reset(run), "a reset") &&
        v1_go(run, &region, FERRY_V1_RESUMING) && give_all(run, &region, &pieces) &&
        check_ok(run, v1_set(run, &region, FERRY_V1_RUNNING), "from 100 to 001")) {
        (void)check_is(run, FERRY_STATE_RUNNING, "after it was resumed");
    }
    v1_pieces_free(&pieces);
}

/* --- implicit quiescence --- */

/* All of the data; the status that ended it. */
static int read_to_the_end(struct check_run *run)
{
    struct check_stream stream = { 0 };
    const int rc = check_read_all(run, &stream, 0);

    check_stream_free(&stream);
    return rc;
}

/* What a peer writes to the stopped device, with (late) or without pending_bytes read. */
static void freeze(struct check_run *run, uint32_t late, const struct v1_region *region,
                   struct peer_memory *memory)
{
    uint64_t pending;
    int rc;

    /* Other bytes than those that come: memory may keep what an earlier case wrote. */
    if (peer_memory_fill(memory, 0xa5) != FERRY_OK ||
        !v1_go(run, region, FERRY_V1_SAVING) ||
        (late && !check_ok(run, v1_read(run, region, FERRY_V1_PENDING, &pending),
                           "a read of pending_bytes")) ||
        peer_memory_fill(memory, 0x5a) != FERRY_OK) {
        return;
    }
    rc = read_to_the_end(run);
    if (late) {
        check_refused(run, rc,
                      "reading its data after a peer wrote to the frozen device");
    } else {
        check_ok(run, rc, "reading its data after a peer wrote to the stopped device");
    }
}

static void try_freeze(struct check_run *run, uint32_t late)
{
    struct peer_memory memory;
    struct v1_region region;

    if (run->at->identity.implicit_quiesce == 0) {
        check_skip(run, "the device announces no implicit quiescence");
        return;
    }
    if (!v1_find(run, &region) || !peer_memory_open(run, run->at, &memory)) {
        return;
    }
    freeze(run, late, &region, &memory);
    peer_memory_close(&memory);
}

static void run_quiet(struct check_run *run, uint32_t at)
{
    (void)at;
    try_freeze(run, 0);
}

static void run_freeze(struct check_run *run, uint32_t at)
{
    (void)at;
    try_freeze(run, 1);
}

const struct check check_v1_data[] = {
    { { "v1.offset", "MIG-V1-9", "data_offset in each state that moves data",
        FERRY_CHECK_REQUIRED, FERRY_CHECK_NEEDS_V1 },
      moving_cases,
      moving_name,
      run_offset },
    { { "v1.again", "MIG-V1-8", "registers of an iteration that are read twice",
        FERRY_CHECK_REQUIRED, FERRY_CHECK_NEEDS_V1 },
      NULL,
      NULL,
      run_again },
    { { "v1.end", "MIG-V1-10", "all data of a stopped device, to the end and behind it",
        FERRY_CHECK_REQUIRED, FERRY_CHECK_NEEDS_V1 },
      NULL,
      NULL,
      run_end },
    { { "v1.precopy", "MIG-V1-7", "011, which every device takes", FERRY_CHECK_REQUIRED,
        FERRY_CHECK_NEEDS_V1 },
      NULL,
      NULL,
      run_precopy },
    { { "v1.leave", "MIG-V1-7", "pre-copy that is left in the middle of an iteration",
        FERRY_CHECK_REQUIRED, FERRY_CHECK_NEEDS_V1 },
      leave_cases,
      leave_name,
      run_leave },
    { { "v1.resume", "MIG-V1-11",
        "a state is resumed by the transactions it was saved in", FERRY_CHECK_REQUIRED,
        FERRY_CHECK_NEEDS_V1 | FERRY_CHECK_NEEDS_RESET },
      resume_cases,
      resume_name,
      run_resume },
    { { "v1.quiet", "MIG-QUI-1", "a peer's write before the data are asked for",
        FERRY_CHECK_RECOMMENDED, FERRY_CHECK_NEEDS_V1 },
      NULL,
      NULL,
      run_quiet },
    { { "v1.freeze", "MIG-QUI-2", "a peer's write after the data were asked for",
        FERRY_CHECK_RECOMMENDED, FERRY_CHECK_NEEDS_V1 },
      NULL,
      NULL,
      run_freeze },
    { { NULL, NULL, NULL, 0, 0 }, NULL, NULL, NULL },
};
