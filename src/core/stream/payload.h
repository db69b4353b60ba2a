/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef FERRY_CORE_STREAM_PAYLOAD_H
#define FERRY_CORE_STREAM_PAYLOAD_H

#include "base/writer.h"
#include "core/stream/record.h"
#include "ferry/session.h"
#include "ferry/stream.h"

/*
 * Payloads of the records. Each has
 *
 *   void ferry_stream_put_x(struct ferry_writer *writer, const struct ferry_stream_x *x);
 *   int ferry_stream_get_x(const void *payload, size_t bytes, struct ferry_stream_x
 * *ret_x, struct ferry_error *reterr);
 *
 * put: appends the payload; writer->overflow tells that it did not fit. What is put must
 * be sound (counts within limits, strings terminated): it is our own, so this is
 * asserted. get: payload is untrusted, borrowed for the call (where a struct holds
 * pointers into it: borrowed as long as the struct is used). Everything is checked, to
 * the last byte. Return: FERRY_OK; FERRY_E_SHORT (ends too early), FERRY_E_LONG (bytes
 * after the end), FERRY_E_LIMIT (a count over its limit), FERRY_E_ALIGN, FERRY_E_RANGE
 * (off + length overflows), FERRY_E_VERSION, FERRY_E_PROTOCOL (anything else, text that
 * is not terminated or not printable included). *ret_x is written on success only. reterr
 * names record, offset inside the payload and rule. Every call may come from any thread.
 */

#define FERRY_STREAM_ID_BYTES 16
#define FERRY_STREAM_MEMORIES_MAX 64
#define FERRY_STREAM_PAGE_BYTES 4096u     /* pages of MEMORY_* are multiples of it */
#define FERRY_STREAM_CONFIG_MAX 4096u     /* bytes of config space */
#define FERRY_STREAM_VECTORS_MAX 2048u    /* MSI-X vectors of a device */
#define FERRY_STREAM_VMM_MAX (1ull << 32) /* bytes of the VMM's whole state */
#define FERRY_STREAM_PREFIX_BYTES                                                        \
    16u /* before the data of MEMORY_PAGES and VMM_STATE                                 \
         */

/* PREAMBLE. get: FERRY_E_VERSION when [version_min, version] and what this build reads
 * have nothing in common. */
struct ferry_stream_preamble {
    uint32_t version;
    uint32_t version_min;
    uint8_t session_id[FERRY_STREAM_ID_BYTES];
    uint32_t epoch;
};
void ferry_stream_put_preamble(struct ferry_writer *writer,
                               const struct ferry_stream_preamble *preamble);
int ferry_stream_get_preamble(const void *payload, size_t bytes,
                              struct ferry_stream_preamble *ret_preamble,
                              struct ferry_error *reterr);

/* The version that two sides speak: the highest that both know, 0 when there is none. */
uint32_t ferry_stream_common_version(const struct ferry_stream_preamble *peer);

/* HELLO_DEVICE. The record's device is the index. */
struct ferry_stream_hello_device {
    char name[32];         /* NUL-terminated */
    uint32_t features;     /* FERRY_MIG_* that this migration may use */
    uint32_t can_log;      /* 0 or 1 */
    uint32_t reaches_peer; /* 0 or 1 */
    uint32_t peer;         /* index, when reaches_peer is 1; else 0 */
    struct ferry_identity identity;
};
void ferry_stream_put_hello_device(struct ferry_writer *writer,
                                   const struct ferry_stream_hello_device *hello);
int ferry_stream_get_hello_device(const void *payload, size_t bytes,
                                  struct ferry_stream_hello_device *ret_hello,
                                  struct ferry_error *reterr);

/* HELLO_V1: what a device with uAPI v1 says of itself beyond HELLO_DEVICE. */
struct ferry_stream_hello_v1 {
    uint32_t implicit_quiesce, any_chunks; /* 0 or 1; as in struct ferry_identity */
};
void ferry_stream_put_hello_v1(struct ferry_writer *writer,
                               const struct ferry_stream_hello_v1 *hello);
int ferry_stream_get_hello_v1(const void *payload, size_t bytes,
                              struct ferry_stream_hello_v1 *ret_hello,
                              struct ferry_error *reterr);

