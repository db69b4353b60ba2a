/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef FERRY_BRIDGE_IOMMU_LOG_QUERY_H
#define FERRY_BRIDGE_IOMMU_LOG_QUERY_H

#include <pthread.h>
#include <stdatomic.h>

#include "base/bitmap.h"
#include "bridge/device/device.h"
#include "bridge/iommu/log/log_private.h"

/* What servers are asked about what they logged, always in pages of 4096 bytes. */

#define LOG_PAGE_BYTES 4096u
#define LOG_BUFFER_BYTES_MAX (64u << 10)
#define LOG_FLAT_BYTES_MAX (1u << 20)   /* 32 GiB in one bitmap */
#define LOG_BUFFER_BYTES_MIN 16u        /* one run */
#define LOG_REPLY_EXTRA_BYTES 64u       /* a reply carries that much besides */
#define LOG_UNMAP_BITMAP_MAX (8u << 20) /* 256 GiB of pages */

struct bridge_log {
    struct bridge_device *device;
    pthread_mutex_t lock; /* all but the atomics */
    atomic_uint running;
    atomic_uint lost;    /* the server may know of no log any more */
    uint32_t generation; /* the connection on which it was started */
    uint32_t asked, asked_generation, possible;
    uint32_t flat; /* the server knows no runs */
    uint64_t page_size;
    uint32_t range_count; /* 0: everything */
    uint32_t buffer_bytes;
    struct ferry_range range[FERRY_LOG_RANGES_MAX];
    uint64_t *buffer; /* for one answer; while it runs */
    struct log_pages pages;
    /* Written by messages, taken into `pages` when somebody asks. The lock of its own is
     * the last of all: who serves a message may not wait for a server. */
    pthread_mutex_t told_lock;
    struct log_pages told;
};

int log_dead(const struct bridge_log *log);
/* What messages wrote in the range is in `pages` from now on; the log's lock is held. */
void log_take_told(struct bridge_log *log, uint64_t iova, uint64_t length);
/*
 * Makes sure that the server logs, before it is asked anything: a new connection knows of
 * no log, and what the old one knew is lost and counts as written. The log runs, its lock
 * is held. Return: 0; -errno.
 */
int log_wake(struct bridge_log *log);

/* What was written in the range, run by run. Return: a status; what was visited before
 * a failure is gone from the server's log. */
int log_query(struct bridge_log *log, uint64_t iova, uint64_t length, log_visitor visit,
              void *user);

/*
 * Unmaps with a server that tells of the written pages in the same step.
 * Return: 1 and *ret_status; 0 when this cannot be asked of it: nothing was done.
 */
int log_unmap_told(struct bridge_log *log, uint64_t iova, uint64_t size,
                   log_visitor visit, void *user, int *ret_status);
/* Return: a status. */
int log_unmap_plain(struct bridge_device *device, uint64_t iova, uint64_t size);

#endif
