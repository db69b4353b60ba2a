/* SPDX-License-Identifier: BSD-3-Clause */
#include <stdlib.h>
#include <string.h>

#include "device/device_private.h"
#include "os/clock.h"
#include "os/eventfd.h"
#include "os/guard.h"

#define UNMAP_TIMEOUT_MS 2000u

/* Requests whose legality is asked for elsewhere (by piece of a region) or never. */
#define NO_OPERATION FERRY_OP_COUNT

static int reset_request(struct ferry_device *device, struct ferry_request *request)
{
    (void)request;
    device_reset(device);
    return FERRY_OK;
}

/* Who performs a request, and which row of the access table decides whether it may be. */
static const struct {
    int (*perform)(struct ferry_device *device, struct ferry_request *request);
    uint32_t operation;
} request_table[FERRY_RQ_COUNT] = {
    [FERRY_RQ_GET_INFO] = { device_info, FERRY_OP_INFO },
    [FERRY_RQ_GET_REGION_INFO] = { device_info_region, FERRY_OP_INFO },
    [FERRY_RQ_GET_IRQ_INFO] = { device_irqs_info, FERRY_OP_INFO },
    [FERRY_RQ_SET_IRQS] = { device_irqs_set, FERRY_OP_SET_IRQS },
    [FERRY_RQ_REGION_READ] = { device_region_read, NO_OPERATION },
    [FERRY_RQ_REGION_WRITE] = { device_region_write, NO_OPERATION },
    [FERRY_RQ_DMA_MAP] = { device_dma_map, FERRY_OP_DMA_MAP },
    [FERRY_RQ_DMA_UNMAP] = { device_dma_unmap, FERRY_OP_DMA_UNMAP },
    [FERRY_RQ_RESET] = { reset_request, FERRY_OP_RESET },
    [FERRY_RQ_PROBE] = { device_info_probe, FERRY_OP_INFO },
    [FERRY_RQ_MIG_FLAGS] = { device_mig_flags, FERRY_OP_INFO },
    [FERRY_RQ_GET_STATE] = { device_mig_get, NO_OPERATION },
    [FERRY_RQ_SET_STATE] = { device_mig_set, NO_OPERATION },
    [FERRY_RQ_LOG_START] = { device_log_start, FERRY_OP_LOG_CONTROL },
    [FERRY_RQ_LOG_STOP] = { device_log_stop, FERRY_OP_LOG_CONTROL },
    [FERRY_RQ_LOG_REPORT] = { device_log_report, FERRY_OP_LOG_REPORT },
    [FERRY_RQ_LOG_RUNS] = { device_log_runs, FERRY_OP_LOG_REPORT },
    [FERRY_RQ_DATA_SIZE] = { device_mig_size, FERRY_OP_DATA_SIZE },
    [FERRY_RQ_PRECOPY_INFO] = { device_mig_precopy, FERRY_OP_PRECOPY_INFO },
    [FERRY_RQ_DATA_READ] = { device_mig_read, FERRY_OP_DATA_READ },
    [FERRY_RQ_DATA_WRITE] = { device_mig_write, FERRY_OP_DATA_WRITE },
    [FERRY_RQ_COUNTERS] = { device_info_counters, FERRY_OP_INFO },
    [FERRY_RQ_IDENTITY] = { device_info_identity, FERRY_OP_INFO },
    [FERRY_RQ_REGION_IO_FDS] = { device_doorbells_ask, FERRY_OP_INFO },
};

int device_access(const struct ferry_device *device, uint32_t operation,
                  uint8_t *ret_fill, struct ferry_error *reterr)
{
    const struct ferry_access *cell = ferry_access_get(operation, device->mig.state);
    uint32_t verdict = cell->verdict;

    if (ret_fill != NULL) {
        *ret_fill = cell->read_value;
    }
    if (verdict == FERRY_ALLOW || verdict == FERRY_COMPARE) {
        return DEVICE_DO;
    }
    if (verdict == FERRY_LATCH && device->identity.doorbell_latch != 0) {
        return DEVICE_LATCH;
    }
    if (verdict == FERRY_IGNORE) {
        return DEVICE_IGNORE;
    }
    (void)ferry_error_set(reterr, FERRY_E_STATE, "device", cell->rule->id, 0,
                          "%s in %s: %s", ferry_operation_name(operation),
                          ferry_state_name(device->mig.state), cell->rule->text);
    return DEVICE_REFUSE;
}

