/* SPDX-License-Identifier: BSD-3-Clause */
#include "core/session/source.h"

#include <assert.h>
#include <string.h>

/* What a user's cancel, a dead link or a timer does in a phase. */
enum reaction {
    GO_ON = 0, /* nothing: it is too late, or it does not matter here */
    BACK,      /* roll back */
    HOLD       /* undecided: keep the stopped state */
};

/* Limit of a phase's wait. */
enum limit { NO_LIMIT = 0, ARC, PEER };

static void hello_event(struct ferry_source *, const struct ferry_event *,
                        struct ferry_actions *);
static void log_event(struct ferry_source *, const struct ferry_event *,
                      struct ferry_actions *);
static void group_event(struct ferry_source *, const struct ferry_event *,
                        struct ferry_actions *);
static void pause_event(struct ferry_source *, const struct ferry_event *,
                        struct ferry_actions *);
static void transfer_event(struct ferry_source *, const struct ferry_event *,
                           struct ferry_actions *);
static void prepare_event(struct ferry_source *, const struct ferry_event *,
                          struct ferry_actions *);
static void decide_event(struct ferry_source *, const struct ferry_event *,
                         struct ferry_actions *);
static void commit_event(struct ferry_source *, const struct ferry_event *,
                         struct ferry_actions *);

/* The automaton: one row per phase. */
static const struct phase {
    const char *name;
    void (*event)(struct ferry_source *, const struct ferry_event *,
                  struct ferry_actions *);
    uint8_t on_cancel, on_link_down, on_timer; /* enum reaction */
    uint8_t limit;                             /* enum limit */
    int16_t timer_status;                      /* cause, when the phase's timer fires */
} phases[FERRY_SRC_COUNT] = {
    [FERRY_SRC_IDLE] = { "IDLE", NULL, GO_ON, GO_ON, GO_ON, NO_LIMIT, 0 },
    [FERRY_SRC_HELLO] = { "HELLO", hello_event, BACK, BACK, BACK, PEER, FERRY_E_TIMEOUT },
    [FERRY_SRC_LOG] = { "LOG", log_event, BACK, BACK, BACK, ARC, FERRY_E_HUNG },
    [FERRY_SRC_PRE_COPY_ARC] = { "PRE_COPY_ARC", group_event, BACK, BACK, BACK, ARC,
                                 FERRY_E_HUNG },
    [FERRY_SRC_PRE_COPY] = { "PRE_COPY", ferry_source_precopy_event, BACK, BACK, GO_ON,
                             NO_LIMIT, 0 },
    [FERRY_SRC_PAUSE] = { "PAUSE", pause_event, BACK, BACK, BACK, ARC, FERRY_E_TIMEOUT },
    [FERRY_SRC_FOREIGN] = { "FOREIGN", pause_event, BACK, BACK, BACK, ARC,
                            FERRY_E_TIMEOUT },
    [FERRY_SRC_FREEZE] = { "FREEZE", group_event, BACK, BACK, BACK, ARC, FERRY_E_HUNG },
    [FERRY_SRC_TRANSFER] = { "TRANSFER", transfer_event, BACK, BACK, GO_ON, NO_LIMIT, 0 },
    [FERRY_SRC_PREPARE] = { "PREPARE", prepare_event, BACK, BACK, BACK, PEER,
                            FERRY_E_TIMEOUT },
    /* From here on the decision may be out: nothing but an answer leads back. */
    [FERRY_SRC_DECIDE] = { "DECIDE", decide_event, GO_ON, GO_ON, HOLD, PEER,
                           FERRY_E_TIMEOUT },
    [FERRY_SRC_COMMIT] = { "COMMIT", commit_event, GO_ON, HOLD, HOLD, PEER,
                           FERRY_E_TIMEOUT },
    [FERRY_SRC_UNDECIDED] = { "UNDECIDED", ferry_source_undecided_event, GO_ON, GO_ON,
                              GO_ON, NO_LIMIT, 0 },
    [FERRY_SRC_BACK_DECIDE] = { "BACK_DECIDE", ferry_source_back_decide_event, GO_ON,
                                GO_ON, HOLD, PEER, FERRY_E_TIMEOUT },
    [FERRY_SRC_BACK_SETTLE] = { "BACK_SETTLE", ferry_source_back_event, GO_ON, GO_ON,
                                GO_ON, ARC, 0 },
    [FERRY_SRC_BACK_PAUSE] = { "BACK_PAUSE", ferry_source_back_event, GO_ON, GO_ON, GO_ON,
                               ARC, 0 },
    [FERRY_SRC_BACK_FOREIGN] = { "BACK_FOREIGN", ferry_source_back_event, GO_ON, GO_ON,
                                 GO_ON, ARC, 0 },
    [FERRY_SRC_BACK_REVIVE] = { "BACK_REVIVE", ferry_source_back_event, GO_ON, GO_ON,
                                GO_ON, ARC, 0 },
    [FERRY_SRC_BACK_RESUME] = { "BACK_RESUME", ferry_source_back_event, GO_ON, GO_ON,
                                GO_ON, ARC, 0 },
    [FERRY_SRC_BACK_LOG] = { "BACK_LOG", ferry_source_back_event, GO_ON, GO_ON, GO_ON,
                             ARC, 0 },
    [FERRY_SRC_ENDED] = { "ENDED", NULL, GO_ON, GO_ON, GO_ON, NO_LIMIT, 0 },
};

