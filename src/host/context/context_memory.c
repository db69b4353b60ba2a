/* SPDX-License-Identifier: BSD-3-Clause */
#include <stdlib.h>
#include <string.h>

#include "base/range.h"
#include "host/context/context.h"
#include "os/memory.h"

#define PAGE_SHIFT 12u
_Static_assert((1u << PAGE_SHIFT) == FERRY_PAGE_BYTES, "one size of a page");

/* What a caller gave is wrong: text for people, then the code. */
static int check_memory(const struct ferry_context *context,
                        const struct ferry_memory *memory, struct ferry_error *reterr)
{
    uint64_t file_bytes;
    uint64_t end;

    if (memory->address == NULL || memory->size == 0) {
        return ferry_error_set(reterr, FERRY_E_ARGUMENT, FERRY_HOST_LAYER, NULL, 0,
                               "memory without an address or with size 0");
    }
    if (!ferry_range_aligned(memory->iova | memory->size, FERRY_PAGE_BYTES) ||
        (memory->fd >= 0 && !ferry_range_aligned(memory->offset, FERRY_PAGE_BYTES))) {
        return ferry_error_set(reterr, FERRY_E_ALIGN, FERRY_HOST_LAYER, NULL, 0,
                               "memory at 0x%llx: address, size and file offset must be "
                               "multiples of %u",
                               (unsigned long long)memory->iova, FERRY_PAGE_BYTES);
    }
    if (!ferry_range_add(memory->iova, memory->size, &end) ||
        (memory->fd >= 0 && !ferry_range_add(memory->offset, memory->size, &end))) {
        return ferry_error_set(reterr, FERRY_E_RANGE, FERRY_HOST_LAYER, NULL, 0,
                               "memory at 0x%llx: size 0x%llx goes past the end",
                               (unsigned long long)memory->iova,
                               (unsigned long long)memory->size);
    }
    if (memory->fd >= 0 && ferry_os_file_size(memory->fd, &file_bytes) == FERRY_OK &&
        end > file_bytes) {
        return ferry_error_set(reterr, FERRY_E_RANGE, FERRY_HOST_LAYER, NULL, 0,
                               "memory at 0x%llx: its file has %llu bytes and the memory "
                               "reaches to %llu",
                               (unsigned long long)memory->iova,
                               (unsigned long long)file_bytes, (unsigned long long)end);
    }
    for (uint32_t i = 0; i < context->memory_end; i++) {
        const struct ferry_host_memory *other = &context->memory[i];

        if (ferry_range_overlaps(memory->iova, memory->size, other->iova, other->size)) {
            return ferry_error_set(reterr, FERRY_E_OVERLAP, FERRY_HOST_LAYER, NULL, 0,
                                   "memory at 0x%llx overlaps memory %u at 0x%llx",
                                   (unsigned long long)memory->iova, i,
                                   (unsigned long long)other->iova);
        }
    }
    for (uint32_t i = 0; i < FERRY_HOST_PEER_MAPS_MAX; i++) {
        const struct ferry_host_peer_map *map = &context->peer_map[i];

        if (ferry_range_overlaps(memory->iova, memory->size, map->iova, map->size)) {
            return ferry_error_set(reterr, FERRY_E_OVERLAP, FERRY_HOST_LAYER, NULL, 0,
                                   "memory at 0x%llx overlaps the peer map at 0x%llx",
                                   (unsigned long long)memory->iova,
                                   (unsigned long long)map->iova);
        }
    }
    return FERRY_OK;
}

static int map_one(struct ferry_host_device *device, uint32_t index,
                   struct ferry_error *reterr)
{
    struct ferry_context *context = device->context;
    const struct ferry_host_memory *memory = &context->memory[index];
    struct ferry_error detail = { 0 };
    struct ferry_request request = {
        .kind = FERRY_RQ_DMA_MAP,
        .u.map = { .iova = memory->iova,
                   .size = memory->size,
                   .offset = memory->fd >= 0 ? memory->offset : 0,
                   .fd = memory->fd,
                   .address = memory->address,
                   .flags = FERRY_DMA_READ | (memory->writable ? FERRY_DMA_WRITE : 0) },
        .reterr = &detail,
    };
    const int rc = device->backend->ops->call(device->backend, &request);

    if (rc == FERRY_OK) {
        return FERRY_OK;
    }
    return ferry_error_set(reterr, rc, FERRY_HOST_LAYER, NULL, 0,
                           "device '%s' did not map memory %u at 0x%llx: %s",
                           device->name, index, (unsigned long long)memory->iova,
                           detail.code != FERRY_OK ? detail.text : ferry_status_text(rc));
}

