/* SPDX-License-Identifier: BSD-3-Clause */
#include <stdio.h>
#include <string.h>

#include "cli/commands.h"
#include "cli/control.h"
#include "cli/output.h"

#define CONTROL_TIMEOUT_MS 30000

enum resolve_key {
    KEY_CONTROL = 'c',
    KEY_JSON = 'j',
    KEY_RUN_HERE = 0x100,
    KEY_DISCARD,
    KEY_FORCE
};

struct resolve_args {
    const char *control;
    int run_here, discard, force, json;
};

static const struct argp_option resolve_options[] = {
    { "control", KEY_CONTROL, "SOCKET", 0, "control socket of the host (required)", 0 },
    { "run-here", KEY_RUN_HERE, NULL, 0, "this side goes on; the other must be discarded",
      0 },
    { "discard", KEY_DISCARD, NULL, 0, "this side gives its state up; the other goes on",
      0 },
    { "force", KEY_FORCE, NULL, 0,
      "with --run-here: also against the arbiter's decision, when the other host is dead",
      0 },
    { "json", KEY_JSON, NULL, 0, "print JSON", 0 },
    { NULL, 0, NULL, 0, NULL, 0 },
};

static error_t parse_resolve(int key, char *text, struct argp_state *state)
{
    struct resolve_args *args = state->input;

    switch (key) {
    case KEY_CONTROL:
        args->control = text;
        return 0;
    case KEY_RUN_HERE:
        args->run_here = 1;
        return 0;
    case KEY_DISCARD:
        args->discard = 1;
        return 0;
    case KEY_FORCE:
        args->force = 1;
        return 0;
    case KEY_JSON:
        args->json = 1;
        return 0;
    case ARGP_KEY_END:
        if (args->control == NULL || args->run_here == args->discard) {
            argp_error(state, "--control and either --run-here or --discard are needed");
        }
        return 0;
    default:
        return ARGP_ERR_UNKNOWN;
    }
}

static const struct argp resolve_argp = {
    .options = resolve_options,
    .parser = parse_resolve,
    .doc = "The operator's word after a migration that ended undecided: both hosts hold "
           "their "
           "complete, stopped state, and exactly one may go on.",
};

int command_resolve(int argc, char **argv)
{
    static struct control_lines lines;
    struct resolve_args args = { .json = 0 };
    struct ferry_error error = { .code = FERRY_OK };
    struct json_object *request = NULL, *reply = NULL;
    int status;

    argp_parse(&resolve_argp, argc, argv, 0, NULL, &args);
    if (control_connect(&lines, args.control, &error) < 0) {
        print_error("resolve", &error, "no host");
        return EXIT_FAILED;
    }
    request = control_command("resolve");
    json_object_object_add(request, "run_here", json_object_new_boolean(args.run_here));
    json_object_object_add(request, "force", json_object_new_boolean(args.force));
    status = control_call(&lines, request, CONTROL_TIMEOUT_MS, &reply, &error);
    control_lines_close(&lines);
    if (status < 0) {
        print_error("resolve", &error, "not done");
        return status == FERRY_E_STATE ? EXIT_REFUSED : EXIT_FAILED;
    }
    if (args.json) {
        print_json(reply, 1);
    } else {
        puts(args.run_here ? "this side goes on" : "this side has given its state up");
    }
    json_object_put(reply);
    return EXIT_OK;
}
