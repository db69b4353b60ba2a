/* SPDX-License-Identifier: BSD-3-Clause */
#include "test_faces_rig.h"

#include <stdlib.h>
#include <string.h>

#include "ferry/filter.h"
#include "os/clock.h"

/* The face over a device that answers nothing at once: a delay filter lies between. */
#define LIMIT_NS (10 * FERRY_NS_PER_S) /* only a hang reaches it */

static uint8_t stream[TOY_STATE_MAX];

struct slow {
    struct toy *toy;
    struct ferry_endpoint *filter;
};

static struct slow slow_new(const char *spec)
{
    struct slow slow = { .toy = toy_new(V1_FLAGS_ALL, 1) };
    struct ferry_error error = { 0 };

    assert_int_equal(ferry_filter_open(slow.toy->endpoint, spec, &slow.filter, &error),
                     FERRY_OK);
    slow.toy->endpoint->ops->detach(slow.toy->endpoint);
    assert_int_equal(slow.filter->ops->attach(slow.filter, &slow.toy->port), FERRY_OK);
    slow.toy->endpoint = slow.filter;
    v1_show(slow.toy, FERRY_FACE_V1_PARTITIONED);
    return slow;
}

static void slow_free(struct slow *slow)
{
    struct ferry_endpoint *face = slow->toy->endpoint;

    face->ops->detach(face);
    ferry_face_v1_close(face);
    ferry_filter_close(slow->filter);
    slow->toy->endpoint = ferry_device_endpoint(slow->toy->device);
    toy_free(slow->toy);
}

static void wait_for(struct toy *toy, const struct ferry_request *request)
{
    const uint64_t limit_ns = ferry_os_now_ns() + LIMIT_NS;

    while (!toy_over(request)) {
        assert_true(ferry_os_now_ns() < limit_ns);
        (void)toy->endpoint->ops->work(toy->endpoint);
    }
}

static struct ferry_request access_of(uint32_t kind, uint64_t off, void *data,
                                      uint32_t count)
{
    struct ferry_request request = { .kind = kind };

    request.u.io = (struct ferry_region_io){
        .index = V1_REGION, .off = off, .count = count, .data = data
    };
    return request;
}

static int perform(struct toy *toy, uint32_t kind, uint64_t off, void *data,
                   uint32_t count)
{
    struct ferry_request request = access_of(kind, off, data, count);
    const int status = toy_start(toy, &request);

    if (status != FERRY_PENDING) {
        return status;
    }
    wait_for(toy, &request);
    return request.status;
}

static uint64_t get(struct toy *toy, uint32_t reg)
{
    const struct ferry_v1_register_info *info = ferry_v1_register(reg);
    uint64_t value = 0; /* the machine is little-endian, as the toy's other tests want */

    assert_int_equal(perform(toy, FERRY_RQ_REGION_READ, info->off, &value, info->bytes),
                     FERRY_OK);
    return value;
}

static int put(struct toy *toy, uint32_t reg, uint64_t value)
{
    const struct ferry_v1_register_info *info = ferry_v1_register(reg);

    return perform(toy, FERRY_RQ_REGION_WRITE, info->off, &value, info->bytes);
}

static uint64_t save(struct toy *toy)
{
    uint64_t bytes = 0;

    while (get(toy, FERRY_V1_PENDING) > 0) {
        const uint64_t off = get(toy, FERRY_V1_OFFSET), size = get(toy, FERRY_V1_SIZE);

        assert_true(bytes + size <= sizeof(stream));
        assert_int_equal(
            perform(toy, FERRY_RQ_REGION_READ, off, stream + bytes, (uint32_t)size),
            FERRY_OK);
        bytes += size;
    }
    return bytes;
}

