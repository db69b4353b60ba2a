/* SPDX-License-Identifier: BSD-3-Clause */
#include <stdlib.h>

#include "ferry/host.h"
#include "host/backend/v1/v1_private.h"
#include "os/eventfd.h"

#define FEATURE_MIGRATION 1u
#define FEATURE_DEVICE_STATE 2u
#define FEATURE_DATA_SIZE 9u
#define FEATURE_PRECOPY_INFO 0xfe01u

static struct backend_v1 *v1_of(struct ferry_backend *backend)
{
    return (struct backend_v1 *)backend;
}

/* --- one request below --- */

static void sub_done(struct ferry_request *sub);

static void prepare(struct backend_v1 *v1, uint32_t kind, uint64_t off, uint32_t count,
                    v1_step_fn *next)
{
    v1->sub = (struct ferry_request){ .kind = kind, .done = sub_done, .user = v1 };
    v1->sub.u.io = (struct ferry_region_io){
        .index = v1->region.index, .count = count, .off = off, .data = v1->bytes
    };
    v1->step = next;
}

int ferry_v1_read(struct backend_v1 *v1, uint64_t off, uint32_t count, v1_step_fn *next)
{
    prepare(v1, FERRY_RQ_REGION_READ, off, count, next);
    for (uint32_t i = 0; i < sizeof(v1->bytes); i++) {
        v1->bytes[i] = 0;
    }
    return V1_ASK;
}

int ferry_v1_write(struct backend_v1 *v1, uint64_t off, uint32_t count, uint64_t value,
                   v1_step_fn *next)
{
    prepare(v1, FERRY_RQ_REGION_WRITE, off, count, next);
    for (uint32_t i = 0; i < sizeof(v1->bytes); i++) {
        v1->bytes[i] = (uint8_t)(value >> (8 * i));
    }
    return V1_ASK;
}

uint64_t ferry_v1_value(const struct backend_v1 *v1)
{
    uint64_t value = 0;

    for (uint32_t i = 0; i < sizeof(v1->bytes); i++) {
        value |= (uint64_t)v1->bytes[i] << (8 * i);
    }
    return value;
}

int ferry_v1_failed(struct backend_v1 *v1, int status, const char *what)
{
    const char *text = v1->sub_error.text;

    return ferry_error_set(v1->job->reterr, status, V1_LAYER, NULL, 0,
                           "migration region (uAPI v1): %s: %.180s", what,
                           text[0] != '\0' ? text : ferry_status_text(status));
}

int ferry_v1_lies(struct backend_v1 *v1, const char *what, uint64_t value)
{
    return ferry_error_set(v1->job->reterr, FERRY_E_PROTOCOL, V1_LAYER, NULL, 0,
                           "migration region (uAPI v1): %s (0x%llx)", what,
                           (unsigned long long)value);
}

/* --- jobs --- */

static int refuse(struct ferry_request *request)
{
    return ferry_error_set(request->reterr, FERRY_E_UNSUPPORTED, V1_LAYER, NULL, 0,
                           "%s: a device with uAPI v1 has no such thing",
                           ferry_request_name(request->kind));
}

/* The first step of a request that needs the region; NULL: it does not. */
static v1_step_fn *first_step(const struct ferry_request *request)
{
    /* Only these; all others go through or are answered here. */
    if (request->kind == FERRY_RQ_GET_STATE) {
        return ferry_v1_get_state;
    }
    if (request->kind == FERRY_RQ_SET_STATE) {
        return ferry_v1_set_state;
    }
    if (request->kind == FERRY_RQ_RESET) {
        return ferry_v1_reset;
    }
    if (request->kind == FERRY_RQ_DATA_READ) {
        return ferry_v1_data_read;
    }
    if (request->kind == FERRY_RQ_DATA_WRITE) {
        return ferry_v1_data_write;
    }
    return request->kind == FERRY_RQ_PRECOPY_INFO ? ferry_v1_precopy_info : NULL;
}

