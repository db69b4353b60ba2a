/* SPDX-License-Identifier: BSD-3-Clause */
#include "core/session/actions.h"

void ferry_actions_add(struct ferry_actions *actions, uint32_t kind, uint32_t device,
                       uint32_t arg, int32_t status, uint64_t a)
{
    struct ferry_action *action;

    if (actions->count >= actions->cap) {
        actions->overflow = 1;
        return;
    }
    action = &actions->list[actions->count++];
    action->kind = kind;
    action->device = device;
    action->arg = arg;
    action->status = status;
    action->a = a;
}

void ferry_actions_plain(struct ferry_actions *actions, uint32_t kind)
{
    ferry_actions_add(actions, kind, FERRY_NO_DEVICE, 0, FERRY_OK, 0);
}

void ferry_actions_send(struct ferry_actions *actions, uint32_t message, int32_t status)
{
    ferry_actions_add(actions, FERRY_ACT_SEND, FERRY_NO_DEVICE, message, status, 0);
}

void ferry_actions_timer(struct ferry_actions *actions, uint32_t timer, uint64_t now_ns,
                         uint64_t limit_ns)
{
    uint64_t deadline = limit_ns > UINT64_MAX - now_ns ? UINT64_MAX : now_ns + limit_ns;

    ferry_actions_add(actions, FERRY_ACT_TIMER_SET, FERRY_NO_DEVICE, timer, FERRY_OK,
                      deadline);
}

void ferry_actions_timer_cancel(struct ferry_actions *actions, uint32_t timer)
{
    ferry_actions_add(actions, FERRY_ACT_TIMER_CANCEL, FERRY_NO_DEVICE, timer, FERRY_OK,
                      0);
}
