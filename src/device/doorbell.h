/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef FERRY_DEVICE_DOORBELL_H
#define FERRY_DEVICE_DOORBELL_H

#include <stdint.h>

#include "ferry/device.h"
#include "link/request.h"
#include "os/loop.h"

/*
 * Doorbells through eventfds. They are made when a user asks for them and belong to that
 * user alone: a former one could still ring the old ones. Thread: the device's.
 */
struct device_doorbell {
    struct ferry_watch watch; /* fd -1: nobody asked yet */
    struct ferry_device *device;
    struct ferry_device_doorbell desc;
    uint32_t heard;   /* 1: the loop watches it */
    uint32_t stalled; /* 1: the latch was full: unheard until the state changes */
};

struct device_doorbells {
    struct device_doorbell *bell;
    uint32_t count;
    uint32_t open; /* 1: the user has asked for them */
};

/* Return: FERRY_OK, FERRY_E_MEMORY. */
int device_doorbells_init(struct ferry_device *device,
                          const struct ferry_device_desc *desc);
void device_doorbells_free(struct ferry_device *device);

/* FERRY_RQ_REGION_IO_FDS. */
int device_doorbells_ask(struct ferry_device *device, struct ferry_request *request);

/* Performs or latches what was rung so far, before the state changes. */
void device_doorbells_collect(struct ferry_device *device);
/* The state has changed: listens, or leaves what is rung in the eventfds. */
void device_doorbells_gate(struct ferry_device *device);
/* Forgets what was rung (a reset). */
void device_doorbells_drain(struct ferry_device *device);
/* The user is gone. */
void device_doorbells_close(struct ferry_device *device);

#endif
