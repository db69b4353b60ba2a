/* SPDX-License-Identifier: BSD-3-Clause */
#include "device/dma/dma.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "base/range.h"
#include "device/device_private.h"
#include "os/guard.h"

_Static_assert(DEVICE_SLOT_CHUNKS *DEVICE_SLOTS_PER_CHUNK > FERRY_DEVICE_MAPS_MAX,
               "a slot for every map");

static struct device_map *slot_of(struct device_dma *dma, uint32_t slot)
{
    return &dma->chunk[slot / DEVICE_SLOTS_PER_CHUNK][slot % DEVICE_SLOTS_PER_CHUNK];
}

void device_dma_release(struct device_dma *dma, struct device_map *map)
{
    const uint32_t slot = map->slot;

    assert(atomic_load(&map->held) == 0);
    if (map->window != NULL) {
        device_window_put(map->window);
    }
    device_log_free(map);
    memset(map, 0, sizeof(*map));
    map->slot = slot;
    map->next = dma->free;
    dma->free = map;
}

/* Frees slots of an earlier user whose last segments have come back. */
static void sweep(struct device_dma *dma)
{
    struct device_map **link = &dma->gone;

    while (*link != NULL) {
        struct device_map *map = *link;

        if (atomic_load(&map->held) == 0) {
            *link = map->next;
            device_dma_release(dma, map);
        } else {
            link = &map->next;
        }
    }
}

/* Return: a free slot, or NULL: no memory, or every slot is taken. */
static struct device_map *take_slot(struct device_dma *dma)
{
    struct device_map *map;

    sweep(dma);
    if (dma->free == NULL && dma->slots / DEVICE_SLOTS_PER_CHUNK < DEVICE_SLOT_CHUNKS) {
        struct device_map *chunk = calloc(DEVICE_SLOTS_PER_CHUNK, sizeof(*chunk));

        if (chunk == NULL) {
            return NULL;
        }
        dma->chunk[dma->slots / DEVICE_SLOTS_PER_CHUNK] = chunk;
        for (uint32_t i = DEVICE_SLOTS_PER_CHUNK; i-- > 0;) {
            chunk[i].slot = dma->slots + i;
            chunk[i].next = dma->free;
            dma->free = &chunk[i];
        }
        dma->slots += DEVICE_SLOTS_PER_CHUNK;
    }
    map = dma->free;
    if (map != NULL) {
        dma->free = map->next;
        map->next = NULL;
    }
    return map;
}

uint32_t device_dma_index(const struct device_dma *dma, uint64_t iova)
{
    uint32_t low = 0, high = dma->count;

    while (low < high) {
        const uint32_t mid = low + (high - low) / 2;
        const struct device_map *map = dma->map[mid];

        if (iova >= map->iova && iova - map->iova >= map->size) {
            low = mid + 1;
        } else if (iova >= map->iova) {
            return mid;
        } else {
            high = mid;
        }
    }
    return low;
}

static int map_error(struct ferry_request *request, int code, const char *what)
{
    return ferry_error_set(request->reterr, code, "device", NULL, 0,
                           "DMA_MAP of 0x%llx bytes at 0x%llx: %s",
                           (unsigned long long)request->u.map.size,
                           (unsigned long long)request->u.map.iova, what);
}

/* Is the request well formed and is there room for it? *ret_at: its place in the table.
 */
static int check_map(const struct device_dma *dma, struct ferry_request *request,
                     uint32_t *ret_at)
{
    const struct ferry_dma_map *want = &request->u.map;
    const struct device_map *next = NULL;
    uint64_t end;

    if (want->size == 0 || want->flags == 0 ||
        (want->flags & ~(FERRY_DMA_READ | FERRY_DMA_WRITE)) != 0) {
        return map_error(request, FERRY_E_ARGUMENT, "no size, or wrong flags");
    }
    if (!ferry_range_aligned(want->iova | want->size | want->offset, DEVICE_PAGE_BYTES)) {
        return map_error(request, FERRY_E_ALIGN, "not a multiple of 4096");
    }
    if (!ferry_range_add(want->iova, want->size, &end) ||
        !ferry_range_add(want->offset, want->size, &end)) {
        return map_error(request, FERRY_E_RANGE, "address or offset overflows");
    }
    *ret_at = device_dma_index(dma, want->iova);
    if (*ret_at < dma->count) {
        next = dma->map[*ret_at];
    }
    if (next != NULL &&
        ferry_range_overlaps(want->iova, want->size, next->iova, next->size)) {
        const int same = next->iova == want->iova && next->size == want->size;

        return map_error(request, same ? FERRY_E_EXISTS : FERRY_E_OVERLAP,
                         "something is mapped there");
    }
    if (dma->count == FERRY_DEVICE_MAPS_MAX) {
        return map_error(request, FERRY_E_LIMIT, "the device takes 131072 maps");
    }
    return FERRY_OK;
}

