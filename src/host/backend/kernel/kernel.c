/* SPDX-License-Identifier: BSD-3-Clause */
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "ferry/host.h"
#include "host/backend/kernel/inside.h"
#include "os/clock.h"
#include "os/eventfd.h"
#include "os/memory.h"

static struct backend_kernel *kernel_of(struct ferry_backend *backend)
{
    return (struct backend_kernel *)backend;
}

/* --- the end --- */

void kernel_die(struct backend_kernel *kernel, int code, const char *text)
{
    if (kernel->dead == FERRY_OK) {
        /* The text first: who sees that it is dead reads it without the lock. */
        (void)ferry_error_set(&kernel->error, code, KERNEL_LAYER, NULL, 0, "%s", text);
        atomic_store(&kernel->dead, code);
        (void)ferry_os_eventfd_signal(kernel->event_fd); /* dispatch has to tell it */
        kernel_end_requests(kernel, code);
    }
}

/* Lock held. Does the kernel ask for the device? */
static void look_for_notice(struct backend_kernel *kernel)
{
    uint64_t count = 0;

    (void)ferry_os_eventfd_drain(kernel->notice_fd, &count);
    if (count != 0 && !atomic_load(&kernel->testing)) {
        kernel_die(kernel, FERRY_E_CLOSED,
                   "the kernel wants the device back: it is being unbound, or was "
                   "unplugged");
        kernel->wanted_back = 1;
        pthread_cond_signal(&kernel->work);
    }
}

static void on_notice(struct ferry_watch *watch, uint32_t events)
{
    (void)events;
    look_for_notice(watch->user);
}

void kernel_unmap_all(struct backend_kernel *kernel)
{
    const struct ferry_dma_unmap all = { .flags = FERRY_UNMAP_ALL };

    if (kernel->iommu != NULL) {
        (void)kernel->iommu->ops->unmap(kernel->iommu, &all, NULL);
    }
}

void kernel_free(struct backend_kernel *kernel)
{
    kernel_close(kernel->calls, &kernel->data_fd);
    kernel_close(kernel->calls, &kernel->ended_fd);
    kernel_close(kernel->calls, &kernel->fd);
    if (kernel->iommu != NULL) {
        kernel->iommu->ops->close(kernel->iommu);
    }
    ferry_os_close(&kernel->notice_fd);
    ferry_os_close(&kernel->event_fd);
    free(kernel->bounce);
    free(kernel->region);
    free(kernel->region_there);
    free(kernel->irq);
    pthread_cond_destroy(&kernel->work);
    pthread_cond_destroy(&kernel->ended);
    pthread_mutex_destroy(&kernel->lock);
    pthread_mutex_destroy(&kernel->irq_lock);
    pthread_mutex_destroy(&kernel->iommu_lock);
    free(kernel);
}

/* --- dispatch --- */

/* All that dispatch does is look at everything. */
static void on_event(struct ferry_watch *watch, uint32_t events)
{
    (void)events;
    (void)ferry_os_eventfd_drain(watch->fd, NULL);
}

static void on_timer(struct ferry_loop_timer *timer, uint64_t now_ns)
{
    (void)timer;
    (void)now_ns;
}

static int kernel_dispatch(struct ferry_backend *backend)
{
    struct backend_kernel *kernel = kernel_of(backend);
    int count, dead;

    pthread_mutex_lock(&kernel->lock);
    (void)ferry_loop_dispatch(kernel->loop, 0);
    kernel_end_requests(kernel, FERRY_E_TIMEOUT);
    dead = kernel->dead;
    pthread_mutex_unlock(&kernel->lock);
    count = ferry_backend_complete(&kernel->lock, &kernel->done_head, &kernel->done_tail);
    return dead != FERRY_OK ? FERRY_E_CLOSED : count;
}

static int kernel_loop_fd(struct ferry_backend *backend)
{
    return ferry_loop_fd(kernel_of(backend)->loop);
}

/* --- requests --- */

