/* SPDX-License-Identifier: BSD-3-Clause */
#include <stdlib.h>
#include <string.h>

#include "link/client/client_inside.h"
#include "os/clock.h"
#include "os/eventfd.h"
#include "os/memory.h"

static void on_wake(struct ferry_watch *watch, uint32_t events)
{
    (void)events;
    (void)ferry_os_eventfd_drain(watch->fd, NULL);
}

/* Dispatch looks at the socket and the limits anyway. */
static void on_socket(struct ferry_watch *watch, uint32_t events)
{
    (void)watch;
    (void)events;
}

static void on_timer(struct ferry_loop_timer *timer, uint64_t now_ns)
{
    (void)timer;
    (void)now_ns;
}

static void offer(const struct ferry_client_options *options,
                  struct ferry_link_version *ret_mine)
{
    ferry_link_version_default(ret_mine);
    ret_mine->max_msg_fds = FERRY_OS_FDS_MAX;
    ret_mine->max_data_xfer_bytes = options->max_data_xfer_bytes;
    ret_mine->pgsizes = UINT64_MAX << 12;
    ret_mine->max_dma_maps = FERRY_DMA_MAPS_MAX;
    ret_mine->write_multiple = 1;
    ret_mine->twin_socket =
        options->twin == FERRY_CLIENT_TWIN_ASK &&
        (options->memory.dma_read != NULL || options->memory.dma_write != NULL);
    ret_mine->twin_wanted = ret_mine->twin_socket && options->dispatcher;
    ret_mine->extension = FERRY_LINK_EXTENSION_VERSION;
    ret_mine->keys = FERRY_LINK_KEY_FDS | FERRY_LINK_KEY_DATA | FERRY_LINK_KEY_DMA_MAPS |
                     FERRY_LINK_KEY_PGSIZES | FERRY_LINK_KEY_TWIN |
                     FERRY_LINK_KEY_WRITE_MULTIPLE | FERRY_LINK_KEY_FERRY;
}

static int agree(struct ferry_client *client, const struct ferry_link_version *mine,
                 const struct ferry_link_version *theirs, struct ferry_error *reterr)
{
    struct ferry_link_version said = *mine;
    struct ferry_link_version heard = *theirs;
    int rc;

    if (theirs->minor > mine->minor) {
        return ferry_error_set(reterr, FERRY_E_VERSION, "link", NULL, 2,
                               "VERSION: the server answers minor version %u to %u",
                               theirs->minor, mine->minor);
    }
    said.notices = said.precopy_info = said.dirty_runs = said.data_fd = 1;
    said.counters = 1;
    if (!(theirs->keys & FERRY_LINK_KEY_PGSIZES)) {
        heard.pgsizes = mine->pgsizes;
    }
    rc = ferry_link_version_agree(&said, &heard, &client->agreed, reterr);
    if (rc == FERRY_OK) {
        client->limits.max_data_bytes = client->agreed.max_data_xfer_bytes;
    }
    return rc;
}

static int send_version(struct ferry_client *client,
                        const struct ferry_link_version *mine, uint64_t deadline_ns)
{
    uint8_t bytes[1024];
    struct ferry_wire_message message = { .command = FERRY_WIRE_VERSION };
    uint8_t head[FERRY_WIRE_HEAD_MAX];
    struct iovec iov[2];
    size_t size;
    int rc = ferry_link_version_format(mine, NULL, bytes, sizeof(bytes), &size);

    if (rc != FERRY_OK) {
        return rc;
    }
    message.u.version.major = mine->major;
    message.u.version.minor = mine->minor;
    message.data = bytes + 4;
    message.data_bytes = (uint32_t)size - 4;
    rc = ferry_wire_encode(&message, head, sizeof(head));
    if (rc < 0) {
        return rc;
    }
    iov[0].iov_base = head;
    iov[0].iov_len = (size_t)rc;
    iov[1].iov_base = bytes + 4;
    iov[1].iov_len = size - 4;
    (void)deadline_ns;
    /* Far smaller than any socket's buffer: on a new connection it leaves whole. */
    rc = ferry_os_send(client->fd, iov, 2, NULL, 0, FERRY_OS_NOWAIT);
    if (rc == FERRY_E_CLOSED) {
        return FERRY_OK; /* the server may have told why before it closed */
    }
    if (rc >= 0) {
        rc = (size_t)rc == iov[0].iov_len + iov[1].iov_len ? FERRY_OK : FERRY_E_IO;
    }
    return rc == FERRY_E_AGAIN ? FERRY_E_IO : rc;
}

