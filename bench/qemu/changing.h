/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef FERRY_BENCH_QEMU_CHANGING_H
#define FERRY_BENCH_QEMU_CHANGING_H

#include <stddef.h>
#include <stdint.h>

#include "ferry/device.h"

/*
 * A device that is mostly state: units of bytes, of which a share changes each second
 * while it runs, and which are given as records of a 16-byte head (number, length) and
 * the unit's bytes, in pre-copy those that have changed. Without pre-copy it is one unit.
 * A page of registers in BAR0: each answers reads with the number of writes to them.
 */
#define CHANGING_UNIT_BYTES (256u << 10)

struct changing;

/* Memory of the device is touched. percent_per_s: 0 to 100. flags: FERRY_MIG_*. */
struct changing *changing_create(size_t bytes, uint32_t percent_per_s, uint32_t flags);
/* ret_desc: describes it; state and operations are the device's. */
void changing_describe(struct changing *changing, struct ferry_device_desc *ret_desc);

#endif
