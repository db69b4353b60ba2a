/* SPDX-License-Identifier: BSD-3-Clause */
#include "models/nic/migration/buffers.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "ferry/error.h"

int nic_buffers_init(struct nic_buffers *buffers)
{
    memset(buffers, 0, sizeof(*buffers));
    for (uint32_t i = 0; i < NIC_CHUNKS; i++) {
        buffers->chunk[i].data = malloc(NIC_CHUNK_BYTES);
        if (buffers->chunk[i].data == NULL) {
            nic_buffers_end(buffers);
            return FERRY_E_MEMORY;
        }
    }
    return FERRY_OK;
}

void nic_buffers_end(struct nic_buffers *buffers)
{
    for (uint32_t i = 0; i < NIC_CHUNKS; i++) {
        free(buffers->chunk[i].data);
    }
    memset(buffers, 0, sizeof(*buffers));
}

struct nic_chunk *nic_buffers_free(struct nic_buffers *buffers)
{
    for (uint32_t i = 0; i < NIC_CHUNKS; i++) {
        struct nic_chunk *chunk = &buffers->chunk[(buffers->reading + i) % NIC_CHUNKS];

        if (chunk->ready == 0) {
            return chunk;
        }
    }
    return NULL;
}

void nic_dma_private(struct nic_chunk *chunk, const void *data, size_t count)
{
    assert(chunk->ready == 0 && count <= NIC_CHUNK_BYTES - chunk->filled);
    memcpy(chunk->data + chunk->filled, data, count);
    chunk->filled += (uint32_t)count;
}

size_t nic_buffers_peek(const struct nic_buffers *buffers, size_t cap,
                        const uint8_t **ret_data)
{
    const struct nic_chunk *chunk = &buffers->chunk[buffers->reading];
    const size_t left = chunk->ready != 0 ? chunk->filled - chunk->read : 0;

    *ret_data = left != 0 ? chunk->data + chunk->read : NULL;
    return left < cap ? left : cap;
}

void nic_buffers_drop(struct nic_buffers *buffers, size_t count)
{
    struct nic_chunk *chunk = &buffers->chunk[buffers->reading];

    chunk->read += (uint32_t)count;
    if (chunk->read == chunk->filled) {
        chunk->read = 0;
        chunk->filled = 0;
        chunk->ready = 0;
        buffers->reading = (buffers->reading + 1) % NIC_CHUNKS;
    }
}

uint64_t nic_buffers_waiting(const struct nic_buffers *buffers)
{
    uint64_t bytes = 0;

    for (uint32_t i = 0; i < NIC_CHUNKS; i++) {
        bytes += buffers->chunk[i].filled - buffers->chunk[i].read;
    }
    return bytes;
}
