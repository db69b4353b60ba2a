/* SPDX-License-Identifier: BSD-3-Clause */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "cli/commands.h"
#include "cli/output.h"
#include "cli/serve/serve.h"
#include "ferry/transcript.h"

#define MASKS_MAX 64

enum replay_key { KEY_SOCKET = 's', KEY_MASK = 'm', KEY_JSON = 'j', KEY_TIMEOUT = 0x100 };

struct replay_args {
    const char *file;
    const char *socket;
    struct served_device device; /* without --socket: served in this process */
    struct ferry_replay_mask mask[MASKS_MAX];
    size_t mask_count;
    uint32_t timeout_ms;
    int json;
};

static const struct argp_option replay_options[] = {
    { "socket", KEY_SOCKET, "PATH", 0, "replay to the server that listens at PATH", 0 },
    { "mask", KEY_MASK, "COMMAND[:OFFSET+SIZE]", 0,
      "do not compare these bytes of the payload of COMMAND's messages (all of it and "
      "its "
      "size without OFFSET); can be repeated",
      0 },
    { "timeout", KEY_TIMEOUT, "MS", 0, "longest wait for an answer (5000)", 0 },
    { "json", KEY_JSON, NULL, 0, "say in JSON how it went", 0 },
    { NULL, 0, NULL, 0, NULL, 0 },
};

/* "VERSION", "REGION_READ:16+4". */
static void add_mask(struct replay_args *args, const char *text,
                     const struct argp_state *state)
{
    struct ferry_replay_mask *mask = &args->mask[args->mask_count];
    char name[64];
    const char *colon = strchr(text, ':');
    size_t length = colon != NULL ? (size_t)(colon - text) : strlen(text);
    unsigned long off = 0, size = 0;
    char *end = NULL;
    int command = FERRY_E_NOT_FOUND;

    if (args->mask_count == MASKS_MAX) {
        argp_error(state, "more than %d --mask", MASKS_MAX);
    }
    if (length < sizeof(name)) {
        memcpy(name, text, length);
        name[length] = '\0';
        command = ferry_replay_command(name);
    }
    if (command < 0) {
        argp_error(state, "--mask %s: no command of vfio-user has this name", text);
    }
    if (colon != NULL) {
        off = strtoul(colon + 1, &end, 0);
        if (end == colon + 1 || *end != '+' || off > UINT32_MAX) {
            argp_error(state, "--mask takes COMMAND or COMMAND:OFFSET+SIZE, not '%s'",
                       text);
        }
        colon = end + 1;
        size = strtoul(colon, &end, 0);
        if (end == colon || *end != '\0' || size == 0 || size > UINT32_MAX) {
            argp_error(state, "--mask takes COMMAND or COMMAND:OFFSET+SIZE, not '%s'",
                       text);
        }
    }
    mask->command = (uint32_t)command;
    mask->off = (uint32_t)off;
    mask->size = (uint32_t)size;
    args->mask_count++;
}

static error_t parse_replay(int key, char *text, struct argp_state *state)
{
    struct replay_args *args = state->input;

    switch (key) {
    case KEY_SOCKET:
        args->socket = text;
        return 0;
    case KEY_MASK:
        add_mask(args, text, state);
        return 0;
    case KEY_TIMEOUT:
        args->timeout_ms = (uint32_t)parse_number(state, "--timeout", text, 1, 3600000);
        return 0;
    case KEY_JSON:
        args->json = 1;
        return 0;
    case ARGP_KEY_ARG:
        if (args->file == NULL) {
            args->file = text;
        } else if (args->device.model == NULL) {
            args->device.model = text;
        } else {
            argp_error(state, "one FILE and one MODEL, not also '%s'", text);
        }
        return 0;
    case ARGP_KEY_END:
        if (args->file == NULL) {
            argp_error(state, "FILE is needed");
        }
        if ((args->socket != NULL) == (args->device.model != NULL)) {
            argp_error(state, "either --socket or a MODEL is needed");
        }
        return 0;
    default:
        return ARGP_ERR_UNKNOWN;
    }
}

static const struct argp replay_argp = {
    .options = replay_options,
    .parser = parse_replay,
    .args_doc = "FILE [MODEL[,KEY=VALUE...]]",
    .doc = "Says to a vfio-user server what a client said once (ferry serve --record), "
           "and compares the answers with those of then. The server is the one at "
           "--socket, or a new device of MODEL in this process.",
};