void ferry_source_enter(struct ferry_source *source, uint32_t phase, uint64_t now_ns,
                        struct ferry_actions *actions)
{
    assert(phase < FERRY_SRC_COUNT && source->phase != FERRY_SRC_ENDED);
    source->phase = phase;
    switch ((enum limit)phases[phase].limit) {
    case NO_LIMIT:
        ferry_actions_timer_cancel(actions, FERRY_TIMER_PHASE);
        break;
    case ARC:
        ferry_actions_timer(actions, FERRY_TIMER_PHASE, now_ns,
                            source->config.arc_limit_ns);
        break;
    case PEER:
        ferry_actions_timer(actions, FERRY_TIMER_PHASE, now_ns,
                            source->config.peer_limit_ns);
        break;
    }
}

void ferry_source_hold(struct ferry_source *source, int32_t status, uint64_t now_ns,
                       struct ferry_actions *actions)
{
    if (source->status == FERRY_OK) {
        source->status = status;
    }
    ferry_actions_timer_cancel(actions, FERRY_TIMER_STOP);
    ferry_source_enter(source, FERRY_SRC_UNDECIDED, now_ns, actions);
    ferry_actions_plain(actions, FERRY_ACT_UNDECIDED);
}

static void enter_pre_copy(struct ferry_source *source, uint64_t now_ns,
                           struct ferry_actions *actions)
{
    ferry_source_enter(source, FERRY_SRC_PRE_COPY, now_ns, actions);
    ferry_source_round_begin(source, now_ns, actions);
}

static void enter_pre_copy_arc(struct ferry_source *source, uint64_t now_ns,
                               struct ferry_actions *actions)
{
    ferry_source_enter(source, FERRY_SRC_PRE_COPY_ARC, now_ns, actions);
    if (ferry_group_begin(&source->group, FERRY_GOAL_PRE_COPY, actions) ==
        FERRY_GROUP_DONE) {
        enter_pre_copy(source, now_ns, actions);
    }
}

static void hello_event(struct ferry_source *source, const struct ferry_event *event,
                        struct ferry_actions *actions)
{
    if (event->kind != FERRY_EV_MESSAGE) {
        return;
    }
    if (event->arg == FERRY_MSG_REFUSE) {
        source->status = event->status < 0 ? event->status : FERRY_E_REFUSED;
        ferry_source_end(source, FERRY_OUTCOME_REFUSED, actions);
    } else if (event->arg == FERRY_MSG_ACCEPT) {
        ferry_actions_timer(actions, FERRY_TIMER_DEADLINE, event->now_ns,
                            source->config.deadline_ns);
        ferry_source_enter(source, FERRY_SRC_LOG, event->now_ns, actions);
        /* MIG-ORD-1: tracking starts before the first byte of memory is sent. */
        ferry_group_log(&source->group, 1, actions);
        if (!ferry_group_is_busy(&source->group)) {
            enter_pre_copy_arc(source, event->now_ns, actions);
        }
    }
}

