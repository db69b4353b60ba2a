/* SPDX-License-Identifier: BSD-3-Clause */
#include "link/server/data_session.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "os/clock.h"
#include "os/memory.h"

/* For a whole piece and more: whoever sends it need not wait until the other one has come
 * to take it. The kernel may allow less. */
#define ROOM_BYTES (1u << 20)

static int saves(uint32_t state)
{
    return state == FERRY_STATE_PRE_COPY || state == FERRY_STATE_PRE_COPY_P2P ||
           state == FERRY_STATE_STOP_COPY;
}

static int is_open(const struct ferry_connection *connection)
{
    return connection->data && connection->data->watch.fd >= 0;
}

/* --- the descriptor --- */

void ferry_data_session_watch(struct ferry_data_pipe *session, uint32_t events)
{
    struct ferry_loop *loop = session->connection->server->loop;

    if (session->watch.fd < 0 || events == session->watch.events) {
        return;
    }
    /* A hung-up peer is reported as long as the descriptor is watched for anything. */
    if (events == 0) {
        ferry_loop_remove(loop, &session->watch);
        session->watch.events = 0;
        return;
    }
    if (session->watch.events != 0) {
        ferry_loop_change(loop, &session->watch, events);
        session->watch.events = events;
        return;
    }
    memset(session->watch.priv, 0, sizeof(session->watch.priv));
    session->watch.events = events;
    if (ferry_loop_add(loop, &session->watch) != FERRY_OK) {
        session->watch.events = 0;
        ferry_data_session_close(session, FERRY_E_MEMORY);
    }
}

void ferry_data_session_close(struct ferry_data_pipe *session, int status)
{
    if (session->watch.fd < 0) {
        return;
    }
    if (session->status == FERRY_OK) {
        session->status = status;
    }
    ferry_data_session_watch(session, 0);
    ferry_loop_timer_cancel(session->connection->server->loop, &session->timer);
    ferry_os_close(&session->watch.fd);
    session->watch.fd = -1;
}

void ferry_data_session_await(struct ferry_data_pipe *session, int awaited)
{
    struct ferry_link_server *server = session->connection->server;

    if (!awaited) {
        ferry_loop_timer_cancel(server->loop, &session->timer);
    } else if (session->timer.deadline_ns == 0) {
        session->moved_seen = session->moved;
        ferry_loop_timer_set(server->loop, &session->timer,
                             ferry_os_now_ns() +
                                 (uint64_t)server->options.message_timeout_ms *
                                     FERRY_NS_PER_MS);
    }
}

static void on_timer(struct ferry_loop_timer *timer, uint64_t now_ns)
{
    struct ferry_data_pipe *session = timer->user;
    struct ferry_job *leaving = session->leaving;
    int begun = session->head_got > 0 || session->piece_at < session->piece_bytes;

    (void)now_ns;
    if (session->moved_seen != session->moved || session->in_request) {
        ferry_data_session_await(session, 1);
        return;
    }
    if (begun && session->loading) {
        ferry_data_load_refuse(session, FERRY_E_TIMEOUT);
    }
    if (leaving) {
        session->leaving = NULL;
        ferry_job_go_on(leaving, FERRY_E_SHORT);
    }
}

static void on_event(struct ferry_watch *watch, uint32_t events)
{
    struct ferry_data_pipe *session = watch->user;

    if (session->loading) {
        ferry_data_load_go(session);
    } else {
        ferry_data_save_go(session, (events & ~FERRY_LOOP_WRITE) != 0);
    }
}

/* --- the endpoint --- */

static void free_session(struct ferry_data_pipe *session)
{
    free(session->piece);
    free(session);
}

static void request_done(struct ferry_request *request)
{
    struct ferry_data_pipe *session = request->user;

    session->in_request = 0;
    if (session->closed) {
        free_session(session);
    } else if (session->loading) {
        ferry_data_load_done(session, request->status);
    } else {
        ferry_data_save_done(session, request->status);
    }
}

int ferry_data_session_submit(struct ferry_data_pipe *session)
{
    struct ferry_connection *connection = session->connection;
    struct ferry_endpoint *endpoint = connection->server->endpoint;
    int rc;

    session->request.done = request_done;
    session->request.user = session;
    session->request.reterr = NULL;
    session->request.status = FERRY_OK;
    session->in_request = 1;
    /* Work is due after every request. */
    connection->handled = 1;
    ferry_loop_idle_start(connection->server->loop, &connection->server->idle);
    rc = endpoint->ops->submit(endpoint, &session->request);
    if (rc == FERRY_PENDING) {
        return rc;
    }
    session->in_request = 0;
    if (session->closed) {
        free_session(session);
        return FERRY_PENDING; /* the connection died meanwhile: nobody goes on */
    }
    return rc;
}

/* --- beginning and end --- */

void ferry_data_session_drop(struct ferry_connection *connection)
{
    struct ferry_data_pipe *session = connection->data;
    struct ferry_job *leaving;

    if (!session) {
        return;
    }
    connection->data = NULL;
    leaving = session->leaving;
    session->leaving = NULL;
    ferry_data_session_close(session, FERRY_E_CLOSED);
    session->closed = 1;
    if (!session->in_request) {
        free_session(session);
    }
    if (leaving) {
        ferry_job_go_on(leaving, FERRY_E_CLOSED);
    }
}

