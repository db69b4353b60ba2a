/* SPDX-License-Identifier: BSD-3-Clause */
#include "core/session/source.h"

/*
 * The way back. Before COMMIT every failure ends here, and here the source runs again:
 * what is under way ends, devices are revived, CPUs go on, no log stays on.
 */

void ferry_source_end(struct ferry_source *source, uint32_t outcome,
                      struct ferry_actions *actions)
{
    source->phase = FERRY_SRC_ENDED;
    source->outcome = outcome;
    for (uint32_t timer = 0; timer < FERRY_TIMER_COUNT; timer++) {
        ferry_actions_timer_cancel(actions, timer);
    }
    if (outcome == FERRY_OUTCOME_MOVED) {
        ferry_actions_plain(actions, FERRY_ACT_RELEASE);
        source->status = FERRY_OK;
    }
    ferry_actions_add(actions, FERRY_ACT_FINISHED, source->group.failed_device, outcome,
                      source->status, 0);
}

static int settled(const struct ferry_source *source)
{
    return !ferry_group_is_busy(&source->group) && !source->pause_busy &&
           !source->foreign_busy;
}

static void enter_log(struct ferry_source *source, uint64_t now_ns,
                      struct ferry_actions *actions)
{
    uint32_t outcome = source->end_outcome;

    ferry_source_enter(source, FERRY_SRC_BACK_LOG, now_ns, actions);
    ferry_group_log(&source->group, 0, actions);
    if (ferry_group_is_busy(&source->group)) {
        return;
    }
    for (uint32_t i = 0; i < source->group.count; i++) {
        const struct ferry_group_device *device = &source->group.device[i];

        /* One that was given up and answers late may be anywhere. */
        if (device->lost || device->hung || device->state != FERRY_STATE_RUNNING) {
            outcome = FERRY_OUTCOME_LOST;
        }
    }
    ferry_source_end(source, outcome, actions);
}

static void enter_resume(struct ferry_source *source, uint64_t now_ns,
                         struct ferry_actions *actions)
{
    if (source->drained) {
        source->drained = 0;
        ferry_actions_plain(actions, FERRY_ACT_RAISE_IRQS);
    }
    if (source->foreign_quiet) {
        source->foreign_quiet = 0;
        ferry_actions_plain(actions, FERRY_ACT_RELEASE_FOREIGN);
    }
    if (!source->cpus_paused) {
        enter_log(source, now_ns, actions);
        return;
    }
    source->cpus_paused = 0;
    source->pause_busy = 1;
    ferry_source_enter(source, FERRY_SRC_BACK_RESUME, now_ns, actions);
    ferry_actions_plain(actions, FERRY_ACT_RESUME_CPUS);
}

static void enter_revive(struct ferry_source *source, uint64_t now_ns,
                         struct ferry_actions *actions)
{
    ferry_source_enter(source, FERRY_SRC_BACK_REVIVE, now_ns, actions);
    if (ferry_group_revive(&source->group, !source->stopped, 0, actions) ==
        FERRY_GROUP_DONE) {
        enter_resume(source, now_ns, actions);
    }
}

/* MIG-BACK-2: a device is reset only while its peers are quiet, so the CPUs pause first.
 */
static void leave_settle(struct ferry_source *source, uint64_t now_ns,
                         struct ferry_actions *actions)
{
    if (!ferry_group_has_error(&source->group) || source->cpus_paused) {
        enter_revive(source, now_ns, actions);
        return;
    }
    source->cpus_paused = 1;
    source->pause_busy = 1;
    ferry_source_enter(source, FERRY_SRC_BACK_PAUSE, now_ns, actions);
    ferry_actions_plain(actions, FERRY_ACT_PAUSE_CPUS);
}

/* Without paused CPUs nothing may be reset: devices in ERROR stay as they are. */
static void give_up_errors(struct ferry_source *source)
{
    for (uint32_t i = 0; i < source->group.count; i++) {
        if (source->group.device[i].state == FERRY_STATE_ERROR) {
            source->group.device[i].lost = 1;
        }
    }
}

/* Nothing stands in the way any more: the target has not committed and will not. */
static void go_back_now(struct ferry_source *source, uint64_t now_ns,
                        struct ferry_actions *actions)
{
    uint32_t from = source->phase;

