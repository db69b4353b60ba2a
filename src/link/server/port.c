/* SPDX-License-Identifier: BSD-3-Clause */
#include <stdlib.h>
#include <string.h>

#include "link/server/connection.h"
#include "os/clock.h"
#include "os/memory.h"

#define PROBE_BYTES 64u
#define PROBES_MAX 8u
#define HEAD_BYTES 16u /* of a DMA message's payload, before its data */

/*
 * What the endpoint holds of the message that is being handled must survive while other
 * messages are received: the buffer is set aside.
 */
static int set_aside(struct ferry_connection *connection)
{
    struct ferry_incoming *current = connection->current;
    int rc;

    if (!current || !current->in_rx) {
        return FERRY_OK;
    }
    rc = ferry_rx_detach(&connection->rx, current->header.size, &current->memory);
    if (rc == FERRY_OK) {
        current->in_rx = 0;
    }
    return rc;
}

/* Keeps a command for when the DMA is over. */
static int defer(struct ferry_connection *connection,
                 const struct ferry_wire_header *header)
{
    size_t payload = header->size - FERRY_WIRE_HEADER_BYTES;
    struct ferry_deferred *one;

    if (connection->deferred_count >= FERRY_SERVER_DEFERRED_MAX ||
        connection->deferred_bytes + payload > FERRY_SERVER_DEFERRED_BYTES) {
        return FERRY_E_LIMIT;
    }
    one = malloc(sizeof(*one) + payload);
    if (!one) {
        return FERRY_E_MEMORY;
    }
    one->next = NULL;
    one->header = *header;
    ferry_rx_take_fds(&connection->rx, header->size, &one->fds);
    memcpy(one + 1, ferry_rx_data(&connection->rx) + FERRY_WIRE_HEADER_BYTES, payload);
    ferry_rx_consume(&connection->rx, header->size);
    if (connection->deferred_last) {
        connection->deferred_last->next = one;
    } else {
        connection->deferred_first = one;
    }
    connection->deferred_last = one;
    connection->deferred_count++;
    connection->deferred_bytes += payload;
    return FERRY_OK;
}

struct ferry_deferred *ferry_port_deferred(struct ferry_connection *connection)
{
    struct ferry_deferred *one = connection->deferred_first;

    if (one) {
        connection->deferred_first = one->next;
        if (!one->next) {
            connection->deferred_last = NULL;
        }
        connection->deferred_count--;
        connection->deferred_bytes -= one->header.size - FERRY_WIRE_HEADER_BYTES;
    }
    return one;
}

static int drop_late(struct ferry_connection *connection, uint16_t id)
{
    uint32_t i;

    for (i = 0; i < connection->late_count; i++) {
        if (connection->late_id[i] == id) {
            connection->late_id[i] = connection->late_id[--connection->late_count];
            return 1;
        }
    }
    return 0;
}

static uint16_t new_id(struct ferry_connection *connection)
{
    uint32_t i = 0;

    connection->next_id++;
    while (i < connection->late_count) {
        if (connection->late_id[i] == connection->next_id) {
            connection->next_id++;
            i = 0;
        } else {
            i++;
        }
    }
    return connection->next_id;
}

void ferry_port_guess(struct ferry_connection *connection,
                      const struct ferry_link_version *theirs)
{
    const uint32_t qemu = FERRY_LINK_KEY_MIGRATION | FERRY_LINK_KEY_WRITE_MULTIPLE |
                          FERRY_LINK_KEY_PGSIZES | FERRY_LINK_KEY_DMA_MAPS;
    const uint32_t never = FERRY_LINK_KEY_TWIN | FERRY_LINK_KEY_FERRY;
    uint32_t said = connection->server->options.dma_layout;

    connection->dma_layout = FERRY_WIRE_DMA_SPEC;
    connection->dma_sure =
        said != FERRY_LINK_DMA_AUTO || theirs->keys & FERRY_LINK_KEY_FERRY ? 1 : 0;
    /* QEMU says version 0.0 and exactly this; others have its set in part. */
    if (said == FERRY_LINK_DMA_QEMU ||
        (said == FERRY_LINK_DMA_AUTO && theirs->minor == 0 &&
         (theirs->keys & qemu) == qemu && !(theirs->keys & never))) {
        connection->dma_layout = FERRY_WIRE_DMA_QEMU;
    }
}

