/* SPDX-License-Identifier: BSD-3-Clause */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "base/writer.h"
#include "test_wire_samples.h"
#include "wire/rules.h"

#define ASK 0
#define ANSWER 1
#define SAME_FDS UINT32_MAX
#define MAX64 UINT64_MAX
#define MAX32 UINT32_MAX

/* A sample with one field changed: `width` bytes at `off` of the message become `value`.
 */
static const struct bad {
    const char *sample;
    int side;
    uint32_t off, width;
    uint64_t value;
    int status;
    const char *rule;
    uint32_t fds;
} table[] = {
    { "read", ASK, 4, 4, 0, FERRY_E_PROTOCOL, "WIRE-HDR-1", SAME_FDS },
    { "read", ASK, 4, 4, 15, FERRY_E_PROTOCOL, "WIRE-HDR-1", SAME_FDS },
    { "read", ASK, 4, 4, MAX32, FERRY_E_LIMIT, "WIRE-HDR-1", SAME_FDS },
    { "write", ASK, 4, 4, 1u << 30, FERRY_E_LIMIT, "WIRE-HDR-1", SAME_FDS },
    { "read", ASK, 8, 4, 2, FERRY_E_PROTOCOL, "WIRE-HDR-2", SAME_FDS },
    { "read", ASK, 8, 4, 15, FERRY_E_PROTOCOL, "WIRE-HDR-2", SAME_FDS },
    { "read", ASK, 8, 4, 0x20, FERRY_E_PROTOCOL, "WIRE-HDR-3", SAME_FDS },
    { "read", ASK, 8, 4, 0x40, FERRY_E_PROTOCOL, "WIRE-HDR-3", SAME_FDS },
    { "read", ANSWER, 8, 4, 0x11, FERRY_E_PROTOCOL, "WIRE-HDR-3", SAME_FDS },
    { "read", ANSWER, 8, 4, 0x80000001, FERRY_E_PROTOCOL, "WIRE-HDR-3", SAME_FDS },
    { "read", ASK, 12, 4, 1, FERRY_E_PROTOCOL, "WIRE-HDR-4", SAME_FDS },
    { "info", ASK, 8, 4, 0x10, FERRY_E_PROTOCOL, "WIRE-HDR-5", SAME_FDS },
    { "version", ASK, 8, 4, 0x10, FERRY_E_PROTOCOL, "WIRE-HDR-5", SAME_FDS },
    { "set-state", ASK, 8, 4, 0x10, FERRY_E_PROTOCOL, "WIRE-HDR-5", SAME_FDS },
    { "read", ASK, 2, 2, 0, FERRY_E_MESSAGE, "WIRE-CMD-1", SAME_FDS },
    { "read", ASK, 2, 2, 14, FERRY_E_MESSAGE, "WIRE-CMD-1", SAME_FDS },
    { "read", ASK, 2, 2, 19, FERRY_E_MESSAGE, "WIRE-CMD-1", SAME_FDS },
    { "read", ASK, 2, 2, 0xffff, FERRY_E_MESSAGE, "WIRE-CMD-1", SAME_FDS },
    { "read", ASK, 2, 2, 11, FERRY_E_PROTOCOL, "WIRE-CMD-2", SAME_FDS },
    { "dma-read", ASK, 2, 2, 9, FERRY_E_PROTOCOL, "WIRE-CMD-2", SAME_FDS },
    { "dma-read", ANSWER, 2, 2, 9, FERRY_E_PROTOCOL, "WIRE-CMD-2", SAME_FDS },
    { "read", ASK, 8, 4, 1, FERRY_E_PROTOCOL, "WIRE-CMD-2", SAME_FDS },
    { "info", ASK, 4, 4, 31, FERRY_E_PROTOCOL, "WIRE-CMD-3", SAME_FDS },
    { "info", ASK, 4, 4, 33, FERRY_E_LIMIT, "WIRE-CMD-3", SAME_FDS },
    { "write", ASK, 4, 4, 16 + 16 + 65537, FERRY_E_LIMIT, "WIRE-CMD-3", SAME_FDS },
    { "reset", ASK, 4, 4, 17, FERRY_E_LIMIT, "WIRE-CMD-3", SAME_FDS },
    { "reset", ANSWER, 4, 4, 17, FERRY_E_LIMIT, "WIRE-CMD-3", SAME_FDS },
    { "write", ASK, 28, 4, 7, FERRY_E_PROTOCOL, "WIRE-CMD-3", SAME_FDS },
    { "write", ASK, 28, 4, 9, FERRY_E_PROTOCOL, "WIRE-CMD-3", SAME_FDS },
    { "write", ASK, 28, 4, 0, FERRY_E_PROTOCOL, "WIRE-CMD-3", SAME_FDS },
    { "write", ASK, 28, 4, MAX32, FERRY_E_PROTOCOL, "WIRE-CMD-3", SAME_FDS },
    { "dma-write", ASK, 24, 8, MAX64, FERRY_E_PROTOCOL, "WIRE-CMD-3", SAME_FDS },
    { "dma-write", ASK, 24, 8, 0x100000018, FERRY_E_PROTOCOL, "WIRE-CMD-3", SAME_FDS },
    { "data-write", ASK, 20, 4, 32, FERRY_E_PROTOCOL, "WIRE-CMD-3", SAME_FDS },
    { "data-write", ASK, 20, 4, MAX32, FERRY_E_PROTOCOL, "WIRE-CMD-3", SAME_FDS },
    { "data-read-short", ANSWER, 20, 4, 4, FERRY_E_PROTOCOL, "WIRE-CMD-3", SAME_FDS },
    { "unmap-bitmap", ASK, 20, 4, 0, FERRY_E_PROTOCOL, "WIRE-CMD-3", SAME_FDS },
    { "unmap", ASK, 20, 4, 1, FERRY_E_PROTOCOL, "WIRE-CMD-3", SAME_FDS },
    { "unmap-bitmap", ANSWER, 4, 4, 16 + 40 + 15, FERRY_E_PROTOCOL, "WIRE-CMD-3",
      SAME_FDS },
    { "log-report", ANSWER, 4, 4, 16 + 32, FERRY_E_PROTOCOL, "WIRE-CMD-3", SAME_FDS },
    { "read", ASK, 0, 0, 0, FERRY_E_FDS, "WIRE-CMD-4", 1 },
    { "map-fd", ASK, 0, 0, 0, FERRY_E_FDS, "WIRE-CMD-4", 2 },
    { "irq-eventfd", ASK, 0, 0, 0, FERRY_E_FDS, "WIRE-CMD-4", 65 },
    { "read", ANSWER, 0, 0, 0, FERRY_E_FDS, "WIRE-CMD-4", 1 },
    { "region", ANSWER, 0, 0, 0, FERRY_E_FDS, "WIRE-CMD-4", 2 },
    { "read", ANSWER, 2, 2, 17, FERRY_E_PROTOCOL, "WIRE-RPL-1", SAME_FDS },
    { "read", ANSWER, 16, 8, 65, FERRY_E_PROTOCOL, "WIRE-RPL-1", SAME_FDS },
    { "read", ANSWER, 24, 4, 0, FERRY_E_PROTOCOL, "WIRE-RPL-1", SAME_FDS },
    { "read", ANSWER, 28, 4, 3, FERRY_E_PROTOCOL, "WIRE-RPL-1", SAME_FDS },
    { "read", ANSWER, 28, 4, MAX32, FERRY_E_PROTOCOL, "WIRE-RPL-1", SAME_FDS },
    { "write", ANSWER, 28, 4, 0, FERRY_E_PROTOCOL, "WIRE-RPL-1", SAME_FDS },
    { "dma-read", ANSWER, 16, 8, 0, FERRY_E_PROTOCOL, "WIRE-RPL-1", SAME_FDS },
    { "dma-read", ANSWER, 24, 8, 31, FERRY_E_PROTOCOL, "WIRE-RPL-1", SAME_FDS },
    { "dma-write", ANSWER, 24, 8, 25, FERRY_E_PROTOCOL, "WIRE-RPL-1", SAME_FDS },
    { "region", ANSWER, 24, 4, 3, FERRY_E_PROTOCOL, "WIRE-RPL-1", SAME_FDS },
    { "irq-info", ANSWER, 24, 4, 3, FERRY_E_PROTOCOL, "WIRE-RPL-1", SAME_FDS },
    { "unmap-bitmap", ANSWER, 40, 8, 8192, FERRY_E_PROTOCOL, "WIRE-RPL-1", SAME_FDS },
    { "unmap-bitmap", ANSWER, 48, 8, 17, FERRY_E_PROTOCOL, "WIRE-RPL-1", SAME_FDS },
    { "get-state", ANSWER, 20, 4, 0x20002, FERRY_E_PROTOCOL, "WIRE-RPL-1", SAME_FDS },
    { "get-state", ANSWER, 20, 4, 0x10001, FERRY_E_PROTOCOL, "WIRE-RPL-1", SAME_FDS },
    { "log-report", ANSWER, 24, 8, 0, FERRY_E_PROTOCOL, "WIRE-RPL-1", SAME_FDS },
    { "log-report", ANSWER, 40, 8, 8192, FERRY_E_PROTOCOL, "WIRE-RPL-1", SAME_FDS },
    { "log-start", ANSWER, 32, 4, 1, FERRY_E_PROTOCOL, "WIRE-RPL-1", SAME_FDS },
    { "data-read", ANSWER, 20, 4, 41, FERRY_E_PROTOCOL, "WIRE-RPL-1", SAME_FDS },
    { "data-read", ANSWER, 20, 4, MAX32, FERRY_E_PROTOCOL, "WIRE-RPL-1", SAME_FDS },
    { "info", ANSWER, 16, 4, 15, FERRY_E_PROTOCOL, "WIRE-RPL-2", SAME_FDS },
    { "irq-info", ANSWER, 16, 4, 0, FERRY_E_PROTOCOL, "WIRE-RPL-2", SAME_FDS },
    { "region", ANSWER, 16, 4, 31, FERRY_E_PROTOCOL, "WIRE-RPL-2", SAME_FDS },
    { "region", ANSWER, 16, 4, 32 + 4097, FERRY_E_PROTOCOL, "WIRE-RPL-2", SAME_FDS },
    { "region", ANSWER, 16, 4, MAX32, FERRY_E_PROTOCOL, "WIRE-RPL-2", SAME_FDS },
    { "io-fds", ASK, 16, 4, 15, FERRY_E_PROTOCOL, "WIRE-INFO-1", SAME_FDS },
    { "io-fds", ANSWER, 16, 4, 15, FERRY_E_PROTOCOL, "WIRE-RPL-2", SAME_FDS },
    { "io-fds", ANSWER, 24, 4, 2, FERRY_E_PROTOCOL, "WIRE-RPL-1", SAME_FDS },
    { "io-fds", ANSWER, 28, 4, 1, FERRY_E_PROTOCOL, "WIRE-IOFD-1", SAME_FDS },
    { "io-fds", ANSWER, 28, 4, 3, FERRY_E_PROTOCOL, "WIRE-IOFD-1", SAME_FDS },
    { "io-fds", ANSWER, 28, 4, MAX32, FERRY_E_PROTOCOL, "WIRE-IOFD-1", SAME_FDS },
    { "io-fds-wide", ANSWER, 28, 4, 0, FERRY_E_PROTOCOL, "WIRE-IOFD-1", SAME_FDS },
    { "io-fds", ANSWER, 0, 0, 0, FERRY_E_FDS, "WIRE-IOFD-2", 0 },
    { "io-fds", ANSWER, 48, 4, 1, FERRY_E_FDS, "WIRE-IOFD-2", SAME_FDS },
    { "io-fds", ANSWER, 88, 4, MAX32, FERRY_E_FDS, "WIRE-IOFD-2", SAME_FDS },
    { "io-fds", ANSWER, 72, 8, MAX64, FERRY_E_RANGE, "WIRE-IOFD-2", SAME_FDS },
    { "io-fds", ANSWER, 0, 0, 0, FERRY_E_FDS, "WIRE-CMD-4", 65 },
    { "io-fds", ANSWER, 4, 4, 16 + 16 + 64 * 48 + 1, FERRY_E_LIMIT, "WIRE-CMD-3",
      SAME_FDS },
    { "write-multi", ASK, 16, 8, 1, FERRY_E_PROTOCOL, "WIRE-CMD-3", SAME_FDS },
    { "write-multi", ASK, 16, 8, 3, FERRY_E_PROTOCOL, "WIRE-CMD-3", SAME_FDS },
    { "write-multi", ASK, 16, 8, 257, FERRY_E_LIMIT, "WIRE-MULTI-1", SAME_FDS },
    { "write-multi", ASK, 16, 8, MAX64, FERRY_E_LIMIT, "WIRE-MULTI-1", SAME_FDS },
    { "write-multi", ASK, 36, 4, 9, FERRY_E_PROTOCOL, "WIRE-MULTI-1", SAME_FDS },
    { "write-multi", ASK, 60, 4, MAX32, FERRY_E_PROTOCOL, "WIRE-MULTI-1", SAME_FDS },
    { "write-multi", ASK, 48, 8, MAX64, FERRY_E_RANGE, "WIRE-IO-2", SAME_FDS },
    { "write-multi", ANSWER, 16, 8, 3, FERRY_E_PROTOCOL, "WIRE-RPL-1", SAME_FDS },
    { "version", ASK, 4, 4, 16 + 5, FERRY_E_PROTOCOL, "WIRE-VER-1", SAME_FDS },
    { "version", ASK, 30, 1, 0, FERRY_E_PROTOCOL, "WIRE-VER-1", SAME_FDS },
    { "version", ANSWER, 20, 1, 0, FERRY_E_PROTOCOL, "WIRE-VER-1", SAME_FDS },
    { "version", ASK, 4, 4, 16 + 4 + 65537, FERRY_E_LIMIT, "WIRE-CMD-3", SAME_FDS },
    { "map-fd", ASK, 16, 4, 0, FERRY_E_PROTOCOL, "WIRE-MAP-1", SAME_FDS },
    { "map-fd", ASK, 16, 4, 31, FERRY_E_PROTOCOL, "WIRE-MAP-1", SAME_FDS },
    { "map-fd", ASK, 16, 4, 33, FERRY_E_PROTOCOL, "WIRE-MAP-1", SAME_FDS },
    { "map-fd", ASK, 16, 4, MAX32, FERRY_E_PROTOCOL, "WIRE-MAP-1", SAME_FDS },
    { "map-fd", ASK, 20, 4, 0, FERRY_E_PROTOCOL, "WIRE-MAP-2", SAME_FDS },
    { "map-fd", ASK, 20, 4, 4, FERRY_E_PROTOCOL, "WIRE-MAP-2", SAME_FDS },
    { "map-fd", ASK, 20, 4, MAX32, FERRY_E_PROTOCOL, "WIRE-MAP-2", SAME_FDS },
    { "map-fd", ASK, 24, 8, MAX64, FERRY_E_RANGE, "WIRE-MAP-3", SAME_FDS },
    { "map-fd", ASK, 32, 8, MAX64, FERRY_E_RANGE, "WIRE-MAP-3", SAME_FDS },
    { "map-fd", ASK, 32, 8, MAX64 - 0x1fffff, FERRY_E_RANGE, "WIRE-MAP-3", SAME_FDS },
    { "map-fd", ASK, 40, 8, 0, FERRY_E_RANGE, "WIRE-MAP-3", SAME_FDS },
    { "map-fd", ASK, 40, 8, MAX64, FERRY_E_RANGE, "WIRE-MAP-3", SAME_FDS },
    { "unmap", ASK, 16, 4, 0, FERRY_E_PROTOCOL, "WIRE-UNMAP-1", SAME_FDS },
    { "unmap", ASK, 16, 4, 23, FERRY_E_PROTOCOL, "WIRE-UNMAP-1", SAME_FDS },
    { "unmap-bitmap", ASK, 16, 4, 55, FERRY_E_PROTOCOL, "WIRE-UNMAP-1", SAME_FDS },
    { "unmap-bitmap", ASK, 20, 4, 3, FERRY_E_PROTOCOL, "WIRE-UNMAP-2", SAME_FDS },
    { "unmap-bitmap", ASK, 8, 4, 0x10, FERRY_E_PROTOCOL, "WIRE-UNMAP-2", SAME_FDS },
    { "unmap", ASK, 20, 4, 4, FERRY_E_PROTOCOL, "WIRE-UNMAP-2", SAME_FDS },
    { "unmap", ASK, 32, 8, 0, FERRY_E_RANGE, "WIRE-UNMAP-3", SAME_FDS },
    { "unmap", ASK, 32, 8, MAX64, FERRY_E_RANGE, "WIRE-UNMAP-3", SAME_FDS },
    { "unmap", ASK, 24, 8, MAX64, FERRY_E_RANGE, "WIRE-UNMAP-3", SAME_FDS },
    { "unmap-all", ASK, 32, 8, 1, FERRY_E_PROTOCOL, "WIRE-UNMAP-3", SAME_FDS },
    { "unmap-all", ASK, 24, 8, 4096, FERRY_E_PROTOCOL, "WIRE-UNMAP-3", SAME_FDS },
    { "unmap-bitmap", ASK, 40, 8, 0, FERRY_E_PROTOCOL, "WIRE-UNMAP-4", SAME_FDS },
    { "unmap-bitmap", ASK, 40, 8, 2048, FERRY_E_PROTOCOL, "WIRE-UNMAP-4", SAME_FDS },
    { "unmap-bitmap", ASK, 40, 8, 12288, FERRY_E_PROTOCOL, "WIRE-UNMAP-4", SAME_FDS },
    { "unmap-bitmap", ASK, 40, 8, MAX64, FERRY_E_PROTOCOL, "WIRE-UNMAP-4", SAME_FDS },
    { "unmap-bitmap", ASK, 48, 8, 0, FERRY_E_PROTOCOL, "WIRE-UNMAP-4", SAME_FDS },
    { "unmap-bitmap", ASK, 48, 8, 15, FERRY_E_PROTOCOL, "WIRE-UNMAP-4", SAME_FDS },
    { "unmap-bitmap", ASK, 48, 8, 65537, FERRY_E_LIMIT, "WIRE-UNMAP-4", SAME_FDS },
    { "unmap-bitmap", ASK, 48, 8, MAX64, FERRY_E_LIMIT, "WIRE-UNMAP-4", SAME_FDS },
    { "unmap-bitmap", ASK, 32, 8, 1ull << 40, FERRY_E_LIMIT, "WIRE-UNMAP-4", SAME_FDS },
    { "info", ASK, 16, 4, 0, FERRY_E_PROTOCOL, "WIRE-INFO-1", SAME_FDS },
    { "info", ASK, 16, 4, 15, FERRY_E_PROTOCOL, "WIRE-INFO-1", SAME_FDS },
    { "irq-info", ASK, 16, 4, 15, FERRY_E_PROTOCOL, "WIRE-INFO-1", SAME_FDS },
    { "region", ASK, 16, 4, 31, FERRY_E_PROTOCOL, "WIRE-INFO-1", SAME_FDS },
    { "region-sparse", ANSWER, 28, 4, 0, FERRY_E_PROTOCOL, "WIRE-REGION-1", SAME_FDS },
    { "region-sparse", ANSWER, 28, 4, 8, FERRY_E_PROTOCOL, "WIRE-REGION-1", SAME_FDS },
    { "region-sparse", ANSWER, 28, 4, 31, FERRY_E_PROTOCOL, "WIRE-REGION-1", SAME_FDS },
    { "region-sparse", ANSWER, 28, 4, 73, FERRY_E_PROTOCOL, "WIRE-REGION-1", SAME_FDS },
    { "region-sparse", ANSWER, 28, 4, MAX32, FERRY_E_PROTOCOL, "WIRE-REGION-1",
      SAME_FDS },
    { "region-sparse", ANSWER, 52, 4, 32, FERRY_E_PROTOCOL, "WIRE-REGION-1", SAME_FDS },
    { "region-sparse", ANSWER, 52, 4, 8, FERRY_E_PROTOCOL, "WIRE-REGION-1", SAME_FDS },
    { "region-sparse", ANSWER, 52, 4, MAX32 - 7, FERRY_E_PROTOCOL, "WIRE-REGION-1",
      SAME_FDS },
    { "region-sparse", ANSWER, 50, 2, 2, FERRY_E_PROTOCOL, "WIRE-REGION-1", SAME_FDS },
    { "region-sparse", ANSWER, 56, 4, 3, FERRY_E_PROTOCOL, "WIRE-REGION-1", SAME_FDS },
    { "region-sparse", ANSWER, 56, 4, MAX32, FERRY_E_PROTOCOL, "WIRE-REGION-1",
      SAME_FDS },
    { "region-sparse", ANSWER, 56, 4, 0x10000001, FERRY_E_PROTOCOL, "WIRE-REGION-1",
      SAME_FDS },
    { "region-sparse", ANSWER, 64, 8, 0xf001, FERRY_E_RANGE, "WIRE-REGION-2", SAME_FDS },
    { "region-sparse", ANSWER, 64, 8, MAX64, FERRY_E_RANGE, "WIRE-REGION-2", SAME_FDS },
    { "region-sparse", ANSWER, 72, 8, 0, FERRY_E_RANGE, "WIRE-REGION-2", SAME_FDS },
    { "region-sparse", ANSWER, 88, 8, MAX64, FERRY_E_RANGE, "WIRE-REGION-2", SAME_FDS },
    { "region-sparse", ANSWER, 88, 8, 0xd001, FERRY_E_RANGE, "WIRE-REGION-2", SAME_FDS },
    { "region-sparse", ANSWER, 40, 8, MAX64, FERRY_E_RANGE, "WIRE-REGION-2", SAME_FDS },
    { "irq-bool", ASK, 16, 4, 0, FERRY_E_PROTOCOL, "WIRE-IRQ-1", SAME_FDS },
    { "irq-bool", ASK, 16, 4, 22, FERRY_E_PROTOCOL, "WIRE-IRQ-1", SAME_FDS },
    { "irq-eventfd", ASK, 16, 4, 28, FERRY_E_PROTOCOL, "WIRE-IRQ-1", SAME_FDS },
    { "irq-deassign", ASK, 20, 4, 0, FERRY_E_PROTOCOL, "WIRE-IRQ-2", SAME_FDS },
    { "irq-deassign", ASK, 20, 4, 0x04, FERRY_E_PROTOCOL, "WIRE-IRQ-2", SAME_FDS },
    { "irq-deassign", ASK, 20, 4, 0x20, FERRY_E_PROTOCOL, "WIRE-IRQ-2", SAME_FDS },
    { "irq-deassign", ASK, 20, 4, 0x25, FERRY_E_PROTOCOL, "WIRE-IRQ-2", SAME_FDS },
    { "irq-deassign", ASK, 20, 4, 0x34, FERRY_E_PROTOCOL, "WIRE-IRQ-2", SAME_FDS },
    { "irq-deassign", ASK, 20, 4, 0x64, FERRY_E_PROTOCOL, "WIRE-IRQ-2", SAME_FDS },
    { "irq-deassign", ASK, 28, 4, 2047, FERRY_E_RANGE, "WIRE-IRQ-3", SAME_FDS },
    { "irq-deassign", ASK, 28, 4, MAX32, FERRY_E_RANGE, "WIRE-IRQ-3", SAME_FDS },
    { "irq-deassign", ASK, 32, 4, MAX32, FERRY_E_RANGE, "WIRE-IRQ-3", SAME_FDS },
    { "irq-deassign", ASK, 32, 4, 0, FERRY_E_PROTOCOL, "WIRE-IRQ-3", SAME_FDS },
    { "irq-disable", ASK, 20, 4, 0x09, FERRY_E_PROTOCOL, "WIRE-IRQ-3", SAME_FDS },
    { "irq-bool", ASK, 32, 4, 2, FERRY_E_PROTOCOL, "WIRE-IRQ-4", SAME_FDS },
    { "irq-bool", ASK, 32, 4, 4, FERRY_E_PROTOCOL, "WIRE-IRQ-4", SAME_FDS },
    { "irq-bool", ASK, 32, 4, MAX32, FERRY_E_PROTOCOL, "WIRE-IRQ-4", SAME_FDS },
    { "irq-eventfd", ASK, 0, 0, 0, FERRY_E_FDS, "WIRE-IRQ-4", 1 },
    { "irq-eventfd", ASK, 0, 0, 0, FERRY_E_FDS, "WIRE-IRQ-4", 3 },
    { "irq-disable", ASK, 0, 0, 0, FERRY_E_FDS, "WIRE-IRQ-4", 1 },
    { "irq-bool", ASK, 0, 0, 0, FERRY_E_FDS, "WIRE-IRQ-4", 3 },
    { "read", ASK, 28, 4, 65537, FERRY_E_LIMIT, "WIRE-IO-1", SAME_FDS },
    { "read", ASK, 28, 4, MAX32, FERRY_E_LIMIT, "WIRE-IO-1", SAME_FDS },
    { "read", ASK, 16, 8, MAX64, FERRY_E_RANGE, "WIRE-IO-2", SAME_FDS },
    { "write", ASK, 16, 8, MAX64 - 7, FERRY_E_RANGE, "WIRE-IO-2", SAME_FDS },
    { "dma-read", ASK, 24, 8, 65537, FERRY_E_LIMIT, "WIRE-DMA-1", SAME_FDS },
    { "dma-read", ASK, 24, 8, 0x100000001, FERRY_E_LIMIT, "WIRE-DMA-1", SAME_FDS },
    { "dma-read", ASK, 16, 8, MAX64, FERRY_E_RANGE, "WIRE-DMA-2", SAME_FDS },
    { "dma-write", ASK, 16, 8, MAX64 - 23, FERRY_E_RANGE, "WIRE-DMA-2", SAME_FDS },
    { "get-state", ASK, 16, 4, 0, FERRY_E_PROTOCOL, "WIRE-FEAT-1", SAME_FDS },
    { "get-state", ASK, 16, 4, 15, FERRY_E_PROTOCOL, "WIRE-FEAT-1", SAME_FDS },
    { "set-state", ASK, 16, 4, 15, FERRY_E_PROTOCOL, "WIRE-FEAT-1", SAME_FDS },
    { "log-report", ASK, 16, 4, 47, FERRY_E_PROTOCOL, "WIRE-FEAT-1", SAME_FDS },
    { "log-start", ASK, 16, 4, 55, FERRY_E_PROTOCOL, "WIRE-FEAT-1", SAME_FDS },
    { "probe", ASK, 16, 4, 7, FERRY_E_PROTOCOL, "WIRE-FEAT-1", SAME_FDS },
    { "get-state", ASK, 20, 4, 2, FERRY_E_PROTOCOL, "WIRE-FEAT-2", SAME_FDS },
    { "get-state", ASK, 20, 4, 0x30002, FERRY_E_PROTOCOL, "WIRE-FEAT-2", SAME_FDS },
    { "get-state", ASK, 20, 4, 0x90002, FERRY_E_PROTOCOL, "WIRE-FEAT-2", SAME_FDS },
    { "get-state", ASK, 20, 4, MAX32, FERRY_E_PROTOCOL, "WIRE-FEAT-2", SAME_FDS },
    { "get-state", ASK, 20, 4, 0x10000, FERRY_E_UNSUPPORTED, "WIRE-FEAT-3", SAME_FDS },
    { "get-state", ASK, 20, 4, 0x10003, FERRY_E_UNSUPPORTED, "WIRE-FEAT-3", SAME_FDS },
    { "get-state", ASK, 20, 4, 0x1ffff, FERRY_E_UNSUPPORTED, "WIRE-FEAT-3", SAME_FDS },
    { "set-state", ASK, 20, 4, 0x20001, FERRY_E_PROTOCOL, "WIRE-FEAT-4", SAME_FDS },
    { "log-start", ASK, 20, 4, 0x10006, FERRY_E_PROTOCOL, "WIRE-FEAT-4", SAME_FDS },
    { "log-report", ASK, 20, 4, 0x20008, FERRY_E_PROTOCOL, "WIRE-FEAT-4", SAME_FDS },
    { "set-state", ASK, 4, 4, 16 + 12, FERRY_E_PROTOCOL, "WIRE-FEAT-5", SAME_FDS },
    { "set-state", ASK, 4, 4, 16 + 17, FERRY_E_PROTOCOL, "WIRE-FEAT-5", SAME_FDS },
    { "log-stop", ASK, 4, 4, 16 + 9, FERRY_E_PROTOCOL, "WIRE-FEAT-5", SAME_FDS },
    { "get-state", ASK, 4, 4, 16 + 17, FERRY_E_PROTOCOL, "WIRE-FEAT-5", SAME_FDS },
    { "log-report", ASK, 4, 4, 16 + 31, FERRY_E_PROTOCOL, "WIRE-FEAT-5", SAME_FDS },
    { "get-state", ANSWER, 4, 4, 16 + 8, FERRY_E_PROTOCOL, "WIRE-FEAT-5", SAME_FDS },
    { "log-start", ASK, 24, 8, 0, FERRY_E_PROTOCOL, "WIRE-LOG-1", SAME_FDS },
    { "log-start", ASK, 24, 8, 1, FERRY_E_PROTOCOL, "WIRE-LOG-1", SAME_FDS },
    { "log-start", ASK, 24, 8, 2048, FERRY_E_PROTOCOL, "WIRE-LOG-1", SAME_FDS },
    { "log-start", ASK, 24, 8, 4097, FERRY_E_PROTOCOL, "WIRE-LOG-1", SAME_FDS },
    { "log-start", ASK, 24, 8, MAX64, FERRY_E_PROTOCOL, "WIRE-LOG-1", SAME_FDS },
    { "log-report", ASK, 40, 8, 3, FERRY_E_PROTOCOL, "WIRE-LOG-1", SAME_FDS },
    { "log-report", ASK, 40, 8, 0, FERRY_E_PROTOCOL, "WIRE-LOG-1", SAME_FDS },
    { "log-start", ASK, 32, 4, 257, FERRY_E_LIMIT, "WIRE-LOG-2", SAME_FDS },
    { "log-start", ASK, 32, 4, MAX32, FERRY_E_LIMIT, "WIRE-LOG-2", SAME_FDS },
    { "log-start", ASK, 32, 4, 0x10000002, FERRY_E_LIMIT, "WIRE-LOG-2", SAME_FDS },
    { "log-start", ASK, 32, 4, 3, FERRY_E_PROTOCOL, "WIRE-CMD-3", SAME_FDS },
    { "log-start", ASK, 32, 4, 0, FERRY_E_PROTOCOL, "WIRE-CMD-3", SAME_FDS },
    { "log-start", ASK, 48, 8, 0, FERRY_E_RANGE, "WIRE-LOG-2", SAME_FDS },
    { "log-start", ASK, 64, 8, MAX64, FERRY_E_RANGE, "WIRE-LOG-2", SAME_FDS },
    { "log-report", ASK, 32, 8, 0, FERRY_E_PROTOCOL, "WIRE-LOG-3", SAME_FDS },
    { "log-report", ASK, 32, 8, MAX64, FERRY_E_RANGE, "WIRE-LOG-3", SAME_FDS },
    { "log-report", ASK, 24, 8, MAX64, FERRY_E_RANGE, "WIRE-LOG-3", SAME_FDS },
    { "log-report", ASK, 32, 8, 1ull << 40, FERRY_E_LIMIT, "WIRE-LOG-3", SAME_FDS },
    { "log-runs", ANSWER, 24, 8, 0x1000, FERRY_E_PROTOCOL, "WIRE-RPL-1", SAME_FDS },
    { "log-runs", ANSWER, 24, 8, 0x410001001, FERRY_E_PROTOCOL, "WIRE-RPL-1", SAME_FDS },
    { "log-runs", ANSWER, 32, 4, 3, FERRY_E_PROTOCOL, "WIRE-RPL-2", SAME_FDS },
    { "log-runs", ANSWER, 40, 8, 8192, FERRY_E_PROTOCOL, "WIRE-RPL-1", SAME_FDS },
    { "log-runs", ANSWER, 4, 4, 16 + 31, FERRY_E_PROTOCOL, "WIRE-FEAT-5", SAME_FDS },
    { "counters", ASK, 4, 4, 16 + 33, FERRY_E_PROTOCOL, "WIRE-FEAT-5", SAME_FDS },
    { "counters", ANSWER, 24, 4, 2, FERRY_E_PROTOCOL, "WIRE-RPL-2", SAME_FDS },
    { "counters", ANSWER, 24, 4, MAX32, FERRY_E_PROTOCOL, "WIRE-RPL-2", SAME_FDS },
    { "counters", ANSWER, 4, 4, 16 + 31, FERRY_E_PROTOCOL, "WIRE-FEAT-5", SAME_FDS },
    { "counters", ANSWER, 4, 4, 16 + 32, FERRY_E_PROTOCOL, "WIRE-CMD-3", SAME_FDS },
    { "leave-state", ASK, 4, 4, 16 + 31, FERRY_E_PROTOCOL, "WIRE-FEAT-5", SAME_FDS },
    { "data-read", ASK, 20, 4, 0, FERRY_E_PROTOCOL, "WIRE-DATA-1", SAME_FDS },
    { "data-read", ASK, 20, 4, 65537, FERRY_E_LIMIT, "WIRE-DATA-1", SAME_FDS },
    { "data-read", ASK, 20, 4, MAX32, FERRY_E_LIMIT, "WIRE-DATA-1", SAME_FDS },
    { "data-read", ASK, 16, 4, 0, FERRY_E_PROTOCOL, "WIRE-DATA-2", SAME_FDS },
    { "data-read", ASK, 16, 4, 47, FERRY_E_PROTOCOL, "WIRE-DATA-2", SAME_FDS },
};

