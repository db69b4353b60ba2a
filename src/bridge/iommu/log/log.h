/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef FERRY_BRIDGE_IOMMU_LOG_H
#define FERRY_BRIDGE_IOMMU_LOG_H

#include "link/request.h"

struct bridge_device;

/*
 * The pages that a device wrote: its server's log, and what was harvested from it before
 * an unmap, which would make the server forget. Used by the device's own logging features
 * and by the IOMMU's dirty tracking. Thread: any; lock of its own.
 */
struct bridge_log;

int bridge_log_create(struct bridge_device *device); /* sets device->log; at BIND */
void bridge_log_destroy(struct bridge_device *device);

/* Does the server log? Asked once for each connection. */
int bridge_log_possible(struct bridge_log *log);
/* range_count 0: the whole address space. Starting twice: -EBUSY (-EALREADY is not). */
int bridge_log_start(struct bridge_log *log, uint64_t page_size,
                     const struct ferry_range *range, uint32_t range_count);
int bridge_log_stop(struct bridge_log *log);
int bridge_log_running(struct bridge_log *log);
/* Sets bits (a page each of page_size, first page at iova) for what was written since;
 * clear 0 leaves them for the next report. Cost grows with what was written, where the
 * server has sparse reports. bitmap: bits are only set. */
int bridge_log_report(struct bridge_log *log, uint64_t iova, uint64_t length,
                      uint64_t page_size, void *bitmap, int clear);
/* Keeps what the server knows of a range that is about to be unmapped. */
int bridge_log_harvest(struct bridge_log *log, uint64_t iova, uint64_t length);
/*
 * The device wrote these bytes by a DMA message: it is the client who does that write, so
 * not every server logs it. After the bytes are there, before the reply. Thread: any, no
 * waits.
 */
void bridge_log_told(struct bridge_log *log, uint64_t iova, uint64_t size);
/* The connection died or came back: a log that ran is started again and everything in
 * its ranges counts as written. */
void bridge_log_lost(struct bridge_log *log);

#endif
