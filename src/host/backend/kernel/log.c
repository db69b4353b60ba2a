/* SPDX-License-Identifier: BSD-3-Clause */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/bitmap.h"
#include "base/range.h"
#include "host/backend/kernel/inside.h"

/*
 * Which pages the device writes: it says so itself (DMA logging), or its IOMMU does, or
 * nobody, and then all count as written.
 */

#define PAGE_BYTES 4096u
/* What a log is tried with; nothing is mapped yet. */
#define TRIAL_BYTES (2u << 20)

static int stop_log(struct backend_kernel *kernel, uint64_t deadline_ns)
{
    return kernel_feature(kernel, UAPI_LOG_STOP | UAPI_FEATURE_SET, NULL, 0, deadline_ns);
}

/* Return: the page size that the device took, or -errno. */
static int64_t start_log(struct backend_kernel *kernel, uint64_t page_size,
                         const struct uapi_log_range *range, uint32_t count,
                         uint64_t deadline_ns)
{
    struct uapi_log_start start = { .page_size = page_size,
                                    .ranges = count,
                                    .range = (uintptr_t)range };
    const int rc = kernel_feature(kernel, UAPI_LOG_START | UAPI_FEATURE_SET, &start,
                                  sizeof(start), deadline_ns);

    if (rc < 0) {
        return rc;
    }
    return start.page_size <= INT64_MAX ? (int64_t)start.page_size : -EPROTO;
}

static int report_log(struct backend_kernel *kernel, const struct ferry_log_report *asked,
                      void *bitmap, uint64_t deadline_ns)
{
    struct uapi_log_report report = { .iova = asked->iova,
                                      .length = asked->length,
                                      .page_size = asked->page_size,
                                      .bitmap = (uintptr_t)bitmap };

    return kernel_feature(kernel, UAPI_LOG_REPORT | UAPI_FEATURE_GET, &report,
                          sizeof(report), deadline_ns);
}

/* --- which one --- */

/*
 * Kernels that were built without IOMMUFD start a log and cannot report it, whatever the
 * driver: so all three are tried. Return: FERRY_OK; else why not.
 */
static int try_device_log(struct backend_kernel *kernel, struct ferry_error *reterr)
{
    const struct uapi_log_range range = { .iova = 0, .length = TRIAL_BYTES };
    const struct ferry_log_report asked = { .length = TRIAL_BYTES,
                                            .page_size = PAGE_BYTES };
    uint64_t bitmap[TRIAL_BYTES / PAGE_BYTES / 64] = { 0 };
    const int64_t started = start_log(kernel, PAGE_BYTES, &range, 1, 0);
    int reported, stopped;

    if (started < 0) {
        return kernel_refusal(reterr, (int)started, "DMA_LOGGING_START");
    }
    reported = report_log(kernel, &asked, bitmap, 0);
    stopped = stop_log(kernel, 0);
    if (reported == -EOPNOTSUPP) {
        return ferry_error_set(reterr, FERRY_E_UNSUPPORTED, KERNEL_LAYER, NULL, 0,
                               "this kernel starts a log but cannot report it: it was "
                               "built without CONFIG_IOMMUFD");
    }
    if (reported < 0) {
        return kernel_refusal(reterr, reported, "DMA_LOGGING_REPORT");
    }
    return stopped < 0 ? kernel_refusal(reterr, stopped, "DMA_LOGGING_STOP") : FERRY_OK;
}

static int can_iommu(const struct backend_kernel *kernel)
{
    return kernel->iommu != NULL && kernel->iommu->can_track;
}

