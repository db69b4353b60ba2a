/* SPDX-License-Identifier: BSD-3-Clause */
#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/sim/world.h"

/* Performs actions and turns their ends into events. */

void (*world_trace)(const char *line, void *user);
void *world_trace_user;

static const char *const side_names[2] = { "src", "dst" };

static void trace_event(const struct world *world, uint32_t side,
                        const struct ferry_event *event)
{
    char line[160];
    int n;

    if (!world_trace) {
        return;
    }
    n = snprintf(line, sizeof(line), "%6llu %s > %s",
                 (unsigned long long)(world->now_ns / 1000), side_names[side],
                 ferry_event_name(event->kind));
    if (event->kind == FERRY_EV_MESSAGE) {
        n += snprintf(line + n, sizeof(line) - (size_t)n, " %s",
                      ferry_message_name(event->arg));
    } else if (event->kind == FERRY_EV_TIMER) {
        n += snprintf(line + n, sizeof(line) - (size_t)n, " %s",
                      ferry_timer_name(event->arg));
    } else if (event->kind == FERRY_EV_DECISION) {
        n += snprintf(line + n, sizeof(line) - (size_t)n, " %s epoch %u",
                      ferry_decision_name(event->arg), event->device);
    } else if (event->device != FERRY_NO_DEVICE) {
        n += snprintf(line + n, sizeof(line) - (size_t)n, " dev%u", event->device);
    }
    if (event->kind == FERRY_EV_STATE_DONE) {
        n += snprintf(line + n, sizeof(line) - (size_t)n, " %s",
                      ferry_state_name(event->arg));
    }
    if (event->status != FERRY_OK) {
        snprintf(line + n, sizeof(line) - (size_t)n, " %s",
                 ferry_status_name(event->status));
    }
    world_trace(line, world_trace_user);
}

static void trace_action(const struct world *world, uint32_t side,
                         const struct ferry_action *action)
{
    char line[160];
    int n;

    if (!world_trace || action->kind == FERRY_ACT_TIMER_CANCEL) {
        return;
    }
    n = snprintf(line, sizeof(line), "%6llu %s   %s",
                 (unsigned long long)(world->now_ns / 1000), side_names[side],
                 ferry_action_name(action->kind));
    if (action->kind == FERRY_ACT_SEND) {
        n += snprintf(line + n, sizeof(line) - (size_t)n, " %s",
                      ferry_message_name(action->arg));
    } else if (action->kind == FERRY_ACT_TIMER_SET) {
        n += snprintf(line + n, sizeof(line) - (size_t)n, " %s",
                      ferry_timer_name(action->arg));
    } else if (action->kind == FERRY_ACT_FINISHED) {
        n += snprintf(line + n, sizeof(line) - (size_t)n, " %s",
                      ferry_outcome_name(action->arg));
    } else if (action->kind == FERRY_ACT_DECIDE) {
        n += snprintf(line + n, sizeof(line) - (size_t)n, " %s epoch %u",
                      ferry_decision_name(action->arg), action->device);
    }
    if (action->kind != FERRY_ACT_DECIDE && action->device != FERRY_NO_DEVICE) {
        n += snprintf(line + n, sizeof(line) - (size_t)n, " dev%u", action->device);
    }
    if (action->kind == FERRY_ACT_SET_STATE) {
        n += snprintf(line + n, sizeof(line) - (size_t)n, " %s",
                      ferry_state_name(action->arg));
    }
    if (action->status != FERRY_OK) {
        snprintf(line + n, sizeof(line) - (size_t)n, " %s",
                 ferry_status_name(action->status));
    }
    world_trace(line, world_trace_user);
}

/* Keeps operations in order of (kind, device): their order of start makes no new world.
 */
static void op_add(struct world_host *host, uint32_t kind, uint32_t device, uint32_t arg)
{
    struct world_op op = { (uint8_t)kind, (uint8_t)device, (uint8_t)arg, 0 };
    uint32_t at = host->op_count;

    assert(host->op_count < WORLD_OPS_MAX);
    while (at > 0 &&
           (host->op[at - 1].kind > op.kind ||
            (host->op[at - 1].kind == op.kind && host->op[at - 1].device > op.device))) {
        host->op[at] = host->op[at - 1];
        at--;
    }
    host->op[at] = op;
    host->op_count++;
}

static void op_remove(struct world_host *host, uint32_t index)
{
    memmove(&host->op[index], &host->op[index + 1],
            (size_t)(host->op_count - index - 1) * sizeof(host->op[0]));
    host->op_count--;
    memset(&host->op[host->op_count], 0, sizeof(host->op[0]));
}

