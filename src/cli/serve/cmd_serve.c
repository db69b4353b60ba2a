/* SPDX-License-Identifier: BSD-3-Clause */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "cli/commands.h"
#include "cli/output.h"
#include "cli/serve/serve.h"

/* The first descriptor of systemd's socket activation. */
#define ACTIVATION_FD 3

enum serve_key {
    KEY_SOCKET = 's',
    KEY_FILTER = 'f',
    KEY_JSON = 'j',
    KEY_READY_FD = 0x100,
    KEY_TIMEOUT,
    KEY_FD,
    KEY_RECORD,
    KEY_SPIN,
    KEY_IO_FDS,
    KEY_DMA,
    KEY_UAPI
};

struct serve_args {
    struct served_device device[SERVE_DEVICES_MAX];
    size_t count; /* the last one is being described */
    int ready_fd, json;
    uint32_t timeout_ms;
};

static void end_serving(int number)
{
    (void)number;
    served_stop_all();
}

static const struct argp_option serve_options[] = {
    { "socket", KEY_SOCKET, "PATH", 0,
      "UNIX socket to listen at (required for each MODEL, or --fd)", 0 },
    { "socket-path", KEY_SOCKET, NULL, OPTION_ALIAS, NULL, 0 },
    { "fd", KEY_FD, "N", 0,
      "serve at the socket of descriptor N, which is connected or listens (systemd's "
      "socket activation is found without it)",
      0 },
    { "record", KEY_RECORD, "FILE", 0,
      "write a transcript of all messages to FILE, for ferry replay", 0 },
    { "spin", KEY_SPIN, "US", OPTION_ARG_OPTIONAL,
      "while a client is connected look for its messages without waiting, for US "
      "microseconds after each (always)",
      0 },
    { "io-fd-layout", KEY_IO_FDS, "LAYOUT", 0,
      "entries of GET_REGION_IO_FDS: spec (default) or libvfio-user", 0 },
    { "dma-layout", KEY_DMA, "LAYOUT", 0, "DMA messages: auto (default), spec or qemu",
      0 },
    { "uapi", KEY_UAPI, "VERSION", 0,
      "migration by v2 (default) or by the region of v1, trapped; v1:mmap and "
      "v1:partitioned let clients map all or a part of its data",
      0 },
    { "filter", KEY_FILTER, "SPEC", 0,
      "delay, refuse, shorten, damage or log requests, such as "
      "delay=stop_copy:200ms,error=read:EIO@3 (docs/filters.md); the first is nearest to "
      "the client",
      0 },
    { "ready-fd", KEY_READY_FD, "N", 0,
      "write a line to descriptor N and close it when clients can connect", 0 },
    { "timeout", KEY_TIMEOUT, "MS", 0,
      "longest wait for a client in the middle of a message (5000)", 0 },
    { "json", KEY_JSON, NULL, 0, "say in JSON what is served", 0 },
    { NULL, 0, NULL, 0, NULL, 0 },
};

/* In the order of FERRY_IO_FD_LAYOUT_* and FERRY_DMA_LAYOUT_*. */
static const char *const io_fd_layouts[] = { "spec", "libvfio-user", NULL };
static const char *const dma_layouts[] = { "auto", "spec", "qemu", NULL };

/* The device that options are about: the one named last, or the first that will be. */
static struct served_device *described(struct serve_args *args)
{
    return &args->device[args->count > 0 ? args->count - 1 : 0];
}

static void add_model(struct serve_args *args, char *text, const struct argp_state *state)
{
    if (args->count == SERVE_DEVICES_MAX) {
        argp_error(state, "more than %d devices", SERVE_DEVICES_MAX);
    }
    args->device[args->count++].model = text;
}

static void add_filter(struct served_device *device, const char *text,
                       const struct argp_state *state)
{
    if (device->filter_count == SERVE_FILTERS_MAX) {
        argp_error(state, "more than %d --filter for a device", SERVE_FILTERS_MAX);
    }
    device->filter[device->filter_count++] = text;
}

