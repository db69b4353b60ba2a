/* SPDX-License-Identifier: BSD-3-Clause */
#include <stdio.h>
#include <string.h>

#include "host/migrate/migration.h"
#include "os/clock.h"
#include "os/eventfd.h"
#include "os/memory.h"
#include "os/socket.h"

/* Further connections of one migration come all at once. */
#define BACKLOG 32
#define PEER_LIMIT_MS 10000u
#define ACCEPT_RETRY_NS 100000000u

static void copy_options(const struct ferry_migrate_options *options,
                         struct ferry_migrate_options *ret_own)
{
    memset(ret_own, 0, sizeof(*ret_own));
    if (options) {
        size_t bytes = options->struct_size < sizeof(*ret_own) ? options->struct_size
                                                               : sizeof(*ret_own);

        memcpy(ret_own, options, bytes);
    }
}

/* The migration half, free for a new run. NULL: *ret_status says why not. */
static struct ferry_migration *get_idle(struct ferry_context *context, int *ret_status,
                                        struct ferry_error *reterr)
{
    struct ferry_migration *migration = ferry_migration_get(context);

    if (!migration) {
        *ret_status = ferry_error_set(reterr, FERRY_E_MEMORY, FERRY_HOST_LAYER, NULL, 0,
                                      "out of memory for a migration");
        return NULL;
    }
    if (migration->run || migration->listener >= 0) {
        *ret_status =
            ferry_error_set(reterr, FERRY_E_BUSY, FERRY_HOST_LAYER, NULL, 0,
                            migration->run ? "a migration is under way"
                                           : "the context listens for a source");
        return NULL;
    }
    return migration;
}

static int check_connections(const struct ferry_migrate_options *options,
                             struct ferry_error *reterr)
{
    if (options->connections <= FERRY_LANES_MAX) {
        return FERRY_OK;
    }
    return ferry_error_set(reterr, FERRY_E_ARGUMENT, FERRY_HOST_LAYER, NULL, 0,
                           "%u connections: at most %u can be used", options->connections,
                           FERRY_LANES_MAX);
}

/* to: where further connections may be made; NULL: nowhere. */
static int begin(struct ferry_context *context, int fd, int incoming,
                 const struct ferry_os_address *to,
                 const struct ferry_migrate_options *options, struct ferry_error *reterr)
{
    struct ferry_migrate_options own;
    struct ferry_run *run;
    int rc = FERRY_E_BUSY;
    struct ferry_migration *migration = get_idle(context, &rc, reterr);

    if (!migration) {
        ferry_os_close(&fd);
        return rc;
    }
    copy_options(options, &own);
    rc = ferry_run_create(migration, fd, incoming, &own, &run, reterr);
    if (rc == FERRY_OK) {
        if (to) {
            run->lanes.wanted = own.connections;
            run->lanes.address = *to;
        }
        ferry_run_start(run);
    }
    return rc;
}

int ferry_context_send_fd(struct ferry_context *context, int fd,
                          const struct ferry_migrate_options *options,
                          struct ferry_error *reterr)
{
    return begin(context, fd, 0, NULL, options, reterr);
}

int ferry_context_receive_fd(struct ferry_context *context, int fd,
                             const struct ferry_migrate_options *options,
                             struct ferry_error *reterr)
{
    return begin(context, fd, 1, NULL, options, reterr);
}

int ferry_context_send(struct ferry_context *context, const char *to,
                       const struct ferry_migrate_options *options,
                       struct ferry_error *reterr)
{
    struct ferry_migrate_options own;
    struct ferry_os_address address;
    int rc = FERRY_E_BUSY;
    int fd;

    if (!get_idle(context, &rc, reterr)) {
        return rc;
    }
    copy_options(options, &own);
    rc = check_connections(&own, reterr);
    if (rc == FERRY_OK) {
        rc = ferry_os_address_parse(to, &address, reterr);
    }
    if (rc == FERRY_OK) {
        rc = ferry_os_connect(
            &address, own.peer_limit_ms ? own.peer_limit_ms : PEER_LIMIT_MS, &fd, reterr);
    }
    return rc < 0 ? rc : begin(context, fd, 0, &address, options, reterr);
}

/* --- listening --- */

