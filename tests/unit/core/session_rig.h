/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef FERRY_TEST_SESSION_RIG_H
#define FERRY_TEST_SESSION_RIG_H

#include <stddef.h>
#include <stdint.h>

#include "core/session/source.h"
#include "core/session/target.h"

/*
 * A session whose world answers every action at once and well, and notes what happened in
 * which order. Tests stop it in a phase and tell it something else.
 *
 * Two devices: 0 has all features and a log, 1 has neither P2P nor PRE_COPY nor a log.
 */
#define RIG_NOTES_MAX 512
#define RIG_QUEUE_MAX 64
#define RIG_ANY 0xfffffffeu

struct rig_note {
    int is_action;
    uint32_t kind, device, arg;
    int32_t status;
};

struct rig {
    struct ferry_source source;
    struct ferry_target target;
    int is_target;
    uint32_t rounds;
    uint32_t state[2]; /* of the devices, as answered */
    uint32_t decision; /* what the arbiter answers; 0: what is proposed */
    int silent;        /* answers nothing any more */
    uint32_t withhold; /* enum ferry_event_kind that never comes; 0: none */
    struct ferry_event queue[RIG_QUEUE_MAX];
    uint32_t queued;
    struct rig_note note[RIG_NOTES_MAX];
    uint32_t notes;
};

void rig_source(struct rig *rig, uint32_t arbiter);
void rig_target(struct rig *rig, uint32_t arbiter);
/* One event from outside, and everything that follows until nothing is left to answer. */
void rig_tell(struct rig *rig, uint32_t kind, uint32_t device, uint32_t arg,
              int32_t status);
/* Goes on until the phase is reached or nothing is left. The test fails if it is not. */
void rig_until(struct rig *rig, uint32_t phase);
/* Answers what waits. */
void rig_run(struct rig *rig);
uint32_t rig_phase(const struct rig *rig);
/* Place of the first action or event from `from` on; RIG_NOTES_MAX: there is none. */
uint32_t rig_action(const struct rig *rig, uint32_t from, uint32_t kind, uint32_t device,
                    uint32_t arg);
uint32_t rig_event(const struct rig *rig, uint32_t from, uint32_t kind, uint32_t device,
                   uint32_t arg);

#endif
