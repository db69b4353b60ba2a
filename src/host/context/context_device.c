/* SPDX-License-Identifier: BSD-3-Clause */
#include <stdlib.h>
#include <string.h>

#include "base/range.h"
#include "host/context/context.h"
#include "os/clock.h"
#include "os/memory.h"

#define VIEW_REGIONS 9u /* of a view: those of every PCI device */
#define NAME_LETTERS "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_.-"

/* A server that has not noticed yet that its last client is gone refuses the next one. */
#define REOPEN_LIMIT_NS (1u * (uint64_t)FERRY_NS_PER_S)
#define REOPEN_PAUSE_NS (5u * (uint64_t)FERRY_NS_PER_MS)

struct ferry_host_device *ferry_host_device(const struct ferry_context *context,
                                            uint32_t device)
{
    return device < context->device_count ? context->device[device] : NULL;
}

int ferry_host_device_is_open(const struct ferry_host_device *device)
{
    return device->backend != NULL && device->lost == FERRY_OK;
}

static int no_device(uint32_t device, struct ferry_error *reterr)
{
    return ferry_error_set(reterr, FERRY_E_NOT_FOUND, FERRY_HOST_LAYER, NULL, 0,
                           "no device %u", device);
}

static int is_lost(const struct ferry_host_device *device, struct ferry_error *reterr)
{
    return ferry_error_set(reterr, FERRY_E_CLOSED, FERRY_HOST_LAYER, NULL, 0,
                           "device '%s' is gone: %s", device->name,
                           device->lost_error.text);
}

static int check_name(const struct ferry_context *context, const char *name,
                      struct ferry_error *reterr)
{
    const size_t length = strlen(name);

    if (length == 0 || length >= FERRY_CONTEXT_NAME_BYTES ||
        strspn(name, NAME_LETTERS) != length) {
        return ferry_error_set(
            reterr, FERRY_E_ARGUMENT, FERRY_HOST_LAYER, NULL, 0,
            "a device's name has 1 to %d letters, digits, '_', '.', '-'",
            FERRY_CONTEXT_NAME_BYTES - 1);
    }
    for (uint32_t i = 0; i < context->device_count; i++) {
        if (strcmp(context->device[i]->name, name) == 0) {
            return ferry_error_set(reterr, FERRY_E_EXISTS, FERRY_HOST_LAYER, NULL, 0,
                                   "there is a device '%s' already", name);
        }
    }
    if (context->device_count == FERRY_HOST_DEVICES_MAX) {
        return ferry_error_set(reterr, FERRY_E_LIMIT, FERRY_HOST_LAYER, NULL, 0,
                               "a context has at most %d devices",
                               FERRY_HOST_DEVICES_MAX);
    }
    if (ferry_host_busy(context)) {
        return ferry_error_set(reterr, FERRY_E_BUSY, FERRY_HOST_LAYER, NULL, 0,
                               "devices cannot change during a migration");
    }
    return FERRY_OK;
}

static int add(struct ferry_context *context, const char *name, const char *uri,
               struct ferry_endpoint *endpoint, struct ferry_error *reterr)
{
    struct ferry_host_device *device;
    int rc = check_name(context, name, reterr);

    if (rc != FERRY_OK) {
        return rc;
    }
    if (strlen(uri) >= FERRY_HOST_URI_BYTES) {
        return ferry_error_set(reterr, FERRY_E_ARGUMENT, FERRY_HOST_LAYER, NULL, 0,
                               "device '%s': its address is longer than %u bytes", name,
                               FERRY_HOST_URI_BYTES - 1);
    }
    device = calloc(1, sizeof(*device));
    if (device == NULL) {
        return ferry_error_set(reterr, FERRY_E_MEMORY, FERRY_HOST_LAYER, NULL, 0,
                               "device '%s': out of memory", name);
    }
    ferry_host_irqs_init(device);
    memcpy(device->name, name, strlen(name) + 1);
    memcpy(device->uri, uri, strlen(uri) + 1);
    device->context = context;
    device->endpoint = endpoint;
    device->index = context->device_count;
    rc = ferry_host_device_open(device, reterr);
    if (rc != FERRY_OK) {
        free(device);
        return rc;
    }
    /* The count last: other threads look at it first. */
    context->device[device->index] = device;
    context->device_count = device->index + 1;
    return (int)device->index;
}

int ferry_context_add_device(struct ferry_context *context, const char *name,
                             const char *uri, struct ferry_error *reterr)
{
    if (uri[0] == '\0') {
        return ferry_error_set(reterr, FERRY_E_ARGUMENT, FERRY_HOST_LAYER, NULL, 0,
                               "device '%s': its address is empty", name);
    }
    return add(context, name, uri, NULL, reterr);
}

