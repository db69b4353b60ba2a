/* SPDX-License-Identifier: BSD-3-Clause */
#include <errno.h>
#include <stdlib.h>

#include "bridge/device/link.h"
#include "bridge/iommu/iommu_private.h"

/* Devices: which iommufd and which address space they are in. */

int bridge_iommu_bind(struct bridge_object *object, struct bridge_device *device,
                      uint32_t *ret_id)
{
    struct iommu *iommu = (struct iommu *)(void *)object;
    struct bridge_attachment *attachment;
    int rc;

    if (object == NULL || object->ops != &iommu_ops || device->attachment != NULL) {
        return -EINVAL;
    }
    attachment = calloc(1, sizeof(*attachment));
    if (attachment == NULL) {
        return -ENOMEM;
    }
    attachment->iommu = iommu;
    attachment->device = device;
    (void)pthread_mutex_lock(&iommu->change);
    rc = iommu_id_take(iommu, IOMMU_DEVICE, attachment, &attachment->id);
    (void)pthread_mutex_unlock(&iommu->change);
    if (rc < 0) {
        free(attachment);
        return rc;
    }
    bridge_object_get(object);
    *ret_id = attachment->id;
    __atomic_store_n(&device->attachment, attachment, __ATOMIC_RELEASE);
    return 0;
}

/* Where DMA messages of the device lead. */
static void show(struct bridge_attachment *attachment, struct iommu_ioas *ioas)
{
    (void)pthread_rwlock_wrlock(&attachment->iommu->view);
    attachment->ioas = ioas;
    (void)pthread_rwlock_unlock(&attachment->iommu->view);
}

/* What the device wrote under a tracked page table stays known to it. */
static void hand_over(struct bridge_attachment *attachment)
{
    struct iommu_hwpt *hwpt = attachment->hwpt;

    if (hwpt->tracking) {
        bridge_log_hand_over(attachment->device->log, &hwpt->left);
    }
}

/* A server forgets what was written where it unmaps, so a log that runs is harvested. */
static void unmap_everything(struct bridge_attachment *attachment)
{
    const struct iommu_ioas *ioas = attachment->ioas;

    if (!bridge_log_running(attachment->device->log)) {
        iommu_server_unmap_all(attachment);
        return;
    }
    for (uint32_t i = 0; i < ioas->count; i++) {
        (void)iommu_server_unmap(attachment, ioas->map[i]);
    }
}

static void leave(struct bridge_attachment *attachment)
{
    struct iommu *iommu = attachment->iommu;
    struct iommu_ioas *ioas = attachment->ioas;
    struct iommu_hwpt *hwpt = attachment->hwpt;
    struct bridge_attachment **link = &ioas->attached;

    unmap_everything(attachment);
    iommu_owed_clear(attachment);
    hand_over(attachment);
    if (hwpt->tracking) {
        (void)bridge_log_stop(attachment->device->log);
    }
    show(attachment, NULL);
    while (*link != attachment) {
        link = &(*link)->next;
    }
    *link = attachment->next;
    attachment->next = NULL;
    attachment->hwpt = NULL;
    if (--hwpt->attached == 0 && hwpt->automatic) {
        iommu_hwpt_free(iommu, hwpt);
    }
}

static int join(struct bridge_attachment *attachment, struct iommu_hwpt *hwpt)
{
    const struct bridge_link *link = attachment->device->link;
    int rc;

    attachment->generation = link != NULL ? bridge_link_generation(link) : 0;
    attachment->hwpt = hwpt;
    attachment->next = hwpt->ioas->attached;
    hwpt->ioas->attached = attachment;
    hwpt->attached++;
    show(attachment, hwpt->ioas);
    rc = iommu_server_map_all(attachment);
    if (rc == 0 && hwpt->tracking) {
        rc = iommu_hwpt_track(hwpt, attachment->device);
    }
    if (rc < 0) {
        leave(attachment);
    }
    return rc;
}

/* Another page table of the same address space: its maps stay. */
static int move(struct bridge_attachment *attachment, struct iommu_hwpt *hwpt)
{
    struct iommu_hwpt *old = attachment->hwpt;
    int rc = 0;

    if (old->tracking) {
        for (uint32_t i = 0; i < old->ioas->count; i++) {
            (void)bridge_log_harvest(attachment->device->log, old->ioas->map[i]->iova,
                                     old->ioas->map[i]->size);
        }
        hand_over(attachment);
    }
    if (hwpt->tracking && !old->tracking) {
        rc = iommu_hwpt_track(hwpt, attachment->device);
    } else if (!hwpt->tracking && old->tracking) {
        rc = bridge_log_stop(attachment->device->log);
    }
    if (rc < 0) {
        return rc;
    }
    attachment->hwpt = hwpt;
    hwpt->attached++;
    if (--old->attached == 0 && old->automatic) {
        iommu_hwpt_free(attachment->iommu, old);
    }
    return 0;
}

