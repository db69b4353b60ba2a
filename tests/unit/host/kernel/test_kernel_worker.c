/* SPDX-License-Identifier: BSD-3-Clause */
#include <errno.h>
#include <poll.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "fake_vfio.h"
#include "os/eventfd.h"

/* Requests that wait, calls that never return, and the end of a device in between. */

#define SHORT_MS 50u   /* a limit that a stuck call overruns */
#define LONG_MS 20000u /* one that no test waits for */

static struct fake_vfio fake, other;
static struct ferry_error error;

static int setup(void **state)
{
    (void)state;
    fake_init(&fake);
    fake_init(&other);
    memset(&error, 0, sizeof(error));
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    fake_end(&fake);
    fake_end(&other);
    return 0;
}

/* From now on; a busy machine may need longer than SHORT_MS for what is not stuck. */
static void limit(struct ferry_backend *backend, uint64_t ms)
{
    ((struct backend_kernel *)backend)->timeout_ns = ms * 1000000u;
}

static void on_done(struct ferry_request *request)
{
    ++*(uint32_t *)request->user;
}

/* Dispatches as a loop does until so many completions ran. */
static void dispatch_until(struct ferry_backend *backend, const uint32_t *done,
                           uint32_t count)
{
    struct pollfd entry = { .fd = backend->ops->fd(backend), .events = POLLIN };

    while (*done < count) {
        assert_int_equal(poll(&entry, 1, 10000), 1);
        assert_true(backend->ops->dispatch(backend) >= 0);
    }
}

static void submitted_requests_end_in_dispatch_and_in_order(void **state)
{
    struct ferry_backend *backend = fake_open(&fake, KERNEL_DIRTY_BEST, 0);
    struct ferry_request request[3] = { 0 };
    uint32_t done = 0;
    uint8_t data[8];

    (void)state;
    request[0] = (struct ferry_request){ .kind = FERRY_RQ_SET_STATE,
                                         .u.state = FERRY_STATE_STOP_COPY };
    request[1] = (struct ferry_request){ .kind = FERRY_RQ_DATA_READ };
    request[1].u.data = (struct ferry_data_io){ .data = data, .size = sizeof(data) };
    request[2] = (struct ferry_request){ .kind = FERRY_RQ_GET_STATE };
    for (uint32_t i = 0; i < 3; i++) {
        request[i].done = on_done;
        request[i].user = &done;
        assert_int_equal(backend->ops->submit(backend, &request[i]), FERRY_PENDING);
    }
    assert_int_equal(done, 0);
    dispatch_until(backend, &done, 3);
    for (uint32_t i = 0; i < 3; i++) {
        assert_int_equal(request[i].status, FERRY_OK);
    }
    assert_int_equal(request[1].u.data.got, 8);
    assert_memory_equal(data, fake.stream, 8);
    assert_int_equal(request[2].u.state, FERRY_STATE_STOP_COPY);
    backend->ops->close(backend);
}

static void what_needs_no_worker_ends_at_once(void **state)
{
    struct ferry_backend *backend = fake_open(&fake, KERNEL_DIRTY_BEST, 0);
    struct ferry_request request = { .kind = FERRY_RQ_GET_INFO };

    (void)state;
    assert_int_equal(backend->ops->submit(backend, &request), FERRY_OK);
    assert_int_equal(request.u.info.region_count, FAKE_REGIONS);
    backend->ops->close(backend);
}

static void a_change_that_never_ends_ends_in_a_timeout(void **state)
{
    struct ferry_backend *backend = fake_open(&fake, KERNEL_DIRTY_BEST, 0);
    struct ferry_request behind = { .kind = FERRY_RQ_RESET, .reterr = &error };
    uint32_t value = 0;
    struct ferry_request beside = { .kind = FERRY_RQ_REGION_READ };

    (void)state;
    fake.stuck = 1;
    limit(backend, SHORT_MS);
    assert_int_equal(fake_set_state(backend, FERRY_STATE_STOP, &error), FERRY_E_TIMEOUT);
    assert_non_null(strstr(error.text, "SET_STATE"));
    assert_int_equal(fake_call(backend, &behind), FERRY_E_TIMEOUT);
    assert_non_null(strstr(error.text, "busy with SET_STATE"));
    assert_int_equal(fake.resets, 0);
    limit(backend, LONG_MS);
    fake_stuck(&fake, 0);
    /* It served nobody; now it does again, and knows where the device has got to. */
    beside.u.io = (struct ferry_region_io){ .count = 4, .data = &value };
    assert_int_equal(fake_call(backend, &beside), FERRY_OK);
    assert_int_equal(fake_get_state(backend), FERRY_STATE_STOP);
    backend->ops->close(backend);
}

