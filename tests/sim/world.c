/* SPDX-License-Identifier: BSD-3-Clause */
#include "tests/sim/world.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define MS 1000000u

void world_init(struct world *world, const struct world_setup *setup)
{
    struct ferry_session_config config;
    int status;

    memset(world, 0, sizeof(*world));
    memset(&config, 0, sizeof(config));
    config.device_count = setup->device_count;
    config.arbiter = setup->shared_arbiter ? FERRY_ARBITER_SHARED : FERRY_ARBITER_NONE;
    for (uint32_t i = 0; i < setup->device_count; i++) {
        config.device[i].features = setup->features[i];
        config.device[i].implicit_quiesce = setup->implicit[i];
        config.device[i].can_log = 1;
        config.device[i].reaches_peer = setup->reaches_peer[i] != 0;
        config.device[i].peer = setup->reaches_peer[i] ? setup->reaches_peer[i] - 1 : 0;
        config.device[i].quiet_ns = config.device[i].stop_ns = MS;
        config.device[i].load_ns = config.device[i].run_ns = MS;
    }
    status = ferry_source_init(&world->source, &config);
    assert(status == FERRY_OK);
    status = ferry_target_init(&world->target, &config);
    assert(status == FERRY_OK);
    for (uint32_t side = 0; side < 2; side++) {
        world->host[side].alive = 1;
        for (uint32_t i = 0; i < setup->device_count; i++) {
            world->host[side].device[i].state = FERRY_STATE_RUNNING;
        }
    }
    world->host[SIDE_SOURCE].cpus_running = 1;
    world->host[SIDE_SOURCE].foreign_running = 1;
    world->link_up = 1;
    world->device_count = setup->device_count;
    world->shared = setup->shared_arbiter ? 1 : 0;
    world->faults_left = setup->faults;
    world->frozen_time = setup->frozen_time ? 1 : 0;
    world->broken = (uint8_t)setup->broken;
    world->cause = 0xff;
}

struct list {
    struct world_transition *items;
    uint32_t count, cap;
};

static void add(struct list *list, uint32_t kind, uint32_t side, uint32_t index,
                uint32_t fault)
{
    assert(list->count < list->cap);
    list->items[list->count++] =
        (struct world_transition){ (uint8_t)kind, (uint8_t)side, (uint8_t)index,
                                   (uint8_t)fault };
}

static void next_ops(const struct world *world, uint32_t side, struct list *list)
{
    const struct world_host *host = &world->host[side];

    for (uint32_t i = 0; i < host->op_count; i++) {
        add(list, GO_OP, side, i, FAULT_NONE);
    }
    if (!world->faults_left) {
        return;
    }
    for (uint32_t i = 0; i < host->op_count; i++) {
        if (host->op[i].kind == FERRY_ACT_DECIDE) {
            add(list, GO_OP, side, i, FAULT_ARBITER);
            continue;
        }
        add(list, GO_OP, side, i, FAULT_FAIL);
        add(list, GO_OP, side, i, FAULT_HANG);
        if (host->op[i].kind == FERRY_ACT_SET_STATE) {
            add(list, GO_OP, side, i, FAULT_FAIL_ERROR);
            add(list, GO_OP, side, i, FAULT_FAIL_MIDWAY);
        }
    }
}

static void next_faults(const struct world *world, struct list *list)
{
    if (!world->faults_left || !world->started) {
        return;
    }
    for (uint32_t side = 0; side < 2; side++) {
        const struct world_host *host = &world->host[side];

        if (!host->alive) {
            continue;
        }
        if (!host->finished) {
            add(list, GO_FAULT, side, 0, FAULT_DIE);
            add(list, GO_FAULT, side, 0, FAULT_CANCEL);
        }
        if (host->in_count > 0) {
            add(list, GO_FAULT, side, 0, FAULT_LOSE);
        }
        for (uint32_t timer = 0; timer < FERRY_TIMER_COUNT; timer++) {
            if (host->armed[timer]) {
                add(list, GO_TIMER, side, timer, FAULT_LATE);
            }
        }
    }
    if (world->link_up) {
        add(list, GO_FAULT, 0, 0, FAULT_CUT);
        add(list, GO_FAULT, 0, 0, FAULT_CUT_LATE);
    }
}

