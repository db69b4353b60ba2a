/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef FERRY_LINK_REQUEST_H
#define FERRY_LINK_REQUEST_H

#include <stddef.h>
#include <stdint.h>

#include "ferry/compat.h"
#include "ferry/counter.h"
#include "ferry/error.h"
#include "ferry/state.h"

/*
 * One request to a device, whoever carries it out: the vfio-user client encodes it, the
 * server decodes it, an endpoint performs it, a filter changes it on its way.
 */

#define FERRY_SPARSE_AREAS_MAX 16
#define FERRY_LOG_RANGES_MAX 256
#define FERRY_REQUEST_FDS_MAX 64 /* interrupts with one SET_IRQS message */
#define FERRY_NO_REGION_FD (-1)

enum ferry_request_kind {
    FERRY_RQ_GET_INFO = 1,
    FERRY_RQ_GET_REGION_INFO,
    FERRY_RQ_GET_IRQ_INFO,
    FERRY_RQ_SET_IRQS,
    FERRY_RQ_REGION_READ,
    FERRY_RQ_REGION_WRITE,
    FERRY_RQ_DMA_MAP,
    FERRY_RQ_DMA_UNMAP,
    FERRY_RQ_RESET,
    FERRY_RQ_PROBE,      /* is a device feature there? feature.index, feature.operation */
    FERRY_RQ_MIG_FLAGS,  /* feature 1 */
    FERRY_RQ_GET_STATE,  /* feature 2 */
    FERRY_RQ_SET_STATE,  /* feature 2; may take long */
    FERRY_RQ_LOG_START,  /* feature 6 */
    FERRY_RQ_LOG_STOP,   /* feature 7 */
    FERRY_RQ_LOG_REPORT, /* feature 8 */
    FERRY_RQ_DATA_SIZE,  /* feature 9 */
    FERRY_RQ_PRECOPY_INFO, /* extension; FERRY_E_UNSUPPORTED without it */
    FERRY_RQ_DATA_READ,
    FERRY_RQ_DATA_WRITE,
    FERRY_RQ_IDENTITY,      /* model, versions, compatibility keys, arc times */
    FERRY_RQ_REGION_IO_FDS, /* eventfds that stand for posted writes to a region */
    FERRY_RQ_LOG_RUNS, /* extension: dirty pages as runs; FERRY_E_UNSUPPORTED without it
                        */
    /* Extension: a descriptor for the data of the present session, and the SET_STATE that
     * leaves a session of such a descriptor. The server does both by itself, with
     * DATA_READ, DATA_WRITE and SET_STATE. */
    FERRY_RQ_DATA_FD,
    FERRY_RQ_LEAVE_STATE,
    FERRY_RQ_COUNTERS, /* extension: what the device counted; FERRY_E_UNSUPPORTED without
                        */
    FERRY_RQ_RAW,      /* a message as it is; the vfio-user client alone sends one */
    FERRY_RQ_COUNT
};

#define FERRY_DEVICE_FLAG_RESET 1u
#define FERRY_DEVICE_FLAG_PCI 2u

struct ferry_device_info {
    uint32_t flags; /* FERRY_DEVICE_FLAG_* */
    uint32_t region_count;
    uint32_t irq_count;
};

struct ferry_range {
    uint64_t off;
    uint64_t size;
};

#define FERRY_REGION_READ 1u
#define FERRY_REGION_WRITE 2u
#define FERRY_REGION_MMAP 4u

struct ferry_region_info {
    uint32_t index;      /* in */
    uint32_t flags;      /* out: FERRY_REGION_* */
    uint64_t size;       /* out */
    uint64_t offset;     /* out: offset to mmap at, inside fd */
    uint32_t type;       /* out: a device-specific region's VFIO type, 0 for others */
    uint32_t subtype;    /* out */
    int fd;              /* out: for mmap, or -1. A client's caller owns and closes it;
                            an endpoint lends it until the request is done */
    uint32_t area_count; /* out: 0 with MMAP: the whole region can be mapped */
    struct ferry_range area[FERRY_SPARSE_AREAS_MAX]; /* out: offsets inside the region */
};

#define FERRY_IRQ_EVENTFD 1u
#define FERRY_IRQ_MASKABLE 2u
#define FERRY_IRQ_AUTOMASKED 4u
#define FERRY_IRQ_NORESIZE 8u

