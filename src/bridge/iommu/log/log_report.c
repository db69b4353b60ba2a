/* SPDX-License-Identifier: BSD-3-Clause */
#include <errno.h>

#include "base/range.h"
#include "bridge/device/link.h"
#include "bridge/iommu/log/log_query.h"
#include "bridge/say.h"

/*
 * A device's log. Its lock is held while the server is asked: what the server told and
 * forgot is in nobody's hands until it has been taken in, and a report in between would
 * miss it. Nobody who serves DMA messages, and nobody who hears of a connection's death,
 * takes the lock.
 */

static void to_pages(void *user, uint64_t iova, uint64_t size)
{
    struct bridge_log *log = user;

    log_pages_add(&log->pages, iova, size);
}

/*
 * Takes the server's log of a range into the pages kept here. One that the server has
 * stopped (a reset may do that) is started again. What a failure lost counts as written.
 */
static int fetch(struct bridge_log *log, uint64_t iova, uint64_t length,
                 log_visitor visit, void *user)
{
    int rc = log_wake(log);
    int status;

    if (rc < 0) {
        return rc;
    }
    status = log_query(log, iova, length, visit, user);
    if (status == FERRY_E_NOT_FOUND && !log_dead(log)) {
        atomic_store(&log->lost, 1);
        return log_wake(log);
    }
    return status == FERRY_OK ? 0 : bridge_errno(status);
}

void log_take_told(struct bridge_log *log, uint64_t iova, uint64_t length)
{
    (void)pthread_mutex_lock(&log->told_lock);
    log_pages_visit(&log->told, iova, length, 1, to_pages, log);
    (void)pthread_mutex_unlock(&log->told_lock);
}

void bridge_log_told(struct bridge_log *log, uint64_t iova, uint64_t size)
{
    const uint64_t first = iova & ~(uint64_t)(LOG_PAGE_BYTES - 1);
    const uint64_t last = (iova + (size - 1)) | (LOG_PAGE_BYTES - 1);

    /* A log that starts now is of no use to the VMM before the call returns, and the
     * bytes are there already. */
    if (log == NULL || size == 0 || !atomic_load(&log->running)) {
        return;
    }
    (void)pthread_mutex_lock(&log->told_lock);
    log_pages_add(&log->told, first, last - first + 1);
    (void)pthread_mutex_unlock(&log->told_lock);
}

/* The VMM's bitmap. */
struct bitmap {
    uint64_t iova, length, page_size;
    void *bits;
};

static void to_bitmap(void *user, uint64_t iova, uint64_t size)
{
    const struct bitmap *bitmap = user;
    uint64_t from = iova > bitmap->iova ? iova - bitmap->iova : 0;
    uint64_t to = iova + (size - 1) - bitmap->iova;

    if (to >= bitmap->length) {
        to = bitmap->length - 1;
    }
    from /= bitmap->page_size;
    to /= bitmap->page_size;
    ferry_bitmap_set_range(bitmap->bits, from, to - from + 1);
}

void log_pages_tell(struct log_pages *pages, uint64_t iova, uint64_t length,
                    uint64_t page_size, void *bits, int take)
{
    struct bitmap bitmap = {
        .iova = iova, .length = length, .page_size = page_size, .bits = bits
    };

    log_pages_visit(pages, iova, length, take, to_bitmap, &bitmap);
}

static int report(struct bridge_log *log, struct bitmap *bitmap, int clear)
{
    int rc;

    if (!atomic_load(&log->running)) {
        return -EINVAL;
    }
    if (clear) {
        rc = fetch(log, bitmap->iova, bitmap->length, to_bitmap, bitmap);
    } else {
        rc = fetch(log, bitmap->iova, bitmap->length, to_pages, log);
    }
    if (rc < 0) {
        /* The VMM throws this bitmap away. */
        log_pages_add_span(&log->pages, bitmap->iova,
                           bitmap->iova + (bitmap->length - 1));
        return rc;
    }
    log_take_told(log, bitmap->iova, bitmap->length);
    log_pages_tell(&log->pages, bitmap->iova, bitmap->length, bitmap->page_size,
                   bitmap->bits, clear);
    return 0;
}

int bridge_log_report(struct bridge_log *log, uint64_t iova, uint64_t length,
                      uint64_t page_size, void *ret_bitmap, int clear)
{
    struct bitmap bitmap = {
        .iova = iova, .length = length, .page_size = page_size, .bits = ret_bitmap
    };
    uint64_t end;
    int rc;

    if (log == NULL || !ferry_is_power_of_2(page_size) || page_size < LOG_PAGE_BYTES ||
        length == 0 || !ferry_range_aligned(iova, LOG_PAGE_BYTES) ||
        !ferry_range_aligned(length, page_size)) {
        return -EINVAL;
    }
    if (!ferry_range_add(iova, length, &end)) {
        return -EOVERFLOW;
    }
    if (ret_bitmap == NULL) {
        return -EFAULT;
    }
    (void)pthread_mutex_lock(&log->lock);
    rc = report(log, &bitmap, clear);
    (void)pthread_mutex_unlock(&log->lock);
    return rc;
}

static int harvest(struct bridge_log *log, uint64_t iova, uint64_t length)
{
    const int rc = fetch(log, iova, length, to_pages, log);

    if (rc < 0) {
        log_pages_add_span(&log->pages, iova, iova + (length - 1));
    }
    return rc;
}

int bridge_log_harvest(struct bridge_log *log, uint64_t iova, uint64_t length)
{
    int rc = 0;

    if (log == NULL || length == 0) {
        return 0;
    }
    (void)pthread_mutex_lock(&log->lock);
    if (atomic_load(&log->running)) {
        rc = harvest(log, iova, length);
    }
    (void)pthread_mutex_unlock(&log->lock);
    return rc;
}

static int unmap(struct bridge_log *log, uint64_t iova, uint64_t size)
{
    int status;

    if (log_wake(log) == 0 && log_unmap_told(log, iova, size, to_pages, log, &status)) {
        return status;
    }
    (void)harvest(log, iova, size);
    return log_unmap_plain(log->device, iova, size);
}

int bridge_log_unmap(struct bridge_device *device, uint64_t iova, uint64_t size)
{
    struct bridge_log *log = device->log;
    int status;

    if (log == NULL) {
        return log_unmap_plain(device, iova, size);
    }
    (void)pthread_mutex_lock(&log->lock);
    if (!atomic_load(&log->running)) {
        (void)pthread_mutex_unlock(&log->lock);
        return log_unmap_plain(device, iova, size);
    }
    status = unmap(log, iova, size);
    (void)pthread_mutex_unlock(&log->lock);
    return status;
}
