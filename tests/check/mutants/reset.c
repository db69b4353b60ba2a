/* SPDX-License-Identifier: BSD-3-Clause */
#include <string.h>
#include <unistd.h>

#include "tests/check/mutants/mutants.h"

/* What breaks the rules of cancelled sessions, resets and reopening. */

#define EXTRA_IOVA 0x40000000u /* what the checks map for a while */
#define SCRATCH_IOVA 0x500000u
#define MSIX 2u

enum { ARMED = 0, COUNT = 1 };

/* -- Cancelled sessions -- */

/* As long as one byte was read it cannot be left. */
static int hold_on_to_a_byte(struct mutant *mutant, struct ferry_request *request)
{
    return mutant_arc(mutant, request, FERRY_STATE_STOP_COPY, FERRY_STATE_RUNNING) &&
                   mutant->data_bytes == 1
               ? FERRY_E_IO
               : MUTANT_PASS;
}

static int swallow(struct mutant *mutant)
{
    struct ferry_request own = { .kind = FERRY_RQ_DATA_READ };
    uint8_t byte;

    own.u.data.data = &byte;
    own.u.data.size = 1;
    return mutant_call(mutant, &own);
}

/* What it sent before it was cancelled it takes for sent. */
static int remember_what_was_sent(struct mutant *mutant, struct ferry_request *request)
{
    if (request->kind == FERRY_RQ_RESET) {
        mutant->var[ARMED] = 0;
    } else if (mutant_in(mutant, FERRY_STATE_STOP_COPY) &&
               request->kind == FERRY_RQ_SET_STATE && mutant->data_bytes == 1) {
        mutant->var[ARMED] = 1;
    } else if (request->kind == FERRY_RQ_DATA_READ && mutant->var[ARMED] &&
               mutant_in(mutant, FERRY_STATE_STOP_COPY)) {
        mutant->var[ARMED] = 0;
        (void)swallow(mutant);
    }
    return MUTANT_PASS;
}

static void count_sessions(struct mutant *mutant, uint32_t from, uint32_t to)
{
    (void)from;
    mutant->var[COUNT] += to == FERRY_STATE_STOP_COPY;
}

static int forget_the_count(struct mutant *mutant, struct ferry_request *request)
{
    if (request->kind == FERRY_RQ_RESET) {
        mutant->var[COUNT] = 0;
    }
    return MUTANT_PASS;
}

/* From the sixth session on a byte is another. */
static int tire(struct mutant *mutant, struct ferry_request *request, int status)
{
    if (request->kind == FERRY_RQ_DATA_READ && status == FERRY_OK &&
        request->u.data.got > 0 && mutant->var[COUNT] > 5) {
        *(uint8_t *)request->u.data.data ^= 1;
    }
    return status;
}

/* Who goes back from PRE_COPY finds its work gone. */
static int drop_work(struct mutant *mutant, struct ferry_request *request)
{
    if (mutant_arc(mutant, request, FERRY_STATE_PRE_COPY, FERRY_STATE_RUNNING)) {
        (void)mutant_reset(mutant);
    }
    return MUTANT_PASS;
}

/* -- Loads -- */

/* What is left of a load that a reset ended stands in the way of the next. */
static int keep_half_a_load(struct mutant *mutant, struct ferry_request *request)
{
    if (request->kind == FERRY_RQ_RESET) {
        mutant->var[ARMED] =
            mutant_in(mutant, FERRY_STATE_RESUMING) && mutant->data_bytes > 0;
    }
    return request->kind == FERRY_RQ_DATA_WRITE && mutant->var[ARMED] ? FERRY_E_CORRUPT
                                                                      : MUTANT_PASS;
}

static int judge_anew_after_a_reset(struct mutant *mutant, struct ferry_request *request)
{
    if (request->kind == FERRY_RQ_RESET && !mutant_in(mutant, FERRY_STATE_RESUMING)) {
        mutant->var[ARMED] = 0;
    }
    return MUTANT_PASS;
}