static void op_drop(struct world_host *host, uint32_t kind)
{
    for (uint32_t i = host->op_count; i-- > 0;) {
        if (host->op[i].kind == kind) {
            op_remove(host, i);
        }
    }
}

static void send(struct world *world, uint32_t side, uint32_t what, uint32_t device,
                 int32_t status)
{
    struct world_host *peer = &world->host[1 - side];

    if (!world->link_up || !peer->alive) {
        return;
    }
    assert(peer->in_count < WORLD_QUEUE_MAX);
    peer->in[peer->in_count++] =
        (struct world_item){ (uint8_t)what, (uint8_t)device, (int16_t)status };
}

/* A reset of a device that is not in ERROR loses what could have gone on. */
static void start_reset(struct world_host *host, uint32_t device)
{
    if (host->device[device].state != FERRY_STATE_ERROR) {
        host->device[device].latched = 1;
    }
}

static void perform_data_read(struct world *world, uint32_t side,
                              const struct ferry_action *action)
{
    op_add(&world->host[side], action->kind, action->device,
           world->host[side].device[action->device].state == FERRY_STATE_STOP_COPY);
}

static void cancel_io(struct world_host *host)
{
    op_drop(host, FERRY_ACT_RAM_ROUND);
    op_drop(host, FERRY_ACT_DATA_READ);
    op_drop(host, FERRY_ACT_FINAL_ROUND);
}

static void leave_devices(struct world *world, uint32_t side)
{
    struct world_host *host = &world->host[side];

    host->gone = 1;
    for (uint32_t i = 0; i < world->device_count; i++) {
        host->device[i].state = FERRY_STATE_STOP;
        host->device[i].log_on = 0;
    }
    /* Closed devices answer nothing more. */
    host->op_count = 0;
    memset(host->op, 0, sizeof(host->op));
}

static void perform(struct world *world, uint32_t side, const struct ferry_action *action)
{
    struct world_host *host = &world->host[side];

    trace_action(world, side, action);
    switch ((enum ferry_action_kind)action->kind) {
    case FERRY_ACT_SEND:
        if (action->arg == FERRY_MSG_PREPARED) {
            host->prepared = 1;
        }
        send(world, side, action->arg, action->device, action->status);
        break;
    case FERRY_ACT_SET_STATE:
        if (side == SIDE_TARGET && (action->arg == FERRY_STATE_RUNNING ||
                                    action->arg == FERRY_STATE_RUNNING_P2P)) {
            host->owner = 1;
        }
        op_add(host, action->kind, action->device, action->arg);
        break;
    case FERRY_ACT_RESET:
        start_reset(host, action->device);
        op_add(host, action->kind, action->device, 0);
        break;
    case FERRY_ACT_LOG_START:
        host->device[action->device].log_on = 1;
        op_add(host, action->kind, action->device, 0);
        break;
    case FERRY_ACT_LOG_STOP:
        if (world->broken != BROKEN_ROLLBACK_LOG) {
            host->device[action->device].log_on = 0;
        }
        op_add(host, action->kind, action->device, 0);
        break;
    case FERRY_ACT_DATA_READ:
        perform_data_read(world, side, action);
        break;
    case FERRY_ACT_FINAL_ROUND:
        host->irqs_drained = 1;
        op_add(host, action->kind, 0, 0);
        break;
    case FERRY_ACT_DECIDE:
        op_add(host, action->kind, action->device, action->arg);
        break;
    case FERRY_ACT_RESTORE_CONFIG:
    case FERRY_ACT_RAM_ROUND:
    case FERRY_ACT_PAUSE_CPUS:
    case FERRY_ACT_RESUME_CPUS:
    case FERRY_ACT_QUIET_FOREIGN:
    case FERRY_ACT_CHECK:
    case FERRY_ACT_LOAD_VMM:
        op_add(host, action->kind, action->device == FERRY_NO_DEVICE ? 0 : action->device,
               0);
        break;
    case FERRY_ACT_RELEASE_FOREIGN:
        host->foreign_running = 1;
        break;
    case FERRY_ACT_RAISE_IRQS:
        host->irqs_drained = 0;
        break;
    case FERRY_ACT_CANCEL_IO:
        cancel_io(host);
        break;
    case FERRY_ACT_TIMER_SET:
        host->armed[action->arg] = 1;
        break;
    case FERRY_ACT_TIMER_CANCEL:
        host->armed[action->arg] = 0;
        break;
    case FERRY_ACT_RELEASE:
    case FERRY_ACT_DISCARD:
        leave_devices(world, side);
        break;
    case FERRY_ACT_UNDECIDED:
        host->armed[FERRY_TIMER_PHASE] = 0;
        if (world->broken == BROKEN_LATE_COMMIT && side == SIDE_SOURCE) {
            /* on purpose: it does not wait for anybody's word */
            host->impatient = 1;
        }
        break;
    case FERRY_ACT_FINISHED:
        host->finished = 1;
        break;
    case FERRY_ACT_COUNT:
        abort(); /* no action */
    }
}

