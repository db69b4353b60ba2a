/* SPDX-License-Identifier: BSD-3-Clause */
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
#include "os/eventfd.h"

/*
 * Many threads at one device whose calls take now less and now more than the limit: each
 * request ends once, and its memory is its owner's from then on (sanitizers look).
 */

#define LIMIT_MS 2u
#define CALLERS 3u
#define ROUNDS 80u
#define BYTES 256u
#define WINDOW 4u /* of one submitter's requests */

static struct fake_vfio fake;
static struct kernel_calls real, slow;
static struct ferry_backend *backend;
static atomic_uint submitted, completed, wrong, ended, turn;

static void linger(void)
{
    const uint32_t now = atomic_fetch_add(&turn, 1);

    if (now % 7 == 0) {
        ferry_os_sleep_ns((now % 4 + 1) * (uint64_t)FERRY_NS_PER_MS);
    }
}

static int slow_ioctl(void *user, int fd, unsigned long request, void *arg)
{
    linger();
    return real.ioctl(user, fd, request, arg);
}

static int64_t slow_read(void *user, int fd, void *to, size_t size)
{
    linger();
    return real.read(user, fd, to, size);
}

static void check(const struct ferry_request *request)
{
    switch (request->status) {
    case FERRY_OK:
    case FERRY_E_TIMEOUT:
    case FERRY_E_CLOSED:
    case FERRY_E_STATE: /* no session, or one that was torn */
    case FERRY_E_DRY:
    case FERRY_E_ARGUMENT: /* no arc from here */
    case FERRY_E_ARC:
        break;
    default:
        atomic_fetch_add(&wrong, 1);
    }
}

/* data: BYTES, for those that move some. */
static void ask(struct ferry_request *request, uint32_t number, uint8_t *data)
{
    static const uint32_t states[] = { FERRY_STATE_PRE_COPY, FERRY_STATE_STOP_COPY,
                                       FERRY_STATE_RUNNING };

    memset(request, 0, sizeof(*request));
    switch (number % 5) {
    case 0:
        request->kind = FERRY_RQ_SET_STATE;
        request->u.state = states[number / 5 % 3];
        break;
    case 1:
        request->kind = FERRY_RQ_GET_STATE;
        break;
    case 2:
        request->kind = FERRY_RQ_LOG_REPORT;
        request->u.log_report = (struct ferry_log_report){
            .length = 64u * 4096u, .page_size = 4096, .bitmap = data, .bitmap_bytes = 8
        };
        break;
    default:
        request->kind = FERRY_RQ_DATA_READ;
        request->u.data = (struct ferry_data_io){ .data = data, .size = BYTES };
    }
}

static void *call_often(void *user)
{
    for (uint32_t i = 0; i < ROUNDS; i++) {
        struct ferry_request *request = malloc(sizeof(*request));
        uint8_t *data = calloc(1, BYTES);
        uint32_t value;
        struct ferry_request beside = { .kind = FERRY_RQ_REGION_READ };

        ask(request, i + (uint32_t)(uintptr_t)user, data);
        (void)backend->ops->call(backend, request);
        check(request);
        memset(data, 0xee, BYTES);
        free(data);
        free(request);
        beside.u.io = (struct ferry_region_io){ .count = 4, .data = &value };
        (void)backend->ops->call(backend, &beside);
        check(&beside);
    }
    return NULL;
}

static void on_done(struct ferry_request *request)
{
    check(request);
    memset(request->user, 0xee, BYTES);
    free(request->user);
    free(request);
    atomic_fetch_add(&completed, 1);
}

static void *submit_often(void *user)
{
    (void)user;
    for (uint32_t i = 0; i < ROUNDS; i++) {
        struct ferry_request *request = malloc(sizeof(*request));
        uint8_t *data = calloc(1, BYTES);

        ask(request, i, data);
        request->done = on_done;
        request->user = data;
        atomic_fetch_add(&submitted, 1);
        if (backend->ops->submit(backend, request) != FERRY_PENDING) {
            on_done(request);
        }
        while (atomic_load(&submitted) - atomic_load(&completed) > WINDOW) {
            ferry_os_sleep_ns(FERRY_NS_PER_MS / 10);
        }
    }
    return NULL;
}

static void *dispatch(void *user)
{
    struct pollfd entry = { .fd = backend->ops->fd(backend), .events = POLLIN };

    (void)user;
    while (!atomic_load(&ended)) {
        (void)poll(&entry, 1, 1);
        (void)backend->ops->dispatch(backend);
    }
    return NULL;
}

static void open_slow(void)
{
    fake_init(&fake);
    fake.start_log.err = 0;
    real = slow = fake.calls;
    slow.ioctl = slow_ioctl;
    slow.read = slow_read;
    atomic_store(&submitted, 0);
    atomic_store(&completed, 0);
    atomic_store(&wrong, 0);
    atomic_store(&ended, 0);
    /* In time first: the device has to say what it is. */
    atomic_store(&turn, 1);
    backend = fake_open(&fake, KERNEL_DIRTY_BEST, 0);
    ((struct backend_kernel *)(void *)backend)->calls = &slow;
    ((struct backend_kernel *)(void *)backend)->timeout_ns =
        LIMIT_MS * (uint64_t)FERRY_NS_PER_MS;
}

/* wanted: 1: the kernel wants the device back in the midst of it. */
static void crowd(int wanted)
{
    pthread_t thread[CALLERS + 2];

    open_slow();
    for (uint32_t i = 0; i < CALLERS; i++) {
        assert_int_equal(
            pthread_create(&thread[i], NULL, call_often, (void *)(uintptr_t)i), 0);
    }
    assert_int_equal(pthread_create(&thread[CALLERS], NULL, submit_often, NULL), 0);
    assert_int_equal(pthread_create(&thread[CALLERS + 1], NULL, dispatch, NULL), 0);
    while (wanted && atomic_load(&completed) < ROUNDS / 2) {
        ferry_os_sleep_ns(FERRY_NS_PER_MS);
    }
    if (wanted) {
        assert_int_equal(ferry_os_eventfd_signal(fake.last_irq_fd[0]), FERRY_OK);
    }
    for (uint32_t i = 0; i < CALLERS + 1; i++) {
        assert_int_equal(pthread_join(thread[i], NULL), 0);
    }
    atomic_store(&ended, 1);
    assert_int_equal(pthread_join(thread[CALLERS + 1], NULL), 0);
    backend->ops->close(backend);
    assert_int_equal(atomic_load(&submitted), ROUNDS);
    assert_int_equal(atomic_load(&completed), ROUNDS);
    assert_int_equal(atomic_load(&wrong), 0);
    pthread_mutex_lock(&fake.lock);
    while (fake.closed == 0) {
        pthread_cond_wait(&fake.changed, &fake.lock);
    }
    pthread_mutex_unlock(&fake.lock);
    fake_end(&fake);
}

static void every_request_of_a_crowd_ends_once(void **state)
{
    (void)state;
    crowd(0);
}

static void a_device_that_is_taken_from_a_crowd_ends_all_requests(void **state)
{
    (void)state;
    crowd(1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_request_of_a_crowd_ends_once),
        cmocka_unit_test(a_device_that_is_taken_from_a_crowd_ends_all_requests),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
