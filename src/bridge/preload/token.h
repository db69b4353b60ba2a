/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef FERRY_BRIDGE_PRELOAD_TOKEN_H
#define FERRY_BRIDGE_PRELOAD_TOKEN_H

#include "ferry/bridge.h"

/* What a token says; texts are NUL-terminated. */
enum bridge_token_kind { BRIDGE_TOKEN_DEVICE = 1, BRIDGE_TOKEN_IOMMU = 2 };

struct bridge_token {
    uint32_t kind; /* enum bridge_token_kind */
    uint32_t timeout_ms;
    uint32_t no_peer_maps;
    uint32_t dirty; /* enum ferry_bridge_dirty */
    uint32_t trace;
    uint32_t pad;
    char name[32];
    char path[108];
    char log[256]; /* "": standard error */
};

/*
 * Reads a token out of a descriptor that may be anything.
 * Return: 1 and *ret_token; 0 when it is no token (nothing is said); a negative status
 *   when it is one that this library does not read (newer, damaged).
 */
int bridge_token_read(int fd, struct bridge_token *ret_token, struct ferry_error *reterr);

#endif