static void log_event(struct ferry_source *source, const struct ferry_event *event,
                      struct ferry_actions *actions)
{
    if (event->kind != FERRY_EV_LOG_DONE || ferry_group_is_busy(&source->group)) {
        return;
    }
    if (source->group.status != FERRY_OK) {
        ferry_source_go_back(source, source->group.status, event->now_ns, actions);
    } else {
        enter_pre_copy_arc(source, event->now_ns, actions);
    }
}

static void enter_transfer(struct ferry_source *source, uint64_t now_ns,
                           struct ferry_actions *actions)
{
    ferry_source_enter(source, FERRY_SRC_TRANSFER, now_ns, actions);
    /* The device data of all devices and the last memory go at the same time. */
    for (uint32_t i = 0; i < source->group.count; i++) {
        source->data_busy |= 1u << i;
        ferry_actions_add(actions, FERRY_ACT_DATA_READ, i, 0, FERRY_OK, 0);
    }
    source->final_busy = 1;
    source->drained = 1;
    ferry_actions_plain(actions, FERRY_ACT_FINAL_ROUND);
}

static void group_event(struct ferry_source *source, const struct ferry_event *event,
                        struct ferry_actions *actions)
{
    if (event->kind != FERRY_EV_STATE_DONE) {
        return;
    }
    switch ((enum ferry_group_result)ferry_group_advance(&source->group, actions)) {
    case FERRY_GROUP_BUSY:
        break;
    case FERRY_GROUP_DONE:
        if (source->phase == FERRY_SRC_FREEZE) {
            enter_transfer(source, event->now_ns, actions);
        } else {
            enter_pre_copy(source, event->now_ns, actions);
        }
        break;
    case FERRY_GROUP_FAILED:
    case FERRY_GROUP_UNRUN:
        ferry_source_go_back(source, source->group.status, event->now_ns, actions);
        break;
    }
}

static void pause_event(struct ferry_source *source, const struct ferry_event *event,
                        struct ferry_actions *actions)
{
    uint32_t wanted =
        source->phase == FERRY_SRC_PAUSE ? FERRY_EV_CPUS_PAUSED : FERRY_EV_FOREIGN_QUIET;

    if (event->kind != wanted) {
        return;
    }
    if (event->status < 0) {
        ferry_source_go_back(source, event->status, event->now_ns, actions);
    } else if (source->phase == FERRY_SRC_PAUSE) {
        source->foreign_quiet = 1;
        source->foreign_busy = 1;
        ferry_source_enter(source, FERRY_SRC_FOREIGN, event->now_ns, actions);
        ferry_actions_plain(actions, FERRY_ACT_QUIET_FOREIGN);
    } else {
        source->stopped = 1;
        ferry_source_enter(source, FERRY_SRC_FREEZE, event->now_ns, actions);
        ferry_group_begin(&source->group, FERRY_GOAL_FREEZE, actions);
    }
}

static void transfer_event(struct ferry_source *source, const struct ferry_event *event,
                           struct ferry_actions *actions)
{
    uint32_t all =
        source->group.count == 32 ? UINT32_MAX : (1u << source->group.count) - 1;

    if (event->kind == FERRY_EV_DATA_END && event->device < source->group.count) {
        source->data_busy &= ~(1u << event->device);
        source->precopy.device_bytes += event->a;
        if (event->status >= 0) {
            source->data_ended |= 1u << event->device;
        }
    } else if (event->kind == FERRY_EV_FINAL_DONE) {
        source->final_busy = 0;
        source->final_done = event->status >= 0;
    } else {
        return;
    }
    if (event->status < 0) {
        ferry_source_go_back(source, event->status, event->now_ns, actions);
    } else if (source->final_done && source->data_ended == all) {
        ferry_source_enter(source, FERRY_SRC_PREPARE, event->now_ns, actions);
        ferry_actions_send(actions, FERRY_MSG_ALL_SENT, FERRY_OK);
    }
}

