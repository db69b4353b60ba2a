/* SPDX-License-Identifier: BSD-3-Clause */
#include "host/context/context.h"

#include <string.h>

#include "base/range.h"
#include "base/reader.h"
#include "host/backend/v1/v1.h"
#include "host/context/context_pci.h"
#include "os/clock.h"
#include "os/memory.h"

/*
 * Opening a device: its server is a peer like any other. Nothing of what it says about
 * itself is used before it was checked here, so that the rest may rely on it.
 */

#define REGIONS_PLAUSIBLE 256u /* kernel devices have a few beyond the PCI ones */
#define IRQ_INDEXES_PLAUSIBLE 64u
#define MSI_VECTORS_MAX 32u
#define CONFIG_BYTES_MIN 64u
#define FEATURE_LOG_START 6u
#define FEATURE_DATA_SIZE 9u
#define FEATURE_PRECOPY_INFO 0xfe01u

/* One device that is being opened. */
struct opening {
    struct ferry_host_device *device;
    uint64_t deadline_ns;
    struct ferry_error *reterr;
};

static const char *address_of(const struct ferry_host_device *device)
{
    return device->uri[0] != '\0' ? device->uri : "in this process";
}

/* Fails with "device 'x' (URI): what: why". */
static int fail(const struct opening *opening, int code, const char *what,
                const char *why)
{
    return ferry_error_set(opening->reterr, code, FERRY_HOST_LAYER, NULL, 0,
                           "device '%s' (%s): %s: %s", opening->device->name,
                           address_of(opening->device), what, why);
}

/* Fails with a number: what the device said. */
static int lies(const struct opening *opening, const char *what, uint32_t index,
                const char *why, uint64_t value)
{
    return ferry_error_set(opening->reterr, FERRY_E_PROTOCOL, FERRY_HOST_LAYER, NULL, 0,
                           "device '%s' (%s): %s %u: %s (0x%llx)", opening->device->name,
                           address_of(opening->device), what, index, why,
                           (unsigned long long)value);
}

/* One request within the limit of the whole opening. detail: may be NULL. */
static int ask(const struct opening *opening, struct ferry_request *request,
               struct ferry_error *detail)
{
    struct ferry_backend *backend = opening->device->backend;

    if (ferry_os_now_ns() >= opening->deadline_ns) {
        return ferry_error_set(detail, FERRY_E_TIMEOUT, FERRY_HOST_LAYER, NULL, 0,
                               "the device answers too slowly: not open within %u ms",
                               opening->device->context->device_timeout_ms);
    }
    request->reterr = detail;
    return backend->ops->call(backend, request);
}

/* A request that has to succeed. */
static int need(const struct opening *opening, struct ferry_request *request)
{
    struct ferry_error detail = { 0 };
    const int rc = ask(opening, request, &detail);

    if (rc == FERRY_OK) {
        return FERRY_OK;
    }
    return fail(opening, rc, ferry_request_name(request->kind),
                detail.text[0] != '\0' ? detail.text : ferry_status_text(rc));
}

/* Is the failure an answer ("I do not have that"), or is the device gone? */
static int is_answer(int rc)
{
    return rc != FERRY_E_CLOSED && rc != FERRY_E_TIMEOUT && rc != FERRY_E_PROTOCOL &&
           rc != FERRY_E_MEMORY;
}

/* A request that a device may refuse: *ret_there says whether it did. */
static int may(const struct opening *opening, struct ferry_request *request,
               int *ret_there)
{
    struct ferry_error detail = { 0 };
    const int rc = ask(opening, request, &detail);

    if (rc == FERRY_OK || is_answer(rc)) {
        *ret_there = rc == FERRY_OK;
        return FERRY_OK;
    }
    return fail(opening, rc, ferry_request_name(request->kind),
                detail.text[0] != '\0' ? detail.text : ferry_status_text(rc));
}

