/* SPDX-License-Identifier: BSD-3-Clause */
#include <stdlib.h>

#include "host/migrate/migration.h"

/* One device's harvest; it lives until the device has answered, as requests do. */
struct ferry_harvest {
    struct ferry_host_harvest base;
    struct ferry_migration *migration;
    struct ferry_harvest *prev, *next;
    uint64_t generation;
};

static void mark_writable(struct ferry_run *run, int by_cpus)
{
    struct ferry_context *context = run->context;

    for (uint32_t i = 0; i < context->memory_end; i++) {
        struct ferry_host_memory *memory = &context->memory[i];

        if (memory->size != 0 && (by_cpus || memory->writable)) {
            ferry_dirty_set_all(&memory->dirty);
        }
    }
}

static void failed(struct ferry_run *run, uint32_t device, int status)
{
    struct ferry_error error = { .code = FERRY_OK };

    /* What the lost report would have said is not known. */
    mark_writable(run, 0);
    ferry_error_set(&error, status, FERRY_HOST_LAYER, NULL, 0,
                    "device %s: its dirty log could not be read: %s",
                    run->context->device[device]->name, ferry_status_text(status));
    ferry_run_note(run, &error);
    if (run->ram.status == FERRY_OK) {
        run->ram.status = status;
    }
}

static void unlink_harvest(struct ferry_harvest *harvest)
{
    if (harvest->prev) {
        harvest->prev->next = harvest->next;
    } else {
        harvest->migration->harvests = harvest->next;
    }
    if (harvest->next) {
        harvest->next->prev = harvest->prev;
    }
    free(harvest);
}

static void one_done(struct ferry_host_harvest *base)
{
    struct ferry_harvest *harvest = base->user;
    struct ferry_run *run = harvest->migration->run;
    uint32_t device = base->device;
    int32_t status = base->status;
    int alive = run && harvest->generation == harvest->migration->generation;

    unlink_harvest(harvest);
    if (!alive) {
        return;
    }
    run->ram.pending--;
    if (status < 0) {
        failed(run, device, status);
    }
    if (run->ram.pending == 0 && !run->ram.starting) {
        ferry_ram_harvested(run);
    }
}

static void start_one(struct ferry_run *run, uint32_t device)
{
    struct ferry_migration *migration = run->migration;
    struct ferry_harvest *harvest = calloc(1, sizeof(*harvest));
    int rc;

    if (!harvest) {
        failed(run, device, FERRY_E_MEMORY);
        return;
    }
    harvest->migration = migration;
    harvest->generation = migration->generation;
    harvest->base.done = one_done;
    harvest->base.user = harvest;
    harvest->next = migration->harvests;
    if (harvest->next) {
        harvest->next->prev = harvest;
    }
    migration->harvests = harvest;
    rc = ferry_host_harvest_start(run->context, device, &harvest->base);
    if (rc == FERRY_PENDING) {
        run->ram.pending++;
        return;
    }
    unlink_harvest(harvest);
    if (rc < 0) {
        failed(run, device, rc);
    }
}

void ferry_ram_harvest(struct ferry_run *run)
{
    struct ferry_context *context = run->context;

    run->ram.starting = 1;
    if (context->ops.track_cpus) {
        context->ops.track_cpus(context->user, context, 0);
    } else {
        mark_writable(run, 1);
    }
    for (uint32_t i = 0; i < run->device_count; i++) {
        /* A device without a log may have written everywhere. */
        if (run->device[i].log_asked) {
            start_one(run, i);
        } else {
            mark_writable(run, 0);
        }
    }
    run->ram.starting = 0;
    if (run->ram.pending == 0) {
        ferry_ram_harvested(run);
    }
}

uint64_t ferry_ram_dirty_bytes(const struct ferry_run *run)
{
    uint64_t pages = 0;

    for (uint32_t i = 0; i < run->context->memory_end; i++) {
        if (run->context->memory[i].size != 0) {
            pages += ferry_dirty_count(&run->context->memory[i].dirty);
        }
    }
    return pages * FERRY_PAGE_BYTES;
}