/*
 * A reply whose last word is 0 in either layout: how short a read would end with a word
 * that is not, if the layout were the specification's. 0: no read would.
 */
static uint32_t last_word(const uint8_t *payload, size_t bytes)
{
    static const uint8_t zero[4];
    size_t end = bytes - bytes % 4;

    while (end >= HEAD_BYTES + 4 && memcmp(payload + end - 4, zero, 4) == 0) {
        end -= 4;
    }
    return end >= HEAD_BYTES + 4 ? (uint32_t)(end - HEAD_BYTES) : 0;
}

/* A reply may prove which layout it has; then that is the client's. */
static void learn_layout(struct ferry_connection *connection, const uint8_t *payload,
                         size_t bytes)
{
    int proof =
        ferry_wire_dma_layout_of(payload, bytes, connection->call.asked.u.dma.count);

    if (proof >= 0) {
        connection->dma_layout = (uint8_t)proof;
        connection->dma_sure = 1;
        connection->call.asked.u.dma.layout = (uint32_t)proof;
    } else {
        connection->call.doubt = last_word(payload, bytes);
    }
}

void ferry_port_reply(struct ferry_connection *connection,
                      const struct ferry_wire_header *header, const uint8_t *payload)
{
    struct ferry_port_call *call = &connection->call;
    struct ferry_wire_body body = {
        .bytes = payload,
        .have = header->size - FERRY_WIRE_HEADER_BYTES,
    };
    struct ferry_wire_message reply;
    struct ferry_error error;
    int rc;

    if (!call->active || call->done || header->id != call->asked.id ||
        header->command != call->asked.command) {
        if (!drop_late(connection, header->id)) {
            ferry_connection_kill(connection, FERRY_E_PROTOCOL,
                                  "a reply that nobody asked for");
        }
        return;
    }
    rc = ferry_wire_reply_status(header);
    if (rc == FERRY_OK && !connection->dma_sure &&
        header->command == FERRY_WIRE_DMA_READ) {
        learn_layout(connection, payload, body.have);
    }
    if (rc == FERRY_OK) {
        rc = ferry_wire_reply_decode(header, &body, &connection->limits, &call->asked,
                                     &reply, &error);
        if (rc != FERRY_OK) {
            ferry_connection_kill_error(connection, &error);
            return;
        }
        if (call->ret_data) {
            memcpy(call->ret_data, reply.data, reply.data_bytes);
        }
    } else {
        /* Whatever the client's reason is: the device cannot reach that memory. */
        rc = FERRY_E_RANGE;
    }
    call->status = rc;
    call->done = 1;
}

/* Nothing that came before it may be overtaken. */
static int may_read_inside(struct ferry_connection *connection,
                           const struct ferry_wire_header *header)
{
    struct ferry_endpoint *endpoint = connection->server->endpoint;

    return !ferry_wire_is_reply(header) && header->command == FERRY_WIRE_REGION_READ &&
           !connection->deferred_first && ferry_endpoint_reads_inside(endpoint);
}

/* Answers a read now: the client may not answer the DMA before. */
static void read_inside(struct ferry_connection *connection,
                        const struct ferry_wire_header *header)
{
    struct ferry_incoming *outer = connection->current;
    struct ferry_incoming incoming = { .header = *header, .in_rx = 1 };

    incoming.payload = ferry_rx_data(&connection->rx) + FERRY_WIRE_HEADER_BYTES;
    ferry_rx_take_fds(&connection->rx, header->size, &incoming.fds);
    ferry_connection_heard(connection, header, incoming.payload, incoming.fds.count, 0);
    connection->current = &incoming;
    ferry_job_handle(connection, &incoming);
    connection->current = outer;
    ferry_os_fds_close(&incoming.fds);
    ferry_rx_consume(&connection->rx, header->size);
}

