/* SPDX-License-Identifier: BSD-3-Clause */
#include "session_rig.h"

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

/* What the other side says to a message, and what it says without being asked. */
static const uint32_t answer_of[FERRY_MSG_COUNT] = {
    [FERRY_MSG_HELLO] = FERRY_MSG_ACCEPT,
    [FERRY_MSG_INITIAL_SENT] = FERRY_MSG_INITIAL_DONE,
    [FERRY_MSG_ALL_SENT] = FERRY_MSG_PREPARED,
    [FERRY_MSG_COMMIT] = FERRY_MSG_RUNNING,
    [FERRY_MSG_PREPARED] = FERRY_MSG_COMMIT,
};

static struct ferry_session_config config_of(uint32_t arbiter)
{
    struct ferry_session_config config = { .device_count = 2, .arbiter = arbiter };

    config.device[0].features = FERRY_MIG_STOP_COPY | FERRY_MIG_P2P | FERRY_MIG_PRE_COPY;
    config.device[0].can_log = 1;
    config.device[1].features = FERRY_MIG_STOP_COPY;
    return config;
}

static void note(struct rig *rig, int is_action, uint32_t kind, uint32_t device,
                 uint32_t arg, int32_t status)
{
    assert_true(rig->notes < RIG_NOTES_MAX);
    rig->note[rig->notes++] = (struct rig_note){ is_action, kind, device, arg, status };
}

static void push(struct rig *rig, uint32_t kind, uint32_t device, uint32_t arg)
{
    assert_true(rig->queued < RIG_QUEUE_MAX);
    if (kind == rig->withhold) {
        return;
    }
    rig->queue[rig->queued++] =
        (struct ferry_event){ .kind = kind, .device = device, .arg = arg, .now_ns = 1 };
}

static void answer_state(struct rig *rig, const struct ferry_action *action)
{
    rig->state[action->device] = action->arg;
    push(rig, FERRY_EV_STATE_DONE, action->device, action->arg);
}

static void answer_data(struct rig *rig, uint32_t device)
{
    push(rig,
         rig->state[device] == FERRY_STATE_STOP_COPY ? FERRY_EV_DATA_END
                                                     : FERRY_EV_DATA_DRY,
         device, 0);
}

/* The world does what it is asked for. */
static void answer(struct rig *rig, const struct ferry_action *action)
{
    static const uint32_t plain[FERRY_ACT_COUNT] = {
        [FERRY_ACT_RESET] = FERRY_EV_RESET_DONE,
        [FERRY_ACT_RESTORE_CONFIG] = FERRY_EV_CONFIG_DONE,
        [FERRY_ACT_LOG_START] = FERRY_EV_LOG_DONE,
        [FERRY_ACT_LOG_STOP] = FERRY_EV_LOG_DONE,
        [FERRY_ACT_RAM_ROUND] = FERRY_EV_ROUND_DONE,
        [FERRY_ACT_FINAL_ROUND] = FERRY_EV_FINAL_DONE,
        [FERRY_ACT_PAUSE_CPUS] = FERRY_EV_CPUS_PAUSED,
        [FERRY_ACT_RESUME_CPUS] = FERRY_EV_CPUS_RESUMED,
        [FERRY_ACT_QUIET_FOREIGN] = FERRY_EV_FOREIGN_QUIET,
        [FERRY_ACT_CHECK] = FERRY_EV_CHECKED,
        [FERRY_ACT_LOAD_VMM] = FERRY_EV_VMM_LOADED,
    };

    if (action->kind == FERRY_ACT_SET_STATE) {
        answer_state(rig, action);
    } else if (action->kind == FERRY_ACT_DATA_READ) {
        answer_data(rig, action->device);
    } else if (action->kind == FERRY_ACT_DECIDE) {
        push(rig, FERRY_EV_DECISION, action->device,
             rig->decision ? rig->decision : action->arg);
    } else if (action->kind == FERRY_ACT_SEND && action->arg == FERRY_MSG_ACCEPT) {
        push(rig, FERRY_EV_LOADED, 0, 0);
        push(rig, FERRY_EV_LOADED, 1, 0);
        push(rig, FERRY_EV_MEMORY_COMPLETE, FERRY_NO_DEVICE, 0);
        push(rig, FERRY_EV_MESSAGE, FERRY_NO_DEVICE, FERRY_MSG_ALL_SENT);
    } else if (action->kind == FERRY_ACT_SEND && answer_of[action->arg]) {
        push(rig, FERRY_EV_MESSAGE, action->device, answer_of[action->arg]);
    } else if (plain[action->kind]) {
        if (action->kind == FERRY_ACT_RESET) {
            rig->state[action->device] = FERRY_STATE_RUNNING;
        }
        push(rig, plain[action->kind], action->device, 0);
    }
}

