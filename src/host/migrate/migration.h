/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef FERRY_HOST_MIGRATE_MIGRATION_H
#define FERRY_HOST_MIGRATE_MIGRATION_H

#include <stdatomic.h>

#include "core/stream/order.h"
#include "core/stream/payload.h"
#include "core/stream/record.h"
#include "host/migrate/arbiter.h"
#include "host/channel/channel.h"
#include "host/context/context.h"
#include "host/file/peer.h"
#include "host/migrate/lanes/lanes.h"
#include "host/migrate/pipe.h"
#include "host/ram/ram.h"
#include "os/file.h"

/*
 * The migration half of a context. A session of the core decides; the files here only
 * perform its actions and report how they ended:
 *
 *   migration.c    made once per context; requests to devices, teardown
 *   pump.c         events in, steps, actions out; timers; notices to the user
 *   perform.c      actions that both sides know: states, config, timers, CPUs, the
 * arbiter send*.c        actions of a source   (ram*.c: its memory rounds) receive*.c
 * actions of a target, and the records of both directions report.c       figures
 *   migrate.c      the public calls
 *
 * Thread: the loop's thread, except what is said of the CPU mailbox.
 */

/* Events that may wait; each step takes one and performs its actions. */
#define FERRY_RUN_EVENTS_MAX 1024u
/* Data requests of one device under way, and the size of one. */
#define FERRY_RUN_READS 4u
#define FERRY_RUN_READ_BYTES (512u << 10)
/* Device data that a target holds per device until the device has taken it. */
#define FERRY_RUN_WRITES 4u
#define FERRY_RUN_NOTES 8u
#define FERRY_RUN_PROGRESS_NS 50000000u

struct ferry_run;

/*
 * One request to a device. It lives until the device has answered, also when the
 * migration that asked has ended by then: its done function is then not called any more.
 */
struct ferry_op {
    struct ferry_request request;
    struct ferry_migration *migration;
    struct ferry_op *prev, *next; /* of migration->ops */
    uint64_t generation;
    void (*done)(struct ferry_run *run, struct ferry_op *op); /* frees or keeps op */
    uint32_t device;
    uint32_t arg;
    uint32_t answered; /* 1: request.status is set */
    uint32_t queued;   /* 1: its data waits in the channel */
    uint64_t begun_ns;
    struct ferry_error error;
    size_t cap;
    _Alignas(16) uint8_t data[];
};

/* Data of one device at the source. */
struct ferry_run_reader {
    struct ferry_op *slot[FERRY_RUN_READS]; /* in the order of asking, from `head` on */
    uint32_t head, count;
    uint32_t idle_count;
    struct ferry_op *idle[FERRY_RUN_READS]; /* buffers that are free */
    uint32_t made;     /* buffers that exist: idle, in a slot or in the channel */
    uint32_t active;   /* 1: between DATA_READ and its end event */
    uint32_t stopping; /* 1: no more is asked (dry, end, failure, cancel) */
    uint32_t pumping, again;
    uint32_t final;     /* 1: STOP_COPY, the end is wanted */
    uint32_t ended;     /* 1: the end was seen */
    uint32_t questions; /* PRECOPY_INFO and DATA_SIZE under way */
    int32_t status;
    uint64_t bytes; /* in this action */
    uint64_t begun_ns;
    uint64_t total_bytes;                  /* of the session */
    uint64_t initial_left, stop_bytes_now; /* as last asked */
    struct ferry_stream_hash *hash;
};

/* Data of one device at the target. */
struct ferry_run_writer {
    struct ferry_op *slot[FERRY_RUN_WRITES]; /* in the order of arrival, from 0 on */
    uint32_t count;
    struct ferry_op *spare[FERRY_RUN_WRITES];
    uint32_t spare_count;
    struct ferry_op *filling; /* the record that is being received */
    uint32_t pumping, again;
    uint32_t initial_due; /* 1: INITIAL_LOADED is due when count is 0 */
    uint32_t end_due;     /* 1: LOADED is due when count is 0 */
    uint32_t ended;       /* 1: LOADED was reported, for good or bad */
    int32_t status;
    uint64_t total_bytes;
    uint64_t busy_since_ns;
    struct ferry_stream_hash *hash;
};

