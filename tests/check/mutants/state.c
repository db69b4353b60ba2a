/* SPDX-License-Identifier: BSD-3-Clause */
#include <string.h>

#include "tests/check/mutants/mutants.h"

/* What breaks the rules of states, arcs, sessions and resets. */

static int refuse_stop(struct mutant *mutant, struct ferry_request *request)
{
    return mutant_arc(mutant, request, FERRY_STATE_RUNNING, FERRY_STATE_STOP)
               ? FERRY_E_IO
               : MUTANT_PASS;
}

static int stay_in_precopy(struct mutant *mutant, struct ferry_request *request)
{
    return mutant_arc(mutant, request, FERRY_STATE_PRE_COPY, FERRY_STATE_RUNNING)
               ? FERRY_OK
               : MUTANT_PASS;
}

/* A request that is held back for ever. */
static int never_stop_copy(struct mutant *mutant, struct ferry_request *request)
{
    return mutant_arc(mutant, request, FERRY_STATE_STOP, FERRY_STATE_STOP_COPY)
               ? mutant_hold(mutant, request)
               : MUTANT_PASS;
}

/* The word of the device is another than its state, over the wire. */
static void lie_about_stop(struct mutant_wire *wire, struct wire_message *message)
{
    const uint32_t at = 8; /* argsz, flags: then the data */

    (void)wire;
    if (wire_is_reply_to(message, FERRY_WIRE_FEATURE) && message->size >= 12 &&
        (wire_get32(message, 4) & 0x1ffffu) == (0x10000u | 2u) &&
        wire_get32(message, at) == FERRY_STATE_STOP) {
        wire_put32(message, at, FERRY_STATE_RUNNING);
    }
}

/* Its bit 3 says nothing yet. */
static int have_an_unknown_flag(struct mutant *mutant, struct ferry_request *request,
                                int status)
{
    if (request->kind == FERRY_RQ_MIG_FLAGS && mutant->total[FERRY_RQ_MIG_FLAGS] > 1) {
        request->u.mig_flags |= 8;
    }
    return status;
}

static int lose_a_flag(struct mutant *mutant, struct ferry_request *request, int status)
{
    if (request->kind == FERRY_RQ_MIG_FLAGS && mutant_in(mutant, FERRY_STATE_STOP_COPY)) {
        request->u.mig_flags &= ~(uint64_t)FERRY_MIG_PRE_COPY;
    }
    return status;
}

static int probes(const struct ferry_request *request, uint32_t index, uint32_t operation)
{
    return request->kind == FERRY_RQ_PROBE && request->u.probe.index == index &&
           request->u.probe.operation == operation;
}

static int hide_the_data_size(struct mutant *mutant, struct ferry_request *request)
{
    (void)mutant;
    return probes(request, 9, FERRY_FEATURE_GET) ? FERRY_E_UNSUPPORTED : MUTANT_PASS;
}

static int know_no_enotty(struct mutant *mutant, struct ferry_request *request,
                          int status)
{
    (void)mutant;
    return request->kind == FERRY_RQ_PROBE && status == FERRY_E_UNSUPPORTED
               ? FERRY_E_ARGUMENT
               : status;
}

static int do_what_is_probed(struct mutant *mutant, struct ferry_request *request)
{
    if (probes(request, 2, FERRY_FEATURE_SET)) {
        (void)mutant_set_state(mutant, FERRY_STATE_STOP);
    }
    return MUTANT_PASS;
}

/* Flag bits that nobody knows are passed over. */
static void ignore_flags(struct mutant_wire *wire, struct wire_message *message)
{
    (void)wire;
    if (wire_is_command(message, FERRY_WIRE_FEATURE) && message->size >= 8) {
        wire_put32(message, 4, wire_get32(message, 4) & 0x7ffffu);
    }
}

static int refuse_the_same(struct mutant *mutant, struct ferry_request *request)
{
    return mutant_sets(request, mutant->state) ? FERRY_E_ARGUMENT : MUTANT_PASS;
}

/* A SET to STOP_COPY in STOP_COPY begins again. */
static int begin_again(struct mutant *mutant, struct ferry_request *request)
{
    if (mutant_arc(mutant, request, FERRY_STATE_STOP_COPY, FERRY_STATE_STOP_COPY)) {
        (void)mutant_set_state(mutant, FERRY_STATE_STOP);
    }
    return MUTANT_PASS;
}

