/* SPDX-License-Identifier: BSD-3-Clause */
#include <stdlib.h>

#include "filters/filter.h"

/*
 * lose=OPERATION: the device is asked which pages it wrote and forgets them, but its
 * answer says that there are none. What a broken dirty log does.
 */

static int lose_open(struct ferry_filter *filter, struct filter_text *text,
                     const struct filter_token *value)
{
    (void)filter;
    return value->text == NULL ? FERRY_OK
                               : filter_text_error(text, value, "nothing is to be said");
}

static int tells_pages(uint32_t kind)
{
    return kind == FERRY_RQ_LOG_REPORT || kind == FERRY_RQ_LOG_RUNS ||
           kind == FERRY_RQ_DMA_UNMAP;
}

/* The bitmap that the device fills in place of the user's; *bitmap becomes it. */
static int empty_bitmap(struct filter_call *call, void **bitmap, uint64_t bytes)
{
    call->memory = calloc(1, bytes > 0 ? (size_t)bytes : 1);
    if (call->memory == NULL) {
        call->outer->status = FERRY_E_MEMORY;
        return filter_call_drop(call, FERRY_E_MEMORY);
    }
    *bitmap = call->memory;
    return FERRY_OK;
}

static int lose_submit(struct ferry_filter *filter, struct ferry_request *request,
                       int matched)
{
    struct filter_call *call;
    int status = FERRY_OK;

    if (!matched || !tells_pages(request->kind)) {
        return filter_forward(filter, request);
    }
    call = filter_call_new(filter, request, &request->status);
    if (call == NULL) {
        return request->status;
    }
    call->matched = 1;
    if (request->kind == FERRY_RQ_LOG_REPORT) {
        status = empty_bitmap(call, &call->inner.u.log_report.bitmap,
                              request->u.log_report.bitmap_bytes);
    } else if (request->kind == FERRY_RQ_DMA_UNMAP && request->u.unmap.bitmap != NULL) {
        status = empty_bitmap(call, &call->inner.u.unmap.bitmap,
                              request->u.unmap.bitmap_bytes);
    }
    return status == FERRY_OK ? filter_send(call) : status;
}

static void lose_after(struct ferry_filter *filter, struct filter_call *call, int *status)
{
    (void)filter;
    if (call->matched && call->outer->kind == FERRY_RQ_LOG_RUNS && *status == FERRY_OK) {
        call->outer->u.log_runs.count = 0;
    }
}

const struct filter_kind filter_lose = {
    .name = "lose",
    .example = "lose=log_report",
    .open = lose_open,
    .submit = lose_submit,
    .after = lose_after,
    .operations = FILTER_TAKES_DIRTY,
};
