/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef FERRY_WIRE_HEADER_H
#define FERRY_WIRE_HEADER_H

#include <stddef.h>
#include <stdint.h>

#include "ferry/error.h"

/* The 16 bytes in front of every vfio-user message. */
#define FERRY_WIRE_HEADER_BYTES 16u

#define FERRY_WIRE_FLAG_TYPE 0xfu /* mask: 0 command, 1 reply */
#define FERRY_WIRE_TYPE_COMMAND 0u
#define FERRY_WIRE_TYPE_REPLY 1u
#define FERRY_WIRE_FLAG_NO_REPLY 0x10u
#define FERRY_WIRE_FLAG_ERROR 0x20u

/* Bounds of what one message may carry; both sides of a connection have agreed to them.
 */
struct ferry_wire_limits {
    uint32_t max_data_bytes;   /* max_data_xfer_size: region, DMA and migration data */
    uint32_t max_bitmap_bytes; /* a dirty bitmap in a reply */
};
#define FERRY_WIRE_MAX_DATA_DEFAULT 1048576u
#define FERRY_WIRE_MAX_DATA_MIN 4096u
#define FERRY_WIRE_MAX_DATA_MAX (16u << 20)
#define FERRY_WIRE_MAX_BITMAP_DEFAULT (32u << 20) /* 1 TiB at 4 KiB a page */
#define FERRY_WIRE_JSON_MAX 65536u                /* of VERSION, with its NUL */

/* Which end of the connection sent a message. */
enum ferry_wire_sender { FERRY_WIRE_FROM_CLIENT = 1, FERRY_WIRE_FROM_SERVER = 2 };

/* The header's fields in the machine's byte order. */
struct ferry_wire_header {
    uint16_t id;      /* the sender's own; echoed in the reply */
    uint16_t command; /* enum ferry_wire_command_number */
    uint32_t size;    /* of the whole message */
    uint32_t flags;
    uint32_t error; /* replies with FERRY_WIRE_FLAG_ERROR: an errno number, may be 0 */
};

/* Writes 16 bytes. Thread: any. */
void ferry_wire_header_encode(const struct ferry_wire_header *header, void *ret_bytes);

/*
 * Reads a header and checks what must hold for the next message to be found: the size
 * lies between 16 and the largest legal message, the type is command or reply. When it
 * fails the connection has to be closed.
 * bytes: 16 bytes. limits: borrowed.
 * Return: FERRY_OK; FERRY_E_PROTOCOL (WIRE-HDR-1, -2); FERRY_E_LIMIT (WIRE-HDR-1).
 * Thread: any.
 */
int ferry_wire_header_decode(const void *bytes, const struct ferry_wire_limits *limits,
                             struct ferry_wire_header *ret_header,
                             struct ferry_error *reterr);

/*
 * Checks the rest of a header: command known and allowed in this direction, flags, size
 * of the payload within the command's bounds. When it fails the payload can be skipped,
 * an Error reply sent (unless ferry_wire_wants_reply() is 0), and the connection goes
 * on.
 * sender: enum ferry_wire_sender, who sent the message.
 * Return: FERRY_OK; FERRY_E_MESSAGE (no such command), FERRY_E_PROTOCOL (wrong
 *   direction, flags, size), FERRY_E_LIMIT (over a limit).
 * Thread: any. Rules: WIRE-HDR-3 to -5, WIRE-CMD-1 to -3.
 */
int ferry_wire_header_check(const struct ferry_wire_header *header, uint32_t sender,
                            const struct ferry_wire_limits *limits,
                            struct ferry_error *reterr);

/* 1 for a reply, 0 for a command. */
int ferry_wire_is_reply(const struct ferry_wire_header *header);

/* 1 for a command whose sender waits for a reply. */
int ferry_wire_wants_reply(const struct ferry_wire_header *header);

/* FERRY_OK, or for an Error reply the status that its errno stands for. */
int ferry_wire_reply_status(const struct ferry_wire_header *header);

/*
 * Writes a whole Error reply: 16 bytes.
 * asked: the command's header. status: the negative code to be sent.
 */
void ferry_wire_error_encode(const struct ferry_wire_header *asked, int status,
                             void *ret_bytes);

/* Bytes of the largest legal message under these limits. */
uint32_t ferry_wire_max_message(const struct ferry_wire_limits *limits);

#endif
