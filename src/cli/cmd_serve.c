/* SPDX-License-Identifier: BSD-3-Clause */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cli/commands.h"
#include "cli/output.h"
#include "ferry/device.h"
#include "models/models.h"

#define OPTIONS_MAX 16

enum serve_key { KEY_SOCKET = 's', KEY_JSON = 'j', KEY_READY_FD = 0x100, KEY_TIMEOUT };

struct serve_args {
    char *model; /* "acc,sessions=8": cut into its parts in place */
    const char *option[OPTIONS_MAX];
    size_t option_count;
    const char *socket;
    int ready_fd, json;
    uint32_t timeout_ms;
};

/* For the signal handler; set before the handlers are. */
static struct ferry_server *serving;

static void end_serving(int number)
{
    (void)number;
    ferry_server_stop(serving);
}

static const struct argp_option serve_options[] = {
    { "socket", KEY_SOCKET, "PATH", 0, "UNIX socket to listen at (required)", 0 },
    { "ready-fd", KEY_READY_FD, "N", 0,
      "write a line to descriptor N and close it when clients can connect", 0 },
    { "timeout", KEY_TIMEOUT, "MS", 0,
      "longest wait for a client in the middle of a message (5000)", 0 },
    { "json", KEY_JSON, NULL, 0, "say in JSON what is served", 0 },
    { NULL, 0, NULL, 0, NULL, 0 },
};

static error_t parse_serve(int key, char *text, struct argp_state *state)
{
    struct serve_args *args = state->input;

    switch (key) {
    case KEY_SOCKET:
        args->socket = text;
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
        if (args->model != NULL) {
            argp_error(state, "one MODEL, not also '%s'", text);
        }
        args->model = text;
        return 0;
    case ARGP_KEY_END:
        if (args->model == NULL || args->socket == NULL) {
            argp_error(state, "MODEL and --socket are needed");
        }
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
    .args_doc = "MODEL[,KEY=VALUE...]",
    .doc = "Serves a new device of MODEL over vfio-user, to one client at a time, until "
           "SIGTERM.\v ",
    .help_filter = list_models,
};

/* Cuts "acc,sessions=8" at its commas. Return: 0 when there are too many options. */
static int cut_model(struct serve_args *args)
{
    char *comma = strchr(args->model, ',');

    while (comma != NULL) {
        *comma = '\0';
        if (args->option_count == OPTIONS_MAX) {
            return 0;
        }
        args->option[args->option_count++] = comma + 1;
        comma = strchr(comma + 1, ',');
    }
    return 1;
}

static void log_client(void *user, const struct ferry_error *detail)
{
    (void)user;
    print_error("serve", detail, "a client was dropped");
}

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
    static const char line[] = "ready\n";

    if (args->json) {
        struct json_object *object = json_object_new_object();

        json_object_object_add(object, "model", json_object_new_string(args->model));
        json_object_object_add(object, "socket", json_object_new_string(args->socket));
        print_json(object, 0);
        json_object_put(object);
    }
    if (args->ready_fd >= 0) {
        if (write(args->ready_fd, line, sizeof(line) - 1) < 0) {
            print_error("serve", NULL, "--ready-fd %d: %s", args->ready_fd,
                        strerror(errno));
        }
        close(args->ready_fd);
    }
}

static int serve(const struct serve_args *args, struct ferry_device *device)
{
    struct ferry_server_options options = {
        .struct_size = sizeof(options),
        .path = args->socket,
        .handshake_timeout_ms = args->timeout_ms,
        .message_timeout_ms = args->timeout_ms,
        .dma_timeout_ms = args->timeout_ms,
        .log = log_client,
    };
    struct ferry_error error = { .code = FERRY_OK };
    int status = ferry_server_create(device, &options, &serving, &error);

    if (status == FERRY_E_EXISTS) {
        print_error("serve", NULL,
                    "cannot serve at %s: somebody listens there, or it is no socket; "
                    "choose another path or remove it",
                    args->socket);
        return EXIT_FAILED;
    }
    if (status < 0) {
        print_error("serve", &error, "cannot serve");
        return EXIT_FAILED;
    }
    if (!install_signals()) {
        print_error("serve", NULL, "sigaction: %s", strerror(errno));
        status = FERRY_E_IO;
    } else {
        say_ready(args);
        status = ferry_server_run(serving);
    }
    ferry_server_destroy(serving);
    if (status < 0) {
        print_error("serve", NULL, "serving ended: %s", ferry_status_text(status));
        return EXIT_FAILED;
    }
    return EXIT_OK;
}

int command_serve(int argc, char **argv)
{
    struct serve_args args = { .ready_fd = -1 };
    struct ferry_model_options options = { .struct_size = sizeof(options) };
    struct ferry_error error = { .code = FERRY_OK };
    struct ferry_device *device = NULL;
    const struct ferry_model *model;
    void *state = NULL;
    int result;

    argp_parse(&serve_argp, argc, argv, 0, NULL, &args);
    if (!cut_model(&args)) {
        print_error("serve", NULL, "more than %d options for a model", OPTIONS_MAX);
        return EXIT_USAGE;
    }
    model = ferry_model_find(args.model);
    if (model == NULL) {
        print_error("serve", NULL, "there is no model '%s'; see ferry serve --help",
                    args.model);
        return EXIT_USAGE;
    }
    options.count = args.option_count;
    options.option = args.option;
    if (model->create(&options, &device, &state, &error) < 0) {
        print_error("serve", &error, "cannot make a device of model '%s'", args.model);
        return error.code == FERRY_E_ARGUMENT ? EXIT_USAGE : EXIT_FAILED;
    }
    result = serve(&args, device);
    model->destroy(device, state);
    return result;
}