void ferry_source_commit(struct ferry_source *source, uint64_t now_ns,
                         struct ferry_actions *actions)
{
    source->decision = FERRY_DECISION_COMMIT;
    ferry_actions_timer_cancel(actions, FERRY_TIMER_STOP);
    ferry_source_enter(source, FERRY_SRC_COMMIT, now_ns, actions);
    if (source->link_up) {
        ferry_actions_send(actions, FERRY_MSG_COMMIT, FERRY_OK);
    } else {
        /* The decision stands and the target reads it; its word cannot come any more. */
        ferry_source_hold(source, FERRY_E_UNDECIDED, now_ns, actions);
    }
}

static void prepare_event(struct ferry_source *source, const struct ferry_event *event,
                          struct ferry_actions *actions)
{
    if (event->kind != FERRY_EV_MESSAGE || event->arg != FERRY_MSG_PREPARED) {
        return;
    }
    if (source->config.arbiter == FERRY_ARBITER_NONE) {
        ferry_source_commit(source, event->now_ns, actions);
        return;
    }
    ferry_source_enter(source, FERRY_SRC_DECIDE, event->now_ns, actions);
    ferry_actions_add(actions, FERRY_ACT_DECIDE, 0, FERRY_DECISION_COMMIT, FERRY_OK, 0);
}

static void decide_event(struct ferry_source *source, const struct ferry_event *event,
                         struct ferry_actions *actions)
{
    if (event->kind != FERRY_EV_DECISION || event->device != 0) {
        return;
    }
    if (event->status < 0) {
        ferry_source_hold(source, event->status, event->now_ns, actions);
    } else if (event->arg == FERRY_DECISION_COMMIT) {
        ferry_source_commit(source, event->now_ns, actions);
    } else if (event->arg == FERRY_DECISION_ABORT) {
        source->decision = FERRY_DECISION_ABORT;
        ferry_source_go_back(source, FERRY_E_REFUSED, event->now_ns, actions);
    }
}

static void commit_event(struct ferry_source *source, const struct ferry_event *event,
                         struct ferry_actions *actions)
{
    if (event->kind != FERRY_EV_MESSAGE) {
        return;
    }
    if (event->arg == FERRY_MSG_RUNNING) {
        ferry_source_target_runs(source, event, actions);
    } else if (event->arg == FERRY_MSG_RETURN) {
        ferry_source_go_back(source, event->status < 0 ? event->status : FERRY_E_REFUSED,
                             event->now_ns, actions);
    }
}

/* The target ended it. Before the decision only: later on it has other words. */
static int peer_aborted(struct ferry_source *source, const struct ferry_event *event,
                        struct ferry_actions *actions)
{
    if (event->kind != FERRY_EV_MESSAGE || event->arg != FERRY_MSG_ABORT ||
        phases[source->phase].on_link_down != BACK) {
        return 0;
    }
    source->peer_told = 0;
    ferry_source_go_back(source, event->status < 0 ? event->status : FERRY_E_REFUSED,
                         event->now_ns, actions);
    return 1;
}

static void react(struct ferry_source *source, uint32_t reaction, int32_t status,
                  uint64_t now_ns, struct ferry_actions *actions)
{
    switch ((enum reaction)reaction) {
    case GO_ON:
        break;
    case BACK:
        ferry_source_go_back(source, status, now_ns, actions);
        break;
    case HOLD:
        ferry_source_hold(source, status, now_ns, actions);
        break;
    }
}

static void timer_event(struct ferry_source *source, const struct ferry_event *event,
                        struct ferry_actions *actions)
{
    const struct phase *phase = &phases[source->phase];

