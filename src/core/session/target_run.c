/* SPDX-License-Identifier: BSD-3-Clause */
#include "core/session/target.h"

/*
 * From COMMIT on the target owns the devices: they run here, or, when none of them can
 * have run yet, ownership is given back to the source, which still holds everything.
 */

static void enter_resume(struct ferry_target *target, uint64_t now_ns,
                         struct ferry_actions *actions)
{
    ferry_target_enter(target, FERRY_TGT_RESUME, now_ns, actions);
    ferry_actions_plain(actions, FERRY_ACT_RESUME_CPUS);
}

static void give_back(struct ferry_target *target, struct ferry_actions *actions)
{
    int32_t status = target->group.status;

    /* DISCARD comes before the word: after it nothing of this side can run. */
    target->phase = FERRY_TGT_RETURN;
    ferry_actions_plain(actions, FERRY_ACT_DISCARD);
    ferry_actions_send(actions, FERRY_MSG_RETURN, status);
    ferry_target_end(target, FERRY_OUTCOME_ROLLED_BACK, status, actions);
}

static void cannot_run(struct ferry_target *target, uint64_t now_ns,
                       struct ferry_actions *actions)
{
    if (!target->link_up) {
        /* Nobody to give it back to: hold, and let the operator say. */
        target->status = target->group.status;
        ferry_target_enter(target, FERRY_TGT_UNDECIDED, now_ns, actions);
        ferry_actions_plain(actions, FERRY_ACT_UNDECIDED);
        return;
    }
    if (target->config.arbiter == FERRY_ARBITER_NONE) {
        give_back(target, actions);
        return;
    }
    /* The decision of this epoch stands; giving back is a decision of the next one. */
    ferry_target_enter(target, FERRY_TGT_RETURN, now_ns, actions);
    ferry_actions_add(actions, FERRY_ACT_DECIDE, 1, FERRY_DECISION_ABORT, FERRY_OK, 0);
}

static void run_result(struct ferry_target *target, int result, uint64_t now_ns,
                       struct ferry_actions *actions)
{
    switch ((enum ferry_group_result)result) {
    case FERRY_GROUP_BUSY:
        break;
    case FERRY_GROUP_DONE:
        enter_resume(target, now_ns, actions);
        break;
    case FERRY_GROUP_FAILED:
    case FERRY_GROUP_UNRUN:
        cannot_run(target, now_ns, actions);
        break;
    }
}

void ferry_target_run(struct ferry_target *target, uint64_t now_ns,
                      struct ferry_actions *actions)
{
    ferry_target_enter(target, FERRY_TGT_RUN, now_ns, actions);
    run_result(target, ferry_group_revive(&target->group, 0, 1, actions), now_ns,
               actions);
}

static void running(struct ferry_target *target, const struct ferry_event *event,
                    struct ferry_actions *actions)
{
    uint32_t outcome = target->end_outcome;
    int32_t status = FERRY_OK;

    if (event->kind == FERRY_EV_TIMER || event->status < 0) {
        /* The VMM does not go on: the source is not told RUNNING and keeps its state. */
        ferry_target_end(target, FERRY_OUTCOME_LOST,
                         event->kind == FERRY_EV_TIMER ? FERRY_E_TIMEOUT : event->status,
                         actions);
        return;
    }
    for (uint32_t i = 0; i < target->group.count; i++) {
        const struct ferry_group_device *device = &target->group.device[i];

        /* One that was given up and answers late may be anywhere. */
        if (device->lost || device->hung || device->was_reset ||
            device->state != FERRY_STATE_RUNNING) {
            outcome = FERRY_OUTCOME_LOST;
            status = device->hung ? FERRY_E_HUNG : FERRY_E_DEVICE;
        }
    }
    if (target->link_up) {
        ferry_actions_send(actions, FERRY_MSG_RUNNING, status);
    }
    ferry_target_end(target, outcome, status, actions);
}

void ferry_target_run_event(struct ferry_target *target, const struct ferry_event *event,
                            struct ferry_actions *actions)
{
    size_t before = actions->count;

    if (target->phase == FERRY_TGT_RESUME) {
        if (event->kind == FERRY_EV_CPUS_RESUMED || event->kind == FERRY_EV_TIMER) {
            running(target, event, actions);
        }
        return;
    }
    if (target->phase == FERRY_TGT_RETURN) {
        /* Only a decision that is written down may be told. */
        if (event->kind == FERRY_EV_DECISION && event->device == 1 &&
            event->status >= 0) {
            give_back(target, actions);
        } else if (event->kind == FERRY_EV_TIMER || event->kind == FERRY_EV_DECISION) {
            ferry_target_enter(target, FERRY_TGT_UNDECIDED, event->now_ns, actions);
            ferry_actions_plain(actions, FERRY_ACT_UNDECIDED);
        }
        return;
    }
    if (event->kind == FERRY_EV_TIMER) {
        ferry_group_give_up(&target->group);
    }
    run_result(target, ferry_group_advance(&target->group, actions), event->now_ns,
               actions);
    if (target->phase == FERRY_TGT_RUN && actions->count != before) {
        ferry_target_enter(target, FERRY_TGT_RUN, event->now_ns, actions);
    }
}
