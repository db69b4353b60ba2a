/* SPDX-License-Identifier: BSD-3-Clause */
#include "ferry/access.h"

#include "core/rules/rules.h"
#include "ferry/state.h"

static const char *const operation_names[FERRY_OP_COUNT] = {
    [FERRY_OP_CONFIG_READ] = "CONFIG_READ",
    [FERRY_OP_CONFIG_WRITE] = "CONFIG_WRITE",
    [FERRY_OP_MSIX_READ] = "MSIX_READ",
    [FERRY_OP_MSIX_WRITE] = "MSIX_WRITE",
    [FERRY_OP_REGION_READ] = "REGION_READ",
    [FERRY_OP_REGION_WRITE] = "REGION_WRITE",
    [FERRY_OP_MMAP_ACCESS] = "MMAP_ACCESS",
    [FERRY_OP_IOEVENTFD] = "IOEVENTFD",
    [FERRY_OP_SET_IRQS] = "SET_IRQS",
    [FERRY_OP_INFO] = "INFO",
    [FERRY_OP_IRQ_RAISE] = "IRQ_RAISE",
    [FERRY_OP_DMA_START] = "DMA_START",
    [FERRY_OP_DMA_ACCEPT] = "DMA_ACCEPT",
    [FERRY_OP_DMA_MAP] = "DMA_MAP",
    [FERRY_OP_DMA_UNMAP] = "DMA_UNMAP",
    [FERRY_OP_ATTACH] = "ATTACH",
    [FERRY_OP_LOG_CONTROL] = "LOG_CONTROL",
    [FERRY_OP_LOG_REPORT] = "LOG_REPORT",
    [FERRY_OP_DATA_READ] = "DATA_READ",
    [FERRY_OP_DATA_WRITE] = "DATA_WRITE",
    [FERRY_OP_PRECOPY_INFO] = "PRECOPY_INFO",
    [FERRY_OP_DATA_SIZE] = "DATA_SIZE",
    [FERRY_OP_RESET] = "RESET",
    [FERRY_OP_HOT_RESET] = "HOT_RESET",
    [FERRY_OP_POWER] = "POWER",
    [FERRY_OP_DMABUF_EXPORT] = "DMABUF_EXPORT",
    [FERRY_OP_PAGE_REQUEST] = "PAGE_REQUEST",
};

/* What a refused read returns where it returns anything: what a PCI bus gives. */
#define ONES 0xffu

