/* SPDX-License-Identifier: BSD-3-Clause */
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include "cli/commands.h"
#include "cli/control.h"
#include "cli/move/move.h"
#include "cli/output.h"
#include "cli/trace/trace.h"

#define CONTROL_TIMEOUT_MS 30000

enum migrate_key {
    KEY_CONTROL = 'c',
    KEY_JSON = 'j',
    KEY_QUIET = 'q',
    KEY_MAX_DOWNTIME = 0x100,
    KEY_DEADLINE,
    KEY_STOP_DEADLINE,
    KEY_ARC_LIMIT,
    KEY_PEER_LIMIT,
    KEY_BANDWIDTH,
    KEY_CONNECTIONS,
    KEY_ARBITER,
    KEY_MIN_IN_FLIGHT,
    KEY_TRACE
};

struct migrate_args {
    const char *control;
    struct move_options move;
    const char *trace;
    int json, quiet;
};

static const struct argp_option migrate_options[] = {
    { "control", KEY_CONTROL, "SOCKET", 0, "control socket of the host (required)", 0 },
    { "max-downtime", KEY_MAX_DOWNTIME, "MS", 0,
      "stop only when it takes no longer (300)", 0 },
    { "deadline", KEY_DEADLINE, "MS", 0,
      "give up when that is not reached by then (60000)", 0 },
    { "stop-deadline", KEY_STOP_DEADLINE, "MS", 0,
      "after the stop: committed by then, or back (10000)", 0 },
    { "arc-limit", KEY_ARC_LIMIT, "MS", 0, "a device takes no longer for a step (5000)",
      0 },
    { "peer-limit", KEY_PEER_LIMIT, "MS", 0,
      "the target takes no longer for an answer (10000)", 0 },
    { "bandwidth", KEY_BANDWIDTH, "SIZE", 0, "bytes a second before the stop (no limit)",
      0 },
    { "connections", KEY_CONNECTIONS, "N", 0,
      "spread memory and device data over at most N connections (1)", 0 },
    { "arbiter", KEY_ARBITER, "ARBITER", 0, "none, or file:FOLDER that both hosts reach",
      0 },
    { "min-in-flight", KEY_MIN_IN_FLIGHT, "N", 0,
      "refuse when the guest has fewer requests in flight", 0 },
    { "trace", KEY_TRACE, "FILE", 0,
      "write the timeline: for `ferry report', Perfetto or chrome://tracing", 0 },
    { "json", KEY_JSON, NULL, 0, "print the figures as JSON", 0 },
    { "quiet", KEY_QUIET, NULL, 0, "no progress", 0 },
    { NULL, 0, NULL, 0, NULL, 0 },
};

static error_t parse_limits(int key, char *text, struct argp_state *state)
{
    struct move_options *move = &((struct migrate_args *)state->input)->move;

    switch (key) {
    case KEY_MAX_DOWNTIME:
        move->max_downtime_ms = parse_ms(state, "--max-downtime", text);
        return 0;
    case KEY_DEADLINE:
        move->deadline_ms = parse_ms(state, "--deadline", text);
        return 0;
    case KEY_STOP_DEADLINE:
        move->stop_deadline_ms = parse_ms(state, "--stop-deadline", text);
        return 0;
    case KEY_ARC_LIMIT:
        move->arc_limit_ms = parse_ms(state, "--arc-limit", text);
        return 0;
    case KEY_PEER_LIMIT:
        move->peer_limit_ms = parse_ms(state, "--peer-limit", text);
        return 0;
    case KEY_BANDWIDTH:
        move->bandwidth = parse_size(state, "--bandwidth", text, 1, 1ull << 50);
        return 0;
    case KEY_CONNECTIONS:
        move->connections = parse_number(state, "--connections", text, 1, 16);
        return 0;
    case KEY_ARBITER:
        move->arbiter = parse_arbiter(state, text);
        return 0;
    case KEY_MIN_IN_FLIGHT:
        move->min_in_flight = parse_number(state, "--min-in-flight", text, 0, 1000000);
        return 0;
    default:
        return ARGP_ERR_UNKNOWN;
    }
}

