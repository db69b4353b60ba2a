/* SPDX-License-Identifier: BSD-3-Clause */
#include <string.h>

#include "device/migration/stream.h"
#include "models/le.h"
#include "tests/check/mutants/mutants.h"

/* What takes data that a device must refuse. */

#define MODEL_OFF 16u /* in the header of a device's stream */

static int leaves_resuming(const struct mutant *mutant,
                           const struct ferry_request *request)
{
    return mutant_arc(mutant, request, FERRY_STATE_RESUMING, FERRY_STATE_STOP);
}

static int writes(const struct mutant *mutant, const struct ferry_request *request)
{
    return mutant_is(request, FERRY_RQ_DATA_WRITE) &&
           mutant_in(mutant, FERRY_STATE_RESUMING);
}

static int begins(const struct mutant *mutant, const struct ferry_request *request)
{
    return mutant_is(request, FERRY_RQ_DATA_WRITE) && mutant_nth(mutant, 1) &&
           mutant_in(mutant, FERRY_STATE_RESUMING);
}

/* As if it had taken a state: in STOP, with none. */
static int pretend(struct mutant *mutant)
{
    (void)mutant_reset(mutant);
    return mutant_set_state(mutant, FERRY_STATE_STOP);
}

/* -- Too little -- */

static int take_empty(struct mutant *mutant, struct ferry_request *request)
{
    return leaves_resuming(mutant, request) && mutant->since[FERRY_RQ_DATA_WRITE] == 0
               ? pretend(mutant)
               : MUTANT_PASS;
}

static int take_short(struct mutant *mutant, struct ferry_request *request, int status)
{
    return mutant_sets(request, FERRY_STATE_STOP) && status == FERRY_E_SHORT &&
                   mutant->data_bytes > 64
               ? pretend(mutant)
               : status;
}

/* -- Too much -- */

/* Where the stream that begins with these bytes ends; more than count: not yet. */
static uint64_t end_of(const uint8_t *bytes, uint64_t count)
{
    uint64_t at = DEVICE_STREAM_HEADER_BYTES;

    while (at + DEVICE_STREAM_FRAME_BYTES <= count) {
        const uint32_t type = le_get32(bytes + at);

        at += DEVICE_STREAM_FRAME_BYTES + le_get32(bytes + at + 4);
        if (type == DEVICE_FRAME_END) {
            return at;
        }
        if (type != DEVICE_FRAME_DATA && type != DEVICE_FRAME_LATCH) {
            break;
        }
    }
    return UINT64_MAX;
}

static int drop_the_rest(struct mutant *mutant, struct ferry_request *request)
{
    struct ferry_data_io *io = &request->u.data;
    uint64_t end, before;

    if (!writes(mutant, request)) {
        return MUTANT_PASS;
    }
    /* Beginning again: what was kept is another session's. */
    mutant_keep(mutant, io->data, io->size, mutant->data_bytes > 0);
    before = mutant->byte_count - io->size;
    end = end_of(mutant->bytes, mutant->byte_count);
    if (end > mutant->byte_count) {
        return MUTANT_PASS;
    }
    if (end <= before) {
        return FERRY_OK;
    }
    io->size = end - before;
    return MUTANT_PASS;
}

static int judge_at_the_end(struct mutant *mutant, struct ferry_request *request,
                            int status)
{
    (void)mutant;
    return mutant_is(request, FERRY_RQ_DATA_WRITE) && status < 0 ? FERRY_OK : status;
}

/* -- Something else -- */

enum { SWALLOWS };

/* Once it has begun to take such a stream, it takes it all. */
static int swallow(struct mutant *mutant, struct ferry_request *request, int begun)
{
    if (mutant_is(request, FERRY_RQ_RESET)) {
        mutant->var[SWALLOWS] = 0;
    }
    if (begins(mutant, request)) {
        mutant->var[SWALLOWS] = begun ? 1 : 0;
    }
    if (!mutant->var[SWALLOWS]) {
        return MUTANT_PASS;
    }
    if (writes(mutant, request)) {
        return FERRY_OK;
    }
    if (leaves_resuming(mutant, request)) {
        mutant->var[SWALLOWS] = 0;
        return pretend(mutant);
    }
    return MUTANT_PASS;
}

