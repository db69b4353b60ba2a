/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef FERRY_HOST_H
#define FERRY_HOST_H

#include <stddef.h>
#include <stdint.h>

#include "ferry/compat.h"
#include "ferry/counter.h"
#include "ferry/error.h"
#include "ferry/session.h"
#include "ferry/state.h"
#include "ferry/version.h"

#ifdef __cplusplus
extern "C" {
#endif

/*
 * The user context: all devices and all memory that move together, for a VMM or a
 * userspace driver. It gives one descriptor for any main loop; synchronous calls are thin
 * loops over it.
 *
 * Thread: a context belongs to the thread that dispatches it ("the loop thread"); calls
 * that may come from other threads (CPU threads) say so.
 */
struct ferry_context;
struct ferry_host_event;
struct ferry_trace_event;

#define FERRY_CONTEXT_MEMORY_MAX 64
#define FERRY_CONTEXT_NAME_BYTES 32
#define FERRY_PAGE_BYTES 4096u

/* What the VMM is asked and told. Every callback runs on the loop thread. */
struct ferry_context_ops {
    size_t struct_size;
    /*
     * Stop / continue the CPUs (threads that touch devices and memory).
     * Return: FERRY_OK (they have stopped); FERRY_PENDING (ferry_context_cpus_done()
     * follows); a negative code (they cannot: the migration rolls back). Default:
     * FERRY_OK.
     */
    int (*pause_cpus)(void *user, struct ferry_context *context);
    int (*resume_cpus)(void *user, struct ferry_context *context);
    /* DMA initiators that are not devices of this context. Default: there are none. */
    int (*quiet_foreign)(void *user, struct ferry_context *context);
    void (*release_foreign)(void *user, struct ferry_context *context);
    /*
     * Report every page that CPUs wrote since the last call, by
     * ferry_context_mark_dirty(). Called before each memory round and once after the CPUs
     * have paused. start: 1 when tracking begins now (all is sent in the first round), 0
     * for a report, -1 when it ends. Default: everything counts as written in every
     * round.
     */
    void (*track_cpus)(void *user, struct ferry_context *context, int start);
    /*
     * The VMM's own state: at the source *ret_data and *ret_bytes (the VMM's memory,
     * valid until the session ends), at the target the same bytes. Return: FERRY_OK or a
     * negative code (the migration fails and rolls back).
     */
    int (*save_state)(void *user, struct ferry_context *context, const void **ret_data,
                      size_t *ret_bytes);
    int (*load_state)(void *user, struct ferry_context *context, const void *data,
                      size_t bytes);
    /* Progress and ends; event is borrowed for the call. */
    void (*event)(void *user, struct ferry_context *context,
                  const struct ferry_host_event *event);
    /*
     * The timeline of a migration, as it happens: what each device, the memory and the
     * session itself did when. Must be quick: it is called in the middle of the downtime.
     * Default: nobody traces, which costs nothing.
     */
    void (*trace)(void *user, struct ferry_context *context,
                  const struct ferry_trace_event *event);
};

enum ferry_trace_kind {
    FERRY_TRACE_BEGIN = 1, /* something begins on a track of a device (or of none); what
                              was open there ends */
    FERRY_TRACE_END,       /* what is open there ends */
    FERRY_TRACE_POINT,     /* something happened */
    FERRY_TRACE_FIGURE     /* a figure has this value now */
};

/* One event of a timeline. Texts are constants of the library and live for ever. */
struct ferry_trace_event {
    uint64_t time_ns;  /* CLOCK_MONOTONIC */
    uint32_t kind;     /* enum ferry_trace_kind */
    uint32_t device;   /* index, or FERRY_NO_DEVICE */
    int32_t status;    /* END: how it ended */
    uint32_t incoming; /* 1: this side is the target */
    const char
        *track; /* "phase", "state", "data", "memory", "cpus", "sent", "received" ... */
    const char
        *name;      /* what; END of a state: where the device is; may be NULL at an END */
    uint64_t value; /* FIGURE: it; END: bytes that were moved */
};

enum ferry_host_event_kind {
    FERRY_HOST_PHASE = 1,   /* the session entered a phase */
    FERRY_HOST_PROGRESS,    /* figures, at most 20 times a second */
    FERRY_HOST_INCOMING,    /* target: a source has connected */
    FERRY_HOST_UNDECIDED,   /* an operator's word is needed: ferry_context_resolve() */
    FERRY_HOST_DEVICE_LOST, /* a device died outside of a migration */
    FERRY_HOST_FINISHED     /* report is complete */
};

struct ferry_device_report {
    char name[FERRY_CONTEXT_NAME_BYTES];
    uint64_t precopy_bytes; /* device data sent while it ran */
    uint64_t stop_bytes;    /* device data sent in STOP_COPY */
    uint64_t quiet_ns;      /* arc to the P2P state; 0: has none */
    uint64_t stop_ns;       /* arc to STOP / STOP_COPY */
    uint64_t data_ns;       /* reading and sending its STOP_COPY data */
    uint64_t load_ns;       /* target: RESUMING to STOP */
    uint64_t run_ns;        /* target: arcs to RUNNING */
    uint32_t state;         /* enum ferry_state at the end */
    uint32_t was_reset;     /* 1: it was in ERROR and had to be reset */
    uint32_t hung;          /* 1: it did not end an arc in time */
    uint32_t irqs_carried;  /* pending interrupts carried over */
    /* What it had counted: at the source when it left (or stayed), at the target when it
     * ran. Borrowed until the context's next migration or its end. */
    const struct ferry_counter *counter;
    uint32_t counter_count; /* 0: the device does not tell, or it is lost */
    uint32_t pad;
};

struct ferry_report {
    uint32_t outcome;  /* enum ferry_outcome */
    uint32_t incoming; /* 1: this side was the target */
    uint32_t rounds;
    uint32_t device_count;
    uint64_t total_ns;
    uint64_t downtime_ns; /* source: CPUs told to pause until RUNNING was reported (or
                             until the CPUs run again here) */
    uint64_t predicted_downtime_ns;
    uint64_t ram_precopy_bytes, ram_stop_bytes;
    /* Parts of the downtime, in order; they sum up to downtime_ns. */
    uint64_t pause_ns, quiet_ns, stop_ns, transfer_ns, prepare_ns, commit_ns;
    uint64_t session_id;      /* low half; names the arbiter's file */
    struct ferry_error error; /* code FERRY_OK when it moved */
    struct ferry_device_report device[FERRY_SESSION_DEVICES_MAX];
    uint32_t connections; /* that carried memory and device data */
    uint32_t pad;
};

struct ferry_host_event {
    uint32_t kind;     /* enum ferry_host_event_kind */
    uint32_t device;   /* DEVICE_LOST: index */
    const char *phase; /* name of the present phase */
    struct ferry_progress progress;
    const struct ferry_report *report; /* FINISHED, UNDECIDED; else NULL */
    const struct ferry_error *error;   /* DEVICE_LOST: why; else NULL */
};

struct ferry_context_options {
    size_t struct_size;
    const struct ferry_context_ops
        *ops; /* borrowed for the context's life; may be NULL */
    void *user;
    uint32_t device_timeout_ms; /* limit of waits on a device; 0: 10000 */
    uint32_t no_peer_maps;      /* 1: ferry_context_map_peer() is refused */
};

FERRY_PUBLIC int ferry_context_create(const struct ferry_context_options *options,
                                      struct ferry_context **ret_context,
                                      struct ferry_error *reterr);
/* Closes devices and channels; a migration under way is rolled back or discarded first.
 */
FERRY_PUBLIC void ferry_context_destroy(struct ferry_context *context);

/*
 * Memory of the context, mapped for every device that is there or comes later.
 * fd + offset: what backs address (MAP_SHARED); fd is duplicated. -1: devices reach it by
 *   messages. address: borrowed until the region is removed. iova, size: page aligned;
 *   no byte of it may be in another region or in a peer map of any device, and its end
 *   fits into 64 bits (the last page of the address space is nobody's).
 * writable: 0 when devices may only read it.
 * Return: index >= 0; FERRY_E_ARGUMENT (no address, size 0), FERRY_E_ALIGN,
 * FERRY_E_OVERLAP, FERRY_E_RANGE (it does not end, or its file ends before it),
 * FERRY_E_LIMIT, or what a device's map returned (then no device has it).
 * State: not during a migration (FERRY_E_BUSY), on neither side; from the
 * FERRY_HOST_FINISHED event on again.
 */
struct ferry_memory {
    uint64_t iova, size;
    void *address;
    int fd;
    uint32_t writable;
    uint64_t offset;
};
/*
 * Memory as devices like it best: a file of its own that cannot be cut short (so that a
 * device may work in it without a copy), mapped. Touch it before a migration comes in:
 * first touches cost a multiple of a copy. ret_fd, ret_address: the caller's; close and
 * munmap(size) when the region is removed. Return: FERRY_OK; FERRY_E_ALIGN (size is not
 * whole pages, or 0), FERRY_E_MEMORY, FERRY_E_IO. Thread: any.
 */
FERRY_PUBLIC int ferry_memory_create(uint64_t size, int *ret_fd, void **ret_address,
                                     struct ferry_error *reterr);

FERRY_PUBLIC int ferry_context_add_memory(struct ferry_context *context,
                                          const struct ferry_memory *memory,
                                          struct ferry_error *reterr);
/* Return: FERRY_OK; FERRY_E_NOT_FOUND; what a device's unmap returned (then every device
 * still has it). State: as above. */
FERRY_PUBLIC int ferry_context_remove_memory(struct ferry_context *context,
                                             uint32_t index, struct ferry_error *reterr);
/* Pages that CPUs wrote. Thread: any. Outside every region: ignored. */
FERRY_PUBLIC void ferry_context_mark_dirty(struct ferry_context *context, uint64_t iova,
                                           uint64_t size);

/*
 * Devices. name: how the device is called in both contexts and in messages, unique.
 * Return: index >= 0; FERRY_E_EXISTS (name), FERRY_E_LIMIT, FERRY_E_ARGUMENT, or what
 * opening returned.
 */
FERRY_PUBLIC int ferry_context_add_device(struct ferry_context *context, const char *name,
                                          const char *uri, struct ferry_error *reterr);
FERRY_PUBLIC int ferry_context_add_endpoint(struct ferry_context *context,
                                            const char *name,
                                            struct ferry_endpoint *endpoint,
                                            struct ferry_error *reterr);
FERRY_PUBLIC uint32_t ferry_context_device_count(const struct ferry_context *context);

/*
 * Closes a device and opens it again (its server gives the next user a fresh one), with
 * all memory and peer maps in place; what a VMM does with a context that has moved away
 * and shall receive again. Return: as ferry_context_add_device.
 */
FERRY_PUBLIC int ferry_context_reopen(struct ferry_context *context,
                                      struct ferry_error *reterr);

struct ferry_device_view {
    char name[FERRY_CONTEXT_NAME_BYTES];
    struct ferry_identity identity;
    uint32_t migration_flags; /* FERRY_MIG_*; 0: cannot migrate */
    uint32_t state;           /* enum ferry_state, as last known */
    uint32_t can_log, has_precopy_info, has_data_size;
    uint32_t region_count, irq_count;
    uint64_t data_size; /* bytes that a stop-copy would give now; 0 unknown */
    struct {
        uint64_t size;
        uint32_t flags; /* 1 read, 2 write, 4 mmap */
        uint32_t area_count;
        uint64_t area_off[16], area_size[16];
    } region[9];
    uint32_t irq[5];     /* vectors of INTx, MSI, MSI-X, ERR, REQ */
    uint32_t extensions; /* FERRY_VIEW_*, as agreed with a vfio-user server */
    uint32_t special_count;
    struct {
        uint64_t size;
        uint32_t index, flags;  /* flags as above */
        uint32_t type, subtype; /* VFIO's; 0: the device does not say */
    } special[8];               /* device-specific regions */
};

/* What goes beyond the vfio-user specification, or is optional in it. */
#define FERRY_VIEW_TWIN_SOCKET 1u  /* the device's DMA has a socket of its own */
#define FERRY_VIEW_WRITE_MULTI 2u  /* several register writes in one message */
#define FERRY_VIEW_NOTICES 4u      /* "dry" and "end" of migration data are told apart */
#define FERRY_VIEW_PRECOPY_INFO 8u /* it estimates what is left */
#define FERRY_VIEW_DIRTY_RUNS 16u  /* dirty pages come as runs */
#define FERRY_VIEW_DATA_FD 32u     /* migration data goes over a socket of its own */
#define FERRY_VIEW_UAPI_V1 64u     /* it migrates by the region of uAPI v1 */
#define FERRY_VIEW_COUNTERS 128u   /* it tells what it counts */

FERRY_PUBLIC int ferry_context_device(struct ferry_context *context, uint32_t device,
                                      struct ferry_device_view *ret_view,
                                      struct ferry_error *reterr);

/*
 * What a device has counted until now; of one that has left by a migration, until it
 * left. Return: how many, at most cap (FERRY_COUNTERS_MAX is always enough);
 *   FERRY_E_UNSUPPORTED (it does not tell), FERRY_E_NOT_FOUND, FERRY_E_TIMEOUT,
 *   FERRY_E_CLOSED.
 */
FERRY_PUBLIC int ferry_context_counters(struct ferry_context *context, uint32_t device,
                                        struct ferry_counter *ret_counter, uint32_t cap,
                                        struct ferry_error *reterr);

/*
 * Region access. region: 0-5 BARs, 6 ROM, 7 config space. Thread: any.
 * Return: FERRY_OK; FERRY_E_STATE, FERRY_E_RANGE, FERRY_E_TIMEOUT, FERRY_E_CLOSED.
 */
FERRY_PUBLIC int ferry_context_region_read(struct ferry_context *context, uint32_t device,
                                           uint32_t region, uint64_t off, void *ret_data,
                                           size_t count);
/* posted: 1 does not wait for the device (doorbells); its failure is not seen. */
FERRY_PUBLIC int ferry_context_region_write(struct ferry_context *context,
                                            uint32_t device, uint32_t region,
                                            uint64_t off, const void *data, size_t count,
                                            int posted);
/*
 * Maps an mmappable part of a region; unmapped when the device is closed or reopened.
 * When a device of the kernel's is lost, memory without a meaning takes its place.
 * Return: FERRY_OK; FERRY_E_UNSUPPORTED, FERRY_E_RANGE.
 */
FERRY_PUBLIC int ferry_context_region_map(struct ferry_context *context, uint32_t device,
                                          uint32_t region, uint64_t off, uint64_t size,
                                          void **ret_address, struct ferry_error *reterr);

/*
 * The eventfds that stand for a device's MSI-X vectors [0, count); the VMM's, borrowed
 * until the device is closed; -1: a vector without one. They are made non-blocking, so
 * that a full one never stops a device. Set at once; at a target they may be set before
 * the device arrives. What is pending in them when the devices have stopped is carried to
 * the other side.
 */
FERRY_PUBLIC int ferry_context_set_irqs(struct ferry_context *context, uint32_t device,
                                        const int *fds, uint32_t count,
                                        struct ferry_error *reterr);

/* The interrupts of a device: indexes of the uAPI. */
enum ferry_irq_index {
    FERRY_IRQ_INTX = 0,
    FERRY_IRQ_MSI = 1,
    FERRY_IRQ_MSIX = 2,
    FERRY_IRQ_ERR = 3, /* the device met an error it cannot correct */
    FERRY_IRQ_REQ = 4  /* the device is wanted back */
};

/*
 * The same for any kind of interrupt; ferry_context_set_irqs() is FERRY_IRQ_MSIX. One of
 * INTx, MSI and MSI-X is in use: setting one takes the others' eventfds away, count 0
 * takes its own away. What is pending of it is carried, and set-up and eventfds are
 * given to a device that is opened again. ERR and REQ are set beside it and not carried.
 * Return: FERRY_OK; FERRY_E_NOT_FOUND (no such device or index), FERRY_E_RANGE (more than
 *   the device has), FERRY_E_ARGUMENT (a descriptor is no eventfd), FERRY_E_CLOSED; what
 *   the device returned.
 */
FERRY_PUBLIC int ferry_context_set_irq_index(struct ferry_context *context,
                                             uint32_t device, uint32_t index,
                                             const int *fds, uint32_t count,
                                             struct ferry_error *reterr);

/*
 * Masks (mask 1) or unmasks (0) vectors [start, start + count) of an index at once. INTx
 * masks itself when it fires: whoever has served it unmasks it, and gets another signal
 * while it is still asserted.
 * Return: FERRY_OK; FERRY_E_UNSUPPORTED (the device does not mask them); as above.
 */
FERRY_PUBLIC int ferry_context_mask_irqs(struct ferry_context *context, uint32_t device,
                                         uint32_t index, uint32_t start, uint32_t count,
                                         uint32_t mask, struct ferry_error *reterr);

/*
 * An eventfd whose signal unmasks a vector of the index in use (KVM's resample eventfd
 * for INTx); the VMM's, borrowed as above; -1 takes it away. It goes when the index is
 * set again.
 * Return: FERRY_OK; FERRY_E_STATE (index is not in use), FERRY_E_UNSUPPORTED (the device
 *   takes none: unmask with ferry_context_mask_irqs()); as above.
 */
FERRY_PUBLIC int ferry_context_set_unmask(struct ferry_context *context, uint32_t device,
                                          uint32_t index, uint32_t vector, int fd,
                                          struct ferry_error *reterr);

/*
 * Peer to peer: maps [off, off + size) of a region of `target` at iova in the DMA map of
 * `initiator` alone. Whole pages; no byte of it may be memory of the context or another
 * peer map of the same initiator. The map lives until ferry_context_unmap_peer(), also
 * while a device is closed and opened again.
 * Return: FERRY_OK; FERRY_E_PERMISSION (no_peer_maps), FERRY_E_UNSUPPORTED (region has no
 *   descriptor), FERRY_E_OVERLAP, FERRY_E_ALIGN, FERRY_E_RANGE, FERRY_E_NOT_FOUND (no
 * such devices, or one and the same), FERRY_E_CLOSED, FERRY_E_LIMIT (64); FERRY_E_BUSY
 * (see State); what the initiator returned: nothing is mapped. State: at any time, a
 * migration under way included, but for a source whose CPUs have paused for it. When an
 * initiator without FERRY_MIG_P2P or implicit quiescence gets a peer map while it is a
 * source, the map is made and the migration rolls back (FERRY_E_PEER_MAP).
 */
FERRY_PUBLIC int ferry_context_map_peer(struct ferry_context *context, uint32_t initiator,
                                        uint32_t target, uint32_t region, uint64_t off,
                                        uint64_t size, uint64_t iova,
                                        struct ferry_error *reterr);
/*
 * Takes the peer map that begins at iova away, all of it. Waits until the initiator has
 * let go of it. Return: FERRY_OK (also when the initiator is gone); FERRY_E_NOT_FOUND;
 * FERRY_E_BUSY; what the initiator returned (FERRY_E_TIMEOUT: it still uses it): the map
 * stays. State: as above.
 */
FERRY_PUBLIC int ferry_context_unmap_peer(struct ferry_context *context,
                                          uint32_t initiator, uint64_t iova,
                                          struct ferry_error *reterr);

/* Choices of one migration; 0 or NULL takes the default. */
struct ferry_migrate_options {
    size_t struct_size;
    uint32_t max_downtime_ms;  /* 300 */
    uint32_t deadline_ms;      /* 60000: pre-copy */
    uint32_t stop_deadline_ms; /* 10000: after the stop */
    uint32_t arc_limit_ms;     /* 5000 */
    uint32_t peer_limit_ms;    /* 10000 */
    uint32_t pad;
    uint64_t bandwidth_bytes_per_s; /* 0: no limit; holds before the stop */
    const char *arbiter;  /* "none" or "file:/shared/folder"; borrowed for the call */
    uint32_t no_data_fd;  /* 1: device state by messages only, also where a descriptor of
                             its own is offered */
    uint32_t connections; /* at most so many for memory and device data, 1 to 16. send:
                             1; listen: the most that are taken, 16. Elsewhere 1 */
};

/*
 * Starts to send the context. to: "tcp:HOST:PORT" or "unix:PATH". A plain TCP listener
 * binds to loopback only. Ends with a FERRY_HOST_FINISHED event. Return: FERRY_OK (it
 * goes on by itself); FERRY_E_BUSY; FERRY_E_UNSUPPORTED (a device cannot migrate),
 * FERRY_E_PEER_MAP, FERRY_E_NOT_FOUND / FERRY_E_TIMEOUT (nobody there).
 */
FERRY_PUBLIC int ferry_context_send(struct ferry_context *context, const char *to,
                                    const struct ferry_migrate_options *options,
                                    struct ferry_error *reterr);
/* The same over a connected stream socket, owned from then on, also on failure. */
FERRY_PUBLIC int ferry_context_send_fd(struct ferry_context *context, int fd,
                                       const struct ferry_migrate_options *options,
                                       struct ferry_error *reterr);

/* What the devices do when a file holds their state. */
enum ferry_save_then {
    FERRY_SAVE_RUN = 0, /* they run on here; the file is a copy */
    FERRY_SAVE_STOP = 1 /* the file owns them: they are released, as after a migration */
};

/* Choices of one save; 0 or NULL takes the default. */
struct ferry_save_options {
    size_t struct_size;
    uint32_t then;     /* enum ferry_save_then */
    uint32_t compress; /* level of zstd, 1 to 19 and above; 0: not compressed */
    const struct ferry_migrate_options *limits; /* borrowed for the call; max_downtime_ms:
                                                   2000. arbiter: none */
};

/*
 * Starts to save the state of the context in a file (docs/spec/stream.md, section 4):
 * mode 0600, under its name only when it is whole and on disk; what had the name before
 * stays until then. On any failure the devices run on here and no file is left. Writing
 * blocks the dispatching thread while the disk does; a pipe that nobody reads fails it
 * within 2 s, one whose reader has gone at once and without SIGPIPE. Ends with a
 * FERRY_HOST_FINISHED event: FERRY_OUTCOME_SAVED (FERRY_SAVE_RUN), FERRY_OUTCOME_MOVED
 * (FERRY_SAVE_STOP), else the report's error. Return: as ferry_context_send();
 * FERRY_E_ARGUMENT (no such level), FERRY_E_NOT_FOUND, FERRY_E_PERMISSION, FERRY_E_IO
 * (the file).
 */
FERRY_PUBLIC int ferry_context_save(struct ferry_context *context, const char *path,
                                    const struct ferry_save_options *options,
                                    struct ferry_error *reterr);
/* The same into a descriptor, owned from then on, also on failure; a failed save leaves
 * an incomplete file, which every reader refuses. */
FERRY_PUBLIC int ferry_context_save_fd(struct ferry_context *context, int fd,
                                       const struct ferry_save_options *options,
                                       struct ferry_error *reterr);

/*
 * Checks the whole file first, against every rule of the stream and against the devices
 * here; then starts to restore it, as a target that receives. Ends with a
 * FERRY_HOST_FINISHED event. Return: FERRY_OK (it goes on by itself); as
 * ferry_context_listen(); FERRY_E_NOT_FOUND, FERRY_E_PERMISSION, FERRY_E_IO;
 * FERRY_E_SHORT, FERRY_E_LONG, FERRY_E_CORRUPT, FERRY_E_PROTOCOL and the other codes of
 * bad streams, with record, offset and rule: no device was touched. The file must not
 * change meanwhile; if it does, the devices are reset.
 */
FERRY_PUBLIC int ferry_context_restore(struct ferry_context *context, const char *path,
                                       const struct ferry_migrate_options *limits,
                                       struct ferry_error *reterr);
/* The same from a descriptor that can be read twice, owned from then on, also on failure.
 * FERRY_E_UNSUPPORTED for a pipe. */
FERRY_PUBLIC int ferry_context_restore_fd(struct ferry_context *context, int fd,
                                          const struct ferry_migrate_options *limits,
                                          struct ferry_error *reterr);

/*
 * Waits for a source at "tcp:127.0.0.1:PORT" (0: any; see ferry_context_address) or
 * "unix:PATH"; one at a time; goes on listening after a refused or failed migration until
 * ferry_context_unlisten() or until a context has arrived.
 * Return: FERRY_OK; FERRY_E_PERMISSION (not loopback), FERRY_E_EXISTS, FERRY_E_IO,
 * FERRY_E_BUSY.
 */
FERRY_PUBLIC int ferry_context_listen(struct ferry_context *context, const char *at,
                                      const struct ferry_migrate_options *options,
                                      struct ferry_error *reterr);
FERRY_PUBLIC int ferry_context_receive_fd(struct ferry_context *context, int fd,
                                          const struct ferry_migrate_options *options,
                                          struct ferry_error *reterr);
FERRY_PUBLIC void ferry_context_unlisten(struct ferry_context *context);
/* The address that is listened at ("tcp:127.0.0.1:40001"); "" when none. */
FERRY_PUBLIC const char *ferry_context_address(const struct ferry_context *context);

/* Cancels a migration under way; it rolls back (source) or discards (target). */
FERRY_PUBLIC int ferry_context_cancel(struct ferry_context *context);
/*
 * The operator's word after FERRY_HOST_UNDECIDED; word: enum ferry_operator. Before a
 * side may run, the other must be undecided, ended or fenced off. Return: FERRY_OK;
 * FERRY_E_STATE when nothing is undecided; FERRY_E_REFUSED when the arbiter gave the
 * devices to the target (FERRY_OPERATOR_FORCE goes against it); FERRY_E_ARGUMENT.
 */
FERRY_PUBLIC int ferry_context_resolve(struct ferry_context *context, uint32_t word);
/* Ends a pause_cpus / resume_cpus that returned FERRY_PENDING: once for each, also for
 * one that has been given up meanwhile. Thread: any. */
FERRY_PUBLIC void ferry_context_cpus_done(struct ferry_context *context, int status);

/* The last migration's figures; outcome FERRY_OUTCOME_BUSY while one goes on. */
FERRY_PUBLIC void ferry_context_report(const struct ferry_context *context,
                                       struct ferry_report *ret_report);

/* One descriptor for any main loop: readable when ferry_context_dispatch has work. */
FERRY_PUBLIC int ferry_context_fd(const struct ferry_context *context);
/* Waits at most timeout_ms (-1: for ever) and does what is ready. Return: FERRY_OK,
 * FERRY_E_IO. */
FERRY_PUBLIC int ferry_context_dispatch(struct ferry_context *context, int timeout_ms);
/* Dispatches until the migration under way (if any) has ended; when the context listens,
 * until one has come and ended. Return: FERRY_OK when it moved, else the report's error
 * code (FERRY_E_UNDECIDED when an operator's word is needed). */
FERRY_PUBLIC int ferry_context_wait(struct ferry_context *context,
                                    struct ferry_error *reterr);

#ifdef __cplusplus
}
#endif

#endif