static error_t parse_migrate(int key, char *text, struct argp_state *state)
{
    struct migrate_args *args = state->input;

    switch (key) {
    case KEY_CONTROL:
        args->control = text;
        return 0;
    case KEY_JSON:
        args->json = 1;
        return 0;
    case KEY_QUIET:
        args->quiet = 1;
        return 0;
    case KEY_TRACE:
        args->trace = text;
        return 0;
    case ARGP_KEY_ARG:
        args->move.to = parse_one(state, args->move.to, text, "address");
        return 0;
    case ARGP_KEY_END:
        if (args->control == NULL || args->move.to == NULL) {
            argp_error(state,
                       "--control and an address such as tcp:127.0.0.1:4000 are needed");
        }
        return 0;
    default:
        return parse_limits(key, text, state);
    }
}

static const struct argp migrate_argp = {
    .options = migrate_options,
    .parser = parse_migrate,
    .args_doc = "ADDRESS",
    .doc =
        "Moves the context of a running `ferry host` to the one that listens at ADDRESS. "
        "An interrupt cancels the migration: the source goes on.",
};

static void print_outcome(const struct migrate_args *args,
                          const struct move_result *result)
{
    if (args->json && result->report != NULL) {
        print_json(result->report, 1);
    }
    switch ((enum exit_code)result->code) {
    case EXIT_OK:
        if (!args->json) {
            printf("moved to %s\n", args->move.to);
            print_report(result->report);
        }
        return;
    case EXIT_UNDECIDED:
        print_error(
            "migrate", &result->error,
            "undecided: both sides hold their complete stopped state. Find out that "
            "only one goes on, then: ferry resolve --control %s --run-here | --discard",
            args->control);
        return;
    case EXIT_REFUSED:
        print_error("migrate", &result->error, "%s: refused, nothing was touched",
                    args->move.to);
        return;
    case EXIT_ROLLED_BACK:
        print_error("migrate", &result->error, "rolled back, the source runs again");
        return;
    case EXIT_CANCELLED:
        print_error("migrate", NULL, "cancelled, the source runs again");
        return;
    case EXIT_LOST:
        print_error("migrate", &result->error, "a device could not be brought back");
        return;
    case EXIT_FAILED:
    case EXIT_USAGE:
        print_error("migrate", &result->error, "failed");
        return;
    }
}

/* The migration is over, whatever becomes of its timeline. */
static void save_trace(struct control_lines *lines, const char *path)
{
    struct ferry_error error = { .code = FERRY_OK };

    if (trace_save(&lines, 1, path, &error) < 0) {
        print_error("migrate", &error, "--trace %s", path);
    }
}

int command_migrate(int argc, char **argv)
{
    static struct control_lines lines;
    struct migrate_args args = { .json = 0 };
    struct move_result result;
    struct progress_line progress;
    struct ferry_error error = { .code = FERRY_OK };
    sigset_t set;

    argp_parse(&migrate_argp, argc, argv, 0, NULL, &args);
    if (control_connect(&lines, args.control, &error) < 0) {
        print_error("migrate", &error, "no host");
        return EXIT_FAILED;
    }
    sigemptyset(&set);
    sigaddset(&set, SIGINT);
    sigaddset(&set, SIGTERM);
    sigprocmask(SIG_BLOCK, &set, NULL);
    args.move.stop_fd = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
    args.move.reply_timeout_ms = CONTROL_TIMEOUT_MS;
    progress_init(&progress, "migrate", args.json || args.quiet);
    move(&lines, &args.move, &progress, &result);
    print_outcome(&args, &result);
    if (args.trace != NULL && result.report != NULL) {
        save_trace(&lines, args.trace);
    }
    move_result_free(&result);
    control_lines_close(&lines);
    if (args.move.stop_fd >= 0) {
        close(args.move.stop_fd);
    }
    return result.code;
}
