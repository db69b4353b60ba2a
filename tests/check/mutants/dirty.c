/* SPDX-License-Identifier: BSD-3-Clause */
#include <stdlib.h>
#include <string.h>

#include "tests/check/mutants/mutants.h"

/* What breaks the rules of the DMA log. */

#define PAGE 4096u
#define SCRATCH_IOVA 0x500000ull
#define SCRATCH_BYTES (16ull << 20)
#define SCRATCH_PAGES (SCRATCH_BYTES / PAGE)
#define WORDS (SCRATCH_PAGES / 64)

enum { STATE = 0, PAGE_SIZE = 1 };

/* -- Bits of a report -- */

/* A REPORT of all the scratch memory in pages, that worked. */
static int is_whole(const struct ferry_request *request, int status)
{
    return request->kind == FERRY_RQ_LOG_REPORT && status == FERRY_OK &&
           request->u.log_report.iova == SCRATCH_IOVA &&
           request->u.log_report.length == SCRATCH_BYTES &&
           request->u.log_report.page_size == PAGE;
}

/* The bitmap lies at any address. */
static void get_words(const struct ferry_request *request, uint64_t *words)
{
    memcpy(words, request->u.log_report.bitmap, WORDS * sizeof(*words));
}

static void put_words(struct ferry_request *request, const uint64_t *words)
{
    memcpy(request->u.log_report.bitmap, words, WORDS * sizeof(*words));
}

/* Takes all that is marked out of the model's log. */
static void discard(struct mutant *mutant)
{
    struct ferry_request own = { .kind = FERRY_RQ_LOG_REPORT };
    uint64_t words[WORDS] = { 0 };

    own.u.log_report.iova = SCRATCH_IOVA;
    own.u.log_report.length = SCRATCH_BYTES;
    own.u.log_report.page_size = PAGE;
    own.u.log_report.bitmap = words;
    own.u.log_report.bitmap_bytes = sizeof(words);
    (void)mutant_call(mutant, &own);
}

static void stop_log(struct mutant *mutant)
{
    struct ferry_request own = { .kind = FERRY_RQ_LOG_STOP };

    (void)mutant_call(mutant, &own);
}

/* -- START -- */

static int starts(const struct ferry_request *request)
{
    return request->kind == FERRY_RQ_LOG_START;
}

/* The first of two ranges that overlap is enough. */
static int cut_overlap(struct mutant *mutant, struct ferry_request *request)
{
    const struct ferry_range *range = request->u.log_start.range;

    (void)mutant;
    if (starts(request) && request->u.log_start.range_count == 2 &&
        range[0].off < range[1].off + range[1].size &&
        range[1].off < range[0].off + range[0].size) {
        request->u.log_start.range_count = 1;
    }
    return MUTANT_PASS;
}

static int log_nothing_of_nothing(struct mutant *mutant, struct ferry_request *request)
{
    static const struct ferry_range nothing = { 0, PAGE };

    (void)mutant;
    if (starts(request) && request->u.log_start.range_count == 0) {
        request->u.log_start.range = &nothing;
        request->u.log_start.range_count = 1;
    }
    return MUTANT_PASS;
}

static int track_64_ranges(struct mutant *mutant, struct ferry_request *request)
{
    (void)mutant;
    if (starts(request) && request->u.log_start.range_count > 64) {
        request->u.log_start.range_count = 64;
    }
    return MUTANT_PASS;
}

static int take_4096_only(struct mutant *mutant, struct ferry_request *request)
{
    (void)mutant;
    return starts(request) && request->u.log_start.page_size == 65536 ? FERRY_E_ARGUMENT
                                                                      : MUTANT_PASS;
}

static int take_any_size(struct mutant *mutant, struct ferry_request *request)
{
    if (starts(request)) {
        mutant->var[PAGE_SIZE] = request->u.log_start.page_size;
        if (request->u.log_start.page_size % PAGE == 0 &&
            request->u.log_start.page_size > 0) {
            request->u.log_start.page_size = PAGE;
        }
    }
    return MUTANT_PASS;
}

