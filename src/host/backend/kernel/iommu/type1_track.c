/* SPDX-License-Identifier: BSD-3-Clause */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/bitmap.h"
#include "host/backend/kernel/iommu/say.h"
#include "host/backend/kernel/iommu/type1.h"
#include "os/errno.h"
#include "os/uapi/type1.h"

/* Pages of the probe: from 1 GiB on, which is memory's place on every platform. */
#define PROBE_IOVA (UINT64_C(1) << 30)

/* Return: 0 or -errno. */
static int set_tracking(struct type1 *type1, int on)
{
    struct uapi_type1_dirty call = { .argsz = sizeof(call),
                                     .flags = on ? UAPI_TYPE1_DIRTY_START
                                                 : UAPI_TYPE1_DIRTY_STOP };

    return kernel_ioctl(type1->calls, type1->container_fd, UAPI_TYPE1_DIRTY, &call);
}

/* The bits of one mapping, which are forgotten by it. bits: zeroed. Return: 0 or -errno.
 */
static int get_bits(struct type1 *type1, uint64_t iova, uint64_t size, void *bits)
{
    struct {
        struct uapi_type1_dirty head;
        struct uapi_type1_dirty_range range;
    } call = {
        .head = { .argsz = sizeof(call), .flags = UAPI_TYPE1_DIRTY_GET },
        .range = { .iova = iova,
                   .size = size,
                   .bitmap = { .page_size = type1->aperture.granule,
                               .bytes =
                                   ferry_bitmap_bytes(size / type1->aperture.granule),
                               .data = (uint64_t)(uintptr_t)bits } },
    };

    return kernel_ioctl(type1->calls, type1->container_fd, UAPI_TYPE1_DIRTY, &call);
}

static void forget_pending(struct type1 *type1)
{
    for (uint32_t i = 0; i < type1->maps.count; i++) {
        free(type1->maps.map[i].pending);
        type1->maps.map[i].pending = NULL;
    }
}

int kernel_type1_track(struct kernel_iommu *iommu, int on, struct ferry_error *reterr)
{
    struct type1 *type1 = (struct type1 *)iommu;
    int rc;

    if (!iommu->can_track) {
        return kernel_say(reterr, FERRY_E_UNSUPPORTED, 0, "%s", type1->cannot);
    }
    if ((on != 0) == (type1->tracking != 0)) {
        return FERRY_OK;
    }
    rc = set_tracking(type1, on);
    if (rc < 0) {
        return kernel_say(reterr, FERRY_E_IO, -rc,
                          "type 1: dirty tracking cannot be switched %s (%s)",
                          on ? "on" : "off", ferry_os_errno_name(-rc));
    }
    forget_pending(type1);
    type1->tracking = on != 0;
    return FERRY_OK;
}

/* Bits of a map, all clear at first. NULL: no memory. */
static uint8_t *pending_of(const struct type1 *type1, struct kernel_map *map)
{
    if (map->pending == NULL) {
        map->pending =
            calloc(1, (size_t)ferry_bitmap_bytes(map->size / type1->aperture.granule));
    }
    return map->pending;
}

/* Adds what the kernel tells of all pieces that a range touches to the map's pending
 * bits. Return: 0 or -errno. */
static int gather(struct type1 *type1, struct kernel_map *map, uint64_t iova,
                  uint64_t length)
{
    const uint64_t granule = type1->aperture.granule;
    const uint64_t end = iova + length - map->iova;
    uint64_t off = (iova - map->iova) / TYPE1_PIECE_BYTES * TYPE1_PIECE_BYTES;
    uint8_t *pending = pending_of(type1, map);

    if (pending == NULL) {
        return -ENOMEM;
    }
    for (; off < end; off += TYPE1_PIECE_BYTES) {
        const uint64_t left = map->size - off;
        const uint64_t size = left < TYPE1_PIECE_BYTES ? left : TYPE1_PIECE_BYTES;
        int rc;

        memset(type1->piece, 0, ferry_bitmap_bytes(size / granule));
        rc = get_bits(type1, map->iova + off, size, type1->piece);
        if (rc < 0) {
            return rc;
        }
        kernel_dirty_move(pending, off / granule, type1->piece, 0, size / granule);
    }
    return 0;
}

static int fetch(void *user, struct kernel_map *map, uint64_t iova, uint64_t length,
                 void *bits, struct ferry_error *reterr)
{
    struct type1 *type1 = user;
    const uint64_t granule = type1->aperture.granule;
    const uint64_t first = (iova - map->iova) / granule;
    const uint64_t count = length / granule;
    const int rc = gather(type1, map, iova, length);

    if (rc < 0) {
        return kernel_say(reterr, rc == -ENOMEM ? FERRY_E_MEMORY : FERRY_E_IO, -rc,
                          "type 1: no dirty bits of 0x%llx bytes at 0x%llx (%s)",
                          (unsigned long long)length, (unsigned long long)iova,
                          ferry_os_errno_name(-rc));
    }
    kernel_dirty_move(bits, 0, map->pending, first, count);
    kernel_dirty_clear(map->pending, first, count);
    return FERRY_OK;
}

