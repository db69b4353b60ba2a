/* SPDX-License-Identifier: BSD-3-Clause */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include "cli/commands.h"
#include "cli/host/host.h"
#include "cli/output.h"

/* Between two tries to take lost devices into use again. */
#define RETRY_MS 500

enum host_key {
    KEY_DEVICE = 'd',
    KEY_MEMORY = 'm',
    KEY_LISTEN = 'l',
    KEY_CONTROL = 'c',
    KEY_PEER = 'p',
    KEY_WORK = 'w',
    KEY_RESULT = 'r',
    KEY_JSON = 'j',
    KEY_WATCHDOG = 0x100,
    KEY_NO_PEER_MAPS,
    KEY_ARBITER,
    KEY_ARC_LIMIT,
    KEY_PEER_LIMIT,
    KEY_CONNECTIONS,
    KEY_DEVICE_TIMEOUT,
    KEY_READY_FD
};

static const struct argp_option host_options[] = {
    { NULL, 0, NULL, 0, "The context:", 1 },
    { "device", KEY_DEVICE, "NAME=URI", 0, "add a device; may be repeated", 1 },
    { "memory", KEY_MEMORY, "SIZE", 0, "memory of the context (64M)", 1 },
    { "peer", KEY_PEER, "NAME:NAME", 0,
      "map the second device's memory for the first one; may be repeated", 1 },
    { "no-peer-maps", KEY_NO_PEER_MAPS, NULL, 0, "refuse every peer map", 1 },
    { "device-timeout", KEY_DEVICE_TIMEOUT, "MS", 0, "longest wait for a device (10000)",
      1 },
    { NULL, 0, NULL, 0, "Moving:", 2 },
    { "control", KEY_CONTROL, "SOCKET", 0, "UNIX socket for commands (required)", 2 },
    { "listen", KEY_LISTEN, "ADDRESS", 0,
      "wait for a context at tcp:127.0.0.1:PORT or unix:PATH while this one is empty",
      2 },
    { "arbiter", KEY_ARBITER, "ARBITER", 0, "none, or file:FOLDER that both hosts reach",
      2 },
    { "arc-limit", KEY_ARC_LIMIT, "MS", 0,
      "while it receives: a device takes no longer for a step (5000)", 2 },
    { "peer-limit", KEY_PEER_LIMIT, "MS", 0,
      "while it receives: the source takes no longer for an answer (10000)", 2 },
    { "connections", KEY_CONNECTIONS, "N", 0,
      "while it receives: take at most N connections of one source (16)", 2 },
    { "ready-fd", KEY_READY_FD, "N", 0,
      "write a line to descriptor N and close it when commands are taken", 2 },
    { "json", KEY_JSON, NULL, 0, "say in JSON where commands and contexts are taken", 2 },
    { NULL, 0, NULL, 0, "A guest that works (devices acc, copy0, copy1):", 3 },
    { "work", KEY_WORK, "FILE", 0, "input to encrypt, again and again", 3 },
    { "result", KEY_RESULT, "FOLDER", 0, "where the result files go", 3 },
    { "watchdog", KEY_WATCHDOG, "MS", 0, "longest time without an interrupt (10000)", 3 },
    { NULL, 0, NULL, 0, NULL, 0 },
};

/* Cuts "NAME<sep>REST" in place. */
static char *cut(const struct argp_state *state, const char *option, char *text, char sep)
{
    char *at = strchr(text, sep);

    if (at == NULL || at == text || at[1] == '\0') {
        argp_error(state, "%s takes two parts with '%c' between, not '%s'", option, sep,
                   text);
        return text;
    }
    *at = '\0';
    return at + 1;
}

static void add_device(struct host_args *args, char *text, struct argp_state *state)
{
    if (args->device_count == HOST_DEVICES_MAX) {
        argp_error(state, "at most %d devices", HOST_DEVICES_MAX);
    }
    args->device[args->device_count].uri = cut(state, "--device", text, '=');
    args->device[args->device_count++].name = text;
}

static void add_peer(struct host_args *args, char *text, struct argp_state *state)
{
    if (args->peer_count == HOST_PEERS_MAX) {
        argp_error(state, "at most %d peer maps", HOST_PEERS_MAX);
    }
    args->peer[args->peer_count].target = cut(state, "--peer", text, ':');
    args->peer[args->peer_count++].initiator = text;
}

