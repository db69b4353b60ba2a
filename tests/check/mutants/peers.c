/* SPDX-License-Identifier: BSD-3-Clause */
#include <string.h>

#include "models/copy/copy_regs.h"
#include "tests/check/mutants/mutants.h"

/* What breaks the rules between two devices, and of requests that come at once. */

#define SCRATCH 0x500000u /* where a peer's memory is mapped */
#define OWN_BYTES 65536u  /* of MUTANT_COPY */
#define SMALL 4096u       /* only readers and writers that race use pieces below it */
#define CONFIG 7u

static uint8_t *own_memory(struct mutant *mutant)
{
    return ferry_device_region_memory(mutant->device, COPY_BAR_MEMORY);
}

/* -- Peers -- */

static void keep_in_p2p(struct mutant *mutant, uint32_t from, uint32_t to)
{
    (void)from;
    if (to == FERRY_STATE_RUNNING_P2P || to == FERRY_STATE_STOP) {
        mutant_keep(mutant, own_memory(mutant), OWN_BYTES, 0);
    }
}

/* As if what comes from peers went nowhere. */
static int lose_in_p2p(struct mutant *mutant, struct ferry_request *request)
{
    if (mutant_in(mutant, FERRY_STATE_RUNNING_P2P) && mutant->bytes != NULL &&
        mutant_sets(request, FERRY_STATE_STOP)) {
        memcpy(own_memory(mutant), mutant->bytes, OWN_BYTES);
    }
    return MUTANT_PASS;
}

static int stay_stopped(struct mutant *mutant, struct ferry_request *request)
{
    return mutant_arc(mutant, request, FERRY_STATE_STOP, FERRY_STATE_RUNNING) &&
                   mutant->bytes != NULL &&
                   memcmp(own_memory(mutant), mutant->bytes, OWN_BYTES) != 0
               ? FERRY_E_DEVICE
               : MUTANT_PASS;
}

/* Is a peer's memory mapped there, alone? */
static int has_peer(const struct mutant *mutant)
{
    for (uint32_t i = 0; i < MUTANT_MAPS_MAX; i++) {
        if (mutant->map[i].size > 0 && mutant->map[i].iova == SCRATCH) {
            return 1;
        }
    }
    return 0;
}

static int write_to_peer(struct mutant *mutant)
{
    if (mutant_in(mutant, FERRY_STATE_RUNNING_P2P) && has_peer(mutant)) {
        mutant->var[0]++; /* never the same again, however often */
        (void)mutant_write(mutant, SCRATCH, &mutant->var[0], sizeof(mutant->var[0]));
    }
    return 0;
}

static int rings(const struct ferry_request *request)
{
    return request->kind == FERRY_RQ_REGION_WRITE &&
           request->u.io.index == COPY_BAR_REGS && request->u.io.off == COPY_DOORBELL_OFF;
}

static int lose_doorbell_in_p2p(struct mutant *mutant, struct ferry_request *request)
{
    return mutant_in(mutant, FERRY_STATE_RUNNING_P2P) && rings(request) ? FERRY_OK
                                                                        : MUTANT_PASS;
}

static void no_latch(struct ferry_device_desc *desc)
{
    desc->identity.doorbell_latch = 0;
}

/* Says that it does not latch, refuses nothing, and forgets. */
static int take_doorbell_in_p2p(struct mutant *mutant, struct ferry_request *request)
{
    return (mutant_in(mutant, FERRY_STATE_RUNNING_P2P) ||
            mutant_in(mutant, FERRY_STATE_PRE_COPY_P2P)) &&
                   rings(request)
               ? FERRY_OK
               : MUTANT_PASS;
}

/* -- At once -- */

static int is_small(const struct ferry_request *request)
{
    return (request->kind == FERRY_RQ_DATA_READ ||
            request->kind == FERRY_RQ_DATA_WRITE) &&
           request->u.data.size < SMALL;
}

