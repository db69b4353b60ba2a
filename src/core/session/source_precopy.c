/* SPDX-License-Identifier: BSD-3-Clause */
#include "core/session/source.h"

/* A round that sends next to nothing does not ask the logs at once again. */
#define ROUND_PACE_NS 5000000u

static uint32_t pre_copy_devices(const struct ferry_source *source)
{
    uint32_t bits = 0;

    for (uint32_t i = 0; i < source->group.count; i++) {
        if (source->group.device[i].features & FERRY_MIG_PRE_COPY) {
            bits |= 1u << i;
        }
    }
    return bits;
}

void ferry_source_round_begin(struct ferry_source *source, uint64_t now_ns,
                              struct ferry_actions *actions)
{
    source->pacing = 0;
    source->round_busy = 1;
    source->data_busy = pre_copy_devices(source);
    ferry_precopy_round_begin(&source->precopy, now_ns);
    ferry_actions_plain(actions, FERRY_ACT_RAM_ROUND);
    for (uint32_t i = 0; i < source->group.count; i++) {
        if (source->data_busy & (1u << i)) {
            ferry_actions_add(actions, FERRY_ACT_DATA_READ, i, 0, FERRY_OK, 0);
        }
    }
}

static void stop(struct ferry_source *source, uint64_t now_ns,
                 struct ferry_actions *actions)
{
    source->cpus_paused = 1;
    source->pause_busy = 1;
    ferry_actions_timer_cancel(actions, FERRY_TIMER_DEADLINE);
    ferry_actions_timer(actions, FERRY_TIMER_STOP, now_ns,
                        source->config.stop_deadline_ns);
    ferry_source_enter(source, FERRY_SRC_PAUSE, now_ns, actions);
    ferry_actions_plain(actions, FERRY_ACT_PAUSE_CPUS);
}

/* Between two rounds: stop, go on at once, or wait for something to change. */
static void decide(struct ferry_source *source, uint64_t now_ns,
                   struct ferry_actions *actions)
{
    uint32_t wanted = pre_copy_devices(source);
    uint64_t predicted = ferry_precopy_predict(&source->precopy, &source->config);

    /* MIG-PRE-2: a stop before the target has loaded the initial bytes is a long one. */
    if ((source->initial_done & wanted) == wanted &&
        predicted <= source->config.max_downtime_ns) {
        stop(source, now_ns, actions);
        return;
    }
    if (now_ns - source->precopy.round_start_ns >= ROUND_PACE_NS) {
        ferry_source_round_begin(source, now_ns, actions);
        return;
    }
    source->pacing = 1;
    ferry_actions_timer(actions, FERRY_TIMER_PHASE, now_ns, ROUND_PACE_NS);
}

static void data_dry(struct ferry_source *source, const struct ferry_event *event,
                     struct ferry_actions *actions)
{
    uint32_t bit = 1u << event->device;

    source->data_busy &= ~bit;
    source->precopy.device_bytes += event->a;
    source->precopy.round_bytes += event->a;
    source->precopy.initial_bytes[event->device] = event->b;
    source->precopy.stop_bytes[event->device] = event->c;
    if (event->b == 0 && !(source->initial_sent & bit)) {
        source->initial_sent |= bit;
        ferry_actions_add(actions, FERRY_ACT_SEND, event->device, FERRY_MSG_INITIAL_SENT,
                          FERRY_OK, 0);
    }
}

void ferry_source_precopy_event(struct ferry_source *source,
                                const struct ferry_event *event,
                                struct ferry_actions *actions)
{
    uint32_t was_busy = source->round_busy || source->data_busy;

    if (event->kind == FERRY_EV_ROUND_DONE && source->round_busy) {
        source->round_busy = 0;
        source->precopy.ram_bytes += event->a;
        source->precopy.round_bytes += event->a;
        source->precopy.ram_dirty_bytes = event->b;
        source->precopy.other_bytes = event->c;
    } else if (event->kind == FERRY_EV_DATA_DRY && event->device < source->group.count &&
               (source->data_busy & (1u << event->device))) {
        if (event->status >= 0) {
            data_dry(source, event, actions);
        }
    } else if (event->kind == FERRY_EV_MESSAGE && event->arg == FERRY_MSG_INITIAL_DONE &&
               event->device < source->group.count) {
        source->initial_done |= 1u << event->device;
    } else if (event->kind != FERRY_EV_TIMER || !source->pacing) {
        return;
    }
    if (event->status < 0) {
        ferry_source_go_back(source, event->status, event->now_ns, actions);
        return;
    }
    if (source->round_busy || source->data_busy) {
        return;
    }
    if (was_busy) {
        ferry_precopy_round_end(&source->precopy, event->now_ns);
    }
    if (event->kind == FERRY_EV_TIMER) {
        ferry_source_round_begin(source, event->now_ns, actions);
    } else {
        decide(source, event->now_ns, actions);
    }
}