static int answer_that_size(struct mutant *mutant, struct ferry_request *request,
                            int status)
{
    if (starts(request) && status == FERRY_OK) {
        request->u.log_start.page_size = mutant->var[PAGE_SIZE];
    }
    return status;
}

static int start_over(struct mutant *mutant, struct ferry_request *request)
{
    if (starts(request)) {
        stop_log(mutant);
    }
    return MUTANT_PASS;
}

/* -- STOP -- */

static int stop_once(struct mutant *mutant, struct ferry_request *request, int status)
{
    if (starts(request) && status == FERRY_OK) {
        mutant->var[STATE] = 1;
    }
    if (request->kind == FERRY_RQ_LOG_STOP) {
        status = mutant->var[STATE] ? status : FERRY_E_NOT_FOUND;
        mutant->var[STATE] = 0;
    }
    return status;
}

enum { ENDED = 1 };

/* STOP ends reports only; START goes on where it was. A reset ends it. */
static int pause_log(struct mutant *mutant, struct ferry_request *request)
{
    if (request->kind == FERRY_RQ_RESET && mutant->var[STATE] == ENDED) {
        stop_log(mutant);
        mutant->var[STATE] = 0;
    } else if (request->kind == FERRY_RQ_LOG_STOP) {
        mutant->var[STATE] = ENDED;
        return FERRY_OK;
    } else if (starts(request) && mutant->var[STATE] == ENDED) {
        mutant->var[STATE] = 0;
        request->u.log_start.page_size = PAGE;
        /* Only the same ranges are asked for in between, or none was there. */
        return mutant_in(mutant, FERRY_STATE_RUNNING) && mutant->bytes != NULL
                   ? FERRY_OK
                   : MUTANT_PASS;
    } else if (request->kind == FERRY_RQ_LOG_REPORT && mutant->var[STATE] == ENDED) {
        return FERRY_E_NOT_FOUND;
    }
    return MUTANT_PASS;
}

/* mutant->bytes: a START that worked since the last reset. */
static int note_start(struct mutant *mutant, struct ferry_request *request, int status)
{
    if (starts(request) && status == FERRY_OK) {
        mutant_keep(mutant, "on", 2, 0);
    } else if (request->kind == FERRY_RQ_RESET) {
        free(mutant->bytes);
        mutant->bytes = NULL;
    }
    return status;
}

/* -- REPORT -- */

static int reports(const struct ferry_request *request)
{
    return request->kind == FERRY_RQ_LOG_REPORT;
}

/* After STOP a report is empty, and works. */
static int report_when_stopped(struct mutant *mutant, struct ferry_request *request,
                               int status)
{
    if (request->kind == FERRY_RQ_RESET) {
        mutant->var[STATE] = 0;
    } else if (starts(request) && status == FERRY_OK) {
        mutant->var[STATE] = 1;
    }
    return reports(request) && status == FERRY_E_NOT_FOUND && mutant->var[STATE]
               ? FERRY_OK
               : status;
}

static int report_any_size(struct mutant *mutant, struct ferry_request *request,
                           int status)
{
    (void)mutant;
    return reports(request) && status < 0 && request->u.log_report.page_size == 12288
               ? FERRY_OK
               : status;
}

static int report_nothing(struct mutant *mutant, struct ferry_request *request,
                          int status)
{
    (void)mutant;
    return reports(request) && status < 0 && request->u.log_report.length == 0 ? FERRY_OK
                                                                               : status;
}

/* Of a large page it looks at the first small one. */
static int look_at_first_pages(struct mutant *mutant, struct ferry_request *request,
                               int status)
{
    (void)mutant;
    if (reports(request) && status == FERRY_OK &&
        request->u.log_report.page_size == 65536) {
        memset(request->u.log_report.bitmap, 0, request->u.log_report.bitmap_bytes);
    }
    return status;
}

