/* SPDX-License-Identifier: BSD-3-Clause */
#include "host/ram/ram.h"

#include <stdlib.h>

#include "host/migrate/migration.h"
#include "os/clock.h"

/* A round that begins right after the last one's count needs not ask the logs again. */
#define FRESH_NS 500000u

static void rewind_round(struct ferry_ram *ram)
{
    ram->memory = 0;
    ram->cursor = 0;
    ram->round_bytes = 0;
    ram->status = FERRY_OK;
}

static void mark_everything(struct ferry_run *run)
{
    struct ferry_context *context = run->context;

    for (uint32_t i = 0; i < context->memory_end; i++) {
        if (context->memory[i].size != 0) {
            ferry_dirty_set_all(&context->memory[i].dirty);
        }
    }
}

static void begin_send(struct ferry_run *run)
{
    run->ram.stage = FERRY_RAM_SEND;
    /* No page of this round may be overwritten by its copy of the last one. */
    ferry_lanes_barrier(run);
    ferry_loop_idle_start(run->context->loop, &run->producer);
}

/* The first round carries everything: logs began before it, so nothing gets lost. */
static void begin_first(struct ferry_run *run)
{
    struct ferry_context *context = run->context;

    if (context->ops.track_cpus) {
        context->ops.track_cpus(context->user, context, 1);
    }
    run->ram.tracking = 1;
    mark_everything(run);
}

static void begin(struct ferry_run *run)
{
    struct ferry_ram *ram = &run->ram;
    uint64_t limit = run->channel_limit / 20;

    rewind_round(ram);
    ram->rounds++;
    ram->record_bytes = FERRY_RAM_RECORD_BYTES;
    if (limit > 0 && limit < ram->record_bytes && !ram->final) {
        ram->record_bytes = limit > 64 * FERRY_PAGE_BYTES
                                ? limit / FERRY_PAGE_BYTES * FERRY_PAGE_BYTES
                                : 16 * FERRY_PAGE_BYTES;
    }
    if (ram->rounds == 1) {
        begin_first(run);
        begin_send(run);
    } else if (!ram->final && ram->harvested_ns != 0 &&
               ferry_os_now_ns() - ram->harvested_ns < FRESH_NS) {
        begin_send(run);
    } else {
        ram->stage = FERRY_RAM_HARVEST;
        ferry_ram_harvest(run);
    }
}

void ferry_ram_round(struct ferry_run *run)
{
    begin(run);
}

void ferry_ram_final(struct ferry_run *run)
{
    run->ram.final = 1;
    begin(run);
}

static void end_round(struct ferry_run *run)
{
    struct ferry_ram *ram = &run->ram;
    int32_t status = ram->status;

    ram->stage = FERRY_RAM_IDLE;
    if (ram->final) {
        ferry_run_memory_sent(run, status);
    } else {
        ferry_run_event_abc(run, FERRY_EV_ROUND_DONE, FERRY_NO_DEVICE, status,
                            ram->round_bytes, ferry_ram_dirty_bytes(run), 0);
    }
}

void ferry_ram_harvested(struct ferry_run *run)
{
    struct ferry_ram *ram = &run->ram;

    ram->harvested_ns = ferry_os_now_ns();
    if (ram->status < 0 || ram->stage == FERRY_RAM_COUNT) {
        end_round(run);
    } else if (ram->stage == FERRY_RAM_HARVEST) {
        begin_send(run);
    }
}

static void begin_drain(struct ferry_run *run)
{
    struct ferry_ram *ram = &run->ram;

    if (ram->final) {
        ram->stop_bytes += ram->round_bytes;
        end_round(run);
        return;
    }
    ram->precopy_bytes += ram->round_bytes;
    ferry_lanes_drain(run);
    ram->stage = FERRY_RAM_DRAIN;
}

int ferry_ram_produce(struct ferry_run *run)
{
    struct ferry_ram *ram = &run->ram;
    uint64_t looked = 0;

    while (ram->stage == FERRY_RAM_SEND && looked < FERRY_RAM_SLICE_BYTES) {
        uint64_t bytes;

        if (!ferry_lanes_room(run)) {
            return 0;
        }
        bytes = ferry_ram_send_next(run);
        if (bytes == 0) {
            ferry_ram_send_held(run);
            begin_drain(run);
        }
        looked += bytes;
    }
    if (ram->stage == FERRY_RAM_DRAIN) {
        if (!ferry_lanes_drained(run)) {
            return 0;
        }
        ram->stage = FERRY_RAM_COUNT;
        ferry_ram_harvest(run);
    }
    return ram->stage == FERRY_RAM_SEND;
}

void ferry_ram_cancel(struct ferry_run *run)
{
    run->ram.stage = FERRY_RAM_IDLE;
}

void ferry_ram_free(struct ferry_run *run)
{
    struct ferry_ram *ram = &run->ram;
    struct ferry_context *context = run->context;

    if (ram->tracking && context->ops.track_cpus) {
        context->ops.track_cpus(context->user, context, -1);
    }
    ram->tracking = 0;
    free(ram->filling);
    ram->filling = NULL;
    while (ram->spare) {
        struct ferry_ram_copy *next = ram->spare->next;

        free(ram->spare);
        ram->spare = next;
    }
}
