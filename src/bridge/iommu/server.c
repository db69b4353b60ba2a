/* SPDX-License-Identifier: BSD-3-Clause */
#include <errno.h>

#include "bridge/device/link.h"
#include "bridge/iommu/iommu_private.h"
#include "bridge/iommu/log/log_private.h"
#include "bridge/say.h"

/* Maps at the devices' servers. */

int iommu_server_alive(const struct bridge_attachment *attachment)
{
    const struct bridge_link *link = attachment->device->link;

    return link != NULL && !bridge_link_dead(link) &&
           bridge_link_generation(link) == attachment->generation;
}

/* What a request came to: a server that died of it is passed over as the dead are. */
static int outcome(struct bridge_attachment *attachment, int status, const char *what,
                   const struct iommu_map *map)
{
    if (status == FERRY_OK || !iommu_server_alive(attachment) ||
        iommu_owed_add(attachment, map, what[0] == 'm')) {
        return 0;
    }
    bridge_say(attachment->device, "its server refuses to %s 0x%llx bytes at 0x%llx: %s",
               what, (unsigned long long)map->size, (unsigned long long)map->iova,
               ferry_status_text(status));
    return bridge_errno(status);
}

int iommu_server_map(struct bridge_attachment *attachment, const struct iommu_map *map)
{
    struct ferry_request request = {
        .kind = FERRY_RQ_DMA_MAP,
        .u.map = { .iova = map->iova,
                   .size = map->size,
                   .offset = map->file != NULL ? map->off : 0,
                   .fd = map->file != NULL ? map->file->fd : -1,
                   .flags = map->flags },
    };

    if (!iommu_server_alive(attachment) ||
        (map->peer && attachment->device->token.no_peer_maps != 0)) {
        return 0;
    }
    bridge_trace(attachment->device, "map 0x%llx + 0x%llx%s%s%s",
                 (unsigned long long)map->iova, (unsigned long long)map->size,
                 (map->flags & FERRY_DMA_WRITE) != 0 ? "" : " read-only",
                 map->file != NULL ? "" : " by messages", map->peer ? " (a peer)" : "");
    return outcome(attachment, bridge_link_call(attachment->device->link, &request),
                   "map", map);
}

int iommu_server_unmap(struct bridge_attachment *attachment, const struct iommu_map *map)
{
    int status;

    if (!iommu_server_alive(attachment) ||
        (map->peer && attachment->device->token.no_peer_maps != 0)) {
        return 0;
    }
    if (iommu_owed_take(attachment, map)) {
        return 0;
    }
    bridge_trace(attachment->device, "unmap 0x%llx + 0x%llx",
                 (unsigned long long)map->iova, (unsigned long long)map->size);
    status = bridge_log_unmap(attachment->device, map->iova, map->size);
    return status == FERRY_E_NOT_FOUND ? 0 : outcome(attachment, status, "unmap", map);
}

int iommu_server_map_all(struct bridge_attachment *attachment)
{
    const struct iommu_ioas *ioas = attachment->ioas;
    int rc = 0;

    iommu_owed_clear(attachment);
    for (uint32_t i = 0; i < ioas->count && rc == 0; i++) {
        rc = iommu_server_map(attachment, ioas->map[i]);
    }
    if (rc == 0 && !iommu_server_alive(attachment)) {
        return -EIO;
    }
    return rc;
}

void iommu_server_unmap_all(struct bridge_attachment *attachment)
{
    const struct iommu_ioas *ioas = attachment->ioas;
    struct ferry_request request = {
        .kind = FERRY_RQ_DMA_UNMAP,
        .u.unmap = { .flags = FERRY_UNMAP_ALL },
    };

    if (!iommu_server_alive(attachment) || ioas->count == 0 ||
        bridge_link_call(attachment->device->link, &request) == FERRY_OK) {
        return;
    }
    /* Not every server knows how to unmap all at once. */
    for (uint32_t i = 0; i < ioas->count; i++) {
        (void)iommu_server_unmap(attachment, ioas->map[i]);
    }
}

/* QEMU ends the guest when memory cannot be mapped for a device that it has: then rather
 * that device alone. Return: 1 when it is gone. */
static int do_without(struct bridge_attachment *attachment, const struct iommu_map *map)
{
    if (map->peer || !__atomic_load_n(&attachment->device->settled, __ATOMIC_ACQUIRE)) {
        return 0;
    }
    bridge_link_condemn(attachment->device->link, "it cannot reach all memory any more");
    return 1;
}

int iommu_ioas_map(struct iommu *iommu, struct iommu_ioas *ioas, struct iommu_map *map)
{
    struct bridge_attachment *attachment;
    uint32_t at;
    /* Before the servers hear of it: a message may come as soon as one knows. */
    int rc = iommu_maps_insert(iommu, ioas, map);

    if (rc < 0) {
        iommu_map_free(iommu, map);
        return rc;
    }
    for (attachment = ioas->attached; attachment != NULL && rc == 0;
         attachment = attachment->next) {
        rc = iommu_server_map(attachment, map);
        if (rc < 0 && !do_without(attachment, map)) {
            break;
        }
        rc = 0;
    }
    if (rc == 0) {
        return 0;
    }
    for (struct bridge_attachment *done = ioas->attached; done != attachment;
         done = done->next) {
        (void)iommu_server_unmap(done, map);
    }
    at = iommu_maps_index(ioas, map->iova);
    iommu_maps_remove(iommu, ioas, at, at + 1);
    return rc;
}

int iommu_ioas_unmap(struct iommu *iommu, struct iommu_ioas *ioas, uint32_t first,
                     uint32_t end)
{
    int rc = 0;

    for (uint32_t i = first; i < end; i++) {
        for (struct bridge_attachment *attachment = ioas->attached; attachment != NULL;
             attachment = attachment->next) {
            const int one = iommu_server_unmap(attachment, ioas->map[i]);

            rc = rc == 0 ? one : rc;
        }
    }
    /* Only now, since a server may finish its DMA by message before it lets go. A server
     * that refuses has the file still; its messages end all the same. */
    iommu_maps_remove(iommu, ioas, first, end);
    return rc;
}
