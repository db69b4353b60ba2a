/* SPDX-License-Identifier: BSD-3-Clause */
#include "tests/check/rig/mutant.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#define CALL_MS 2000

/* A request on its way: the model sees `inner`. */
struct mutant_call {
    struct ferry_request inner;
    struct ferry_request *outer;
    struct mutant *mutant;
    struct mutant_call *next, *prev; /* list of calls under way */
    struct mutant_call *next_held;
    uint8_t *memory; /* mutant_own_data() */
};

static struct mutant *mutant_of(struct ferry_endpoint *endpoint)
{
    return (struct mutant *)endpoint; /* its first member */
}

static const struct ferry_endpoint_ops *below_ops(const struct mutant *mutant)
{
    return mutant->endpoint.below->ops;
}

/* -- What passed -- */

static struct mutant_map *free_map(struct mutant *mutant)
{
    for (uint32_t i = 0; i < MUTANT_MAPS_MAX; i++) {
        if (mutant->map[i].size == 0) {
            return &mutant->map[i];
        }
    }
    return NULL;
}

static void add_map(struct mutant *mutant, const struct ferry_dma_map *from)
{
    struct mutant_map *map = free_map(mutant);
    void *address = MAP_FAILED;

    if (map == NULL || from->size == 0) {
        return;
    }
    if (from->fd >= 0) {
        address = mmap(NULL, from->size, PROT_READ | PROT_WRITE, MAP_SHARED, from->fd,
                       (off_t)from->offset);
    }
    map->iova = from->iova;
    map->size = from->size;
    map->flags = from->flags;
    map->address = address == MAP_FAILED ? NULL : address;
}

static void drop_maps(struct mutant *mutant, uint64_t iova, uint64_t size, int all)
{
    for (uint32_t i = 0; i < MUTANT_MAPS_MAX; i++) {
        struct mutant_map *map = &mutant->map[i];

        if (map->size > 0 && (all || (map->iova >= iova && map->iova - iova < size))) {
            if (map->address != NULL) {
                (void)munmap(map->address, map->size);
            }
            memset(map, 0, sizeof(*map));
        }
    }
}

static void set_eventfd(struct mutant *mutant, uint32_t index, uint32_t vector, int fd)
{
    int *own = &mutant->eventfd[index][vector];

    if (*own >= 0) {
        (void)close(*own);
    }
    *own = fd >= 0 ? dup(fd) : -1;
}

static void follow_irqs(struct mutant *mutant, const struct ferry_irq_set *set)
{
    if (set->index >= 5 || (set->flags & FERRY_IRQ_SET_TRIGGER) == 0) {
        return;
    }
    if ((set->flags & FERRY_IRQ_SET_DATA_EVENTFD) != 0) {
        for (uint32_t i = 0; i < set->count && set->start + i < MUTANT_EVENTFDS_MAX;
             i++) {
            set_eventfd(mutant, set->index, set->start + i,
                        i < set->fd_count ? set->fds[i] : -1);
        }
    } else if ((set->flags & FERRY_IRQ_SET_DATA_NONE) != 0 && set->count == 0) {
        for (uint32_t i = 0; i < MUTANT_EVENTFDS_MAX; i++) {
            set_eventfd(mutant, set->index, i, -1);
        }
    }
}

static void drop_eventfds(struct mutant *mutant)
{
    for (uint32_t index = 0; index < 5; index++) {
        for (uint32_t i = 0; i < MUTANT_EVENTFDS_MAX; i++) {
            set_eventfd(mutant, index, i, -1);
        }
    }
}

static int is_saving(uint32_t state)
{
    return state == FERRY_STATE_PRE_COPY || state == FERRY_STATE_PRE_COPY_P2P ||
           state == FERRY_STATE_STOP_COPY;
}

/* The model may have changed its state since we looked. */
static void follow_state(struct mutant *mutant, int reset)
{
    const uint32_t from = mutant->state, to = ferry_device_state(mutant->device);

    if (from != to || reset) {
        memset(mutant->since, 0, sizeof(mutant->since));
        if (!(is_saving(from) && is_saving(to)) || reset) {
            mutant->data_bytes = 0;
        }
    }
    mutant->state = to;
    if (from != to && mutant->row != NULL && mutant->row->on_state != NULL) {
        mutant->row->on_state(mutant, from, to);
    }
}

/* -- Requests -- */

