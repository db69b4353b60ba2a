/* SPDX-License-Identifier: BSD-3-Clause */
#include "filters/filter.h"

#include <stdlib.h>
#include <string.h>

#include "ferry/filter.h"

static struct ferry_filter *filter_of(struct ferry_endpoint *endpoint)
{
    return (struct ferry_filter *)endpoint; /* its first member */
}

static const struct ferry_endpoint_ops *below_ops(const struct ferry_filter *filter)
{
    return filter->endpoint.below->ops;
}

int filter_pass(struct ferry_filter *filter, struct ferry_request *request)
{
    return below_ops(filter)->submit(filter->endpoint.below, request);
}

void filter_end(struct ferry_request *request, int status)
{
    request->status = status;
    request->next = NULL;
    if (request->done != NULL) {
        request->done(request);
    }
}

int filter_call_drop(struct filter_call *call, int status)
{
    struct ferry_filter *filter = call->filter;

    free(call->memory);
    call->memory = NULL;
    call->next = filter->free_calls;
    filter->free_calls = call;
    filter->calls--;
    return status;
}

/* The result goes to the user's request; its own memory stays where it was. */
static int finish(struct filter_call *call, int status)
{
    struct ferry_request *inner = &call->inner, *outer = call->outer;

    filter_rule_follow(&call->filter->rule, inner, status);
    if (inner->kind == FERRY_RQ_DATA_READ || inner->kind == FERRY_RQ_DATA_WRITE) {
        inner->u.data.data = outer->u.data.data;
        inner->u.data.size = outer->u.data.size;
    } else if (inner->kind == FERRY_RQ_REGION_WRITE) {
        inner->u.io.data = outer->u.io.data;
    } else if (inner->kind == FERRY_RQ_LOG_REPORT) {
        inner->u.log_report.bitmap = outer->u.log_report.bitmap;
    } else if (inner->kind == FERRY_RQ_DMA_UNMAP) {
        inner->u.unmap.bitmap = outer->u.unmap.bitmap;
    }
    outer->u = inner->u;
    if (call->filter->kind->after != NULL) {
        call->filter->kind->after(call->filter, call, &status);
    }
    outer->status = status;
    return filter_call_drop(call, status);
}

static void inner_done(struct ferry_request *inner)
{
    struct filter_call *call = inner->user;
    struct ferry_request *outer = call->outer;

    filter_end(outer, finish(call, inner->status));
}

struct filter_call *filter_call_new(struct ferry_filter *filter,
                                    struct ferry_request *request, int *ret_status)
{
    struct filter_call *call = filter->free_calls;

    *ret_status = FERRY_E_LIMIT;
    if (filter->calls == FILTER_CALLS_MAX) {
        return NULL;
    }
    if (call != NULL) {
        filter->free_calls = call->next;
    } else {
        call = calloc(1, sizeof(*call));
        *ret_status = FERRY_E_MEMORY;
    }
    if (call == NULL) {
        return NULL;
    }
    filter->calls++;
    call->inner = *request;
    call->inner.done = inner_done;
    call->inner.user = call;
    call->outer = request;
    call->filter = filter;
    call->matched = 0;
    *ret_status = FERRY_OK;
    return call;
}

int filter_send(struct filter_call *call)
{
    const int status = filter_pass(call->filter, &call->inner);

    return status == FERRY_PENDING ? status : finish(call, status);
}

/* Watches a request. */
static int watch(struct ferry_filter *filter, struct ferry_request *request, int matched)
{
    int status;
    struct filter_call *call = filter_call_new(filter, request, &status);

    if (call == NULL) {
        request->status =
            ferry_error_set(request->reterr, status, "filter", NULL, 0,
                            "%s filter: too many requests at a time", filter->kind->name);
        return status;
    }
    call->matched = (uint32_t)matched;
    return filter_send(call);
}

int filter_forward(struct ferry_filter *filter, struct ferry_request *request)
{
    return filter_rule_follows(&filter->rule, request->kind)
               ? watch(filter, request, 0)
               : filter_pass(filter, request);
}

int filter_port(struct ferry_filter *filter, int write, uint64_t iova, void *data,
                size_t size)
{
    const struct ferry_client_port *port = filter->user_port;

    return write ? port->dma_write(port->user, iova, data, size)
                 : port->dma_read(port->user, iova, data, size);
}

static int port_read(void *user, uint64_t iova, void *ret_data, size_t size)
{
    struct ferry_filter *filter = user;

    if (filter_rule_takes_dma(&filter->rule, FILTER_OP_DMA_READ)) {
        return filter->kind->dma(filter, 0, iova, ret_data, size);
    }
    return filter_port(filter, 0, iova, ret_data, size);
}

static int port_write(void *user, uint64_t iova, const void *data, size_t size)
{
    struct ferry_filter *filter = user;
    void *bytes;

    memcpy(&bytes, &data, sizeof(bytes)); /* a kind changes a copy, never this */
    if (filter_rule_takes_dma(&filter->rule, FILTER_OP_DMA_WRITE)) {
        return filter->kind->dma(filter, 1, iova, bytes, size);
    }
    return filter_port(filter, 1, iova, bytes, size);
}

