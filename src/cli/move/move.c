/* SPDX-License-Identifier: BSD-3-Clause */
#include "cli/move/move.h"

#include <poll.h>
#include <string.h>

/* What an outcome of a migration is for a shell. */
static const struct {
    const char *outcome;
    int code;
} outcome_code[] = {
    { "MOVED", EXIT_OK },
    { "REFUSED", EXIT_REFUSED },
    { "ROLLED_BACK", EXIT_ROLLED_BACK },
    { "RESOLVED", EXIT_OK },
    { "LOST", EXIT_LOST },
    { "SAVED", EXIT_OK },
};

static void add_number(struct json_object *object, const char *name, uint64_t value)
{
    if (value > 0) {
        json_object_object_add(object, name, json_u64(value));
    }
}

static struct json_object *make_request(const struct move_options *options)
{
    struct json_object *request = control_command("migrate");

    json_object_object_add(request, "to", json_object_new_string(options->to));
    add_number(request, "max_downtime_ms", options->max_downtime_ms);
    add_number(request, "deadline_ms", options->deadline_ms);
    add_number(request, "stop_deadline_ms", options->stop_deadline_ms);
    add_number(request, "arc_limit_ms", options->arc_limit_ms);
    add_number(request, "peer_limit_ms", options->peer_limit_ms);
    add_number(request, "bandwidth", options->bandwidth);
    add_number(request, "connections", options->connections);
    add_number(request, "min_in_flight", options->min_in_flight);
    if (options->arbiter != NULL) {
        json_object_object_add(request, "arbiter",
                               json_object_new_string(options->arbiter));
    }
    return request;
}

void move_take_report(struct json_object *event, struct move_result *result)
{
    struct json_object *report = NULL, *error = NULL;
    const char *outcome;

    result->code = EXIT_FAILED;
    if (!json_object_object_get_ex(event, "report", &report)) {
        return;
    }
    result->report = json_object_get(report);
    outcome = json_get_text(report, "outcome");
    for (size_t i = 0; i < sizeof(outcome_code) / sizeof(outcome_code[0]); i++) {
        if (strcmp(outcome, outcome_code[i].outcome) == 0) {
            result->code = outcome_code[i].code;
        }
    }
    if (json_object_object_get_ex(report, "error", &error)) {
        control_error(error, &result->error);
    }
    if (result->code == EXIT_ROLLED_BACK && result->error.code == FERRY_E_CANCELLED) {
        result->code = EXIT_CANCELLED;
    }
}

/* Return: 1 when the event ends the migration. */
static int take_event(struct json_object *event, struct progress_line *progress,
                      struct move_result *result)
{
    const char *kind = json_get_text(event, "event");

    if (strcmp(kind, "phase") == 0 || strcmp(kind, "progress") == 0) {
        progress_show(progress, event);
        return 0;
    }
    if (strcmp(kind, "finished") == 0) {
        move_take_report(event, result);
        return 1;
    }
    if (strcmp(kind, "undecided") == 0) {
        move_take_report(event, result);
        result->code = EXIT_UNDECIDED;
        return 1;
    }
    return 0;
}

static void cancel(struct control_lines *lines)
{
    struct json_object *request = control_command("cancel");

    control_send(lines, request);
    json_object_put(request);
}

void move(struct control_lines *lines, const struct move_options *options,
          struct progress_line *progress, struct move_result *ret_result)
{
    move_ask(lines, make_request(options), options->stop_fd, options->reply_timeout_ms,
             progress, ret_result);
}

void move_ask(struct control_lines *lines, struct json_object *request, int stop_fd,
              int reply_timeout_ms, struct progress_line *progress,
              struct move_result *ret_result)
{
    struct json_object *reply = NULL;
    int ended = 0, status;

    memset(ret_result, 0, sizeof(*ret_result));
    ret_result->code = EXIT_FAILED;
    status = control_call(lines, request, reply_timeout_ms, &reply, &ret_result->error);
    if (status < 0) {
        /* Nothing has begun; only a host that did not answer may have begun all the same.
         */
        ret_result->code = status == FERRY_E_TIMEOUT || status == FERRY_E_CLOSED
                               ? EXIT_FAILED
                           : status == FERRY_E_ARGUMENT ? EXIT_USAGE
                                                        : EXIT_REFUSED;
        return;
    }
    json_object_put(reply);
    while (!ended) {
        struct json_object *event = NULL;

        status = control_wait(lines, -1, stop_fd, &event);
        if (status == FERRY_E_CANCELLED) {
            /* Asked for once; the end of the migration still comes as an event. */
            cancel(lines);
            stop_fd = -1;
            continue;
        }
        if (status < 0) {
            ferry_error_set(&ret_result->error, status, "control", NULL, 0,
                            "the host has gone in the middle of the migration");
            break;
        }
        ended = take_event(event, progress, ret_result);
        json_object_put(event);
    }
    progress_end(progress);
}

void move_result_free(struct move_result *result)
{
    json_object_put(result->report);
    result->report = NULL;
}