/* HELLO_MEMORY. */
struct ferry_stream_hello_memory {
    uint32_t index;      /* 0, 1, 2, ... in the order of the records */
    uint32_t writable;   /* 0 or 1 */
    uint64_t iova, size; /* page aligned, size not 0, no overflow */
};
void ferry_stream_put_hello_memory(struct ferry_writer *writer,
                                   const struct ferry_stream_hello_memory *hello);
int ferry_stream_get_hello_memory(const void *payload, size_t bytes,
                                  struct ferry_stream_hello_memory *ret_hello,
                                  struct ferry_error *reterr);

/* HELLO. */
struct ferry_stream_hello {
    uint32_t device_count; /* 1 to FERRY_SESSION_DEVICES_MAX */
    uint32_t memory_count; /* at most FERRY_STREAM_MEMORIES_MAX */
    uint32_t page_bytes;   /* a power of two, at least FERRY_STREAM_PAGE_BYTES */
    uint32_t arbiter;      /* enum ferry_arbiter_kind */
    uint64_t max_downtime_ns, stop_deadline_ns, arc_limit_ns, peer_limit_ns;
};
void ferry_stream_put_hello(struct ferry_writer *writer,
                            const struct ferry_stream_hello *hello);
int ferry_stream_get_hello(const void *payload, size_t bytes,
                           struct ferry_stream_hello *ret_hello,
                           struct ferry_error *reterr);

/* Times of a target's device: expected ones in ACCEPT, measured ones in RUNNING. */
struct ferry_stream_times {
    uint64_t load_ns; /* RESUMING to STOP */
    uint64_t run_ns;  /* the arcs to RUNNING */
};

/* ACCEPT. */
struct ferry_stream_accept {
    uint64_t load_rate_bytes_per_s; /* 0: not known */
    uint32_t device_count;
    uint32_t pad;
    struct ferry_stream_times device[FERRY_SESSION_DEVICES_MAX];
};
void ferry_stream_put_accept(struct ferry_writer *writer,
                             const struct ferry_stream_accept *accept);
int ferry_stream_get_accept(const void *payload, size_t bytes,
                            struct ferry_stream_accept *ret_accept,
                            struct ferry_error *reterr);

/* RUNNING. */
struct ferry_stream_running {
    uint64_t prepare_ns; /* ALL_SENT received to PREPARED sent */
    uint64_t run_ns;     /* COMMIT received to RUNNING sent */
    uint32_t device_count;
    uint32_t lost; /* bit per device: it did not come to run as it was */
    struct ferry_stream_times device[FERRY_SESSION_DEVICES_MAX];
};
void ferry_stream_put_running(struct ferry_writer *writer,
                              const struct ferry_stream_running *running);
int ferry_stream_get_running(const void *payload, size_t bytes,
                             struct ferry_stream_running *ret_running,
                             struct ferry_error *reterr);

/* REFUSE and ABORT. get wants a code that is an error of enum ferry_status. */
struct ferry_stream_reason {
    int32_t code;
    char rule[24];  /* NUL-terminated, may be "" */
    char text[256]; /* NUL-terminated, printable */
};
void ferry_stream_put_reason(struct ferry_writer *writer,
                             const struct ferry_stream_reason *reason);
int ferry_stream_get_reason(const void *payload, size_t bytes,
                            struct ferry_stream_reason *ret_reason,
                            struct ferry_error *reterr);
/* A reason out of an error; what is not printable becomes '?'. */
void ferry_stream_reason_from_error(const struct ferry_error *error,
                                    struct ferry_stream_reason *ret_reason);

#define FERRY_STREAM_CONNECTIONS_MAX 16u
#define FERRY_STREAM_SECRET_BYTES 16

/* CONNECTIONS. count: 1 to FERRY_STREAM_CONNECTIONS_MAX. */
struct ferry_stream_connections {
    uint32_t count;                            /* the first one included */
    uint8_t secret[FERRY_STREAM_SECRET_BYTES]; /* for ATTACH; a source's: 0 */
};
void ferry_stream_put_connections(struct ferry_writer *writer,
                                  const struct ferry_stream_connections *connections);
int ferry_stream_get_connections(const void *payload, size_t bytes,
                                 struct ferry_stream_connections *ret_connections,
                                 struct ferry_error *reterr);

/* ATTACH. number: 1 to FERRY_STREAM_CONNECTIONS_MAX - 1. */
struct ferry_stream_attach {
    uint8_t session_id[FERRY_STREAM_ID_BYTES];
    uint32_t epoch;
    uint32_t number;
    uint8_t secret[FERRY_STREAM_SECRET_BYTES];
};
void ferry_stream_put_attach(struct ferry_writer *writer,
                             const struct ferry_stream_attach *attach);
