/* SPDX-License-Identifier: BSD-3-Clause */
#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "link/server/connection.h"
#include "link/server/data_session.h"
#include "os/memory.h"

struct ferry_job *ferry_job_get(struct ferry_connection *connection)
{
    struct ferry_job *job = connection->free_jobs;

    if (job) {
        connection->free_jobs = job->next;
        return job;
    }
    job = calloc(1, sizeof(*job));
    if (job) {
        job->connection = connection;
    }
    return job;
}

void ferry_job_release(struct ferry_job *job)
{
    struct ferry_connection *connection = job->connection;

    ferry_os_fds_close(&job->fds);
    while (job->own_fds > 0) {
        ferry_os_close(&job->reply_fd[--job->own_fds]);
    }
    free(job->held);
    job->held = NULL;
    if (job->data_cap > FERRY_JOB_KEEP_BYTES) {
        free(job->data);
        job->data = NULL;
        job->data_cap = 0;
    }
    if (job->pending) {
        job->pending = 0;
        connection->pending_count--;
    }
    job->next = connection->free_jobs;
    connection->free_jobs = job;
}

void ferry_job_free_all(struct ferry_connection *connection)
{
    struct ferry_job *job;

    while (connection->free_jobs) {
        job = connection->free_jobs;
        connection->free_jobs = job->next;
        free(job->data);
        free(job->range);
        free(job);
    }
}

uint8_t *ferry_job_data(struct ferry_job *job, size_t bytes)
{
    if (bytes <= sizeof(job->small)) {
        return job->small;
    }
    if (bytes > job->data_cap) {
        free(job->data);
        job->data = malloc(bytes);
        job->data_cap = job->data ? bytes : 0;
    }
    return job->data;
}

void ferry_job_refuse(struct ferry_connection *connection,
                      const struct ferry_wire_header *asked, int status)
{
    struct ferry_job *job;

    if (!ferry_wire_wants_reply(asked)) {
        return;
    }
    job = ferry_job_get(connection);
    if (!job) {
        ferry_connection_kill(connection, FERRY_E_MEMORY, "out of memory for a reply");
        return;
    }
    ferry_wire_error_encode(asked, status, job->node.head);
    job->node.head_bytes = FERRY_WIRE_HEADER_BYTES;
    job->node.data_bytes = 0;
    job->node.fd_count = 0;
    ferry_connection_send(connection, &job->node);
}

static void refuse_job(struct ferry_job *job, int status)
{
    struct ferry_wire_header asked = {
        .id = job->asked.id,
        .command = job->asked.command,
        .size = FERRY_WIRE_HEADER_BYTES,
    };

    ferry_wire_error_encode(&asked, status, job->node.head);
    job->node.head_bytes = FERRY_WIRE_HEADER_BYTES;
    job->node.data_bytes = 0;
    job->node.fd_count = 0;
}

/*
 * To a client without the `ferry` extension an empty or short read is the end, so
 * "nothing for now" is told as an empty success (the specification's own way in
 * pre-copy).
 */
static int told_status(const struct ferry_job *job, int status)
{
    if (status == FERRY_E_DRY && !job->connection->agreed.notices) {
        return FERRY_OK;
    }
    return status;
}

static void reply_io_fds(struct ferry_job *job)
{
    const struct ferry_connection *connection = job->connection;
    uint8_t *encoded = (uint8_t *)job->request.u.io_fds.entry +
                       FERRY_IO_FDS_MAX * sizeof(struct ferry_io_fd);
    uint32_t most = connection->agreed.max_msg_fds;

    ferry_codec_reply_io_fds(&job->request.u.io_fds,
                             connection->server->options.io_fd_layout,
                             most < FERRY_OS_FDS_MAX ? most : FERRY_OS_FDS_MAX, encoded,
                             job->reply_fd, &job->asked);
}

