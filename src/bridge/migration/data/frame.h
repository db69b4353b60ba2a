/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef FERRY_BRIDGE_MIGRATION_FRAME_H
#define FERRY_BRIDGE_MIGRATION_FRAME_H

#include <stddef.h>
#include <stdint.h>

#include "core/stream/payload.h"
#include "ferry/error.h"

/*
 * The form in which a VMM carries a device's data from bridge to bridge
 * (docs/bridge-format.md): units of a 16-byte head and a body,
 *
 *   HEADER DATA... IRQS... END
 *
 * so that the target knows whose data it is, when it is over and whether it came whole.
 * Pure: no I/O, no allocation. Not thread safe; neither struct may be moved while in use.
 */
#define BRIDGE_FRAME_VERSION 1u
#define BRIDGE_FRAME_MAGIC 0x4547444952425246ull /* "FRBRIDGE" */
#define BRIDGE_FRAME_HEAD_BYTES 16u
#define BRIDGE_FRAME_END_BYTES 32u /* head and hash */
/* Longest body of a DATA: what QEMU asks for at a time. */
#define BRIDGE_FRAME_DATA_MAX (1u << 20)
/* Longest body of any other unit. */
#define BRIDGE_FRAME_BODY_MAX 4096u
/* A HEADER with every key that an identity can have, its head included. */
#define BRIDGE_FRAME_HEADER_MAX                                                          \
    (BRIDGE_FRAME_HEAD_BYTES + 8u + 144u + 48u * FERRY_KEYS_MAX)

/* Vectors of one IRQS. */
#define BRIDGE_FRAME_VECTORS_MAX 2048u
#define BRIDGE_FRAME_IRQS_MAX (BRIDGE_FRAME_HEAD_BYTES + 2u * BRIDGE_FRAME_VECTORS_MAX)

enum bridge_frame_kind {
    BRIDGE_FRAME_NONE = 0,
    BRIDGE_FRAME_HEADER = 1,
    BRIDGE_FRAME_DATA = 2,
    BRIDGE_FRAME_END = 3,
    BRIDGE_FRAME_IRQS = 4
};
/* In a kind: a reader that does not know it passes over it. */
#define BRIDGE_FRAME_OPTIONAL 0x80000000u
/* Option bits of a HEADER: who does not know one of these cannot read the data. */
#define BRIDGE_FRAME_OPTIONS_NEEDED 0x0000ffffu

struct bridge_frame_writer {
    uint64_t bytes; /* of DATA so far */
    struct ferry_stream_hash hash;
};

/*
 * Begins: writes the HEADER.
 * source: whose data it is. ret_bytes: BRIDGE_FRAME_HEADER_MAX of them.
 * Return: how many were written.
 */
size_t bridge_frame_begin(struct bridge_frame_writer *writer,
                          const struct ferry_stream_hello_device *source,
                          uint8_t ret_bytes[BRIDGE_FRAME_HEADER_MAX]);
/* The head of a DATA; bytes is 1 to BRIDGE_FRAME_DATA_MAX. */
void bridge_frame_data(struct bridge_frame_writer *writer, const void *data, size_t bytes,
                       uint8_t ret_head[BRIDGE_FRAME_HEAD_BYTES]);
/*
 * Interrupts that were signalled and that the source's VMM has not taken.
 * index: 1 MSI, 2 MSI-X. count: 1 to BRIDGE_FRAME_VECTORS_MAX. Return: bytes written.
 */
size_t bridge_frame_irqs(struct bridge_frame_writer *writer, uint32_t index,
                         const uint16_t *vector, uint32_t count,
                         uint8_t ret_bytes[BRIDGE_FRAME_IRQS_MAX]);
void bridge_frame_end(struct bridge_frame_writer *writer,
                      uint8_t ret_bytes[BRIDGE_FRAME_END_BYTES]);

struct bridge_frame_reader {
    uint8_t head[BRIDGE_FRAME_HEAD_BYTES];
    uint8_t body[BRIDGE_FRAME_BODY_MAX];
    size_t head_got, body_got;
    uint32_t kind; /* of the unit under way */
    uint32_t left; /* of its body, still to come */
    uint32_t begun, over;
    int32_t status;  /* the first failure; nothing is understood after it */
    uint64_t off;    /* bytes taken in */
    uint64_t bytes;  /* of DATA so far */
    uint64_t length; /* as END says */
    struct ferry_stream_hello_device source; /* from HEADER on */
    struct ferry_stream_hash hash;
};

/* What a call of bridge_frame_feed() came upon. */
struct bridge_frame_part {
    uint32_t kind;  /* NONE: everything was used; HEADER, IRQS, END: complete and right */
    uint32_t index; /* of IRQS */
    /* DATA: some of its bytes, inside of what was fed. IRQS: the vectors, 2 bytes each */
    const uint8_t *data;
    size_t bytes;
};

void bridge_frame_reader_init(struct bridge_frame_reader *reader);

/*
 * Takes bytes in, in any segmentation, up to the next part.
 * ret_used: bytes of data that were used; feed the rest until the part is NONE.
 * Return: FERRY_OK; FERRY_E_PROTOCOL, FERRY_E_LIMIT, FERRY_E_MESSAGE (a unit that must be
 *   known is not), FERRY_E_VERSION, FERRY_E_FOREIGN (not a bridge's data), FERRY_E_SHORT,
 *   FERRY_E_LONG (also: bytes behind END), FERRY_E_CORRUPT (the hash). Each stays.
 */
int bridge_frame_feed(struct bridge_frame_reader *reader, const void *data, size_t bytes,
                      size_t *ret_used, struct bridge_frame_part *ret_part,
                      struct ferry_error *reterr);

#endif