static void a_state_goes_over_between_slow_devices(void **state)
{
    struct slow a = slow_new("delay=any:50us"), b = slow_new("delay=any:50us");
    uint64_t bytes;

    (void)state;
    v1_fill(a.toy, 20000, 1);
    v1_fill(b.toy, 20000, 2);
    a.toy->precopy_bytes = 5000;
    assert_int_equal(put(a.toy, FERRY_V1_STATE, 3), FERRY_OK);
    assert_true(get(a.toy, FERRY_V1_PENDING) > 0);
    assert_int_equal(put(a.toy, FERRY_V1_STATE, 2), FERRY_OK);
    bytes = save(a.toy);
    assert_int_equal(get(a.toy, FERRY_V1_STATE), 2);
    assert_int_equal(put(b.toy, FERRY_V1_STATE, 4), FERRY_OK);
    assert_int_equal(perform(b.toy, FERRY_RQ_REGION_WRITE, get(b.toy, FERRY_V1_OFFSET),
                             stream, (uint32_t)bytes),
                     FERRY_OK);
    assert_int_equal(put(b.toy, FERRY_V1_SIZE, bytes), FERRY_OK);
    assert_int_equal(put(b.toy, FERRY_V1_STATE, 1), FERRY_OK);
    assert_memory_equal(a.toy->state, b.toy->state, 20000);
    slow_free(&a);
    slow_free(&b);
}

static void accesses_wait_for_a_slow_reset(void **state)
{
    struct slow slow = slow_new("delay=reset:1ms");
    uint32_t bits = 0, wanted = 2;
    struct ferry_request reset = { .kind = FERRY_RQ_RESET };
    struct ferry_request other = { .kind = FERRY_RQ_RESET };
    struct ferry_request read = access_of(FERRY_RQ_REGION_READ, 0, &bits, 4);

    (void)state;
    assert_int_equal(perform(slow.toy, FERRY_RQ_REGION_WRITE, 0, &wanted, 4), FERRY_OK);
    assert_int_equal(toy_start(slow.toy, &reset), FERRY_PENDING);
    assert_int_equal(toy_start(slow.toy, &other), FERRY_E_BUSY);
    assert_int_equal(toy_start(slow.toy, &read), FERRY_PENDING);
    wait_for(slow.toy, &read);
    assert_true(toy_over(&reset));
    assert_int_equal(reset.status, FERRY_OK);
    assert_int_equal(bits, FERRY_V1_RUNNING);
    slow_free(&slow);
}

/* The user leaves while the device has a request, and while others wait. */
static void a_user_leaves_in_every_moment_of_a_freeze(void **state)
{
    (void)state;
    for (int moment = 0; moment < 12; moment++) {
        struct slow slow = slow_new("delay=any:50us");
        uint64_t value = 0;
        uint32_t wanted = 2;
        struct ferry_request write = access_of(FERRY_RQ_REGION_WRITE, 0, &wanted, 4);
        struct ferry_request read =
            access_of(FERRY_RQ_REGION_READ, FERRY_V1_PENDING_OFF, &value, 8);

        assert_int_equal(toy_start(slow.toy, &write), FERRY_PENDING);
        assert_int_equal(toy_start(slow.toy, &read), FERRY_PENDING);
        for (int i = 0; i < moment; i++) {
            ferry_os_sleep_ns(60000);
            (void)slow.toy->endpoint->ops->work(slow.toy->endpoint);
        }
        slow.toy->endpoint->ops->detach(slow.toy->endpoint);
        assert_true(toy_over(&write) && toy_over(&read));
        assert_true(write.status == FERRY_OK || write.status == FERRY_E_CLOSED);
        assert_true(read.status == FERRY_OK || read.status == FERRY_E_CLOSED);
        assert_int_equal(
            slow.toy->endpoint->ops->attach(slow.toy->endpoint, &slow.toy->port),
            FERRY_OK);
        assert_int_equal(get(slow.toy, FERRY_V1_STATE), FERRY_V1_RUNNING);
        slow_free(&slow);
    }
}

static void a_reset_comes_in_every_moment_of_a_freeze(void **state)
{
    (void)state;
    for (int moment = 0; moment < 12; moment++) {
        struct slow slow = slow_new("delay=any:50us");
        uint64_t value = 0;
        uint32_t wanted = 2;
        struct ferry_request write = access_of(FERRY_RQ_REGION_WRITE, 0, &wanted, 4);
        struct ferry_request read =
            access_of(FERRY_RQ_REGION_READ, FERRY_V1_PENDING_OFF, &value, 8);
        struct ferry_request reset = { .kind = FERRY_RQ_RESET };

        assert_int_equal(toy_start(slow.toy, &write), FERRY_PENDING);
        assert_int_equal(toy_start(slow.toy, &read), FERRY_PENDING);
        for (int i = 0; i < moment; i++) {
            ferry_os_sleep_ns(60000);
            (void)slow.toy->endpoint->ops->work(slow.toy->endpoint);
        }
        assert_int_equal(toy_start(slow.toy, &reset), FERRY_PENDING);
        wait_for(slow.toy, &reset);
        assert_int_equal(reset.status, FERRY_OK);
        wait_for(slow.toy, &write);
        wait_for(slow.toy, &read);
        assert_int_equal(get(slow.toy, FERRY_V1_STATE), FERRY_V1_RUNNING);
        assert_int_equal(ferry_device_state(slow.toy->device), FERRY_STATE_RUNNING);
        slow_free(&slow);
    }
}

