/* SPDX-License-Identifier: BSD-3-Clause */
#include <assert.h>
#include <stdio.h>
#include <string.h>

#include "host/migrate/migration.h"
#include "host/migrate/timeline.h"
#include "os/clock.h"

static uint32_t present_phase(const struct ferry_run *run)
{
    return run->incoming ? ferry_target_phase(run->session)
                         : ferry_source_phase(run->session);
}

const char *ferry_run_phase_name(const struct ferry_run *run)
{
    return run->incoming ? ferry_target_phase_name(present_phase(run))
                         : ferry_source_phase_name(present_phase(run));
}

static void show(struct ferry_run *run, uint32_t kind)
{
    struct ferry_host_event event = { .kind = kind,
                                      .device = FERRY_NO_DEVICE,
                                      .phase = ferry_run_phase_name(run) };
    struct ferry_report report;

    if (run->incoming) {
        event.progress.phase = present_phase(run);
        event.progress.ram_bytes_sent = run->order.page_bytes;
        event.progress.device_bytes_sent = run->load_bytes;
    } else {
        ferry_source_progress(run->session, &event.progress);
    }
    if (kind == FERRY_HOST_UNDECIDED) {
        ferry_run_report(run, &report);
        event.report = &report;
    }
    if (kind != FERRY_HOST_UNDECIDED) {
        ferry_timeline_progress(run, &event.progress);
    }
    ferry_host_event(run->context, &event);
}

void ferry_run_progress(struct ferry_run *run)
{
    uint64_t now_ns;

    if ((!run->context->ops.event && !run->context->ops.trace) || run->ended) {
        return;
    }
    now_ns = ferry_os_now_ns();
    if (now_ns - run->progress_ns >= FERRY_RUN_PROGRESS_NS) {
        run->progress_ns = now_ns;
        show(run, FERRY_HOST_PROGRESS);
    }
}

static void push(struct ferry_run *run, const struct ferry_event *event)
{
    uint32_t at = (run->event_head + run->event_count) % FERRY_RUN_EVENTS_MAX;

    /* Each device has a handful of requests out at most, and each record that comes in is
     * taken at once: more would be our own mistake. */
    assert(run->event_count < FERRY_RUN_EVENTS_MAX);
    run->event[at] = *event;
    run->event_count++;
}

/* Keeps the phase in which the way back began, for the message. */
static void note_phase(struct ferry_run *run, const char *before)
{
    const char *now = ferry_run_phase_name(run);

    if (!run->phase_failed &&
        (strncmp(now, "BACK", 4) == 0 || strcmp(now, "ENDED") == 0 ||
         strcmp(now, "UNDECIDED") == 0)) {
        run->phase_failed = before;
    }
}

static void step(struct ferry_run *run)
{
    struct ferry_event event = run->event[run->event_head];
    const char *before = ferry_run_phase_name(run);
    const struct ferry_trace *trace = &run->migration->trace;
    int count;

    run->event_head = (run->event_head + 1) % FERRY_RUN_EVENTS_MAX;
    run->event_count--;
    ferry_run_mark_event(run, &event);
    if (trace->event) {
        trace->event(trace->user, (int)run->incoming, &event);
    }
    ferry_timeline_event(run, &event);
    if (run->incoming) {
        count = ferry_target_step(run->session, &event, run->action,
                                  FERRY_SESSION_ACTIONS_MAX);
    } else {
        count = ferry_source_step(run->session, &event, run->action,
                                  FERRY_SESSION_ACTIONS_MAX);
    }
    assert(count >= 0); /* the array is as large as the session ever needs */
    if (run->undecided) {
        run->undecided = run->incoming ? (uint32_t)ferry_target_undecided(run->session)
                                       : (uint32_t)ferry_source_undecided(run->session);
    }
    run->action_next = 0;
    run->action_count = (uint32_t)count;
    if (present_phase(run) != run->phase) {
        run->phase = present_phase(run);
        note_phase(run, before);
        ferry_timeline_phase(run, ferry_run_phase_name(run));
        show(run, FERRY_HOST_PHASE);
    }
}