int kernel_type1_report(struct kernel_iommu *iommu, const struct ferry_log_report *report,
                        struct ferry_error *reterr)
{
    struct type1 *type1 = (struct type1 *)iommu;
    const struct kernel_dirty dirty = { .user = type1,
                                        .fetch = fetch,
                                        .granule = type1->aperture.granule,
                                        .scratch = type1->scratch };

    if (!type1->tracking) {
        return kernel_say(reterr, FERRY_E_STATE, 0, "type 1: dirty tracking is off");
    }
    return kernel_dirty_report(&dirty, &type1->maps, report, reterr);
}

/* What is told of one mapping while it goes; the plain unmap when that is refused. */
static int last_piece(struct type1 *type1, uint64_t iova, uint64_t size,
                      const struct ferry_log_report *report)
{
    const uint64_t granule = type1->aperture.granule;
    const uint64_t pages = size / granule;

    memset(type1->piece, 0, ferry_bitmap_bytes(pages));
    if (kernel_type1_unmap_piece(type1, iova, size, type1->piece) < 0) {
        kernel_dirty_mark(report, iova, size);
        return kernel_type1_unmap_piece(type1, iova, size, NULL);
    }
    kernel_dirty_mark_bits(report, iova, granule, type1->piece, pages);
    return 0;
}

int kernel_type1_last(struct type1 *type1, struct kernel_map *map,
                      const struct ferry_log_report *report)
{
    const uint64_t granule = type1->aperture.granule;

    if ((map->flags & FERRY_DMA_WRITE) == 0) {
        return kernel_type1_unmap_piece(type1, map->iova, map->size, NULL);
    }
    if (map->pending != NULL) {
        kernel_dirty_mark_bits(report, map->iova, granule, map->pending,
                               map->size / granule);
    }
    for (uint64_t off = 0; off < map->size; off += TYPE1_PIECE_BYTES) {
        const uint64_t left = map->size - off;
        const int rc =
            last_piece(type1, map->iova + off,
                       left < TYPE1_PIECE_BYTES ? left : TYPE1_PIECE_BYTES, report);

        if (rc < 0) {
            return rc;
        }
    }
    return 0;
}

/* An address that the IOMMU takes. */
static uint64_t probe_iova(const struct type1 *type1)
{
    const struct kernel_aperture *aperture = &type1->aperture;
    const uint64_t mask = aperture->granule - 1;

    for (uint32_t i = 0; i < aperture->count; i++) {
        const uint64_t start = (aperture->range[i].start + mask) & ~mask;

        if (start >= aperture->range[i].start && aperture->range[i].last > start &&
            aperture->range[i].last - start >= mask) {
            return start;
        }
    }
    return PROBE_IOVA;
}

/* Asks for the bits of a page that nobody writes to: the first time all may be set, since
 * nothing is known of the time before. Return: 0 or -errno. */
static int try_tracking(struct type1 *type1, uint64_t iova, int *ret_exact)
{
    const uint64_t page = type1->aperture.granule;
    uint64_t bits = 0;
    int rc = set_tracking(type1, 1);
    int off;

    if (rc < 0) {
        return rc;
    }
    rc = get_bits(type1, iova, page, &bits);
    bits = 0;
    rc = rc < 0 ? rc : get_bits(type1, iova, page, &bits);
    *ret_exact = bits == 0;
    off = set_tracking(type1, 0);
    return rc < 0 ? rc : off;
}

void kernel_type1_probe(struct type1 *type1)
{
    const uint64_t page_bytes = type1->aperture.granule;
    const uint64_t iova = probe_iova(type1);
    struct ferry_os_map page = { .data = NULL };
    int exact = 0;
    int rc = -ENOMEM;
    int gone;

    if (!type1->has_log) {
        (void)snprintf(type1->cannot, sizeof(type1->cannot),
                       "this container tells no dirty pages (it has no migration "
                       "capability)");
        return;
    }
    if (ferry_os_map_anonymous(page_bytes, &page) == FERRY_OK) {
        rc = kernel_type1_map_piece(type1, page.data, iova, page_bytes,
                                    FERRY_DMA_READ | FERRY_DMA_WRITE);
    }
    if (rc == 0) {
        rc = try_tracking(type1, iova, &exact);
        gone = kernel_type1_unmap_piece(type1, iova, page_bytes, NULL);
        rc = rc < 0 ? rc : gone;
    }
    ferry_os_unmap(&page);
    type1->iommu.can_track = rc >= 0;
    type1->iommu.is_exact = rc >= 0 && exact;
    if (rc < 0) {
        (void)snprintf(type1->cannot, sizeof(type1->cannot),
                       "this container tells no dirty pages (VFIO_IOMMU_DIRTY_PAGES, "
                       "tried at open: %s)",
                       ferry_os_errno_name(-rc));
    }
}
