/* SPDX-License-Identifier: BSD-3-Clause */
#include "core/session/target.h"

#include <string.h>

#include "core/session/config.h"

/* What a cancel, a dead link, an ABORT or the phase's timer does. */
enum reaction {
    GO_ON = 0,
    DISCARD, /* before PREPARED: what came in is dropped */
    ASK      /* COMMIT may be on its way: ask the arbiter, else hold */
};

enum limit { NO_LIMIT = 0, ARC, PEER, WHOLE };

static void check_event(struct ferry_target *, const struct ferry_event *,
                        struct ferry_actions *);
static void resuming_event(struct ferry_target *, const struct ferry_event *,
                           struct ferry_actions *);
static void prepared_event(struct ferry_target *, const struct ferry_event *,
                           struct ferry_actions *);
static void decide_event(struct ferry_target *, const struct ferry_event *,
                         struct ferry_actions *);
static void undecided_event(struct ferry_target *, const struct ferry_event *,
                            struct ferry_actions *);

/* The automaton: one row per phase. */
static const struct phase {
    const char *name;
    void (*event)(struct ferry_target *, const struct ferry_event *,
                  struct ferry_actions *);
    uint8_t on_cancel, on_link_down, on_abort, on_timer; /* enum reaction */
    uint8_t limit;                                       /* enum limit */
    int16_t timer_status;
} phases[FERRY_TGT_COUNT] = {
    [FERRY_TGT_IDLE] = { "IDLE", NULL, GO_ON, GO_ON, GO_ON, GO_ON, NO_LIMIT, 0 },
    [FERRY_TGT_CHECK] = { "CHECK", check_event, DISCARD, DISCARD, DISCARD, DISCARD, ARC,
                          FERRY_E_TIMEOUT },
    [FERRY_TGT_RESUMING] = { "RESUMING", resuming_event, DISCARD, DISCARD, DISCARD,
                             DISCARD, ARC, FERRY_E_HUNG },
    [FERRY_TGT_LOADING] = { "LOADING", ferry_target_load_event, DISCARD, DISCARD, DISCARD,
                            DISCARD, WHOLE, FERRY_E_TIMEOUT },
    /* An ABORT is the source's promise that it has not committed and will not. */
    [FERRY_TGT_PREPARED] = { "PREPARED", prepared_event, GO_ON, ASK, DISCARD, ASK, PEER,
                             FERRY_E_TIMEOUT },
    [FERRY_TGT_DECIDE] = { "DECIDE", decide_event, GO_ON, GO_ON, DISCARD, GO_ON, PEER,
                           0 },
    [FERRY_TGT_UNDECIDED] = { "UNDECIDED", undecided_event, GO_ON, GO_ON, DISCARD, GO_ON,
                              NO_LIMIT, 0 },
    [FERRY_TGT_RUN] = { "RUN", ferry_target_run_event, GO_ON, GO_ON, GO_ON, GO_ON, ARC,
                        0 },
    [FERRY_TGT_RETURN] = { "RETURN", ferry_target_run_event, GO_ON, GO_ON, GO_ON, GO_ON,
                           PEER, 0 },
    [FERRY_TGT_RESUME] = { "RESUME", ferry_target_run_event, GO_ON, GO_ON, GO_ON, GO_ON,
                           ARC, 0 },
    [FERRY_TGT_ENDED] = { "ENDED", NULL, GO_ON, GO_ON, GO_ON, GO_ON, NO_LIMIT, 0 },
};

void ferry_target_enter(struct ferry_target *target, uint32_t phase, uint64_t now_ns,
                        struct ferry_actions *actions)
{
    const struct ferry_session_config *config = &target->config;

    assert(phase < FERRY_TGT_COUNT && target->phase != FERRY_TGT_ENDED);
    target->phase = phase;
    switch ((enum limit)phases[phase].limit) {
    case NO_LIMIT:
        ferry_actions_timer_cancel(actions, FERRY_TIMER_PHASE);
        break;
    case ARC:
        ferry_actions_timer(actions, FERRY_TIMER_PHASE, now_ns, config->arc_limit_ns);
        break;
    case PEER:
        ferry_actions_timer(actions, FERRY_TIMER_PHASE, now_ns, config->peer_limit_ns);
        break;
    case WHOLE:
        /* The source gives up by itself at its deadlines; this is for one that cannot. */
        ferry_actions_timer(actions, FERRY_TIMER_PHASE, now_ns,
                            config->deadline_ns + config->stop_deadline_ns +
                                config->peer_limit_ns);
        break;
    }
}

void ferry_target_end(struct ferry_target *target, uint32_t outcome, int32_t status,
                      struct ferry_actions *actions)
{
    /* At RESUME the devices run here; at RETURN they have been discarded already. */
    int keep = target->phase == FERRY_TGT_RESUME || target->phase == FERRY_TGT_RETURN;

