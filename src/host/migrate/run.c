/* SPDX-License-Identifier: BSD-3-Clause */
#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "host/migrate/migration.h"
#include "os/clock.h"
#include "os/memory.h"
#include "os/random.h"

/* The life of one run. */

static void timer_due(struct ferry_loop_timer *timer, uint64_t now_ns)
{
    struct ferry_run *run = timer->user;

    (void)now_ns;
    ferry_run_event(run, FERRY_EV_TIMER, FERRY_NO_DEVICE, FERRY_OK,
                    (uint32_t)(timer - run->timer));
}

/* Somebody connected and did not introduce himself in time. */
static void greet_due(struct ferry_loop_timer *timer, uint64_t now_ns)
{
    struct ferry_run *run = timer->user;
    struct ferry_error error = { .code = FERRY_OK };

    (void)now_ns;
    ferry_error_set(&error, FERRY_E_TIMEOUT, FERRY_HOST_LAYER, NULL, 0,
                    "the source did not introduce itself in time");
    ferry_run_note(run, &error);
    ferry_run_put_abort(run, FERRY_E_TIMEOUT);
    ferry_run_link_down(run, &error);
}

static int produce(struct ferry_loop_idle *idle)
{
    struct ferry_run *run = idle->user;
    int more;

    if (run->ended || run->incoming) {
        return 0;
    }
    ferry_run_readers_go_on(run);
    (void)ferry_run_vmm_produce(run);
    more = ferry_ram_produce(run);
    ferry_lanes_flush(run);
    ferry_run_progress(run);
    return more;
}

/* MIG-QUI-1; only v1 has a first read of pending_bytes, at which it freezes. */
static int quiesces(const struct ferry_host_device *host)
{
    return host->is_v1 && host->identity.implicit_quiesce != 0;
}

int ferry_run_check_peers(struct ferry_context *context, uint32_t device,
                          struct ferry_error *reterr)
{
    const struct ferry_host_device *host = context->device[device];
    uint32_t peer;

    if ((host->migration_flags & FERRY_MIG_P2P) || quiesces(host) ||
        !ferry_host_reaches_peer(context, device, &peer)) {
        return FERRY_OK;
    }
    return ferry_error_set(reterr, FERRY_E_PEER_MAP, FERRY_HOST_LAYER, "MIG-PEER-1", 0,
                           "device %s cannot be quieted (no P2P support) and reaches "
                           "device %s: use the context with no peer maps, or leave %s "
                           "out",
                           host->name, context->device[peer]->name, host->name);
}

static int check_device(struct ferry_context *context, uint32_t device, int incoming,
                        struct ferry_error *reterr)
{
    const struct ferry_host_device *host = context->device[device];

    /* A target says this to the source, when it has introduced itself. */
    if (!incoming && atomic_load(&host->lost) != FERRY_OK) {
        return ferry_error_set(reterr, FERRY_E_CLOSED, FERRY_HOST_LAYER, NULL, 0,
                               "device %s has no connection; reopen the context first",
                               host->name);
    }
    if (!(host->migration_flags & FERRY_MIG_STOP_COPY)) {
        return ferry_error_set(reterr, FERRY_E_UNSUPPORTED, FERRY_HOST_LAYER, NULL, 0,
                               "device %s cannot migrate", host->name);
    }
    return incoming ? FERRY_OK : ferry_run_check_peers(context, device, reterr);
}

static uint64_t ms(uint32_t value)
{
    return (uint64_t)value * FERRY_NS_PER_MS;
}

