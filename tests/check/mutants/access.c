/* SPDX-License-Identifier: BSD-3-Clause */
#include <string.h>
#include <unistd.h>

#include "models/copy/copy_regs.h"
#include "tests/check/mutants/mutants.h"

/* What breaks the rules of the access table, by request. */

#define CONFIG 7u
#define INTERRUPT_LINE 0x3cu
#define PM_CONTROL 0x44u /* of the models */
#define PBA_OFF 0x1000u
#define SCRATCH 0x500000u /* where the checker has devices write */

static int reads(const struct ferry_request *request, uint32_t region, uint64_t off)
{
    return request->kind == FERRY_RQ_REGION_READ && request->u.io.index == region &&
           request->u.io.off == off;
}

static int writes(const struct ferry_request *request, uint32_t region, uint64_t off)
{
    return request->kind == FERRY_RQ_REGION_WRITE && request->u.io.index == region &&
           request->u.io.off == off;
}

static int refuse_pending_bits(struct mutant *mutant, struct ferry_request *request)
{
    return mutant_in(mutant, FERRY_STATE_RUNNING) &&
                   writes(request, COPY_BAR_MSIX, PBA_OFF)
               ? FERRY_E_IO
               : MUTANT_PASS;
}

static int refuse_pending_bits_in_pre_copy(struct mutant *mutant,
                                           struct ferry_request *request)
{
    return mutant_in(mutant, FERRY_STATE_PRE_COPY) &&
                   writes(request, COPY_BAR_MSIX, PBA_OFF)
               ? FERRY_E_IO
               : MUTANT_PASS;
}

static int drop_config_when_stopped(struct mutant *mutant, struct ferry_request *request)
{
    return mutant_in(mutant, FERRY_STATE_STOP) && writes(request, CONFIG, INTERRUPT_LINE)
               ? FERRY_OK
               : MUTANT_PASS;
}

static int refuse_config_when_loading(struct mutant *mutant,
                                      struct ferry_request *request)
{
    return mutant_in(mutant, FERRY_STATE_RESUMING) &&
                   writes(request, CONFIG, INTERRUPT_LINE)
               ? FERRY_E_STATE
               : MUTANT_PASS;
}

/* Says that it refuses, and does it. */
static int write_all_the_same(struct mutant *mutant, struct ferry_request *request)
{
    struct ferry_request own = *request;

    if (!mutant_in(mutant, FERRY_STATE_STOP) ||
        !writes(request, COPY_BAR_REGS, COPY_CHANNEL_OFF + COPY_CH_RING)) {
        return MUTANT_PASS;
    }
    (void)mutant_set_state(mutant, FERRY_STATE_RUNNING);
    (void)mutant_call(mutant, &own);
    (void)mutant_set_state(mutant, FERRY_STATE_STOP);
    return FERRY_E_STATE;
}

static int answer_read(const struct ferry_request *request)
{
    if (request->kind != FERRY_RQ_REGION_READ || request->u.io.index >= COPY_BAR_MSIX) {
        return MUTANT_PASS;
    }
    memset(request->u.io.data, 0x12, request->u.io.count);
    return FERRY_OK;
}

static int read_when_stopped(struct mutant *mutant, struct ferry_request *request)
{
    return mutant_in(mutant, FERRY_STATE_STOP) ? answer_read(request) : MUTANT_PASS;
}

static int read_when_loading(struct mutant *mutant, struct ferry_request *request)
{
    return mutant_in(mutant, FERRY_STATE_RESUMING) ? answer_read(request) : MUTANT_PASS;
}

/* var[0]: the doorbell's eventfd, and 1. It belongs to the model. */
static int see_doorbell(struct mutant *mutant, struct ferry_request *request, int status)
{
    if (request->kind == FERRY_RQ_REGION_IO_FDS && status == FERRY_OK &&
        request->u.io_fds.count > 0) {
        mutant->var[0] = (uint64_t)request->u.io_fds.entry[0].fd + 1;
    }
    return status;
}

static void forget_doorbell(struct mutant *mutant, int here)
{
    (void)here;
    mutant->var[0] = 0;
}

