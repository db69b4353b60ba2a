/* SPDX-License-Identifier: BSD-3-Clause */
#include <string.h>
#include <sys/mman.h>

#include "check/check.h"
#include "ferry/host.h"
#include "host/backend/v1/v1.h"
#include "os/clock.h"
#include "os/eventfd.h"
#include "os/memory.h"

#define TIMEOUT_MS 5000u
/* A server that ended, or takes one client in its life, may be started again by whoever
 * looks after it. */
#define RETURN_MS 1000u
#define RETURN_STEP_MS 10u
#define FEATURE_LOG_START 6u

/* The bytes of the memory that a device without a descriptor asks for by message. */
static uint8_t *memory_at(struct check_device *device, uint64_t iova, uint64_t bytes)
{
    if (iova < CHECK_IOVA || bytes > CHECK_MEMORY_BYTES ||
        iova - CHECK_IOVA > CHECK_MEMORY_BYTES - bytes) {
        return NULL;
    }
    return device->memory.address + (iova - CHECK_IOVA);
}

static int on_dma_read(void *user, uint64_t iova, void *ret_data, size_t size)
{
    const uint8_t *at = memory_at(user, iova, size);

    if (!at) {
        return FERRY_E_RANGE;
    }
    memcpy(ret_data, at, size);
    return FERRY_OK;
}

static int on_dma_write(void *user, uint64_t iova, const void *data, size_t size)
{
    uint8_t *at = memory_at(user, iova, size);

    if (!at) {
        return FERRY_E_RANGE;
    }
    memcpy(at, data, size);
    return FERRY_OK;
}

static int make_memory(struct check_device *device, struct ferry_error *reterr)
{
    void *address;
    int rc;

    if (device->memory.address) {
        return FERRY_OK;
    }
    rc = ferry_os_memfd_create("ferry-check", CHECK_MEMORY_BYTES, &device->memory.fd);
    if (rc != FERRY_OK) {
        return ferry_error_set(reterr, rc, "check", NULL, 0, "no memory for the device");
    }
    address = mmap(NULL, CHECK_MEMORY_BYTES, PROT_READ | PROT_WRITE, MAP_SHARED,
                   device->memory.fd, 0);
    if (address == MAP_FAILED) {
        ferry_os_close(&device->memory.fd);
        return ferry_error_set(reterr, FERRY_E_MEMORY, "check", NULL, 0,
                               "no memory for the device");
    }
    device->memory.address = address;
    return FERRY_OK;
}

static void look_at_regions(struct check_run *run, struct check_device *device)
{
    for (uint32_t i = 0; i < device->region_count; i++) {
        struct ferry_request request = { .kind = FERRY_RQ_GET_REGION_INFO };

        request.u.region.index = i;
        request.u.region.fd = -1;
        device->region_size[i] = device->region_flags[i] = 0;
        if (check_call(run, &request) == FERRY_OK) {
            device->region_size[i] = request.u.region.size;
            device->region_flags[i] = request.u.region.flags;
            ferry_os_close(&request.u.region.fd);
        }
    }
}

static void look_at_irqs(struct check_run *run, struct check_device *device)
{
    for (uint32_t i = 0; i < device->irq_count; i++) {
        struct ferry_request request = { .kind = FERRY_RQ_GET_IRQ_INFO };

        request.u.irq.index = i;
        device->vectors[i] =
            check_call(run, &request) == FERRY_OK ? request.u.irq.count : 0;
    }
}

/* How it migrates. One that does not by v2 may by v1: it is then driven as one of v2. */
static int look_at_migration(struct check_run *run, struct check_device *device)
{
    struct ferry_request request = { .kind = FERRY_RQ_MIG_FLAGS };
    int rc;

    device->is_v1 = 0;
    device->features = 0;
    if (check_call(run, &request) != FERRY_OK) {
        rc = ferry_backend_v1_find(device->backend,
                                   run->options->timeout_ms ? run->options->timeout_ms
                                                            : TIMEOUT_MS,
                                   &device->backend, &device->error);
        if (rc != FERRY_OK) {
            return rc;
        }
        device->is_v1 =
            device->backend->ops->extensions != NULL &&
            (device->backend->ops->extensions(device->backend) & FERRY_VIEW_UAPI_V1) != 0;
        request = (struct ferry_request){ .kind = FERRY_RQ_MIG_FLAGS };
        if (!device->is_v1 || check_call(run, &request) != FERRY_OK) {
            return FERRY_OK;
        }
    }
    device->features = (uint32_t)request.u.mig_flags;
    return FERRY_OK;
}