/* What was told once is told again. */
static int never_clear(struct mutant *mutant, struct ferry_request *request, int status)
{
    uint64_t words[WORDS], before[WORDS];

    if (starts(request)) {
        mutant->byte_count = 0;
    }
    if (is_whole(request, status)) {
        get_words(request, words);
        if (mutant->byte_count == sizeof(before)) {
            memcpy(before, mutant->bytes, sizeof(before));
            for (uint32_t i = 0; i < WORDS; i++) {
                words[i] |= before[i];
            }
            put_words(request, words);
        }
        mutant_keep(mutant, words, sizeof(words), 0);
    }
    return status;
}

static int clear_all(struct mutant *mutant, struct ferry_request *request, int status)
{
    if (reports(request) && status == FERRY_OK && !is_whole(request, status)) {
        discard(mutant);
    }
    return status;
}

static int clear_the_callers(struct mutant *mutant, struct ferry_request *request)
{
    (void)mutant;
    if (is_whole(request, FERRY_OK)) {
        memset(request->u.log_report.bitmap, 0, request->u.log_report.bitmap_bytes);
    }
    return MUTANT_PASS;
}

/* Pages that nobody logs are all written. */
static int report_the_unlogged(struct mutant *mutant, struct ferry_request *request,
                               int status)
{
    const uint64_t all = UINT64_MAX;

    (void)mutant;
    if (reports(request) && status == FERRY_OK &&
        request->u.log_report.iova == SCRATCH_IOVA + 64 * PAGE &&
        request->u.log_report.length == 64 * PAGE) {
        memcpy(request->u.log_report.bitmap, &all, sizeof(all));
    }
    return status;
}

static int fill_the_word(struct mutant *mutant, struct ferry_request *request, int status)
{
    const uint64_t all = UINT64_MAX;

    (void)mutant;
    if (reports(request) && status == FERRY_OK &&
        request->u.log_report.length == 5 * PAGE) {
        memcpy(request->u.log_report.bitmap, &all, sizeof(all));
    }
    return status;
}

/* -- Pages -- */

/* A queue of 2000 pages: what comes behind is lost. */
static int overflow(struct mutant *mutant, struct ferry_request *request, int status)
{
    uint64_t words[WORDS];
    uint32_t count = 0;

    (void)mutant;
    if (!is_whole(request, status)) {
        return status;
    }
    get_words(request, words);
    for (uint32_t page = 0; page < SCRATCH_PAGES; page++) {
        const uint64_t bit = 1ull << page % 64;

        count += (words[page / 64] & bit) != 0;
        /* All ones: a caller's own. */
        if (count > 2000 && words[WORDS - 1] != UINT64_MAX) {
            words[page / 64] &= ~bit;
        }
    }
    put_words(request, words);
    return status;
}

/* Of two pages in a row the second is lost: an edge is not looked at. */
static int lose_second_pages(struct mutant *mutant, struct ferry_request *request,
                             int status)
{
    uint64_t words[WORDS];

    (void)mutant;
    if (!is_whole(request, status)) {
        return status;
    }
    get_words(request, words);
    for (uint32_t i = 0; i < WORDS; i++) {
        if (words[i] == 3ull << 8) {
            words[i] = 1ull << 8;
        }
    }
    put_words(request, words);
    return status;
}

/* Each page takes its neighbour along. */
static int take_neighbours(struct mutant *mutant, struct ferry_request *request,
                           int status)
{
    uint64_t words[WORDS];

    (void)mutant;
    if (!is_whole(request, status)) {
        return status;
    }
    get_words(request, words);
    for (uint32_t i = 0; i < WORDS; i++) {
        words[i] |= words[i] << 1;
    }
    put_words(request, words);
    return status;
}

