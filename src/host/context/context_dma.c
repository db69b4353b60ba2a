/* SPDX-License-Identifier: BSD-3-Clause */
#include <string.h>

#include "base/range.h"
#include "host/context/context.h"

/*
 * A device's DMA messages: memory without a descriptor, or a device that prefers
 * messages. They come from whatever thread waits for that device, so the table is read
 * under its lock.
 */

/* The region that holds an address, or NULL. */
static struct ferry_host_memory *find(struct ferry_context *context, uint64_t iova)
{
    for (uint32_t i = 0; i < context->memory_end; i++) {
        struct ferry_host_memory *memory = &context->memory[i];

        if (iova >= memory->iova && iova - memory->iova < memory->size) {
            return memory;
        }
    }
    return NULL;
}

/* Bytes of [iova, iova + size) that lie in memory. */
static uint64_t piece(const struct ferry_host_memory *memory, uint64_t iova,
                      uint64_t size)
{
    const uint64_t left = memory->size - (iova - memory->iova);

    return size < left ? size : left;
}

/* Is all of the range there, and writable when it is to be written? Before the first byte
 * moves, so that a refused message has changed nothing. */
static int check(struct ferry_context *context, uint64_t iova, uint64_t size, int write)
{
    uint64_t end;

    if (!ferry_range_add(iova, size, &end)) {
        return FERRY_E_RANGE;
    }
    while (iova < end) {
        const struct ferry_host_memory *memory = find(context, iova);

        if (memory == NULL || (write && !memory->writable)) {
            return FERRY_E_RANGE;
        }
        iova += piece(memory, iova, end - iova);
    }
    return FERRY_OK;
}

int ferry_host_dma_read(void *user, uint64_t iova, void *ret_data, size_t size)
{
    struct ferry_context *context = user;
    uint8_t *to = ret_data;
    int rc;

    pthread_rwlock_rdlock(&context->memory_lock);
    rc = check(context, iova, size, 0);
    while (rc == FERRY_OK && size > 0) {
        const struct ferry_host_memory *memory = find(context, iova);
        const size_t count = (size_t)piece(memory, iova, size);

        memcpy(to, memory->address + (iova - memory->iova), count);
        to += count;
        iova += count;
        size -= count;
    }
    pthread_rwlock_unlock(&context->memory_lock);
    return rc;
}

int ferry_host_dma_write(void *user, uint64_t iova, const void *data, size_t size)
{
    struct ferry_context *context = user;
    const uint8_t *from = data;
    int rc;

    pthread_rwlock_rdlock(&context->memory_lock);
    rc = check(context, iova, size, 1);
    while (rc == FERRY_OK && size > 0) {
        struct ferry_host_memory *memory = find(context, iova);
        const uint64_t off = iova - memory->iova;
        const size_t count = (size_t)piece(memory, iova, size);

        memcpy(memory->address + off, from, count);
        /* After the bytes: a harvest in between would lose them. */
        ferry_dirty_set(&memory->dirty, off, count);
        from += count;
        iova += count;
        size -= count;
    }
    pthread_rwlock_unlock(&context->memory_lock);
    return rc;
}
