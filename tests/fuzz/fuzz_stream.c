/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Fuzzes the reader of migration streams. The first byte of an input chooses who wrote
 * the stream (bit 0: a target) and whether it is a file (bit 1); the rest is the stream.
 * Wrong checksums are forgiven, or no change would ever get past them.
 */
#include <stdlib.h>
#include <string.h>

#include "../model/stream_sample.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct walk walk = { .lenient = 1 };
    struct ferry_error error;
    int rc;

    if (size < 1) {
        return 0;
    }
    walk.side = data[0] & 1;
    walk.one_way = data[0] >> 1 & 1;
    walk.sent = sample_sent(walk.side);
    memset(&error, 0x5a, sizeof(error));
    rc = walk_stream(&walk, data + 1, size - 1, &error);
    /* What must hold for every input: nothing is read behind its end, and a refusal is
     * explained in bounded text. */
    if (walk.end > size - 1) {
        abort();
    }
    if (rc != FERRY_OK &&
        (rc > 0 || error.code != rc || !memchr(error.text, '\0', sizeof(error.text)) ||
         !memchr(error.rule, '\0', sizeof(error.rule)) || error.text[0] == '\0')) {
        abort();
    }
    return 0;
}