static int take_doorbell_when_stopped(struct mutant *mutant)
{
    uint64_t count;

    if (mutant->var[0] != 0 && mutant_in(mutant, FERRY_STATE_STOP)) {
        (void)!read((int)(mutant->var[0] - 1), &count, sizeof(count));
    }
    return 0;
}

static int hide_vectors_in_p2p(struct mutant *mutant, struct ferry_request *request)
{
    return mutant_in(mutant, FERRY_STATE_RUNNING_P2P) && reads(request, COPY_BAR_MSIX, 0)
               ? FERRY_E_STATE
               : MUTANT_PASS;
}

static int refuse_write_in_p2p(struct mutant *mutant, struct ferry_request *request)
{
    return mutant_in(mutant, FERRY_STATE_RUNNING_P2P) && writes(request, COPY_BAR_REGS, 0)
               ? FERRY_E_STATE
               : MUTANT_PASS;
}

static int hide_map_when_saved(struct mutant *mutant, struct ferry_request *request,
                               int status)
{
    if (request->kind == FERRY_RQ_GET_REGION_INFO &&
        mutant_in(mutant, FERRY_STATE_STOP_COPY)) {
        request->u.region.flags &= ~FERRY_REGION_MMAP;
    }
    return status;
}

static int refuse_map_when_saved(struct mutant *mutant, struct ferry_request *request)
{
    return mutant_in(mutant, FERRY_STATE_STOP_COPY) &&
                   mutant_is(request, FERRY_RQ_DMA_MAP)
               ? FERRY_E_STATE
               : MUTANT_PASS;
}

static int refuse_log_when_loading(struct mutant *mutant, struct ferry_request *request)
{
    return mutant_in(mutant, FERRY_STATE_RESUMING) &&
                   mutant_is(request, FERRY_RQ_LOG_START)
               ? FERRY_E_STATE
               : MUTANT_PASS;
}

static int give_data_when_stopped(struct mutant *mutant, struct ferry_request *request)
{
    if (!mutant_in(mutant, FERRY_STATE_STOP) || !mutant_is(request, FERRY_RQ_DATA_READ)) {
        return MUTANT_PASS;
    }
    memset(request->u.data.data, 0x12, (size_t)request->u.data.size);
    request->u.data.got = request->u.data.size;
    return FERRY_OK;
}

static int take_data_when_running(struct mutant *mutant, struct ferry_request *request)
{
    return mutant_in(mutant, FERRY_STATE_RUNNING) &&
                   mutant_is(request, FERRY_RQ_DATA_WRITE)
               ? FERRY_OK
               : MUTANT_PASS;
}

static int inform_when_running(struct mutant *mutant, struct ferry_request *request)
{
    return mutant_in(mutant, FERRY_STATE_RUNNING) &&
                   mutant_is(request, FERRY_RQ_PRECOPY_INFO)
               ? FERRY_OK
               : MUTANT_PASS;
}

static int no_size_in_p2p(struct mutant *mutant, struct ferry_request *request)
{
    return mutant_in(mutant, FERRY_STATE_RUNNING_P2P) &&
                   mutant_is(request, FERRY_RQ_DATA_SIZE)
               ? FERRY_E_STATE
               : MUTANT_PASS;
}

static int no_reset_in_p2p(struct mutant *mutant, struct ferry_request *request)
{
    return mutant_in(mutant, FERRY_STATE_RUNNING_P2P) &&
                   mutant_is(request, FERRY_RQ_RESET)
               ? FERRY_E_STATE
               : MUTANT_PASS;
}

/* To D3hot? */
static int sleeps(const struct ferry_request *request)
{
    return writes(request, CONFIG, PM_CONTROL) &&
           (*(const uint8_t *)request->u.io.data & 3u) == 3;
}

static int never_sleep(struct mutant *mutant, struct ferry_request *request)
{
    return mutant_in(mutant, FERRY_STATE_STOP) && sleeps(request) ? FERRY_OK
                                                                  : MUTANT_PASS;
}

/* As a device whose state is gone after D3hot, and that does not wait for RUNNING. */
static int sleep_at_once(struct mutant *mutant, struct ferry_request *request)
{
    if (mutant_in(mutant, FERRY_STATE_STOP) && sleeps(request)) {
        (void)mutant_reset(mutant);
        (void)mutant_set_state(mutant, FERRY_STATE_STOP);
    }
    return MUTANT_PASS;
}

