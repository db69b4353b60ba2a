/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Fuzzes what the bridge reads out of a token: an input is its content. It is no token,
 * or is refused with a text, or every part of it can be used as it is.
 */
#include <string.h>

#include "bridge/preload/tokens/token.h"
#include "must.h"

static int ends(const char *text, size_t size)
{
    return memchr(text, '\0', size) != NULL && strchr(text, '\n') == NULL;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct bridge_token token;
    struct ferry_error error;
    int rc;

    if (size > BRIDGE_TOKEN_BYTES_MAX) {
        return 0;
    }
    memset(&token, 0x5a, sizeof(token));
    memset(&error, 0, sizeof(error));
    rc = bridge_token_parse((const char *)data, size, &token, &error);
    must(rc <= 1);
    if (rc <= 0) {
        must(token.kind == 0x5a5a5a5a && error.code == rc);
        must((error.text[0] != '\0') == (rc < 0));
        return 0;
    }
    must(token.kind == BRIDGE_TOKEN_DEVICE || token.kind == BRIDGE_TOKEN_IOMMU);
    must(token.kind == BRIDGE_TOKEN_IOMMU || token.path[0] == '/');
    must(ends(token.path, sizeof(token.path)) && ends(token.name, sizeof(token.name)) &&
         ends(token.log, sizeof(token.log)));
    must(token.timeout_ms > 0 && token.timeout_ms <= INT32_MAX);
    must(token.dirty <= FERRY_BRIDGE_DIRTY_IOMMU);
    must(token.no_peer_maps <= 1 && token.trace <= 1);
    return 0;
}
