/* SPDX-License-Identifier: BSD-3-Clause */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "bridge/iommu/iommu_private.h"
#include "bridge/iommu/uapi_iommufd.h"
#include "bridge/preload/mappings.h"
#include "bridge/say.h"

/* Address spaces: what is mapped where. */

#define MAP_FLAGS                                                                        \
    (UAPI_IOMMU_MAP_FIXED_IOVA | UAPI_IOMMU_MAP_WRITEABLE | UAPI_IOMMU_MAP_READABLE)

/* Memory without a file that is worth a word: the guest's, not a display's or a ROM. */
#define SAY_MESSAGES_BYTES_MIN (64ull << 20)

long iommu_request_ioas_alloc(struct iommu *iommu, void *arg)
{
    struct uapi_iommu_ioas_alloc *want = arg;
    struct iommu_ioas *ioas;
    int rc;

    if (want->flags != 0) {
        return -EOPNOTSUPP;
    }
    ioas = calloc(1, sizeof(*ioas));
    if (ioas == NULL) {
        return -ENOMEM;
    }
    (void)pthread_mutex_lock(&iommu->change);
    rc = iommu_id_take(iommu, IOMMU_IOAS, ioas, &ioas->id);
    (void)pthread_mutex_unlock(&iommu->change);
    if (rc < 0) {
        free(ioas);
        return rc;
    }
    want->out_ioas_id = ioas->id;
    return 0;
}

void iommu_ioas_free(struct iommu *iommu, struct iommu_ioas *ioas)
{
    iommu_maps_remove(iommu, ioas, 0, ioas->count);
    iommu_id_drop(iommu, ioas->id);
    if (iommu->vfio_ioas == ioas->id) {
        iommu->vfio_ioas = 0;
    }
    free(ioas->map);
    free(ioas);
}

