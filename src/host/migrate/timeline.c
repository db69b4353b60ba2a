/* SPDX-License-Identifier: BSD-3-Clause */
#include <string.h>

#include "host/migrate/timeline.h"
#include "os/clock.h"

/* What an action or an event is on the timeline. A row without a track is not shown. */
struct row {
    const char *track;
    const char *name;
    uint32_t kind; /* enum ferry_trace_kind */
};

static const struct row action_row[FERRY_ACT_COUNT] = {
    [FERRY_ACT_RESET] = { "state", "reset", FERRY_TRACE_BEGIN },
    [FERRY_ACT_RESTORE_CONFIG] = { "config", "restore config", FERRY_TRACE_BEGIN },
    [FERRY_ACT_LOG_START] = { "log", "start dirty log", FERRY_TRACE_BEGIN },
    [FERRY_ACT_LOG_STOP] = { "log", "stop dirty log", FERRY_TRACE_BEGIN },
    [FERRY_ACT_RAM_ROUND] = { "memory", "round", FERRY_TRACE_BEGIN },
    [FERRY_ACT_FINAL_ROUND] = { "memory", "last round", FERRY_TRACE_BEGIN },
    [FERRY_ACT_DATA_READ] = { "data", "read", FERRY_TRACE_BEGIN },
    [FERRY_ACT_PAUSE_CPUS] = { "cpus", "pausing", FERRY_TRACE_BEGIN },
    [FERRY_ACT_RESUME_CPUS] = { "cpus", "resuming", FERRY_TRACE_BEGIN },
    [FERRY_ACT_QUIET_FOREIGN] = { "foreign", "quieting", FERRY_TRACE_BEGIN },
    [FERRY_ACT_RELEASE_FOREIGN] = { "foreign", "released", FERRY_TRACE_POINT },
    [FERRY_ACT_RAISE_IRQS] = { "session", "raise interrupts again", FERRY_TRACE_POINT },
    [FERRY_ACT_CANCEL_IO] = { "session", "cancel transfers", FERRY_TRACE_POINT },
    [FERRY_ACT_DECIDE] = { "arbiter", "decide", FERRY_TRACE_BEGIN },
    [FERRY_ACT_CHECK] = { "session", "compare devices", FERRY_TRACE_BEGIN },
    [FERRY_ACT_LOAD_VMM] = { "vmm", "load VMM state", FERRY_TRACE_BEGIN },
    [FERRY_ACT_RELEASE] = { "session", "release devices", FERRY_TRACE_POINT },
    [FERRY_ACT_DISCARD] = { "session", "discard devices", FERRY_TRACE_POINT },
    [FERRY_ACT_UNDECIDED] = { "session", "undecided", FERRY_TRACE_POINT },
};

static const struct row event_row[FERRY_EV_COUNT] = {
    [FERRY_EV_CANCEL] = { "session", "cancelled", FERRY_TRACE_POINT },
    [FERRY_EV_OPERATOR] = { "session", "operator's word", FERRY_TRACE_POINT },
    [FERRY_EV_LINK_DOWN] = { "link", "link lost", FERRY_TRACE_POINT },
    [FERRY_EV_STATE_DONE] = { "state", NULL, FERRY_TRACE_END },
    [FERRY_EV_RESET_DONE] = { "state", NULL, FERRY_TRACE_END },
    [FERRY_EV_CONFIG_DONE] = { "config", NULL, FERRY_TRACE_END },
    [FERRY_EV_LOG_DONE] = { "log", NULL, FERRY_TRACE_END },
    [FERRY_EV_ROUND_DONE] = { "memory", NULL, FERRY_TRACE_END },
    [FERRY_EV_FINAL_DONE] = { "memory", NULL, FERRY_TRACE_END },
    [FERRY_EV_DATA_DRY] = { "data", NULL, FERRY_TRACE_END },
    [FERRY_EV_DATA_END] = { "data", NULL, FERRY_TRACE_END },
    [FERRY_EV_CPUS_PAUSED] = { "cpus", NULL, FERRY_TRACE_END },
    [FERRY_EV_CPUS_RESUMED] = { "cpus", NULL, FERRY_TRACE_END },
    [FERRY_EV_FOREIGN_QUIET] = { "foreign", NULL, FERRY_TRACE_END },
    [FERRY_EV_DECISION] = { "arbiter", NULL, FERRY_TRACE_END },
    [FERRY_EV_CHECKED] = { "session", NULL, FERRY_TRACE_END },
    [FERRY_EV_LOADED] = { "data", NULL, FERRY_TRACE_END },
    [FERRY_EV_MEMORY_COMPLETE] = { "memory", "memory complete", FERRY_TRACE_POINT },
    [FERRY_EV_VMM_LOADED] = { "vmm", NULL, FERRY_TRACE_END },
    [FERRY_EV_INITIAL_LOADED] = { "data", "initial bytes loaded", FERRY_TRACE_POINT },
};

