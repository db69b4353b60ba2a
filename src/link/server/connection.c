/* SPDX-License-Identifier: BSD-3-Clause */
#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "link/server/connection.h"
#include "link/server/data_session.h"
#include "link/transcript/recorder.h"
#include "os/clock.h"
#include "os/memory.h"

static uint64_t later(uint32_t limit_ms)
{
    return ferry_os_now_ns() + (uint64_t)limit_ms * FERRY_NS_PER_MS;
}

static void release_left(struct ferry_connection *connection, struct ferry_tx_node *left)
{
    struct ferry_tx_node *next;

    for (; left; left = next) {
        next = left->next;
        if (left != &connection->call.node) {
            ferry_job_release((struct ferry_job *)left);
        }
    }
}

void ferry_connection_kill_error(struct ferry_connection *connection,
                                 const struct ferry_error *error)
{
    struct ferry_link_server *server = connection->server;
    struct ferry_tx_node *node;

    if (connection->phase == FERRY_CONNECTION_DEAD) {
        return;
    }
    if (connection->gathered > 0) {
        /* What was answered before, perhaps with the reason of this end. */
        connection->gathered = 0;
        (void)ferry_tx_flush(&connection->tx, connection->fd, &node);
        release_left(connection, node);
    }
    connection->phase = FERRY_CONNECTION_DEAD;
    connection->error = *error;
    ferry_loop_remove(server->loop, &connection->watch);
    ferry_loop_timer_cancel(server->loop, &connection->message_timer);
    ferry_loop_timer_cancel(server->loop, &connection->tx_timer);
    release_left(connection, ferry_tx_clear(&connection->tx));
    ferry_data_session_drop(connection);
    ferry_os_shutdown(connection->fd);
    ferry_loop_idle_start(server->loop, &server->idle);
}

void ferry_connection_kill(struct ferry_connection *connection, int code,
                           const char *text)
{
    struct ferry_error error = { .code = FERRY_OK };

    ferry_error_set(&error, code, "link", NULL, 0, "%s", text);
    ferry_connection_kill_error(connection, &error);
}

void ferry_connection_flush(struct ferry_connection *connection)
{
    struct ferry_link_server *server = connection->server;
    struct ferry_tx_node *left;
    int rc;

    if (connection->phase == FERRY_CONNECTION_DEAD || !connection->tx.first) {
        return;
    }
    connection->gathered = 0;
    rc = ferry_tx_flush(&connection->tx, connection->fd, &left);
    release_left(connection, left);
    if (rc == FERRY_OK) {
        if (connection->watch.events != FERRY_LOOP_READ) {
            ferry_loop_change(server->loop, &connection->watch, FERRY_LOOP_READ);
            /* Messages that came before the queue filled up wait for the pump. */
            ferry_loop_idle_start(server->loop, &server->idle);
        }
        return;
    }
    if (rc != FERRY_E_AGAIN) {
        ferry_connection_kill(connection, rc, "sending failed");
        return;
    }
    /* Replies come first: nothing is read until they have left, nothing piles up. */
    ferry_loop_change(server->loop, &connection->watch, FERRY_LOOP_WRITE);
    if (connection->tx_timer.deadline_ns == 0) {
        connection->tx_seen = connection->tx.total;
        ferry_loop_timer_set(server->loop, &connection->tx_timer,
                             later(server->options.message_timeout_ms));
    }
}

void ferry_connection_heard(struct ferry_connection *connection,
                            const struct ferry_wire_header *header,
                            const uint8_t *payload, uint32_t fd_count, int cut)
{
    struct ferry_recorder *recorder = connection->server->options.recorder;
    struct ferry_recorded message = { .connection = connection->number,
                                      .sender = FERRY_WIRE_FROM_CLIENT,
                                      .fd_count = fd_count,
                                      .cut = cut != 0,
                                      .head_bytes = FERRY_WIRE_HEADER_BYTES,
                                      .data = payload };
    uint8_t head[FERRY_WIRE_HEADER_BYTES];

    if (!recorder) {
        return;
    }
    ferry_wire_header_encode(header, head);
    message.head = head;
    message.data_bytes = cut ? 0 : header->size - FERRY_WIRE_HEADER_BYTES;
    ferry_recorder_add(recorder, &message);
}

