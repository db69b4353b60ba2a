/* SPDX-License-Identifier: BSD-3-Clause */
#include "wire/command.h"

#define CLIENT FERRY_WIRE_FROM_CLIENT
#define SERVER FERRY_WIRE_FROM_SERVER

static const struct ferry_wire_command table[] = {
    { .number = FERRY_WIRE_VERSION,
      .name = "VERSION",
      .sender = CLIENT,
      .request_min = 4,
      .request_fixed = 4,
      .request_tail = FERRY_WIRE_TAIL_JSON,
      .reply_min = 4,
      .reply_fixed = 4,
      .reply_tail = FERRY_WIRE_TAIL_JSON,
      .reply_fds = 1 },
    { .number = FERRY_WIRE_DMA_MAP,
      .name = "DMA_MAP",
      .sender = CLIENT,
      .postable = 1,
      .request_min = 32,
      .request_fixed = 32,
      .request_fds = 1 },
    { .number = FERRY_WIRE_DMA_UNMAP,
      .name = "DMA_UNMAP",
      .sender = CLIENT,
      .postable = 1,
      .request_min = 24,
      .request_fixed = 40,
      .reply_min = 24,
      .reply_fixed = 40,
      .reply_tail = FERRY_WIRE_TAIL_BITMAP },
    { .number = FERRY_WIRE_GET_INFO,
      .name = "GET_INFO",
      .sender = CLIENT,
      .request_min = 16,
      .request_fixed = 16,
      .reply_min = 16,
      .reply_fixed = 16 },
    { .number = FERRY_WIRE_GET_REGION_INFO,
      .name = "GET_REGION_INFO",
      .sender = CLIENT,
      .request_min = 32,
      .request_fixed = 32,
      .reply_min = 32,
      .reply_fixed = 32,
      .reply_tail = FERRY_WIRE_TAIL_CAPS,
      .reply_fds = 1 },
    { .number = FERRY_WIRE_GET_REGION_IO_FDS,
      .name = "GET_REGION_IO_FDS",
      .sender = CLIENT,
      .request_min = 16,
      .request_fixed = 16,
      .reply_min = 16,
      .reply_fixed = 16,
      .reply_tail = FERRY_WIRE_TAIL_IO_FDS,
      .reply_fds = FERRY_WIRE_FDS_MAX },
    { .number = FERRY_WIRE_GET_IRQ_INFO,
      .name = "GET_IRQ_INFO",
      .sender = CLIENT,
      .request_min = 16,
      .request_fixed = 16,
      .reply_min = 16,
      .reply_fixed = 16 },
    { .number = FERRY_WIRE_SET_IRQS,
      .name = "SET_IRQS",
      .sender = CLIENT,
      .postable = 1,
      .request_min = 20,
      .request_fixed = 20,
      .request_tail = FERRY_WIRE_TAIL_BOOLS,
      .request_fds = FERRY_WIRE_FDS_MAX },
    { .number = FERRY_WIRE_REGION_READ,
      .name = "REGION_READ",
      .sender = CLIENT,
      .request_min = 16,
      .request_fixed = 16,
      .reply_min = 16,
      .reply_fixed = 16,
      .reply_tail = FERRY_WIRE_TAIL_DATA },
    { .number = FERRY_WIRE_REGION_WRITE,
      .name = "REGION_WRITE",
      .sender = CLIENT,
      .postable = 1,
      .request_min = 16,
      .request_fixed = 16,
      .request_tail = FERRY_WIRE_TAIL_DATA,
      .reply_min = 16,
      .reply_fixed = 16 },
    { .number = FERRY_WIRE_DMA_READ,
      .name = "DMA_READ",
      .sender = SERVER,
      .request_min = 16,
      .request_fixed = 16,
      .reply_min = 12,
      .reply_fixed = 16,
      .reply_tail = FERRY_WIRE_TAIL_DATA },
    /* The specification's table gives the reply a count of 4 bytes, its servers one of 8.
     */
    { .number = FERRY_WIRE_DMA_WRITE,
      .name = "DMA_WRITE",
      .sender = SERVER,
      .postable = 1,
      .request_min = 16,
      .request_fixed = 16,
      .request_tail = FERRY_WIRE_TAIL_DATA,
      .reply_min = 12,
      .reply_fixed = 16 },
    { .number = FERRY_WIRE_RESET, .name = "RESET", .sender = CLIENT, .postable = 1 },
    { .number = FERRY_WIRE_REGION_WRITE_MULTI,
      .name = "REGION_WRITE_MULTI",
      .sender = CLIENT,
      .postable = 1,
      .request_min = 8,
      .request_fixed = 8,
      .request_tail = FERRY_WIRE_TAIL_WRITES,
      .reply_min = 8,
      .reply_fixed = 8 },
    { .number = FERRY_WIRE_FEATURE,
      .name = "DEVICE_FEATURE",
      .sender = CLIENT,
      .request_min = 8,
      .request_fixed = 32,
      .request_tail = FERRY_WIRE_TAIL_RANGES,
      .reply_min = 8,
      .reply_fixed = 32,
      .reply_tail = FERRY_WIRE_TAIL_BITMAP,
      .reply_fds = 1 },
    { .number = FERRY_WIRE_DATA_READ,
      .name = "MIG_DATA_READ",
      .sender = CLIENT,
      .request_min = 8,
      .request_fixed = 8,
      .reply_min = 8,
      .reply_fixed = 8,
      .reply_tail = FERRY_WIRE_TAIL_DATA },
    { .number = FERRY_WIRE_DATA_WRITE,
      .name = "MIG_DATA_WRITE",
      .sender = CLIENT,
      .postable = 1,
      .request_min = 8,
      .request_fixed = 8,
      .request_tail = FERRY_WIRE_TAIL_DATA },
};

