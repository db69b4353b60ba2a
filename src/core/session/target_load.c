/* SPDX-License-Identifier: BSD-3-Clause */
#include "core/session/target.h"

/*
 * Loading: memory and all devices' data come in together. Each device goes to STOP, where
 * it validates itself, as soon as its own data is complete; config, BARs, peer maps and
 * interrupts follow once everything is here; then the VMM's state; then PREPARED.
 */

static uint32_t all_devices(const struct ferry_target *target)
{
    return target->group.count == 32 ? UINT32_MAX : (1u << target->group.count) - 1;
}

static void fail(struct ferry_target *target, int32_t status,
                 struct ferry_actions *actions)
{
    if (target->link_up) {
        ferry_actions_send(actions, FERRY_MSG_ABORT, status);
    }
    ferry_target_end(target, FERRY_OUTCOME_ROLLED_BACK, status, actions);
}

static void ask_configs(struct ferry_target *target, struct ferry_actions *actions)
{
    if (!target->memory_complete) {
        return;
    }
    for (uint32_t i = 0; i < target->group.count; i++) {
        uint32_t bit = 1u << i;

        if ((target->stopped & bit) && !(target->config_asked & bit)) {
            target->config_asked |= bit;
            target->group.device[i].busy |= FERRY_BUSY_CONFIG;
            ferry_actions_add(actions, FERRY_ACT_RESTORE_CONFIG, i, 0, FERRY_OK, 0);
        }
    }
}

static void go_on(struct ferry_target *target, uint64_t now_ns,
                  struct ferry_actions *actions)
{
    ask_configs(target, actions);
    if (target->config_done != all_devices(target)) {
        return;
    }
    if (!target->vmm_asked) {
        target->vmm_asked = 1;
        ferry_actions_plain(actions, FERRY_ACT_LOAD_VMM);
    }
    if (target->vmm_loaded && target->all_sent) {
        ferry_target_enter(target, FERRY_TGT_PREPARED, now_ns, actions);
        ferry_actions_send(actions, FERRY_MSG_PREPARED, FERRY_OK);
    }
}

static void device_event(struct ferry_target *target, const struct ferry_event *event,
                         struct ferry_actions *actions)
{
    uint32_t bit = 1u << event->device;
    struct ferry_group_device *device = &target->group.device[event->device];

    if (event->kind == FERRY_EV_INITIAL_LOADED) {
        if (!(target->initial_done & bit)) {
            target->initial_done |= bit;
            ferry_actions_add(actions, FERRY_ACT_SEND, event->device,
                              FERRY_MSG_INITIAL_DONE, FERRY_OK, 0);
        }
    } else if (event->kind == FERRY_EV_LOADED) {
        if (!(target->loaded & bit)) {
            target->loaded |= bit;
            /* MIG-ORD-9: the device is asked to validate only what has been verified. */
            ferry_group_ask(&target->group, event->device, FERRY_STATE_STOP, actions);
        }
    } else if (event->kind == FERRY_EV_STATE_DONE) {
        if ((target->loaded & bit) && device->state == FERRY_STATE_STOP) {
            target->stopped |= bit;
        }
    } else if (event->kind == FERRY_EV_CONFIG_DONE) {
        if (target->config_asked & bit) {
            target->config_done |= bit;
        }
    }
}

void ferry_target_load_event(struct ferry_target *target, const struct ferry_event *event,
                             struct ferry_actions *actions)
{
    switch ((enum ferry_event_kind)event->kind) {
    case FERRY_EV_INITIAL_LOADED:
    case FERRY_EV_LOADED:
    case FERRY_EV_STATE_DONE:
    case FERRY_EV_CONFIG_DONE:
        if (event->device >= target->group.count) {
            return;
        }
        if (event->status >= 0) {
            device_event(target, event, actions);
        }
        break;
    case FERRY_EV_MEMORY_COMPLETE:
        target->memory_complete = 1;
        break;
    case FERRY_EV_VMM_LOADED:
        target->vmm_loaded = 1;
        break;
    case FERRY_EV_MESSAGE:
        if (event->arg == FERRY_MSG_ALL_SENT) {
            target->all_sent = 1;
        }
        break;
    case FERRY_EV_START:
    case FERRY_EV_CANCEL:
    case FERRY_EV_OPERATOR:
    case FERRY_EV_LINK_DOWN:
    case FERRY_EV_TIMER:
    case FERRY_EV_RESET_DONE:
    case FERRY_EV_LOG_DONE:
    case FERRY_EV_ROUND_DONE:
    case FERRY_EV_DATA_DRY:
    case FERRY_EV_DATA_END:
    case FERRY_EV_FINAL_DONE:
    case FERRY_EV_CPUS_PAUSED:
    case FERRY_EV_CPUS_RESUMED:
    case FERRY_EV_FOREIGN_QUIET:
    case FERRY_EV_DECISION:
    case FERRY_EV_CHECKED:
    case FERRY_EV_COUNT:
        return;
    }
    if (event->status < 0) {
        fail(target, event->status, actions);
        return;
    }
    go_on(target, event->now_ns, actions);
}
