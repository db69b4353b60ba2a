/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef FERRY_LINK_HELLO_VERSION_H
#define FERRY_LINK_HELLO_VERSION_H

#include <stddef.h>
#include <stdint.h>

#include "ferry/compat.h"
#include "ferry/error.h"

/*
 * The payload of the VERSION message: u16 major, u16 minor, then a JSON text of
 * capabilities. Source: vfio-user, VERSION; the `ferry` object is this project's
 * extension.
 */

#define FERRY_LINK_MAJOR 0
#define FERRY_LINK_MINOR 2
/* Longest VERSION payload that is read or written. */
#define FERRY_LINK_VERSION_MAX 16384
#define FERRY_LINK_JSON_DEPTH 8
#define FERRY_LINK_EXTENSION_VERSION 1

/* What a side says when it says nothing. */
#define FERRY_LINK_DEFAULT_FDS 1u
/* The most that is told to a client that takes no more itself: QEMU 11.1 refuses 17. */
#define FERRY_LINK_CAUTIOUS_FDS 16u
#define FERRY_LINK_DEFAULT_DATA (1024u * 1024u)
#define FERRY_LINK_DEFAULT_DMA_MAPS 65535u
#define FERRY_LINK_DEFAULT_PGSIZES 4096u

/* Largest data of one message that this side takes part in. */
#define FERRY_LINK_DATA_LIMIT (16u * 1024u * 1024u)

/* Keys that a peer's text contained. */
#define FERRY_LINK_KEY_FDS 1u
#define FERRY_LINK_KEY_DATA 2u
#define FERRY_LINK_KEY_DMA_MAPS 4u
#define FERRY_LINK_KEY_PGSIZES 8u
#define FERRY_LINK_KEY_TWIN 16u
#define FERRY_LINK_KEY_WRITE_MULTIPLE 32u
#define FERRY_LINK_KEY_MIGRATION 64u
#define FERRY_LINK_KEY_FERRY 128u

struct ferry_link_version {
    uint16_t major, minor;
    uint32_t keys; /* FERRY_LINK_KEY_* */
    uint32_t max_msg_fds;
    uint32_t max_data_xfer_bytes;
    uint32_t max_dma_maps;
    uint32_t extension; /* version of the `ferry` object; 0: none */
    uint64_t pgsizes;
    uint8_t twin_socket;    /* 1: the server's commands go over a socket of their own */
    uint8_t write_multiple; /* 1: REGION_WRITE_MULTI is served */
    uint8_t notices;        /* 1: "dry" and "end" are told apart */
    uint8_t precopy_info;   /* 1: answers PRECOPY_INFO */
    uint8_t has_identity;   /* 1: *ret_identity was filled */
    uint8_t dirty_runs;     /* 1: answers LOG_RUNS */
    uint8_t data_fd;        /* 1: gives a descriptor for a session's data */
    uint8_t twin_fd;        /* 1: twin_index is said */
    uint32_t twin_index;    /* of the twin socket among the message's descriptors */
    uint8_t twin_wanted;    /* 1: a twin socket also for a client with the extension */
    uint8_t counters;       /* 1: answers COUNTERS */
    uint8_t pad[2];
};

/* Everything as if the peer had sent no capabilities. */
void ferry_link_version_default(struct ferry_link_version *version);

/*
 * Reads a VERSION payload. Unknown keys are passed over, known ones must have their
 * type.
 * payload: size bytes, borrowed. ret_identity: may be NULL; filled when the text has
 *   one.
 * Return: FERRY_OK; FERRY_E_PROTOCOL (reterr names the key), FERRY_E_LIMIT (too long
 *   or too deep), FERRY_E_VERSION (another major version), FERRY_E_MEMORY.
 * Thread: any.
 */
int ferry_link_version_parse(const void *payload, size_t size,
                             struct ferry_link_version *ret_version,
                             struct ferry_identity *ret_identity,
                             struct ferry_error *reterr);

/*
 * Writes a VERSION payload: the keys in version->keys with their values.
 * identity: borrowed, may be NULL: then none is told.
 * Return: FERRY_OK and *ret_size; FERRY_E_CAPACITY, FERRY_E_MEMORY.
 * Thread: any.
 */
int ferry_link_version_format(const struct ferry_link_version *version,
                              const struct ferry_identity *identity, void *ret_payload,
                              size_t cap, size_t *ret_size);

/*
 * What both sides can do: the smaller limits, the common page sizes, the lower minor,
 * the extension only when both have it.
 * Return: FERRY_OK; FERRY_E_PROTOCOL when there is nothing in common (reterr says
 *   what).
 */
int ferry_link_version_agree(const struct ferry_link_version *mine,
                             const struct ferry_link_version *theirs,
                             struct ferry_link_version *ret_agreed,
                             struct ferry_error *reterr);

#endif
