/* SPDX-License-Identifier: BSD-3-Clause */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "link/server/connection.h"
#include "os/clock.h"
#include "os/memory.h"

#define DEFAULT_TIMEOUT_MS 5000u
#define BACKLOG 16
#define SPINS 256u      /* looks at the socket between two of the whole loop */
#define CLOCK_SPINS 16u /* and between two at the clock */

/* One slice, then whatever was put off while the device worked. Return: 1 for more. */
static int work_once(struct ferry_link_server *server)
{
    int more;

    if (!server->client || server->client->phase != FERRY_CONNECTION_READY ||
        !server->endpoint->ops->work) {
        return 0;
    }
    more = server->endpoint->ops->work(server->endpoint) > 0;
    if (server->client) {
        ferry_connection_pump(server->client);
    }
    if (server->client && server->client->handled) {
        server->client->handled = 0;
        more = 1;
    }
    return more;
}

void ferry_server_work(struct ferry_link_server *server)
{
    if (work_once(server)) {
        ferry_loop_idle_start(server->loop, &server->idle);
    }
}

static void on_wake(struct ferry_watch *watch, uint32_t events)
{
    struct ferry_link_server *server = watch->user;

    (void)events;
    if (!server->client || server->client->phase != FERRY_CONNECTION_READY) {
        /* A thread of the device's woke it after its user had gone: unless somebody
         * clears that, the loop never sleeps again. */
        if (server->endpoint->ops->work) {
            (void)server->endpoint->ops->work(server->endpoint);
        }
        return;
    }
    ferry_server_work(server);
}

int ferry_server_attach(struct ferry_connection *connection)
{
    struct ferry_link_server *server = connection->server;
    int rc;

    if (server->client) {
        connection->tell_end = 0;
        return FERRY_E_BUSY;
    }
    rc = server->endpoint->ops->attach(server->endpoint, &connection->port);
    if (rc != FERRY_OK) {
        return rc;
    }
    connection->attached = 1;
    connection->handled = 1;
    connection->phase = FERRY_CONNECTION_READY;
    ferry_loop_timer_cancel(server->loop, &connection->message_timer);
    server->client = connection;
    return FERRY_OK;
}

static void unlink_connection(struct ferry_link_server *server,
                              struct ferry_connection *connection)
{
    struct ferry_connection **link = &server->connections;

    while (*link != connection) {
        link = &(*link)->next;
    }
    *link = connection->next;
    if (server->client == connection) {
        server->client = NULL;
    }
}

static struct ferry_connection *find_dead(const struct ferry_link_server *server)
{
    struct ferry_connection *connection = server->connections;

    while (connection && connection->phase != FERRY_CONNECTION_DEAD) {
        connection = connection->next;
    }
    return connection;
}

/*
 * Frees one dead connection; the user's callback, which may destroy the server, comes
 * last.
 * Return: 1 when the callback ran: the server may be gone.
 */
static int bury(struct ferry_link_server *server, struct ferry_connection *connection)
{
    void (*closed)(void *, const struct ferry_error *) = server->options.closed;
    void *user = server->options.user;
    struct ferry_error error = connection->error;
    int tell = connection->tell_end && closed;

    unlink_connection(server, connection);
    ferry_connection_free(connection);
    if (find_dead(server) || server->client) {
        ferry_loop_idle_start(server->loop, &server->idle);
    }
    if (tell) {
        closed(user, &error);
    }
    return tell;
}

void ferry_server_spin_on(struct ferry_link_server *server)
{
    server->spin_until_ns = 0;
    ferry_loop_idle_start(server->loop, &server->idle);
}

/* Is it too long since the last message? The first question after one starts the time. */
static int spun_enough(struct ferry_link_server *server)
{
    uint64_t now = ferry_os_now_ns();

    if (server->spin_until_ns == 0) {
        server->spin_until_ns =
            now + (uint64_t)server->options.spin_us * (FERRY_NS_PER_MS / 1000);
    }
    return now >= server->spin_until_ns;
}