static int drop_an_unsorted_range(struct mutant *mutant, struct ferry_request *request)
{
    (void)mutant;
    if (starts(request) && request->u.log_start.range_count == 3 &&
        request->u.log_start.range[0].off > request->u.log_start.range[1].off) {
        request->u.log_start.range_count = 2;
    }
    return MUTANT_PASS;
}

/* What the device writes while a report is made is cleared with it. */
static int lose_what_comes_meanwhile(struct mutant *mutant, struct ferry_request *request,
                                     int status)
{
    if (is_whole(request, status)) {
        for (uint32_t i = 0; i < 4; i++) {
            (void)mutant->endpoint.below->ops->work(mutant->endpoint.below);
        }
        discard(mutant);
    }
    return status;
}

/* The last writes before a stop are not logged. */
static int write_when_it_stops(struct mutant *mutant, struct ferry_request *request)
{
    if (mutant_sets(request, FERRY_STATE_RUNNING_P2P) ||
        mutant_sets(request, FERRY_STATE_STOP)) {
        (void)mutant_scribble(mutant, SCRATCH_IOVA + SCRATCH_BYTES - 64, 64);
    }
    return MUTANT_PASS;
}

/* -- States -- */

static void clear_when_it_stops(struct mutant *mutant, uint32_t from, uint32_t to)
{
    (void)from;
    if (to == FERRY_STATE_STOP_COPY) {
        discard(mutant);
    }
}

static int stop_log_with_a_reset(struct mutant *mutant, struct ferry_request *request)
{
    if (request->kind == FERRY_RQ_RESET) {
        stop_log(mutant);
    }
    return MUTANT_PASS;
}

static int lose_the_last_run(struct mutant *mutant, struct ferry_request *request,
                             int status)
{
    (void)mutant;
    if (request->kind == FERRY_RQ_LOG_RUNS && status == FERRY_OK &&
        request->u.log_runs.count > 0) {
        request->u.log_runs.count--;
    }
    return status;
}

/* The log knows the maps that were there at START. */
static int forget_new_maps(struct mutant *mutant, struct ferry_request *request,
                           int status)
{
    if (starts(request)) {
        mutant->var[STATE] = 0;
    } else if (request->kind == FERRY_RQ_DMA_MAP && status == FERRY_OK) {
        mutant->var[STATE] = 1;
    } else if (is_whole(request, status) && mutant->var[STATE]) {
        memset(request->u.log_report.bitmap, 0, request->u.log_report.bitmap_bytes);
    }
    return status;
}

static int unmap_without_a_bitmap(struct mutant *mutant, struct ferry_request *request,
                                  int status)
{
    (void)mutant;
    if (request->kind == FERRY_RQ_DMA_UNMAP &&
        (request->u.unmap.flags & FERRY_UNMAP_BITMAP) != 0 && status == FERRY_OK) {
        memset(request->u.unmap.bitmap, 0, request->u.unmap.bitmap_bytes);
    }
    return status;
}