int ferry_stream_get_attach(const void *payload, size_t bytes,
                            struct ferry_stream_attach *ret_attach,
                            struct ferry_error *reterr);

/* BARRIER. */
struct ferry_stream_barrier {
    uint32_t number;  /* 1, 2, 3, ... */
    uint32_t members; /* bit per connection; the first one is always in */
};
#define FERRY_STREAM_BARRIER_BYTES 8u
void ferry_stream_put_barrier(struct ferry_writer *writer,
                              const struct ferry_stream_barrier *barrier);
int ferry_stream_get_barrier(const void *payload, size_t bytes,
                             struct ferry_stream_barrier *ret_barrier,
                             struct ferry_error *reterr);

/* PREPARED, COMMIT and RETURN: what they are about. */
struct ferry_stream_token {
    uint8_t session_id[FERRY_STREAM_ID_BYTES];
    uint32_t epoch;
};
void ferry_stream_put_token(struct ferry_writer *writer,
                            const struct ferry_stream_token *token);
int ferry_stream_get_token(const void *payload, size_t bytes,
                           struct ferry_stream_token *ret_token,
                           struct ferry_error *reterr);

/* Return: FERRY_OK; FERRY_E_FOREIGN when a token is of another session or epoch (rule
 * STR-ID-1). tag: of the record, for reterr. */
int ferry_stream_check_token(const struct ferry_stream_token *token, uint32_t tag,
                             const uint8_t *session_id, uint32_t epoch,
                             struct ferry_error *reterr);

/*
 * MEMORY_PAGES: a prefix of FERRY_STREAM_PREFIX_BYTES, then the pages, which can so be
 * received straight to where they belong.
 * payload: the prefix; bytes: length of the whole payload as in the record's header.
 */
struct ferry_stream_pages {
    uint32_t memory; /* index of HELLO_MEMORY */
    uint32_t pad;
    uint64_t off;   /* page aligned, inside the region */
    uint64_t bytes; /* of pages that follow; not on the wire: from the header */
};
void ferry_stream_put_pages(struct ferry_writer *writer,
                            const struct ferry_stream_pages *pages);
int ferry_stream_get_pages(const void *payload, size_t bytes,
                           struct ferry_stream_pages *ret_pages,
                           struct ferry_error *reterr);

/* MEMORY_ZERO. */
struct ferry_stream_zero {
    uint32_t memory;
    uint32_t pad;
    uint64_t off;
    uint64_t bytes; /* page aligned, not 0 */
};
/* Most bytes of one MEMORY_ZERO, so that a receiver is never long at one. */
#define FERRY_STREAM_ZERO_MAX (16u << 20)
void ferry_stream_put_zero(struct ferry_writer *writer,
                           const struct ferry_stream_zero *zero);
int ferry_stream_get_zero(const void *payload, size_t bytes,
                          struct ferry_stream_zero *ret_zero, struct ferry_error *reterr);

/* MEMORY_END: totals of all MEMORY_PAGES and MEMORY_ZERO records of the session. */
struct ferry_stream_memory_end {
    uint64_t pages; /* FERRY_STREAM_PAGE_BYTES each, zero ones included */
    uint64_t bytes; /* bytes of pages that were carried */
};
void ferry_stream_put_memory_end(struct ferry_writer *writer,
                                 const struct ferry_stream_memory_end *end);
int ferry_stream_get_memory_end(const void *payload, size_t bytes,
                                struct ferry_stream_memory_end *ret_end,
                                struct ferry_error *reterr);

/* DEVICE_END: length and XXH3-128 of all DEVICE_DATA of the device. */
struct ferry_stream_device_end {
    uint64_t bytes;
    uint64_t hash_low, hash_high;
};
void ferry_stream_put_device_end(struct ferry_writer *writer,
                                 const struct ferry_stream_device_end *end);
int ferry_stream_get_device_end(const void *payload, size_t bytes,
                                struct ferry_stream_device_end *ret_end,
                                struct ferry_error *reterr);

/*
 * Compares what came of a device with its end record.
 * bytes, hash: of all DEVICE_DATA payloads.
 * Return: FERRY_OK; FERRY_E_SHORT, FERRY_E_LONG, FERRY_E_CORRUPT (rule STR-END-1).
 */
