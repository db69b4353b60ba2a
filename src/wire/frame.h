/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef FERRY_WIRE_FRAME_H
#define FERRY_WIRE_FRAME_H

#include <stdint.h>

#include "ferry/error.h"

/*
 * Frames of the data descriptor (docs/vfio-user-extensions.md, `data_fd`): 16 bytes, then
 * the bytes of a DATA. One struct ferry_frame_stream follows one direction and holds what
 * may come next. Pure; not thread safe.
 */
#define FERRY_FRAME_BYTES 16u
#define FERRY_FRAME_DATA_MAX (1u << 20)

enum ferry_frame_kind {
    FERRY_FRAME_DATA = 1,
    FERRY_FRAME_WANT,
    FERRY_FRAME_DRY,
    FERRY_FRAME_END,
    FERRY_FRAME_SYNC,
    FERRY_FRAME_TAKEN,
    FERRY_FRAME_ERROR
};

/* Who sends, and what for. */
enum ferry_frame_role {
    FERRY_FRAME_SAVE_SERVER = 0, /* DATA, DRY, END, ERROR */
    FERRY_FRAME_SAVE_CLIENT,     /* WANT */
    FERRY_FRAME_LOAD_CLIENT,     /* DATA, SYNC */
    FERRY_FRAME_LOAD_SERVER      /* TAKEN, ERROR */
};

struct ferry_frame {
    uint32_t kind;   /* enum ferry_frame_kind */
    uint32_t length; /* of the bytes that follow */
    uint64_t value;
};

struct ferry_frame_stream {
    uint32_t role;  /* enum ferry_frame_role */
    uint32_t over;  /* 1: END or ERROR was there, nothing may follow */
    uint64_t bytes; /* of DATA so far */
};

void ferry_frame_stream_init(struct ferry_frame_stream *stream, uint32_t role);

/*
 * Fills in length and value of the next frame of this direction and encodes it.
 * length: of a DATA, 1 to FERRY_FRAME_DATA_MAX; else 0. value: of TAKEN and ERROR.
 */
void ferry_frame_encode(struct ferry_frame_stream *stream, uint32_t kind, uint32_t length,
                        uint64_t value, uint8_t ret_bytes[FERRY_FRAME_BYTES]);

/*
 * Decodes the next frame and checks it against the direction so far.
 * bytes: FERRY_FRAME_BYTES of them.
 * Return: FERRY_OK; FERRY_E_PROTOCOL, FERRY_E_LIMIT (a DATA that is too long): the stream
 *   is unchanged and nothing behind the frame can be understood.
 */
int ferry_frame_decode(struct ferry_frame_stream *stream, const void *bytes,
                       struct ferry_frame *ret_frame, struct ferry_error *reterr);

/* Name of a kind for messages. */
const char *ferry_frame_name(uint32_t kind);

#endif
