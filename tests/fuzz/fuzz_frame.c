/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Fuzzes the frames of the data descriptor. The first byte names the side that sends; the
 * rest are frames, one behind the other, of whose DATA only the heads are there. What
 * decodes must encode to the same bytes.
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "wire/frame.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void must(int holds)
{
    if (!holds) {
        abort();
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct ferry_frame_stream in, out;
    uint8_t bytes[FERRY_FRAME_BYTES];
    struct ferry_frame frame;
    struct ferry_error error;

    if (size == 0) {
        return 0;
    }
    ferry_frame_stream_init(&in, data[0] % 4u);
    ferry_frame_stream_init(&out, data[0] % 4u);
    for (data++, size--; size >= FERRY_FRAME_BYTES;
         data += FERRY_FRAME_BYTES, size -= FERRY_FRAME_BYTES) {
        uint64_t before = in.bytes;

        memset(&error, 0x5a, sizeof(error));
        if (ferry_frame_decode(&in, data, &frame, &error) != FERRY_OK) {
            must(error.code < 0 && error.text[0] != '\0' && in.bytes == before);
            return 0;
        }
        must(frame.length <= FERRY_FRAME_DATA_MAX);
        must(in.bytes == before + frame.length);
        ferry_frame_encode(&out, frame.kind, frame.length, frame.value, bytes);
        must(memcmp(bytes, data, sizeof(bytes)) == 0 && out.bytes == in.bytes);
    }
    return 0;
}