long iommu_request_ranges(struct iommu *iommu, void *arg)
{
    struct uapi_iommu_ioas_iova_ranges *want = arg;
    struct uapi_iommu_iova_range *range =
        (struct uapi_iommu_iova_range *)(uintptr_t)want->allowed_iovas;
    const uint32_t room = want->num_iovas;
    int known;

    if (want->reserved != 0) {
        return -EOPNOTSUPP;
    }
    (void)pthread_mutex_lock(&iommu->change);
    known = iommu_id_find(iommu, want->ioas_id, IOMMU_IOAS) != NULL;
    (void)pthread_mutex_unlock(&iommu->change);
    if (!known) {
        return -ENOENT;
    }
    want->num_iovas = 1;
    want->out_iova_alignment = IOMMU_PAGE_BYTES;
    if (room == 0) {
        return -EMSGSIZE;
    }
    if (range == NULL) {
        return -EFAULT;
    }
    *range = (struct uapi_iommu_iova_range){ .start = 0, .last = IOMMU_IOVA_END - 1 };
    return 0;
}

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
    if ((want->flags & UAPI_IOMMU_MAP_FIXED_IOVA) != 0 &&
        (want->iova % IOMMU_PAGE_BYTES != 0 || want->iova > IOMMU_IOVA_END ||
         want->length > IOMMU_IOVA_END - want->iova)) {
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

/* A map of memory at an address: of which file, if any? */
static int map_of_address(struct iommu *iommu, const struct uapi_iommu_ioas_map *want,
                          struct iommu_map **ret_map)
{
    void *address = (void *)(uintptr_t)want->user_va;
    struct iommu_map *map = calloc(1, sizeof(*map));
    int is_region = 0;
    int fd = -1;

    if (map == NULL) {
        return -ENOMEM;
    }
    map->address = address;
    if (bridge_mappings_find(address, want->length, &fd, &map->off, &is_region) == 0) {
        const int rc = iommu_file_get(iommu, fd, &map->file);

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
    struct iommu_map *map = NULL;
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
    (void)pthread_mutex_lock(&iommu->change);
    rc = map_of_address(iommu, want, &map);
    if (rc == 0) {
        rc = place_map(iommu, &place, map);
    }
    (void)pthread_mutex_unlock(&iommu->change);
    if (rc == 0) {
        want->iova = place.iova;
    }
    return rc;
}

static int map_of_file(struct iommu *iommu, const struct uapi_iommu_ioas_map_file *want,
                       struct iommu_map **ret_map)
{
    struct iommu_map *map = calloc(1, sizeof(*map));
    int rc;

    if (map == NULL) {
        return -ENOMEM;
    }
    rc = iommu_file_get(iommu, want->fd, &map->file);
    if (rc < 0) {
        free(map);
        return rc;
    }
    if (want->start > map->file->look.size ||
        want->length > map->file->look.size - want->start) {
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
    struct iommu_map *map = NULL;
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
    (void)pthread_mutex_lock(&iommu->change);
    rc = map_of_file(iommu, want, &map);
    if (rc == 0) {
        rc = place_map(iommu, &place, map);
    }
    (void)pthread_mutex_unlock(&iommu->change);
    if (rc == 0) {
        want->iova = place.iova;
    }
    return rc;
}

/* The memory behind [iova, iova + length), which must lie in one map. */
static int map_of_map(struct iommu *iommu, const struct uapi_iommu_ioas_copy *want,
                      struct iommu_map **ret_map)
{
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
    struct iommu_map *map = NULL;
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
    (void)pthread_mutex_lock(&iommu->change);
    rc = map_of_map(iommu, want, &map);
    if (rc == 0) {
        rc = place_map(iommu, &place, map);
    }
    (void)pthread_mutex_unlock(&iommu->change);
    if (rc == 0) {
        want->dst_iova = place.iova;
    }
    return rc;
}

/* The maps in [iova, iova + length): whole ones only. */
static int find_span(const struct iommu_ioas *ioas, uint64_t iova, uint64_t length,
                     uint32_t *ret_first, uint32_t *ret_end)
{
    const uint64_t end = iova + length;

    *ret_first = iommu_maps_index(ioas, iova);
    *ret_end = iommu_maps_index(ioas, end);
    if ((*ret_first < ioas->count && ioas->map[*ret_first]->iova < iova) ||
        (*ret_end < ioas->count && ioas->map[*ret_end]->iova < end) ||
        *ret_first == *ret_end) {
        return -ENOENT;
    }
    return 0;
}

long iommu_request_unmap(struct iommu *iommu, void *arg)
{
    struct uapi_iommu_ioas_unmap *want = arg;
    const int all = want->iova == 0 && want->length == UINT64_MAX;
    struct iommu_ioas *ioas;
    uint64_t bytes = 0;
    uint32_t first = 0;
    uint32_t end = 0;
    int rc = 0;

    (void)pthread_mutex_lock(&iommu->change);
    ioas = iommu_id_find(iommu, want->ioas_id, IOMMU_IOAS);
    if (ioas == NULL) {
        rc = -ENOENT;
    } else if (all) {
        end = ioas->count;
    } else if (want->length == 0) {
        rc = -EINVAL;
    } else if (want->iova > UINT64_MAX - want->length && want->iova + want->length != 0) {
        rc = -EOVERFLOW;
    } else {
        /* QEMU takes everything away in two halves: the second one ends at 2^64. */
        const uint64_t length =
            want->iova + want->length == 0 ? want->length - 1 : want->length;

        rc = find_span(ioas, want->iova, length, &first, &end);
    }
    if (rc == 0) {
        for (uint32_t i = first; i < end; i++) {
            bytes += ioas->map[i]->size;
        }
        rc = iommu_ioas_unmap(iommu, ioas, first, end);
    }
    (void)pthread_mutex_unlock(&iommu->change);
    if (rc == 0) {
        want->length = bytes;
    }
    return rc;
}

/* The address space of VFIO's older interface, which nobody opens here. */
long iommu_request_vfio_ioas(struct iommu *iommu, void *arg)
{
    struct uapi_iommu_vfio_ioas *want = arg;
    int rc = 0;

    if (want->reserved != 0) {
        return -EOPNOTSUPP;
    }
    (void)pthread_mutex_lock(&iommu->change);
    if (want->op == UAPI_IOMMU_VFIO_IOAS_GET) {
        rc = iommu->vfio_ioas != 0 ? 0 : -ENODEV;
        want->ioas_id = rc == 0 ? iommu->vfio_ioas : want->ioas_id;
    } else if (want->op == UAPI_IOMMU_VFIO_IOAS_SET) {
        rc = iommu_id_find(iommu, want->ioas_id, IOMMU_IOAS) != NULL ? 0 : -ENOENT;
        iommu->vfio_ioas = rc == 0 ? want->ioas_id : iommu->vfio_ioas;
    } else if (want->op == UAPI_IOMMU_VFIO_IOAS_CLEAR) {
        iommu->vfio_ioas = 0;
    } else {
        rc = -EOPNOTSUPP;
    }
    (void)pthread_mutex_unlock(&iommu->change);
    return rc;
}

/* Neither accounting nor page sizes matter here: what was set is what it was. */
long iommu_request_option(struct iommu *iommu, void *arg)
{
    struct uapi_iommu_option *want = arg;
    const int huge = want->option_id == UAPI_IOMMU_OPTION_HUGE_PAGES;
    int known;

    if (want->reserved != 0 ||
        (!huge &&
         (want->option_id != UAPI_IOMMU_OPTION_RLIMIT_MODE || want->object_id != 0))) {
        return -EOPNOTSUPP;
    }
    (void)pthread_mutex_lock(&iommu->change);
    known = !huge || iommu_id_find(iommu, want->object_id, IOMMU_IOAS) != NULL;
    (void)pthread_mutex_unlock(&iommu->change);
    if (!known) {
        return -ENOENT;
    }
    if (want->op == UAPI_IOMMU_OPTION_GET) {
        want->val64 = (uint64_t)huge;
        return 0;
    }
    if (want->op == UAPI_IOMMU_OPTION_SET) {
        return want->val64 <= 1 ? 0 : -EINVAL;
    }
    return -EOPNOTSUPP;
}
