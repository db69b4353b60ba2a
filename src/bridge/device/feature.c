/* SPDX-License-Identifier: BSD-3-Clause */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>

#include "base/range.h"
#include "bridge/device/inside.h"
#include "bridge/iommu/log/log.h"
#include "bridge/migration/migration.h"
#include "bridge/say.h"

#define PAGE_LEAST 4096u /* of a dirty log */

/* set: 1 for SET, 0 for GET. bytes: of the payload, at least what the table says. */
typedef long feature_fn(struct bridge_device *device, int set, void *payload,
                        uint32_t bytes);

static long migration(struct bridge_device *device, int set, void *payload,
                      uint32_t bytes)
{
    struct uapi_migration *out = payload;

    (void)set;
    (void)bytes;
    out->flags = bridge_migration_flags(device->migration);
    return 0;
}

static long mig_state(struct bridge_device *device, int set, void *payload,
                      uint32_t bytes)
{
    struct uapi_mig_state *state = payload;
    int fd = -1;
    int rc;

    (void)bytes;
    state->data_fd = -1;
    if (!set) {
        return bridge_migration_get_state(device->migration, &state->state);
    }
    rc = bridge_migration_set_state(device->migration, state->state, &fd);
    state->data_fd = rc == 0 ? fd : -1;
    return rc;
}

static long mig_size(struct bridge_device *device, int set, void *payload, uint32_t bytes)
{
    struct uapi_mig_size *out = payload;

    (void)set;
    (void)bytes;
    return bridge_migration_data_size(device->migration, &out->stop_copy_bytes);
}

static long precopy_v2(struct bridge_device *device, int set, void *payload,
                       uint32_t bytes)
{
    (void)set;
    (void)payload;
    (void)bytes;
    return bridge_migration_precopy_v2(device->migration);
}

static int is_page_size(uint64_t bytes)
{
    return bytes >= PAGE_LEAST && (bytes & (bytes - 1)) == 0;
}

static int by_iova(const void *a, const void *b)
{
    const struct ferry_range *one = a;
    const struct ferry_range *other = b;

    return one->off < other->off ? -1 : one->off > other->off;
}

/* Return: 0 or -errno; the ranges are sorted then. */
static int take_ranges(const struct uapi_log_start *in, struct ferry_range *ret_range)
{
    const struct uapi_log_range *from =
        (const struct uapi_log_range *)(uintptr_t)in->range;
    uint64_t end;
    uint32_t i;

    for (i = 0; i < in->ranges; i++) {
        if (from[i].length == 0 || from[i].iova % in->page_size != 0 ||
            from[i].length % in->page_size != 0) {
            return -EINVAL;
        }
        if (!ferry_range_add(from[i].iova, from[i].length, &end)) {
            return -EOVERFLOW;
        }
        ret_range[i] =
            (struct ferry_range){ .off = from[i].iova, .size = from[i].length };
    }
    qsort(ret_range, in->ranges, sizeof(*ret_range), by_iova);
    for (i = 1; i < in->ranges; i++) {
        if (ret_range[i].off - ret_range[i - 1].off < ret_range[i - 1].size) {
            return -EINVAL;
        }
    }
    return 0;
}

static long log_start(struct bridge_device *device, int set, void *payload,
                      uint32_t bytes)
{
    const struct uapi_log_start *in = payload;
    struct ferry_range range[FERRY_LOG_RANGES_MAX];
    int rc;

    (void)set;
    (void)bytes;
    if (in->ranges == 0 || in->range == 0 || !is_page_size(in->page_size)) {
        return in->ranges > 0 && in->range == 0 ? -EFAULT : -EINVAL;
    }
    if (in->ranges > FERRY_LOG_RANGES_MAX) {
        return -E2BIG;
    }
    rc = take_ranges(in, range);
    return rc == 0 ? bridge_log_start(device->log, in->page_size, range, in->ranges) : rc;
}

static long log_stop(struct bridge_device *device, int set, void *payload, uint32_t bytes)
{
    (void)set;
    (void)payload;
    (void)bytes;
    return bridge_log_stop(device->log);
}

static long log_report(struct bridge_device *device, int set, void *payload,
                       uint32_t bytes)
{
    const struct uapi_log_report *in = payload;
    uint64_t end;

    (void)set;
    (void)bytes;
    if (!is_page_size(in->page_size) || in->length == 0 ||
        in->iova % in->page_size != 0 || in->length % in->page_size != 0) {
        return -EINVAL;
    }
    if (!ferry_range_add(in->iova, in->length, &end)) {
        return -EOVERFLOW;
    }
    if (in->bitmap == 0) {
        return -EFAULT;
    }
    return bridge_log_report(device->log, in->iova, in->length, in->page_size,
                             (void *)(uintptr_t)in->bitmap, 1);
}