#define COMMANDS (sizeof(table) / sizeof(table[0]))

const struct ferry_wire_command *ferry_wire_command_get(size_t i)
{
    return i < COMMANDS ? &table[i] : NULL;
}

/* Where in the table a number is, counted from 1: it is looked up several times a
 * message. */
static const uint8_t place[] = {
    [FERRY_WIRE_VERSION] = 1,         [FERRY_WIRE_DMA_MAP] = 2,
    [FERRY_WIRE_DMA_UNMAP] = 3,       [FERRY_WIRE_GET_INFO] = 4,
    [FERRY_WIRE_GET_REGION_INFO] = 5, [FERRY_WIRE_GET_REGION_IO_FDS] = 6,
    [FERRY_WIRE_GET_IRQ_INFO] = 7,    [FERRY_WIRE_SET_IRQS] = 8,
    [FERRY_WIRE_REGION_READ] = 9,     [FERRY_WIRE_REGION_WRITE] = 10,
    [FERRY_WIRE_DMA_READ] = 11,       [FERRY_WIRE_DMA_WRITE] = 12,
    [FERRY_WIRE_RESET] = 13,          [FERRY_WIRE_REGION_WRITE_MULTI] = 14,
    [FERRY_WIRE_FEATURE] = 15,        [FERRY_WIRE_DATA_READ] = 16,
    [FERRY_WIRE_DATA_WRITE] = 17,
};

const struct ferry_wire_command *ferry_wire_command_find(uint32_t number)
{
    if (number >= sizeof(place) || place[number] == 0) {
        return NULL;
    }
    return &table[place[number] - 1];
}

const char *ferry_wire_command_name(uint32_t number)
{
    const struct ferry_wire_command *command = ferry_wire_command_find(number);

    return command != NULL ? command->name : "unknown command";
}

static uint32_t tail_max(uint32_t tail, const struct ferry_wire_limits *limits)
{
    const uint32_t ranges = FERRY_WIRE_LOG_RANGES_MAX * 16u;

    switch ((enum ferry_wire_tail)tail) {
    case FERRY_WIRE_TAIL_NONE:
        return 0;
    case FERRY_WIRE_TAIL_JSON:
        return FERRY_WIRE_JSON_MAX;
    case FERRY_WIRE_TAIL_DATA:
        return limits->max_data_bytes;
    case FERRY_WIRE_TAIL_BITMAP:
        /* The reply to LOG_START repeats the ranges in the bitmap's place. */
        return limits->max_bitmap_bytes > ranges ? limits->max_bitmap_bytes : ranges;
    case FERRY_WIRE_TAIL_BOOLS:
        return FERRY_WIRE_IRQS_MAX;
    case FERRY_WIRE_TAIL_RANGES:
        return ranges;
    case FERRY_WIRE_TAIL_CAPS:
        return FERRY_WIRE_REGION_CAPS_MAX;
    case FERRY_WIRE_TAIL_IO_FDS:
        return FERRY_WIRE_IO_FDS_MAX * 48u;
    case FERRY_WIRE_TAIL_WRITES:
        return FERRY_WIRE_WRITES_MAX * 24u;
    }
    return 0;
}

uint32_t ferry_wire_payload_max(uint32_t number, int reply,
                                const struct ferry_wire_limits *limits)
{
    const struct ferry_wire_command *command = ferry_wire_command_find(number);

    if (command == NULL) {
        return 0;
    }
    return reply != 0 ? command->reply_fixed + tail_max(command->reply_tail, limits)
                      : command->request_fixed + tail_max(command->request_tail, limits);
}
