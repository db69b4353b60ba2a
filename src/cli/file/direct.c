/* SPDX-License-Identifier: BSD-3-Clause */
#include "cli/file/direct.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/signalfd.h>
#include <sys/stat.h>
#include <unistd.h>

#define CONTROL_TIMEOUT_MS 30000

static void add_device(struct direct_args *args, char *text, struct argp_state *state)
{
    char *at = strchr(text, '=');

    if (at == NULL || at == text || at[1] == '\0') {
        argp_error(state, "--device takes NAME=URI, not '%s'", text);
        return;
    }
    if (args->device_count == DIRECT_DEVICES_MAX) {
        argp_error(state, "at most %d devices", DIRECT_DEVICES_MAX);
    }
    *at = '\0';
    args->device[args->device_count].uri = at + 1;
    args->device[args->device_count++].name = text;
}

error_t direct_parse(int key, char *text, struct argp_state *state,
                     struct direct_args *args)
{
    switch (key) {
    case KEY_CONTROL:
        args->control = text;
        return 0;
    case KEY_DEVICE:
        add_device(args, text, state);
        return 0;
    case KEY_DEVICE_TIMEOUT:
        args->device_timeout_ms =
            (uint32_t)parse_number(state, "--device-timeout", text, 1, 3600000);
        return 0;
    case KEY_JSON:
        args->json = 1;
        return 0;
    case KEY_QUIET:
        args->quiet = 1;
        return 0;
    case ARGP_KEY_ARG:
        args->file = parse_one(state, args->file, text, "file");
        return 0;
    case ARGP_KEY_END:
        if (args->file == NULL || args->file[0] == '\0') {
            argp_error(state, "a file is needed");
        }
        if ((args->control != NULL) == (args->device_count > 0)) {
            argp_error(state, "either --control or at least one --device is needed");
        }
        return 0;
    default:
        return ARGP_ERR_UNKNOWN;
    }
}

int direct_signals(void)
{
    sigset_t set;

    sigemptyset(&set);
    sigaddset(&set, SIGINT);
    sigaddset(&set, SIGTERM);
    if (sigprocmask(SIG_BLOCK, &set, NULL) < 0) {
        return -1;
    }
    return signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
}

int direct_absolute(const char *file, char *ret_path, size_t cap)
{
    char *folder;
    int length;

    if (file[0] == '/') {
        length = snprintf(ret_path, cap, "%s", file);
        return length > 0 && (size_t)length < cap;
    }
    folder = getcwd(NULL, 0);
    length = folder != NULL ? snprintf(ret_path, cap, "%s/%s", folder, file) : -1;
    free(folder);
    return length > 0 && (size_t)length < cap;
}

static void on_event(void *user, struct ferry_context *context,
                     const struct ferry_host_event *event)
{
    struct direct *direct = user;
    struct json_object *object;

    (void)context;
    if (event->kind != FERRY_HOST_PHASE && event->kind != FERRY_HOST_PROGRESS &&
        event->kind != FERRY_HOST_FINISHED) {
        return;
    }
    object = json_progress(event->phase, &event->progress);
    if (event->kind != FERRY_HOST_FINISHED) {
        progress_show(direct->progress, object);
        json_object_put(object);
        return;
    }
    json_object_object_add(object, "report", json_report(event->report));
    json_object_put(direct->last);
    direct->last = object;
}

static const struct ferry_context_ops ops = {
    .struct_size = sizeof(ops),
    .event = on_event,
};

int direct_open(struct direct *direct, const char *command,
                const struct direct_args *args, struct progress_line *progress)
{
    struct ferry_context_options options = { .struct_size = sizeof(options),
                                             .ops = &ops,
                                             .user = direct,
                                             .device_timeout_ms =
                                                 args->device_timeout_ms };
    struct ferry_error error = { .code = FERRY_OK };
    int status;

    memset(direct, 0, sizeof(*direct));
    direct->progress = progress;
    status = ferry_context_create(&options, &direct->context, &error);
    if (status < 0) {
        print_error(command, &error, "cannot make a context");
        return status;
    }
    for (uint32_t i = 0; i < args->device_count && status >= 0; i++) {
        status = ferry_context_add_device(direct->context, args->device[i].name,
                                          args->device[i].uri, &error);
    }
    if (status < 0) {
        print_open_error(command, &error);
    }
    return status < 0 ? status : FERRY_OK;
}

void direct_follow(struct direct *direct, int stop_fd, struct move_result *ret_result)
{
    struct pollfd wait[2] = {
        { .fd = ferry_context_fd(direct->context), .events = POLLIN },
        { .fd = stop_fd, .events = POLLIN },
    };

    while (direct->last == NULL) {
        if (poll(wait, 2, -1) < 0 && errno != EINTR) {
            break;
        }
        if (wait[1].revents != 0) {
            /* Asked for once; the end still comes as an event. */
            (void)ferry_context_cancel(direct->context);
            wait[1].fd = -1;
            wait[1].revents = 0;
        }
        if (ferry_context_dispatch(direct->context, 0) < 0) {
            break;
        }
    }
    progress_end(direct->progress);
    if (direct->last != NULL) {
        move_take_report(direct->last, ret_result);
    } else {
        ret_result->code = EXIT_FAILED;
        ferry_error_set(&ret_result->error, FERRY_E_IO, "host", NULL, 0,
                        "waiting for events failed");
    }
}

void direct_close(struct direct *direct)
{
    if (direct->context != NULL) {
        ferry_context_destroy(direct->context);
    }
    json_object_put(direct->last);
}

void direct_ask(const struct direct_args *args, struct json_object *request, int stop_fd,
                struct progress_line *progress, struct move_result *ret_result)
{
    static struct control_lines lines;
    int status;

    memset(ret_result, 0, sizeof(*ret_result));
    status = control_connect(&lines, args->control, &ret_result->error);
    if (status < 0) {
        ret_result->code = EXIT_FAILED;
        json_object_put(request);
        return;
    }
    move_ask(&lines, request, stop_fd, CONTROL_TIMEOUT_MS, progress, ret_result);
    control_lines_close(&lines);
}

void direct_print_json(const struct direct_args *args, const struct move_result *result)
{
    struct stat about;

    if (result->report == NULL) {
        return;
    }
    json_object_object_add(result->report, "file", json_object_new_string(args->file));
    if (stat(args->file, &about) == 0 && S_ISREG(about.st_mode)) {
        json_object_object_add(result->report, "file_bytes",
                               json_u64((uint64_t)about.st_size));
    }
    print_json(result->report, 1);
}
