/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef FERRY_DEVICE_H
#define FERRY_DEVICE_H

#include <stddef.h>
#include <stdint.h>

#include "ferry/access.h"
#include "ferry/compat.h"
#include "ferry/error.h"
#include "ferry/state.h"
#include "ferry/version.h"

#ifdef __cplusplus
extern "C" {
#endif

/*
 * The device SDK. An author describes a device (struct ferry_device_desc), implements the
 * operations it needs (struct ferry_device_ops) and gets a PCI device that can be served
 * over vfio-user or used in the same process, with migration enforced by the core's
 * rules.
 *
 * Thread: a device, its server and every callback belong to one thread, except where a
 * call says otherwise.
 */
struct ferry_device;
struct ferry_server;

#define FERRY_DEVICE_REGIONS 9 /* BAR0-5, ROM, config, VGA */
#define FERRY_REGION_ROM 6
#define FERRY_REGION_CONFIG 7
#define FERRY_DEVICE_AREAS_MAX 8
#define FERRY_DEVICE_CAPS_MAX 8
#define FERRY_DEVICE_MSIX_MAX 2048

enum ferry_reset_reason {
    FERRY_RESET_REQUEST = 1, /* VFIO_DEVICE_RESET or FLR */
    FERRY_RESET_CLIENT_GONE, /* the user disconnected */
    FERRY_RESET_RESUMING /* a RESUMING session begins: state is about to be replaced */
};

/* Bytes of pre-copy data that could be read now. */
struct ferry_device_precopy {
    uint64_t initial_bytes; /* must be read before a stop makes sense */
    uint64_t dirty_bytes;
};

/*
 * Operations of a device. NULL = the default named. `state` is the author's pointer from
 * the description. Every callback runs on the device's thread and must not block.
 */
struct ferry_device_ops {
    size_t struct_size; /* sizeof(struct ferry_device_ops); members are only appended */
    /*
     * A trapped access to a region that has no memory behind it (or to the trapped part
     * of one that has). Never called for the MSI-X table and PBA nor in a state in which
     * the access table refuses it. off + count lies inside the region. Return: FERRY_OK
     * or a negative code (the access fails). Default: reads 0, writes drop.
     */
    int (*region_read)(void *state, struct ferry_device *device, uint32_t region,
                       uint64_t off, void *ret_data, size_t count);
    int (*region_write)(void *state, struct ferry_device *device, uint32_t region,
                        uint64_t off, const void *data, size_t count);
    /*
     * Access to a vendor capability's body in config space (ferry_device_desc.caps);
     * off counts from the capability's first byte. Default: the bytes are plain storage.
     */
    int (*cap_read)(void *state, struct ferry_device *device, uint32_t cap, uint32_t off,
                    void *ret_data, size_t count);
    int (*cap_write)(void *state, struct ferry_device *device, uint32_t cap, uint32_t off,
                     const void *data, size_t count);
    /* Back to power-on state. Must not fail. Default: nothing. */
    void (*reset)(void *state, struct ferry_device *device,
                  enum ferry_reset_reason reason);
    /*
     * A bounded slice of work (some 100 us), called after ferry_device_schedule() and,
     * while it returns 1, again and again; messages are served between the calls. Called
     * only in states in which the device may start DMA or while an arc is pending.
     */
    int (*work)(void *state, struct ferry_device *device);
    /*
     * Takes one basic arc. The SDK has checked that it is legal. An arc into a P2P or
     * stopped state may return only when the device starts no more DMA and no interrupts.
     * RESUMING to STOP validates what was loaded and fails when it is short, long,
     * foreign or damaged. Return: FERRY_OK; FERRY_PENDING (later
     * ferry_device_arc_done()); FERRY_E_DEVICE_ERROR (the device is lost: state ERROR);
     * another negative code: the state stays `from`. Default: FERRY_OK.
     */
    int (*arc)(void *state, struct ferry_device *device, uint32_t from, uint32_t to);
    /*
     * The next bytes of the state, in PRE_COPY, PRE_COPY_P2P and STOP_COPY. Any
     * segmentation must give the same stream. Return: count > 0; 0: end (STOP_COPY only);
     * FERRY_E_DRY: nothing for now (pre-copy only); another negative code. Required with
     * FERRY_MIG_STOP_COPY.
     */
    int (*save)(void *state, struct ferry_device *device, void *ret_data, size_t cap);
    /*
     * Bytes of a state, in RESUMING, in any segmentation. May refuse early (an
     * incompatible device: FERRY_E_INCOMPATIBLE). Must not read guest memory. Return:
     * FERRY_OK (all bytes taken) or a negative code. Required with STOP_COPY.
     */
    int (*load)(void *state, struct ferry_device *device, const void *data, size_t count);
    /* Required with FERRY_MIG_PRE_COPY. */
    int (*precopy_info)(void *state, struct ferry_device *device,
                        struct ferry_device_precopy *ret_info);
    /* Bytes that a stop-copy from now would give; never 0. Required with STOP_COPY. */
    int (*data_size)(void *state, struct ferry_device *device, uint64_t *ret_bytes);
    /*
     * A DMA range is about to go. The device lets go of segments it holds in it (work
     * already started may finish: return FERRY_PENDING while one is held; the SDK asks
     * again when one is put back). Default: FERRY_OK when no segment is held, else
     * FERRY_PENDING.
     */
    int (*dma_unmap)(void *state, struct ferry_device *device, uint64_t iova,
                     uint64_t size);
};

/* One BAR or the ROM. */
struct ferry_device_region {
    uint64_t size_bytes; /* 0: absent. A power of two for a BAR, at least 16 */
    uint32_t flags;      /* FERRY_BAR_* */
    uint32_t area_count; /* mmappable parts; 0 with FERRY_BAR_MEMORY: the whole */
    struct {
        uint64_t off, size; /* page aligned, ascending */
    } area[FERRY_DEVICE_AREAS_MAX];
};
#define FERRY_BAR_64BIT 1u
#define FERRY_BAR_PREFETCH 2u
#define FERRY_BAR_MEMORY                                                                 \
    4u /* backed by memory that users can mmap and peers can reach                       \
        */

/* A vendor capability in config space (id 0x09); length includes the 3 header bytes. */
struct ferry_device_cap {
    const uint8_t *bytes; /* the body after {id, next, length}; borrowed for create */
    uint8_t length;       /* whole length including the 3 header bytes */
    uint8_t writable;     /* 1: body is writable (or goes to cap_write) */
    uint8_t trapped;      /* 1: cap_read and cap_write serve it */
    uint8_t pad[5];
};

struct ferry_device_desc {
    size_t struct_size;
    const struct ferry_device_ops *ops;   /* borrowed for the device's life */
    void *state;                          /* the author's */
    struct ferry_identity identity;       /* model, versions, PCI identity, keys, flags */
    struct ferry_device_region region[7]; /* BAR0-5, ROM */
    uint32_t msix_vectors;                /* 0: no MSI-X */
    uint32_t msix_bar;                    /* BAR that holds table and PBA, trapped */
    uint64_t msix_table_off, msix_pba_off;
    uint32_t cap_count;
    struct ferry_device_cap cap[FERRY_DEVICE_CAPS_MAX];
};

/*
 * Makes a device, in RUNNING with nothing attached.
 * desc: borrowed for the call, ops and state for the device's life.
 * Return: FERRY_OK; FERRY_E_ARGUMENT (reterr says which member and why), FERRY_E_MEMORY,
 *   FERRY_E_IO.
 */
FERRY_PUBLIC int ferry_device_create(const struct ferry_device_desc *desc,
                                     struct ferry_device **ret_device,
                                     struct ferry_error *reterr);
/* Destroys it; no server and no in-process user may hold it any more. */
FERRY_PUBLIC void ferry_device_destroy(struct ferry_device *device);

/* The device for a user in the same process (ferry_context_add_endpoint). Borrowed. */
FERRY_PUBLIC struct ferry_endpoint *ferry_device_endpoint(struct ferry_device *device);

/* Present state, enum ferry_state. */
FERRY_PUBLIC uint32_t ferry_device_state(const struct ferry_device *device);

/* Where vendor capability i lies in config space. */
FERRY_PUBLIC uint32_t ferry_device_cap_off(const struct ferry_device *device, uint32_t i);

/* Memory of a FERRY_BAR_MEMORY region; NULL for others. Valid for the device's life. */
FERRY_PUBLIC void *ferry_device_region_memory(struct ferry_device *device,
                                              uint32_t region);

/* 1 when the user has set PCI command bit 2 (bus master) and has not put the device into
 * D3hot; DMA fails without both. */
FERRY_PUBLIC int ferry_device_bus_master(const struct ferry_device *device);

/* work() is called soon. Thread: the device's. */
FERRY_PUBLIC void ferry_device_schedule(struct ferry_device *device);

/*
 * Ends an arc that returned FERRY_PENDING. status: FERRY_OK, FERRY_E_DEVICE_ERROR, or
 * another negative code (the device stays in the arc's first state).
 */
FERRY_PUBLIC void ferry_device_arc_done(struct ferry_device *device, int status);

/*
 * Reads or writes the user's memory at an IOVA; the range may span several mappings, but
 * no hole. Writes are logged after the bytes are written. Memory without a descriptor is
 * reached by message (bounded wait).
 * Return: FERRY_OK; FERRY_E_RANGE (not mapped, wrong permission, overflow: nothing or a
 *   part was transferred); FERRY_E_STATE (the device state forbids DMA, or bus master is
 *   off); FERRY_E_TIMEOUT, FERRY_E_CLOSED, FERRY_E_IO.
 * Thread: the device's.
 */
FERRY_PUBLIC int ferry_dma_read(struct ferry_device *device, uint64_t iova,
                                void *ret_data, size_t size);
FERRY_PUBLIC int ferry_dma_write(struct ferry_device *device, uint64_t iova,
                                 const void *data, size_t size);

/* A piece of mapped memory in hand, for zero-copy work and other threads. */
struct ferry_dma_segment {
    void *address; /* valid until put */
    uint64_t iova;
    uint64_t size;
    uint32_t writable;
    uint32_t map; /* the SDK's own */
};

/*
 * Borrows memory behind one mapping. ret_segment->size may be less than size (the mapping
 * ends); ask again for the rest. P2P and STOP arcs and unmaps wait until it is put back.
 * write: 1 when the device will write.
 * Return: FERRY_OK; FERRY_E_RANGE, FERRY_E_STATE; FERRY_E_UNSUPPORTED (memory without a
 *   descriptor, or in a file that its owner could shorten, since an access to a page that
 *   is gone ends the process; a memfd with F_SEAL_SHRINK is lent: use
 *   ferry_dma_read/write).
 * Thread: the device's.
 */
FERRY_PUBLIC int ferry_dma_get(struct ferry_device *device, uint64_t iova, uint64_t size,
                               int write, struct ferry_dma_segment *ret_segment);
/*
 * Gives a segment back; written_bytes from its start are logged as dirty (0: none).
 * Thread: any, as long as the device lives.
 */
FERRY_PUBLIC void ferry_dma_put(struct ferry_device *device,
                                const struct ferry_dma_segment *segment,
                                uint64_t written_bytes);

/*
 * Raises an MSI-X vector. Masked or disabled vectors become pending (PBA) and fire when
 * they are unmasked; never blocks, also when the eventfd is full. Return: FERRY_OK;
 * FERRY_E_STATE (the device state forbids interrupts); FERRY_E_NOT_FOUND.
 */
FERRY_PUBLIC int ferry_irq_raise(struct ferry_device *device, uint32_t vector);

/*
 * Serving over vfio-user.
 */
struct ferry_server_options {
    size_t struct_size;
    const char *path;              /* UNIX socket to listen at; borrowed for the call */
    uint32_t handshake_timeout_ms; /* 0: default 5000 */
    uint32_t message_timeout_ms;   /* 0: default 5000 */
    uint32_t dma_timeout_ms;       /* 0: default 5000 */
    /* Told when a connection ends badly; detail is borrowed for the call. May be NULL. */
    void (*log)(void *user, const struct ferry_error *detail);
    void *user;
};

/* Return: as ferry_device_create, FERRY_E_EXISTS (somebody listens there). */
FERRY_PUBLIC int ferry_server_create(struct ferry_device *device,
                                     const struct ferry_server_options *options,
                                     struct ferry_server **ret_server,
                                     struct ferry_error *reterr);
FERRY_PUBLIC void ferry_server_destroy(struct ferry_server *server);
/* One descriptor for any main loop: readable when ferry_server_dispatch has work. */
FERRY_PUBLIC int ferry_server_fd(const struct ferry_server *server);
/* timeout_ms: -1 waits for ever. Return: FERRY_OK, FERRY_E_IO. */
FERRY_PUBLIC int ferry_server_dispatch(struct ferry_server *server, int timeout_ms);
/* Dispatches until ferry_server_stop(). */
FERRY_PUBLIC int ferry_server_run(struct ferry_server *server);
/* Makes ferry_server_run return soon. Thread: any; also from a signal handler. */
FERRY_PUBLIC void ferry_server_stop(struct ferry_server *server);

#ifdef __cplusplus
}
#endif

#endif
