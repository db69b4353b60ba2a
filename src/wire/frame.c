/* SPDX-License-Identifier: BSD-3-Clause */
#include "wire/frame.h"

#include <assert.h>
#include <stddef.h>

#include "base/reader.h"
#include "base/writer.h"

#define BY(role) (1u << (role))

static const struct row {
    const char *name;
    uint32_t roles; /* that send it */
    uint32_t last;  /* 1: nothing follows */
} table[] = {
    [FERRY_FRAME_DATA] = { "DATA",
                           BY(FERRY_FRAME_SAVE_SERVER) | BY(FERRY_FRAME_LOAD_CLIENT), 0 },
    [FERRY_FRAME_WANT] = { "WANT", BY(FERRY_FRAME_SAVE_CLIENT), 0 },
    [FERRY_FRAME_DRY] = { "DRY", BY(FERRY_FRAME_SAVE_SERVER), 0 },
    [FERRY_FRAME_END] = { "END", BY(FERRY_FRAME_SAVE_SERVER), 1 },
    [FERRY_FRAME_SYNC] = { "SYNC", BY(FERRY_FRAME_LOAD_CLIENT), 0 },
    [FERRY_FRAME_TAKEN] = { "TAKEN", BY(FERRY_FRAME_LOAD_SERVER), 0 },
    [FERRY_FRAME_ERROR] = { "ERROR",
                            BY(FERRY_FRAME_SAVE_SERVER) | BY(FERRY_FRAME_LOAD_SERVER),
                            1 },
};

static const struct row *find(uint32_t kind)
{
    return kind < sizeof(table) / sizeof(table[0]) && table[kind].name ? &table[kind]
                                                                       : NULL;
}

const char *ferry_frame_name(uint32_t kind)
{
    const struct row *row = find(kind);

    return row ? row->name : "unknown";
}

void ferry_frame_stream_init(struct ferry_frame_stream *stream, uint32_t role)
{
    stream->role = role;
    stream->over = 0;
    stream->bytes = 0;
}

/* Kinds whose value is the place in the stream. */
static int tells_place(uint32_t kind)
{
    return kind == FERRY_FRAME_DATA || kind == FERRY_FRAME_DRY ||
           kind == FERRY_FRAME_END || kind == FERRY_FRAME_SYNC;
}

static void advance(struct ferry_frame_stream *stream, const struct row *row,
                    uint32_t length)
{
    stream->bytes += length;
    stream->over = row->last;
}

void ferry_frame_encode(struct ferry_frame_stream *stream, uint32_t kind, uint32_t length,
                        uint64_t value, uint8_t ret_bytes[FERRY_FRAME_BYTES])
{
    const struct row *row = find(kind);

    assert(row && (row->roles & BY(stream->role)) && !stream->over);
    assert(kind == FERRY_FRAME_DATA ? length > 0 && length <= FERRY_FRAME_DATA_MAX
                                    : length == 0);
    ferry_store_le32(ret_bytes, kind);
    ferry_store_le32(ret_bytes + 4, length);
    ferry_store_le64(ret_bytes + 8, tells_place(kind) ? stream->bytes : value);
    advance(stream, row, length);
}

static int refuse(const struct ferry_frame_stream *stream, int code,
                  const struct ferry_frame *frame, const char *why,
                  struct ferry_error *reterr)
{
    return ferry_error_set(reterr, code, "wire", NULL, stream->bytes,
                           "data descriptor: frame %s (kind %u, length %u, value %llu) "
                           "after %llu bytes: %s",
                           ferry_frame_name(frame->kind), frame->kind, frame->length,
                           (unsigned long long)frame->value,
                           (unsigned long long)stream->bytes, why);
}

/* NULL: the value may stand. */
static const char *wrong_value(const struct ferry_frame_stream *stream,
                               const struct ferry_frame *frame)
{
    if (tells_place(frame->kind)) {
        return frame->value != stream->bytes ? "its value is another place" : NULL;
    }
    if (frame->kind == FERRY_FRAME_WANT) {
        return frame->value != 0 ? "its value is not 0" : NULL;
    }
    if (frame->kind == FERRY_FRAME_ERROR) {
        return frame->value == 0 || frame->value > UINT16_MAX ? "it names no errno"
                                                              : NULL;
    }
    return NULL;
}

int ferry_frame_decode(struct ferry_frame_stream *stream, const void *bytes,
                       struct ferry_frame *ret_frame, struct ferry_error *reterr)
{
    const uint8_t *at = bytes;
    struct ferry_frame frame = { .kind = ferry_load_le32(at),
                                 .length = ferry_load_le32(at + 4),
                                 .value = ferry_load_le64(at + 8) };
    const struct row *row = find(frame.kind);
    const char *why;

    if (!row || !(row->roles & BY(stream->role))) {
        return refuse(stream, FERRY_E_PROTOCOL, &frame, "not sent by this side", reterr);
    }
    if (stream->over) {
        return refuse(stream, FERRY_E_PROTOCOL, &frame, "it follows the last one",
                      reterr);
    }
    if (frame.kind == FERRY_FRAME_DATA && frame.length > FERRY_FRAME_DATA_MAX) {
        return refuse(stream, FERRY_E_LIMIT, &frame, "too long", reterr);
    }
    if ((frame.kind == FERRY_FRAME_DATA) != (frame.length > 0)) {
        return refuse(stream, FERRY_E_PROTOCOL, &frame,
                      "DATA has bytes behind it, no other has", reterr);
    }
    why = wrong_value(stream, &frame);
    if (why) {
        return refuse(stream, FERRY_E_PROTOCOL, &frame, why, reterr);
    }
    advance(stream, row, frame.length);
    *ret_frame = frame;
    return FERRY_OK;
}
