/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef FERRY_STREAM_H
#define FERRY_STREAM_H

#include <assert.h>
#include <stddef.h>
#include <stdint.h>

#include "ferry/compat.h"
#include "ferry/error.h"
#include "ferry/version.h"

#ifdef __cplusplus
extern "C" {
#endif

/*
 * The migration stream: records in both directions of one connection (or in a file), each
 * a 32-byte header and a payload. All numbers are little endian. docs/spec/stream.md is
 * its manual.
 */
#define FERRY_STREAM_VERSION 1u
#define FERRY_STREAM_VERSION_MIN 1u
#define FERRY_RECORD_MAGIC 0x59525246u /* "FRRY" */
#define FERRY_RECORD_HEADER_BYTES 32u
/* Most data in one record: device data; memory pages and VMM state after their prefix. */
#define FERRY_RECORD_DATA_MAX (1u << 20)
/* Most bytes that one PACKED record stands for; its payload is no longer than these. */
#define FERRY_RECORD_PLAIN_MAX (1u << 20)
/* Longest payload of every other record. */
#define FERRY_RECORD_CONTROL_MAX (1u << 16)

/* Record flags. */
#define FERRY_RECORD_OPTIONAL 1u /* a reader that does not know the tag skips it */
#define FERRY_RECORD_CHUNK 2u    /* device data: one v1 transaction; bounds are kept */

enum ferry_record_tag {
    FERRY_REC_PREAMBLE = 1, /* first in each direction: version, session id, epoch */
    FERRY_REC_HELLO_DEVICE, /* one device's identity, one record each, before HELLO */
    FERRY_REC_HELLO_MEMORY, /* one memory region */
    FERRY_REC_HELLO,        /* counts, limits: ends the introduction */
    FERRY_REC_ACCEPT,
    FERRY_REC_REFUSE,         /* code and text */
    FERRY_REC_MEMORY_PAGES,   /* region, page-aligned offset, bytes of pages */
    FERRY_REC_MEMORY_ZERO,    /* region, offset, length: all zero */
    FERRY_REC_MEMORY_END,     /* all memory is sent: pages and bytes in total */
    FERRY_REC_DEVICE_DATA,    /* bytes of one device's state */
    FERRY_REC_DEVICE_INITIAL, /* the device's initial bytes end here */
    FERRY_REC_DEVICE_END,     /* length and hash of all the device's data */
    FERRY_REC_DEVICE_CONFIG,  /* config space, MSI-X table, enabled vectors */
    FERRY_REC_DEVICE_IRQS,    /* vectors that were raised and not yet taken */
    FERRY_REC_VMM_STATE,      /* the VMM's own blob, in pieces */
    FERRY_REC_ALL_SENT,
    FERRY_REC_INITIAL_DONE, /* target: device's initial bytes are loaded */
    FERRY_REC_PREPARED,
    FERRY_REC_COMMIT,  /* session id and epoch again */
    FERRY_REC_RUNNING, /* target's figures per device */
    FERRY_REC_RETURN,
    FERRY_REC_ABORT,    /* code and text */
    FERRY_REC_PACKED,   /* files: a compressed piece of the stream, below the records */
    FERRY_REC_FILE_END, /* files: records, bytes and hash of all before it */
    /* Several connections, see docs/spec/stream.md. */
    FERRY_REC_CONNECTIONS, /* how many are wanted (source), are taken (target) */
    FERRY_REC_ATTACH,      /* first on a further connection, and its answer */
    FERRY_REC_BARRIER,     /* on each of them: all before it comes before all after it */
    FERRY_REC_HELLO_V1,    /* one device: it migrates by uAPI v1, by its transactions */
    FERRY_REC_TAG_END      /* first number that is no tag */
};

/* Header of a record as decoded. */
struct ferry_record {
    uint32_t magic;
    uint16_t tag;     /* enum ferry_record_tag */
    uint16_t flags;   /* FERRY_RECORD_* */
    uint32_t device;  /* index, or FERRY_NO_DEVICE */
    uint32_t channel; /* 0 */
    uint64_t payload_bytes;
    uint64_t checksum; /* XXH3-64 of the payload, seeded with tag | device << 16 |
                          flags << 48 */
};

/* Wire layout: magic@0 u32, tag@4 u16, flags@6 u16, device@8 u32, channel@12 u32,
 * payload_bytes@16 u64, checksum@24 u64. */

/* Name of a tag ("DEVICE_END"); "?" for none. Thread: any. */
FERRY_PUBLIC const char *ferry_record_name(uint32_t tag);

#ifdef __cplusplus
}
#endif

#endif
