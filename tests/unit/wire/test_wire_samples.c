/* SPDX-License-Identifier: BSD-3-Clause */
#include "test_wire_samples.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

const struct ferry_wire_limits wire_sample_limits = { .max_data_bytes = 65536,
                                                      .max_bitmap_bytes = 65536 };

static const char json[] = "{\"capabilities\":{\"max_msg_fds\":8}}";
static const uint8_t pattern[64] = {
    0x00, 0x11, 0x22, 0x33, 0x44, 0x55, 0x66, 0x77, 0x88, 0x99, 0xaa, 0xbb, 0xcc, 0xdd,
    0xee, 0xff, 0x01, 0x23, 0x45, 0x67, 0x89, 0xab, 0xcd, 0xef, 0xfe, 0xdc, 0xba, 0x98,
};
static const uint8_t bools[3] = { 1, 0, 1 };
/* {0x10000, 0x20000}, {0x100000, 0x1000} */
static const uint8_t ranges[32] = { 0, 0, 1,  0, 0, 0, 0, 0, 0, 0,  2, 0, 0, 0, 0, 0,
                                    0, 0, 16, 0, 0, 0, 0, 0, 0, 16, 0, 0, 0, 0, 0, 0 };

/* Two entries of 40 bytes that share a descriptor, one of 48, two writes. */
static const uint8_t io_fds[80] = {
    [1] = 0x10, [8] = 4, [24] = 1, [32] = 7, [41] = 0x20, [48] = 8,
};
static const uint8_t io_fds_wide[48] = { [1] = 0x10, [8] = 2, [24] = 1, [40] = 9 };
static const uint8_t writes[48] = {
    [1] = 0x10, [8] = 2, [12] = 4, [16] = 0xaa, [25] = 0x30, [36] = 8, [40] = 0xbb,
};

#define JSON .data = (const uint8_t *)json, .data_bytes = sizeof(json)
#define DATA(count) .data = pattern, .data_bytes = (count)
#define ASK(number) .id = 0x1234, .command = (number)
#define ANSWER(number) .id = 0x1234, .command = (number), .reply = 1

