/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef FERRY_TESTS_KERNEL_EDU_GUEST_H
#define FERRY_TESTS_KERNEL_EDU_GUEST_H

#include "drivers/guest/guest.h"
#include "drivers/virtio/pci.h"

/*
 * A guest that keeps an edu device at work: a transfer is nearly always under way. What
 * it remembers lies in its memory, so it goes on wherever that and the device are moved
 * to. Beside it stands a copy of what the memory must be.
 */
#define EDU_GUEST_IOVA 0x100000ull
#define EDU_GUEST_BYTES (8ull << 20)

struct edu_guest; /* page 0 of the memory */

/* Where it runs now. */
struct edu_place {
    struct guest_ram ram;
    struct pci_function pci;
    int irq; /* eventfd of its MSI */
};

struct edu_figures {
    uint64_t transfers, interrupts;
    uint64_t touched; /* pages that were written, each as often as it was */
};

/*
 * Fills the memory and starts the device. fills: 1: transfers into the device's buffer
 * too, else only out of it. Return: FERRY_OK; what the driver returned, with reterr.
 */
int edu_guest_boot(const struct edu_place *place, uint32_t fills,
                   struct ferry_error *reterr);
/* A look at the device, and the next transfer when the last is done.
 * Return: FERRY_OK; FERRY_E_DEVICE (bytes or an interrupt did not arrive). */
int edu_guest_turn(const struct edu_place *place, struct ferry_error *reterr);
/* It has moved: the next transfer is one out of the buffer, to see what is in there. */
void edu_guest_moved(void);
/* 1: the device says that a transfer is under way. */
int edu_guest_is_busy(const struct edu_place *place);
/* The memory is what it must be, and nothing is under way. */
int edu_guest_compare(const struct edu_place *place, struct ferry_error *reterr);
void edu_guest_figures(const struct edu_place *place, struct edu_figures *ret_figures);

#endif
