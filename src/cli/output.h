/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef FERRY_CLI_OUTPUT_H
#define FERRY_CLI_OUTPUT_H

#include <json-c/json.h>
#include <stdint.h>

#include "ferry/error.h"
#include "ferry/host.h"

/* Writes "ferry COMMAND: text" and the detail to stderr. error may be NULL. */
void print_error(const char *command, const struct ferry_error *error, const char *format,
                 ...) __attribute__((format(printf, 3, 4)));

/* The same for a device that could not be opened, with what to do about it. */
void print_open_error(const char *command, const struct ferry_error *error);

#define TEXT_BYTES 32
/* "12.3 MiB", "1.2 GB/s", "4.20 ms" in the caller's buffer, which is returned. */
const char *text_bytes(uint64_t bytes, char ret_text[TEXT_BYTES]);
const char *text_rate(uint64_t bytes_per_s, char ret_text[TEXT_BYTES]);
const char *text_time(uint64_t ns, char ret_text[TEXT_BYTES]);

/* JSON of what the libraries report; the caller owns the objects. */
struct json_object *json_error(const struct ferry_error *error);
struct json_object *json_identity(const struct ferry_identity *identity);
struct json_object *json_progress(const char *phase,
                                  const struct ferry_progress *progress);
/* A list of {name, queue, value}; without queue: of the whole device. */
struct json_object *json_counters(const struct ferry_counter *counter, uint32_t count);
/* One line for each name of which anything was counted, behind the prefix. */
void print_counters(const char *prefix, struct json_object *list);
struct json_object *json_report(const struct ferry_report *report);
struct json_object *json_u64(uint64_t value);

/* Members of a received object; 0 or "" when absent or of another type. */
uint64_t json_get_u64(struct json_object *object, const char *name);
/* The same; what is more than fits is the most that fits. */
uint32_t json_get_u32(struct json_object *object, const char *name);
const char *json_get_text(struct json_object *object, const char *name);

/* One line (or, pretty, several) of JSON on stdout. */
void print_json(struct json_object *object, int pretty);

/* --ready-fd: a line to fd, which is closed then; nothing when it is negative. */
void tell_ready(const char *command, int fd);

/*
 * A progress line: on a terminal it is redrawn in place, in a pipe there is one line per
 * phase, quiet there is none. Fed with the events of a control socket.
 */
struct progress_line {
    int quiet, tty, drawn;
    char title[48];
    char last_phase[TEXT_BYTES];
};
void progress_init(struct progress_line *line, const char *title, int quiet);
void progress_show(struct progress_line *line, struct json_object *event);
/* Ends the line. */
void progress_end(struct progress_line *line);

/* The figures of a finished migration for people. */
void print_report(struct json_object *report);

#endif