/* 1 when it is in RUNNING. */
static int runs(struct check_run *run)
{
    uint32_t state;

    return check_get_state(run, &state) == FERRY_OK && state == FERRY_STATE_RUNNING;
}

/*
 * Does it take a reset? The kernel has drivers that do and do not say so (mtty), and
 * where none can be made the request is refused and does nothing. What was seen once
 * holds: a device that its last user left in another state is not asked again.
 */
static int takes_reset(struct check_run *run, uint32_t flags)
{
    if ((flags & FERRY_DEVICE_FLAG_RESET) || run->at->can_reset) {
        return 1;
    }
    return check_is_kernel(run) && runs(run) && check_reset(run) == FERRY_OK;
}

/* What it is. */
static int look(struct check_run *run, struct check_device *device)
{
    struct ferry_request request = { .kind = FERRY_RQ_GET_INFO };
    int rc = check_call(run, &request);

    if (rc != FERRY_OK) {
        return rc;
    }
    device->can_reset = (uint32_t)takes_reset(run, request.u.info.flags);
    device->region_count = request.u.info.region_count < CHECK_REGIONS_MAX
                               ? request.u.info.region_count
                               : CHECK_REGIONS_MAX;
    device->irq_count = request.u.info.irq_count < 5 ? request.u.info.irq_count : 5;
    look_at_regions(run, device);
    look_at_irqs(run, device);
    rc = look_at_migration(run, device);
    if (rc != FERRY_OK) {
        return rc;
    }
    request = (struct ferry_request){ .kind = FERRY_RQ_PROBE };
    request.u.probe.index = FEATURE_LOG_START;
    request.u.probe.operation = FERRY_FEATURE_SET;
    device->has_log = check_call(run, &request) == FERRY_OK;
    request = (struct ferry_request){ .kind = FERRY_RQ_IDENTITY };
    request.u.identity = &device->identity;
    device->has_identity = check_call(run, &request) == FERRY_OK;
    return FERRY_OK;
}

static int open_backend(struct check_run *run, struct check_device *device,
                        struct ferry_error *reterr)
{
    const struct ferry_backend_options options = {
        .struct_size = sizeof(options),
        .timeout_ms = run->options->timeout_ms ? run->options->timeout_ms : TIMEOUT_MS,
        .memory = { on_dma_read, on_dma_write, device },
        .as_is = 1,
        .all_arcs = (run->options->allowed & FERRY_CHECK_MAY_HANG) != 0,
    };

    return device->target.endpoint
               ? ferry_backend_from_endpoint(device->target.endpoint, &options,
                                             &device->backend, reterr)
               : ferry_backend_open(device->target.uri, &options, &device->backend,
                                    reterr);
}

static int open_when_there(struct check_run *run, struct check_device *device,
                           struct ferry_error *reterr)
{
    const uint64_t end = ferry_os_now_ns() + RETURN_MS * FERRY_NS_PER_MS;
    int rc = open_backend(run, device, reterr);

    while (rc != FERRY_OK && device->target.uri && check_can_reopen(device) &&
           ferry_os_now_ns() < end) {
        ferry_os_sleep_ns(RETURN_STEP_MS * FERRY_NS_PER_MS);
        rc = open_backend(run, device, reterr);
    }
    return rc;
}

/* Out of whatever state it is in, by changes of state: there are servers that keep their
 * state over clients, and in it refuse everything else, a reset too. */
static void wake(struct check_run *run)
{
    struct check_stream rest = { 0 };
    uint32_t state;

    if (check_get_state(run, &state) == FERRY_OK && state != FERRY_STATE_RUNNING &&
        check_set_state(run, FERRY_STATE_RUNNING) != FERRY_OK &&
        ferry_state_is_saving(state)) {
        (void)check_read_all(run, &rest, 0); /* some are not left before their end */
        (void)check_set_state(run, FERRY_STATE_RUNNING);
    }
    if (!runs(run)) {
        (void)check_reset(run);
    }
    check_stream_free(&rest);
}

int check_device_open(struct check_run *run, struct check_device *device,
                      struct ferry_error *reterr)
{
    struct check_device *before = run->at;
    int rc = make_memory(device, reterr);

