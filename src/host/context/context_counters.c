/* SPDX-License-Identifier: BSD-3-Clause */
#include <stdlib.h>
#include <string.h>

#include "host/context/context.h"

static int ask(struct ferry_context *context, uint32_t device,
               struct ferry_counter *counter, uint32_t cap, struct ferry_error *reterr)
{
    struct ferry_request request = { .kind = FERRY_RQ_COUNTERS, .reterr = reterr };
    int rc;

    request.u.counters = (struct ferry_counters){ .counter = counter, .cap = cap };
    rc = ferry_context_call(context, device, &request);
    if (rc == FERRY_E_UNSUPPORTED) {
        (void)ferry_error_set(reterr, rc, FERRY_HOST_LAYER, NULL, 0,
                              "device %s does not tell what it counts",
                              context->device[device]->name);
    }
    return rc < 0 ? rc : (int)request.u.counters.count;
}

void ferry_host_count(struct ferry_context *context, uint32_t device)
{
    struct ferry_host_device *of = context->device[device];
    int count;

    of->counted_count = 0;
    if (of->counted == NULL) {
        of->counted = calloc(FERRY_COUNTERS_MAX, sizeof(*of->counted));
    }
    if (of->counted == NULL || !ferry_host_device_is_open(of)) {
        return;
    }
    count = ask(context, device, of->counted, FERRY_COUNTERS_MAX, NULL);
    of->counted_count = count < 0 ? 0 : (uint32_t)count;
}

int ferry_context_counters(struct ferry_context *context, uint32_t device,
                           struct ferry_counter *ret_counter, uint32_t cap,
                           struct ferry_error *reterr)
{
    struct ferry_host_device *of = ferry_host_device(context, device);
    uint32_t count;

    if (of == NULL) {
        return ferry_error_set(reterr, FERRY_E_NOT_FOUND, FERRY_HOST_LAYER, NULL, 0,
                               "there is no device %u", device);
    }
    if (ferry_host_device_is_open(of) || of->counted_count == 0) {
        return ask(context, device, ret_counter, cap, reterr);
    }
    count = of->counted_count < cap ? of->counted_count : cap;
    memcpy(ret_counter, of->counted, count * sizeof(*ret_counter));
    return (int)count;
}