static int grow(struct device_dma *dma)
{
    const uint32_t cap = dma->cap == 0 ? 16 : dma->cap * 2;
    struct device_map **map;

    if (dma->count < dma->cap) {
        return FERRY_OK;
    }
    map = realloc(dma->map, cap * sizeof(dma->map[0]));
    if (map == NULL) {
        return FERRY_E_MEMORY;
    }
    dma->map = map;
    dma->cap = cap;
    return FERRY_OK;
}

static int open_memory(struct device_dma *dma, struct device_map *map,
                       struct ferry_request *request)
{
    const struct ferry_dma_map *want = &request->u.map;
    const uint32_t access =
        ((want->flags & FERRY_DMA_READ) != 0 ? FERRY_OS_MAP_READ : 0) |
        ((want->flags & FERRY_DMA_WRITE) != 0 ? FERRY_OS_MAP_READ | FERRY_OS_MAP_WRITE
                                              : 0);

    int status;

    if (want->fd < 0) {
        return FERRY_OK;
    }
    status = device_window_get(&dma->windows, want->fd, want->offset, want->size, access,
                               &map->window, &map->lendable, request->reterr);
    if (status == FERRY_OK) {
        map->address = device_window_at(map->window, want->offset);
    }
    return status;
}

int device_dma_map(struct ferry_device *device, struct ferry_request *request)
{
    struct device_dma *dma = &device->dma;
    const struct ferry_dma_map *want = &request->u.map;
    struct device_map *map;
    uint32_t at = 0;
    int status = check_map(dma, request, &at);

    if (status != FERRY_OK) {
        return status;
    }
    map = take_slot(dma);
    if (map == NULL) {
        return map_error(request, FERRY_E_MEMORY, "no memory for it");
    }
    map->iova = want->iova;
    map->size = want->size;
    map->flags = want->flags;
    status = grow(dma);
    if (status == FERRY_OK) {
        status = open_memory(dma, map, request);
    }
    if (status == FERRY_OK && device->log.on) {
        status = device_log_map(device, map, request->reterr);
    }
    if (status != FERRY_OK) {
        device_dma_release(dma, map);
        return status;
    }
    memmove(dma->map + at + 1, dma->map + at, (dma->count - at) * sizeof(dma->map[0]));
    dma->map[at] = map;
    dma->count++;
    dma->pages += map->size >> DEVICE_PAGE_SHIFT;
    return FERRY_OK;
}

void device_dma_drop(struct ferry_device *device)
{
    struct device_dma *dma = &device->dma;

    while (dma->unmap != NULL) {
        struct ferry_request *request = dma->unmap;

        dma->unmap = request->next;
        device_complete(device, request, FERRY_E_CLOSED);
    }
    for (uint32_t i = 0; i < dma->count; i++) {
        atomic_store(&dma->map[i]->dirty, NULL);
        dma->map[i]->next = dma->gone;
        dma->gone = dma->map[i];
    }
    dma->count = 0;
    dma->pages = 0;
    sweep(dma);
}

void device_dma_free(struct ferry_device *device)
{
    struct device_dma *dma = &device->dma;

    device_dma_drop(device);
    for (uint32_t i = 0; i < DEVICE_SLOT_CHUNKS && dma->chunk[i] != NULL; i++) {
        for (uint32_t k = 0; k < DEVICE_SLOTS_PER_CHUNK; k++) {
            device_log_free(&dma->chunk[i][k]);
        }
        free(dma->chunk[i]);
    }
    device_windows_free(&dma->windows);
    free(dma->map);
}

/*
 * The map that holds iova and permits what is wanted.
 * *ret_len: bytes from iova that it covers, at most size.
 */
static struct device_map *find(struct device_dma *dma, uint64_t iova, uint64_t size,
                               uint32_t flag, uint64_t *ret_len)
{
    const uint32_t at = device_dma_index(dma, iova);
    struct device_map *map;

    if (at == dma->count) {
        return NULL;
    }
    map = dma->map[at];
    if (iova < map->iova || (map->flags & flag) == 0 || map->leaving != NULL) {
        return NULL;
    }
    *ret_len = map->size - (iova - map->iova);
    *ret_len = *ret_len < size ? *ret_len : size;
    return map;
}

