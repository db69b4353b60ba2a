/* SPDX-License-Identifier: BSD-3-Clause */
#include <errno.h>
#include <stdlib.h>

#include "bridge/iommu/iommu_private.h"
#include "os/uapi/iommufd.h"
#include "bridge/preload/mappings.h"
#include "bridge/say.h"

/* What comes into an address space: memory at an address, in a file, of another map. */

#define MAP_FLAGS                                                                        \
    (UAPI_IOMMU_MAP_FIXED_IOVA | UAPI_IOMMU_MAP_WRITEABLE | UAPI_IOMMU_MAP_READABLE)

/* Memory without a file that is worth a word: the guest's, not a display's or a ROM. */
#define SAY_MESSAGES_BYTES_MIN (64ull << 20)

/* What all requests that map have in common. */
struct place {
    uint32_t ioas_id, flags;
    uint64_t iova, length;
};

static int check_place(const struct place *want)
{
    if ((want->flags & ~MAP_FLAGS) != 0) {
        return -EOPNOTSUPP;
    }
    if (want->iova == UINT64_MAX || want->length == UINT64_MAX ||
        want->iova > UINT64_MAX - want->length) {
        return -EOVERFLOW;
    }
    if ((want->flags & (UAPI_IOMMU_MAP_WRITEABLE | UAPI_IOMMU_MAP_READABLE)) == 0 ||
        want->length == 0 || want->length % IOMMU_PAGE_BYTES != 0) {
        return -EINVAL;
    }
    /* Whole pages that do not reach 2^64 end at IOMMU_IOVA_END at the latest. */
    if ((want->flags & UAPI_IOMMU_MAP_FIXED_IOVA) != 0 &&
        want->iova % IOMMU_PAGE_BYTES != 0) {
        return -EINVAL;
    }
    return 0;
}

static uint32_t dma_flags(uint32_t flags)
{
    return ((flags & UAPI_IOMMU_MAP_READABLE) != 0 ? FERRY_DMA_READ : 0) |
           ((flags & UAPI_IOMMU_MAP_WRITEABLE) != 0 ? FERRY_DMA_WRITE : 0);
}

/* May a device's region be mapped for others? With no_peer_maps nobody reaches that
 * device's regions, nor it theirs. */
static int may_peer(const struct iommu_ioas *ioas, const struct iommu_map *map)
{
    if (map->file != NULL && map->file->closed) {
        return 0;
    }
    for (const struct bridge_attachment *attachment = ioas->attached; attachment != NULL;
         attachment = attachment->next) {
        if (attachment->device->token.no_peer_maps != 0) {
            return 0;
        }
    }
    return 1;
}

static void say_messages(struct iommu *iommu, const struct iommu_map *map)
{
    if (map->file != NULL || iommu->said_messages ||
        (map->flags & FERRY_DMA_WRITE) == 0 || map->size < SAY_MESSAGES_BYTES_MIN) {
        return;
    }
    iommu->said_messages = 1;
    bridge_say(NULL,
               "%llu MiB of guest memory have no file behind them: devices reach them by "
               "messages, which is slow. Give QEMU \"-object memory-backend-memfd,id=ram,"
               "size=...,share=on -machine memory-backend=ram\"",
               (unsigned long long)(map->size >> 20));
}

/* Puts a map in its place; it is freed when that fails. `change` is held. */
static int place_map(struct iommu *iommu, struct place *want, struct iommu_map *map)
{
    struct iommu_ioas *ioas = iommu_id_find(iommu, want->ioas_id, IOMMU_IOAS);
    const uint32_t peer = map->peer;
    int rc = ioas == NULL ? -ENOENT : 0;

    if (rc == 0 && (want->flags & UAPI_IOMMU_MAP_FIXED_IOVA) == 0) {
        rc = iommu_maps_place(ioas, want->length, &want->iova);
    } else if (rc == 0 && !iommu_maps_free(ioas, want->iova, want->length)) {
        rc = -EEXIST;
    }
    if (rc == 0 && peer && !may_peer(ioas, map)) {
        rc = -EFAULT;
    }
    if (rc < 0) {
        iommu_map_free(iommu, map);
        return rc;
    }
    map->iova = want->iova;
    map->size = want->length;
    map->flags = dma_flags(want->flags);
    say_messages(iommu, map);
    rc = iommu_ioas_map(iommu, ioas, map);
    /* QEMU only warns when a region of a device cannot be mapped, with the best words
     * for EFAULT. */
    return rc < 0 && peer ? -EFAULT : rc;
}

/* Makes the map that a request wants by map_of, and puts it in its place. */
static int serve_map(struct iommu *iommu,
                     int (*map_of)(struct iommu *iommu, const void *arg,
                                   struct iommu_map **ret_map),
                     const void *arg, struct place *place, uint64_t *ret_iova)
{
    struct iommu_map *map = NULL;
    int rc;

    (void)pthread_mutex_lock(&iommu->change);
    rc = map_of(iommu, arg, &map);
    if (rc == 0) {
        rc = place_map(iommu, place, map);
    }
    (void)pthread_mutex_unlock(&iommu->change);
    if (rc == 0) {
        *ret_iova = place->iova;
    }
    return rc;
}

