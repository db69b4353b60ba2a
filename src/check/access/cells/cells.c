/* SPDX-License-Identifier: BSD-3-Clause */
#include <string.h>

#include "check/access/access.h"
#include "check/classes.h"

/* How an operation is tried. Those without a function have checks of their own. */
static access_try *const tries[FERRY_OP_COUNT] = {
    [FERRY_OP_CONFIG_READ] = access_config_read,
    [FERRY_OP_CONFIG_WRITE] = access_config_write,
    [FERRY_OP_MSIX_READ] = access_msix_read,
    [FERRY_OP_MSIX_WRITE] = access_msix_write,
    [FERRY_OP_REGION_READ] = access_region_read,
    [FERRY_OP_REGION_WRITE] = access_region_write,
    [FERRY_OP_MMAP_ACCESS] = access_mmap,
    [FERRY_OP_IOEVENTFD] = access_ioeventfd,
    [FERRY_OP_INFO] = access_info,
    [FERRY_OP_IRQ_RAISE] = access_work,
    [FERRY_OP_DMA_START] = access_work,
    [FERRY_OP_DMA_ACCEPT] = access_dma_accept,
    [FERRY_OP_DMA_MAP] = access_dma_map,
    [FERRY_OP_DMA_UNMAP] = access_dma_unmap,
    [FERRY_OP_LOG_CONTROL] = access_log_control,
    [FERRY_OP_LOG_REPORT] = access_log_report,
    [FERRY_OP_DATA_READ] = access_data_read,
    [FERRY_OP_DATA_WRITE] = access_data_write,
    [FERRY_OP_PRECOPY_INFO] = access_precopy_info,
    [FERRY_OP_DATA_SIZE] = access_data_size,
    [FERRY_OP_RESET] = access_reset,
    [FERRY_OP_POWER] = access_power,
};

static uint32_t tried(void)
{
    uint32_t operations = 0;

    for (uint32_t i = 0; i < FERRY_OP_COUNT; i++) {
        operations |= tries[i] ? 1u << i : 0;
    }
    return operations;
}

static uint32_t cell_cases(const struct check_run *run)
{
    struct access_case at;

    return access_pick(run, tried(), UINT32_MAX, &at);
}

static void cell_name(const struct check_run *run, uint32_t at,
                      char ret_name[FERRY_CHECK_CASE_BYTES])
{
    struct access_case cell = { 0 };

    (void)access_pick(run, tried(), at, &cell);
    access_name(&cell, ret_name);
}

static void run_cell(struct check_run *run, uint32_t at)
{
    struct access_case cell = { 0 };

    (void)access_pick(run, tried(), at, &cell);
    tries[cell.operation](run, &cell);
}

/*
 * Each rule of the table that decides over requests has one row; its cases are the cells
 * that name it. The profile says who demands the answer: where the uAPI leaves one to the
 * device, Ferry's answer is a recommendation.
 */
