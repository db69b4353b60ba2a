/* SPDX-License-Identifier: BSD-3-Clause */
#include <limits.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "cli/file/direct.h"

enum restore_key { KEY_HOLD = KEY_DIRECT_END, KEY_ARC_LIMIT };

struct restore_args {
    struct direct_args direct;
    int hold;
    struct ferry_migrate_options limits;
};

static const struct argp_option restore_options[] = {
    { "control", KEY_CONTROL, "SOCKET", 0, "control socket of a running host", 0 },
    { "device", KEY_DEVICE, "NAME=URI", 0,
      "restore this device, without a host and without memory; may be repeated", 0 },
    { "device-timeout", KEY_DEVICE_TIMEOUT, "MS", 0,
      "longest wait for a --device (10000)", 0 },
    { "hold", KEY_HOLD, NULL, 0,
      "keep each --device, restored and running, until an interrupt", 0 },
    { "arc-limit", KEY_ARC_LIMIT, "MS", 0, "a device takes no longer for a step (5000)",
      0 },
    { "json", KEY_JSON, NULL, 0, "print the figures as JSON", 0 },
    { "quiet", KEY_QUIET, NULL, 0, "no progress", 0 },
    { NULL, 0, NULL, 0, NULL, 0 },
};

static error_t parse_restore(int key, char *text, struct argp_state *state)
{
    struct restore_args *args = state->input;

    switch (key) {
    case KEY_HOLD:
        args->hold = 1;
        return 0;
    case KEY_ARC_LIMIT:
        args->limits.arc_limit_ms = parse_ms(state, "--arc-limit", text);
        return 0;
    case ARGP_KEY_END:
        if (args->hold && args->direct.control != NULL) {
            argp_error(state, "--hold is for --device; a host holds its devices anyway");
        }
        return direct_parse(key, text, state, &args->direct);
    default:
        return direct_parse(key, text, state, &args->direct);
    }
}

static const struct argp restore_argp = {
    .options = restore_options,
    .parser = parse_restore,
    .args_doc = "FILE",
    .doc = "Restores what `ferry save` wrote in FILE into a running `ferry host` that "
           "waits for a context, or into devices. The whole file is checked before a "
           "device is touched.",
};

static void print_outcome(const struct restore_args *args,
                          const struct move_result *result)
{
    const char *file = args->direct.file;

    if (args->direct.json) {
        direct_print_json(&args->direct, result);
    }
    switch ((enum exit_code)result->code) {
    case EXIT_OK:
        if (!args->direct.json) {
            printf("restored from %s; the devices run\n", file);
            fflush(stdout);
        }
        return;
    case EXIT_REFUSED:
        print_error("restore", &result->error, "%s: refused, nothing was touched", file);
        return;
    case EXIT_ROLLED_BACK:
        print_error("restore", &result->error, "%s: not restored, the devices were reset",
                    file);
        return;
    case EXIT_CANCELLED:
        print_error("restore", NULL, "cancelled, the devices were reset");
        return;
    case EXIT_LOST:
        print_error("restore", &result->error, "a device does not run");
        return;
    case EXIT_FAILED:
    case EXIT_USAGE:
    case EXIT_UNDECIDED:
        print_error("restore", &result->error, "%s: failed", file);
        return;
    }
}

/* Devices forget what they have when nobody holds them. */
static void hold(struct direct *direct, int stop_fd)
{
    struct pollfd wait[2] = {
        { .fd = ferry_context_fd(direct->context), .events = POLLIN },
        { .fd = stop_fd, .events = POLLIN },
    };

    do {
        if (wait[0].revents != 0 && ferry_context_dispatch(direct->context, 0) < 0) {
            return;
        }
        (void)poll(wait, 2, -1);
    } while (wait[1].revents == 0);
}

static void restore_directly(struct restore_args *args, struct progress_line *progress,
                             int stop_fd, struct move_result *ret_result)
{
    struct direct direct;

    memset(ret_result, 0, sizeof(*ret_result));
    if (direct_open(&direct, "restore", &args->direct, progress) < 0) {
        ret_result->code = EXIT_FAILED;
    } else if (ferry_context_restore(direct.context, args->direct.file, &args->limits,
                                     &ret_result->error) < 0) {
        ret_result->code = EXIT_REFUSED;
    } else {
        direct_follow(&direct, stop_fd, ret_result);
    }
    if (ret_result->code != EXIT_FAILED || ret_result->error.code != FERRY_OK) {
        print_outcome(args, ret_result);
    }
    if (ret_result->code == EXIT_OK && args->hold) {
        hold(&direct, stop_fd);
    }
    direct_close(&direct);
}

int command_restore(int argc, char **argv)
{
    struct restore_args args = { .limits = { .struct_size = sizeof(args.limits) } };
    struct json_object *request;
    struct move_result result;
    struct progress_line progress;
    char path[PATH_MAX];
    int stop_fd;

    argp_parse(&restore_argp, argc, argv, 0, NULL, &args);
    if (!direct_absolute(args.direct.file, path, sizeof(path))) {
        print_error("restore", NULL, "%s: the path is too long", args.direct.file);
        return EXIT_USAGE;
    }
    stop_fd = direct_signals();
    progress_init(&progress, "restore", args.direct.json || args.direct.quiet);
    if (args.direct.control == NULL) {
        restore_directly(&args, &progress, stop_fd, &result);
    } else {
        request = control_command("restore");
        json_object_object_add(request, "file", json_object_new_string(path));
        json_object_object_add(request, "arc_limit_ms",
                               json_u64(args.limits.arc_limit_ms));
        direct_ask(&args.direct, request, stop_fd, &progress, &result);
        print_outcome(&args, &result);
    }
    move_result_free(&result);
    if (stop_fd >= 0) {
        close(stop_fd);
    }
    return result.code;
}