/* A map of memory at an address: of which file, if any? */
static int map_of_address(struct iommu *iommu, const void *arg,
                          struct iommu_map **ret_map)
{
    const struct uapi_iommu_ioas_map *want = arg;
    void *address = (void *)(uintptr_t)want->user_va;
    struct iommu_map *map = calloc(1, sizeof(*map));
    uint64_t file_bytes;
    int is_region = 0;
    int fd = -1;

    if (map == NULL) {
        return -ENOMEM;
    }
    map->address = address;
    if (bridge_mappings_find(address, want->length, &fd, &map->off, &is_region) == 0) {
        const int rc = iommu_file_get(iommu, fd, &map->file, &file_bytes);

        ferry_os_close(&fd);
        if (rc == -ENOMEM || rc == -EMFILE) {
            free(map);
            return rc;
        }
    }
    map->peer = is_region != 0 || (map->file != NULL && map->file->owner != 0);
    *ret_map = map;
    return 0;
}

long iommu_request_map(struct iommu *iommu, void *arg)
{
    struct uapi_iommu_ioas_map *want = arg;
    struct place place = { .ioas_id = want->ioas_id,
                           .flags = want->flags,
                           .iova = want->iova,
                           .length = want->length };
    int rc = want->reserved != 0 ? -EOPNOTSUPP : check_place(&place);

    if (rc < 0) {
        return rc;
    }
    if (want->user_va > UINT64_MAX - want->length) {
        return -EOVERFLOW;
    }
    if (want->user_va == 0) {
        return -EFAULT;
    }
    if (want->user_va % IOMMU_PAGE_BYTES != 0) {
        return -EINVAL;
    }
    return serve_map(iommu, map_of_address, want, &place, &want->iova);
}

static int map_of_file(struct iommu *iommu, const void *arg, struct iommu_map **ret_map)
{
    const struct uapi_iommu_ioas_map_file *want = arg;
    struct iommu_map *map = calloc(1, sizeof(*map));
    uint64_t file_bytes = 0;
    int rc;

    if (map == NULL) {
        return -ENOMEM;
    }
    rc = iommu_file_get(iommu, want->fd, &map->file, &file_bytes);
    if (rc < 0) {
        free(map);
        return rc;
    }
    if (want->start > file_bytes || want->length > file_bytes - want->start) {
        iommu_map_free(iommu, map);
        return -EINVAL;
    }
    map->off = want->start;
    map->peer = map->file->owner != 0;
    *ret_map = map;
    return 0;
}

long iommu_request_map_file(struct iommu *iommu, void *arg)
{
    struct uapi_iommu_ioas_map_file *want = arg;
    struct place place = { .ioas_id = want->ioas_id,
                           .flags = want->flags,
                           .iova = want->iova,
                           .length = want->length };
    int rc = check_place(&place);

    if (rc < 0) {
        return rc;
    }
    if (want->start > UINT64_MAX - want->length) {
        return -EOVERFLOW;
    }
    if (want->start % IOMMU_PAGE_BYTES != 0) {
        return -EINVAL;
    }
    return serve_map(iommu, map_of_file, want, &place, &want->iova);
}

/* The memory behind [iova, iova + length), which must lie in one map. */
static int map_of_map(struct iommu *iommu, const void *arg, struct iommu_map **ret_map)
{
    const struct uapi_iommu_ioas_copy *want = arg;
    const struct iommu_ioas *from = iommu_id_find(iommu, want->src_ioas_id, IOMMU_IOAS);
    const uint32_t flags = dma_flags(want->flags);
    const struct iommu_map *source;
    struct iommu_map *map;
    uint32_t at;

    at = from != NULL ? iommu_maps_index(from, want->src_iova) : 0;
    if (from == NULL || at == from->count || from->map[at]->iova > want->src_iova ||
        from->map[at]->size - (want->src_iova - from->map[at]->iova) < want->length) {
        return -ENOENT;
    }
    source = from->map[at];
    /* Memory that could only be read does not become writable. */
    if ((flags & FERRY_DMA_WRITE) != 0 && (source->flags & FERRY_DMA_WRITE) == 0) {
        return -EPERM;
    }
    map = calloc(1, sizeof(*map));
    if (map == NULL) {
        return -ENOMEM;
    }
    *map = *source;
    map->gone = NULL;
    map->off += want->src_iova - source->iova;
    if (map->address != NULL) {
        map->address += want->src_iova - source->iova;
    }
    if (map->file != NULL) {
        map->file->refs++;
    }
    *ret_map = map;
    return 0;
}

long iommu_request_copy(struct iommu *iommu, void *arg)
{
    struct uapi_iommu_ioas_copy *want = arg;
    struct place place = { .ioas_id = want->dst_ioas_id,
                           .flags = want->flags,
                           .iova = want->dst_iova,
                           .length = want->length };
    int rc = check_place(&place);

    if (rc == 0 && want->src_iova > UINT64_MAX - want->length) {
        rc = -EOVERFLOW;
    }
    if (rc == 0 && want->src_iova % IOMMU_PAGE_BYTES != 0) {
        rc = -EINVAL;
    }
    if (rc < 0) {
        return rc;
    }
    return serve_map(iommu, map_of_map, want, &place, &want->dst_iova);
}
