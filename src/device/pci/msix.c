/* SPDX-License-Identifier: BSD-3-Clause */
#include "device/pci/msix.h"

#include <stdlib.h>
#include <string.h>

#include "base/bitmap.h"
#include "device/device_private.h"
#include "os/eventfd.h"
#include "os/memory.h"

#define ENTRY_CONTROL 12u /* byte of an entry whose bit 0 masks the vector */
#define ENTRY_MASKED 1u

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

void device_msix_raise(struct ferry_device *device, uint32_t vector)
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
        device_msix_raise(device, (uint32_t)vector);
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

void device_msix_act(struct ferry_device *device, uint32_t vector, uint32_t action)
{
    uint8_t *control = control_of(&device->msix, vector);

    if (action == FERRY_IRQ_SET_MASK) {
        *control |= ENTRY_MASKED;
    } else if (action == FERRY_IRQ_SET_UNMASK) {
        *control &= (uint8_t)~ENTRY_MASKED;
    } else {
        device_msix_raise(device, vector);
    }
}