static const struct wire_sample table[] = {
    { .name = "version",
      .ask = { ASK(FERRY_WIRE_VERSION), .u.version = { 0, 1 }, JSON },
      .answer = { ANSWER(FERRY_WIRE_VERSION), .u.version = { 0, 1 }, JSON },
      .ask_shorter = { 4 },
      .ask_shorter_count = 1,
      .answer_shorter = { 4 },
      .answer_shorter_count = 1 },
    { .name = "version-bare",
      .ask = { ASK(FERRY_WIRE_VERSION), .u.version = { 0, 2 } },
      .answer = { ANSWER(FERRY_WIRE_VERSION), .u.version = { 0, 2 } } },
    { .name = "map-fd",
      .ask = { ASK(FERRY_WIRE_DMA_MAP), .fd_count = 1,
               .u.map = { .flags = 3,
                          .offset = 0x1000,
                          .iova = 0x40000000,
                          .size = 0x200000 } },
      .answer = { ANSWER(FERRY_WIRE_DMA_MAP), .u.map = { .flags = 3,
                                                         .offset = 0x1000,
                                                         .iova = 0x40000000,
                                                         .size = 0x200000 } } },
    { .name = "map-posted",
      .ask = { ASK(FERRY_WIRE_DMA_MAP), .posted = 1,
               .u.map = { .flags = 1,
                          .offset = UINT64_MAX,
                          .iova = 0x1000,
                          .size = 0x1000 } } },
    { .name = "unmap",
      .ask = { ASK(FERRY_WIRE_DMA_UNMAP),
               .u.unmap = { .argsz = 24, .iova = 0x40000000, .size = 0x200000 } },
      .answer = { ANSWER(FERRY_WIRE_DMA_UNMAP),
                  .u.unmap = { .argsz = 24, .iova = 0x40000000, .size = 0x200000 } } },
    { .name = "unmap-all",
      .ask = { ASK(FERRY_WIRE_DMA_UNMAP), .u.unmap = { .argsz = 24, .flags = 2 } },
      .answer = { ANSWER(FERRY_WIRE_DMA_UNMAP),
                  .u.unmap = { .argsz = 24, .flags = 2 } } },
    { .name = "unmap-bitmap",
      .ask = { ASK(FERRY_WIRE_DMA_UNMAP), .u.unmap = { .argsz = 56,
                                                       .flags = 1,
                                                       .iova = 0x10000,
                                                       .size = 0x41000,
                                                       .page_size = 4096,
                                                       .bitmap_bytes = 16 } },
      .answer = { ANSWER(FERRY_WIRE_DMA_UNMAP), DATA(16),
                  .u.unmap = { .argsz = 56,
                               .flags = 1,
                               .iova = 0x10000,
                               .size = 0x41000,
                               .page_size = 4096,
                               .bitmap_bytes = 16 } } },
    { .name = "info",
      .ask = { ASK(FERRY_WIRE_GET_INFO), .u.info = { .argsz = 16 } },
      .answer = { ANSWER(FERRY_WIRE_GET_INFO), .u.info = { 16, 3, 9, 5 } } },
    { .name = "region",
      .ask = { ASK(FERRY_WIRE_GET_REGION_INFO),
               .u.region = { .argsz = 304, .index = 2 } },
      .answer = { ANSWER(FERRY_WIRE_GET_REGION_INFO),
                  .u.region = { .argsz = 32, .flags = 3, .index = 2, .size = 0x4000 } } },
    { .name = "region-sparse",
      .ask = { ASK(FERRY_WIRE_GET_REGION_INFO),
               .u.region = { .argsz = 304, .index = 4 } },
      .answer = { ANSWER(FERRY_WIRE_GET_REGION_INFO), .fd_count = 1,
                  .u.region = { .argsz = 80,
                                .flags = 7,
                                .index = 4,
                                .area_count = 2,
                                .size = 0x10000,
                                .offset = 0x8000,
                                .area = { { 0, 0x1000 }, { 0x3000, 0xd000 } } } },
      /* Without its capabilities: to be asked for again. */
      .answer_shorter = { 32 },
      .answer_shorter_count = 1 },
    { .name = "region-typed",
      .ask = { ASK(FERRY_WIRE_GET_REGION_INFO),
               .u.region = { .argsz = 320, .index = 9 } },
      .answer = { ANSWER(FERRY_WIRE_GET_REGION_INFO), .fd_count = 1,
                  .u.region = { .argsz = 80,
                                .flags = 7,
                                .index = 9,
                                .area_count = 1,
                                .size = 0x10000,
                                .type = 0x80001af4,
                                .subtype = 3,
                                .area = { { 0, 0x1000 } } } },
      .answer_shorter = { 32 },
      .answer_shorter_count = 1 },
    { .name = "io-fds",
      .ask = { ASK(FERRY_WIRE_GET_REGION_IO_FDS),
               .u.io_fds = { .argsz = 16 + 64 * 48, .index = 1 } },
      .answer = { ANSWER(FERRY_WIRE_GET_REGION_IO_FDS), .fd_count = 1, .data = io_fds,
                  .data_bytes = 80, .u.io_fds = { .argsz = 96, .index = 1, .count = 2 } },
      .answer_shorter = { 16 },
      .answer_shorter_count = 1 },
    { .name = "io-fds-wide",
      .ask = { ASK(FERRY_WIRE_GET_REGION_IO_FDS),
               .u.io_fds = { .argsz = 16, .index = 1 } },
      .answer = { ANSWER(FERRY_WIRE_GET_REGION_IO_FDS), .fd_count = 1,
                  .data = io_fds_wide, .data_bytes = 48,
                  .u.io_fds = { .argsz = 64,
                                .index = 1,
                                .count = 1,
                                .layout = FERRY_WIRE_IO_FD_WIDE } },
      .answer_shorter = { 16 },
      .answer_shorter_count = 1 },
    { .name = "io-fds-none",
      .ask = { ASK(FERRY_WIRE_GET_REGION_IO_FDS),
               .u.io_fds = { .argsz = 16, .index = 0 } },
      .answer = { ANSWER(FERRY_WIRE_GET_REGION_IO_FDS),
                  .u.io_fds = { .argsz = 16, .index = 0 } } },
    { .name = "write-multi",
      .ask = { ASK(FERRY_WIRE_REGION_WRITE_MULTI), .data = writes, .data_bytes = 48,
               .u.multi = { 2 } },
      .answer = { ANSWER(FERRY_WIRE_REGION_WRITE_MULTI), .u.multi = { 1 } } },
    { .name = "write-multi-posted",
      .ask = { ASK(FERRY_WIRE_REGION_WRITE_MULTI), .posted = 1, .data = writes,
               .data_bytes = 24, .u.multi = { 1 } } },
    { .name = "irq-info",
      .ask = { ASK(FERRY_WIRE_GET_IRQ_INFO), .u.irq = { .argsz = 16, .index = 2 } },
      .answer = { ANSWER(FERRY_WIRE_GET_IRQ_INFO), .u.irq = { 16, 9, 2, 4 } } },
    { .name = "irq-disable",
      .ask = { ASK(FERRY_WIRE_SET_IRQS), .u.irq_set = { .flags = 0x21, .index = 2 } },
      .answer = { ANSWER(FERRY_WIRE_SET_IRQS) } },
    { .name = "irq-bool",
      .ask = { ASK(FERRY_WIRE_SET_IRQS), .data = bools, .data_bytes = 3,
               .u.irq_set = { .flags = 0x0a, .index = 2, .start = 1, .count = 3 } },
      .answer = { ANSWER(FERRY_WIRE_SET_IRQS) } },
    { .name = "irq-eventfd",
      .ask = { ASK(FERRY_WIRE_SET_IRQS), .fd_count = 2,
               .u.irq_set = { .flags = 0x24, .index = 2, .start = 1, .count = 2 } },
      .answer = { ANSWER(FERRY_WIRE_SET_IRQS) } },
    { .name = "irq-deassign",
      .ask = { ASK(FERRY_WIRE_SET_IRQS),
               .u.irq_set = { .flags = 0x24, .index = 2, .start = 2046, .count = 2 } },
      .answer = { ANSWER(FERRY_WIRE_SET_IRQS) } },
    { .name = "irq-mask-eventfd",
      .ask = { ASK(FERRY_WIRE_SET_IRQS), .fd_count = 1,
               .u.irq_set = { .flags = 0x0c, .index = 0, .count = 1 } },
      .answer = { ANSWER(FERRY_WIRE_SET_IRQS) } },
    { .name = "irq-unmask-none",
      .ask = { ASK(FERRY_WIRE_SET_IRQS),
               .u.irq_set = { .flags = 0x11, .index = 0, .count = 1 } },
      .answer = { ANSWER(FERRY_WIRE_SET_IRQS) } },
    { .name = "read",
      .ask = { ASK(FERRY_WIRE_REGION_READ),
               .u.io = { .off = 64, .region = 7, .count = 4 } },
      .answer = { ANSWER(FERRY_WIRE_REGION_READ), DATA(4),
                  .u.io = { .off = 64, .region = 7, .count = 4 } } },
    { .name = "write",
      .ask = { ASK(FERRY_WIRE_REGION_WRITE), DATA(8),
               .u.io = { .off = 16, .region = 0, .count = 8 } },
      .answer = { ANSWER(FERRY_WIRE_REGION_WRITE),
                  .u.io = { .off = 16, .region = 0, .count = 8 } } },
    { .name = "write-posted",
      .ask = { ASK(FERRY_WIRE_REGION_WRITE), .posted = 1, DATA(2),
               .u.io = { .off = 0x100, .region = 1, .count = 2 } } },
    { .name = "dma-read",
      .ask = { ASK(FERRY_WIRE_DMA_READ), .u.dma = { .iova = 0x9000, .count = 32 } },
      .answer = { ANSWER(FERRY_WIRE_DMA_READ), DATA(32),
                  .u.dma = { .iova = 0x9000, .count = 32 } } },
    { .name = "dma-write",
      .ask = { ASK(FERRY_WIRE_DMA_WRITE), DATA(24),
               .u.dma = { .iova = 0x9000, .count = 24 } },
      .answer = { ANSWER(FERRY_WIRE_DMA_WRITE),
                  .u.dma = { .iova = 0x9000, .count = 24 } },
      .answer_shorter = { 12 },
      .answer_shorter_count = 1 },
    { .name = "reset",
      .ask = { ASK(FERRY_WIRE_RESET) },
      .answer = { ANSWER(FERRY_WIRE_RESET) } },
    { .name = "probe",
      .ask = { ASK(FERRY_WIRE_FEATURE),
               .u.feature = { .argsz = 8, .index = 12, .operation = 3, .probe = 1 } },
      .answer = { ANSWER(FERRY_WIRE_FEATURE), .u.feature = { .argsz = 8,
                                                             .index = 12,
                                                             .operation = 3,
                                                             .probe = 1 } } },
    { .name = "mig-flags",
      .ask = { ASK(FERRY_WIRE_FEATURE),
               .u.feature = { .argsz = 16, .index = 1, .operation = FERRY_WIRE_GET } },
      .answer = { ANSWER(FERRY_WIRE_FEATURE), .u.feature = { .argsz = 16,
                                                             .index = 1,
                                                             .operation = FERRY_WIRE_GET,
                                                             .u.migration_flags = 7 } } },
    { .name = "get-state",
      .ask = { ASK(FERRY_WIRE_FEATURE),
               .u.feature = { .argsz = 16, .index = 2, .operation = FERRY_WIRE_GET } },
      .answer = { ANSWER(FERRY_WIRE_FEATURE), .u.feature = { .argsz = 16,
                                                             .index = 2,
                                                             .operation = FERRY_WIRE_GET,
                                                             .u.state = 5 } } },
    { .name = "set-state",
      .ask = { ASK(FERRY_WIRE_FEATURE), .u.feature = { .argsz = 16,
                                                       .index = 2,
                                                       .operation = FERRY_WIRE_SET,
                                                       .u.state = 6 } },
      .answer = { ANSWER(FERRY_WIRE_FEATURE), .u.feature = { .argsz = 16,
                                                             .index = 2,
                                                             .operation = FERRY_WIRE_SET,
                                                             .u.state = 6 } },
      .answer_shorter = { 8 },
      .answer_shorter_count = 1 },
    { .name = "log-start",
      .ask = { ASK(FERRY_WIRE_FEATURE), .data = ranges, .data_bytes = 32,
               .u.feature = { .argsz = 56,
                              .index = 6,
                              .operation = FERRY_WIRE_SET,
                              .u.log_start = { 4096, 2, 0 } } },
      .answer = { ANSWER(FERRY_WIRE_FEATURE), .data = ranges, .data_bytes = 32,
                  .u.feature = { .argsz = 56,
                                 .index = 6,
                                 .operation = FERRY_WIRE_SET,
                                 .u.log_start = { 8192, 2, 0 } } },
      .answer_shorter = { 8 },
      .answer_shorter_count = 1 },
    { .name = "log-start-all",
      .ask = { ASK(FERRY_WIRE_FEATURE),
               .u.feature = { .argsz = 24,
                              .index = 6,
                              .operation = FERRY_WIRE_SET,
                              .u.log_start = { 1u << 21, 0, 0 } } },
      .answer = { ANSWER(FERRY_WIRE_FEATURE),
                  .u.feature = { .argsz = 24,
                                 .index = 6,
                                 .operation = FERRY_WIRE_SET,
                                 .u.log_start = { 4096, 0, 0 } } },
      .answer_shorter = { 8 },
      .answer_shorter_count = 1 },
    { .name = "log-stop",
      .ask = { ASK(FERRY_WIRE_FEATURE),
               .u.feature = { .argsz = 8, .index = 7, .operation = FERRY_WIRE_SET } },
      .answer = { ANSWER(FERRY_WIRE_FEATURE),
                  .u.feature = { .argsz = 8,
                                 .index = 7,
                                 .operation = FERRY_WIRE_SET } } },
    { .name = "log-report",
      .ask = { ASK(FERRY_WIRE_FEATURE),
               .u.feature = { .argsz = 48,
                              .index = 8,
                              .operation = FERRY_WIRE_GET,
                              .u.log_report = { 0x1000, 0x41000, 4096 } } },
      .answer = { ANSWER(FERRY_WIRE_FEATURE), DATA(16),
                  .u.feature = { .argsz = 48,
                                 .index = 8,
                                 .operation = FERRY_WIRE_GET,
                                 .u.log_report = { 0x1000, 0x41000, 4096 } } } },
    { .name = "log-runs",
      .ask = { ASK(FERRY_WIRE_FEATURE),
               .u.feature = { .argsz = 64,
                              .index = 0xfe02,
                              .operation = FERRY_WIRE_GET,
                              .u.log_runs = { .iova = 0x1000,
                                              .length = 0x410000000,
                                              .page_size = 4096,
                                              .cap = 2 } } },
      .answer = { ANSWER(FERRY_WIRE_FEATURE), DATA(32),
                  .u.feature = { .argsz = 64,
                                 .index = 0xfe02,
                                 .operation = FERRY_WIRE_GET,
                                 .u.log_runs = { .iova = 0x1000,
                                                 .length = 0x410000000,
                                                 .page_size = 4096,
                                                 .next_iova = 0x410001000,
                                                 .count = 2,
                                                 .cap = 2 } } } },
    { .name = "log-runs-none",
      .ask = { ASK(FERRY_WIRE_FEATURE),
               .u.feature = { .argsz = 48,
                              .index = 0xfe02,
                              .operation = FERRY_WIRE_GET,
                              .u.log_runs = { .iova = 0x1000,
                                              .length = 0x200000,
                                              .page_size = 1 << 21,
                                              .cap = 1 } } },
      .answer = { ANSWER(FERRY_WIRE_FEATURE),
                  .u.feature = { .argsz = 32,
                                 .index = 0xfe02,
                                 .operation = FERRY_WIRE_GET,
                                 .u.log_runs = { .iova = 0x1000,
                                                 .length = 0x200000,
                                                 .page_size = 1 << 21,
                                                 .next_iova = 0x201000,
                                                 .cap = 1 } } } },
    { .name = "data-size",
      .ask = { ASK(FERRY_WIRE_FEATURE),
               .u.feature = { .argsz = 16, .index = 9, .operation = FERRY_WIRE_GET } },
      .answer = { ANSWER(FERRY_WIRE_FEATURE),
                  .u.feature = { .argsz = 16,
                                 .index = 9,
                                 .operation = FERRY_WIRE_GET,
                                 .u.data_size = 0x123456789a } } },
    { .name = "precopy",
      .ask = { ASK(FERRY_WIRE_FEATURE), .u.feature = { .argsz = 24,
                                                       .index = 0xfe01,
                                                       .operation = FERRY_WIRE_GET } },
      .answer = { ANSWER(FERRY_WIRE_FEATURE),
                  .u.feature = { .argsz = 24,
                                 .index = 0xfe01,
                                 .operation = FERRY_WIRE_GET,
                                 .u.precopy = { 0x1000, 0x20000 } } } },
    { .name = "data-read",
      .ask = { ASK(FERRY_WIRE_DATA_READ), .u.data_io = { .argsz = 48, .size = 40 } },
      .answer = { ANSWER(FERRY_WIRE_DATA_READ), DATA(40),
                  .u.data_io = { .argsz = 48, .size = 40 } } },
    { .name = "data-read-short",
      .ask = { ASK(FERRY_WIRE_DATA_READ), .u.data_io = { .argsz = 100, .size = 40 } },
      .answer = { ANSWER(FERRY_WIRE_DATA_READ), DATA(3),
                  .u.data_io = { .argsz = 11, .size = 3 } } },
    { .name = "data-read-end",
      .ask = { ASK(FERRY_WIRE_DATA_READ), .u.data_io = { .argsz = 48, .size = 40 } },
      .answer = { ANSWER(FERRY_WIRE_DATA_READ),
                  .u.data_io = { .argsz = 8, .size = 0 } } },
    { .name = "data-write",
      .ask = { ASK(FERRY_WIRE_DATA_WRITE), DATA(33),
               .u.data_io = { .argsz = 41, .size = 33 } },
      .answer = { ANSWER(FERRY_WIRE_DATA_WRITE),
                  .u.data_io = { .argsz = 41, .size = 33 } } },
};

