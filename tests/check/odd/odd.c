/* SPDX-License-Identifier: BSD-3-Clause */
#include "tests/check/odd/odd.h"

#include <stddef.h>
#include <unistd.h>

#define CONFIG 7u
#define MSIX 2u
#define REGISTERS 0u
#define LARGE 65536u
#define SMALL 4096u

/* -- What it lacks -- */

static int without_reset(struct mutant *mutant, struct ferry_request *request)
{
    (void)mutant;
    return request->kind == FERRY_RQ_RESET ? FERRY_E_UNSUPPORTED : MUTANT_PASS;
}

static int without_reset_flag(struct mutant *mutant, struct ferry_request *request,
                              int status)
{
    (void)mutant;
    if (request->kind == FERRY_RQ_GET_INFO) {
        request->u.info.flags &= ~FERRY_DEVICE_FLAG_RESET;
    }
    return status;
}

static int probes(const struct ferry_request *request, uint32_t first, uint32_t last)
{
    return request->kind == FERRY_RQ_PROBE && request->u.probe.index >= first &&
           request->u.probe.index <= last;
}

static int without_size(struct mutant *mutant, struct ferry_request *request)
{
    (void)mutant;
    return request->kind == FERRY_RQ_DATA_SIZE || probes(request, 9, 9)
               ? FERRY_E_UNSUPPORTED
               : MUTANT_PASS;
}

static int without_log(struct mutant *mutant, struct ferry_request *request)
{
    (void)mutant;
    return request->kind == FERRY_RQ_LOG_START || request->kind == FERRY_RQ_LOG_STOP ||
                   request->kind == FERRY_RQ_LOG_REPORT ||
                   request->kind == FERRY_RQ_LOG_RUNS || probes(request, 6, 8)
               ? FERRY_E_UNSUPPORTED
               : MUTANT_PASS;
}

static int without_identity(struct mutant *mutant, struct ferry_request *request)
{
    (void)mutant;
    return request->kind == FERRY_RQ_IDENTITY ? FERRY_E_UNSUPPORTED : MUTANT_PASS;
}

static int refuse_vectors(struct mutant *mutant, struct ferry_request *request)
{
    (void)mutant;
    return request->kind == FERRY_RQ_SET_IRQS && request->u.irq_set.index == MSIX
               ? FERRY_E_ARGUMENT
               : MUTANT_PASS;
}

static int without_vectors(struct mutant *mutant, struct ferry_request *request,
                           int status)
{
    (void)mutant;
    if (request->kind == FERRY_RQ_GET_IRQ_INFO && request->u.irq.index == MSIX) {
        request->u.irq.count = 0;
    }
    return status;
}

/* Nothing says that config space is there before the load is over. */
static int without_config_in_resuming(struct mutant *mutant,
                                      struct ferry_request *request)
{
    return (request->kind == FERRY_RQ_REGION_READ ||
            request->kind == FERRY_RQ_REGION_WRITE) &&
                   request->u.io.index == CONFIG &&
                   mutant_in(mutant, FERRY_STATE_RESUMING)
               ? FERRY_E_STATE
               : MUTANT_PASS;
}

/* -- Its time -- */

static int slow_arcs(struct mutant *mutant, struct ferry_request *request)
{
    (void)mutant;
    if (request->kind == FERRY_RQ_SET_STATE) {
        (void)usleep(2000);
    }
    return MUTANT_PASS;
}

static int very_slow_arcs(struct mutant *mutant, struct ferry_request *request)
{
    (void)mutant;
    if (request->kind == FERRY_RQ_SET_STATE || request->kind == FERRY_RQ_RESET) {
        (void)usleep(20000);
    }
    return MUTANT_PASS;
}

/* Its arcs end later, and it answers everything else meanwhile. */
static int later_arcs(struct mutant *mutant, struct ferry_request *request)
{
    if (request->kind == FERRY_RQ_SET_STATE && mutant->held == NULL) {
        mutant->var[0] = 20;
        mutant_wake(mutant);
        return mutant_hold(mutant, request);
    }
    return MUTANT_PASS;
}

