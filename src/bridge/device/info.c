/* SPDX-License-Identifier: BSD-3-Clause */
#include <errno.h>
#include <string.h>

#include "base/range.h"
#include "bridge/device/inside.h"
#include "bridge/migration/v1/v1.h"
#include "core/v1/region.h"
#include "os/memory.h"

static_assert(FERRY_DEVICE_FLAG_RESET == UAPI_INFO_RESET, "flags pass through");
static_assert(FERRY_DEVICE_FLAG_PCI == UAPI_INFO_PCI, "flags pass through");
static_assert(FERRY_REGION_READ == UAPI_REGION_READ, "flags pass through");
static_assert(FERRY_REGION_WRITE == UAPI_REGION_WRITE, "flags pass through");
static_assert(FERRY_REGION_MMAP == UAPI_REGION_MMAP, "flags pass through");

#define IRQ_FLAGS                                                                        \
    (FERRY_IRQ_EVENTFD | FERRY_IRQ_MASKABLE | FERRY_IRQ_AUTOMASKED | FERRY_IRQ_NORESIZE)

/* The error interrupt is there for every device: the bridge raises it itself. */
static uint32_t irq_count(const struct bridge_device *device)
{
    const uint32_t count = device->info.irq_count;

    return count <= BRIDGE_IRQ_ERR   ? BRIDGE_IRQ_ERR + 1
           : count > BRIDGE_IRQS_MAX ? BRIDGE_IRQS_MAX
                                     : count;
}

long bridge_device_get_info(struct bridge_device *device, void *arg)
{
    struct uapi_info *info = arg;

    info->flags = (device->info.flags & UAPI_INFO_RESET) | UAPI_INFO_PCI;
    /* QEMU asks for the nine of PCI. */
    info->regions = device->info.region_count < BRIDGE_PCI_REGIONS
                        ? BRIDGE_PCI_REGIONS
                        : device->info.region_count;
    info->regions = device->v1 ? bridge_v1_index(device) + 1 : info->regions;
    info->irqs = irq_count(device);
    if (info->argsz >= sizeof(*info)) {
        info->cap_offset = 0;
        info->pad = 0;
    }
    info->argsz = sizeof(*info);
    __atomic_store_n(&device->settled, 1, __ATOMIC_RELEASE);
    return 0;
}

/* The capabilities of a region's info, one behind the other. */
struct chain {
    uint8_t bytes[512];
    uint32_t size;
    uint32_t last; /* where the newest begins */
};

static_assert(sizeof(struct uapi_cap_sparse) +
                      FERRY_SPARSE_AREAS_MAX * sizeof(struct uapi_area) +
                      sizeof(struct uapi_cap_type) + sizeof(struct uapi_cap) <=
                  sizeof(((struct chain *)0)->bytes),
              "all capabilities fit");

static void *add(struct chain *chain, uint16_t id, uint32_t bytes)
{
    struct uapi_cap *cap = (struct uapi_cap *)(void *)(chain->bytes + chain->size);

    if (chain->size > 0) {
        ((struct uapi_cap *)(void *)(chain->bytes + chain->last))->next =
            (uint32_t)sizeof(struct uapi_region) + chain->size;
    }
    chain->last = chain->size;
    chain->size += bytes;
    memset(cap, 0, bytes);
    cap->id = id;
    cap->version = 1;
    return cap;
}

static void add_sparse(struct chain *chain, const struct ferry_range *area,
                       uint32_t count)
{
    struct uapi_cap_sparse *cap =
        add(chain, UAPI_CAP_SPARSE,
            (uint32_t)(sizeof(*cap) + count * sizeof(struct uapi_area)));
    struct uapi_area *out = (struct uapi_area *)(cap + 1);
    uint32_t i;

    cap->areas = count;
    for (i = 0; i < count; i++) {
        out[i].offset = area[i].off;
        out[i].size = area[i].size;
    }
}

