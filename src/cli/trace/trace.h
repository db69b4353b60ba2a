/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef FERRY_CLI_TRACE_TRACE_H
#define FERRY_CLI_TRACE_TRACE_H

#include <json-c/json.h>
#include <stdint.h>

#include "cli/control.h"
#include "ferry/host.h"

/*
 * Timelines of migrations. A host keeps the last one (trace_log), a command fetches it
 * page by page over the control socket, and writes it as a file in the Chrome trace event
 * format, which Perfetto, chrome://tracing and `ferry report` read. docs/timelines.md
 * describes the file.
 */

#define TRACE_EVENTS_MAX 65536u /* of one side of one migration; more is counted */
#define TRACE_FILE_MAX_BYTES (64u << 20) /* that is read */
#define TRACE_SIDES_MAX 128u
#define TRACE_FORMAT "ferry-timeline-1"

/* --- the host's side --- */

struct trace_log {
    struct ferry_trace_event *event;
    uint32_t count, cap, dropped;
    int over; /* 1: the next event begins another migration */
};

void trace_log_add(struct trace_log *log, const struct ferry_trace_event *event);
void trace_log_free(struct trace_log *log);
/* Events from `from` on, as many as fit into a control line. The caller's. */
struct json_object *trace_log_page(const struct trace_log *log, uint64_t from);

/* --- the command's side --- */

/*
 * Fetches the last timeline of a host. *ret_side: the caller's.
 * Return: FERRY_OK; FERRY_E_NOT_FOUND (nothing has migrated there); as control_call.
 */
int trace_fetch(struct control_lines *lines, struct json_object **ret_side,
                struct ferry_error *reterr);

/* An empty file, and one more side of a migration in it. side: borrowed. */
struct json_object *trace_file_new(void);
void trace_file_add(struct json_object *file, struct json_object *side);
/* The sides of a file, without their events; borrowed. */
struct json_object *trace_file_sides(struct json_object *file);
/* Return: FERRY_OK; FERRY_E_IO with reterr. "-": standard output. */
int trace_file_write(struct json_object *file, const char *path,
                     struct ferry_error *reterr);
/* Fetches the timelines of hosts and writes them. Return: as the parts. */
int trace_save(struct control_lines *const *lines, uint32_t count, const char *path,
               struct ferry_error *reterr);

/*
 * Reads a file and checks all of it. *ret_file: the caller's.
 * Return: FERRY_OK; FERRY_E_NOT_FOUND, FERRY_E_IO, FERRY_E_LIMIT (too large),
 *   FERRY_E_MESSAGE (reterr names the member).
 */
int trace_file_read(const char *path, struct json_object **ret_file,
                    struct ferry_error *reterr);
/* Puts the sides of `more` into `file`, under process numbers of their own. */
int trace_file_merge(struct json_object *file, struct json_object *more,
                     struct ferry_error *reterr);
/* Puts the sides of each session on the source's clock when they were taken on machines
 * of their own. */
void trace_file_align(struct json_object *file);

/* --- the page --- */

/* Writes the one self-contained page. Return: FERRY_OK; FERRY_E_IO with reterr. */
int trace_page_write(struct json_object *file, const char *path,
                     struct ferry_error *reterr);
/* What happened, as text. */
void trace_print(struct json_object *file);

#endif
