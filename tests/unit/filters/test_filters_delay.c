/* SPDX-License-Identifier: BSD-3-Clause */
#include "test_filters_rig.h"

#include <poll.h>
#include <string.h>

static struct ferry_request bell(uint32_t *value)
{
    struct ferry_request request = { .kind = FERRY_RQ_REGION_WRITE };

    request.u.io =
        (struct ferry_region_io){ .index = 0, .off = 4, .count = 4, .data = value };
    return request;
}

static struct ferry_request look(uint32_t *value)
{
    struct ferry_request request = bell(value);

    request.kind = FERRY_RQ_REGION_READ;
    return request;
}

static void a_delayed_request_ends_when_its_descriptor_says_so(void **state)
{
    struct toy *toy = filtered_new("delay=region_write:5ms");
    uint32_t value = 7;
    struct ferry_request request = bell(&value);

    (void)state;
    assert_int_equal(toy_start(toy, &request), FERRY_PENDING);
    filtered_wait(toy, &request);
    assert_int_equal(request.status, FERRY_OK);
    assert_int_equal(toy->bells, 1);
    assert_int_equal(toy->bell[0], 7);
    filtered_free(toy);
}

static void a_read_does_not_overtake_a_delayed_write(void **state)
{
    struct toy *toy = filtered_new("delay=region_write:5ms");
    uint32_t value = 7, seen = 99;
    struct ferry_request write = bell(&value), read = look(&seen);

    (void)state;
    assert_int_equal(toy_start(toy, &write), FERRY_PENDING);
    assert_int_equal(toy_start(toy, &read), FERRY_PENDING);
    filtered_wait(toy, &read);
    assert_true(toy_over(&write));
    assert_int_equal(seen, 1); /* the toy counts its bells: the write came first */
    filtered_free(toy);
}

/* VERSION tells it, which does not wait. */
static void who_a_device_is_is_told_at_once(void **state)
{
    struct toy *toy = filtered_new("delay=any:3600s");
    struct ferry_identity identity = { .model = "" };
    struct ferry_request request = { .kind = FERRY_RQ_IDENTITY };
    struct ferry_request read = { .kind = FERRY_RQ_GET_STATE };

    (void)state;
    request.u.identity = &identity;
    assert_int_equal(toy_start(toy, &read), FERRY_PENDING);
    assert_int_equal(toy_ask(toy, &request), FERRY_OK);
    assert_true(identity.model[0] != '\0');
    filtered_free(toy);
    assert_int_equal(read.status, FERRY_E_CLOSED);
}

static void other_requests_go_on_while_a_change_of_state_is_delayed(void **state)
{
    struct toy *toy = filtered_new("delay=stop:3600s");
    struct ferry_request stop = filtered_set(FERRY_STATE_STOP);
    struct ferry_request again = filtered_set(FERRY_STATE_RUNNING_P2P);
    uint32_t value = 7;

    (void)state;
    assert_int_equal(toy_start(toy, &stop), FERRY_PENDING);
    toy_work(toy);
    assert_false(toy_over(&stop));
    assert_int_equal(toy_get(toy), FERRY_STATE_RUNNING);
    assert_int_equal(toy_write(toy, 0, 4, &value, 4), FERRY_OK);
    assert_int_equal(toy->bells, 1);
    assert_int_equal(toy_ask(toy, &again), FERRY_E_BUSY);
    assert_int_equal(toy->arcs, 0);
    filtered_free(toy);
    assert_int_equal(stop.status, FERRY_E_CLOSED);
}

static void a_reset_takes_a_delayed_change_of_state_back(void **state)
{
    struct toy *toy = filtered_new("delay=stop:3600s");
    struct ferry_request stop = filtered_set(FERRY_STATE_STOP);
    struct ferry_request reset = { .kind = FERRY_RQ_RESET };

    (void)state;
    assert_int_equal(toy_start(toy, &stop), FERRY_PENDING);
    assert_int_equal(toy_ask(toy, &reset), FERRY_OK);
    assert_true(toy_over(&stop));
    assert_int_equal(stop.status, FERRY_E_CANCELLED);
    assert_int_equal(toy->resets, 1);
    assert_int_equal(toy->arcs, 0);
    filtered_free(toy);
}