int device_permit(const struct ferry_device *device, uint32_t operation,
                  struct ferry_error *reterr)
{
    return device_access(device, operation, NULL, reterr) == DEVICE_DO ? FERRY_OK
                                                                       : FERRY_E_STATE;
}

void device_wake(struct ferry_device *device)
{
    if (atomic_exchange(&device->woken, 1) == 0) {
        (void)ferry_os_eventfd_signal(device->wake.fd);
    }
}

/* Emptied before the flag falls, and both before anything is looked at. */
static void wake_seen(struct ferry_device *device)
{
    if (atomic_load(&device->woken) != 0) {
        (void)ferry_os_eventfd_drain(device->wake.fd, NULL);
        atomic_store(&device->woken, 0);
    }
}

static void wake_ready(struct ferry_watch *watch, uint32_t events)
{
    (void)events;
    wake_seen(watch->user);
}

int device_watch(struct ferry_device *device, struct ferry_watch *watch)
{
    const int status = ferry_loop_add(device->loop, watch);

    device->watching += status == FERRY_OK;
    return status;
}

void device_unwatch(struct ferry_device *device, struct ferry_watch *watch)
{
    ferry_loop_remove(device->loop, watch);
    device->watching--;
}

/* The unmaps are looked at in every work(): it is enough that one comes. */
static void unmap_due(struct ferry_loop_timer *timer, uint64_t now_ns)
{
    struct ferry_device *device = timer->user;

    (void)now_ns;
    device->watching--;
}

void device_unmap_wait(struct ferry_device *device, uint64_t deadline_ns)
{
    if (device->unmap_timer.deadline_ns == 0) {
        device->watching++;
        ferry_loop_timer_set(device->loop, &device->unmap_timer, deadline_ns);
    }
}

void device_complete(struct ferry_device *device, struct ferry_request *request,
                     int status)
{
    request->status = status;
    request->next = NULL;
    *device->over_tail = request;
    device->over_tail = &request->next;
}

/* Runs the completions of requests that are over. */
static void deliver(struct ferry_device *device)
{
    while (device->over != NULL) {
        struct ferry_request *request = device->over;

        device->over = request->next;
        if (device->over == NULL) {
            device->over_tail = &device->over;
        }
        request->next = NULL;
        if (request->done != NULL) {
            request->done(request);
        }
    }
}

void device_reset(struct ferry_device *device)
{
    device_mig_reset(device, FERRY_E_CANCELLED);
    device_irqs_clear_pending(device);
    device_config_wake(&device->config);
    device->scheduled = 0;
    device->ops.reset(device->state, device, FERRY_RESET_REQUEST);
}

static struct ferry_device *device_of(struct ferry_endpoint *endpoint)
{
    return (struct ferry_device *)endpoint; /* its first member */
}

static int endpoint_attach(struct ferry_endpoint *endpoint,
                           const struct ferry_client_port *port)
{
    struct ferry_device *device = device_of(endpoint);

    if (device->attached) {
        return FERRY_E_BUSY;
    }
    device->attached = 1;
    device->port = port;
    return FERRY_OK;
}

static void endpoint_detach(struct ferry_endpoint *endpoint)
{
    struct ferry_device *device = device_of(endpoint);

    if (!device->attached) {
        return;
    }
    device->depth++;
    /* First of all no more messages: whoever would answer them is gone. */
    device->port = NULL;
    device_mig_reset(device, FERRY_E_CLOSED);
    device->scheduled = 0;
    device->ops.reset(device->state, device, FERRY_RESET_CLIENT_GONE);
    device_dma_drop(device);
    device->log.on = 0;
    device->log.range_count = 0;
    device_doorbells_close(device);
    device_irqs_drop(device);
    device_irqs_clear_pending(device);
    device_msix_power_on(&device->msix);
    device_config_power_on(&device->config);
    device_region_renew(device);
    deliver(device);
    device->attached = 0;
    device->submitted = 0;
    wake_seen(device);
    device->depth--;
}

