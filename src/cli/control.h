/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef FERRY_CLI_CONTROL_H
#define FERRY_CLI_CONTROL_H

#include <json-c/json.h>
#include <stddef.h>

#include "ferry/error.h"

/*
 * The control socket of `ferry host`: lines of JSON in both directions, described in
 * ferry-host(1). Both ends know a longest line.
 */
#define CONTROL_LINE_MAX 65536

/* A connection that gives lines; for either side. */
struct control_lines {
    int fd;            /* -1: none */
    size_t used, line; /* bytes in buffer; length of the line given last */
    char buffer[CONTROL_LINE_MAX];
};

void control_lines_init(struct control_lines *lines, int fd);
void control_lines_close(struct control_lines *lines);

/*
 * The next line as JSON, without waiting. *ret_object: the caller's.
 * Return: FERRY_OK; FERRY_E_AGAIN (no whole line yet); FERRY_E_CLOSED; FERRY_E_LIMIT
 * (line too long); FERRY_E_PROTOCOL (no JSON object).
 */
int control_next(struct control_lines *lines, struct json_object **ret_object);

/*
 * Sends one object as a line, without waiting.
 * Return: FERRY_OK; FERRY_E_CLOSED, also for a peer that does not read.
 */
int control_send(struct control_lines *lines, struct json_object *object);

/* Return: a listening descriptor (socket file with mode 0600); FERRY_E_* with reterr. */
int control_listen(const char *path, struct ferry_error *reterr);
/* Return: FERRY_OK; FERRY_E_NOT_FOUND (nobody listens there), FERRY_E_IO. */
int control_connect(struct control_lines *lines, const char *path,
                    struct ferry_error *reterr);

/*
 * Waits for the next line, at most timeout_ms (-1: for ever); stop_fd (may be -1)
 * readable ends the wait. Return: as control_next; FERRY_E_TIMEOUT; FERRY_E_CANCELLED by
 * stop_fd.
 */
int control_wait(struct control_lines *lines, int timeout_ms, int stop_fd,
                 struct json_object **ret_object);

/*
 * One command and its reply: `request` is given away. An "error" reply becomes *reterr.
 * Return: FERRY_OK; the error's status code; as control_wait.
 */
int control_call(struct control_lines *lines, struct json_object *request, int timeout_ms,
                 struct json_object **ret_reply, struct ferry_error *reterr);

/* {"command": name} for control_call. */
struct json_object *control_command(const char *name);

/* A received {"code": ..., "text": ...} as an error. Return: its status code. */
int control_error(struct json_object *object, struct ferry_error *reterr);

#endif
