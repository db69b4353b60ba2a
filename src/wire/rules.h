/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef FERRY_WIRE_RULES_H
#define FERRY_WIRE_RULES_H

#include <stddef.h>

/* What a vfio-user message must be. The numbers are internal; the ids are for people. */
enum ferry_wire_rule_number {
    FERRY_WIRE_HDR_SIZE = 0,
    FERRY_WIRE_HDR_TYPE,
    FERRY_WIRE_HDR_FLAGS,
    FERRY_WIRE_HDR_ERROR,
    FERRY_WIRE_HDR_POSTED,
    FERRY_WIRE_CMD_KNOWN,
    FERRY_WIRE_CMD_DIRECTION,
    FERRY_WIRE_CMD_SIZE,
    FERRY_WIRE_CMD_FDS,
    FERRY_WIRE_RPL_ECHO,
    FERRY_WIRE_RPL_ARGSZ,
    FERRY_WIRE_VER_JSON,
    FERRY_WIRE_MAP_ARGSZ,
    FERRY_WIRE_MAP_FLAGS,
    FERRY_WIRE_MAP_RANGE,
    FERRY_WIRE_UNMAP_ARGSZ,
    FERRY_WIRE_UNMAP_FLAGS,
    FERRY_WIRE_UNMAP_RANGE,
    FERRY_WIRE_UNMAP_BITMAP,
    FERRY_WIRE_INFO_ARGSZ,
    FERRY_WIRE_REGION_CAPS,
    FERRY_WIRE_REGION_AREAS,
    FERRY_WIRE_IRQ_ARGSZ,
    FERRY_WIRE_IRQ_FLAGS,
    FERRY_WIRE_IRQ_RANGE,
    FERRY_WIRE_IRQ_DATA,
    FERRY_WIRE_IO_COUNT,
    FERRY_WIRE_IO_RANGE,
    FERRY_WIRE_DMA_COUNT,
    FERRY_WIRE_DMA_RANGE,
    FERRY_WIRE_FEAT_ARGSZ,
    FERRY_WIRE_FEAT_FLAGS,
    FERRY_WIRE_FEAT_KNOWN,
    FERRY_WIRE_FEAT_OPERATION,
    FERRY_WIRE_FEAT_SIZE,
    FERRY_WIRE_LOG_PAGE,
    FERRY_WIRE_LOG_RANGES,
    FERRY_WIRE_LOG_REPORT,
    FERRY_WIRE_DATA_SIZE,
    FERRY_WIRE_DATA_ARGSZ,
    FERRY_WIRE_RULE_COUNT
};

struct ferry_wire_rule {
    const char *id;     /* "WIRE-HDR-1" */
    const char *text;   /* one sentence */
};

/*
 * The i-th rule, in the order of the specification.
 * Return: a static rule; NULL past the last.
 * Thread: any.
 */
const struct ferry_wire_rule *ferry_wire_rule_get(size_t i);

#endif