static void a_session_that_begins_too_late_is_not_lost(void **state)
{
    struct ferry_backend *backend = fake_open(&fake, KERNEL_DIRTY_BEST, 0);

    (void)state;
    fake.stuck = 1;
    limit(backend, SHORT_MS);
    assert_int_equal(fake_set_state(backend, FERRY_STATE_STOP_COPY, NULL),
                     FERRY_E_TIMEOUT);
    limit(backend, LONG_MS);
    fake_stuck(&fake, 0);
    assert_int_equal(fake_set_state(backend, FERRY_STATE_RUNNING, NULL), FERRY_OK);
    assert_int_equal(fake.opened, 2);     /* the session's came after the timeout ... */
    assert_int_equal(fake.closed_fds, 1); /* ... and went with its state */
    backend->ops->close(backend);
}

static void a_submitted_request_is_overdue_without_help(void **state)
{
    struct ferry_backend *backend = fake_open(&fake, KERNEL_DIRTY_BEST, 0);
    struct ferry_request request[2] = { 0 };
    uint32_t done = 0;

    (void)state;
    fake.stuck = 1;
    limit(backend, SHORT_MS);
    for (uint32_t i = 0; i < 2; i++) {
        request[i] = (struct ferry_request){ .kind = FERRY_RQ_SET_STATE,
                                             .u.state = FERRY_STATE_STOP,
                                             .done = on_done,
                                             .user = &done };
        assert_int_equal(backend->ops->submit(backend, &request[i]), FERRY_PENDING);
    }
    dispatch_until(backend, &done, 2);
    assert_int_equal(request[0].status, FERRY_E_TIMEOUT);
    assert_int_equal(request[1].status, FERRY_E_TIMEOUT);
    fake_stuck(&fake, 0);
    backend->ops->close(backend);
    assert_int_equal(fake.sets, 1); /* the one that waited never went */
}

static void memory_of_an_overdue_read_is_its_owners_again(void **state)
{
    struct ferry_backend *backend = fake_open(&fake, KERNEL_DIRTY_BEST, 0);
    struct ferry_request request = { .kind = FERRY_RQ_DATA_READ, .reterr = &error };
    uint8_t *data = malloc(64);

    (void)state;
    assert_int_equal(fake_set_state(backend, FERRY_STATE_STOP_COPY, NULL), FERRY_OK);
    fake.stuck = 2;
    limit(backend, SHORT_MS);
    memset(data, 0xee, 64);
    request.u.data = (struct ferry_data_io){ .data = data, .size = 64 };
    assert_int_equal(fake_call(backend, &request), FERRY_E_TIMEOUT);
    limit(backend, LONG_MS);
    fake_stuck(&fake, 0);
    /* Behind it in the queue: the read is over when this is. */
    (void)fake_get_state(backend);
    for (uint32_t i = 0; i < 64; i++) {
        assert_int_equal(data[i], 0xee);
    }
    free(data);
    backend->ops->close(backend);
}

static void a_close_does_not_wait_for_a_call_that_never_returns(void **state)
{
    struct ferry_backend *backend = fake_open(&fake, KERNEL_DIRTY_BEST, 0);
    struct ferry_request request = { .kind = FERRY_RQ_SET_STATE,
                                     .u.state = FERRY_STATE_STOP_COPY,
                                     .done = on_done };
    uint32_t done = 0;

    (void)state;
    fake.stuck = 1;
    limit(backend, SHORT_MS);
    request.user = &done;
    assert_int_equal(backend->ops->submit(backend, &request), FERRY_PENDING);
    fake_await_inside(&fake, 1);
    backend->ops->close(backend);
    assert_int_equal(done, 1);
    assert_int_equal(request.status, FERRY_E_CLOSED);
    assert_int_equal(fake.unmaps, 1); /* its memory was taken from the device */
    assert_int_equal(fake.closed, 0);
    /* When the call comes back, what is left goes: session, device, IOMMU. */
    fake_stuck(&fake, 0);
    pthread_mutex_lock(&fake.lock);
    while (fake.closed == 0) {
        pthread_cond_wait(&fake.changed, &fake.lock);
    }
    assert_int_equal(fake.closed_fds, 2);
    pthread_mutex_unlock(&fake.lock);
}

static void a_device_that_does_not_say_what_it_is_is_not_opened(void **state)
{
    (void)state;
    fake.stuck = 3;
    assert_int_equal(fake_open_in_time(&fake, SHORT_MS, &error), FERRY_E_TIMEOUT);
    assert_non_null(strstr(error.text, "what the device is"));
    assert_int_equal(fake.closed, 0);
    fake_stuck(&fake, 0);
    pthread_mutex_lock(&fake.lock);
    while (fake.closed == 0) {
        pthread_cond_wait(&fake.changed, &fake.lock);
    }
    pthread_mutex_unlock(&fake.lock);
}

