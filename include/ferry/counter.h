/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef FERRY_COUNTER_H
#define FERRY_COUNTER_H

#include <stdint.h>

/*
 * What a device counts: frames, bytes, what was lost. Each has a name, and a queue when
 * the device has several that count the same. They are the device's own figures, for
 * people: nothing of them is carried unless the device does so in its state.
 */
#define FERRY_COUNTERS_MAX 128u
#define FERRY_COUNTER_NAME_BYTES 24u    /* with the 0 behind it */
#define FERRY_COUNTER_DEVICE UINT32_MAX /* queue: of the whole device */

struct ferry_counter {
    char name[FERRY_COUNTER_NAME_BYTES]; /* small letters, digits and _ */
    uint32_t queue;
    uint32_t pad;
    uint64_t value;
};

#endif
