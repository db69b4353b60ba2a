/* SPDX-License-Identifier: BSD-3-Clause */
#include "cli/host/host.h"
#include "cli/output.h"

/* The commands save and restore of the control socket. */

static int fail(struct host_client *client, const struct ferry_error *error)
{
    struct json_object *reply = json_object_new_object();
    int status;

    json_object_object_add(reply, "error", json_error(error));
    status = control_send(&client->lines, reply);
    json_object_put(reply);
    return status;
}

static int begun(struct host *host, struct host_client *client, const char *name)
{
    struct json_object *reply = json_object_new_object();
    int status;

    (void)host;
    json_object_object_add(reply, "reply", json_object_new_string(name));
    client->migrates = 1;
    status = control_send(&client->lines, reply);
    json_object_put(reply);
    return status;
}

int host_migrates(const struct host *host)
{
    struct ferry_report report;

    ferry_context_report(host->context, &report);
    return report.outcome == FERRY_OUTCOME_BUSY && report.total_ns > 0;
}

static int busy(struct host_client *client)
{
    struct ferry_error error = { .code = FERRY_OK };

    ferry_error_set(&error, FERRY_E_BUSY, "control", NULL, 0, "a migration is under way");
    return fail(client, &error);
}

/* A file takes the context to itself: no source may come meanwhile. */
static void stop_listening(struct host *host)
{
    host->listen_after = host->listening;
    if (host->listening) {
        ferry_context_unlisten(host->context);
        host->listening = 0;
    }
}

void host_file_over(struct host *host)
{
    struct ferry_report report;
    int arrived;

    if (!host->listen_after) {
        return;
    }
    if (host_migrates(host)) {
        return;
    }
    ferry_context_report(host->context, &report);
    host->listen_after = 0;
    arrived = report.incoming && report.outcome == FERRY_OUTCOME_MOVED;
    if (!host->listening && !host->moved_away && !arrived) {
        (void)host_listen(host, NULL);
    }
}

int host_save(struct host *host, struct host_client *client, struct json_object *request)
{
    struct ferry_migrate_options limits = {
        .struct_size = sizeof(limits),
        .max_downtime_ms = json_get_u32(request, "max_downtime_ms"),
        .deadline_ms = json_get_u32(request, "deadline_ms"),
        .stop_deadline_ms = json_get_u32(request, "stop_deadline_ms"),
        .arc_limit_ms = json_get_u32(request, "arc_limit_ms"),
    };
    struct ferry_save_options options = {
        .struct_size = sizeof(options),
        .compress = json_get_u32(request, "compress"),
        .limits = &limits,
    };
    struct ferry_error error = { .code = FERRY_OK };
    struct json_object *stop = NULL;
    int status;

    if (host_migrates(host)) {
        return busy(client);
    }
    json_object_object_get_ex(request, "stop", &stop);
    options.then = json_object_get_boolean(stop) ? FERRY_SAVE_STOP : FERRY_SAVE_RUN;
    stop_listening(host);
    host->discards = 0;
    status = ferry_context_save(host->context, json_get_text(request, "file"), &options,
                                &error);
    if (status < 0) {
        host_file_over(host);
        return fail(client, &error);
    }
    return begun(host, client, "save");
}

int host_restore(struct host *host, struct host_client *client,
                 struct json_object *request)
{
    struct ferry_migrate_options limits = {
        .struct_size = sizeof(limits),
        .arc_limit_ms = json_get_u32(request, "arc_limit_ms"),
    };
    struct ferry_error error = { .code = FERRY_OK };
    struct workload_status work = { .here = 0 };
    int status;

    if (host_migrates(host)) {
        return busy(client);
    }
    if (host->workload != NULL) {
        workload_status(host->workload, &work);
    }
    if (work.here) {
        ferry_error_set(&error, FERRY_E_STATE, "control", NULL, 0,
                        "a guest works here: it must not be overwritten");
        return fail(client, &error);
    }
    stop_listening(host);
    status = ferry_context_restore(host->context, json_get_text(request, "file"), &limits,
                                   &error);
    if (status < 0) {
        host_file_over(host);
        return fail(client, &error);
    }
    return begun(host, client, "restore");
}
