/* SPDX-License-Identifier: BSD-3-Clause */
#include "host/backend/backend_local.h"

#include <stdlib.h>
#include <time.h>

#include "os/clock.h"
#include "os/eventfd.h"
#include "os/memory.h"

#define WORK_SLICES 8u          /* between two looks at everything else */
#define TICK_NS FERRY_NS_PER_MS /* a pending arc may end without a wake-up */

static struct backend_local *local_of(struct ferry_backend *backend)
{
    return (struct backend_local *)backend;
}

static int local_submit(struct ferry_backend *backend, struct ferry_request *request)
{
    struct backend_local *local = local_of(backend);
    int rc;

    pthread_mutex_lock(&local->lock);
    rc = ferry_local_start(local, request, 0);
    pthread_mutex_unlock(&local->lock);
    return rc;
}

/* Sleeps until some synchronous request has ended, or a tick. */
static void wait_tick(struct backend_local *local)
{
    const uint64_t until_ns = ferry_os_now_ns() + TICK_NS;
    const struct timespec until = { .tv_sec = (time_t)(until_ns / FERRY_NS_PER_S),
                                    .tv_nsec = (long)(until_ns % FERRY_NS_PER_S) };

    (void)pthread_cond_timedwait(&local->ended, &local->lock, &until);
}

static int local_call(struct ferry_backend *backend, struct ferry_request *request)
{
    struct backend_local *local = local_of(backend);
    int rc;

    pthread_mutex_lock(&local->lock);
    rc = ferry_local_start(local, request, 1);
    if (rc != FERRY_PENDING) {
        pthread_mutex_unlock(&local->lock);
        request->status = rc;
        return rc;
    }
    while (request->next != request) {
        struct local_op *op;
        const int more = local->endpoint->ops->work(local->endpoint);

        if (request->next == request) {
            break;
        }
        op = ferry_local_find(local, request);
        if (op != NULL && ferry_os_now_ns() >= op->deadline_ns) {
            ferry_local_overdue(local, op);
        } else if (!more) {
            wait_tick(local);
        }
    }
    request->next = NULL;
    pthread_mutex_unlock(&local->lock);
    return request->status;
}

static int local_fd(struct ferry_backend *backend)
{
    return ferry_loop_fd(local_of(backend)->loop);
}

static void run_slices(struct backend_local *local)
{
    int more = 0;

    for (uint32_t i = 0; i < WORK_SLICES && local->dead == FERRY_OK; i++) {
        more = local->endpoint->ops->work(local->endpoint);
        if (!more) {
            break;
        }
    }
    if (local->dead != FERRY_OK) {
        return;
    }
    if (more) {
        ferry_local_kick(local);
    } else if (local->pending != NULL) {
        ferry_loop_timer_set(local->loop, &local->tick, ferry_os_now_ns() + TICK_NS);
    }
}

static void end_overdue(struct backend_local *local)
{
    const uint64_t now_ns = local->pending != NULL ? ferry_os_now_ns() : 0;
    struct local_op *op = local->pending;

    while (op != NULL && local->dead == FERRY_OK) {
        struct local_op *next = op->next;

        if (op->original != NULL && !op->sync && now_ns >= op->deadline_ns) {
            ferry_local_overdue(local, op);
        }
        op = next;
    }
}

static int local_dispatch(struct ferry_backend *backend)
{
    struct backend_local *local = local_of(backend);
    int count, dead;

    pthread_mutex_lock(&local->lock);
    (void)ferry_loop_dispatch(local->loop, 0);
    run_slices(local);
    end_overdue(local);
    dead = local->dead;
    pthread_mutex_unlock(&local->lock);
    count = ferry_backend_complete(&local->lock, &local->done_head, &local->done_tail);
    return dead != FERRY_OK ? FERRY_E_CLOSED : count;
}

static uint32_t local_max_data(struct ferry_backend *backend)
{
    (void)backend;
    return 1u << 20;
}

static void local_error(struct ferry_backend *backend, struct ferry_error *ret_error)
{
    struct backend_local *local = local_of(backend);

    pthread_mutex_lock(&local->lock);
    *ret_error = local->error;
    pthread_mutex_unlock(&local->lock);
}

static void local_free(struct backend_local *local)
{
    if (local->loop != NULL) {
        ferry_loop_timer_cancel(local->loop, &local->tick);
        if (local->wake_watched) {
            ferry_loop_remove(local->loop, &local->wake_watch);
        }
        if (local->event_fd >= 0) {
            ferry_loop_remove(local->loop, &local->event_watch);
        }
        ferry_loop_destroy(local->loop);
    }
    ferry_local_free_ops(local);
    ferry_os_close(&local->event_fd);
    pthread_cond_destroy(&local->ended);
    pthread_mutex_destroy(&local->lock);
    free(local);
}