    switch ((enum ferry_timer)event->arg) {
    case FERRY_TIMER_PHASE:
        if (phase->on_timer != GO_ON) {
            react(source, phase->on_timer, phase->timer_status, event->now_ns, actions);
        } else if (phase->event) {
            phase->event(source, event, actions);
        }
        break;
    case FERRY_TIMER_DEADLINE:
        if (source->phase >= FERRY_SRC_LOG && source->phase <= FERRY_SRC_PRE_COPY) {
            ferry_source_go_back(source, FERRY_E_DEADLINE, event->now_ns, actions);
        }
        break;
    case FERRY_TIMER_STOP:
        if (source->phase >= FERRY_SRC_PAUSE && source->phase <= FERRY_SRC_PREPARE) {
            ferry_source_go_back(source, FERRY_E_DEADLINE, event->now_ns, actions);
        }
        break;
    case FERRY_TIMER_COUNT:
        break;
    }
}

static int start_refused(struct ferry_source *source, struct ferry_actions *actions)
{
    for (uint32_t i = 0; i < source->config.device_count; i++) {
        const struct ferry_session_device *device = &source->config.device[i];

        /* MIG-PEER-1: an initiator that cannot be quieted and reaches a peer. */
        if (!(device->features & FERRY_MIG_P2P) && device->reaches_peer &&
            !device->implicit_quiesce) {
            source->status = FERRY_E_PEER_MAP;
            source->group.failed_device = i;
            ferry_source_end(source, FERRY_OUTCOME_REFUSED, actions);
            return 1;
        }
    }
    return 0;
}

static void idle_event(struct ferry_source *source, const struct ferry_event *event,
                       struct ferry_actions *actions)
{
    if (event->kind == FERRY_EV_START) {
        if (start_refused(source, actions)) {
            return;
        }
        source->link_up = 1;
        source->peer_told = 1;
        ferry_source_enter(source, FERRY_SRC_HELLO, event->now_ns, actions);
        ferry_actions_send(actions, FERRY_MSG_HELLO, FERRY_OK);
    } else if (event->kind == FERRY_EV_CANCEL) {
        source->status = event->status < 0 ? event->status : FERRY_E_CANCELLED;
        ferry_source_end(source, FERRY_OUTCOME_ROLLED_BACK, actions);
    }
}

static void dispatch(struct ferry_source *source, const struct ferry_event *event,
                     struct ferry_actions *actions)
{
    const struct phase *phase = &phases[source->phase];

    if (event->kind == FERRY_EV_CPUS_PAUSED || event->kind == FERRY_EV_CPUS_RESUMED) {
        source->pause_busy = 0;
    } else if (event->kind == FERRY_EV_FOREIGN_QUIET) {
        source->foreign_busy = 0;
    }
    if (event->kind == FERRY_EV_TIMER) {
        timer_event(source, event, actions);
    } else if (event->kind == FERRY_EV_LINK_DOWN) {
        if (source->link_up) {
            source->link_up = 0;
            react(source, phase->on_link_down,
                  event->status < 0 ? event->status : FERRY_E_CLOSED, event->now_ns,
                  actions);
        }
    } else if (event->kind == FERRY_EV_CANCEL) {
        react(source, phase->on_cancel,
              event->status < 0 ? event->status : FERRY_E_CANCELLED, event->now_ns,
              actions);
    } else if (!peer_aborted(source, event, actions) && phase->event) {
        phase->event(source, event, actions);
    }
}

int ferry_source_step(struct ferry_source *source, const struct ferry_event *event,
                      struct ferry_action *ret_actions, size_t cap)
{
    struct ferry_actions actions = { ret_actions, cap, 0, 0 };
    struct ferry_source before = *source;

    if (source->phase == FERRY_SRC_IDLE) {
        idle_event(source, event, &actions);
    } else if (source->phase != FERRY_SRC_ENDED) {
        ferry_group_note(&source->group, event);
        dispatch(source, event, &actions);
    }
    if (actions.overflow) {
        *source = before;
        return FERRY_E_CAPACITY;
    }
    return (int)actions.count;
}

const char *ferry_source_phase_name(uint32_t phase)
{
    return phase < FERRY_SRC_COUNT ? phases[phase].name : "?";
}
