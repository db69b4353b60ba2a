/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef FERRY_DEVICE_H
#define FERRY_DEVICE_H

#include <stddef.h>
#include <stdint.h>

#include "ferry/access.h"
#include "ferry/compat.h"
#include "ferry/counter.h"
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

#define FERRY_DEVICE_REGIONS 9 /* BAR0-5, ROM, config, VGA; extra ones come behind */
#define FERRY_REGION_ROM 6
#define FERRY_REGION_CONFIG 7
#define FERRY_REGION_EXTRA 9 /* first device-specific region */
#define FERRY_DEVICE_AREAS_MAX 8
#define FERRY_DEVICE_CAPS_MAX 8
#define FERRY_DEVICE_EXT_CAPS_MAX 8
#define FERRY_DEVICE_EXTRA_MAX 8
#define FERRY_DEVICE_DOORBELLS_MAX 64
#define FERRY_DEVICE_MSI_MAX 32
#define FERRY_DEVICE_MSIX_MAX 2048
#define FERRY_DEVICE_WATCHES_MAX 16

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
     * Access to the body of a trapped vendor capability in config space: cap is its index
     * in ferry_device_desc.cap, or FERRY_DEVICE_CAPS_MAX plus its index in .ext_cap. off
     * counts from the capability's first byte. Default: the bytes are plain storage.
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
     * A DMA range is about to go: the user unmaps it, one call for each map that an unmap
     * (of a range, or of all) takes away. The device starts nothing new in it and lets go
     * of the segments it holds. Return: FERRY_OK when it has no more use for the range;
     * FERRY_PENDING while work that has begun uses it: the SDK asks again in each work()
     * slice and when a segment is put back; a negative code refuses the unmap.
     *
     * Whatever is returned, the user hears of the end of the unmap only when every
     * segment of the range has been put back (ferry_dma_put), so that the device touches
     * no memory which the user believes to be gone. Other requests are served meanwhile.
     * When that takes longer than ferry_device_desc.unmap_timeout_ms the unmap fails with
     * FERRY_E_TIMEOUT and the range stays mapped.
     *
     * Not called when the user disconnects or dies: reset() comes instead. Segments that
     * are out then stay readable and writable until they are put back, and no other
     * user's maps can be confused with them. Default: FERRY_OK.
     */
    int (*dma_unmap)(void *state, struct ferry_device *device, uint64_t iova,
                     uint64_t size);
    /* From here on since 0.3. */
    /*
     * save() without the copy, in STOP_COPY: *ret_data says where the next bytes are,
     * which is the device's own memory, or buffer, into which they were put. save() and
     * save_lend() take turns as the SDK likes and both go on from the same place.
     *
     * Memory of the device's stays readable and unchanged until the next arc or reset of
     * the device begins; buffer is the SDK's and holds cap bytes. Return: as save, count
     * at most cap; FERRY_E_DRY is an error. Default: save().
     */
    int (*save_lend)(void *state, struct ferry_device *device, void *buffer, size_t cap,
                     const void **ret_data);
    /*
     * load() without the copy: where do the next bytes of the state belong? *ret_place
     * has room for the returned number of them, most at most; 0: they come by load().
     * Nothing is taken by this call, what was at the place may be overwritten whether or
     * not load_done() follows.
     */
    size_t (*load_place)(void *state, struct ferry_device *device, size_t most,
                         void **ret_place);
    /*
     * The first count bytes at the place that load_place() has just named are there; it
     * is what load() is told otherwise. Return: as load. Required with load_place.
     */
    int (*load_done)(void *state, struct ferry_device *device, size_t count);
    /*
     * What the device has counted so far, at most cap of them (FERRY_COUNTERS_MAX). Asked
     * in every state, also while an arc is pending. ret_counter: all 0 at first. Return:
     * how many; a negative code. Default: the device counts nothing.
     */
    int (*counters)(void *state, struct ferry_device *device,
                    struct ferry_counter *ret_counter, uint32_t cap);
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

/*
 * A vendor-specific extended capability (VSEC, id 0x000b), in the config space behind
 * byte 256.
 */
struct ferry_device_ext_cap {
    const uint8_t *bytes; /* the body after the 8 header bytes; borrowed for create; NULL:
                             zeros */
    uint16_t vsec_id;
    uint16_t length;  /* whole length including the 8 header bytes, at most 4095 */
    uint8_t revision; /* 0 to 15 */
    uint8_t writable; /* 1: the body is writable (or goes to cap_write) */
    uint8_t trapped;  /* 1: cap_read and cap_write serve it */
    uint8_t pad;
};