static void incoming(struct ferry_watch *watch, uint32_t events)
{
    struct ferry_migration *migration = watch->user;
    struct ferry_run *run;
    int fd, rc;

    (void)events;
    if (migration->run && !ferry_lanes_listening(migration->run)) {
        return;
    }
    rc = ferry_os_accept(migration->listener, &fd);
    if (rc != FERRY_OK) {
        if (rc != FERRY_E_AGAIN) {
            /* Out of descriptors or memory: the listener stays readable all the time. */
            ferry_loop_remove(migration->context->loop, watch);
            ferry_loop_timer_set(migration->context->loop, &migration->accept_timer,
                                 ferry_os_now_ns() + ACCEPT_RETRY_NS);
        }
        return;
    }
    if (migration->run) {
        ferry_lanes_accept(migration->run, fd);
        return;
    }
    /* A device that could not be taken into use again after a failure gets one more try.
     */
    for (uint32_t i = 0; i < migration->context->device_count; i++) {
        if (atomic_load(&migration->context->device[i]->lost) != FERRY_OK) {
            (void)ferry_host_device_reopen(migration->context, i, NULL);
        }
    }
    if (ferry_run_create(migration, fd, 1, &migration->listen_options, &run, NULL) ==
        FERRY_OK) {
        run->listening = 1;
        run->lanes.wanted = migration->listen_options.connections
                                ? migration->listen_options.connections
                                : FERRY_LANES_MAX;
        ferry_migration_watch_listener(migration);
        ferry_run_start(run);
    }
}

static void accept_again(struct ferry_loop_timer *timer, uint64_t now_ns)
{
    (void)now_ns;
    ferry_migration_watch_listener(timer->user);
}

void ferry_migration_watch_listener(struct ferry_migration *migration)
{
    struct ferry_loop *loop = migration->context->loop;
    int wanted = migration->listener >= 0 &&
                 (!migration->run || ferry_lanes_listening(migration->run));
    int watched = migration->listener_watch.priv[0] != 0;

    migration->accept_timer.fn = accept_again;
    migration->accept_timer.user = migration;
    if (wanted && !watched) {
        migration->listener_watch.fd = migration->listener;
        migration->listener_watch.events = FERRY_LOOP_READ;
        migration->listener_watch.fn = incoming;
        migration->listener_watch.user = migration;
        (void)ferry_loop_add(loop, &migration->listener_watch);
    } else if (!wanted && watched) {
        ferry_loop_remove(loop, &migration->listener_watch);
    }
}

static int name_address(struct ferry_migration *migration,
                        const struct ferry_os_address *address,
                        struct ferry_error *reterr)
{
    uint16_t port = address->port;
    int rc;

    if (address->family == FERRY_OS_UNIX) {
        memcpy(migration->unix_path, address->path, sizeof(migration->unix_path));
        snprintf(migration->address, sizeof(migration->address), "unix:%s",
                 address->path);
        return FERRY_OK;
    }
    rc = ferry_os_listen_port(migration->listener, &port);
    if (rc < 0) {
        return ferry_error_set(reterr, rc, FERRY_HOST_LAYER, NULL, 0,
                               "the listener's port is not known");
    }
    snprintf(migration->address, sizeof(migration->address),
             strchr(address->host, ':') ? "tcp:[%s]:%u" : "tcp:%s:%u", address->host,
             (unsigned)port);
    return FERRY_OK;
}

static int keep_options(struct ferry_migration *migration,
                        const struct ferry_migrate_options *options,
                        struct ferry_error *reterr)
{
    struct ferry_arbiter arbiter;
    int rc;

    copy_options(options, &migration->listen_options);
    rc = check_connections(&migration->listen_options, reterr);
    if (rc < 0) {
        return rc;
    }
    if (!migration->listen_options.arbiter) {
        return FERRY_OK;
    }
    rc = ferry_arbiter_parse(migration->listen_options.arbiter, &arbiter, reterr);
    if (rc == FERRY_OK) {
        /* Its length is checked by now; the caller's text is borrowed for the call only.
         */
        snprintf(migration->arbiter, sizeof(migration->arbiter), "%s",
                 migration->listen_options.arbiter);
        migration->listen_options.arbiter = migration->arbiter;
    }
    return rc;
}

static int check_devices(struct ferry_context *context, struct ferry_error *reterr)
{
    for (uint32_t i = 0; i < context->device_count; i++) {
        const struct ferry_host_device *device = context->device[i];

        if (!(device->migration_flags & FERRY_MIG_STOP_COPY)) {
            return ferry_error_set(reterr, FERRY_E_UNSUPPORTED, FERRY_HOST_LAYER, NULL, 0,
                                   "device %s cannot migrate", device->name);
        }
    }
    return FERRY_OK;
}

