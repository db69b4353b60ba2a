/* SPDX-License-Identifier: BSD-3-Clause */
#include <string.h>

#include "tests/check/mutants/mutants.h"

/* What breaks the rules of streams: reading, loading, refusing. */

static int is_read_of(const struct mutant *mutant, const struct ferry_request *request,
                      uint32_t state)
{
    return mutant_is(request, FERRY_RQ_DATA_READ) && mutant_in(mutant, state);
}

/* What a mutant noted in STOP_COPY ends there. */
static void forget_outside(struct mutant *mutant)
{
    if (!mutant_in(mutant, FERRY_STATE_STOP_COPY)) {
        mutant->var[0] = 0;
    }
}

/* -- Reads -- */

static int dry_behind_the_end(struct mutant *mutant, struct ferry_request *request,
                              int status)
{
    if (!is_read_of(mutant, request, FERRY_STATE_STOP_COPY)) {
        forget_outside(mutant);
        return status;
    }
    if (status != FERRY_OK || request->u.data.got > 0) {
        return status;
    }
    return mutant->var[0]++ == 0 ? FERRY_OK : FERRY_E_DRY;
}

static int more_behind_the_end(struct mutant *mutant, struct ferry_request *request,
                               int status)
{
    if (!is_read_of(mutant, request, FERRY_STATE_STOP_COPY)) {
        forget_outside(mutant);
    } else if (status == FERRY_OK && request->u.data.got == 0 && mutant->var[0]++ > 0) {
        memset(request->u.data.data, 0, 1);
        request->u.data.got = 1;
    }
    return status;
}

static int lose_after_question(struct mutant *mutant, struct ferry_request *request,
                               int status)
{
    if (mutant_is(request, FERRY_RQ_GET_STATE) && mutant->data_bytes > 0) {
        mutant->var[0] = mutant_in(mutant, FERRY_STATE_STOP_COPY) ? 1 : 0;
    } else if (is_read_of(mutant, request, FERRY_STATE_STOP_COPY)) {
        if (status == FERRY_OK && request->u.data.got > 1 && mutant->var[0]) {
            request->u.data.got--;
            memmove(request->u.data.data, (uint8_t *)request->u.data.data + 1,
                    request->u.data.got);
        }
        mutant->var[0] = 0;
    } else if (!mutant_in(mutant, FERRY_STATE_STOP_COPY)) {
        mutant->var[0] = 0;
    }
    return status;
}

static int end_at_empty_read(struct mutant *mutant, struct ferry_request *request)
{
    if (mutant_is(request, FERRY_RQ_SET_STATE) || mutant_is(request, FERRY_RQ_RESET)) {
        mutant->var[0] = 0;
    }
    if (!is_read_of(mutant, request, FERRY_STATE_STOP_COPY)) {
        return MUTANT_PASS;
    }
    mutant->var[0] |= request->u.data.size == 0 ? 1u : 0u;
    request->u.data.got = 0;
    return mutant->var[0] ? FERRY_OK : MUTANT_PASS;
}

static int end_at_empty_write(struct mutant *mutant, struct ferry_request *request)
{
    if (mutant_is(request, FERRY_RQ_SET_STATE) || mutant_is(request, FERRY_RQ_RESET)) {
        mutant->var[0] = 0;
    }
    if (!mutant_is(request, FERRY_RQ_DATA_WRITE)) {
        return MUTANT_PASS;
    }
    if (mutant->var[0] && request->u.data.size > 0) {
        return FERRY_E_LONG;
    }
    mutant->var[0] |= request->u.data.size == 0 ? 1u : 0u;
    return MUTANT_PASS;
}

/* A byte is lost with each read of one byte. */
static int skip_after_single(struct mutant *mutant, struct ferry_request *request,
                             int status)
{
    struct ferry_request read = { .kind = FERRY_RQ_DATA_READ };
    uint8_t lost;

    if (is_read_of(mutant, request, FERRY_STATE_STOP_COPY) && status == FERRY_OK &&
        request->u.data.size == 1 && request->u.data.got == 1) {
        read.u.data.data = &lost;
        read.u.data.size = 1;
        (void)mutant_call(mutant, &read);
    }
    return status;
}

/* -- Writes -- */

static int drop_small_writes(struct mutant *mutant, struct ferry_request *request)
{
    return mutant_in(mutant, FERRY_STATE_RESUMING) &&
                   mutant_is(request, FERRY_RQ_DATA_WRITE) && request->u.data.size < 8
               ? FERRY_OK
               : MUTANT_PASS;
}

/* -- A byte of the mutant's own in front of each stream, and off again -- */

enum { GIVEN, GIVING, TAKEN, COUNT };

static int give_mark(struct mutant *mutant, struct ferry_request *request, uint8_t mark)
{
    struct ferry_data_io *io = &request->u.data;

    if (mutant->var[GIVEN] || io->size == 0) {
        return MUTANT_PASS;
    }
    memcpy(io->data, &mark, 1);
    mutant->var[GIVEN] = 1;
    if (io->size == 1) {
        io->got = 1;
        return FERRY_OK;
    }
    mutant->var[GIVING] = 1;
    io->data = (uint8_t *)io->data + 1;
    io->size--;
    return MUTANT_PASS;
}

static int take_mark(struct mutant *mutant, struct ferry_request *request)
{
    struct ferry_data_io *io = &request->u.data;

    if (mutant->var[TAKEN] || io->size == 0) {
        return MUTANT_PASS;
    }
    mutant->var[TAKEN] = 1;
    if (io->size == 1) {
        return FERRY_OK;
    }
    io->data = (uint8_t *)io->data + 1;
    io->size--;
    return MUTANT_PASS;
}