    if (source->peer_told && source->link_up && from != FERRY_SRC_UNDECIDED &&
        from != FERRY_SRC_COMMIT) {
        source->peer_told = 0;
        ferry_actions_send(actions, FERRY_MSG_ABORT, source->status);
    }
    if (from == FERRY_SRC_HELLO) {
        ferry_source_end(source, FERRY_OUTCOME_ROLLED_BACK, actions);
        return;
    }
    ferry_actions_timer_cancel(actions, FERRY_TIMER_DEADLINE);
    ferry_actions_timer_cancel(actions, FERRY_TIMER_STOP);
    ferry_actions_plain(actions, FERRY_ACT_CANCEL_IO);
    source->settle_late = 0;
    ferry_source_enter(source, FERRY_SRC_BACK_SETTLE, now_ns, actions);
    if (settled(source)) {
        leave_settle(source, now_ns, actions);
    }
}

void ferry_source_go_back(struct ferry_source *source, int32_t status, uint64_t now_ns,
                          struct ferry_actions *actions)
{
    if (source->status == FERRY_OK) {
        source->status = status;
    }
    source->end_outcome = FERRY_OUTCOME_ROLLED_BACK;
    if (source->phase == FERRY_SRC_PREPARE && source->peer_told &&
        source->config.arbiter != FERRY_ARBITER_NONE) {
        /* MIG-COMMIT-3: a complete target that lost its source may have committed by the
         * arbiter; the first writer wins. */
        ferry_actions_timer_cancel(actions, FERRY_TIMER_STOP);
        ferry_source_enter(source, FERRY_SRC_BACK_DECIDE, now_ns, actions);
        ferry_actions_add(actions, FERRY_ACT_DECIDE, 0, FERRY_DECISION_ABORT, FERRY_OK,
                          0);
        return;
    }
    go_back_now(source, now_ns, actions);
}

void ferry_source_back_decide_event(struct ferry_source *source,
                                    const struct ferry_event *event,
                                    struct ferry_actions *actions)
{
    if (event->kind == FERRY_EV_MESSAGE && event->arg == FERRY_MSG_ABORT) {
        go_back_now(source, event->now_ns, actions);
    } else if (event->kind == FERRY_EV_DECISION && event->device == 0) {
        if (event->status < 0) {
            ferry_source_hold(source, event->status, event->now_ns, actions);
        } else if (event->arg == FERRY_DECISION_COMMIT) {
            ferry_source_commit(source, event->now_ns, actions);
        } else {
            source->decision = FERRY_DECISION_ABORT;
            go_back_now(source, event->now_ns, actions);
        }
    }
}

static void settle_event(struct ferry_source *source, const struct ferry_event *event,
                         struct ferry_actions *actions)
{
    if (event->kind == FERRY_EV_TIMER) {
        /* Who has not answered by now hangs, and is left alone: it is not reset, since it
         * may yet go on. */
        ferry_group_give_up(&source->group);
        source->pause_busy = 0;
        source->foreign_busy = 0;
    }
    if (settled(source)) {
        leave_settle(source, event->now_ns, actions);
    }
}

static void back_pause_event(struct ferry_source *source, const struct ferry_event *event,
                             struct ferry_actions *actions)
{
    int late = event->kind == FERRY_EV_TIMER;

    if (source->phase == FERRY_SRC_BACK_PAUSE) {
        if (event->kind != FERRY_EV_CPUS_PAUSED && !late) {
            return;
        }
        if (late || event->status < 0) {
            source->pause_busy = 0;
            give_up_errors(source);
            enter_revive(source, event->now_ns, actions);
            return;
        }
        source->foreign_quiet = 1;
        source->foreign_busy = 1;
        ferry_source_enter(source, FERRY_SRC_BACK_FOREIGN, event->now_ns, actions);
        ferry_actions_plain(actions, FERRY_ACT_QUIET_FOREIGN);
        return;
    }
    if (event->kind != FERRY_EV_FOREIGN_QUIET && !late) {
        return;
    }
    if (late || event->status < 0) {
        source->foreign_busy = 0;
        give_up_errors(source);
    }
    enter_revive(source, event->now_ns, actions);
}

static void revive_event(struct ferry_source *source, const struct ferry_event *event,
                         struct ferry_actions *actions)
{
    size_t before = actions->count;

    if (event->kind == FERRY_EV_TIMER) {
        ferry_group_give_up(&source->group);
    }
    if (ferry_group_advance(&source->group, actions) == FERRY_GROUP_DONE) {
        enter_resume(source, event->now_ns, actions);
    } else if (actions->count != before) {
        /* A new stage: its limit counts from now. */
        ferry_source_enter(source, FERRY_SRC_BACK_REVIVE, event->now_ns, actions);
    }
}

