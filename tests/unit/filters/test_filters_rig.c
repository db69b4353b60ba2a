/* SPDX-License-Identifier: BSD-3-Clause */
#include "test_filters_rig.h"

#include <poll.h>

#define LIMIT_MS 10000 /* only a hang reaches it */

struct toy *filtered_new(const char *spec)
{
    struct toy *toy = toy_new(FILTERED_FLAGS, 1);
    struct ferry_error error = { 0 };

    toy->endpoint->ops->detach(toy->endpoint);
    assert_int_equal(ferry_filter_open(toy->endpoint, spec, &toy->endpoint, &error),
                     FERRY_OK);
    assert_int_equal(toy->endpoint->ops->attach(toy->endpoint, &toy->port), FERRY_OK);
    toy->resets = 0;
    return toy;
}

void filtered_free(struct toy *toy)
{
    struct ferry_endpoint *top = toy->endpoint;

    top->ops->detach(top);
    ferry_filter_close(top);
    toy->endpoint = ferry_device_endpoint(toy->device);
    toy_free(toy);
}

void filtered_wait(struct toy *toy, const struct ferry_request *request)
{
    struct pollfd fd = { .fd = toy->endpoint->ops->wake_fd(toy->endpoint),
                         .events = POLLIN };

    assert_true(fd.fd >= 0);
    toy_work(toy);
    while (!toy_over(request)) {
        assert_int_equal(poll(&fd, 1, LIMIT_MS), 1);
        toy_work(toy);
    }
}

struct ferry_request filtered_set(uint32_t state)
{
    struct ferry_request request = { .kind = FERRY_RQ_SET_STATE };

    request.u.state = state;
    return request;
}
