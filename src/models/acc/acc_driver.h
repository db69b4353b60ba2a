/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef FERRY_MODELS_ACC_ACC_DRIVER_H
#define FERRY_MODELS_ACC_ACC_DRIVER_H

#include <stddef.h>
#include <stdint.h>

#include "ferry/device.h"
#include "models/acc/acc_hw.h"

/*
 * The variant driver of `acc`: arcs and the data stream, carried out by nothing but
 * acc_hw_read() and acc_hw_write(). The stream is the match data (what the target must
 * be) and then the state; docs/models/acc.md has the bytes.
 *
 * Thread: the device's.
 */
struct acc_driver {
    struct acc_hw *hw;     /* borrowed */
    uint8_t *stream;       /* the whole stream: match data, then the state */
    uint64_t stream_bytes; /* its length (saving), or how much of it came (loading) */
    uint64_t stream_cap;
    uint64_t off;        /* next byte to save */
    int32_t load_status; /* the first thing that was wrong, or FERRY_OK */
    uint32_t pad;
};

void acc_driver_init(struct acc_driver *driver, struct acc_hw *hw);

/* Wipes and frees what a session holds. */
void acc_driver_end(struct acc_driver *driver);

/* The operations of the device; see struct ferry_device_ops. */
void acc_driver_reset(struct acc_driver *driver, enum ferry_reset_reason reason);
int acc_driver_arc(struct acc_driver *driver, uint32_t from, uint32_t to);
int acc_driver_save(struct acc_driver *driver, int final, void *ret_data, size_t cap);
int acc_driver_load(struct acc_driver *driver, const void *data, size_t count);
uint64_t acc_driver_initial_bytes(const struct acc_driver *driver);
/* state: the device's. Never 0. */
uint64_t acc_driver_data_size(const struct acc_driver *driver, uint32_t state);

#endif