/* Goes on until the job ends or an answer has to come. */
static int advance(struct backend_v1 *v1, int status)
{
    for (;;) {
        int rc = v1->step(v1, status);

        if (rc != V1_ASK) {
            return rc;
        }
        if (v1->dead) {
            return FERRY_E_CLOSED;
        }
        v1->sub_error.code = FERRY_OK;
        v1->sub_error.text[0] = '\0';
        v1->sub.reterr = &v1->sub_error;
        rc = v1->waits ? v1->below->ops->call(v1->below, &v1->sub)
                       : v1->below->ops->submit(v1->below, &v1->sub);
        if (rc == FERRY_PENDING) {
            return rc;
        }
        status = rc;
    }
}

static int begin(struct backend_v1 *v1, struct ferry_request *request)
{
    if (v1->dead) {
        return FERRY_E_CLOSED;
    }
    v1->job = request;
    v1->step = first_step(request);
    return advance(v1, FERRY_OK);
}

static void finish(struct backend_v1 *v1, struct ferry_request *request, int status)
{
    request->status = status;
    request->next = NULL;
    pthread_mutex_lock(&v1->lock);
    *v1->done_tail = request;
    v1->done_tail = &request->next;
    pthread_mutex_unlock(&v1->lock);
    (void)ferry_os_eventfd_signal(v1->event_fd);
}

/* The job is over: those that wait have their turn. */
static void next_job(struct backend_v1 *v1)
{
    int rc;

    do {
        struct ferry_request *request;

        pthread_mutex_lock(&v1->lock);
        request = v1->queue_head;
        /* All of them: one that finds submitted requests under way gives up, and would
         * have had the only signal. */
        if (v1->waits || request == NULL) {
            pthread_cond_broadcast(&v1->freed);
        }
        v1->waits = 0;
        if (request == NULL) {
            v1->busy = 0;
            pthread_mutex_unlock(&v1->lock);
            return;
        }
        v1->queue_head = request->next;
        if (v1->queue_head == NULL) {
            v1->queue_tail = &v1->queue_head;
        }
        pthread_mutex_unlock(&v1->lock);
        rc = begin(v1, request);
        if (rc != FERRY_PENDING) {
            finish(v1, request, rc);
        }
    } while (rc != FERRY_PENDING);
}

static void sub_done(struct ferry_request *sub)
{
    struct backend_v1 *v1 = sub->user;
    const int rc = advance(v1, sub->status);

    if (rc != FERRY_PENDING) {
        finish(v1, v1->job, rc);
        next_job(v1);
    }
}

/* --- what needs no region --- */

/* Answered here. Return: FERRY_OK or a negative code; FERRY_PENDING: it goes through. */
static int answer(struct backend_v1 *v1, struct ferry_request *request)
{
    if (v1->dead) {
        return FERRY_E_CLOSED; /* below is gone; who hears of the end may ask again */
    }
    if (request->kind == FERRY_RQ_MIG_FLAGS) {
        request->u.mig_flags = FERRY_MIG_STOP_COPY | FERRY_MIG_PRE_COPY;
        return FERRY_OK;
    }
    if (request->kind == FERRY_RQ_PROBE) {
        const struct ferry_feature_probe *probe = &request->u.probe;

        if (probe->index == FEATURE_DEVICE_STATE) {
            return FERRY_OK;
        }
        if (probe->index == FEATURE_MIGRATION || probe->index == FEATURE_PRECOPY_INFO) {
            return probe->operation == FERRY_FEATURE_GET ? FERRY_OK : refuse(request);
        }
        return probe->index == FEATURE_DATA_SIZE ? refuse(request) : FERRY_PENDING;
    }
    if (request->kind == FERRY_RQ_DATA_SIZE || request->kind == FERRY_RQ_DATA_FD ||
        request->kind == FERRY_RQ_LEAVE_STATE) {
        return refuse(request);
    }
    if (request->kind == FERRY_RQ_REGION_WRITE &&
        request->u.io.index == v1->region.index) {
        v1->known = v1->halted = 0; /* somebody does it himself */
        v1->foreign = 1;
    }
    return FERRY_PENDING;
}