void ferry_connection_said(struct ferry_connection *connection,
                           const struct ferry_tx_node *node)
{
    struct ferry_recorder *recorder = connection->server->options.recorder;
    struct ferry_recorded message = { .connection = connection->number,
                                      .sender = FERRY_WIRE_FROM_SERVER,
                                      .fd_count = node->fd_count,
                                      .head = node->head,
                                      .head_bytes = node->head_bytes,
                                      .data = node->data,
                                      .data_bytes = node->data_bytes };

    if (recorder) {
        ferry_recorder_add(recorder, &message);
    }
}

/* Is something there behind the message that is being handled? */
static int more_came(const struct ferry_connection *connection)
{
    const struct ferry_incoming *current = connection->current;
    size_t own = current && current->in_rx ? current->header.size : 0;

    return connection->deferred_first || ferry_rx_size(&connection->rx) > own;
}

/*
 * May a reply that was just queued wait for the next? Not with descriptors, of which the
 * endpoint is the owner, and not behind others that the socket did not take.
 */
static int may_wait(struct ferry_connection *connection, const struct ferry_tx_node *node)
{
    if (!connection->gathering || !more_came(connection) || node->fd_count > 0 ||
        node->data_bytes > FERRY_SERVER_GATHER_BYTES ||
        connection->gathered + 1 >= FERRY_SERVER_GATHER_MAX ||
        connection->watch.events != FERRY_LOOP_READ) {
        return 0;
    }
    if (connection->gathered++ == 0) {
        connection->gathered_ns = ferry_os_now_ns();
    }
    return 1;
}

void ferry_connection_send(struct ferry_connection *connection,
                           struct ferry_tx_node *node)
{
    if (connection->phase == FERRY_CONNECTION_DEAD) {
        node->next = NULL; /* of an earlier list */
        release_left(connection, node);
        return;
    }
    ferry_connection_said(connection, node);
    ferry_tx_push(&connection->tx, node);
    if (!may_wait(connection, node)) {
        ferry_connection_flush(connection);
    }
}

int ferry_connection_receive(struct ferry_connection *connection)
{
    size_t direct;
    int rc;

    if (connection->phase == FERRY_CONNECTION_DEAD) {
        return FERRY_E_CLOSED;
    }
    rc = ferry_rx_receive(&connection->rx, connection->fd, NULL, 0, FERRY_OS_NOWAIT,
                          &direct);
    if (rc == FERRY_E_CLOSED) {
        ferry_connection_kill(connection, rc,
                              ferry_rx_size(&connection->rx) || connection->skip
                                  ? "the client closed in the middle of a message"
                                  : "the client closed");
    } else if (rc < 0 && rc != FERRY_E_AGAIN) {
        ferry_connection_kill(connection, rc,
                              rc == FERRY_E_FDS ? "too many descriptors at once"
                                                : "receiving failed");
    }
    return rc;
}

/* Passes over what is there of a refused message. */
static void drop_skipped(struct ferry_connection *connection)
{
    struct ferry_os_fds fds;
    size_t bytes = ferry_rx_size(&connection->rx);

    if (bytes > connection->skip) {
        bytes = connection->skip;
    }
    ferry_rx_take_fds(&connection->rx, bytes, &fds);
    ferry_os_fds_close(&fds);
    ferry_rx_consume(&connection->rx, bytes);
    connection->skip -= (uint32_t)bytes;
}

/* Before VERSION nothing larger than a VERSION is taken in. */
static int check_header(const struct ferry_connection *connection,
                        const struct ferry_wire_header *header, struct ferry_error *error)
{
    if (connection->phase == FERRY_CONNECTION_HANDSHAKE &&
        header->size > FERRY_WIRE_HEADER_BYTES + FERRY_LINK_VERSION_MAX) {
        return ferry_error_set(error, FERRY_E_LIMIT, "link", NULL, 4,
                               "%u bytes before VERSION", header->size);
    }
    return ferry_wire_header_check(header, FERRY_WIRE_FROM_CLIENT, &connection->limits,
                                   error);
}

/* Return: 1 to go on with the next message. */
static int refuse_header(struct ferry_connection *connection,
                         const struct ferry_wire_header *header,
                         const struct ferry_error *error)
{
    ferry_connection_heard(connection, header, NULL, 0, 1);
    if (connection->phase == FERRY_CONNECTION_HANDSHAKE || ferry_wire_is_reply(header)) {
        ferry_job_refuse(connection, header, error->code);
        ferry_connection_kill_error(connection, error);
        return 0;
    }
    connection->skip = header->size;
    drop_skipped(connection);
    ferry_job_refuse(connection, header, error->code);
    return connection->phase != FERRY_CONNECTION_DEAD;
}