/* clang-format off */
/* The cells that occur: {verdict, read value, padding, rule}. */
#define RUN { FERRY_ALLOW, 0, { 0 }, &ferry_rules_access[FERRY_RULE_RUN_1] }
#define PRE { FERRY_ALLOW, 0, { 0 }, &ferry_rules_access[FERRY_RULE_PRE_1] }
#define PRE_MMAP { FERRY_ALLOW, 0, { 0 }, &ferry_rules_access[FERRY_RULE_PRE_2] }
#define P2P_NO { FERRY_REFUSE, 0, { 0 }, &ferry_rules_access[FERRY_RULE_P2P_1] }
#define P2P_SILENT { FERRY_REFUSE, 0, { 0 }, &ferry_rules_access[FERRY_RULE_P2P_6] }
#define P2P_BELL { FERRY_LATCH, 0, { 0 }, &ferry_rules_access[FERRY_RULE_P2P_2] }
#define P2P_READ { FERRY_ALLOW, 0, { 0 }, &ferry_rules_access[FERRY_RULE_P2P_3] }
#define P2P_PEER { FERRY_ALLOW, 0, { 0 }, &ferry_rules_access[FERRY_RULE_P2P_4] }
#define P2P_MMAP { FERRY_COMPARE, 0, { 0 }, &ferry_rules_access[FERRY_RULE_P2P_5] }
#define STOP_QUIET { FERRY_REFUSE, 0, { 0 }, &ferry_rules_access[FERRY_RULE_STOP_1] }
#define STOP_NO { FERRY_REFUSE, ONES, { 0 }, &ferry_rules_access[FERRY_RULE_STOP_2] }
#define STOP_OK { FERRY_ALLOW, 0, { 0 }, &ferry_rules_access[FERRY_RULE_STOP_3] }
#define STOP_MMAP { FERRY_COMPARE, 0, { 0 }, &ferry_rules_access[FERRY_RULE_STOP_4] }
#define STOP_PEER { FERRY_COMPARE, 0, { 0 }, &ferry_rules_access[FERRY_RULE_STOP_5] }
#define STOP_BELL { FERRY_IGNORE, 0, { 0 }, &ferry_rules_access[FERRY_RULE_STOP_6] }
#define RES_NO { FERRY_REFUSE, ONES, { 0 }, &ferry_rules_access[FERRY_RULE_RES_1] }
#define RES_OK { FERRY_ALLOW, 0, { 0 }, &ferry_rules_access[FERRY_RULE_RES_2] }
#define RES_QUIET { FERRY_REFUSE, 0, { 0 }, &ferry_rules_access[FERRY_RULE_RES_3] }
#define RES_MMAP { FERRY_COMPARE, 0, { 0 }, &ferry_rules_access[FERRY_RULE_RES_4] }
#define READ_OK { FERRY_ALLOW, 0, { 0 }, &ferry_rules_access[FERRY_RULE_DATA_1] }
#define READ_NO { FERRY_REFUSE, 0, { 0 }, &ferry_rules_access[FERRY_RULE_DATA_1] }
#define LOAD_OK { FERRY_ALLOW, 0, { 0 }, &ferry_rules_access[FERRY_RULE_DATA_2] }
#define LOAD_NO { FERRY_REFUSE, 0, { 0 }, &ferry_rules_access[FERRY_RULE_DATA_2] }
#define LEFT_OK { FERRY_ALLOW, 0, { 0 }, &ferry_rules_access[FERRY_RULE_DATA_3] }
#define LEFT_NO { FERRY_REFUSE, 0, { 0 }, &ferry_rules_access[FERRY_RULE_DATA_3] }
#define SIZE_OK { FERRY_ALLOW, 0, { 0 }, &ferry_rules_access[FERRY_RULE_DATA_4] }
#define ERR_NO { FERRY_REFUSE, ONES, { 0 }, &ferry_rules_access[FERRY_RULE_ERR_1] }
#define ERR_OK { FERRY_ALLOW, 0, { 0 }, &ferry_rules_access[FERRY_RULE_ERR_2] }
#define ERR_VOID { FERRY_IGNORE, 0, { 0 }, &ferry_rules_access[FERRY_RULE_ERR_3] }
#define INFO { FERRY_ALLOW, 0, { 0 }, &ferry_rules_access[FERRY_RULE_INFO_1] }
#define IRQS { FERRY_ALLOW, 0, { 0 }, &ferry_rules_access[FERRY_RULE_IRQ_1] }
#define MAPS { FERRY_ALLOW, 0, { 0 }, &ferry_rules_access[FERRY_RULE_MAP_1] }
#define LOGS { FERRY_ALLOW, 0, { 0 }, &ferry_rules_access[FERRY_RULE_LOG_1] }
#define RESETS { FERRY_ALLOW, 0, { 0 }, &ferry_rules_access[FERRY_RULE_RST_1] }
#define HOT_OK { FERRY_ALLOW, 0, { 0 }, &ferry_rules_access[FERRY_RULE_RST_2] }
#define HOT_NO { FERRY_REFUSE, 0, { 0 }, &ferry_rules_access[FERRY_RULE_RST_2] }
#define POWER { FERRY_LATCH, 0, { 0 }, &ferry_rules_access[FERRY_RULE_PM_1] }
#define BUFS { FERRY_ALLOW, 0, { 0 }, &ferry_rules_access[FERRY_RULE_BUF_1] }
#define PAGES { FERRY_REFUSE, 0, { 0 }, &ferry_rules_access[FERRY_RULE_PRI_1] }