/* --- the backend --- */

static int v1_submit(struct ferry_backend *backend, struct ferry_request *request)
{
    struct backend_v1 *v1 = v1_of(backend);
    int rc;

    if (first_step(request) == NULL) {
        rc = answer(v1, request);
        request->status = rc;
        return rc == FERRY_PENDING ? v1->below->ops->submit(v1->below, request) : rc;
    }
    pthread_mutex_lock(&v1->lock);
    if (v1->busy) {
        request->next = NULL;
        *v1->queue_tail = request;
        v1->queue_tail = &request->next;
        pthread_mutex_unlock(&v1->lock);
        return FERRY_PENDING;
    }
    v1->busy = 1;
    pthread_mutex_unlock(&v1->lock);
    rc = begin(v1, request);
    if (rc != FERRY_PENDING) {
        request->status = rc;
        next_job(v1);
    }
    return rc;
}

static int v1_call(struct ferry_backend *backend, struct ferry_request *request)
{
    struct backend_v1 *v1 = v1_of(backend);
    int rc;

    if (first_step(request) == NULL) {
        rc = answer(v1, request);
        request->status = rc;
        return rc == FERRY_PENDING ? v1->below->ops->call(v1->below, request) : rc;
    }
    pthread_mutex_lock(&v1->lock);
    /* One that waits itself goes on; what was submitted may need this very thread. */
    while (v1->busy && v1->waits) {
        pthread_cond_wait(&v1->freed, &v1->lock);
    }
    if (v1->busy) {
        pthread_mutex_unlock(&v1->lock);
        request->status = FERRY_E_BUSY;
        return ferry_error_set(request->reterr, FERRY_E_BUSY, V1_LAYER, NULL, 0,
                               "%s: other requests to the device's migration region are "
                               "under way",
                               ferry_request_name(request->kind));
    }
    v1->busy = v1->waits = 1;
    pthread_mutex_unlock(&v1->lock);
    rc = begin(v1, request);
    request->status = rc;
    next_job(v1);
    return rc;
}

static void run_completions(struct backend_v1 *v1, int *ret_count)
{
    struct ferry_request *request;

    pthread_mutex_lock(&v1->lock);
    request = v1->done_head;
    v1->done_head = NULL;
    v1->done_tail = &v1->done_head;
    pthread_mutex_unlock(&v1->lock);
    while (request != NULL) {
        struct ferry_request *next = request->next;

        request->next = NULL;
        request->done(request);
        request = next;
        ++*ret_count;
    }
}

static void on_ready(struct ferry_watch *watch, uint32_t events)
{
    (void)watch; /* dispatch looks at both anyway */
    (void)events;
}

static int watch(struct backend_v1 *v1)
{
    int rc = ferry_loop_create(&v1->loop);

    if (rc != FERRY_OK) {
        v1->loop = NULL;
        return rc;
    }
    v1->event_watch = (struct ferry_watch){ .fd = v1->event_fd,
                                            .events = FERRY_LOOP_READ,
                                            .fn = on_ready };
    v1->below_watch = (struct ferry_watch){ .fd = v1->below->ops->fd(v1->below),
                                            .events = FERRY_LOOP_READ,
                                            .fn = on_ready };
    rc = ferry_loop_add(v1->loop, &v1->event_watch);
    if (rc == FERRY_OK) {
        rc = ferry_loop_add(v1->loop, &v1->below_watch);
    }
    if (rc != FERRY_OK) {
        ferry_loop_destroy(v1->loop);
        v1->loop = NULL;
    }
    return rc;
}

static int v1_fd(struct ferry_backend *backend)
{
    struct backend_v1 *v1 = v1_of(backend);

    return v1->loop != NULL || watch(v1) == FERRY_OK ? ferry_loop_fd(v1->loop) : -1;
}