static int refuse(const struct ferry_request *request)
{
    return ferry_error_set(request->reterr, FERRY_E_UNSUPPORTED, KERNEL_LAYER, NULL, 0,
                           "%s: the kernel's VFIO has no such thing",
                           ferry_request_name(request->kind));
}

static int get_irq_info(const struct backend_kernel *kernel,
                        struct ferry_request *request)
{
    const uint32_t index = request->u.irq.index;

    if (index >= kernel->info.irq_count) {
        return ferry_error_set(request->reterr, FERRY_E_ARGUMENT, KERNEL_LAYER, NULL, 0,
                               "the device has no interrupt index %u", index);
    }
    request->u.irq = kernel->irq[index];
    return FERRY_OK;
}

static int get_mig_flags(const struct backend_kernel *kernel,
                         struct ferry_request *request)
{
    if (kernel->mig_flags == 0) {
        return ferry_error_set(request->reterr, FERRY_E_UNSUPPORTED, KERNEL_LAYER, NULL,
                               0, "the kernel's driver of the device cannot migrate it");
    }
    request->u.mig_flags = kernel->mig_flags;
    return FERRY_OK;
}

/* What needs no worker. Return: the request's status. */
static int do_here(struct backend_kernel *kernel, struct ferry_request *request)
{
    switch ((enum ferry_request_kind)request->kind) {
    case FERRY_RQ_GET_INFO:
        request->u.info = kernel->info;
        return FERRY_OK;
    case FERRY_RQ_GET_REGION_INFO:
        return kernel_region_info(kernel, &request->u.region, request->reterr);
    case FERRY_RQ_GET_IRQ_INFO:
        return get_irq_info(kernel, request);
    case FERRY_RQ_SET_IRQS:
        return kernel_set_irqs(kernel, &request->u.irq_set, request->reterr);
    case FERRY_RQ_REGION_READ:
    case FERRY_RQ_REGION_WRITE:
        return kernel_region_access(kernel, request);
    case FERRY_RQ_DMA_MAP:
    case FERRY_RQ_DMA_UNMAP:
        return kernel_dma(kernel, request);
    case FERRY_RQ_PROBE:
        return kernel_probe(kernel, &request->u.probe, request->reterr);
    case FERRY_RQ_MIG_FLAGS:
        return get_mig_flags(kernel, request);
    case FERRY_RQ_RESET:
    case FERRY_RQ_GET_STATE:
    case FERRY_RQ_SET_STATE:
    case FERRY_RQ_LOG_START:
    case FERRY_RQ_LOG_STOP:
    case FERRY_RQ_LOG_REPORT:
    case FERRY_RQ_DATA_SIZE:
    case FERRY_RQ_PRECOPY_INFO:
    case FERRY_RQ_DATA_READ:
    case FERRY_RQ_DATA_WRITE:
    case FERRY_RQ_IDENTITY:
    case FERRY_RQ_REGION_IO_FDS:
    case FERRY_RQ_LOG_RUNS:
    case FERRY_RQ_DATA_FD:
    case FERRY_RQ_LEAVE_STATE:
    case FERRY_RQ_COUNTERS:
    case FERRY_RQ_RAW:
    case FERRY_RQ_COUNT:
        break;
    }
    return refuse(request);
}

static int is_dead(struct backend_kernel *kernel, const struct ferry_request *request)
{
    return ferry_error_set(request->reterr, FERRY_E_CLOSED, KERNEL_LAYER, NULL, 0, "%s",
                           kernel->error.text);
}

static int give_worker(struct backend_kernel *kernel, struct ferry_request *request,
                       uint32_t sync)
{
    int rc;

    pthread_mutex_lock(&kernel->lock);
    if (sync) {
        look_for_notice(kernel); /* who only calls may never dispatch */
    }
    if (atomic_load(&kernel->dead) != FERRY_OK) {
        rc = is_dead(kernel, request);
    } else {
        rc = kernel_enqueue(kernel, request, sync);
    }
    if (rc == FERRY_PENDING && sync) {
        rc = kernel_await(kernel, request);
    }
    pthread_mutex_unlock(&kernel->lock);
    return rc;
}

