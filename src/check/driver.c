/* SPDX-License-Identifier: BSD-3-Clause */
#include <poll.h>

#include "check/check.h"
#include "ferry/host.h"
#include "os/clock.h"
#include "os/eventfd.h"

int ferry_check_region_read(struct ferry_check_device *device, uint32_t region,
                            uint64_t off, void *ret_data, size_t count)
{
    return check_region_read(device->run, region, off, ret_data, count);
}

int ferry_check_region_write(struct ferry_check_device *device, uint32_t region,
                             uint64_t off, const void *data, size_t count)
{
    return check_region_write(device->run, region, off, data, count);
}

void *ferry_check_memory(struct ferry_check_device *device, uint64_t *ret_iova,
                         uint64_t *ret_bytes)
{
    *ret_iova = CHECK_IOVA;
    *ret_bytes = CHECK_DRIVER_BYTES;
    return device->run->device.memory.address;
}

void *ferry_check_memory_at(struct ferry_check_device *device, uint64_t iova,
                            uint64_t bytes)
{
    if (iova < CHECK_IOVA || bytes > CHECK_MEMORY_BYTES ||
        iova - CHECK_IOVA > CHECK_MEMORY_BYTES - bytes) {
        return NULL;
    }
    return device->run->device.memory.address + (iova - CHECK_IOVA);
}

int ferry_check_irqs(struct ferry_check_device *device, uint32_t count)
{
    struct check_device *subject = &device->run->device;
    const uint32_t index =
        subject->vectors[FERRY_IRQ_MSIX] > 0 ? FERRY_IRQ_MSIX : FERRY_IRQ_MSI;
    struct ferry_request request = { .kind = FERRY_RQ_SET_IRQS };
    int rc = FERRY_OK;

    if (count > CHECK_VECTORS_MAX || count > subject->vectors[index]) {
        return FERRY_E_LIMIT;
    }
    while (rc == FERRY_OK && subject->eventfd_count < count) {
        rc = ferry_os_eventfd_create(&subject->eventfd[subject->eventfd_count]);
        subject->eventfd_count += rc == FERRY_OK;
    }
    if (rc != FERRY_OK) {
        return rc;
    }
    request.u.irq_set.flags = FERRY_IRQ_SET_DATA_EVENTFD | FERRY_IRQ_SET_TRIGGER;
    request.u.irq_set.index = index;
    request.u.irq_set.count = count;
    request.u.irq_set.fds = subject->eventfd;
    request.u.irq_set.fd_count = count;
    subject->eventfd_index = index;
    return check_call(device->run, &request);
}

int ferry_check_turn(struct ferry_check_device *device, uint32_t wait_ms)
{
    struct ferry_backend *backend = device->run->device.backend;
    const uint64_t until = ferry_os_now_ns() + (uint64_t)wait_ms * FERRY_NS_PER_MS;
    int rc = FERRY_OK;

    while (backend && rc >= 0) {
        const uint64_t now = ferry_os_now_ns();
        struct pollfd watched = { backend->ops->fd(backend), POLLIN, 0 };

        if (watched.fd >= 0) {
            (void)poll(&watched, 1, now < until ? 1 : 0);
        }
        rc = backend->ops->dispatch(backend);
        if (now >= until) {
            break;
        }
    }
    return !backend ? FERRY_E_CLOSED : rc < 0 ? rc : FERRY_OK;
}

int ferry_check_irq_wait(struct ferry_check_device *device, uint32_t vector,
                         uint32_t timeout_ms)
{
    struct check_device *subject = &device->run->device;
    const uint64_t until = ferry_os_now_ns() + (uint64_t)timeout_ms * FERRY_NS_PER_MS;
    uint64_t count = 0;
    int rc;

    if (vector >= subject->eventfd_count) {
        return FERRY_E_NOT_FOUND;
    }
    do {
        rc = ferry_os_eventfd_drain(subject->eventfd[vector], &count);
        if (rc == FERRY_OK && count > 0) {
            return FERRY_OK;
        }
        rc = ferry_check_turn(device, 1);
    } while (rc == FERRY_OK && ferry_os_now_ns() < until);
    return rc == FERRY_OK ? FERRY_E_TIMEOUT : rc;
}
