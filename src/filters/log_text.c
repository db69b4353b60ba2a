/* SPDX-License-Identifier: BSD-3-Clause */
#include "filters/log_text.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>

#define NS_PER_S 1000000000u

static void add(struct log_fields *fields, const char *name, uint64_t value)
{
    if (fields->count < LOG_FIELDS_MAX) {
        fields->field[fields->count].name = name;
        fields->field[fields->count++].value = value;
    }
}

static void add_range(struct log_fields *fields, uint64_t iova, uint64_t size)
{
    add(fields, "iova", iova);
    add(fields, "size", size);
}

static void describe_pci(const struct ferry_request *request, struct log_fields *fields)
{
    switch (request->kind) {
    case FERRY_RQ_GET_REGION_INFO:
        add(fields, "region", request->u.region.index);
        break;
    case FERRY_RQ_GET_IRQ_INFO:
        add(fields, "irq", request->u.irq.index);
        break;
    case FERRY_RQ_SET_IRQS:
        add(fields, "irq", request->u.irq_set.index);
        add(fields, "start", request->u.irq_set.start);
        add(fields, "count", request->u.irq_set.count);
        add(fields, "flags", request->u.irq_set.flags);
        break;
    case FERRY_RQ_REGION_READ:
    case FERRY_RQ_REGION_WRITE:
        add(fields, "region", request->u.io.index);
        add(fields, "off", request->u.io.off);
        add(fields, "count", request->u.io.count);
        break;
    case FERRY_RQ_DMA_MAP:
        add_range(fields, request->u.map.iova, request->u.map.size);
        add(fields, "flags", request->u.map.flags);
        add(fields, "by_message", request->u.map.fd < 0);
        break;
    case FERRY_RQ_DMA_UNMAP:
        add_range(fields, request->u.unmap.iova, request->u.unmap.size);
        add(fields, "flags", request->u.unmap.flags);
        break;
    case FERRY_RQ_REGION_IO_FDS:
        add(fields, "region", request->u.io_fds.index);
        break;
    default:
        break;
    }
}

void log_describe(const struct ferry_request *request, int status,
                  struct log_fields *ret_fields)
{
    *ret_fields = (struct log_fields){ .count = 0 };
    switch (request->kind) {
    case FERRY_RQ_PROBE:
        add(ret_fields, "feature", request->u.probe.index);
        add(ret_fields, "operation", request->u.probe.operation);
        break;
    case FERRY_RQ_SET_STATE:
        ret_fields->state = ferry_state_name(request->u.state);
        break;
    case FERRY_RQ_LEAVE_STATE:
        ret_fields->state = ferry_state_name(request->u.leave.state);
        break;
    case FERRY_RQ_GET_STATE:
        ret_fields->state =
            status == FERRY_OK ? ferry_state_name(request->u.state) : NULL;
        break;
    case FERRY_RQ_LOG_START:
        add(ret_fields, "page_size", request->u.log_start.page_size);
        add(ret_fields, "ranges", request->u.log_start.range_count);
        break;
    case FERRY_RQ_LOG_REPORT:
        add_range(ret_fields, request->u.log_report.iova, request->u.log_report.length);
        break;
    case FERRY_RQ_LOG_RUNS:
        add_range(ret_fields, request->u.log_runs.iova, request->u.log_runs.length);
        add(ret_fields, "runs", status == FERRY_OK ? request->u.log_runs.count : 0);
        break;
    case FERRY_RQ_COUNTERS:
        add(ret_fields, "count", status == FERRY_OK ? request->u.counters.count : 0);
        break;
    case FERRY_RQ_DATA_SIZE:
        add(ret_fields, "bytes", status == FERRY_OK ? request->u.data_size : 0);
        break;
    case FERRY_RQ_DATA_READ:
        add(ret_fields, "size", request->u.data.size);
        add(ret_fields, "got", status == FERRY_OK ? request->u.data.got : 0);
        break;
    case FERRY_RQ_DATA_WRITE:
        add(ret_fields, "size", request->u.data.size);
        break;
    default:
        describe_pci(request, ret_fields);
    }
}

/* Appends; what does not fit is cut, so that the line still ends. */
static void put(char *line, size_t cap, size_t *at, const char *format, ...)
    __attribute__((format(printf, 4, 5)));
static void put(char *line, size_t cap, size_t *at, const char *format, ...)
{
    va_list list;
    int count;

    va_start(list, format);
    count = vsnprintf(line + *at, cap - *at, format, list);
    va_end(list);
    *at += count < 0 ? 0 : (size_t)count;
    if (*at >= cap) {
        *at = cap - 1;
    }
}

size_t log_line_json(char *ret_line, size_t cap, uint64_t time_ns, const char *what,
                     const struct log_fields *fields, int status, uint64_t duration_ns)
{
    size_t at = 0;

    put(ret_line, cap, &at, "{\"time_ns\":%" PRIu64 ",\"request\":\"%s\"", time_ns, what);
    if (fields->state != NULL) {
        put(ret_line, cap, &at, ",\"state\":\"%s\"", fields->state);
    }
    for (uint32_t i = 0; i < fields->count; i++) {
        put(ret_line, cap, &at, ",\"%s\":%" PRIu64, fields->field[i].name,
            fields->field[i].value);
    }
    put(ret_line, cap, &at, ",\"status\":\"%s\",\"duration_ns\":%" PRIu64 "}\n",
        ferry_status_name(status), duration_ns);
    return at;
}

size_t log_line_text(char *ret_line, size_t cap, uint64_t time_ns, const char *what,
                     const struct log_fields *fields, int status, uint64_t duration_ns)
{
    size_t at = 0;

    put(ret_line, cap, &at, "%" PRIu64 ".%06" PRIu64 " %s", time_ns / NS_PER_S,
        time_ns % NS_PER_S / 1000, what);
    if (fields->state != NULL) {
        put(ret_line, cap, &at, " state=%s", fields->state);
    }
    for (uint32_t i = 0; i < fields->count; i++) {
        put(ret_line, cap, &at, " %s=0x%" PRIx64, fields->field[i].name,
            fields->field[i].value);
    }
    put(ret_line, cap, &at, " %s %" PRIu64 ".%03" PRIu64 " us\n",
        ferry_status_name(status), duration_ns / 1000, duration_ns % 1000);
    return at;
}
