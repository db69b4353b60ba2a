/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef FERRY_DEVICE_DMA_DMALOG_H
#define FERRY_DEVICE_DMA_DMALOG_H

#include <stdint.h>

#include "device/dma/dma.h"
#include "link/request.h"

/*
 * Pages of all maps that are logged together: 16 TiB of user memory, which takes 520 MiB
 * of marks. A map without a descriptor costs its user nothing, however large it is.
 */
#define DEVICE_LOG_PAGES_MAX (1ull << 32)

/*
 * The dirty log. Writes mark pages of 4096 bytes in the log of their map; the ranges
 * given at START are applied when the log is read. Thread: the device's.
 */
struct device_dmalog {
    uint32_t on;
    uint32_t range_count;
    uint32_t ranges_max; /* of the description: more are combined */
    uint32_t pad;
    struct ferry_range range[FERRY_LOG_RANGES_MAX]; /* sorted; count 0: everything */
};

/* FERRY_RQ_LOG_START, _STOP, _REPORT, _RUNS (runs.c). */
int device_log_start(struct ferry_device *device, struct ferry_request *request);
int device_log_stop(struct ferry_device *device, struct ferry_request *request);
int device_log_report(struct ferry_device *device, struct ferry_request *request);
int device_log_runs(struct ferry_device *device, struct ferry_request *request);

/*
 * Starts the log of a map that is about to get into the table, while the log is on.
 * Return: FERRY_OK, FERRY_E_LIMIT (too many pages with those of the table),
 * FERRY_E_MEMORY.
 */
int device_log_map(struct ferry_device *device, struct device_map *map,
                   struct ferry_error *reterr);
/* Ends the log of a map; its memory goes at once, or later when segments are out. */
void device_log_unmap(struct device_map *map);
/* Frees its memory, whoever may still mark. */
void device_log_free(struct device_map *map);

/*
 * What a report wants: is it well formed?
 * Return: FERRY_OK; FERRY_E_NOT_FOUND (the log is not on), FERRY_E_ARGUMENT (page size,
 * no length), FERRY_E_ALIGN, FERRY_E_RANGE (overflow), FERRY_E_CAPACITY (bitmap too
 * small).
 */
int device_log_check(const struct ferry_device *device,
                     const struct ferry_log_report *report, struct ferry_error *reterr);
/* The same without a bitmap. */
int device_log_check_range(const struct ferry_device *device, uint64_t iova,
                           uint64_t length, uint64_t page_size,
                           struct ferry_error *reterr);
/* Moves what is marked in the report's range into its bitmap. */
void device_log_harvest(struct ferry_device *device, struct ferry_log_report *report);

/*
 * One piece of a report: what lies in one map and is logged. map_iova: of the map's first
 * page. [from, to): IOVAs inside the map, multiples of 4096. Return: 1 when it has
 * enough.
 */
typedef int (*device_log_visitor)(void *user, struct ferry_dirty *dirty,
                                  uint64_t map_iova, uint64_t from, uint64_t to);
/* All pieces of [iova, iova + length), ascending. */
void device_log_visit(struct ferry_device *device, uint64_t iova, uint64_t length,
                      device_log_visitor visit, void *user);

#endif
