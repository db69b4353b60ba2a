/* SPDX-License-Identifier: BSD-3-Clause */
#include <poll.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "os/clock.h"
#include "os/eventfd.h"
#include "test_link_fake.h"

/* Requests under way together: order, slow ones, limits, threads, DMA in between. */

#define MIB (1u << 20)

static struct served served;
static struct ferry_client *client;
static uint8_t *guest; /* the user's memory, for DMA messages */
static atomic_int dma_calls;

static int guest_read(void *user, uint64_t iova, void *ret_data, size_t size)
{
    (void)user;
    atomic_fetch_add(&dma_calls, 1);
    if (iova > 2 * MIB || size > 2 * MIB - iova) {
        return FERRY_E_RANGE;
    }
    memcpy(ret_data, guest + iova, size);
    return FERRY_OK;
}

static int guest_write(void *user, uint64_t iova, const void *data, size_t size)
{
    (void)user;
    atomic_fetch_add(&dma_calls, 1);
    if (iova > 2 * MIB || size > 2 * MIB - iova) {
        return FERRY_E_RANGE;
    }
    memcpy(guest + iova, data, size);
    return FERRY_OK;
}

static void connect_with(uint32_t timeout_ms, uint32_t dma_timeout_ms)
{
    struct ferry_client_options options = { .struct_size = sizeof(options),
                                            .timeout_ms = timeout_ms,
                                            .memory = { guest_read, guest_write, NULL } };
    struct ferry_link_server_options server = { .struct_size = sizeof(server),
                                                .dma_timeout_ms = dma_timeout_ms };
    int fd = served_start(&served, &server);

    assert_int_equal(ferry_client_from_fd(fd, &options, &client, NULL), FERRY_OK);
}

static int start(void **state)
{
    (void)state;
    guest = calloc(1, 2 * MIB);
    assert_non_null(guest);
    connect_with(5000, 5000);
    return 0;
}

static int start_impatient(void **state)
{
    (void)state;
    guest = calloc(1, 2 * MIB);
    assert_non_null(guest);
    connect_with(100, 5000);
    return 0;
}

static int stop(void **state)
{
    (void)state;
    if (client) {
        ferry_client_close(client);
    }
    client = NULL;
    served_stop(&served);
    free(guest);
    return 0;
}

/* A request that counts its completions. */
struct counted {
    struct ferry_request request;
    atomic_int done;
    uint32_t value;
};

static atomic_int done_order;

static void on_done(struct ferry_request *request)
{
    struct counted *counted = request->user;

    atomic_fetch_add(&counted->done, 1);
    counted->value = (uint32_t)atomic_fetch_add(&done_order, 1);
}

static void prepare_io(struct counted *counted, uint32_t kind, uint32_t region,
                       uint64_t off, void *data, uint32_t count)
{
    memset(counted, 0, sizeof(*counted));
    counted->request.kind = kind;
    counted->request.done = on_done;
    counted->request.user = counted;
    counted->request.u.io.index = region;
    counted->request.u.io.off = off;
    counted->request.u.io.data = data;
    counted->request.u.io.count = count;
}

/* Dispatches until *value is wanted. */
static void dispatch_until(atomic_int *value, int wanted)
{
    struct pollfd one = { .fd = ferry_client_fd(client), .events = POLLIN };
    uint64_t deadline = ferry_os_now_ns() + 5 * (uint64_t)FERRY_NS_PER_S;

    while (atomic_load(value) != wanted) {
        assert_true(ferry_os_now_ns() < deadline);
        poll(&one, 1, 100);
        ferry_client_dispatch(client);
    }
}

static void release_held(void)
{
    atomic_store(&served.fake.release, 1);
    assert_int_equal(ferry_os_eventfd_signal(served.fake.wake_fd), FERRY_OK);
}

