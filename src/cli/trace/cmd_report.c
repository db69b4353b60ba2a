/* SPDX-License-Identifier: BSD-3-Clause */
#include <stdio.h>
#include <string.h>

#include "cli/commands.h"
#include "cli/output.h"
#include "cli/trace/trace.h"

#define SOURCES_MAX 64

enum report_key { KEY_CONTROL = 'c', KEY_OUTPUT = 'o', KEY_TRACE = 't', KEY_JSON = 'j' };

struct report_args {
    const char *file[SOURCES_MAX], *control[SOURCES_MAX];
    uint32_t file_count, control_count;
    const char *output, *trace;
    int json;
};

static const struct argp_option report_options[] = {
    { "control", KEY_CONTROL, "SOCKET", 0,
      "the last migration of a running host; as often as there are hosts", 0 },
    { "output", KEY_OUTPUT, "PAGE", 0, "write one HTML page that needs nothing else", 0 },
    { "trace", KEY_TRACE, "FILE", 0,
      "write all of it as one trace, for Perfetto or chrome://tracing", 0 },
    { "json", KEY_JSON, NULL, 0, "print the trace", 0 },
    { NULL, 0, NULL, 0, NULL, 0 },
};

static error_t parse_report(int key, char *text, struct argp_state *state)
{
    struct report_args *args = state->input;

    switch (key) {
    case KEY_CONTROL:
        if (args->control_count == SOURCES_MAX) {
            argp_error(state, "--control: at most %d", SOURCES_MAX);
        }
        args->control[args->control_count++] = text;
        return 0;
    case KEY_OUTPUT:
        args->output = text;
        return 0;
    case KEY_TRACE:
        args->trace = text;
        return 0;
    case KEY_JSON:
        args->json = 1;
        return 0;
    case ARGP_KEY_ARG:
        if (args->file_count == SOURCES_MAX) {
            argp_error(state, "at most %d files", SOURCES_MAX);
        }
        args->file[args->file_count++] = text;
        return 0;
    case ARGP_KEY_END:
        if (args->file_count + args->control_count == 0) {
            argp_error(state,
                       "a FILE of `ferry migrate --trace', or --control, is needed");
        }
        return 0;
    default:
        return ARGP_ERR_UNKNOWN;
    }
}

static const struct argp report_argp = {
    .options = report_options,
    .parser = parse_report,
    .args_doc = "[FILE...]",
    .doc = "Shows what each device, the memory and the session did when, of one or more "
           "migrations, and of both sides when both are given.",
};

static int add_file(struct json_object *all, const char *path, struct ferry_error *reterr)
{
    struct json_object *file = NULL;
    int status = trace_file_read(path, &file, reterr);

    if (status == FERRY_OK) {
        status = trace_file_merge(all, file, reterr);
        json_object_put(file);
    }
    return status;
}

static int add_control(struct json_object *all, const char *path,
                       struct ferry_error *reterr)
{
    static struct control_lines lines;
    struct json_object *side = NULL;
    int status = control_connect(&lines, path, reterr);

    if (status < 0) {
        return status;
    }
    status = trace_fetch(&lines, &side, reterr);
    control_lines_close(&lines);
    if (status == FERRY_OK) {
        trace_file_add(all, side);
        json_object_put(side);
    }
    return status;
}

int command_report(int argc, char **argv)
{
    struct report_args args = { .json = 0 };
    struct ferry_error error = { .code = FERRY_OK };
    struct json_object *all;
    const char *at = "";
    int status = FERRY_OK;

    argp_parse(&report_argp, argc, argv, 0, NULL, &args);
    all = trace_file_new();
    for (uint32_t i = 0; i < args.file_count && status == FERRY_OK; i++) {
        at = args.file[i];
        status = add_file(all, at, &error);
    }
    for (uint32_t i = 0; i < args.control_count && status == FERRY_OK; i++) {
        at = args.control[i];
        status = add_control(all, at, &error);
    }
    if (status == FERRY_OK) {
        trace_file_align(all);
        if (args.trace != NULL) {
            at = args.trace;
            status = trace_file_write(all, at, &error);
        }
        if (args.output != NULL && status == FERRY_OK) {
            at = args.output;
            status = trace_page_write(all, at, &error);
        }
        if (args.json && status == FERRY_OK) {
            print_json(all, 0);
        } else if (args.trace == NULL && args.output == NULL) {
            trace_print(all);
        }
    }
    json_object_put(all);
    if (status < 0) {
        print_error("report", &error, "%s", at);
        return EXIT_FAILED;
    }
    return EXIT_OK;
}