static int start(struct backend_kernel *kernel, struct ferry_request *request,
                 uint32_t sync)
{
    int rc;

    if (request->kind != KERNEL_RQ_BEGIN && kernel_performer(request->kind) != NULL) {
        rc = give_worker(kernel, request, sync);
    } else if (atomic_load(&kernel->dead) != FERRY_OK) {
        rc = is_dead(kernel, request);
    } else {
        rc = do_here(kernel, request); /* a register of a vCPU waits for no lock */
    }
    if (rc != FERRY_PENDING) {
        request->status = rc;
    }
    return rc;
}

static int kernel_submit(struct ferry_backend *backend, struct ferry_request *request)
{
    return start(kernel_of(backend), request, 0);
}

static int kernel_call(struct ferry_backend *backend, struct ferry_request *request)
{
    return start(kernel_of(backend), request, 1);
}

static uint32_t kernel_max_data(struct ferry_backend *backend)
{
    (void)backend;
    return KERNEL_DATA_MAX;
}

static uint32_t kernel_max_fds(struct ferry_backend *backend)
{
    (void)backend;
    return KERNEL_VECTORS_MAX;
}

static int kernel_regions_are_device(struct ferry_backend *backend)
{
    (void)backend;
    return 1;
}

static uint32_t kernel_extensions(struct ferry_backend *backend)
{
    const struct backend_kernel *kernel = kernel_of(backend);

    return FERRY_VIEW_NOTICES |
           ((kernel->mig_flags & FERRY_MIG_PRE_COPY) != 0 ? FERRY_VIEW_PRECOPY_INFO : 0);
}

static void kernel_error(struct ferry_backend *backend, struct ferry_error *ret_error)
{
    struct backend_kernel *kernel = kernel_of(backend);

    pthread_mutex_lock(&kernel->lock);
    *ret_error = kernel->error;
    pthread_mutex_unlock(&kernel->lock);
}

static void end_loop(struct backend_kernel *kernel)
{
    if (kernel->loop == NULL) {
        return;
    }
    ferry_loop_timer_cancel(kernel->loop, &kernel->timer);
    ferry_loop_destroy(kernel->loop);
    kernel->loop = NULL;
}

static void close_backend(struct ferry_backend *backend)
{
    struct backend_kernel *kernel = kernel_of(backend);

    pthread_mutex_lock(&kernel->lock);
    if (kernel->dead == FERRY_OK) {
        kernel_die(kernel, FERRY_E_CLOSED, "the device was closed");
    }
    end_loop(kernel); /* nothing is given back any more, so nothing is timed */
    pthread_mutex_unlock(&kernel->lock);
    (void)ferry_backend_complete(&kernel->lock, &kernel->done_head, &kernel->done_tail);
    kernel_worker_end(kernel);
}

static const struct ferry_backend_ops kernel_ops = {
    .struct_size = sizeof(struct ferry_backend_ops),
    .scheme = "vfio",
    .close = close_backend,
    .submit = kernel_submit,
    .call = kernel_call,
    .fd = kernel_loop_fd,
    .dispatch = kernel_dispatch,
    .max_data = kernel_max_data,
    .error = kernel_error,
    .extensions = kernel_extensions,
    .max_fds = kernel_max_fds,
    .regions_are_device = kernel_regions_are_device,
};

/* --- the beginning --- */

static int watch(struct backend_kernel *kernel, struct ferry_watch *watch, int fd,
                 void (*fn)(struct ferry_watch *watch, uint32_t events))
{
    *watch = (struct ferry_watch){
        .fd = fd, .events = FERRY_LOOP_READ, .fn = fn, .user = kernel
    };
    return ferry_loop_add(kernel->loop, watch);
}