static void test_a_slow_arc_does_not_hold_up_other_requests(void **state)
{
    struct counted slow = { .request = { .kind = FERRY_RQ_SET_STATE } };
    uint32_t value = 0xaabbccdd;
    uint32_t back = 0;
    struct ferry_request r = { .kind = FERRY_RQ_REGION_WRITE };

    (void)state;
    slow.request.done = on_done;
    slow.request.user = &slow;
    slow.request.u.state = FERRY_STATE_STOP;
    assert_int_equal(ferry_client_submit(client, &slow.request), FERRY_PENDING);
    r.u.io.count = 4;
    r.u.io.data = &value;
    assert_int_equal(ferry_client_call(client, &r), FERRY_OK);
    r.kind = FERRY_RQ_REGION_READ;
    r.u.io.data = &back;
    assert_int_equal(ferry_client_call(client, &r), FERRY_OK);
    assert_int_equal(back, 0xaabbccdd);
    assert_int_equal(atomic_load(&slow.done), 0);
    release_held();
    dispatch_until(&slow.done, 1);
    assert_int_equal(slow.request.status, FERRY_OK);
}

static void test_replies_come_in_any_order(void **state)
{
    uint8_t data[3][16];
    struct counted slow;
    struct counted fast[2];

    (void)state;
    memset(data, 0, sizeof(data));
    prepare_io(&slow, FERRY_RQ_REGION_READ, FAKE_REGION_SLOW, 0, data[0], 16);
    prepare_io(&fast[0], FERRY_RQ_REGION_READ, FAKE_REGION_MEMORY, 0, data[1], 16);
    prepare_io(&fast[1], FERRY_RQ_REGION_READ, FAKE_REGION_MEMORY, 16, data[2], 16);
    memset(served.fake.bar, 7, 32);
    assert_int_equal(ferry_client_submit(client, &slow.request), FERRY_PENDING);
    assert_int_equal(ferry_client_submit(client, &fast[0].request), FERRY_PENDING);
    assert_int_equal(ferry_client_submit(client, &fast[1].request), FERRY_PENDING);
    dispatch_until(&fast[0].done, 1);
    dispatch_until(&fast[1].done, 1);
    assert_int_equal(atomic_load(&slow.done), 0);
    release_held();
    dispatch_until(&slow.done, 1);
    assert_int_equal(data[0][15], 0x5a);
    assert_int_equal(data[1][0], 7);
    assert_int_equal(data[2][15], 7);
}

static void test_the_data_of_a_slow_write_stays_until_it_ends(void **state)
{
    enum { COUNT = 8, BYTES = 3000 };
    struct counted slow[COUNT];
    struct ferry_request r = { .kind = FERRY_RQ_REGION_WRITE };
    uint8_t *data = malloc(COUNT * BYTES);
    uint8_t other[BYTES];
    int i;

    (void)state;
    memset(other, 0xee, sizeof(other));
    for (i = 0; i < COUNT; i++) {
        memset(data + i * BYTES, i + 1, BYTES);
        prepare_io(&slow[i], FERRY_RQ_REGION_WRITE, FAKE_REGION_SLOW, (uint64_t)i * BYTES,
                   data + i * BYTES, BYTES);
        assert_int_equal(ferry_client_submit(client, &slow[i].request), FERRY_PENDING);
        /* Comes into the memory that the server received the slow one in. */
        r.u.io.off = MIB;
        r.u.io.count = BYTES;
        r.u.io.data = other;
        assert_int_equal(ferry_client_call(client, &r), FERRY_OK);
    }
    release_held();
    for (i = 0; i < COUNT; i++) {
        dispatch_until(&slow[i].done, 1);
        assert_int_equal(slow[i].request.status, FERRY_OK);
        assert_memory_equal(served.fake.bar + i * BYTES, data + i * BYTES, BYTES);
    }
    free(data);
}

