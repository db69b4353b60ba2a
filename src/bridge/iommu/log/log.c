/* SPDX-License-Identifier: BSD-3-Clause */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/range.h"
#include "bridge/device/link.h"
#include "bridge/iommu/log/log_query.h"
#include "bridge/say.h"

/* A device's log: whether its server logs, since when, and again after a loss. */

/* Where the whole address space has no name: everything that a VMM maps. */
#define WHOLE_BYTES (1ull << 63)

int bridge_log_create(struct bridge_device *device)
{
    struct bridge_log *log = calloc(1, sizeof(*log));

    if (log == NULL) {
        return -ENOMEM;
    }
    log->device = device;
    (void)pthread_mutex_init(&log->lock, NULL);
    (void)pthread_mutex_init(&log->told_lock, NULL);
    device->log = log;
    return 0;
}

static void forget(struct bridge_log *log)
{
    log_pages_clear(&log->pages);
    free(log->buffer);
    log->buffer = NULL;
    atomic_store(&log->running, 0);
    atomic_store(&log->lost, 0);
    (void)pthread_mutex_lock(&log->told_lock);
    log_pages_clear(&log->told);
    (void)pthread_mutex_unlock(&log->told_lock);
}

void bridge_log_destroy(struct bridge_device *device)
{
    struct bridge_log *log = device->log;

    if (log == NULL) {
        return;
    }
    device->log = NULL;
    forget(log);
    (void)pthread_mutex_destroy(&log->told_lock);
    (void)pthread_mutex_destroy(&log->lock);
    free(log);
}

int log_dead(const struct bridge_log *log)
{
    return log->device->link == NULL || bridge_link_dead(log->device->link);
}

static int has_feature(struct bridge_log *log, uint32_t index, uint32_t operation)
{
    struct ferry_request request = {
        .kind = FERRY_RQ_PROBE,
        .u.probe = { .index = index, .operation = operation },
    };

    return bridge_link_call(log->device->link, &request) == FERRY_OK;
}

int bridge_log_possible(struct bridge_log *log)
{
    enum { FEATURE_LOG_START = 6, FEATURE_LOG_REPORT = 8 };
    uint32_t generation;
    uint32_t possible;

    if (log == NULL || log->device->link == NULL) {
        return 0;
    }
    (void)pthread_mutex_lock(&log->lock);
    generation = bridge_link_generation(log->device->link);
    if (!log->asked || log->asked_generation != generation) {
        log->possible = has_feature(log, FEATURE_LOG_START, FERRY_FEATURE_SET) &&
                        has_feature(log, FEATURE_LOG_REPORT, FERRY_FEATURE_GET);
        /* A server that died meanwhile has not said no. */
        log->asked = !log_dead(log);
        log->asked_generation = generation;
    }
    possible = log->possible;
    (void)pthread_mutex_unlock(&log->lock);
    return possible != 0;
}

static int start_with(struct bridge_log *log, const struct ferry_range *range,
                      uint32_t count)
{
    struct ferry_request request = {
        .kind = FERRY_RQ_LOG_START,
        .u.log_start = { .page_size = log->page_size,
                         .range_count = count,
                         .range = range },
    };

    return bridge_link_call(log->device->link, &request);
}

/* Return: a status. */
static int start_at_server(struct bridge_log *log)
{
    static const struct ferry_range whole = { .off = 0, .size = WHOLE_BYTES };
    int status;

    if (log->range_count > 0) {
        return start_with(log, log->range, log->range_count);
    }
    status = start_with(log, NULL, 0);
    /* "No range" is not "all" for every server. */
    if (status != FERRY_OK && status != FERRY_E_BUSY && !log_dead(log)) {
        status = start_with(log, &whole, 1);
    }
    return status;
}

static void stop_at_server(struct bridge_log *log)
{
    struct ferry_request request = { .kind = FERRY_RQ_LOG_STOP };

    if (!log_dead(log)) {
        (void)bridge_link_call(log->device->link, &request);
    }
}

/* Everything that the log covers counts as written. */
static void mark_all(struct bridge_log *log)
{
    if (log->range_count == 0) {
        log_pages_add_span(&log->pages, 0, UINT64_MAX);
    }
    for (uint32_t i = 0; i < log->range_count; i++) {
        const struct ferry_range *range = &log->range[i];

        log_pages_add_span(&log->pages, range->off, range->off + range->size - 1);
    }
}

int log_wake(struct bridge_log *log)
{
    const struct bridge_link *link = log->device->link;
    const uint32_t generation = link != NULL ? bridge_link_generation(link) : 0;
    int status;

    if (atomic_load(&log->lost) == 0 && generation == log->generation) {
        return log_dead(log) ? -EIO : 0;
    }
    mark_all(log);
    atomic_store(&log->lost, 1);
    if (log_dead(log)) {
        return -EIO;
    }
    /* Before the request: a connection that dies of it sets it again. */
    atomic_store(&log->lost, 0);
    status = start_at_server(log);
    if (status != FERRY_OK && status != FERRY_E_BUSY && !log_dead(log)) {
        /* It may run still, and not every server says so by BUSY. */
        stop_at_server(log);
        status = start_at_server(log);
    }
    if (status != FERRY_OK && status != FERRY_E_BUSY) {
        atomic_store(&log->lost, 1);
        return bridge_errno(status);
    }
    log->generation = generation;
    return 0;
}