int kernel_find_dirty(struct backend_kernel *kernel, struct ferry_error *reterr)
{
    const enum kernel_dirty wanted = kernel->dirty;
    struct ferry_error why = { 0 };

    if (wanted == KERNEL_DIRTY_BEST || wanted == KERNEL_DIRTY_DEVICE) {
        if (try_device_log(kernel, &why) == FERRY_OK) {
            kernel->dirty = KERNEL_DIRTY_DEVICE;
            return FERRY_OK;
        }
        if (wanted == KERNEL_DIRTY_DEVICE) {
            return ferry_error_set(reterr, FERRY_E_UNSUPPORTED, KERNEL_LAYER, NULL, 0,
                                   "dirty=device: the device cannot log its writes: "
                                   "%.120s (dirty=iommu or dirty=none goes without)",
                                   why.text);
        }
    }
    if (wanted == KERNEL_DIRTY_IOMMU && !can_iommu(kernel)) {
        if (kernel->iommu != NULL) {
            (void)kernel->iommu->ops->track(kernel->iommu, 1, &why);
        }
        return ferry_error_set(reterr, FERRY_E_UNSUPPORTED, KERNEL_LAYER, NULL, 0,
                               "dirty=iommu: %.160s (dirty=none goes without)",
                               kernel->iommu != NULL ? why.text : "the device has none");
    }
    /* One that tells every page is as good as none, and costs more: only who asks for it
     * gets it. */
    kernel->dirty =
        wanted == KERNEL_DIRTY_IOMMU || (wanted == KERNEL_DIRTY_BEST &&
                                         can_iommu(kernel) && kernel->iommu->is_exact)
            ? KERNEL_DIRTY_IOMMU
            : KERNEL_DIRTY_NONE;
    return FERRY_OK;
}

/* --- requests --- */

static int no_log(struct kernel_job *job)
{
    return ferry_error_set(&job->detail, FERRY_E_UNSUPPORTED, KERNEL_LAYER, NULL, 0,
                           "%s: nobody tracks what the device writes",
                           ferry_request_name(job->request.kind));
}

static int track(struct backend_kernel *kernel, struct kernel_job *job, int on)
{
    int rc;

    pthread_mutex_lock(&kernel->iommu_lock);
    rc = kernel->iommu->ops->track(kernel->iommu, on, &job->detail);
    pthread_mutex_unlock(&kernel->iommu_lock);
    return rc;
}

static int bad_ranges(struct kernel_job *job, const char *what)
{
    return ferry_error_set(&job->detail, FERRY_E_ARGUMENT, KERNEL_LAYER, NULL, 0,
                           "LOG_START: %s", what);
}

/*
 * The ranges of the request, and *ret_count. What "none" means over vfio-user, the whole
 * address space, drivers of the kernel would have to be told as one that each can reach.
 */
static int take_ranges(struct backend_kernel *kernel, struct kernel_job *job,
                       struct ferry_range *ret_range)
{
    const struct ferry_log_start *asked = &job->request.u.log_start;

    if (asked->range_count == 0) {
        return bad_ranges(job, "the kernel has to be told ranges");
    }
    if (asked->range_count > FERRY_LOG_RANGES_MAX) {
        return ferry_error_set(&job->detail, FERRY_E_LIMIT, KERNEL_LAYER, NULL, 0,
                               "LOG_START: %u ranges; the kernel takes %d",
                               asked->range_count, FERRY_LOG_RANGES_MAX);
    }
    return kernel_copy(kernel, job, ret_range, asked->range,
                       asked->range_count * sizeof(*ret_range));
}

static int start_device_log(struct backend_kernel *kernel, struct kernel_job *job,
                            const struct ferry_range *given)
{
    struct ferry_log_start *asked = &job->request.u.log_start;
    struct uapi_log_range range[FERRY_LOG_RANGES_MAX];
    int64_t got;

    for (uint32_t i = 0; i < asked->range_count; i++) {
        range[i] =
            (struct uapi_log_range){ .iova = given[i].off, .length = given[i].size };
    }
    got =
        start_log(kernel, asked->page_size, range, asked->range_count, job->deadline_ns);
    if (got < 0) {
        return kernel_refusal(&job->detail, (int)got, "DMA_LOGGING_START");
    }
    asked->page_size = (uint64_t)got;
    return FERRY_OK;
}