static void test_large_reads_and_writes_cross_each_other(void **state)
{
    enum { PAIRS = 6 };
    struct counted read[PAIRS];
    struct counted write[PAIRS];
    uint8_t *in = calloc(PAIRS, MIB);
    uint8_t *out = malloc(MIB);
    int i;

    (void)state;
    memset(out, 0x33, MIB);
    memset(served.fake.bar + MIB, 0x44, MIB);
    for (i = 0; i < PAIRS; i++) {
        prepare_io(&read[i], FERRY_RQ_REGION_READ, FAKE_REGION_MEMORY, MIB,
                   in + (size_t)i * MIB, MIB);
        prepare_io(&write[i], FERRY_RQ_REGION_WRITE, FAKE_REGION_MEMORY, 0, out, MIB);
        assert_int_equal(ferry_client_submit(client, &read[i].request), FERRY_PENDING);
        assert_int_equal(ferry_client_submit(client, &write[i].request), FERRY_PENDING);
    }
    for (i = 0; i < PAIRS; i++) {
        dispatch_until(&read[i].done, 1);
        dispatch_until(&write[i].done, 1);
        assert_int_equal(read[i].request.status, FERRY_OK);
        assert_int_equal(write[i].request.status, FERRY_OK);
        assert_memory_equal(in + (size_t)i * MIB, served.fake.bar + MIB, MIB);
    }
    assert_memory_equal(served.fake.bar, out, MIB);
    free(in);
    free(out);
}

static void test_a_call_in_between_leaves_the_others_to_dispatch(void **state)
{
    uint32_t data[3] = { 0 };
    struct pollfd one = { .fd = ferry_client_fd(client), .events = POLLIN };
    struct counted a;
    struct ferry_request r = { .kind = FERRY_RQ_REGION_READ };

    (void)state;
    prepare_io(&a, FERRY_RQ_REGION_READ, FAKE_REGION_MEMORY, 0, &data[0], 4);
    assert_int_equal(ferry_client_submit(client, &a.request), FERRY_PENDING);
    r.u.io.count = 4;
    r.u.io.data = &data[1];
    assert_int_equal(ferry_client_call(client, &r), FERRY_OK);
    /* Its reply has been taken in by the call, but only dispatch may run it: nothing more
     * will come from the server, and yet the descriptor tells. */
    assert_int_equal(atomic_load(&a.done), 0);
    /* Well within the request's own limit, whose timer would wake us too. */
    assert_int_equal(poll(&one, 1, 2000), 1);
    assert_int_equal(ferry_client_dispatch(client), 1);
    assert_int_equal(atomic_load(&a.done), 1);
    assert_int_equal(poll(&one, 1, 0), 0);
}

static void
test_a_request_without_answer_ends_in_time_and_its_late_reply_is_dropped(void **state)
{
    uint32_t value = 0;
    struct ferry_error error = { .code = 0 };
    struct ferry_request slow = { .kind = FERRY_RQ_REGION_READ, .reterr = &error };
    struct ferry_request r = { .kind = FERRY_RQ_REGION_READ };
    uint8_t *gone = malloc(4096);

    (void)state;
    slow.u.io.index = FAKE_REGION_SLOW;
    slow.u.io.count = 4096;
    slow.u.io.data = gone;
    assert_int_equal(ferry_client_call(client, &slow), FERRY_E_TIMEOUT);
    assert_int_equal(error.code, FERRY_E_TIMEOUT);
    free(gone); /* the late reply must not be written here */
    release_held();
    r.u.io.count = 4;
    r.u.io.data = &value;
    memset(served.fake.bar, 9, 4);
    assert_int_equal(ferry_client_call(client, &r), FERRY_OK);
    assert_int_equal(value, 0x09090909);
}

static void test_a_submitted_request_ends_in_time(void **state)
{
    uint32_t value;
    struct counted slow;

    (void)state;
    prepare_io(&slow, FERRY_RQ_REGION_READ, FAKE_REGION_SLOW, 0, &value, 4);
    assert_int_equal(ferry_client_submit(client, &slow.request), FERRY_PENDING);
    dispatch_until(&slow.done, 1);
    assert_int_equal(slow.request.status, FERRY_E_TIMEOUT);
    release_held();
}

