/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef FERRY_BRIDGE_PRELOAD_TOKEN_H
#define FERRY_BRIDGE_PRELOAD_TOKEN_H

#include "ferry/bridge.h"

/*
 * A token's content: lines "KEY=VALUE" after "ferry-bridge 1". Keys: kind (device,
 * iommu), and for a device path, name, log, timeout_ms, no_peer_maps (0, 1), dirty (any,
 * device, iommu), trace (0, 1), uapi (any, v1, v2). Each at most once; one that this
 * version does not know is an error, since what it asks for would be left out silently.
 */
#define BRIDGE_TOKEN_MAGIC "ferry-bridge "
#define BRIDGE_TOKEN_VERSION "1"
#define BRIDGE_TOKEN_BYTES_MAX 1024u
#define BRIDGE_TIMEOUT_MS 10000u

/* What a token says; texts are NUL-terminated. */
enum bridge_token_kind { BRIDGE_TOKEN_DEVICE = 1, BRIDGE_TOKEN_IOMMU = 2 };

/*
 * ANY serves VMMs, which expect of a device things that no kernel does: above all that
 * one whose server is gone can be stopped and started. The others are as a kernel with
 * that interface alone, for tests of those who use one: what is gone fails, and alarms.
 */
enum bridge_token_uapi { BRIDGE_UAPI_ANY, BRIDGE_UAPI_V1, BRIDGE_UAPI_V2 };

struct bridge_token {
    uint32_t kind; /* enum bridge_token_kind */
    uint32_t timeout_ms;
    uint32_t no_peer_maps;
    uint32_t dirty; /* enum ferry_bridge_dirty */
    uint32_t trace;
    uint32_t uapi; /* enum bridge_token_uapi */
    char name[32];
    char path[108];
    char log[256]; /* "": standard error */
};

/*
 * Reads a token out of a descriptor that may be anything.
 * Return: 1 and *ret_token; 0 when it is no token (nothing is said); a negative status
 *   when it is one that this library does not read: FERRY_E_VERSION (newer),
 *   FERRY_E_PERMISSION (not sealed: it could change), FERRY_E_PROTOCOL (damaged),
 *   FERRY_E_LIMIT (a text is too long), FERRY_E_IO. Keeps errno. Thread: any.
 */
int bridge_token_read(int fd, struct bridge_token *ret_token, struct ferry_error *reterr);

/* Costs one system call. Return: 1 when a token is possible: a memfd. */
int bridge_token_likely(int fd);

/*
 * The content alone, not NUL-terminated, of at most BRIDGE_TOKEN_BYTES_MAX bytes.
 * Return: as bridge_token_read().
 */
int bridge_token_parse(const char *text, size_t bytes, struct bridge_token *ret_token,
                       struct ferry_error *reterr);

#endif
