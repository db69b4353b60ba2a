/* SPDX-License-Identifier: BSD-3-Clause */
#define _GNU_SOURCE
#include <assert.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "host/backend/kernel/inside.h"
#include "os/clock.h"
#include "os/eventfd.h"

#define BOUNCE_FIRST_BYTES KERNEL_DATA_MAX
#define END_LEAST_NS (200u * (uint64_t)FERRY_NS_PER_MS)

/* --- what the worker's jobs may use --- */

void *kernel_bounce(struct backend_kernel *kernel, uint64_t bytes)
{
    uint64_t now = kernel->bounce_bytes;

    if (bytes <= now) {
        return kernel->bounce;
    }
    now = now == 0 ? BOUNCE_FIRST_BYTES : now;
    while (now < bytes) {
        now *= 2;
    }
    free(kernel->bounce);
    kernel->bounce = malloc((size_t)now);
    kernel->bounce_bytes = kernel->bounce != NULL ? now : 0;
    return kernel->bounce;
}

/* Without the lock: a megabyte takes a while, and others want the lock meanwhile. */
int kernel_copy(struct backend_kernel *kernel, struct kernel_job *job, void *to,
                const void *from, uint64_t bytes)
{
    pthread_mutex_lock(&kernel->lock);
    job->copying = job->original != NULL;
    pthread_mutex_unlock(&kernel->lock);
    if (!job->copying) {
        return FERRY_E_TIMEOUT;
    }
    memcpy(to, from, (size_t)bytes);
    pthread_mutex_lock(&kernel->lock);
    job->copying = 0;
    pthread_cond_broadcast(&kernel->ended);
    pthread_mutex_unlock(&kernel->lock);
    return FERRY_OK;
}

int kernel_patience(struct backend_kernel *kernel, const struct kernel_job *job)
{
    int given_back;

    pthread_mutex_lock(&kernel->lock);
    given_back = job->original == NULL; /* also when the device is being closed */
    pthread_mutex_unlock(&kernel->lock);
    return !given_back && ferry_os_now_ns() < job->deadline_ns ? FERRY_OK
                                                               : FERRY_E_TIMEOUT;
}

/* --- giving requests back; lock held --- */