static int unmap_one(struct ferry_host_device *device, uint32_t index,
                     struct ferry_error *reterr)
{
    const struct ferry_host_memory *memory = &device->context->memory[index];
    struct ferry_error detail = { 0 };
    struct ferry_request request = {
        .kind = FERRY_RQ_DMA_UNMAP,
        .u.unmap = { .iova = memory->iova, .size = memory->size },
        .reterr = &detail,
    };
    const int rc = device->backend->ops->call(device->backend, &request);

    if (rc == FERRY_OK) {
        return FERRY_OK;
    }
    return ferry_error_set(reterr, rc, FERRY_HOST_LAYER, NULL, 0,
                           "device '%s' did not let go of memory %u at 0x%llx: %s",
                           device->name, index, (unsigned long long)memory->iova,
                           detail.code != FERRY_OK ? detail.text : ferry_status_text(rc));
}

int ferry_host_memory_map_all(struct ferry_host_device *device,
                              struct ferry_error *reterr)
{
    const struct ferry_context *context = device->context;

    for (uint32_t i = 0; i < context->memory_end; i++) {
        if (context->memory[i].size != 0) {
            const int rc = map_one(device, i, reterr);

            if (rc != FERRY_OK) {
                return rc;
            }
        }
    }
    return FERRY_OK;
}

/* The entry's slot is filled: devices may reach it from now on. */
static int publish(struct ferry_context *context, uint32_t slot,
                   const struct ferry_memory *memory, struct ferry_error *reterr)
{
    const uint64_t pages = memory->size >> PAGE_SHIFT;
    const size_t need = ferry_dirty_need(pages);
    struct ferry_host_memory entry = {
        .iova = memory->iova,
        .size = memory->size,
        .address = memory->address,
        .fd = -1,
        .writable = memory->writable != 0,
        .offset = memory->offset,
    };
    int rc;

    entry.dirty_memory = need != 0 ? calloc(1, need) : NULL;
    if (entry.dirty_memory == NULL) {
        return ferry_error_set(reterr, FERRY_E_MEMORY, FERRY_HOST_LAYER, NULL, 0,
                               "no memory for the dirty map of 0x%llx bytes",
                               (unsigned long long)memory->size);
    }
    if (memory->fd >= 0) {
        rc = ferry_os_dup(memory->fd, &entry.fd);
        if (rc != FERRY_OK) {
            free(entry.dirty_memory);
            return ferry_error_set(reterr, rc, FERRY_HOST_LAYER, NULL, 0,
                                   "cannot duplicate the memory's descriptor");
        }
    }
    ferry_dirty_init_zeroed(&entry.dirty, pages, PAGE_SHIFT, entry.dirty_memory);
    pthread_rwlock_wrlock(&context->memory_lock);
    context->memory[slot] = entry;
    if (slot >= context->memory_end) {
        context->memory_end = slot + 1;
    }
    pthread_rwlock_unlock(&context->memory_lock);
    return FERRY_OK;
}

static void retract(struct ferry_context *context, uint32_t slot)
{
    struct ferry_host_memory entry;

    pthread_rwlock_wrlock(&context->memory_lock);
    entry = context->memory[slot];
    memset(&context->memory[slot], 0, sizeof(context->memory[slot]));
    while (context->memory_end > 0 &&
           context->memory[context->memory_end - 1].size == 0) {
        context->memory_end--;
    }
    pthread_rwlock_unlock(&context->memory_lock);
    ferry_os_close(&entry.fd);
    free(entry.dirty_memory);
}

int ferry_memory_create(uint64_t size, int *ret_fd, void **ret_address,
                        struct ferry_error *reterr)
{
    struct ferry_os_map map;
    int fd, rc;

    if (size == 0 || size % FERRY_PAGE_BYTES) {
        return ferry_error_set(reterr, FERRY_E_ALIGN, "host", NULL, 0,
                               "memory of %llu bytes: not a number of whole pages",
                               (unsigned long long)size);
    }
    rc = ferry_os_memfd_create("ferry-memory", size, &fd);
    if (rc != FERRY_OK) {
        return ferry_error_set(reterr, rc, "host", NULL, 0,
                               "no file for %llu bytes of memory",
                               (unsigned long long)size);
    }
    rc = ferry_os_map_shared(fd, 0, size, FERRY_OS_MAP_READ | FERRY_OS_MAP_WRITE, &map,
                             reterr);
    if (rc != FERRY_OK) {
        ferry_os_close(&fd);
        return rc;
    }
    *ret_fd = fd;
    *ret_address = map.data;
    return FERRY_OK;
}

