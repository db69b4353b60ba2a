/* SPDX-License-Identifier: BSD-3-Clause */
#include <assert.h>
#include <string.h>

#include "device/device_private.h"

/* Device features of the uAPI, and Ferry's own (docs/vfio-user-extensions.md). */
enum {
    FEATURE_MIGRATION = 1,
    FEATURE_DEVICE_STATE = 2,
    FEATURE_LOG_START = 6,
    FEATURE_LOG_STOP = 7,
    FEATURE_LOG_REPORT = 8,
    FEATURE_DATA_SIZE = 9,
    FEATURE_PRECOPY_INFO = 0xfe01,
    FEATURE_LOG_RUNS = 0xfe02,
    FEATURE_COUNTERS = 0xfe05
};

/* Which features there are, what may be done with them, which migration flag they need.
 */
static const struct {
    uint32_t index;
    uint32_t operations;
    uint32_t needs;
} feature_table[] = {
    { FEATURE_MIGRATION, FERRY_FEATURE_GET, FERRY_MIG_STOP_COPY },
    { FEATURE_DEVICE_STATE, FERRY_FEATURE_GET | FERRY_FEATURE_SET, FERRY_MIG_STOP_COPY },
    { FEATURE_LOG_START, FERRY_FEATURE_SET, 0 },
    { FEATURE_LOG_STOP, FERRY_FEATURE_SET, 0 },
    { FEATURE_LOG_REPORT, FERRY_FEATURE_GET, 0 },
    { FEATURE_LOG_RUNS, FERRY_FEATURE_GET, 0 },
    { FEATURE_COUNTERS, FERRY_FEATURE_GET, 0 },
    { FEATURE_DATA_SIZE, FERRY_FEATURE_GET, FERRY_MIG_STOP_COPY },
    { FEATURE_PRECOPY_INFO, FERRY_FEATURE_GET, FERRY_MIG_PRE_COPY },
};

int device_info(struct ferry_device *device, struct ferry_request *request)
{
    request->u.info = (struct ferry_device_info){
        .flags = FERRY_DEVICE_FLAG_RESET | FERRY_DEVICE_FLAG_PCI,
        .region_count = device->region_count,
        .irq_count = DEVICE_IRQ_INDEXES,
    };
    return FERRY_OK;
}

static void describe_bar(const struct ferry_device *device,
                         struct ferry_region_info *info)
{
    const struct ferry_device_region *region = &device->region[info->index];

    if (region->size_bytes == 0) {
        return;
    }
    info->size = region->size_bytes;
    info->flags = FERRY_REGION_READ;
    if (info->index != FERRY_REGION_ROM && (region->flags & FERRY_EXTRA_READ_ONLY) == 0) {
        info->flags |= FERRY_REGION_WRITE;
    }
    if ((region->flags & FERRY_BAR_MEMORY) != 0) {
        info->flags |= FERRY_REGION_MMAP;
        info->fd = device->memory[info->index].fd;
        info->area_count = region->area_count;
        for (uint32_t i = 0; i < region->area_count; i++) {
            info->area[i].off = region->area[i].off;
            info->area[i].size = region->area[i].size;
        }
    }
}

int device_info_region(struct ferry_device *device, struct ferry_request *request)
{
    struct ferry_region_info *info = &request->u.region;
    const uint32_t index = info->index;

    if (index >= device->region_count) {
        return ferry_error_set(request->reterr, FERRY_E_NOT_FOUND, "device", NULL, 0,
                               "region %u: the device has %u", index,
                               device->region_count);
    }
    *info = (struct ferry_region_info){ .index = index, .fd = FERRY_NO_REGION_FD };
    if (index == FERRY_REGION_CONFIG) {
        info->size = device->config.bytes;
        info->flags = FERRY_REGION_READ | FERRY_REGION_WRITE;
    } else {
        describe_bar(device, info);
    }
    if (index >= FERRY_REGION_EXTRA) {
        info->type = device->region_type[index - FERRY_REGION_EXTRA].type;
        info->subtype = device->region_type[index - FERRY_REGION_EXTRA].subtype;
    }
    return FERRY_OK;
}

int device_info_probe(struct ferry_device *device, struct ferry_request *request)
{
    const struct ferry_feature_probe *probe = &request->u.probe;
    const uint32_t flags = device->identity.migration_flags;

    for (size_t i = 0; i < sizeof(feature_table) / sizeof(feature_table[0]); i++) {
        if (feature_table[i].index != probe->index ||
            (feature_table[i].needs & ~flags) != 0) {
            continue;
        }
        if ((probe->operation & ~feature_table[i].operations) != 0) {
            return ferry_error_set(request->reterr, FERRY_E_ARGUMENT, "device", NULL, 0,
                                   "feature %u does not support this operation",
                                   probe->index);
        }
        return FERRY_OK;
    }
    return ferry_error_set(request->reterr, FERRY_E_UNSUPPORTED, "device", NULL, 0,
                           "the device lacks feature %u", probe->index);
}

int device_info_identity(struct ferry_device *device, struct ferry_request *request)
{
    *request->u.identity = device->identity;
    return FERRY_OK;
}

int device_info_counters(struct ferry_device *device, struct ferry_request *request)
{
    struct ferry_counters *counters = &request->u.counters;
    int count;

    memset(counters->counter, 0, counters->cap * sizeof(*counters->counter));
    count = device->ops.counters(device->state, device, counters->counter, counters->cap);
    if (count < 0) {
        return ferry_error_set(request->reterr, count, "device", NULL, 0,
                               "the device does not tell its counters");
    }
    assert((uint32_t)count <= counters->cap);
    counters->count = (uint32_t)count;
    return FERRY_OK;
}
