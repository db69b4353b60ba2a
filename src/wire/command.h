/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef FERRY_WIRE_COMMAND_H
#define FERRY_WIRE_COMMAND_H

#include <stddef.h>
#include <stdint.h>

#include "wire/header.h"

enum ferry_wire_command_number {
    FERRY_WIRE_VERSION = 1,
    FERRY_WIRE_DMA_MAP = 2,
    FERRY_WIRE_DMA_UNMAP = 3,
    FERRY_WIRE_GET_INFO = 4,
    FERRY_WIRE_GET_REGION_INFO = 5,
    FERRY_WIRE_GET_REGION_IO_FDS = 6,
    FERRY_WIRE_GET_IRQ_INFO = 7,
    FERRY_WIRE_SET_IRQS = 8,
    FERRY_WIRE_REGION_READ = 9,
    FERRY_WIRE_REGION_WRITE = 10,
    FERRY_WIRE_DMA_READ = 11,
    FERRY_WIRE_DMA_WRITE = 12,
    FERRY_WIRE_RESET = 13,
    FERRY_WIRE_REGION_WRITE_MULTI = 15,
    FERRY_WIRE_FEATURE = 16,
    FERRY_WIRE_DATA_READ = 17,
    FERRY_WIRE_DATA_WRITE = 18
};

/* What follows the fixed part of a payload, and which limit bounds it. */
enum ferry_wire_tail {
    FERRY_WIRE_TAIL_NONE = 0,
    FERRY_WIRE_TAIL_JSON,   /* FERRY_WIRE_JSON_MAX */
    FERRY_WIRE_TAIL_DATA,   /* limits.max_data_bytes */
    FERRY_WIRE_TAIL_BITMAP, /* limits.max_bitmap_bytes */
    FERRY_WIRE_TAIL_BOOLS,  /* FERRY_WIRE_IRQS_MAX */
    FERRY_WIRE_TAIL_RANGES, /* FERRY_WIRE_LOG_RANGES_MAX ranges */
    FERRY_WIRE_TAIL_CAPS,   /* FERRY_WIRE_REGION_CAPS_MAX */
    FERRY_WIRE_TAIL_IO_FDS, /* FERRY_WIRE_IO_FDS_MAX entries */
    FERRY_WIRE_TAIL_WRITES  /* FERRY_WIRE_WRITES_MAX entries */
};

#define FERRY_WIRE_FDS_MAX 64u
#define FERRY_WIRE_IRQS_MAX 2048u
#define FERRY_WIRE_LOG_RANGES_MAX 256u
#define FERRY_WIRE_REGION_CAPS_MAX 4096u
#define FERRY_WIRE_IO_FDS_MAX 64u
#define FERRY_WIRE_WRITES_MAX 256u /* of one REGION_WRITE_MULTI */

/* One command. Sizes are bytes of payload, without the header. */
struct ferry_wire_command {
    uint16_t number;
    uint8_t sender;       /* enum ferry_wire_sender of the request */
    uint8_t postable;     /* 1: may carry No_reply */
    uint8_t request_tail; /* enum ferry_wire_tail */
    uint8_t reply_tail;
    uint16_t request_min;
    uint16_t request_fixed; /* largest payload without the tail */
    uint16_t reply_min;
    uint16_t reply_fixed;
    uint16_t request_fds; /* most descriptors with a request; the least is 0 */
    uint16_t reply_fds;
    uint16_t pad[3];
    const char *name; /* "DMA_MAP" */
};

/* The command of a number, or NULL. Thread: any. */
const struct ferry_wire_command *ferry_wire_command_find(uint32_t number);

/* The i-th command of the table, or NULL past the last. Thread: any. */
const struct ferry_wire_command *ferry_wire_command_get(size_t i);

/* Name of a command ("DMA_MAP"); "unknown command" for other numbers. Thread: any. */
const char *ferry_wire_command_name(uint32_t number);

/*
 * Largest payload of a command's request (reply 0) or reply (reply 1) under these
 * limits.
 * Return: bytes; 0 also for an unknown command.
 */
uint32_t ferry_wire_payload_max(uint32_t number, int reply,
                                const struct ferry_wire_limits *limits);

#endif