int ferry_context_add_endpoint(struct ferry_context *context, const char *name,
                               struct ferry_endpoint *endpoint,
                               struct ferry_error *reterr)
{
    return add(context, name, "", endpoint, reterr);
}

uint32_t ferry_context_device_count(const struct ferry_context *context)
{
    return context->device_count;
}

/* They would keep a device of the kernel from going. Nobody maps regions of a lost one.
 */
static void close_regions(struct ferry_host_device *device)
{
    for (uint32_t i = 0; i < FERRY_HOST_REGIONS_MAX; i++) {
        ferry_os_close(&device->region[i].fd);
    }
}

/* Mapped regions would keep it as well, here and for other devices. Threads may be at
 * ours: from now on they find memory that is nobody's. A peer's file stays, which costs
 * him nothing. */
static void let_go_of_regions(struct ferry_host_device *device)
{
    const struct ferry_backend *backend = device->backend;

    if (backend->ops->regions_are_device == NULL ||
        !backend->ops->regions_are_device(device->backend)) {
        return;
    }
    ferry_host_peer_leave(device);
    for (struct ferry_host_mapping *at = device->mappings; at != NULL; at = at->next) {
        (void)ferry_os_map_blank(&at->map);
    }
}

void ferry_host_device_shut(struct ferry_host_device *device)
{
    if (device->watched) {
        ferry_loop_remove(device->context->loop, &device->watch);
        device->watched = 0;
    }
    while (device->mappings != NULL) {
        struct ferry_host_mapping *next = device->mappings->next;

        ferry_os_unmap(&device->mappings->map);
        free(device->mappings);
        device->mappings = next;
    }
    close_regions(device);
    if (device->backend != NULL) {
        device->backend->ops->close(device->backend);
        device->backend = NULL;
    }
}

void ferry_host_device_died(struct ferry_host_device *device, int status)
{
    struct ferry_context *context = device->context;
    const struct ferry_host_event event = { .kind = FERRY_HOST_DEVICE_LOST,
                                            .device = device->index,
                                            .error = &device->lost_error };

    if (device->lost != FERRY_OK) {
        return;
    }
    device->backend->ops->error(device->backend, &device->lost_error);
    if (device->lost_error.code == FERRY_OK) {
        ferry_error_set(&device->lost_error, status, FERRY_HOST_LAYER, NULL, 0, "%s",
                        ferry_status_text(status));
    }
    device->lost = status;
    close_regions(device);
    let_go_of_regions(device);
    /* A dead connection stays readable. The backend stays: other threads may be in it. */
    if (device->watched) {
        ferry_loop_remove(context->loop, &device->watch);
        device->watched = 0;
    }
    if (context->migration != NULL &&
        context->migration_ops->device_lost(context, device->index)) {
        return;
    }
    device->lost_told = 1;
    ferry_host_event(context, &event);
}

void ferry_host_device_close(struct ferry_context *context, uint32_t device)
{
    struct ferry_host_device *closed = ferry_host_device(context, device);

    if (closed == NULL || closed->backend == NULL) {
        return;
    }
    ferry_host_peer_leave(closed);
    if (closed->lost == FERRY_OK) {
        closed->lost = FERRY_E_CLOSED;
        ferry_error_set(&closed->lost_error, FERRY_E_CLOSED, FERRY_HOST_LAYER, NULL, 0,
                        "it was closed");
    }
    ferry_host_device_shut(closed);
}

/* Opens what was closed, with some patience for its server. */
static int open_again(struct ferry_host_device *device, struct ferry_error *reterr)
{
    const uint64_t limit_ns = ferry_os_now_ns() + REOPEN_LIMIT_NS;

    for (;;) {
        const int rc = ferry_host_device_open(device, reterr);

        if ((rc != FERRY_E_BUSY && rc != FERRY_E_REFUSED && rc != FERRY_E_CLOSED) ||
            device->endpoint != NULL || ferry_os_now_ns() >= limit_ns) {
            return rc;
        }
        ferry_os_sleep_ns(REOPEN_PAUSE_NS);
    }
}

int ferry_host_device_reopen(struct ferry_context *context, uint32_t device,
                             struct ferry_error *reterr)
{
    struct ferry_host_device *again = ferry_host_device(context, device);
    struct ferry_error detail = { 0 };
    int rc;

    if (again == NULL) {
        return no_device(device, reterr);
    }
    ferry_host_device_close(context, device);
    rc = open_again(again, &detail);
    if (rc == FERRY_OK) {
        rc = ferry_host_irqs_send(again, &detail);
    }
    if (rc == FERRY_OK) {
        rc = ferry_host_peer_join(again, &detail);
    }
    if (rc != FERRY_OK) {
        again->lost = FERRY_E_CLOSED;
        again->lost_error = detail;
        ferry_host_device_shut(again);
        if (reterr != NULL) {
            *reterr = detail;
        }
    }
    return rc;
}