static void poke(uint8_t *bytes, const struct bad *bad)
{
    switch (bad->width) {
    case 1:
        bytes[bad->off] = (uint8_t)bad->value;
        break;
    case 2:
        ferry_store_le16(bytes + bad->off, (uint16_t)bad->value);
        break;
    case 4:
        ferry_store_le32(bytes + bad->off, (uint32_t)bad->value);
        break;
    case 8:
        ferry_store_le64(bytes + bad->off, bad->value);
        break;
    default:
        assert_int_equal(bad->width, 0);
        break;
    }
}

static int decode_bad(const struct bad *bad, struct ferry_error *reterr)
{
    const struct wire_sample *sample = wire_sample_find(bad->sample);
    const struct ferry_wire_message *message =
        bad->side == ASK ? &sample->ask : &sample->answer;
    uint32_t sender = wire_sample_sender(message->command, message->reply);
    uint8_t bytes[WIRE_SAMPLE_BYTES] = { 0 };
    struct ferry_wire_message got;

    (void)wire_sample_bytes(message, bytes);
    poke(bytes, bad);
    memset(reterr, 0, sizeof(*reterr));
    return wire_sample_decode(bytes, sizeof(bytes), sender,
                              bad->fds == SAME_FDS ? message->fd_count : bad->fds,
                              &sample->ask, &got, reterr);
}

