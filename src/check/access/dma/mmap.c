/* SPDX-License-Identifier: BSD-3-Clause */
#include <stdio.h>
#include <string.h>

#include "check/access/dma/memory.h"

/*
 * Memory that CPUs and peers write to without the device seeing it. Nothing can be
 * refused there; what was written before the stream ends is in the stream.
 */

#define SEED 0x31u
#define OTHER_SEED 0x77u

/* Behind the first part of a stream: the rest of it, to the end in STOP_COPY. */
static int read_rest(struct check_run *run, struct check_stream *stream)
{
    return check_ok(run, check_read_all(run, stream, 0), "a read of data");
}

static int is_pre_copy(uint32_t state)
{
    return state == FERRY_STATE_PRE_COPY || state == FERRY_STATE_PRE_COPY_P2P;
}

/* In the state, with all of pre-copy read that there is. */
static int enter(struct check_run *run, uint32_t state, struct check_stream *stream)
{
    return access_enter(run, state) && (!is_pre_copy(state) || read_rest(run, stream));
}

/* What is there now was written by seed? */
static int holds(struct check_run *run, struct peer_memory *memory, const char *expected)
{
    const uint64_t other = peer_memory_other(memory, SEED);

    return check_that(run, other == 0, expected, "%llu of %llu bytes are others",
                      (unsigned long long)other, (unsigned long long)memory->bytes);
}

/* Saves to the end, loads that into the same device, and looks for the bytes. */
static void carried(struct check_run *run, struct check_device *of,
                    struct check_stream *stream, struct peer_memory *memory,
                    const char *expected)
{
    run->at = of;
    if (!check_go(run, FERRY_STATE_STOP_COPY) || !read_rest(run, stream)) {
        return;
    }
    if (!of->can_reset) {
        check_skip(run, "the device has no reset");
        return;
    }
    if (check_ok(run, check_reset(run), "a reset") &&
        peer_memory_fill(memory, OTHER_SEED) == FERRY_OK && check_load(run, stream) &&
        check_go(run, FERRY_STATE_RUNNING)) {
        holds(run, memory, expected);
    }
}

/* To RUNNING: nothing that others wrote keeps it. */
static int goes_on(struct check_run *run, uint32_t state)
{
    uint32_t now;

    if (state == FERRY_STATE_ERROR ||
        (state == FERRY_STATE_RESUMING && check_get_state(run, &now) == FERRY_OK &&
         now == state)) {
        return run->at->can_reset ? check_ok(run, check_reset(run), "a reset")
                                  : check_reopen(run);
    }
    return check_ok(run, check_set_state(run, FERRY_STATE_RUNNING),
                    "SET_STATE to RUNNING");
}

/* Where nothing is promised: it is no harm. */
static void harmless(struct check_run *run, const struct access_case *at,
                     struct peer_memory *memory, const struct check_stream *own)
{
    char when[96];
    int rc;

    snprintf(when, sizeof(when), "after a write to mapped memory in %s",
             ferry_state_name(at->state));
    if (!check_is(run, at->state, when)) {
        return;
    }
    (void)peer_memory_read(memory, memory->copy);
    if (at->state == FERRY_STATE_RESUMING) {
        rc = check_write_all(run, own->data, own->bytes, 0);
        if (!check_ok(run, rc, "the load of its own state") ||
            !check_ok(run, check_set_state(run, FERRY_STATE_STOP), "RESUMING to STOP")) {
            return;
        }
    }
    if (!goes_on(run, at->state)) {
        return;
    }
    if (at->state == FERRY_STATE_ERROR) {
        check_that(run, peer_memory_other(memory, SEED) != 0,
                   "a reset drops what was written in ERROR", "it is still there");
    }
    check_works(run, when);
}

static int ends_here(uint32_t state)
{
    return state == FERRY_STATE_STOP_COPY || state == FERRY_STATE_RESUMING ||
           state == FERRY_STATE_ERROR;
}

void access_mmap(struct check_run *run, const struct access_case *at)
{
    struct check_stream stream = { 0 };
    struct peer_memory memory;
    char expected[160];

    if (!peer_memory_open(run, &run->device, &memory)) {
        return;
    }
    if (at->state == FERRY_STATE_RESUMING && !access_own_stream(run, &stream)) {
        peer_memory_close(&memory);
        return;
    }
    snprintf(expected, sizeof(expected), "what is written to mapped memory in %s is %s",
             ferry_state_name(at->state), ends_here(at->state) ? "no harm" : "carried");
    if (enter(run, at->state, &stream)) {
        const int rc = peer_memory_fill(&memory, SEED);

        if (ends_here(at->state)) {
            harmless(run, at, &memory, &stream);
        } else if (check_ok(run, rc, "a write to mapped memory") &&
                   holds(run, &memory, expected)) {
            carried(run, &run->device, &stream, &memory, expected);
        }
    }
    check_stream_free(&stream);
    peer_memory_close(&memory);
}

/* -- By the DMA of a peer -- */

/* The device, in RUNNING, writes to the partner's memory. */
static int peer_writes(struct check_run *run, struct peer_memory *memory)
{
    struct ferry_error error = { .code = FERRY_OK };
    int rc;

    run->at = &run->device;
    rc = run->options->driver->write(run->driver_state, CHECK_SCRATCH_IOVA, memory->bytes,
                                     &error);
    return check_that(run, rc == FERRY_OK, "a peer can write to the device", "%s",
                      error.text[0] != '\0' ? error.text : ferry_status_text(rc));
}

static void accepted(struct check_run *run, const struct access_case *at,
                     struct peer_memory *memory, struct check_stream *stream)
{
    const char *state = ferry_state_name(at->state);
    char expected[160];
    uint64_t other;

    if (at->cell->verdict != FERRY_ALLOW) {
        run->at = &run->partner;
        snprintf(expected, sizeof(expected), "after DMA from a peer in %s", state);
        if (check_is(run, at->state, expected) && goes_on(run, at->state)) {
            check_works(run, expected);
        }
        return;
    }
    snprintf(expected, sizeof(expected), "DMA from a peer arrives in %s", state);
    other = peer_memory_other(memory, OTHER_SEED);
    if (!check_that(run, other > memory->bytes / 2, expected,
                    "%llu of %llu bytes were written", (unsigned long long)other,
                    (unsigned long long)memory->bytes)) {
        return;
    }
    /* The same bytes as in the other checks, so that they are known. */
    if (peer_memory_fill(memory, SEED) == FERRY_OK) {
        snprintf(expected, sizeof(expected), "what peers write in %s is carried", state);
        carried(run, &run->partner, stream, memory, expected);
    }
}

void access_dma_accept(struct check_run *run, const struct access_case *at)
{
    const struct ferry_check_driver *driver = run->options->driver;
    struct check_stream stream = { 0 };
    struct peer_memory memory;

    if (!run->partner.target.uri && !run->partner.target.endpoint) {
        check_skip(run, "no second device of the same kind was named");
        return;
    }
    if (!driver || !driver->write) {
        check_skip(run, "no driver that has the device write");
        return;
    }
    if (!peer_memory_open(run, &run->partner, &memory)) {
        return;
    }
    run->at = &run->partner;
    if (enter(run, at->state, &stream) &&
        peer_memory_fill(&memory, OTHER_SEED) == FERRY_OK) {
        run->at = &run->device;
        if (peer_memory_map(run, &memory) && peer_writes(run, &memory)) {
            accepted(run, at, &memory, &stream);
        }
        peer_memory_unmap(run, &memory);
    }
    run->at = &run->device;
    check_stream_free(&stream);
    peer_memory_close(&memory);
}
