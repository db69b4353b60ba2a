/* SPDX-License-Identifier: BSD-3-Clause */
#include <stdlib.h>
#include <string.h>

#include "base/bitmap.h"
#include "base/range.h"
#include "host/context/context.h"
#include "os/eventfd.h"

static int set(struct ferry_host_device *device, uint32_t index, uint32_t action,
               uint32_t start, const int *fds, uint32_t count, struct ferry_error *detail)
{
    struct ferry_request request = { .kind = FERRY_RQ_SET_IRQS, .reterr = detail };

    request.u.irq_set = (struct ferry_irq_set){
        .flags =
            action | (fds != NULL ? FERRY_IRQ_SET_DATA_EVENTFD : FERRY_IRQ_SET_DATA_NONE),
        .index = index,
        .start = start,
        .count = count,
        .fds = fds,
        /* -1 does not cross a socket: an eventfd is taken away by sending none. */
        .fd_count = fds != NULL && (count > 1 || fds[0] >= 0) ? count : 0,
    };
    return device->backend->ops->call(device->backend, &request);
}

/*
 * Sends vectors [first, first + count), all of which have an eventfd. How many
 * descriptors a server takes with one message is known to the connection alone: start
 * with the most and go down when it says that these were too many (a server without the
 * capability takes one).
 */
static int send_run(struct ferry_host_device *device, uint32_t first, uint32_t count,
                    uint32_t *batch, struct ferry_error *detail)
{
    while (count > 0) {
        const uint32_t now = count < *batch ? count : *batch;
        const int rc = set(device, device->irq_index, FERRY_IRQ_SET_TRIGGER, first,
                           device->irq_fd + first, now, detail);

        if ((rc == FERRY_E_FDS || rc == FERRY_E_LIMIT) && now > 1) {
            *batch = now / 2;
            continue;
        }
        if (rc != FERRY_OK) {
            return rc;
        }
        first += now;
        count -= now;
    }
    return FERRY_OK;
}

/* The eventfds that unmask, and those of ERR and REQ. */
static int send_others(struct ferry_host_device *device, struct ferry_error *detail)
{
    int rc = FERRY_OK;

    for (uint32_t i = 0;
         i < FERRY_HOST_UNMASK_MAX && i < device->irq_count && rc == FERRY_OK; i++) {
        if (device->unmask_fd[i] >= 0) {
            rc = set(device, device->irq_index, FERRY_IRQ_SET_UNMASK, i,
                     &device->unmask_fd[i], 1, detail);
        }
    }
    for (uint32_t i = 0; i < 2 && rc == FERRY_OK; i++) {
        if (device->event_fd[i] >= 0) {
            rc = set(device, FERRY_IRQ_ERR + i, FERRY_IRQ_SET_TRIGGER, 0,
                     &device->event_fd[i], 1, detail);
        }
    }
    return rc;
}

void ferry_host_irqs_init(struct ferry_host_device *device)
{
    device->irq_index = FERRY_IRQ_MSIX;
    for (uint32_t i = 0; i < FERRY_HOST_UNMASK_MAX; i++) {
        device->unmask_fd[i] = -1;
    }
    device->event_fd[0] = -1;
    device->event_fd[1] = -1;
}

/* In runs of vectors that have an eventfd. */
static int send_runs(struct ferry_host_device *device, struct ferry_error *detail)
{
    uint32_t batch = FERRY_REQUEST_FDS_MAX;
    uint32_t first = 0;
    int rc = FERRY_OK;

    while (first < device->irq_count && rc == FERRY_OK) {
        uint32_t end = first;

        while (end < device->irq_count && device->irq_fd[end] >= 0) {
            end++;
        }
        rc = send_run(device, first, end - first, &batch, detail);
        first = end + 1;
    }
    return rc;
}

/* The kernel sets as many vectors up as the first request for an index names, and not
 * each of them takes more later: it gets all in one, holes included. */
static int takes_all_at_once(const struct ferry_host_device *device)
{
    const struct ferry_backend *backend = device->backend;

    return backend->ops->max_fds != NULL && device->irq_count > 0 &&
           device->irq_count <= backend->ops->max_fds(device->backend);
}