static void encode_reply(struct ferry_job *job)
{
    struct ferry_wire_message *reply = &job->asked;
    const uint8_t *asked = reply->data;
    uint8_t *copy;
    int rc;

    if (reply->command == FERRY_WIRE_GET_REGION_IO_FDS) {
        reply_io_fds(job);
    } else {
        ferry_codec_reply(&job->request, job->node.data, reply);
        if (job->own_fds == 0) {
            job->reply_fd[0] = job->request.u.region.fd;
        }
    }
    rc = ferry_wire_encode(reply, job->node.head, sizeof(job->node.head));
    if (rc < 0) {
        /* The device answered something that no reply can say. */
        refuse_job(job, FERRY_E_DEVICE);
        return;
    }
    if (reply->data_bytes > 0 && reply->data == asked) {
        /* An echo: the message's own memory may be gone before the reply has left. */
        copy = ferry_job_data(job, reply->data_bytes);
        if (!copy) {
            refuse_job(job, FERRY_E_MEMORY);
            return;
        }
        memcpy(copy, reply->data, reply->data_bytes);
        reply->data = copy;
    }
    job->node.head_bytes = (uint32_t)rc;
    job->node.data = reply->data;
    job->node.data_bytes = reply->data_bytes;
    job->node.fds = job->reply_fd;
    job->node.fd_count = reply->fd_count;
}

/* A reply that stays queued keeps the endpoint's descriptors by duplicates. */
static void keep_fds(struct ferry_job *job)
{
    while (job->own_fds < job->node.fd_count) {
        int *fd = &job->reply_fd[job->own_fds];

        if (ferry_os_dup(*fd, fd) != FERRY_OK) {
            refuse_job(job, FERRY_E_LIMIT);
            return;
        }
        job->own_fds++;
    }
}

void ferry_job_finish(struct ferry_job *job, int status)
{
    struct ferry_connection *connection = job->connection;

    if (job->pending) {
        job->pending = 0;
        connection->pending_count--;
    }
    if (job->fds.count > 0) {
        ferry_os_fds_close(&job->fds);
    }
    if (job->parent) {
        ferry_multi_part_done(job, status);
        return;
    }
    if (connection->phase == FERRY_CONNECTION_DEAD || job->asked.posted) {
        ferry_job_release(job);
        return;
    }
    status = told_status(job, ferry_data_session_settle(job, status));
    if (status == FERRY_OK) {
        encode_reply(job);
    } else {
        refuse_job(job, status);
    }
    if (job->node.fd_count > 0) {
        ferry_connection_flush(connection);
        if (connection->tx.first) {
            keep_fds(job);
        }
    }
    ferry_connection_send(connection, &job->node);
}

/*
 * A client without the extension takes a short read for the end of the stream: the
 * read goes on until it is full or the device says end or dry.
 * Return: 1 when the request was changed to read on.
 */
static int read_on(struct ferry_job *job, int status)
{
    struct ferry_data_io *io = &job->request.u.data;

    if (job->request.kind != FERRY_RQ_DATA_READ || job->connection->agreed.notices) {
        return 0;
    }
    if (status == FERRY_OK && io->got > 0 && io->got < io->size) {
        job->filled += io->got;
        io->data = (uint8_t *)io->data + io->got;
        io->size -= io->got;
        io->got = 0;
        return 1;
    }
    if (status == FERRY_OK || (status == FERRY_E_DRY && job->filled > 0)) {
        io->got = job->filled + (status == FERRY_OK ? io->got : 0);
    }
    return 0;
}

static void job_done(struct ferry_request *request);

/* Return: FERRY_PENDING, or the status with which the request ended. */
static int run(struct ferry_job *job)
{
    struct ferry_endpoint *endpoint = job->connection->server->endpoint;
    int rc;

    do {
        job->request.done = job_done;
        job->request.user = job;
        job->request.reterr = NULL;
        rc = endpoint->ops->submit(endpoint, &job->request);
    } while (rc != FERRY_PENDING && read_on(job, rc));
    return rc;
}

static void job_done(struct ferry_request *request)
{
    struct ferry_job *job = request->user;
    int status = request->status;

    assert(job->pending);
    if (job->connection->phase != FERRY_CONNECTION_DEAD && read_on(job, status)) {
        status = run(job);
        if (status == FERRY_PENDING) {
            return;
        }
    }
    ferry_job_finish(job, status);
}

/* The request as the endpoint wants it. */
static int prepare(struct ferry_job *job)
{
    size_t bytes = ferry_codec_reply_data(&job->asked);
    uint8_t *data = ferry_job_data(job, bytes);

    if (!data) {
        return FERRY_E_MEMORY;
    }
    if (job->asked.command == FERRY_WIRE_FEATURE && !job->range &&
        job->asked.u.feature.index == FERRY_WIRE_FEATURE_LOG_START) {
        job->range = calloc(FERRY_LOG_RANGES_MAX, sizeof(*job->range));
        if (!job->range) {
            return FERRY_E_MEMORY;
        }
    }
    if ((job->asked.command == FERRY_WIRE_FEATURE &&
         job->asked.u.feature.index != FERRY_WIRE_FEATURE_LOG_RUNS) ||
        job->asked.command == FERRY_WIRE_DMA_UNMAP) {
        memset(data, 0, bytes); /* bitmaps: the endpoint only sets bits */
    }
    job->node.data = data;
    job->filled = 0;
    return ferry_codec_request(&job->asked, data, job->range, &job->fds, &job->request);
}

