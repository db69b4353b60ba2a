/* SPDX-License-Identifier: BSD-3-Clause */
#include <stdlib.h>
#include <string.h>

#include "base/bitmap.h"
#include "host/backend/kernel/iommu/say.h"
#include "host/backend/kernel/iommu/type1.h"
#include "os/errno.h"
#include "os/uapi/type1.h"

/* What a container says of itself. */

/* More than all ranges and capabilities need. */
#define INFO_BYTES_MAX 65536u
#define CAPS_MAX 64u

#define RANGES_OFF offsetof(struct uapi_cap_type1_ranges, first)
static_assert(sizeof(struct kernel_aperture_range) == 16, "as in the capability");

/* at: of the capability, in bytes of information. */
static void take_ranges(struct kernel_aperture *aperture, const uint8_t *info,
                        uint32_t bytes, uint32_t at)
{
    struct uapi_cap_type1_ranges ranges;
    uint64_t size;

    if (bytes - at < RANGES_OFF) {
        return;
    }
    memcpy(&ranges, info + at, RANGES_OFF);
    size = (uint64_t)ranges.count * sizeof(aperture->range[0]);
    if (ranges.count > KERNEL_APERTURE_RANGES_MAX || size > bytes - at - RANGES_OFF) {
        return;
    }
    memcpy(aperture->range, info + at + RANGES_OFF, (size_t)size);
    aperture->count = ranges.count;
}

/* at: of the capability. A log in other pages than the IOMMU's own is none. */
static void take_log(struct type1 *type1, const uint8_t *info, uint32_t bytes,
                     uint32_t at)
{
    struct uapi_cap_type1_migration migration;

    if (bytes - at < sizeof(migration)) {
        return;
    }
    memcpy(&migration, info + at, sizeof(migration));
    type1->has_log = (migration.page_sizes & type1->aperture.granule) != 0 &&
                     migration.bitmap_bytes_max >=
                         ferry_bitmap_bytes(TYPE1_PIECE_BYTES / type1->aperture.granule);
}

/* A chain that leads anywhere else ends it. */
static void take_caps(struct type1 *type1, const uint8_t *info, uint32_t bytes,
                      uint32_t at)
{
    struct uapi_cap cap;

    for (uint32_t i = 0; i < CAPS_MAX; i++) {
        if (at < sizeof(struct uapi_type1_info) || at > bytes ||
            bytes - at < sizeof(cap)) {
            return;
        }
        memcpy(&cap, info + at, sizeof(cap));
        if (cap.id == UAPI_CAP_TYPE1_RANGES) {
            take_ranges(&type1->aperture, info, bytes, at);
        } else if (cap.id == UAPI_CAP_TYPE1_MIGRATION) {
            take_log(type1, info, bytes, at);
        }
        at = cap.next;
    }
}

/* The capabilities, which need as many bytes as the kernel says. */
static int ask_caps(struct type1 *type1, uint32_t bytes)
{
    uint8_t *info = bytes <= INFO_BYTES_MAX ? calloc(1, bytes) : NULL;
    struct uapi_type1_info head = { .argsz = bytes };
    int rc;

    if (info == NULL) {
        return bytes <= INFO_BYTES_MAX ? FERRY_E_MEMORY : FERRY_OK;
    }
    memcpy(info, &head, sizeof(head));
    rc = kernel_ioctl(type1->calls, type1->container_fd, UAPI_TYPE1_GET_INFO, info);
    memcpy(&head, info, sizeof(head));
    if (rc == 0 && (head.flags & UAPI_TYPE1_CAPS) != 0 && head.argsz <= bytes) {
        take_caps(type1, info, head.argsz, head.cap_offset);
    }
    free(info);
    return FERRY_OK;
}

int kernel_type1_ask(struct type1 *type1, const char *name, struct ferry_error *reterr)
{
    struct uapi_type1_info info = { .argsz = sizeof(info) };
    const int rc =
        kernel_ioctl(type1->calls, type1->container_fd, UAPI_TYPE1_GET_INFO, &info);
    uint64_t granule = KERNEL_GRANULE_BYTES_MIN;
    int status;

    if (rc < 0) {
        return kernel_say(reterr, FERRY_E_IO, -rc,
                          "%s: the container does not tell of its IOMMU (%s)", name,
                          ferry_os_errno_name(-rc));
    }
    if ((info.flags & UAPI_TYPE1_PAGE_SIZES) != 0 && info.page_sizes != 0) {
        granule = info.page_sizes & ~(info.page_sizes - 1);
    }
    status = kernel_aperture_granule(&type1->aperture, granule, name, reterr);
    if (status == FERRY_OK && (info.flags & UAPI_TYPE1_CAPS) != 0 &&
        info.argsz > sizeof(info) && ask_caps(type1, info.argsz) != FERRY_OK) {
        return kernel_say(reterr, FERRY_E_MEMORY, 0, "%s: out of memory", name);
    }
    return status;
}
