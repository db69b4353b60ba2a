/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef FERRY_BRIDGE_MIGRATION_INSIDE_H
#define FERRY_BRIDGE_MIGRATION_INSIDE_H

#include <pthread.h>
#include <stdatomic.h>

#include "bridge/device/device.h"
#include "bridge/device/link.h"
#include "bridge/migration/data/frame.h"
#include "bridge/migration/migration.h"
#include "wire/frame.h"

/*
 * The parts:
 *   migration.c  its life, what the VMM asks and is told; whatever is locked
 *   states.c     arcs: what the VMM sees, what the server is in
 *   harm.c       a state that is lost under its guest
 *   estimate.c   how much data there is
 *   counters.c   what the device says that it lost or carried
 *   data.c       the VMM's data descriptor
 *   save.c       the server's data to it, load.c back
 *   pipe.c       the server's own data descriptor, async.c one message under way
 *   frame.c      the form of the data
 *   v1/          all of that for a VMM of uAPI v1
 *
 * Lock: `lock` guards all of a migration and is held over calls to the server, whose
 * waits are bounded; nobody takes two of them. Only lost and the pipe's descriptor, to
 * wake who waits for it, are reached without.
 */

/* Estimates and "nothing for now" are that old at most: QEMU compares them some ten
 * thousand times a second while it does not converge, and its own figure of the bandwidth
 * is renewed ten times a second. */
#define BRIDGE_ESTIMATE_NS 10000000u
/* Said of a device that tells no size: one read of QEMU's, so that its buffer, which the
 * first answer decides on, is not small. */
#define BRIDGE_SIZE_UNKNOWN (1u << 20)
#define BRIDGE_SIZE_MIN 4096u
/* The VMM's writes, 32 KiB each on QEMU's main channel, reach the server joined to that
 * when they go by messages. Its data descriptor is a stream, into which only those of
 * less than BRIDGE_STRAIGHT_MIN are joined: a copy more would cost, and let it wait. */
#define BRIDGE_JOIN_BYTES (1u << 20)
/* Reads of less are filled from a buffer of this size instead of straight. */
#define BRIDGE_STAGE_BYTES 65536u
#define BRIDGE_STRAIGHT_MIN 4096u
/* A reset by the thread that was refused a state is QEMU's recovery when it comes so
 * soon: its next call. */
#define BRIDGE_RECOVERY_NS 5000000000u
/* Read ahead at a time: with its head it fills one read of QEMU's. */
#define BRIDGE_AHEAD_BYTES (BRIDGE_FRAME_DATA_MAX - BRIDGE_FRAME_HEAD_BYTES)
/* What comes behind the last DATA: IRQS of MSI and MSI-X, END. */
#define BRIDGE_TAIL_MAX (2u * BRIDGE_FRAME_IRQS_MAX + BRIDGE_FRAME_END_BYTES)
/* A stopped device gives four times what it told, and that much, at most; or this when it
 * told nothing: QEMU reads to the end with its guest standing still and hears nothing. */
#define BRIDGE_STOPPED_MORE_BYTES (1ull << 30)
#define BRIDGE_STOPPED_UNKNOWN_BYTES (64ull << 30)
/* Beyond the limit of a request, for a service thread that is late. */
#define BRIDGE_ASYNC_GRACE_MS 2000u

struct bridge_data;

/* The server's data descriptor; its session's bytes go there instead of by messages. */
struct bridge_pipe {
    pthread_mutex_t fd_lock; /* of fd and poll_fd; taken last */
    int fd;                  /* -1: none */
    int poll_fd;     /* the VMM polls it for the session's bytes; -1: it does not */
    uint32_t wanted; /* saving: a WANT is open */
    uint32_t left;   /* of a DATA that comes in */
    uint64_t session;
    uint32_t timeout_ms; /* of each wait, and of each read and each piece of a write */
    uint32_t pad;
    uint64_t due_ns; /* when the present one is to be over */
    struct ferry_frame_stream in, out;
    uint8_t head[FERRY_FRAME_BYTES];
    size_t head_got;
    size_t unheard; /* bytes written since the server was last listened to */
};

struct bridge_estimate {
    uint64_t size_ns, precopy_ns; /* when they were asked; 0: not, or void */
    uint64_t size;
    struct ferry_precopy_info precopy;
    uint64_t last_bytes;            /* of the last save that was completed */
    uint32_t has_size, has_precopy; /* 1: it has told them once */
    uint32_t no_size, no_precopy;   /* 1: it never does */
};

