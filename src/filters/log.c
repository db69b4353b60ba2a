/* SPDX-License-Identifier: BSD-3-Clause */
#include <string.h>

#include "filters/filter.h"
#include "filters/log_text.h"
#include "os/append.h"
#include "os/clock.h"
#include "os/memory.h"

/*
 * log, log=FILE, log=json, log=json:FILE: a line for each request that is over. A log
 * that cannot be written (a full disk) is not worth a device's life: lines are lost.
 */

#define LINE_BYTES 512u
#define STDERR_FD 2

static int log_open(struct ferry_filter *filter, struct filter_text *text,
                    const struct filter_token *value)
{
    static const char json[] = "json";
    const size_t json_bytes = sizeof(json) - 1;
    struct filter_token file = *value;
    char path[FERRY_OS_APPEND_PATH_MAX];

    filter->u.log.fd = STDERR_FD;
    filter->rule.dma_too = 1;
    if (file.length >= json_bytes && memcmp(file.text, json, json_bytes) == 0 &&
        (file.length == json_bytes || file.text[json_bytes] == ':')) {
        filter->u.log.json = 1;
        file.text += file.length == json_bytes ? json_bytes : json_bytes + 1;
        file.length -= file.length == json_bytes ? json_bytes : json_bytes + 1;
        if (file.length == 0 && value->length > json_bytes) {
            return filter_text_error(text, &file, "the name of a file is needed");
        }
    } else if (value->text != NULL && file.length == 0) {
        return filter_text_error(text, &file, "the name of a file is needed");
    }
    if (file.length == 0) {
        return FERRY_OK;
    }
    if (file.length >= sizeof(path)) {
        return filter_text_error(text, &file, "the name is too long");
    }
    memcpy(path, file.text, file.length);
    path[file.length] = '\0';
    filter->u.log.owned = 1;
    filter->u.log.fd = -1;
    return ferry_os_append_open(path, &filter->u.log.fd, text->reterr);
}

static void log_close(struct ferry_filter *filter)
{
    if (filter->u.log.owned) {
        ferry_os_close(&filter->u.log.fd);
    }
}

static void write_line(struct ferry_filter *filter, const char *what,
                       const struct log_fields *fields, int status, uint64_t begun_ns)
{
    const uint64_t duration_ns = begun_ns != 0 ? ferry_os_now_ns() - begun_ns : 0;
    char line[LINE_BYTES];
    const size_t bytes = filter->u.log.json
                             ? log_line_json(line, sizeof(line), ferry_os_wall_ns(), what,
                                             fields, status, duration_ns)
                             : log_line_text(line, sizeof(line), ferry_os_wall_ns(), what,
                                             fields, status, duration_ns);

    (void)ferry_os_append(filter->u.log.fd, line, bytes);
}

static void log_attach(struct ferry_filter *filter)
{
    write_line(filter, "ATTACH", &(struct log_fields){ .count = 0 }, FERRY_OK, 0);
}

static void log_detach(struct ferry_filter *filter)
{
    write_line(filter, "DETACH", &(struct log_fields){ .count = 0 }, FERRY_OK, 0);
}

static int log_submit(struct ferry_filter *filter, struct ferry_request *request,
                      int matched)
{
    int status;
    struct filter_call *call = filter_call_new(filter, request, &status);

    (void)matched;
    if (call == NULL) {
        return filter_pass(filter, request); /* rather no line than no answer */
    }
    call->begun_ns = ferry_os_now_ns();
    return filter_send(call);
}

static void log_after(struct ferry_filter *filter, struct filter_call *call, int *status)
{
    struct log_fields fields;

    log_describe(call->outer, *status, &fields);
    write_line(filter, ferry_request_name(call->outer->kind), &fields, *status,
               call->begun_ns);
}

static int log_dma(struct ferry_filter *filter, int write, uint64_t iova, void *data,
                   size_t size)
{
    const uint64_t begun_ns = ferry_os_now_ns();
    const int status = filter_port(filter, write, iova, data, size);
    const struct log_fields fields = {
        .count = 2,
        .field = { { "iova", iova }, { "size", size } },
    };

    write_line(filter, write ? "DMA_WRITE" : "DMA_READ", &fields, status, begun_ns);
    return status;
}

const struct filter_kind filter_log = {
    .name = "log",
    .example = "log=json:/tmp/requests.json",
    .open = log_open,
    .close = log_close,
    .attach = log_attach,
    .detach = log_detach,
    .submit = log_submit,
    .after = log_after,
    .dma = log_dma,
    .operations = FILTER_TAKES_NONE,
};
