/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef FERRY_HOST_CONTEXT_CONTEXT_H
#define FERRY_HOST_CONTEXT_CONTEXT_H

#include <pthread.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>

#include "core/dirty.h"
#include "ferry/host.h"
#include "host/backend/backend.h"
#include "link/request.h"
#include "os/loop.h"
#include "os/memory.h"

/*
 * The inside of a context, shared by the host library's files and by nobody else.
 *
 * Locks: `memory_lock` guards the table of memory regions against calls from other
 * threads (ferry_context_mark_dirty, DMA messages). The loop thread alone changes the
 * table, so it reads it without the lock. It is never held across a call to a device.
 * Everything else here belongs to the loop thread; region accesses from other threads
 * only use a device's `backend`, `lost` and `region`, which stay while the device is
 * open.
 */

#define FERRY_HOST_LAYER "host"
#define FERRY_HOST_DEVICES_MAX FERRY_SESSION_DEVICES_MAX
#define FERRY_HOST_REGIONS_MAX 17u /* eight of them device-specific */
#define FERRY_HOST_IRQ_INDEXES 5u
#define FERRY_HOST_URI_BYTES 256u
#define FERRY_HOST_UNMASK_MAX 32u /* vectors of MSI at most */
#define FERRY_HOST_MSIX_MAX 2048u
#define FERRY_HOST_CONFIG_REGION 7u
#define FERRY_HOST_CONFIG_BYTES 4096u
#define FERRY_HOST_PEER_MAPS_MAX 64u
/* A config blob is one control record. */
#define FERRY_HOST_BLOB_MAX (1u << 16)

struct ferry_migration;
struct ferry_context;

/* One memory region. In use when size is not 0. */
struct ferry_host_memory {
    uint64_t iova, size;
    uint8_t *address; /* borrowed from the VMM */
    int fd;           /* own duplicate, or -1 */
    uint32_t writable;
    uint64_t offset;
    struct ferry_dirty
        dirty; /* bit n: page n of FERRY_PAGE_BYTES; CPUs and DMA messages */
    void *dirty_memory;
};

/* A part of a region that the VMM has mapped. */
struct ferry_host_mapping {
    struct ferry_os_map map;
    struct ferry_host_mapping *next;
};

struct ferry_host_device {
    struct ferry_context *context;
    uint32_t index; /* in context->device */
    char name[FERRY_CONTEXT_NAME_BYTES];
    char uri[FERRY_HOST_URI_BYTES];  /* "" for an endpoint */
    struct ferry_endpoint *endpoint; /* NULL for a URI */
    struct ferry_backend *backend;   /* NULL only while it is not open */
    struct ferry_watch watch;        /* backend's descriptor; watched: in the loop */
    uint32_t watched;
    atomic_int lost; /* FERRY_OK, or the status with which it died */
    struct ferry_error lost_error;
    uint32_t lost_told; /* 1: this death's FERRY_HOST_DEVICE_LOST was given */

    /* Found out when it was opened; checked, so that it can be trusted. */
    struct ferry_device_info info;
    struct ferry_identity identity;
    uint32_t migration_flags; /* FERRY_MIG_*; 0: cannot migrate */
    uint32_t state;           /* as last known: whoever gets or sets it notes it */
    uint32_t can_log, has_precopy_info, has_data_size;
    uint32_t is_v1; /* uAPI v1: its data are transactions, see docs/spec/stream.md */
    uint32_t no_log_runs; /* 1: refused LOG_RUNS once */
    uint32_t max_data;    /* largest data of one request */
    struct ferry_region_info region[FERRY_HOST_REGIONS_MAX]; /* fd: own, -1: none */
    struct ferry_irq_info irq[FERRY_HOST_IRQ_INDEXES];
    uint32_t msix_cap_off; /* in config space; 0: has no MSI-X */
    uint32_t msix_vectors; /* entries of its table; irq[2].count may differ */
    uint32_t msix_bar;
    uint64_t msix_table_off;

    /* Counts up after each write to config space or the MSI-X table: a blob that was
     * saved before is still right when it has not moved. Thread: any. */
    atomic_uint config_writes;

    int *irq_fd; /* irq_count eventfds, the VMM's; NULL: none */
    uint32_t irq_count;
    uint32_t irq_index; /* of these: INTx, MSI or MSI-X; what it is while there are none
                           does not matter */
    int unmask_fd[FERRY_HOST_UNMASK_MAX]; /* of vectors of irq_index, the VMM's; -1 */
    int event_fd[2];                      /* of ERR and REQ, the VMM's; -1 */
    struct ferry_host_mapping *mappings;

    /* What it had counted when it was last asked by a migration. */
    struct ferry_counter *counted; /* FERRY_COUNTERS_MAX; NULL: never asked */
    uint32_t counted_count;
};

/* A peer's region in one device's DMA map. In use when size is not 0. */
struct ferry_host_peer_map {
    uint32_t initiator, target, region;
    uint32_t mapped; /* the initiator has it now */
    uint64_t off, size, iova;
};

