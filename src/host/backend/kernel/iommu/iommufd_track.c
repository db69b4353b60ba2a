/* SPDX-License-Identifier: BSD-3-Clause */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "host/backend/kernel/iommu/iommufd.h"
#include "host/backend/kernel/iommu/say.h"
#include "os/errno.h"
#include "os/uapi/iommufd.h"

/* Return: 0 or -errno. */
static int set_tracking(struct iommufd *iommufd, int on)
{
    struct uapi_iommu_hwpt_set_dirty call = {
        .size = sizeof(call),
        .flags = on ? UAPI_IOMMU_HWPT_DIRTY_TRACKING_ENABLE : 0,
        .hwpt_id = iommufd->hwpt_id,
    };

    return kernel_ioctl(iommufd->calls, iommufd->fd, UAPI_IOMMU_HWPT_SET_DIRTY_TRACKING,
                        &call);
}

/* flags: UAPI_IOMMU_HWPT_GET_DIRTY_*. Return: 0 or -errno. */
static int get_bits(struct iommufd *iommufd, uint64_t iova, uint64_t length, void *bits,
                    uint32_t flags)
{
    struct uapi_iommu_hwpt_get_dirty call = {
        .size = sizeof(call),
        .hwpt_id = iommufd->hwpt_id,
        .flags = flags,
        .iova = iova,
        .length = length,
        .page_size = iommufd->aperture.granule,
        .data = (uint64_t)(uintptr_t)bits,
    };

    return kernel_ioctl(iommufd->calls, iommufd->fd, UAPI_IOMMU_HWPT_GET_DIRTY_BITMAP,
                        &call);
}

int kernel_iommufd_track(struct kernel_iommu *iommu, int on, struct ferry_error *reterr)
{
    struct iommufd *iommufd = (struct iommufd *)iommu;
    int rc;

    if (!iommu->can_track) {
        return kernel_say(reterr, FERRY_E_UNSUPPORTED, 0, "%s", iommufd->cannot);
    }
    if ((on != 0) == (iommufd->tracking != 0)) {
        return FERRY_OK;
    }
    rc = set_tracking(iommufd, on);
    if (rc < 0) {
        return kernel_say(reterr, FERRY_E_IO, -rc,
                          "iommufd: dirty tracking cannot be switched %s (%s)",
                          on ? "on" : "off", ferry_os_errno_name(-rc));
    }
    iommufd->tracking = on != 0;
    return FERRY_OK;
}

static int fetch(void *user, struct kernel_map *map, uint64_t iova, uint64_t length,
                 void *bits, struct ferry_error *reterr)
{
    struct iommufd *iommufd = user;
    const int rc = get_bits(iommufd, iova, length, bits, 0);

    (void)map;
    if (rc < 0) {
        return kernel_say(reterr, FERRY_E_IO, -rc,
                          "iommufd: no dirty bits of 0x%llx bytes at 0x%llx (%s)",
                          (unsigned long long)length, (unsigned long long)iova,
                          ferry_os_errno_name(-rc));
    }
    return FERRY_OK;
}

/* The map goes next, and its page table entries with it: nothing needs to be cleared. */
static int fetch_last(void *user, struct kernel_map *map, uint64_t iova, uint64_t length,
                      void *bits, struct ferry_error *reterr)
{
    (void)map;
    (void)reterr;
    return get_bits(user, iova, length, bits, UAPI_IOMMU_HWPT_GET_DIRTY_NO_CLEAR) < 0
               ? FERRY_E_IO
               : FERRY_OK;
}

int kernel_iommufd_report(struct kernel_iommu *iommu,
                          const struct ferry_log_report *report,
                          struct ferry_error *reterr)
{
    struct iommufd *iommufd = (struct iommufd *)iommu;
    const struct kernel_dirty dirty = { .user = iommufd,
                                        .fetch = fetch,
                                        .granule = iommufd->aperture.granule,
                                        .scratch = iommufd->scratch };

    if (!iommufd->tracking) {
        return kernel_say(reterr, FERRY_E_STATE, 0, "iommufd: dirty tracking is off");
    }
    return kernel_dirty_report(&dirty, &iommufd->maps, report, reterr);
}

void kernel_iommufd_last(struct iommufd *iommufd, struct kernel_map *map,
                         const struct ferry_log_report *report)
{
    const struct kernel_dirty dirty = { .user = iommufd,
                                        .fetch = fetch_last,
                                        .granule = iommufd->aperture.granule,
                                        .scratch = iommufd->scratch };
    struct kernel_maps one = { .map = map, .count = 1, .cap = 1 };

    if (kernel_dirty_report(&dirty, &one, report, NULL) != FERRY_OK) {
        kernel_dirty_mark(report, map->iova, map->size);
    }
}

/* Return: 0 or -errno. ret_exact: 1 a page that nobody wrote to was told to be clean. */
static int try_tracking(struct iommufd *iommufd, uint64_t iova, int *ret_exact)
{
    const uint64_t page = iommufd->aperture.granule;
    uint64_t bits = 0;
    int rc = set_tracking(iommufd, 1);
    int off;

    if (rc < 0) {
        return rc;
    }
    rc = get_bits(iommufd, iova, page, &bits, 0);
    off = set_tracking(iommufd, 0);
    *ret_exact = bits == 0;
    return rc < 0 ? rc : off;
}

void kernel_iommufd_probe(struct iommufd *iommufd)
{
    struct ferry_os_map page = { .data = NULL };
    struct uapi_iommu_ioas_map call = {
        .size = sizeof(call),
        .flags = UAPI_IOMMU_MAP_READABLE | UAPI_IOMMU_MAP_WRITEABLE,
        .ioas_id = iommufd->ioas_id,
        .length = iommufd->aperture.granule,
    };
    int exact = 0;
    int rc = -ENOMEM;
    int gone;

    if (ferry_os_map_anonymous(iommufd->aperture.granule, &page) == FERRY_OK) {
        call.user_va = (uint64_t)(uintptr_t)page.data;
        rc = kernel_ioctl(iommufd->calls, iommufd->fd, UAPI_IOMMU_IOAS_MAP, &call);
    }
    if (rc == 0) {
        rc = try_tracking(iommufd, call.iova, &exact);
        gone = kernel_iommufd_unmap_range(iommufd, call.iova, call.length);
        rc = rc < 0 ? rc : gone;
    }
    ferry_os_unmap(&page);
    iommufd->iommu.can_track = rc >= 0;
    iommufd->iommu.is_exact = rc >= 0 && exact;
    if (rc < 0) {
        (void)snprintf(iommufd->cannot, sizeof(iommufd->cannot),
                       "this IOMMU says that it tracks dirty pages, but does not tell "
                       "them (%s)",
                       ferry_os_errno_name(-rc));
    }
}