void ferry_source_back_event(struct ferry_source *source, const struct ferry_event *event,
                             struct ferry_actions *actions)
{
    switch ((enum ferry_source_phase)source->phase) {
    case FERRY_SRC_BACK_SETTLE:
        settle_event(source, event, actions);
        break;
    case FERRY_SRC_BACK_PAUSE:
    case FERRY_SRC_BACK_FOREIGN:
        back_pause_event(source, event, actions);
        break;
    case FERRY_SRC_BACK_REVIVE:
        revive_event(source, event, actions);
        break;
    case FERRY_SRC_BACK_RESUME:
        if (event->kind == FERRY_EV_STATE_DONE) {
            ferry_group_late(&source->group, event->device, actions);
        }
        if (event->kind == FERRY_EV_CPUS_RESUMED || event->kind == FERRY_EV_TIMER) {
            if (event->kind == FERRY_EV_TIMER || event->status < 0) {
                source->end_outcome = FERRY_OUTCOME_LOST;
            }
            enter_log(source, event->now_ns, actions);
        }
        break;
    case FERRY_SRC_BACK_LOG:
        if (event->kind == FERRY_EV_STATE_DONE) {
            ferry_group_late(&source->group, event->device, actions);
        }
        if (event->kind == FERRY_EV_TIMER) {
            ferry_group_give_up(&source->group);
        }
        if (!ferry_group_is_busy(&source->group)) {
            enter_log(source, event->now_ns, actions);
        }
        break;
    case FERRY_SRC_IDLE:
    case FERRY_SRC_HELLO:
    case FERRY_SRC_LOG:
    case FERRY_SRC_PRE_COPY_ARC:
    case FERRY_SRC_PRE_COPY:
    case FERRY_SRC_PAUSE:
    case FERRY_SRC_FOREIGN:
    case FERRY_SRC_FREEZE:
    case FERRY_SRC_TRANSFER:
    case FERRY_SRC_PREPARE:
    case FERRY_SRC_DECIDE:
    case FERRY_SRC_COMMIT:
    case FERRY_SRC_UNDECIDED:
    case FERRY_SRC_BACK_DECIDE:
    case FERRY_SRC_ENDED:
    case FERRY_SRC_COUNT:
        break;
    }
}

int ferry_source_must_not_run(const struct ferry_source *source)
{
    return source->config.arbiter != FERRY_ARBITER_NONE &&
           source->decision == FERRY_DECISION_COMMIT;
}

void ferry_source_target_runs(struct ferry_source *source,
                              const struct ferry_event *event,
                              struct ferry_actions *actions)
{
    if (event->status >= 0) {
        ferry_source_end(source, FERRY_OUTCOME_MOVED, actions);
        return;
    }
    /* It runs, and a device of it does not. The guest is there: what is here is over. */
    source->status = event->status;
    source->group.failed_device = event->device;
    ferry_actions_plain(actions, FERRY_ACT_RELEASE);
    ferry_source_end(source, FERRY_OUTCOME_LOST, actions);
}

void ferry_source_undecided_event(struct ferry_source *source,
                                  const struct ferry_event *event,
                                  struct ferry_actions *actions)
{
    if (event->kind == FERRY_EV_OPERATOR) {
        if (event->arg == FERRY_OPERATOR_RUN && ferry_source_must_not_run(source)) {
            return;
        }
        if (event->arg != FERRY_OPERATOR_DISCARD) {
            if (source->link_up && source->decision != FERRY_DECISION_COMMIT) {
                ferry_actions_send(actions, FERRY_MSG_ABORT, FERRY_E_UNDECIDED);
            }
            ferry_source_go_back(source, FERRY_E_UNDECIDED, event->now_ns, actions);
            source->end_outcome = FERRY_OUTCOME_RESOLVED;
        } else {
            ferry_actions_plain(actions, FERRY_ACT_RELEASE);
            source->status = FERRY_OK;
            ferry_source_end(source, FERRY_OUTCOME_RESOLVED, actions);
        }
        return;
    }
    if (event->kind == FERRY_EV_MESSAGE && event->arg == FERRY_MSG_RUNNING) {
        /* A late word is as good: the target runs. */
        ferry_source_target_runs(source, event, actions);
    } else if (event->kind == FERRY_EV_MESSAGE && event->arg == FERRY_MSG_RETURN) {
        ferry_source_go_back(source, FERRY_E_REFUSED, event->now_ns, actions);
    } else if (event->kind == FERRY_EV_DECISION && event->status >= 0 &&
               event->arg == FERRY_DECISION_ABORT && event->device == 0) {
        source->decision = FERRY_DECISION_ABORT;
        ferry_source_go_back(source, FERRY_E_REFUSED, event->now_ns, actions);
    }
}