static void each_broken_field_is_refused_with_its_rule(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof(table) / sizeof(table[0]); i++) {
        const struct bad *bad = &table[i];
        struct ferry_error error;
        int status = decode_bad(bad, &error);

        if (status != bad->status || strcmp(error.rule, bad->rule) != 0) {
            fail_msg(
                "%s, side %d, %u bytes at %u = 0x%llx: got %s by rule %s, not %s by %s",
                bad->sample, bad->side, bad->width, bad->off,
                (unsigned long long)bad->value, ferry_status_name(status), error.rule,
                ferry_status_name(bad->status), bad->rule);
        }
        assert_int_equal(error.code, status);
        assert_string_equal(error.layer, "wire");
        assert_non_null(
            strstr(error.text, bad->side == ASK && (bad->off != 8 || bad->value != 1)
                                   ? "request"
                                   : "reply"));
    }
}

static void every_rule_of_the_table_is_broken_by_a_case_here(void **state)
{
    const struct ferry_wire_rule *rule;
    size_t count = 0;

    (void)state;
    for (; (rule = ferry_wire_rule_get(count)) != NULL; count++) {
        int found = 0;

        assert_non_null(rule->id);
        assert_non_null(rule->text);
        for (size_t i = 0; i < sizeof(table) / sizeof(table[0]) && !found; i++) {
            found = strcmp(table[i].rule, rule->id) == 0;
        }
        if (!found) {
            fail_msg("no case breaks %s", rule->id);
        }
        for (size_t i = 0; i < count; i++) {
            assert_string_not_equal(ferry_wire_rule_get(i)->id, rule->id);
        }
    }
    assert_int_equal(count, FERRY_WIRE_RULE_COUNT);
}