struct ferry_run_device {
    struct ferry_run_reader reader;
    struct ferry_run_writer writer;
    struct ferry_run_pipe pipe; /* run NULL: the data goes by messages */
    void (*pipe_over)(struct ferry_run *run, uint32_t device);
    uint32_t touched; /* 1: a state was asked for in this run */
    uint32_t log_asked;
    uint32_t config_saved;  /* 1: config holds what was read ... */
    uint32_t config_writes; /* ... when host->config_writes stood here */
    size_t config_bytes;
    uint8_t *config; /* FERRY_HOST_BLOB_MAX; NULL: none yet */
    uint32_t irqs_known;
    uint8_t irqs[FERRY_HOST_IRQ_BITMAP_BYTES];
    struct ferry_stream_hello_device hello; /* target: what the source said */
    uint32_t chunks;                        /* target: HELLO_V1 came for it */
    struct ferry_device_report report;
};

/* Moments of a migration; 0: did not come to pass. */
enum ferry_mark {
    FERRY_MARK_START = 0,
    FERRY_MARK_PAUSE, /* CPUs told to pause */
    FERRY_MARK_PAUSED,
    FERRY_MARK_QUIET,    /* every device in its P2P state */
    FERRY_MARK_STOPPED,  /* every device in STOP_COPY */
    FERRY_MARK_ALL_SENT, /* target: received */
    FERRY_MARK_PREPARED,
    FERRY_MARK_RUNNING, /* RUNNING, or the CPUs run again here */
    FERRY_MARK_COMMIT,
    FERRY_MARK_COUNT
};

/* One migration, from connection to its end. */
struct ferry_run {
    struct ferry_migration *migration;
    struct ferry_context *context;
    uint32_t incoming, listening; /* listening: came through the listener */
    uint32_t introduced;          /* target: HELLO has come */
    uint32_t ended;               /* FINISHED was performed */
    uint32_t undecided;
    uint32_t stopped;      /* CPUs were told to pause */
    uint32_t cpus_stopped; /* CPUs have paused and were not told to go on */
    uint32_t cancelled;    /* CANCEL_IO was performed */
    uint32_t silent;       /* 1: no ABORT for bad input any more (commit may be out) */
    uint32_t down;         /* the input has ended */
    uint32_t device_count;
    uint32_t no_data_fd;
    void *session; /* struct ferry_source or ferry_target */
    struct ferry_session_config config;
    struct ferry_channel *channel; /* lane 0 */
    struct ferry_lanes lanes;
    struct ferry_file_peer *file; /* the other end, when it is a file; NULL: none */
    struct ferry_stream_order order;
    struct ferry_loop_idle producer;
    uint8_t session_id[FERRY_STREAM_ID_BYTES];
    uint32_t epoch;
    uint32_t preamble_sent, aborted;
    uint64_t channel_limit; /* bytes per second before the stop; 0: none */
    struct ferry_arbiter arbiter;

    struct ferry_event event[FERRY_RUN_EVENTS_MAX];
    uint32_t event_head, event_count;
    struct ferry_action action[FERRY_SESSION_ACTIONS_MAX]; /* of the last step */
    uint32_t action_next, action_count;
    uint32_t pumping;
    uint32_t discarded; /* devices that were closed by DISCARD: bit per device */
    uint32_t outcome;
    int32_t status;
    uint32_t failed_device;
    uint32_t released; /* RELEASE was performed */
    uint32_t phase;
    const char *phase_failed; /* where the first failure came; NULL: none */
    struct ferry_loop_timer timer[FERRY_TIMER_COUNT];
    struct ferry_loop_timer greet_timer;
    struct ferry_error note[FERRY_RUN_NOTES];
    uint32_t note_count;

