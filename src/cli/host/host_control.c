/* SPDX-License-Identifier: BSD-3-Clause */
#include <string.h>

#include "cli/host/host.h"
#include "cli/output.h"

static const char *const stage_name[GUEST_STAGES] = { "acc", "copy0", "copy1" };

static int fail(struct host_client *client, const struct ferry_error *error)
{
    struct json_object *reply = json_object_new_object();
    int status;

    json_object_object_add(reply, "error", json_error(error));
    status = control_send(&client->lines, reply);
    json_object_put(reply);
    return status;
}

static int fail_text(struct host_client *client, int code, const char *text)
{
    struct ferry_error error = { .code = FERRY_OK };

    ferry_error_set(&error, code, "control", NULL, 0, "%s", text);
    return fail(client, &error);
}

static struct json_object *new_reply(const char *name)
{
    struct json_object *reply = json_object_new_object();

    json_object_object_add(reply, "reply", json_object_new_string(name));
    return reply;
}

static int answer(struct host_client *client, struct json_object *reply)
{
    int status = control_send(&client->lines, reply);

    json_object_put(reply);
    return status;
}

static struct json_object *json_stages(const uint32_t *count)
{
    struct json_object *object = json_object_new_object();

    for (int i = 0; i < GUEST_STAGES; i++) {
        json_object_object_add(object, stage_name[i], json_u64(count[i]));
    }
    return object;
}

static struct json_object *json_stops(const struct workload_status *work)
{
    struct json_object *stops = json_object_new_array();

    for (uint32_t i = 0; i < work->stop_count && i < GUEST_STOPS_MAX; i++) {
        const struct guest_stop *stop = &work->stop[i];
        struct json_object *object = json_stages(stop->in_flight);
        uint64_t all = 0;

        for (int j = 0; j < GUEST_STAGES; j++) {
            all += stop->in_flight[j];
        }
        json_object_object_add(object, "in_flight", json_u64(all));
        json_object_object_add(object, "unfinished", json_u64(stop->unfinished));
        json_object_array_add(stops, object);
    }
    return stops;
}

static struct json_object *json_frames(const struct stream_figures *frames)
{
    struct json_object *object = json_object_new_object();

    json_object_object_add(object, "sent", json_u64(frames->sent));
    json_object_object_add(object, "received", json_u64(frames->received));
    json_object_object_add(object, "lost", json_u64(frames->lost));
    json_object_object_add(object, "late", json_u64(frames->late));
    json_object_object_add(object, "wrong", json_u64(frames->wrong));
    json_object_object_add(object, "twice", json_u64(frames->twice));
    json_object_object_add(object, "strange", json_u64(frames->strangers));
    json_object_object_add(object, "announced", json_u64(frames->announced));
    return object;
}

static struct json_object *json_work(struct workload *workload)
{
    struct json_object *object = json_object_new_object();
    struct workload_status work;

    workload_status(workload, &work);
    json_object_object_add(object, "here", json_object_new_boolean(work.here != 0));
    json_object_object_add(object, "phase",
                           json_object_new_string(workload_phase_name(work.phase)));
    json_object_object_add(object, "lanes", json_u64(work.lanes));
    json_object_object_add(object, "packed", json_object_new_boolean(work.packed != 0));
    json_object_object_add(object, "passes", json_u64(work.passes));
    json_object_object_add(object, "in_flight", json_u64(work.in_flight_all));
    json_object_object_add(object, "in_flight_of", json_stages(work.in_flight));
    json_object_object_add(object, "requests", json_u64(work.requests));
    json_object_object_add(object, "bytes", json_u64(work.bytes));
    json_object_object_add(object, "submitted", json_u64(work.submitted));
    json_object_object_add(object, "completed", json_u64(work.completed));
    json_object_object_add(object, "interrupts", json_u64(work.interrupts));
    json_object_object_add(object, "lost", json_u64(work.lost));
    json_object_object_add(object, "twice", json_u64(work.twice));
    json_object_object_add(object, "interrupts_lost", json_u64(work.irq_lost));
    if (work.has_nic) {
        json_object_object_add(object, "frames", json_frames(&work.frames));
    }
    json_object_object_add(object, "stop_count", json_u64(work.stop_count));
    json_object_object_add(object, "stops", json_stops(&work));
    json_object_object_add(object, "error", json_object_new_string(work.error));
    return object;
}

static int do_status(struct host *host, struct host_client *client,
                     struct json_object *request)
{
    struct json_object *reply = new_reply("status");
    struct json_object *devices = json_object_new_array();
    struct ferry_report report;

