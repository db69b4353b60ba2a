/* SPDX-License-Identifier: BSD-3-Clause */
#include <string.h>

#include "link/server/connection.h"

/* What this side can do, before it is cut to what the client proposed. */
static void offer(const struct ferry_connection *connection,
                  struct ferry_link_version *ret_mine)
{
    ferry_link_version_default(ret_mine);
    ret_mine->max_msg_fds = FERRY_OS_FDS_MAX;
    ret_mine->max_data_xfer_bytes = connection->server->options.max_data_xfer_bytes;
    ret_mine->pgsizes = UINT64_MAX << 12;
    ret_mine->max_dma_maps = FERRY_DMA_MAPS_MAX;
    ret_mine->write_multiple = 1;
    ret_mine->twin_socket = connection->server->options.twin != FERRY_LINK_TWIN_NEVER;
    ret_mine->extension = FERRY_LINK_EXTENSION_VERSION;
    ret_mine->notices = 1;
    ret_mine->precopy_info = 1;
    ret_mine->dirty_runs = 1;
    ret_mine->data_fd = 1;
    ret_mine->counters = 1;
}

/*
 * The client says only {"version":1} and takes what the server offers; nothing of the
 * extension is used towards a client that did not name it.
 */
static int agree(struct ferry_connection *connection,
                 const struct ferry_link_version *theirs, struct ferry_error *reterr)
{
    struct ferry_link_version asked = *theirs;
    struct ferry_link_version mine;
    int rc;

    asked.notices = asked.precopy_info = asked.extension != 0;
    asked.dirty_runs = asked.data_fd = asked.counters = asked.extension != 0;
    if (!(theirs->keys & FERRY_LINK_KEY_PGSIZES)) {
        asked.pgsizes = UINT64_MAX << 12;
    }
    offer(connection, &mine);
    if (theirs->extension != 0 && !theirs->twin_wanted &&
        connection->server->options.twin != FERRY_LINK_TWIN_ALWAYS) {
        mine.twin_socket = 0;
    }
    rc = ferry_link_version_agree(&mine, &asked, &connection->agreed, reterr);
    if (rc != FERRY_OK) {
        return rc;
    }
    connection->limits.max_data_bytes = connection->agreed.max_data_xfer_bytes;
    ferry_port_guess(connection, theirs);
    connection->agreed.keys =
        theirs->keys & ~(FERRY_LINK_KEY_MIGRATION | FERRY_LINK_KEY_FERRY);
    /* Only what was proposed may be answered, but a lower limit must be told. */
    if (connection->agreed.max_data_xfer_bytes < FERRY_LINK_DEFAULT_DATA) {
        connection->agreed.keys |= FERRY_LINK_KEY_DATA;
    }
    if (connection->agreed.extension) {
        connection->agreed.keys |= FERRY_LINK_KEY_FERRY;
    }
    return FERRY_OK;
}

static void told_late(struct ferry_request *request)
{
    (void)request; /* VERSION was answered without it */
}

/* Return: 1 when the endpoint told who it is. */
static int ask_identity(struct ferry_connection *connection)
{
    struct ferry_endpoint *endpoint = connection->server->endpoint;
    struct ferry_request *request = &connection->identity_request;

    *request = (struct ferry_request){ .kind = FERRY_RQ_IDENTITY, .done = told_late };
    request->u.identity = &connection->identity;
    return connection->agreed.extension != 0 &&
           endpoint->ops->submit(endpoint, request) == FERRY_OK;
}

static int reply(struct ferry_connection *connection,
                 const struct ferry_wire_message *asked)
{
    struct ferry_link_version say = connection->agreed;
    struct ferry_wire_message message = *asked;
    struct ferry_job *job = ferry_job_get(connection);
    uint8_t *data;
    size_t size;
    int rc;

    if (!job) {
        return FERRY_E_MEMORY;
    }
    if (say.twin_socket) {
        rc = ferry_port_twin(connection, &job->reply_fd[0]);
        if (rc != FERRY_OK) {
            ferry_job_release(job);
            return rc;
        }
        job->own_fds = 1;
        say.twin_fd = 1;
    }
    data = ferry_job_data(job, FERRY_LINK_VERSION_MAX);
    if (!data) {
        ferry_job_release(job);
        return FERRY_E_MEMORY;
    }
    /* Tell the client what this side takes, not what it said itself; but there are
     * clients that take any number above their own maximum for malformed. */
    say.max_msg_fds = connection->agreed.max_msg_fds > FERRY_LINK_CAUTIOUS_FDS
                          ? FERRY_OS_FDS_MAX
                          : FERRY_LINK_CAUTIOUS_FDS;
    rc = ferry_link_version_format(
        &say, ask_identity(connection) ? &connection->identity : NULL, data,
        FERRY_LINK_VERSION_MAX, &size);
    message.reply = 1;
    message.fd_count = 0;
    message.u.version.major = say.major;
    message.u.version.minor = say.minor;
    if (rc == FERRY_OK) {
        /* The text follows the two numbers, which are part of the head. */
        message.data = data + 4;
        message.data_bytes = (uint32_t)size - 4;
        rc = ferry_wire_encode(&message, job->node.head, sizeof(job->node.head));
    }
    if (rc < 0) {
        ferry_job_release(job);
        return rc;
    }
    job->node.head_bytes = (uint32_t)rc;
    job->node.data = message.data;
    job->node.data_bytes = message.data_bytes;
    job->node.fd_count = job->own_fds;
    job->node.fds = job->reply_fd;
    ferry_connection_send(connection, &job->node);
    return FERRY_OK;
}

void ferry_handshake_handle(struct ferry_connection *connection,
                            const struct ferry_incoming *incoming)
{
    uint32_t bytes = incoming->header.size - FERRY_WIRE_HEADER_BYTES;
    struct ferry_wire_body body = {
        .bytes = incoming->payload,
        .have = bytes,
        .fd_count = incoming->fds.count,
    };
    struct ferry_error error = { .code = FERRY_OK };
    struct ferry_link_version theirs;
    struct ferry_wire_message asked;
    int rc = FERRY_OK;

    if (incoming->header.command != FERRY_WIRE_VERSION) {
        rc = ferry_error_set(&error, FERRY_E_PROTOCOL, "link", NULL, 0,
                             "%s before VERSION",
                             ferry_wire_command_name(incoming->header.command));
    }
    if (rc == FERRY_OK) {
        rc = ferry_wire_request_decode(&incoming->header, &body, &connection->limits,
                                       &asked, &error);
    }
    if (rc == FERRY_OK) {
        rc = ferry_link_version_parse(incoming->payload, bytes, &theirs, NULL, &error);
    }
    if (rc == FERRY_OK) {
        rc = agree(connection, &theirs, &error);
    }
    if (rc == FERRY_OK) {
        rc = ferry_server_attach(connection);
    }
    if (rc == FERRY_OK) {
        rc = reply(connection, &asked);
    }
    if (rc != FERRY_OK) {
        ferry_job_refuse(connection, &incoming->header, rc);
        if (error.code != rc || !error.text[0]) {
            ferry_error_set(&error, rc, "link", NULL, 0, "the handshake failed");
        }
        ferry_connection_kill_error(connection, &error);
    }
}