enum { FAILED = 0, WALKING = 1 };

static int note_failure(struct mutant *mutant, struct ferry_request *request)
{
    if (request->kind == FERRY_RQ_RESET) {
        mutant->var[FAILED] = 0;
    }
    return MUTANT_PASS;
}

/* After a load that was refused: a state that lies on no way. */
static int be_anywhere(struct mutant *mutant, struct ferry_request *request, int status)
{
    if (request->kind == FERRY_RQ_SET_STATE && status < 0 && status != FERRY_E_ARC &&
        mutant_in(mutant, FERRY_STATE_RESUMING)) {
        mutant->var[FAILED] = 1;
    }
    if (request->kind == FERRY_RQ_GET_STATE && mutant->var[FAILED] &&
        mutant_in(mutant, FERRY_STATE_RESUMING)) {
        request->u.state = FERRY_STATE_STOP_COPY;
    }
    return status;
}

/* While it walks it says STOP_COPY, wherever it goes. */
static int walk_slowly(struct mutant *mutant, struct ferry_request *request)
{
    if (request->kind == FERRY_RQ_SET_STATE && ferry_state_exists(request->u.state, 7) &&
        request->u.state != FERRY_STATE_ERROR && !mutant_sets(request, mutant->state)) {
        mutant->var[WALKING] = 3;
        mutant_wake(mutant);
        return mutant_hold(mutant, request);
    }
    return MUTANT_PASS;
}

static int say_stop_copy(struct mutant *mutant, struct ferry_request *request, int status)
{
    if (request->kind == FERRY_RQ_GET_STATE && mutant->var[WALKING] > 0) {
        request->u.state = FERRY_STATE_STOP_COPY;
    }
    return status;
}

static int walk_on(struct mutant *mutant)
{
    if (mutant->var[WALKING] > 0 && --mutant->var[WALKING] == 0) {
        mutant_release(mutant, MUTANT_PASS);
    }
    return mutant->var[WALKING] > 0;
}

/* A load that was ended too early cannot go on. */
static int spoil_early_load(struct mutant *mutant, struct ferry_request *request)
{
    if (request->kind == FERRY_RQ_RESET) {
        mutant->var[FAILED] = 0;
    }
    return request->kind == FERRY_RQ_DATA_WRITE && mutant->var[FAILED] ? FERRY_E_CORRUPT
                                                                       : MUTANT_PASS;
}

static int note_early_end(struct mutant *mutant, struct ferry_request *request,
                          int status)
{
    if (request->kind == FERRY_RQ_SET_STATE && status == FERRY_E_SHORT) {
        mutant->var[FAILED] = 1;
    }
    return status;
}

/* A SET_STATE to STOP leads out of ERROR, as a reset would. */
static int leave_error(struct mutant *mutant, struct ferry_request *request)
{
    if (mutant_arc(mutant, request, FERRY_STATE_ERROR, FERRY_STATE_STOP)) {
        (void)mutant_reset(mutant);
    }
    return MUTANT_PASS;
}

/* The end of the data ends STOP_COPY too. */
static int leave_at_the_end(struct mutant *mutant, struct ferry_request *request,
                            int status)
{
    if (request->kind == FERRY_RQ_DATA_READ && status == FERRY_OK &&
        request->u.data.got == 0 && mutant_in(mutant, FERRY_STATE_STOP_COPY)) {
        (void)mutant_set_state(mutant, FERRY_STATE_STOP);
    }
    return status;
}

static int forbidden(const struct ferry_request *request)
{
    return request->kind == FERRY_RQ_SET_STATE &&
           (request->u.state == FERRY_STATE_ERROR ||
            request->u.state >= FERRY_STATE_COUNT);
}

static int look_at_eight_bits(struct mutant *mutant, struct ferry_request *request)
{
    (void)mutant;
    if (request->kind == FERRY_RQ_SET_STATE) {
        request->u.state &= 0xffu;
    }
    return MUTANT_PASS;
}

