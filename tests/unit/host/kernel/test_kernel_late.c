/* SPDX-License-Identifier: BSD-3-Clause */
#include <errno.h>
#include <poll.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "fake_vfio.h"
#include "os/clock.h"

/* Data that move after their request was given up: the rest is no stream any more. */

#define SHORT_MS 50u   /* a limit that a stuck call overruns */
#define LONG_MS 20000u /* one that no test waits for */

static struct fake_vfio fake;
static struct ferry_backend *backend;
static struct ferry_error error;
static uint8_t data[FAKE_STREAM_BYTES];

static int setup(void **state)
{
    (void)state;
    fake_init(&fake);
    fake.start_log.err = 0; /* it has a log */
    backend = fake_open(&fake, KERNEL_DIRTY_BEST, 0);
    memset(&error, 0, sizeof(error));
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    backend->ops->close(backend);
    fake_end(&fake);
    return 0;
}

/* From now on; a busy machine may need longer than SHORT_MS for what is not stuck. */
static void limit(uint64_t ms)
{
    ((struct backend_kernel *)(void *)backend)->timeout_ns =
        ms * (uint64_t)FERRY_NS_PER_MS;
}

static int move(uint32_t kind, uint64_t size)
{
    struct ferry_request request = { .kind = kind, .reterr = &error };

    request.u.data = (struct ferry_data_io){ .data = data, .size = size };
    return fake_call(backend, &request);
}

static void go(uint32_t state)
{
    assert_int_equal(fake_set_state(backend, state, &error), FERRY_OK);
}

/* A transfer that does not end in time. */
static void overrun(uint32_t kind)
{
    limit(SHORT_MS);
    assert_int_equal(move(kind, 64), FERRY_E_TIMEOUT);
    limit(LONG_MS);
}

/* The same; it is stuck, and then takes place all the same. */
static void overrun_stuck(uint32_t kind)
{
    fake.stuck = 2;
    overrun(kind);
    fake_stuck(&fake, 0);
    (void)fake_get_state(backend); /* behind it in the queue */
}

static void after_a_read_that_came_too_late_nothing_is_read(void **state)
{
    (void)state;
    go(FERRY_STATE_PRE_COPY);
    overrun_stuck(FERRY_RQ_DATA_READ);
    assert_int_equal(fake.stream_pos, 64);
    assert_int_equal(move(FERRY_RQ_DATA_READ, 64), FERRY_E_STATE);
    assert_non_null(strstr(error.text, "lost bytes"));
    go(FERRY_STATE_STOP_COPY); /* the same session */
    assert_int_equal(move(FERRY_RQ_DATA_READ, 64), FERRY_E_STATE);
    go(FERRY_STATE_RUNNING);
    go(FERRY_STATE_STOP_COPY);
    assert_int_equal(move(FERRY_RQ_DATA_READ, sizeof(data)), FERRY_OK);
    assert_memory_equal(data, fake.stream, sizeof(data));
}

static void after_a_write_that_came_too_late_nothing_is_written(void **state)
{
    (void)state;
    go(FERRY_STATE_RESUMING);
    overrun_stuck(FERRY_RQ_DATA_WRITE);
    assert_int_equal(fake.loaded_bytes, 64);
    assert_int_equal(move(FERRY_RQ_DATA_WRITE, 64), FERRY_E_STATE);
    assert_int_equal(fake.loaded_bytes, 64);
    go(FERRY_STATE_STOP);
    go(FERRY_STATE_RESUMING);
    assert_int_equal(move(FERRY_RQ_DATA_WRITE, 64), FERRY_OK);
}

static void a_write_of_which_a_part_went_is_not_made_again(void **state)
{
    (void)state;
    go(FERRY_STATE_RESUMING);
    fake.data_most = 10;
    fake.data = (struct fake_fault){ .err = EAGAIN, .after = 2 };
    overrun(FERRY_RQ_DATA_WRITE);
    (void)fake_get_state(backend); /* the job is over */
    fake.data.err = 0;
    assert_int_equal(fake.loaded_bytes, 20);
    assert_int_equal(move(FERRY_RQ_DATA_WRITE, 64), FERRY_E_STATE);
    assert_int_equal(fake.loaded_bytes, 20);
}