const struct wire_sample *wire_sample_get(size_t i)
{
    return i < sizeof(table) / sizeof(table[0]) ? &table[i] : NULL;
}

const struct wire_sample *wire_sample_find(const char *name)
{
    for (size_t i = 0; i < sizeof(table) / sizeof(table[0]); i++) {
        if (strcmp(table[i].name, name) == 0) {
            return &table[i];
        }
    }
    (void)fprintf(stderr, "no sample is named %s\n", name);
    abort();
}

size_t wire_sample_bytes(const struct ferry_wire_message *message,
                         uint8_t ret_bytes[WIRE_SAMPLE_BYTES])
{
    int head = ferry_wire_encode(message, ret_bytes, WIRE_SAMPLE_BYTES);

    if (head <= 0 || (size_t)head + message->data_bytes > WIRE_SAMPLE_BYTES) {
        (void)fprintf(stderr, "command %u (reply %u) was not encoded: %d\n",
                      (unsigned)message->command, (unsigned)message->reply, head);
        abort();
    }
    if (message->data_bytes > 0) {
        memcpy(ret_bytes + head, message->data, message->data_bytes);
    }
    return (size_t)head + message->data_bytes;
}

uint32_t wire_sample_sender(uint32_t command, int reply)
{
    int server = command == FERRY_WIRE_DMA_READ || command == FERRY_WIRE_DMA_WRITE;

    return server != (reply != 0) ? FERRY_WIRE_FROM_SERVER : FERRY_WIRE_FROM_CLIENT;
}

int wire_sample_decode(const uint8_t *bytes, size_t size, uint32_t sender,
                       uint32_t fd_count, const struct ferry_wire_message *asked,
                       struct ferry_wire_message *ret_message, struct ferry_error *reterr)
{
    const struct ferry_wire_body body = { .bytes = bytes + FERRY_WIRE_HEADER_BYTES,
                                          .have = size - FERRY_WIRE_HEADER_BYTES,
                                          .fd_count = fd_count };
    struct ferry_wire_header header;
    int status = ferry_wire_header_decode(bytes, &wire_sample_limits, &header, reterr);

    if (status == FERRY_OK) {
        status = ferry_wire_header_check(&header, sender, &wire_sample_limits, reterr);
    }
    if (status != FERRY_OK) {
        return status;
    }
    if (ferry_wire_is_reply(&header)) {
        return ferry_wire_reply_decode(&header, &body, &wire_sample_limits, asked,
                                       ret_message, reterr);
    }
    return ferry_wire_request_decode(&header, &body, &wire_sample_limits, ret_message,
                                     reterr);
}