/* An IOMMU tracks all that is mapped; wrong ranges are as wrong as to a device. */
static int start_iommu_log(struct backend_kernel *kernel, struct kernel_job *job,
                           const struct ferry_range *given)
{
    struct ferry_log_start *asked = &job->request.u.log_start;
    int rc;

    if (kernel->iommu_logs) {
        return ferry_error_set(&job->detail, FERRY_E_ARGUMENT, KERNEL_LAYER, NULL, 0,
                               "LOG_START: the log is on already");
    }
    if (!ferry_is_power_of_2(asked->page_size)) {
        return bad_ranges(job, "the page size is no power of two");
    }
    for (uint32_t i = 0; i < asked->range_count; i++) {
        uint64_t end;

        if (given[i].size == 0 ||
            !ferry_range_aligned(given[i].off | given[i].size, asked->page_size) ||
            !ferry_range_add(given[i].off, given[i].size, &end)) {
            return bad_ranges(job, "a range is empty, not aligned or too long");
        }
        for (uint32_t j = 0; j < i; j++) {
            if (ferry_range_overlaps(given[i].off, given[i].size, given[j].off,
                                     given[j].size)) {
                return bad_ranges(job, "two ranges overlap");
            }
        }
    }
    rc = track(kernel, job, 1);
    kernel->iommu_logs = rc == FERRY_OK;
    asked->page_size = PAGE_BYTES;
    return rc;
}

int kernel_log_start(struct backend_kernel *kernel, struct kernel_job *job)
{
    struct ferry_range range[FERRY_LOG_RANGES_MAX];
    int rc;

    if (kernel->dirty == KERNEL_DIRTY_NONE) {
        return no_log(job);
    }
    rc = take_ranges(kernel, job, range);
    if (rc != FERRY_OK) {
        return rc;
    }
    return kernel->dirty == KERNEL_DIRTY_DEVICE ? start_device_log(kernel, job, range)
                                                : start_iommu_log(kernel, job, range);
}

int kernel_log_stop(struct backend_kernel *kernel, struct kernel_job *job)
{
    int rc;

    if (kernel->dirty == KERNEL_DIRTY_IOMMU) {
        kernel->iommu_logs = 0;
        return track(kernel, job, 0);
    }
    if (kernel->dirty != KERNEL_DIRTY_DEVICE) {
        return no_log(job);
    }
    rc = stop_log(kernel, job->deadline_ns);
    return rc < 0 ? kernel_refusal(&job->detail, rc, "DMA_LOGGING_STOP") : FERRY_OK;
}

/* By the device or the IOMMU, into the worker's memory. */
static int report_into(struct backend_kernel *kernel, struct kernel_job *job,
                       void *bitmap)
{
    struct ferry_log_report asked = job->request.u.log_report;
    int rc;

    if (kernel->dirty == KERNEL_DIRTY_DEVICE) {
        rc = report_log(kernel, &asked, bitmap, job->deadline_ns);
        return rc < 0 ? kernel_refusal(&job->detail, rc, "DMA_LOGGING_REPORT") : FERRY_OK;
    }
    asked.bitmap = bitmap;
    pthread_mutex_lock(&kernel->iommu_lock);
    rc = kernel->iommu->ops->report(kernel->iommu, &asked, &job->detail);
    pthread_mutex_unlock(&kernel->iommu_lock);
    return rc;
}

int kernel_log_report(struct backend_kernel *kernel, struct kernel_job *job)
{
    const struct ferry_log_report *asked = &job->request.u.log_report;
    const uint64_t bytes = asked->bitmap_bytes;
    void *bitmap;
    int rc;

    if (kernel->dirty != KERNEL_DIRTY_DEVICE && kernel->dirty != KERNEL_DIRTY_IOMMU) {
        return no_log(job);
    }
    if (asked->page_size == 0 || bytes > KERNEL_BITMAP_MAX ||
        bytes < ferry_bitmap_bytes(asked->length / asked->page_size)) {
        return ferry_error_set(&job->detail, FERRY_E_ARGUMENT, KERNEL_LAYER, NULL, 0,
                               "LOG_REPORT: a bitmap of %llu bytes does not fit",
                               (unsigned long long)bytes);
    }
    bitmap = kernel_bounce(kernel, bytes);
    if (bitmap == NULL) {
        return ferry_error_set(&job->detail, FERRY_E_MEMORY, KERNEL_LAYER, NULL, 0,
                               "LOG_REPORT: out of memory");
    }
    /* Bits are only set: those that the submitter had stay. */
    rc = kernel_copy(kernel, job, bitmap, asked->bitmap, bytes);
    if (rc == FERRY_OK) {
        rc = report_into(kernel, job, bitmap);
    }
    return rc == FERRY_OK ? kernel_copy(kernel, job, asked->bitmap, bitmap, bytes) : rc;
}