void world_feed(struct world *world, uint32_t side, const struct ferry_event *event)
{
    struct ferry_action actions[FERRY_SESSION_ACTIONS_MAX];
    struct ferry_event timed = *event;
    int count;

    timed.now_ns = world->now_ns;
    trace_event(world, side, &timed);
    count = side == SIDE_SOURCE ? ferry_source_step(&world->source, &timed, actions,
                                                    FERRY_SESSION_ACTIONS_MAX)
                                : ferry_target_step(&world->target, &timed, actions,
                                                    FERRY_SESSION_ACTIONS_MAX);
    assert(count >= 0);
    for (int i = 0; i < count; i++) {
        perform(world, side, &actions[i]);
    }
    if (world->host[side].impatient) {
        struct ferry_event word = { .kind = FERRY_EV_OPERATOR,
                                    .device = FERRY_NO_DEVICE,
                                    .arg = 1 };

        world->host[side].impatient = 0;
        world_feed(world, side, &word);
    }
}

/* The state in which an arc ends, and its status. */
static void arc_end(struct world *world, uint32_t side, const struct world_op *op,
                    uint32_t fault, struct ferry_event *event)
{
    struct world_device *device = &world->host[side].device[op->device];
    uint32_t features = world->source.config.device[op->device].features;
    uint32_t next;

    event->kind = FERRY_EV_STATE_DONE;
    if (fault == FAULT_FAIL_ERROR) {
        device->state = FERRY_STATE_ERROR;
        event->status = FERRY_E_DEVICE_ERROR;
    } else if (fault == FAULT_FAIL_MIDWAY) {
        if (ferry_state_next(device->state, op->arg, features, &next) == FERRY_OK) {
            device->state = (uint8_t)next;
        }
        event->status = FERRY_E_DEVICE;
    } else if (fault == FAULT_FAIL) {
        event->status = FERRY_E_DEVICE;
    } else if (ferry_state_next(device->state, op->arg, features, &next) == FERRY_OK) {
        device->state = op->arg;
    } else {
        event->status = FERRY_E_ARC;
    }
    event->arg = device->state;
}

static void decide_end(struct world *world, const struct world_op *op, uint32_t fault,
                       struct ferry_event *event)
{
    uint8_t *decision = &world->decision[op->device];

    event->kind = FERRY_EV_DECISION;
    /* An arbiter that does not answer may have written all the same. */
    if (*decision == FERRY_DECISION_NONE) {
        *decision = op->arg;
    }
    if (fault != FAULT_NONE) {
        event->status = FERRY_E_IO;
        return;
    }
    event->arg = *decision;
}

static void round_end(struct world *world, struct ferry_event *event)
{
    event->kind = FERRY_EV_ROUND_DONE;
    event->a = 4u << 20;
    /* The first round leaves too much for the allowed downtime, the second does not. */
    event->b = world->rounds == 0 ? 1u << 30 : 4096;
    event->c = 4096;
    if (world->rounds < 2) {
        world->rounds++;
    }
}

static void data_end(struct world *world, uint32_t side, const struct world_op *op,
                     struct ferry_event *event)
{
    event->a = 4096;
    event->c = 4096;
    event->kind = op->arg ? FERRY_EV_DATA_END : FERRY_EV_DATA_DRY;
    if (op->arg && event->status == FERRY_OK) {
        send(world, side, RECORD_DEVICE_END, op->device, FERRY_OK);
    }
}

