/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef FERRY_WIRE_MESSAGE_H
#define FERRY_WIRE_MESSAGE_H

#include <stddef.h>
#include <stdint.h>

#include "ferry/error.h"
#include "wire/command.h"
#include "wire/header.h"

/*
 * Every vfio-user request and reply as plain fields. A message is a head (header and
 * fixed fields, encoded here) and data that follows it and is never copied: JSON,
 * region data, bools, ranges, bitmaps. Pure: no allocation, no I/O; every call may come
 * from any thread.
 */

#define FERRY_WIRE_AREAS_MAX 16u
/* Bytes that every head fits in. */
#define FERRY_WIRE_HEAD_MAX 336u

struct ferry_wire_range {
    uint64_t off, size; /* 16 bytes each on the wire */
};

/* Data of the message: the JSON with its NUL, or none. */
struct ferry_wire_version {
    uint16_t major, minor;
};

#define FERRY_WIRE_MAP_READ 1u
#define FERRY_WIRE_MAP_WRITE 2u
struct ferry_wire_dma_map {
    uint32_t flags;  /* FERRY_WIRE_MAP_* */
    uint64_t offset; /* inside the descriptor; means nothing without one */
    uint64_t iova, size;
};

#define FERRY_WIRE_UNMAP_BITMAP 1u
#define FERRY_WIRE_UNMAP_ALL 2u
/* Data of the reply with FERRY_WIRE_UNMAP_BITMAP: bitmap_bytes of bitmap. */
struct ferry_wire_dma_unmap {
    uint32_t argsz;
    uint32_t flags;      /* FERRY_WIRE_UNMAP_* */
    uint64_t iova, size; /* both 0 with FERRY_WIRE_UNMAP_ALL */
    uint64_t page_size;  /* these two with FERRY_WIRE_UNMAP_BITMAP, else 0 */
    uint64_t bitmap_bytes;
};

struct ferry_wire_info {
    uint32_t argsz;
    uint32_t flags; /* reply: bit 0 reset, bit 1 PCI */
    uint32_t region_count;
    uint32_t irq_count;
};

#define FERRY_WIRE_REGION_FLAGS 7u /* the flags below; bit 3 (caps) is internal */
struct ferry_wire_region_info {
    uint32_t argsz;
    uint32_t flags; /* reply: bit 0 read, 1 write, 2 mmap */
    uint32_t index;
    uint32_t area_count; /* reply: mmappable areas; 0 with mmap: the whole region */
    uint64_t size;       /* reply */
    uint64_t offset;     /* reply: of the region inside its descriptor */
    uint32_t type;       /* reply: a device-specific region's type; 0: none is told */
    uint32_t subtype;    /* reply */
    uint32_t cut;        /* decoded reply: 1 when the capabilities did not fit: ask
                            again with the reply's argsz */
    uint32_t pad;
    struct ferry_wire_range area[FERRY_WIRE_AREAS_MAX];
};

/* Two layouts of an entry are in use; the message does not name its own. */
#define FERRY_WIRE_IO_FD_SPEC 0u /* the specification's 40 bytes */
#define FERRY_WIRE_IO_FD_WIDE 1u /* libvfio-user's 48 bytes */

struct ferry_wire_io_fd {
    uint64_t off, size;
    uint32_t fd_index; /* among the message's descriptors; entries may share one */
    uint32_t type;     /* 0 ioeventfd, 1 ioregionfd, 2 ioeventfd with shadow memory */
    uint32_t flags;
    uint32_t pad;
    uint64_t datamatch;
};

/* Data of the reply: count entries, see ferry_wire_io_fd_encode(). */
struct ferry_wire_io_fds {
    uint32_t argsz;
    uint32_t flags;
    uint32_t index;
    uint32_t count;  /* reply */
    uint32_t layout; /* reply: FERRY_WIRE_IO_FD_* */
    uint32_t cut;    /* reply: 1 when the entries do not fit in the request's argsz */
};

struct ferry_wire_irq_info {
    uint32_t argsz;
    uint32_t flags; /* reply: bit 0 eventfd, 1 maskable, 2 automasked, 3 noresize */
    uint32_t index;
    uint32_t count; /* reply */
};

#define FERRY_WIRE_IRQ_NONE 1u
#define FERRY_WIRE_IRQ_BOOL 2u
#define FERRY_WIRE_IRQ_EVENTFD 4u
#define FERRY_WIRE_IRQ_MASK 8u
#define FERRY_WIRE_IRQ_UNMASK 16u
#define FERRY_WIRE_IRQ_TRIGGER 32u
/* Data: count bools with FERRY_WIRE_IRQ_BOOL. fd_count: count or 0 with EVENTFD. */
struct ferry_wire_irq_set {
    uint32_t flags, index, start, count;
};

/* REGION_READ, REGION_WRITE. Data: count bytes in a read's reply and a write's request.
 */
struct ferry_wire_region_io {
    uint64_t off;
    uint32_t region, count;
};