static void the_error_names_message_offset_and_value(void **state)
{
    const struct bad bad = { "map-fd", ASK, 20, 4, 0x40, FERRY_E_PROTOCOL, "", SAME_FDS };
    struct ferry_error error;

    (void)state;
    assert_int_equal(decode_bad(&bad, &error), FERRY_E_PROTOCOL);
    assert_int_equal(error.offset, 20);
    assert_string_equal(error.rule, "WIRE-MAP-2");
    assert_non_null(strstr(error.text, "DMA_MAP"));
    assert_non_null(strstr(error.text, "flags is 64 (0x40)"));
}

static void legal_extremes_are_taken(void **state)
{
    static const struct bad legal[] = {
        { "read", ASK, 28, 4, 65536, 0, "", SAME_FDS },
        { "read", ASK, 28, 4, 0, 0, "", SAME_FDS },
        { "read", ASK, 16, 8, MAX64 - 4, 0, "", SAME_FDS },
        { "map-fd", ASK, 32, 8, MAX64 - 0x200000, 0, "", SAME_FDS },
        { "map-fd", ASK, 24, 8, MAX64, 0, "", 0 },
        { "unmap-bitmap", ASK, 16, 4, MAX32, 0, "", SAME_FDS },
        { "irq-deassign", ASK, 28, 4, 0, 0, "", SAME_FDS },
        { "info", ASK, 16, 4, MAX32, 0, "", SAME_FDS },
        { "data-read", ASK, 16, 4, MAX32, 0, "", SAME_FDS },
        { "data-write", ASK, 16, 4, 0, 0, "", SAME_FDS },
        { "log-report", ASK, 32, 8, 65536ull * 8 * 4096, FERRY_E_PROTOCOL, "", SAME_FDS },
        { "log-report", ASK, 40, 8, 1ull << 63, 0, "", SAME_FDS },
        { "get-state", ASK, 4, 4, 16 + 8, 0, "", SAME_FDS },
        { "get-state", ASK, 4, 4, 16 + 16, 0, "", SAME_FDS },
        { "probe", ASK, 20, 4, 0x4ffff, 0, "", SAME_FDS },
    };

    (void)state;
    for (size_t i = 0; i < sizeof(legal) / sizeof(legal[0]); i++) {
        struct ferry_error error;
        int status = decode_bad(&legal[i], &error);

        /* The one case with a status has a bitmap of exactly the limit, and too small an
         * argsz for it: the size itself is not what is refused. */
        if (status != legal[i].status ||
            (status != 0 && strcmp(error.rule, "WIRE-FEAT-1") != 0)) {
            fail_msg("%s at %u = 0x%llx: %s, %s", legal[i].sample, legal[i].off,
                     (unsigned long long)legal[i].value, ferry_status_name(status),
                     error.text);
        }
    }
}