/* Takes in what is there: the awaited reply, and commands for later. */
static void intake(struct ferry_connection *connection)
{
    struct ferry_wire_header header;
    struct ferry_os_fds fds;
    int rc;

    while (!connection->call.done && ferry_connection_peek(connection, &header)) {
        if (may_read_inside(connection, &header)) {
            read_inside(connection, &header);
            continue;
        }
        if (!ferry_wire_is_reply(&header)) {
            rc = defer(connection, &header);
            if (rc != FERRY_OK) {
                ferry_connection_kill(connection, rc,
                                      "too many messages while a DMA waits");
            }
            continue;
        }
        ferry_rx_take_fds(&connection->rx, header.size, &fds);
        ferry_os_fds_close(&fds);
        ferry_connection_heard(connection, &header,
                               ferry_rx_data(&connection->rx) + FERRY_WIRE_HEADER_BYTES,
                               fds.count, 0);
        ferry_port_reply(connection, &header,
                         ferry_rx_data(&connection->rx) + FERRY_WIRE_HEADER_BYTES);
        if (connection->phase != FERRY_CONNECTION_DEAD) {
            ferry_rx_consume(&connection->rx, header.size);
        }
    }
}

/* The limit ran out: the reply is dropped when it comes. */
static int give_up(struct ferry_connection *connection)
{
    struct ferry_port_call *call = &connection->call;
    struct ferry_tx *tx =
        connection->twin_fd >= 0 ? &connection->twin_tx : &connection->tx;
    int rc = ferry_tx_remove(tx, &call->node);

    if (rc == FERRY_E_BUSY ||
        (rc == FERRY_E_NOT_FOUND && connection->late_count == FERRY_SERVER_LATE_MAX)) {
        ferry_connection_kill(connection, FERRY_E_TIMEOUT,
                              "the client does not answer DMA messages");
    } else if (rc == FERRY_E_NOT_FOUND) {
        connection->late_id[connection->late_count++] = call->asked.id;
    }
    return FERRY_E_TIMEOUT;
}

int ferry_port_twin(struct ferry_connection *connection, int *ret_theirs)
{
    int rc = ferry_rx_init(&connection->twin_rx);

    return rc == FERRY_OK ? ferry_os_socketpair(&connection->twin_fd, ret_theirs) : rc;
}

void ferry_port_end(struct ferry_connection *connection)
{
    ferry_rx_free(&connection->twin_rx);
    ferry_os_close(&connection->twin_fd);
}

/* Replies on the twin socket, where nothing else may come. */
static void intake_twin(struct ferry_connection *connection)
{
    struct ferry_rx *rx = &connection->twin_rx;
    struct ferry_wire_header header;
    struct ferry_error error;
    struct ferry_os_fds fds;
    int rc;

    while (!connection->call.done && connection->phase != FERRY_CONNECTION_DEAD &&
           ferry_rx_size(rx) >= FERRY_WIRE_HEADER_BYTES) {
        rc = ferry_wire_header_decode(ferry_rx_data(rx), &connection->limits, &header,
                                      &error);
        if (rc == FERRY_OK) {
            rc = ferry_wire_header_check(&header, FERRY_WIRE_FROM_CLIENT,
                                         &connection->limits, &error);
        }
        if (rc == FERRY_OK && !ferry_wire_is_reply(&header)) {
            rc = ferry_error_set(&error, FERRY_E_PROTOCOL, "link", NULL, 0,
                                 "%s on the twin socket",
                                 ferry_wire_command_name(header.command));
        }
        if (rc != FERRY_OK) {
            ferry_connection_kill_error(connection, &error);
            return;
        }
        if (ferry_rx_size(rx) < header.size) {
            if (ferry_rx_reserve(rx, header.size) != FERRY_OK) {
                ferry_connection_kill(connection, FERRY_E_MEMORY, "out of memory");
            }
            return;
        }
        ferry_rx_take_fds(rx, header.size, &fds);
        ferry_os_fds_close(&fds);
        ferry_port_reply(connection, &header,
                         ferry_rx_data(rx) + FERRY_WIRE_HEADER_BYTES);
        ferry_rx_consume(rx, header.size);
    }
}