static int v1_dispatch(struct ferry_backend *backend)
{
    struct backend_v1 *v1 = v1_of(backend);
    int count = 0, rc;

    if (v1->loop != NULL) {
        (void)ferry_loop_dispatch(v1->loop, 0);
    }
    (void)ferry_os_eventfd_drain(v1->event_fd, NULL);
    rc = v1->below->ops->dispatch(v1->below);
    run_completions(v1, &count);
    return rc < 0 ? rc : rc + count;
}

static uint32_t v1_max_data(struct ferry_backend *backend)
{
    struct backend_v1 *v1 = v1_of(backend);

    return v1->below->ops->max_data(v1->below);
}

static void v1_error(struct ferry_backend *backend, struct ferry_error *ret_error)
{
    struct backend_v1 *v1 = v1_of(backend);

    v1->below->ops->error(v1->below, ret_error);
}

static uint32_t v1_extensions(struct ferry_backend *backend)
{
    struct backend_v1 *v1 = v1_of(backend);
    const uint32_t below =
        v1->below->ops->extensions != NULL ? v1->below->ops->extensions(v1->below) : 0;
    const uint32_t of_v2 =
        FERRY_VIEW_NOTICES | FERRY_VIEW_PRECOPY_INFO | FERRY_VIEW_DATA_FD;

    return (below & ~of_v2) | FERRY_VIEW_UAPI_V1;
}

static uint32_t v1_max_fds(struct ferry_backend *backend)
{
    struct backend_v1 *v1 = v1_of(backend);

    /* What a backend without the call takes. */
    return v1->below->ops->max_fds != NULL ? v1->below->ops->max_fds(v1->below) : 0;
}

static int v1_regions_are_device(struct ferry_backend *backend)
{
    struct backend_v1 *v1 = v1_of(backend);

    return v1->below->ops->regions_are_device != NULL &&
           v1->below->ops->regions_are_device(v1->below);
}

void ferry_v1_destroy(struct backend_v1 *v1)
{
    ferry_v1_forget_data(v1);
    ferry_v1_unmap(v1);
    ferry_os_close(&v1->region.fd);
    ferry_os_close(&v1->event_fd);
    pthread_cond_destroy(&v1->freed);
    pthread_mutex_destroy(&v1->lock);
    free(v1);
}

static void v1_close(struct ferry_backend *backend)
{
    struct backend_v1 *v1 = v1_of(backend);
    int count = 0;

    v1->dead = 1;
    if (v1->loop != NULL) {
        ferry_loop_remove(v1->loop, &v1->event_watch);
        ferry_loop_remove(v1->loop, &v1->below_watch);
        ferry_loop_destroy(v1->loop);
    }
    /* Ends the request below, with it the job, and then all that wait. */
    v1->below->ops->close(v1->below);
    run_completions(v1, &count);
    ferry_v1_destroy(v1);
}

static const struct ferry_backend_ops v1_ops = {
    .struct_size = sizeof(struct ferry_backend_ops),
    .scheme = "v1",
    .close = v1_close,
    .submit = v1_submit,
    .call = v1_call,
    .fd = v1_fd,
    .dispatch = v1_dispatch,
    .max_data = v1_max_data,
    .error = v1_error,
    .extensions = v1_extensions,
    .max_fds = v1_max_fds,
    .regions_are_device = v1_regions_are_device,
};

int ferry_v1_create(struct ferry_backend *below, struct backend_v1 **ret_v1)
{
    struct backend_v1 *v1 = calloc(1, sizeof(*v1));
    int rc;

    if (v1 == NULL) {
        return FERRY_E_MEMORY;
    }
    pthread_mutex_init(&v1->lock, NULL);
    pthread_cond_init(&v1->freed, NULL);
    v1->base.ops = &v1_ops;
    v1->below = below;
    v1->region.fd = FERRY_NO_REGION_FD;
    v1->event_fd = -1;
    ferry_v1_forget_data(v1);
    v1->queue_tail = &v1->queue_head;
    v1->done_tail = &v1->done_head;
    rc = ferry_os_eventfd_create(&v1->event_fd);
    if (rc != FERRY_OK) {
        ferry_v1_destroy(v1);
        return rc;
    }
    *ret_v1 = v1;
    return FERRY_OK;
}
