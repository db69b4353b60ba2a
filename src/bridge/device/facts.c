/* SPDX-License-Identifier: BSD-3-Clause */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/range.h"
#include "bridge/device/inside.h"
#include "bridge/device/link.h"
#include "bridge/say.h"
#include "os/memory.h"

/* Explains a failure that has no text of its own. */
static int failed(struct ferry_error *reterr, int rc, const char *what, uint32_t index)
{
    return ferry_error_set(reterr, rc, "bridge", NULL, 0, "%s %u: %s", what, index,
                           ferry_status_text(rc));
}

static int fits(const struct ferry_region_info *region, uint64_t file_bytes)
{
    struct ferry_range area[FERRY_SPARSE_AREAS_MAX];
    const uint32_t count = bridge_region_areas(region, area);
    uint64_t end;
    uint32_t i;

    for (i = 0; i < count; i++) {
        if (!ferry_range_add(region->offset, area[i].off, &end) ||
            !ferry_range_inside(end, area[i].size, file_bytes)) {
            return 0;
        }
    }
    return 1;
}

/*
 * Touching a page behind the end of a mapped file ends the process by SIGBUS, so the VMM
 * maps only files that are long enough and stay so, whatever the server does.
 */
static void look_at_file(const struct bridge_device *device,
                         struct ferry_region_info *region)
{
    struct ferry_os_file file;

    if (region->fd < 0) {
        return;
    }
    if (!ferry_os_file_keep_length(region->fd)) {
        bridge_say(device,
                   "region %u is not mapped, each access is a message: its server could "
                   "cut the file while the VMM uses it (it is no memfd that can be "
                   "sealed)",
                   region->index);
        ferry_os_close(&region->fd);
    } else if (ferry_os_file_look(region->fd, &file) != FERRY_OK || file.huge_pages ||
               !fits(region, file.size)) {
        bridge_say(device,
                   "region %u is not mapped, each access is a message: its file is too "
                   "short, or of huge pages, which may run out",
                   region->index);
        ferry_os_close(&region->fd);
    }
}

static int ask_regions(struct bridge_device *device, struct bridge_facts *facts,
                       struct ferry_error *reterr)
{
    uint32_t i;

    if (facts->info.region_count > BRIDGE_REGIONS_MAX) {
        return ferry_error_set(reterr, FERRY_E_LIMIT, "bridge", NULL, 0,
                               "the device has %u regions; %u are served",
                               facts->info.region_count, BRIDGE_REGIONS_MAX);
    }
    for (i = 0; i < facts->info.region_count; i++) {
        struct ferry_request request = { .kind = FERRY_RQ_GET_REGION_INFO,
                                         .reterr = reterr };
        int rc;

        request.u.region.index = i;
        request.u.region.fd = -1;
        rc = bridge_link_call(device->link, &request);
        if (rc == FERRY_E_NOT_FOUND || rc == FERRY_E_ARGUMENT) {
            continue; /* a hole, such as VGA with most servers */
        }
        if (rc != FERRY_OK) {
            ferry_os_close(&request.u.region.fd);
            return failed(reterr, rc, "region", i);
        }
        facts->region[i] = request.u.region;
        facts->region[i].index = i;
        if (request.u.region.size > UINT64_C(1) << BRIDGE_REGION_SHIFT) {
            return failed(reterr, FERRY_E_LIMIT, "region", i);
        }
        look_at_file(device, &facts->region[i]);
    }
    return FERRY_OK;
}

static int ask_irqs(struct bridge_device *device, struct bridge_facts *facts,
                    struct ferry_error *reterr)
{
    uint32_t i;

    for (i = 0; i < facts->info.irq_count && i < BRIDGE_IRQS_MAX; i++) {
        struct ferry_request request = { .kind = FERRY_RQ_GET_IRQ_INFO,
                                         .reterr = reterr };
        int rc;

        request.u.irq.index = i;
        rc = bridge_link_call(device->link, &request);
        if (rc == FERRY_E_NOT_FOUND || rc == FERRY_E_ARGUMENT) {
            continue;
        }
        if (rc != FERRY_OK) {
            return failed(reterr, rc, "interrupt index", i);
        }
        facts->irq[i] = request.u.irq;
        facts->irq[i].index = i;
        if (request.u.irq.count > BRIDGE_VECTORS_MAX) {
            return failed(reterr, FERRY_E_LIMIT, "interrupt index", i);
        }
    }
    return FERRY_OK;
}

