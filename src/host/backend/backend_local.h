/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef FERRY_HOST_BACKEND_BACKEND_LOCAL_H
#define FERRY_HOST_BACKEND_BACKEND_LOCAL_H

#include <pthread.h>

#include "host/backend/backend.h"
#include "os/loop.h"

/*
 * A device of this process. The endpoint is not thread safe, so every call into it holds
 * `lock`. What the endpoint gets is a copy of the request: when a request is overdue its
 * submitter gets it back although the endpoint goes on with the copy. Only for requests
 * that borrow memory this is not possible; the endpoint is then detached, which ends all.
 */

struct local_op {
    struct ferry_request request;   /* what the endpoint holds */
    struct ferry_request *original; /* NULL: given back already */
    struct backend_local *owner;
    struct ferry_error detail;
    uint64_t deadline_ns;
    int sync; /* a thread waits for it in local_call() */
    struct local_op *prev, *next;
};

struct backend_local {
    struct ferry_backend base;
    struct ferry_endpoint *endpoint;
    struct ferry_client_port port;
    uint64_t timeout_ns;

    pthread_mutex_t lock;
    pthread_cond_t ended; /* some synchronous request has ended */
    struct local_op *pending;
    struct local_op *free_ops;
    uint32_t free_count;
    struct ferry_request *done_head, **done_tail; /* for dispatch to complete */
    int event_fd;
    int kicked; /* event_fd is readable */
    int dead;   /* FERRY_OK, or why it is detached */
    struct ferry_error error;

    /* Only used in dispatch. */
    struct ferry_loop *loop;
    struct ferry_watch event_watch, wake_watch;
    struct ferry_loop_timer tick;
    int wake_watched;
};

/* All of these are called with the lock held. */

/* Makes dispatch due. */
void ferry_local_kick(struct backend_local *local);

/* Starts a request. Return: as ferry_backend_ops.submit; request->status is not set. With
 * sync, request->next points at the request itself once it has ended. */
int ferry_local_start(struct backend_local *local, struct ferry_request *request,
                      int sync);

/* Takes a pending request away from the endpoint that did not end it in time. */
void ferry_local_overdue(struct backend_local *local, struct local_op *op);

/* Detaches the endpoint once; every pending request has ended when it returns. */
void ferry_local_detach(struct backend_local *local, int why);

/* The pending operation of a request, or NULL. */
struct local_op *ferry_local_find(struct backend_local *local,
                                  const struct ferry_request *request);

/* Frees the operations that are kept for reuse. */
void ferry_local_free_ops(struct backend_local *local);

#endif
