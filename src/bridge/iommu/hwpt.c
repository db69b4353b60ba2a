/* SPDX-License-Identifier: BSD-3-Clause */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/bitmap.h"
#include "bridge/iommu/iommu_private.h"
#include "os/uapi/iommufd.h"
#include "bridge/say.h"

/* Page tables. An address space has its maps; a page table says whether those who are
 * attached to it are tracked. */

#define HW_INFO_BYTES_MAX 4096u

int iommu_hwpt_make(struct iommu *iommu, struct iommu_ioas *ioas, uint32_t dirty,
                    uint32_t automatic, struct iommu_hwpt **ret_hwpt)
{
    struct iommu_hwpt *hwpt = calloc(1, sizeof(*hwpt));
    int rc;

    if (hwpt == NULL) {
        return -ENOMEM;
    }
    rc = iommu_id_take(iommu, IOMMU_HWPT, hwpt, &hwpt->id);
    if (rc < 0) {
        free(hwpt);
        return rc;
    }
    hwpt->ioas = ioas;
    hwpt->dirty = dirty;
    hwpt->automatic = automatic;
    ioas->tables++;
    *ret_hwpt = hwpt;
    return 0;
}

void iommu_hwpt_free(struct iommu *iommu, struct iommu_hwpt *hwpt)
{
    hwpt->ioas->tables--;
    iommu_id_drop(iommu, hwpt->id);
    log_pages_clear(&hwpt->left);
    free(hwpt);
}

static int can_track(const struct bridge_device *device)
{
    return device->token.dirty != FERRY_BRIDGE_DIRTY_DEVICE &&
           bridge_log_possible(device->log) > 0;
}

long iommu_request_hwpt_alloc(struct iommu *iommu, void *arg)
{
    struct uapi_iommu_hwpt_alloc *want = arg;
    const uint32_t dirty = (want->flags & UAPI_IOMMU_HWPT_ALLOC_DIRTY_TRACKING) != 0;
    struct bridge_attachment *attachment;
    struct iommu_hwpt *hwpt = NULL;
    struct iommu_ioas *ioas;
    int rc;

    if ((want->flags & ~UAPI_IOMMU_HWPT_ALLOC_DIRTY_TRACKING) != 0 ||
        want->reserved != 0 || want->fault_id != 0 || want->reserved2 != 0 ||
        want->data_type != 0) {
        return -EOPNOTSUPP;
    }
    if (want->data_len != 0) {
        return -EINVAL;
    }
    (void)pthread_mutex_lock(&iommu->change);
    attachment = iommu_id_find(iommu, want->dev_id, IOMMU_DEVICE);
    ioas = iommu_id_find(iommu, want->pt_id, IOMMU_IOAS);
    if (attachment == NULL || ioas == NULL) {
        rc = -ENOENT;
    } else if (dirty && !can_track(attachment->device)) {
        rc = -EOPNOTSUPP;
    } else {
        rc = iommu_hwpt_make(iommu, ioas, dirty, 0, &hwpt);
    }
    if (rc == 0) {
        want->out_hwpt_id = hwpt->id;
    }
    (void)pthread_mutex_unlock(&iommu->change);
    return rc;
}

long iommu_request_hw_info(struct iommu *iommu, void *arg)
{
    struct uapi_iommu_hw_info *want = arg;
    struct bridge_attachment *attachment;
    int tracks = 0;

    if ((want->flags & ~UAPI_IOMMU_HW_INFO_INPUT_TYPE) != 0 || want->reserved[0] != 0 ||
        want->reserved[1] != 0 || want->reserved[2] != 0) {
        return -EOPNOTSUPP;
    }
    /* Without the flag the type is an answer only. */
    if ((want->flags & UAPI_IOMMU_HW_INFO_INPUT_TYPE) != 0 && want->data_type != 0) {
        return -EOPNOTSUPP;
    }
    (void)pthread_mutex_lock(&iommu->change);
    attachment = iommu_id_find(iommu, want->dev_id, IOMMU_DEVICE);
    if (attachment != NULL) {
        tracks = can_track(attachment->device);
    }
    (void)pthread_mutex_unlock(&iommu->change);
    if (attachment == NULL) {
        return -ENOENT;
    }
    /* What the caller has room for and nobody fills is zero. */
    if (want->data_uptr != 0 && want->data_len <= HW_INFO_BYTES_MAX) {
        memset((void *)(uintptr_t)want->data_uptr, 0, want->data_len);
    }
    want->data_type = 0;
    want->data_len = 0;
    want->out_max_pasid_log2 = 0;
    want->out_capabilities = tracks ? UAPI_IOMMU_HW_CAP_DIRTY_TRACKING : 0;
    return 0;
}

