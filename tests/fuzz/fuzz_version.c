/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Fuzzes the VERSION payload: two numbers and a JSON text of a peer. What is read can be
 * told on, and is read as the same then; what both sides agree on is never more than one
 * of them said.
 */
#include <string.h>

#include "link/hello/version.h"
#include "must.h"

static uint64_t lower(uint64_t a, uint64_t b)
{
    return a < b ? a : b;
}

static void agree(const struct ferry_link_version *theirs)
{
    struct ferry_link_version mine, both;
    struct ferry_error error = { 0 };

    ferry_link_version_default(&mine);
    mine.extension = FERRY_LINK_EXTENSION_VERSION;
    mine.keys = FERRY_LINK_KEY_FERRY;
    if (ferry_link_version_agree(&mine, theirs, &both, &error) != FERRY_OK) {
        must(error.code < 0 && error.text[0] != '\0');
        return;
    }
    must(both.max_msg_fds <= lower(mine.max_msg_fds, theirs->max_msg_fds));
    must(both.max_data_xfer_bytes <=
         lower(mine.max_data_xfer_bytes, theirs->max_data_xfer_bytes));
    must(both.minor <= lower(mine.minor, theirs->minor));
    must(both.extension <= lower(mine.extension, theirs->extension));
    must((both.pgsizes & ~(mine.pgsizes & theirs->pgsizes)) == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct ferry_identity identity, again_identity;
    struct ferry_link_version version, again;
    static uint8_t told[FERRY_LINK_VERSION_MAX];
    struct ferry_error error;
    size_t bytes = 0;
    int rc;

    memset(&identity, 0, sizeof(identity));
    memset(&again_identity, 0, sizeof(again_identity));
    memset(&error, 0x5a, sizeof(error));
    rc = ferry_link_version_parse(data, size, &version, &identity, &error);
    if (rc != FERRY_OK) {
        must(rc < 0 && error.code == rc && error.text[0] != '\0');
        must(memchr(error.text, '\0', sizeof(error.text)) != NULL);
        return 0;
    }
    agree(&version);
    if (version.has_identity) {
        /* Whether a peer's identity makes sense is the comparison's to say, and it does.
         */
        rc = ferry_compat_check(&identity, &identity, &error);
        must(rc == FERRY_OK || error.code == rc);
    }
    rc = ferry_link_version_format(&version, version.has_identity ? &identity : NULL,
                                   told, sizeof(told), &bytes);
    must(rc == FERRY_OK && bytes <= sizeof(told));
    must(ferry_link_version_parse(told, bytes, &again, &again_identity, &error) ==
         FERRY_OK);
    must(again.major == version.major && again.minor == version.minor);
    must(again.max_msg_fds == version.max_msg_fds);
    must(again.max_data_xfer_bytes == version.max_data_xfer_bytes);
    must(again.max_dma_maps == version.max_dma_maps);
    must(again.pgsizes == version.pgsizes && again.twin_socket == version.twin_socket);
    must(again.extension == version.extension);
    must(again.has_identity == version.has_identity);
    must(memcmp(&again_identity, &identity, sizeof(identity)) == 0);
    return 0;
}
