/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef FERRY_CORE_SESSION_TARGET_H
#define FERRY_CORE_SESSION_TARGET_H

#include <assert.h>

#include "core/session/group.h"
#include "ferry/session.h"

/* Phases of the target, in the normative order; the table is in target.c. */
enum ferry_target_phase {
    FERRY_TGT_IDLE = 0,
    FERRY_TGT_CHECK,    /* HELLO is compared with the devices here */
    FERRY_TGT_RESUMING, /* all devices to RESUMING */
    FERRY_TGT_LOADING,  /* memory and device data come in; each device stops when complete
                         */
    FERRY_TGT_PREPARED, /* complete and verified; waits for COMMIT */
    FERRY_TGT_DECIDE,   /* no COMMIT came: the arbiter is asked */
    FERRY_TGT_UNDECIDED, /* stopped and complete, waits for the operator */
    FERRY_TGT_RUN,       /* owner: all devices to RUNNING */
    FERRY_TGT_RETURN,    /* owner that cannot run: the arbiter is told, then the source */
    FERRY_TGT_RESUME,    /* CPUs go on */
    FERRY_TGT_ENDED,
    FERRY_TGT_COUNT
};

struct ferry_target {
    struct ferry_session_config config;
    struct ferry_group group;
    uint32_t phase;       /* enum ferry_target_phase */
    uint32_t outcome;     /* enum ferry_outcome */
    uint32_t end_outcome; /* MOVED, or RESOLVED by the operator */
    int32_t status;
    uint32_t decision;
    uint8_t link_up;
    uint8_t memory_complete, all_sent;
    uint8_t vmm_asked, vmm_loaded;
    uint8_t pad[3];
    uint32_t loaded;  /* bit per device: data complete and right */
    uint32_t stopped; /* bit per device: in STOP, validated by the device */
    uint32_t config_asked, config_done;
    uint32_t initial_done; /* bit per device: INITIAL_DONE sent */
};

static_assert(FERRY_SESSION_DEVICES_MAX <= 32, "one bit per device");

/* target.c: the only place that writes `phase`. */
void ferry_target_enter(struct ferry_target *target, uint32_t phase, uint64_t now_ns,
                        struct ferry_actions *actions);

/* target_run.c: from COMMIT on. */
void ferry_target_run(struct ferry_target *target, uint64_t now_ns,
                      struct ferry_actions *actions);
void ferry_target_run_event(struct ferry_target *target, const struct ferry_event *event,
                            struct ferry_actions *actions);

/* target_load.c */
void ferry_target_load_event(struct ferry_target *target, const struct ferry_event *event,
                             struct ferry_actions *actions);

/* Ends the session; discards the devices unless they run here. */
void ferry_target_end(struct ferry_target *target, uint32_t outcome, int32_t status,
                      struct ferry_actions *actions);

#endif