/* One write of REGION_WRITE_MULTI; FERRY_WIRE_WRITE_BYTES on the wire. */
#define FERRY_WIRE_WRITE_BYTES 24u
struct ferry_wire_write {
    uint64_t off;
    uint32_t region, count; /* count: at most 8 */
    uint8_t data[8];
};

/* Data of the request: count writes, see ferry_wire_write_encode(). */
struct ferry_wire_write_multi {
    uint64_t count; /* reply: how many are done */
};

/*
 * DMA_READ, DMA_WRITE. Data as above. Two layouts are in use: the specification's count
 * is 64 bits and the data lies behind it; QEMU's client has a count of 32 bits.
 */
#define FERRY_WIRE_DMA_SPEC 0u
#define FERRY_WIRE_DMA_QEMU 1u
/* A smaller message is refused by QEMU. */
#define FERRY_WIRE_DMA_QEMU_MIN 4u
struct ferry_wire_dma_io {
    uint64_t iova, count;
    uint32_t layout; /* FERRY_WIRE_DMA_*; of a decoded request always SPEC */
    uint32_t pad;
};

/* Device features, the uAPI's numbers. */
#define FERRY_WIRE_FEATURE_MIGRATION 1u
#define FERRY_WIRE_FEATURE_STATE 2u
#define FERRY_WIRE_FEATURE_LOG_START 6u
#define FERRY_WIRE_FEATURE_LOG_STOP 7u
#define FERRY_WIRE_FEATURE_LOG_REPORT 8u
#define FERRY_WIRE_FEATURE_DATA_SIZE 9u
#define FERRY_WIRE_FEATURE_PRECOPY_INFO 0xfe01u /* Ferry's extension */
#define FERRY_WIRE_FEATURE_LOG_RUNS 0xfe02u     /* Ferry's extension */
#define FERRY_WIRE_FEATURE_DATA_FD 0xfe03u      /* the same */
#define FERRY_WIRE_FEATURE_LEAVE_STATE 0xfe04u  /* the same */
#define FERRY_WIRE_FEATURE_COUNTERS 0xfe05u     /* the same */
#define FERRY_WIRE_COUNTERS_MAX 128u
#define FERRY_WIRE_COUNTER_BYTES 40u

#define FERRY_WIRE_DATA_SAVED 1u
#define FERRY_WIRE_DATA_LOADED 2u

#define FERRY_WIRE_GET 1u
#define FERRY_WIRE_SET 2u

struct ferry_wire_feature {
    uint32_t argsz;
    uint32_t index;     /* FERRY_WIRE_FEATURE_*; with probe any number */
    uint32_t operation; /* FERRY_WIRE_GET, FERRY_WIRE_SET; with probe any mix */
    uint32_t probe;     /* 1: only asks whether it is there; no further fields */
    union {
        uint64_t migration_flags;
        uint32_t state;
        struct {
            uint64_t page_size; /* reply: what the device uses */
            uint32_t
                range_count; /* 0: everything. Data: the ranges, in both directions */
            uint32_t pad;
        } log_start;
        struct {
            uint64_t iova, length, page_size; /* data of the reply: the bitmap */
        } log_report;
        struct {
            uint64_t iova, length, page_size; /* as log_report */
            uint64_t next_iova;               /* reply */
            uint32_t count; /* reply. Data: the runs, as LOG_START's ranges */
            uint32_t cap;   /* request: runs that may be told; on the wire by argsz */
        } log_runs;
        struct {
            uint32_t count; /* reply. Data: the counters */
            uint32_t cap;   /* request: that may be told; on the wire by argsz */
        } counters;
        uint64_t data_size;
        struct {
            uint64_t initial_bytes, dirty_bytes;
        } precopy;
        struct {
            uint64_t session;
            uint32_t direction; /* FERRY_WIRE_DATA_SAVED, FERRY_WIRE_DATA_LOADED */
            uint32_t flags;     /* 0 */
        } data_fd;              /* the reply has a descriptor */
        struct {
            uint32_t state, pad;
            uint64_t session, bytes;
        } leave;
    } u;
};

/* DATA_READ: data in the reply; DATA_WRITE: data in the request. */
struct ferry_wire_data_io {
    uint32_t argsz;
    uint32_t size; /* wanted, or there */
};

struct ferry_wire_message {
    uint16_t id;
    uint16_t command; /* enum ferry_wire_command_number */
    uint8_t reply;    /* 0 request, 1 reply */
    uint8_t posted;   /* request: no reply is wanted */
    uint16_t pad;
    uint32_t fd_count;   /* descriptors that come with it */
    uint32_t data_bytes; /* of what follows the head */
    const uint8_t *data; /* borrowed; decoded: NULL when it has not arrived yet */
    union {
        struct ferry_wire_version version;
        struct ferry_wire_dma_map map;
        struct ferry_wire_dma_unmap unmap;
        struct ferry_wire_info info;
        struct ferry_wire_region_info region;
        struct ferry_wire_irq_info irq;
        struct ferry_wire_irq_set irq_set;
        struct ferry_wire_region_io io;
        struct ferry_wire_dma_io dma;
        struct ferry_wire_feature feature;
        struct ferry_wire_data_io data_io;
        struct ferry_wire_io_fds io_fds;
        struct ferry_wire_write_multi multi;
    } u;
};