    struct ferry_ram ram;
    /* Source: index of a region to its index in the stream. Target: the reverse. */
    uint32_t memory_map[FERRY_STREAM_MEMORIES_MAX];
    uint32_t memory_count;
    struct ferry_run_device device[FERRY_SESSION_DEVICES_MAX];

    /* target */
    struct ferry_stream_hello hello;
    struct ferry_stream_hello_memory memory[FERRY_STREAM_MEMORIES_MAX];
    uint32_t accepted, complete;
    uint8_t *vmm; /* own memory, grows with what comes */
    uint64_t vmm_cap;
    /* source */
    const uint8_t *vmm_data;      /* the VMM's */
    uint64_t vmm_bytes, vmm_next; /* vmm_next > vmm_bytes: all is queued */
    uint32_t vmm_asked, final_memory, final_over;
    uint64_t load_bytes, load_ns;

    uint64_t mark[FERRY_MARK_COUNT];
    uint64_t progress_ns;
    uint64_t predicted_ns; /* downtime, as predicted when the CPUs were paused */
    struct ferry_stream_running running; /* source: the target's figures */
    struct ferry_report report;
};

/* Sees every event and action, for tests. Functions may be NULL. */
struct ferry_trace {
    void (*event)(void *user, int incoming, const struct ferry_event *event);
    void (*action)(void *user, int incoming, const struct ferry_action *action);
    void *user;
};

/* Times of a device in earlier migrations; 0: not measured. */
struct ferry_measured {
    uint64_t quiet_ns, stop_ns, load_ns, run_ns;
};

/* Made once per context; requests that outlive a run keep to it. */
struct ferry_migration {
    struct ferry_context *context;
    struct ferry_run *run; /* NULL: none */
    uint64_t generation;   /* of the present run */
    struct ferry_op *ops;
    struct ferry_harvest *harvests;
    struct ferry_channel *lingering;
    struct ferry_loop_idle reaper;
    uint32_t finished; /* runs that have ended, all in all */
    uint32_t destroying;

    /* listening */
    int listener;
    struct ferry_watch listener_watch;
    struct ferry_loop_timer accept_timer; /* after a failed accept: not at once again */
    struct ferry_migrate_options listen_options;
    char arbiter[FERRY_OS_PATH_MAX + 8];
    char address[320];
    char unix_path[108];

    /* Mailbox for ferry_context_cpus_done(). Thread: any. */
    int cpus_fd;
    struct ferry_watch cpus_watch;
    atomic_int cpus_status;
    atomic_int cpus_answered;
    uint32_t cpus_wanted; /* FERRY_EV_CPUS_PAUSED or _RESUMED, or 0 */
    uint32_t cpus_owed;   /* answers to come: one per PENDING, of earlier runs as well */

    struct ferry_measured measured[FERRY_SESSION_DEVICES_MAX];
    uint64_t rate_bytes_per_s, load_rate_bytes_per_s;
    struct ferry_report report; /* of the last run */
    struct ferry_trace trace;
};

/* --- migration.c --- */

/* The context's migration half, made when there is none. NULL: out of memory. */
struct ferry_migration *ferry_migration_get(struct ferry_context *context);

/* A request with `cap` bytes of memory behind it; NULL: out of memory. */
struct ferry_op *ferry_op_new(struct ferry_run *run, uint32_t kind, uint32_t device,
                              size_t cap,
                              void (*done)(struct ferry_run *run, struct ferry_op *op));
/*
 * Starts it. done runs when the device has answered, from dispatch.
 * Return: FERRY_PENDING; else it has ended already, request.status is set and done is NOT
 *   called: the caller goes on.
 */
