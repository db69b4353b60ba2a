/* SPDX-License-Identifier: BSD-3-Clause */
#include <stdlib.h>

#include "link/client/client_inside.h"
#include "os/memory.h"

/* Dispatch looks at the socket anyway. */
static void on_twin(struct ferry_watch *watch, uint32_t events)
{
    (void)watch;
    (void)events;
}

int ferry_client_leaves_twin(const struct ferry_client *client)
{
    return client->dispatcher && client->twin.fd >= 0;
}

int ferry_client_twin_take(struct ferry_client *client,
                           const struct ferry_link_version *theirs,
                           struct ferry_os_fds *fds, struct ferry_error *reterr)
{
    struct ferry_client_twin *twin = &client->twin;
    int rc;

    if (!client->agreed.twin_socket) {
        return FERRY_OK;
    }
    if (!theirs->twin_fd || theirs->twin_index >= fds->count) {
        return ferry_error_set(reterr, FERRY_E_PROTOCOL, "link", NULL, 0,
                               "VERSION: the twin socket's descriptor did not come");
    }
    if (ferry_os_listens(fds->fd[theirs->twin_index]) != 0) {
        return ferry_error_set(reterr, FERRY_E_PROTOCOL, "link", NULL, 0,
                               "VERSION: the twin socket is no connected stream socket");
    }
    rc = ferry_rx_init(&twin->rx);
    if (rc != FERRY_OK) {
        return rc;
    }
    twin->fd = fds->fd[theirs->twin_index];
    fds->fd[theirs->twin_index] = fds->fd[--fds->count];
    twin->watch.fd = twin->fd;
    twin->watch.events = FERRY_LOOP_READ;
    twin->watch.fn = on_twin;
    return FERRY_OK;
}

static void free_nodes(struct ferry_tx_node *node)
{
    struct ferry_tx_node *next;

    for (; node; node = next) {
        next = node->next;
        free(node);
    }
}

void ferry_client_twin_flush(struct ferry_client *client)
{
    struct ferry_client_twin *twin = &client->twin;
    struct ferry_tx_node *left;
    struct ferry_tx_node *node;
    int rc;

    if (client->dead || !twin->tx.first) {
        return;
    }
    rc = ferry_tx_flush(&twin->tx, twin->fd, &left);
    for (node = left; node; node = node->next) {
        client->return_count--;
    }
    free_nodes(left);
    if (rc < 0 && rc != FERRY_E_AGAIN) {
        ferry_client_kill_text(client, rc, "sending over the twin socket failed");
        return;
    }
    ferry_client_watch(client);
}

/* Return: 1 when a whole command is there; 0 when not, or the connection is dead. */
static int peek(struct ferry_client *client, struct ferry_wire_header *ret_header)
{
    struct ferry_rx *rx = &client->twin.rx;
    size_t need = FERRY_WIRE_HEADER_BYTES;
    struct ferry_error error;
    int rc;

    if (ferry_rx_size(rx) >= need) {
        rc = ferry_wire_header_decode(ferry_rx_data(rx), &client->limits, ret_header,
                                      &error);
        if (rc == FERRY_OK) {
            rc = ferry_wire_header_check(ret_header, FERRY_WIRE_FROM_SERVER,
                                         &client->limits, &error);
        }
        if (rc == FERRY_OK && ferry_wire_is_reply(ret_header)) {
            rc = ferry_error_set(&error, FERRY_E_PROTOCOL, "link", NULL, 0,
                                 "a reply to %s on the twin socket",
                                 ferry_wire_command_name(ret_header->command));
        }
        if (rc != FERRY_OK) {
            ferry_client_kill(client, &error);
            return 0;
        }
        need = ret_header->size;
        if (ferry_rx_size(rx) >= need) {
            return 1;
        }
    }
    if (ferry_rx_reserve(rx, need) != FERRY_OK) {
        ferry_client_kill_text(client, FERRY_E_MEMORY, "out of memory for a message");
    }
    return 0;
}

int ferry_client_twin_step(struct ferry_client *client)
{
    struct ferry_client_twin *twin = &client->twin;
    struct ferry_wire_header header;
    size_t direct;
    int rc;

    ferry_client_twin_flush(client);
    if (twin->fd < 0 || client->dead || twin->busy) {
        return 0;
    }
    twin->busy = 1; /* the lock is released while memory is reached */
    rc = ferry_rx_receive(&twin->rx, twin->fd, NULL, 0, FERRY_OS_NOWAIT, &direct);
    if (rc < 0 && rc != FERRY_E_AGAIN) {
        ferry_client_kill_text(client, rc,
                               rc == FERRY_E_CLOSED ? "the server closed the connection"
                                                    : "receiving failed");
    }
    while (rc > 0 && !client->dead && peek(client, &header)) {
        ferry_client_serve_twin(client, &header);
    }
    twin->busy = 0;
    return rc > 0;
}

void ferry_client_twin_end(struct ferry_client *client)
{
    if (client->twin.fd >= 0) {
        free_nodes(ferry_tx_clear(&client->twin.tx));
        ferry_loop_remove(client->loop, &client->twin.watch);
        ferry_os_shutdown(client->twin.fd);
    }
}

void ferry_client_twin_free(struct ferry_client *client)
{
    free_nodes(ferry_tx_clear(&client->twin.tx));
    ferry_rx_free(&client->twin.rx);
    ferry_os_close(&client->twin.fd);
}