/* Looks for messages without the loop. Return: 1 to go on with it. */
static int spin(struct ferry_link_server *server)
{
    uint32_t i;

    for (i = 0; i < SPINS; i++) {
        if (!server->client || server->client->phase != FERRY_CONNECTION_READY ||
            server->client->tx.first || (i % CLOCK_SPINS == 0 && spun_enough(server))) {
            return 0;
        }
        ferry_connection_step(server->client);
    }
    return 1;
}

static int on_idle(struct ferry_loop_idle *idle)
{
    struct ferry_link_server *server = idle->user;
    struct ferry_connection *dead = find_dead(server);

    if (dead && bury(server, dead)) {
        return 0;
    }
    if (work_once(server) || find_dead(server)) {
        return 1;
    }
    return server->options.spin_us > 0 && spin(server);
}

/* Of too many that shake hands, the oldest has had the most time. */
static void drop_oldest(struct ferry_link_server *server)
{
    struct ferry_connection *connection;
    struct ferry_connection *oldest = NULL;
    uint32_t count = 0;

    for (connection = server->connections; connection; connection = connection->next) {
        if (connection->phase == FERRY_CONNECTION_HANDSHAKE) {
            oldest = connection;
            count++;
        }
    }
    if (count >= FERRY_SERVER_CONNECTIONS_MAX) {
        ferry_connection_kill(oldest, FERRY_E_LIMIT,
                              "too many clients without a VERSION");
    }
}

static int admit(struct ferry_link_server *server, int fd)
{
    struct ferry_connection *connection;
    int rc = ferry_connection_create(server, fd, &connection);

    if (rc == FERRY_OK) {
        connection->next = server->connections;
        server->connections = connection;
    }
    return rc;
}

static void on_accept(struct ferry_watch *watch, uint32_t events)
{
    struct ferry_link_server *server = watch->user;
    int fd;

    (void)events;
    if (ferry_os_accept(watch->fd, &fd) != FERRY_OK) {
        return;
    }
    if (server->client && server->client->phase == FERRY_CONNECTION_READY) {
        /* It may have closed just now, and this be its successor. */
        ferry_connection_step(server->client);
    }
    /* While another is served its VERSION is refused; not every client copes
     * with an answer before the question. */
    drop_oldest(server);
    (void)admit(server, fd);
}

static void take_options(struct ferry_link_server *server,
                         const struct ferry_link_server_options *options)
{
    struct ferry_link_server_options *mine = &server->options;

    if (options) {
        size_t size =
            options->struct_size < sizeof(*mine) ? options->struct_size : sizeof(*mine);
        memcpy(mine, options, size);
    }
    if (mine->handshake_timeout_ms == 0) {
        mine->handshake_timeout_ms = DEFAULT_TIMEOUT_MS;
    }
    if (mine->message_timeout_ms == 0) {
        mine->message_timeout_ms = DEFAULT_TIMEOUT_MS;
    }
    if (mine->dma_timeout_ms == 0) {
        mine->dma_timeout_ms = DEFAULT_TIMEOUT_MS;
    }
    if (mine->max_data_xfer_bytes == 0) {
        mine->max_data_xfer_bytes = FERRY_LINK_DEFAULT_DATA;
    }
    if (mine->max_data_xfer_bytes > FERRY_LINK_DATA_LIMIT) {
        mine->max_data_xfer_bytes = FERRY_LINK_DATA_LIMIT;
    }
}

static int create(struct ferry_endpoint *endpoint, struct ferry_loop *loop,
                  const struct ferry_link_server_options *options,
                  struct ferry_link_server **ret_server)
{
    struct ferry_link_server *server = calloc(1, sizeof(*server));
    int rc;

    if (!server) {
        return FERRY_E_MEMORY;
    }
    take_options(server, options);
    server->endpoint = endpoint;
    server->loop = loop;
    server->listener.fd = -1;
    server->idle.fn = on_idle;
    server->idle.user = server;
    server->wake.fd = ferry_endpoint_wake_fd(endpoint);
    server->wake.events = FERRY_LOOP_READ;
    server->wake.fn = on_wake;
    server->wake.user = server;
    if (server->wake.fd >= 0) {
        rc = ferry_loop_add(loop, &server->wake);
        if (rc != FERRY_OK) {
            free(server);
            return rc;
        }
    }
    ferry_loop_idle_add(loop, &server->idle);
    *ret_server = server;
    return FERRY_OK;
}