const struct check check_access_cells[] = {
    { { "access.running", "MIG-RUN-1", "everything works in RUNNING",
        FERRY_CHECK_REQUIRED, 0 },
      cell_cases,
      cell_name,
      run_cell },
    { { "access.pre-copy", "MIG-PRE-1", "everything works in PRE_COPY",
        FERRY_CHECK_REQUIRED, FERRY_CHECK_NEEDS_PRE_COPY },
      cell_cases,
      cell_name,
      run_cell },
    { { "access.stopped.config", "MIG-STOP-3",
        "config space and MSI-X work while it is stopped", FERRY_CHECK_REQUIRED, 0 },
      cell_cases,
      cell_name,
      run_cell },
    { { "access.stopped.region", "MIG-STOP-2",
        "a stopped device refuses accesses to its BARs and keeps what it has",
        FERRY_CHECK_RECOMMENDED, 0 },
      cell_cases,
      cell_name,
      run_cell },
    { { "access.stopped.doorbell", "MIG-STOP-6",
        "a stopped or loading device takes no doorbell from an eventfd",
        FERRY_CHECK_RECOMMENDED, 0 },
      cell_cases,
      cell_name,
      run_cell },
    { { "access.resuming.config", "MIG-RES-2", "config space and MSI-X work in RESUMING",
        FERRY_CHECK_EXPECTED, 0 },
      cell_cases,
      cell_name,
      run_cell },
    { { "access.resuming.region", "MIG-RES-1",
        "a loading device refuses accesses to its BARs, and the load goes on",
        FERRY_CHECK_RECOMMENDED, 0 },
      cell_cases,
      cell_name,
      run_cell },
    { { "access.p2p.read", "MIG-P2P-3",
        "BARs, config space and MSI-X can be read in P2P states", FERRY_CHECK_RECOMMENDED,
        FERRY_CHECK_NEEDS_P2P },
      cell_cases,
      cell_name,
      run_cell },
    { { "access.p2p.write", "MIG-P2P-2",
        "in P2P states a write to a BAR is latched if the device says so, else refused",
        FERRY_CHECK_RECOMMENDED, FERRY_CHECK_NEEDS_P2P },
      cell_cases,
      cell_name,
      run_cell },
    { { "access.info", "MIG-INFO-1", "every state gives the same information",
        FERRY_CHECK_EXPECTED, 0 },
      cell_cases,
      cell_name,
      run_cell },
    { { "access.map", "MIG-MAP-1", "DMA is mapped and unmapped in every state",
        FERRY_CHECK_EXPECTED, 0 },
      cell_cases,
      cell_name,
      run_cell },
    { { "access.log", "MIG-LOG-1", "the log works in every state", FERRY_CHECK_EXPECTED,
        FERRY_CHECK_NEEDS_LOG },
      cell_cases,
      cell_name,
      run_cell },
    { { "access.data.read", "MIG-DATA-1", "data is read in the saving states only",
        FERRY_CHECK_REQUIRED, 0 },
      cell_cases,
      cell_name,
      run_cell },
    { { "access.data.write", "MIG-DATA-2", "data is written in RESUMING only",
        FERRY_CHECK_REQUIRED, 0 },
      cell_cases,
      cell_name,
      run_cell },
    { { "access.data.info", "MIG-DATA-3",
        "pre-copy information is given in PRE_COPY and PRE_COPY_P2P only",
        FERRY_CHECK_REQUIRED, FERRY_CHECK_NEEDS_PRE_COPY },
      cell_cases,
      cell_name,
      run_cell },
    { { "access.data.size", "MIG-DATA-4", "the size of the data is given in any state",
        FERRY_CHECK_REQUIRED, 0 },
      cell_cases,
      cell_name,
      run_cell },
    { { "access.reset", "MIG-RST-1", "a reset works in every state", FERRY_CHECK_REQUIRED,
        FERRY_CHECK_NEEDS_RESET },
      cell_cases,
      cell_name,
      run_cell },
    { { "access.power", "MIG-PM-1",
        "a power state that is written while it does not run waits until it does",
        FERRY_CHECK_RECOMMENDED, 0 },
      cell_cases,
      cell_name,
      run_cell },
    { { "access.mmap.pre-copy", "MIG-PRE-2",
        "what is written to mapped memory in PRE_COPY is carried", FERRY_CHECK_EXPECTED,
        FERRY_CHECK_NEEDS_DRIVER | FERRY_CHECK_NEEDS_PRE_COPY },
      cell_cases,
      cell_name,
      run_cell },
    { { "access.mmap.p2p", "MIG-P2P-5",
        "what is written to mapped memory in P2P states is carried",
        FERRY_CHECK_RECOMMENDED, FERRY_CHECK_NEEDS_DRIVER | FERRY_CHECK_NEEDS_P2P },
      cell_cases,
      cell_name,
      run_cell },
    { { "access.mmap.stopped", "MIG-STOP-4",
        "a write to mapped memory while it is stopped is no harm, and is carried before "
        "STOP_COPY",
        FERRY_CHECK_RECOMMENDED, FERRY_CHECK_NEEDS_DRIVER },
      cell_cases,
      cell_name,
      run_cell },
    { { "access.mmap.resuming", "MIG-RES-4",
        "a write to mapped memory in RESUMING is no harm", FERRY_CHECK_RECOMMENDED,
        FERRY_CHECK_NEEDS_DRIVER },
      cell_cases,
      cell_name,
      run_cell },
    { { "p2p.accept", "MIG-P2P-4",
        "a device in a P2P state takes DMA from peers, and carries it",
        FERRY_CHECK_REQUIRED,
        FERRY_CHECK_NEEDS_DRIVER | FERRY_CHECK_NEEDS_P2P | FERRY_CHECK_NEEDS_PARTNER },
      cell_cases,
      cell_name,
      run_cell },
    { { "p2p.late", "MIG-STOP-5", "DMA from a peer that comes too late is no harm",
        FERRY_CHECK_RECOMMENDED, FERRY_CHECK_NEEDS_DRIVER | FERRY_CHECK_NEEDS_PARTNER },
      cell_cases,
      cell_name,
      run_cell },
    { { "access.error.refused", "MIG-ERR-1", "a device in ERROR refuses what it must",
        FERRY_CHECK_RECOMMENDED, 0 },
      cell_cases,
      cell_name,
      run_cell },
    { { "access.error.config", "MIG-ERR-2", "config space can be read in ERROR",
        FERRY_CHECK_RECOMMENDED, 0 },
      cell_cases,
      cell_name,
      run_cell },
    { { "access.error.void", "MIG-ERR-3",
        "mapped memory, doorbells and peers do no harm in ERROR", FERRY_CHECK_RECOMMENDED,
        0 },
      cell_cases,
      cell_name,
      run_cell },
    { { NULL, NULL, NULL, 0, 0 }, NULL, NULL, NULL },
};