/* The stream has a byte of config space in it, its last one. */
static int save_config(struct mutant *mutant, struct ferry_request *request, int status)
{
    struct ferry_request own = { .kind = FERRY_RQ_REGION_READ };
    uint8_t line = 0;

    if (mutant_is(request, FERRY_RQ_DATA_READ) && status == FERRY_OK &&
        request->u.data.got == 0 && request->u.data.size > 0 &&
        mutant_in(mutant, FERRY_STATE_STOP_COPY) && mutant->var[0]++ == 0) {
        own.u.io.index = CONFIG;
        own.u.io.off = INTERRUPT_LINE;
        own.u.io.count = 1;
        own.u.io.data = &line;
        (void)mutant_call(mutant, &own);
        *(uint8_t *)request->u.data.data = line;
        request->u.data.got = 1;
    }
    return status;
}

static int load_config(struct mutant *mutant, struct ferry_request *request)
{
    (void)mutant;
    if (mutant_is(request, FERRY_RQ_DATA_WRITE)) {
        request->u.data.size--; /* it comes in one piece */
    }
    return MUTANT_PASS;
}

static void new_session(struct mutant *mutant, uint32_t from, uint32_t to)
{
    (void)from;
    (void)to;
    mutant->var[0] = 0;
}

static void load_over_config(struct mutant *mutant, uint32_t from, uint32_t to)
{
    struct ferry_request request = { .kind = FERRY_RQ_REGION_WRITE };
    uint8_t line = 0;

    if (from == FERRY_STATE_RESUMING && to == FERRY_STATE_STOP) {
        request.u.io.index = CONFIG;
        request.u.io.off = INTERRUPT_LINE;
        request.u.io.count = 1;
        request.u.io.data = &line;
        (void)mutant_call(mutant, &request);
    }
}

/* -- Mapped memory -- */

static uint8_t *own_memory(struct mutant *mutant)
{
    return ferry_device_region_memory(mutant->device, COPY_BAR_MEMORY);
}

#define OWN_BYTES 65536u /* of MUTANT_COPY */

/* What was written in between is forgotten. */
static void undo_in(struct mutant *mutant, uint32_t from, uint32_t to, uint32_t state)
{
    if (to == state) {
        mutant_keep(mutant, own_memory(mutant), OWN_BYTES, 0);
    } else if (from == state && to != FERRY_STATE_RUNNING && mutant->bytes != NULL) {
        memcpy(own_memory(mutant), mutant->bytes, OWN_BYTES);
    }
}

static void forget_pre_copy(struct mutant *mutant, uint32_t from, uint32_t to)
{
    undo_in(mutant, from, to, FERRY_STATE_PRE_COPY);
}

static void forget_p2p(struct mutant *mutant, uint32_t from, uint32_t to)
{
    undo_in(mutant, from, to, FERRY_STATE_PRE_COPY_P2P);
}

static void forget_stop(struct mutant *mutant, uint32_t from, uint32_t to)
{
    undo_in(mutant, from, to, FERRY_STATE_STOP);
}

/* A load looks whether the memory is as the load before it left it: it is not. */
static int insist_on_memory(struct mutant *mutant, struct ferry_request *request)
{
    if (mutant_is(request, FERRY_RQ_DATA_WRITE) && mutant_nth(mutant, 1)) {
        mutant->var[0] = own_memory(mutant)[0] != 0;
    }
    return mutant_arc(mutant, request, FERRY_STATE_RESUMING, FERRY_STATE_STOP) &&
                   mutant->var[0] != 0
               ? FERRY_E_CORRUPT
               : MUTANT_PASS;
}

/* -- In ERROR -- */

static int take_config_in_error(struct mutant *mutant, struct ferry_request *request)
{
    return mutant_in(mutant, FERRY_STATE_ERROR) && writes(request, CONFIG, INTERRUPT_LINE)
               ? FERRY_OK
               : MUTANT_PASS;
}

static int hide_config_in_error(struct mutant *mutant, struct ferry_request *request)
{
    return mutant_in(mutant, FERRY_STATE_ERROR) && reads(request, CONFIG, 0)
               ? FERRY_E_STATE
               : MUTANT_PASS;
}

