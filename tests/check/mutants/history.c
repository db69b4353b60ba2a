/* SPDX-License-Identifier: BSD-3-Clause */
#include <string.h>

#include "tests/check/mutants/mutants.h"

/*
 * Faults that drivers in Linux had, or have: each is imitated as a device would show it,
 * and every check may look for it.
 */

static int in_saving(const struct mutant *mutant)
{
    return ferry_state_is_saving(mutant->state);
}

/* -- Where a stream is read and written -- */

/* Each read begins where the state begins, and only their sum goes on. */
static int read_from_the_start(struct mutant *mutant, struct ferry_request *request,
                               int status)
{
    if (request->kind != FERRY_RQ_DATA_READ || status != FERRY_OK ||
        request->u.data.got == 0) {
        return status;
    }
    if (mutant->data_bytes == request->u.data.got) { /* the first one */
        mutant_keep(mutant, request->u.data.data, request->u.data.got, 0);
    } else if (mutant->byte_count > 0) {
        for (uint64_t i = 0; i < request->u.data.got; i++) {
            ((uint8_t *)request->u.data.data)[i] = mutant->bytes[i % mutant->byte_count];
        }
    }
    return status;
}

/* Each write goes to where the first one went. */
static int write_to_the_start(struct mutant *mutant, struct ferry_request *request)
{
    if (request->kind == FERRY_RQ_DATA_WRITE && mutant_in(mutant, FERRY_STATE_RESUMING) &&
        mutant->data_bytes > 0 && request->u.data.size > 0) {
        memset(mutant_own_data(mutant, request, 0), 0, request->u.data.size);
    }
    return MUTANT_PASS;
}

/* One buffer for what is saved and what is loaded: the rest of a short stream is there
 * already. */
enum { SAVED = 0, STOPPING = 1 };

static void note_save(struct mutant *mutant, uint32_t from, uint32_t to)
{
    if (to == FERRY_STATE_RUNNING) {
        mutant->var[SAVED] = 0;
    } else if (from == FERRY_STATE_STOP_COPY) {
        mutant->var[SAVED] = 1;
    }
}

static int load_the_rest_of_the_save(struct mutant *mutant, struct ferry_request *request,
                                     int status)
{
    if (mutant_sets(request, FERRY_STATE_STOP) && status == FERRY_E_SHORT &&
        mutant_in(mutant, FERRY_STATE_RESUMING) && mutant->var[SAVED]) {
        (void)mutant_reset(mutant);
        return mutant_set_state(mutant, FERRY_STATE_STOP);
    }
    return status;
}

/* What pre-copy gives is enough, and nothing is loaded then. */
static int end_with_precopy(struct mutant *mutant, struct ferry_request *request,
                            int status)
{
    if (request->kind == FERRY_RQ_DATA_READ && status == FERRY_OK &&
        mutant_in(mutant, FERRY_STATE_PRE_COPY)) {
        mutant->var[0] = mutant->data_bytes;
    }
    if (mutant_sets(request, FERRY_STATE_STOP) && status == FERRY_E_SHORT &&
        mutant->data_bytes > 0 && mutant->data_bytes == mutant->var[0]) {
        (void)mutant_reset(mutant);
        return mutant_set_state(mutant, FERRY_STATE_STOP);
    }
    return status;
}

/* -- Pre-copy -- */

/* While its firmware still saves it says that there is nothing. */
static int say_dry_too_soon(struct mutant *mutant, struct ferry_request *request)
{
    return request->kind == FERRY_RQ_DATA_READ &&
                   (mutant_in(mutant, FERRY_STATE_PRE_COPY) ||
                    mutant_in(mutant, FERRY_STATE_PRE_COPY_P2P)) &&
                   mutant->data_bytes > 0 && mutant->var[0]++ % 2 == 0
               ? FERRY_E_DRY
               : MUTANT_PASS;
}

/* -- Changes of state -- */

/* It produces its data while it is read, and fails when it is left before. */
static int fail_before_the_end(struct mutant *mutant, struct ferry_request *request,
                               int status)
{
    if (request->kind == FERRY_RQ_DATA_READ && status == FERRY_OK && in_saving(mutant)) {
        mutant->var[0] = request->u.data.got == 0;
    }
    return status;
}

static int leave_at_the_end_only(struct mutant *mutant, struct ferry_request *request)
{
    return request->kind == FERRY_RQ_SET_STATE &&
                   mutant_in(mutant, FERRY_STATE_STOP_COPY) &&
                   ferry_state_exists(request->u.state, 7) &&
                   (request->u.state == FERRY_STATE_STOP ||
                    request->u.state == FERRY_STATE_RUNNING) &&
                   !mutant->var[0]
               ? FERRY_E_IO
               : MUTANT_PASS;
}

static void begin_unread(struct mutant *mutant, uint32_t from, uint32_t to)
{
    (void)from;
    if (to == FERRY_STATE_STOP_COPY) {
        mutant->var[0] = 0;
    }
}

/* A request that it refuses stops it behind the back of its state: no doorbell is heard
 * until a reset. */