/* ret_fd: the client's end. */
static int begin(struct ferry_connection *connection, uint32_t state, int *ret_fd)
{
    struct ferry_data_pipe *session = calloc(1, sizeof(*session));
    int rc = FERRY_E_MEMORY;

    if (!session) {
        return rc;
    }
    session->connection = connection;
    session->loading = state == FERRY_STATE_RESUMING;
    session->piece =
        malloc(session->loading ? FERRY_FRAME_DATA_MAX
                                : FERRY_FRAME_BYTES + FERRY_DATA_PIECE_BYTES);
    if (session->piece) {
        rc = ferry_os_socketpair(&session->watch.fd, ret_fd);
    }
    if (rc != FERRY_OK) {
        free_session(session);
        return rc;
    }
    ferry_os_room(session->watch.fd, ROOM_BYTES);
    ferry_os_room(*ret_fd, ROOM_BYTES);
    session->watch.fn = on_event;
    session->watch.user = session;
    session->timer.fn = on_timer;
    session->timer.user = session;
    ferry_frame_stream_init(&session->in, session->loading ? FERRY_FRAME_LOAD_CLIENT
                                                           : FERRY_FRAME_SAVE_CLIENT);
    ferry_frame_stream_init(&session->out, session->loading ? FERRY_FRAME_LOAD_SERVER
                                                            : FERRY_FRAME_SAVE_SERVER);
    ferry_data_session_watch(session, FERRY_LOOP_READ);
    if (session->watch.fd < 0) {
        free_session(session);
        ferry_os_close(ret_fd);
        return FERRY_E_MEMORY;
    }
    ferry_data_session_drop(connection); /* one whose descriptor is closed */
    session->id = ++connection->data_sessions;
    connection->data = session;
    return FERRY_OK;
}

/* --- requests --- */

static int admit_leave(struct ferry_job *job)
{
    struct ferry_data_pipe *session = job->connection->data;
    const struct ferry_leave_state *leave = &job->request.u.leave;

    if (!job->connection->agreed.data_fd) {
        return FERRY_E_UNSUPPORTED;
    }
    if (job->asked.u.feature.u.leave.pad != 0) {
        return FERRY_E_PROTOCOL;
    }
    if (!session || !session->loading || session->id != leave->session) {
        return FERRY_E_NOT_FOUND;
    }
    if (session->leaving) {
        return FERRY_E_BUSY;
    }
    job->held_kind = FERRY_RQ_LEAVE_STATE;
    session->leaving = job;
    ferry_data_session_await(session, 1);
    return FERRY_PENDING;
}

void ferry_data_session_leave(struct ferry_connection *connection)
{
    struct ferry_data_pipe *session = connection->data;

    if (session->watch.fd >= 0) {
        ferry_data_load_go(session);
    } else {
        ferry_data_load_leave(session);
    }
}

/* What a device lends stays until one of these (link/request.h). */
static int takes_back(uint32_t kind)
{
    return kind == FERRY_RQ_SET_STATE || kind == FERRY_RQ_RESET ||
           kind == FERRY_RQ_REGION_WRITE;
}

int ferry_data_session_admit(struct ferry_job *job)
{
    struct ferry_connection *connection = job->connection;

    if (connection->data && takes_back(job->request.kind)) {
        ferry_data_save_keep(connection->data);
    }
    switch (job->request.kind) {
    case FERRY_RQ_DATA_FD:
        if (!connection->agreed.data_fd) {
            return FERRY_E_UNSUPPORTED;
        }
        if (is_open(connection)) {
            return FERRY_E_BUSY;
        }
        /* Only the device knows which way its data goes now. */
        job->held_kind = FERRY_RQ_DATA_FD;
        job->request.kind = FERRY_RQ_GET_STATE;
        return FERRY_OK;
    case FERRY_RQ_LEAVE_STATE:
        return admit_leave(job);
    case FERRY_RQ_DATA_READ:
    case FERRY_RQ_DATA_WRITE:
        return is_open(connection) ? FERRY_E_BUSY : FERRY_OK;
    case FERRY_RQ_SET_STATE:
        return is_open(connection) && connection->data->loading ? FERRY_E_BUSY : FERRY_OK;
    default:
        return FERRY_OK;
    }
}

static int give(struct ferry_job *job)
{
    uint32_t state = job->request.u.state;
    int rc;

    if (!saves(state) && state != FERRY_STATE_RESUMING) {
        return FERRY_E_STATE;
    }
    if (is_open(job->connection)) {
        return FERRY_E_BUSY; /* two asked while the device thought */
    }
    rc = begin(job->connection, state, &job->reply_fd[0]);
    if (rc != FERRY_OK) {
        return rc;
    }
    job->own_fds = 1;
    job->request.kind = FERRY_RQ_DATA_FD;
    job->request.u.data_fd.fd = job->reply_fd[0];
    job->request.u.data_fd.session = job->connection->data->id;
    job->request.u.data_fd.direction =
        state == FERRY_STATE_RESUMING ? FERRY_DATA_LOADED : FERRY_DATA_SAVED;
    return FERRY_OK;
}

int ferry_data_session_settle(struct ferry_job *job, int status)
{
    struct ferry_connection *connection = job->connection;
    uint32_t kind = job->request.kind;

    if (connection->phase == FERRY_CONNECTION_DEAD) {
        return status;
    }
    if (status == FERRY_OK && job->held_kind == FERRY_RQ_DATA_FD) {
        connection->device_state = job->request.u.state;
        return give(job);
    }
    if (status == FERRY_OK && kind == FERRY_RQ_SET_STATE) {
        connection->device_state = job->request.u.state;
        if (connection->data &&
            (connection->data->loading || !saves(job->request.u.state))) {
            ferry_data_session_drop(connection);
        }
    }
    if (status == FERRY_OK && kind == FERRY_RQ_RESET) {
        ferry_data_session_drop(connection);
    }
    if (job->held_kind == FERRY_RQ_LEAVE_STATE) {
        job->request.kind = FERRY_RQ_LEAVE_STATE;
    }
    return status;
}