    if (target->status == FERRY_OK) {
        target->status = status;
    }
    target->phase = FERRY_TGT_ENDED;
    target->outcome = outcome;
    ferry_actions_timer_cancel(actions, FERRY_TIMER_PHASE);
    if (!keep) {
        ferry_actions_plain(actions, FERRY_ACT_DISCARD);
    }
    ferry_actions_add(actions, FERRY_ACT_FINISHED, target->group.failed_device, outcome,
                      target->status, 0);
}

static void refuse(struct ferry_target *target, int32_t status,
                   struct ferry_actions *actions)
{
    if (target->link_up) {
        ferry_actions_send(actions, FERRY_MSG_REFUSE, status);
    }
    ferry_target_end(target, FERRY_OUTCOME_REFUSED, status, actions);
}

static void discard(struct ferry_target *target, int32_t status,
                    struct ferry_actions *actions)
{
    if (target->phase == FERRY_TGT_CHECK || target->phase == FERRY_TGT_RESUMING) {
        refuse(target, status, actions);
        return;
    }
    if (target->link_up) {
        ferry_actions_send(actions, FERRY_MSG_ABORT, status);
    }
    ferry_target_end(target, FERRY_OUTCOME_ROLLED_BACK, status, actions);
}

static void hold(struct ferry_target *target, int32_t status, uint64_t now_ns,
                 struct ferry_actions *actions)
{
    if (target->status == FERRY_OK) {
        target->status = status;
    }
    ferry_target_enter(target, FERRY_TGT_UNDECIDED, now_ns, actions);
    ferry_actions_plain(actions, FERRY_ACT_UNDECIDED);
}

/*
 * No COMMIT came. Only the arbiter, or an operator, knows whether it was given. This side
 * is complete, the source may be dead: it proposes COMMIT, so that a death loses nothing.
 * A source that lives proposes ABORT before it goes back; the first writer wins.
 */
static void ask(struct ferry_target *target, int32_t status, uint64_t now_ns,
                struct ferry_actions *actions)
{
    if (target->config.arbiter == FERRY_ARBITER_NONE) {
        hold(target, status, now_ns, actions);
        return;
    }
    if (target->status == FERRY_OK) {
        target->status = status;
    }
    ferry_target_enter(target, FERRY_TGT_DECIDE, now_ns, actions);
    ferry_actions_add(actions, FERRY_ACT_DECIDE, 0, FERRY_DECISION_COMMIT, FERRY_OK, 0);
}

static void check_event(struct ferry_target *target, const struct ferry_event *event,
                        struct ferry_actions *actions)
{
    if (event->kind != FERRY_EV_CHECKED) {
        return;
    }
    if (event->status < 0) {
        refuse(target, event->status, actions);
        return;
    }
    ferry_target_enter(target, FERRY_TGT_RESUMING, event->now_ns, actions);
    ferry_group_begin(&target->group, FERRY_GOAL_RESUMING, actions);
}

static void resuming_event(struct ferry_target *target, const struct ferry_event *event,
                           struct ferry_actions *actions)
{
    if (event->kind != FERRY_EV_STATE_DONE) {
        return;
    }
    switch ((enum ferry_group_result)ferry_group_advance(&target->group, actions)) {
    case FERRY_GROUP_BUSY:
        break;
    case FERRY_GROUP_DONE:
        ferry_target_enter(target, FERRY_TGT_LOADING, event->now_ns, actions);
        ferry_actions_send(actions, FERRY_MSG_ACCEPT, FERRY_OK);
        break;
    case FERRY_GROUP_FAILED:
    case FERRY_GROUP_UNRUN:
        refuse(target, target->group.status, actions);
        break;
    }
}

static void prepared_event(struct ferry_target *target, const struct ferry_event *event,
                           struct ferry_actions *actions)
{
    if (event->kind == FERRY_EV_MESSAGE && event->arg == FERRY_MSG_COMMIT) {
        target->decision = FERRY_DECISION_COMMIT;
        ferry_target_run(target, event->now_ns, actions);
    }
}

static void decide_event(struct ferry_target *target, const struct ferry_event *event,
                         struct ferry_actions *actions)
{
    if (event->kind == FERRY_EV_TIMER ||
        (event->kind == FERRY_EV_DECISION && event->status < 0)) {
        hold(target, FERRY_E_UNDECIDED, event->now_ns, actions);
    } else if (event->kind == FERRY_EV_DECISION && event->device == 0) {
        target->decision = event->arg;
        if (event->arg == FERRY_DECISION_COMMIT) {
            ferry_target_run(target, event->now_ns, actions);
        } else if (event->arg == FERRY_DECISION_ABORT) {
            discard(target, FERRY_E_REFUSED, actions);
        }
    }
}