static void fill_config(struct ferry_run *run,
                        const struct ferry_migrate_options *options)
{
    struct ferry_session_config *config = &run->config;
    struct ferry_context *context = run->context;

    config->device_count = run->device_count;
    config->arbiter = run->arbiter.kind;
    config->max_downtime_ns =
        ms(options->max_downtime_ms ? options->max_downtime_ms : 300);
    config->deadline_ns = ms(options->deadline_ms ? options->deadline_ms : 60000);
    config->stop_deadline_ns =
        ms(options->stop_deadline_ms ? options->stop_deadline_ms : 10000);
    config->arc_limit_ns = ms(options->arc_limit_ms ? options->arc_limit_ms : 5000);
    config->peer_limit_ns = ms(options->peer_limit_ms ? options->peer_limit_ms : 10000);
    config->rate_bytes_per_s = run->migration->rate_bytes_per_s;
    config->load_rate_bytes_per_s = run->migration->load_rate_bytes_per_s;
    for (uint32_t i = 0; i < run->device_count; i++) {
        struct ferry_session_device *device = &config->device[i];
        struct ferry_measured times;
        uint32_t peer = 0;

        ferry_run_expected(run->migration, i, &times);
        device->features = context->device[i]->migration_flags;
        device->can_log = context->device[i]->can_log;
        device->reaches_peer = ferry_host_reaches_peer(context, i, &peer) ? 1 : 0;
        device->peer = device->reaches_peer ? peer : 0;
        device->quiet_ns = times.quiet_ns;
        device->stop_ns = times.stop_ns;
        device->load_ns = times.load_ns;
        device->run_ns = times.run_ns;
        device->implicit_quiesce = (uint32_t)quiesces(context->device[i]);
    }
}

static int prepare(struct ferry_run *run, const struct ferry_migrate_options *options,
                   struct ferry_error *reterr)
{
    int rc = ferry_arbiter_parse(options->arbiter, &run->arbiter, reterr);

    if (rc < 0) {
        return rc;
    }
    fill_config(run, options);
    run->no_data_fd = options->no_data_fd;
    for (uint32_t i = 0; i < run->device_count; i++) {
        struct ferry_run_device *own = &run->device[i];
        struct ferry_stream_hash *hash = malloc(sizeof(*hash));

        if (!hash) {
            return ferry_error_set(reterr, FERRY_E_MEMORY, FERRY_HOST_LAYER, NULL, 0,
                                   "out of memory for a migration");
        }
        ferry_stream_hash_init(hash);
        if (run->incoming) {
            own->writer.hash = hash;
        } else {
            own->reader.hash = hash;
        }
        own->report.state = run->context->device[i]->state;
    }
    run->session = calloc(1, run->incoming ? ferry_target_need() : ferry_source_need());
    if (!run->session) {
        return ferry_error_set(reterr, FERRY_E_MEMORY, FERRY_HOST_LAYER, NULL, 0,
                               "out of memory for a session");
    }
    rc = run->incoming ? ferry_target_init(run->session, &run->config)
                       : ferry_source_init(run->session, &run->config);
    if (rc < 0) {
        return ferry_error_set(reterr, rc, FERRY_HOST_LAYER, NULL, 0,
                               "the session refuses these devices: %s",
                               ferry_status_text(rc));
    }
    return FERRY_OK;
}

static int prepare_source(struct ferry_run *run,
                          const struct ferry_migrate_options *options,
                          struct ferry_error *reterr)
{
    int rc = ferry_os_random(run->session_id, sizeof(run->session_id));

    if (rc < 0) {
        return ferry_error_set(reterr, rc, FERRY_HOST_LAYER, NULL, 0,
                               "no random bytes for the session's name");
    }
    run->channel_limit = options->bandwidth_bytes_per_s;
    ferry_channel_limit(run->channel, run->channel_limit);
    /* What a device in ERROR gets back if it fails before its config is read again. */
    for (uint32_t i = 0; i < run->device_count; i++) {
        rc = ferry_run_config_save(run, i, reterr);
        if (rc < 0) {
            return rc;
        }
    }
    ferry_run_readers_prepare(run);
    return FERRY_OK;
}

