/* SPDX-License-Identifier: BSD-3-Clause */
#include <string.h>
#include <unistd.h>

#include "models/copy/copy_regs.h"
#include "tests/check/mutants/mutants.h"

/* What breaks the rules of interrupts and DMA: devices that are not quiet, or that do not
 * go on with what they had. */

#define MSIX 2u
#define PBA_OFF 0x1000u
#define SCRATCH 0x500000u                /* where the checker has devices write */
#define ELSEWHERE (SCRATCH + (1u << 20)) /* where no driver is asked to write */
#define DOORBELL COPY_DOORBELL_OFF
#define CHANNEL COPY_CHANNEL_OFF

/* -- Interrupts -- */

static int refuse_bool_when_saved(struct mutant *mutant, struct ferry_request *request)
{
    return mutant_in(mutant, FERRY_STATE_STOP_COPY) &&
                   mutant_is(request, FERRY_RQ_SET_IRQS) &&
                   (request->u.irq_set.flags & FERRY_IRQ_SET_DATA_BOOL)
               ? FERRY_E_STATE
               : MUTANT_PASS;
}

/* A trigger in STOP gets lost, as the device's own would. */
static int lose_trigger_when_stopped(struct mutant *mutant, struct ferry_request *request)
{
    return mutant_in(mutant, FERRY_STATE_STOP) && mutant_is(request, FERRY_RQ_SET_IRQS) &&
                   request->u.irq_set.count == 1 &&
                   request->u.irq_set.flags ==
                       (FERRY_IRQ_SET_DATA_NONE | FERRY_IRQ_SET_TRIGGER)
               ? FERRY_OK
               : MUTANT_PASS;
}

static int forget_set_up_when_stopped(struct mutant *mutant,
                                      struct ferry_request *request)
{
    return mutant_in(mutant, FERRY_STATE_STOP) && mutant_is(request, FERRY_RQ_SET_IRQS) &&
                   request->u.irq_set.fd_count > 0
               ? FERRY_OK
               : MUTANT_PASS;
}

static void disable(struct mutant *mutant)
{
    struct ferry_request request = { .kind = FERRY_RQ_SET_IRQS };

    request.u.irq_set.index = MSIX;
    request.u.irq_set.flags = FERRY_IRQ_SET_DATA_NONE | FERRY_IRQ_SET_TRIGGER;
    (void)mutant_call(mutant, &request);
}

static void forget_vectors_in_pre_copy(struct mutant *mutant, uint32_t from, uint32_t to)
{
    (void)from;
    if (to == FERRY_STATE_PRE_COPY) {
        disable(mutant);
    }
}

static int see_set_up(struct mutant *mutant, struct ferry_request *request)
{
    if (mutant_is(request, FERRY_RQ_SET_IRQS) &&
        mutant_in(mutant, FERRY_STATE_RESUMING) && request->u.irq_set.fd_count > 0) {
        mutant->var[0] = 1;
    }
    return MUTANT_PASS;
}

/* The load overwrites what the user has set up during it. */
static void load_over_set_up(struct mutant *mutant, uint32_t from, uint32_t to)
{
    if (from == FERRY_STATE_RESUMING && to == FERRY_STATE_STOP && mutant->var[0] != 0) {
        disable(mutant);
    }
    mutant->var[0] = 0;
}

static int nothing_pending_when_stopped(struct mutant *mutant,
                                        struct ferry_request *request, int status)
{
    if (request->kind == FERRY_RQ_REGION_READ && request->u.io.index == COPY_BAR_MSIX &&
        request->u.io.off == PBA_OFF && mutant_in(mutant, FERRY_STATE_STOP)) {
        memset(request->u.io.data, 0, request->u.io.count);
    }
    return status;
}

/* Vectors as they were, but none of them pending. */
static void load_without_pending(struct mutant *mutant, uint32_t from, uint32_t to)
{
    struct ferry_request request = { .kind = FERRY_RQ_SET_IRQS };
    int fd = mutant->eventfd[MSIX][0];

    if (from != FERRY_STATE_RESUMING || to != FERRY_STATE_STOP || fd < 0) {
        return;
    }
    fd = dup(fd);
    disable(mutant);
    request.u.irq_set.index = MSIX;
    request.u.irq_set.flags = FERRY_IRQ_SET_DATA_EVENTFD | FERRY_IRQ_SET_TRIGGER;
    request.u.irq_set.count = 1;
    request.u.irq_set.fds = &fd;
    request.u.irq_set.fd_count = 1;
    (void)mutant_call(mutant, &request);
    (void)close(fd);
}