/* A load is judged once; the next is taken. */
static int judge_once(struct mutant *mutant, struct ferry_request *request, int status)
{
    if (request->kind != FERRY_RQ_SET_STATE || status >= 0 ||
        !mutant_in(mutant, FERRY_STATE_RESUMING)) {
        return status;
    }
    if (mutant->var[ARMED]) {
        (void)mutant_reset(mutant);
        return mutant_set_state(mutant, FERRY_STATE_STOP);
    }
    mutant->var[ARMED] = 1;
    return status;
}

/* -- Resets -- */

static int reset_into_stop(struct mutant *mutant, struct ferry_request *request)
{
    if (request->kind != FERRY_RQ_RESET || !mutant_in(mutant, FERRY_STATE_STOP_COPY)) {
        return MUTANT_PASS;
    }
    (void)mutant_reset(mutant);
    return mutant_set_state(mutant, FERRY_STATE_STOP);
}

/* Data of a session that a reset ended. */
static int give_data_after_a_reset(struct mutant *mutant, struct ferry_request *request)
{
    if (request->kind == FERRY_RQ_RESET) {
        mutant->var[ARMED] = mutant_in(mutant, FERRY_STATE_STOP_COPY) != 0;
    } else if (request->kind == FERRY_RQ_SET_STATE) {
        mutant->var[ARMED] = 0;
    } else if (request->kind == FERRY_RQ_DATA_READ && mutant->var[ARMED]) {
        memset(request->u.data.data, 0, (size_t)request->u.data.size);
        request->u.data.got = request->u.data.size;
        return FERRY_OK;
    }
    return MUTANT_PASS;
}

/* A reset in PRE_COPY leaves something that the next save shows. */
static int keep_something(struct mutant *mutant, struct ferry_request *request)
{
    if (request->kind == FERRY_RQ_RESET) {
        mutant->var[ARMED] = mutant_in(mutant, FERRY_STATE_PRE_COPY) != 0;
    }
    return MUTANT_PASS;
}

static int show_something(struct mutant *mutant, struct ferry_request *request,
                          int status)
{
    if (request->kind == FERRY_RQ_DATA_READ && status == FERRY_OK &&
        request->u.data.got > 0 && mutant->var[ARMED]) {
        *(uint8_t *)request->u.data.data ^= 1;
    }
    return status;
}

static int refuse_a_second_reset(struct mutant *mutant, struct ferry_request *request)
{
    const uint64_t before = mutant->var[ARMED];

    mutant->var[ARMED] = request->kind == FERRY_RQ_RESET;
    return before && request->kind == FERRY_RQ_RESET ? FERRY_E_BUSY : MUTANT_PASS;
}

static int drop_a_map(struct mutant *mutant, struct ferry_request *request)
{
    struct ferry_request own = { .kind = FERRY_RQ_DMA_UNMAP };

    if (request->kind == FERRY_RQ_RESET && mutant_at(mutant, EXTRA_IOVA, 1) != NULL) {
        own.u.unmap.iova = EXTRA_IOVA;
        own.u.unmap.size = 0x10000;
        (void)mutant_call(mutant, &own);
    }
    return MUTANT_PASS;
}

/* What a doorbell had begun goes on behind a reset. */
static int go_on_behind_a_reset(struct mutant *mutant, struct ferry_request *request)
{
    if (request->kind == FERRY_RQ_REGION_WRITE) {
        mutant->var[COUNT] = 1;
    } else if (request->kind == FERRY_RQ_RESET) {
        mutant->var[ARMED] = mutant->var[COUNT];
        mutant->var[COUNT] = 0;
        mutant_wake(mutant);
    }
    return MUTANT_PASS;
}

static int write_once_more(struct mutant *mutant)
{
    if (mutant->var[ARMED] && mutant->kind == FERRY_RQ_RESET) {
        mutant->var[ARMED]++;
        /* Some slices later: the first ones belong to the reset itself. */
        if (mutant->var[ARMED] > 3) {
            (void)mutant_scribble(mutant, SCRATCH_IOVA, 64);
            mutant->var[ARMED] = 0;
        }
    }
    return mutant->var[ARMED] != 0;
}

/* -- Reopening -- */

static void leave_stopped(struct mutant *mutant, int here)
{
    if (!here) {
        mutant->var[ARMED] = mutant_in(mutant, FERRY_STATE_STOP_COPY) != 0;
    } else if (mutant->var[ARMED]) {
        mutant->var[ARMED] = 0;
        (void)mutant_set_state(mutant, FERRY_STATE_STOP);
    }
}

