/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef FERRY_SESSION_H
#define FERRY_SESSION_H

#include <stddef.h>
#include <stdint.h>

#include "ferry/error.h"
#include "ferry/state.h"
#include "ferry/version.h"

#ifdef __cplusplus
extern "C" {
#endif

/*
 * Migration sessions as pure automata: no I/O, no clock, no memory of their own. The
 * caller feeds events (time comes with each), performs the actions that come back and
 * reports their ends as events. Late, duplicate and unexpected events are legal input.
 */

/* Most devices that move together. */
#define FERRY_SESSION_DEVICES_MAX 32
/* Actions that one step can return at most; a smaller array may run over. */
#define FERRY_SESSION_ACTIONS_MAX 128
/* "No device" in events and actions. */
#define FERRY_NO_DEVICE 0xffffffffu

/* Messages between the two sessions. Each is a record of the stream of the same name. */
enum ferry_message {
    FERRY_MSG_HELLO = 1,    /* source: devices, identities, memory, limits, session id */
    FERRY_MSG_ACCEPT,       /* target: all devices match and are RESUMING */
    FERRY_MSG_REFUSE,       /* target: why not; the source has lost nothing */
    FERRY_MSG_INITIAL_SENT, /* source: a device's initial bytes are all sent (device) */
    FERRY_MSG_INITIAL_DONE, /* target: a device's initial bytes are loaded (device) */
    FERRY_MSG_ALL_SENT,     /* source: every end record has been sent */
    FERRY_MSG_PREPARED,     /* target: complete, verified, stopped */
    FERRY_MSG_COMMIT,       /* source: the target owns the devices now */
    FERRY_MSG_RUNNING,      /* target: devices and CPUs run; status: a device is lost */
    FERRY_MSG_RETURN, /* target: could not run after COMMIT, nothing ran, gives back */
    FERRY_MSG_ABORT,  /* either: the migration is off (before COMMIT) */
    FERRY_MSG_COUNT
};

/* A write-once decision about one epoch of one migration; the first writer wins. */
enum ferry_decision {
    FERRY_DECISION_NONE = 0,   /* nothing written, or not known */
    FERRY_DECISION_COMMIT = 1, /* the target owns the devices */
    FERRY_DECISION_ABORT = 2   /* the source owns the devices */
};

/* The operator's word about an undecided side. */
enum ferry_operator {
    FERRY_OPERATOR_DISCARD = 0,
    FERRY_OPERATOR_RUN = 1,  /* ignored where ferry_source_must_not_run() */
    FERRY_OPERATOR_FORCE = 2 /* run, also against the arbiter's decision */
};

enum ferry_arbiter_kind {
    FERRY_ARBITER_NONE = 0,  /* undecided goes to the operator */
    FERRY_ARBITER_SHARED = 1 /* a write-once store that both sides reach (file) */
};

/* How a session ended. */
enum ferry_outcome {
    FERRY_OUTCOME_BUSY = 0,    /* it has not ended */
    FERRY_OUTCOME_MOVED,       /* the target runs; the source has released its devices */
    FERRY_OUTCOME_REFUSED,     /* refused before the source was touched */
    FERRY_OUTCOME_ROLLED_BACK, /* the source runs again (at a target: it discarded) */
    FERRY_OUTCOME_RESOLVED,    /* ended by the operator's word */
    FERRY_OUTCOME_LOST,        /* a device could not be brought back; see the report */
    FERRY_OUTCOME_SAVED /* the state is in a file, the devices run on here (no session's
                           own: a context's) */
};

enum ferry_event_kind {
    /* from the user */
    FERRY_EV_START = 1,
    FERRY_EV_CANCEL,
    FERRY_EV_OPERATOR, /* arg: enum ferry_operator */
    /* from the link */
    FERRY_EV_MESSAGE,   /* arg: enum ferry_message; device where it has one;
                           status: a REFUSE's or ABORT's reason */
    FERRY_EV_LINK_DOWN, /* status: why */
    FERRY_EV_TIMER,     /* arg: enum ferry_timer */
    /* ends of actions; status is FERRY_OK or a negative code */
    FERRY_EV_STATE_DONE,  /* device; arg: the state it is in now (as read back) */
    FERRY_EV_RESET_DONE,  /* device */
    FERRY_EV_CONFIG_DONE, /* device: config space, MSI-X, IRQs restored */
    FERRY_EV_LOG_DONE,    /* device: dirty tracking started or stopped */
    FERRY_EV_ROUND_DONE,  /* a: bytes sent, b: memory bytes dirty now, c: bytes that
                             devices without PRE_COPY would give in STOP_COPY */
    FERRY_EV_DATA_DRY,    /* device; a: bytes sent since the last, b: initial bytes
                             left, c: bytes that a stop now would leave (data size) */
    FERRY_EV_DATA_END,    /* device: end record sent; a: bytes in STOP_COPY */
    FERRY_EV_FINAL_DONE,  /* last memory, interrupts, the VMM's state are sent */
    FERRY_EV_CPUS_PAUSED,
    FERRY_EV_CPUS_RESUMED,
    FERRY_EV_FOREIGN_QUIET,   /* foreign DMA initiators are quiet */
    FERRY_EV_DECISION,        /* arg: enum ferry_decision in force; status != OK: the
                                 arbiter could not be asked; device: epoch */
    FERRY_EV_CHECKED,         /* target: HELLO compared with the devices here; status */
    FERRY_EV_LOADED,          /* target: device's data complete, length and hash right */
    FERRY_EV_MEMORY_COMPLETE, /* target: every memory and VMM record is here */
    FERRY_EV_VMM_LOADED,      /* target: the VMM took its state */
    FERRY_EV_INITIAL_LOADED,  /* target: device's initial bytes are loaded */
    FERRY_EV_COUNT
};

struct ferry_event {
    uint32_t kind;   /* enum ferry_event_kind */
    uint32_t device; /* index, or FERRY_NO_DEVICE */
    int32_t status;  /* FERRY_OK or a negative code */
    uint32_t arg;
    uint64_t now_ns; /* monotonic time of the event */
    uint64_t a, b, c;
};

enum ferry_action_kind {
    FERRY_ACT_SEND = 1,       /* arg: enum ferry_message; device; status: a reason */
    FERRY_ACT_SET_STATE,      /* device; arg: state. Ends in STATE_DONE, always with the
                                 state read back (FERRY_EV_STATE_DONE) */
    FERRY_ACT_RESET,          /* device. Ends in RESET_DONE */
    FERRY_ACT_RESTORE_CONFIG, /* device: config, BARs, peer maps, MSI-X, IRQs (at a target
                                 pending ones are raised). Ends in CONFIG_DONE */
    FERRY_ACT_LOG_START,      /* device. Ends in LOG_DONE */
    FERRY_ACT_LOG_STOP,       /* device. Ends in LOG_DONE */
    FERRY_ACT_RAM_ROUND,   /* harvest every log, send what is dirty. Ends in ROUND_DONE */
    FERRY_ACT_DATA_READ,   /* device: send its data until dry or, in STOP_COPY, until the
                              end and then its end record. DATA_DRY or DATA_END; a failure
                              is the same event with a negative status */
    FERRY_ACT_FINAL_ROUND, /* last dirty report, last memory, pending interrupts drained
                              and sent, config blobs, the VMM's state. FINAL_DONE */
    FERRY_ACT_PAUSE_CPUS,  /* Ends in CPUS_PAUSED */
    FERRY_ACT_RESUME_CPUS, /* Ends in CPUS_RESUMED */
    FERRY_ACT_QUIET_FOREIGN,   /* Ends in FOREIGN_QUIET */
    FERRY_ACT_RELEASE_FOREIGN, /* no end */
    FERRY_ACT_RAISE_IRQS, /* raise again what FINAL_ROUND drained (roll-back); no end */
    FERRY_ACT_CANCEL_IO,  /* stop rounds and reads under way; their ends may still come */
    FERRY_ACT_DECIDE,     /* arg: the proposal (NONE: only read); device: epoch.
                             Ends in DECISION */
    FERRY_ACT_TIMER_SET,  /* arg: enum ferry_timer; a: deadline_ns */
    FERRY_ACT_TIMER_CANCEL, /* arg: enum ferry_timer */
    FERRY_ACT_CHECK,        /* target: compare HELLO with the devices. CHECKED */
    FERRY_ACT_LOAD_VMM,     /* target: hand the VMM its state. VMM_LOADED */
    FERRY_ACT_RELEASE,      /* source: stop and close the devices; no end */
    FERRY_ACT_DISCARD,      /* target: reset or close the devices; no end */
    FERRY_ACT_UNDECIDED,    /* tell the user: undecided, an operator's word is needed */
    FERRY_ACT_FINISHED,     /* arg: enum ferry_outcome; status: the first cause */
    FERRY_ACT_COUNT
};

struct ferry_action {
    uint32_t kind; /* enum ferry_action_kind */
    uint32_t device;
    int32_t status;
    uint32_t arg;
    uint64_t a;
};

enum ferry_timer {
    FERRY_TIMER_PHASE = 0,    /* the wait of the present phase */
    FERRY_TIMER_DEADLINE = 1, /* pre-copy must converge by then */
    FERRY_TIMER_STOP = 2,     /* after the stop: committed by then, or back */
    FERRY_TIMER_COUNT
};

/* What a session has to know of one device. */
struct ferry_session_device {
    uint32_t features;     /* FERRY_MIG_* */
    uint32_t can_log;      /* 1: has a dirty log of its own */
    uint32_t reaches_peer; /* 1: the BAR of another device is in its own DMA map */
    uint32_t peer;         /* that device's index, when reaches_peer is 1 */
    uint64_t quiet_ns;     /* expected time of the arc to the P2P state */
    uint64_t stop_ns;      /* expected time of the arc to STOP or STOP_COPY */
    uint64_t load_ns;      /* expected time of RESUMING to STOP at the target */
    uint64_t run_ns;       /* expected time of the arcs to RUNNING at the target */
    /* 1, without FERRY_MIG_P2P only: its STOP and STOP_COPY are as quiet as a P2P state,
     * until its data are read (ferry_identity.implicit_quiesce). */
    uint32_t implicit_quiesce;
    uint32_t pad;
};

/* Limits and choices of a migration. 0 takes the default named. */
struct ferry_session_config {
    uint32_t device_count;
    uint32_t arbiter;          /* enum ferry_arbiter_kind */
    uint64_t max_downtime_ns;  /* default 300 ms */
    uint64_t deadline_ns;      /* pre-copy must converge within; default 60 s */
    uint64_t stop_deadline_ns; /* committed within, after the stop; default 10 s */
    uint64_t arc_limit_ns;     /* a device must end an arc within; default 5 s */
    uint64_t peer_limit_ns;    /* an answer of the peer must come within; default 10 s */
    uint64_t rate_bytes_per_s; /* first guess of the channel's rate; default 1 GB/s */
    uint64_t
        load_rate_bytes_per_s; /* first guess of the target's load rate; default 2 GB/s */
    uint64_t overhead_ns;      /* pause, control messages, resume; default 1 ms */
    struct ferry_session_device device[FERRY_SESSION_DEVICES_MAX];
};

/* Figures that a running session shows (ferry_source_progress). */
struct ferry_progress {
    uint32_t phase; /* index for ferry_source_phase_name() */
    uint32_t round; /* memory rounds done */
    uint64_t ram_bytes_sent;
    uint64_t device_bytes_sent;
    uint64_t bytes_left;            /* what a stop now would leave */
    uint64_t rate_bytes_per_s;      /* measured */
    uint64_t predicted_downtime_ns; /* 0: not known yet */
};

/* One session is plain data: the caller's memory, may be copied with memcpy. */
struct ferry_source;
struct ferry_target;

/* Bytes of a session. */
FERRY_PUBLIC size_t ferry_source_need(void);
FERRY_PUBLIC size_t ferry_target_need(void);

/*
 * Prepares a session in caller's memory of ferry_source_need() bytes, aligned to 8.
 * Return: FERRY_OK; FERRY_E_ARGUMENT (no device, too many, a device without STOP_COPY).
 */
FERRY_PUBLIC int ferry_source_init(struct ferry_source *source,
                                   const struct ferry_session_config *config);
FERRY_PUBLIC int ferry_target_init(struct ferry_target *target,
                                   const struct ferry_session_config *config);

/*
 * Takes one event and returns the actions to perform, in order.
 * cap: entries of ret_actions; FERRY_SESSION_ACTIONS_MAX always suffices.
 * Return: number of actions; FERRY_E_CAPACITY when ret_actions ran over (the session is
 *   then as before the call).
 * State: any. Thread: not thread safe.
 */
FERRY_PUBLIC int ferry_source_step(struct ferry_source *source,
                                   const struct ferry_event *event,
                                   struct ferry_action *ret_actions, size_t cap);
FERRY_PUBLIC int ferry_target_step(struct ferry_target *target,
                                   const struct ferry_event *event,
                                   struct ferry_action *ret_actions, size_t cap);

/* Present figures. Thread: not thread safe. */
FERRY_PUBLIC void ferry_source_progress(const struct ferry_source *source,
                                        struct ferry_progress *ret_progress);

/*
 * The target's own figures, for the next prediction: adds the measured load rate.
 * bytes_per_s 0 is ignored.
 */
FERRY_PUBLIC void ferry_source_set_load_rate(struct ferry_source *source,
                                             uint64_t bytes_per_s);

/*
 * What the target expects of one of its devices, for the prediction; 0 keeps what is
 * known. device: out of range is ignored.
 */
FERRY_PUBLIC void ferry_source_set_target_times(struct ferry_source *source,
                                                uint32_t device, uint64_t load_ns,
                                                uint64_t run_ns);

/* Present phase, for names and for tests. */
FERRY_PUBLIC uint32_t ferry_source_phase(const struct ferry_source *source);
FERRY_PUBLIC uint32_t ferry_target_phase(const struct ferry_target *target);
FERRY_PUBLIC const char *ferry_source_phase_name(uint32_t phase);
FERRY_PUBLIC const char *ferry_target_phase_name(uint32_t phase);

/* enum ferry_outcome; FERRY_OUTCOME_BUSY while it goes on. */
FERRY_PUBLIC uint32_t ferry_source_outcome(const struct ferry_source *source);
FERRY_PUBLIC uint32_t ferry_target_outcome(const struct ferry_target *target);

/* 1 while the session holds a stopped state and waits for decision or operator. */
FERRY_PUBLIC int ferry_source_undecided(const struct ferry_source *source);
FERRY_PUBLIC int ferry_target_undecided(const struct ferry_target *target);

/*
 * 1 when the arbiter has said COMMIT: the target owns the devices, and only
 * FERRY_OPERATOR_FORCE lets this side run (the target is known to be dead).
 */
FERRY_PUBLIC int ferry_source_must_not_run(const struct ferry_source *source);

/* Names for traces: "STATE_DONE", "SET_STATE", "PREPARED", "MOVED". */
FERRY_PUBLIC const char *ferry_event_name(uint32_t kind);
FERRY_PUBLIC const char *ferry_action_name(uint32_t kind);
FERRY_PUBLIC const char *ferry_message_name(uint32_t message);
FERRY_PUBLIC const char *ferry_outcome_name(uint32_t outcome);
FERRY_PUBLIC const char *ferry_decision_name(uint32_t decision);
FERRY_PUBLIC const char *ferry_timer_name(uint32_t timer);

#ifdef __cplusplus
}
#endif

#endif