int bridge_log_wake(struct bridge_log *log)
{
    int rc = 0;

    if (log == NULL) {
        return 0;
    }
    (void)pthread_mutex_lock(&log->lock);
    if (atomic_load(&log->running)) {
        rc = log_wake(log);
    }
    (void)pthread_mutex_unlock(&log->lock);
    return rc;
}

static int check_start(uint64_t page_size, const struct ferry_range *range,
                       uint32_t count)
{
    uint64_t end;

    if (count > FERRY_LOG_RANGES_MAX) {
        return -E2BIG;
    }
    if (!ferry_is_power_of_2(page_size) || page_size < LOG_PAGE_BYTES) {
        return -EINVAL;
    }
    for (uint32_t i = 0; i < count; i++) {
        if (range[i].size == 0 ||
            !ferry_range_aligned(range[i].off | range[i].size, page_size)) {
            return -EINVAL;
        }
        if (!ferry_range_add(range[i].off, range[i].size, &end)) {
            return -EOVERFLOW;
        }
        for (uint32_t j = 0; j < i; j++) {
            if (ferry_range_overlaps(range[i].off, range[i].size, range[j].off,
                                     range[j].size)) {
                return -EINVAL;
            }
        }
    }
    return 0;
}

/* Room for one answer of the server: no more than it may send at once. */
static int make_buffer(struct bridge_log *log)
{
    const uint32_t most = bridge_link_max_data(log->device->link);
    uint32_t bytes = LOG_BUFFER_BYTES_MIN;

    if (most > LOG_REPLY_EXTRA_BYTES + LOG_BUFFER_BYTES_MIN) {
        bytes = (most - LOG_REPLY_EXTRA_BYTES) & ~(LOG_BUFFER_BYTES_MIN - 1);
    }
    log->buffer_bytes = bytes < LOG_BUFFER_BYTES_MAX ? bytes : LOG_BUFFER_BYTES_MAX;
    log->buffer = malloc(log->buffer_bytes);
    return log->buffer != NULL ? 0 : -ENOMEM;
}

static int start(struct bridge_log *log, uint64_t page_size,
                 const struct ferry_range *range, uint32_t count)
{
    int status;
    int rc;

    if (atomic_load(&log->running)) {
        return -EBUSY;
    }
    if (log_dead(log)) {
        return -EIO;
    }
    rc = make_buffer(log);
    if (rc < 0) {
        return rc;
    }
    log->page_size = page_size;
    log->range_count = count;
    if (count > 0) {
        memcpy(log->range, range, count * sizeof(*range));
    }
    log->flat = 0;
    log->generation = bridge_link_generation(log->device->link);
    atomic_store(&log->lost, 0);
    status = start_at_server(log);
    if (status != FERRY_OK) {
        forget(log);
        return bridge_errno(status);
    }
    atomic_store(&log->running, 1);
    return 0;
}

int bridge_log_start(struct bridge_log *log, uint64_t page_size,
                     const struct ferry_range *range, uint32_t range_count)
{
    int rc = log == NULL ? -EINVAL : check_start(page_size, range, range_count);

    if (rc < 0) {
        return rc;
    }
    (void)pthread_mutex_lock(&log->lock);
    rc = start(log, page_size, range, range_count);
    (void)pthread_mutex_unlock(&log->lock);
    return rc;
}

int bridge_log_stop(struct bridge_log *log)
{
    if (log == NULL) {
        return 0;
    }
    (void)pthread_mutex_lock(&log->lock);
    if (atomic_load(&log->running)) {
        /* The VMM is through with it, whatever the server says: it may have died. */
        stop_at_server(log);
        forget(log);
    }
    (void)pthread_mutex_unlock(&log->lock);
    return 0;
}

static void to_others(void *user, uint64_t iova, uint64_t size)
{
    struct log_pages *pages = user;

    /* A span takes no memory for each of its pages. */
    if (size >= 1ull << LOG_CHUNK_SHIFT) {
        log_pages_add_span(pages, iova, iova + (size - 1));
    } else {
        log_pages_add(pages, iova, size);
    }
}

void bridge_log_hand_over(struct bridge_log *log, struct log_pages *pages)
{
    if (log == NULL) {
        return;
    }
    (void)pthread_mutex_lock(&log->lock);
    if (atomic_load(&log->running)) {
        if (log_wake(log) < 0) {
            mark_all(log);
        }
        log_take_told(log, 0, UINT64_MAX);
        log_pages_visit(&log->pages, 0, UINT64_MAX, 1, to_others, pages);
    }
    (void)pthread_mutex_unlock(&log->lock);
}

int bridge_log_running(struct bridge_log *log)
{
    return log != NULL && atomic_load(&log->running) != 0;
}

void bridge_log_lost(struct bridge_log *log)
{
    if (log != NULL) {
        atomic_store(&log->lost, 1);
    }
}