static int get_info(const struct opening *opening)
{
    struct ferry_host_device *device = opening->device;
    struct ferry_request request = { .kind = FERRY_RQ_GET_INFO };
    const int rc = need(opening, &request);

    if (rc != FERRY_OK) {
        return rc;
    }
    device->info = request.u.info;
    if ((device->info.flags & FERRY_DEVICE_FLAG_PCI) == 0) {
        return fail(opening, FERRY_E_UNSUPPORTED, "GET_INFO", "it is not a PCI device");
    }
    if (device->info.region_count <= FERRY_HOST_CONFIG_REGION ||
        device->info.region_count > REGIONS_PLAUSIBLE) {
        return lies(opening, "GET_INFO, region", 0, "impossible number of regions",
                    device->info.region_count);
    }
    if (device->info.irq_count > IRQ_INDEXES_PLAUSIBLE) {
        return lies(opening, "GET_INFO, interrupt", 0, "impossible number of indexes",
                    device->info.irq_count);
    }
    /* What lies behind the PCI regions and indexes is of no use here. */
    if (device->info.region_count > FERRY_HOST_REGIONS_MAX) {
        device->info.region_count = FERRY_HOST_REGIONS_MAX;
    }
    if (device->info.irq_count > FERRY_HOST_IRQ_INDEXES) {
        device->info.irq_count = FERRY_HOST_IRQ_INDEXES;
    }
    return FERRY_OK;
}

/* The mmappable parts: inside the region, page aligned, ascending. */
static int check_areas(const struct opening *opening, struct ferry_region_info *region)
{
    uint64_t end = 0;
    uint64_t file_end;

    if (region->area_count > FERRY_SPARSE_AREAS_MAX) {
        return lies(opening, "region", region->index, "too many mmappable areas",
                    region->area_count);
    }
    if (!ferry_range_add(region->offset, region->size, &file_end)) {
        return lies(opening, "region", region->index, "its offset in the file overflows",
                    region->offset);
    }
    if (region->area_count == 0) {
        region->area_count = 1;
        region->area[0] = (struct ferry_range){ .off = 0, .size = region->size };
    }
    for (uint32_t i = 0; i < region->area_count; i++) {
        const struct ferry_range *area = &region->area[i];

        if (!ferry_range_inside(area->off, area->size, region->size)) {
            return lies(opening, "region", region->index,
                        "an mmappable area lies outside of it", area->off);
        }
        if (!ferry_range_aligned(area->off | area->size, FERRY_PAGE_BYTES)) {
            return lies(opening, "region", region->index,
                        "an mmappable area is not page aligned", area->off);
        }
        if (area->size == 0 || area->off < end) {
            return lies(opening, "region", region->index,
                        "mmappable areas are empty, overlap or are not in order",
                        area->off);
        }
        end = area->off + area->size;
    }
    return FERRY_OK;
}

static int check_region(const struct opening *opening, struct ferry_region_info *region)
{
    if (region->size > INT64_MAX) {
        return lies(opening, "region", region->index, "impossible size", region->size);
    }
    if (region->index == FERRY_HOST_CONFIG_REGION &&
        (region->size < CONFIG_BYTES_MIN || region->size > FERRY_HOST_CONFIG_BYTES)) {
        return lies(opening, "region", region->index, "impossible size of config space",
                    region->size);
    }
    region->flags &= FERRY_REGION_READ | FERRY_REGION_WRITE | FERRY_REGION_MMAP;
    /* Nothing to map, or nothing to map it with: every access then is a message. */
    if (region->fd < 0 || region->size == 0) {
        region->flags &= ~FERRY_REGION_MMAP;
    }
    if ((region->flags & FERRY_REGION_MMAP) == 0) {
        region->area_count = 0;
        ferry_os_close(&region->fd);
        return FERRY_OK;
    }
    return check_areas(opening, region);
}

static int get_regions(const struct opening *opening)
{
    struct ferry_host_device *device = opening->device;

    for (uint32_t i = 0; i < device->info.region_count; i++) {
        struct ferry_request request = { .kind = FERRY_RQ_GET_REGION_INFO };
        int there = 0;
        int rc;

        request.u.region.index = i;
        request.u.region.fd = FERRY_NO_REGION_FD;
        /* Some servers refuse indexes that they do not have (VGA). */
        rc = i <= FERRY_HOST_CONFIG_REGION ? need(opening, &request)
                                           : may(opening, &request, &there);
        if (rc != FERRY_OK) {
            return rc;
        }
        if (i > FERRY_HOST_CONFIG_REGION && !there) {
            continue;
        }
        device->region[i] = request.u.region;
        device->region[i].index = i;
        rc = check_region(opening, &device->region[i]);
        if (rc != FERRY_OK) {
            return rc;
        }
    }
    return FERRY_OK;
}