static int end_later(struct mutant *mutant)
{
    if (mutant->var[0] > 0) {
        (void)usleep(20);
        if (--mutant->var[0] == 0) {
            mutant_release(mutant, MUTANT_PASS);
        }
    }
    return mutant->var[0] > 0;
}

/* -- Its data -- */

static int read_one_byte(struct mutant *mutant, struct ferry_request *request)
{
    (void)mutant;
    if (request->kind == FERRY_RQ_DATA_READ && request->u.data.size > 1) {
        request->u.data.size = 1;
    }
    return MUTANT_PASS;
}

static int read_little(struct mutant *mutant, struct ferry_request *request)
{
    (void)mutant;
    if (request->kind == FERRY_RQ_DATA_READ && request->u.data.size > 61) {
        request->u.data.size = 61;
    }
    return MUTANT_PASS;
}

static int guess_much(struct mutant *mutant, struct ferry_request *request, int status)
{
    (void)mutant;
    if (status == FERRY_OK && request->kind == FERRY_RQ_DATA_SIZE) {
        request->u.data_size = 1ull << 30;
    }
    return status;
}

/* -- Its errors -- */

static int say_eio(struct mutant *mutant, struct ferry_request *request, int status)
{
    (void)mutant;
    return status < 0 && status != FERRY_E_DRY && status != FERRY_E_UNSUPPORTED &&
                   request->kind != FERRY_RQ_PROBE
               ? FERRY_E_IO
               : status;
}

/* A device that an access while it is stopped does nothing to, and no error comes. */
static int stopped(const struct mutant *mutant)
{
    return mutant_in(mutant, FERRY_STATE_STOP) ||
           mutant_in(mutant, FERRY_STATE_STOP_COPY) ||
           mutant_in(mutant, FERRY_STATE_RESUMING);
}

static int read_ones_when_stopped(struct mutant *mutant, struct ferry_request *request)
{
    if (stopped(mutant) && request->u.io.index == REGISTERS &&
        (request->kind == FERRY_RQ_REGION_READ ||
         request->kind == FERRY_RQ_REGION_WRITE)) {
        if (request->kind == FERRY_RQ_REGION_READ) {
            for (uint32_t i = 0; i < request->u.io.count; i++) {
                ((uint8_t *)request->u.io.data)[i] = 0xff;
            }
        }
        return FERRY_OK;
    }
    return MUTANT_PASS;
}

/* -- Pages of 64 KiB -- */

static int is_large(uint64_t value)
{
    return value % LARGE == 0;
}

static int large_pages(struct mutant *mutant, struct ferry_request *request)
{
    (void)mutant;
    if (request->kind == FERRY_RQ_DMA_MAP &&
        (!is_large(request->u.map.iova) || !is_large(request->u.map.size))) {
        return FERRY_E_ARGUMENT;
    }
    return MUTANT_PASS;
}

/* A bit stands for its neighbours too. */
static void widen(const struct ferry_log_report *report)
{
    uint64_t *word = report->bitmap;
    const uint64_t pages = report->length / report->page_size;
    const uint64_t each = LARGE / report->page_size;
    const uint64_t from = report->iova / report->page_size;

    for (uint64_t page = 0; page < pages; page++) {
        if (word[page / 64] >> page % 64 & 1) {
            const uint64_t unit = (from + page) / each * each;

            for (uint64_t i = unit < from ? from : unit; i < unit + each; i++) {
                if (i - from < pages) {
                    word[(i - from) / 64] |= 1ull << (i - from) % 64;
                }
            }
        }
    }
}

static int large_units(struct mutant *mutant, struct ferry_request *request, int status)
{
    (void)mutant;
    if (status == FERRY_OK && request->kind == FERRY_RQ_LOG_START &&
        request->u.log_start.page_size < LARGE) {
        request->u.log_start.page_size = LARGE;
    }
    if (status == FERRY_OK && request->kind == FERRY_RQ_LOG_REPORT &&
        request->u.log_report.page_size >= SMALL &&
        request->u.log_report.page_size < LARGE) {
        widen(&request->u.log_report);
    }
    return status;
}