static void step(struct rig *rig, const struct ferry_event *event)
{
    struct ferry_action actions[FERRY_SESSION_ACTIONS_MAX];
    int count;

    note(rig, 0, event->kind, event->device, event->arg, event->status);
    count =
        rig->is_target
            ? ferry_target_step(&rig->target, event, actions, FERRY_SESSION_ACTIONS_MAX)
            : ferry_source_step(&rig->source, event, actions, FERRY_SESSION_ACTIONS_MAX);
    assert_true(count >= 0);
    for (int i = 0; i < count; i++) {
        note(rig, 1, actions[i].kind, actions[i].device, actions[i].arg,
             actions[i].status);
        if (!rig->silent) {
            answer(rig, &actions[i]);
        }
    }
}

static void next(struct rig *rig)
{
    const struct ferry_event event = rig->queue[0];

    rig->queued--;
    memmove(rig->queue, rig->queue + 1, rig->queued * sizeof(rig->queue[0]));
    step(rig, &event);
}

void rig_run(struct rig *rig)
{
    while (rig->queued > 0) {
        next(rig);
    }
}

void rig_tell(struct rig *rig, uint32_t kind, uint32_t device, uint32_t arg,
              int32_t status)
{
    const struct ferry_event event = {
        .kind = kind, .device = device, .arg = arg, .status = status, .now_ns = 1
    };

    step(rig, &event);
}

uint32_t rig_phase(const struct rig *rig)
{
    return rig->is_target ? ferry_target_phase(&rig->target)
                          : ferry_source_phase(&rig->source);
}

void rig_until(struct rig *rig, uint32_t phase)
{
    while (rig_phase(rig) != phase && rig->queued > 0) {
        next(rig);
    }
    assert_int_equal(rig_phase(rig), phase);
}

void rig_source(struct rig *rig, uint32_t arbiter)
{
    const struct ferry_session_config config = config_of(arbiter);

    memset(rig, 0, sizeof(*rig));
    assert_int_equal(ferry_source_init(&rig->source, &config), FERRY_OK);
    push(rig, FERRY_EV_START, FERRY_NO_DEVICE, 0);
}

void rig_target(struct rig *rig, uint32_t arbiter)
{
    const struct ferry_session_config config = config_of(arbiter);

    memset(rig, 0, sizeof(*rig));
    rig->is_target = 1;
    assert_int_equal(ferry_target_init(&rig->target, &config), FERRY_OK);
    push(rig, FERRY_EV_MESSAGE, FERRY_NO_DEVICE, FERRY_MSG_HELLO);
}

static uint32_t find(const struct rig *rig, uint32_t from, int is_action, uint32_t kind,
                     uint32_t device, uint32_t arg)
{
    for (uint32_t i = from; i < rig->notes; i++) {
        const struct rig_note *at = &rig->note[i];

        if (at->is_action == is_action && at->kind == kind &&
            (device == RIG_ANY || at->device == device) &&
            (arg == RIG_ANY || at->arg == arg)) {
            return i;
        }
    }
    return RIG_NOTES_MAX;
}

uint32_t rig_action(const struct rig *rig, uint32_t from, uint32_t kind, uint32_t device,
                    uint32_t arg)
{
    return find(rig, from, 1, kind, device, arg);
}

uint32_t rig_event(const struct rig *rig, uint32_t from, uint32_t kind, uint32_t device,
                   uint32_t arg)
{
    return find(rig, from, 0, kind, device, arg);
}
