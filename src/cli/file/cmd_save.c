/* SPDX-License-Identifier: BSD-3-Clause */
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cli/file/direct.h"

enum save_key {
    KEY_THEN = KEY_DIRECT_END,
    KEY_STOP,
    KEY_COMPRESS,
    KEY_MAX_DOWNTIME,
    KEY_DEADLINE,
    KEY_STOP_DEADLINE,
    KEY_ARC_LIMIT
};

#define COMPRESS_DEFAULT 3

struct save_args {
    struct direct_args direct;
    uint32_t then, compress;
    struct ferry_migrate_options limits;
};

static const struct argp_option save_options[] = {
    { "control", KEY_CONTROL, "SOCKET", 0, "control socket of a running host", 0 },
    { "device", KEY_DEVICE, "NAME=URI", 0,
      "save this device, without a host and without memory; may be repeated", 0 },
    { "device-timeout", KEY_DEVICE_TIMEOUT, "MS", 0,
      "longest wait for a --device (10000)", 0 },
    { "then", KEY_THEN, "run|stop", 0,
      "whether the devices run on, or are left to the file (run)", 0 },
    { "stop", KEY_STOP, NULL, 0, "as --then=stop", 0 },
    { "compress", KEY_COMPRESS, "LEVEL", OPTION_ARG_OPTIONAL, "pack the file (3)", 0 },
    { "max-downtime", KEY_MAX_DOWNTIME, "MS", 0,
      "stop only when it takes no longer (2000)", 0 },
    { "deadline", KEY_DEADLINE, "MS", 0,
      "give up when that is not reached by then (60000)", 0 },
    { "stop-deadline", KEY_STOP_DEADLINE, "MS", 0,
      "after the stop: written by then, or given up (10000)", 0 },
    { "arc-limit", KEY_ARC_LIMIT, "MS", 0, "a device takes no longer for a step (5000)",
      0 },
    { "json", KEY_JSON, NULL, 0, "print the figures as JSON", 0 },
    { "quiet", KEY_QUIET, NULL, 0, "no progress", 0 },
    { NULL, 0, NULL, 0, NULL, 0 },
};

static error_t parse_save(int key, char *text, struct argp_state *state)
{
    struct save_args *args = state->input;
    struct ferry_migrate_options *limits = &args->limits;

    switch (key) {
    case KEY_THEN:
        if (strcmp(text, "run") != 0 && strcmp(text, "stop") != 0) {
            argp_error(state, "--then takes run or stop, not '%s'", text);
        }
        args->then = text[0] == 's' ? FERRY_SAVE_STOP : FERRY_SAVE_RUN;
        return 0;
    case KEY_STOP:
        args->then = FERRY_SAVE_STOP;
        return 0;
    case KEY_COMPRESS:
        args->compress = COMPRESS_DEFAULT;
        if (text != NULL) {
            args->compress = (uint32_t)parse_number(state, "--compress", text, 1, 19);
        }
        return 0;
    case KEY_MAX_DOWNTIME:
        limits->max_downtime_ms = parse_ms(state, "--max-downtime", text);
        return 0;
    case KEY_DEADLINE:
        limits->deadline_ms = parse_ms(state, "--deadline", text);
        return 0;
    case KEY_STOP_DEADLINE:
        limits->stop_deadline_ms = parse_ms(state, "--stop-deadline", text);
        return 0;
    case KEY_ARC_LIMIT:
        limits->arc_limit_ms = parse_ms(state, "--arc-limit", text);
        return 0;
    default:
        return direct_parse(key, text, state, &args->direct);
    }
}

static const struct argp save_argp = {
    .options = save_options,
    .parser = parse_save,
    .args_doc = "FILE",
    .doc = "Saves the state of a running `ferry host`, or of devices, in FILE. The "
           "devices run on. An interrupt cancels it: they run on without a file.",
};