    (void)request;
    ferry_context_report(host->context, &report);
    json_object_object_add(reply, "address",
                           json_object_new_string(ferry_context_address(host->context)));
    for (uint32_t i = 0; i < host->args->device_count; i++) {
        struct json_object *device = json_object_new_object();

        json_object_object_add(device, "name",
                               json_object_new_string(host->args->device[i].name));
        json_object_object_add(device, "uri",
                               json_object_new_string(host->args->device[i].uri));
        json_object_array_add(devices, device);
    }
    json_object_object_add(reply, "devices", devices);
    if (host->workload != NULL) {
        json_object_object_add(reply, "work", json_work(host->workload));
    }
    /* Before the first migration there are no figures. */
    if (report.device_count > 0) {
        json_object_object_add(reply, "report", json_report(&report));
    }
    return answer(client, reply);
}

/* Refuses a migration that would stop the guest with too little under way. */
static int check_in_flight(struct host *host, uint64_t least, struct ferry_error *reterr)
{
    struct workload_status work;

    if (least == 0) {
        return FERRY_OK;
    }
    if (host->workload == NULL) {
        return ferry_error_set(reterr, FERRY_E_REFUSED, "host", NULL, 0,
                               "%llu requests in flight are asked for, and this host has "
                               "no guest that makes any: it was started without --work",
                               (unsigned long long)least);
    }
    workload_status(host->workload, &work);
    if (work.in_flight_all >= least) {
        return FERRY_OK;
    }
    return ferry_error_set(reterr, FERRY_E_REFUSED, "host", NULL, 0,
                           "%u requests are in flight, %llu are asked for",
                           work.in_flight_all, (unsigned long long)least);
}

static int do_migrate(struct host *host, struct host_client *client,
                      struct json_object *request)
{
    const char *arbiter = json_get_text(request, "arbiter");
    uint64_t connections = json_get_u64(request, "connections");
    struct ferry_migrate_options options = {
        .struct_size = sizeof(options),
        .max_downtime_ms = json_get_u32(request, "max_downtime_ms"),
        .deadline_ms = json_get_u32(request, "deadline_ms"),
        .stop_deadline_ms = json_get_u32(request, "stop_deadline_ms"),
        .arc_limit_ms = json_get_u32(request, "arc_limit_ms"),
        .peer_limit_ms = json_get_u32(request, "peer_limit_ms"),
        .bandwidth_bytes_per_s = json_get_u64(request, "bandwidth"),
        .connections = connections <= UINT32_MAX ? (uint32_t)connections : UINT32_MAX,
        .arbiter = arbiter[0] != '\0' ? arbiter : host->args->arbiter,
    };
    struct ferry_error error = { .code = FERRY_OK };
    int was_listening = host->listening, status;

    status = check_in_flight(host, json_get_u64(request, "min_in_flight"), &error);
    if (status == FERRY_OK && host_migrates(host)) {
        status = ferry_error_set(&error, FERRY_E_BUSY, "control", NULL, 0,
                                 "a migration is under way");
    }
    if (status == FERRY_OK) {
        if (was_listening) {
            ferry_context_unlisten(host->context);
            host->listening = 0;
        }
        host->discards = 0;
        status = ferry_context_send(host->context, json_get_text(request, "to"), &options,
                                    &error);
        if (status < 0 && was_listening) {
            host_listen(host, NULL);
        }
    }
    if (status < 0) {
        return fail(client, &error);
    }
    client->migrates = 1;
    return answer(client, new_reply("migrate"));
}

static int do_watch(struct host *host, struct host_client *client,
                    struct json_object *request)
{
    (void)host;
    (void)request;
    client->watches = 1;
    return answer(client, new_reply("watch"));
}

static int do_cancel(struct host *host, struct host_client *client,
                     struct json_object *request)
{
    int status = ferry_context_cancel(host->context);

    (void)request;
    if (status < 0) {
        return fail_text(client, status, "there is no migration that could be cancelled");
    }
    return answer(client, new_reply("cancel"));
}

static int do_resolve(struct host *host, struct host_client *client,
                      struct json_object *request)
{
    struct json_object *here = NULL, *force = NULL;
    uint32_t word;
    int status;

    if (!json_object_object_get_ex(request, "run_here", &here) ||
        !json_object_is_type(here, json_type_boolean)) {
        return fail_text(client, FERRY_E_ARGUMENT,
                         "resolve needs run_here: true or false");
    }
    json_object_object_get_ex(request, "force", &force);
    word = !json_object_get_boolean(here)   ? FERRY_OPERATOR_DISCARD
           : json_object_get_boolean(force) ? FERRY_OPERATOR_FORCE
                                            : FERRY_OPERATOR_RUN;
    status = ferry_context_resolve(host->context, word);
    if (status == FERRY_OK) {
        host->discards = word == FERRY_OPERATOR_DISCARD;
    }
    if (status == FERRY_E_REFUSED) {
        return fail_text(
            client, status,
            "the arbiter gave the devices to the other host; when that host is "
            "known to be dead, use --run-here --force");
    }
    if (status < 0) {
        return fail_text(client, status, "no migration is undecided here");
    }
    return answer(client, new_reply("resolve"));
}