/* The guest is to run with a device whose state is lost. */
enum bridge_harm {
    BRIDGE_HARM_NONE = 0,
    BRIDGE_HARM_RESET, /* the recovery's own reset is to come */
    BRIDGE_HARM_OPEN,  /* the guest has not begun to run since */
    BRIDGE_HARM_TOLD   /* alarmed as it began to run */
};

/* Interrupts that came with the data, to be raised when the device runs. */
struct bridge_carried {
    uint32_t count;
    uint16_t vector[BRIDGE_FRAME_VECTORS_MAX];
};

struct bridge_migration {
    uint32_t references; /* atomic: the device's and that of each data descriptor */
    atomic_uint lost;    /* 1: the server is gone */
    pthread_mutex_t lock;
    struct bridge_device *device; /* NULL: closed */
    uint32_t features, shown;     /* FERRY_MIG_*: the server's, the VMM's */
    uint32_t server, vmm;         /* states */
    uint32_t loaded; /* 1: all data came and held; the server has left RESUMING */
    uint32_t came;   /* 1: it was loaded, and has not run since */
    uint32_t generation;
    int32_t refused_tid; /* the thread for which the server refused a state; 0: none */
    uint64_t refused_ns;
    uint32_t harm;     /* enum bridge_harm */
    uint32_t alarming; /* 1: a thread repeats the alarm */
    uint32_t timeout_ms;
    uint32_t max_data;
    struct bridge_pipe pipe;
    struct bridge_data *data; /* the open session's; its descriptor holds the reference */
    struct bridge_estimate estimate;
    struct bridge_carried carried[2]; /* MSI, MSI-X */
};

/* What a source of bytes says when it stops before the buffer is full. */
enum bridge_mark { BRIDGE_MARK_NONE = 0, BRIDGE_MARK_DRY, BRIDGE_MARK_END };

/* One request to the server that goes on while nobody waits, and its bytes. */
struct bridge_async;
/* Return: NULL when memory is out. */
struct bridge_async *bridge_async_new(size_t cap);
/* Also with a request under way; wipes the bytes. NULL is fine. */
void bridge_async_free(struct bridge_async *async);
uint8_t *bridge_async_data(struct bridge_async *async);
/* DATA_READ or DATA_WRITE of bytes. A failure is told by wait. */
void bridge_async_start(struct bridge_async *async, struct bridge_link *link,
                        uint32_t kind, size_t bytes);
int bridge_async_started(struct bridge_async *async);
/* Waits for its end and takes nothing. */
void bridge_async_settle(struct bridge_async *async, uint32_t limit_ms);
/* ret_got: of a read. Return: the request's status; FERRY_OK when none was started. */
int bridge_async_wait(struct bridge_async *async, uint32_t limit_ms, size_t *ret_got);

struct bridge_save {
    struct bridge_frame_writer writer;
    uint32_t begun, ended;
    uint64_t dry_ns;       /* it said "nothing for now" then; 0: it did not */
    uint64_t limit;        /* of all bytes; 0: it is not stopped yet */
    uint64_t initial_mark; /* bytes until the initial ones are out; 0: not known yet */
    uint64_t initial_told; /* what the VMM heard of them last, and 1; 0: nothing */
    int32_t failed;        /* -errno */
    uint32_t was_dry;      /* 1: its first data is out */
    size_t stage_at, stage_bytes;
    uint8_t *stage; /* BRIDGE_STAGE_BYTES: units that a read had no room for */
    struct bridge_async *now, *next; /* by messages in STOP_COPY: read ahead */
    size_t now_at, now_bytes;
};

struct bridge_load {
    struct bridge_frame_reader reader;
    int32_t failed;                  /* -errno */
    uint32_t checked;                /* 1: the identity fits */
    struct bridge_async *join, *out; /* bytes being joined; bytes on their way */
    size_t joined;
};

/* What stands behind a data descriptor. */
struct bridge_data {
    struct bridge_object object; /* first */
    struct bridge_migration *migration;
    int32_t over; /* -errno of everything once the session is; 0: it is open */
    int poll_fd;  /* the eventfd that the VMM polls, as a descriptor of the bridge's own;
                     -1: the VMM has none */
    uint32_t ready, pad;
    struct bridge_save *save; /* one of the two */
    struct bridge_load *load;
};

/* migration.c */

/* A call to the server. Return: a status. */
int bridge_migration_call(struct bridge_migration *migration,
                          struct ferry_request *request);
/* A data descriptor ended with this status: a server that died closes its descriptors in
 * any order, so that is asked on the connection, which says if it is lost. */