static void local_close(struct ferry_backend *backend)
{
    struct backend_local *local = local_of(backend);

    pthread_mutex_lock(&local->lock);
    ferry_local_detach(local, FERRY_E_CLOSED);
    pthread_mutex_unlock(&local->lock);
    (void)ferry_backend_complete(&local->lock, &local->done_head, &local->done_tail);
    local_free(local);
}

static const struct ferry_backend_ops local_ops = {
    .struct_size = sizeof(struct ferry_backend_ops),
    .scheme = "local",
    .close = local_close,
    .submit = local_submit,
    .call = local_call,
    .fd = local_fd,
    .dispatch = local_dispatch,
    .max_data = local_max_data,
    .error = local_error,
};

static void on_event(struct ferry_watch *watch, uint32_t events)
{
    struct backend_local *local = watch->user;

    (void)events;
    (void)ferry_os_eventfd_drain(watch->fd, NULL);
    local->kicked = 0;
}

/* The endpoint's own work() clears its descriptor, and dispatch calls that next. */
static void on_wake(struct ferry_watch *watch, uint32_t events)
{
    (void)watch;
    (void)events;
}

static void on_tick(struct ferry_loop_timer *timer, uint64_t now_ns)
{
    (void)timer;
    (void)now_ns;
}

static int init_loop(struct backend_local *local)
{
    int rc = ferry_os_eventfd_create(&local->event_fd);

    if (rc == FERRY_OK) {
        rc = ferry_loop_create(&local->loop);
    }
    if (rc != FERRY_OK) {
        ferry_os_close(&local->event_fd);
        return rc;
    }
    local->tick.fn = on_tick;
    local->event_watch = (struct ferry_watch){
        .fd = local->event_fd, .events = FERRY_LOOP_READ, .fn = on_event, .user = local
    };
    rc = ferry_loop_add(local->loop, &local->event_watch);
    if (rc != FERRY_OK) {
        ferry_os_close(&local->event_fd);
    }
    return rc;
}

static int watch_wake(struct backend_local *local)
{
    const int fd = ferry_endpoint_wake_fd(local->endpoint);
    int rc;

    if (fd < 0) {
        return FERRY_OK;
    }
    local->wake_watch = (struct ferry_watch){
        .fd = fd, .events = FERRY_LOOP_READ, .fn = on_wake, .user = local
    };
    rc = ferry_loop_add(local->loop, &local->wake_watch);
    local->wake_watched = rc == FERRY_OK;
    return rc;
}

static struct backend_local *local_new(const struct ferry_backend_options *options)
{
    struct backend_local *local = calloc(1, sizeof(*local));
    pthread_condattr_t attr;

    if (local == NULL) {
        return NULL;
    }
    pthread_mutex_init(&local->lock, NULL);
    pthread_condattr_init(&attr);
    pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
    pthread_cond_init(&local->ended, &attr);
    pthread_condattr_destroy(&attr);
    local->event_fd = -1;
    local->done_tail = &local->done_head;
    local->base.ops = &local_ops;
    local->timeout_ns = (uint64_t)options->timeout_ms * FERRY_NS_PER_MS;
    local->port = (struct ferry_client_port){
        .struct_size = sizeof(local->port),
        .dma_read = options->memory.dma_read,
        .dma_write = options->memory.dma_write,
        .user = options->memory.user,
    };
    return local;
}

int ferry_backend_from_endpoint(struct ferry_endpoint *endpoint,
                                const struct ferry_backend_options *options,
                                struct ferry_backend **ret_backend,
                                struct ferry_error *reterr)
{
    struct backend_local *local = local_new(options);
    int rc;

    if (local == NULL) {
        return ferry_error_set(reterr, FERRY_E_MEMORY, "host", NULL, 0, "out of memory");
    }
    local->endpoint = endpoint;
    rc = init_loop(local);
    if (rc != FERRY_OK) {
        local_free(local);
        return ferry_error_set(reterr, rc, "host", NULL, 0, "cannot make an event loop");
    }
    rc = endpoint->ops->attach(endpoint, &local->port);
    if (rc != FERRY_OK) {
        local_free(local);
        return ferry_error_set(reterr, rc, "host", NULL, 0,
                               "the device in this process refused its user%s",
                               rc == FERRY_E_BUSY ? ": it has another one" : "");
    }
    rc = watch_wake(local);
    if (rc != FERRY_OK) {
        endpoint->ops->detach(endpoint);
        local_free(local);
        return ferry_error_set(reterr, rc, "host", NULL, 0, "cannot watch the device");
    }
    /* Work is due after every attach. */
    ferry_local_kick(local);
    *ret_backend = &local->base;
    return FERRY_OK;
}