static void test_the_number_of_requests_under_way_is_limited_on_both_sides(void **state)
{
    enum { MOST = 300 };
    struct counted *slow = calloc(MOST, sizeof(*slow));
    uint32_t value;
    int refused = 0;
    int started = 0;
    int i;

    (void)state;
    for (i = 0; i < MOST; i++) {
        prepare_io(&slow[i], FERRY_RQ_REGION_READ, FAKE_REGION_SLOW, 0, &value, 4);
        if (ferry_client_submit(client, &slow[i].request) != FERRY_PENDING) {
            break;
        }
        started++;
    }
    assert_int_equal(started, 256);
    assert_int_equal(slow[started].request.status, FERRY_E_LIMIT);
    atomic_int *last = &slow[started - 1].done;
    dispatch_until(last, 1);
    for (i = 0; i < started; i++) {
        refused +=
            atomic_load(&slow[i].done) == 1 && slow[i].request.status == FERRY_E_LIMIT;
    }
    assert_int_equal(refused, 256 - 64);
    release_held();
    for (i = 0; i < started; i++) {
        dispatch_until(&slow[i].done, 1);
    }
    free(slow);
}

static void test_a_region_access_reaches_user_memory_by_message(void **state)
{
    uint8_t data[5000];
    struct ferry_request r = { .kind = FERRY_RQ_REGION_READ };

    (void)state;
    memset(guest + 12345, 0x77, sizeof(data));
    r.u.io.index = FAKE_REGION_DMA;
    r.u.io.off = 12345;
    r.u.io.count = sizeof(data);
    r.u.io.data = data;
    assert_int_equal(ferry_client_call(client, &r), FERRY_OK);
    assert_int_equal(data[0], 0x77);
    assert_int_equal(data[4999], 0x77);
    memset(data, 0x11, sizeof(data));
    r.kind = FERRY_RQ_REGION_WRITE;
    assert_int_equal(ferry_client_call(client, &r), FERRY_OK);
    assert_int_equal(guest[12345], 0x11);
    assert_int_equal(guest[12345 + 4999], 0x11);
    assert_int_equal(guest[12345 + 5000], 0);
}

static void test_user_memory_that_is_not_there_is_a_range_error(void **state)
{
    uint8_t data[16];
    struct ferry_request r = { .kind = FERRY_RQ_REGION_READ };

    (void)state;
    r.u.io.index = FAKE_REGION_DMA;
    r.u.io.off = 2 * MIB - 8;
    r.u.io.count = sizeof(data);
    r.u.io.data = data;
    assert_int_equal(ferry_client_call(client, &r), FERRY_E_RANGE);
    assert_int_equal(atomic_load(&served.fake.dma_status), FERRY_E_RANGE);
}

static void test_messages_that_come_while_a_dma_waits_are_handled_afterwards(void **state)
{
    enum { COUNT = 40 };
    struct counted dma[COUNT];
    struct counted plain[COUNT];
    uint8_t *in = calloc(COUNT, 65536);
    uint8_t value[COUNT][8];
    int i;

    (void)state;
    memset(guest, 0x21, MIB);
    for (i = 0; i < COUNT; i++) {
        prepare_io(&dma[i], FERRY_RQ_REGION_READ, FAKE_REGION_DMA, 4096,
                   in + (size_t)i * 65536, 65536);
        prepare_io(&plain[i], FERRY_RQ_REGION_WRITE, FAKE_REGION_MEMORY, (uint64_t)i * 8,
                   value[i], 8);
        memset(value[i], i + 1, 8);
        assert_int_equal(ferry_client_submit(client, &dma[i].request), FERRY_PENDING);
        assert_int_equal(ferry_client_submit(client, &plain[i].request), FERRY_PENDING);
    }
    for (i = 0; i < COUNT; i++) {
        dispatch_until(&dma[i].done, 1);
        dispatch_until(&plain[i].done, 1);
        assert_int_equal(dma[i].request.status, FERRY_OK);
        assert_int_equal(in[(size_t)i * 65536 + 65535], 0x21);
        assert_int_equal(served.fake.bar[i * 8 + 7], i + 1);
    }
    free(in);
}

/* Sync calls of many threads, with DMA in between, while one thread dispatches. */
struct worker {
    pthread_t thread;
    uint32_t number;
    atomic_int bad;
};

static atomic_int workers_left;