/* Takes in what a request that the model has carried out has done. */
static void follow(struct mutant *mutant, const struct ferry_request *request, int status)
{
    if (status == FERRY_OK) {
        if (request->kind == FERRY_RQ_DMA_MAP) {
            add_map(mutant, &request->u.map);
        } else if (request->kind == FERRY_RQ_DMA_UNMAP) {
            drop_maps(mutant, request->u.unmap.iova, request->u.unmap.size,
                      (request->u.unmap.flags & FERRY_UNMAP_ALL) != 0);
        } else if (request->kind == FERRY_RQ_SET_IRQS) {
            follow_irqs(mutant, &request->u.irq_set);
        } else if (request->kind == FERRY_RQ_DATA_READ) {
            mutant->data_bytes += request->u.data.got;
        } else if (request->kind == FERRY_RQ_DATA_WRITE) {
            mutant->data_bytes += request->u.data.size;
        }
    }
    follow_state(mutant, request->kind == FERRY_RQ_RESET);
}

/* What the mutant put in place of the user's memory is not given up. */
static void restore_memory(struct ferry_request *inner, const struct ferry_request *outer)
{
    if (inner->kind == FERRY_RQ_DATA_READ || inner->kind == FERRY_RQ_DATA_WRITE) {
        inner->u.data.data = outer->u.data.data;
        inner->u.data.size = outer->u.data.size;
    } else if (inner->kind == FERRY_RQ_REGION_WRITE) {
        inner->u.io.data = outer->u.io.data;
    }
}

static void call_free(struct mutant_call *call)
{
    struct mutant *mutant = call->mutant;

    if (call->prev != NULL) {
        call->prev->next = call->next;
    } else {
        mutant->calls = call->next;
    }
    if (call->next != NULL) {
        call->next->prev = call->prev;
    }
    free(call->memory);
    free(call);
}

/* asked: the model was, and status is its word. Return: what the user gets. */
static int call_end(struct mutant_call *call, int status, int asked)
{
    struct mutant *mutant = call->mutant;
    struct ferry_request *outer = call->outer;

    if (asked) {
        /* after() finds the counts as they were when the request came. */
        const uint32_t since = mutant->since[call->inner.kind];

        follow(mutant, &call->inner, status);
        if (mutant->row != NULL && mutant->row->after != NULL) {
            const uint32_t now = mutant->since[call->inner.kind];

            mutant->kind = call->inner.kind;
            mutant->since[mutant->kind] = now == 0 ? since : now;
            status = mutant->row->after(mutant, &call->inner, status);
            mutant->since[mutant->kind] = now;
        }
    }
    restore_memory(&call->inner, outer);
    outer->u = call->inner.u;
    outer->status = status;
    call_free(call);
    return status;
}

static void finish(struct mutant_call *call, int status, int asked)
{
    struct ferry_request *outer = call->outer;

    (void)call_end(call, status, asked);
    outer->next = NULL;
    outer->done(outer);
}

static void inner_done(struct ferry_request *inner)
{
    finish(inner->user, inner->status, 1);
}

static struct mutant_call *call_new(struct mutant *mutant, struct ferry_request *request)
{
    struct mutant_call *call = calloc(1, sizeof(*call));

    assert(call != NULL);
    call->inner = *request;
    call->inner.done = inner_done;
    call->inner.user = call;
    call->outer = request;
    call->mutant = mutant;
    call->next = mutant->calls;
    if (call->next != NULL) {
        call->next->prev = call;
    }
    mutant->calls = call;
    return call;
}

static int endpoint_submit(struct ferry_endpoint *endpoint, struct ferry_request *request)
{
    struct mutant *mutant = mutant_of(endpoint);
    const struct check_mutant *row = mutant->row;
    struct mutant_call *call;
    int status = MUTANT_PASS;

    if (!mutant->attached) {
        return request->status = FERRY_E_CLOSED;
    }
    call = call_new(mutant, request);
    if (request->kind == FERRY_RQ_DATA_READ) {
        call->inner.u.data.piece = NULL; /* a mutant looks at the bytes */
    }
    assert(request->kind < FERRY_RQ_COUNT);
    mutant->kind = request->kind;
    mutant->since[request->kind]++;
    mutant->total[request->kind]++;
    if (row != NULL && row->before != NULL) {
        status = row->before(mutant, &call->inner);
    }
    if (status == FERRY_PENDING) {
        return status; /* held */
    }
    if (status != MUTANT_PASS) {
        return call_end(call, status, 0);
    }
    status = below_ops(mutant)->submit(endpoint->below, &call->inner);
    return status == FERRY_PENDING ? status : call_end(call, status, 1);
}