int ferry_connection_peek(struct ferry_connection *connection,
                          struct ferry_wire_header *header)
{
    struct ferry_error error; /* filled on failure only: a hot path */
    size_t size;

    while (connection->phase != FERRY_CONNECTION_DEAD) {
        if (connection->skip > 0) {
            drop_skipped(connection);
        }
        size = ferry_rx_size(&connection->rx);
        if (size < FERRY_WIRE_HEADER_BYTES) {
            if (ferry_rx_reserve(&connection->rx, FERRY_WIRE_HEADER_BYTES) != FERRY_OK) {
                ferry_connection_kill(connection, FERRY_E_MEMORY, "out of memory");
            }
            return 0;
        }
        if (ferry_wire_header_decode(ferry_rx_data(&connection->rx), &connection->limits,
                                     header, &error) != FERRY_OK) {
            ferry_connection_kill_error(connection, &error);
            return 0;
        }
        if (check_header(connection, header, &error) != FERRY_OK) {
            if (!refuse_header(connection, header, &error)) {
                return 0;
            }
            continue;
        }
        if (size >= header->size) {
            return 1;
        }
        if (ferry_rx_reserve(&connection->rx, header->size) != FERRY_OK) {
            ferry_connection_kill(connection, FERRY_E_MEMORY, "out of memory");
        }
        return 0;
    }
    return 0;
}

static void handle(struct ferry_connection *connection, struct ferry_incoming *incoming)
{
    if (ferry_wire_is_reply(&incoming->header)) {
        ferry_port_reply(connection, &incoming->header, incoming->payload);
    } else if (connection->phase == FERRY_CONNECTION_HANDSHAKE) {
        ferry_handshake_handle(connection, incoming);
    } else {
        ferry_job_handle(connection, incoming);
    }
    if (incoming->fds.count > 0) {
        ferry_os_fds_close(&incoming->fds);
    }
    if (incoming->in_rx) {
        ferry_rx_consume(&connection->rx, incoming->header.size);
    }
    free(incoming->memory);
}

/* Return: 1 when a message was handled. */
static int handle_next(struct ferry_connection *connection)
{
    struct ferry_deferred *deferred = ferry_port_deferred(connection);
    struct ferry_incoming incoming;

    incoming.memory = NULL;
    incoming.in_rx = 0;
    if (deferred) {
        incoming.header = deferred->header;
        incoming.fds = deferred->fds;
        incoming.payload = (const uint8_t *)(deferred + 1);
        incoming.memory = (uint8_t *)deferred;
    } else if (ferry_connection_peek(connection, &incoming.header)) {
        incoming.in_rx = 1;
        incoming.payload = ferry_rx_data(&connection->rx) + FERRY_WIRE_HEADER_BYTES;
        ferry_rx_take_fds(&connection->rx, incoming.header.size, &incoming.fds);
    } else {
        return 0;
    }
    ferry_connection_heard(connection, &incoming.header, incoming.payload,
                           incoming.fds.count, 0);
    connection->current = &incoming;
    handle(connection, &incoming);
    connection->current = NULL;
    return 1;
}

/* A message that has begun must end in time. */
static void watch_begun(struct ferry_connection *connection)
{
    struct ferry_link_server *server = connection->server;

    if (connection->phase != FERRY_CONNECTION_READY ||
        (ferry_rx_size(&connection->rx) == 0 && connection->skip == 0)) {
        return;
    }
    if (connection->message_timer.deadline_ns == 0 ||
        connection->begun_pos != connection->rx.pos) {
        connection->begun_pos = connection->rx.pos;
        ferry_loop_timer_set(server->loop, &connection->message_timer,
                             later(server->options.message_timeout_ms));
    }
}

/* Nothing is handled while replies are stuck; those that wait by choice are not. */
static int may_handle(struct ferry_connection *connection)
{
    if (connection->gathered > 0 &&
        ferry_os_now_ns() - connection->gathered_ns >= FERRY_SERVER_GATHER_NS) {
        ferry_connection_flush(connection);
    }
    return !connection->tx.first || connection->gathered > 0;
}

void ferry_connection_pump(struct ferry_connection *connection)
{
    if (connection->pumping) {
        return;
    }
    connection->pumping = 1;
    connection->gathering = 1;
    while (connection->phase != FERRY_CONNECTION_DEAD && may_handle(connection) &&
           handle_next(connection)) {
    }
    connection->gathering = 0;
    ferry_connection_flush(connection);
    connection->pumping = 0;
    watch_begun(connection);
}