/* Receives until `bytes` bytes are there. */
static int await_bytes(struct ferry_client *client, size_t bytes, uint64_t deadline_ns)
{
    uint64_t now;
    size_t direct;
    int rc = ferry_rx_reserve(&client->rx, bytes);

    while (rc == FERRY_OK && ferry_rx_size(&client->rx) < bytes) {
        now = ferry_os_now_ns();
        if (now >= deadline_ns) {
            return FERRY_E_TIMEOUT;
        }
        rc = ferry_os_poll(client->fd, FERRY_OS_POLL_READ,
                           (uint32_t)((deadline_ns - now) / FERRY_NS_PER_MS) + 1);
        if (rc == FERRY_OK) {
            rc = ferry_rx_receive(&client->rx, client->fd, NULL, 0, FERRY_OS_NOWAIT,
                                  &direct);
        }
        if (rc > 0 || rc == FERRY_E_AGAIN || rc == FERRY_E_TIMEOUT) {
            rc = FERRY_OK;
        }
    }
    return rc;
}

static int check_version_header(const struct ferry_wire_header *header,
                                struct ferry_error *reterr)
{
    if (header->command != FERRY_WIRE_VERSION || !ferry_wire_is_reply(header)) {
        return ferry_error_set(reterr, FERRY_E_PROTOCOL, "link", NULL, 0,
                               "%s came instead of VERSION's reply",
                               ferry_wire_command_name(header->command));
    }
    if (header->flags & FERRY_WIRE_FLAG_ERROR) {
        int status = ferry_wire_reply_status(header);

        return ferry_error_set(reterr, status, "link", NULL, 0,
                               "the server refuses the connection: %s (errno %u)",
                               status == FERRY_E_BUSY ? "it serves another client"
                                                      : ferry_status_text(status),
                               header->error);
    }
    if (header->size > FERRY_WIRE_HEADER_BYTES + FERRY_LINK_VERSION_MAX) {
        return ferry_error_set(reterr, FERRY_E_PROTOCOL, "link", NULL, 4,
                               "VERSION: a reply of %u bytes", header->size);
    }
    return FERRY_OK;
}

/* ret_fds: what came with it; the caller's. */
static int receive_version(struct ferry_client *client,
                           struct ferry_link_version *ret_theirs,
                           struct ferry_os_fds *ret_fds, uint64_t deadline_ns,
                           struct ferry_error *reterr)
{
    struct ferry_wire_header header;
    size_t payload;
    int rc = await_bytes(client, FERRY_WIRE_HEADER_BYTES, deadline_ns);

    if (rc == FERRY_OK) {
        rc = ferry_wire_header_decode(ferry_rx_data(&client->rx), &client->limits,
                                      &header, reterr);
    }
    if (rc == FERRY_OK) {
        rc = check_version_header(&header, reterr);
    }
    if (rc == FERRY_OK) {
        rc = await_bytes(client, header.size, deadline_ns);
    }
    if (rc != FERRY_OK) {
        return rc;
    }
    payload = header.size - FERRY_WIRE_HEADER_BYTES;
    rc = ferry_link_version_parse(ferry_rx_data(&client->rx) + FERRY_WIRE_HEADER_BYTES,
                                  payload, ret_theirs, &client->identity, reterr);
    ferry_rx_take_fds(&client->rx, header.size, ret_fds);
    ferry_rx_consume(&client->rx, header.size);
    return rc;
}