static int get_irqs(const struct opening *opening)
{
    struct ferry_host_device *device = opening->device;

    for (uint32_t i = 0; i < device->info.irq_count; i++) {
        const uint32_t most = i == FERRY_IRQ_MSIX ? FERRY_HOST_MSIX_MAX : MSI_VECTORS_MAX;
        struct ferry_request request = { .kind = FERRY_RQ_GET_IRQ_INFO };
        int there;
        int rc;

        request.u.irq.index = i;
        rc = may(opening, &request, &there);
        if (rc != FERRY_OK) {
            return rc;
        }
        device->irq[i].index = i;
        if (!there) {
            continue;
        }
        if (request.u.irq.count > most) {
            return lies(opening, "interrupt", i, "impossible number of vectors",
                        request.u.irq.count);
        }
        device->irq[i].flags = request.u.irq.flags;
        device->irq[i].count = request.u.irq.count;
    }
    return FERRY_OK;
}

/* Reads a piece of config space. */
static int config_read(void *user, uint32_t off, void *ret_data, uint32_t count)
{
    struct ferry_request request = { .kind = FERRY_RQ_REGION_READ };

    request.u.io.index = FERRY_HOST_CONFIG_REGION;
    request.u.io.off = off;
    request.u.io.count = count;
    request.u.io.data = ret_data;
    return need(user, &request);
}

static int get_config(struct opening *opening)
{
    struct ferry_host_device *device = opening->device;
    struct ferry_identity *identity = &device->identity;
    const struct ferry_host_pci_reader reader = {
        .read = config_read,
        .user = opening,
        .config_bytes = (uint32_t)device->region[FERRY_HOST_CONFIG_REGION].size,
    };
    struct ferry_host_pci pci;
    const int rc = ferry_host_pci_scan(&reader, &pci);

    if (rc == FERRY_E_PROTOCOL) {
        return fail(opening, rc, "config space", pci.problem);
    }
    if (rc != FERRY_OK) {
        return rc; /* config_read has said why */
    }
    /* The numbers in config space are what a driver sees, so they count. */
    identity->pci_vendor = pci.vendor;
    identity->pci_device = pci.device;
    identity->pci_subvendor = pci.subvendor;
    identity->pci_subdevice = pci.subdevice;
    identity->pci_class = pci.class_revision;
    if (pci.msix_off == 0) {
        return FERRY_OK;
    }
    if (pci.msix_bar > 5 ||
        !ferry_range_inside(pci.msix_table_off, (uint64_t)pci.msix_vectors * 16u,
                            device->region[pci.msix_bar].size)) {
        return lies(opening, "region", pci.msix_bar, "the MSI-X table lies outside of it",
                    pci.msix_table_off);
    }
    device->msix_cap_off = pci.msix_off;
    device->msix_vectors = pci.msix_vectors;
    device->msix_bar = pci.msix_bar;
    device->msix_table_off = pci.msix_table_off;
    return FERRY_OK;
}

static int get_identity(const struct opening *opening)
{
    struct ferry_host_device *device = opening->device;
    struct ferry_request request = { .kind = FERRY_RQ_IDENTITY };
    struct ferry_error detail = { 0 };
    struct ferry_identity identity;
    int there;
    int rc;

    memset(&identity, 0, sizeof(identity));
    request.u.identity = &identity;
    rc = may(opening, &request, &there);
    if (rc != FERRY_OK || !there) {
        return rc;
    }
    /* Compared with itself only what is malformed is found. */
    rc = ferry_compat_check(&identity, &identity, &detail);
    if (rc == FERRY_E_ARGUMENT) {
        return fail(opening, FERRY_E_PROTOCOL, "IDENTITY", detail.text);
    }
    device->identity = identity;
    return FERRY_OK;
}