static int traced(const struct ferry_run *run)
{
    return run->context->ops.trace != NULL;
}

static void tell(struct ferry_run *run, struct ferry_trace_event *event)
{
    event->time_ns = ferry_os_now_ns();
    event->incoming = run->incoming;
    run->context->ops.trace(run->context->user, run->context, event);
}

void ferry_timeline_tell(struct ferry_run *run, uint32_t kind, uint32_t device,
                         const char *track, const char *name, uint64_t value)
{
    struct ferry_trace_event event = {
        .kind = kind, .device = device, .track = track, .name = name, .value = value
    };

    if (traced(run)) {
        tell(run, &event);
    }
}

void ferry_timeline_event(struct ferry_run *run, const struct ferry_event *event)
{
    const struct row *row;
    struct ferry_trace_event out = { .device = event->device, .status = event->status };

    if (!traced(run) || event->kind >= FERRY_EV_COUNT) {
        return;
    }
    row = &event_row[event->kind];
    if (event->kind == FERRY_EV_MESSAGE) {
        out.kind = FERRY_TRACE_POINT;
        out.track = "received";
        out.name = ferry_message_name(event->arg);
    } else if (row->track != NULL) {
        out.kind = row->kind;
        out.track = row->track;
        out.name = row->name;
        out.value = event->a;
    } else {
        return;
    }
    if (event->kind == FERRY_EV_STATE_DONE) {
        out.name = ferry_state_name(event->arg); /* where it is, for good or bad */
    }
    tell(run, &out);
    if (event->kind == FERRY_EV_ROUND_DONE) {
        ferry_timeline_tell(run, FERRY_TRACE_FIGURE, FERRY_NO_DEVICE, "memory",
                            "dirty bytes", event->b);
    } else if (event->kind == FERRY_EV_CPUS_PAUSED && event->status >= 0) {
        ferry_timeline_tell(run, FERRY_TRACE_BEGIN, FERRY_NO_DEVICE, "cpus", "paused", 0);
    }
}

void ferry_timeline_action(struct ferry_run *run, const struct ferry_action *action)
{
    const struct row *row;
    struct ferry_trace_event out = { .device = action->device, .status = action->status };

    if (!traced(run) || action->kind >= FERRY_ACT_COUNT) {
        return;
    }
    row = &action_row[action->kind];
    if (action->kind == FERRY_ACT_SET_STATE) {
        out.kind = FERRY_TRACE_BEGIN;
        out.track = "state";
        out.name = ferry_state_name(action->arg);
    } else if (action->kind == FERRY_ACT_SEND) {
        out.kind = FERRY_TRACE_POINT;
        out.track = "sent";
        out.name = ferry_message_name(action->arg);
    } else if (action->kind == FERRY_ACT_FINISHED) {
        out.kind = FERRY_TRACE_POINT;
        out.track = "session";
        out.name = ferry_outcome_name(action->arg);
    } else if (row->track != NULL) {
        out.kind = row->kind;
        out.track = row->track;
        out.name = row->name;
        out.device = row->track == action_row[FERRY_ACT_DECIDE].track ? FERRY_NO_DEVICE
                                                                      : action->device;
    } else {
        return;
    }
    tell(run, &out);
}

void ferry_timeline_phase(struct ferry_run *run, const char *phase)
{
    int over = strcmp(phase, "ENDED") == 0;

    ferry_timeline_tell(run, over ? FERRY_TRACE_END : FERRY_TRACE_BEGIN, FERRY_NO_DEVICE,
                        "phase", phase, 0);
}

void ferry_timeline_progress(struct ferry_run *run, const struct ferry_progress *progress)
{
    if (!traced(run)) {
        return;
    }
    ferry_timeline_tell(run, FERRY_TRACE_FIGURE, FERRY_NO_DEVICE, "figures",
                        "memory bytes sent", progress->ram_bytes_sent);
    ferry_timeline_tell(run, FERRY_TRACE_FIGURE, FERRY_NO_DEVICE, "figures",
                        "device bytes sent", progress->device_bytes_sent);
    if (!run->incoming) {
        ferry_timeline_tell(run, FERRY_TRACE_FIGURE, FERRY_NO_DEVICE, "figures",
                            "bytes left", progress->bytes_left);
        ferry_timeline_tell(run, FERRY_TRACE_FIGURE, FERRY_NO_DEVICE, "figures",
                            "bytes per second", progress->rate_bytes_per_s);
    }
}