static void exchange_twin(struct ferry_connection *connection)
{
    struct ferry_tx_node *left;
    size_t direct;
    int rc = ferry_tx_flush(&connection->twin_tx, connection->twin_fd, &left);

    if (rc == FERRY_OK || rc == FERRY_E_AGAIN) {
        rc = ferry_rx_receive(&connection->twin_rx, connection->twin_fd, NULL, 0,
                              FERRY_OS_NOWAIT, &direct);
    }
    if (rc < 0 && rc != FERRY_E_AGAIN) {
        ferry_connection_kill(connection, rc, "the twin socket is gone");
    }
}

static int wait_reply(struct ferry_connection *connection)
{
    int twin = connection->twin_fd >= 0;
    struct ferry_tx *tx = twin ? &connection->twin_tx : &connection->tx;
    uint64_t deadline =
        ferry_os_now_ns() +
        (uint64_t)connection->server->options.dma_timeout_ms * FERRY_NS_PER_MS;
    struct ferry_port_call *call = &connection->call;
    uint64_t now;
    uint32_t what;
    int rc;

    for (;;) {
        if (twin) {
            intake_twin(connection);
        } else {
            intake(connection);
        }
        if (connection->phase == FERRY_CONNECTION_DEAD) {
            return FERRY_E_CLOSED;
        }
        /* Its bytes are the caller's: an early answer does not end their way. */
        if (call->done && !ferry_tx_has(tx, &call->node)) {
            return call->status;
        }
        now = ferry_os_now_ns();
        if (now >= deadline) {
            return give_up(connection);
        }
        what =
            (call->done ? 0 : FERRY_OS_POLL_READ) | (tx->first ? FERRY_OS_POLL_WRITE : 0);
        rc = ferry_os_poll(twin ? connection->twin_fd : connection->fd, what,
                           (uint32_t)((deadline - now) / FERRY_NS_PER_MS) + 1);
        if (rc == FERRY_OK && twin) {
            exchange_twin(connection);
        } else if (rc == FERRY_OK) {
            ferry_connection_flush(connection);
            if (!call->done) {
                ferry_connection_receive(connection);
            }
        } else if (rc != FERRY_E_TIMEOUT) {
            ferry_connection_kill(connection, rc, "poll failed");
        }
    }
}

static int transfer(struct ferry_connection *connection, uint16_t command, uint64_t iova,
                    uint8_t *ret_data, const uint8_t *data, size_t size)
{
    struct ferry_port_call *call = &connection->call;
    uint8_t gathering = connection->gathering;
    int rc;

    memset(&call->asked, 0, sizeof(call->asked));
    call->asked.id = new_id(connection);
    call->asked.command = command;
    call->asked.u.dma.iova = iova;
    call->asked.u.dma.count = size;
    call->asked.u.dma.layout = connection->dma_layout;
    call->asked.data = data;
    call->asked.data_bytes = data ? (uint32_t)size : 0;
    if (connection->dma_layout == FERRY_WIRE_DMA_QEMU && size < FERRY_WIRE_DMA_QEMU_MIN) {
        call->asked.data_bytes = 0; /* it is part of the head */
    }
    rc = ferry_wire_encode(&call->asked, call->node.head, sizeof(call->node.head));
    if (rc < 0) {
        return FERRY_E_RANGE;
    }
    call->node.head_bytes = (uint32_t)rc;
    call->node.data = data;
    call->node.data_bytes = call->asked.data_bytes;
    call->node.fd_count = 0;
    call->ret_data = ret_data;
    call->active = 1;
    call->done = 0;
    call->doubt = 0;
    /* The client may need the replies that it was promised to answer this. */
    connection->gathering = 0;
    ferry_connection_flush(connection);
    if (connection->twin_fd >= 0) {
        ferry_tx_push(&connection->twin_tx, &call->node);
        exchange_twin(connection);
    } else {
        ferry_connection_send(connection, &call->node);
    }
    rc = wait_reply(connection);
    connection->gathering = gathering;
    call->active = 0;
    return rc;
}

