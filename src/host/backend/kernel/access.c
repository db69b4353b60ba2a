/* SPDX-License-Identifier: BSD-3-Clause */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/range.h"
#include "ferry/host.h"
#include "host/backend/kernel/inside.h"
#include "os/eventfd.h"

/* What whoever asks does in his own thread: none of it waits for the device. */

/* --- regions --- */

static int check_access(const struct backend_kernel *kernel,
                        const struct ferry_request *request)
{
    const struct ferry_region_io *io = &request->u.io;
    const uint32_t way =
        request->kind == FERRY_RQ_REGION_READ ? FERRY_REGION_READ : FERRY_REGION_WRITE;

    if (io->index >= kernel->info.region_count || !kernel->region_there[io->index]) {
        return ferry_error_set(request->reterr, FERRY_E_ARGUMENT, KERNEL_LAYER, NULL, 0,
                               "the device has no region %u", io->index);
    }
    if (io->count > KERNEL_DATA_MAX) {
        return ferry_error_set(request->reterr, FERRY_E_LIMIT, KERNEL_LAYER, NULL, 0,
                               "%u bytes at once; at most %u", io->count,
                               KERNEL_DATA_MAX);
    }
    if (!ferry_range_inside(io->off, io->count, kernel->region[io->index].size)) {
        return ferry_error_set(request->reterr, FERRY_E_ARGUMENT, KERNEL_LAYER, NULL, 0,
                               "region %u has no bytes 0x%llx + 0x%x", io->index,
                               (unsigned long long)io->off, io->count);
    }
    if ((kernel->region[io->index].flags & way) == 0) {
        return ferry_error_set(request->reterr, FERRY_E_PERMISSION, KERNEL_LAYER, NULL, 0,
                               "region %u cannot be %s", io->index,
                               way == FERRY_REGION_READ ? "read" : "written");
    }
    return FERRY_OK;
}

int kernel_region_access(struct backend_kernel *kernel,
                         const struct ferry_request *request)
{
    const struct kernel_calls *calls = kernel->calls;
    const struct ferry_region_io *io = &request->u.io;
    const int reads = request->kind == FERRY_RQ_REGION_READ;
    int rc = check_access(kernel, request);
    uint32_t done = 0;

    while (rc == FERRY_OK && done < io->count) {
        const uint64_t at = kernel->region[io->index].offset + io->off + done;
        uint8_t *data = (uint8_t *)io->data + done;
        const int64_t got =
            reads ? calls->pread(calls->user, kernel->fd, data, io->count - done, at)
                  : calls->pwrite(calls->user, kernel->fd, data, io->count - done, at);
        char what[96];

        if (got > 0 && (uint64_t)got <= io->count - done) {
            done += (uint32_t)got;
        } else if (got != -EINTR) {
            snprintf(what, sizeof(what), "%s region %u, 0x%llx + %u",
                     reads ? "read of" : "write to", io->index,
                     (unsigned long long)io->off, io->count);
            rc = kernel_refusal(request->reterr, got < 0 ? (int)got : -EIO, what);
        }
    }
    return rc;
}

/* --- interrupts --- */

#define ACTIONS (FERRY_IRQ_SET_MASK | FERRY_IRQ_SET_UNMASK | FERRY_IRQ_SET_TRIGGER)

static int call_set_irqs(const struct backend_kernel *kernel, void *set)
{
    return kernel_ioctl(kernel->calls, kernel->fd, UAPI_SET_IRQS, set);
}

/* What follows the head: a byte or a descriptor for each vector. ret_body: room for it.
 */
static void fill_body(const struct ferry_irq_set *set, uint8_t *body)
{
    for (uint32_t i = 0; i < set->count; i++) {
        if ((set->flags & FERRY_IRQ_SET_DATA_BOOL) != 0) {
            body[i] = set->bools[i];
        } else if ((set->flags & FERRY_IRQ_SET_DATA_EVENTFD) != 0) {
            /* None at all: they are taken away. */
            const int32_t fd = set->fd_count == 0 ? -1 : set->fds[i];

            memcpy(body + i * sizeof(fd), &fd, sizeof(fd));
        }
    }
}

static int check_set(const struct backend_kernel *kernel, const struct ferry_irq_set *set,
                     struct ferry_error *reterr)
{
    if (set->index >= kernel->info.irq_count ||
        !ferry_range_inside(set->start, set->count, kernel->irq[set->index].count)) {
        return ferry_error_set(reterr, FERRY_E_ARGUMENT, KERNEL_LAYER, NULL, 0,
                               "SET_IRQS: the device has no vectors %u + %u of index %u",
                               set->start, set->count, set->index);
    }
    if ((set->flags & FERRY_IRQ_SET_DATA_EVENTFD) != 0 && set->fd_count != 0 &&
        set->fd_count != set->count) {
        return ferry_error_set(reterr, FERRY_E_FDS, KERNEL_LAYER, NULL, 0,
                               "SET_IRQS: %u descriptors for %u vectors", set->fd_count,
                               set->count);
    }
    return FERRY_OK;
}

/* With nothing set up the kernel calls this an error; there is nothing to be done. */
static int disables_nothing(const struct ferry_irq_set *set, int rc)
{
    return rc == -EINVAL && set->count == 0 &&
           (set->flags & (ACTIONS | FERRY_IRQ_SET_DATA_NONE)) ==
               (FERRY_IRQ_SET_TRIGGER | FERRY_IRQ_SET_DATA_NONE);
}

