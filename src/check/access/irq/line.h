/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef FERRY_CHECK_ACCESS_IRQ_LINE_H
#define FERRY_CHECK_ACCESS_IRQ_LINE_H

#include "check/check.h"

/* An eventfd of a check's own on vector 0 of MSI-X, or of MSI where that is all. */
struct irq_line {
    uint32_t index; /* FERRY_IRQ_MSIX or FERRY_IRQ_MSI */
    int fd;
};

/* Return: 1; 0 with the case BROKEN. */
int irq_line_make(struct check_run *run, struct irq_line *ret_line);
void irq_line_close(struct irq_line *line);

/* SET_IRQS for vector 0. flags: FERRY_IRQ_SET_*; with DATA_EVENTFD the line's eventfd, or
 * -1 to take it away (remove); with DATA_BOOL that value. Return: the status. */
int irq_set(struct check_run *run, const struct irq_line *line, uint32_t flags,
            uint32_t value);
#define IRQ_REMOVE 2u
/* DATA_NONE, TRIGGER, count 0: all vectors of the index go. */
int irq_disable(struct check_run *run, const struct irq_line *line);

/* Signals that came, within the time for the first one. */
uint64_t irq_line_count(struct check_run *run, const struct irq_line *line, uint32_t ms);

/* Of all eventfds that the driver has: signals since the last call. */
uint64_t irq_driver_count(struct check_run *run);

#endif