int bridge_facts_ask(struct bridge_device *device, struct bridge_facts *ret_facts,
                     struct ferry_error *reterr)
{
    struct ferry_request request = { .kind = FERRY_RQ_GET_INFO, .reterr = reterr };
    uint32_t i;
    int rc;

    memset(ret_facts, 0, sizeof(*ret_facts));
    for (i = 0; i < BRIDGE_REGIONS_MAX; i++) {
        ret_facts->region[i].index = i;
        ret_facts->region[i].fd = -1;
    }
    ret_facts->msix.region = UINT32_MAX;
    rc = bridge_link_call(device->link, &request);
    if (rc != FERRY_OK) {
        return failed(reterr, rc, "device", 0);
    }
    ret_facts->info = request.u.info;
    request.kind = FERRY_RQ_IDENTITY;
    request.u.identity = &ret_facts->identity;
    rc = bridge_link_call(device->link, &request);
    if (rc == FERRY_OK) {
        rc = ask_regions(device, ret_facts, reterr);
    }
    if (rc == FERRY_OK) {
        rc = ask_irqs(device, ret_facts, reterr);
    }
    if (rc == FERRY_OK) {
        rc = bridge_config_ask(device, ret_facts, reterr);
    }
    if (rc != FERRY_OK) {
        bridge_facts_drop(ret_facts);
    }
    return rc;
}

void bridge_facts_drop(struct bridge_facts *facts)
{
    uint32_t i;

    for (i = 0; i < BRIDGE_REGIONS_MAX; i++) {
        ferry_os_close(&facts->region[i].fd);
    }
}

static int regions_differ(const struct ferry_region_info *old,
                          const struct ferry_region_info *fresh)
{
    return old->flags != fresh->flags || old->size != fresh->size ||
           old->offset != fresh->offset || old->type != fresh->type ||
           old->subtype != fresh->subtype || (old->fd < 0) != (fresh->fd < 0) ||
           old->area_count != fresh->area_count ||
           memcmp(old->area, fresh->area, old->area_count * sizeof(old->area[0])) != 0;
}

const char *bridge_facts_differ(struct bridge_device *device,
                                const struct bridge_facts *fresh)
{
    const struct ferry_identity *old = &device->identity;
    uint32_t i;
    int differs;

    if (old->pci_vendor != fresh->identity.pci_vendor ||
        old->pci_device != fresh->identity.pci_device ||
        old->pci_subvendor != fresh->identity.pci_subvendor ||
        old->pci_subdevice != fresh->identity.pci_subdevice ||
        old->pci_class != fresh->identity.pci_class) {
        return "PCI ids";
    }
    if (strcmp(old->model, fresh->identity.model) != 0) {
        return "model";
    }
    if (device->info.flags != fresh->info.flags ||
        device->info.region_count != fresh->info.region_count ||
        device->info.irq_count != fresh->info.irq_count) {
        return "regions or interrupts";
    }
    for (i = 0; i < BRIDGE_REGIONS_MAX; i++) {
        if (regions_differ(&device->region[i], &fresh->region[i])) {
            return "regions";
        }
    }
    for (i = 0; i < BRIDGE_IRQS_MAX; i++) {
        if (device->irq[i].flags != fresh->irq[i].flags ||
            device->irq[i].count != fresh->irq[i].count) {
            return "interrupts";
        }
    }
    pthread_mutex_lock(&device->lock);
    differs = bridge_config_differs(&device->config, &fresh->config);
    pthread_mutex_unlock(&device->lock);
    return differs ? "config space" : NULL;
}

uint32_t bridge_region_areas(const struct ferry_region_info *region,
                             struct ferry_range *ret_area)
{
    const uint64_t page = ferry_os_page_size();
    uint32_t count = 0;
    uint32_t i;

    if (region->fd < 0 || !(region->flags & FERRY_REGION_MMAP) ||
        region->offset % page != 0 || region->size == 0) {
        return 0;
    }
    if (region->area_count == 0 && region->size % page == 0) {
        ret_area[0] = (struct ferry_range){ .off = 0, .size = region->size };
        return 1;
    }
    for (i = 0; i < region->area_count; i++) {
        if (region->area[i].size > 0 && region->area[i].off % page == 0 &&
            region->area[i].size % page == 0 &&
            ferry_range_inside(region->area[i].off, region->area[i].size, region->size)) {
            ret_area[count++] = region->area[i];
        }
    }
    return count;
}