static int send_set(struct backend_kernel *kernel, const struct ferry_irq_set *set,
                    struct ferry_error *reterr)
{
    const size_t each = (set->flags & FERRY_IRQ_SET_DATA_BOOL) != 0      ? 1
                        : (set->flags & FERRY_IRQ_SET_DATA_EVENTFD) != 0 ? sizeof(int32_t)
                                                                         : 0;
    const size_t bytes = sizeof(struct uapi_irq_set) + each * set->count;
    const struct uapi_irq_set head = { .argsz = (uint32_t)bytes,
                                       .flags = set->flags,
                                       .index = set->index,
                                       .start = set->start,
                                       .count = set->count };
    uint8_t *buffer = malloc(bytes);
    int rc;

    if (buffer == NULL) {
        return ferry_error_set(reterr, FERRY_E_MEMORY, KERNEL_LAYER, NULL, 0,
                               "SET_IRQS: out of memory");
    }
    memcpy(buffer, &head, sizeof(head));
    fill_body(set, buffer + sizeof(head));
    rc = call_set_irqs(kernel, buffer);
    free(buffer);
    if (rc > 0) {
        /* The kernel's way to say how many there would have been. */
        return ferry_error_set(reterr, FERRY_E_LIMIT, KERNEL_LAYER, NULL, 0,
                               "SET_IRQS: the machine has %d interrupt vectors left, not "
                               "%u",
                               rc, set->start + set->count);
    }
    return rc == 0 || disables_nothing(set, rc) ? FERRY_OK
                                                : kernel_refusal(reterr, rc, "SET_IRQS");
}

void kernel_watch_notice(struct backend_kernel *kernel)
{
    const struct ferry_irq_set set = {
        .flags = FERRY_IRQ_SET_DATA_EVENTFD | FERRY_IRQ_SET_TRIGGER,
        .index = FERRY_IRQ_REQ,
        .count = 1,
        .fds = &kernel->notice_fd,
        .fd_count = 1,
    };

    /* Who has no such interrupt says nothing; it is a service, no need. */
    if (set.index < kernel->info.irq_count && kernel->irq[set.index].count > 0) {
        (void)send_set(kernel, &set, NULL);
    }
}

/* The user's own eventfd for REQ has gone, and ours takes its place again. */
static int takes_away(const struct ferry_irq_set *set)
{
    return (set->flags & FERRY_IRQ_SET_TRIGGER) != 0 &&
           (set->count == 0 || ((set->flags & FERRY_IRQ_SET_DATA_EVENTFD) != 0 &&
                                (set->fd_count == 0 || set->fds[0] < 0)));
}

/* REQ may be fired for a try, which is no wish of the kernel's. */
static int set_req(struct backend_kernel *kernel, const struct ferry_irq_set *set,
                   struct ferry_error *reterr)
{
    int rc;

    atomic_store(&kernel->testing, 1);
    rc = send_set(kernel, set, reterr);
    (void)ferry_os_eventfd_drain(kernel->notice_fd, NULL);
    atomic_store(&kernel->testing, 0);
    if (rc == FERRY_OK && takes_away(set)) {
        kernel_watch_notice(kernel);
    }
    return rc;
}

int kernel_set_irqs(struct backend_kernel *kernel, const struct ferry_irq_set *set,
                    struct ferry_error *reterr)
{
    int rc = check_set(kernel, set, reterr);

    if (rc != FERRY_OK) {
        return rc;
    }
    pthread_mutex_lock(&kernel->irq_lock);
    rc = set->index == FERRY_IRQ_REQ ? set_req(kernel, set, reterr)
                                     : send_set(kernel, set, reterr);
    pthread_mutex_unlock(&kernel->irq_lock);
    return rc;
}

/* --- memory --- */

/* The device's own log outlives the map: it is asked when nothing can be added. */
static int unmap_and_report(struct backend_kernel *kernel,
                            const struct ferry_dma_unmap *unmap,
                            struct ferry_error *reterr)
{
    struct ferry_dma_unmap plain = *unmap;
    struct uapi_log_report report = { .iova = unmap->iova,
                                      .length = unmap->size,
                                      .page_size = unmap->page_size,
                                      .bitmap = (uintptr_t)unmap->bitmap };
    int rc;

    plain.flags &= ~FERRY_UNMAP_BITMAP;
    rc = kernel->iommu->ops->unmap(kernel->iommu, &plain, reterr);
    if (rc != FERRY_OK) {
        return rc;
    }
    rc = kernel_feature(kernel, UAPI_LOG_REPORT | UAPI_FEATURE_GET, &report,
                        sizeof(report), 0);
    return rc < 0 ? kernel_refusal(reterr, rc, "DMA_LOGGING_REPORT of what was unmapped")
                  : FERRY_OK;
}

int kernel_dma(struct backend_kernel *kernel, struct ferry_request *request)
{
    struct kernel_iommu *iommu = kernel->iommu;
    int rc;

    if (iommu == NULL) {
        return ferry_error_set(request->reterr, FERRY_E_UNSUPPORTED, KERNEL_LAYER, NULL,
                               0, "the device has no IOMMU: no memory can be mapped");
    }
    pthread_mutex_lock(&kernel->iommu_lock);
    if (request->kind == FERRY_RQ_DMA_MAP) {
        rc = iommu->ops->map(iommu, &request->u.map, request->reterr);
    } else if ((request->u.unmap.flags & FERRY_UNMAP_BITMAP) != 0 &&
               kernel->dirty == KERNEL_DIRTY_DEVICE) {
        rc = unmap_and_report(kernel, &request->u.unmap, request->reterr);
    } else {
        rc = iommu->ops->unmap(iommu, &request->u.unmap, request->reterr);
    }
    pthread_mutex_unlock(&kernel->iommu_lock);
    return rc;
}