/* The message's memory stays as long as the pending request points into it. */
static int hold(struct ferry_job *job, struct ferry_incoming *incoming)
{
    struct ferry_connection *connection = job->connection;

    if (job->asked.data_bytes == 0) {
        return FERRY_OK;
    }
    if (incoming->in_rx) {
        incoming->in_rx = 0;
        return ferry_rx_detach(&connection->rx, incoming->header.size, &job->held);
    }
    job->held = incoming->memory;
    incoming->memory = NULL;
    return FERRY_OK;
}

int ferry_job_run(struct ferry_job *job)
{
    struct ferry_connection *connection = job->connection;
    int rc = prepare(job);

    job->held_kind = 0;
    if (rc == FERRY_OK) {
        rc = ferry_data_session_admit(job);
    }
    if (rc == FERRY_OK) {
        connection->handled = 1;
        job->pending = 1;
        connection->pending_count++;
        rc = run(job);
    } else if (rc == FERRY_PENDING) {
        job->pending = 1;
        connection->pending_count++;
        ferry_data_session_leave(connection);
        return FERRY_OK; /* nothing of the message is needed any more */
    }
    if (rc != FERRY_PENDING) {
        ferry_job_finish(job, rc);
    }
    return rc;
}

static void start(struct ferry_job *job, struct ferry_incoming *incoming)
{
    struct ferry_connection *connection = job->connection;

    if (job->asked.command == FERRY_WIRE_REGION_WRITE_MULTI) {
        ferry_multi_start(job);
        return;
    }
    if (ferry_job_run(job) == FERRY_PENDING && hold(job, incoming) != FERRY_OK) {
        /* The buffer stays as it is until the endpoint has let go of the request. */
        incoming->in_rx = 0;
        ferry_connection_kill(connection, FERRY_E_MEMORY, "out of memory for a request");
    }
}

void ferry_job_go_on(struct ferry_job *job, int status)
{
    struct ferry_connection *connection = job->connection;
    uint32_t state = job->request.u.leave.state;

    if (status == FERRY_OK) {
        job->request.kind = FERRY_RQ_SET_STATE;
        job->request.u.state = state;
        connection->handled = 1;
        ferry_loop_idle_start(connection->server->loop, &connection->server->idle);
        status = run(job);
    }
    if (status != FERRY_PENDING) {
        ferry_job_finish(job, status);
    }
}

void ferry_job_handle(struct ferry_connection *connection,
                      struct ferry_incoming *incoming)
{
    struct ferry_wire_body body = {
        .bytes = incoming->payload,
        .have = incoming->header.size - FERRY_WIRE_HEADER_BYTES,
        .fd_count = incoming->fds.count,
    };
    struct ferry_job *job;
    int rc;

    if (connection->pending_count >= FERRY_SERVER_PENDING_MAX) {
        ferry_job_refuse(connection, &incoming->header, FERRY_E_LIMIT);
        return;
    }
    job = ferry_job_get(connection);
    if (!job) {
        ferry_job_refuse(connection, &incoming->header, FERRY_E_MEMORY);
        return;
    }
    rc = ferry_wire_request_decode(&incoming->header, &body, &connection->limits,
                                   &job->asked, NULL);
    if (rc == FERRY_OK && job->asked.command == FERRY_WIRE_VERSION) {
        rc = FERRY_E_PROTOCOL; /* the version is agreed once */
    }
    if (rc == FERRY_OK && job->asked.command == FERRY_WIRE_REGION_WRITE_MULTI &&
        !connection->agreed.write_multiple) {
        rc = FERRY_E_UNSUPPORTED;
    }
    if (rc != FERRY_OK) {
        ferry_job_release(job);
        ferry_job_refuse(connection, &incoming->header, rc);
        return;
    }
    if (incoming->fds.count > 0) {
        job->fds = incoming->fds;
        incoming->fds.count = 0;
    }
    start(job, incoming);
}