static int init_loop(struct backend_kernel *kernel)
{
    int rc = ferry_os_eventfd_create(&kernel->event_fd);

    if (rc == FERRY_OK) {
        rc = ferry_os_eventfd_create(&kernel->notice_fd);
    }
    if (rc == FERRY_OK) {
        rc = ferry_loop_create(&kernel->loop);
    }
    if (rc == FERRY_OK) {
        rc = watch(kernel, &kernel->event_watch, kernel->event_fd, on_event);
    }
    if (rc == FERRY_OK) {
        rc = watch(kernel, &kernel->notice_watch, kernel->notice_fd, on_notice);
    }
    kernel->timer.fn = on_timer;
    return rc;
}

static struct backend_kernel *create(const struct kernel_parts *parts)
{
    struct backend_kernel *kernel = calloc(1, sizeof(*kernel));
    pthread_condattr_t attr;

    if (kernel == NULL) {
        return NULL;
    }
    kernel->base.ops = &kernel_ops;
    kernel->calls = parts->calls;
    kernel->fd = parts->fd;
    kernel->iommu = parts->iommu;
    kernel->dirty = parts->dirty;
    kernel->send_all_arcs = parts->send_all_arcs;
    kernel->as_is = parts->as_is;
    kernel->timeout_ns =
        (uint64_t)(parts->timeout_ms != 0 ? parts->timeout_ms : FERRY_CLIENT_TIMEOUT_MS) *
        FERRY_NS_PER_MS;
    kernel->data_fd = kernel->ended_fd = kernel->event_fd = kernel->notice_fd = -1;
    kernel->state = FERRY_STATE_RUNNING;
    kernel->tail = &kernel->head;
    kernel->done_tail = &kernel->done_head;
    pthread_mutex_init(&kernel->lock, NULL);
    pthread_mutex_init(&kernel->irq_lock, NULL);
    pthread_mutex_init(&kernel->iommu_lock, NULL);
    pthread_condattr_init(&attr);
    pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
    pthread_cond_init(&kernel->ended, &attr);
    pthread_cond_init(&kernel->work, NULL);
    pthread_condattr_destroy(&attr);
    return kernel;
}

/* Return: FERRY_OK; FERRY_E_TIMEOUT when the kernel does not say what the device is. */
static int begin(struct backend_kernel *kernel, struct ferry_error *reterr)
{
    struct ferry_request request = { .kind = KERNEL_RQ_BEGIN, .reterr = reterr };
    int rc;

    pthread_mutex_lock(&kernel->lock);
    rc = kernel_enqueue(kernel, &request, 1);
    if (rc == FERRY_PENDING) {
        rc = kernel_await(kernel, &request);
    }
    pthread_mutex_unlock(&kernel->lock);
    return rc;
}

int kernel_backend_new(const struct kernel_parts *parts,
                       struct ferry_backend **ret_backend, struct ferry_error *reterr)
{
    struct backend_kernel *kernel = create(parts);
    int rc;

    if (kernel == NULL) {
        int fd = parts->fd;

        kernel_close(parts->calls, &fd);
        if (parts->iommu != NULL) {
            parts->iommu->ops->close(parts->iommu);
        }
        return ferry_error_set(reterr, FERRY_E_MEMORY, KERNEL_LAYER, NULL, 0,
                               "out of memory");
    }
    rc = init_loop(kernel);
    if (rc != FERRY_OK) {
        (void)ferry_error_set(
            reterr, rc, KERNEL_LAYER, NULL, 0,
            "no event loop can be made for the device: %s%s", ferry_status_text(rc),
            rc == FERRY_E_LIMIT ? " (file descriptors: `ulimit -n`)" : "");
    } else {
        rc = kernel_worker_start(kernel, reterr);
    }
    if (rc == FERRY_OK) {
        rc = begin(kernel, reterr);
    }
    if (rc != FERRY_OK) {
        close_backend(&kernel->base);
        return rc;
    }
    kernel_watch_notice(kernel);
    *ret_backend = &kernel->base;
    return FERRY_OK;
}