struct ferry_irq_info {
    uint32_t index; /* in: 0 INTx, 1 MSI, 2 MSI-X, 3 ERR, 4 REQ */
    uint32_t flags; /* out: FERRY_IRQ_* */
    uint32_t count; /* out */
};

/* Flags of SET_IRQS, as in the uAPI. */
#define FERRY_IRQ_SET_DATA_NONE 1u
#define FERRY_IRQ_SET_DATA_BOOL 2u
#define FERRY_IRQ_SET_DATA_EVENTFD 4u
#define FERRY_IRQ_SET_MASK 8u
#define FERRY_IRQ_SET_UNMASK 16u
#define FERRY_IRQ_SET_TRIGGER 32u

struct ferry_irq_set {
    uint32_t flags, index, start, count;
    const uint8_t *bools; /* count bytes with DATA_BOOL; borrowed */
    const int *fds;    /* fd_count descriptors, borrowed; who keeps one duplicates it */
    uint32_t fd_count; /* count, or 0 to take the vectors' eventfds away */
};

struct ferry_region_io {
    uint32_t index;
    uint32_t count;
    uint64_t off;
    void *data;      /* read: filled; write: source; borrowed */
    uint32_t posted; /* write: 1 no reply is wanted (No_reply) */
};

/* Maps that a device of this library takes, and tells a client as max_dma_maps. */
#define FERRY_DMA_MAPS_MAX 131072u

#define FERRY_DMA_READ 1u  /* the device may read */
#define FERRY_DMA_WRITE 2u /* the device may write */

struct ferry_dma_map {
    uint64_t iova, size;
    uint64_t offset; /* inside fd */
    int fd;          /* borrowed; -1: reached by DMA messages only */
    uint32_t flags;  /* FERRY_DMA_* */
    /* Where the user's process has it, borrowed until the unmap; NULL: nowhere. Only
     * whoever maps for the kernel looks at it; it never goes over a wire. */
    void *address;
};

#define FERRY_UNMAP_BITMAP 1u /* wanted with the unmap: the dirty bitmap of the range */
#define FERRY_UNMAP_ALL 2u

struct ferry_dma_unmap {
    uint64_t iova, size;
    uint32_t flags;
    uint64_t page_size; /* with FERRY_UNMAP_BITMAP */
    void *bitmap;       /* caller's memory */
    uint64_t bitmap_bytes;
};

#define FERRY_FEATURE_GET 1u
#define FERRY_FEATURE_SET 2u

struct ferry_feature_probe {
    uint32_t index;     /* uAPI feature number */
    uint32_t operation; /* FERRY_FEATURE_* */
};

struct ferry_log_start {
    uint64_t page_size;              /* in: hint; out: what the device uses */
    uint32_t range_count;            /* 0: the whole address space (not to a kernel) */
    const struct ferry_range *range; /* IOVA ranges; borrowed */
};

struct ferry_log_report {
    uint64_t iova, length, page_size;
    void *bitmap; /* (length / page_size + 63) / 64 * 8 bytes; bits are only set */
    uint64_t bitmap_bytes;
};

/* Writes of `size` bytes at `off` may be replaced by a write to the eventfd. */
#define FERRY_IO_FDS_MAX 64
#define FERRY_IO_FD_EVENT 0u     /* type: ioeventfd */
#define FERRY_IO_FD_DATAMATCH 1u /* flags: only writes of this value */

struct ferry_io_fd {
    uint64_t off, size;
    uint32_t type, flags;
    uint64_t datamatch;
    int fd; /* out. A client's caller owns and closes it; an endpoint lends it */
    uint32_t pad;
};

struct ferry_region_io_fds {
    uint32_t index; /* in: region */
    uint32_t cap;   /* in: entries that fit, at most FERRY_IO_FDS_MAX */
    uint32_t count; /* out: entries filled */
    uint32_t pad;
    struct ferry_io_fd *entry; /* caller's memory */
};

/* Dirty pages of [iova, iova + length), as ascending runs that do not touch; clears them.
 */
struct ferry_log_runs {
    uint64_t iova, length, page_size;
    struct ferry_range *run; /* caller's memory; off is an IOVA */
    uint32_t cap, count;     /* in: runs that fit; out: runs filled */
    uint64_t next_iova;      /* out: where to ask on; iova + length when that is all */
};

struct ferry_counters {
    struct ferry_counter *counter; /* caller's memory */
    uint32_t cap, count;           /* in: counters that fit; out: counters filled */
};

#define FERRY_DATA_SAVED 1u
#define FERRY_DATA_LOADED 2u

