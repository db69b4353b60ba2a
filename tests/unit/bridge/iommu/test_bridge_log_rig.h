/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef TEST_BRIDGE_LOG_RIG_H
#define TEST_BRIDGE_LOG_RIG_H

#include "test_bridge_iommu_rig.h"

/* Two devices whose written pages are asked for. */

#define RAM ((void *)(uintptr_t)0x10000000)
#define MEMORY_PAGES 256u
#define MEMORY_BYTES (MEMORY_PAGES * PAGE)

/* Of the devices; hwpt is tracked. */
extern uint32_t ioas, hwpt;

/* Two devices in a tracked table; some memory at 0, of which servers have a file. */
int rig_log_start(void **state);

/* Takes all of it down. */
int rig_log_stop(void **state);

/* How many pages of the range are told; *ret_first: the first of them. */
uint64_t rig_log_report(uint64_t iova, uint64_t length, uint32_t flags,
                        uint64_t *ret_first);

/* A write that comes as the map goes: after the last look into a log without the flag of
 * the unmap, it would be lost. */
void rig_write_inside(struct rig *rig, uint64_t iova, uint64_t size);

#endif
