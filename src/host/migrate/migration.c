/* SPDX-License-Identifier: BSD-3-Clause */
#include "host/migrate/migration.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "os/clock.h"
#include "os/eventfd.h"
#include "os/memory.h"
#include "os/random.h"
#include "os/socket.h"

/* --- requests to devices --- */

static void unlink_op(struct ferry_op *op)
{
    if (op->prev) {
        op->prev->next = op->next;
    } else if (op->migration->ops == op) {
        op->migration->ops = op->next;
    }
    if (op->next) {
        op->next->prev = op->prev;
    }
    op->prev = NULL;
    op->next = NULL;
}

void ferry_op_free(struct ferry_op *op)
{
    free(op);
}

static void op_done(struct ferry_request *request)
{
    struct ferry_op *op = request->user;
    struct ferry_migration *migration = op->migration;

    unlink_op(op);
    op->answered = 1;
    if (!migration->run || op->generation != migration->generation) {
        if (request->kind == FERRY_RQ_DATA_FD && request->status == FERRY_OK) {
            ferry_os_close(&request->u.data_fd.fd);
        }
        free(op); /* whoever asked is gone */
        return;
    }
    op->done(migration->run, op);
}

struct ferry_op *ferry_op_new(struct ferry_run *run, uint32_t kind, uint32_t device,
                              size_t cap,
                              void (*done)(struct ferry_run *run, struct ferry_op *op))
{
    struct ferry_op *op = malloc(sizeof(*op) + cap);

    if (!op) {
        return NULL;
    }
    memset(op, 0, sizeof(*op));
    op->request.kind = kind;
    op->request.done = op_done;
    op->request.user = op;
    op->request.reterr = &op->error;
    op->migration = run->migration;
    op->generation = run->migration->generation;
    op->device = device;
    op->done = done;
    op->cap = cap;
    return op;
}

int ferry_op_start(struct ferry_op *op)
{
    struct ferry_migration *migration = op->migration;
    int rc;

    op->begun_ns = ferry_os_now_ns();
    op->answered = 0;
    op->request.status = FERRY_OK;
    memset(&op->error, 0, sizeof(op->error));
    op->prev = NULL;
    op->next = migration->ops;
    if (op->next) {
        op->next->prev = op;
    }
    migration->ops = op;
    rc = ferry_context_submit(migration->context, op->device, &op->request);
    if (rc == FERRY_PENDING) {
        return rc;
    }
    unlink_op(op);
    op->answered = 1;
    op->request.status = rc;
    return rc;
}

void ferry_op_run(struct ferry_op *op)
{
    if (ferry_op_start(op) != FERRY_PENDING) {
        op->done(op->migration->run, op);
    }
}

/* --- one per context --- */

/* Until FINISHED is told: up to then the channel may still borrow the memory. */
static int busy(const struct ferry_context *context)
{
    return context->migration->run != NULL;
}

static int cpus_stopped(const struct ferry_context *context)
{
    const struct ferry_run *run = context->migration->run;

    return run != NULL && run->cpus_stopped;
}

/* The guest has mapped it and cannot be told no: the migration is what gives way. */
static void peer_mapped(struct ferry_context *context, uint32_t initiator)
{
    struct ferry_run *run = context->migration->run;
    struct ferry_error error = { .code = FERRY_OK };

    if (run != NULL && !run->incoming && !run->ended &&
        ferry_run_check_peers(context, initiator, &error) != FERRY_OK) {
        ferry_run_note(run, &error);
        ferry_run_event(run, FERRY_EV_CANCEL, initiator, error.code, 0);
    }
}

/* The session notices by the requests that fail; a device that nobody asks is told of
 * when the migration has ended. */
static int device_lost(struct ferry_context *context, uint32_t device)
{
    (void)device;
    return context->migration->destroying || busy(context);
}

void ferry_migration_count_answers(struct ferry_migration *migration)
{
    uint64_t count = 0;

    (void)ferry_os_eventfd_drain(migration->cpus_fd, &count);
    migration->cpus_owed -=
        count < migration->cpus_owed ? (uint32_t)count : migration->cpus_owed;
}

static void cpus_answered(struct ferry_watch *watch, uint32_t events)
{
    struct ferry_migration *migration = watch->user;
    uint32_t kind = migration->cpus_wanted;

    (void)events;
    ferry_migration_count_answers(migration);
    /* The answer to a question that was given up says nothing about the present one. */
    if (!atomic_exchange(&migration->cpus_answered, 0) || kind == 0 ||
        migration->cpus_owed > 0) {
        return;
    }
    migration->cpus_wanted = 0;
    if (migration->run) {
        int status = atomic_load(&migration->cpus_status);

        ferry_run_event(migration->run, kind, FERRY_NO_DEVICE,
                        status > 0 ? FERRY_OK : status, 0);
    }
}

/* How long a context that is destroyed still tries to bring its devices back. */
static uint64_t farewell_limit_ns(const struct ferry_run *run)
{
    return 3 * run->config.arc_limit_ns + FERRY_NS_PER_S;
}

