/* SPDX-License-Identifier: BSD-3-Clause */
#include <stdlib.h>
#include <string.h>

#include "filters/filter.h"

/*
 * corrupt=OPERATION[:BYTE[.BIT]]: flips one bit of the data, on its way to the device in
 * a copy, on its way back in the user's buffer.
 */

static int corrupt_open(struct ferry_filter *filter, struct filter_text *text,
                        const struct filter_token *value)
{
    const char *dot;
    struct filter_token byte = *value, bit;
    uint64_t number = 0;

    if (value->text == NULL || value->length == 0) {
        return FERRY_OK; /* by chance */
    }
    dot = memchr(value->text, '.', value->length);
    if (dot != NULL) {
        byte.length = (size_t)(dot - value->text);
        bit.text = dot + 1;
        bit.length = value->length - byte.length - 1;
        if (!filter_token_number(&bit, &number) || number > 7) {
            return filter_text_error(text, &bit, "a bit is 0 to 7");
        }
    }
    if (!filter_token_number(&byte, &filter->u.corrupt.off)) {
        return filter_text_error(text, &byte, "the place is a BYTE or BYTE.BIT");
    }
    filter->u.corrupt.bit = (uint32_t)number;
    filter->u.corrupt.given = 1;
    return FERRY_OK;
}

/* A place behind the data is its last byte: every selected request is changed. */
static void flip(struct ferry_filter *filter, void *data, uint64_t size)
{
    uint64_t off = filter->u.corrupt.off, random;
    uint32_t bit = filter->u.corrupt.bit;
    uint8_t *byte = data;

    if (size == 0) {
        return;
    }
    if (!filter->u.corrupt.given) {
        random = filter_rule_random(&filter->rule);
        bit = (uint32_t)(random & 7);
        off = (random >> 3) % size;
    }
    byte[off < size ? off : size - 1] ^= (uint8_t)(1u << bit);
}

/* Return: a changed copy, or NULL. */
static void *changed_copy(struct ferry_filter *filter, const void *data, uint64_t size)
{
    void *copy = malloc(size > 0 ? (size_t)size : 1);

    if (copy != NULL && size > 0) {
        memcpy(copy, data, (size_t)size);
        flip(filter, copy, size);
    }
    return copy;
}

static int corrupt_submit(struct ferry_filter *filter, struct ferry_request *request,
                          int matched)
{
    struct filter_call *call;
    int status;

    if (!matched) {
        return filter_forward(filter, request);
    }
    call = filter_call_new(filter, request, &status);
    if (call == NULL) {
        request->status = status;
        return status;
    }
    if (request->kind == FERRY_RQ_DATA_WRITE) {
        call->memory = changed_copy(filter, request->u.data.data, request->u.data.size);
        call->inner.u.data.data = call->memory;
    } else if (request->kind == FERRY_RQ_REGION_WRITE) {
        call->memory = changed_copy(filter, request->u.io.data, request->u.io.count);
        call->inner.u.io.data = call->memory;
    } else {
        return filter_send(call);
    }
    if (call->memory == NULL) {
        request->status = FERRY_E_MEMORY;
        return filter_call_drop(call, FERRY_E_MEMORY);
    }
    return filter_send(call);
}

static void corrupt_after(struct ferry_filter *filter, struct filter_call *call,
                          int *status)
{
    struct ferry_request *outer = call->outer;

    if (*status == FERRY_OK && outer->kind == FERRY_RQ_DATA_READ) {
        flip(filter, outer->u.data.data, outer->u.data.got);
    } else if (*status == FERRY_OK && outer->kind == FERRY_RQ_REGION_READ) {
        flip(filter, outer->u.io.data, outer->u.io.count);
    }
}

static int corrupt_dma(struct ferry_filter *filter, int write, uint64_t iova, void *data,
                       size_t size)
{
    void *copy;
    int status;

    if (!write) {
        status = filter_port(filter, 0, iova, data, size);
        if (status == FERRY_OK) {
            flip(filter, data, size);
        }
        return status;
    }
    copy = changed_copy(filter, data, size);
    if (copy == NULL) {
        return FERRY_E_IO;
    }
    status = filter_port(filter, 1, iova, copy, size);
    free(copy);
    return status;
}

const struct filter_kind filter_corrupt = {
    .name = "corrupt",
    .example = "corrupt=write:17.3@2",
    .open = corrupt_open,
    .submit = corrupt_submit,
    .after = corrupt_after,
    .dma = corrupt_dma,
    .operations = FILTER_TAKES_DATA,
};
