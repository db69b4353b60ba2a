/* SPDX-License-Identifier: BSD-3-Clause */
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "ferry/device.h"
#include "ferry/filter.h"
#include "link/server/server.h"
#include "link/transcript/recorder.h"
#include "os/eventfd.h"
#include "os/memory.h"
#include "os/socket.h"

struct ferry_server {
    struct ferry_endpoint *endpoint;
    struct ferry_loop *loop;
    struct ferry_link_server *link;
    struct ferry_recorder *recorder;
    int once; /* it has no listener: the client's end is its end */
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
    if (server->once) {
        ferry_server_stop(server);
    }
}

static void stop_ready(struct ferry_watch *watch, uint32_t events)
{
    (void)events;
    (void)ferry_os_eventfd_drain(watch->fd, NULL);
}

/* A socket that the caller had already. */
static int open_fd(struct ferry_server *server, int fd,
                   const struct ferry_link_server_options *link,
                   struct ferry_error *reterr)
{
    int listens = ferry_os_listens(fd);

    if (listens < 0) {
        ferry_os_close(&fd);
        return ferry_error_set(reterr, FERRY_E_ARGUMENT, "device", NULL, 0,
                               "the descriptor is not a stream socket");
    }
    if (listens) {
        return ferry_link_server_from_listener(fd, server->endpoint, server->loop, link,
                                               &server->link, reterr);
    }
    server->once = 1;
    return ferry_link_server_from_fd(fd, server->endpoint, server->loop, link,
                                     &server->link, reterr);
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
        .spin_us = options->spin_us,
        .io_fd_layout = options->io_fd_layout,
        .dma_layout = options->dma_layout,
        .recorder = server->recorder,
    };

    if (options->fd != NULL) {
        return open_fd(server, *options->fd, &link, reterr);
    }
    return ferry_link_server_listen(options->path, server->endpoint, server->loop, &link,
                                    &server->link, reterr);
}

/* The caller has given it away, whatever becomes of the server. */
static void give_up_fd(const struct ferry_server_options *options)
{
    int fd = options->fd != NULL ? *options->fd : -1;

    ferry_os_close(&fd);
}

/* The caller's options, as far as he knows them. Return: FERRY_OK, FERRY_E_ARGUMENT. */
static int take_options(struct ferry_server_options *mine,
                        const struct ferry_server_options *options,
                        struct ferry_error *reterr)
{
    memset(mine, 0, sizeof(*mine));
    memcpy(mine, options,
           options->struct_size < sizeof(*mine) ? options->struct_size : sizeof(*mine));
    if (mine->io_fd_layout > FERRY_IO_FD_LAYOUT_LIBVFIO_USER ||
        mine->dma_layout > FERRY_DMA_LAYOUT_QEMU) {
        return ferry_error_set(reterr, FERRY_E_ARGUMENT, "device", NULL, 0,
                               "io_fd_layout or dma_layout is none of the known ones");
    }
    if (mine->path == NULL && mine->fd == NULL) {
        return ferry_error_set(reterr, FERRY_E_ARGUMENT, "device", NULL, 0,
                               "neither a path nor a socket to serve at");
    }
    return FERRY_OK;
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
    struct ferry_server_options mine;
    int status;

    if (server == NULL) {
        return ferry_error_set(reterr, FERRY_E_MEMORY, "device", NULL, 0, "no memory");
    }
    server->endpoint = endpoint;
    server->stop.fd = -1;
    status = take_options(&mine, options, reterr);
    if (status != FERRY_OK) {
        give_up_fd(&mine);
        ferry_server_destroy(server);
        return status;
    }
    server->log = mine.log;
    server->user = mine.user;
    status = ferry_loop_create(&server->loop);
    if (status == FERRY_OK) {
        status = ferry_os_eventfd_create(&server->stop.fd);
    }
    if (status == FERRY_OK) {
        server->stop.events = FERRY_LOOP_READ;
        server->stop.fn = stop_ready;
        status = ferry_loop_add(server->loop, &server->stop);
    }
    if (status != FERRY_OK) {
        (void)ferry_error_set(reterr, status, "device", NULL, 0, "no event loop");
    } else if (mine.record != NULL) {
        status = ferry_recorder_open(mine.record, &server->recorder, reterr);
    }
    if (status == FERRY_OK) {
        status = open_link(server, &mine, reterr);
    } else {
        give_up_fd(&mine);
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
    struct ferry_error error = { .code = FERRY_OK };
    int status;

    if (server == NULL) {
        return;
    }
    if (server->link != NULL) {
        ferry_link_server_destroy(server->link);
    }
    if (server->loop != NULL) {
        ferry_loop_destroy(server->loop);
    }
    status = ferry_recorder_close(server->recorder);
    if (status < 0 && server->log != NULL) {
        (void)ferry_error_set(&error, status, "device", NULL, 0,
                              "the transcript is not complete: %s",
                              ferry_status_text(status));
        server->log(server->user, &error);
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