static int endpoint_submit(struct ferry_endpoint *endpoint, struct ferry_request *request)
{
    struct ferry_device *device = device_of(endpoint);
    uint32_t operation;
    int access = DEVICE_DO, status = FERRY_OK;

    if (request->kind >= FERRY_RQ_COUNT || request_table[request->kind].perform == NULL) {
        status = ferry_error_set(request->reterr, FERRY_E_MESSAGE, "device", NULL, 0,
                                 "no request has number %u", request->kind);
    } else if (!device->attached) {
        status = ferry_error_set(request->reterr, FERRY_E_CLOSED, "device", NULL, 0,
                                 "%s: no user is attached to the device",
                                 ferry_request_name(request->kind));
    }
    if (status != FERRY_OK) {
        request->status = status;
        return status;
    }
    device->submitted = 1;
    operation = request_table[request->kind].operation;
    if (operation != NO_OPERATION) {
        access = device_access(device, operation, NULL, request->reterr);
    }
    if (access == DEVICE_REFUSE) {
        status = FERRY_E_STATE;
    } else if (access != DEVICE_IGNORE) {
        device->depth++;
        status = request_table[request->kind].perform(device, request);
        device->depth--;
    }
    if (status != FERRY_PENDING) {
        request->status = status;
    }
    return status;
}

/* May the author's work() run now? */
static int may_work(const struct ferry_device *device)
{
    return device->scheduled &&
           (device_mig_pending(device) ||
            device_permit(device, FERRY_OP_DMA_START, NULL) == FERRY_OK);
}

/* What waits for segments or for the author goes on. */
static void poll_pending(struct ferry_device *device)
{
    device_dma_poll(device);
    device_mig_poll(device);
    atomic_store(&device->waiting,
                 device->dma.unmap != NULL || device_mig_pending(device));
}

static int endpoint_work(struct ferry_endpoint *endpoint)
{
    struct ferry_device *device = device_of(endpoint);
    int more;

    device->depth++;
    wake_seen(device);
    /* With a request that came as a message there is no time to look around: what is
     * ready keeps wake_fd readable and is taken by the next call. */
    if (device->watching != 0 && !device->submitted) {
        (void)ferry_loop_dispatch(device->loop, 0);
    }
    device->submitted = 0;
    if (!device->attached) {
        device->depth--;
        return 0; /* woken between two users: that is all there is to do */
    }
    poll_pending(device);
    if (may_work(device)) {
        device->scheduled = 0;
        if (device->ops.work(device->state, device) > 0) {
            device->scheduled = 1;
        }
        poll_pending(device);
    }
    deliver(device);
    more = may_work(device) || device->over != NULL;
    device->depth--;
    return more;
}

static int endpoint_wake_fd(struct ferry_endpoint *endpoint)
{
    return ferry_loop_fd(device_of(endpoint)->loop);
}

static int endpoint_reads_inside(struct ferry_endpoint *endpoint)
{
    return device_of(endpoint)->reads_inside != 0;
}

static int endpoint_place(struct ferry_endpoint *endpoint, uint64_t most,
                          struct ferry_data_place *ret_place)
{
    struct ferry_device *device = device_of(endpoint);
    int status = FERRY_E_UNSUPPORTED;

    if (device->attached) {
        device->depth++;
        status = device_mig_place(device, most, ret_place);
        device->depth--;
    }
    return status;
}

static const struct ferry_endpoint_ops endpoint_ops = {
    .struct_size = sizeof(struct ferry_endpoint_ops),
    .attach = endpoint_attach,
    .detach = endpoint_detach,
    .submit = endpoint_submit,
    .work = endpoint_work,
    .wake_fd = endpoint_wake_fd,
    .reads_inside = endpoint_reads_inside,
    .place = endpoint_place,
};

/* Everything that can fail. */
static int build(struct ferry_device *device, const struct ferry_device_desc *desc,
                 struct ferry_error *reterr)
{
    int status = device_config_init(&device->config, desc, reterr);

    if (status == FERRY_OK) {
        status = device_msix_init(&device->msix, desc);
    }
    if (status == FERRY_OK) {
        status = device_region_init(device);
    }
    if (status == FERRY_OK) {
        status = ferry_loop_create(&device->loop);
    }
    if (status == FERRY_OK) {
        status = ferry_os_eventfd_create(&device->wake.fd);
    }
    if (status == FERRY_OK) {
        status = ferry_loop_add(device->loop, &device->wake);
    }
    if (status == FERRY_OK) {
        status = device_doorbells_init(device, desc);
    }
    if (status == FERRY_OK) {
        status = ferry_os_guard_install();
    }
    return status;
}

