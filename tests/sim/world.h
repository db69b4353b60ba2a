/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef FERRY_TESTS_SIM_WORLD_H
#define FERRY_TESTS_SIM_WORLD_H

#include <stdint.h>

#include "core/session/source.h"
#include "core/session/target.h"

/*
 * A simulated world: two hosts with the real sessions, devices that take arcs, a link
 * that is a pair of queues, an arbiter, an operator. Everything that can happen next is a
 * transition; the golden traces pick one by a rule, the explorer tries them all.
 * A world is plain data: it can be copied, compared and hashed.
 */

#define WORLD_DEVICES_MAX 3
#define WORLD_OPS_MAX 24
#define WORLD_QUEUE_MAX 24

enum world_side { SIDE_SOURCE = 0, SIDE_TARGET = 1 };

/* Data records travel in the same queue as messages; numbers above every message. */
enum world_record { RECORD_DEVICE_END = 100, RECORD_MEMORY_END };

struct world_item {
    uint8_t what; /* enum ferry_message or world_record */
    uint8_t device;
    int16_t status;
};

/* An action that has been started and not yet ended. */
struct world_op {
    uint8_t kind; /* enum ferry_action_kind, or WORLD_OP_* */
    uint8_t device;
    uint8_t arg;
    uint8_t pad;
};
#define WORLD_OP_LOADED 200  /* target: a device's end record is checked */
#define WORLD_OP_INITIAL 201 /* target: a device's initial bytes are loaded */

struct world_device {
    uint8_t state; /* what the device really is in */
    uint8_t log_on;
    uint8_t hung;    /* answers nothing any more */
    uint8_t latched; /* reset while it could have gone on: a broken rule */
};

struct world_host {
    struct world_device device[WORLD_DEVICES_MAX];
    struct world_op op[WORLD_OPS_MAX];
    uint8_t op_count;
    uint8_t alive;
    uint8_t cpus_running;
    uint8_t foreign_running;
    uint8_t irqs_drained;  /* taken out of the eventfds and not raised again */
    uint8_t gone;          /* source: released; target: discarded */
    uint8_t prepared;      /* target: said PREPARED */
    uint8_t owner;         /* target: began to run */
    uint8_t link_down_due; /* the link is cut and the session not yet told */
    uint8_t finished;      /* FINISHED came */
    uint8_t impatient;     /* broken on purpose: BROKEN_LATE_COMMIT */
    uint8_t pad;
    uint8_t armed[FERRY_TIMER_COUNT];
    struct world_item in[WORLD_QUEUE_MAX]; /* what is on its way to this host */
    uint8_t in_count;
    uint8_t pad2[3];
};

/* Faults. One world has a budget of them. */
enum world_fault {
    FAULT_NONE = 0,
    FAULT_FAIL,        /* an operation fails, state unchanged */
    FAULT_FAIL_ERROR,  /* an arc fails into ERROR */
    FAULT_FAIL_MIDWAY, /* an arc of several steps stops after the first */
    FAULT_HANG,        /* an operation never ends */
    FAULT_LOSE,        /* the next message to a host is lost: the link breaks there */
    FAULT_CUT,         /* link cut; what is on its way is lost */
    FAULT_CUT_LATE,    /* link cut; what is on its way still arrives */
    FAULT_DIE,         /* a host dies */
    FAULT_LATE,        /* a timer fires before what it waits for */
    FAULT_CANCEL,      /* the user cancels (no fault, but it comes once, anywhere) */
    FAULT_ARBITER      /* the arbiter cannot be reached; the decision may be written */
};

struct world {
    struct ferry_source source;
    struct ferry_target target;
    struct world_host host[2];
    uint64_t now_ns;
    uint32_t faults_left;
    uint32_t device_count;
    uint8_t started;
    uint8_t link_up;
    uint8_t decision[2];    /* arbiter's store, per epoch */
    uint8_t rounds;         /* memory rounds so far, saturating */
    uint8_t operator_spoke; /* bit per side */
    uint8_t shared;
    uint8_t frozen_time; /* explorer: time stands still, so that states repeat */
    uint8_t fault;       /* the fault that happened */
    uint8_t cause;       /* side or 0xff */
    uint8_t broken;      /* self-test: a rule that the world breaks on purpose */
    uint8_t pad[5];
};

enum world_transition_kind {
    GO_START = 1,
    GO_OP,        /* index: an operation of host `side` ends; fault says how */
    GO_DELIVER,   /* the first item of the queue to `side` arrives */
    GO_LINK_DOWN, /* `side` is told that the link is down */
    GO_TIMER,     /* index: enum ferry_timer of `side` fires */
    GO_FAULT,     /* fault, side */
    GO_OPERATOR   /* side; index: 1 run here, 0 discard */
};

struct world_transition {
    uint8_t kind; /* enum world_transition_kind */
    uint8_t side;
    uint8_t index;
    uint8_t fault; /* enum world_fault */
};

struct world_setup {
    uint32_t device_count;
    uint32_t features[WORLD_DEVICES_MAX];
    uint32_t implicit[WORLD_DEVICES_MAX];     /* 1: quiet by its stop (uAPI v1) */
    uint32_t reaches_peer[WORLD_DEVICES_MAX]; /* 1 + index of the peer, 0: none */
    uint32_t shared_arbiter;
    uint32_t faults;
    uint32_t frozen_time;
    uint32_t broken;
};

/* Ordering rules that a test breaks on purpose, to see that the explorer finds it. */
enum world_broken {
    BROKEN_NONE = 0,
    BROKEN_BARRIER,      /* a device stops although another is not quiet */
    BROKEN_COMMIT,       /* the target runs as soon as it is prepared */
    BROKEN_ROLLBACK_LOG, /* a roll-back forgets to stop tracking */
    BROKEN_LATE_COMMIT   /* an undecided source goes back by itself */
};

/* Called with every event and action, when set: golden traces print them. */
extern void (*world_trace)(const char *line, void *user);
extern void *world_trace_user;

void world_init(struct world *world, const struct world_setup *setup);

/*
 * Everything that can happen next.
 * Return: count, at most cap (asserted).
 */
uint32_t world_next(const struct world *world, struct world_transition *ret_list,
                    uint32_t cap);

void world_apply(struct world *world, const struct world_transition *transition);

/* Why the world violates an invariant; NULL when it does not. */
const char *world_check(const struct world *world);

/*
 * The same for a world that waits for the operator: exactly one side runs, or who is
 * undecided holds its complete stopped state.
 */
const char *world_check_rest(const struct world *world);

/* The same for a world in which nothing can happen any more. */
const char *world_check_end(const struct world *world);

int world_source_runs(const struct world *world);
int world_target_runs(const struct world *world);
int world_source_complete(const struct world *world);
int world_target_complete(const struct world *world);

/* world_step.c: feeds an event to the session of a side and performs its actions. */
void world_feed(struct world *world, uint32_t side, const struct ferry_event *event);
void world_op_end(struct world *world, uint32_t side, uint32_t index, uint32_t fault);
void world_deliver(struct world *world, uint32_t side);

/* One line for a transition. ret_text: 96 bytes. */
void world_describe(const struct world *world, const struct world_transition *transition,
                    char *ret_text);

#endif