/* As a driver did: the request is refused, and the device stopped. */
static int stop_when_asked_badly(struct mutant *mutant, struct ferry_request *request)
{
    if (forbidden(request) && mutant_in(mutant, FERRY_STATE_RUNNING)) {
        (void)mutant_set_state(mutant, FERRY_STATE_STOP);
    }
    return MUTANT_PASS;
}

static int call_it_a_failure(struct mutant *mutant, struct ferry_request *request)
{
    (void)mutant;
    return forbidden(request) ? FERRY_E_IO : MUTANT_PASS;
}

static int begin_again_when_asked_badly(struct mutant *mutant,
                                        struct ferry_request *request)
{
    if (forbidden(request) && mutant_in(mutant, FERRY_STATE_STOP_COPY)) {
        (void)mutant_set_state(mutant, FERRY_STATE_STOP);
        (void)mutant_set_state(mutant, FERRY_STATE_STOP_COPY);
    }
    return MUTANT_PASS;
}

/* The state is right, but what the device had in hand is gone. */
static int drop_work_when_asked_badly(struct mutant *mutant,
                                      struct ferry_request *request)
{
    if (forbidden(request) && mutant_in(mutant, FERRY_STATE_RUNNING)) {
        (void)mutant_reset(mutant);
    }
    return MUTANT_PASS;
}

static int go_back(struct mutant *mutant, struct ferry_request *request)
{
    if (mutant_arc(mutant, request, FERRY_STATE_STOP_COPY, FERRY_STATE_PRE_COPY)) {
        (void)mutant_set_state(mutant, FERRY_STATE_RUNNING);
    }
    return MUTANT_PASS;
}

static int go_back_over_p2p(struct mutant *mutant, struct ferry_request *request)
{
    if (mutant_arc(mutant, request, FERRY_STATE_STOP_COPY, FERRY_STATE_PRE_COPY_P2P)) {
        (void)mutant_set_state(mutant, FERRY_STATE_RUNNING);
    }
    return MUTANT_PASS;
}

/* As kernels did: the request never ends. */
static int hang_on_the_way_back(struct mutant *mutant, struct ferry_request *request)
{
    return mutant_arc(mutant, request, FERRY_STATE_STOP_COPY, FERRY_STATE_PRE_COPY)
               ? mutant_hold(mutant, request)
               : MUTANT_PASS;
}

/* Without P2P it says that it is there, and stays. */
static int pretend_p2p(struct mutant *mutant, struct ferry_request *request)
{
    (void)mutant;
    return mutant_sets(request, FERRY_STATE_RUNNING_P2P) ? FERRY_OK : MUTANT_PASS;
}

enum { ARMED = 0 };

static void arm_behind_a_load(struct mutant *mutant, uint32_t from, uint32_t to)
{
    mutant->var[ARMED] = from == FERRY_STATE_RESUMING && to == FERRY_STATE_STOP_COPY;
}

/* The first byte of such a session is lost. */
static int lose_the_first_byte(struct mutant *mutant, struct ferry_request *request)
{
    uint8_t byte;
    struct ferry_request own = { .kind = FERRY_RQ_DATA_READ };

    if (request->kind == FERRY_RQ_DATA_READ && mutant->var[ARMED]) {
        mutant->var[ARMED] = 0;
        own.u.data.data = &byte;
        own.u.data.size = 1;
        (void)mutant_call(mutant, &own);
    }
    return MUTANT_PASS;
}

static void arm_when_it_runs_on(struct mutant *mutant, uint32_t from, uint32_t to)
{
    mutant->var[ARMED] = from == FERRY_STATE_STOP && to == FERRY_STATE_RUNNING &&
                         mutant->kind != FERRY_RQ_RESET;
}

static void arm_when_saved(struct mutant *mutant, uint32_t from, uint32_t to)
{
    mutant->var[ARMED] = from == FERRY_STATE_STOP_COPY && to == FERRY_STATE_STOP;
}

static void arm_when_loaded(struct mutant *mutant, uint32_t from, uint32_t to)
{
    mutant->var[ARMED] = from == FERRY_STATE_RESUMING && to == FERRY_STATE_STOP;
}