/* Return: 1 when fd is a socket that listens at this path. */
static int listens_at(int fd, const char *path)
{
    struct sockaddr_un name = { .sun_family = AF_UNSPEC };
    socklen_t bytes = sizeof(name);

    return getsockname(fd, (struct sockaddr *)&name, &bytes) == 0 &&
           name.sun_family == AF_UNIX &&
           strncmp(name.sun_path, path, sizeof(name.sun_path)) == 0;
}

/* The device whose --socket is this one's path, else the first without any; or NULL. */
static struct served_device *taker(struct serve_args *args, int fd)
{
    struct served_device *first = NULL;

    for (size_t i = args->count; i > 0; i--) {
        struct served_device *device = &args->device[i - 1];

        if (device->has_fd) {
            continue;
        }
        if (device->socket == NULL) {
            first = device;
        } else if (listens_at(fd, device->socket)) {
            return device;
        }
    }
    return first;
}

/* systemd's socket activation: descriptors from 3 on, which are meant for this process.
 */
static void take_activation(struct serve_args *args, const struct argp_state *state)
{
    const char *pid = getenv("LISTEN_PID");
    const char *count = getenv("LISTEN_FDS");
    uint64_t fds;

    if (pid == NULL || count == NULL || strtol(pid, NULL, 10) != (long)getpid()) {
        return;
    }
    fds = parse_number(state, "LISTEN_FDS", count, 0, SERVE_DEVICES_MAX);
    for (int fd = ACTIVATION_FD; fd < ACTIVATION_FD + (int)fds; fd++) {
        struct served_device *device = taker(args, fd);

        if (device == NULL || fcntl(fd, F_GETFD) < 0) {
            argp_error(state,
                       "LISTEN_FDS is %s: no MODEL for socket %d, or it is not open",
                       count, fd - ACTIVATION_FD + 1);
            return;
        }
        device->fd = fd;
        device->has_fd = 1;
    }
}

static uint32_t parse_name(const struct argp_state *state, const char *option,
                           const char *text, const char *const *names)
{
    for (uint32_t i = 0; names[i] != NULL; i++) {
        if (strcmp(names[i], text) == 0) {
            return i;
        }
    }
    argp_error(state, "%s: there is no '%s'; see --help", option, text);
    return 0;
}

static void check_args(struct serve_args *args, const struct argp_state *state)
{
    take_activation(args, state);
    if (args->count == 0) {
        argp_error(state, "MODEL and --socket are needed");
    }
    for (size_t i = 0; i < args->count; i++) {
        if (args->device[i].socket == NULL && !args->device[i].has_fd) {
            argp_error(state, "MODEL and --socket are needed: none for '%s'",
                       args->device[i].model);
        }
        for (size_t j = 0; j < i && args->device[i].has_fd; j++) {
            if (args->device[j].has_fd && args->device[j].fd == args->device[i].fd) {
                argp_error(state, "--fd %d serves one device only", args->device[i].fd);
            }
        }
    }
}

static error_t parse_serve(int key, char *text, struct argp_state *state)
{
    struct serve_args *args = state->input;

    switch (key) {
    case KEY_SOCKET:
        if (described(args)->socket != NULL) {
            argp_error(state, "--socket %s: there is one already; a MODEL goes before it",
                       text);
        }
        described(args)->socket = text;
        return 0;
    case KEY_FD:
        described(args)->fd = parse_descriptor(state, "--fd", text);
        described(args)->has_fd = 1;
        return 0;
    case KEY_RECORD:
        described(args)->record = text;
        return 0;
    case KEY_SPIN:
        described(args)->spin_us =
            text == NULL ? UINT32_MAX
                         : (uint32_t)parse_number(state, "--spin", text, 1, UINT32_MAX);
        return 0;
    case KEY_IO_FDS:
        described(args)->io_fd_layout =
            parse_name(state, "--io-fd-layout", text, io_fd_layouts);
        return 0;
    case KEY_DMA:
        described(args)->dma_layout =
            parse_name(state, "--dma-layout", text, dma_layouts);
        return 0;
    case KEY_UAPI:
        if (!served_set_uapi(described(args), text)) {
            argp_error(state, "--uapi: there is no '%s'; see --help", text);
        }
        return 0;
    case KEY_FILTER:
        add_filter(described(args), text, state);
        return 0;
    case KEY_READY_FD:
        args->ready_fd = parse_descriptor(state, "--ready-fd", text);
        return 0;
    case KEY_TIMEOUT:
        args->timeout_ms = (uint32_t)parse_number(state, "--timeout", text, 1, 3600000);
        return 0;
    case KEY_JSON:
        args->json = 1;
        return 0;
    case ARGP_KEY_ARG:
        add_model(args, text, state);
        return 0;
    case ARGP_KEY_END:
        check_args(args, state);
        return 0;
    default:
        return ARGP_ERR_UNKNOWN;
    }
}

