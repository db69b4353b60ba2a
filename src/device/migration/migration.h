/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef FERRY_DEVICE_MIGRATION_MIGRATION_H
#define FERRY_DEVICE_MIGRATION_MIGRATION_H

#include <stdint.h>

#include "ferry/device.h"
#include "link/endpoint.h"

/* The device state and the arcs between states. Thread: the device's. */

enum device_arc_phase {
    DEVICE_ARC_NONE = 0,
    DEVICE_ARC_CALLED,  /* inside the author's arc() */
    DEVICE_ARC_AUTHOR,  /* waits for ferry_device_arc_done() */
    DEVICE_ARC_SEGMENTS /* waits until every segment is put back */
};

struct device_migration {
    uint32_t state;  /* enum ferry_state; written by one function only */
    uint32_t phase;  /* enum device_arc_phase */
    uint32_t to;     /* the arc under way ends here */
    uint32_t wanted; /* the SET wants this */
    uint32_t has_result;
    int32_t result;                /* ferry_device_arc_done()'s */
    struct ferry_request *request; /* the SET that is pending */
};

/* FERRY_RQ_MIG_FLAGS to _SET_STATE and the data requests. */
int device_mig_flags(struct ferry_device *device, struct ferry_request *request);
int device_mig_get(struct ferry_device *device, struct ferry_request *request);
int device_mig_set(struct ferry_device *device, struct ferry_request *request);
int device_mig_size(struct ferry_device *device, struct ferry_request *request);
int device_mig_precopy(struct ferry_device *device, struct ferry_request *request);
int device_mig_read(struct ferry_device *device, struct ferry_request *request);
int device_mig_write(struct ferry_device *device, struct ferry_request *request);
/* ferry_endpoint_ops.place. */
int device_mig_place(struct ferry_device *device, uint64_t most,
                     struct ferry_data_place *ret_place);

/* Goes on with an arc that has become ready; completes the SET when its path is done. */
void device_mig_poll(struct ferry_device *device);
/* RUNNING, no session, no latched doorbell; a pending SET ends with `why`. */
void device_mig_reset(struct ferry_device *device, int why);
/* 1 while an arc is under way. */
int device_mig_pending(const struct ferry_device *device);

#endif