void bridge_migration_ask(struct bridge_migration *migration, int status);
int bridge_migration_loses(const struct bridge_migration *migration);
void bridge_migration_put(struct bridge_migration *migration);

/* states.c; locked */

/* The server's state for one of the VMM's. */
uint32_t bridge_state_of(const struct bridge_migration *migration, uint32_t state);
/* Walks the server there. Return: a status; `server` is where it is then. */
int bridge_state_walk(struct bridge_migration *migration, uint32_t wanted,
                      struct ferry_error *reterr);
/* Asks where it is after a failure: `server`, and `vmm` when it cannot stand for that. */
void bridge_state_find(struct bridge_migration *migration);

/* harm.c; locked */

/* The state is lost, and a reset is to come. */
void bridge_harm_begin(struct bridge_migration *migration);
/* Return: 1 when the guest begins to run with that device: alarm it. */
int bridge_harm_shows(struct bridge_migration *migration, uint32_t reached);

/* estimate.c; locked */
void bridge_estimate_void(struct bridge_migration *migration);
int bridge_estimate_size(struct bridge_migration *migration, uint64_t *ret_bytes);
int bridge_estimate_precopy(struct bridge_migration *migration, struct bridge_save *save,
                            uint64_t *ret_initial, uint64_t *ret_dirty);

/* counters.c; locked */

/* Asks a server that tells what its device counts, and says of the answer, when it comes,
 * what was lost, dropped, carried or waits; nothing when none. Waits for nothing. when:
 * a literal, "was saved". */
void bridge_counters_ask(struct bridge_migration *migration, const char *when);

/* data.c; locked but for put */

/*
 * ret_fd: the VMM's, known to the table; NULL: there is to be none. ret_data: its
 * reference is the caller's, to be put when nothing is locked.
 */
int bridge_data_create(struct bridge_migration *migration, int loading,
                       struct bridge_data **ret_data, int *ret_fd);
/* Closes a descriptor that the VMM is not to see after all. */
void bridge_data_withdraw(int fd);
/* The session is over: every later call gives `over`. */
void bridge_data_end(struct bridge_migration *migration, int over);
/* What poll() tells: 1 there is something. */
void bridge_data_ready(struct bridge_data *data, int ready);

/* pipe.c; locked but for wake */
void bridge_pipe_init(struct bridge_pipe *pipe);
void bridge_pipe_destroy(struct bridge_pipe *pipe);
/* Asks for the present session's; without one the data goes by messages. */
void bridge_pipe_open(struct bridge_migration *migration, int loading);
void bridge_pipe_close(struct bridge_pipe *pipe);
/* The session's poll_fd, borrowed; -1: it is over. */
void bridge_pipe_watch(struct bridge_pipe *pipe, int poll_fd);
/* Ends the wait of whoever reads, writes or polls. Thread: any. */
void bridge_pipe_wake(struct bridge_pipe *pipe);
int bridge_pipe_want(struct bridge_pipe *pipe, struct ferry_error *reterr);
/* Fills the buffer unless a mark comes first. Return: a status. */
int bridge_pipe_read(struct bridge_pipe *pipe, uint8_t *ret_data, size_t bytes,
                     size_t *ret_got, enum bridge_mark *ret_mark,
                     struct ferry_error *reterr);
int bridge_pipe_write(struct bridge_pipe *pipe, const uint8_t *data, size_t bytes,
                      struct ferry_error *reterr);
/* Bytes that have come and were not read. */
uint64_t bridge_pipe_waiting(const struct bridge_pipe *pipe);

/* save.c, load.c; locked */
struct bridge_save *bridge_save_new(void);
void bridge_save_free(struct bridge_save *save);
/* The state has come to STOP_COPY: everything is wanted now, ahead. */
void bridge_save_stopped(struct bridge_migration *migration, struct bridge_save *save);
/* Before a change of state, which no read may meet; what was read stays. */
void bridge_save_settle(struct bridge_migration *migration, struct bridge_save *save);
ssize_t bridge_save_read(struct bridge_migration *migration, struct bridge_data *data,
                         void *ret_data, size_t bytes);
/* Everything, END with it, has been read. */
int bridge_save_over(const struct bridge_save *save);

struct bridge_load *bridge_load_new(size_t join_bytes);
void bridge_load_free(struct bridge_load *load);
ssize_t bridge_load_write(struct bridge_migration *migration, struct bridge_load *load,
                          const void *data, size_t bytes);

#endif