/*
 * A read, and as long as no reply has proved what the client speaks, a shorter one of the
 * same bytes that does so where one can. What was read by a wrong guess is read again.
 */
static int fetch(struct ferry_connection *connection, uint64_t iova, uint8_t *ret_data,
                 size_t size)
{
    uint32_t shorter;
    int rc = transfer(connection, FERRY_WIRE_DMA_READ, iova, ret_data, NULL, size);

    shorter = connection->call.doubt;
    if (rc != FERRY_OK || connection->dma_sure || shorter == 0 || shorter >= size ||
        connection->dma_probes == PROBES_MAX) {
        return rc;
    }
    connection->dma_probes++;
    rc = transfer(connection, FERRY_WIRE_DMA_READ, iova, ret_data, NULL, shorter);
    if (rc != FERRY_OK) {
        return rc;
    }
    return transfer(connection, FERRY_WIRE_DMA_READ, iova, ret_data, NULL, size);
}

/*
 * A write in the wrong layout spoils memory, and its reply does not tell: what is to be
 * written over is read before, as long as no reply has proved what the client speaks.
 */
static void probe_layout(struct ferry_connection *connection, uint64_t iova, size_t size)
{
    uint8_t before[PROBE_BYTES];

    if (connection->dma_sure || connection->dma_probes == PROBES_MAX || size == 0) {
        return;
    }
    connection->dma_probes++;
    (void)fetch(connection, iova, before, size < sizeof(before) ? size : sizeof(before));
}

static int run(struct ferry_connection *connection, uint16_t command, uint64_t iova,
               uint8_t *ret_data, const uint8_t *data, size_t size)
{
    size_t limit = connection->limits.max_data_bytes;
    size_t done = 0;
    size_t part;
    int rc = FERRY_OK;

    if (size > UINT64_MAX - iova) {
        return FERRY_E_RANGE;
    }
    if (connection->phase != FERRY_CONNECTION_READY || connection->call.active ||
        set_aside(connection) != FERRY_OK) {
        return FERRY_E_CLOSED;
    }
    if (command == FERRY_WIRE_DMA_WRITE &&
        connection->dma_layout == FERRY_WIRE_DMA_QEMU) {
        probe_layout(connection, iova, size);
    }
    while (rc == FERRY_OK && done < size) {
        part = size - done < limit ? size - done : limit;
        rc = ret_data
                 ? fetch(connection, iova + done, ret_data + done, part)
                 : transfer(connection, command, iova + done, NULL, data + done, part);
        done += part;
    }
    /*
     * Who called may be outside of the message loop: what was put off is handled
     * soon.
     */
    ferry_loop_idle_start(connection->server->loop, &connection->server->idle);
    return rc;
}

static int port_read(void *user, uint64_t iova, void *ret_data, size_t size)
{
    return run(user, FERRY_WIRE_DMA_READ, iova, ret_data, NULL, size);
}

static int port_write(void *user, uint64_t iova, const void *data, size_t size)
{
    return run(user, FERRY_WIRE_DMA_WRITE, iova, NULL, data, size);
}

void ferry_port_init(struct ferry_connection *connection)
{
    connection->port.struct_size = sizeof(connection->port);
    connection->port.dma_read = port_read;
    connection->port.dma_write = port_write;
    connection->port.user = connection;
    connection->twin_fd = -1;
}