static int endpoint_attach(struct ferry_endpoint *endpoint,
                           const struct ferry_client_port *port)
{
    struct ferry_filter *filter = filter_of(endpoint);
    int status;

    if (filter->attached) {
        return FERRY_E_BUSY;
    }
    filter->user_port = port;
    filter->rule.state = FERRY_STATE_RUNNING;
    if (port != NULL &&
        (filter->rule.operation >= FERRY_RQ_COUNT || filter->rule.dma_too != 0)) {
        filter->port = (struct ferry_client_port){ .struct_size = sizeof(filter->port),
                                                   .dma_read = port_read,
                                                   .dma_write = port_write,
                                                   .user = filter };
        port = &filter->port;
    }
    status = below_ops(filter)->attach(endpoint->below, port);
    if (status != FERRY_OK) {
        return status;
    }
    filter->attached = 1;
    if (filter->kind->attach != NULL) {
        filter->kind->attach(filter);
    }
    return FERRY_OK;
}

static void endpoint_detach(struct ferry_endpoint *endpoint)
{
    struct ferry_filter *filter = filter_of(endpoint);

    if (!filter->attached) {
        return;
    }
    /* Whoever hears that his request is closed may ask again: he is refused. */
    filter->attached = 0;
    below_ops(filter)->detach(endpoint->below);
    if (filter->kind->detach != NULL) {
        filter->kind->detach(filter);
    }
    filter->user_port = NULL;
}

static int endpoint_submit(struct ferry_endpoint *endpoint, struct ferry_request *request)
{
    struct ferry_filter *filter = filter_of(endpoint);
    int matched;

    if (!filter->attached) {
        request->status = FERRY_E_CLOSED;
        return FERRY_E_CLOSED;
    }
    if (request->kind == FERRY_RQ_DATA_READ) {
        request->u.data.piece = NULL; /* a filter looks at the bytes, or keeps them */
    }
    matched = filter_rule_takes(&filter->rule, request);
    if (filter->kind->submit != NULL) {
        return filter->kind->submit(filter, request, matched);
    }
    return matched ? watch(filter, request, 1) : filter_forward(filter, request);
}

static int endpoint_work(struct ferry_endpoint *endpoint)
{
    struct ferry_filter *filter = filter_of(endpoint);
    int more = 0;

    if (filter->kind->work != NULL) {
        more = filter->kind->work(filter);
    }
    if (filter->attached && below_ops(filter)->work != NULL) {
        more |= below_ops(filter)->work(endpoint->below) > 0;
    }
    return more;
}

int filter_below_fd(struct ferry_filter *filter)
{
    return ferry_endpoint_wake_fd(filter->endpoint.below);
}

static int endpoint_wake_fd(struct ferry_endpoint *endpoint)
{
    struct ferry_filter *filter = filter_of(endpoint);

    return filter->kind->wake_fd != NULL ? filter->kind->wake_fd(filter)
                                         : filter_below_fd(filter);
}

static int endpoint_reads_inside(struct ferry_endpoint *endpoint)
{
    return ferry_endpoint_reads_inside(endpoint->below);
}

static const struct ferry_endpoint_ops filter_ops = {
    .struct_size = sizeof(filter_ops),
    .attach = endpoint_attach,
    .detach = endpoint_detach,
    .submit = endpoint_submit,
    .work = endpoint_work,
    .wake_fd = endpoint_wake_fd,
    .reads_inside = endpoint_reads_inside,
};

static void destroy(struct ferry_filter *filter)
{
    if (filter->kind != NULL && filter->kind->close != NULL) {
        filter->kind->close(filter);
    }
    while (filter->free_calls != NULL) {
        struct filter_call *call = filter->free_calls;

        filter->free_calls = call->next;
        free(call);
    }
    free(filter);
}

/* One filter over *endpoint, which is then the filter. */
static int put_over(struct ferry_endpoint **endpoint, const char *spec, size_t at,
                    size_t length, struct ferry_error *reterr)
{
    struct ferry_filter *filter = calloc(1, sizeof(*filter));
    int status;

    if (filter == NULL) {
        return ferry_error_set(reterr, FERRY_E_MEMORY, "filter", NULL, 0, "no memory");
    }
    filter->endpoint.ops = &filter_ops;
    filter->endpoint.below = *endpoint;
    status = filter_parse(filter, spec, at, length, reterr);
    if (status != FERRY_OK) {
        destroy(filter);
        return status;
    }
    *endpoint = &filter->endpoint;
    return FERRY_OK;
}

void ferry_filter_close(struct ferry_endpoint *endpoint)
{
    int last = endpoint == NULL;

    while (!last) {
        struct ferry_filter *filter = filter_of(endpoint);

        last = filter->bottom != 0;
        endpoint = endpoint->below;
        destroy(filter);
    }
}

int ferry_filter_open(struct ferry_endpoint *below, const char *spec,
                      struct ferry_endpoint **ret_endpoint, struct ferry_error *reterr)
{
    struct ferry_endpoint *top = below;
    size_t at, end = strlen(spec);
    uint32_t count = 0;
    int status = FERRY_OK, first = 0;

    /* From the last, which is nearest to the device, to the first. */
    while (status == FERRY_OK && !first) {
        for (at = end; at > 0 && spec[at - 1] != ','; at--) {
        }
        if (count++ == FERRY_FILTERS_MAX) {
            status = ferry_error_set(reterr, FERRY_E_LIMIT, "filter", NULL, at,
                                     "more than %d filters in \"%s\"", FERRY_FILTERS_MAX,
                                     spec);
        } else {
            status = put_over(&top, spec, at, end - at, reterr);
        }
        if (status == FERRY_OK && top->below == below) {
            filter_of(top)->bottom = 1;
        }
        first = at == 0;
        end = first ? 0 : at - 1;
    }
    if (status != FERRY_OK) {
        ferry_filter_close(top == below ? NULL : top);
        return status;
    }
    *ret_endpoint = top;
    return FERRY_OK;
}