static error_t parse_work(int key, char *text, struct argp_state *state)
{
    struct host_args *args = state->input;

    switch (key) {
    case KEY_WORK:
        args->work = text;
        return 0;
    case KEY_RESULT:
        args->result = text;
        return 0;
    case KEY_WATCHDOG:
        args->watchdog_ms = (uint32_t)parse_number(state, "--watchdog", text, 1, 3600000);
        return 0;
    default:
        return ARGP_ERR_UNKNOWN;
    }
}

static error_t parse_limits(int key, char *text, struct argp_state *state)
{
    struct host_args *args = state->input;

    switch (key) {
    case KEY_DEVICE_TIMEOUT:
        args->device_timeout_ms =
            (uint32_t)parse_number(state, "--device-timeout", text, 1, 3600000);
        return 0;
    case KEY_ARC_LIMIT:
        args->arc_limit_ms = parse_ms(state, "--arc-limit", text);
        return 0;
    case KEY_PEER_LIMIT:
        args->peer_limit_ms = parse_ms(state, "--peer-limit", text);
        return 0;
    case KEY_CONNECTIONS:
        args->connections = (uint32_t)parse_number(state, "--connections", text, 1, 16);
        return 0;
    default:
        return parse_work(key, text, state);
    }
}

static error_t parse_host(int key, char *text, struct argp_state *state)
{
    struct host_args *args = state->input;

    switch (key) {
    case ARGP_KEY_INIT:
        state->child_inputs[0] = &args->options;
        return 0;
    case KEY_DEVICE:
        add_device(args, text, state);
        return 0;
    case KEY_PEER:
        add_peer(args, text, state);
        return 0;
    case KEY_MEMORY:
        args->memory_bytes = parse_size(state, "--memory", text, 1u << 20, 1ull << 36);
        args->memory_bytes = (args->memory_bytes + 4095) & ~4095ull;
        return 0;
    case KEY_NO_PEER_MAPS:
        args->no_peer_maps = 1;
        return 0;
    case KEY_CONTROL:
        args->control = text;
        return 0;
    case KEY_LISTEN:
        args->listen = text;
        return 0;
    case KEY_ARBITER:
        args->arbiter = parse_arbiter(state, text);
        if (text[0] == 'f' && access(text + strlen("file:"), W_OK | X_OK) < 0) {
            argp_error(state, "--arbiter: no decision can be written in %s: %s",
                       text + strlen("file:"), strerror(errno));
        }
        return 0;
    case KEY_READY_FD:
        args->ready_fd = parse_descriptor(state, "--ready-fd", text);
        return 0;
    case KEY_JSON:
        args->json = 1;
        return 0;
    case ARGP_KEY_END:
        if (args->control == NULL || args->device_count == 0) {
            argp_error(state, "--control and at least one --device are needed");
        }
        if ((args->work == NULL) != (args->result == NULL)) {
            argp_error(state, "--work and --result belong together");
        }
        return 0;
    default:
        return parse_limits(key, text, state);
    }
}

static const struct argp_child host_children[] = {
    { &work_argp, 0, NULL, 0 },
    { NULL, 0, NULL, 0 },
};

static const struct argp host_argp = {
    .options = host_options,
    .parser = parse_host,
    .doc =
        "Holds devices and memory that move together, in a process of its own, and takes "
        "commands at a control socket.",
    .children = host_children,
};

static int pause_cpus(void *user, struct ferry_context *context)
{
    struct host *host = user;

    (void)context;
    return host->workload != NULL ? workload_pause(host->workload) : FERRY_OK;
}

static int resume_cpus(void *user, struct ferry_context *context)
{
    struct host *host = user;
    struct ferry_error error = { .code = FERRY_OK };
    int status = FERRY_OK;

    (void)context;
    if (host->workload != NULL) {
        status = workload_resume(host->workload, &error);
    }
    if (status < 0) {
        print_error("host", &error, "the guest cannot go on here");
    }
    return status;
}

/* The CPU reports each write as it makes it; there is nothing to add. */
static void track_cpus(void *user, struct ferry_context *context, int start)
{
    (void)user;
    (void)context;
    (void)start;
}

