/* SPDX-License-Identifier: BSD-3-Clause */
#include "core/session/group.h"

#include <assert.h>
#include <string.h>

/* No request in this stage. */
#define STAY 0xffu
#define STAGES_MAX 2

/*
 * The goals: for each stage and class of device the state that it is asked for. The class
 * is features >> 1 (plain, P2P, PRE_COPY, both), or one of the two of devices with
 * implicit quiescence: without and with PRE_COPY. A stage ends when every device has
 * answered. Rule MIG-ORD-3: none stops before all that can be quieted are quiet; those
 * two are quiet by their stop (MIG-QUI-1).
 */
static const struct {
    uint32_t stages;
    uint8_t wanted[STAGES_MAX][6];
} goals[FERRY_GOAL_COUNT] = {
    [FERRY_GOAL_NONE] = { 0, { { 0 } } },
    [FERRY_GOAL_PRE_COPY] = { 1,
                              { { STAY, STAY, FERRY_STATE_PRE_COPY, FERRY_STATE_PRE_COPY,
                                  STAY, FERRY_STATE_PRE_COPY } } },
    [FERRY_GOAL_FREEZE] = { 2,
                            { { STAY, FERRY_STATE_RUNNING_P2P, STAY,
                                FERRY_STATE_PRE_COPY_P2P, FERRY_STATE_STOP_COPY,
                                FERRY_STATE_STOP_COPY },
                              { FERRY_STATE_STOP_COPY, FERRY_STATE_STOP_COPY,
                                FERRY_STATE_STOP_COPY, FERRY_STATE_STOP_COPY,
                                FERRY_STATE_STOP_COPY, FERRY_STATE_STOP_COPY } } },
    [FERRY_GOAL_RESUMING] = { 1,
                              { { FERRY_STATE_RESUMING, FERRY_STATE_RESUMING,
                                  FERRY_STATE_RESUMING, FERRY_STATE_RESUMING,
                                  FERRY_STATE_RESUMING, FERRY_STATE_RESUMING } } },
    [FERRY_GOAL_REVIVE] = { 0, { { 0 } } },
};

static uint32_t class_of(const struct ferry_group_device *device)
{
    const uint32_t plain = (device->features >> 1) & 3;

    return device->implicit ? 4 + (plain >> 1) : plain;
}

/* Asks every device for its state of the present stage. */
static void ask_stage(struct ferry_group *group, struct ferry_actions *actions)
{
    for (uint32_t i = 0; i < group->count; i++) {
        const struct ferry_group_device *device = &group->device[i];
        uint8_t wanted = goals[group->goal].wanted[group->stage][class_of(device)];

        if (wanted != STAY && device->state != wanted) {
            ferry_group_ask(group, i, wanted, actions);
        }
    }
}

void ferry_group_init(struct ferry_group *group,
                      const struct ferry_session_config *config, uint32_t state)
{
    memset(group, 0, sizeof(*group));
    group->count = config->device_count;
    group->failed_device = FERRY_NO_DEVICE;
    for (uint32_t i = 0; i < group->count; i++) {
        group->device[i].features = config->device[i].features;
        group->device[i].can_log = config->device[i].can_log ? 1 : 0;
        group->device[i].state = state;
        group->device[i].implicit = config->device[i].implicit_quiesce &&
                                    !(config->device[i].features & FERRY_MIG_P2P);
    }
}

void ferry_group_ask(struct ferry_group *group, uint32_t device, uint32_t state,
                     struct ferry_actions *actions)
{
    struct ferry_group_device *asked = &group->device[device];

    assert(device < group->count && !(asked->busy & FERRY_BUSY_ARC));
    asked->wanted = state;
    asked->busy |= FERRY_BUSY_ARC;
    ferry_actions_add(actions, FERRY_ACT_SET_STATE, device, state, FERRY_OK, 0);
}

void ferry_group_log(struct ferry_group *group, int on, struct ferry_actions *actions)
{
    for (uint32_t i = 0; i < group->count; i++) {
        struct ferry_group_device *device = &group->device[i];

        if (on ? !device->can_log : !device->log_on) {
            continue;
        }
        /* From the request on the log counts as on: whether a failing start left it on is
         * not known, and a stop too many does no harm. */
        device->log_on = on ? 1 : 0;
        device->busy |= FERRY_BUSY_LOG;
        ferry_actions_add(actions, on ? FERRY_ACT_LOG_START : FERRY_ACT_LOG_STOP, i, 0,
                          FERRY_OK, 0);
    }
}