static void timer_set(struct ferry_run *run, const struct ferry_action *action)
{
    ferry_loop_timer_set(run->context->loop, &run->timer[action->arg], action->a);
}

static void perform(struct ferry_run *run, const struct ferry_action *action)
{
    const struct ferry_trace *trace = &run->migration->trace;
    int known;

    if (trace->action) {
        trace->action(trace->user, (int)run->incoming, action);
    }
    ferry_timeline_action(run, action);
    if (action->kind == FERRY_ACT_TIMER_SET) {
        timer_set(run, action);
        return;
    }
    if (action->kind == FERRY_ACT_TIMER_CANCEL) {
        ferry_loop_timer_cancel(run->context->loop, &run->timer[action->arg]);
        return;
    }
    if (action->kind == FERRY_ACT_UNDECIDED) {
        run->undecided = 1;
        run->status = FERRY_E_UNDECIDED;
        show(run, FERRY_HOST_UNDECIDED);
        return;
    }
    known = ferry_run_perform(run, action);
    if (!known) {
        known = run->incoming ? ferry_run_perform_receive(run, action)
                              : ferry_run_perform_send(run, action);
    }
    assert(known);
}

/* Closing a device while its own completion is running would pull it away from there. */
static int for_the_loop(const struct ferry_action *action)
{
    return action->kind == FERRY_ACT_RELEASE || action->kind == FERRY_ACT_DISCARD;
}

static void pump(struct ferry_run *run, int from_loop)
{
    if (run->pumping) {
        return;
    }
    run->pumping = 1;
    for (;;) {
        if (run->action_next < run->action_count) {
            const struct ferry_action *action = &run->action[run->action_next];

            if (for_the_loop(action) && !from_loop) {
                ferry_loop_idle_start(run->context->loop, &run->migration->reaper);
                break;
            }
            run->action_next++;
            perform(run, action);
        } else if (run->event_count > 0) {
            step(run);
        } else {
            break;
        }
    }
    run->pumping = 0;
    ferry_lanes_flush(run);
    if (run->ended) {
        ferry_loop_idle_start(run->context->loop, &run->migration->reaper);
    }
}

void ferry_run_pump_idle(struct ferry_run *run)
{
    pump(run, 1);
}

static void post(struct ferry_run *run, const struct ferry_event *event)
{
    if (run->ended) {
        return;
    }
    push(run, event);
    pump(run, 0);
}

void ferry_run_event(struct ferry_run *run, uint32_t kind, uint32_t device,
                     int32_t status, uint32_t arg)
{
    struct ferry_event event = { .kind = kind,
                                 .device = device,
                                 .status = status,
                                 .arg = arg,
                                 .now_ns = ferry_os_now_ns() };

    post(run, &event);
}

void ferry_run_event_abc(struct ferry_run *run, uint32_t kind, uint32_t device,
                         int32_t status, uint64_t a, uint64_t b, uint64_t c)
{
    struct ferry_event event = { .kind = kind,
                                 .device = device,
                                 .status = status,
                                 .now_ns = ferry_os_now_ns(),
                                 .a = a,
                                 .b = b,
                                 .c = c };

    post(run, &event);
}

void ferry_run_note(struct ferry_run *run, const struct ferry_error *error)
{
    if (error->code >= 0) {
        return;
    }
    for (uint32_t i = 0; i < run->note_count; i++) {
        if (run->note[i].code == error->code) {
            return;
        }
    }
    if (run->note_count < FERRY_RUN_NOTES) {
        run->note[run->note_count++] = *error;
    }
}

void ferry_run_detail(const struct ferry_run *run, int32_t status,
                      struct ferry_error *ret_error)
{
    memset(ret_error, 0, sizeof(*ret_error));
    if (status >= 0) {
        return;
    }
    for (uint32_t i = 0; i < run->note_count; i++) {
        if (run->note[i].code == status) {
            *ret_error = run->note[i];
            return;
        }
    }
    ferry_error_set(ret_error, status, "session", NULL, 0, "in phase %s: %s",
                    run->phase_failed ? run->phase_failed : ferry_run_phase_name(run),
                    ferry_status_text(status));
}