static int keep_before_reset(struct mutant *mutant, struct ferry_request *request)
{
    if (mutant_in(mutant, FERRY_STATE_ERROR) && mutant_is(request, FERRY_RQ_RESET)) {
        mutant_keep(mutant, own_memory(mutant), OWN_BYTES, 0);
        mutant->var[0] = 1;
    }
    return MUTANT_PASS;
}

static int put_back_after_reset(struct mutant *mutant, struct ferry_request *request,
                                int status)
{
    if (mutant_is(request, FERRY_RQ_RESET) && mutant->var[0] != 0) {
        memcpy(own_memory(mutant), mutant->bytes, OWN_BYTES);
        mutant->var[0] = 0;
    }
    return mutant_loads_into_error(mutant, request, status);
}

static int write_in_error(struct mutant *mutant)
{
    if (mutant_in(mutant, FERRY_STATE_ERROR)) {
        mutant->var[0]++; /* never the same again, however often */
        (void)mutant_write(mutant, SCRATCH, &mutant->var[0], sizeof(mutant->var[0]));
    }
    return 0;
}

static int interrupt_in_error(struct mutant *mutant)
{
    if (mutant_in(mutant, FERRY_STATE_ERROR)) {
        (void)mutant_interrupt(mutant, 2, 0);
    }
    return 0;
}

#define TO_ERROR .describe = mutant_can_fail, .after = mutant_loads_into_error

