/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef FERRY_LINK_SERVER_SERVER_H
#define FERRY_LINK_SERVER_SERVER_H

#include "link/endpoint.h"
#include "os/loop.h"

/*
 * vfio-user, server role: one listener or one connected socket, one endpoint, one
 * client at a time (a second one is answered with an error and closed), all in the
 * caller's loop.
 * Thread: the loop's thread only.
 */
struct ferry_link_server;

/* Which layout of DMA messages the client speaks: find out, or as said. */
#define FERRY_LINK_DMA_AUTO 0u
#define FERRY_LINK_DMA_SPEC 1u
#define FERRY_LINK_DMA_QEMU 2u

/*
 * Clients with the extension take commands in between replies: on one socket they wait
 * with one system call, on two it takes another.
 */
#define FERRY_LINK_TWIN_FOREIGN 0u /* those without the extension */
#define FERRY_LINK_TWIN_ALWAYS 1u
#define FERRY_LINK_TWIN_NEVER 2u

struct ferry_recorder;

struct ferry_link_server_options {
    size_t struct_size;
    uint32_t handshake_timeout_ms; /* VERSION must come within; 0: 5000 */
    uint32_t message_timeout_ms;   /* a begun message must be complete within; 0: 5000 */
    uint32_t dma_timeout_ms;       /* a DMA message must be answered within; 0: 5000 */
    uint32_t max_data_xfer_bytes;  /* 0: 1 MiB */
    /*
     * Told of each connection's end, refused second clients apart; error->code is
     * FERRY_E_CLOSED for a plain close. It may destroy the server.
     */
    void (*closed)(void *user, const struct ferry_error *error);
    void *user;
    uint32_t io_fd_layout; /* FERRY_WIRE_IO_FD_*: of GET_REGION_IO_FDS's entries */
    uint32_t dma_layout;   /* FERRY_LINK_DMA_*: of DMA messages */
    uint32_t spin_us;      /* while there is a client: look for messages that long
                              before waiting for them */
    uint32_t twin;         /* FERRY_LINK_TWIN_*: who gets a twin socket for asking */
    struct ferry_recorder *recorder; /* borrowed; NULL: nothing is recorded */
};

/*
 * Listens at path (an old socket file that nobody listens on is replaced) and serves.
 * Return: FERRY_OK; FERRY_E_EXISTS (somebody listens there), FERRY_E_PERMISSION,
 *   FERRY_E_IO, FERRY_E_MEMORY, FERRY_E_LIMIT (path too long).
 */
int ferry_link_server_listen(const char *path, struct ferry_endpoint *endpoint,
                             struct ferry_loop *loop,
                             const struct ferry_link_server_options *options,
                             struct ferry_link_server **ret_server,
                             struct ferry_error *reterr);
/* The same with a socket that listens already (systemd's), which it owns from then on. */
int ferry_link_server_from_listener(int fd, struct ferry_endpoint *endpoint,
                                    struct ferry_loop *loop,
                                    const struct ferry_link_server_options *options,
                                    struct ferry_link_server **ret_server,
                                    struct ferry_error *reterr);
/* Serves one connected socket, which it owns from then on, also on failure. */
int ferry_link_server_from_fd(int fd, struct ferry_endpoint *endpoint,
                              struct ferry_loop *loop,
                              const struct ferry_link_server_options *options,
                              struct ferry_link_server **ret_server,
                              struct ferry_error *reterr);

/*
 * Ends the connection and the listener, detaches the endpoint, removes the socket
 * file.
 */
void ferry_link_server_destroy(struct ferry_link_server *server);

/* 1 while a client is connected. */
int ferry_link_server_busy(const struct ferry_link_server *server);

#endif