static int take_zeros(struct mutant *mutant, struct ferry_request *request)
{
    return swallow(mutant, request,
                   begins(mutant, request) && request->u.data.size > 0 &&
                       *(const uint8_t *)request->u.data.data == 0);
}

static int is_of(const struct mutant *mutant, const struct ferry_request *request,
                 const char *model)
{
    return begins(mutant, request) &&
           request->u.data.size >= DEVICE_STREAM_HEADER_BYTES &&
           strcmp((const char *)request->u.data.data + MODEL_OFF, model) == 0;
}

static int take_foreign(struct mutant *mutant, struct ferry_request *request)
{
    return swallow(mutant, request, is_of(mutant, request, "acc"));
}

static int note_foreign(struct mutant *mutant, struct ferry_request *request)
{
    if (begins(mutant, request)) {
        mutant->var[0] = is_of(mutant, request, "acc") ? 1 : 0;
    }
    return MUTANT_PASS;
}

static int judge_foreign_late(struct mutant *mutant, struct ferry_request *request,
                              int status)
{
    return mutant->var[0] ? judge_at_the_end(mutant, request, status) : status;
}

/* The state of another size of memory. */
static int take_other_limits(struct mutant *mutant, struct ferry_request *request)
{
    return mutant->var[SWALLOWS] ? swallow(mutant, request, 1) : MUTANT_PASS;
}

static int note_other_limits(struct mutant *mutant, struct ferry_request *request,
                             int status)
{
    if (mutant_is(request, FERRY_RQ_DATA_WRITE) && status == FERRY_E_INCOMPATIBLE) {
        mutant->var[SWALLOWS] = 1;
        return FERRY_OK;
    }
    return status;
}

static uint64_t sum_of(const uint8_t *bytes, uint64_t count)
{
    uint64_t sum = count << 40;

    for (uint64_t i = 0; i < count; i++) {
        sum += bytes[i];
    }
    return sum;
}

/* -- Order: the mutant knows its stream by its sum alone -- */

enum { SAVED_SUM, SAVED_BYTES };

static int note_saved(struct mutant *mutant, struct ferry_request *request, int status)
{
    if (mutant_is(request, FERRY_RQ_DATA_READ) && status == FERRY_OK &&
        mutant_in(mutant, FERRY_STATE_STOP_COPY)) {
        mutant_keep(mutant, request->u.data.data, request->u.data.got,
                    mutant->data_bytes > request->u.data.got);
        mutant->var[SAVED_BYTES] = mutant->byte_count;
        mutant->var[SAVED_SUM] = sum_of(mutant->bytes, mutant->byte_count);
    }
    return status;
}

/* A write that has the same length and sum as what was saved is taken for it. */
static int know_by_sum(struct mutant *mutant, struct ferry_request *request)
{
    struct ferry_data_io *io = &request->u.data;

    if (begins(mutant, request) && io->size == mutant->var[SAVED_BYTES] &&
        sum_of(io->data, io->size) == mutant->var[SAVED_SUM]) {
        memcpy(mutant_own_data(mutant, request, io->size), mutant->bytes, io->size);
    }
    return MUTANT_PASS;
}

/* -- One byte -- */

static int ignore_magic(struct mutant *mutant, struct ferry_request *request)
{
    static const uint8_t magic[] = { 'F', 'E', 'D', 'S' };

    if (begins(mutant, request) && request->u.data.size >= 64) {
        memcpy(mutant_own_data(mutant, request, request->u.data.size), magic, 4);
    }
    return MUTANT_PASS;
}

/* -- Sessions -- */

/* Whoever wrote what was refused may begin again, without a reset. */
static int forgive(struct mutant *mutant, struct ferry_request *request, int status)
{
    if (mutant_is(request, FERRY_RQ_DATA_WRITE) && status < 0) {
        (void)mutant_reset(mutant);
        (void)mutant_set_state(mutant, FERRY_STATE_RESUMING);
    }
    return status;
}