/* A region reply with `count` areas or two lists of them, which no sample has. */
static int decode_region(const uint8_t *bytes, uint32_t size, struct ferry_error *reterr)
{
    struct ferry_wire_message got;

    memset(reterr, 0, sizeof(*reterr));
    return wire_sample_decode(bytes, size, FERRY_WIRE_FROM_SERVER, 1,
                              &wire_sample_find("region-sparse")->ask, &got, reterr);
}

static void more_areas_than_supported_are_refused(void **state)
{
    uint8_t bytes[WIRE_SAMPLE_BYTES] = { 0 };
    struct ferry_error error;
    uint32_t payload = 32 + 16 + 17 * 16;

    (void)state;
    (void)wire_sample_bytes(&wire_sample_find("region-sparse")->answer, bytes);
    for (uint32_t i = 0; i < 17; i++) {
        ferry_store_le64(bytes + 64 + i * 16, i * 0x800);
        ferry_store_le64(bytes + 72 + i * 16, 0x800);
    }
    ferry_store_le32(bytes + 4, 16 + payload);
    ferry_store_le32(bytes + 16, payload);
    ferry_store_le32(bytes + 56, 16);
    assert_int_equal(decode_region(bytes, 16 + payload, &error), FERRY_OK);
    ferry_store_le32(bytes + 56, 17);
    assert_int_equal(decode_region(bytes, 16 + payload, &error), FERRY_E_LIMIT);
    assert_string_equal(error.rule, "WIRE-REGION-2");
}