const struct check_mutant mutants_dirty[] = {
    { .name = "logs the first of two ranges that overlap",
      .breaks = "ranges that overlap are refused",
      .before = cut_overlap,
      .caught_by = "log.start.ranges" },
    { .name = "logs nothing when no range is named",
      .breaks = "no range means all of them",
      .before = log_nothing_of_nothing,
      .caught_by = "log.start.none" },
    { .name = "logs 64 ranges and no more",
      .breaks = "too many ranges are refused",
      .before = track_64_ranges,
      .caught_by = "log.start.many" },
    { .name = "refuses another page size than its own",
      .breaks = "the page size is a wish",
      .before = take_4096_only,
      .caught_by = "log.start.page" },
    { .name = "takes every multiple of 4096 for a page size",
      .breaks = "the page size that is answered is a power of two",
      .before = take_any_size,
      .after = answer_that_size,
      .caught_by = "log.start.odd" },
    { .name = "begins anew with a second START",
      .breaks = "a second START is refused",
      .before = start_over,
      .caught_by = "log.start.twice" },
    { .name = "refuses a STOP of a log that is off",
      .breaks = "STOP always works",
      .after = stop_once,
      .caught_by = "log.stop" },
    { .name = "goes on with the old log after STOP and START",
      .breaks = "a START begins with an empty log",
      .before = pause_log,
      .after = note_start,
      .caught_by = "log.restart" },
    { .name = "reports nothing after STOP",
      .breaks = "REPORT is refused while the log is off",
      .after = report_when_stopped,
      .caught_by = "log.report.off" },
    { .name = "reports in pages of 12288 bytes",
      .breaks = "page sizes are powers of two",
      .after = report_any_size,
      .caught_by = "log.report.odd" },
    { .name = "reports an empty range",
      .breaks = "an empty range is refused",
      .after = report_nothing,
      .caught_by = "log.report.range" },
    { .name = "loses what is in the middle of large pages",
      .breaks = "a report may have larger pages than the log",
      .after = look_at_first_pages,
      .caught_by = "log.report.page" },
    { .name = "tells all that was ever written",
      .breaks = "a report clears",
      .after = never_clear,
      .caught_by = "log.report.clears",
      .also = "log.report.piece" },
    { .name = "clears everything with a report of a piece",
      .breaks = "a report clears what it told and nothing else",
      .after = clear_all,
      .caught_by = "log.report.piece log.report.outside" },
    { .name = "clears the bits of the caller",
      .breaks = "a report only sets bits",
      .before = clear_the_callers,
      .caught_by = "log.report.sets" },
    { .name = "fills the last word of a report",
      .breaks = "a report tells its range",
      .after = fill_the_word,
      .caught_by = "log.report.bounds" },
    { .name = "reports pages that it does not log",
      .breaks = "a report tells what is logged",
      .after = report_the_unlogged,
      .caught_by = "log.report.outside" },
    { .name = "has a queue of 2000 pages",
      .breaks = "every page that was written is reported",
      .after = overflow,
      .caught_by = "log.complete",
      .also = "log.busy log.last" },
    { .name = "does not look at the second page of a write",
      .breaks = "every page that was written is reported",
      .after = lose_second_pages,
      .caught_by = "log.complete" },
    { .name = "reports the page behind as well",
      .breaks = "no other page is reported",
      .after = take_neighbours,
      .caught_by = "log.precise" },
    { .name = "forgets the last of three ranges that are not sorted",
      .breaks = "all ranges are logged",
      .before = drop_an_unsorted_range,
      .caught_by = "log.ranges" },
    { .name = "clears what is written while it reports",
      .breaks = "no write is lost between two reports",
      .after = lose_what_comes_meanwhile,
      .caught_by = "log.busy log.last" },
    { .name = "does not log what it writes when it stops",
      .breaks = "the last report has what was written last",
      .before = write_when_it_stops,
      .caught_by = "log.last" },
    { .name = "clears its log on the way to STOP_COPY",
      .breaks = "changes of state lose nothing",
      .on_state = clear_when_it_stops,
      .caught_by = "log.states",
      .also = "log.reset" },
    { .name = "stops its log with a reset",
      .breaks = "a reset stops no log",
      .before = stop_log_with_a_reset,
      .caught_by = "log.reset" },
    { .name = "loses the last run",
      .breaks = "runs tell what a bitmap tells",
      .after = lose_the_last_run,
      .caught_by = "log.runs" },
    { .name = "logs no map that comes after START",
      .breaks = "every page that was written is reported",
      .after = forget_new_maps,
      .caught_by = "log.map" },
    { .name = "gives an empty bitmap with an unmap",
      .breaks = "the log of a range is not lost with the range",
      .after = unmap_without_a_bitmap,
      .caught_by = "log.unmap" },
    { .name = NULL },
};