/* As a library did: outside of RUNNING changes of state are all that it takes; but that a
 * reset is the only way out of RESUMING. */
static int take_changes_only(struct mutant *mutant, struct ferry_request *request)
{
    if (request->kind == FERRY_RQ_RESET && mutant_in(mutant, FERRY_STATE_RESUMING)) {
        return MUTANT_PASS;
    }
    return !mutant_in(mutant, FERRY_STATE_RUNNING) &&
                   (request->kind == FERRY_RQ_RESET ||
                    request->kind == FERRY_RQ_GET_INFO ||
                    request->kind == FERRY_RQ_DMA_MAP)
               ? FERRY_E_ARGUMENT
               : MUTANT_PASS;
}

static void keep_its_state(struct mutant *mutant, int here)
{
    if (!here) {
        mutant->var[ARMED] = mutant->state;
    } else if (mutant->var[ARMED] != 0) {
        (void)mutant_set_state(mutant, (uint32_t)mutant->var[ARMED]);
    }
}

static void leave_a_session(struct mutant *mutant, int here)
{
    if (!here) {
        mutant->var[ARMED] = mutant_in(mutant, FERRY_STATE_RESUMING) != 0;
    }
}

static int take_for_the_last_user(struct mutant *mutant, struct ferry_request *request)
{
    if (request->kind == FERRY_RQ_SET_STATE || request->kind == FERRY_RQ_RESET) {
        mutant->var[ARMED] = 0;
    }
    return request->kind == FERRY_RQ_DATA_WRITE && mutant->var[ARMED] ? FERRY_OK
                                                                      : MUTANT_PASS;
}

static int note_the_log(struct mutant *mutant, struct ferry_request *request, int status)
{
    if (request->kind == FERRY_RQ_LOG_START && status == FERRY_OK) {
        mutant->var[ARMED] = 1;
    } else if (request->kind == FERRY_RQ_LOG_STOP) {
        mutant->var[ARMED] = 0;
    }
    return status;
}

static void leave_the_log_on(struct mutant *mutant, int here)
{
    struct ferry_request own = { .kind = FERRY_RQ_LOG_START };

    if (here && mutant->var[ARMED]) {
        own.u.log_start.page_size = 4096;
        (void)mutant_call(mutant, &own);
    }
}

static int keep_a_map(struct mutant *mutant, struct ferry_request *request)
{
    if (request->kind == FERRY_RQ_DMA_MAP && request->u.map.iova == EXTRA_IOVA &&
        mutant->var[ARMED]++) {
        return FERRY_E_EXISTS;
    }
    if (request->kind == FERRY_RQ_DMA_UNMAP && request->u.unmap.iova == EXTRA_IOVA) {
        mutant->var[ARMED] = 0;
    }
    return MUTANT_PASS;
}

/* var: the descriptor and 1. */
static void keep_an_eventfd(struct mutant *mutant, int here)
{
    if (!here && mutant->eventfd[MSIX][0] >= 0) {
        if (mutant->var[ARMED]) {
            (void)close((int)mutant->var[ARMED] - 1);
        }
        mutant->var[ARMED] = (uint64_t)dup(mutant->eventfd[MSIX][0]) + 1;
    }
}

static int signal_the_last_user(struct mutant *mutant, struct ferry_request *request)
{
    const uint64_t one = 1;
    const struct ferry_irq_set *set = &request->u.irq_set;

    if (request->kind == FERRY_RQ_SET_IRQS && mutant->var[ARMED] &&
        (set->flags & FERRY_IRQ_SET_DATA_NONE) != 0 && set->count == 1) {
        if (write((int)mutant->var[ARMED] - 1, &one, sizeof(one)) != sizeof(one)) {
            return FERRY_E_IO;
        }
        (void)close((int)mutant->var[ARMED] - 1);
        mutant->var[ARMED] = 0;
    }
    return MUTANT_PASS;
}

/* A doorbell since the last reset: the user has had it work. */
static int note_work(struct mutant *mutant, struct ferry_request *request)
{
    if (request->kind == FERRY_RQ_REGION_WRITE) {
        mutant->var[COUNT] = 1;
    } else if (request->kind == FERRY_RQ_RESET) {
        mutant->var[COUNT] = mutant->var[ARMED] = 0;
    }
    return MUTANT_PASS;
}