/* Results without what points into the worker's memory. */
static void copy_results(struct ferry_request *to, const struct ferry_request *from)
{
    switch ((enum ferry_request_kind)from->kind) {
    case FERRY_RQ_GET_STATE:
        to->u.state = from->u.state;
        break;
    case FERRY_RQ_LOG_START:
        to->u.log_start.page_size = from->u.log_start.page_size;
        break;
    case FERRY_RQ_DATA_SIZE:
        to->u.data_size = from->u.data_size;
        break;
    case FERRY_RQ_PRECOPY_INFO:
        to->u.precopy = from->u.precopy;
        break;
    case FERRY_RQ_DATA_READ:
        to->u.data.got = from->u.data.got;
        to->u.data.piece_count = 0;
        break;
    case FERRY_RQ_RESET:
    case FERRY_RQ_SET_STATE:
    case FERRY_RQ_LOG_STOP:
    case FERRY_RQ_LOG_REPORT:
    case FERRY_RQ_DATA_WRITE:
    case FERRY_RQ_GET_INFO:
    case FERRY_RQ_GET_REGION_INFO:
    case FERRY_RQ_GET_IRQ_INFO:
    case FERRY_RQ_SET_IRQS:
    case FERRY_RQ_REGION_READ:
    case FERRY_RQ_REGION_WRITE:
    case FERRY_RQ_DMA_MAP:
    case FERRY_RQ_DMA_UNMAP:
    case FERRY_RQ_PROBE:
    case FERRY_RQ_MIG_FLAGS:
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
}

/*
 * The submitter has his request again. What waits in call() looks at the mark that
 * request->next then is; the job itself may be gone.
 */
static void give_back(struct backend_kernel *kernel, struct kernel_job *job, int status,
                      const struct ferry_error *detail)
{
    struct ferry_request *original = job->original;

    job->original = NULL;
    if (status == FERRY_OK) {
        copy_results(original, &job->request);
    } else if (original->reterr != NULL) {
        *original->reterr = *detail;
    }
    original->status = status;
    if (job->sync) {
        original->next = original;
        pthread_cond_broadcast(&kernel->ended);
        return;
    }
    original->next = NULL;
    *kernel->done_tail = original;
    kernel->done_tail = &original->next;
    (void)ferry_os_eventfd_signal(kernel->event_fd);
}

static const char *name_of(const struct kernel_job *job)
{
    return job->request.kind == KERNEL_RQ_BEGIN ? "the questions what the device is"
                                                : ferry_request_name(job->request.kind);
}

static void say_overdue(const struct backend_kernel *kernel, const struct kernel_job *job,
                        struct ferry_error *detail)
{
    const char *name = name_of(job);
    const unsigned long long limit_ms = kernel->timeout_ns / FERRY_NS_PER_MS;

    if (kernel->job == NULL || kernel->job == job) {
        (void)ferry_error_set(
            detail, FERRY_E_TIMEOUT, KERNEL_LAYER, NULL, 0,
            "the kernel did not end %s within %llu ms; a call cannot be "
            "taken back, so the device serves nobody until it returns",
            name, limit_ms);
        return;
    }
    (void)ferry_error_set(
        detail, FERRY_E_TIMEOUT, KERNEL_LAYER, NULL, 0,
        "%s had no turn within %llu ms: the kernel is still busy with %s", name, limit_ms,
        name_of(kernel->job));
}

/* Ends a request before the worker does. A job that is at the kernel is freed when it
 * comes back from there. */
static void end_early(struct backend_kernel *kernel, struct kernel_job *job, int status)
{
    struct ferry_error detail = kernel->error;

    if (status == FERRY_E_TIMEOUT) {
        say_overdue(kernel, job, &detail);
    } else if (detail.code == FERRY_OK) {
        (void)ferry_error_set(&detail, status, KERNEL_LAYER, NULL, 0,
                              "%s: the device is being closed", name_of(job));
    }
    give_back(kernel, job, status, &detail);
    if (kernel->job != job) {
        struct kernel_job **at = &kernel->head;

        while (*at != job) {
            at = &(*at)->next;
        }
        *at = job->next;
        if (*at == NULL) {
            kernel->tail = at;
        }
        free(job);
    }
}

/* Until the worker has its hands off a request's memory; it may be given back by then.
 * Gives the lock away meanwhile. */
static void await_copy(struct backend_kernel *kernel)
{
    while (kernel->job != NULL && kernel->job->copying) {
        (void)pthread_cond_wait(&kernel->ended, &kernel->lock);
    }
}

/* Is it to be ended now? */
static int is_due(const struct kernel_job *job, uint64_t now_ns, int all)
{
    return job->original != NULL && (all || (!job->sync && now_ns >= job->deadline_ns));
}

void kernel_end_requests(struct backend_kernel *kernel, int status)
{
    const int all = status != FERRY_E_TIMEOUT;
    const uint64_t now_ns = ferry_os_now_ns();
    uint64_t first_ns = UINT64_MAX;
    struct kernel_job *job;

    if (kernel->job != NULL && is_due(kernel->job, now_ns, all)) {
        await_copy(kernel);
    }
    if (kernel->job != NULL && is_due(kernel->job, now_ns, all)) {
        end_early(kernel, kernel->job, status);
    }
    job = kernel->head;
    while (job != NULL) {
        struct kernel_job *next = job->next;

        if (is_due(job, now_ns, all)) {
            end_early(kernel, job, status);
        }
        job = next;
    }
    if (kernel->loop == NULL) {
        return; /* it could not be made */
    }
    if (kernel->job != NULL && kernel->job->original != NULL && !kernel->job->sync) {
        first_ns = kernel->job->deadline_ns;
    }
    for (job = kernel->head; job != NULL; job = job->next) {
        if (!job->sync && job->deadline_ns < first_ns) {
            first_ns = job->deadline_ns;
        }
    }
    if (first_ns != UINT64_MAX) {
        ferry_loop_timer_set(kernel->loop, &kernel->timer, first_ns);
    } else {
        ferry_loop_timer_cancel(kernel->loop, &kernel->timer);
    }
}

/* --- requests; lock held --- */

int kernel_enqueue(struct backend_kernel *kernel, struct ferry_request *request,
                   uint32_t sync)
{
    struct kernel_job *job = calloc(1, sizeof(*job));

    if (job == NULL) {
        return ferry_error_set(request->reterr, FERRY_E_MEMORY, KERNEL_LAYER, NULL, 0,
                               "%s: out of memory", ferry_request_name(request->kind));
    }
    job->request = *request;
    job->request.reterr = &job->detail;
    job->original = request;
    job->sync = sync;
    job->deadline_ns = ferry_os_now_ns() + kernel->timeout_ns;
    request->next = NULL;
    *kernel->tail = job;
    kernel->tail = &job->next;
    pthread_cond_signal(&kernel->work);
    if (!sync && kernel->timer.deadline_ns == 0) {
        ferry_loop_timer_set(kernel->loop, &kernel->timer, job->deadline_ns);
    }
    return FERRY_PENDING;
}

static void end_my_own(struct backend_kernel *kernel, const struct ferry_request *request)
{
    struct kernel_job *job;

    await_copy(kernel);
    if (request->next == request) {
        return; /* it ended while we waited */
    }
    if (kernel->job != NULL && kernel->job->original == request) {
        end_early(kernel, kernel->job, FERRY_E_TIMEOUT);
        return;
    }
    job = kernel->head;
    while (job != NULL && job->original != request) {
        job = job->next;
    }
    assert(job != NULL); /* it is not marked as given back */
    end_early(kernel, job, FERRY_E_TIMEOUT);
}

int kernel_await(struct backend_kernel *kernel, struct ferry_request *request)
{
    const uint64_t until_ns = ferry_os_now_ns() + kernel->timeout_ns;
    const struct timespec until = { .tv_sec = (time_t)(until_ns / FERRY_NS_PER_S),
                                    .tv_nsec = (long)(until_ns % FERRY_NS_PER_S) };

    while (request->next != request) {
        (void)pthread_cond_timedwait(&kernel->ended, &kernel->lock, &until);
        if (request->next != request && ferry_os_now_ns() >= until_ns) {
            end_my_own(kernel, request);
        }
    }
    request->next = NULL;
    return request->status;
}

/* --- the thread --- */

/* A log that began after its submitter had given up: nobody would stop it, and it would
 * be in the way of the next one. Lock held at both ends. */
static void stop_stray_log(struct backend_kernel *kernel, struct kernel_job *job,
                           int status)
{
    if (job->request.kind == FERRY_RQ_LOG_START && job->original == NULL &&
        status == FERRY_OK) {
        pthread_mutex_unlock(&kernel->lock);
        (void)kernel_log_stop(kernel, job);
        pthread_mutex_lock(&kernel->lock);
    }
}

/* Lock held at both ends. */
static void do_job(struct backend_kernel *kernel, struct kernel_job *job)
{
    int rc;

    kernel->job = job;
    kernel->head = job->next;
    if (kernel->head == NULL) {
        kernel->tail = &kernel->head;
    }
    pthread_mutex_unlock(&kernel->lock);
    rc = kernel_performer(job->request.kind)(kernel, job);
    pthread_mutex_lock(&kernel->lock);
    stop_stray_log(kernel, job, rc);
    kernel->job = NULL;
    kernel->torn |= (uint32_t)kernel_tears(job, rc);
    if (job->original != NULL) {
        give_back(kernel, job, rc, &job->detail);
    }
    free(job);
}

/*
 * The device goes back to the kernel now, and not when its user closes it: whoever
 * unbinds it waits. It is reset on its way, which takes its time. Its memory is its
 * user's again, who cannot unmap it from a dead device. Lock held at both ends.
 */
static void let_go(struct backend_kernel *kernel)
{
    pthread_mutex_unlock(&kernel->lock);
    kernel_close(kernel->calls, &kernel->data_fd);
    kernel_close(kernel->calls, &kernel->ended_fd);
    (void)kernel->calls->give_up(kernel->calls->user, kernel->fd);
    pthread_mutex_lock(&kernel->iommu_lock);
    kernel_unmap_all(kernel);
    pthread_mutex_unlock(&kernel->iommu_lock);
    pthread_mutex_lock(&kernel->lock);
}

static void *work(void *user)
{
    struct backend_kernel *kernel = user;
    int orphan;

    pthread_mutex_lock(&kernel->lock);
    while (!kernel->closing) {
        if (kernel->head != NULL) {
            do_job(kernel, kernel->head);
        } else if (kernel->wanted_back == 1) {
            kernel->wanted_back = 2;
            let_go(kernel);
        } else {
            pthread_cond_wait(&kernel->work, &kernel->lock);
        }
    }
    kernel->worker_gone = 1;
    orphan = (int)kernel->orphan;
    pthread_cond_broadcast(&kernel->ended);
    pthread_mutex_unlock(&kernel->lock);
    if (orphan) {
        kernel_free(kernel); /* whoever closed it waited long enough, and went */
    }
    return NULL;
}

int kernel_worker_start(struct backend_kernel *kernel, struct ferry_error *reterr)
{
    sigset_t all, before;
    int err;

    /* Signals are for the program's own threads, and would wake waits of drivers. */
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    err = pthread_create(&kernel->worker, NULL, work, kernel);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    if (err != 0) {
        return ferry_error_set(reterr, FERRY_E_LIMIT, KERNEL_LAYER, NULL, 0,
                               "no thread can be made for the device (errno %d)", err);
    }
    kernel->has_worker = 1;
    return FERRY_OK;
}

/* How long a close waits: what is not overdue yet may still end in time. Lock held. */
static uint64_t end_limit(const struct backend_kernel *kernel)
{
    const uint64_t least_ns = ferry_os_now_ns() + END_LEAST_NS;

    return kernel->job != NULL && kernel->job->deadline_ns > least_ns
               ? kernel->job->deadline_ns
               : least_ns;
}

/* Return: 1 when the worker has gone. */
static int await_worker(struct backend_kernel *kernel)
{
    uint64_t until_ns;
    struct timespec until;
    int gone;

    pthread_mutex_lock(&kernel->lock);
    kernel->closing = 1;
    pthread_cond_broadcast(&kernel->work);
    until_ns = end_limit(kernel);
    until = (struct timespec){ .tv_sec = (time_t)(until_ns / FERRY_NS_PER_S),
                               .tv_nsec = (long)(until_ns % FERRY_NS_PER_S) };
    while (!kernel->worker_gone && ferry_os_now_ns() < until_ns) {
        (void)pthread_cond_timedwait(&kernel->ended, &kernel->lock, &until);
    }
    gone = (int)kernel->worker_gone;
    pthread_mutex_unlock(&kernel->lock);
    return gone;
}

void kernel_worker_end(struct backend_kernel *kernel)
{
    if (!kernel->has_worker) {
        kernel_free(kernel);
        return;
    }
    if (!await_worker(kernel)) {
        /* The device stays open until its call returns, but the memory is the user's
         * again, unless the call is one of the IOMMU. */
        if (pthread_mutex_trylock(&kernel->iommu_lock) == 0) {
            kernel_unmap_all(kernel);
            pthread_mutex_unlock(&kernel->iommu_lock);
        }
        pthread_mutex_lock(&kernel->lock);
        kernel->orphan = !kernel->worker_gone;
        if (kernel->orphan) {
            pthread_detach(kernel->worker);
            pthread_mutex_unlock(&kernel->lock);
            return;
        }
        pthread_mutex_unlock(&kernel->lock);
    }
    pthread_join(kernel->worker, NULL);
    kernel_free(kernel);
}