static int shake_hands(struct ferry_client *client,
                       const struct ferry_client_options *options,
                       struct ferry_error *reterr)
{
    uint64_t deadline_ns =
        ferry_os_now_ns() + (uint64_t)(uint64_t)client->timeout_ms * FERRY_NS_PER_MS;
    struct ferry_error error = { .code = FERRY_OK };
    struct ferry_os_fds fds = { .count = 0 };
    struct ferry_link_version mine;
    struct ferry_link_version theirs;
    int rc;

    offer(options, &mine);
    rc = send_version(client, &mine, deadline_ns);
    if (rc == FERRY_OK) {
        rc = receive_version(client, &theirs, &fds, deadline_ns, &error);
    }
    if (rc == FERRY_OK) {
        rc = agree(client, &mine, &theirs, &error);
    }
    if (rc == FERRY_OK) {
        rc = ferry_client_twin_take(client, &theirs, &fds, &error);
    }
    ferry_os_fds_close(&fds);
    if (rc == FERRY_E_LIMIT) {
        rc = FERRY_E_PROTOCOL;
    }
    if (rc != FERRY_OK) {
        ferry_error_set(reterr, rc, "link", error.rule, error.offset, "%s",
                        error.text[0] ? error.text : "no VERSION from the server");
    }
    return rc;
}

static void take_options(struct ferry_client_options *mine,
                         const struct ferry_client_options *options)
{
    memset(mine, 0, sizeof(*mine));
    if (options) {
        memcpy(mine, options,
               options->struct_size < sizeof(*mine) ? options->struct_size
                                                    : sizeof(*mine));
    }
    if (mine->timeout_ms == 0) {
        mine->timeout_ms = FERRY_CLIENT_TIMEOUT_MS;
    }
    if (mine->max_data_xfer_bytes == 0) {
        mine->max_data_xfer_bytes = FERRY_LINK_DEFAULT_DATA;
    }
    if (mine->max_data_xfer_bytes > FERRY_LINK_DATA_LIMIT) {
        mine->max_data_xfer_bytes = FERRY_LINK_DATA_LIMIT;
    }
}

static void destroy(struct ferry_client *client)
{
    if (client->loop) {
        ferry_loop_remove(client->loop, &client->socket_watch);
        ferry_loop_remove(client->loop, &client->wake_watch);
        ferry_loop_remove(client->loop, &client->twin.watch);
        ferry_loop_destroy(client->loop);
    }
    ferry_rx_free(&client->rx);
    ferry_client_twin_free(client);
    ferry_os_close(&client->wake_watch.fd);
    ferry_os_close(&client->fd);
    free(client->slot);
    pthread_mutex_destroy(&client->lock);
    free(client);
}

static int prepare_loop(struct ferry_client *client)
{
    int rc = ferry_os_eventfd_create(&client->wake_watch.fd);

    if (rc == FERRY_OK) {
        rc = ferry_loop_create(&client->loop);
    }
    client->wake_watch.events = FERRY_LOOP_READ;
    client->wake_watch.fn = on_wake;
    client->socket_watch.fd = client->fd;
    client->socket_watch.events = FERRY_LOOP_READ;
    client->socket_watch.fn = on_socket;
    client->timer.fn = on_timer;
    client->rest_timer.fn = on_timer;
    if (rc == FERRY_OK) {
        rc = ferry_loop_add(client->loop, &client->wake_watch);
    }
    return rc;
}

static int prepare(struct ferry_client *client)
{
    int rc = ferry_rx_init(&client->rx);

    client->slot = calloc(FERRY_CLIENT_REQUESTS_MAX, sizeof(*client->slot));
    if (rc == FERRY_OK && !client->slot) {
        rc = FERRY_E_MEMORY;
    }
    if (rc == FERRY_OK) {
        rc = prepare_loop(client);
    }
    if (rc == FERRY_OK) {
        rc = ferry_os_receive_limit(client->fd, client->timeout_ms);
    }
    return rc;
}

