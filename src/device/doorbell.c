/* SPDX-License-Identifier: BSD-3-Clause */
#include "device/doorbell.h"

#include <stdlib.h>

#include "base/writer.h"
#include "device/device_private.h"
#include "os/eventfd.h"
#include "os/memory.h"

static void gate(struct ferry_device *device)
{
    struct device_doorbells *bells = &device->doorbells;
    const int access = device_access(device, FERRY_OP_IOEVENTFD, NULL, NULL);
    const uint32_t listens = access == DEVICE_DO || access == DEVICE_LATCH;

    for (uint32_t i = 0; i < bells->count; i++) {
        struct device_doorbell *bell = &bells->bell[i];
        const uint32_t heard = listens && !bell->stalled && bell->watch.fd >= 0;

        /* A loop that watched one that is not taken would never sleep again. */
        if (heard && !bell->heard) {
            bell->heard = device_watch(device, &bell->watch) == FERRY_OK;
        } else if (!heard && bell->heard) {
            device_unwatch(device, &bell->watch);
            bell->heard = 0;
        }
    }
}

/* As if the write had come as a message. */
static void ring(struct device_doorbell *bell)
{
    struct ferry_device *device = bell->device;
    const struct ferry_device_doorbell *desc = &bell->desc;
    const int access = device_access(device, FERRY_OP_IOEVENTFD, NULL, NULL);
    uint8_t data[8];

    ferry_store_le64(data, desc->value);
    if (!device_region_decodes(device, desc->region)) {
        return;
    }
    if (access == DEVICE_DO) {
        (void)device->ops.region_write(device->state, device, desc->region, desc->off,
                                       data, desc->size);
    } else if (access == DEVICE_LATCH &&
               device_latch_once(device, desc->region, desc->off, data, desc->size) !=
                   FERRY_OK) {
        /* No room: it is rung again, and heard when the state changes. */
        (void)ferry_os_eventfd_signal(bell->watch.fd);
        bell->stalled = 1;
        gate(device);
    }
}

static void bell_ready(struct ferry_watch *watch, uint32_t events)
{
    struct device_doorbell *bell = watch->user;
    uint64_t count = 0;

    (void)events;
    if (ferry_os_eventfd_drain_shared(watch->fd, &count) == FERRY_OK && count != 0) {
        ring(bell);
    }
}

int device_doorbells_init(struct ferry_device *device,
                          const struct ferry_device_desc *desc)
{
    struct device_doorbells *bells = &device->doorbells;

    if (desc->doorbell_count == 0) {
        return FERRY_OK;
    }
    bells->bell = calloc(desc->doorbell_count, sizeof(bells->bell[0]));
    if (bells->bell == NULL) {
        return FERRY_E_MEMORY;
    }
    bells->count = desc->doorbell_count;
    for (uint32_t i = 0; i < bells->count; i++) {
        struct device_doorbell *bell = &bells->bell[i];

        bell->watch = (struct ferry_watch){
            .fd = -1, .events = FERRY_LOOP_READ, .fn = bell_ready, .user = bell
        };
        bell->device = device;
        bell->desc = desc->doorbell[i];
    }
    return FERRY_OK;
}

void device_doorbells_free(struct ferry_device *device)
{
    device_doorbells_close(device);
    free(device->doorbells.bell);
}

static int open_all(struct ferry_device *device)
{
    struct device_doorbells *bells = &device->doorbells;
    int status = FERRY_OK;

    for (uint32_t i = 0; i < bells->count && status == FERRY_OK; i++) {
        status = ferry_os_eventfd_create(&bells->bell[i].watch.fd);
    }
    if (status != FERRY_OK) {
        device_doorbells_close(device);
        return status;
    }
    bells->open = 1;
    device_doorbells_gate(device);
    return FERRY_OK;
}

int device_doorbells_ask(struct ferry_device *device, struct ferry_request *request)
{
    struct ferry_region_io_fds *ask = &request->u.io_fds;
    struct device_doorbells *bells = &device->doorbells;
    int status = FERRY_OK;

    if (device_region_size(device, ask->index) == 0) {
        return ferry_error_set(request->reterr, FERRY_E_NOT_FOUND, "device", NULL, 0,
                               "REGION_IO_FDS: region %u is absent", ask->index);
    }
    ask->count = 0;
    if (!bells->open && bells->count != 0) {
        status = open_all(device);
    }
    if (status != FERRY_OK) {
        return ferry_error_set(request->reterr, status, "device", NULL, 0,
                               "REGION_IO_FDS: no eventfd can be made");
    }
    for (uint32_t i = 0; i < bells->count && ask->count < ask->cap; i++) {
        const struct ferry_device_doorbell *desc = &bells->bell[i].desc;

        if (desc->region == ask->index) {
            ask->entry[ask->count++] = (struct ferry_io_fd){
                .off = desc->off,
                .size = desc->size,
                .type = FERRY_IO_FD_EVENT,
                .flags = desc->match ? FERRY_IO_FD_DATAMATCH : 0,
                .datamatch = desc->match ? desc->value : 0,
                .fd = bells->bell[i].watch.fd,
            };
        }
    }
    return FERRY_OK;
}

void device_doorbells_collect(struct ferry_device *device)
{
    struct device_doorbells *bells = &device->doorbells;

    for (uint32_t i = 0; i < bells->count; i++) {
        if (bells->bell[i].heard) {
            bell_ready(&bells->bell[i].watch, FERRY_LOOP_READ);
        }
    }
}

void device_doorbells_gate(struct ferry_device *device)
{
    struct device_doorbells *bells = &device->doorbells;

    for (uint32_t i = 0; i < bells->count; i++) {
        bells->bell[i].stalled = 0;
    }
    gate(device);
}

void device_doorbells_drain(struct ferry_device *device)
{
    struct device_doorbells *bells = &device->doorbells;

    for (uint32_t i = 0; i < bells->count; i++) {
        bells->bell[i].stalled = 0;
        if (bells->bell[i].watch.fd >= 0) {
            (void)ferry_os_eventfd_drain_shared(bells->bell[i].watch.fd, NULL);
        }
    }
}

void device_doorbells_close(struct ferry_device *device)
{
    struct device_doorbells *bells = &device->doorbells;

    for (uint32_t i = 0; i < bells->count; i++) {
        struct device_doorbell *bell = &bells->bell[i];

        if (bell->heard) {
            device_unwatch(device, &bell->watch);
        }
        bell->heard = 0;
        bell->stalled = 0;
        ferry_os_close(&bell->watch.fd);
    }
    bells->open = 0;
}
