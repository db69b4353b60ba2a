/* SPDX-License-Identifier: BSD-3-Clause */
#include <errno.h>
#include <stddef.h>
#include "bridge/iommu/log.h"

int bridge_log_create(struct bridge_device *device)
{
    (void)device;
    return -ENOSYS;
}

void bridge_log_destroy(struct bridge_device *device)
{
    (void)device;
}

int bridge_log_possible(struct bridge_log *log)
{
    (void)log;
    return -ENOSYS;
}

int bridge_log_start(struct bridge_log *log, uint64_t page_size,
                     const struct ferry_range *range, uint32_t range_count)
{
    (void)log;
    (void)page_size;
    (void)range;
    (void)range_count;
    return -ENOSYS;
}

int bridge_log_stop(struct bridge_log *log)
{
    (void)log;
    return -ENOSYS;
}

int bridge_log_running(struct bridge_log *log)
{
    (void)log;
    return -ENOSYS;
}

int bridge_log_report(struct bridge_log *log, uint64_t iova, uint64_t length,
                      uint64_t page_size, void *bitmap, int clear)
{
    (void)log;
    (void)iova;
    (void)length;
    (void)page_size;
    (void)bitmap;
    (void)clear;
    return -ENOSYS;
}

int bridge_log_harvest(struct bridge_log *log, uint64_t iova, uint64_t length)
{
    (void)log;
    (void)iova;
    (void)length;
    return -ENOSYS;
}

void bridge_log_lost(struct bridge_log *log)
{
    (void)log;
}