static int get_state(const struct opening *opening, uint32_t *ret_state)
{
    struct ferry_request request = { .kind = FERRY_RQ_GET_STATE };
    const int rc = need(opening, &request);

    if (rc != FERRY_OK) {
        return rc;
    }
    if (request.u.state >= FERRY_STATE_COUNT) {
        return lies(opening, "GET_STATE, device", opening->device->index,
                    "there is no such state", request.u.state);
    }
    *ret_state = request.u.state;
    return FERRY_OK;
}

/* A server may have kept the state in which the last user left it. */
static int make_running(const struct opening *opening)
{
    struct ferry_host_device *device = opening->device;
    struct ferry_request request = { .kind = FERRY_RQ_RESET };
    int there;
    int rc = get_state(opening, &device->state);

    if (rc != FERRY_OK || device->state == FERRY_STATE_RUNNING) {
        return rc;
    }
    rc = may(opening, &request, &there);
    if (rc == FERRY_OK) {
        rc = get_state(opening, &device->state);
    }
    if (rc == FERRY_OK && device->state != FERRY_STATE_RUNNING) {
        request = (struct ferry_request){ .kind = FERRY_RQ_SET_STATE,
                                          .u.state = FERRY_STATE_RUNNING };
        rc = may(opening, &request, &there);
    }
    if (rc == FERRY_OK && device->state != FERRY_STATE_RUNNING) {
        rc = get_state(opening, &device->state);
    }
    if (rc == FERRY_OK && device->state != FERRY_STATE_RUNNING) {
        return fail(opening, FERRY_E_STATE, "it cannot be brought to RUNNING from",
                    ferry_state_name(device->state));
    }
    return rc;
}

static int probe(const struct opening *opening, uint32_t index, uint32_t operation,
                 uint32_t *ret_there)
{
    struct ferry_request request = { .kind = FERRY_RQ_PROBE };
    int there = 0;
    int rc;

    request.u.probe.index = index;
    request.u.probe.operation = operation;
    rc = may(opening, &request, &there);
    *ret_there = there != 0;
    return rc;
}

/* A device that does not migrate by v2 may do it by v1. */
static int try_v1(const struct opening *opening)
{
    struct ferry_host_device *device = opening->device;
    struct ferry_error detail = { 0 };
    const int rc = ferry_backend_v1_find(
        device->backend, device->context->device_timeout_ms, &device->backend, &detail);

    if (rc != FERRY_OK) {
        return fail(opening, rc, "open",
                    detail.text[0] != '\0' ? detail.text : ferry_status_text(rc));
    }
    return FERRY_OK;
}

static int get_migration(const struct opening *opening)
{
    struct ferry_host_device *device = opening->device;
    struct ferry_request request = { .kind = FERRY_RQ_MIG_FLAGS };
    int there = 0;
    int rc = may(opening, &request, &there);

    if (rc == FERRY_OK && !there) {
        rc = try_v1(opening);
        if (rc == FERRY_OK) {
            rc = may(opening, &request, &there);
            device->is_v1 = there != 0;
        }
    }
    if (rc != FERRY_OK) {
        return rc;
    }
    device->state = FERRY_STATE_RUNNING;
    device->migration_flags = 0;
    /* Without STOP_COPY nothing of it can be used. */
    if (!there || (request.u.mig_flags & FERRY_MIG_STOP_COPY) == 0) {
        return FERRY_OK;
    }
    device->migration_flags = (uint32_t)request.u.mig_flags &
                              (FERRY_MIG_STOP_COPY | FERRY_MIG_P2P | FERRY_MIG_PRE_COPY);
    rc = make_running(opening);
    if (rc == FERRY_OK) {
        rc = probe(opening, FEATURE_LOG_START, FERRY_FEATURE_SET, &device->can_log);
    }
    if (rc == FERRY_OK) {
        rc = probe(opening, FEATURE_DATA_SIZE, FERRY_FEATURE_GET, &device->has_data_size);
    }
    if (rc == FERRY_OK && (device->migration_flags & FERRY_MIG_PRE_COPY) != 0) {
        rc = probe(opening, FEATURE_PRECOPY_INFO, FERRY_FEATURE_GET,
                   &device->has_precopy_info);
    }
    return rc;
}