/* After one good load each is good, until a reset. */
static int trust_the_second(struct mutant *mutant, struct ferry_request *request,
                            int status)
{
    if (mutant_is(request, FERRY_RQ_RESET)) {
        mutant->var[0] = 0;
    } else if (mutant_sets(request, FERRY_STATE_STOP) && mutant->var[1]) {
        if (status == FERRY_OK) {
            mutant->var[0] = 1;
        } else if (mutant->var[0]) {
            status = pretend(mutant);
        }
    }
    mutant->var[1] = mutant_in(mutant, FERRY_STATE_RESUMING) ? 1 : 0;
    return status;
}

/* A session that was given up goes on in the next one. */
static int go_on_after_reset(struct mutant *mutant, struct ferry_request *request)
{
    struct ferry_request again = { .kind = FERRY_RQ_DATA_WRITE };

    if (leaves_resuming(mutant, request)) {
        mutant->byte_count = 0;
    } else if (writes(mutant, request)) {
        if (mutant_nth(mutant, 1) && mutant->byte_count > 0) {
            again.u.data.data = mutant->bytes;
            again.u.data.size = mutant->byte_count;
            (void)mutant_call(mutant, &again);
        }
        mutant_keep(mutant, request->u.data.data, request->u.data.size, 1);
    }
    return MUTANT_PASS;
}

/* -- The partner -- */

/* Only what it gave itself since it was reset can come back. */
static int refuse_others(struct mutant *mutant, struct ferry_request *request)
{
    if (mutant_is(request, FERRY_RQ_RESET)) {
        mutant->var[0] = 0;
    } else if (mutant_is(request, FERRY_RQ_DATA_READ)) {
        mutant->var[0] = 1;
    }
    return leaves_resuming(mutant, request) && !mutant->var[0] ? FERRY_E_INCOMPATIBLE
                                                               : MUTANT_PASS;
}

const struct check_mutant mutants_load[] = {
    { .name = "takes an empty stream for a state",
      .breaks = "RESUMING to STOP fails without data",
      .before = take_empty,
      .caught_by = "data.short data.second" },
    { .name = "takes a stream that lacks its end",
      .breaks = "RESUMING to STOP fails when data is short",
      .after = take_short,
      .caught_by = "data.short data.second" },
    { .name = "drops what comes behind the end",
      .breaks = "data behind the end is refused",
      .before = drop_the_rest,
      .caught_by = "data.long data.endless data.sticky" },
    { .name = "refuses nothing before the end",
      .breaks = "a stream without end is refused",
      .after = judge_at_the_end,
      .caught_by = "data.endless data.early" },
    { .name = "takes zeros for a state",
      .breaks = "what is no state is refused",
      .before = take_zeros,
      .caught_by = "data.noise" },
    { .name = "knows its stream by the sum of its bytes",
      .breaks = "a reordered stream is refused",
      .before = know_by_sum,
      .after = note_saved,
      .caught_by = "data.order" },
    { .name = "takes any magic number",
      .breaks = "a damaged stream is refused",
      .before = ignore_magic,
      .caught_by = "data.flip" },
    { .name = "takes the state of another kind of device",
      .breaks = "a foreign state is refused",
      .before = take_foreign,
      .caught_by = "data.foreign data.early data.second data.sticky" },
    { .name = "looks at whose state it is when all has come",
      .breaks = "a foreign state is refused early",
      .before = note_foreign,
      .after = judge_foreign_late,
      .caught_by = "data.early" },
    { .name = "takes a state of another size of memory",
      .breaks = "the target must have what the source had",
      .partner = "copy,memory=131072",
      .before = take_other_limits,
      .after = note_other_limits,
      .sound_partner = 1,
      .caught_by = "data.incompatible" },
    { .name = "loads its own states only",
      .breaks = "a state loads into another device of the kind",
      .before = refuse_others,
      .sound_device = 1,
      .caught_by = "data.partner" },
    { .name = "lets who wrote nonsense begin again",
      .breaks = "a refused write spoils the session",
      .after = forgive,
      .caught_by = "data.sticky" },
    { .name = "takes anything after one good load",
      .breaks = "a session is judged by its own data",
      .after = trust_the_second,
      .caught_by = "data.second" },
    { .name = "goes on with a load that a reset has ended",
      .breaks = "a session takes over nothing",
      .before = go_on_after_reset,
      .only = "data.second",
      .caught_by = "data.second" },
    { .name = NULL },
};
