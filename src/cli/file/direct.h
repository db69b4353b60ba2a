/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef FERRY_CLI_FILE_DIRECT_H
#define FERRY_CLI_FILE_DIRECT_H

#include "cli/commands.h"
#include "cli/move/move.h"
#include "cli/output.h"

#define DIRECT_DEVICES_MAX 32

/* What save and restore have in common: either a running host, or devices without one. */
struct direct_args {
    const char *control; /* NULL: devices */
    struct {
        char *name;
        const char *uri;
    } device[DIRECT_DEVICES_MAX];
    uint32_t device_count, device_timeout_ms;
    const char *file;
    int json, quiet;
};

enum direct_key {
    KEY_CONTROL = 'c',
    KEY_DEVICE = 'd',
    KEY_JSON = 'j',
    KEY_QUIET = 'q',
    KEY_DEVICE_TIMEOUT = 0x100,
    KEY_DIRECT_END /* first key of a command's own options */
};

/* The options above; FILE and the end of the options are checked here, too. */
error_t direct_parse(int key, char *text, struct argp_state *state,
                     struct direct_args *args);
/* A descriptor that is readable when the user wants the command to end; -1: none. */
int direct_signals(void);
/* FILE as the host finds it. Return: 1, 0 when there is no such folder or it is too long.
 */
int direct_absolute(const char *file, char *ret_path, size_t cap);

/* The context of --device, while a command uses it. */
struct direct {
    struct ferry_context *context;
    struct progress_line *progress;
    struct json_object *last; /* the event that ended the migration */
};
/* Return: FERRY_OK, or a printed error's code. */
int direct_open(struct direct *direct, const char *command,
                const struct direct_args *args, struct progress_line *progress);
/* Dispatches until what was started has ended; stop_fd cancels. */
void direct_follow(struct direct *direct, int stop_fd, struct move_result *ret_result);
void direct_close(struct direct *direct);

/* Asks the host of --control; request: given away. Return: as enum exit_code. */
void direct_ask(const struct direct_args *args, struct json_object *request, int stop_fd,
                struct progress_line *progress, struct move_result *ret_result);

/* The report with FILE and its length in it, as JSON on stdout. */
void direct_print_json(const struct direct_args *args, const struct move_result *result);

#endif