static int give_data(struct mutant *mutant, struct ferry_request *request)
{
    if (request->kind == FERRY_RQ_RESET) {
        mutant->var[ARMED] = 0;
    }
    if (request->kind != FERRY_RQ_DATA_READ || !mutant->var[ARMED]) {
        return MUTANT_PASS;
    }
    memset(request->u.data.data, 0, (size_t)request->u.data.size);
    request->u.data.got = request->u.data.size;
    return FERRY_OK;
}

static int take_data(struct mutant *mutant, struct ferry_request *request)
{
    if (request->kind == FERRY_RQ_RESET) {
        mutant->var[ARMED] = 0;
    }
    return request->kind == FERRY_RQ_DATA_WRITE && mutant->var[ARMED] ? FERRY_OK
                                                                      : MUTANT_PASS;
}

/* The way back within the session goes over another one. */
static int begin_again_within(struct mutant *mutant, struct ferry_request *request)
{
    if (mutant_arc(mutant, request, FERRY_STATE_PRE_COPY_P2P, FERRY_STATE_PRE_COPY)) {
        (void)mutant_set_state(mutant, FERRY_STATE_RUNNING);
    }
    return MUTANT_PASS;
}

static int take_while_saving(struct mutant *mutant, struct ferry_request *request)
{
    return request->kind == FERRY_RQ_DATA_WRITE &&
                   mutant_in(mutant, FERRY_STATE_STOP_COPY)
               ? FERRY_OK
               : MUTANT_PASS;
}

/* Refused, but a byte of the stream is gone. */
static int swallow_while_saving(struct mutant *mutant, struct ferry_request *request)
{
    if (request->kind == FERRY_RQ_DATA_WRITE &&
        mutant_in(mutant, FERRY_STATE_STOP_COPY)) {
        mutant->var[ARMED] = 1;
    }
    return lose_the_first_byte(mutant, request);
}

