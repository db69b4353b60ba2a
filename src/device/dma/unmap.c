/* SPDX-License-Identifier: BSD-3-Clause */
#include <string.h>

#include "base/range.h"
#include "device/device_private.h"
#include "os/clock.h"

/* The maps of an unmap request: [first, end) in the table. */
struct span {
    uint32_t first, end;
};

static int unmap_error(struct ferry_request *request, int code, const char *what)
{
    return ferry_error_set(request->reterr, code, "device", NULL, 0,
                           "DMA_UNMAP of 0x%llx bytes at 0x%llx: %s",
                           (unsigned long long)request->u.unmap.size,
                           (unsigned long long)request->u.unmap.iova, what);
}

/* Whole maps only, as with VFIO type 1 version 2. */
static int find_span(const struct device_dma *dma, struct ferry_request *request,
                     struct span *ret_span)
{
    const struct ferry_dma_unmap *want = &request->u.unmap;
    uint64_t end = 0;

    if ((want->flags & FERRY_UNMAP_ALL) != 0) {
        *ret_span = (struct span){ 0, dma->count };
        return FERRY_OK;
    }
    if (want->size == 0 || !ferry_range_add(want->iova, want->size, &end)) {
        return unmap_error(request, FERRY_E_RANGE, "no size, or it overflows");
    }
    *ret_span =
        (struct span){ device_dma_index(dma, want->iova), device_dma_index(dma, end) };
    if (ret_span->first < dma->count && dma->map[ret_span->first]->iova < want->iova) {
        return unmap_error(request, FERRY_E_RANGE, "it begins inside a map");
    }
    if (ret_span->end < dma->count && dma->map[ret_span->end]->iova < end) {
        return unmap_error(request, FERRY_E_RANGE, "it ends inside a map");
    }
    if (ret_span->first == ret_span->end) {
        return unmap_error(request, FERRY_E_NOT_FOUND, "nothing is mapped there");
    }
    return FERRY_OK;
}

/* Where its maps are in the table now. Nothing can get in between them, but others may
 * have come since when it wants all. */
static struct span span_of(const struct device_dma *dma,
                           const struct ferry_dma_unmap *want)
{
    if ((want->flags & FERRY_UNMAP_ALL) != 0) {
        return (struct span){ 0, dma->count };
    }
    return (struct span){ device_dma_index(dma, want->iova),
                          device_dma_index(dma, want->iova + want->size) };
}

static struct ferry_log_report report_of(const struct ferry_dma_unmap *want)
{
    return (struct ferry_log_report){
        .iova = want->iova,
        .length = want->size,
        .page_size = want->page_size,
        .bitmap = want->bitmap,
        .bitmap_bytes = want->bitmap_bytes,
    };
}

static int check_unmap(const struct ferry_device *device, struct ferry_request *request,
                       struct span *ret_span)
{
    const struct ferry_dma_unmap *want = &request->u.unmap;
    const struct ferry_log_report report = report_of(want);
    int status;

    if ((want->flags & ~(FERRY_UNMAP_BITMAP | FERRY_UNMAP_ALL)) != 0 ||
        want->flags == (FERRY_UNMAP_BITMAP | FERRY_UNMAP_ALL) ||
        ((want->flags & FERRY_UNMAP_ALL) != 0 && (want->iova | want->size) != 0)) {
        return unmap_error(request, FERRY_E_ARGUMENT, "flags");
    }
    status = find_span(&device->dma, request, ret_span);
    if (status == FERRY_OK && (want->flags & FERRY_UNMAP_BITMAP) != 0) {
        status = device_log_check(device, &report, request->reterr);
    }
    if (status != FERRY_OK) {
        return status;
    }
    for (uint32_t i = ret_span->first; i < ret_span->end; i++) {
        if (device->dma.map[i]->leaving != NULL) {
            return unmap_error(request, FERRY_E_BUSY, "an unmap of it is under way");
        }
    }
    return FERRY_OK;
}

