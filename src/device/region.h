/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef FERRY_DEVICE_REGION_H
#define FERRY_DEVICE_REGION_H

#include <stddef.h>
#include <stdint.h>

#include "ferry/device.h"
#include "link/request.h"
#include "os/memory.h"

/*
 * BARs and ROM: what lies at an offset (memory, MSI-X, trapped), access by message, and
 * the doorbells that a quieted device latches. Thread: the device's.
 */

#define DEVICE_REGIONS_MAX (FERRY_DEVICE_REGIONS + FERRY_DEVICE_EXTRA_MAX)

/* Writes that can wait in a P2P state; one more is refused with FERRY_E_LIMIT. */
#define DEVICE_LATCH_MAX 1024u
#define DEVICE_LATCH_BYTES 8u

struct device_latch_entry {
    uint64_t off;
    uint8_t data[DEVICE_LATCH_BYTES];
    uint8_t region;
    uint8_t count;
    uint8_t pad[6];
};

struct device_latch {
    struct device_latch_entry *entry; /* DEVICE_LATCH_MAX; NULL until first needed */
    uint32_t count;
};

struct device_region_type {
    uint32_t type, subtype;
};

struct device_memory {
    struct ferry_os_map map; /* map.data NULL: trapped as a whole */
    int fd;
};

/* Memory of the FERRY_BAR_MEMORY regions. Return: FERRY_OK, FERRY_E_MEMORY, FERRY_E_IO.
 */
int device_region_init(struct ferry_device *device);
void device_region_free(struct ferry_device *device);

/*
 * Gives every memory region fresh, zeroed memory at its old address: a former user may
 * still have the old one mapped. Falls back to clearing it.
 */
void device_region_renew(struct ferry_device *device);

/* FERRY_RQ_REGION_READ and _WRITE, config space included. */
int device_region_read(struct ferry_device *device, struct ferry_request *request);
int device_region_write(struct ferry_device *device, struct ferry_request *request);

/* Bytes of a region; 0: absent. */
uint64_t device_region_size(const struct ferry_device *device, uint32_t region);
/* 0 for a BAR or the ROM while the device is in D3hot. */
int device_region_decodes(const struct ferry_device *device, uint32_t region);

/*
 * Puts a trapped write into the latch.
 * Return: FERRY_OK; FERRY_E_LIMIT (full), FERRY_E_MEMORY; FERRY_E_RANGE when it is no
 * write of 1 to 8 bytes to a trapped part of a BAR.
 */
int device_latch_push(struct ferry_device *device, uint32_t region, uint64_t off,
                      const void *data, size_t count);
/* The same unless the same write is in it already: a doorbell that is rung twice. */
int device_latch_once(struct ferry_device *device, uint32_t region, uint64_t off,
                      const void *data, size_t count);
/* Performs what is latched, in order, and empties the latch. */
void device_latch_replay(struct ferry_device *device);
void device_latch_clear(struct ferry_device *device);

#endif