int ferry_op_start(struct ferry_op *op);
/* Counts the answers about the CPUs that have come by now. */
void ferry_migration_count_answers(struct ferry_migration *migration);
/* Takes connections at the listener, or leaves them waiting while there is a run. */
void ferry_migration_watch_listener(struct ferry_migration *migration);
/* As ferry_op_start(), but calls done in every case. */
void ferry_op_run(struct ferry_op *op);
void ferry_op_free(struct ferry_op *op);

/*
 * Makes the run of one side over a connected socket, which it owns from then on, also on
 * failure. Return: FERRY_OK, or a negative code.
 */
int ferry_run_create(struct ferry_migration *migration, int fd, int incoming,
                     const struct ferry_migrate_options *options,
                     struct ferry_run **ret_run, struct ferry_error *reterr);
/*
 * MIG-PEER-1: a source's device without P2P support reaches no peer, unless it has
 * implicit quiescence.
 * Return: FERRY_OK, FERRY_E_PEER_MAP.
 */
int ferry_run_check_peers(struct ferry_context *context, uint32_t device,
                          struct ferry_error *reterr);
/* Begins it: a source introduces itself, a target waits for that. */
void ferry_run_start(struct ferry_run *run);
/* Lets the channel linger, frees the run; requests under way are left to themselves. */
void ferry_run_free(struct ferry_run *run);

/* --- pump.c --- */

/* Queues an event; the pump takes it at once unless it is running. */
void ferry_run_event(struct ferry_run *run, uint32_t kind, uint32_t device,
                     int32_t status, uint32_t arg);
/* Goes on from the loop itself, where no device or channel is busy with us: what closes
 * devices is performed here only. */
void ferry_run_pump_idle(struct ferry_run *run);
void ferry_run_event_abc(struct ferry_run *run, uint32_t kind, uint32_t device,
                         int32_t status, uint64_t a, uint64_t b, uint64_t c);
/* Keeps a detail for the report and for REFUSE / ABORT; the first of each code stays. */
void ferry_run_note(struct ferry_run *run, const struct ferry_error *error);
/* The detail for a code; made up of the code's own text when there is none. */
void ferry_run_detail(const struct ferry_run *run, int32_t status,
                      struct ferry_error *ret_error);
/* Shows figures, not too often. */
void ferry_run_progress(struct ferry_run *run);
const char *ferry_run_phase_name(const struct ferry_run *run);

/* --- perform.c, send.c, receive.c --- */

/* Performs one action: of both sides; of a source; of a target. Return: 1, or 0 when the
 * action is none of theirs. */
int ferry_run_perform(struct ferry_run *run, const struct ferry_action *action);
int ferry_run_perform_send(struct ferry_run *run, const struct ferry_action *action);
int ferry_run_perform_receive(struct ferry_run *run, const struct ferry_action *action);

/* Queues a record; a failure ends the link. */
void ferry_run_put(struct ferry_run *run, uint16_t tag, uint32_t device,
                   const void *payload, size_t bytes);
/* Tells the peer why nothing more is understood, while that is of use to it. */
void ferry_run_put_abort(struct ferry_run *run, int32_t status);
/* The connection is of no more use to the session. */
void ferry_run_link_down(struct ferry_run *run, const struct ferry_error *error);
/* Reads a device's config blob into run->device[device].config, unless what is there is
 * still right. Waits for the device. */
int ferry_run_config_save(struct ferry_run *run, uint32_t device,
                          struct ferry_error *reterr);
/* The same for all devices, before requests for data are in their way; a failure shows
 * when the config is needed. */
void ferry_run_config_refresh(struct ferry_run *run);

/* --- send_*.c --- */

void ferry_run_send_hello(struct ferry_run *run);
/* The CPUs are told to pause: no bandwidth limit from here on. */
void ferry_run_stop_begins(struct ferry_run *run);
void ferry_run_final_round(struct ferry_run *run);
/* Sends a slice of the VMM's state. Return: 1 when more can be sent at once. */
int ferry_run_vmm_produce(struct ferry_run *run);
/* For a device's own descriptor: goes on; a free buffer or NULL; a full one as a record;
 * the end, with its reason. */
