/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef FERRY_FILTERS_LOG_TEXT_H
#define FERRY_FILTERS_LOG_TEXT_H

#include <stddef.h>

#include "link/request.h"

#define LOG_FIELDS_MAX 6u

/* What a log tells of a request: numbers by name, and a state's name (or NULL). */
struct log_fields {
    uint32_t count;
    uint32_t pad;
    const char *state;
    struct {
        const char *name;
        uint64_t value;
    } field[LOG_FIELDS_MAX];
};

/* Arguments and results of a request that is over; never the data. */
void log_describe(const struct ferry_request *request, int status,
                  struct log_fields *ret_fields);

/* One line with its newline. Return: its length, less than cap. */
size_t log_line_json(char *ret_line, size_t cap, uint64_t time_ns, const char *what,
                     const struct log_fields *fields, int status, uint64_t duration_ns);
size_t log_line_text(char *ret_line, size_t cap, uint64_t time_ns, const char *what,
                     const struct log_fields *fields, int status, uint64_t duration_ns);

#endif
