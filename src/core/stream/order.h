/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef FERRY_CORE_STREAM_ORDER_H
#define FERRY_CORE_STREAM_ORDER_H

#include "core/stream/payload.h"
#include "core/stream/record.h"
#include "ferry/stream.h"

/*
 * Which record may come when: the automaton of one received stream (one direction of a
 * connection, or a file). Plain data in the caller's memory.
 *
 * For every record that arrives: ferry_record_decode(), ferry_stream_order_record()
 * before its payload is read, then the payload's checks; those of HELLO_MEMORY, HELLO,
 * MEMORY_PAGES, MEMORY_ZERO, MEMORY_END and VMM_STATE go on with the call of that name.
 * Records that this side sends are told with ferry_stream_order_sent() before they leave.
 *
 * Thread: not thread safe.
 */
enum ferry_stream_side {
    FERRY_STREAM_SOURCE = 0, /* the stream comes from a source */
    FERRY_STREAM_TARGET = 1  /* the stream comes from a target */
};

struct ferry_stream_order {
    uint32_t side;         /* enum ferry_stream_side: who writes the received stream */
    uint32_t phase;        /* see order.c */
    uint32_t one_way;      /* 1: a file or a capture; nothing is waited for here */
    uint32_t sent;         /* bit per tag that this side has sent */
    uint32_t seen;         /* bit per tag that came, whole-stream records */
    uint32_t device_count; /* HELLO_DEVICE records; for a target's stream: all devices */
    uint32_t memory_count; /* HELLO_MEMORY records */
    uint32_t vmm_started;  /* 1: a VMM_STATE came */
    uint32_t device_seen[FERRY_SESSION_DEVICES_MAX]; /* bit per tag that came */
    uint64_t memory_iova[FERRY_STREAM_MEMORIES_MAX];
    uint64_t memory_size[FERRY_STREAM_MEMORIES_MAX];
    uint64_t pages, page_bytes;   /* received so far, compared with MEMORY_END */
    uint64_t vmm_total, vmm_next; /* VMM_STATE received so far */
};

/*
 * side: who writes the stream that this side reads. device_count: devices of the session
 * when the stream comes from a target (what HELLO said); 0 when it comes from a source.
 */
void ferry_stream_order_init(struct ferry_stream_order *order, uint32_t side,
                             uint32_t device_count, uint32_t one_way);

/* This side sends a record with this tag. */
void ferry_stream_order_sent(struct ferry_stream_order *order, uint32_t tag);

/*
 * May this record come now? Advances when it may.
 * record: decoded, its tag known (a FERRY_RECORD_SKIP record is not told here).
 * stream_off: offset of the header in the stream, for reterr.
 * Return: FERRY_OK; FERRY_E_PROTOCOL (out of order, twice, of a device that does not
 * exist); FERRY_E_LIMIT (too many devices or memories). The order is as before then.
 * Rules: STR-ORD-1 to -7.
 */
int ferry_stream_order_record(struct ferry_stream_order *order,
                              const struct ferry_record *record, uint64_t stream_off,
                              struct ferry_error *reterr);

/* HELLO_MEMORY's payload: index in order, no overlap with another. FERRY_E_PROTOCOL,
 * FERRY_E_OVERLAP. */
int ferry_stream_order_hello_memory(struct ferry_stream_order *order,
                                    const struct ferry_stream_hello_memory *hello,
                                    struct ferry_error *reterr);
/* HELLO's payload: its counts are those of the records before it. FERRY_E_PROTOCOL. */
int ferry_stream_order_hello(struct ferry_stream_order *order,
                             const struct ferry_stream_hello *hello,
                             struct ferry_error *reterr);
/* A range of memory, of MEMORY_PAGES (zero 0) or MEMORY_ZERO (zero 1): inside its region.
 * FERRY_E_NOT_FOUND (no such region), FERRY_E_RANGE. */
int ferry_stream_order_memory(struct ferry_stream_order *order, uint32_t memory,
                              uint64_t off, uint64_t bytes, int zero,
                              struct ferry_error *reterr);
/* MEMORY_END's totals are what came. FERRY_E_SHORT, FERRY_E_LONG. */
int ferry_stream_order_memory_end(struct ferry_stream_order *order,
                                  const struct ferry_stream_memory_end *end,
                                  struct ferry_error *reterr);
/* VMM_STATE pieces come in order and without gaps, of one total. FERRY_E_PROTOCOL. */
int ferry_stream_order_vmm(struct ferry_stream_order *order,
                           const struct ferry_stream_vmm *vmm,
                           struct ferry_error *reterr);
/* 1 when a VMM_STATE came and all of it is here. */
int ferry_stream_order_vmm_complete(const struct ferry_stream_order *order);

/*
 * May the stream end here? A source's after COMMIT or ABORT, in a file also after
 * FILE_END; a target's after REFUSE, RUNNING, RETURN or ABORT. Return: FERRY_OK or
 * FERRY_E_SHORT (rule STR-END-2).
 */
int ferry_stream_order_end(const struct ferry_stream_order *order, uint64_t stream_off,
                           struct ferry_error *reterr);

#endif
