/* SPDX-License-Identifier: BSD-3-Clause */
#include "check/access/irq/line.h"

#include "ferry/host.h"
#include "os/clock.h"
#include "os/eventfd.h"
#include "os/memory.h"

int irq_line_make(struct check_run *run, struct irq_line *ret_line)
{
    ret_line->index =
        run->at->vectors[FERRY_IRQ_MSIX] > 0 ? FERRY_IRQ_MSIX : FERRY_IRQ_MSI;
    ret_line->fd = -1;
    return ferry_os_eventfd_create(&ret_line->fd) == FERRY_OK ||
           check_broken(run, "no eventfd can be made");
}

void irq_line_close(struct irq_line *line)
{
    ferry_os_close(&line->fd);
}

int irq_set(struct check_run *run, const struct irq_line *line, uint32_t flags,
            uint32_t value)
{
    struct ferry_request request = { .kind = FERRY_RQ_SET_IRQS };
    const int fd = value == IRQ_REMOVE ? -1 : line->fd;
    const uint8_t bit = value != 0;

    request.u.irq_set.flags = flags;
    request.u.irq_set.index = line->index;
    request.u.irq_set.count = 1;
    if (flags & FERRY_IRQ_SET_DATA_EVENTFD) {
        request.u.irq_set.fds = &fd;
        request.u.irq_set.fd_count = value == IRQ_REMOVE ? 0 : 1;
    }
    request.u.irq_set.bools = &bit;
    return check_call(run, &request);
}

int irq_disable(struct check_run *run, const struct irq_line *line)
{
    struct ferry_request request = { .kind = FERRY_RQ_SET_IRQS };

    request.u.irq_set.flags = FERRY_IRQ_SET_DATA_NONE | FERRY_IRQ_SET_TRIGGER;
    request.u.irq_set.index = line->index;
    return check_call(run, &request);
}

uint64_t irq_line_count(struct check_run *run, const struct irq_line *line, uint32_t ms)
{
    const uint64_t until = ferry_os_now_ns() + (uint64_t)ms * FERRY_NS_PER_MS;
    uint64_t count = 0;

    for (;;) {
        (void)ferry_check_turn(&run->driven, 0);
        if (ferry_os_eventfd_drain(line->fd, &count) != FERRY_OK || count > 0 ||
            ferry_os_now_ns() >= until) {
            return count;
        }
        (void)ferry_check_turn(&run->driven, 1);
    }
}

uint64_t irq_driver_count(struct check_run *run)
{
    uint64_t all = 0;

    for (uint32_t i = 0; i < run->device.eventfd_count; i++) {
        uint64_t count = 0;

        if (ferry_os_eventfd_drain(run->device.eventfd[i], &count) == FERRY_OK) {
            all += count;
        }
    }
    return all;
}