/* An address space stands for the page table that was made for it without being asked. */
static int automatic_table(struct iommu *iommu, struct iommu_ioas *ioas,
                           struct iommu_hwpt **ret_hwpt)
{
    for (uint32_t i = 0; i < IOMMU_OBJECTS_MAX; i++) {
        struct iommu_hwpt *hwpt = iommu->entry[i].what;

        if (iommu->entry[i].kind == IOMMU_HWPT && hwpt->ioas == ioas && hwpt->automatic) {
            *ret_hwpt = hwpt;
            return 0;
        }
    }
    return iommu_hwpt_make(iommu, ioas, 0, 1, ret_hwpt);
}

static int attach(struct bridge_attachment *attachment, struct iommu_hwpt *hwpt)
{
    struct iommu_hwpt *old = attachment->hwpt;
    int rc;

    /* QEMU takes EINVAL for "this page table does not suit" and makes another one. */
    if (hwpt->dirty && !hwpt->lenient && !bridge_log_possible(attachment->device->log)) {
        return -EINVAL;
    }
    if (old == hwpt) {
        return 0;
    }
    if (old != NULL && old->ioas == hwpt->ioas) {
        return move(attachment, hwpt);
    }
    if (old == NULL) {
        return join(attachment, hwpt);
    }
    /* A device has one connection, thus one set of maps: the old ones go first. They come
     * back when the new ones are refused. */
    old->attached++;
    leave(attachment);
    rc = join(attachment, hwpt);
    if (rc < 0) {
        (void)join(attachment, old);
    }
    if (--old->attached == 0 && old->automatic) {
        iommu_hwpt_free(attachment->iommu, old);
    }
    return rc;
}

int bridge_iommu_attach(struct bridge_device *device, uint32_t *pt)
{
    struct bridge_attachment *attachment = device->attachment;
    struct iommu_hwpt *hwpt = NULL;
    struct iommu_ioas *ioas;
    struct iommu *iommu;
    int rc = 0;

    if (attachment == NULL) {
        return -EINVAL;
    }
    iommu = attachment->iommu;
    (void)pthread_mutex_lock(&iommu->change);
    ioas = iommu_id_find(iommu, *pt, IOMMU_IOAS);
    if (ioas != NULL) {
        rc = automatic_table(iommu, ioas, &hwpt);
    } else {
        hwpt = iommu_id_find(iommu, *pt, IOMMU_HWPT);
        rc = hwpt == NULL ? -ENOENT : 0;
    }
    if (rc == 0) {
        hwpt->attached++; /* not freed with a device that fails to come in */
        rc = attach(attachment, hwpt);
        if (rc == 0) {
            *pt = hwpt->id;
        }
        if (--hwpt->attached == 0 && hwpt->automatic) {
            iommu_hwpt_free(iommu, hwpt);
        }
    }
    (void)pthread_mutex_unlock(&iommu->change);
    return rc;
}

int bridge_iommu_detach(struct bridge_device *device)
{
    struct bridge_attachment *attachment = device->attachment;

    if (attachment == NULL) {
        return -EINVAL;
    }
    (void)pthread_mutex_lock(&attachment->iommu->change);
    if (attachment->ioas != NULL) {
        leave(attachment);
    }
    (void)pthread_mutex_unlock(&attachment->iommu->change);
    return 0;
}

void bridge_iommu_unbind(struct bridge_device *device)
{
    struct bridge_attachment *attachment = device->attachment;
    struct iommu *iommu;

    if (attachment == NULL) {
        return;
    }
    iommu = attachment->iommu;
    (void)bridge_iommu_detach(device);
    __atomic_store_n(&device->attachment, NULL, __ATOMIC_RELEASE);
    (void)pthread_mutex_lock(&iommu->change);
    iommu_id_drop(iommu, attachment->id);
    (void)pthread_mutex_unlock(&iommu->change);
    free(attachment);
    bridge_object_put(&iommu->object);
}

int bridge_iommu_misled(struct bridge_device *device)
{
    const struct bridge_attachment *attachment = device->attachment;
    int misled;

    if (attachment == NULL) {
        return 0;
    }
    (void)pthread_mutex_lock(&attachment->iommu->change);
    misled = attachment->hwpt != NULL && attachment->hwpt->misled;
    (void)pthread_mutex_unlock(&attachment->iommu->change);
    return misled;
}

int bridge_iommu_repeat(struct bridge_device *device)
{
    struct bridge_attachment *attachment = device->attachment;
    int rc = 0;

    if (attachment == NULL || device->link == NULL) {
        return -EINVAL;
    }
    (void)pthread_mutex_lock(&attachment->iommu->change);
    iommu_peers_renew(attachment->iommu, device);
    if (attachment->ioas != NULL) {
        attachment->generation = bridge_link_generation(device->link);
        rc = iommu_server_map_all(attachment);
    }
    (void)pthread_mutex_unlock(&attachment->iommu->change);
    return rc == 0 ? bridge_log_wake(device->log) : rc;
}
