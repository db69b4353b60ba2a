/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Fuzzes what a bridge reads of the source's bridge. The first byte says how it is cut up
 * when it is read a second time: wherever the cuts are, the same comes out. With the top
 * bit set the rest is not a stream but what one is written of, and must come back.
 */
#include <string.h>

#include "bridge/migration/data/frame.h"
#include "must.h"

#define ROOM 65536u

/* What a reader made of it; the order of bytes is in the sum. */
struct outcome {
    int status;
    uint64_t sum, bytes;
    uint32_t headers, ends;
};

static struct outcome read_in(const uint8_t *data, size_t size, size_t piece)
{
    static struct bridge_frame_reader reader;
    struct outcome out = { .status = FERRY_OK };
    struct bridge_frame_part part;
    struct ferry_error error;
    size_t used, i;

    bridge_frame_reader_init(&reader);
    while (size > 0 && out.status == FERRY_OK) {
        size_t count = size < piece ? size : piece;

        memset(&error, 0x5a, sizeof(error));
        out.status = bridge_frame_feed(&reader, data, count, &used, &part, &error);
        must(used <= count);
        must(out.status == FERRY_OK || (error.code < 0 && error.text[0] != '\0'));
        must(out.status != FERRY_OK || used == count || part.kind != BRIDGE_FRAME_NONE);
        if (out.status == FERRY_OK && part.kind == BRIDGE_FRAME_DATA) {
            must(part.data >= data && part.data + part.bytes <= data + count);
            must(reader.begun && part.bytes > 0);
            for (i = 0; i < part.bytes; i++) {
                out.sum = out.sum * 31 + part.data[i];
            }
            out.bytes += part.bytes;
        }
        out.headers += out.status == FERRY_OK && part.kind == BRIDGE_FRAME_HEADER;
        out.ends += out.status == FERRY_OK && part.kind == BRIDGE_FRAME_END;
        data += used;
        size -= used;
    }
    must(out.headers <= 1 && out.ends <= 1);
    must(out.ends == 0 || reader.length == out.bytes || out.status != FERRY_OK);
    return out;
}

static void must_agree(const struct outcome *a, const struct outcome *b)
{
    must(a->status == b->status && a->headers == b->headers && a->ends == b->ends);
    /* A failure may come behind more of a DATA in one cut than in another. */
    must(a->status != FERRY_OK || (a->sum == b->sum && a->bytes == b->bytes));
}

/* A stream of data, in units as long as its bytes say. Return: its length. */
static size_t write_of(const uint8_t *data, size_t size, uint8_t *ret_stream)
{
    static struct bridge_frame_writer writer;
    struct ferry_stream_hello_device hello;
    size_t at = 0, out;

    memset(&hello, 0, sizeof(hello));
    memcpy(hello.name, "fuzz", sizeof("fuzz"));
    out = bridge_frame_begin(&writer, &hello, ret_stream);
    while (at < size) {
        size_t count = 1 + data[at] % 64u;

        count = count < size - at ? count : size - at;
        if (out + count + BRIDGE_FRAME_HEAD_BYTES + BRIDGE_FRAME_END_BYTES > ROOM) {
            break;
        }
        bridge_frame_data(&writer, data + at, count, ret_stream + out);
        memcpy(ret_stream + out + BRIDGE_FRAME_HEAD_BYTES, data + at, count);
        out += BRIDGE_FRAME_HEAD_BYTES + count;
        at += count;
    }
    bridge_frame_end(&writer, ret_stream + out);
    return out + BRIDGE_FRAME_END_BYTES;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static uint8_t stream[ROOM];
    struct outcome whole, cut;
    size_t piece;
    int written;

    if (size == 0) {
        return 0;
    }
    piece = 1 + (data[0] & 0x7fu);
    written = data[0] & 0x80;
    data++;
    size--;
    if (written) {
        size = write_of(data, size, stream);
        data = stream;
    }
    whole = read_in(data, size, size > 0 ? size : 1);
    cut = read_in(data, size, piece);
    must_agree(&whole, &cut);
    if (written) {
        must(whole.status == FERRY_OK && whole.headers == 1 && whole.ends == 1);
    }
    return 0;
}