/*
 * A device-specific region: index FERRY_REGION_EXTRA plus its place in the description.
 * Trapped accesses go to region_read and region_write; the access table treats them as
 * those to a BAR. A power state leaves it reachable, since no BAR decodes it.
 */
struct ferry_device_extra {
    struct ferry_device_region region; /* any size; flags: FERRY_BAR_MEMORY (whole pages),
                                          FERRY_EXTRA_READ_ONLY */
    uint32_t type;                     /* as in the uAPI's VFIO_REGION_INFO_CAP_TYPE */
    uint32_t subtype;
};
#define FERRY_EXTRA_READ_ONLY 8u /* writes are dropped; not with FERRY_BAR_MEMORY */

/*
 * A write that the user may replace by a signal to an eventfd (an ioeventfd): the SDK
 * makes the eventfd when a user asks, and a signal becomes a call of region_write with
 * `value`. Several signals may become one call. In a P2P state it is latched as a written
 * doorbell is (by a device that latches); in every other state in which the device does
 * not run it stays in the eventfd until the device runs again. A reset drops it.
 */
struct ferry_device_doorbell {
    uint32_t region; /* a BAR or device-specific region, where it is trapped */
    uint32_t size;   /* of the write: 1, 2, 4 or 8 bytes */
    uint64_t off;    /* aligned to size */
    uint64_t value;  /* with match: only writes of this value; else what region_write is
                        given, since an eventfd does not say what was written */
    uint32_t match;  /* 1: writes of other values come as messages */
    uint32_t pad;
};

/* ferry_device_desc.flags. Conventional PCI: no PCI Express capability, 256 bytes of
 * config space, no ERR interrupt. */
#define FERRY_DEVICE_CONVENTIONAL 1u
/* region_read may be called while a ferry_dma_read or ferry_dma_write of the device's own
 * waits for an answer by message. Without it such a read waits for the DMA's end, which
 * some users (QEMU) put off until they have read: both then wait until the DMA's limit.
 */
#define FERRY_DEVICE_READS_DURING_DMA 2u

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
    /* From here on since 0.2: a caller with a shorter struct_size has none of it. */
    uint32_t intx_pin;         /* 1 to 4: INTA to INTD; 0: no INTx */
    uint32_t msi_vectors;      /* a power of two up to 32; 0: no MSI */
    uint32_t flags;            /* FERRY_DEVICE_* */
    uint32_t unmap_timeout_ms; /* how long an unmap waits for the device; 0: 2000 */
    uint64_t serial;           /* Device Serial Number capability; 0: none */
    /* The ROM's image, borrowed for the device's life; what lies behind it reads as 0.
     * region[6].size_bytes may be 0: the next power of two. NULL: region_read serves the
     * ROM, if there is one. Read whatever the ROM BAR's enable bit says, as through VFIO
     * of the kernel: the bit is the user's, who maps the ROM for the guest. */
    const uint8_t *rom;
    uint64_t rom_bytes;
    uint32_t ext_cap_count;
    uint32_t extra_count;
    struct ferry_device_ext_cap ext_cap[FERRY_DEVICE_EXT_CAPS_MAX];
    struct ferry_device_extra extra[FERRY_DEVICE_EXTRA_MAX];
    const struct ferry_device_doorbell *doorbell; /* borrowed for create */
    uint32_t doorbell_count;
    uint32_t pad;
    /* From here on since 0.3. */
    /* Ranges that the device's dirty log can hold, as page trackers of hardware have a
     * limit; 0: as many as may be named (256). When START names more, those with the
     * smallest gaps between them are combined: what lies in such a gap is logged too. */
    uint32_t log_ranges_max;
    uint32_t pad2;
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

/* Where vendor capability i lies in config space, or extended one i -
 * FERRY_DEVICE_CAPS_MAX; 0: there is none. */
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
 * Descriptors of the device's own: a socket of a back end, a timer. fn is called while
 * the descriptor is ready, in every state of the device and also while no user is
 * attached, always from within the device's work; so it may schedule the device, but not
 * destroy it. It is called again and again until the cause is gone (read, or unwatched);
 * FERRY_DEVICE_HANGUP is reported without being asked for.
 * fd: borrowed until ferry_device_unwatch(), which comes before it is closed. One that is
 *   watched already is watched as it is said now.
 * events: FERRY_DEVICE_READABLE, FERRY_DEVICE_WRITABLE or both.
 * Return: FERRY_OK; FERRY_E_ARGUMENT (no descriptor, events or fn), FERRY_E_LIMIT
 *   (FERRY_DEVICE_WATCHES_MAX are watched), FERRY_E_MEMORY, FERRY_E_IO or another code
 *   (a descriptor that cannot be waited for).
 * Thread: the device's.
 */