int ferry_host_irqs_send(struct ferry_host_device *device, struct ferry_error *reterr)
{
    struct ferry_error detail = { 0 };
    int rc;

    atomic_fetch_add(&device->config_writes, 1); /* it unmasks entries of the table */
    if (takes_all_at_once(device)) {
        rc = set(device, device->irq_index, FERRY_IRQ_SET_TRIGGER, 0, device->irq_fd,
                 device->irq_count, &detail);
    } else {
        rc = send_runs(device, &detail);
    }
    if (rc == FERRY_OK) {
        rc = send_others(device, &detail);
    }
    if (rc == FERRY_OK) {
        return FERRY_OK;
    }
    return ferry_error_set(reterr, rc, FERRY_HOST_LAYER, NULL, 0,
                           "device '%s' did not take the interrupts' eventfds: %s",
                           device->name,
                           detail.text[0] != '\0' ? detail.text : ferry_status_text(rc));
}

/* Forgets the vectors and takes them away from the device. */
static int clear(struct ferry_host_device *device, struct ferry_error *reterr)
{
    int rc;

    if (device->irq_count == 0) {
        return FERRY_OK;
    }
    free(device->irq_fd);
    device->irq_fd = NULL;
    device->irq_count = 0;
    for (uint32_t i = 0; i < FERRY_HOST_UNMASK_MAX; i++) {
        device->unmask_fd[i] = -1;
    }
    rc = set(device, device->irq_index, FERRY_IRQ_SET_TRIGGER, 0, NULL, 0, reterr);
    return rc == FERRY_E_CLOSED ? FERRY_OK : rc;
}

/* The device when it is open and has such interrupts. */
static int find(struct ferry_context *context, uint32_t device, uint32_t index,
                uint32_t first, uint32_t count, struct ferry_host_device **ret_device,
                struct ferry_error *reterr)
{
    static const char *const name[FERRY_HOST_IRQ_INDEXES] = { "INTx", "MSI", "MSI-X",
                                                              "ERR", "REQ" };
    struct ferry_host_device *of = ferry_host_device(context, device);

    if (of == NULL || index >= FERRY_HOST_IRQ_INDEXES) {
        return ferry_error_set(reterr, FERRY_E_NOT_FOUND, FERRY_HOST_LAYER, NULL, 0,
                               of == NULL ? "no device %u"
                                          : "device %u: no such "
                                            "interrupt index",
                               device);
    }
    if (!ferry_host_device_is_open(of)) {
        return ferry_error_set(reterr, FERRY_E_CLOSED, FERRY_HOST_LAYER, NULL, 0,
                               "device '%s' is gone: %s", of->name, of->lost_error.text);
    }
    if (!ferry_range_inside(first, count, of->irq[index].count)) {
        return ferry_error_set(reterr, FERRY_E_RANGE, FERRY_HOST_LAYER, NULL, 0,
                               "device '%s' has %u %s vectors, not %u", of->name,
                               of->irq[index].count, name[index], first + count);
    }
    *ret_device = of;
    return FERRY_OK;
}

static int check_fds(const struct ferry_host_device *device, const int *fds,
                     uint32_t count, struct ferry_error *reterr)
{
    for (uint32_t i = 0; i < count; i++) {
        /* A full eventfd must never stop whoever signals it. */
        if (fds[i] >= 0 && ferry_os_eventfd_adopt(fds[i]) != FERRY_OK) {
            return ferry_error_set(reterr, FERRY_E_ARGUMENT, FERRY_HOST_LAYER, NULL, 0,
                                   "device '%s': vector %u: descriptor %d is no eventfd",
                                   device->name, i, fds[i]);
        }
    }
    return FERRY_OK;
}

int ferry_context_set_irqs(struct ferry_context *context, uint32_t device, const int *fds,
                           uint32_t count, struct ferry_error *reterr)
{
    return ferry_context_set_irq_index(context, device, FERRY_IRQ_MSIX, fds, count,
                                       reterr);
}

/* ERR and REQ: beside whatever else is in use. */
static int set_event(struct ferry_host_device *of, uint32_t index, const int *fds,
                     uint32_t count, struct ferry_error *reterr)
{
    int *slot = &of->event_fd[index - FERRY_IRQ_ERR];
    int rc;

    if (count != 0 && fds[0] < 0) {
        count = 0;
    }
    if (count == 0 && *slot < 0) {
        return FERRY_OK;
    }
    rc = set(of, index, FERRY_IRQ_SET_TRIGGER, 0, count != 0 ? fds : NULL, count, reterr);
    if (rc == FERRY_OK || count == 0) {
        *slot = count != 0 ? fds[0] : -1;
    }
    return rc;
}

int ferry_context_set_irq_index(struct ferry_context *context, uint32_t device,
                                uint32_t index, const int *fds, uint32_t count,
                                struct ferry_error *reterr)
{
    struct ferry_host_device *of = NULL;
    int *own = NULL;
    int rc = find(context, device, index, 0, count, &of, reterr);