/* A payload as it came in. */
struct ferry_wire_body {
    const void *bytes; /* borrowed; what is there of the payload */
    size_t have;       /* all of it, or at least ferry_wire_decode_need() bytes */
    uint32_t fd_count; /* descriptors that came with the message */
    uint32_t pad;
};

/*
 * Encodes a message's head; the sender sends message->data behind it.
 *
 * Fields that the sender need not fill: a request's argsz (0: what the reply needs, for
 * GET_REGION_INFO room for all areas), data_bytes where a count says it. In a reply
 * argsz is the one of the request (take the request's message and fill in the answer):
 * a GET_REGION_INFO reply that does not fit in it is cut to its fixed part, as the
 * protocol wants it.
 *
 * ret_head: cap bytes, FERRY_WIRE_HEAD_MAX is always enough.
 * Return: bytes of the head, > 0; FERRY_E_ARGUMENT (the message breaks a rule that the
 *   receiver would check, or lies about its data), FERRY_E_CAPACITY.
 */
int ferry_wire_encode(const struct ferry_wire_message *message, void *ret_head,
                      size_t cap);

/*
 * Bytes of a message's payload that have to be there for decoding it; the data behind
 * them may still be under way or be received to another place. At most the payload's
 * size.
 */
uint32_t ferry_wire_decode_need(const struct ferry_wire_header *header);

/*
 * Decodes a request whose header passed ferry_wire_header_check().
 * body, limits: borrowed. ret_message->data points into body, or is NULL when the body
 *   is not complete.
 * Return: FERRY_OK; FERRY_E_AGAIN (less there than ferry_wire_decode_need()),
 *   FERRY_E_PROTOCOL, FERRY_E_LIMIT, FERRY_E_RANGE (overflow), FERRY_E_FDS,
 *   FERRY_E_UNSUPPORTED (a feature that this protocol has not): all of them can be
 *   answered with an Error reply. reterr names message, offset (from the header's first
 *   byte) and rule.
 */
int ferry_wire_request_decode(const struct ferry_wire_header *header,
                              const struct ferry_wire_body *body,
                              const struct ferry_wire_limits *limits,
                              struct ferry_wire_message *ret_message,
                              struct ferry_error *reterr);

/*
 * Decodes a reply without the Error flag.
 * asked: the request it answers, as it was encoded; the reply must fit to it.
 * Return: as ferry_wire_request_decode(); FERRY_E_UNSUPPORTED does not occur.
 */
int ferry_wire_reply_decode(const struct ferry_wire_header *header,
                            const struct ferry_wire_body *body,
                            const struct ferry_wire_limits *limits,
                            const struct ferry_wire_message *asked,
                            struct ferry_wire_message *ret_message,
                            struct ferry_error *reterr);

/* Entries of GET_REGION_IO_FDS: bytes of one, and one from and to its bytes. */
uint32_t ferry_wire_io_fd_bytes(uint32_t layout);
void ferry_wire_io_fd_encode(const struct ferry_wire_io_fd *entry, uint32_t layout,
                             void *ret_bytes);
void ferry_wire_io_fd_decode(const void *bytes, uint32_t layout,
                             struct ferry_wire_io_fd *ret_entry);

/* One write of REGION_WRITE_MULTI from and to FERRY_WIRE_WRITE_BYTES. */
void ferry_wire_write_encode(const struct ferry_wire_write *write, void *ret_bytes);
void ferry_wire_write_decode(const void *bytes, struct ferry_wire_write *ret_write);

/*
 * What a DMA_READ reply's payload proves about its layout. count: bytes asked for.
 * Return: FERRY_WIRE_DMA_SPEC, FERRY_WIRE_DMA_QEMU; -1: it fits both.
 */
int ferry_wire_dma_layout_of(const void *payload, size_t bytes, uint64_t count);

/* The data of a LOG_START message: 16 bytes a range, little-endian. */
void ferry_wire_ranges_encode(const struct ferry_wire_range *range, uint32_t count,
                              void *ret_bytes);
void ferry_wire_ranges_decode(const void *bytes, uint32_t count,
                              struct ferry_wire_range *ret_range);

/*
 * Bytes of the bitmap for length bytes at a page size, in whole 64-bit words.
 * Return: FERRY_OK; FERRY_E_PROTOCOL (page size below 4096 or no power of two, length
 *   0), FERRY_E_LIMIT (more than max_bytes).
 */
int ferry_wire_bitmap_need(uint64_t length, uint64_t page_size, uint64_t max_bytes,
                           uint64_t *ret_bytes);

#endif