static void a_close_ends_a_wait_for_data(void **state)
{
    struct ferry_backend *backend = fake_open(&fake, KERNEL_DIRTY_BEST, 0);
    struct ferry_request request = { .kind = FERRY_RQ_DATA_READ, .done = on_done };
    uint32_t done = 0;
    uint8_t data[8];

    (void)state;
    assert_int_equal(fake_set_state(backend, FERRY_STATE_STOP_COPY, NULL), FERRY_OK);
    fake_late(&fake, UINT32_MAX);
    request.user = &done;
    request.u.data = (struct ferry_data_io){ .data = data, .size = sizeof(data) };
    assert_int_equal(backend->ops->submit(backend, &request), FERRY_PENDING);
    fake_await_polls(&fake, 2);
    backend->ops->close(backend);
    assert_int_equal(done, 1);
    assert_int_equal(request.status, FERRY_E_CLOSED);
    assert_int_equal(fake.closed, 1);
}

static void data_that_never_come_end_in_a_timeout(void **state)
{
    struct ferry_backend *backend = fake_open(&fake, KERNEL_DIRTY_BEST, 0);
    struct ferry_request request = { .kind = FERRY_RQ_DATA_READ };
    uint8_t data[8];

    (void)state;
    assert_int_equal(fake_set_state(backend, FERRY_STATE_STOP_COPY, NULL), FERRY_OK);
    fake_late(&fake, UINT32_MAX);
    request.u.data = (struct ferry_data_io){ .data = data, .size = sizeof(data) };
    limit(backend, SHORT_MS);
    assert_int_equal(fake_call(backend, &request), FERRY_E_TIMEOUT);
    limit(backend, LONG_MS);
    (void)fake_get_state(backend); /* behind it: the read is over, and took nothing */
    fake_late(&fake, 0);
    assert_int_equal(fake_call(backend, &request), FERRY_OK);
    backend->ops->close(backend);
}

static void two_devices_change_at_the_same_time(void **state)
{
    struct ferry_backend *backend[2] = { fake_open(&fake, KERNEL_DIRTY_BEST, 0),
                                         fake_open(&other, KERNEL_DIRTY_BEST, 0) };
    struct ferry_request request[2] = { 0 };
    uint32_t done = 0;

    (void)state;
    fake.stuck = other.stuck = 1;
    for (uint32_t i = 0; i < 2; i++) {
        request[i] = (struct ferry_request){ .kind = FERRY_RQ_SET_STATE,
                                             .u.state = FERRY_STATE_STOP,
                                             .done = on_done,
                                             .user = &done };
        assert_int_equal(backend[i]->ops->submit(backend[i], &request[i]), FERRY_PENDING);
    }
    fake_await_inside(&fake, 1);
    fake_await_inside(&other, 1);
    fake_stuck(&fake, 0);
    dispatch_until(backend[0], &done, 1);
    fake_stuck(&other, 0);
    dispatch_until(backend[1], &done, 2);
    backend[0]->ops->close(backend[0]);
    backend[1]->ops->close(backend[1]);
}

#define CALLERS 4
#define CALLS 50

static void *call_often(void *user)
{
    struct ferry_backend *backend = user;

    for (uint32_t i = 0; i < CALLS; i++) {
        struct ferry_request request = { .kind = FERRY_RQ_GET_STATE };

        if (backend->ops->call(backend, &request) != FERRY_OK ||
            request.u.state != FERRY_STATE_RUNNING) {
            return user;
        }
    }
    return NULL;
}

static void calls_come_from_any_thread(void **state)
{
    struct ferry_backend *backend = fake_open(&fake, KERNEL_DIRTY_BEST, 0);
    pthread_t thread[CALLERS];

    (void)state;
    for (uint32_t i = 0; i < CALLERS; i++) {
        assert_int_equal(pthread_create(&thread[i], NULL, call_often, backend), 0);
    }
    for (uint32_t i = 0; i < CALLERS; i++) {
        void *failed = backend;

        assert_int_equal(pthread_join(thread[i], &failed), 0);
        assert_null(failed);
    }
    assert_int_equal(fake.gets, CALLERS * CALLS);
    backend->ops->close(backend);
}

/* The eventfd that the kernel was given for REQ. */
static int req_fd(void)
{
    assert_int_equal(fake.last_irq.index, 4);
    return fake.last_irq_fd[0];
}