static void detach_closes_all_that_is_held(void **state)
{
    struct toy *toy = filtered_new("delay=region_write:3600s");
    uint32_t value[3] = { 1, 2, 3 };
    struct ferry_request request[3];

    (void)state;
    for (int i = 0; i < 3; i++) {
        request[i] = bell(&value[i]);
        assert_int_equal(toy_start(toy, &request[i]), FERRY_PENDING);
    }
    toy->endpoint->ops->detach(toy->endpoint);
    for (int i = 0; i < 3; i++) {
        assert_true(toy_over(&request[i]));
        assert_int_equal(request[i].status, FERRY_E_CLOSED);
    }
    assert_int_equal(toy->bells, 0);
    assert_int_equal(toy_start(toy, &request[0]), FERRY_E_CLOSED);
    /* The next user finds nothing of it. */
    assert_int_equal(toy->endpoint->ops->attach(toy->endpoint, &toy->port), FERRY_OK);
    toy_work(toy);
    assert_int_equal(toy->bells, 0);
    filtered_free(toy);
}

static void what_is_held_has_a_limit(void **state)
{
    struct toy *toy = filtered_new("delay=region_write:3600s");
    static struct ferry_request request[257];
    uint32_t value = 1;

    (void)state;
    for (int i = 0; i < 256; i++) {
        request[i] = bell(&value);
        assert_int_equal(toy_start(toy, &request[i]), FERRY_PENDING);
    }
    request[256] = bell(&value);
    assert_int_equal(toy_start(toy, &request[256]), FERRY_E_LIMIT);
    filtered_free(toy);
    assert_int_equal(request[255].status, FERRY_E_CLOSED);
}

static void the_device_below_still_wakes_its_user(void **state)
{
    struct toy *toy = filtered_new("delay=stop:3600s,log=/dev/null");
    struct pollfd fd = { .fd = toy->endpoint->ops->wake_fd(toy->endpoint),
                         .events = POLLIN };

    (void)state;
    toy_work(toy);
    assert_int_equal(poll(&fd, 1, 0), 0);
    ferry_device_schedule(toy->device);
    assert_int_equal(poll(&fd, 1, 0), 1);
    toy_work(toy);
    assert_int_equal(toy->works, 1);
    assert_int_equal(poll(&fd, 1, 0), 0);
    filtered_free(toy);
}

static void a_pending_arc_below_ends_through_all_filters(void **state)
{
    struct toy *toy = filtered_new("log=/dev/null,delay=stop_copy:1ms,"
                                   "error=stop_copy>stop:EBUSY,log=/dev/null");
    struct ferry_request request = filtered_set(FERRY_STATE_STOP_COPY);

    (void)state;
    toy->odd_from = FERRY_STATE_STOP;
    toy->odd_to = FERRY_STATE_STOP_COPY;
    toy->odd_answer = FERRY_PENDING;
    assert_int_equal(toy_start(toy, &request), FERRY_PENDING);
    while (toy->arcs < 3) { /* to RUNNING_P2P, STOP and the one that pends */
        struct pollfd fd = { .fd = toy->endpoint->ops->wake_fd(toy->endpoint),
                             .events = POLLIN };

        assert_int_equal(poll(&fd, 1, 10000), 1);
        toy_work(toy);
    }
    assert_false(toy_over(&request));
    ferry_device_arc_done(toy->device, FERRY_OK);
    filtered_wait(toy, &request);
    assert_int_equal(request.status, FERRY_OK);
    request = filtered_set(FERRY_STATE_STOP);
    assert_int_equal(toy_ask(toy, &request), FERRY_E_BUSY);
    filtered_free(toy);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_delayed_request_ends_when_its_descriptor_says_so),
        cmocka_unit_test(a_read_does_not_overtake_a_delayed_write),
        cmocka_unit_test(who_a_device_is_is_told_at_once),
        cmocka_unit_test(other_requests_go_on_while_a_change_of_state_is_delayed),
        cmocka_unit_test(a_reset_takes_a_delayed_change_of_state_back),
        cmocka_unit_test(detach_closes_all_that_is_held),
        cmocka_unit_test(what_is_held_has_a_limit),
        cmocka_unit_test(the_device_below_still_wakes_its_user),
        cmocka_unit_test(a_pending_arc_below_ends_through_all_filters),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
