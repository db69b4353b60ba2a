/* SPDX-License-Identifier: BSD-3-Clause */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "bridge/device/link.h"
#include "bridge/iommu/iommu_private.h"
#include "bridge/say.h"

/*
 * What a server that stands still has not been told. There are servers (libvfio-user)
 * that refuse every change of maps in STOP and STOP_COPY, and a VMM changes memory while
 * its guest stands still: at a migration's target always. A device does no DMA in these
 * states, so that it is enough to make up for it as soon as it has left them.
 */

void iommu_owed_clear(struct bridge_attachment *attachment)
{
    free(attachment->owed);
    attachment->owed = NULL;
    attachment->owed_cap = 0;
    attachment->owed_count = 0;
}

int iommu_owed_add(struct bridge_attachment *attachment, const struct iommu_map *map,
                   uint32_t is_map)
{
    if (!bridge_link_stands_still(attachment->device->link)) {
        return 0;
    }
    if (attachment->owed_count == attachment->owed_cap) {
        const uint32_t cap = attachment->owed_cap == 0 ? 16 : attachment->owed_cap * 2;
        struct iommu_owed *owed =
            cap > IOMMU_OWED_MAX
                ? NULL
                : realloc(attachment->owed, cap * sizeof(struct iommu_owed));

        if (owed == NULL) {
            return 0;
        }
        attachment->owed = owed;
        attachment->owed_cap = cap;
    }
    attachment->owed[attachment->owed_count] =
        (struct iommu_owed){ .iova = map->iova, .size = map->size, .is_map = is_map };
    attachment->owed_count++;
    return 1;
}

int iommu_owed_take(struct bridge_attachment *attachment, const struct iommu_map *map)
{
    for (uint32_t i = 0; i < attachment->owed_count; i++) {
        struct iommu_owed *owed = &attachment->owed[i];

        if (owed->is_map && owed->iova == map->iova) {
            const uint32_t left = attachment->owed_count - 1;

            memmove(owed, owed + 1, (left - i) * sizeof(*owed));
            attachment->owed_count = left;
            return 1;
        }
    }
    return 0;
}

/* First what is gone: new maps may lie where it was. */
static int settle(struct bridge_attachment *attachment, const struct iommu_owed *owed,
                  uint32_t count)
{
    const struct iommu_ioas *ioas = attachment->ioas;
    int rc = 0;

    for (uint32_t i = 0; i < count && rc == 0; i++) {
        const struct iommu_map gone = { .iova = owed[i].iova, .size = owed[i].size };

        rc = owed[i].is_map ? 0 : iommu_server_unmap(attachment, &gone);
    }
    for (uint32_t i = 0; i < count && rc == 0; i++) {
        const uint32_t at = owed[i].is_map ? iommu_maps_index(ioas, owed[i].iova) : 0;

        if (owed[i].is_map && at < ioas->count && ioas->map[at]->iova == owed[i].iova) {
            rc = iommu_server_map(attachment, ioas->map[at]);
        }
    }
    return rc;
}

int bridge_iommu_settle(struct bridge_device *device)
{
    struct bridge_attachment *attachment = device->attachment;
    struct iommu_owed *owed;
    uint32_t count;
    int rc = 0;

    if (attachment == NULL) {
        return 0;
    }
    /* Also when nothing is owed yet: whoever was refused may be about to note it. */
    (void)pthread_mutex_lock(&attachment->iommu->change);
    owed = attachment->owed;
    count = attachment->owed_count;
    attachment->owed = NULL;
    iommu_owed_clear(attachment);
    if (attachment->ioas != NULL && count > 0) {
        bridge_trace(device, "%u changes of memory that it did not take in STOP", count);
        rc = settle(attachment, owed, count);
    }
    (void)pthread_mutex_unlock(&attachment->iommu->change);
    free(owed);
    return rc;
}
