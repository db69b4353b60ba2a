/* SPDX-License-Identifier: BSD-3-Clause */
#include "device/pci/msix.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "base/bitmap.h"
#include "base/range.h"
#include "device/device_private.h"
#include "os/eventfd.h"
#include "os/memory.h"

#define ENTRY_CONTROL 12u /* byte of an entry whose bit 0 masks the vector */
#define ENTRY_MASKED 1u
#define IRQ_INDEX_MSIX 2u
#define IRQ_DATA_MASK                                                                    \
    (FERRY_IRQ_SET_DATA_NONE | FERRY_IRQ_SET_DATA_BOOL | FERRY_IRQ_SET_DATA_EVENTFD)
#define IRQ_ACTION_MASK                                                                  \
    (FERRY_IRQ_SET_MASK | FERRY_IRQ_SET_UNMASK | FERRY_IRQ_SET_TRIGGER)

int device_msix_init(struct device_msix *msix, const struct ferry_device_desc *desc)
{
    const uint32_t count = desc->msix_vectors;

    if (count == 0) {
        return FERRY_OK;
    }
    msix->bar = desc->msix_bar;
    msix->table_off = desc->msix_table_off;
    msix->table_bytes = (uint64_t)count * DEVICE_MSIX_ENTRY_BYTES;
    msix->pba_off = desc->msix_pba_off;
    msix->pba_bytes = ferry_bitmap_bytes(count);
    msix->table = calloc(1, msix->table_bytes);
    msix->pending = calloc(1, msix->pba_bytes);
    msix->fd = malloc(count * sizeof(msix->fd[0]));
    if (msix->table == NULL || msix->pending == NULL || msix->fd == NULL) {
        return FERRY_E_MEMORY;
    }
    msix->count = count;
    for (uint32_t i = 0; i < count; i++) {
        msix->fd[i] = -1;
    }
    device_msix_power_on(msix);
    return FERRY_OK;
}

void device_msix_free(struct device_msix *msix)
{
    device_msix_drop(msix);
    free(msix->table);
    free(msix->pending);
    free(msix->fd);
}

void device_msix_power_on(struct device_msix *msix)
{
    for (uint32_t i = 0; i < msix->count; i++) {
        uint8_t *entry = msix->table + (size_t)i * DEVICE_MSIX_ENTRY_BYTES;

        memset(entry, 0, DEVICE_MSIX_ENTRY_BYTES);
        entry[ENTRY_CONTROL] = ENTRY_MASKED;
    }
    device_msix_clear_pending(msix);
}

void device_msix_clear_pending(struct device_msix *msix)
{
    if (msix->count != 0) {
        memset(msix->pending, 0, msix->pba_bytes);
    }
}

uint32_t device_msix_pending_count(const struct device_msix *msix)
{
    return (uint32_t)ferry_bitmap_count(msix->pending, msix->count);
}

uint32_t device_msix_next_pending(const struct device_msix *msix, uint32_t from)
{
    return (uint32_t)ferry_bitmap_next(msix->pending, msix->count, from);
}

int device_msix_set_pending(struct device_msix *msix, uint32_t vector)
{
    if (vector >= msix->count) {
        return FERRY_E_RANGE;
    }
    ferry_bitmap_set(msix->pending, vector);
    return FERRY_OK;
}

void device_msix_drop(struct device_msix *msix)
{
    for (uint32_t i = 0; i < msix->count; i++) {
        ferry_os_close(&msix->fd[i]);
    }
}

static uint8_t *control_of(struct device_msix *msix, uint32_t vector)
{
    return msix->table + (size_t)vector * DEVICE_MSIX_ENTRY_BYTES + ENTRY_CONTROL;
}

