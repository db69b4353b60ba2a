/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef FERRY_CLI_MOVE_MOVE_H
#define FERRY_CLI_MOVE_MOVE_H

#include <stdint.h>

#include "cli/commands.h"
#include "cli/control.h"
#include "cli/output.h"

/* Asks a host to move its context and follows until it has ended; for migrate and demo.
 */
struct move_options {
    const char *to;
    const char *arbiter; /* NULL: the host's */
    uint64_t max_downtime_ms, deadline_ms, stop_deadline_ms, arc_limit_ms, peer_limit_ms,
        bandwidth;          /* 0: default */
    uint64_t connections;   /* 0: default */
    uint64_t min_in_flight; /* 0: not asked */
    int stop_fd;            /* readable: cancel it; -1: none */
    int reply_timeout_ms;   /* for the first answer; -1: for ever */
};

struct move_result {
    int code;                   /* enum exit_code */
    struct ferry_error error;   /* code FERRY_OK when it moved */
    struct json_object *report; /* NULL when it did not start */
};

void move(struct control_lines *lines, const struct move_options *options,
          struct progress_line *progress, struct move_result *ret_result);
/* The same with any request that is answered and then followed by the events of a
 * migration; request: given away. */
void move_ask(struct control_lines *lines, struct json_object *request, int stop_fd,
              int reply_timeout_ms, struct progress_line *progress,
              struct move_result *ret_result);
/* Fills the result from the event that ends a migration. */
void move_take_report(struct json_object *event, struct move_result *result);
void move_result_free(struct move_result *result);

#endif