void world_op_end(struct world *world, uint32_t side, uint32_t index, uint32_t fault)
{
    struct world_host *host = &world->host[side];
    struct world_op op = host->op[index];
    struct ferry_event event = { .device = op.device };

    op_remove(host, index);
    if (fault == FAULT_HANG) {
        host->device[op.device].hung = 1;
        return;
    }
    event.status = fault == FAULT_NONE ? FERRY_OK : FERRY_E_DEVICE;
    switch (op.kind) {
    case FERRY_ACT_SET_STATE:
        arc_end(world, side, &op, fault, &event);
        if (world->broken == BROKEN_BARRIER && op.device == 0 &&
            op.arg == FERRY_STATE_PRE_COPY_P2P) {
            /* on purpose: the answer of one device is taken for that of the other */
            struct ferry_event other = event;

            other.device = 1;
            world_feed(world, side, &other);
        }
        break;
    case FERRY_ACT_RESET:
        event.kind = FERRY_EV_RESET_DONE;
        if (fault == FAULT_NONE) {
            host->device[op.device].state = FERRY_STATE_RUNNING;
        }
        break;
    case FERRY_ACT_RESTORE_CONFIG:
        event.kind = FERRY_EV_CONFIG_DONE;
        break;
    case FERRY_ACT_LOG_START:
    case FERRY_ACT_LOG_STOP:
        event.kind = FERRY_EV_LOG_DONE;
        break;
    case FERRY_ACT_RAM_ROUND:
        round_end(world, &event);
        break;
    case FERRY_ACT_DATA_READ:
        data_end(world, side, &op, &event);
        break;
    case FERRY_ACT_FINAL_ROUND:
        event.kind = FERRY_EV_FINAL_DONE;
        if (fault == FAULT_NONE) {
            send(world, side, RECORD_MEMORY_END, 0, FERRY_OK);
        }
        break;
    case FERRY_ACT_PAUSE_CPUS:
        event.kind = FERRY_EV_CPUS_PAUSED;
        host->cpus_running = fault == FAULT_NONE ? 0 : host->cpus_running;
        break;
    case FERRY_ACT_RESUME_CPUS:
        event.kind = FERRY_EV_CPUS_RESUMED;
        host->cpus_running = fault == FAULT_NONE ? 1 : host->cpus_running;
        break;
    case FERRY_ACT_QUIET_FOREIGN:
        event.kind = FERRY_EV_FOREIGN_QUIET;
        host->foreign_running = fault == FAULT_NONE ? 0 : host->foreign_running;
        break;
    case FERRY_ACT_CHECK:
        event.kind = FERRY_EV_CHECKED;
        event.status = fault == FAULT_NONE ? FERRY_OK : FERRY_E_INCOMPATIBLE;
        break;
    case FERRY_ACT_LOAD_VMM:
        event.kind = FERRY_EV_VMM_LOADED;
        break;
    case FERRY_ACT_DECIDE:
        decide_end(world, &op, fault, &event);
        break;
    case WORLD_OP_LOADED:
        event.kind = FERRY_EV_LOADED;
        event.status = fault == FAULT_NONE ? FERRY_OK : FERRY_E_CORRUPT;
        break;
    case WORLD_OP_INITIAL:
        event.kind = FERRY_EV_INITIAL_LOADED;
        break;
    default:
        abort(); /* no operation */
    }
    world_feed(world, side, &event);
}

void world_deliver(struct world *world, uint32_t side)
{
    struct world_host *host = &world->host[side];
    struct world_item item = host->in[0];
    struct ferry_event event = { .kind = FERRY_EV_MESSAGE,
                                 .device = FERRY_NO_DEVICE,
                                 .arg = item.what,
                                 .status = item.status };

    memmove(&host->in[0], &host->in[1], (size_t)(host->in_count - 1) * sizeof(item));
    host->in_count--;
    memset(&host->in[host->in_count], 0, sizeof(item));
    if (item.what == RECORD_DEVICE_END) {
        if (!host->gone) {
            op_add(host, WORLD_OP_LOADED, item.device, 0);
        }
    } else if (item.what == RECORD_MEMORY_END) {
        event.kind = FERRY_EV_MEMORY_COMPLETE;
        world_feed(world, side, &event);
    } else if (item.what == FERRY_MSG_INITIAL_SENT) {
        if (!host->gone) {
            op_add(host, WORLD_OP_INITIAL, item.device, 0);
        }
    } else {
        if (item.what == FERRY_MSG_INITIAL_DONE) {
            event.device = item.device;
        }
        if (world->broken == BROKEN_COMMIT && item.what == FERRY_MSG_ALL_SENT &&
            side == SIDE_TARGET) {
            /* on purpose: the target takes the end of the data for the decision */
            world_feed(world, side, &event);
            event.arg = FERRY_MSG_COMMIT;
        }
        world_feed(world, side, &event);
    }
}