static int watch_listener(struct ferry_link_server *server, struct ferry_error *reterr)
{
    int rc;

    server->listener.events = FERRY_LOOP_READ;
    server->listener.fn = on_accept;
    server->listener.user = server;
    rc = ferry_loop_add(server->loop, &server->listener);
    if (rc != FERRY_OK) {
        ferry_link_server_destroy(server);
        return ferry_error_set(reterr, rc, "link", NULL, 0, "cannot watch the listener");
    }
    return FERRY_OK;
}

int ferry_link_server_from_listener(int fd, struct ferry_endpoint *endpoint,
                                    struct ferry_loop *loop,
                                    const struct ferry_link_server_options *options,
                                    struct ferry_link_server **ret_server,
                                    struct ferry_error *reterr)
{
    struct ferry_link_server *server;
    int rc = create(endpoint, loop, options, &server);

    if (rc != FERRY_OK) {
        ferry_os_close(&fd);
        return ferry_error_set(reterr, rc, "link", NULL, 0, "cannot make a server");
    }
    server->listener.fd = fd;
    rc = watch_listener(server, reterr);
    if (rc == FERRY_OK) {
        *ret_server = server;
    }
    return rc;
}

int ferry_link_server_listen(const char *path, struct ferry_endpoint *endpoint,
                             struct ferry_loop *loop,
                             const struct ferry_link_server_options *options,
                             struct ferry_link_server **ret_server,
                             struct ferry_error *reterr)
{
    struct ferry_os_address address = { .family = FERRY_OS_UNIX };
    struct ferry_link_server *server;
    size_t length = strlen(path);
    int rc;

    if (length == 0 || length >= sizeof(address.path)) {
        return ferry_error_set(reterr, FERRY_E_LIMIT, "link", NULL, 0,
                               "the socket's path has %zu bytes; 1 to %zu are possible",
                               length, sizeof(address.path) - 1);
    }
    rc = create(endpoint, loop, options, &server);
    if (rc != FERRY_OK) {
        return ferry_error_set(reterr, rc, "link", NULL, 0, "cannot make a server");
    }
    memcpy(address.path, path, length + 1);
    memcpy(server->path, path, length + 1);
    rc = ferry_os_listen(&address, BACKLOG, &server->listener.fd, reterr);
    if (rc != FERRY_OK) {
        server->listener.fd = -1;
        ferry_link_server_destroy(server);
        return rc;
    }
    server->unlink_path = 1;
    rc = watch_listener(server, reterr);
    if (rc == FERRY_OK) {
        *ret_server = server;
    }
    return rc;
}

int ferry_link_server_from_fd(int fd, struct ferry_endpoint *endpoint,
                              struct ferry_loop *loop,
                              const struct ferry_link_server_options *options,
                              struct ferry_link_server **ret_server,
                              struct ferry_error *reterr)
{
    struct ferry_link_server *server;
    int rc = create(endpoint, loop, options, &server);

    if (rc != FERRY_OK) {
        ferry_os_close(&fd);
    } else {
        rc = admit(server, fd);
        if (rc != FERRY_OK) {
            ferry_link_server_destroy(server);
        }
    }
    if (rc != FERRY_OK) {
        return ferry_error_set(reterr, rc, "link", NULL, 0, "cannot serve the socket");
    }
    *ret_server = server;
    return FERRY_OK;
}

void ferry_link_server_destroy(struct ferry_link_server *server)
{
    struct ferry_connection *connection;

    if (!server) {
        return;
    }
    server->options.closed = NULL;
    while (server->connections) {
        connection = server->connections;
        ferry_connection_kill(connection, FERRY_E_CLOSED, "the server ends");
        unlink_connection(server, connection);
        ferry_connection_free(connection);
    }
    ferry_loop_idle_remove(server->loop, &server->idle);
    ferry_loop_remove(server->loop, &server->wake);
    ferry_loop_remove(server->loop, &server->listener);
    ferry_os_close(&server->listener.fd);
    if (server->unlink_path) {
        (void)remove(server->path);
    }
    free(server);
}

int ferry_link_server_busy(const struct ferry_link_server *server)
{
    return server->client != NULL;
}
