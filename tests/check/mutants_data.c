/* SPDX-License-Identifier: BSD-3-Clause */
#include <string.h>

#include "mutants.h"

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
    { .name = NULL },
};