/* var[0]: the driver has given it work since the last reset. */
static int see_work(struct mutant *mutant, struct ferry_request *request)
{
    if (request->kind == FERRY_RQ_REGION_WRITE && request->u.io.index == COPY_BAR_REGS &&
        request->u.io.off == DOORBELL) {
        mutant->var[0] = 1;
    } else if (request->kind == FERRY_RQ_RESET) {
        mutant->var[0] = 0;
    }
    return MUTANT_PASS;
}

static int interrupt_in(struct mutant *mutant, uint32_t state)
{
    if (mutant->var[0] != 0 && mutant_in(mutant, state)) {
        (void)mutant_interrupt(mutant, MSIX, 0);
        return 1; /* it goes on without being asked */
    }
    return 0;
}

static int interrupt_in_stop(struct mutant *mutant)
{
    return interrupt_in(mutant, FERRY_STATE_STOP);
}

static int interrupt_in_stop_copy(struct mutant *mutant)
{
    return interrupt_in(mutant, FERRY_STATE_STOP_COPY);
}

static int interrupt_in_p2p(struct mutant *mutant)
{
    return interrupt_in(mutant, FERRY_STATE_RUNNING_P2P);
}

static int interrupt_in_resuming(struct mutant *mutant)
{
    return interrupt_in(mutant, FERRY_STATE_RESUMING);
}

/* -- DMA -- */

static int write_in(struct mutant *mutant, uint32_t state)
{
    if (mutant_in(mutant, state)) {
        mutant->var[1]++; /* never the same again, however often */
        (void)mutant_write(mutant, ELSEWHERE, &mutant->var[1], sizeof(mutant->var[1]));
        return 1; /* it goes on without being asked */
    }
    return 0;
}

static int write_in_stop(struct mutant *mutant)
{
    return write_in(mutant, FERRY_STATE_STOP);
}

static int write_in_stop_copy(struct mutant *mutant)
{
    return write_in(mutant, FERRY_STATE_STOP_COPY);
}

static int write_in_p2p(struct mutant *mutant)
{
    return write_in(mutant, FERRY_STATE_PRE_COPY_P2P);
}

static int write_in_resuming(struct mutant *mutant)
{
    return write_in(mutant, FERRY_STATE_RESUMING);
}

/* The log says that it wrote, whatever memory says. */
static int log_in_stop(struct mutant *mutant, struct ferry_request *request, int status)
{
    if (request->kind == FERRY_RQ_LOG_REPORT && mutant_in(mutant, FERRY_STATE_STOP) &&
        status == FERRY_OK) {
        *(uint8_t *)request->u.log_report.bitmap |= 1;
    }
    return status;
}

static int look_at_memory(struct mutant *mutant, struct ferry_request *request)
{
    return mutant_arc(mutant, request, FERRY_STATE_RESUMING, FERRY_STATE_STOP) &&
                   mutant_at(mutant, SCRATCH, 1) == NULL
               ? FERRY_E_RANGE
               : MUTANT_PASS;
}

static uint32_t channel_get(struct mutant *mutant, uint32_t off)
{
    struct ferry_request request = { .kind = FERRY_RQ_REGION_READ };
    uint32_t value = 0;

    request.u.io.index = COPY_BAR_REGS;
    request.u.io.off = CHANNEL + off;
    request.u.io.count = sizeof(value);
    request.u.io.data = &value;
    (void)mutant_call(mutant, &request);
    return value;
}

/* Work that was given and not taken is forgotten. */
static void drop_work(struct mutant *mutant)
{
    uint32_t head = channel_get(mutant, COPY_CH_HEAD);
    struct ferry_request request = { .kind = FERRY_RQ_REGION_WRITE };

    request.u.io.index = COPY_BAR_REGS;
    request.u.io.off = CHANNEL + COPY_CH_TAIL;
    request.u.io.count = sizeof(head);
    request.u.io.data = &head;
    if (channel_get(mutant, COPY_CH_TAIL) != head) {
        (void)mutant_call(mutant, &request);
    }
}

static void drop_work_after_pre_copy(struct mutant *mutant, uint32_t from, uint32_t to)
{
    if (from == FERRY_STATE_PRE_COPY && to == FERRY_STATE_RUNNING) {
        drop_work(mutant);
    }
}