static const char *event_name(uint32_t kind)
{
    switch ((enum ferry_host_event_kind)kind) {
    case FERRY_HOST_PHASE:
        return "phase";
    case FERRY_HOST_PROGRESS:
        return "progress";
    case FERRY_HOST_INCOMING:
        return "incoming";
    case FERRY_HOST_UNDECIDED:
        return "undecided";
    case FERRY_HOST_DEVICE_LOST:
        return "device-lost";
    case FERRY_HOST_FINISHED:
        return "finished";
    }
    return "?";
}

static void note_end(struct host *host, const struct ferry_report *report)
{
    int left = report->outcome == FERRY_OUTCOME_MOVED && !report->incoming;

    /* A target that discards has its devices anew already, and still listens. */
    left |=
        report->outcome == FERRY_OUTCOME_RESOLVED && !report->incoming && host->discards;
    host->moved_away = left;
    host->listening = ferry_context_address(host->context)[0] != '\0';
}

static void on_event(void *user, struct ferry_context *context,
                     const struct ferry_host_event *event)
{
    struct host *host = user;
    struct json_object *object = json_progress(event->phase, &event->progress);

    (void)context;
    json_object_object_add(object, "event",
                           json_object_new_string(event_name(event->kind)));
    if (event->kind == FERRY_HOST_DEVICE_LOST &&
        event->device < host->args->device_count) {
        const char *name = host->args->device[event->device].name;

        json_object_object_add(object, "device", json_object_new_string(name));
        json_object_object_add(object, "reason",
                               json_object_new_string(event->error->text));
        fprintf(stderr, "ferry host: device %s is lost: %s\n", name, event->error->text);
    }
    if (event->report != NULL) {
        json_object_object_add(object, "report", json_report(event->report));
    }
    if (event->kind == FERRY_HOST_FINISHED && event->report != NULL) {
        /* Devices cannot be reopened from within a callback; the loop does it. */
        note_end(host, event->report);
        host->trace.over = 1;
    }
    host_tell(host, object, event->kind == FERRY_HOST_FINISHED);
}

static void on_trace(void *user, struct ferry_context *context,
                     const struct ferry_trace_event *event)
{
    struct host *host = user;

    (void)context;
    trace_log_add(&host->trace, event);
}

const struct ferry_context_ops host_ops = {
    .struct_size = sizeof(host_ops),
    .pause_cpus = pause_cpus,
    .resume_cpus = resume_cpus,
    .track_cpus = track_cpus,
    .event = on_event,
    .trace = on_trace,
};

static void accept_client(struct host *host)
{
    int fd = accept(host->control_fd, NULL, NULL);

    if (fd < 0) {
        return;
    }
    fcntl(fd, F_SETFD, FD_CLOEXEC);
    for (int i = 0; i < HOST_CLIENTS_MAX; i++) {
        struct host_client *client = &host->client[i];

        if (client->lines.fd < 0) {
            client->migrates = client->watches = client->waits_for_boot = 0;
            control_lines_init(&client->lines, fd);
            return;
        }
    }
    close(fd);
}

static void serve_client(struct host *host, struct host_client *client)
{
    int status = FERRY_OK;

    while (status == FERRY_OK && client->lines.fd >= 0) {
        struct json_object *request = NULL;

        status = control_next(&client->lines, &request);
        if (status == FERRY_OK) {
            status = host_command(host, client, request);
            json_object_put(request);
        }
    }
    if (status != FERRY_E_AGAIN) {
        control_lines_close(&client->lines);
    }
}

/* What the last dispatch asked for. */
static void after_dispatch(struct host *host)
{
    struct ferry_error error = { .code = FERRY_OK };

    host_file_over(host);
    if (!host->moved_away) {
        return;
    }
    if (host_reopen(host, &error) == FERRY_OK) {
        host->moved_away = host->waits = 0;
    } else if (!host->waits) {
        /* Such as a device's server that has ended: it may be started again. */
        print_error("host", &error, "cannot receive again yet, goes on trying");
        host->waits = 1;
    }
}