static void a_device_that_the_kernel_wants_back_is_dead(void **state)
{
    struct ferry_backend *backend = fake_open(&fake, KERNEL_DIRTY_BEST, 0);
    struct ferry_request request = { .kind = FERRY_RQ_SET_STATE,
                                     .u.state = FERRY_STATE_STOP,
                                     .done = on_done };
    uint32_t done = 0;

    (void)state;
    fake.stuck = 1;
    request.user = &done;
    assert_int_equal(backend->ops->submit(backend, &request), FERRY_PENDING);
    fake_await_inside(&fake, 1);
    assert_int_equal(ferry_os_eventfd_signal(req_fd()), FERRY_OK);
    assert_int_equal(backend->ops->dispatch(backend), FERRY_E_CLOSED);
    assert_int_equal(done, 1);
    assert_int_equal(request.status, FERRY_E_CLOSED);
    backend->ops->error(backend, &error);
    assert_non_null(strstr(error.text, "wants the device back"));
    assert_int_equal(fake_set_state(backend, FERRY_STATE_RUNNING, &error),
                     FERRY_E_CLOSED);
    /* It goes back as soon as no call is at the kernel, before it is closed. */
    assert_int_equal(fake.given_up, 0);
    fake_stuck(&fake, 0);
    pthread_mutex_lock(&fake.lock);
    while (fake.given_up == 0) {
        pthread_cond_wait(&fake.changed, &fake.lock);
    }
    pthread_mutex_unlock(&fake.lock);
    backend->ops->close(backend);
    assert_int_equal(fake.given_up, 1);
    assert_int_equal(fake.unmaps, 1); /* nor is its user's memory locked any longer */
}

static void who_only_calls_hears_the_kernels_wish_too(void **state)
{
    struct ferry_backend *backend = fake_open(&fake, KERNEL_DIRTY_BEST, 0);
    struct pollfd entry = { .fd = backend->ops->fd(backend), .events = POLLIN };

    (void)state;
    assert_int_equal(fake_set_state(backend, FERRY_STATE_STOP, &error), FERRY_OK);
    assert_int_equal(ferry_os_eventfd_signal(req_fd()), FERRY_OK);
    assert_int_equal(fake_set_state(backend, FERRY_STATE_RUNNING, &error),
                     FERRY_E_CLOSED);
    assert_non_null(strstr(error.text, "wants the device back"));
    /* Whoever dispatches is told as well. */
    assert_int_equal(poll(&entry, 1, 0), 1);
    assert_int_equal(backend->ops->dispatch(backend), FERRY_E_CLOSED);
    backend->ops->close(backend);
}

static void who_listens_for_the_kernels_wish_decides_himself(void **state)
{
    struct ferry_backend *backend = fake_open(&fake, KERNEL_DIRTY_BEST, 0);
    const int ours = req_fd();
    const int own = 1;
    struct ferry_request request = { .kind = FERRY_RQ_SET_IRQS };

    (void)state;
    request.u.irq_set = (struct ferry_irq_set){
        .flags = FERRY_IRQ_SET_DATA_EVENTFD | FERRY_IRQ_SET_TRIGGER,
        .index = 4,
        .count = 1,
        .fds = &own,
        .fd_count = 1,
    };
    assert_int_equal(fake_call(backend, &request), FERRY_OK);
    assert_int_equal(req_fd(), own);
    /* Away again: ours takes its place. */
    request.u.irq_set.fds = NULL;
    request.u.irq_set.fd_count = 0;
    assert_int_equal(fake_call(backend, &request), FERRY_OK);
    assert_int_equal(req_fd(), ours);
    backend->ops->close(backend);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        TEST(submitted_requests_end_in_dispatch_and_in_order),
        TEST(what_needs_no_worker_ends_at_once),
        TEST(a_change_that_never_ends_ends_in_a_timeout),
        TEST(a_session_that_begins_too_late_is_not_lost),
        TEST(a_submitted_request_is_overdue_without_help),
        TEST(memory_of_an_overdue_read_is_its_owners_again),
        TEST(a_close_does_not_wait_for_a_call_that_never_returns),
        TEST(a_device_that_does_not_say_what_it_is_is_not_opened),
        TEST(a_close_ends_a_wait_for_data),
        TEST(data_that_never_come_end_in_a_timeout),
        TEST(two_devices_change_at_the_same_time),
        TEST(calls_come_from_any_thread),
        TEST(a_device_that_the_kernel_wants_back_is_dead),
        TEST(who_only_calls_hears_the_kernels_wish_too),
        TEST(who_listens_for_the_kernels_wish_decides_himself),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