static int connect_path(const char *path, int *ret_fd, struct ferry_error *reterr)
{
    struct sockaddr_un name = { .sun_family = AF_UNIX };
    int fd;

    if (strlen(path) >= sizeof(name.sun_path)) {
        snprintf(reterr->text, sizeof(reterr->text), "%s: too long for a socket", path);
        return FERRY_E_LIMIT;
    }
    memcpy(name.sun_path, path, strlen(path) + 1);
    fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0 || connect(fd, (const struct sockaddr *)&name, sizeof(name)) != 0) {
        snprintf(reterr->text, sizeof(reterr->text), "%.160s: %s", path, strerror(errno));
        if (fd >= 0) {
            close(fd);
        }
        return FERRY_E_NOT_FOUND;
    }
    *ret_fd = fd;
    return FERRY_OK;
}

/* The server ends by itself when its client has closed. */
static void end_server(struct served_device *device)
{
    if (device->has_thread) {
        pthread_join(device->thread, NULL);
        device->has_thread = 0;
    }
    ferry_server_destroy(device->server);
    device->server = NULL;
}

static void *run_server(void *user)
{
    struct served_device *device = user;

    device->status = ferry_server_run(device->server);
    return NULL;
}

static int connect_model(struct served_device *device, int *ret_fd,
                         struct ferry_error *reterr)
{
    struct ferry_server_options options = { .struct_size = sizeof(options) };
    int pair[2];
    int status;

    end_server(device);
    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) != 0) {
        return FERRY_E_LIMIT;
    }
    options.fd = &pair[0];
    status = ferry_server_create_endpoint(device->top, &options, &device->server, reterr);
    if (status < 0) {
        close(pair[1]);
        return status;
    }
    if (pthread_create(&device->thread, NULL, run_server, device) != 0) {
        close(pair[1]);
        return FERRY_E_LIMIT;
    }
    device->has_thread = 1;
    *ret_fd = pair[1];
    return FERRY_OK;
}

static int connect_again(void *user, int *ret_fd, struct ferry_error *reterr)
{
    struct replay_args *args = user;

    return args->socket != NULL ? connect_path(args->socket, ret_fd, reterr)
                                : connect_model(&args->device, ret_fd, reterr);
}

static void tell_json(const struct ferry_replay_result *result, int status,
                      const struct ferry_error *error)
{
    struct json_object *object = json_object_new_object();

    json_object_object_add(object, "sent", json_u64(result->sent));
    json_object_object_add(object, "compared", json_u64(result->compared));
    json_object_object_add(object, "same", json_object_new_boolean(status == FERRY_OK));
    if (result->number > 0) {
        json_object_object_add(object, "message", json_u64(result->number));
        json_object_object_add(
            object, "command",
            json_object_new_string(ferry_replay_command_name(result->command)));
        json_object_object_add(object, "field", json_object_new_string(result->field));
        json_object_object_add(object, "offset", json_u64(result->offset));
        json_object_object_add(object, "wanted", json_u64(result->wanted));
        json_object_object_add(object, "got", json_u64(result->got));
    } else if (status != FERRY_OK) {
        json_object_object_add(object, "error", json_error(error));
    }
    print_json(object, 1);
    json_object_put(object);
}

static int replay(struct replay_args *args)
{
    const struct ferry_replay_options options = {
        .struct_size = sizeof(options),
        .connect = connect_again,
        .user = args,
        .mask = args->mask,
        .mask_count = args->mask_count,
        .timeout_ms = args->timeout_ms,
    };
    struct ferry_error error = { .code = FERRY_OK };
    struct ferry_replay_result result;
    const int status = ferry_replay(args->file, &options, &result, &error);

    if (args->json) {
        tell_json(&result, status, &error);
    } else if (status == FERRY_OK) {
        printf("the same: %u messages sent, %u answers compared\n", result.sent,
               result.compared);
    }
    if (status != FERRY_OK) {
        print_error("replay", &error,
                    status == FERRY_E_INCOMPATIBLE ? "not the same"
                                                   : "cannot replay the file");
        return EXIT_FAILED;
    }
    return EXIT_OK;
}

int command_replay(int argc, char **argv)
{
    struct replay_args *args = calloc(1, sizeof(*args));
    int result = EXIT_OK;

    if (args == NULL) {
        print_error("replay", NULL, "out of memory");
        return EXIT_FAILED;
    }
    argp_parse(&replay_argp, argc, argv, 0, NULL, args);
    if (args->socket == NULL) {
        result = served_open_device(&args->device);
    }
    if (result == EXIT_OK) {
        result = replay(args);
    }
    end_server(&args->device);
    served_close(&args->device);
    free(args);
    return result;
}