static int loop(struct host *host)
{
    struct pollfd wait[4 + HOST_CLIENTS_MAX];
    uint64_t count;

    wait[0] = (struct pollfd){ .fd = ferry_context_fd(host->context), .events = POLLIN };
    wait[1] = (struct pollfd){ .fd = host->signal_fd, .events = POLLIN };
    wait[2] = (struct pollfd){ .fd = host->control_fd, .events = POLLIN };
    wait[3] = (struct pollfd){ .fd = -1, .events = POLLIN };
    if (host->workload != NULL) {
        wait[3].fd = workload_notify_fd(host->workload);
    }
    while (!host->quit) {
        for (int i = 0; i < HOST_CLIENTS_MAX; i++) {
            wait[4 + i].fd = host->client[i].lines.fd;
            wait[4 + i].events = POLLIN;
        }
        if (poll(wait, 4 + HOST_CLIENTS_MAX, host->waits ? RETRY_MS : -1) < 0 &&
            errno != EINTR) {
            return EXIT_FAILED;
        }
        host->quit |= wait[1].revents != 0;
        if (wait[0].revents != 0 && ferry_context_dispatch(host->context, 0) < 0) {
            print_error("host", NULL, "the context's descriptor failed");
            return EXIT_FAILED;
        }
        after_dispatch(host);
        if (wait[2].revents != 0) {
            accept_client(host);
        }
        if (wait[3].revents != 0 && read(wait[3].fd, &count, sizeof(count)) > 0) {
            host_work_changed(host);
        }
        for (int i = 0; i < HOST_CLIENTS_MAX; i++) {
            if (wait[4 + i].fd >= 0 && wait[4 + i].revents != 0 &&
                wait[4 + i].fd == host->client[i].lines.fd) {
                serve_client(host, &host->client[i]);
            }
        }
    }
    return EXIT_OK;
}

static int open_signals(void)
{
    sigset_t set;

    signal(SIGPIPE, SIG_IGN); /* messages that nobody reads are not worth the devices */
    sigemptyset(&set);
    sigaddset(&set, SIGTERM);
    sigaddset(&set, SIGINT);
    /* Before any thread is made, so that all of them inherit the mask. */
    if (sigprocmask(SIG_BLOCK, &set, NULL) < 0) {
        return -1;
    }
    return signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
}

static void say_where(const struct host *host)
{
    const char *address = ferry_context_address(host->context);
    struct json_object *object;

    if (host->args->json) {
        object = json_object_new_object();
        json_object_object_add(object, "control",
                               json_object_new_string(host->args->control));
        json_object_object_add(object, "address", json_object_new_string(address));
        print_json(object, 0);
        json_object_put(object);
        return;
    }
    printf("control at %s", host->args->control);
    if (host->args->listen != NULL) {
        printf(", waits for a context at %s", address);
    }
    putchar('\n');
    fflush(stdout);
}

int command_host(int argc, char **argv)
{
    struct host *host = calloc(1, sizeof(*host));
    struct host_args args = {
        .memory_bytes = 64u << 20,
        .options = { .lanes = 32, .block_bytes = 64u << 10, .depth = 2 },
        .ready_fd = -1,
    };
    struct ferry_error error = { .code = FERRY_OK };
    int result = EXIT_FAILED, status;

    argp_parse(&host_argp, argc, argv, 0, NULL, &args);
    if (host == NULL) {
        print_error("host", NULL, "out of memory");
        return EXIT_FAILED;
    }
    host->memory_fd = host->control_fd = -1;
    for (int i = 0; i < HOST_CLIENTS_MAX; i++) {
        control_lines_init(&host->client[i].lines, -1);
    }
    host->signal_fd = open_signals();
    if (host->signal_fd < 0) {
        print_error("host", NULL, "signalfd: %s", strerror(errno));
    } else if ((status = host_open(host, &args)) < 0) {
        result = status == FERRY_E_ARGUMENT ? EXIT_USAGE : EXIT_FAILED;
    } else {
        host->control_fd = control_listen(args.control, &error);
        if (host->control_fd < 0) {
            print_error("host", &error, "no control socket");
        } else if ((status = host_listen(host, &error)) < 0) {
            print_error("host", &error, "--listen %s", args.listen);
            result = status == FERRY_E_ARGUMENT ? EXIT_USAGE : EXIT_FAILED;
        } else {
            say_where(host);
            tell_ready("host", args.ready_fd);
            result = loop(host);
        }
    }
    host_close(host);
    trace_log_free(&host->trace);
    if (host->control_fd >= 0) {
        close(host->control_fd);
        unlink(args.control);
    }
    free(host);
    return result;
}