/* Does a mapped area share a page with the MSI-X table? */
static int maps_table(const struct bridge_msix *msix, const struct ferry_range *area,
                      uint32_t count)
{
    const uint64_t page = ferry_os_page_size();
    const uint64_t first = msix->off / page * page;
    const uint64_t end = (msix->off + msix->bytes + page - 1) / page * page;
    uint32_t i;

    for (i = 0; i < count; i++) {
        if (area[i].off < end && area[i].off + area[i].size > first) {
            return 1;
        }
    }
    return 0;
}

/* A server's own region of uAPI v1: what is read there bears no end mark, and writes to
 * it are posted, so that a refusal would go unheard. */
static int is_hidden(const struct bridge_device *device,
                     const struct ferry_region_info *region)
{
    return device->region <= region && region < device->region + BRIDGE_REGIONS_MAX &&
           region->type == FERRY_V1_REGION_TYPE &&
           region->subtype == FERRY_V1_REGION_SUBTYPE;
}

/*
 * QEMU would keep the table's page of a whole region to itself, since real hardware's
 * table must not be reached. Here its own table lies in front of the page in any case.
 */
static uint32_t add_caps(const struct bridge_device *device,
                         const struct ferry_region_info *region, struct chain *chain)
{
    struct ferry_range area[FERRY_SPARSE_AREAS_MAX];
    const uint32_t count = bridge_region_areas(region, area);

    if (count > 0 && (count > 1 || area[0].off > 0 || area[0].size < region->size)) {
        add_sparse(chain, area, count);
    }
    if (region->index == device->msix.region && maps_table(&device->msix, area, count)) {
        (void)add(chain, UAPI_CAP_MSIX_MAPPABLE, sizeof(struct uapi_cap));
    }
    if (region->index >= BRIDGE_PCI_REGIONS && !is_hidden(device, region)) {
        struct uapi_cap_type *cap = add(chain, UAPI_CAP_TYPE, sizeof(*cap));

        cap->type = region->type;
        cap->subtype = region->subtype;
    }
    return count;
}

static const struct ferry_region_info *find_region(const struct bridge_device *device,
                                                   uint32_t index)
{
    if (device->v1 && index == bridge_v1_index(device)) {
        return bridge_v1_region(device->v1);
    }
    if (index >= BRIDGE_REGIONS_MAX ||
        (index >= device->info.region_count && index >= BRIDGE_ROM_REGION + 2)) {
        return NULL;
    }
    return &device->region[index];
}

long bridge_device_get_region_info(struct bridge_device *device, void *arg)
{
    struct uapi_region *info = arg;
    const struct ferry_region_info *region;
    struct chain chain = { .size = 0, .last = 0 };
    uint32_t areas;

    region = find_region(device, info->index);
    if (!region) {
        return -EINVAL;
    }
    areas = add_caps(device, region, &chain);
    info->flags = region->flags & (UAPI_REGION_READ | UAPI_REGION_WRITE);
    info->flags |= areas > 0 ? UAPI_REGION_MMAP : 0;
    info->size = region->size;
    info->offset = (uint64_t)info->index << BRIDGE_REGION_SHIFT;
    info->cap_offset = 0;
    if (region->size == 0) {
        info->flags = 0;
    }
    if (chain.size > 0 && region->size > 0) {
        info->flags |= UAPI_REGION_CAPS;
        if (info->argsz >= sizeof(*info) + chain.size) {
            memcpy(info + 1, chain.bytes, chain.size);
            info->cap_offset = sizeof(*info);
        } else {
            info->argsz = (uint32_t)sizeof(*info) + chain.size; /* ask again */
        }
    }
    return 0;
}

long bridge_device_get_irq_info(struct bridge_device *device, void *arg)
{
    struct uapi_irq *info = arg;

    if (info->index >= irq_count(device)) {
        return -EINVAL;
    }
    info->flags = device->irq[info->index].flags & IRQ_FLAGS;
    info->count = device->irq[info->index].count;
    if (info->index == BRIDGE_IRQ_ERR) {
        info->flags = FERRY_IRQ_EVENTFD | FERRY_IRQ_NORESIZE;
        info->count = 1;
    }
    return 0;
}