/* The introduction told the target of every region: a change would need its answer. */
static int check_moment(const struct ferry_context *context, struct ferry_error *reterr)
{
    if (ferry_host_busy(context)) {
        return ferry_error_set(reterr, FERRY_E_BUSY, FERRY_HOST_LAYER, NULL, 0,
                               "memory cannot change during a migration: cancel it, or "
                               "wait for its end (FERRY_HOST_FINISHED)");
    }
    return FERRY_OK;
}

int ferry_context_add_memory(struct ferry_context *context,
                             const struct ferry_memory *memory,
                             struct ferry_error *reterr)
{
    uint32_t slot = 0;
    int rc = check_memory(context, memory, reterr);

    if (rc != FERRY_OK) {
        return rc;
    }
    rc = check_moment(context, reterr);
    if (rc != FERRY_OK) {
        return rc;
    }
    while (slot < FERRY_CONTEXT_MEMORY_MAX && context->memory[slot].size != 0) {
        slot++;
    }
    if (slot == FERRY_CONTEXT_MEMORY_MAX) {
        return ferry_error_set(reterr, FERRY_E_LIMIT, FERRY_HOST_LAYER, NULL, 0,
                               "a context has at most %u memory regions",
                               FERRY_CONTEXT_MEMORY_MAX);
    }
    rc = publish(context, slot, memory, reterr);
    if (rc != FERRY_OK) {
        return rc;
    }
    for (uint32_t i = 0; i < context->device_count; i++) {
        if (!ferry_host_device_is_open(context->device[i])) {
            continue;
        }
        rc = map_one(context->device[i], slot, reterr);
        if (rc != FERRY_OK) {
            /* The one that failed as well: whether it has the map is not known. */
            for (uint32_t j = 0; j <= i; j++) {
                if (ferry_host_device_is_open(context->device[j])) {
                    (void)unmap_one(context->device[j], slot, NULL);
                }
            }
            retract(context, slot);
            return rc;
        }
    }
    return (int)slot;
}

int ferry_context_remove_memory(struct ferry_context *context, uint32_t index,
                                struct ferry_error *reterr)
{
    int rc;

    if (index >= FERRY_CONTEXT_MEMORY_MAX || context->memory[index].size == 0) {
        return ferry_error_set(reterr, FERRY_E_NOT_FOUND, FERRY_HOST_LAYER, NULL, 0,
                               "no memory %u", index);
    }
    rc = check_moment(context, reterr);
    if (rc != FERRY_OK) {
        return rc;
    }
    for (uint32_t i = 0; i < context->device_count; i++) {
        if (!ferry_host_device_is_open(context->device[i])) {
            continue;
        }
        rc = unmap_one(context->device[i], index, reterr);
        /* A device that has just died holds nothing any more; one that does not know it
         * has let go too late for an earlier call. */
        if (rc != FERRY_OK && rc != FERRY_E_CLOSED && rc != FERRY_E_NOT_FOUND) {
            for (uint32_t j = 0; j < i; j++) {
                if (ferry_host_device_is_open(context->device[j])) {
                    (void)map_one(context->device[j], index, NULL);
                }
            }
            return rc;
        }
    }
    retract(context, index);
    return FERRY_OK;
}

void ferry_host_memory_destroy(struct ferry_context *context)
{
    for (uint32_t i = FERRY_CONTEXT_MEMORY_MAX; i > 0; i--) {
        if (context->memory[i - 1].size != 0) {
            retract(context, i - 1);
        }
    }
}

void ferry_context_mark_dirty(struct ferry_context *context, uint64_t iova, uint64_t size)
{
    uint64_t end;

    if (size == 0) {
        return;
    }
    if (!ferry_range_add(iova, size, &end)) {
        end = UINT64_MAX;
    }
    pthread_rwlock_rdlock(&context->memory_lock);
    for (uint32_t i = 0; i < context->memory_end; i++) {
        struct ferry_host_memory *memory = &context->memory[i];
        const uint64_t first = iova > memory->iova ? iova : memory->iova;
        const uint64_t memory_end = memory->iova + memory->size;
        const uint64_t last = end < memory_end ? end : memory_end;

        if (first < last) {
            ferry_dirty_set(&memory->dirty, first - memory->iova, last - first);
        }
    }
    pthread_rwlock_unlock(&context->memory_lock);
}

int ferry_host_memory_find(const struct ferry_context *context, uint64_t iova,
                           uint64_t size)
{
    for (uint32_t i = 0; i < context->memory_end; i++) {
        const struct ferry_host_memory *memory = &context->memory[i];

        if (memory->size != 0 &&
            ferry_range_within(iova, size, memory->iova, memory->size)) {
            return (int)i;
        }
    }
    return -1;
}