static void a_wait_that_moved_nothing_can_be_made_again(void **state)
{
    (void)state;
    go(FERRY_STATE_RESUMING);
    fake_late(&fake, UINT32_MAX);
    overrun(FERRY_RQ_DATA_WRITE);
    (void)fake_get_state(backend); /* behind it in the queue */
    fake_late(&fake, 0);
    assert_int_equal(move(FERRY_RQ_DATA_WRITE, 64), FERRY_OK);
    assert_int_equal(fake.loaded_bytes, 64);
}

static struct kernel_calls held_calls;
static atomic_int held;

/* The start of a log takes as long as a test wants. */
static int held_ioctl(void *user, int fd, unsigned long request, void *arg)
{
    const struct uapi_feature *feature = arg;

    while (request == UAPI_FEATURE &&
           (feature->flags & UAPI_FEATURE_NUMBER) == UAPI_LOG_START &&
           atomic_load(&held)) {
        ferry_os_sleep_ns((uint64_t)FERRY_NS_PER_MS);
    }
    return fake.calls.ioctl(user, fd, request, arg);
}

static void a_log_that_starts_too_late_is_stopped(void **state)
{
    struct ferry_range range = { .off = 0, .size = 4096 };
    struct ferry_request request = { .kind = FERRY_RQ_LOG_START, .reterr = &error };

    (void)state;
    request.u.log_start =
        (struct ferry_log_start){ .page_size = 4096, .range = &range, .range_count = 1 };
    held_calls = fake.calls;
    held_calls.ioctl = held_ioctl;
    ((struct backend_kernel *)(void *)backend)->calls = &held_calls;
    atomic_store(&held, 1);
    limit(SHORT_MS);
    assert_int_equal(fake_call(backend, &request), FERRY_E_TIMEOUT);
    limit(LONG_MS);
    atomic_store(&held, 0);
    (void)fake_get_state(backend); /* behind it in the queue */
    assert_int_equal(fake.logs, 0);
    assert_int_equal(fake_call(backend, &request), FERRY_OK);
    assert_int_equal(fake.logs, 1);
}

static void on_done(struct ferry_request *request)
{
    ++*(uint32_t *)request->user;
}

/* Nobody looks after the limits, so the worker ends the wait by itself. */
static void a_wait_that_ends_itself_says_why(void **state)
{
    uint32_t done = 0;
    struct ferry_request request = {
        .kind = FERRY_RQ_DATA_READ, .reterr = &error, .done = on_done, .user = &done
    };
    struct pollfd entry = { .fd = backend->ops->fd(backend), .events = POLLIN };

    (void)state;
    go(FERRY_STATE_STOP_COPY);
    fake_late(&fake, UINT32_MAX);
    request.u.data = (struct ferry_data_io){ .data = data, .size = 64 };
    limit(SHORT_MS);
    assert_int_equal(backend->ops->submit(backend, &request), FERRY_PENDING);
    ferry_os_sleep_ns(3u * SHORT_MS * (uint64_t)FERRY_NS_PER_MS);
    while (done == 0) {
        assert_int_equal(poll(&entry, 1, 10000), 1);
        assert_true(backend->ops->dispatch(backend) >= 0);
    }
    assert_int_equal(request.status, FERRY_E_TIMEOUT);
    assert_int_equal(error.code, FERRY_E_TIMEOUT);
    assert_non_null(strstr(error.text, "DATA_READ"));
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        TEST(after_a_read_that_came_too_late_nothing_is_read),
        TEST(after_a_write_that_came_too_late_nothing_is_written),
        TEST(a_write_of_which_a_part_went_is_not_made_again),
        TEST(a_wait_that_moved_nothing_can_be_made_again),
        TEST(a_log_that_starts_too_late_is_stopped),
        TEST(a_wait_that_ends_itself_says_why),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
