/* SPDX-License-Identifier: BSD-3-Clause */
#include "filters/errno_names.h"
#include "filters/filter.h"
#include "wire/status.h"

/* error=OPERATION:ERRNO: answers instead of the device, which hears nothing of it. */

static int error_open(struct ferry_filter *filter, struct filter_text *text,
                      const struct filter_token *value)
{
    uint32_t number;
    int status;

    if (value->text == NULL || !filter_errno_number(value, &number)) {
        return filter_text_error(text, value,
                                 "an errno by its name is needed after the operation");
    }
    status = ferry_wire_status_from_errno(number);
    if (ferry_wire_errno_from_status(status) != number) {
        return filter_text_error(text, value,
                                 "this errno has no status of its own, a client would "
                                 "get another one; docs/filters.md lists those that do");
    }
    filter->u.error.status = status;
    return FERRY_OK;
}

static int error_submit(struct ferry_filter *filter, struct ferry_request *request,
                        int matched)
{
    if (!matched) {
        return filter_forward(filter, request);
    }
    request->status = ferry_error_set(request->reterr, filter->u.error.status, "filter",
                                      NULL, 0, "%s was refused by an error filter: %s",
                                      ferry_request_name(request->kind),
                                      ferry_status_text(filter->u.error.status));
    return request->status;
}

static int error_dma(struct ferry_filter *filter, int write, uint64_t iova, void *data,
                     size_t size)
{
    (void)write;
    (void)iova;
    (void)data;
    (void)size;
    return filter->u.error.status;
}

const struct filter_kind filter_error = {
    .name = "error",
    .example = "error=read:EIO@3",
    .open = error_open,
    .submit = error_submit,
    .dma = error_dma,
    .operations = FILTER_TAKES_ALL,
};