int mutant_hold(struct mutant *mutant, struct ferry_request *request)
{
    struct mutant_call **last = &mutant->held;

    while (*last != NULL) {
        last = &(*last)->next_held;
    }
    *last = request->user;
    return FERRY_PENDING;
}

void mutant_release(struct mutant *mutant, int status)
{
    struct mutant_call *held = mutant->held;

    mutant->held = NULL;
    while (held != NULL) {
        struct mutant_call *next = held->next_held;

        held->next_held = NULL;
        if (status != MUTANT_PASS) {
            finish(held, status, 0);
        } else {
            const int rc =
                below_ops(mutant)->submit(mutant->endpoint.below, &held->inner);

            if (rc != FERRY_PENDING) {
                finish(held, rc, 1);
            }
        }
        held = next;
    }
}

/* -- The endpoint -- */

static int endpoint_attach(struct ferry_endpoint *endpoint,
                           const struct ferry_client_port *port)
{
    struct mutant *mutant = mutant_of(endpoint);
    const int status = below_ops(mutant)->attach(endpoint->below, port);

    if (status == FERRY_OK) {
        mutant->attached = 1;
        mutant->port = port;
        follow_state(mutant, 1);
        if (mutant->row != NULL && mutant->row->on_user != NULL) {
            mutant->row->on_user(mutant, 1);
        }
    }
    return status;
}

static void endpoint_detach(struct ferry_endpoint *endpoint)
{
    struct mutant *mutant = mutant_of(endpoint);

    if (!mutant->attached) {
        return;
    }
    mutant->attached = 0;
    if (mutant->row != NULL && mutant->row->on_user != NULL) {
        mutant->row->on_user(mutant, 0);
    }
    mutant_release(mutant, FERRY_E_CLOSED);
    below_ops(mutant)->detach(endpoint->below);
    assert(mutant->calls == NULL);
    drop_maps(mutant, 0, 0, 1);
    drop_eventfds(mutant);
    mutant->port = NULL;
    follow_state(mutant, 1);
}

static int endpoint_work(struct ferry_endpoint *endpoint)
{
    struct mutant *mutant = mutant_of(endpoint);
    uint64_t count;
    int more = 0;

    if (read(mutant->wake_fd, &count, sizeof(count)) < 0) {
        count = 0; /* nobody woke us */
    }
    if (mutant->attached && mutant->row != NULL && mutant->row->work != NULL) {
        more = mutant->row->work(mutant);
    }
    more |= below_ops(mutant)->work(endpoint->below);
    follow_state(mutant, 0);
    return more;
}

static int endpoint_wake_fd(struct ferry_endpoint *endpoint)
{
    return mutant_of(endpoint)->loop_fd;
}

static int endpoint_reads_inside(struct ferry_endpoint *endpoint)
{
    const struct ferry_endpoint_ops *ops = below_ops(mutant_of(endpoint));

    return ops->reads_inside != NULL && ops->reads_inside(endpoint->below);
}

static const struct ferry_endpoint_ops endpoint_ops = {
    .struct_size = sizeof(endpoint_ops),
    .attach = endpoint_attach,
    .detach = endpoint_detach,
    .submit = endpoint_submit,
    .work = endpoint_work,
    .wake_fd = endpoint_wake_fd,
    .reads_inside = endpoint_reads_inside,
};

static void watch(const struct mutant *mutant, int fd)
{
    struct epoll_event event = { .events = EPOLLIN };
    const int rc = fd < 0 ? 0 : epoll_ctl(mutant->loop_fd, EPOLL_CTL_ADD, fd, &event);

    assert(rc == 0);
}

struct mutant *mutant_new(const struct check_mutant *row, struct ferry_device *device,
                          struct ferry_endpoint *below)
{
    struct mutant *mutant = calloc(1, sizeof(*mutant));

    if (mutant == NULL) {
        return NULL;
    }
    mutant->endpoint.ops = &endpoint_ops;
    mutant->endpoint.below = below;
    mutant->row = row;
    mutant->device = device;
    mutant->state = ferry_device_state(device);
    memset(mutant->eventfd, 0xff, sizeof(mutant->eventfd));
    mutant->wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    mutant->loop_fd = epoll_create1(EPOLL_CLOEXEC);
    assert(mutant->wake_fd >= 0 && mutant->loop_fd >= 0);
    watch(mutant, mutant->wake_fd);
    watch(mutant, below->ops->wake_fd != NULL ? below->ops->wake_fd(below) : -1);
    return mutant;
}