static const struct ferry_access cells[FERRY_OP_COUNT][FERRY_STATE_COUNT] = {
    /* ERROR, STOP, RUNNING, STOP_COPY, RESUMING, RUNNING_P2P, PRE_COPY, PRE_COPY_P2P */
    [FERRY_OP_CONFIG_READ] =
        { ERR_OK, STOP_OK, RUN, STOP_OK, RES_OK, P2P_READ, PRE, P2P_READ },
    [FERRY_OP_CONFIG_WRITE] =
        { ERR_NO, STOP_OK, RUN, STOP_OK, RES_OK, P2P_READ, PRE, P2P_READ },
    [FERRY_OP_MSIX_READ] =
        { ERR_NO, STOP_OK, RUN, STOP_OK, RES_OK, P2P_READ, PRE, P2P_READ },
    [FERRY_OP_MSIX_WRITE] =
        { ERR_NO, STOP_OK, RUN, STOP_OK, RES_OK, P2P_READ, PRE, P2P_READ },
    [FERRY_OP_REGION_READ] =
        { ERR_NO, STOP_NO, RUN, STOP_NO, RES_NO, P2P_READ, PRE, P2P_READ },
    [FERRY_OP_REGION_WRITE] =
        { ERR_NO, STOP_NO, RUN, STOP_NO, RES_NO, P2P_BELL, PRE, P2P_BELL },
    [FERRY_OP_MMAP_ACCESS] =
        { ERR_VOID, STOP_MMAP, RUN, STOP_MMAP, RES_MMAP, P2P_MMAP, PRE_MMAP, P2P_MMAP },
    [FERRY_OP_IOEVENTFD] =
        { ERR_VOID, STOP_BELL, RUN, STOP_BELL, STOP_BELL, P2P_BELL, PRE, P2P_BELL },
    [FERRY_OP_SET_IRQS] =
        { IRQS, IRQS, RUN, IRQS, IRQS, IRQS, PRE, IRQS },
    [FERRY_OP_INFO] =
        { INFO, INFO, RUN, INFO, INFO, INFO, PRE, INFO },
    [FERRY_OP_IRQ_RAISE] =
        { ERR_NO, STOP_QUIET, RUN, STOP_QUIET, RES_QUIET, P2P_SILENT, PRE, P2P_SILENT },
    [FERRY_OP_DMA_START] =
        { ERR_NO, STOP_QUIET, RUN, STOP_QUIET, RES_QUIET, P2P_NO, PRE, P2P_NO },
    [FERRY_OP_DMA_ACCEPT] =
        { ERR_VOID, STOP_PEER, RUN, STOP_PEER, STOP_PEER, P2P_PEER, PRE, P2P_PEER },
    [FERRY_OP_DMA_MAP] =
        { MAPS, MAPS, RUN, MAPS, MAPS, MAPS, PRE, MAPS },
    [FERRY_OP_DMA_UNMAP] =
        { MAPS, MAPS, RUN, MAPS, MAPS, MAPS, PRE, MAPS },
    [FERRY_OP_ATTACH] =
        { MAPS, MAPS, RUN, MAPS, MAPS, MAPS, PRE, MAPS },
    [FERRY_OP_LOG_CONTROL] =
        { LOGS, LOGS, RUN, LOGS, LOGS, LOGS, PRE, LOGS },
    [FERRY_OP_LOG_REPORT] =
        { LOGS, LOGS, RUN, LOGS, LOGS, LOGS, PRE, LOGS },
    [FERRY_OP_DATA_READ] =
        { READ_NO, READ_NO, READ_NO, READ_OK, READ_NO, READ_NO, READ_OK, READ_OK },
    [FERRY_OP_DATA_WRITE] =
        { LOAD_NO, LOAD_NO, LOAD_NO, LOAD_NO, LOAD_OK, LOAD_NO, LOAD_NO, LOAD_NO },
    [FERRY_OP_PRECOPY_INFO] =
        { LEFT_NO, LEFT_NO, LEFT_NO, LEFT_NO, LEFT_NO, LEFT_NO, LEFT_OK, LEFT_OK },
    [FERRY_OP_DATA_SIZE] =
        { ERR_NO, SIZE_OK, SIZE_OK, SIZE_OK, SIZE_OK, SIZE_OK, SIZE_OK, SIZE_OK },
    [FERRY_OP_RESET] =
        { RESETS, RESETS, RUN, RESETS, RESETS, RESETS, PRE, RESETS },
    [FERRY_OP_HOT_RESET] =
        { HOT_OK, HOT_NO, HOT_OK, HOT_NO, HOT_NO, HOT_NO, HOT_NO, HOT_NO },
    [FERRY_OP_POWER] =
        { ERR_NO, POWER, RUN, POWER, POWER, POWER, PRE, POWER },
    [FERRY_OP_DMABUF_EXPORT] =
        { ERR_NO, BUFS, RUN, BUFS, BUFS, BUFS, PRE, BUFS },
    [FERRY_OP_PAGE_REQUEST] =
        { ERR_NO, STOP_QUIET, RUN, STOP_QUIET, RES_QUIET, PAGES, PRE, PAGES },
};
/* clang-format on */

const struct ferry_access *ferry_access_get(uint32_t operation, uint32_t state)
{
    if (operation >= FERRY_OP_COUNT || state >= FERRY_STATE_COUNT) {
        return NULL;
    }
    return &cells[operation][state];
}

const char *ferry_operation_name(uint32_t operation)
{
    return operation < FERRY_OP_COUNT ? operation_names[operation] : "?";
}