static void init(struct ferry_run *run, struct ferry_migration *migration, int incoming)
{
    run->migration = migration;
    run->context = migration->context;
    run->incoming = incoming ? 1 : 0;
    run->device_count = ferry_context_device_count(migration->context);
    run->failed_device = FERRY_NO_DEVICE;
    run->producer.fn = produce;
    run->producer.user = run;
    run->greet_timer.fn = greet_due;
    run->greet_timer.user = run;
    for (uint32_t i = 0; i < FERRY_TIMER_COUNT; i++) {
        run->timer[i].fn = timer_due;
        run->timer[i].user = run;
    }
    ferry_stream_order_init(&run->order,
                            incoming ? FERRY_STREAM_SOURCE : FERRY_STREAM_TARGET,
                            incoming ? 0 : run->device_count, 0);
    ferry_run_mark(run, FERRY_MARK_START);
}

int ferry_run_create(struct ferry_migration *migration, int fd, int incoming,
                     const struct ferry_migrate_options *options,
                     struct ferry_run **ret_run, struct ferry_error *reterr)
{
    struct ferry_context *context = migration->context;
    struct ferry_run *run = NULL;
    int rc = FERRY_OK;

    assert(!migration->run);
    if (ferry_context_device_count(context) == 0) {
        rc = ferry_error_set(reterr, FERRY_E_ARGUMENT, FERRY_HOST_LAYER, NULL, 0,
                             "the context has no device");
    }
    for (uint32_t i = 0; i < ferry_context_device_count(context) && rc >= 0; i++) {
        rc = check_device(context, i, incoming, reterr);
    }
    if (rc >= 0) {
        run = calloc(1, sizeof(*run));
        rc = run ? FERRY_OK
                 : ferry_error_set(reterr, FERRY_E_MEMORY, FERRY_HOST_LAYER, NULL, 0,
                                   "out of memory for a migration");
    }
    if (rc < 0) {
        ferry_os_close(&fd);
        return rc;
    }
    init(run, migration, incoming);
    migration->run = run;
    migration->generation++;
    ferry_loop_idle_add(context->loop, &run->producer);
    rc = ferry_channel_create(context->loop, fd, &ferry_run_sink, run, &run->channel);
    if (rc < 0) {
        ferry_error_set(reterr, rc, FERRY_HOST_LAYER, NULL, 0,
                        "the connection cannot be used: %s", ferry_status_text(rc));
    }
    if (rc >= 0) {
        ferry_lanes_init(run);
        rc = prepare(run, options, reterr);
    }
    if (rc >= 0 && !incoming) {
        rc = prepare_source(run, options, reterr);
    }
    if (rc < 0) {
        ferry_run_free(run);
        return rc;
    }
    *ret_run = run;
    return FERRY_OK;
}

void ferry_run_start(struct ferry_run *run)
{
    if (run->incoming) {
        ferry_loop_timer_set(run->context->loop, &run->greet_timer,
                             ferry_os_now_ns() + run->config.peer_limit_ns);
    } else {
        ferry_run_event(run, FERRY_EV_START, FERRY_NO_DEVICE, FERRY_OK, 0);
    }
}

void ferry_run_free(struct ferry_run *run)
{
    struct ferry_migration *migration = run->migration;
    struct ferry_context *context = run->context;

    run->ended = 1;
    migration->generation++; /* answers that still come belong to nobody */
    migration->cpus_wanted = 0;
    for (uint32_t i = 0; i < run->device_count; i++) {
        run->device[i].reader.active = 0;
    }
    for (uint32_t i = 0; i < FERRY_TIMER_COUNT; i++) {
        ferry_loop_timer_cancel(context->loop, &run->timer[i]);
    }
    ferry_loop_timer_cancel(context->loop, &run->greet_timer);
    if (run->channel) {
        ferry_lanes_free(run);
        ferry_channel_linger(run->channel, &migration->lingering);
    }
    ferry_file_peer_destroy(run->file);
    ferry_loop_idle_remove(context->loop, &run->producer);
    for (uint32_t i = 0; i < run->device_count; i++) {
        ferry_run_pipe_close(run, i);
    }
    ferry_run_readers_free(run);
    ferry_run_writers_free(run);
    ferry_ram_free(run);
    for (uint32_t i = 0; i < run->device_count; i++) {
        free(run->device[i].config);
    }
    free(run->vmm);
    free(run->session);
    migration->run = NULL;
    free(run);
    ferry_migration_watch_listener(migration);
}
