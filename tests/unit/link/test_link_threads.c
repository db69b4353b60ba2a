/* SPDX-License-Identifier: BSD-3-Clause */
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "test_link_async.h"

/* One connection of several threads. */

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

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_threads_call_while_another_dispatches),
        TEST(test_threads_call_with_nobody_dispatching),
        TEST(test_a_large_request_leaves_while_another_thread_waits),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