/* Signals, or notes the vector as pending. */
static void raise_vector(struct ferry_device *device, uint32_t vector)
{
    struct device_msix *msix = &device->msix;

    if (msix->fd[vector] >= 0 && (*control_of(msix, vector) & ENTRY_MASKED) == 0 &&
        device_config_msix_on(&device->config)) {
        /* A descriptor that fails is the user's loss alone. */
        (void)ferry_os_eventfd_signal(msix->fd[vector]);
    } else {
        ferry_bitmap_set(msix->pending, vector);
    }
}

void device_msix_flush(struct ferry_device *device)
{
    struct device_msix *msix = &device->msix;
    uint64_t vector;

    if (msix->count == 0 || !device_config_msix_on(&device->config)) {
        return;
    }
    vector = ferry_bitmap_next(msix->pending, msix->count, 0);
    while (vector < msix->count) {
        ferry_bitmap_clear(msix->pending, vector);
        raise_vector(device, (uint32_t)vector);
        vector = ferry_bitmap_next(msix->pending, msix->count, vector + 1);
    }
}

void device_msix_table_read(const struct device_msix *msix, uint64_t off, void *ret_data,
                            size_t count)
{
    memcpy(ret_data, msix->table + off, count);
}

void device_msix_table_write(struct ferry_device *device, uint64_t off, const void *data,
                             size_t count)
{
    struct device_msix *msix = &device->msix;
    const uint8_t *from = data;

    for (size_t i = 0; i < count; i++) {
        const uint64_t in_entry = (off + i) % DEVICE_MSIX_ENTRY_BYTES;
        uint8_t mask = 0xff;

        if (in_entry == ENTRY_CONTROL) {
            mask = ENTRY_MASKED;
        } else if (in_entry > ENTRY_CONTROL) {
            mask = 0;
        } else if (in_entry == 0) {
            mask = 0xfc; /* the address is 4-byte aligned */
        }
        msix->table[off + i] =
            (uint8_t)((msix->table[off + i] & ~mask) | (from[i] & mask));
    }
    device_msix_flush(device);
}

void device_msix_pba_read(const struct device_msix *msix, uint64_t off, void *ret_data,
                          size_t count)
{
    memcpy(ret_data, msix->pending + off, count);
}

/* Takes eventfds into use; all of them or none. */
static int assign(struct ferry_device *device, const struct ferry_irq_set *set)
{
    struct device_msix *msix = &device->msix;
    int fresh[FERRY_REQUEST_FDS_MAX];
    uint32_t made = 0;
    int status = FERRY_OK;

    assert(set->fd_count <= FERRY_REQUEST_FDS_MAX);
    while (made < set->fd_count && status == FERRY_OK) {
        fresh[made] = -1;
        if (set->fds[made] >=
            0) { /* -1 takes the vector's eventfd away, as in the uAPI */
            status = ferry_os_eventfd_adopt(set->fds[made]);
        }
        if (set->fds[made] >= 0 && status == FERRY_OK) {
            status = ferry_os_dup(set->fds[made], &fresh[made]);
        }
        made++;
    }
    for (uint32_t i = 0; i < made; i++) {
        if (status != FERRY_OK) {
            ferry_os_close(&fresh[i]);
        } else {
            ferry_os_close(&msix->fd[set->start + i]);
            msix->fd[set->start + i] = fresh[i];
            if (fresh[i] >= 0) { /* as the kernel does */
                *control_of(msix, set->start + i) &= (uint8_t)~ENTRY_MASKED;
            }
        }
    }
    if (status == FERRY_OK) {
        device_config_msix_enable(&device->config);
    }
    return status;
}

/* Applies the action to each vector that is meant: all, or those with a true bool. */
static void act(struct ferry_device *device, const struct ferry_irq_set *set)
{
    struct device_msix *msix = &device->msix;

    for (uint32_t i = 0; i < set->count; i++) {
        const uint32_t vector = set->start + i;

        if ((set->flags & FERRY_IRQ_SET_DATA_BOOL) != 0 && set->bools[i] == 0) {
            continue;
        }
        if ((set->flags & FERRY_IRQ_SET_MASK) != 0) {
            *control_of(msix, vector) |= ENTRY_MASKED;
        } else if ((set->flags & FERRY_IRQ_SET_UNMASK) != 0) {
            *control_of(msix, vector) &= (uint8_t)~ENTRY_MASKED;
        } else {
            raise_vector(device, vector);
        }
    }
}