static void *work(void *user)
{
    struct worker *worker = user;
    uint32_t i;

    for (i = 0; i < 150; i++) {
        uint8_t out[2000];
        uint8_t in[2000];
        struct ferry_request r = { .kind = FERRY_RQ_REGION_WRITE };
        uint64_t off = worker->number * 65536;
        int bad = 0;

        memset(out, (int)(worker->number * 50 + i % 50), sizeof(out));
        memset(in, 0, sizeof(in));
        r.u.io.off = off;
        r.u.io.count = sizeof(out);
        r.u.io.data = out;
        r.u.io.index = i % 3 == 2 ? FAKE_REGION_DMA : FAKE_REGION_MEMORY;
        r.u.io.posted = i % 5 == 4 && r.u.io.index == FAKE_REGION_MEMORY;
        bad |= ferry_client_call(client, &r) != FERRY_OK;
        r.kind = FERRY_RQ_REGION_READ;
        r.u.io.data = in;
        bad |= ferry_client_call(client, &r) != FERRY_OK;
        bad |= memcmp(in, out, sizeof(in)) != 0;
        atomic_fetch_add(&worker->bad, bad);
    }
    atomic_fetch_sub(&workers_left, 1);
    return NULL;
}

static void test_threads_call_while_another_dispatches(void **state)
{
    enum { WORKERS = 3, ASYNC = 200 };
    struct worker worker[WORKERS];
    struct counted *async = calloc(ASYNC, sizeof(*async));
    uint32_t value[ASYNC];
    int i;

    (void)state;
    memset(worker, 0, sizeof(worker));
    atomic_store(&workers_left, WORKERS);
    for (i = 0; i < WORKERS; i++) {
        worker[i].number = (uint32_t)i + 1;
        assert_int_equal(pthread_create(&worker[i].thread, NULL, work, &worker[i]), 0);
    }
    for (i = 0; i < ASYNC; i++) {
        prepare_io(&async[i], FERRY_RQ_REGION_READ, FAKE_REGION_MEMORY, 0, &value[i], 4);
        assert_int_equal(ferry_client_submit(client, &async[i].request), FERRY_PENDING);
        dispatch_until(&async[i].done, 1);
        assert_int_equal(async[i].request.status, FERRY_OK);
    }
    dispatch_until(&workers_left, 0);
    for (i = 0; i < WORKERS; i++) {
        pthread_join(worker[i].thread, NULL);
        assert_int_equal(atomic_load(&worker[i].bad), 0);
    }
    free(async);
}

static void test_threads_call_with_nobody_dispatching(void **state)
{
    enum { WORKERS = 3 };
    struct worker worker[WORKERS];
    int i;

    (void)state;
    memset(worker, 0, sizeof(worker));
    atomic_store(&workers_left, WORKERS);
    for (i = 0; i < WORKERS; i++) {
        worker[i].number = (uint32_t)i + 1;
        assert_int_equal(pthread_create(&worker[i].thread, NULL, work, &worker[i]), 0);
    }
    for (i = 0; i < WORKERS; i++) {
        pthread_join(worker[i].thread, NULL);
        assert_int_equal(atomic_load(&worker[i].bad), 0);
    }
}

static void *read_slowly(void *user)
{
    struct ferry_request r = { .kind = FERRY_RQ_REGION_READ };
    uint8_t data[16] = { 0 };

    r.u.io.index = FAKE_REGION_SLOW;
    r.u.io.count = sizeof(data);
    r.u.io.data = data;
    atomic_store((atomic_int *)user, 1);
    return ferry_client_call(client, &r) == FERRY_OK && data[15] == 0x5a ? user : NULL;
}

static void test_a_large_request_leaves_while_another_thread_waits(void **state)
{
    struct ferry_request r = { .kind = FERRY_RQ_REGION_WRITE };
    uint8_t *data = malloc(MIB);
    atomic_int begun = 0;
    pthread_t thread;
    void *right = NULL;

    (void)state;
    memset(data, 0x61, MIB);
    assert_int_equal(pthread_create(&thread, NULL, read_slowly, &begun), 0);
    await_int(&begun, 1);
    r.u.io.count = MIB;
    r.u.io.data = data;
    assert_int_equal(ferry_client_call(client, &r), FERRY_OK);
    assert_memory_equal(served.fake.bar, data, MIB);
    release_held();
    assert_int_equal(pthread_join(thread, &right), 0);
    assert_ptr_equal(right, &begun);
    free(data);
}

