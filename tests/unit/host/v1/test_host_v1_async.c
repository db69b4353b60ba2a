/* SPDX-License-Identifier: BSD-3-Clause */
#include <poll.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "fake_v1.h"
#include "ferry/host.h"
#include "host/backend/v1/v1.h"

/* Requests that are submitted: one after the other, completed in dispatch. */

#define JOBS 6u

struct rig {
    struct fake_v1 fake;
    struct ferry_backend *backend;
    struct ferry_request request[JOBS];
    uint8_t data[JOBS][256];
    uint32_t order[JOBS], done;
};

static void open_rig(struct rig *rig)
{
    const struct ferry_backend_options options = { .struct_size = sizeof(options),
                                                   .timeout_ms = 40 };
    struct ferry_backend *below;

    memset(rig, 0, sizeof(*rig));
    fake_v1_open(&rig->fake, FAKE_TRAPPED);
    assert_int_equal(
        ferry_backend_from_endpoint(&rig->fake.endpoint, &options, &below, NULL),
        FERRY_OK);
    assert_int_equal(ferry_backend_v1_find(below, 1000, &rig->backend, NULL), FERRY_OK);
    assert_ptr_not_equal(rig->backend, below);
}

static void close_rig(struct rig *rig)
{
    rig->backend->ops->close(rig->backend);
    fake_v1_close(&rig->fake);
}

static void on_done(struct ferry_request *request)
{
    struct rig *rig = request->user;

    rig->order[rig->done++] = (uint32_t)(request - rig->request);
}

static int submit(struct rig *rig, uint32_t i, uint32_t kind, uint32_t state)
{
    struct ferry_request *request = &rig->request[i];

    *request = (struct ferry_request){ .kind = kind, .done = on_done, .user = rig };
    if (kind == FERRY_RQ_SET_STATE) {
        request->u.state = state;
    } else if (kind == FERRY_RQ_DATA_READ) {
        request->u.data =
            (struct ferry_data_io){ .data = rig->data[i], .size = sizeof(rig->data[i]) };
    }
    return rig->backend->ops->submit(rig->backend, request);
}

/* Dispatches as its descriptor says, until so many are done. */
static void wait_for(struct rig *rig, uint32_t done)
{
    struct pollfd poll_fd = { .fd = rig->backend->ops->fd(rig->backend),
                              .events = POLLIN };

    for (uint32_t i = 0; i < 1000 && rig->done < done; i++) {
        assert_true(poll(&poll_fd, 1, 2000) > 0);
        assert_true(rig->backend->ops->dispatch(rig->backend) >= 0);
    }
    assert_int_equal(rig->done, done);
}

static void what_is_submitted_ends_in_order_of_asking(void **state)
{
    struct rig rig;

    (void)state;
    open_rig(&rig);
    rig.fake.precopy[0] = 10;
    rig.fake.precopy[1] = 20;
    rig.fake.slow = 1;
    assert_int_equal(submit(&rig, 0, FERRY_RQ_SET_STATE, FERRY_STATE_PRE_COPY),
                     FERRY_PENDING);
    for (uint32_t i = 1; i < 4; i++) {
        assert_int_equal(submit(&rig, i, FERRY_RQ_DATA_READ, 0), FERRY_PENDING);
    }
    assert_int_equal(submit(&rig, 4, FERRY_RQ_GET_STATE, 0), FERRY_PENDING);
    wait_for(&rig, 5);
    for (uint32_t i = 0; i < 5; i++) {
        assert_int_equal(rig.order[i], i);
    }
    assert_int_equal(rig.request[1].u.data.got, 10);
    assert_int_equal(rig.request[2].u.data.got, 20);
    assert_int_equal(rig.data[2][0], fake_v1_byte(10));
    assert_int_equal(rig.request[3].status, FERRY_E_DRY);
    assert_int_equal(rig.request[4].u.state, FERRY_STATE_PRE_COPY);
    close_rig(&rig);
}

static void what_the_device_answers_at_once_ends_at_once(void **state)
{
    struct rig rig;

    (void)state;
    open_rig(&rig);
    assert_int_equal(submit(&rig, 0, FERRY_RQ_SET_STATE, FERRY_STATE_STOP_COPY),
                     FERRY_OK);
    assert_int_equal(rig.request[0].status, FERRY_OK);
    assert_int_equal(submit(&rig, 1, FERRY_RQ_SET_STATE, FERRY_STATE_PRE_COPY),
                     FERRY_E_ARC);
    assert_int_equal(rig.done, 0);
    close_rig(&rig);
}