void mutant_free(struct mutant *mutant)
{
    if (mutant == NULL) {
        return;
    }
    assert(!mutant->attached && mutant->calls == NULL);
    (void)close(mutant->wake_fd);
    (void)close(mutant->loop_fd);
    free(mutant->bytes);
    free(mutant);
}

/* -- What hooks call -- */

void mutant_wake(struct mutant *mutant)
{
    const uint64_t one = 1;
    const ssize_t count = write(mutant->wake_fd, &one, sizeof(one));

    assert(count == sizeof(one));
}

uint8_t *mutant_own_data(struct mutant *mutant, struct ferry_request *request,
                         size_t room)
{
    struct mutant_call *call = request->user;
    void **data = request->kind == FERRY_RQ_DATA_WRITE ? &request->u.data.data
                                                       : &request->u.io.data;
    const size_t size = request->kind == FERRY_RQ_DATA_WRITE
                            ? (size_t)request->u.data.size
                            : request->u.io.count;

    (void)mutant;
    assert(call->memory == NULL && request == &call->inner);
    assert(request->kind == FERRY_RQ_DATA_WRITE ||
           request->kind == FERRY_RQ_REGION_WRITE);
    call->memory = calloc(1, (room > size ? room : size) + 1);
    assert(call->memory != NULL);
    if (size > 0) {
        memcpy(call->memory, *data, size);
    }
    *data = call->memory;
    return call->memory;
}

static uint64_t now_ms(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

static void call_over(struct ferry_request *request)
{
    *(int *)request->user = 1;
}

int mutant_call(struct mutant *mutant, struct ferry_request *request)
{
    const uint64_t until = now_ms() + CALL_MS;
    int over = 0, status;

    request->done = call_over;
    request->user = &over;
    status = below_ops(mutant)->submit(mutant->endpoint.below, request);
    if (status == FERRY_PENDING) {
        while (!over) {
            (void)below_ops(mutant)->work(mutant->endpoint.below);
            assert(now_ms() < until);
        }
        status = request->status;
    }
    follow(mutant, request, status);
    return status;
}

int mutant_set_state(struct mutant *mutant, uint32_t state)
{
    struct ferry_request request = { .kind = FERRY_RQ_SET_STATE, .u.state = state };

    return mutant_call(mutant, &request);
}

int mutant_reset(struct mutant *mutant)
{
    struct ferry_request request = { .kind = FERRY_RQ_RESET };

    return mutant_call(mutant, &request);
}

uint8_t *mutant_at(struct mutant *mutant, uint64_t iova, uint64_t bytes)
{
    for (uint32_t i = 0; i < MUTANT_MAPS_MAX; i++) {
        const struct mutant_map *map = &mutant->map[i];

        if (map->address != NULL && iova >= map->iova && bytes <= map->size &&
            iova - map->iova <= map->size - bytes) {
            return map->address + (iova - map->iova);
        }
    }
    return NULL;
}

int mutant_write(struct mutant *mutant, uint64_t iova, const void *data, uint64_t bytes)
{
    uint8_t *at = mutant_at(mutant, iova, bytes);

    if (at == NULL) {
        return 0;
    }
    memcpy(at, data, bytes);
    return 1;
}

int mutant_scribble(struct mutant *mutant, uint64_t iova, uint64_t bytes)
{
    uint8_t *at = mutant_at(mutant, iova, bytes);

    for (uint64_t i = 0; at != NULL && i < bytes; i++) {
        at[i]++;
    }
    return at != NULL;
}

int mutant_interrupt(struct mutant *mutant, uint32_t index, uint32_t vector)
{
    const uint64_t one = 1;
    const int fd = mutant->eventfd[index][vector];

    return fd >= 0 && write(fd, &one, sizeof(one)) == sizeof(one);
}

void mutant_keep(struct mutant *mutant, const void *data, size_t count, int append)
{
    const size_t before = append ? mutant->byte_count : 0;
    uint8_t *bytes = realloc(mutant->bytes, before + count + 1);

    assert(bytes != NULL);
    memcpy(bytes + before, data, count);
    mutant->bytes = bytes;
    mutant->byte_count = before + count;
}