static int stop_in_secret(struct mutant *mutant, struct ferry_request *request)
{
    if (request->kind == FERRY_RQ_RESET) {
        mutant->var[0] = 0;
    } else if (request->kind == FERRY_RQ_SET_STATE &&
               mutant_in(mutant, FERRY_STATE_RUNNING) &&
               (request->u.state >= FERRY_STATE_COUNT ||
                request->u.state == FERRY_STATE_ERROR)) {
        mutant->var[0] = 1;
    }
    return request->kind == FERRY_RQ_REGION_WRITE && request->u.io.index < 6 &&
                   mutant->var[0]
               ? FERRY_OK
               : MUTANT_PASS;
}

/* -- The log -- */

/* The last page of each run of pages is missing. */
static int report_one_less(struct mutant *mutant, struct ferry_request *request,
                           int status)
{
    (void)mutant;
    if (request->kind == FERRY_RQ_LOG_REPORT && status == FERRY_OK) {
        const uint64_t pages =
            request->u.log_report.length / request->u.log_report.page_size;
        uint64_t *word = request->u.log_report.bitmap;
        uint64_t before = 0;

        for (uint64_t i = pages; i-- > 0;) {
            const uint64_t bit = word[i / 64] >> i % 64 & 1;

            if (bit && !before && i > 0 && (word[(i - 1) / 64] >> (i - 1) % 64 & 1)) {
                word[i / 64] &= ~(1ull << i % 64);
            }
            before = bit;
        }
    }
    return status;
}

/* A report that begins within a word is shifted. */
static int shift_a_report(struct mutant *mutant, struct ferry_request *request,
                          int status)
{
    (void)mutant;
    if (request->kind == FERRY_RQ_LOG_REPORT && status == FERRY_OK &&
        request->u.log_report.bitmap_bytes >= 8) {
        uint64_t *word = request->u.log_report.bitmap;

        word[0] <<=
            request->u.log_report.iova / request->u.log_report.page_size % 64 ? 1 : 0;
    }
    return status;
}

/* The end of a save ends the log. */
static void stop_the_log(struct mutant *mutant, uint32_t from, uint32_t to)
{
    struct ferry_request request = { .kind = FERRY_RQ_LOG_STOP };

    if (from == FERRY_STATE_STOP_COPY && to != FERRY_STATE_STOP_COPY) {
        (void)mutant_call(mutant, &request);
    }
}

/* clang-format off */
const struct check_mutant mutants_history[] = {
    { .name = "reads from the start each time",
      .whole = 1,
      .breaks = "a state loads, however it was read",
      .after = read_from_the_start,
      .caught_by = "data.read-cut data.cut-same data.once",
      .also = "feature.still arc.same arc.forbidden.session arc.back session.begins "
              "session.kept session.direction data.zero data.goes-on precopy.leave "
              "precopy.changed race.readers" },
    { .name = "writes to the start each time",
      .whole = 1,
      .breaks = "a state loads, however it is written",
      .before = write_to_the_start,
      .caught_by = "data.write-cut",
      .also = "feature.still arc.same arc.forbidden.session arc.failed.goes-on "
              "session.direction data.zero size.states irq.target" },
    { .name = "finds the rest of a short load in what it saved",
      .whole = 1,
      .breaks = "a part of a state is refused",
      .on_state = note_save,
      .after = load_the_rest_of_the_save,
      .caught_by = "data.short",
      .also = "data.second" },
    { .name = "takes what pre-copy gave for a state",
      .whole = 1,
      .breaks = "a part of a state is refused",
      .after = end_with_precopy,
      .caught_by = "data.short" },
    { .name = "says that it is dry while it still saves",
      .whole = 1,
      .breaks = "nothing is announced when it is dry",
      .before = say_dry_too_soon,
      .caught_by = "precopy.empty" },
    { .name = "fails when its save is not read to the end",
      .whole = 1,
      .breaks = "a save can be left",
      .before = leave_at_the_end_only,
      .after = fail_before_the_end,
      .on_state = begin_unread,
      .caught_by = "cancel.works arc.legal",
      .also = "cancel.work data.second access.mmap.stopped p2p.late" },
    { .name = "stops in secret when it refuses a state",
      .whole = 1,
      .breaks = "a refusal changes nothing",
      .before = stop_in_secret,
      .caught_by = "arc.forbidden arc.forbidden.work" },
    { .name = "reports one page less",
      .whole = 1,
      .breaks = "all that was written is reported",
      .after = report_one_less,
      .caught_by = "log.complete",
      .also = "log.start.none log.start.twice log.report.page log.report.sets "
              "log.report.outside log.ranges log.busy log.last log.states log.reset" },
    { .name = "shifts a report that begins within a word",
      .whole = 1,
      .breaks = "all that was written is reported",
      .after = shift_a_report,
      .caught_by = "log.report.piece",
      .also = "log.report.page log.report.bounds" },
    { .name = "ends its log with a save",
      .whole = 1,
      .breaks = "changes of state leave the log on",
      .on_state = stop_the_log,
      .caught_by = "log.states",
      .also = "log.reset" },
    { .name = NULL },
};
/* clang-format on */