const struct check_mutant mutants_quiet[] = {
    { .name = "refuses a trigger with a byte in STOP_COPY",
      .breaks = "MIG-IRQ-1: SET_IRQS works in every state",
      .before = refuse_bool_when_saved,
      .caught_by = "irq.set" },
    { .name = "loses triggers in STOP",
      .breaks = "MIG-IRQ-1, MIG-IRQ-4: what the user triggers comes in every state",
      .before = lose_trigger_when_stopped,
      .caught_by = "irq.set irq.kept" },
    { .name = "forgets vectors that are set up in STOP",
      .breaks = "MIG-IRQ-1: they are used when it runs",
      .before = forget_set_up_when_stopped,
      .caught_by = "irq.set irq.later irq.target" },
    { .name = "forgets its vectors when pre-copy begins",
      .breaks = "MIG-IRQ-4: vectors keep their set-up over changes of state",
      .on_state = forget_vectors_in_pre_copy,
      .caught_by = "irq.kept",
      .also = "irq.pending dma.goes-on" },
    { .name = "forgets vectors that are set up during a load",
      .breaks = "MIG-EXT-2: interrupts may be set up while it is loaded",
      .before = see_set_up,
      .on_state = load_over_set_up,
      .caught_by = "irq.target irq.later" },
    { .name = "has nothing pending in STOP",
      .breaks = "MIG-IRQ-3: what is pending stays pending",
      .after = nothing_pending_when_stopped,
      .caught_by = "irq.pending" },
    { .name = "does not carry what is pending",
      .breaks = "MIG-IRQ-2: it is raised again after the load",
      .on_state = load_without_pending,
      .caught_by = "irq.carried" },
    { .name = "interrupts in STOP",
      .breaks = "MIG-STOP-1: no interrupt in STOP",
      .before = see_work,
      .work = interrupt_in_stop,
      .caught_by = "irq.stopped" },
    { .name = "interrupts in STOP_COPY",
      .breaks = "MIG-STOP-1: no interrupt in STOP_COPY",
      .before = see_work,
      .work = interrupt_in_stop_copy,
      .caught_by = "irq.stopped" },
    { .name = "interrupts in RUNNING_P2P",
      .breaks = "MIG-P2P-6: no interrupt in a P2P state",
      .before = see_work,
      .work = interrupt_in_p2p,
      .caught_by = "irq.p2p" },
    { .name = "interrupts in RESUMING",
      .breaks = "MIG-RES-3: no interrupt in RESUMING",
      .before = see_work,
      .work = interrupt_in_resuming,
      .caught_by = "irq.resuming" },
    { .name = "writes to memory in STOP",
      .breaks = "MIG-STOP-1: no DMA in STOP",
      .work = write_in_stop,
      .caught_by = "dma.stopped" },
    { .name = "writes to memory in STOP, over vfio-user",
      .breaks = "MIG-STOP-1: no DMA in STOP",
      .work = write_in_stop,
      .served = 1,
      .only = "dma.*",
      .caught_by = "dma.stopped" },
    { .name = "interrupts in STOP, over vfio-user",
      .breaks = "MIG-STOP-1: no interrupt in STOP",
      .before = see_work,
      .work = interrupt_in_stop,
      .served = 1,
      .only = "irq.stopped irq.p2p irq.resuming",
      .caught_by = "irq.stopped" },
    { .name = "writes to memory in STOP_COPY, and acc does so",
      .breaks = "MIG-STOP-1: no DMA in STOP_COPY",
      .model = MUTANT_ACC,
      .work = write_in_stop_copy,
      .caught_by = "dma.stopped" },
    { .name = "has its log tell of writes in STOP",
      .breaks = "MIG-STOP-1: no DMA in STOP",
      .after = log_in_stop,
      .caught_by = "dma.stopped" },
    { .name = "writes to memory in PRE_COPY_P2P",
      .breaks = "MIG-P2P-1: no DMA in a P2P state",
      .work = write_in_p2p,
      .caught_by = "dma.p2p" },
    { .name = "writes to memory in RESUMING",
      .breaks = "MIG-RES-3: no DMA in RESUMING",
      .work = write_in_resuming,
      .caught_by = "dma.resuming" },
    { .name = "looks at guest memory when it is loaded",
      .breaks = "MIG-RES-3: it reads no guest memory in RESUMING",
      .before = look_at_memory,
      .caught_by = "dma.blind" },
    { .name = "drops the work that it has when pre-copy is given up",
      .breaks = "MIG-RUN-2: it goes on with what it had",
      .on_state = drop_work_after_pre_copy,
      .caught_by = "dma.goes-on" },
    { .name = NULL },
};