/* Everything that cannot fail. */
static void take(struct ferry_device *device, const struct ferry_device_desc *desc)
{
    device->endpoint.ops = &endpoint_ops;
    device->state = desc->state;
    device->identity = desc->identity;
    memcpy(device->region, desc->region, sizeof(desc->region));
    device->region_count = FERRY_DEVICE_REGIONS + desc->extra_count;
    for (uint32_t i = 0; i < desc->extra_count; i++) {
        device->region[FERRY_REGION_EXTRA + i] = desc->extra[i].region;
        device->region_type[i].type = desc->extra[i].type;
        device->region_type[i].subtype = desc->extra[i].subtype;
    }
    device->reads_inside = (desc->flags & FERRY_DEVICE_READS_DURING_DMA) != 0;
    device->log.ranges_max =
        desc->log_ranges_max != 0 ? desc->log_ranges_max : FERRY_LOG_RANGES_MAX;
    device->rom = desc->rom;
    device->rom_bytes = desc->rom_bytes;
    device->unmap_limit_ns =
        (uint64_t)(desc->unmap_timeout_ms != 0 ? desc->unmap_timeout_ms
                                               : UNMAP_TIMEOUT_MS) *
        FERRY_NS_PER_MS;
    device->unmap_timer = (struct ferry_loop_timer){ .fn = unmap_due, .user = device };
    device->mig.state = FERRY_STATE_RUNNING;
    device->over_tail = &device->over;
    device->wake = (struct ferry_watch){
        .fd = -1, .events = FERRY_LOOP_READ, .fn = wake_ready, .user = device
    };
    for (uint32_t i = 0; i < DEVICE_REGIONS_MAX; i++) {
        device->memory[i].fd = -1;
    }
    device_irqs_init(device, desc);
}

int ferry_device_create(const struct ferry_device_desc *desc,
                        struct ferry_device **ret_device, struct ferry_error *reterr)
{
    struct ferry_device_desc full = { 0 };
    struct ferry_device_ops ops = { 0 };
    struct ferry_device *device;
    int status;

    if (desc->struct_size < sizeof(desc->struct_size) + sizeof(desc->ops) ||
        desc->ops == NULL || desc->ops->struct_size < sizeof(size_t)) {
        return ferry_error_set(reterr, FERRY_E_ARGUMENT, "device", NULL, 0,
                               "struct_size of the description or its ops is not set");
    }
    /* Members that a caller of an older header does not know are 0. */
    memcpy(&full, desc,
           desc->struct_size < sizeof(full) ? desc->struct_size : sizeof(full));
    memcpy(&ops, desc->ops,
           desc->ops->struct_size < sizeof(ops) ? desc->ops->struct_size : sizeof(ops));
    device_desc_complete(&full);
    status = device_desc_check(&full, &ops, reterr);
    if (status != FERRY_OK) {
        return status;
    }
    device = calloc(1, sizeof(*device));
    if (device == NULL) {
        return ferry_error_set(reterr, FERRY_E_MEMORY, "device", NULL, 0, "no memory");
    }
    device_ops_fill(&ops);
    device->ops = ops;
    take(device, &full);
    status = build(device, &full, reterr);
    if (status != FERRY_OK) {
        ferry_device_destroy(device);
        return status;
    }
    *ret_device = device;
    return FERRY_OK;
}

void ferry_device_destroy(struct ferry_device *device)
{
    if (device == NULL) {
        return;
    }
    device_save_end(device);
    device_dma_free(device);
    device_doorbells_free(device);
    device_irqs_free(device);
    device_region_free(device);
    ferry_loop_destroy(device->loop);
    ferry_os_close(&device->wake.fd);
    free(device);
}

struct ferry_endpoint *ferry_device_endpoint(struct ferry_device *device)
{
    return &device->endpoint;
}

uint32_t ferry_device_state(const struct ferry_device *device)
{
    return device->mig.state;
}

uint32_t ferry_device_cap_off(const struct ferry_device *device, uint32_t i)
{
    return i < DEVICE_CONFIG_CAPS_MAX ? device->config.cap[i].off : 0;
}

int ferry_device_bus_master(const struct ferry_device *device)
{
    return device_config_bus_master(&device->config) &&
           !device_config_asleep(&device->config);
}

void ferry_device_schedule(struct ferry_device *device)
{
    device->scheduled = 1;
    if (device->depth == 0) {
        device_wake(device);
    }
}