/* QEMU takes an offset in the descriptor for one in the region. */
static int is_region_itself(const struct ferry_region_info *region,
                            const struct uapi_area *wanted, uint32_t count)
{
    struct ferry_range area[FERRY_SPARSE_AREAS_MAX];
    const uint32_t areas = bridge_region_areas(region, area);
    uint32_t found = 0;
    uint32_t i;
    uint32_t j;

    for (i = 0; i < count; i++) {
        for (j = 0; j < areas; j++) {
            if (wanted[i].offset >= area[j].off && wanted[i].size > 0 &&
                ferry_range_inside(wanted[i].offset - area[j].off, wanted[i].size,
                                   area[j].size)) {
                found++;
                break;
            }
        }
    }
    return found == count;
}

/* A descriptor by which other devices reach the region. */
static long dma_buf(struct bridge_device *device, int set, void *payload, uint32_t bytes)
{
    const struct uapi_dma_buf *in = payload;
    const struct ferry_region_info *region;
    int fd;

    (void)set;
    if (in->flags != 0 || in->areas == 0 || in->areas > FERRY_SPARSE_AREAS_MAX ||
        in->region >= BRIDGE_REGIONS_MAX ||
        (in->open_flags & ~(uint32_t)(O_ACCMODE | O_CLOEXEC)) != 0 ||
        (in->open_flags & O_ACCMODE) == O_WRONLY ||
        bytes - sizeof(*in) < in->areas * sizeof(struct uapi_area)) {
        return -EINVAL;
    }
    region = &device->region[in->region];
    if (!is_region_itself(region, (const struct uapi_area *)(in + 1), in->areas)) {
        return -EINVAL;
    }
    /* Then the VMM goes by the address, and the bridge knows what is mapped there. */
    if (region->offset != 0 || device->token.no_peer_maps) {
        return -ENOTTY;
    }
    fd = bridge_region_give(device, in->region);
    return fd < 0 ? -EMFILE : fd;
}

static int can_migrate(struct bridge_device *device)
{
    return device->migration != NULL && device->token.uapi != BRIDGE_UAPI_V1;
}

static int can_log(struct bridge_device *device)
{
    return device->token.dirty != FERRY_BRIDGE_DIRTY_IOMMU &&
           device->token.uapi != BRIDGE_UAPI_V1 && bridge_log_possible(device->log) == 1;
}

static int always(struct bridge_device *device)
{
    (void)device;
    return 1;
}

static const struct {
    uint32_t number;
    uint32_t operations; /* UAPI_FEATURE_GET, _SET */
    uint32_t bytes;      /* the least payload */
    int (*there)(struct bridge_device *device);
    feature_fn *fn;
} features[] = {
    { UAPI_MIGRATION, UAPI_FEATURE_GET, sizeof(struct uapi_migration), can_migrate,
      migration },
    { UAPI_MIG_STATE, UAPI_FEATURE_GET | UAPI_FEATURE_SET, sizeof(struct uapi_mig_state),
      can_migrate, mig_state },
    { UAPI_LOG_START, UAPI_FEATURE_SET, sizeof(struct uapi_log_start), can_log,
      log_start },
    { UAPI_LOG_STOP, UAPI_FEATURE_SET, 0, can_log, log_stop },
    { UAPI_LOG_REPORT, UAPI_FEATURE_GET, sizeof(struct uapi_log_report), can_log,
      log_report },
    { UAPI_MIG_SIZE, UAPI_FEATURE_GET, sizeof(struct uapi_mig_size), can_migrate,
      mig_size },
    { UAPI_DMA_BUF, UAPI_FEATURE_GET, sizeof(struct uapi_dma_buf), always, dma_buf },
    { UAPI_PRECOPY_V2, UAPI_FEATURE_SET, 0, can_migrate, precopy_v2 },
};

static long feature(struct bridge_device *device, struct uapi_feature *call)
{
    const uint32_t number = call->flags & UAPI_FEATURE_NUMBER;
    const uint32_t operation = call->flags & (UAPI_FEATURE_GET | UAPI_FEATURE_SET);
    const uint32_t room = call->argsz - (uint32_t)sizeof(*call);
    const int probe = (call->flags & UAPI_FEATURE_PROBE) != 0;
    size_t i;

    if ((call->flags & ~(UAPI_FEATURE_NUMBER | UAPI_FEATURE_GET | UAPI_FEATURE_SET |
                         UAPI_FEATURE_PROBE)) != 0 ||
        (!probe && operation != UAPI_FEATURE_GET && operation != UAPI_FEATURE_SET)) {
        return -EINVAL;
    }
    for (i = 0; i < sizeof(features) / sizeof(features[0]); i++) {
        if (features[i].number != number) {
            continue;
        }
        if (!features[i].there(device)) {
            return -ENOTTY;
        }
        if ((operation & ~features[i].operations) != 0) {
            return -EINVAL;
        }
        if (probe) {
            return 0;
        }
        return room < features[i].bytes
                   ? -EINVAL
                   : features[i].fn(device, operation == UAPI_FEATURE_SET, call + 1,
                                    room);
    }
    return -ENOTTY;
}

long bridge_device_feature(struct bridge_device *device, void *arg)
{
    struct uapi_feature *call = arg;
    const long rc = feature(device, call);

    bridge_trace(device, "FEATURE %u, flags 0x%x: %ld", call->flags & UAPI_FEATURE_NUMBER,
                 call->flags & ~UAPI_FEATURE_NUMBER, rc);
    return rc;
}