/* -- The log of a simple tracker -- */

/* It knows that something was written, and not where. */
static int report_all(struct mutant *mutant, struct ferry_request *request, int status)
{
    (void)mutant;
    if (status == FERRY_OK && request->kind == FERRY_RQ_LOG_REPORT) {
        const uint64_t pages =
            request->u.log_report.length / request->u.log_report.page_size;
        uint64_t *word = request->u.log_report.bitmap;
        uint64_t any = 0;

        for (uint64_t i = 0; i < pages; i++) {
            any |= word[i / 64] >> i % 64 & 1;
        }
        for (uint64_t i = 0; any && i < pages; i++) {
            word[i / 64] |= 1ull << i % 64;
        }
    }
    return status;
}

static int one_range(struct mutant *mutant, struct ferry_request *request)
{
    (void)mutant;
    return request->kind == FERRY_RQ_LOG_START && request->u.log_start.range_count > 8
               ? FERRY_E_LIMIT
               : MUTANT_PASS;
}

/* -- Interrupts -- */

/* It tells its driver that it has stopped, before it has. */
static void interrupt_in_p2p(struct mutant *mutant, uint32_t from, uint32_t to)
{
    if (from == FERRY_STATE_RUNNING && to == FERRY_STATE_RUNNING_P2P) {
        (void)mutant_interrupt(mutant, MSIX, 0);
    }
}

/* What a form without sums, with padding that is never the same, cannot have. */
#define OWN_FORM "data.long data.flip data.same data.clean data.round data.round-partner"

/* clang-format off */
const struct check_mutant odd_devices[] = {
    { .name = "slow arcs", .before = slow_arcs, 
      .only = "arc.seen session.* dma.* log.last" },
    { .name = "arcs and resets of 20 ms", .before = very_slow_arcs,
      .only = "dma.p2p reset.quiet[STOP] irq.pending race.sets[RUNNING>STOP+STOP_COPY]" },
    { .name = "arcs that end later", .before = later_arcs, .work = end_later,
      .only = "arc.* race.* dma.*" },
    { .name = "no reset", .before = without_reset, .after = without_reset_flag },
    { .name = "no size of its data", .before = without_size },
    { .name = "no DMA log", .before = without_log },
    { .name = "no identity", .before = without_identity },
    { .name = "no MSI-X", .undriven = 1, .before = refuse_vectors, .after = without_vectors },
    { .name = "no config space in RESUMING", .before = without_config_in_resuming,
      .also = "access.resuming.config access.power" },
    { .name = "reads of one byte", .model = "acc,sessions=4,queues=1", .before = read_one_byte },
    { .name = "short reads", .before = read_little, .only = "arc.* session.* data.* precopy.* size.*" },
    { .name = "data that differ each time", .also = OWN_FORM, .before = odd_stream_before,
      .after = odd_stream_after, .on_state = odd_stream_state },
    { .name = "acc with data that differ each time", .model = "acc",
      .also = OWN_FORM " data.order",
      .before = odd_stream_before, .after = odd_stream_after, .on_state = odd_stream_state },
    { .name = "pre-copy that is never dry", .also = OWN_FORM " precopy.empty", .before = odd_stream_never_dry,
      .after = odd_stream_after, .on_state = odd_stream_state },
    { .name = "a guess of 1 GiB", .after = guess_much },
    { .name = "EIO for everything", .after = say_eio, .also = "arc.errno" },
    { .name = "ones from a stopped device", .before = read_ones_when_stopped,
      .also = "access.stopped.region access.resuming.region" },
    { .name = "pages of 64 KiB", .before = large_pages, .after = large_units },
    { .name = "a log that knows no pages", .also = "log.precise", .after = report_all },
    { .name = "a log of few ranges", .before = one_range },
    { .name = "an interrupt in RUNNING_P2P", .on_state = interrupt_in_p2p },
    { .name = NULL },
};
/* clang-format on */
