/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef FERRY_SHOW_H
#define FERRY_SHOW_H

#include <stddef.h>
#include <stdint.h>

#include "ferry/error.h"
#include "ferry/session.h"
#include "ferry/stream.h"
#include "ferry/version.h"

#ifdef __cplusplus
extern "C" {
#endif

/*
 * Explains a stream record by record: a saved file, or one direction of a connection as
 * it was captured. Damage is told with offset and rule, and reading goes on behind it
 * where another record begins.
 */

enum ferry_show_kind {
    FERRY_SHOW_TEXT = 1,
    FERRY_SHOW_NUMBER,
    FERRY_SHOW_HEX,
    FERRY_SHOW_BYTES, /* a length */
    FERRY_SHOW_NS     /* a time */
};

/* One decoded field. Borrowed for the call. */
struct ferry_show_field {
    const char *name; /* "state_version" */
    const char *text; /* FERRY_SHOW_TEXT; else NULL */
    uint64_t number;
    uint32_t kind; /* enum ferry_show_kind */
    uint32_t pad;
};

/* One record. Everything is borrowed for the call. */
struct ferry_show_record {
    uint64_t number;     /* from 0 */
    uint64_t stream_off; /* in the unpacked stream */
    uint64_t file_off;   /* in the file; of the PACKED that it begins in */
    uint64_t payload_bytes;
    uint64_t checksum;
    uint32_t tag;    /* enum ferry_record_tag, or an unknown one */
    uint32_t flags;  /* FERRY_RECORD_* */
    uint32_t device; /* FERRY_NO_DEVICE: none */
    uint32_t channel;
    uint32_t packed;         /* 1: it came out of a PACKED */
    uint32_t checksum_ok;    /* 0: its payload is damaged */
    const char *device_name; /* "" when it is not known */
    /* The first rule that it breaks; NULL: none. */
    const struct ferry_error *error;
    const struct ferry_show_field *field;
    uint32_t field_count;
    uint32_t pad;
    /* What is opaque in it: device data, pages, the VMM's state. It may hold keys. */
    const uint8_t *data;
    size_t data_bytes;
};

/* Room for tags to come, so that a library that knows more of them fills what is here. */
#define FERRY_SHOW_TAGS 64

struct ferry_show_total {
    uint64_t records, bytes; /* bytes: headers included */
};

struct ferry_show_summary {
    uint64_t file_bytes, stream_bytes; /* the second: unpacked */
    uint64_t records, blocks;          /* blocks: PACKED records of the file */
    uint64_t bad, skipped_bytes;       /* records that break a rule; bytes of no record */
    uint32_t version;                  /* of PREAMBLE; 0: none came */
    uint32_t from_target;              /* 1: it is a target's side */
    uint32_t is_file;                  /* 1: FILE_END came */
    uint32_t device_count;
    struct ferry_show_total
        tag[FERRY_SHOW_TAGS]; /* by enum ferry_record_tag; [0]: unknown */
    struct ferry_show_total device[FERRY_SESSION_DEVICES_MAX];
    char device_name[FERRY_SESSION_DEVICES_MAX][32];
};

struct ferry_show_ops {
    size_t struct_size;
    void (*record)(void *user, const struct ferry_show_record *record);
    /* No record could be read at file_off; reading goes on `bytes` further, or not at all
     * (bytes 0). */
    void (*gap)(void *user, uint64_t file_off, uint64_t bytes,
                const struct ferry_error *error);
};

/*
 * fd: borrowed; read from where it stands to its end, a pipe as well.
 * Return: FERRY_OK when it is whole and keeps every rule; else the first rule's code,
 * with its detail in *reterr; FERRY_E_MEMORY, FERRY_E_IO. ret_summary is filled in every
 * case. Thread: any.
 */
FERRY_PUBLIC int ferry_stream_show(int fd, const struct ferry_show_ops *ops, void *user,
                                   struct ferry_show_summary *ret_summary,
                                   struct ferry_error *reterr);

#ifdef __cplusplus
}
#endif

#endif