void ferry_connection_step(struct ferry_connection *connection)
{
    struct ferry_link_server *server = connection->server;
    uint64_t pos = connection->rx.pos;

    if (connection->tx.first) {
        ferry_connection_flush(connection);
    }
    if (!connection->tx.first) {
        ferry_connection_receive(connection);
    }
    ferry_connection_pump(connection);
    if (connection->handled && server->client == connection) {
        connection->handled = 0;
        ferry_server_work(server);
    }
    if (server->options.spin_us > 0 && connection->rx.pos != pos) {
        ferry_server_spin_on(server);
    }
}

static void on_event(struct ferry_watch *watch, uint32_t events)
{
    (void)events;
    ferry_connection_step(watch->user);
}

static void on_message_timer(struct ferry_loop_timer *timer, uint64_t now_ns)
{
    struct ferry_connection *connection = timer->user;
    uint32_t limit_ms = connection->server->options.message_timeout_ms;

    if (connection->phase == FERRY_CONNECTION_HANDSHAKE) {
        ferry_connection_kill(connection, FERRY_E_TIMEOUT, "no VERSION in time");
        return;
    }
    if (ferry_rx_size(&connection->rx) == 0 && connection->skip == 0) {
        return;
    }
    if (connection->begun_pos == connection->rx.pos && !connection->tx.first &&
        !connection->deferred_first) {
        ferry_connection_kill(connection, FERRY_E_TIMEOUT,
                              "a message was begun and not ended in time");
        return;
    }
    /* Nothing was read meanwhile, by our own choice, or another message has begun. */
    connection->begun_pos = connection->rx.pos;
    ferry_loop_timer_set(connection->server->loop, timer,
                         now_ns + (uint64_t)limit_ms * FERRY_NS_PER_MS);
}

static void on_tx_timer(struct ferry_loop_timer *timer, uint64_t now_ns)
{
    struct ferry_connection *connection = timer->user;
    uint32_t limit_ms = connection->server->options.message_timeout_ms;

    if (!connection->tx.first) {
        return;
    }
    if (connection->tx_seen == connection->tx.total) {
        ferry_connection_kill(connection, FERRY_E_TIMEOUT,
                              "the client does not read its replies");
        return;
    }
    connection->tx_seen = connection->tx.total;
    ferry_loop_timer_set(connection->server->loop, timer,
                         now_ns + (uint64_t)limit_ms * FERRY_NS_PER_MS);
}

int ferry_connection_create(struct ferry_link_server *server, int fd,
                            struct ferry_connection **ret_connection)
{
    struct ferry_connection *connection = calloc(1, sizeof(*connection));
    int rc = FERRY_E_MEMORY;

    if (!connection || ferry_rx_init(&connection->rx) != FERRY_OK) {
        goto out;
    }
    connection->server = server;
    connection->fd = fd;
    connection->number = ++server->connection_count;
    connection->limits.max_data_bytes = server->options.max_data_xfer_bytes;
    connection->limits.max_bitmap_bytes = FERRY_WIRE_MAX_BITMAP_DEFAULT;
    connection->watch.fd = fd;
    connection->watch.events = FERRY_LOOP_READ;
    connection->watch.fn = on_event;
    connection->watch.user = connection;
    connection->message_timer.fn = on_message_timer;
    connection->message_timer.user = connection;
    connection->tx_timer.fn = on_tx_timer;
    connection->tx_timer.user = connection;
    connection->tell_end = 1;
    ferry_port_init(connection);
    rc = ferry_loop_add(server->loop, &connection->watch);
    if (rc == FERRY_OK) {
        ferry_loop_timer_set(server->loop, &connection->message_timer,
                             later(server->options.handshake_timeout_ms));
        *ret_connection = connection;
        return FERRY_OK;
    }
out:
    if (connection) {
        ferry_rx_free(&connection->rx);
    }
    free(connection);
    ferry_os_close(&fd);
    return rc;
}

void ferry_connection_free(struct ferry_connection *connection)
{
    struct ferry_endpoint *endpoint = connection->server->endpoint;
    struct ferry_deferred *deferred;

    assert(connection->phase == FERRY_CONNECTION_DEAD);
    if (connection->attached) {
        endpoint->ops->detach(endpoint);
    }
    assert(connection->pending_count == 0);
    while ((deferred = ferry_port_deferred(connection))) {
        ferry_os_fds_close(&deferred->fds);
        free(deferred);
    }
    ferry_job_free_all(connection);
    ferry_port_end(connection);
    ferry_rx_free(&connection->rx);
    ferry_os_close(&connection->fd);
    free(connection);
}