/* What the context asks the migration half. Set together with context->migration. */
struct ferry_migration_ops {
    /* 1 while a migration is under way (memory and devices must not change). */
    int (*busy)(const struct ferry_context *context);
    /* 1 while the CPUs stand still at a source: what they could not have done does not
     * change. */
    int (*cpus_stopped)(const struct ferry_context *context);
    /* A peer's region has come into a device's DMA map: a migration under way may not be
     * possible any more, and then rolls back. */
    void (*peer_mapped)(struct ferry_context *context, uint32_t initiator);
    /* A device's connection has died; its requests have been completed already.
     * Return: 1 when the migration deals with it, 0: a FERRY_HOST_DEVICE_LOST is due. */
    int (*device_lost)(struct ferry_context *context, uint32_t device);
    /* The context goes: end everything, free context->migration. Devices are still open.
     */
    void (*destroy)(struct ferry_context *context);
};

struct ferry_context {
    struct ferry_loop *loop;
    struct ferry_context_ops ops; /* copied; unknown and missing members are NULL */
    void *user;
    uint32_t device_timeout_ms; /* never 0 */
    uint32_t no_peer_maps;

    pthread_rwlock_t memory_lock;
    struct ferry_host_memory memory[FERRY_CONTEXT_MEMORY_MAX];
    uint32_t memory_end; /* index behind the last one in use */

    struct ferry_host_device *_Atomic device[FERRY_HOST_DEVICES_MAX];
    atomic_uint device_count;
    struct ferry_host_peer_map peer_map[FERRY_HOST_PEER_MAPS_MAX];

    struct ferry_migration *migration; /* the migration half's; NULL: none yet */
    const struct ferry_migration_ops *migration_ops; /* NULL: none yet */
};

/* --- devices ----------------------------------------------------------------------- */

/* The device at an index, or NULL. Thread: any. */
struct ferry_host_device *ferry_host_device(const struct ferry_context *context,
                                            uint32_t device);

/*
 * Starts a request to a device; request->done runs in ferry_context_dispatch().
 * Return: FERRY_OK (ended already, done is NOT called), FERRY_PENDING, or a negative code
 *   (done is not called); FERRY_E_CLOSED when the device is lost.
 */
int ferry_context_submit(struct ferry_context *context, uint32_t device,
                         struct ferry_request *request);
/* Asks a device for its counters and keeps them for the report. */
void ferry_host_count(struct ferry_context *context, uint32_t device);
/* A request and its result, within the context's device limit. Thread: any. */
int ferry_context_call(struct ferry_context *context, uint32_t device,
                       struct ferry_request *request);

/* 1 while a migration is under way. */
int ferry_host_busy(const struct ferry_context *context);
/* Tells the VMM, when it listens. */
void ferry_host_event(struct ferry_context *context,
                      const struct ferry_host_event *event);

/*
 * Closes one device and opens it again (ferry_context_reopen for one): memory, peer maps
 * and interrupts are set again. Blocks within the device limit. On failure the device
 * stays in the table as lost (a later reopen may bring it back).
 */
int ferry_host_device_reopen(struct ferry_context *context, uint32_t device,
                             struct ferry_error *reterr);
/* Closes the connection: the device's server resets it. It stays in the table as lost
 * (FERRY_E_CLOSED), without a DEVICE_LOST event. */
void ferry_host_device_close(struct ferry_context *context, uint32_t device);

/*
 * Is a peer's region in this device's DMA map?
 * Return: 1 and *ret_peer (the first such peer's index), or 0.
 */
int ferry_host_reaches_peer(const struct ferry_context *context, uint32_t device,
                            uint32_t *ret_peer);

/* --- memory and dirty logs -----------------------------------------------------------
 */

/* The index of the memory region that holds the whole range, or -1. Loop thread. */
int ferry_host_memory_find(const struct ferry_context *context, uint64_t iova,
                           uint64_t size);

/* Fills ret_range (FERRY_CONTEXT_MEMORY_MAX entries) with what LOG_START is to cover:
 * every region that devices may write. Return: the number of ranges. */
uint32_t ferry_host_log_ranges(const struct ferry_context *context,
                               struct ferry_range *ret_range);

/* Or's a device's dirty report (bit n: page n of page_size bytes from iova) into the
 * dirty maps. page_size: a power of two >= FERRY_PAGE_BYTES. iova: a multiple of
 * FERRY_PAGE_BYTES. */
void ferry_host_log_merge(struct ferry_context *context, uint64_t iova, uint64_t length,
                          uint64_t page_size, const void *bitmap);

/*
 * Asks a device's log for what it wrote in all memory since the last time and merges it
 * into the dirty maps: as many requests in turn as its messages need. They are LOG_RUNS,
 * which cost what is dirty; LOG_REPORT where the device knows no runs, or so much is
 * dirty that a bitmap is shorter.
 */
