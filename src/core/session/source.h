/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef FERRY_CORE_SESSION_SOURCE_H
#define FERRY_CORE_SESSION_SOURCE_H

#include <assert.h>

#include "core/session/group.h"
#include "core/session/precopy.h"
#include "ferry/session.h"

/* Phases of the source, in the normative order; the table is in source.c. */
enum ferry_source_phase {
    FERRY_SRC_IDLE = 0,
    FERRY_SRC_HELLO,        /* introduced; the target compares */
    FERRY_SRC_LOG,          /* dirty tracking starts */
    FERRY_SRC_PRE_COPY_ARC, /* devices with PRE_COPY enter it */
    FERRY_SRC_PRE_COPY,     /* memory rounds and device data while everything runs */
    FERRY_SRC_PAUSE,        /* CPUs pause */
    FERRY_SRC_FOREIGN,      /* foreign DMA initiators are quieted */
    FERRY_SRC_FREEZE,       /* all quiet, barrier, all STOP_COPY */
    FERRY_SRC_TRANSFER,     /* last memory and all devices' data */
    FERRY_SRC_PREPARE,      /* the target verifies */
    FERRY_SRC_DECIDE,       /* the arbiter is asked */
    FERRY_SRC_COMMIT,       /* COMMIT is out: the target owns the devices */
    FERRY_SRC_UNDECIDED,    /* stopped and complete, waits for news or the operator */
    FERRY_SRC_BACK_DECIDE,  /* roll-back: the arbiter is asked, the target may be complete
                             */
    FERRY_SRC_BACK_SETTLE,  /* roll-back: what is under way ends */
    FERRY_SRC_BACK_PAUSE,   /* a device must be reset: CPUs pause for it */
    FERRY_SRC_BACK_FOREIGN, /* and foreign initiators are quieted */
    FERRY_SRC_BACK_REVIVE,  /* all devices to RUNNING */
    FERRY_SRC_BACK_RESUME,  /* CPUs go on */
    FERRY_SRC_BACK_LOG,     /* dirty tracking stops */
    FERRY_SRC_ENDED,
    FERRY_SRC_COUNT
};

struct ferry_source {
    struct ferry_session_config config;
    struct ferry_group group;
    struct ferry_precopy precopy;
    uint32_t phase;       /* enum ferry_source_phase */
    uint32_t outcome;     /* enum ferry_outcome */
    uint32_t end_outcome; /* of a roll-back under way */
    int32_t status;       /* first cause of a failure */
    uint32_t decision;    /* what the arbiter said */
    uint8_t link_up;
    uint8_t peer_told;     /* the target knows of the migration: an ABORT makes sense */
    uint8_t stopped;       /* devices may have left RUNNING/PRE_COPY */
    uint8_t cpus_paused;   /* asked to pause */
    uint8_t foreign_quiet; /* asked to be quiet */
    uint8_t drained;       /* interrupts may have been drained */
    uint8_t round_busy, final_busy, final_done;
    uint8_t pacing; /* between two rounds */
    uint8_t pause_busy, foreign_busy;
    uint8_t settle_late; /* the second wait of BACK_SETTLE */
    uint8_t pad[3];
    uint32_t data_busy;    /* bit per device: a read is under way */
    uint32_t data_ended;   /* bit per device: end record sent */
    uint32_t initial_sent; /* bit per device */
    uint32_t initial_done; /* bit per device: the target has loaded them */
};

static_assert(FERRY_SESSION_DEVICES_MAX <= 32, "one bit per device");

/* source.c: enters a phase; the only place that writes `phase`. */
void ferry_source_enter(struct ferry_source *source, uint32_t phase, uint64_t now_ns,
                        struct ferry_actions *actions);

/* source.c: the target owns the devices: COMMIT goes out, or, without a link, HOLD. */
void ferry_source_commit(struct ferry_source *source, uint64_t now_ns,
                         struct ferry_actions *actions);
/* source.c: undecided from now on. */
void ferry_source_hold(struct ferry_source *source, int32_t status, uint64_t now_ns,
                       struct ferry_actions *actions);

/* source_back.c */

/* Begins the roll-back; status is the cause. */
void ferry_source_go_back(struct ferry_source *source, int32_t status, uint64_t now_ns,
                          struct ferry_actions *actions);
/* The arbiter's answer to a roll-back. */
void ferry_source_back_decide_event(struct ferry_source *source,
                                    const struct ferry_event *event,
                                    struct ferry_actions *actions);
void ferry_source_end(struct ferry_source *source, uint32_t outcome,
                      struct ferry_actions *actions);
void ferry_source_back_event(struct ferry_source *source, const struct ferry_event *event,
                             struct ferry_actions *actions);
/* The target said RUNNING. */
void ferry_source_target_runs(struct ferry_source *source,
                              const struct ferry_event *event,
                              struct ferry_actions *actions);
void ferry_source_undecided_event(struct ferry_source *source,
                                  const struct ferry_event *event,
                                  struct ferry_actions *actions);

/* source_precopy.c */
void ferry_source_round_begin(struct ferry_source *source, uint64_t now_ns,
                              struct ferry_actions *actions);
void ferry_source_precopy_event(struct ferry_source *source,
                                const struct ferry_event *event,
                                struct ferry_actions *actions);

#endif