/* A page of the timeline of the last migration; the first one also says whose it is. */
static int do_trace(struct host *host, struct host_client *client,
                    struct json_object *request)
{
    uint64_t from = json_get_u64(request, "from");
    struct json_object *reply = trace_log_page(&host->trace, from);
    struct ferry_report report;

    json_object_object_add(reply, "reply", json_object_new_string("trace"));
    if (from == 0) {
        struct json_object *devices = json_object_new_array();

        for (uint32_t i = 0; i < host->args->device_count; i++) {
            json_object_array_add(devices,
                                  json_object_new_string(host->args->device[i].name));
        }
        json_object_object_add(reply, "devices", devices);
        ferry_context_report(host->context, &report);
        json_object_object_add(reply, "report", json_report(&report));
    }
    return answer(client, reply);
}

static int read_key(const char *text, uint8_t ret_key[ACC_KEY_BYTES])
{
    static const char digits[] = "0123456789abcdef";

    if (strlen(text) != 2 * ACC_KEY_BYTES || strspn(text, digits) != 2 * ACC_KEY_BYTES) {
        return 0;
    }
    for (int i = 0; i < ACC_KEY_BYTES; i++) {
        const char *high = strchr(digits, text[2 * i]);
        const char *low = strchr(digits, text[2 * i + 1]);

        ret_key[i] = (uint8_t)((high - digits) << 4 | (low - digits));
    }
    return 1;
}

static int do_work_start(struct host *host, struct host_client *client,
                         struct json_object *request)
{
    struct ferry_error error = { .code = FERRY_OK };
    uint8_t key[ACC_KEY_BYTES];

    if (host->workload == NULL) {
        return fail_text(client, FERRY_E_STATE, "this host was started without --work");
    }
    if (!read_key(json_get_text(request, "key"), key)) {
        return fail_text(client, FERRY_E_ARGUMENT,
                         "work-start needs key: 64 hexadecimal digits in lower case");
    }
    if (workload_start(host->workload, key, &error) < 0) {
        return fail(client, &error);
    }
    /* A context with a guest in it must not be overwritten by another that arrives. */
    if (host->listening) {
        ferry_context_unlisten(host->context);
        host->listening = 0;
    }
    client->waits_for_boot = 1;
    return FERRY_OK;
}

static int do_work_finish(struct host *host, struct host_client *client,
                          struct json_object *request)
{
    (void)request;
    if (host->workload == NULL || workload_finish(host->workload) < 0) {
        return fail_text(client, FERRY_E_STATE, "no work goes on here");
    }
    return answer(client, new_reply("work-finish"));
}

static int do_quit(struct host *host, struct host_client *client,
                   struct json_object *request)
{
    (void)request;
    host->quit = 1;
    return answer(client, new_reply("quit"));
}

static const struct {
    const char *name;
    int (*run)(struct host *host, struct host_client *client,
               struct json_object *request);
} host_commands[] = {
    { "status", do_status },
    { "migrate", do_migrate },
    { "save", host_save },
    { "restore", host_restore },
    { "watch", do_watch },
    { "cancel", do_cancel },
    { "resolve", do_resolve },
    { "trace", do_trace },
    { "work-start", do_work_start },
    { "work-finish", do_work_finish },
    { "quit", do_quit },
};

int host_command(struct host *host, struct host_client *client,
                 struct json_object *request)
{
    const char *name = json_get_text(request, "command");

    for (size_t i = 0; i < sizeof(host_commands) / sizeof(host_commands[0]); i++) {
        if (strcmp(name, host_commands[i].name) == 0) {
            return host_commands[i].run(host, client, request);
        }
    }
    return fail_text(
        client, FERRY_E_MESSAGE,
        "unknown command; there are status, migrate, save, restore, watch, cancel, "
        "resolve, trace, work-start, work-finish, quit");
}

void host_tell(struct host *host, struct json_object *event, int last)
{
    for (int i = 0; i < HOST_CLIENTS_MAX; i++) {
        struct host_client *client = &host->client[i];

        if (client->lines.fd < 0 || !(client->migrates || client->watches)) {
            continue;
        }
        if (control_send(&client->lines, event) < 0) {
            control_lines_close(&client->lines);
        }
        client->migrates = client->migrates && !last;
    }
    json_object_put(event);
}

void host_work_changed(struct host *host)
{
    struct workload_status work;

    workload_status(host->workload, &work);
    if (work.booting) {
        return;
    }
    for (int i = 0; i < HOST_CLIENTS_MAX; i++) {
        struct host_client *client = &host->client[i];
        int status = FERRY_OK;

        if (client->lines.fd < 0 || !client->waits_for_boot) {
            continue;
        }
        client->waits_for_boot = 0;
        status = work.phase == GUEST_FAILED
                     ? fail_text(client, FERRY_E_DEVICE, work.error)
                     : answer(client, new_reply("work-start"));
        if (status < 0) {
            control_lines_close(&client->lines);
        }
    }
}