/* An endpoint that answers in turn, each request when the test says so. */
struct queue {
    struct ferry_endpoint endpoint;
    struct ferry_request *request[8];
    uint32_t count, holding;
};

static int queue_attach(struct ferry_endpoint *endpoint,
                        const struct ferry_client_port *port)
{
    return endpoint->below->ops->attach(endpoint->below, port);
}

static void queue_detach(struct ferry_endpoint *endpoint)
{
    endpoint->below->ops->detach(endpoint->below);
}

static int queue_submit(struct ferry_endpoint *endpoint, struct ferry_request *request)
{
    struct queue *queue = (struct queue *)endpoint;

    if (!queue->holding) {
        return endpoint->below->ops->submit(endpoint->below, request);
    }
    assert_true(queue->count < 8);
    queue->request[queue->count++] = request;
    return FERRY_PENDING;
}

static int queue_work(struct ferry_endpoint *endpoint)
{
    return endpoint->below->ops->work(endpoint->below);
}

static void queue_answer(struct queue *queue)
{
    struct ferry_request *request = queue->request[0];
    struct ferry_endpoint *below = queue->endpoint.below;

    queue->count--;
    memmove(queue->request, queue->request + 1, queue->count * sizeof(queue->request[0]));
    assert_int_not_equal(below->ops->submit(below, request), FERRY_PENDING);
    request->done(request);
}

static const struct ferry_endpoint_ops queue_ops = {
    .struct_size = offsetof(struct ferry_endpoint_ops, wake_fd),
    .attach = queue_attach,
    .detach = queue_detach,
    .submit = queue_submit,
    .work = queue_work,
};

/* Nothing of a walk may reach the device behind the reset. */
static void a_walk_stands_still_while_the_device_has_a_reset(void **state)
{
    struct toy *toy = toy_new(V1_FLAGS_PRE, 1);
    struct queue queue = { .endpoint = { .ops = &queue_ops, .below = toy->endpoint } };
    uint32_t wanted = 2;
    struct ferry_request write = access_of(FERRY_RQ_REGION_WRITE, 0, &wanted, 4);
    struct ferry_request reset = { .kind = FERRY_RQ_RESET };

    (void)state;
    toy->endpoint = &queue.endpoint;
    v1_show(toy, FERRY_FACE_V1_TRAPPED);
    queue.holding = 1;
    assert_int_equal(toy_start(toy, &write), FERRY_PENDING);
    assert_int_equal(toy_start(toy, &reset), FERRY_PENDING);
    assert_int_equal(queue.count, 2);
    queue_answer(&queue); /* the first step of the walk */
    toy_work(toy);
    assert_int_equal(queue.count, 1);
    assert_false(toy_over(&write));
    queue_answer(&queue);
    toy_work(toy);
    assert_int_equal(queue.count, 0);
    assert_int_equal(reset.status, FERRY_OK);
    assert_int_equal(write.status, FERRY_E_CANCELLED);
    queue.holding = 0;
    assert_int_equal(v1_get(toy, FERRY_V1_STATE), FERRY_V1_RUNNING);
    assert_int_equal(ferry_device_state(toy->device), FERRY_STATE_RUNNING);
    v1_free(toy);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_state_goes_over_between_slow_devices),
        cmocka_unit_test(accesses_wait_for_a_slow_reset),
        cmocka_unit_test(a_user_leaves_in_every_moment_of_a_freeze),
        cmocka_unit_test(a_walk_stands_still_while_the_device_has_a_reset),
        cmocka_unit_test(a_reset_comes_in_every_moment_of_a_freeze),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