void ferry_run_reader_pump(struct ferry_run *run, uint32_t device);
struct ferry_op *ferry_run_reader_buffer(struct ferry_run *run, uint32_t device);
void ferry_run_reader_send(struct ferry_run *run, struct ferry_op *op);
void ferry_run_reader_fail(struct ferry_run *run, uint32_t device, int32_t status,
                           const char *text);
/* Buffers that the first reads need, with their pages in place. */
void ferry_run_readers_prepare(struct ferry_run *run);
void ferry_run_data_read(struct ferry_run *run, uint32_t device);
/* Goes on with every reader after the channel has got room. */
void ferry_run_readers_go_on(struct ferry_run *run);
void ferry_run_readers_cancel(struct ferry_run *run);
void ferry_run_readers_free(struct ferry_run *run);

/* --- receive_*.c --- */

/* Functions of the channel's sink. */
extern const struct ferry_channel_sink ferry_run_sink;
void ferry_run_put_accept(struct ferry_run *run);
/* A record of a target: messages to the source. */
int ferry_run_receive_answer(struct ferry_run *run, const struct ferry_record *record,
                             const uint8_t *payload, struct ferry_error *reterr);
/* A record of a source's introduction. */
int ferry_run_receive_hello(struct ferry_run *run, const struct ferry_record *record,
                            const uint8_t *payload, struct ferry_error *reterr);
/* PREAMBLE, of either side. */
int ferry_run_receive_preamble(struct ferry_run *run, const struct ferry_record *record,
                               const uint8_t *payload, struct ferry_error *reterr);
/* Compares what the source said with what is here. Return: as FERRY_EV_CHECKED. */
int ferry_run_check_hello(struct ferry_run *run, struct ferry_error *reterr);
/* A source's device data: buffers made beforehand, room for a record, its end, the end of
 * all. place: FERRY_E_AGAIN while the device has enough to do. */
void ferry_run_writer_pump(struct ferry_run *run, uint32_t device);
void ferry_run_writer_fail(struct ferry_run *run, uint32_t device, int32_t status,
                           const char *text);
void ferry_run_writers_prepare(struct ferry_run *run);
int ferry_run_data_place(struct ferry_run *run, const struct ferry_record *record,
                         uint8_t **ret_place, struct ferry_error *reterr);
void ferry_run_data_record(struct ferry_run *run, const struct ferry_record *record);
void ferry_run_data_initial(struct ferry_run *run, uint32_t device);
void ferry_run_data_end(struct ferry_run *run, uint32_t device,
                        const struct ferry_stream_device_end *end);
void ferry_run_writers_free(struct ferry_run *run);

/* --- report.c --- */

/* Notes a moment, the first time it comes. */
void ferry_run_mark(struct ferry_run *run, enum ferry_mark mark);
/* An event of interest to the figures is about to be taken. */
void ferry_run_mark_event(struct ferry_run *run, const struct ferry_event *event);
/* A device has ended an arc to `state` after `ns`. */
void ferry_run_arc_time(struct ferry_run *run, uint32_t device, uint32_t state,
                        uint64_t ns);
/* The report as it stands now. */
void ferry_run_report(struct ferry_run *run, struct ferry_report *ret_report);
/* Keeps what was measured for the next prediction. */
void ferry_run_learn(struct ferry_run *run);
void ferry_run_put_running(struct ferry_run *run);
/* The low half of the session id. */
uint64_t ferry_run_session_number(const struct ferry_run *run);
/* Expected times of a device: measured before, else declared by it. */
void ferry_run_expected(const struct ferry_migration *migration, uint32_t device,
                        struct ferry_measured *ret_times);

#endif