static void test_every_request_ends_once_when_the_server_goes(void **state)
{
    enum { COUNT = 20 };
    struct counted slow[COUNT];
    struct ferry_error error;
    uint32_t value;
    int rc = 0;
    int i;

    (void)state;
    for (i = 0; i < COUNT; i++) {
        prepare_io(&slow[i], FERRY_RQ_REGION_READ, FAKE_REGION_SLOW, 0, &value, 4);
        assert_int_equal(ferry_client_submit(client, &slow[i].request), FERRY_PENDING);
    }
    atomic_store(&served.stop, 1);
    assert_int_equal(ferry_os_eventfd_signal(served.stop_fd), FERRY_OK);
    pthread_join(served.thread, NULL);
    ferry_link_server_destroy(served.server);
    for (i = 0; i < COUNT && rc >= 0; i++) {
        rc = ferry_client_dispatch(client);
    }
    assert_int_equal(rc, FERRY_E_CLOSED);
    for (i = 0; i < COUNT; i++) {
        assert_int_equal(atomic_load(&slow[i].done), 1);
        assert_int_equal(slow[i].request.status, FERRY_E_CLOSED);
    }
    ferry_client_error(client, &error);
    assert_int_equal(error.code, FERRY_E_CLOSED);
    assert_int_equal(ferry_client_call(client, &slow[0].request), FERRY_E_CLOSED);
    assert_int_equal(ferry_client_submit(client, &slow[0].request), FERRY_E_CLOSED);
    ferry_client_close(client);
    client = NULL;
    ferry_loop_remove(served.loop, &served.stop_watch);
    ferry_loop_destroy(served.loop);
    assert_int_equal(close(served.stop_fd), 0);
    fake_free(&served.fake);
    free(guest);
}

static void test_closing_ends_what_is_under_way(void **state)
{
    uint32_t value;
    struct counted slow;

    (void)state;
    prepare_io(&slow, FERRY_RQ_REGION_READ, FAKE_REGION_SLOW, 0, &value, 4);
    assert_int_equal(ferry_client_submit(client, &slow.request), FERRY_PENDING);
    ferry_client_close(client);
    client = NULL;
    assert_int_equal(atomic_load(&slow.done), 1);
    assert_int_equal(slow.request.status, FERRY_E_CLOSED);
    /* The endpoint ends its side of it as well: served_stop() finds it detached. */
    await_int(&served.fake.detaches, 1);
}

static void test_work_goes_on_while_it_returns_1(void **state)
{
    struct ferry_request r = { .kind = FERRY_RQ_GET_INFO };

    (void)state;
    atomic_store(&served.fake.work_more, 25);
    assert_int_equal(ferry_client_call(client, &r), FERRY_OK);
    await_int(&served.fake.work_more, 0);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, start, stop)
#define IMPATIENT(name) cmocka_unit_test_setup_teardown(name, start_impatient, stop)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_a_slow_arc_does_not_hold_up_other_requests),
        TEST(test_replies_come_in_any_order),
        TEST(test_the_data_of_a_slow_write_stays_until_it_ends),
        TEST(test_large_reads_and_writes_cross_each_other),
        TEST(test_a_call_in_between_leaves_the_others_to_dispatch),
        IMPATIENT(
            test_a_request_without_answer_ends_in_time_and_its_late_reply_is_dropped),
        IMPATIENT(test_a_submitted_request_ends_in_time),
        TEST(test_the_number_of_requests_under_way_is_limited_on_both_sides),
        TEST(test_a_region_access_reaches_user_memory_by_message),
        TEST(test_user_memory_that_is_not_there_is_a_range_error),
        TEST(test_messages_that_come_while_a_dma_waits_are_handled_afterwards),
        TEST(test_threads_call_while_another_dispatches),
        TEST(test_threads_call_with_nobody_dispatching),
        TEST(test_a_large_request_leaves_while_another_thread_waits),
        cmocka_unit_test_setup(test_every_request_ends_once_when_the_server_goes, start),
        TEST(test_closing_ends_what_is_under_way),
        TEST(test_work_goes_on_while_it_returns_1),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