    if (rc == FERRY_OK) {
        rc = open_when_there(run, device, reterr);
    }
    if (rc != FERRY_OK) {
        device->backend = NULL;
        return rc;
    }
    run->at = device;
    (void)check_get_state(run, &device->opened_in);
    rc = look(run, device);
    if (rc != FERRY_OK) {
        wake(run);
        rc = look(run, device);
    }
    if (rc == FERRY_OK) {
        rc = check_map(run, CHECK_IOVA, CHECK_MEMORY_BYTES, device->memory.fd, 0);
    }
    if (rc != FERRY_OK) {
        ferry_error_set(reterr, rc, "check", NULL, 0, "the device cannot be set up: %s",
                        device->error.text[0] != '\0' ? device->error.text
                                                      : ferry_status_text(rc));
        check_device_close(run, device);
    }
    run->at = before;
    return rc;
}

static void drop_irqs(struct check_device *device)
{
    for (uint32_t i = 0; i < device->eventfd_count; i++) {
        ferry_os_close(&device->eventfd[i]);
    }
    device->eventfd_count = 0;
}

void check_device_close(struct check_run *run, struct check_device *device)
{
    if (device == &run->device) {
        check_undrive(run);
    }
    if (device->backend) {
        device->backend->ops->close(device->backend);
        device->backend = NULL;
    }
    drop_irqs(device);
}

int check_is_kernel(const struct check_run *run)
{
    const char *uri = run->device.target.uri;

    return uri && (strncmp(uri, "vfio:", 5) == 0 || strncmp(uri, "vfio-group:", 11) == 0);
}

int check_can_reopen(const struct check_device *device)
{
    return !device->target.uri || strncmp(device->target.uri, "vfio-user-fd:", 13) != 0;
}

int check_reopen(struct check_run *run)
{
    struct ferry_error error = { .code = FERRY_OK };
    int rc;

    if (!check_can_reopen(run->at)) {
        check_skip(run, "an inherited connection cannot be opened again");
        return 0;
    }
    check_device_close(run, run->at);
    rc = check_device_open(run, run->at, &error);
    return rc == FERRY_OK
               ? 1
               : check_broken(run, "it cannot be opened again: %s",
                              error.text[0] != '\0' ? error.text : ferry_status_text(rc));
}

int check_end_of(const struct check_device *device)
{
    struct ferry_error error = { .code = FERRY_OK };

    if (device->backend) {
        device->backend->ops->error(device->backend, &error);
    }
    return error.code;
}

static int is_dead(const struct check_device *device)
{
    return !device->backend || check_end_of(device) != FERRY_OK;
}

static void clear_irqs(struct check_run *run, struct check_device *device)
{
    struct ferry_request request = { .kind = FERRY_RQ_SET_IRQS };

    if (device->eventfd_count > 0) {
        request.u.irq_set.flags = FERRY_IRQ_SET_DATA_NONE | FERRY_IRQ_SET_TRIGGER;
        request.u.irq_set.index = device->eventfd_index;
        (void)check_call(run, &request);
        drop_irqs(device);
    }
}

static int base_of(struct check_run *run, struct check_device *device,
                   struct ferry_error *reterr)
{
    int rc;

    run->at = device;
    if (!is_dead(device)) {
        if (device->has_log) {
            (void)check_log_stop(run);
        }
        clear_irqs(run, device);
        if (device->can_reset && check_reset(run) == FERRY_OK && runs(run)) {
            return FERRY_OK;
        }
        wake(run);
        if (device->can_reset && check_reset(run) == FERRY_OK && runs(run)) {
            return FERRY_OK;
        }
    }
    check_device_close(run, device);
    rc = check_device_open(run, device, reterr);
    if (rc == FERRY_OK && !runs(run) && device->can_reset) {
        (void)check_reset(run); /* servers that keep their state over clients */
    }
    if (rc == FERRY_OK && !runs(run)) {
        rc = ferry_error_set(reterr, FERRY_E_STATE, "check", NULL, 0,
                             "neither a reset nor opening it again brings it to RUNNING");
    }
    return rc;
}

int check_back(struct check_run *run)
{
    struct ferry_error error = { .code = FERRY_OK };

    if (run->at == &run->device) {
        check_undrive(run);
    }
    return base_of(run, run->at, &error) == FERRY_OK ||
           check_broken(run, "%s", error.text);
}

int check_base(struct check_run *run, struct ferry_error *reterr)
{
    struct check_device *const all[] = { &run->partner, &run->foreign, &run->device };
    int rc = FERRY_OK;

    check_undrive(run);
    for (size_t i = 0; i < 3 && rc == FERRY_OK; i++) {
        if (all[i]->target.uri || all[i]->target.endpoint) {
            rc = base_of(run, all[i], reterr);
        }
    }
    run->at = &run->device;
    return rc;
}