/* Every other reader gets what the one before it got. */
static int give_twice(struct mutant *mutant, struct ferry_request *request)
{
    if (!is_small(request) || !mutant_is(request, FERRY_RQ_DATA_READ) ||
        mutant->byte_count == 0 || mutant->since[FERRY_RQ_DATA_READ] % 8 != 0) {
        return MUTANT_PASS;
    }
    request->u.data.got = mutant->byte_count < request->u.data.size
                              ? mutant->byte_count
                              : request->u.data.size;
    memcpy(request->u.data.data, mutant->bytes, (size_t)request->u.data.got);
    return FERRY_OK;
}

static int keep_piece(struct mutant *mutant, struct ferry_request *request, int status)
{
    if (is_small(request) && mutant_is(request, FERRY_RQ_DATA_READ) &&
        status == FERRY_OK && request->u.data.got > 0) {
        mutant_keep(mutant, request->u.data.data, (size_t)request->u.data.got, 0);
    }
    return status;
}

/* Loses one, and does not know it. */
static int lose_piece(struct mutant *mutant, struct ferry_request *request)
{
    if (is_small(request) && mutant_is(request, FERRY_RQ_DATA_READ) &&
        mutant_nth(mutant, 3)) {
        struct ferry_request own = *request;

        (void)mutant_call(mutant, &own);
    }
    return MUTANT_PASS;
}

static int believe_anything(struct mutant *mutant, struct ferry_request *request,
                            int status)
{
    if (mutant_sets(request, FERRY_STATE_STOP) && status < 0 &&
        mutant_in(mutant, FERRY_STATE_RESUMING)) {
        (void)mutant_reset(mutant);
        return mutant_set_state(mutant, FERRY_STATE_STOP);
    }
    return status;
}

/* var[0]: a transfer in small pieces is under way. */
static void forget_transfer(struct mutant *mutant, uint32_t from, uint32_t to)
{
    (void)from;
    (void)to;
    mutant->var[0] = 0;
}

static int see_end(struct mutant *mutant, struct ferry_request *request, int status)
{
    if (mutant_is(request, FERRY_RQ_DATA_READ) && is_small(request)) {
        mutant->var[0] = status == FERRY_OK && request->u.data.got > 0;
    }
    return status;
}

static int ignore_set_during_reads(struct mutant *mutant, struct ferry_request *request)
{
    return mutant_arc(mutant, request, FERRY_STATE_STOP_COPY, FERRY_STATE_STOP) &&
                   mutant->var[0] != 0
               ? FERRY_OK
               : MUTANT_PASS;
}

static int mark_reset_during_reads(struct mutant *mutant, struct ferry_request *request)
{
    if (mutant_is(request, FERRY_RQ_RESET)) {
        mutant->var[1] = mutant->var[0];
    }
    return MUTANT_PASS;
}

static int stop_by_reset(struct mutant *mutant, struct ferry_request *request, int status)
{
    if (mutant_is(request, FERRY_RQ_RESET) && mutant->var[1] != 0) {
        mutant->var[1] = 0;
        (void)mutant_set_state(mutant, FERRY_STATE_STOP);
    }
    return see_end(mutant, request, status);
}

static int get_tired(struct mutant *mutant, struct ferry_request *request, int status)
{
    if (mutant_is(request, FERRY_RQ_GET_STATE) &&
        mutant->since[FERRY_RQ_GET_STATE] > 20) {
        request->u.state = FERRY_STATE_ERROR;
    }
    return status;
}

/* Only two changes at once come without anything in between, the first over many arcs. */
static int deny_second_set(struct mutant *mutant, struct ferry_request *request)
{
    const int longer =
        mutant_arc(mutant, request, FERRY_STATE_RUNNING, FERRY_STATE_STOP) ||
        mutant_arc(mutant, request, FERRY_STATE_RUNNING, FERRY_STATE_STOP_COPY);

    mutant->var[1] = mutant->var[0] != 0 && mutant_is(request, FERRY_RQ_SET_STATE);
    mutant->var[0] = longer ? 1 : 0;
    return MUTANT_PASS;
}

static int perform_and_deny(struct mutant *mutant, struct ferry_request *request,
                            int status)
{
    return mutant_is(request, FERRY_RQ_SET_STATE) && mutant->var[1] != 0 ? FERRY_E_BUSY
                                                                         : status;
}