int ferry_context_listen(struct ferry_context *context, const char *at,
                         const struct ferry_migrate_options *options,
                         struct ferry_error *reterr)
{
    struct ferry_os_address address;
    int rc = FERRY_E_BUSY;
    struct ferry_migration *migration = get_idle(context, &rc, reterr);

    if (!migration) {
        return rc;
    }
    rc = check_devices(context, reterr);
    if (rc == FERRY_OK) {
        rc = keep_options(migration, options, reterr);
    }
    if (rc == FERRY_OK) {
        rc = ferry_os_address_parse(at, &address, reterr);
    }
    if (rc == FERRY_OK) {
        rc = ferry_os_listen(&address, BACKLOG, &migration->listener, reterr);
    }
    if (rc < 0) {
        migration->listener = -1;
        return rc;
    }
    rc = name_address(migration, &address, reterr);
    if (rc < 0) {
        ferry_context_unlisten(context);
        return rc;
    }
    ferry_migration_watch_listener(migration);
    return FERRY_OK;
}

void ferry_context_unlisten(struct ferry_context *context)
{
    struct ferry_migration *migration = context->migration;

    if (!migration || migration->listener < 0) {
        return;
    }
    if (migration->listener_watch.priv[0] != 0) {
        ferry_loop_remove(context->loop, &migration->listener_watch);
    }
    ferry_loop_timer_cancel(context->loop, &migration->accept_timer);
    ferry_os_close(&migration->listener);
    if (migration->unix_path[0]) {
        (void)remove(migration->unix_path);
    }
    migration->unix_path[0] = '\0';
    migration->address[0] = '\0';
}

const char *ferry_context_address(const struct ferry_context *context)
{
    return context->migration ? context->migration->address : "";
}

/* --- while it goes on --- */

int ferry_context_cancel(struct ferry_context *context)
{
    if (!ferry_host_busy(context)) {
        return FERRY_E_STATE;
    }
    ferry_run_event(context->migration->run, FERRY_EV_CANCEL, FERRY_NO_DEVICE,
                    FERRY_E_CANCELLED, 0);
    return FERRY_OK;
}

int ferry_context_resolve(struct ferry_context *context, uint32_t word)
{
    struct ferry_run *run;

    if (word > FERRY_OPERATOR_FORCE) {
        return FERRY_E_ARGUMENT;
    }
    if (!ferry_host_busy(context) || !context->migration->run->undecided) {
        return FERRY_E_STATE;
    }
    run = context->migration->run;
    if (word == FERRY_OPERATOR_RUN && !run->incoming &&
        ferry_source_must_not_run(run->session)) {
        return FERRY_E_REFUSED;
    }
    ferry_run_event(run, FERRY_EV_OPERATOR, FERRY_NO_DEVICE, FERRY_OK, word);
    return FERRY_OK;
}

void ferry_context_cpus_done(struct ferry_context *context, int status)
{
    struct ferry_migration *migration = context->migration;

    if (migration) {
        atomic_store(&migration->cpus_status, status);
        atomic_store(&migration->cpus_answered, 1);
        (void)ferry_os_eventfd_signal(migration->cpus_fd);
    }
}

void ferry_context_report(const struct ferry_context *context,
                          struct ferry_report *ret_report)
{
    struct ferry_migration *migration = context->migration;

    memset(ret_report, 0, sizeof(*ret_report));
    if (migration && migration->run) {
        ferry_run_report(migration->run, ret_report);
    } else if (migration) {
        *ret_report = migration->report;
    }
}

/* What the last migration's end means for a caller who waited. */
static int result(const struct ferry_migration *migration, struct ferry_error *reterr)
{
    const struct ferry_error *error = &migration->report.error;

    if (error->code != FERRY_OK && reterr) {
        *reterr = *error;
    }
    return error->code;
}

int ferry_context_wait(struct ferry_context *context, struct ferry_error *reterr)
{
    struct ferry_migration *migration = context->migration;
    uint32_t before = migration ? migration->finished : 0;

    while (migration && migration->finished == before &&
           (migration->run || migration->listener >= 0)) {
        int rc;

        if (migration->run && migration->run->undecided) {
            return ferry_error_set(
                reterr, FERRY_E_UNDECIDED, FERRY_HOST_LAYER, NULL, 0,
                "it is not known which side goes on: this one keeps its "
                "stopped state until ferry_context_resolve()");
        }
        rc = ferry_context_dispatch(context, -1);
        if (rc < 0) {
            return ferry_error_set(reterr, rc, FERRY_HOST_LAYER, NULL, 0,
                                   "waiting for events failed");
        }
    }
    return migration ? result(migration, reterr) : FERRY_OK;
}
