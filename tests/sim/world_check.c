/* SPDX-License-Identifier: BSD-3-Clause */
#include "tests/sim/world.h"

/* The invariants. Each returns what is broken, or NULL. */

int world_source_runs(const struct world *world)
{
    const struct world_host *host = &world->host[SIDE_SOURCE];

    if (!host->alive || host->gone) {
        return 0;
    }
    if (host->cpus_running) {
        return 1;
    }
    for (uint32_t i = 0; i < world->device_count; i++) {
        if (host->device[i].state == FERRY_STATE_RUNNING ||
            host->device[i].state == FERRY_STATE_PRE_COPY) {
            return 1;
        }
    }
    return 0;
}

int world_target_runs(const struct world *world)
{
    const struct world_host *host = &world->host[SIDE_TARGET];

    if (!host->alive || host->gone || !host->owner) {
        return 0;
    }
    if (host->cpus_running) {
        return 1;
    }
    for (uint32_t i = 0; i < world->device_count; i++) {
        if (host->device[i].state == FERRY_STATE_RUNNING) {
            return 1;
        }
    }
    return 0;
}

int world_source_complete(const struct world *world)
{
    const struct world_host *host = &world->host[SIDE_SOURCE];

    if (!host->alive || host->gone) {
        return 0;
    }
    for (uint32_t i = 0; i < world->device_count; i++) {
        if (host->device[i].state != FERRY_STATE_STOP_COPY &&
            host->device[i].state != FERRY_STATE_STOP) {
            return 0;
        }
    }
    return 1;
}

int world_target_complete(const struct world *world)
{
    const struct world_host *host = &world->host[SIDE_TARGET];

    return host->alive && !host->gone && host->prepared;
}

/*
 * Does a device with implicit quiescence refuse its peers' DMA? From the first request
 * for its data on, until it leaves STOP_COPY (MIG-QUI-2).
 */
static int is_frozen(const struct world *world, uint32_t device)
{
    const struct ferry_source *source = &world->source;

    return world->host[SIDE_SOURCE].device[device].state == FERRY_STATE_STOP_COPY &&
           ((source->data_busy | source->data_ended) >> device & 1) != 0;
}

/* MIG-ORD-3, MIG-BACK-4: nobody stands still while somebody who can be quieted is not
 * quiet. */
static const char *check_barrier(const struct world *world)
{
    const struct world_host *host = &world->host[SIDE_SOURCE];
    int still = 0, busy = 0;

    if (!host->alive || host->gone) {
        return NULL;
    }
    for (uint32_t i = 0; i < world->device_count; i++) {
        uint32_t state = host->device[i].state;
        uint32_t features = world->source.config.device[i].features;
        int implicit = world->source.config.device[i].implicit_quiesce != 0;

        if ((implicit ? is_frozen(world, i)
                      : state == FERRY_STATE_STOP || state == FERRY_STATE_STOP_COPY) &&
            !world->source.group.device[i].lost &&
            !world->source.group.device[i].given_up) {
            still = 1;
        }
        if ((implicit || (features & FERRY_MIG_P2P)) &&
            (state == FERRY_STATE_RUNNING || state == FERRY_STATE_PRE_COPY) &&
            !world->source.group.device[i].was_reset) {
            busy = 1;
        }
    }
    return still && busy ? "a device stands still while a peer is not quiet" : NULL;
}

const char *world_check(const struct world *world)
{
    /* MIG-END-1 */
    if (world_source_runs(world) && world_target_runs(world)) {
        return "both sides run";
    }
    /* MIG-BACK-2 */
    for (uint32_t i = 0; i < world->device_count; i++) {
        if (world->host[SIDE_SOURCE].device[i].latched) {
            return "a source device that could go on was reset";
        }
    }
    return check_barrier(world);
}

/* MIG-BACK-1, MIG-BACK-5: a source that is back has everything on again, and no log. */
static const char *check_source_back(const struct world *world)
{
    const struct world_host *host = &world->host[SIDE_SOURCE];

    if (!host->cpus_running) {
        return "the source went back and its CPUs do not run";
    }
    if (!host->foreign_running) {
        return "the source went back and foreign initiators are still quiet";
    }
    if (host->irqs_drained) {
        return "the source went back and drained interrupts were not raised again";
    }
    for (uint32_t i = 0; i < world->device_count; i++) {
        const struct world_device *device = &host->device[i];

        if (device->hung) {
            continue;
        }
        if (device->log_on) {
            return "the source went back and a dirty log is still on";
        }
        if (device->state != FERRY_STATE_RUNNING) {
            return "the source went back and a device does not run";
        }
    }
    return NULL;
}

const char *world_check_rest(const struct world *world)
{
    if (world_source_runs(world) != world_target_runs(world)) {
        return NULL;
    }
    /* MIG-COMMIT-5 */
    if (ferry_source_undecided(&world->source) && !world_source_complete(world)) {
        return "the source is undecided and does not hold its complete stopped state";
    }
    if (ferry_target_undecided(&world->target) && !world_target_complete(world)) {
        return "the target is undecided and does not hold its complete stopped state";
    }
    return NULL;
}

const char *world_check_end(const struct world *world)
{
    const struct world_host *source = &world->host[SIDE_SOURCE];
    const struct world_host *target = &world->host[SIDE_TARGET];
    int source_rests = !source->alive || source->finished;
    int target_rests = !target->alive || target->finished ||
                       ferry_target_phase(&world->target) == FERRY_TGT_IDLE;

    if (!source_rests || !target_rests) {
        return "a wait that never ends";
    }
    if (source->alive && !source->gone) {
        const char *broken = check_source_back(world);

        if (broken) {
            return broken;
        }
    }
    if (source->alive && target->alive && !world_source_runs(world) &&
        !world_target_runs(world)) {
        return "both hosts live and nobody runs";
    }
    if (source->alive && !target->alive && !world_source_runs(world)) {
        return "the target died and the source does not run";
    }
    if (!source->alive && target->alive && target->prepared &&
        !world_target_runs(world)) {
        return "the source died, the target was complete and does not run";
    }
    return NULL;
}