/* The maps stay. */
static void give_up(struct device_dma *dma, const struct ferry_request *request)
{
    const struct span span = span_of(dma, &request->u.unmap);

    for (uint32_t i = span.first; i < span.end; i++) {
        if (dma->map[i]->leaving == request) {
            dma->map[i]->leaving = NULL;
            dma->map[i]->released = 0;
        }
    }
}

static void finish(struct ferry_device *device, struct ferry_request *request)
{
    struct device_dma *dma = &device->dma;
    const struct span span = span_of(dma, &request->u.unmap);
    uint32_t kept = span.first;

    /* The last marks have been set, and nobody can ask for them once the maps are gone.
     */
    if ((request->u.unmap.flags & FERRY_UNMAP_BITMAP) != 0) {
        struct ferry_log_report report = report_of(&request->u.unmap);

        device_log_harvest(device, &report);
    }
    for (uint32_t i = span.first; i < span.end; i++) {
        struct device_map *map = dma->map[i];

        if (map->leaving == request) {
            dma->pages -= map->size >> DEVICE_PAGE_SHIFT;
            atomic_store(&map->dirty, NULL);
            device_dma_release(dma, map);
        } else {
            dma->map[kept++] = map;
        }
    }
    memmove(dma->map + kept, dma->map + span.end,
            (dma->count - span.end) * sizeof(dma->map[0]));
    dma->count -= span.end - kept;
}

/*
 * Asks the author about each map that it has not let go of yet.
 * Return: FERRY_OK (nobody uses them), FERRY_PENDING, a negative code (the author
 * refuses).
 */
static int try_unmap(struct ferry_device *device, const struct ferry_request *request)
{
    struct device_dma *dma = &device->dma;
    const struct span span = span_of(dma, &request->u.unmap);
    int status = FERRY_OK;

    for (uint32_t i = span.first; i < span.end; i++) {
        struct device_map *map = dma->map[i];

        if (map->leaving != request) {
            continue;
        }
        if (map->released == 0) {
            const int answer =
                device->ops.dma_unmap(device->state, device, map->iova, map->size);

            if (answer < 0) {
                return answer;
            }
            map->released = answer == FERRY_OK;
        }
        if (map->released == 0 || atomic_load(&map->held) != 0) {
            status = FERRY_PENDING;
        }
    }
    return status;
}

int device_dma_unmap(struct ferry_device *device, struct ferry_request *request)
{
    struct device_dma *dma = &device->dma;
    struct ferry_request **tail = &dma->unmap;
    struct span span = { 0, 0 };
    int status = check_unmap(device, request, &span);

    if (status != FERRY_OK) {
        return status;
    }
    for (uint32_t i = span.first; i < span.end; i++) {
        dma->map[i]->leaving = request;
        dma->map[i]->released = 0;
    }
    atomic_store(&device->waiting, 1); /* before `held` is looked at: see ferry_dma_put */
    status = try_unmap(device, request);
    if (status == FERRY_OK) {
        finish(device, request);
    } else if (status < 0) {
        give_up(dma, request);
    } else {
        while (*tail != NULL) {
            tail = &(*tail)->next;
        }
        request->next = NULL;
        request->tag = ferry_os_now_ns() + device->unmap_limit_ns; /* its deadline */
        *tail = request;
        device_unmap_wait(device, request->tag);
    }
    return status;
}

void device_dma_poll(struct ferry_device *device)
{
    struct device_dma *dma = &device->dma;
    struct ferry_request **link = &dma->unmap;

    while (*link != NULL) {
        struct ferry_request *request = *link;
        int status = try_unmap(device, request);

        if (status == FERRY_PENDING && ferry_os_now_ns() >= request->tag) {
            status = unmap_error(request, FERRY_E_TIMEOUT, "the device uses it too long");
        }
        if (status == FERRY_PENDING) {
            device_unmap_wait(device, request->tag);
            link = &request->next;
            continue;
        }
        *link = request->next;
        if (status == FERRY_OK) {
            finish(device, request);
        } else {
            give_up(dma, request);
        }
        device_complete(device, request, status);
    }
}