static int is_saving(const struct mutant *mutant)
{
    return mutant_in(mutant, FERRY_STATE_STOP_COPY) ||
           mutant_in(mutant, FERRY_STATE_PRE_COPY) ||
           mutant_in(mutant, FERRY_STATE_PRE_COPY_P2P);
}

static int with_mark(struct mutant *mutant, struct ferry_request *request, uint64_t mark)
{
    if (mutant_is(request, FERRY_RQ_SET_STATE)) {
        mutant->var[GIVEN] &= is_saving(mutant) ? 1u : 0u;
        mutant->var[TAKEN] &= mutant_in(mutant, FERRY_STATE_RESUMING) ? 1u : 0u;
    } else if (mutant_is(request, FERRY_RQ_RESET)) {
        mutant->var[GIVEN] = mutant->var[TAKEN] = 0;
    } else if (mutant_is(request, FERRY_RQ_DATA_READ) && is_saving(mutant)) {
        return give_mark(mutant, request, (uint8_t)mark);
    } else if (mutant_is(request, FERRY_RQ_DATA_WRITE) &&
               mutant_in(mutant, FERRY_STATE_RESUMING)) {
        return take_mark(mutant, request);
    }
    return MUTANT_PASS;
}

static int after_mark(struct mutant *mutant, struct ferry_request *request, int status)
{
    if (mutant_is(request, FERRY_RQ_DATA_READ) && mutant->var[GIVING]) {
        mutant->var[GIVING] = 0;
        request->u.data.got = status == FERRY_OK ? request->u.data.got + 1 : 1;
        return status == FERRY_E_DRY ? FERRY_OK : status;
    }
    return status;
}

static int mark_cut(struct mutant *mutant, struct ferry_request *request)
{
    return with_mark(mutant, request, request->u.data.size);
}

static int mark_session(struct mutant *mutant, struct ferry_request *request)
{
    mutant->var[COUNT] += mutant_sets(request, FERRY_STATE_STOP_COPY) ? 1u : 0u;
    return with_mark(mutant, request, mutant->var[COUNT]);
}

static int mark_resets(struct mutant *mutant, struct ferry_request *request)
{
    return with_mark(mutant, request, mutant->total[FERRY_RQ_RESET] + mutant->var[COUNT]);
}

static void count_users(struct mutant *mutant, int here)
{
    mutant->var[COUNT] += here ? 1u : 0u;
}

static int mark_loads(struct mutant *mutant, struct ferry_request *request)
{
    if (mutant_is(request, FERRY_RQ_RESET)) {
        mutant->var[COUNT] = 0;
    } else if (mutant_arc(mutant, request, FERRY_STATE_RESUMING, FERRY_STATE_STOP)) {
        mutant->var[COUNT]++;
    }
    return with_mark(mutant, request, mutant->var[COUNT]);
}

/* -- After a load -- */

/* What was loaded is gone as soon as the device runs. */
static int forget_the_load(struct mutant *mutant, struct ferry_request *request,
                           int status)
{
    if (status == FERRY_OK && mutant_sets(request, FERRY_STATE_STOP) && mutant->var[0]) {
        mutant->var[1] = 1;
    } else if (mutant_sets(request, FERRY_STATE_RUNNING) && mutant->var[1]) {
        mutant->var[1] = 0;
        return mutant_reset(mutant);
    }
    mutant->var[0] = mutant_in(mutant, FERRY_STATE_RESUMING) ? 1 : 0;
    return status;
}

const struct check_mutant mutants_data[] = {
    { .name = "says ENOMSG behind the end of its stream",
      .breaks = "what ends in STOP_COPY stays at its end",
      .after = dry_behind_the_end,
      .caught_by = "data.end" },
    { .name = "gives more behind the end of its stream",
      .breaks = "what ends in STOP_COPY stays at its end",
      .after = more_behind_the_end,
      .caught_by = "data.end" },
    { .name = "loses a byte when it is asked for its state between reads",
      .breaks = "reads give each byte once",
      .after = lose_after_question,
      .caught_by = "data.once" },
    { .name = "takes a read of 0 bytes for the last one",
      .breaks = "a read of 0 bytes changes nothing",
      .before = end_at_empty_read,
      .caught_by = "data.zero" },
    { .name = "takes a write of 0 bytes for the end",
      .breaks = "a write of 0 bytes changes nothing",
      .before = end_at_empty_write,
      .caught_by = "data.zero" },
    { .name = "loses a byte with each read of one byte",
      .breaks = "any cut gives the same stream",
      .after = skip_after_single,
      .caught_by = "data.read-cut data.cut-same" },
    { .name = "drops writes of less than 8 bytes",
      .breaks = "writes of any size load",
      .before = drop_small_writes,
      .caught_by = "data.write-cut" },
    { .name = "begins its stream with the size of the first read",
      .breaks = "any cut gives the same stream",
      .before = mark_cut,
      .after = after_mark,
      .caught_by = "data.cut-same data.once" },
    { .name = "numbers its streams",
      .breaks = "two saves of a stopped device are equal",
      .before = mark_session,
      .after = after_mark,
      .caught_by = "data.same data.clean data.round data.round-partner" },
    { .name = "has the number of its resets and users in its stream",
      .breaks = "nothing is left of what was before a reset",
      .before = mark_resets,
      .after = after_mark,
      .on_user = count_users,
      .caught_by = "data.clean",
      .also = "data.round-partner" },
    { .name = "has the number of its loads in its stream",
      .breaks = "what was loaded is saved again",
      .before = mark_loads,
      .after = after_mark,
      .caught_by = "data.round data.round-partner" },
    { .name = "runs in its power-on state after a load",
      .breaks = "a device goes on where the saved one stood",
      .after = forget_the_load,
      .only = "data.goes-on[STOP_COPY]",
      .caught_by = "data.goes-on" },
    { .name = NULL },
};