static void other_requests_pass_those_that_need_the_region(void **state)
{
    struct ferry_request request = { .kind = FERRY_RQ_GET_INFO };
    struct rig rig;

    (void)state;
    open_rig(&rig);
    rig.fake.slow = 1;
    assert_int_equal(submit(&rig, 0, FERRY_RQ_GET_STATE, 0), FERRY_PENDING);
    assert_int_equal(rig.backend->ops->call(rig.backend, &request), FERRY_OK);
    /* One that needs it cannot wait here: its turn comes in dispatch only. */
    request = (struct ferry_request){ .kind = FERRY_RQ_GET_STATE };
    assert_int_equal(rig.backend->ops->call(rig.backend, &request), FERRY_E_BUSY);
    wait_for(&rig, 1);
    assert_int_equal(rig.backend->ops->call(rig.backend, &request), FERRY_OK);
    close_rig(&rig);
}

static void a_device_that_does_not_answer_ends_every_request_in_time(void **state)
{
    struct rig rig;

    (void)state;
    open_rig(&rig);
    (void)rig.backend->ops->fd(rig.backend);
    rig.fake.slow = 2;
    for (uint32_t i = 0; i < 3; i++) {
        assert_int_equal(submit(&rig, i, FERRY_RQ_GET_STATE, 0), FERRY_PENDING);
    }
    for (uint32_t i = 0; i < 1000 && rig.done < 3; i++) {
        (void)poll(NULL, 0, 2);
        (void)rig.backend->ops->dispatch(rig.backend);
    }
    assert_int_equal(rig.done, 3);
    for (uint32_t i = 0; i < 3; i++) {
        assert_true(rig.request[i].status == FERRY_E_TIMEOUT ||
                    rig.request[i].status == FERRY_E_CLOSED);
    }
    close_rig(&rig);
}

static void closing_ends_what_is_under_way_and_what_waits(void **state)
{
    struct rig rig;

    (void)state;
    open_rig(&rig);
    rig.fake.slow = 2;
    for (uint32_t i = 0; i < JOBS; i++) {
        assert_int_equal(submit(&rig, i, FERRY_RQ_SET_STATE, FERRY_STATE_STOP),
                         FERRY_PENDING);
    }
    close_rig(&rig);
    assert_int_equal(rig.done, JOBS);
    for (uint32_t i = 0; i < JOBS; i++) {
        assert_int_equal(rig.request[i].status, FERRY_E_CLOSED);
    }
}

/* Asks on from where he hears of the end: an access that needs no translation. */
static void ask_on(struct ferry_request *request)
{
    struct rig *rig = request->user;
    uint8_t byte;

    rig->request[1] = (struct ferry_request){ .kind = FERRY_RQ_REGION_READ };
    rig->request[1].u.io =
        (struct ferry_region_io){ .index = 7, .count = 1, .data = &byte };
    assert_int_equal(rig->backend->ops->submit(rig->backend, &rig->request[1]),
                     FERRY_E_CLOSED);
    rig->request[2] = (struct ferry_request){ .kind = FERRY_RQ_GET_STATE };
    assert_int_equal(rig->backend->ops->call(rig->backend, &rig->request[2]),
                     FERRY_E_CLOSED);
    rig->done++;
}

static void who_asks_on_while_it_is_closed_is_told_so(void **state)
{
    struct rig rig;

    (void)state;
    open_rig(&rig);
    rig.fake.slow = 2;
    rig.request[0] = (struct ferry_request){ .kind = FERRY_RQ_GET_STATE,
                                             .done = ask_on,
                                             .user = &rig };
    assert_int_equal(rig.backend->ops->submit(rig.backend, &rig.request[0]),
                     FERRY_PENDING);
    close_rig(&rig);
    assert_int_equal(rig.done, 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_submitted_ends_in_order_of_asking),
        cmocka_unit_test(what_the_device_answers_at_once_ends_at_once),
        cmocka_unit_test(other_requests_pass_those_that_need_the_region),
        cmocka_unit_test(a_device_that_does_not_answer_ends_every_request_in_time),
        cmocka_unit_test(closing_ends_what_is_under_way_and_what_waits),
        cmocka_unit_test(who_asks_on_while_it_is_closed_is_told_so),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