int ferry_client_from_fd(int fd, const struct ferry_client_options *options,
                         struct ferry_client **ret_client, struct ferry_error *reterr)
{
    struct ferry_client *client = calloc(1, sizeof(*client));
    struct ferry_client_options mine;
    int rc;

    if (!client) {
        ferry_os_close(&fd);
        return ferry_error_set(reterr, FERRY_E_MEMORY, "link", NULL, 0, "out of memory");
    }
    take_options(&mine, options);
    pthread_mutex_init(&client->lock, NULL);
    client->fd = fd;
    client->wake_watch.fd = -1;
    client->twin.fd = -1;
    client->timeout_ms = mine.timeout_ms;
    client->spin_ns = (uint64_t)mine.spin_us * (FERRY_NS_PER_MS / 1000);
    if (client->spin_ns > (uint64_t)client->timeout_ms * FERRY_NS_PER_MS) {
        client->spin_ns = (uint64_t)client->timeout_ms * FERRY_NS_PER_MS;
    }
    client->dispatcher = mine.dispatcher;
    client->late_is_dead = mine.late_is_dead;
    client->memory = mine.memory;
    client->limits.max_data_bytes = mine.max_data_xfer_bytes;
    client->limits.max_bitmap_bytes = FERRY_WIRE_MAX_BITMAP_DEFAULT;
    client->device_state = FERRY_STATE_RUNNING;
    rc = prepare(client);
    if (rc != FERRY_OK) {
        ferry_error_set(reterr, rc, "link", NULL, 0, "cannot set up a client");
    } else {
        rc = shake_hands(client, &mine, reterr);
    }
    if (rc != FERRY_OK) {
        destroy(client);
        return rc;
    }
    *ret_client = client;
    return FERRY_OK;
}

int ferry_client_connect(const char *path, const struct ferry_client_options *options,
                         struct ferry_client **ret_client, struct ferry_error *reterr)
{
    struct ferry_os_address address = { .family = FERRY_OS_UNIX };
    struct ferry_client_options mine;
    size_t length = strlen(path);
    int fd;
    int rc;

    if (length == 0 || length >= sizeof(address.path)) {
        return ferry_error_set(reterr, FERRY_E_NOT_FOUND, "link", NULL, 0,
                               "the socket's path has %zu bytes; 1 to %zu are possible",
                               length, sizeof(address.path) - 1);
    }
    memcpy(address.path, path, length + 1);
    take_options(&mine, options);
    rc = ferry_os_connect(&address, mine.timeout_ms, &fd, reterr);
    if (rc != FERRY_OK) {
        return rc;
    }
    return ferry_client_from_fd(fd, options, ret_client, reterr);
}

static int run_done(struct ferry_request *request)
{
    struct ferry_request *next;
    int count = 0;

    for (; request; request = next) {
        next = request->next;
        count++;
        if (request->done) {
            request->done(request);
        }
    }
    return count;
}

void ferry_client_abort(struct ferry_client *client, const char *why)
{
    pthread_mutex_lock(&client->lock);
    ferry_client_kill_text(client, FERRY_E_CLOSED, why);
    pthread_mutex_unlock(&client->lock);
}

void ferry_client_close(struct ferry_client *client)
{
    if (!client) {
        return;
    }
    pthread_mutex_lock(&client->lock);
    ferry_client_kill_text(client, FERRY_E_CLOSED, "closed by this side");
    pthread_mutex_unlock(&client->lock);
    run_done(client->done_first);
    destroy(client);
}

int ferry_client_submit(struct ferry_client *client, struct ferry_request *request)
{
    struct ferry_waiter self = { .done = 0 };
    struct ferry_slot *slot;
    int rc;

    pthread_mutex_lock(&client->lock);
    rc = ferry_client_start(client, request, &self, &slot);
    if (rc == FERRY_PENDING && self.done) {
        rc = request->status; /* a posted write that has left, or a dead connection */
    } else if (rc == FERRY_PENDING) {
        ferry_client_leave(client, slot);
    }
    pthread_mutex_unlock(&client->lock);
    if (rc != FERRY_PENDING) {
        request->status = rc;
    }
    return rc;
}