const struct check_mutant mutants_state[] = {
    { .name = "refuses to stop when it runs",
      .breaks = "every legal arc works",
      .before = refuse_stop,
      .only = "arc.legal",
      .caught_by = "arc.legal" },
    { .name = "says that it left PRE_COPY and stays",
      .breaks = "after SET_STATE the device is in that state",
      .before = stay_in_precopy,
      .only = "arc.legal",
      .caught_by = "arc.legal" },
    { .name = "never ends its way from STOP to STOP_COPY",
      .breaks = "an arc ends (MIG-ARC-7)",
      .before = never_stop_copy,
      .timeout_ms = 50,
      .only = "arc.legal",
      .caught_by = "arc.legal" },
    { .name = "says RUNNING in STOP over vfio-user",
      .breaks = "GET_STATE tells the state",
      .wire = lie_about_stop,
      .only = "arc.legal",
      .caught_by = "arc.legal" },
    { .name = "has a migration flag that nobody knows",
      .breaks = "the flags are a combination that is defined",
      .after = have_an_unknown_flag,
      .caught_by = "feature.flags" },
    { .name = "loses a migration flag in STOP_COPY",
      .breaks = "the flags do not change",
      .after = lose_a_flag,
      .caught_by = "feature.flags" },
    { .name = "denies that it has MIG_DATA_SIZE",
      .breaks = "PROBE tells what is there",
      .before = hide_the_data_size,
      .caught_by = "feature.probe" },
    { .name = "calls a feature that it lacks a bad argument",
      .breaks = "what is not there gives ENOTTY",
      .after = know_no_enotty,
      .caught_by = "feature.unknown" },
    { .name = "stops when it is probed for SET_STATE",
      .breaks = "PROBE changes nothing",
      .before = do_what_is_probed,
      .caught_by = "feature.still" },
    { .name = "takes feature messages with flags that nobody knows",
      .breaks = "unknown flags are refused",
      .wire = ignore_flags,
      .caught_by = "feature.message" },
    { .name = "refuses a change to the present state",
      .breaks = "a change to the present state succeeds",
      .before = refuse_the_same,
      .caught_by = "arc.same" },
    { .name = "begins its session again when it is told to stay",
      .breaks = "a change to the present state begins no session",
      .before = begin_again,
      .caught_by = "arc.same" },
    { .name = "says STOP_COPY after a load that was refused",
      .breaks = "after a failure it is on the way",
      .before = note_failure,
      .after = be_anywhere,
      .caught_by = "arc.failed" },
    { .name = "says STOP_COPY while it is on any way",
      .breaks = "a change takes the shortest way",
      .before = walk_slowly,
      .after = say_stop_copy,
      .work = walk_on,
      .caught_by = "arc.seen" },
    { .name = "takes no more of a load that it was too early to end",
      .breaks = "an arc that fails without ERROR has no effect",
      .before = spoil_early_load,
      .after = note_early_end,
      .caught_by = "arc.failed.goes-on" },
    { .name = "leaves ERROR for STOP",
      .breaks = "only a reset leaves ERROR",
      .describe = mutant_can_fail,
      .before = leave_error,
      .after = mutant_loads_into_error,
      .caught_by = "arc.error" },
    { .name = "stops by itself when all is read",
      .breaks = "the state changes by request only",
      .after = leave_at_the_end,
      .caught_by = "arc.alone" },
    { .name = "looks at the lowest 8 bits of a state",
      .breaks = "what is no state is refused",
      .before = look_at_eight_bits,
      .caught_by = "arc.forbidden arc.errno" },
    { .name = "takes a state that its features lack",
      .breaks = "what the features lack is refused",
      .model = MUTANT_ACC,
      .before = pretend_p2p,
      .caught_by = "arc.forbidden arc.errno" },
    { .name = "never answers a change from STOP_COPY to PRE_COPY",
      .breaks = "there is no way back, and that is said at once",
      .before = hang_on_the_way_back,
      .timeout_ms = 50,
      .only = "arc.back arc.legal",
      .caught_by = "arc.back" },
    { .name = "stops when it is asked for what cannot be",
      .breaks = "a refusal changes nothing",
      .before = stop_when_asked_badly,
      .caught_by = "arc.forbidden",
      .also = "arc.forbidden.work" },
    { .name = "fails with EIO what cannot be",
      .breaks = "what cannot be gives EINVAL",
      .before = call_it_a_failure,
      .caught_by = "arc.errno" },
    { .name = "begins its session again when it is asked for what cannot be",
      .breaks = "a refusal changes nothing",
      .before = begin_again_when_asked_badly,
      .caught_by = "arc.forbidden.session" },
    { .name = "drops its work when it is asked for what cannot be",
      .breaks = "a refusal changes nothing",
      .before = drop_work_when_asked_badly,
      .caught_by = "arc.forbidden.work arc.forbidden" },
    { .name = "goes from STOP_COPY back to PRE_COPY",
      .breaks = "there is no way back",
      .before = go_back,
      .caught_by = "arc.back" },
    { .name = "goes from STOP_COPY back to PRE_COPY_P2P",
      .breaks = "there is no way back",
      .before = go_back_over_p2p,
      .caught_by = "arc.back" },
    { .name = "loses the first byte of a save behind a load",
      .breaks = "a session begins with its first byte",
      .before = lose_the_first_byte,
      .on_state = arm_behind_a_load,
      .caught_by = "session.begins" },
    { .name = "gives data when it runs again",
      .breaks = "no other arc begins a session",
      .before = give_data,
      .on_state = arm_when_it_runs_on,
      .caught_by = "session.none" },
    { .name = "gives data after STOP_COPY",
      .breaks = "a session ends with its states",
      .before = give_data,
      .on_state = arm_when_saved,
      .caught_by = "session.ends" },
    { .name = "takes data after RESUMING",
      .breaks = "a session ends with its state",
      .before = take_data,
      .on_state = arm_when_loaded,
      .caught_by = "session.ends" },
    { .name = "begins another session on the way from PRE_COPY_P2P to PRE_COPY",
      .breaks = "moves inside a session keep it",
      .before = begin_again_within,
      .caught_by = "session.kept" },
    { .name = "takes data in STOP_COPY",
      .breaks = "a saving session takes nothing",
      .before = take_while_saving,
      .caught_by = "session.direction" },
    { .name = "loses a byte when it refuses data in STOP_COPY",
      .breaks = "a refusal changes nothing",
      .before = swallow_while_saving,
      .caught_by = "session.direction" },
    { .name = NULL },
};