    if (rc == FERRY_OK) {
        rc = check_fds(of, fds, count, reterr);
    }
    if (rc == FERRY_OK && index >= FERRY_IRQ_ERR) {
        return set_event(of, index, fds, count, reterr);
    }
    if (rc != FERRY_OK || (count == 0 && index != of->irq_index)) {
        return rc; /* nothing is set of that index */
    }
    if (count != 0) {
        own = malloc(count * sizeof(*own));
        if (own == NULL) {
            return ferry_error_set(reterr, FERRY_E_MEMORY, FERRY_HOST_LAYER, NULL, 0,
                                   "device '%s': out of memory", of->name);
        }
        memcpy(own, fds, count * sizeof(*own));
    }
    /* All away first: a vector that the new set lacks must not fire into the old one. */
    rc = clear(of, reterr);
    if (rc != FERRY_OK) {
        free(own);
        return rc;
    }
    of->irq_fd = own;
    of->irq_count = count;
    of->irq_index = index;
    rc = ferry_host_irqs_send(of, reterr);
    if (rc != FERRY_OK) {
        (void)clear(of, NULL);
    }
    return rc;
}

int ferry_context_mask_irqs(struct ferry_context *context, uint32_t device,
                            uint32_t index, uint32_t start, uint32_t count, uint32_t mask,
                            struct ferry_error *reterr)
{
    struct ferry_host_device *of = NULL;
    int rc = find(context, device, index, start, count, &of, reterr);

    if (rc != FERRY_OK || count == 0) {
        return rc;
    }
    atomic_fetch_add(&of->config_writes, 1);
    return set(of, index, mask != 0 ? FERRY_IRQ_SET_MASK : FERRY_IRQ_SET_UNMASK, start,
               NULL, count, reterr);
}

int ferry_context_set_unmask(struct ferry_context *context, uint32_t device,
                             uint32_t index, uint32_t vector, int fd,
                             struct ferry_error *reterr)
{
    struct ferry_host_device *of = NULL;
    int rc = find(context, device, index, vector, 1, &of, reterr);

    if (rc == FERRY_OK) {
        rc = check_fds(of, &fd, 1, reterr);
    }
    if (rc != FERRY_OK) {
        return rc;
    }
    if (index != of->irq_index || vector >= of->irq_count) {
        return ferry_error_set(reterr, FERRY_E_STATE, FERRY_HOST_LAYER, NULL, 0,
                               "device '%s': vector %u is not in use", of->name, vector);
    }
    if (vector >= FERRY_HOST_UNMASK_MAX) {
        return ferry_error_set(reterr, FERRY_E_UNSUPPORTED, FERRY_HOST_LAYER, NULL, 0,
                               "device '%s': an eventfd unmasks INTx and MSI only",
                               of->name);
    }
    rc = set(of, index, FERRY_IRQ_SET_UNMASK, vector, &fd, 1, reterr);
    if (rc == FERRY_OK) {
        of->unmask_fd[vector] = fd;
    }
    return rc;
}

int ferry_host_irqs_drain(struct ferry_context *context, uint32_t device,
                          uint8_t *ret_bitmap)
{
    struct ferry_host_device *of = ferry_host_device(context, device);
    int count = 0;

    memset(ret_bitmap, 0, FERRY_HOST_IRQ_BITMAP_BYTES);
    if (of == NULL) {
        return FERRY_E_NOT_FOUND;
    }
    for (uint32_t i = 0; i < of->irq_count; i++) {
        uint64_t raised = 0;

        if (of->irq_fd[i] < 0) {
            continue;
        }
        if (ferry_os_eventfd_drain(of->irq_fd[i], &raised) != FERRY_OK) {
            return FERRY_E_IO;
        }
        if (raised != 0) {
            ferry_bitmap_set(ret_bitmap, i);
            count++;
        }
    }
    return count;
}

int ferry_host_irqs_raise(struct ferry_context *context, uint32_t device,
                          const uint8_t *bitmap, size_t bytes)
{
    struct ferry_host_device *of = ferry_host_device(context, device);
    int count = 0;

    if (of == NULL) {
        return 0;
    }
    for (uint32_t i = 0; i < of->irq_count && i / 8u < bytes; i++) {
        if (ferry_bitmap_test(bitmap, i) && of->irq_fd[i] >= 0 &&
            ferry_os_eventfd_signal(of->irq_fd[i]) == FERRY_OK) {
            count++;
        }
    }
    return count;
}