/* Exactly one kind of data, exactly one action, vectors that exist. */
static int check_set(const struct ferry_device *device, const struct ferry_irq_set *set,
                     struct ferry_error *reterr)
{
    const uint32_t data = set->flags & IRQ_DATA_MASK;
    const uint32_t action = set->flags & IRQ_ACTION_MASK;

    if (set->index != IRQ_INDEX_MSIX || device->msix.count == 0) {
        return ferry_error_set(reterr, FERRY_E_NOT_FOUND, "device", NULL, 0,
                               "SET_IRQS: this device has no interrupts of index %u",
                               set->index);
    }
    if ((set->flags & ~(IRQ_DATA_MASK | IRQ_ACTION_MASK)) != 0 ||
        !ferry_is_power_of_2(data) || !ferry_is_power_of_2(action)) {
        return ferry_error_set(
            reterr, FERRY_E_ARGUMENT, "device", NULL, 0,
            "SET_IRQS: flags 0x%x are not one kind of data and one action", set->flags);
    }
    if (!ferry_range_inside(set->start, set->count, device->msix.count)) {
        return ferry_error_set(reterr, FERRY_E_RANGE, "device", NULL, 0,
                               "SET_IRQS: vectors %u + %u, the device has %u", set->start,
                               set->count, device->msix.count);
    }
    if (set->count == 0 &&
        set->flags != (FERRY_IRQ_SET_DATA_NONE | FERRY_IRQ_SET_TRIGGER)) {
        return ferry_error_set(reterr, FERRY_E_ARGUMENT, "device", NULL, 0,
                               "SET_IRQS: count 0 goes with DATA_NONE and TRIGGER only");
    }
    if (data == FERRY_IRQ_SET_DATA_EVENTFD && action != FERRY_IRQ_SET_TRIGGER) {
        return ferry_error_set(reterr, FERRY_E_UNSUPPORTED, "device", NULL, 0,
                               "SET_IRQS: masking through an eventfd");
    }
    if (data == FERRY_IRQ_SET_DATA_EVENTFD &&
        (set->fd_count > FERRY_REQUEST_FDS_MAX ||
         (set->fd_count != 0 && set->fd_count != set->count))) {
        return ferry_error_set(reterr, FERRY_E_FDS, "device", NULL, 0,
                               "SET_IRQS: %u descriptors for %u vectors", set->fd_count,
                               set->count);
    }
    return FERRY_OK;
}

int device_msix_set(struct ferry_device *device, struct ferry_request *request)
{
    const struct ferry_irq_set *set = &request->u.irq_set;
    struct device_msix *msix = &device->msix;
    int status = check_set(device, set, request->reterr);

    if (status != FERRY_OK) {
        return status;
    }
    if (set->count == 0) {
        device_msix_drop(msix);
        device_msix_clear_pending(msix);
    } else if ((set->flags & FERRY_IRQ_SET_DATA_EVENTFD) == 0) {
        act(device, set);
    } else if (set->fd_count == 0) {
        for (uint32_t i = 0; i < set->count; i++) {
            ferry_os_close(&msix->fd[set->start + i]);
        }
    } else {
        status = assign(device, set);
    }
    device_msix_flush(device);
    return status;
}

int ferry_irq_raise(struct ferry_device *device, uint32_t vector)
{
    int status;

    if (vector >= device->msix.count) {
        return FERRY_E_NOT_FOUND;
    }
    status = device_permit(device, FERRY_OP_IRQ_RAISE, NULL);
    if (status == FERRY_OK) {
        raise_vector(device, vector);
    }
    return status;
}
