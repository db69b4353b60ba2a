/* SPDX-License-Identifier: BSD-3-Clause */
#include <errno.h>
#include <stdlib.h>

#include "bridge/iommu/iommu_private.h"
#include "os/uapi/iommufd.h"

/* Address spaces, and what leaves them. */

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
