/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef FERRY_CHECK_ACCESS_DMA_MEMORY_H
#define FERRY_CHECK_ACCESS_DMA_MEMORY_H

#include "check/access/access.h"
#include "os/memory.h"

/* Memory of a device that can be mapped: what CPUs and peers reach without its help. */
#define PEER_BYTES_MAX (64u << 10)

struct peer_memory {
    uint32_t region;
    int fd;
    uint64_t fd_off; /* where the place is in the descriptor's file */
    uint64_t bytes;  /* whole pages, at most PEER_BYTES_MAX */
    struct ferry_os_map map;
    uint8_t *copy; /* PEER_BYTES_MAX, for what is written and read */
};

/* What the driver of run->device says may be written to, of the device `of` (it, or its
 * partner). The driver is started. Return: 1; 0 with the case skipped or BROKEN. */
int peer_memory_open(struct check_run *run, struct check_device *of,
                     struct peer_memory *ret_memory);
void peer_memory_close(struct peer_memory *memory);
/* Return: FERRY_OK, FERRY_E_IO (nothing is there). */
int peer_memory_fill(struct peer_memory *memory, uint8_t seed);
int peer_memory_read(const struct peer_memory *memory, uint8_t *ret_bytes);
/* Bytes that are not as peer_memory_fill(seed) left them; UINT64_MAX: unreadable. */
uint64_t peer_memory_other(struct peer_memory *memory, uint8_t seed);

/* Maps the memory into run->device at CHECK_SCRATCH_IOVA, in place of what is there, and
 * back. Return: 1; 0 with the case FAILED (a map was refused). */
int peer_memory_map(struct check_run *run, const struct peer_memory *memory);
void peer_memory_unmap(struct check_run *run, const struct peer_memory *memory);

#endif