static void a_second_list_of_areas_is_refused(void **state)
{
    uint8_t bytes[WIRE_SAMPLE_BYTES] = { 0 };
    struct ferry_error error;

    (void)state;
    (void)wire_sample_bytes(&wire_sample_find("region-sparse")->answer, bytes);
    memcpy(bytes + 96, bytes + 48, 48);
    ferry_store_le32(bytes + 52, 80);
    ferry_store_le32(bytes + 4, 16 + 128);
    ferry_store_le32(bytes + 16, 128);
    assert_int_equal(decode_region(bytes, 16 + 128, &error), FERRY_E_PROTOCOL);
    assert_string_equal(error.rule, "WIRE-REGION-1");
}

static void a_chain_of_too_many_capabilities_is_refused(void **state)
{
    uint8_t bytes[WIRE_SAMPLE_BYTES] = { 0 };
    struct ferry_error error;

    (void)state;
    (void)wire_sample_bytes(&wire_sample_find("region")->answer, bytes);
    ferry_store_le32(bytes + 20, 8);
    ferry_store_le32(bytes + 24, 4);
    ferry_store_le32(bytes + 28, 32);
    for (uint32_t i = 0; i < 17; i++) {
        ferry_store_le16(bytes + 48 + i * 8, 99);
        ferry_store_le32(bytes + 52 + i * 8, i == 16 ? 0 : 32 + (i + 1) * 8);
    }
    ferry_store_le32(bytes + 4, 16 + 32 + 17 * 8);
    ferry_store_le32(bytes + 16, 32 + 17 * 8);
    assert_int_equal(decode_region(bytes, 16 + 32 + 17 * 8, &error), FERRY_E_PROTOCOL);
    assert_string_equal(error.rule, "WIRE-REGION-1");
    ferry_store_le32(bytes + 52 + 15 * 8, 0);
    assert_int_equal(decode_region(bytes, 16 + 32 + 17 * 8, &error), FERRY_OK);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_broken_field_is_refused_with_its_rule),
        cmocka_unit_test(every_rule_of_the_table_is_broken_by_a_case_here),
        cmocka_unit_test(the_error_names_message_offset_and_value),
        cmocka_unit_test(legal_extremes_are_taken),
        cmocka_unit_test(more_areas_than_supported_are_refused),
        cmocka_unit_test(a_second_list_of_areas_is_refused),
        cmocka_unit_test(a_chain_of_too_many_capabilities_is_refused),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
