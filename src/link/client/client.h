/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef FERRY_LINK_CLIENT_CLIENT_H
#define FERRY_LINK_CLIENT_CLIENT_H

#include "link/request.h"

/*
 * One vfio-user connection, client role. Requests of any kind may be under way
 * together; replies may come in any order.
 *
 * Thread: every call may come from any thread. Completions (request->done) run only
 * inside ferry_client_dispatch(), except that ferry_client_call() returns its own
 * request's result itself. While one thread waits in ferry_client_call() it also takes
 * in replies of others; it then wakes the dispatching thread through the descriptor.
 */
struct ferry_client;

#define FERRY_CLIENT_TIMEOUT_MS 10000u

/* Serves the device's DMA messages. Called from any thread that waits or dispatches. */
struct ferry_client_memory {
    int (*dma_read)(void *user, uint64_t iova, void *ret_data, size_t size);
    int (*dma_write)(void *user, uint64_t iova, const void *data, size_t size);
    void *user;
};

/*
 * A twin socket carries the device's DMA messages: servers that cannot tell them from
 * replies on one socket need it. Without `memory` functions none is asked for.
 */
#define FERRY_CLIENT_TWIN_ASK 0u
#define FERRY_CLIENT_TWIN_NONE 1u

struct ferry_client_options {
    size_t struct_size;
    uint32_t timeout_ms;          /* limit of every wait; 0: FERRY_CLIENT_TIMEOUT_MS */
    uint32_t max_data_xfer_bytes; /* 0: 1 MiB */
    struct ferry_client_memory memory; /* NULL functions: refused */
    /*
     * ferry_client_call() looks for its reply that long before it sleeps, at most the
     * limit: good towards a server that spins as well, on processors of their own.
     */
    uint32_t spin_us;
    uint32_t twin; /* FERRY_CLIENT_TWIN_* */
    /*
     * 1: a thread that never calls ferry_client_call() watches ferry_client_fd() and
     * dispatches all the time. A thread that waits for a reply then leaves the twin
     * socket to it, and it leaves the main socket to whoever waits: a round trip is one
     * send and one receive.
     */
    uint32_t dispatcher;
    uint32_t late_is_dead; /* 1: a request without a reply in time ends the connection */
};

/*
 * Connects to a server's UNIX socket and negotiates the version.
 * Return: FERRY_OK; FERRY_E_NOT_FOUND, FERRY_E_TIMEOUT, FERRY_E_CLOSED,
 *   FERRY_E_VERSION, FERRY_E_BUSY (it serves another client), FERRY_E_PROTOCOL,
 *   FERRY_E_IO, FERRY_E_MEMORY.
 */
int ferry_client_connect(const char *path, const struct ferry_client_options *options,
                         struct ferry_client **ret_client, struct ferry_error *reterr);
/*
 * The same over a connected stream socket, which it owns from then on, also on
 * failure.
 */
int ferry_client_from_fd(int fd, const struct ferry_client_options *options,
                         struct ferry_client **ret_client, struct ferry_error *reterr);

/*
 * Ends the connection; calls under way and later ones fail with FERRY_E_CLOSED. Requests
 * that were submitted end in ferry_client_dispatch() or ferry_client_close().
 */
void ferry_client_abort(struct ferry_client *client, const char *why);

/* Closes; requests under way end with FERRY_E_CLOSED (done runs before it returns). */
void ferry_client_close(struct ferry_client *client);

/*
 * Starts a request. Posted region writes are complete when it returns FERRY_OK.
 * Return: FERRY_OK (ended already, done is NOT called), FERRY_PENDING, or a negative
 *   code (not started; done is not called).
 */
int ferry_client_submit(struct ferry_client *client, struct ferry_request *request);

/*
 * A request and its result, waiting at most the client's limit.
 * Return: the request's status; FERRY_E_TIMEOUT (the request is forgotten: a late
 *   reply is dropped), FERRY_E_CLOSED.
 */
int ferry_client_call(struct ferry_client *client, struct ferry_request *request);

/*
 * A descriptor that is readable when ferry_client_dispatch() has work; owned by
 * client. Until it is asked for, nobody watches the socket and a round trip is a
 * little shorter.
 */
int ferry_client_fd(struct ferry_client *client);

/*
 * Takes in what is there without waiting, runs completions, sends what was queued, ends
 * overdue requests with FERRY_E_TIMEOUT.
 * Return: number of completions run, or FERRY_E_CLOSED / FERRY_E_PROTOCOL: the
 *   connection is dead, and every request under way has been completed with that
 *   status.
 */
int ferry_client_dispatch(struct ferry_client *client);

/* Largest data of one region or migration-data message that both sides agreed to. */
uint32_t ferry_client_max_data(const struct ferry_client *client);

/*
 * Most descriptors with one request (interrupts of one SET_IRQS) that the server
 * takes.
 */
uint32_t ferry_client_max_fds(const struct ferry_client *client);

struct ferry_link_version;

/* What both sides agreed to; the client's. */
const struct ferry_link_version *ferry_client_agreed(const struct ferry_client *client);

/*
 * What went wrong when the connection died. ret_error->code is FERRY_OK while it
 * lives.
 */
void ferry_client_error(struct ferry_client *client, struct ferry_error *ret_error);

#endif
