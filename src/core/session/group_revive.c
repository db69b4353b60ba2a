/* SPDX-License-Identifier: BSD-3-Clause */
#include "core/session/group.h"

/*
 * Reviving: every device to RUNNING, from STOP_COPY, PRE_COPY or wherever a failure left
 * it.
 *
 *   QUIET   those with P2P to RUNNING_P2P, those with implicit quiescence to STOP, where
 *           they take DMA again; barrier
 *   RESET   devices in ERROR, and only those: their peers are quiet now
 *   CONFIG  what the reset lost is written back
 *   PLAIN   those without P2P to RUNNING
 *   RUN     all to RUNNING; a device that falls into ERROR here leads to QUIET again
 *
 * Rule MIG-BACK-2: never a reset of a device that can go on. Rule MIG-BACK-3: a device
 * without P2P goes straight to RUNNING, since it reaches no peer; but not before the
 * others are quiet: as long as nothing runs, a target can give everything back. Each
 * device is reset and retried once at most, so it ends.
 */
enum revive_stage { RV_QUIET = 0, RV_RESET, RV_CONFIG, RV_PLAIN, RV_RUN };

static int usable(const struct ferry_group_device *device)
{
    return !device->hung && !device->lost && device->state != FERRY_STATE_ERROR;
}

/*
 * Asks those with (p2p) or without P2P states that are not where they should be; one that
 * has failed is asked once more, then lost. Return: 1 when somebody was asked.
 */
static int ask_class(struct ferry_group *group, uint32_t p2p,
                     struct ferry_actions *actions)
{
    int asked = 0;

    for (uint32_t i = 0; i < group->count; i++) {
        struct ferry_group_device *device = &group->device[i];
        const int quiets = device->implicit || (device->features & FERRY_MIG_P2P) != 0;
        const uint32_t wanted = p2p == 0           ? FERRY_STATE_RUNNING
                                : device->implicit ? FERRY_STATE_STOP
                                                   : FERRY_STATE_RUNNING_P2P;

        if (!usable(device) || device->state == wanted || quiets != (p2p != 0)) {
            continue;
        }
        if (device->wanted == wanted) {
            if (device->retried) {
                device->lost = 1;
                continue;
            }
            device->retried = 1;
        }
        ferry_group_ask(group, i, wanted, actions);
        asked = 1;
    }
    return asked;
}

/* Resets what is in ERROR; who was reset before, and fails again, is lost. */
static void reset_errors(struct ferry_group *group, struct ferry_actions *actions)
{
    for (uint32_t i = 0; i < group->count; i++) {
        struct ferry_group_device *device = &group->device[i];

        if (device->state != FERRY_STATE_ERROR || device->lost || device->hung) {
            continue;
        }
        if (device->was_reset) {
            device->lost = 1;
            continue;
        }
        device->was_reset = 1;
        device->busy |= FERRY_BUSY_RESET;
        ferry_actions_add(actions, FERRY_ACT_RESET, i, 0, FERRY_OK, 0);
    }
}

static void restore_configs(struct ferry_group *group, struct ferry_actions *actions)
{
    for (uint32_t i = 0; i < group->count; i++) {
        struct ferry_group_device *device = &group->device[i];

        if (!device->was_reset || device->lost || device->hung) {
            continue;
        }
        if (device->state == FERRY_STATE_ERROR) {
            device->lost = 1; /* the reset itself failed */
            continue;
        }
        device->busy |= FERRY_BUSY_CONFIG;
        ferry_actions_add(actions, FERRY_ACT_RESTORE_CONFIG, i, 0, FERRY_OK, 0);
    }
}

/* Asks all for RUNNING. Return: 1 when somebody was asked. */
static int ask_run(struct ferry_group *group, struct ferry_actions *actions)
{
    int asked = 0;

    for (uint32_t i = 0; i < group->count; i++) {
        struct ferry_group_device *device = &group->device[i];

        if (!usable(device) || device->state == FERRY_STATE_RUNNING) {
            continue;
        }
        if (device->wanted == FERRY_STATE_RUNNING && group->stage == RV_RUN) {
            if (device->retried) {
                device->lost = 1;
                continue;
            }
            device->retried = 1;
        }
        ferry_group_ask(group, i, FERRY_STATE_RUNNING, actions);
        asked = 1;
    }
    return asked;
}

/* Can no device have started anything? One that hangs on its way to RUNNING might have.
 */
static int nothing_ran(const struct ferry_group *group)
{
    for (uint32_t i = 0; i < group->count; i++) {
        const struct ferry_group_device *device = &group->device[i];

        if (device->state == FERRY_STATE_RUNNING ||
            (device->hung && device->wanted == FERRY_STATE_RUNNING)) {
            return 0;
        }
    }
    return 1;
}

static void forget_wishes(struct ferry_group *group)
{
    for (uint32_t i = 0; i < group->count; i++) {
        /* One that hangs may yet get to where it was asked to go: nothing_ran() asks. */
        if (!group->device[i].hung) {
            group->device[i].wanted = FERRY_STATE_ERROR;
        }
        group->device[i].retried = 0;
    }
}

int ferry_group_revive(struct ferry_group *group, int direct, int may_return,
                       struct ferry_actions *actions)
{
    group->goal = FERRY_GOAL_REVIVE;
    group->status = FERRY_OK;
    group->failed_device = FERRY_NO_DEVICE;
    group->may_return = may_return ? 1 : 0;
    forget_wishes(group);
    if (direct && !ferry_group_has_error(group)) {
        /* Nothing was stopped: in PRE_COPY straight to RUNNING. */
        group->stage = RV_RUN;
        ask_run(group, actions);
    } else {
        group->stage = RV_QUIET;
    }
    return ferry_group_revive_advance(group, actions);
}

int ferry_group_revive_advance(struct ferry_group *group, struct ferry_actions *actions)
{
    for (;;) {
        if (ferry_group_is_busy(group)) {
            return FERRY_GROUP_BUSY;
        }
        switch ((enum revive_stage)group->stage) {
        case RV_QUIET:
            if (group->status != FERRY_OK && group->may_return && nothing_ran(group)) {
                return FERRY_GROUP_UNRUN;
            }
            /* MIG-BACK-4: nobody runs before all that can are out of STOP. */
            if (ask_class(group, FERRY_MIG_P2P, actions)) {
                break;
            }
            group->stage = RV_RESET;
            reset_errors(group, actions);
            break;
        case RV_RESET:
            group->stage = RV_CONFIG;
            restore_configs(group, actions);
            break;
        case RV_CONFIG:
            forget_wishes(group);
            group->stage = RV_PLAIN;
            break;
        case RV_PLAIN:
            if (group->status != FERRY_OK && group->may_return && nothing_ran(group)) {
                return FERRY_GROUP_UNRUN;
            }
            if (ask_class(group, 0, actions)) {
                break;
            }
            forget_wishes(group);
            group->stage = RV_RUN;
            ask_run(group, actions);
            break;
        case RV_RUN:
            if (ferry_group_has_error(group)) {
                forget_wishes(group);
                group->stage = RV_QUIET;
            } else if (!ask_run(group, actions)) {
                return FERRY_GROUP_DONE;
            }
            break;
        }
    }
}