static void print_outcome(const struct save_args *args, const struct move_result *result)
{
    const char *file = args->direct.file;
    struct stat about;
    char text[TEXT_BYTES];

    if (args->direct.json) {
        direct_print_json(&args->direct, result);
    }
    switch ((enum exit_code)result->code) {
    case EXIT_OK:
        if (!args->direct.json) {
            printf("saved in %s (%s); the devices %s\n", file,
                   stat(file, &about) == 0 ? text_bytes((uint64_t)about.st_size, text)
                                           : "?",
                   args->then == FERRY_SAVE_RUN ? "run on" : "are left to it");
            print_report(result->report);
        }
        return;
    case EXIT_REFUSED:
        print_error("save", &result->error, "%s: refused, nothing was touched", file);
        return;
    case EXIT_ROLLED_BACK:
        print_error("save", &result->error, "%s: not saved, the devices run on", file);
        return;
    case EXIT_CANCELLED:
        print_error("save", NULL, "cancelled, the devices run on");
        return;
    case EXIT_LOST:
        print_error("save", &result->error, "a device could not be brought back");
        return;
    case EXIT_FAILED:
    case EXIT_USAGE:
    case EXIT_UNDECIDED:
        print_error("save", &result->error, "%s: failed", file);
        return;
    }
}

static struct json_object *make_request(const struct save_args *args, const char *path)
{
    struct json_object *request = control_command("save");

    json_object_object_add(request, "file", json_object_new_string(path));
    json_object_object_add(request, "stop",
                           json_object_new_boolean(args->then == FERRY_SAVE_STOP));
    json_object_object_add(request, "compress", json_u64(args->compress));
    json_object_object_add(request, "max_downtime_ms",
                           json_u64(args->limits.max_downtime_ms));
    json_object_object_add(request, "deadline_ms", json_u64(args->limits.deadline_ms));
    json_object_object_add(request, "stop_deadline_ms",
                           json_u64(args->limits.stop_deadline_ms));
    json_object_object_add(request, "arc_limit_ms", json_u64(args->limits.arc_limit_ms));
    return request;
}

static void save_directly(struct save_args *args, struct progress_line *progress,
                          int stop_fd, struct move_result *ret_result)
{
    struct ferry_save_options options = { .struct_size = sizeof(options),
                                          .then = args->then,
                                          .compress = args->compress,
                                          .limits = &args->limits };
    struct direct direct;

    memset(ret_result, 0, sizeof(*ret_result));
    if (direct_open(&direct, "save", &args->direct, progress) < 0) {
        ret_result->code = EXIT_FAILED;
    } else if (ferry_context_save(direct.context, args->direct.file, &options,
                                  &ret_result->error) < 0) {
        ret_result->code = EXIT_REFUSED;
    } else {
        direct_follow(&direct, stop_fd, ret_result);
    }
    direct_close(&direct);
}

int command_save(int argc, char **argv)
{
    struct save_args args = { .limits = { .struct_size = sizeof(args.limits) } };
    struct move_result result;
    struct progress_line progress;
    char path[PATH_MAX];
    int stop_fd;

    argp_parse(&save_argp, argc, argv, 0, NULL, &args);
    if (!direct_absolute(args.direct.file, path, sizeof(path))) {
        print_error("save", NULL, "%s: the path is too long", args.direct.file);
        return EXIT_USAGE;
    }
    stop_fd = direct_signals();
    progress_init(&progress, "save", args.direct.json || args.direct.quiet);
    if (args.direct.control != NULL) {
        direct_ask(&args.direct, make_request(&args, path), stop_fd, &progress, &result);
    } else {
        save_directly(&args, &progress, stop_fd, &result);
    }
    if (result.code != EXIT_FAILED || result.error.code != FERRY_OK) {
        print_outcome(&args, &result);
    }
    move_result_free(&result);
    if (stop_fd >= 0) {
        close(stop_fd);
    }
    return result.code;
}