const struct check_mutant mutants_access[] = {
    { .name = "refuses a write of pending bits",
      .breaks = "MIG-RUN-1: everything works in RUNNING",
      .before = refuse_pending_bits,
      .caught_by = "access.running" },
    { .name = "refuses a write of pending bits in PRE_COPY",
      .breaks = "MIG-PRE-1: everything works in PRE_COPY",
      .before = refuse_pending_bits_in_pre_copy,
      .caught_by = "access.pre-copy" },
    { .name = "drops writes of config space when it is stopped",
      .breaks = "MIG-STOP-3: config space works in STOP",
      .before = drop_config_when_stopped,
      .caught_by = "access.stopped.config" },
    { .name = "refuses writes of config space while it is loaded",
      .breaks = "MIG-RES-2: config space works in RESUMING",
      .before = refuse_config_when_loading,
      .caught_by = "access.resuming.config" },
    { .name = "performs a write to a BAR that it refuses in STOP",
      .breaks = "MIG-STOP-2: what is refused changes nothing",
      .before = write_all_the_same,
      .caught_by = "access.stopped.region" },
    { .name = "answers reads of its BARs in STOP",
      .breaks = "MIG-STOP-2: a read in STOP gives ones",
      .before = read_when_stopped,
      .caught_by = "access.stopped.region" },
    { .name = "answers reads of its BARs in RESUMING",
      .breaks = "MIG-RES-1: a read in RESUMING gives ones",
      .before = read_when_loading,
      .caught_by = "access.resuming.region" },
    { .name = "takes doorbells in STOP",
      .breaks = "MIG-STOP-6: a stopped device takes no doorbell",
      .model = MUTANT_ACC,
      .after = see_doorbell,
      .on_user = forget_doorbell,
      .work = take_doorbell_when_stopped,
      .caught_by = "access.stopped.doorbell" },
    { .name = "does not show its MSI-X table in RUNNING_P2P",
      .breaks = "MIG-P2P-3: MSI-X can be read in P2P states",
      .before = hide_vectors_in_p2p,
      .caught_by = "access.p2p.read" },
    { .name = "says that it latches writes and refuses one",
      .breaks = "MIG-P2P-2: a write is latched by a device that says so",
      .before = refuse_write_in_p2p,
      .caught_by = "access.p2p.write" },
    { .name = "does not tell that a region can be mapped in STOP_COPY",
      .breaks = "MIG-INFO-1: information does not depend on the state",
      .after = hide_map_when_saved,
      .caught_by = "access.info" },
    { .name = "refuses DMA maps in STOP_COPY",
      .breaks = "MIG-MAP-1: maps belong to the user",
      .before = refuse_map_when_saved,
      .caught_by = "access.map" },
    { .name = "starts no log in RESUMING",
      .breaks = "MIG-LOG-1: the log is started in every state",
      .before = refuse_log_when_loading,
      .caught_by = "access.log" },
    { .name = "gives data in STOP",
      .breaks = "MIG-DATA-1: data is read in saving states only",
      .before = give_data_when_stopped,
      .caught_by = "access.data.read" },
    { .name = "takes data in RUNNING",
      .breaks = "MIG-DATA-2: data is written in RESUMING only",
      .before = take_data_when_running,
      .caught_by = "access.data.write" },
    { .name = "gives pre-copy information in RUNNING",
      .breaks = "MIG-DATA-3: it is given in pre-copy only",
      .before = inform_when_running,
      .caught_by = "access.data.info" },
    { .name = "tells no size in RUNNING_P2P",
      .breaks = "MIG-DATA-4: the size is given in any state",
      .before = no_size_in_p2p,
      .caught_by = "access.data.size" },
    { .name = "refuses a reset in RUNNING_P2P",
      .breaks = "MIG-RST-1: a reset works in every state",
      .before = no_reset_in_p2p,
      .caught_by = "access.reset" },
    { .name = "forgets a power state that is written in STOP",
      .breaks = "MIG-PM-1: it takes effect when the device runs",
      .before = never_sleep,
      .caught_by = "access.power" },
    { .name = "loses its state by a power state that is written in STOP",
      .breaks = "MIG-PM-1: it waits until the device runs",
      .before = sleep_at_once,
      .caught_by = "access.power" },
    { .name = "saves a part of config space",
      .breaks = "MIG-EXT-1: config space is the user's to carry",
      .before = load_config,
      .after = save_config,
      .on_state = new_session,
      .caught_by = "access.user.apart" },
    { .name = "loads over config space",
      .breaks = "MIG-EXT-3: a load changes nothing that the user controls",
      .on_state = load_over_config,
      .caught_by = "access.user.kept" },
    { .name = "forgets what is written to its memory in PRE_COPY",
      .breaks = "MIG-PRE-2: mapped memory is compared after the freeze",
      .on_state = forget_pre_copy,
      .sound_partner = 1,
      .caught_by = "access.mmap.pre-copy" },
    { .name = "forgets what is written to its memory in PRE_COPY_P2P",
      .breaks = "MIG-P2P-5: mapped memory is compared after the freeze",
      .on_state = forget_p2p,
      .sound_partner = 1,
      .caught_by = "access.mmap.p2p" },
    { .name = "forgets what is written to its memory in STOP",
      .breaks = "MIG-STOP-4: mapped memory is compared",
      .on_state = forget_stop,
      .sound_partner = 1,
      .caught_by = "access.mmap.stopped" },
    { .name = "refuses a load because its memory was written to",
      .breaks = "MIG-RES-4: such a write is no harm",
      .before = insist_on_memory,
      .sound_partner = 1,
      .caught_by = "access.mmap.resuming" },
    { .name = "takes writes of config space in ERROR",
      .breaks = "MIG-ERR-1: all but what a rule allows is refused in ERROR",
      .before = take_config_in_error,
      TO_ERROR,
      .caught_by = "access.error.refused" },
    { .name = "hides config space in ERROR",
      .breaks = "MIG-ERR-2: config space can be read in ERROR",
      .before = hide_config_in_error,
      TO_ERROR,
      .caught_by = "access.error.config" },
    { .name = "keeps what was written to its memory in ERROR over the reset",
      .breaks = "MIG-ERR-3: the reset drops it",
      .before = keep_before_reset,
      .describe = mutant_can_fail,
      .after = put_back_after_reset,
      .sound_partner = 1,
      .caught_by = "access.error.void" },
    { .name = "writes to memory in ERROR",
      .breaks = "MIG-ERR-1: it starts no DMA in ERROR",
      TO_ERROR,
      .work = write_in_error,
      .caught_by = "access.error.refused" },
    { .name = "interrupts in ERROR",
      .breaks = "MIG-ERR-1: it raises no interrupt in ERROR",
      TO_ERROR,
      .work = interrupt_in_error,
      .caught_by = "access.error.refused" },
    { .name = NULL },
};
