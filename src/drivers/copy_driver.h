/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef FERRY_DRIVERS_COPY_DRIVER_H
#define FERRY_DRIVERS_COPY_DRIVER_H

#include <stdint.h>

#include "drivers/guest/guest.h"
#include "drivers/virtio/pci.h"

/* Driver of `copy`: one channel, completions by interrupt. */

#define COPY_DRIVER_VECTORS 1

/* What the driver remembers, in guest memory. */
struct copy_driver {
    uint64_t ring_iova, done_iova;
    uint32_t entries;
    uint32_t tail;  /* descriptors given, free running */
    uint32_t taken; /* completions taken, free running */
    uint32_t pad;
};

struct copy_job {
    uint32_t id;       /* comes back with the completion */
    uint32_t flags;    /* COPY_F_SRC_LOCAL, COPY_F_DST_LOCAL */
    uint64_t from, to; /* IOVA, or offset in device memory */
    uint64_t bytes;
};

/* Bytes of guest memory for rings of this many entries (a power of two). */
uint64_t copy_driver_need(uint32_t entries);

/*
 * Starts channel 0 over rings at iova (page aligned). local_bytes: device memory that the
 * caller wants to use.
 * Return: FERRY_OK; FERRY_E_UNSUPPORTED (another device, or version), FERRY_E_LIMIT (too
 *   little device memory, too long a ring), FERRY_E_DEVICE (the channel does not start),
 * or what an access returned; reterr says where.
 */
int copy_driver_init(const struct pci_function *pci, const struct guest_ram *ram,
                     struct copy_driver *copy, uint64_t iova, uint32_t entries,
                     uint64_t local_bytes, struct ferry_error *reterr);

/*
 * 1 when memory that came from elsewhere holds a driver as copy_driver_init() makes it,
 * with this many jobs under way.
 */
int copy_driver_check(const struct copy_driver *copy, uint64_t iova, uint32_t entries,
                      uint32_t jobs);

/* Queues a job; the caller keeps at most `entries` of them untaken (asserted). */
void copy_driver_submit(const struct guest_ram *ram, struct copy_driver *copy,
                        const struct copy_job *job);
int copy_driver_kick(const struct pci_function *pci, const struct copy_driver *copy);

/*
 * Takes one completion. Return: 1 with the job's id, the device's status (enum
 * copy_status) and the bytes that it says it wrote; 0 when there is none.
 */
struct copy_result {
    uint32_t id, status;
    uint64_t bytes;
};
int copy_driver_take(const struct guest_ram *ram, struct copy_driver *copy,
                     struct copy_result *ret_result);

/* Completions that the device has published and nobody has taken. */
uint32_t copy_driver_ready(const struct guest_ram *ram, const struct copy_driver *copy);

#endif