static void end_run(struct ferry_migration *migration)
{
    struct ferry_run *run = migration->run;
    uint64_t deadline_ns;

    if (!run->ended) {
        ferry_run_event(run, FERRY_EV_CANCEL, FERRY_NO_DEVICE, FERRY_E_CANCELLED, 0);
    }
    deadline_ns = ferry_os_now_ns() + farewell_limit_ns(run);
    while (migration->run && !migration->run->ended && !migration->run->undecided &&
           ferry_os_now_ns() < deadline_ns) {
        if (ferry_loop_dispatch(migration->context->loop, 100) < 0) {
            break;
        }
    }
    if (migration->run) {
        ferry_run_free(migration->run);
    }
}

static void destroy(struct ferry_context *context)
{
    struct ferry_migration *migration = context->migration;

    migration->destroying = 1;
    ferry_context_unlisten(context);
    if (migration->run) {
        end_run(migration);
    }
    /* Requests that are still out end with the connection of their device. */
    for (uint32_t i = 0; i < context->device_count; i++) {
        if (migration->ops || migration->harvests) {
            ferry_host_device_close(context, i);
        }
    }
    assert(!migration->ops && !migration->harvests);
    while (migration->lingering) {
        ferry_channel_destroy(migration->lingering);
    }
    ferry_loop_idle_remove(context->loop, &migration->reaper);
    ferry_loop_remove(context->loop, &migration->cpus_watch);
    ferry_os_close(&migration->cpus_fd);
    free(migration);
    context->migration = NULL;
}

static const struct ferry_migration_ops ops = {
    .busy = busy,
    .cpus_stopped = cpus_stopped,
    .peer_mapped = peer_mapped,
    .device_lost = device_lost,
    .destroy = destroy,
};

static void tell_lost_devices(struct ferry_context *context)
{
    for (uint32_t i = 0; i < context->device_count; i++) {
        struct ferry_host_device *device = context->device[i];

        if (atomic_load(&device->lost) != FERRY_OK && !device->lost_told) {
            struct ferry_host_event event = { .kind = FERRY_HOST_DEVICE_LOST,
                                              .device = i,
                                              .error = &device->lost_error };

            device->lost_told = 1;
            ferry_host_event(context, &event);
        }
    }
}

/* A target that discarded takes its devices into use again, for the next source. */
static void reopen_discarded(struct ferry_context *context, uint32_t discarded)
{
    for (uint32_t i = 0; i < context->device_count; i++) {
        if (discarded & (1u << i)) {
            (void)ferry_host_device_reopen(context, i, NULL);
        }
    }
}

/* Ends a run outside of everything that still refers to it, then tells the user. */
static void reap(struct ferry_migration *migration)
{
    struct ferry_context *context = migration->context;
    struct ferry_run *run = migration->run;
    struct ferry_host_event event = { .kind = FERRY_HOST_FINISHED,
                                      .device = FERRY_NO_DEVICE,
                                      .phase = "ENDED",
                                      .report = &migration->report };
    /* Who connected and never introduced itself is no migration. */
    int quiet = run->listening && !run->introduced;
    uint32_t released = run->released;
    uint32_t discarded = run->discarded;
    /* It runs here, also by the operator's word or with a device that was lost. */
    int arrived =
        run->incoming && discarded == 0 &&
        (run->outcome == FERRY_OUTCOME_MOVED || run->outcome == FERRY_OUTCOME_RESOLVED ||
         run->outcome == FERRY_OUTCOME_LOST);

    /* Those that left were asked before they were closed. */
    for (uint32_t i = 0; i < run->device_count && !released; i++) {
        if (!run->device[i].report.hung) {
            ferry_host_count(context, i);
        }
    }
    if (!quiet) {
        ferry_run_report(run, &migration->report);
        if (run->file) {
            ferry_file_peer_end(run->file, &migration->report);
        } else {
            ferry_run_learn(run);
        }
        migration->finished++;
    }
    ferry_run_free(run);
    if (!migration->destroying) {
        reopen_discarded(context, discarded);
    }
    if (arrived) {
        ferry_context_unlisten(context);
    }
    if (!quiet) {
        ferry_host_event(context, &event);
    }
    if (!released) {
        tell_lost_devices(context);
    }
}

static int reaper_idle(struct ferry_loop_idle *idle)
{
    struct ferry_migration *migration = idle->user;

    if (migration->run) {
        ferry_run_pump_idle(migration->run);
        if (migration->run->ended) {
            reap(migration);
        }
    }
    return 0;
}

struct ferry_migration *ferry_migration_get(struct ferry_context *context)
{
    struct ferry_migration *migration = context->migration;

    if (migration) {
        return migration;
    }
    migration = calloc(1, sizeof(*migration));
    if (!migration) {
        return NULL;
    }
    migration->context = context;
    migration->listener = -1;
    migration->cpus_fd = -1;
    migration->reaper.fn = reaper_idle;
    migration->reaper.user = migration;
    migration->cpus_watch.fn = cpus_answered;
    migration->cpus_watch.user = migration;
    migration->cpus_watch.events = FERRY_LOOP_READ;
    if (ferry_os_eventfd_create(&migration->cpus_fd) < 0) {
        free(migration);
        return NULL;
    }
    migration->cpus_watch.fd = migration->cpus_fd;
    if (ferry_loop_add(context->loop, &migration->cpus_watch) < 0) {
        ferry_os_close(&migration->cpus_fd);
        free(migration);
        return NULL;
    }
    ferry_loop_idle_add(context->loop, &migration->reaper);
    context->migration = migration;
    context->migration_ops = &ops;
    return migration;
}