/* After the options: the models and what each takes, from the models' own tables. */
static char *list_models(int key, const char *text, void *input)
{
    const struct ferry_model *model;
    char *list = NULL;
    size_t bytes = 0;
    FILE *out;

    (void)input;
    if (key != ARGP_KEY_HELP_POST_DOC) {
        return (char *)(uintptr_t)text;
    }
    out = open_memstream(&list, &bytes);
    if (out == NULL) {
        return NULL;
    }
    fputs("Models:\n", out);
    for (size_t i = 0; (model = ferry_model_get(i)) != NULL; i++) {
        fprintf(out, "  %s: %s\n", model->name, model->summary);
        for (size_t j = 0; j < model->option_count; j++) {
            const struct ferry_model_option *option = &model->option[j];

            fprintf(out, "      %s=%s (%s)  %s\n", option->name, option->value,
                    option->fallback, option->help);
        }
    }
    fclose(out);
    return list;
}

static const struct argp serve_argp = {
    .options = serve_options,
    .parser = parse_serve,
    .args_doc = "MODEL[,KEY=VALUE...] [MODEL --socket PATH ...]",
    .doc = "Serves a new device of MODEL over vfio-user, to one client at a time, until "
           "SIGTERM. Further devices: each MODEL with its --socket and --filter behind "
           "it.\v ",
    .help_filter = list_models,
};

static int install_signals(void)
{
    struct sigaction action;

    memset(&action, 0, sizeof(action));
    action.sa_handler = end_serving;
    return sigaction(SIGTERM, &action, NULL) == 0 &&
           sigaction(SIGINT, &action, NULL) == 0;
}

static void say_ready(const struct serve_args *args)
{
    for (size_t i = 0; i < args->count && args->json; i++) {
        struct json_object *object = json_object_new_object();

        json_object_object_add(object, "model",
                               json_object_new_string(args->device[i].model));
        json_object_object_add(object, "socket",
                               json_object_new_string(served_name(&args->device[i])));
        print_json(object, 0);
        json_object_put(object);
    }
    tell_ready("serve", args->ready_fd);
}

static int serve(struct serve_args *args)
{
    int result = EXIT_OK;

    for (size_t i = 0; i < args->count && result == EXIT_OK; i++) {
        result = served_open(&args->device[i], args->timeout_ms);
    }
    if (result == EXIT_OK) {
        served_expose(args->device, args->count);
        if (install_signals()) {
            say_ready(args);
            result = served_run(args->device, args->count);
        } else {
            print_error("serve", NULL, "sigaction: %s", strerror(errno));
            result = EXIT_FAILED;
        }
    }
    for (size_t i = 0; i < args->count; i++) {
        served_close(&args->device[i]);
    }
    return result;
}

int command_serve(int argc, char **argv)
{
    struct serve_args *args = calloc(1, sizeof(*args));
    int result;

    if (args == NULL) {
        print_error("serve", NULL, "out of memory");
        return EXIT_FAILED;
    }
    args->ready_fd = -1;
    signal(SIGPIPE, SIG_IGN); /* messages that nobody reads are not worth a device */
    /* In order: what is said behind a MODEL is about that device. */
    argp_parse(&serve_argp, argc, argv, ARGP_IN_ORDER, NULL, args);
    result = serve(args);
    free(args);
    return result;
}