/* Nothing else happens: the limits run out, the short ones first. */
static void next_timers(const struct world *world, struct list *list)
{
    for (uint32_t side = 0; side < 2; side++) {
        const struct world_host *host = &world->host[side];
        int phase = host->alive && host->armed[FERRY_TIMER_PHASE];

        if (phase) {
            add(list, GO_TIMER, side, FERRY_TIMER_PHASE, FAULT_NONE);
        }
        for (uint32_t timer = FERRY_TIMER_DEADLINE; timer < FERRY_TIMER_COUNT; timer++) {
            if (host->alive && host->armed[timer] &&
                (!phase || (side == SIDE_SOURCE && world->source.pacing))) {
                add(list, GO_TIMER, side, timer, FAULT_NONE);
            }
        }
    }
}

/*
 * The operator looks at both sides, and speaks only when both have come to rest: where
 * one runs, the other discards; where none runs, the decision (if there is an arbiter
 * that has one) or a free choice says who goes on.
 */
static void next_operator(const struct world *world, struct list *list)
{
    int source = world->host[SIDE_SOURCE].alive && ferry_source_undecided(&world->source);
    int target = world->host[SIDE_TARGET].alive && ferry_target_undecided(&world->target);
    uint8_t decision = world->decision[0];

    if (!source && !target) {
        return;
    }
    if (world_source_runs(world) || world_target_runs(world)) {
        if (source) {
            add(list, GO_OPERATOR, SIDE_SOURCE, 0, FAULT_NONE);
        }
        if (target) {
            add(list, GO_OPERATOR, SIDE_TARGET, 0, FAULT_NONE);
        }
        return;
    }
    if (source && !(target && decision == FERRY_DECISION_COMMIT)) {
        /* He may go against the arbiter's COMMIT only when the target is gone. */
        add(list, GO_OPERATOR, SIDE_SOURCE,
            ferry_source_must_not_run(&world->source) ? FERRY_OPERATOR_FORCE
                                                      : FERRY_OPERATOR_RUN,
            FAULT_NONE);
    }
    if (target && !(source && decision == FERRY_DECISION_ABORT)) {
        add(list, GO_OPERATOR, SIDE_TARGET, FERRY_OPERATOR_RUN, FAULT_NONE);
    }
}

static int at_rest(const struct world *world, uint32_t side)
{
    const struct world_host *host = &world->host[side];

    return !host->alive || host->finished ||
           (side == SIDE_SOURCE
                ? ferry_source_undecided(&world->source)
                : ferry_target_undecided(&world->target) ||
                      ferry_target_phase(&world->target) == FERRY_TGT_IDLE);
}

uint32_t world_next(const struct world *world, struct world_transition *ret_list,
                    uint32_t cap)
{
    struct list list = { ret_list, 0, cap };

    if (!world->started) {
        add(&list, GO_START, SIDE_SOURCE, 0, FAULT_NONE);
        return list.count;
    }
    for (uint32_t side = 0; side < 2; side++) {
        if (!world->host[side].alive) {
            continue;
        }
        next_ops(world, side, &list);
        if (world->host[side].in_count > 0) {
            add(&list, GO_DELIVER, side, 0, FAULT_NONE);
        } else if (world->host[side].link_down_due) {
            add(&list, GO_LINK_DOWN, side, 0, FAULT_NONE);
        }
    }
    if (list.count == 0) {
        next_timers(world, &list);
    }
    /* He cannot see what is still on its way between the two. */
    if (at_rest(world, SIDE_SOURCE) && at_rest(world, SIDE_TARGET)) {
        next_operator(world, &list);
    }
    next_faults(world, &list);
    return list.count;
}

static void cut(struct world *world, int lose)
{
    world->link_up = 0;
    for (uint32_t side = 0; side < 2; side++) {
        world->host[side].link_down_due = 1;
        if (lose) {
            world->host[side].in_count = 0;
            memset(world->host[side].in, 0, sizeof(world->host[side].in));
        }
    }
}

static void die(struct world *world, uint32_t side)
{
    struct world_host *host = &world->host[side];

    cut(world, 0);
    memset(host, 0, sizeof(*host));
    host->gone = 1;
}