static void leave_the_work(struct mutant *mutant, int here)
{
    if (here) {
        mutant->var[ARMED] = mutant->var[COUNT];
    }
}

const struct check_mutant mutants_reset[] = {
    { .name = "cannot be cancelled when one byte was read",
      .breaks = "a session can be left at any time",
      .before = hold_on_to_a_byte,
      .caught_by = "cancel.works" },
    { .name = "takes what a cancelled session gave for sent",
      .breaks = "the next session gives the whole state",
      .before = remember_what_was_sent,
      .caught_by = "cancel.again" },
    { .name = "gives something else from the sixth session on",
      .breaks = "the sessions of an idle device are equal",
      .before = forget_the_count,
      .after = tire,
      .on_state = count_sessions,
      .caught_by = "cancel.repeat" },
    { .name = "drops its work on the way from PRE_COPY to RUNNING",
      .breaks = "a cancelled session has no effect",
      .before = drop_work,
      .caught_by = "cancel.work" },
    { .name = "refuses the load after one that a reset ended",
      .breaks = "a reset makes an aborted load harmless",
      .before = keep_half_a_load,
      .caught_by = "cancel.load reset.clean",
      .also = "cancel.load.refused" },
    { .name = "judges one load only",
      .breaks = "the next load is judged as if there had been none",
      .before = judge_anew_after_a_reset,
      .after = judge_once,
      .caught_by = "cancel.load.refused" },
    { .name = "is in STOP after a reset in STOP_COPY",
      .breaks = "a reset ends in RUNNING",
      .before = reset_into_stop,
      .caught_by = "reset.running" },
    { .name = "gives data of a session that a reset ended",
      .breaks = "a reset ends the session",
      .before = give_data_after_a_reset,
      .caught_by = "reset.session" },
    { .name = "keeps something over a reset in PRE_COPY",
      .breaks = "a reset leads to the first state",
      .before = keep_something,
      .after = show_something,
      .caught_by = "reset.clean" },
    { .name = "refuses a reset after a reset",
      .breaks = "a reset works in every state",
      .before = refuse_a_second_reset,
      .caught_by = "reset.twice" },
    { .name = "drops a map with a reset",
      .breaks = "a reset takes no map away",
      .before = drop_a_map,
      .caught_by = "reset.map" },
    { .name = "goes on writing behind a reset",
      .breaks = "nothing that was begun is left after a reset",
      .before = go_on_behind_a_reset,
      .work = write_once_more,
      .caught_by = "reset.quiet" },
    { .name = "is in STOP for the next user when it was left in STOP_COPY",
      .breaks = "a device that was opened runs",
      .on_user = leave_stopped,
      .caught_by = "reopen.running" },
    { .name = "keeps its state over users, and takes changes of it only",
      .breaks = "a device that was opened runs, and a reset works in every state",
      .before = take_changes_only,
      .on_user = keep_its_state,
      .caught_by = "reopen.running reset.running reset.twice",
      .also = "cancel.load cancel.load.refused reset.session reset.clean reset.map "
              "reset.quiet reopen.session" },
    { .name = "goes on with a load of the last user's",
      .breaks = "no session is left",
      .before = take_for_the_last_user,
      .on_user = leave_a_session,
      .caught_by = "reopen.session" },
    { .name = "goes on with a log of the last user's",
      .breaks = "no log is left",
      .after = note_the_log,
      .on_user = leave_the_log_on,
      .caught_by = "reopen.log" },
    { .name = "keeps a map of the last user's",
      .breaks = "no map is left",
      .before = keep_a_map,
      .caught_by = "reopen.map" },
    { .name = "signals the last user's eventfd",
      .breaks = "no eventfd is left",
      .before = signal_the_last_user,
      .on_user = keep_an_eventfd,
      .caught_by = "reopen.irq" },
    { .name = "saves something of the last user's",
      .breaks = "no state is left",
      .before = note_work,
      .after = show_something,
      .on_user = leave_the_work,
      .caught_by = "reopen.clean" },
    { .name = NULL },
};
