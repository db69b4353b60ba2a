/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef FERRY_CORE_SESSION_ACTIONS_H
#define FERRY_CORE_SESSION_ACTIONS_H

#include <stddef.h>

#include "ferry/session.h"

/* The actions of one step, in the caller's array; remembers when it ran over. */
struct ferry_actions {
    struct ferry_action *list;
    size_t cap, count;
    int overflow;
};

/* Appends an action; what does not fit only sets overflow. */
void ferry_actions_add(struct ferry_actions *actions, uint32_t kind, uint32_t device,
                       uint32_t arg, int32_t status, uint64_t a);

/* A plain action without device, argument or status. */
void ferry_actions_plain(struct ferry_actions *actions, uint32_t kind);

/* SEND of a message without device. */
void ferry_actions_send(struct ferry_actions *actions, uint32_t message, int32_t status);

/* TIMER_SET at now + limit, and TIMER_CANCEL. */
void ferry_actions_timer(struct ferry_actions *actions, uint32_t timer, uint64_t now_ns,
                         uint64_t limit_ns);
void ferry_actions_timer_cancel(struct ferry_actions *actions, uint32_t timer);

#endif
