/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef FERRY_CORE_SESSION_GROUP_H
#define FERRY_CORE_SESSION_GROUP_H

#include <stdint.h>

#include "core/session/actions.h"
#include "ferry/session.h"

/*
 * The group: all devices of a context, moved together. A goal is a list of stages; each
 * stage asks every device for a state and ends when all have answered (the barrier).
 * Reviving (group_revive.c) brings every device to RUNNING from wherever a failure left
 * it.
 */

/* What a device still owes an answer to. */
#define FERRY_BUSY_ARC 1u
#define FERRY_BUSY_LOG 2u
#define FERRY_BUSY_RESET 4u
#define FERRY_BUSY_CONFIG 8u

struct ferry_group_device {
    uint32_t features;
    uint32_t state;    /* last state known */
    uint32_t wanted;   /* state asked for, while BUSY_ARC */
    uint32_t busy;     /* FERRY_BUSY_* */
    uint8_t hung;      /* gave no answer within the limits; asked for nothing more */
    uint8_t lost;      /* could not be brought back */
    uint8_t was_reset; /* was in ERROR and has been reset in this session */
    uint8_t retried;   /* one more try of a failed arc has been made */
    uint8_t log_on;    /* dirty tracking was asked for and not yet stopped */
    uint8_t can_log;
    uint8_t given_up; /* was hung at some time; stays set when it answers after all */
    uint8_t implicit; /* MIG-QUI-1: its STOP and STOP_COPY still take a peer's DMA */
};

enum ferry_group_goal {
    FERRY_GOAL_NONE = 0,
    FERRY_GOAL_PRE_COPY, /* those that can: PRE_COPY */
    FERRY_GOAL_FREEZE,   /* all quiet (P2P states, STOP_COPY where that is as quiet),
                            barrier, all STOP_COPY */
    FERRY_GOAL_RESUMING, /* all RESUMING */
    FERRY_GOAL_REVIVE,   /* all RUNNING: see group_revive.c */
    FERRY_GOAL_COUNT
};

enum ferry_group_result {
    FERRY_GROUP_BUSY = 0,
    FERRY_GROUP_DONE,
    FERRY_GROUP_FAILED, /* every device has answered, at least one with a failure */
    FERRY_GROUP_UNRUN   /* revive with may_return: failed, and nothing can have run */
};

struct ferry_group {
    uint32_t count;
    uint32_t goal; /* enum ferry_group_goal */
    uint32_t stage;
    uint32_t failed_device;
    int32_t status;     /* first failure of the present goal, else FERRY_OK */
    uint8_t direct;     /* revive: from PRE_COPY, nothing was stopped */
    uint8_t may_return; /* revive: report UNRUN instead of going on */
    uint8_t pad[2];
    struct ferry_group_device device[FERRY_SESSION_DEVICES_MAX];
};

void ferry_group_init(struct ferry_group *group,
                      const struct ferry_session_config *config, uint32_t state);

/* Begins a goal. Return: enum ferry_group_result (DONE when no device has to move). */
int ferry_group_begin(struct ferry_group *group, uint32_t goal,
                      struct ferry_actions *actions);

/* Begins FERRY_GOAL_REVIVE. */
int ferry_group_revive(struct ferry_group *group, int direct, int may_return,
                       struct ferry_actions *actions);

/*
 * Takes in an end of an action of a device (STATE_DONE, RESET_DONE, CONFIG_DONE,
 * LOG_DONE). What is late, double or about no device is ignored. Return: 1 when it
 * changed something.
 */
int ferry_group_note(struct ferry_group *group, const struct ferry_event *event);

/* Goes on with the goal after a note. Return: enum ferry_group_result. */
int ferry_group_advance(struct ferry_group *group, struct ferry_actions *actions);

/* Whoever still owes an answer is hung from now on. Return: how many. */
uint32_t ferry_group_give_up(struct ferry_group *group);

/* A device that was given up answered after all: it goes on by itself. */
void ferry_group_late(struct ferry_group *group, uint32_t device,
                      struct ferry_actions *actions);

/* Asks one device for a state. */
void ferry_group_ask(struct ferry_group *group, uint32_t device, uint32_t state,
                     struct ferry_actions *actions);

/* Starts / stops dirty tracking on every device that has it (stop: where it may be on).
 */
void ferry_group_log(struct ferry_group *group, int on, struct ferry_actions *actions);

/* 1 while any device owes an answer. */
int ferry_group_is_busy(const struct ferry_group *group);
/* 1 when any device is in ERROR and has not been given up. */
int ferry_group_has_error(const struct ferry_group *group);

/* group_revive.c: one turn of reviving. */
int ferry_group_revive_advance(struct ferry_group *group, struct ferry_actions *actions);

#endif