static int open_backend(struct opening *opening)
{
    struct ferry_host_device *device = opening->device;
    struct ferry_context *context = device->context;
    const struct ferry_backend_options options = {
        .struct_size = sizeof(options),
        .timeout_ms = context->device_timeout_ms,
        .memory = { .dma_read = ferry_host_dma_read,
                    .dma_write = ferry_host_dma_write,
                    .user = context },
    };
    struct ferry_error detail = { 0 };
    const int rc =
        device->endpoint != NULL
            ? ferry_backend_from_endpoint(device->endpoint, &options, &device->backend,
                                          &detail)
            : ferry_backend_open(device->uri, &options, &device->backend, &detail);

    if (rc == FERRY_OK) {
        device->max_data = device->backend->ops->max_data(device->backend);
        return FERRY_OK;
    }
    device->backend = NULL;
    return fail(opening, rc, "open",
                detail.text[0] != '\0' ? detail.text : ferry_status_text(rc));
}

static void on_readable(struct ferry_watch *watch, uint32_t events)
{
    struct ferry_host_device *device = watch->user;
    const int rc = device->backend->ops->dispatch(device->backend);

    (void)events;
    if (rc < 0) {
        ferry_host_device_died(device, rc);
    }
}

static int watch(const struct opening *opening)
{
    struct ferry_host_device *device = opening->device;
    int rc;

    device->watch = (struct ferry_watch){
        .fd = device->backend->ops->fd(device->backend),
        .events = FERRY_LOOP_READ,
        .fn = on_readable,
        .user = device,
    };
    rc = ferry_loop_add(device->context->loop, &device->watch);
    if (rc != FERRY_OK) {
        return fail(opening, rc, "open", "cannot watch its connection");
    }
    device->watched = 1;
    return FERRY_OK;
}

/* Forgets what another opening has found out. */
static void forget(struct ferry_host_device *device)
{
    memset(&device->identity, 0, sizeof(device->identity));
    memset(&device->info, 0, sizeof(device->info));
    memset(device->irq, 0, sizeof(device->irq));
    memset(device->region, 0, sizeof(device->region));
    for (uint32_t i = 0; i < FERRY_HOST_REGIONS_MAX; i++) {
        device->region[i].index = i;
        device->region[i].fd = FERRY_NO_REGION_FD;
    }
    device->can_log = device->has_precopy_info = device->has_data_size = 0;
    device->is_v1 = 0;
    device->no_log_runs = 0;
    device->msix_cap_off = device->msix_vectors = device->msix_bar = 0;
    device->msix_table_off = 0;
}

int ferry_host_device_open(struct ferry_host_device *device, struct ferry_error *reterr)
{
    struct opening opening = {
        .device = device,
        .deadline_ns = ferry_os_now_ns() +
                       (uint64_t)device->context->device_timeout_ms * FERRY_NS_PER_MS,
        .reterr = reterr,
    };
    int rc;

    forget(device);
    rc = open_backend(&opening);
    if (rc != FERRY_OK) {
        return rc;
    }
    rc = get_migration(&opening);
    if (rc == FERRY_OK) {
        rc = get_info(&opening);
    }
    if (rc == FERRY_OK) {
        rc = get_regions(&opening);
    }
    if (rc == FERRY_OK) {
        rc = get_irqs(&opening);
    }
    if (rc == FERRY_OK) {
        rc = get_identity(&opening);
    }
    if (rc == FERRY_OK) {
        rc = get_config(&opening);
    }
    if (rc == FERRY_OK) {
        rc = ferry_host_memory_map_all(device, reterr);
    }
    if (rc == FERRY_OK) {
        rc = watch(&opening);
    }
    if (rc != FERRY_OK) {
        ferry_host_device_shut(device);
        return rc;
    }
    device->identity.migration_flags = device->migration_flags;
    device->lost = FERRY_OK;
    device->lost_told = 0;
    return FERRY_OK;
}
