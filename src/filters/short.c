/* SPDX-License-Identifier: BSD-3-Clause */
#include "filters/filter.h"

/* short=read:N: a read of migration data gives at most N bytes; 0: it says "the end". */

static int short_open(struct ferry_filter *filter, struct filter_text *text,
                      const struct filter_token *value)
{
    if (value->text == NULL || !filter_token_number(value, &filter->u.shorter.bytes)) {
        return filter_text_error(text, value,
                                 "the most bytes that a read gives are needed");
    }
    return FERRY_OK;
}

static int short_submit(struct ferry_filter *filter, struct ferry_request *request,
                        int matched)
{
    struct filter_call *call;

    if (!matched) {
        return filter_forward(filter, request);
    }
    if (filter->u.shorter.bytes == 0) {
        request->u.data.got = 0;
        request->status = FERRY_OK;
        return FERRY_OK;
    }
    if (request->u.data.size <= filter->u.shorter.bytes) {
        return filter_pass(filter, request);
    }
    call = filter_call_new(filter, request, &request->status);
    if (call == NULL) {
        return request->status;
    }
    call->inner.u.data.size = filter->u.shorter.bytes;
    return filter_send(call);
}

const struct filter_kind filter_short = {
    .name = "short",
    .example = "short=read:100",
    .open = short_open,
    .submit = short_submit,
    .operations = FILTER_TAKES_READ,
};