static int may_dma(const struct ferry_device *device)
{
    if (!ferry_device_bus_master(device)) {
        return FERRY_E_STATE;
    }
    return device_permit(device, FERRY_OP_DMA_START, NULL);
}

/* One map's part of a transfer. write: `data` goes to the user's memory. */
static int transfer(struct ferry_device *device, struct device_map *map, uint64_t iova,
                    uint8_t *data, uint64_t len, int write)
{
    const struct ferry_client_port *port = device->port;
    uint8_t *address = map->address;
    struct ferry_dirty *dirty = atomic_load(&map->dirty);
    int status = FERRY_E_CLOSED;

    if (address != NULL) {
        address += iova - map->iova;
        status = write ? ferry_os_guarded_copy(address, data, (size_t)len)
                       : ferry_os_guarded_copy(data, address, (size_t)len);
    } else if (port != NULL && write && port->dma_write != NULL) {
        status = port->dma_write(port->user, iova, data, (size_t)len);
    } else if (port != NULL && !write && port->dma_read != NULL) {
        status = port->dma_read(port->user, iova, data, (size_t)len);
    }
    /* Marked after the write, whatever became of it: a part may have arrived. */
    if (write && dirty != NULL) {
        ferry_dirty_set(dirty, iova - map->iova, len);
    }
    return status;
}

static int transfer_all(struct ferry_device *device, uint64_t iova, uint8_t *data,
                        size_t size, int write)
{
    const uint32_t flag = write ? FERRY_DMA_WRITE : FERRY_DMA_READ;
    uint64_t end, done = 0;
    int status = may_dma(device);

    if (status == FERRY_OK && !ferry_range_add(iova, size, &end)) {
        status = FERRY_E_RANGE;
    }
    while (status == FERRY_OK && done < size) {
        uint64_t len = 0;
        struct device_map *map = find(&device->dma, iova + done, size - done, flag, &len);

        if (map == NULL) {
            return FERRY_E_RANGE;
        }
        status = transfer(device, map, iova + done, data + done, len, write);
        done += len;
    }
    return status;
}

int ferry_dma_read(struct ferry_device *device, uint64_t iova, void *ret_data,
                   size_t size)
{
    return transfer_all(device, iova, ret_data, size, 0);
}

int ferry_dma_write(struct ferry_device *device, uint64_t iova, const void *data,
                    size_t size)
{
    /* transfer() only reads from it when it writes to the user's memory. */
    union {
        const void *from;
        uint8_t *to;
    } bytes = { .from = data };

    return transfer_all(device, iova, bytes.to, size, 1);
}

int ferry_dma_get(struct ferry_device *device, uint64_t iova, uint64_t size, int write,
                  struct ferry_dma_segment *ret_segment)
{
    struct device_map *map;
    uint64_t len = 0;
    int status = may_dma(device);

    if (status != FERRY_OK) {
        return status;
    }
    map = find(&device->dma, iova, size, write ? FERRY_DMA_WRITE : FERRY_DMA_READ, &len);
    if (map == NULL || size == 0) {
        return FERRY_E_RANGE;
    }
    /* The author's own accesses are not guarded: a file that its user shortens while
     * they go on would end the process with SIGBUS. */
    if (map->address == NULL || map->lendable == 0) {
        return FERRY_E_UNSUPPORTED;
    }
    atomic_fetch_add(&map->held, 1);
    atomic_fetch_add(&device->dma.held, 1);
    ret_segment->address = map->address + (iova - map->iova);
    ret_segment->iova = iova;
    ret_segment->size = len;
    ret_segment->writable = write != 0;
    ret_segment->map = map->slot;
    return FERRY_OK;
}

void ferry_dma_put(struct ferry_device *device, const struct ferry_dma_segment *segment,
                   uint64_t written_bytes)
{
    struct device_map *map = slot_of(&device->dma, segment->map);
    struct ferry_dirty *dirty = atomic_load(&map->dirty);

    if (dirty != NULL && segment->writable) {
        const uint64_t len =
            written_bytes < segment->size ? written_bytes : segment->size;

        ferry_dirty_set(dirty, segment->iova - map->iova, len);
    }
    /* From here on the slot may be freed; the device may not (the author's duty). */
    atomic_fetch_sub(&map->held, 1);
    atomic_fetch_sub(&device->dma.held, 1);
    /* Whoever waits sets `waiting` before it looks at `held`: one of both sees the other.
     */
    if (atomic_load(&device->waiting) != 0) {
        device_wake(device);
    }
}