int ferry_group_begin(struct ferry_group *group, uint32_t goal,
                      struct ferry_actions *actions)
{
    assert(goal < FERRY_GOAL_REVIVE);
    group->goal = goal;
    group->stage = 0;
    group->status = FERRY_OK;
    group->failed_device = FERRY_NO_DEVICE;
    if (goals[goal].stages > 0) {
        ask_stage(group, actions);
    }
    return ferry_group_advance(group, actions);
}

static void note_failure(struct ferry_group *group, uint32_t device, int32_t status)
{
    if (group->status == FERRY_OK) {
        group->status = status;
        group->failed_device = device;
    }
}

static void note_state(struct ferry_group_device *device, const struct ferry_event *event)
{
    if (event->arg < FERRY_STATE_COUNT) {
        device->state = event->arg;
    }
    /* A device that answers after all can be asked again. */
    device->hung = 0;
}

int ferry_group_note(struct ferry_group *group, const struct ferry_event *event)
{
    struct ferry_group_device *device;
    uint32_t bit;

    switch (event->kind) {
    case FERRY_EV_STATE_DONE:
        bit = FERRY_BUSY_ARC;
        break;
    case FERRY_EV_LOG_DONE:
        bit = FERRY_BUSY_LOG;
        break;
    case FERRY_EV_RESET_DONE:
        bit = FERRY_BUSY_RESET;
        break;
    case FERRY_EV_CONFIG_DONE:
        bit = FERRY_BUSY_CONFIG;
        break;
    default:
        return 0;
    }
    if (event->device >= group->count) {
        return 0;
    }
    device = &group->device[event->device];
    if (!(device->busy & bit) && !(bit == FERRY_BUSY_ARC && device->hung)) {
        return 0;
    }
    device->busy &= ~bit;
    if (bit == FERRY_BUSY_ARC) {
        note_state(device, event);
    }
    if (bit == FERRY_BUSY_RESET && event->status >= 0) {
        device->state = FERRY_STATE_RUNNING; /* uAPI: a reset leads to RUNNING */
    }
    if (event->status < 0) {
        note_failure(group, event->device, event->status);
    }
    return 1;
}

int ferry_group_advance(struct ferry_group *group, struct ferry_actions *actions)
{
    if (group->goal == FERRY_GOAL_REVIVE) {
        return ferry_group_revive_advance(group, actions);
    }
    for (;;) {
        if (ferry_group_is_busy(group)) {
            return FERRY_GROUP_BUSY;
        }
        if (group->status != FERRY_OK) {
            return FERRY_GROUP_FAILED;
        }
        if (group->stage + 1 >= goals[group->goal].stages) {
            return FERRY_GROUP_DONE;
        }
        group->stage++;
        ask_stage(group, actions);
    }
}

uint32_t ferry_group_give_up(struct ferry_group *group)
{
    uint32_t count = 0;

    for (uint32_t i = 0; i < group->count; i++) {
        struct ferry_group_device *device = &group->device[i];

        if (device->busy) {
            device->busy = 0;
            device->hung = 1;
            device->given_up = 1;
            note_failure(group, i, FERRY_E_HUNG);
            count++;
        }
    }
    return count;
}

void ferry_group_late(struct ferry_group *group, uint32_t device,
                      struct ferry_actions *actions)
{
    struct ferry_group_device *late;

    if (device >= group->count) {
        return;
    }
    late = &group->device[device];
    if (late->given_up && !late->busy && !late->hung && !late->lost && !late->retried &&
        late->state != FERRY_STATE_RUNNING && late->state != FERRY_STATE_ERROR) {
        late->retried = 1;
        ferry_group_ask(group, device, FERRY_STATE_RUNNING, actions);
    }
}

int ferry_group_is_busy(const struct ferry_group *group)
{
    for (uint32_t i = 0; i < group->count; i++) {
        if (group->device[i].busy) {
            return 1;
        }
    }
    return 0;
}

int ferry_group_has_error(const struct ferry_group *group)
{
    for (uint32_t i = 0; i < group->count; i++) {
        const struct ferry_group_device *device = &group->device[i];

        if (device->state == FERRY_STATE_ERROR && !device->lost && !device->hung) {
            return 1;
        }
    }
    return 0;
}
