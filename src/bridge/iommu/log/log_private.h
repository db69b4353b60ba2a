/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef FERRY_BRIDGE_IOMMU_LOG_PRIVATE_H
#define FERRY_BRIDGE_IOMMU_LOG_PRIVATE_H

#include <stdint.h>

#include "bridge/iommu/log/log.h"
#include "core/dirty.h"

/*
 * Unmaps [iova, iova + size) at the device's server, without losing what it wrote there:
 * nothing is written between the last look into its log and the end of the map where the
 * server tells both at once, and no report comes in between. Return: the status of the
 * unmap.
 */
int bridge_log_unmap(struct bridge_device *device, uint64_t iova, uint64_t size);

/* A log that ran when the connection died starts again, now that the maps are back.
 * Return: 0; -errno. Later calls try again. */
int bridge_log_wake(struct bridge_log *log);

struct log_pages;

/* The device is about to leave: what was kept of its log, and everything that its server
 * cannot be asked of any more, goes to `pages`. The log runs on. */
void bridge_log_hand_over(struct bridge_log *log, struct log_pages *pages);

/* Sets the bits of what is marked in the range; take: and forgets it. */
void log_pages_tell(struct log_pages *pages, uint64_t iova, uint64_t length,
                    uint64_t page_size, void *bitmap, int take);

/* --- pages that were written, kept here (log_pages.c). Not thread safe. */

/* Pages are kept in chunks of 64 MiB, each a map of its own of 2 KiB: 2 TiB at most,
 * which take 72 MiB. */
#define LOG_CHUNK_SHIFT 26u
#define LOG_CHUNK_PAGES (1u << (LOG_CHUNK_SHIFT - 12))
#define LOG_CHUNKS_MAX 32768u
/* Ranges that count as written throughout. */
#define LOG_SPANS_MAX 256u

struct log_span {
    uint64_t first, last; /* IOVAs, both inside */
};

struct log_chunk {
    uint64_t index; /* IOVA >> LOG_CHUNK_SHIFT */
    struct ferry_dirty dirty;
};

struct log_pages {
    struct log_chunk **chunk; /* sorted */
    uint32_t count, cap;
    uint32_t span_count;
    struct log_span span[LOG_SPANS_MAX]; /* sorted; they do not touch */
};

/* What a walk does with a run of written bytes. */
typedef void (*log_visitor)(void *user, uint64_t iova, uint64_t size);

/* [iova, iova + size), multiples of 4096. What there is no memory for becomes a span. */
void log_pages_add(struct log_pages *pages, uint64_t iova, uint64_t size);
/* Marks the whole range. When there are too many ranges, also what lies between two. */
void log_pages_add_span(struct log_pages *pages, uint64_t first, uint64_t last);
/* Visits what is marked in the range; take: and forgets it. Runs may come twice. */
void log_pages_visit(struct log_pages *pages, uint64_t iova, uint64_t size, int take,
                     log_visitor visit, void *user);
void log_pages_clear(struct log_pages *pages);

#endif