#define FERRY_DEVICE_READABLE 1u
#define FERRY_DEVICE_WRITABLE 2u
#define FERRY_DEVICE_HANGUP 4u
FERRY_PUBLIC int ferry_device_watch(struct ferry_device *device, int fd, uint32_t events,
                                    void (*fn)(void *user, uint32_t events), void *user);
/* One that is not watched is ignored. Thread: the device's; also from within fn. */
FERRY_PUBLIC void ferry_device_unwatch(struct ferry_device *device, int fd);

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
 * Raises a vector of whichever of MSI-X and MSI the user has set up (MSI-X while neither
 * is, when the device has it). Masked or disabled vectors become pending and fire when
 * they are unmasked; never blocks, also when the eventfd is full. When the user has
 * enabled fewer MSI vectors than there are, the number is taken modulo theirs.
 * Return: FERRY_OK; FERRY_E_STATE (the device state forbids interrupts);
 * FERRY_E_NOT_FOUND (no such vector). Thread: the device's.
 */
FERRY_PUBLIC int ferry_irq_raise(struct ferry_device *device, uint32_t vector);

/*
 * Sets the level of the INTx line: 1 asserted, 0 not. An asserted line interrupts once
 * and is then masked until the user unmasks it; if it is still asserted by then it
 * interrupts again. It is silent while the user has set INTx disable in the PCI command
 * register or enabled MSI or MSI-X. The level is carried when the device moves; a reset
 * deasserts it.
 * Return: FERRY_OK; FERRY_E_NOT_FOUND (no intx_pin); FERRY_E_STATE (asserting while the
 * device state forbids interrupts: nothing changed). Thread: the device's.
 */
FERRY_PUBLIC int ferry_intx_set(struct ferry_device *device, int level);

/*
 * Tells the user that the device met an error it cannot correct (ERR: a VMM stops the
 * guest), or asks it to give the device back (REQ: a VMM unplugs it). These are words to
 * the user, no interrupts of the guest: they work in every state and are not carried.
 * Return: FERRY_OK; FERRY_E_NOT_FOUND (nobody listens). Thread: the device's.
 */
FERRY_PUBLIC int ferry_irq_error(struct ferry_device *device);
FERRY_PUBLIC int ferry_irq_request(struct ferry_device *device);

/*
 * Serving over vfio-user. One server serves one device to one user at a time. A process
 * may have several, each with its device: every server in a thread of its own
 * (ferry_server_run), or all in one thread, which polls their ferry_server_fd() and calls
 * ferry_server_dispatch(server, 0) for those that are readable. No call waits for a slow
 * or silent user except a message for memory that has no descriptor (dma_timeout_ms).
 */
/* Entries of GET_REGION_IO_FDS: the specification's 40 bytes, or libvfio-user's 48. */
#define FERRY_IO_FD_LAYOUT_SPEC 0u
#define FERRY_IO_FD_LAYOUT_LIBVFIO_USER 1u
/* DMA messages: find out what the client speaks, or as said. */
#define FERRY_DMA_LAYOUT_AUTO 0u
#define FERRY_DMA_LAYOUT_SPEC 1u
#define FERRY_DMA_LAYOUT_QEMU 2u

struct ferry_server_options {
    size_t struct_size;
    const char *path;              /* UNIX socket to listen at; borrowed for the call */
    uint32_t handshake_timeout_ms; /* 0: default 5000 */
    uint32_t message_timeout_ms;   /* 0: default 5000 */
    uint32_t dma_timeout_ms;       /* 0: default 5000 */
    /* Told when a connection ends badly; detail is borrowed for the call. May be NULL. */
    void (*log)(void *user, const struct ferry_error *detail);
    void *user;
    /*
     * A stream socket in place of path, which the server owns from then on, also on
     * failure: connected (one client is served, then ferry_server_run() ends), or
     * listening. NULL: none. The int is borrowed for the call.
     */
    const int *fd;
    const char *record; /* file for a transcript (docs/transcripts.md); NULL: none */
    /*
     * While a client is connected: look for its messages without waiting until none has
     * come for so long. It costs the processor. 0: always wait.
     */
    uint32_t spin_us;
    uint32_t io_fd_layout; /* FERRY_IO_FD_LAYOUT_* */
    uint32_t dma_layout;   /* FERRY_DMA_LAYOUT_* */
    uint32_t pad;
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