int iommu_hwpt_track(const struct iommu_hwpt *hwpt, struct bridge_device *device)
{
    const int rc = bridge_log_start(device->log, IOMMU_PAGE_BYTES, NULL, 0);

    if (rc < 0 && hwpt->lenient) {
        bridge_say(device,
                   "nobody knows what it writes (errno %d): all memory that it "
                   "reaches counts as written, in every round",
                   -rc);
        return 0;
    }
    return rc;
}

static void stop_all(struct iommu_hwpt *hwpt, const struct bridge_attachment *end)
{
    for (struct bridge_attachment *attachment = hwpt->ioas->attached; attachment != end;
         attachment = attachment->next) {
        if (attachment->hwpt == hwpt) {
            (void)bridge_log_stop(attachment->device->log);
        }
    }
}

static int start_all(struct iommu_hwpt *hwpt)
{
    for (struct bridge_attachment *attachment = hwpt->ioas->attached; attachment != NULL;
         attachment = attachment->next) {
        int rc = 0;

        if (attachment->hwpt == hwpt) {
            rc = iommu_hwpt_track(hwpt, attachment->device);
        }
        if (rc < 0) {
            stop_all(hwpt, attachment);
            return rc;
        }
    }
    return 0;
}

long iommu_request_set_dirty(struct iommu *iommu, void *arg)
{
    const struct uapi_iommu_hwpt_set_dirty *want = arg;
    const uint32_t on = (want->flags & UAPI_IOMMU_HWPT_DIRTY_TRACKING_ENABLE) != 0;
    struct iommu_hwpt *hwpt;
    int rc = 0;

    if ((want->flags & ~UAPI_IOMMU_HWPT_DIRTY_TRACKING_ENABLE) != 0 ||
        want->reserved != 0) {
        return -EOPNOTSUPP;
    }
    (void)pthread_mutex_lock(&iommu->change);
    hwpt = iommu_id_find(iommu, want->hwpt_id, IOMMU_HWPT);
    if (hwpt == NULL) {
        rc = -ENOENT;
    } else if (!hwpt->dirty) {
        rc = -EOPNOTSUPP;
    } else if (on && !hwpt->tracking) {
        rc = start_all(hwpt);
    } else if (!on && hwpt->tracking) {
        stop_all(hwpt, NULL);
    }
    if (rc == 0) {
        if (on != hwpt->tracking) {
            log_pages_clear(&hwpt->left);
            hwpt->misled = 0;
        }
        hwpt->tracking = on;
    }
    (void)pthread_mutex_unlock(&iommu->change);
    return rc;
}

static int check_report(const struct uapi_iommu_hwpt_get_dirty *want)
{
    if ((want->flags & ~UAPI_IOMMU_HWPT_GET_DIRTY_NO_CLEAR) != 0 || want->reserved != 0) {
        return -EOPNOTSUPP;
    }
    if (want->length == 0) {
        return -EINVAL;
    }
    if (want->iova > UINT64_MAX - want->length) {
        return -EOVERFLOW;
    }
    if (want->page_size < IOMMU_PAGE_BYTES ||
        (want->page_size & (want->page_size - 1)) != 0 ||
        ((want->iova | want->length) & (want->page_size - 1)) != 0) {
        return -EINVAL;
    }
    return want->data == 0 ? -EFAULT : 0;
}

