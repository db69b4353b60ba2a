/* SPDX-License-Identifier: BSD-3-Clause */
#include <stdatomic.h>
#include <stdlib.h>

#include "ferry/device.h"
#include "ferry/filter.h"
#include "link/server/server.h"
#include "os/eventfd.h"
#include "os/memory.h"

struct ferry_server {
    struct ferry_endpoint *endpoint;
    struct ferry_loop *loop;
    struct ferry_link_server *link;
    struct ferry_watch stop;
    _Atomic int stopping;
    void (*log)(void *user, const struct ferry_error *detail);
    void *user;
};

/* The end of a connection; a plain close is no news. */
static void link_closed(void *user, const struct ferry_error *error)
{
    struct ferry_server *server = user;

    if (server->log != NULL && error->code != FERRY_E_CLOSED) {
        server->log(server->user, error);
    }
}

static void stop_ready(struct ferry_watch *watch, uint32_t events)
{
    (void)events;
    (void)ferry_os_eventfd_drain(watch->fd, NULL);
}

static int open_link(struct ferry_server *server,
                     const struct ferry_server_options *options,
                     struct ferry_error *reterr)
{
    const struct ferry_link_server_options link = {
        .struct_size = sizeof(link),
        .handshake_timeout_ms = options->handshake_timeout_ms,
        .message_timeout_ms = options->message_timeout_ms,
        .dma_timeout_ms = options->dma_timeout_ms,
        .closed = link_closed,
        .user = server,
    };

    return ferry_link_server_listen(options->path, server->endpoint, server->loop, &link,
                                    &server->link, reterr);
}

int ferry_server_create(struct ferry_device *device,
                        const struct ferry_server_options *options,
                        struct ferry_server **ret_server, struct ferry_error *reterr)
{
    return ferry_server_create_endpoint(ferry_device_endpoint(device), options,
                                        ret_server, reterr);
}

int ferry_server_create_endpoint(struct ferry_endpoint *endpoint,
                                 const struct ferry_server_options *options,
                                 struct ferry_server **ret_server,
                                 struct ferry_error *reterr)
{
    struct ferry_server *server = calloc(1, sizeof(*server));
    int status;

    if (server == NULL) {
        return ferry_error_set(reterr, FERRY_E_MEMORY, "device", NULL, 0, "no memory");
    }
    server->endpoint = endpoint;
    server->log = options->log;
    server->user = options->user;
    server->stop.fd = -1;
    status = ferry_loop_create(&server->loop);
    if (status == FERRY_OK) {
        status = ferry_os_eventfd_create(&server->stop.fd);
    }
    if (status == FERRY_OK) {
        server->stop.events = FERRY_LOOP_READ;
        server->stop.fn = stop_ready;
        status = ferry_loop_add(server->loop, &server->stop);
    }
    if (status == FERRY_OK) {
        status = open_link(server, options, reterr);
    } else {
        (void)ferry_error_set(reterr, status, "device", NULL, 0, "no event loop");
    }
    if (status != FERRY_OK) {
        ferry_server_destroy(server);
        return status;
    }
    *ret_server = server;
    return FERRY_OK;
}

void ferry_server_destroy(struct ferry_server *server)
{
    if (server == NULL) {
        return;
    }
    if (server->link != NULL) {
        ferry_link_server_destroy(server->link);
    }
    if (server->loop != NULL) {
        ferry_loop_destroy(server->loop);
    }
    ferry_os_close(&server->stop.fd);
    free(server);
}

int ferry_server_fd(const struct ferry_server *server)
{
    return ferry_loop_fd(server->loop);
}

int ferry_server_dispatch(struct ferry_server *server, int timeout_ms)
{
    const int status = ferry_loop_dispatch(server->loop, timeout_ms);

    return status < 0 ? status : FERRY_OK;
}

int ferry_server_run(struct ferry_server *server)
{
    int status = FERRY_OK;

    while (status == FERRY_OK && atomic_load(&server->stopping) == 0) {
        status = ferry_server_dispatch(server, -1);
    }
    atomic_store(&server->stopping, 0);
    return status;
}

void ferry_server_stop(struct ferry_server *server)
{
    atomic_store(&server->stopping, 1);
    (void)ferry_os_eventfd_signal(server->stop.fd);
}