struct ferry_host_harvest {
    void (*done)(
        struct ferry_host_harvest *harvest); /* once; status is set. May free it */
    void *user;
    int32_t status;
    /* The rest is the harvest's own. */
    struct ferry_context *context;
    uint32_t device, memory;
    uint64_t off, length;
    uint64_t *bitmap;
    uint32_t bitmap_bytes;
    uint32_t flat;  /* 1: the device knows no runs */
    uint32_t dense; /* 1: the next request is for a bitmap */
    struct ferry_request request;
};
/*
 * Return: FERRY_PENDING (done follows, from dispatch); FERRY_OK (ended, done is NOT
 * called); a negative code (not started or failed, done is not called). After a failure
 * the pages whose report was lost are unknown: count all as dirty.
 */
int ferry_host_harvest_start(struct ferry_context *context, uint32_t device,
                             struct ferry_host_harvest *harvest);

/* --- externally controlled state (config_*.c)
 * -------------------------------------------- */

/*
 * Reads a stopped device's config space and MSI-X table into a DEVICE_CONFIG payload.
 * ret_blob: cap bytes, FERRY_HOST_BLOB_MAX always suffice. Blocks within the device
 * limit. Return: FERRY_OK; FERRY_E_CAPACITY, or what the device's requests returned.
 */
int ferry_host_config_save(struct ferry_context *context, uint32_t device, void *ret_blob,
                           size_t cap, size_t *ret_bytes, struct ferry_error *reterr);
/*
 * Would the blob (a peer's bytes) fit this device? Changes nothing.
 * Return: FERRY_OK; FERRY_E_PROTOCOL, FERRY_E_SHORT, FERRY_E_LONG (malformed),
 *   FERRY_E_INCOMPATIBLE (vectors, capability places, config size differ).
 */
int ferry_host_config_check(struct ferry_context *context, uint32_t device,
                            const void *blob, size_t bytes, struct ferry_error *reterr);
/*
 * Checks and writes it: BARs and the header, other capabilities, MSI-X table, interrupts,
 * command last. Does not raise what was pending. Blocks within the device limit.
 */
int ferry_host_config_restore(struct ferry_context *context, uint32_t device,
                              const void *blob, size_t bytes, struct ferry_error *reterr);

/* Bytes of a bitmap of a device's vectors (irq_count of ferry_context_set_irqs()). */
#define FERRY_HOST_IRQ_BITMAP_BYTES (FERRY_HOST_MSIX_MAX / 8u)
/*
 * Takes what is pending out of the device's eventfds. Never blocks.
 * ret_bitmap: FERRY_HOST_IRQ_BITMAP_BYTES, bit n: vector n was raised and not yet taken.
 * Return: number of such vectors, or FERRY_E_IO.
 */
int ferry_host_irqs_drain(struct ferry_context *context, uint32_t device,
                          uint8_t *ret_bitmap);
/* Signals the eventfds of the vectors in bitmap (bytes long, a peer's: vectors without an
 * eventfd are skipped). Never blocks. Return: number of vectors raised. */
int ferry_host_irqs_raise(struct ferry_context *context, uint32_t device,
                          const uint8_t *bitmap, size_t bytes);

/* --- the context's own files
 * --------------------------------------------------------------- */

/* context_open.c: opens, asks and checks; on failure nothing is left open. */
int ferry_host_device_open(struct ferry_host_device *device, struct ferry_error *reterr);
/* The reverse: unmaps, closes descriptors and the backend; name and URI stay. */
void ferry_host_device_shut(struct ferry_host_device *device);
/* 1 while requests can reach it. Thread: any. */
int ferry_host_device_is_open(const struct ferry_host_device *device);
/* Deals with a dead connection: once per death. */
void ferry_host_device_died(struct ferry_host_device *device, int status);

/* context_memory.c */
int ferry_host_memory_map_all(struct ferry_host_device *device,
                              struct ferry_error *reterr);
void ferry_host_memory_destroy(struct ferry_context *context);
/* The functions behind struct ferry_backend_options.memory; user is the context. */
int ferry_host_dma_read(void *user, uint64_t iova, void *ret_data, size_t size);
int ferry_host_dma_write(void *user, uint64_t iova, const void *data, size_t size);

/* context_region.c: may [off, off + size) of a region be mapped? FERRY_OK; FERRY_E_RANGE,
 * FERRY_E_UNSUPPORTED. */
int ferry_host_region_mappable(const struct ferry_host_device *device, uint32_t region,
                               uint64_t off, uint64_t size, struct ferry_error *reterr);

/* context_peer.c: takes a device that is about to be closed out of the peer maps, which
 * stay recorded; sets up again what concerns a device that was opened, as far as both are
 * open. */
void ferry_host_peer_leave(struct ferry_host_device *device);
int ferry_host_peer_join(struct ferry_host_device *device, struct ferry_error *reterr);

/* context_irq.c: none at all (a new device); sends the device's eventfds to it. */
void ferry_host_irqs_init(struct ferry_host_device *device);
int ferry_host_irqs_send(struct ferry_host_device *device, struct ferry_error *reterr);

#endif