/* The device of a page table with the lowest id above `after`. */
static struct bridge_attachment *find_next(const struct iommu_hwpt *hwpt, uint32_t after)
{
    struct bridge_attachment *next = NULL;

    for (struct bridge_attachment *attachment = hwpt->ioas->attached; attachment != NULL;
         attachment = attachment->next) {
        if (attachment->hwpt == hwpt && attachment->id > after &&
            (next == NULL || attachment->id < next->id)) {
            next = attachment;
        }
    }
    return next;
}

/*
 * The next device of a tracked page table behind the device with id `after`, with a
 * reference: reports wait for servers, and those who map and unmap must not wait for
 * reports. Return: 1; 0 when that was the last; -errno.
 */
static int next_device(struct iommu *iommu, uint32_t hwpt_id, uint32_t *after,
                       struct bridge_device **ret_device, int *ret_lenient)
{
    struct bridge_attachment *next;
    const struct iommu_hwpt *hwpt;
    int rc = 0;

    (void)pthread_mutex_lock(&iommu->change);
    hwpt = iommu_id_find(iommu, hwpt_id, IOMMU_HWPT);
    if (hwpt == NULL) {
        rc = -ENOENT;
    } else if (!hwpt->dirty) {
        rc = -EOPNOTSUPP;
    } else if (!hwpt->tracking) {
        rc = -EINVAL;
    }
    while (rc == 0 && (next = find_next(hwpt, *after)) != NULL) {
        *after = next->id;
        *ret_lenient = hwpt->lenient != 0;
        /* One on its way out waits for `change`: it is still there, but no more to be
         * had. */
        if (bridge_object_try_get(&next->device->object)) {
            *ret_device = next->device;
            rc = 1;
        }
    }
    (void)pthread_mutex_unlock(&iommu->change);
    return rc;
}

/* Last, so that a device which left meanwhile is heard of. Return: 0; -errno. */
static int tell_left(struct iommu *iommu, const struct uapi_iommu_hwpt_get_dirty *want,
                     int clear)
{
    struct iommu_hwpt *hwpt;

    (void)pthread_mutex_lock(&iommu->change);
    hwpt = iommu_id_find(iommu, want->hwpt_id, IOMMU_HWPT);
    if (hwpt != NULL) {
        log_pages_tell(&hwpt->left, want->iova, want->length, want->page_size,
                       (void *)(uintptr_t)want->data, clear);
    }
    (void)pthread_mutex_unlock(&iommu->change);
    return hwpt != NULL ? 0 : -ENOENT;
}

static int report(struct bridge_device *device,
                  const struct uapi_iommu_hwpt_get_dirty *want, int clear, int lenient)
{
    void *bitmap = (void *)(uintptr_t)want->data;
    const int rc = bridge_log_report(device->log, want->iova, want->length,
                                     want->page_size, bitmap, clear);

    if (rc < 0 && lenient) {
        ferry_bitmap_set_range(bitmap, 0, want->length / want->page_size);
        return 0;
    }
    /* One that was detached meanwhile has nothing to say any more. */
    return rc < 0 && !bridge_log_running(device->log) ? 0 : rc;
}

long iommu_request_get_dirty(struct iommu *iommu, void *arg)
{
    const struct uapi_iommu_hwpt_get_dirty *want = arg;
    const int clear = (want->flags & UAPI_IOMMU_HWPT_GET_DIRTY_NO_CLEAR) == 0;
    struct bridge_device *device = NULL;
    uint32_t after = 0;
    int lenient = 0;
    int rc = check_report(want);
    int more;

    if (rc < 0) {
        return rc;
    }
    while ((more = next_device(iommu, want->hwpt_id, &after, &device, &lenient)) > 0) {
        rc = report(device, want, clear, lenient);
        bridge_object_put(&device->object);
        if (rc < 0) {
            return rc;
        }
    }
    return more == 0 ? tell_left(iommu, want, clear) : more;
}
