/* SPDX-License-Identifier: BSD-3-Clause */
#include <assert.h>
#include <stdlib.h>

#include "host/backend/backend_local.h"
#include "os/clock.h"
#include "os/eventfd.h"
#include "os/memory.h"

#define FREE_OPS_MAX 16u

void ferry_local_kick(struct backend_local *local)
{
    if (!local->kicked) {
        local->kicked = 1;
        (void)ferry_os_eventfd_signal(local->event_fd);
    }
}

static void op_free(struct backend_local *local, struct local_op *op)
{
    if (local->free_count == FREE_OPS_MAX) {
        free(op);
        return;
    }
    op->next = local->free_ops;
    local->free_ops = op;
    local->free_count++;
}

static void op_unlink(struct backend_local *local, struct local_op *op)
{
    if (op->prev != NULL) {
        op->prev->next = op->next;
    } else {
        local->pending = op->next;
    }
    if (op->next != NULL) {
        op->next->prev = op->prev;
    }
}

/* Copies the results back; afterwards the submitter may have his request again. */
static void op_give_back(struct local_op *op, int status)
{
    struct ferry_request *original = op->original;

    op->original = NULL;
    original->u = op->request.u;
    original->status = status;
    if (status < 0 && original->reterr != NULL) {
        *original->reterr = op->detail;
    }
    /* The endpoint lends a region's descriptor until the request is over; ours is owned.
     */
    if (original->kind == FERRY_RQ_GET_REGION_INFO) {
        original->u.region.fd = -1;
        if (status == FERRY_OK && op->request.u.region.fd >= 0) {
            (void)ferry_os_dup(op->request.u.region.fd, &original->u.region.fd);
        }
    }
}

static void queue_done(struct backend_local *local, struct ferry_request *request)
{
    request->next = NULL;
    *local->done_tail = request;
    local->done_tail = &request->next;
    ferry_local_kick(local);
}

/* The endpoint has ended a request that was pending. The lock is held by whoever called.
 */
static void op_done(struct ferry_request *request)
{
    struct local_op *op = request->user;
    struct backend_local *local = op->owner;
    struct ferry_request *original = op->original;

    op_unlink(local, op);
    if (original != NULL) {
        op_give_back(op, request->status);
        if (op->sync) {
            original->next = original; /* the mark that local_call() waits for */
            pthread_cond_broadcast(&local->ended);
        } else {
            queue_done(local, original);
        }
    }
    op_free(local, op);
}

void ferry_local_detach(struct backend_local *local, int why)
{
    if (local->dead == FERRY_OK) {
        local->dead = why;
        local->endpoint->ops->detach(local->endpoint);
        /* The endpoint's contract; what is left would point at memory that goes away. */
        assert(local->pending == NULL);
    }
}

/* Does the endpoint hold memory or descriptors of the submitter while it works on it? */
static int borrows(const struct ferry_request *request)
{
    switch ((enum ferry_request_kind)request->kind) {
    case FERRY_RQ_GET_INFO:
    case FERRY_RQ_GET_REGION_INFO:
    case FERRY_RQ_GET_IRQ_INFO:
    case FERRY_RQ_RESET:
    case FERRY_RQ_PROBE:
    case FERRY_RQ_MIG_FLAGS:
    case FERRY_RQ_GET_STATE:
    case FERRY_RQ_SET_STATE:
    case FERRY_RQ_LOG_STOP:
    case FERRY_RQ_DATA_SIZE:
    case FERRY_RQ_PRECOPY_INFO:
        return 0;
    case FERRY_RQ_DMA_UNMAP:
        return (request->u.unmap.flags & FERRY_UNMAP_BITMAP) != 0;
    case FERRY_RQ_SET_IRQS:
    case FERRY_RQ_REGION_READ:
    case FERRY_RQ_REGION_WRITE:
    case FERRY_RQ_DMA_MAP:
    case FERRY_RQ_LOG_START:
    case FERRY_RQ_LOG_REPORT:
    case FERRY_RQ_DATA_READ:
    case FERRY_RQ_DATA_WRITE:
    case FERRY_RQ_IDENTITY:
    case FERRY_RQ_REGION_IO_FDS:
    case FERRY_RQ_LOG_RUNS:
    case FERRY_RQ_COUNTERS:
    case FERRY_RQ_DATA_FD:
    case FERRY_RQ_LEAVE_STATE:
    case FERRY_RQ_RAW:
    case FERRY_RQ_COUNT:
        break;
    }
    return 1;
}

void ferry_local_overdue(struct backend_local *local, struct local_op *op)
{
    struct ferry_request *original = op->original;

    ferry_error_set(&op->detail, FERRY_E_TIMEOUT, "host", NULL, 0,
                    "the device did not end %s within %llu ms",
                    ferry_request_name(op->request.kind),
                    (unsigned long long)(local->timeout_ns / FERRY_NS_PER_MS));
    if (borrows(&op->request)) {
        local->error = op->detail;
        ferry_local_detach(local, FERRY_E_TIMEOUT);
        return;
    }
    /* The copy's results are not filled in yet: only status and detail are. */
    original->status = FERRY_E_TIMEOUT;
    if (original->reterr != NULL) {
        *original->reterr = op->detail;
    }
    op->original = NULL;
    if (op->sync) {
        original->next = original;
    } else {
        queue_done(local, original);
    }
}

int ferry_local_start(struct backend_local *local, struct ferry_request *request,
                      int sync)
{
    struct local_op *op = local->free_ops;
    int rc;

    if (local->dead != FERRY_OK) {
        return ferry_error_set(request->reterr, FERRY_E_CLOSED, "host", NULL, 0, "%s",
                               local->error.text);
    }
    if (request->kind == FERRY_RQ_RAW) {
        return ferry_error_set(request->reterr, FERRY_E_UNSUPPORTED, "host", NULL, 0,
                               "RAW: a device of this process gets no messages");
    }
    if (op != NULL) {
        local->free_ops = op->next;
        local->free_count--;
    } else {
        op = malloc(sizeof(*op));
        if (op == NULL) {
            return ferry_error_set(request->reterr, FERRY_E_MEMORY, "host", NULL, 0,
                                   "%s: out of memory",
                                   ferry_request_name(request->kind));
        }
    }
    op->request = *request;
    op->request.done = op_done;
    op->request.user = op;
    op->request.next = NULL;
    op->request.reterr = &op->detail;
    op->detail.code = FERRY_OK;
    op->detail.text[0] = '\0';
    op->original = request;
    op->owner = local;
    op->sync = sync;
    op->deadline_ns = ferry_os_now_ns() + local->timeout_ns;
    request->next = NULL;
    op->prev = NULL;
    op->next = local->pending;
    if (op->next != NULL) {
        op->next->prev = op;
    }
    local->pending = op;

    rc = local->endpoint->ops->submit(local->endpoint, &op->request);
    ferry_local_kick(local);
    if (rc == FERRY_PENDING) {
        return rc;
    }
    op_unlink(local, op);
    op_give_back(op, rc);
    op_free(local, op);
    return rc;
}

struct local_op *ferry_local_find(struct backend_local *local,
                                  const struct ferry_request *request)
{
    struct local_op *op = local->pending;

    while (op != NULL && op->original != request) {
        op = op->next;
    }
    return op;
}

void ferry_local_free_ops(struct backend_local *local)
{
    while (local->free_ops != NULL) {
        struct local_op *next = local->free_ops->next;

        free(local->free_ops);
        local->free_ops = next;
    }
    local->free_count = 0;
}