static int mix_answers(struct mutant *mutant, struct ferry_request *request, int status)
{
    if (mutant_is(request, FERRY_RQ_REGION_READ) && request->u.io.index == CONFIG &&
        request->u.io.count == 64 && mutant->total[FERRY_RQ_REGION_READ] % 3 == 0) {
        *(uint8_t *)request->u.io.data ^= 0xffu;
    }
    return status;
}

static int never_answer(struct mutant *mutant, struct ferry_request *request)
{
    return mutant_is(request, FERRY_RQ_GET_INFO) && mutant->total[FERRY_RQ_GET_INFO] > 8
               ? mutant_hold(mutant, request)
               : MUTANT_PASS;
}

const struct check_mutant mutants_peers[] = {
    { .name = "loses what peers write in RUNNING_P2P",
      .breaks = "MIG-P2P-4: a device in a P2P state takes DMA from peers",
      .before = lose_in_p2p,
      .on_state = keep_in_p2p,
      .sound_device = 1,
      .only = "p2p.*",
      .caught_by = "p2p.accept" },
    { .name = "stays in STOP when a peer wrote to it",
      .breaks = "MIG-STOP-5: DMA that comes too late is no harm",
      .before = stay_stopped,
      .on_state = keep_in_p2p,
      .sound_device = 1,
      .only = "p2p.*",
      .caught_by = "p2p.late" },
    { .name = "writes to its peer in RUNNING_P2P",
      .breaks = "MIG-P2P-1: no DMA to a peer in a P2P state",
      .work = write_to_peer,
      .sound_partner = 1,
      .only = "p2p.*",
      .caught_by = "p2p.peers" },
    { .name = "loses a doorbell in RUNNING_P2P",
      .breaks = "MIG-P2P-2: it is latched",
      .before = lose_doorbell_in_p2p,
      .only = "p2p.*",
      .caught_by = "p2p.latch" },
    { .name = "takes doorbells in P2P states, and says that it does not latch them",
      .breaks = "MIG-P2P-2: without a latch they are refused",
      .before = take_doorbell_in_p2p,
      .describe = no_latch,
      .only = "p2p.*",
      .caught_by = "p2p.latch" },
    { .name = "gives two readers the same bytes",
      .breaks = "MIG-RACE-1: each byte once",
      .before = give_twice,
      .after = keep_piece,
      .only = "race.*",
      .caught_by = "race.readers" },
    { .name = "loses bytes between two readers",
      .breaks = "MIG-RACE-1: each byte once",
      .before = lose_piece,
      .only = "race.*",
      .caught_by = "race.readers" },
    { .name = "takes what two writers made for a state",
      .breaks = "MIG-RACE-2: what comes at once does no harm",
      .after = believe_anything,
      .only = "race.*",
      .caught_by = "race.writers" },
    { .name = "answers a SET_STATE during reads and does not perform it",
      .breaks = "MIG-RACE-2: GET tells the state",
      .before = ignore_set_during_reads,
      .after = see_end,
      .on_state = forget_transfer,
      .only = "race.*",
      .caught_by = "race.set" },
    { .name = "stops by a reset during reads",
      .breaks = "MIG-RST-3: it ends in RUNNING",
      .before = mark_reset_during_reads,
      .after = stop_by_reset,
      .on_state = forget_transfer,
      .only = "race.*",
      .caught_by = "race.reset" },
    { .name = "tells another state when it is asked too often",
      .breaks = "MIG-ARC-6: the state changes by a request only",
      .after = get_tired,
      .only = "race.*",
      .caught_by = "race.get" },
    { .name = "denies the second of two changes and performs it",
      .breaks = "MIG-ARC-8: it is refused or waits",
      .before = deny_second_set,
      .after = perform_and_deny,
      .only = "race.*",
      .caught_by = "race.sets" },
    { .name = "gives one reader another one's answer",
      .breaks = "MIG-RACE-2: each request is answered",
      .after = mix_answers,
      .only = "race.*",
      .caught_by = "race.many" },
    { .name = "does not answer when many requests are under way",
      .breaks = "MIG-RACE-2: each request is answered",
      .before = never_answer,
      .timeout_ms = 200,
      .only = "race.many",
      .caught_by = "race.many" },
    { .name = NULL },
};
