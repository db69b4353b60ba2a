/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef FERRY_HOST_BACKEND_BACKEND_H
#define FERRY_HOST_BACKEND_BACKEND_H

#include <pthread.h>

#include "link/client/client.h"
#include "link/endpoint.h"
#include "link/request.h"

/*
 * One way to reach a device: over vfio-user, in the same process, through the kernel. The
 * rest of the host library sees only this.
 *
 * Thread: submit, call and dispatch may come from any thread; completions run in
 * dispatch.
 */
struct ferry_backend;

struct ferry_backend_ops {
    size_t struct_size;
    const char *scheme; /* "vfio-user", "local" */
    void (*close)(struct ferry_backend *backend);
    /* As ferry_client_submit() / ferry_client_call(). */
    int (*submit)(struct ferry_backend *backend, struct ferry_request *request);
    int (*call)(struct ferry_backend *backend, struct ferry_request *request);
    /* As ferry_client_fd() / ferry_client_dispatch(). */
    int (*fd)(struct ferry_backend *backend);
    int (*dispatch)(struct ferry_backend *backend);
    /* Largest data of one region or data request. */
    uint32_t (*max_data)(struct ferry_backend *backend);
    /* What went wrong when it died; ret_error->code is FERRY_OK while it lives. */
    void (*error)(struct ferry_backend *backend, struct ferry_error *ret_error);
    /* FERRY_VIEW_*, what was agreed on. NULL: nothing is negotiated. */
    uint32_t (*extensions)(struct ferry_backend *backend);
    /*
     * Most vectors of one SET_IRQS; among their descriptors -1 then stands for a vector
     * without one. NULL or 0: FERRY_REQUEST_FDS_MAX, each with a descriptor.
     */
    uint32_t (*max_fds)(struct ferry_backend *backend);
    /* 1: regions' descriptors are the kernel's device, which has no length to look at
     * and nobody who could make it shorter. NULL: they are files of a peer. */
    int (*regions_are_device)(struct ferry_backend *backend);
};

struct ferry_backend {
    const struct ferry_backend_ops *ops;
};

/*
 * For a backend's dispatch: empties its list of requests that have ended, linked by
 * request->next, under the lock, and runs their completions without it. Return: how many.
 */
int ferry_backend_complete(pthread_mutex_t *lock, struct ferry_request **head,
                           struct ferry_request ***tail);

/* What a backend needs from the context: the context's memory for DMA messages. */
struct ferry_backend_options {
    size_t struct_size;
    uint32_t timeout_ms;
    struct ferry_client_memory memory;
    uint32_t as_is;    /* 1: for a checker, a kernel driver's wrong answers as they are */
    uint32_t all_arcs; /* 1: for a checker, also those that hang many kernels */
};

/*
 * Opens "vfio-user:/path/to/socket" (the scheme may be left out when the text begins with
 * '/' or '.'), or a device of the kernel (host/backend/kernel/kernel.h).
 * Return: FERRY_OK; FERRY_E_ARGUMENT (unknown scheme; reterr lists the known ones) or
 * what the backend's connect returns.
 */
int ferry_backend_open(const char *uri, const struct ferry_backend_options *options,
                       struct ferry_backend **ret_backend, struct ferry_error *reterr);

/* A device of this process; its completions and its work run in dispatch. */
int ferry_backend_from_endpoint(struct ferry_endpoint *endpoint,
                                const struct ferry_backend_options *options,
                                struct ferry_backend **ret_backend,
                                struct ferry_error *reterr);

#endif
