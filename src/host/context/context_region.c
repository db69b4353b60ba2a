/* SPDX-License-Identifier: BSD-3-Clause */
#include <stdlib.h>

#include "base/range.h"
#include "host/context/context.h"

/* Region accesses; reads and writes may come from any thread. */

/* One message after the other, each as long as the device takes. */
static int transfer(struct ferry_host_device *device, struct ferry_request *request,
                    size_t count)
{
    const uint32_t most = device->max_data;
    uint8_t *data = request->u.io.data;
    const uint64_t off = request->u.io.off;
    size_t done = 0;

    while (done < count) {
        const size_t left = count - done;
        int rc;

        request->u.io.count = left < most ? (uint32_t)left : most;
        request->u.io.off = off + done;
        request->u.io.data = data + done;
        /* The count is an out value for a reply as well: keep our own. */
        done += request->u.io.count;
        rc = device->backend->ops->call(device->backend, request);
        if (rc != FERRY_OK) {
            return rc;
        }
    }
    return FERRY_OK;
}

static int prepare(struct ferry_context *context, uint32_t device, uint32_t region,
                   uint64_t off, size_t count, struct ferry_host_device **ret_device)
{
    struct ferry_host_device *of = ferry_host_device(context, device);

    if (of == NULL) {
        return FERRY_E_NOT_FOUND;
    }
    if (!ferry_host_device_is_open(of)) {
        return FERRY_E_CLOSED;
    }
    if (region >= FERRY_HOST_REGIONS_MAX || count == 0 ||
        !ferry_range_inside(off, count, of->region[region].size)) {
        return FERRY_E_RANGE;
    }
    *ret_device = of;
    return FERRY_OK;
}

int ferry_context_region_read(struct ferry_context *context, uint32_t device,
                              uint32_t region, uint64_t off, void *ret_data, size_t count)
{
    struct ferry_request request = { .kind = FERRY_RQ_REGION_READ };
    struct ferry_host_device *of;
    const int rc = prepare(context, device, region, off, count, &of);

    if (rc != FERRY_OK) {
        return rc;
    }
    request.u.io =
        (struct ferry_region_io){ .index = region, .off = off, .data = ret_data };
    return transfer(of, &request, count);
}

/* The request's data is written to by reads only; a write's source stays as it is. */
static void *source(const void *data)
{
    union {
        const void *from;
        void *to;
    } both = { .from = data };

    return both.to;
}

/* Does a write change what ferry_host_config_save() reads? */
static int is_config(const struct ferry_host_device *device, uint32_t region,
                     uint64_t off)
{
    return region == FERRY_HOST_CONFIG_REGION ||
           (device->msix_cap_off != 0 && region == device->msix_bar &&
            off < device->msix_table_off + (uint64_t)device->msix_vectors * 16u);
}

int ferry_context_region_write(struct ferry_context *context, uint32_t device,
                               uint32_t region, uint64_t off, const void *data,
                               size_t count, int posted)
{
    struct ferry_request request = { .kind = FERRY_RQ_REGION_WRITE };
    struct ferry_host_device *of;
    int rc = prepare(context, device, region, off, count, &of);

    if (rc != FERRY_OK) {
        return rc;
    }
    request.u.io = (struct ferry_region_io){
        .index = region, .off = off, .data = source(data), .posted = posted != 0
    };
    rc = transfer(of, &request, count);
    if (is_config(of, region, off)) {
        atomic_fetch_add(&of->config_writes, 1);
    }
    return rc;
}

static int inside_area(const struct ferry_region_info *region, uint64_t off,
                       uint64_t size)
{
    for (uint32_t i = 0; i < region->area_count; i++) {
        if (ferry_range_within(off, size, region->area[i].off, region->area[i].size)) {
            return 1;
        }
    }
    return 0;
}

int ferry_host_region_mappable(const struct ferry_host_device *device, uint32_t region,
                               uint64_t off, uint64_t size, struct ferry_error *reterr)
{
    const struct ferry_region_info *info;

    if (region >= FERRY_HOST_REGIONS_MAX || size == 0 ||
        !ferry_range_inside(off, size, device->region[region].size)) {
        return ferry_error_set(reterr, FERRY_E_RANGE, FERRY_HOST_LAYER, NULL, 0,
                               "device '%s': region %u has no bytes 0x%llx + 0x%llx",
                               device->name, region, (unsigned long long)off,
                               (unsigned long long)size);
    }
    info = &device->region[region];
    if ((info->flags & FERRY_REGION_MMAP) == 0) {
        return ferry_error_set(
            reterr, FERRY_E_UNSUPPORTED, FERRY_HOST_LAYER, NULL, 0,
            "device '%s': region %u cannot be mapped (its server gives "
            "no descriptor for it)",
            device->name, region);
    }
    if (!inside_area(info, off, size)) {
        return ferry_error_set(reterr, FERRY_E_RANGE, FERRY_HOST_LAYER, NULL, 0,
                               "device '%s': 0x%llx + 0x%llx lies outside of what can be "
                               "mapped of region %u",
                               device->name, (unsigned long long)off,
                               (unsigned long long)size, region);
    }
    return FERRY_OK;
}

int ferry_context_region_map(struct ferry_context *context, uint32_t device,
                             uint32_t region, uint64_t off, uint64_t size,
                             void **ret_address, struct ferry_error *reterr)
{
    struct ferry_host_device *of = ferry_host_device(context, device);
    const struct ferry_region_info *info;
    struct ferry_host_mapping *mapping;
    struct ferry_error detail = { 0 };
    uint32_t access;
    int rc;

    if (of == NULL || !ferry_host_device_is_open(of)) {
        return ferry_error_set(reterr, of == NULL ? FERRY_E_NOT_FOUND : FERRY_E_CLOSED,
                               FERRY_HOST_LAYER, NULL, 0, "device %u is not open",
                               device);
    }
    rc = ferry_host_region_mappable(of, region, off, size, reterr);
    if (rc != FERRY_OK) {
        return rc;
    }
    info = &of->region[region];
    access = ((info->flags & FERRY_REGION_READ) != 0 ? FERRY_OS_MAP_READ : 0) |
             ((info->flags & FERRY_REGION_WRITE) != 0 ? FERRY_OS_MAP_WRITE : 0);
    mapping = calloc(1, sizeof(*mapping));
    if (mapping == NULL) {
        return ferry_error_set(reterr, FERRY_E_MEMORY, FERRY_HOST_LAYER, NULL, 0,
                               "device '%s': out of memory", of->name);
    }
    if (of->backend->ops->regions_are_device != NULL &&
        of->backend->ops->regions_are_device(of->backend)) {
        rc = ferry_os_map_device(info->fd, info->offset + off, size, access,
                                 &mapping->map, &detail);
    } else {
        /* Looks at the file's length: a shorter one would end in SIGBUS. */
        rc = ferry_os_map_shared(info->fd, info->offset + off, size, access,
                                 &mapping->map, &detail);
    }
    if (rc != FERRY_OK) {
        free(mapping);
        return ferry_error_set(reterr, rc, FERRY_HOST_LAYER, NULL, 0,
                               "device '%s': region %u cannot be mapped: %s", of->name,
                               region, detail.text);
    }
    mapping->next = of->mappings;
    of->mappings = mapping;
    *ret_address = mapping->map.data;
    return FERRY_OK;
}
