/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef FERRY_MODELS_NIC_MIGRATION_BUFFERS_H
#define FERRY_MODELS_NIC_MIGRATION_BUFFERS_H

#include <stddef.h>
#include <stdint.h>

/*
 * Where an image passes from the hardware to the driver: two buffers of the host's. While
 * the driver reads one, the hardware writes the next piece into the other by DMA of its
 * own. That memory is none of the user's, has no IOVA that the user knows, and what is
 * written to it is in no dirty log.
 */
#define NIC_CHUNK_BYTES (1u << 20)
#define NIC_CHUNKS 2u

struct nic_chunk {
    uint8_t *data;
    uint32_t filled; /* bytes that the hardware wrote */
    uint32_t read;   /* of them given to the user */
    uint32_t ready;  /* 1: the hardware's part is done */
    uint32_t pad;
};

struct nic_buffers {
    struct nic_chunk chunk[NIC_CHUNKS];
    uint32_t reading; /* which one the driver reads, or will */
    uint32_t pad;
};

/* Return: FERRY_OK, FERRY_E_MEMORY. */
int nic_buffers_init(struct nic_buffers *buffers);
void nic_buffers_end(struct nic_buffers *buffers);

/* --- the hardware's side --- */

/* The buffer that may be written; NULL: both hold what was not read. */
struct nic_chunk *nic_buffers_free(struct nic_buffers *buffers);
/* The device's own DMA, to a buffer's next place. Room for count is there. */
void nic_dma_private(struct nic_chunk *chunk, const void *data, size_t count);

/* --- the driver's side --- */

/* The bytes that wait, at most cap, in one piece. Return: how many; 0: none are ready. */
size_t nic_buffers_peek(const struct nic_buffers *buffers, size_t cap,
                        const uint8_t **ret_data);
/* They were read; an empty buffer goes back to the hardware. */
void nic_buffers_drop(struct nic_buffers *buffers, size_t count);
uint64_t nic_buffers_waiting(const struct nic_buffers *buffers);

#endif