int ferry_stream_check_device_end(const struct ferry_stream_device_end *end,
                                  uint32_t device, uint64_t bytes,
                                  const struct ferry_stream_hash *hash,
                                  struct ferry_error *reterr);

/* DEVICE_CONFIG: externally controlled state. Pointers: put borrows them, get points into
 * the payload. A part with count 0 is absent. */
struct ferry_stream_config {
    const uint8_t *config; /* config space from its first byte on */
    uint32_t config_bytes; /* at most FERRY_STREAM_CONFIG_MAX */
    uint32_t msix_entries; /* at most FERRY_STREAM_VECTORS_MAX */
    const uint8_t *msix;   /* MSI-X table, 16 bytes an entry */
    uint32_t vectors;      /* vectors that SET_IRQS had enabled */
    uint32_t pad;
};
void ferry_stream_put_config(struct ferry_writer *writer,
                             const struct ferry_stream_config *config);
int ferry_stream_get_config(const void *payload, size_t bytes,
                            struct ferry_stream_config *ret_config,
                            struct ferry_error *reterr);

/* DEVICE_IRQS: vectors in ascending order, none twice. */
struct ferry_stream_irqs {
    uint32_t count;
    uint16_t vector[FERRY_STREAM_VECTORS_MAX];
};
void ferry_stream_put_irqs(struct ferry_writer *writer,
                           const struct ferry_stream_irqs *irqs);
int ferry_stream_get_irqs(const void *payload, size_t bytes,
                          struct ferry_stream_irqs *ret_irqs, struct ferry_error *reterr);

/* VMM_STATE: a prefix of FERRY_STREAM_PREFIX_BYTES, then bytes [off, off + bytes) of
 * total; payload and bytes as in ferry_stream_get_pages. An empty state (total 0) is one
 * record. */
struct ferry_stream_vmm {
    uint64_t total;
    uint64_t off;
    uint64_t bytes; /* not on the wire: from the header */
};
void ferry_stream_put_vmm(struct ferry_writer *writer,
                          const struct ferry_stream_vmm *vmm);
int ferry_stream_get_vmm(const void *payload, size_t bytes,
                         struct ferry_stream_vmm *ret_vmm, struct ferry_error *reterr);

/* PACKED: a prefix of FERRY_STREAM_PACKED_BYTES, then the packed bytes; payload and bytes
 * as in ferry_stream_get_pages. */
#define FERRY_STREAM_PACKED_BYTES 8u
enum ferry_stream_method {
    FERRY_STREAM_STORED = 0, /* as they are, since packing made them no shorter */
    FERRY_STREAM_ZSTD = 1    /* one frame */
};
struct ferry_stream_packed {
    uint32_t method;      /* enum ferry_stream_method */
    uint32_t plain_bytes; /* 1 to FERRY_RECORD_PLAIN_MAX: length when unpacked */
    uint64_t bytes;       /* packed; not on the wire: from the header */
};
void ferry_stream_put_packed(struct ferry_writer *writer,
                             const struct ferry_stream_packed *packed);
int ferry_stream_get_packed(const void *payload, size_t bytes,
                            struct ferry_stream_packed *ret_packed,
                            struct ferry_error *reterr);

/* FILE_END: of everything in the file before it. */
struct ferry_stream_file_end {
    uint64_t records; /* as they stand in the file: a PACKED is one */
    uint64_t bytes;
    uint64_t hash_low, hash_high; /* XXH3-128 */
};
void ferry_stream_put_file_end(struct ferry_writer *writer,
                               const struct ferry_stream_file_end *end);
int ferry_stream_get_file_end(const void *payload, size_t bytes,
                              struct ferry_stream_file_end *ret_end,
                              struct ferry_error *reterr);
/* Compares what was read with FILE_END. FERRY_E_SHORT, FERRY_E_LONG, FERRY_E_CORRUPT
 * (rule STR-END-3). off: of FILE_END in the file. */
int ferry_stream_check_file_end(const struct ferry_stream_file_end *end, uint64_t records,
                                uint64_t off, const struct ferry_stream_hash *hash,
                                struct ferry_error *reterr);

/* DEVICE_INITIAL, ALL_SENT and INITIAL_DONE have no payload. Return: FERRY_OK,
 * FERRY_E_LONG. */
int ferry_stream_get_empty(uint32_t tag, size_t bytes, struct ferry_error *reterr);

#endif