static void apply_fault(struct world *world, const struct world_transition *transition)
{
    struct world_host *host = &world->host[transition->side];
    struct ferry_event event = { .kind = FERRY_EV_CANCEL, .device = FERRY_NO_DEVICE };

    switch ((enum world_fault)transition->fault) {
    case FAULT_LOSE:
        memmove(&host->in[0], &host->in[1],
                (size_t)(host->in_count - 1) * sizeof(host->in[0]));
        host->in_count--;
        memset(&host->in[host->in_count], 0, sizeof(host->in[0]));
        break;
    case FAULT_CUT:
        cut(world, 1);
        break;
    case FAULT_CUT_LATE:
        cut(world, 0);
        break;
    case FAULT_DIE:
        die(world, transition->side);
        break;
    case FAULT_CANCEL:
        world_feed(world, transition->side, &event);
        break;
    case FAULT_NONE:
    case FAULT_FAIL:
    case FAULT_FAIL_ERROR:
    case FAULT_FAIL_MIDWAY:
    case FAULT_HANG:
    case FAULT_LATE:
    case FAULT_ARBITER:
        abort(); /* a fault of its own transition */
    }
}

void world_apply(struct world *world, const struct world_transition *transition)
{
    struct ferry_event event = { .device = FERRY_NO_DEVICE };
    uint32_t side = transition->side;

    if (!world->frozen_time) {
        world->now_ns += MS;
    }
    if (transition->fault != FAULT_NONE) {
        assert(world->faults_left > 0);
        world->faults_left--;
        world->fault = transition->fault;
        world->cause = transition->side;
    }
    switch ((enum world_transition_kind)transition->kind) {
    case GO_START:
        world->started = 1;
        event.kind = FERRY_EV_START;
        world_feed(world, SIDE_SOURCE, &event);
        break;
    case GO_OP:
        world_op_end(world, side, transition->index, transition->fault);
        break;
    case GO_DELIVER:
        world_deliver(world, side);
        break;
    case GO_LINK_DOWN:
        world->host[side].link_down_due = 0;
        event.kind = FERRY_EV_LINK_DOWN;
        event.status = FERRY_E_CLOSED;
        world_feed(world, side, &event);
        break;
    case GO_TIMER:
        world->host[side].armed[transition->index] = 0;
        event.kind = FERRY_EV_TIMER;
        event.arg = transition->index;
        world_feed(world, side, &event);
        break;
    case GO_FAULT:
        apply_fault(world, transition);
        break;
    case GO_OPERATOR:
        world->operator_spoke |= (uint8_t)(1u << side);
        event.kind = FERRY_EV_OPERATOR;
        event.arg = transition->index;
        world_feed(world, side, &event);
        break;
    }
}

void world_describe(const struct world *world, const struct world_transition *transition,
                    char *ret_text)
{
    static const char *const faults[] = {
        "",       " FAILS",        " FAILS_INTO_ERROR", " FAILS_MIDWAY",
        " HANGS", " MESSAGE_LOST", " LINK_CUT",         " LINK_CUT_AFTER_DELIVERY",
        " DIES",  " LATE",         " CANCELLED",        " ARBITER_UNREACHABLE"
    };
    const struct world_op *op = &world->host[transition->side].op[transition->index];
    const char *side = transition->side ? "dst" : "src";

    switch ((enum world_transition_kind)transition->kind) {
    case GO_START:
        snprintf(ret_text, 96, "start");
        break;
    case GO_OP:
        snprintf(ret_text, 96, "%s %s dev%u arg%u%s", side,
                 op->kind < FERRY_ACT_COUNT ? ferry_action_name(op->kind) : "CHECK_DATA",
                 op->device, op->arg, faults[transition->fault]);
        break;
    case GO_DELIVER:
        snprintf(ret_text, 96, "%s receives %u", side,
                 world->host[transition->side].in[0].what);
        break;
    case GO_LINK_DOWN:
        snprintf(ret_text, 96, "%s link down", side);
        break;
    case GO_TIMER:
        snprintf(ret_text, 96, "%s timer %s%s", side, ferry_timer_name(transition->index),
                 faults[transition->fault]);
        break;
    case GO_FAULT:
        snprintf(ret_text, 96, "%s%s", side, faults[transition->fault]);
        break;
    case GO_OPERATOR:
        snprintf(ret_text, 96, "%s operator says %s", side,
                 transition->index ? "run here" : "discard");
        break;
    }
}