/*
 * A COMMIT that comes now is too late: the operator may already have let the source go
 * on, and the message may have waited in a buffer. Only the operator's word counts, the
 * arbiter's, and the source's own promise not to commit (ABORT).
 */
static void undecided_event(struct ferry_target *target, const struct ferry_event *event,
                            struct ferry_actions *actions)
{
    if (event->kind == FERRY_EV_OPERATOR) {
        target->end_outcome = FERRY_OUTCOME_RESOLVED;
        if (event->arg) {
            target->status = FERRY_OK;
            ferry_target_run(target, event->now_ns, actions);
        } else {
            ferry_target_end(target, FERRY_OUTCOME_RESOLVED, FERRY_OK, actions);
        }
    } else if (event->kind == FERRY_EV_DECISION && event->status >= 0 &&
               event->device == 0) {
        decide_event(target, event, actions);
    }
}

static void react(struct ferry_target *target, uint32_t reaction, int32_t status,
                  uint64_t now_ns, struct ferry_actions *actions)
{
    switch ((enum reaction)reaction) {
    case GO_ON:
        break;
    case DISCARD:
        discard(target, status, actions);
        break;
    case ASK:
        ask(target, status, now_ns, actions);
        break;
    }
}

static void dispatch(struct ferry_target *target, const struct ferry_event *event,
                     struct ferry_actions *actions)
{
    const struct phase *phase = &phases[target->phase];

    if (event->kind == FERRY_EV_LINK_DOWN) {
        if (target->link_up) {
            target->link_up = 0;
            react(target, phase->on_link_down,
                  event->status < 0 ? event->status : FERRY_E_CLOSED, event->now_ns,
                  actions);
        }
    } else if (event->kind == FERRY_EV_CANCEL) {
        react(target, phase->on_cancel, FERRY_E_CANCELLED, event->now_ns, actions);
    } else if (event->kind == FERRY_EV_MESSAGE && event->arg == FERRY_MSG_ABORT) {
        if (phase->on_abort == DISCARD) {
            target->link_up = 0; /* nothing more to say to it */
            discard(target, event->status < 0 ? event->status : FERRY_E_REFUSED, actions);
        }
    } else if (event->kind == FERRY_EV_TIMER && phase->on_timer != GO_ON) {
        if (event->arg == FERRY_TIMER_PHASE) {
            react(target, phase->on_timer, phase->timer_status, event->now_ns, actions);
        }
    } else if (phase->event) {
        phase->event(target, event, actions);
    }
}

static void idle_event(struct ferry_target *target, const struct ferry_event *event,
                       struct ferry_actions *actions)
{
    if (event->kind == FERRY_EV_MESSAGE && event->arg == FERRY_MSG_HELLO) {
        target->link_up = 1;
        ferry_target_enter(target, FERRY_TGT_CHECK, event->now_ns, actions);
        ferry_actions_plain(actions, FERRY_ACT_CHECK);
    } else if (event->kind == FERRY_EV_CANCEL || event->kind == FERRY_EV_LINK_DOWN) {
        ferry_target_end(
            target, FERRY_OUTCOME_ROLLED_BACK,
            event->kind == FERRY_EV_CANCEL ? FERRY_E_CANCELLED : FERRY_E_CLOSED, actions);
    }
}

size_t ferry_target_need(void)
{
    return sizeof(struct ferry_target);
}

int ferry_target_init(struct ferry_target *target,
                      const struct ferry_session_config *config)
{
    int status = ferry_session_config_check(config);

    if (status < 0) {
        return status;
    }
    memset(target, 0, sizeof(*target));
    target->config = *config;
    target->end_outcome = FERRY_OUTCOME_MOVED;
    ferry_session_config_fill(&target->config);
    ferry_group_init(&target->group, &target->config, FERRY_STATE_RUNNING);
    return FERRY_OK;
}

int ferry_target_step(struct ferry_target *target, const struct ferry_event *event,
                      struct ferry_action *ret_actions, size_t cap)
{
    struct ferry_actions actions = { ret_actions, cap, 0, 0 };
    struct ferry_target before = *target;

    if (target->phase == FERRY_TGT_IDLE) {
        idle_event(target, event, &actions);
    } else if (target->phase != FERRY_TGT_ENDED) {
        ferry_group_note(&target->group, event);
        dispatch(target, event, &actions);
    }
    if (actions.overflow) {
        *target = before;
        return FERRY_E_CAPACITY;
    }
    return (int)actions.count;
}

uint32_t ferry_target_phase(const struct ferry_target *target)
{
    return target->phase;
}

const char *ferry_target_phase_name(uint32_t phase)
{
    return phase < FERRY_TGT_COUNT ? phases[phase].name : "?";
}

uint32_t ferry_target_outcome(const struct ferry_target *target)
{
    return target->outcome;
}

int ferry_target_undecided(const struct ferry_target *target)
{
    return target->phase == FERRY_TGT_UNDECIDED;
}