int ferry_client_call(struct ferry_client *client, struct ferry_request *request)
{
    struct ferry_waiter self = { .done = 0 };
    struct ferry_slot *slot;
    int rc;

    pthread_mutex_lock(&client->lock);
    rc = ferry_client_start(client, request, &self, &slot);
    if (rc == FERRY_PENDING) {
        if (!self.done) {
            ferry_client_wait(client, slot, &self);
        }
        rc = request->status;
    }
    pthread_mutex_unlock(&client->lock);
    request->status = rc;
    return rc;
}

int ferry_client_fd(struct ferry_client *client)
{
    int rc = FERRY_OK;

    pthread_mutex_lock(&client->lock);
    if (!client->dead && client->socket_watch.priv[0] == 0) {
        rc = ferry_loop_add(client->loop, &client->socket_watch);
        if (rc == FERRY_OK && client->twin.fd >= 0) {
            rc = ferry_loop_add(client->loop, &client->twin.watch);
        }
        if (rc != FERRY_OK) {
            ferry_loop_remove(client->loop, &client->socket_watch);
        }
        ferry_client_watch(client);
    }
    pthread_mutex_unlock(&client->lock);
    return rc == FERRY_OK ? ferry_loop_fd(client->loop) : rc;
}

/*
 * Without a twin socket every reply would wake the dispatching thread as well. While
 * there are readers, one look in a while is enough: it watches again after a while
 * without any.
 */
static void rest(struct ferry_client *client)
{
    if (!client->dispatcher || ferry_client_leaves_twin(client) || !client->parked ||
        client->dead) {
        return;
    }
    if (client->reads == client->reads_seen && !client->reading) {
        client->parked = 0;
        return;
    }
    client->reads_seen = client->reads;
    ferry_loop_timer_set(client->loop, &client->rest_timer,
                         ferry_os_now_ns() + FERRY_CLIENT_REST_NS);
}

int ferry_client_dispatch(struct ferry_client *client)
{
    struct ferry_request *done;
    uint32_t i;
    int dead;
    int count;

    pthread_mutex_lock(&client->lock);
    client->collecting++;
    ferry_loop_dispatch(client->loop, 0);
    ferry_client_flush(client);
    if (ferry_client_leaves_twin(client)) {
        for (i = 0; i < FERRY_CLIENT_BATCH && ferry_client_twin_step(client); i++) {
        }
    }
    if (client->dead) {
        /* only completions are left */
    } else if (client->reading) {
        /* The reader looks after the socket; its watch would only make us spin. */
        client->parked = 1;
        rest(client);
    } else {
        client->reading = 1;
        for (i = 0; i < FERRY_CLIENT_BATCH && ferry_client_receive(client); i++) {
        }
        if (!ferry_client_leaves_twin(client)) {
            for (i = 0; i < FERRY_CLIENT_BATCH && ferry_client_twin_step(client); i++) {
            }
        }
        ferry_client_stop_reading(client);
        rest(client);
    }
    ferry_client_expire(client);
    ferry_client_watch(client);
    done = client->done_first;
    client->done_first = client->done_last = NULL;
    client->collecting--;
    dead = client->dead;
    pthread_mutex_unlock(&client->lock);
    count = run_done(done);
    return dead ? dead : count;
}

uint32_t ferry_client_max_data(const struct ferry_client *client)
{
    return client->limits.max_data_bytes;
}

uint32_t ferry_client_max_fds(const struct ferry_client *client)
{
    return client->agreed.max_msg_fds;
}

const struct ferry_link_version *ferry_client_agreed(const struct ferry_client *client)
{
    return &client->agreed;
}

void ferry_client_error(struct ferry_client *client, struct ferry_error *ret_error)
{
    pthread_mutex_lock(&client->lock);
    *ret_error = client->error;
    pthread_mutex_unlock(&client->lock);
}
