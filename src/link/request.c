/* SPDX-License-Identifier: BSD-3-Clause */
#include "link/request.h"

static const char *const request_name[FERRY_RQ_COUNT] = {
    [FERRY_RQ_GET_INFO] = "GET_INFO",
    [FERRY_RQ_GET_REGION_INFO] = "GET_REGION_INFO",
    [FERRY_RQ_GET_IRQ_INFO] = "GET_IRQ_INFO",
    [FERRY_RQ_SET_IRQS] = "SET_IRQS",
    [FERRY_RQ_REGION_READ] = "REGION_READ",
    [FERRY_RQ_REGION_WRITE] = "REGION_WRITE",
    [FERRY_RQ_DMA_MAP] = "DMA_MAP",
    [FERRY_RQ_DMA_UNMAP] = "DMA_UNMAP",
    [FERRY_RQ_RESET] = "RESET",
    [FERRY_RQ_PROBE] = "PROBE",
    [FERRY_RQ_MIG_FLAGS] = "MIG_FLAGS",
    [FERRY_RQ_GET_STATE] = "GET_STATE",
    [FERRY_RQ_SET_STATE] = "SET_STATE",
    [FERRY_RQ_LOG_START] = "LOG_START",
    [FERRY_RQ_LOG_STOP] = "LOG_STOP",
    [FERRY_RQ_LOG_REPORT] = "LOG_REPORT",
    [FERRY_RQ_DATA_SIZE] = "DATA_SIZE",
    [FERRY_RQ_PRECOPY_INFO] = "PRECOPY_INFO",
    [FERRY_RQ_DATA_READ] = "DATA_READ",
    [FERRY_RQ_DATA_WRITE] = "DATA_WRITE",
    [FERRY_RQ_IDENTITY] = "IDENTITY",
    [FERRY_RQ_REGION_IO_FDS] = "REGION_IO_FDS",
    [FERRY_RQ_LOG_RUNS] = "LOG_RUNS",
    [FERRY_RQ_DATA_FD] = "DATA_FD",
    [FERRY_RQ_LEAVE_STATE] = "LEAVE_STATE",
    [FERRY_RQ_COUNTERS] = "COUNTERS",
    [FERRY_RQ_RAW] = "RAW",
};

const char *ferry_request_name(uint32_t kind)
{
    if (kind >= FERRY_RQ_COUNT || !request_name[kind]) {
        return "?";
    }
    return request_name[kind];
}