struct ferry_data_fd {
    int fd;             /* out: the caller's */
    uint32_t direction; /* out: FERRY_DATA_SAVED, FERRY_DATA_LOADED */
    uint64_t session;   /* out: names the session in the SET that leaves it */
};

struct ferry_leave_state {
    uint32_t state; /* enum ferry_state to go to */
    uint32_t pad;
    uint64_t session;    /* of the data descriptor */
    uint64_t data_bytes; /* leaving RESUMING: bytes of state written in all */
};

struct ferry_precopy_info {
    uint64_t initial_bytes;
    uint64_t dirty_bytes;
};

/* Pieces that one DATA_READ can name. */
#define FERRY_DATA_PIECES_MAX 48u

struct ferry_data_piece {
    const void *data; /* in the device's memory or in the reader's */
    uint64_t size;
};

struct ferry_data_io {
    void *data;    /* read: filled; write: source; borrowed */
    uint64_t size; /* in: wanted (read) or given (write) */
    uint64_t got;  /* out, read: bytes; 0 with FERRY_OK is the end of the stream.
                      FERRY_E_DRY: nothing for now (pre-copy) */
    /*
     * In, read: memory for FERRY_DATA_PIECES_MAX pieces when the bytes may stay where
     * they are. A device may then name them there, in order, instead of putting all of
     * them at data, whose size bytes it may still fill. They stay until a SET_STATE, a
     * RESET or a REGION_WRITE. A filter takes it away (NULL).
     */
    struct ferry_data_piece *piece;
    uint32_t piece_count; /* out, read: 0: all is at data */
    uint32_t placed; /* in, write: 1: the bytes are where the endpoint's place() said;
                        data is not used */
    /* In, read: 1: a transaction of a device with uAPI v1 comes in one piece or not at
     * all (FERRY_E_LIMIT). Others take no notice. */
    uint32_t whole;
    uint32_t pad;
};

#define FERRY_RAW_BYTES_MAX 65536u

/*
 * One vfio-user message, judged by nobody on its way out: for those who look at how a
 * server takes bad ones. What it changes the client does not learn: a GET_STATE has to
 * follow a change of state.
 */
struct ferry_raw {
    uint32_t command;    /* message number */
    uint32_t bytes;      /* of payload, at most FERRY_RAW_BYTES_MAX */
    const void *payload; /* what follows the header; borrowed */
    void *reply;         /* caller's memory */
    uint32_t cap;        /* of it; the rest of a longer reply is dropped */
    uint32_t got;        /* out: bytes at reply */
    uint32_t error;      /* out: the errno of an Error reply, which ends it with the
                            status that stands for it; 0: none came */
    uint32_t pad;
};

/*
 * The request itself: memory of the one who submits it, untouched by him until done
 *   runs.
 * done: called exactly once, from the thread that dispatches, never from within
 *   submit() unless the implementor says so; status is set by then.
 */
struct ferry_request {
    uint32_t kind;  /* enum ferry_request_kind */
    int32_t status; /* out: FERRY_OK or a negative code */
    union {
        struct ferry_device_info info;
        struct ferry_region_info region;
        struct ferry_irq_info irq;
        struct ferry_irq_set irq_set;
        struct ferry_region_io io;
        struct ferry_dma_map map;
        struct ferry_dma_unmap unmap;
        struct ferry_feature_probe probe;
        uint64_t mig_flags; /* out: FERRY_MIG_* */
        uint32_t state;     /* in or out: enum ferry_state */
        struct ferry_leave_state leave;
        struct ferry_log_start log_start;
        struct ferry_log_report log_report;
        struct ferry_log_runs log_runs;
        struct ferry_counters counters;
        struct ferry_region_io_fds io_fds;
        struct ferry_data_fd data_fd;
        uint64_t data_size; /* out: bytes of a stop-copy from now */
        struct ferry_precopy_info precopy;
        struct ferry_data_io data;
        struct ferry_raw raw;
        struct ferry_identity *identity; /* in: caller's memory, filled */
    } u;
    void (*done)(struct ferry_request *request);
    void *user;                 /* the submitter's own */
    struct ferry_request *next; /* the implementor's own while it holds the request */
    uint64_t tag;               /* the implementor's own */
    struct ferry_error *reterr; /* optional detail; caller's memory, alive until done */
};

/* Name of a kind for messages ("SET_STATE"). Thread: any. */
const char *ferry_request_name(uint32_t kind);

#endif