int ferry_context_reopen(struct ferry_context *context, struct ferry_error *reterr)
{
    struct ferry_error detail = { 0 };
    int first = FERRY_OK;

    if (ferry_host_busy(context)) {
        return ferry_error_set(reterr, FERRY_E_BUSY, FERRY_HOST_LAYER, NULL, 0,
                               "devices cannot be reopened during a migration");
    }
    /* All first: a device that is still open would keep a peer's old memory mapped. */
    for (uint32_t i = 0; i < context->device_count; i++) {
        ferry_host_device_close(context, i);
    }
    for (uint32_t i = 0; i < context->device_count; i++) {
        const int rc = ferry_host_device_reopen(context, i, &detail);

        if (rc != FERRY_OK && first == FERRY_OK) {
            first = rc;
            if (reterr != NULL) {
                *reterr = detail;
            }
        }
    }
    return first;
}

int ferry_context_submit(struct ferry_context *context, uint32_t device,
                         struct ferry_request *request)
{
    struct ferry_host_device *to = ferry_host_device(context, device);

    if (to == NULL) {
        return no_device(device, request->reterr);
    }
    if (!ferry_host_device_is_open(to)) {
        return is_lost(to, request->reterr);
    }
    return to->backend->ops->submit(to->backend, request);
}

int ferry_context_call(struct ferry_context *context, uint32_t device,
                       struct ferry_request *request)
{
    struct ferry_host_device *to = ferry_host_device(context, device);

    if (to == NULL) {
        return no_device(device, request->reterr);
    }
    if (!ferry_host_device_is_open(to)) {
        return is_lost(to, request->reterr);
    }
    return to->backend->ops->call(to->backend, request);
}

static void fill_regions(const struct ferry_host_device *device,
                         struct ferry_device_view *view)
{
    for (uint32_t i = 0; i < VIEW_REGIONS; i++) {
        const struct ferry_region_info *region = &device->region[i];

        view->region[i].size = region->size;
        view->region[i].flags = region->flags;
        view->region[i].area_count = region->area_count;
        for (uint32_t j = 0; j < region->area_count; j++) {
            view->region[i].area_off[j] = region->area[j].off;
            view->region[i].area_size[j] = region->area[j].size;
        }
    }
}

/* Those behind the PCI ones that the device has. */
static void fill_special(const struct ferry_host_device *device,
                         struct ferry_device_view *view)
{
    const uint32_t most = sizeof(view->special) / sizeof(view->special[0]);

    for (uint32_t i = VIEW_REGIONS;
         i < device->info.region_count && view->special_count < most; i++) {
        const struct ferry_region_info *region = &device->region[i];

        if (region->size > 0) {
            view->special[view->special_count].index = i;
            view->special[view->special_count].size = region->size;
            view->special[view->special_count].flags = region->flags;
            view->special[view->special_count].type = region->type;
            view->special[view->special_count++].subtype = region->subtype;
        }
    }
}

int ferry_context_device(struct ferry_context *context, uint32_t device,
                         struct ferry_device_view *ret_view, struct ferry_error *reterr)
{
    struct ferry_host_device *of = ferry_host_device(context, device);
    struct ferry_request request = { .kind = FERRY_RQ_DATA_SIZE };
    struct ferry_device_view view;

    if (of == NULL) {
        return no_device(device, reterr);
    }
    memset(&view, 0, sizeof(view));
    memcpy(view.name, of->name, sizeof(view.name));
    view.identity = of->identity;
    view.migration_flags = of->migration_flags;
    view.state = of->state;
    view.can_log = of->can_log;
    view.has_precopy_info = of->has_precopy_info;
    view.has_data_size = of->has_data_size;
    view.region_count = of->info.region_count;
    view.irq_count = of->info.irq_count;
    fill_regions(of, &view);
    fill_special(of, &view);
    if (ferry_host_device_is_open(of) && of->backend->ops->extensions != NULL) {
        view.extensions = of->backend->ops->extensions(of->backend);
    }
    for (uint32_t i = 0; i < FERRY_HOST_IRQ_INDEXES; i++) {
        view.irq[i] = of->irq[i].count;
    }
    if (of->has_data_size && !ferry_host_busy(context) &&
        ferry_context_call(context, device, &request) == FERRY_OK) {
        view.data_size = request.u.data_size;
    }
    *ret_view = view;
    return FERRY_OK;
}
