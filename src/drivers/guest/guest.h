/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef FERRY_DRIVERS_GUEST_GUEST_H
#define FERRY_DRIVERS_GUEST_GUEST_H

#include <stddef.h>
#include <stdint.h>

#include "ferry/host.h"

/*
 * The context's memory as the guest's CPU sees it. Everything that a driver has to
 * remember lives in here, at fixed IOVAs, so that whoever moves the memory moves the
 * guest.
 *
 * Thread: the CPU thread.
 */
struct guest_ram {
    struct ferry_context *context; /* borrowed; told of every write; NULL: nobody is */
    uint8_t *address;              /* borrowed mapping of the whole memory */
    uint64_t iova, size;
};

/* The memory at an IOVA; [iova, iova + size) must lie inside (asserted: our own layout).
 */
void *guest_at(const struct guest_ram *ram, uint64_t iova, uint64_t size);

/* The IOVA of an address inside the memory. */
uint64_t guest_iova(const struct guest_ram *ram, const void *address);

/* Reports bytes that the CPU has written; call it after the write, never before. */
void guest_wrote(const struct guest_ram *ram, const void *address, uint64_t size);

/* Copies into the memory and reports it. */
void guest_copy(const struct guest_ram *ram, void *to, const void *from, size_t size);

#endif
